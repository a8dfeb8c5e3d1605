/*
 * A bare loop around the run of onnxd's own backend layer: no socket, no codec, no batching. Beside
 * bare_ort's figures, or for a scikit-learn model those of bare_sklearn.py, it says what the layer itself
 * costs.
 */
#include <inttypes.h>
#include <string.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/measure.h"

#define ARENA_BLOCK_BYTES 4096
#define ARENA_MAX_BYTES (1U << 20)

struct bare {
    const struct backend *backend;
    struct backend_model *model;
    struct tensor input;
    struct arena arena;
};

static void run_once(void *state)
{
    struct bare *bare = state;
    const size_t first_output = 0;
    struct value value;
    struct error error;
    if (bare->backend->run(bare->model, &bare->input, &first_output, 1, &bare->arena, &value,
                           &error) != ERR_OK) {
        measure_fail("%s", error.text);
    }
    value_done(&value);
    arena_reset(&bare->arena);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void open_model(struct bare *bare, const char *runtime, const char *path, unsigned threads)
{
    bare->backend = ends_with(path, ".joblib") ? &backend_worker : &backend_ort;
    const struct backend_options options = {.path = path,
                                            .library = runtime,
                                            .worker = {.kind = "sklearn",
                                                       .count = 1,
                                                       .threads = threads,
                                                       .python = runtime,
                                                       .start_timeout_ns = 60 * CLOCK_NS_PER_S},
                                            .providers = SLICE("CPUExecutionProvider"),
                                            .intra_op_threads = threads,
                                            .inter_op_threads = 1,
                                            .graph_opt_level = SLICE("all")};
    struct error error;
    if (bare->backend->open(&options, &bare->model, &error) != ERR_OK) {
        measure_fail("%s", error.text);
    }
}

static void make_input(struct bare *bare, int64_t rows)
{
    const struct signature *signature = bare->backend->signature(bare->model);
    enum dtype dtype = signature->inputs[0].dtype;
    if (signature->input_count != 1 || (dtype != DTYPE_F32 && dtype != DTYPE_F64) ||
        signature->inputs[0].rank != 2 || signature->inputs[0].dims[1] < 1) {
        measure_fail("the model takes no matrix of floats");
    }
    const int64_t dims[] = {rows, signature->inputs[0].dims[1]};
    struct error error;
    if (tensor_new(dtype, 2, dims, &bare->input, &error) != ERR_OK) {
        measure_fail("%s", error.text);
    }
    for (int64_t i = 0; i < dims[0] * dims[1]; i++) {
        double element = (double)(i % 97) / 97.0;
        if (dtype == DTYPE_F32) {
            ((float *)bare->input.at)[i] = (float)element;
        } else {
            ((double *)bare->input.at)[i] = element;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        measure_fail("usage: bare_backend LIBRARY|PYTHON MODEL THREADS ROWS MILLISECONDS");
    }
    struct bare bare = {0};
    arena_init(&bare.arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    open_model(&bare, argv[1], argv[2], (unsigned)measure_parse_count(argv[3], 256, "THREADS"));
    make_input(&bare, (int64_t)measure_parse_count(argv[4], 1 << 20, "ROWS"));
    struct measurement measured =
        measure_calls(run_once, &bare, measure_parse_count(argv[5], 600000, "MILLISECONDS"));
    measure_print(&measured);
    tensor_done(&bare.input);
    arena_done(&bare.arena);
    bare.backend->close(bare.model);
    return 0;
}
