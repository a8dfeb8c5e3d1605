/*
 * What the fuzz targets of the decoders share: the first byte of the input chooses a model's inputs
 * and the settings, the rest is the body. Plans are made once; what comes out is looked at in full,
 * so that the sanitizers see every byte.
 */
#ifndef CODEC_FUZZ_H
#define CODEC_FUZZ_H

#include "../unit_tests/codec_fixture.h"
#include "base/check.h"
#include "codec/text.h"

struct fuzz_setup {
    const char *inputs;
    const char *options;
};

static const struct fuzz_setup fuzz_setups[] = {
    {"x float32 N 3", NULL},
    {"x float32 N F", "max=3"},
    {"x float64 *", NULL},
    {"x int64 N 2", "ids=0"},
    {"x uint8 N 2 2", NULL},
    {"x float16 N", NULL},
    {"s string N 2", "header=true blanks"},
    {"age int64 N 1; city string N 1", NULL},
    {"a float32 N 1; b float32 N 1", "map=fa:a,fb:b:int64"},
    {"a float32 N; w bool 1 2; t int8", "unequal"},
    {"x float32 N 3", "names=a,b,c delimiter=;"},
    {"x int32 N F", "dtype=float32 features=2,0,1"},
    {"x bool N F", "count=2 header=false"},
    {"o optional; x uint64 2 2", NULL},
    {"s string *", "max=2"},
    {"features float32 N 2 1 2; s string N", NULL},
};

#define FUZZ_SETUPS (sizeof(fuzz_setups) / sizeof(fuzz_setups[0]))

static inline const struct codec_plan *fuzz_plan(size_t index)
{
    static struct codec_fixture fixtures[FUZZ_SETUPS];
    static struct codec_plan *plans[FUZZ_SETUPS];
    if (plans[index] == NULL) {
        struct error error;
        fixture_init(&fixtures[index], fuzz_setups[index].inputs, "y float32 N 1",
                     fuzz_setups[index].options);
        CHECK(codec_plan_new(&fixtures[index].options, &fixtures[index].signature, &plans[index],
                             &error) == ERR_OK);
    }
    return plans[index];
}

/* Reads every element: text must be UTF-8, booleans 0 or 1, other bytes there. */
static inline void fuzz_look_at(const struct tensor *tensor)
{
    size_t elements = tensor->dtype == DTYPE_NONE ? 0 : (size_t)tensor_elements(tensor);
    for (size_t i = 0; i < elements && tensor->dtype == DTYPE_STRING; i++) {
        struct slice text = ((const struct slice *)tensor->at)[i];
        CHECK(text_find_invalid(text) == text.len);
    }
    for (size_t i = 0; i < elements && tensor->dtype == DTYPE_BOOL; i++) {
        CHECK(((const unsigned char *)tensor->at)[i] <= 1);
    }
    if (elements > 0) {
        void *copy = malloc(tensor_bytes(tensor));
        CHECK(copy != NULL);
        memcpy(copy, tensor->at, tensor_bytes(tensor));
        free(copy);
    }
}

/* Decodes; on success *ret_inputs is to be ended. */
static inline int fuzz_decode(enum media media, size_t setup, struct slice body,
                              struct arena *arena, struct codec_inputs *ret_inputs)
{
    struct error error = {.text = ""};
    int status = codec_decode(fuzz_plan(setup), media, body, arena, ret_inputs, &error);
    if (status != ERR_OK) {
        CHECK(status == ERR_INVALID || status == ERR_NO_MEMORY);
        CHECK(error.text[0] != '\0');
        return status;
    }
    CHECK(ret_inputs->rows > 0);
    for (size_t i = 0; i < ret_inputs->count; i++) {
        fuzz_look_at(&ret_inputs->tensors[i]);
    }
    return status;
}

/* One input; its body is copied so that a read past its end is seen. */
static inline int fuzz_run(enum media media, const uint8_t *bytes, size_t size)
{
    struct codec_inputs inputs;
    struct arena arena;
    if (size == 0) {
        return 0;
    }
    char *body = malloc(size);
    CHECK(body != NULL);
    memcpy(body, bytes + 1, size - 1);
    body = realloc(body, size > 1 ? size - 1 : 1);
    CHECK(body != NULL);
    arena_init(&arena, 1024, (size_t)1 << 26);
    if (fuzz_decode(media, bytes[0] % FUZZ_SETUPS, slice_make(body, size - 1), &arena, &inputs) ==
        ERR_OK) {
        codec_inputs_done(&inputs);
    }
    arena_done(&arena);
    free(body);
    return 0;
}

#endif
