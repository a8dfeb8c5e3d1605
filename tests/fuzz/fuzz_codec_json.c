/*
 * JSON bodies. An array is decoded twice, the second time with a member behind it that keeps it off
 * the short way: both must agree.
 */
#include "codec_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_tensors(const struct tensor *a, const struct tensor *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank ||
        memcmp(a->dims, b->dims, a->rank * sizeof(a->dims[0])) != 0) {
        return false;
    }
    if (a->dtype == DTYPE_NONE || a->dtype == DTYPE_STRING) {
        return true;
    }
    return memcmp(a->at, b->at, tensor_bytes(a)) == 0;
}

static void compare_ways(size_t setup, struct slice body)
{
    static const char before[] = "{\"instances\":";
    static const char behind[] = ",\"z\":0}";
    struct codec_inputs first;
    struct codec_inputs second;
    struct arena arena;
    size_t len = sizeof(before) - 1 + body.len + sizeof(behind) - 1;
    char *wrapped = malloc(len);
    CHECK(wrapped != NULL);
    memcpy(wrapped, before, sizeof(before) - 1);
    memcpy(wrapped + sizeof(before) - 1, body.ptr, body.len);
    memcpy(wrapped + sizeof(before) - 1 + body.len, behind, sizeof(behind) - 1);
    arena_init(&arena, 1024, (size_t)1 << 26);
    int plain = fuzz_decode(MEDIA_JSON, setup, body, &arena, &first);
    int tree = fuzz_decode(MEDIA_JSON, setup, slice_make(wrapped, len), &arena, &second);
    /* "1],[2" is no body, but is one between the two ends; so only what is taken bare compares. */
    if (plain == ERR_OK) {
        CHECK(tree == ERR_OK && first.rows == second.rows);
        for (size_t i = 0; i < first.count; i++) {
            CHECK(same_tensors(&first.tensors[i], &second.tensors[i]));
        }
        codec_inputs_done(&first);
    }
    if (tree == ERR_OK) {
        codec_inputs_done(&second);
    }
    arena_done(&arena);
    free(wrapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 && data[1] == '[') {
        compare_ways(data[0] % FUZZ_SETUPS, slice_make(data + 1, size - 1));
    }
    return fuzz_run(MEDIA_JSON, data, size);
}
