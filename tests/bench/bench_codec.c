/*
 * One codec, or the library floor it is compared with, on one body, again and again. The floors do
 * the one thing that cannot be left out (yyjson_read of the text, strtod of each cell, a copy of the
 * bytes, the digits of each number) and build nothing from it. Decoders make float32 [rows,
 * features]; encoders print what the decoder made of the same body.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "base/mem.h"
#include "base/num.h"
#include "bench/measure.h"
#include "codec/codec.h"

#define ARENA_BLOCK_BYTES 65536
#define ARENA_MAX_BYTES (256U << 20)
#define OUT_MAX_BYTES (64U << 20)

struct work {
    struct slice body;
    struct codec_plan *plan;
    enum media media;
    struct arena arena;
    struct arena inputs_arena; /* of the decoded body that encoders print */
    struct codec_inputs inputs;
    struct value value; /* the first input, as an output */
    struct bytes out;
    char *copy;   /* as long as the body */
    double total; /* keeps the compiler from dropping the work */
};

static void decode(void *state)
{
    struct work *work = state;
    struct codec_inputs inputs;
    struct error error;
    if (codec_decode(work->plan, work->media, work->body, &work->arena, &inputs, &error) != 0) {
        measure_fail("%s", error.text);
    }
    codec_inputs_done(&inputs);
    arena_reset(&work->arena);
}

static void encode(void *state)
{
    struct work *work = state;
    enum media written;
    struct error error;
    bytes_reset(&work->out, OUT_MAX_BYTES);
    if (codec_encode(work->plan, work->media, &work->value, &work->out, &written, &error) != 0) {
        measure_fail("%s", error.text);
    }
}

static void read_document(struct work *work, struct slice text)
{
    yyjson_doc *document = yyjson_read(text.ptr, text.len, 0);
    if (document == NULL) {
        measure_fail("yyjson refuses the body");
    }
    work->total += (double)yyjson_doc_get_val_count(document);
    yyjson_doc_free(document);
}

static void floor_yyjson(void *state)
{
    struct work *work = state;
    read_document(work, work->body);
}

static void floor_yyjson_lines(void *state)
{
    struct work *work = state;
    for (struct slice rest = work->body; rest.ptr != NULL;) {
        struct slice line = slice_cut(&rest, '\n');
        if (line.len > 0) {
            read_document(work, line);
        }
    }
}

/* Cells are separated by one byte each, and measure_read_file ends the text with a NUL. */
static void floor_strtod(void *state)
{
    struct work *work = state;
    const char *at = work->body.ptr;
    const char *end = at + work->body.len;
    while (at < end) {
        char *after;
        work->total += strtod(at, &after);
        if (after == at) {
            measure_fail("no number at byte %td", at - work->body.ptr);
        }
        at = after + 1;
    }
}

static void floor_copy(void *state)
{
    struct work *work = state;
    memcpy(work->copy, work->body.ptr, work->body.len);
    work->total += work->copy[work->body.len / 2];
}

static void floor_digits(void *state)
{
    struct work *work = state;
    const float *elements = work->value.tensor.at;
    int64_t count = tensor_elements(&work->value.tensor);
    char *at = work->copy;
    for (int64_t i = 0; i < count; i++) {
        at += num_print_f32(elements[i], at);
        *at++ = ',';
    }
    work->total += (double)(at - work->copy);
}

static void floor_copy_elements(void *state)
{
    struct work *work = state;
    memcpy(work->copy, work->value.tensor.at, tensor_bytes(&work->value.tensor));
    work->total += work->copy[0];
}

static const struct kind {
    const char *name;
    enum media media;
    void (*step)(void *state);
} kinds[] = {
    {"decode-json", MEDIA_JSON, decode},   {"decode-json-floor", MEDIA_JSON, floor_yyjson},
    {"decode-jsonl", MEDIA_JSONL, decode}, {"decode-jsonl-floor", MEDIA_JSONL, floor_yyjson_lines},
    {"decode-csv", MEDIA_CSV, decode},     {"decode-csv-floor", MEDIA_CSV, floor_strtod},
    {"decode-npy", MEDIA_NPY, decode},     {"decode-npy-floor", MEDIA_NPY, floor_copy},
    {"encode-json", MEDIA_JSON, encode},   {"encode-json-floor", MEDIA_JSON, floor_digits},
    {"encode-csv", MEDIA_CSV, encode},     {"encode-csv-floor", MEDIA_CSV, floor_digits},
    {"encode-npy", MEDIA_NPY, encode},     {"encode-npy-floor", MEDIA_NPY, floor_copy_elements},
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    measure_fail("unknown case '%s'", name);
}

/* The body is of the medium its file's name ends with. */
static enum media media_of_file(const char *path)
{
    static const struct {
        const char *suffix;
        enum media media;
    } suffixes[] = {
        {".json", MEDIA_JSON}, {".jsonl", MEDIA_JSONL}, {".csv", MEDIA_CSV}, {".npy", MEDIA_NPY}};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (slice_ends_with_nocase(slice_from_str(path), slice_from_str(suffixes[i].suffix))) {
            return suffixes[i].media;
        }
    }
    measure_fail("what is in %s?", path);
}

/* Makes the plan, and from the body the value that encoders print. */
static void prepare(struct work *work, enum media of_body, const struct signature *signature)
{
    struct codec_options options = codec_options_default();
    struct error error;
    if (codec_plan_new(&options, signature, &work->plan, &error) != 0 ||
        codec_decode(work->plan, of_body, work->body, &work->inputs_arena, &work->inputs, &error) !=
            0) {
        measure_fail("%s", error.text);
    }
    work->value = (struct value){.kind = VALUE_TENSOR, .tensor = work->inputs.tensors[0]};
    size_t digits = (size_t)tensor_elements(&work->value.tensor) * NUM_TEXT_MAX;
    work->copy = mem_zalloc(1, digits > work->body.len ? digits : work->body.len);
    if (work->copy == NULL) {
        measure_fail("out of memory");
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        measure_fail("usage: bench_codec CASE FILE FEATURES MILLISECONDS");
    }
    const struct kind *kind = find_kind(argv[1]);
    int64_t features = (int64_t)measure_parse_count(argv[3], 1 << 20, "FEATURES");
    struct port in = {.name = SLICE("x"),
                      .kind = PORT_TENSOR,
                      .dtype = DTYPE_F32,
                      .rank_known = true,
                      .rank = 2,
                      .dims = {-1, features}};
    struct port out = in;
    out.name = SLICE("y");
    const struct signature signature = {
        .inputs = &in, .input_count = 1, .outputs = &out, .output_count = 1};
    struct work work = {.body = measure_read_file(argv[2]), .media = kind->media};
    arena_init(&work.arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    arena_init(&work.inputs_arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    bytes_init(&work.out, OUT_MAX_BYTES);
    prepare(&work, media_of_file(argv[2]), &signature);
    struct measurement measured =
        measure_calls(kind->step, &work, measure_parse_count(argv[4], 600000, "MILLISECONDS"));
    measure_print(&measured);
    return 0;
}
