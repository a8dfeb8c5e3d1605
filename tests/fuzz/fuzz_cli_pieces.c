/*
 * Payloads cut into pieces: whatever the cuts and the reads, the pieces together decode to what the
 * whole does, and are refused where the whole is. The first three bytes choose the encoding, the
 * model and the cuts.
 */
#include "../unit_tests/pieces_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Models that take any number of rows: others want whole batches. */
static const struct {
    const char *inputs;
    const char *options;
} setups[] = {
    {"x float32 N 3", NULL},
    {"x float32 N F", NULL},
    {"x float64 *", NULL},
    {"x int64 N 2", "ids=0"},
    {"x uint8 N 2 2", NULL},
    {"x float32 N", NULL},
    {"s string N 2", "header=true blanks"},
    {"age int64 N 1; city string N 1", NULL},
    {"a float32 N 1; b float32 N 1", "map=fa:a,fb:b:int64"},
    {"x float32 N 3", "names=a,b,c delimiter=;"},
    {"x int32 N F", "dtype=float32 features=2,0,1"},
    {"x bool N F", "count=2 header=false"},
    {"o optional; x uint64 N 2", NULL},
    {"s string *", NULL},
    {"x int8 N F", "instances=i row=f blanks"},
    {"x float32 N F G", "delimiter=T"},
};

#define SETUPS (sizeof(setups) / sizeof(setups[0]))
#define ARENA_MAX ((size_t)1 << 28)

static struct codec_fixture fixtures[SETUPS];

static const struct codec_plan *get_plan(size_t index)
{
    static struct codec_plan *plans[SETUPS];
    if (plans[index] == NULL) {
        struct error error;
        fixture_init(&fixtures[index], setups[index].inputs, "y float32 N 1",
                     setups[index].options);
        fixtures[index].options.max_records = 0;
        CHECK(codec_plan_new(&fixtures[index].options, &fixtures[index].signature, &plans[index],
                             &error) == ERR_OK);
    }
    return plans[index];
}

static void check_equal(const struct tensor *whole, const struct tensor *joined)
{
    CHECK(whole->dtype == joined->dtype && whole->rank == joined->rank);
    for (unsigned i = 0; i < whole->rank; i++) {
        CHECK(whole->dims[i] == joined->dims[i]);
    }
    size_t elements = whole->dtype == DTYPE_NONE ? 0 : (size_t)tensor_elements(whole);
    if (whole->dtype == DTYPE_STRING) {
        for (size_t i = 0; i < elements; i++) {
            CHECK(slice_eq(((const struct slice *)whole->at)[i],
                           ((const struct slice *)joined->at)[i]));
        }
    } else if (elements > 0) {
        CHECK(memcmp(whole->at, joined->at, elements * dtype_size(whole->dtype)) == 0);
    }
}

static void compare(size_t setup, enum media media, struct slice body,
                    const struct cutting *cutting)
{
    struct arena arena;
    struct error whole_error = {.text = ""};
    struct error error = {.text = ""};
    struct codec_inputs whole;
    struct codec_inputs joined;
    unsigned pieces;
    const struct codec_plan *plan = get_plan(setup);
    arena_init(&arena, 1024, ARENA_MAX);
    int wanted = codec_decode(plan, media, body, &arena, &whole, &whole_error);
    int got = decode_pieces(&fixtures[setup], plan, media, body, cutting, &arena, &joined, &pieces,
                            &error);
    /* Of the key that comes again the last counts in a whole body; pieces cannot have that. */
    bool repeated = got != ERR_OK && strstr(error.text, "that key comes again") != NULL;
    if (wanted != ERR_NO_MEMORY && got != ERR_NO_MEMORY && !repeated) {
        CHECK(wanted == got);
        CHECK(got == ERR_OK || error.text[0] != '\0');
    }
    if (wanted == ERR_OK && got == ERR_OK) {
        CHECK(whole.rows == joined.rows);
        for (size_t i = 0; i < whole.count; i++) {
            check_equal(&whole.tensors[i], &joined.tensors[i]);
        }
    }
    if (wanted == ERR_OK) {
        codec_inputs_done(&whole);
    }
    if (got == ERR_OK) {
        codec_inputs_done(&joined);
    }
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum media all[] = {MEDIA_CSV, MEDIA_JSON, MEDIA_JSONL, MEDIA_NPY};
    static const size_t reads[] = {1, 3, 7, (size_t)1 << 20};
    if (size < 3) {
        return 0;
    }
    struct cutting cutting = {
        .read_bytes = reads[data[2] % 4],
        .rows = 1 + data[2] / 4 % 4,
        .target_bytes = data[2] & 0x80 ? 16 : 1,
        .max_bytes = (size_t)1 << 24,
    };
    char *body = malloc(size - 3 + 1);
    CHECK(body != NULL);
    memcpy(body, data + 3, size - 3);
    compare(data[1] % SETUPS, all[data[0] % 4], slice_make(body, size - 3), &cutting);
    free(body);
    return 0;
}
