/*
 * A bare loop around the run of onnxd's own backend layer: no socket, no codec, no batching. Beside
 * bare_ort's figures it says what the layer itself costs.
 */
#include <inttypes.h>

#include "backend/backend.h"
#include "base/mem.h"
#include "bench/measure.h"

#define ARENA_BLOCK_BYTES 4096
#define ARENA_MAX_BYTES (1U << 20)

struct bare {
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
    if (backend_ort.run(bare->model, &bare->input, &first_output, 1, &bare->arena, &value,
                        &error) != ERR_OK) {
        measure_fail("%s", error.text);
    }
    value_done(&value);
    arena_reset(&bare->arena);
}

static void open_model(struct bare *bare, const char *library, const char *path, unsigned threads)
{
    const struct backend_options options = {.path = path,
                                            .library = library,
                                            .providers = SLICE("CPUExecutionProvider"),
                                            .intra_op_threads = threads,
                                            .inter_op_threads = 1,
                                            .graph_opt_level = SLICE("all")};
    struct error error;
    if (backend_ort.open(&options, &bare->model, &error) != ERR_OK) {
        measure_fail("%s", error.text);
    }
}

static void make_input(struct bare *bare, int64_t rows)
{
    const struct signature *signature = backend_ort.signature(bare->model);
    if (signature->input_count != 1 || signature->inputs[0].dtype != DTYPE_F32 ||
        signature->inputs[0].rank != 2 || signature->inputs[0].dims[1] < 1) {
        measure_fail("the model takes no float32 matrix");
    }
    const int64_t dims[] = {rows, signature->inputs[0].dims[1]};
    struct error error;
    if (tensor_new(DTYPE_F32, 2, dims, &bare->input, &error) != ERR_OK) {
        measure_fail("%s", error.text);
    }
    float *elements = bare->input.at;
    for (int64_t i = 0; i < dims[0] * dims[1]; i++) {
        elements[i] = (float)(i % 97) / 97.0F;
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        measure_fail("usage: bare_backend LIBRARY MODEL THREADS ROWS MILLISECONDS");
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
    backend_ort.close(bare.model);
    return 0;
}
