/* Values, signatures and plans of a few lines, for the tests of the encoders. */
#ifndef ENCODE_FIXTURE_H
#define ENCODE_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "codec/plan.h"
#include "unit_tests/testing.h"

#define FIXTURE_OUTPUTS_MAX 4

/* A model of up to four outputs named "a", "b", "c", "d", all wanted, and options to change. */
struct encode_fixture {
    struct codec_options options;
    struct port outputs[FIXTURE_OUTPUTS_MAX];
    struct signature signature;
    size_t wanted[FIXTURE_OUTPUTS_MAX];
    struct codec_plan plan;
    struct bytes out;
    enum media media; /* of the last answer */
    struct error error;
};

static inline void fixture_init(struct encode_fixture *fixture, size_t outputs)
{
    static const char names[FIXTURE_OUTPUTS_MAX][2] = {"a", "b", "c", "d"};
    memset(fixture, 0, sizeof(*fixture));
    fixture->options.csv_delimiter = ',';
    fixture->options.predictions_only = true;
    fixture->options.json_output_key = SLICE("predictions");
    for (size_t i = 0; i < outputs; i++) {
        fixture->outputs[i].name = slice_from_str(names[i]);
        fixture->wanted[i] = i;
    }
    fixture->signature.outputs = fixture->outputs;
    fixture->signature.output_count = outputs;
    fixture->plan.options = &fixture->options;
    fixture->plan.signature = &fixture->signature;
    fixture->plan.wanted = fixture->wanted;
    fixture->plan.wanted_count = outputs;
    bytes_init(&fixture->out, (size_t)1 << 24);
}

static inline void fixture_done(struct encode_fixture *fixture)
{
    bytes_done(&fixture->out);
}

/* A tensor over an array of the test's, without a buffer. */
static inline struct value tensor_of(enum dtype dtype, unsigned rank, const int64_t *dims, void *at)
{
    struct value value = {.kind = VALUE_TENSOR};
    value.tensor = (struct tensor){.dtype = dtype, .rank = rank, .at = at};
    for (unsigned i = 0; i < rank; i++) {
        value.tensor.dims[i] = dims[i];
    }
    return value;
}

static inline struct value vector_of(enum dtype dtype, int64_t count, void *at)
{
    return tensor_of(dtype, 1, &count, at);
}

static inline struct value map_of(enum dtype keys, void *keys_at, enum dtype mapped,
                                  void *mapped_at, int64_t count)
{
    return (struct value){
        .kind = VALUE_MAP,
        .keys = vector_of(keys, count, keys_at).tensor,
        .mapped = vector_of(mapped, count, mapped_at).tensor,
    };
}

static inline struct value sequence_of(struct value *items, size_t count)
{
    return (struct value){.kind = VALUE_SEQUENCE, .items = items, .item_count = count};
}

/* Encodes into an emptied fixture->out. */
static inline int fixture_encode(struct encode_fixture *fixture, enum media media,
                                 const struct value *values)
{
    bytes_reset(&fixture->out, SIZE_MAX);
    fixture->media = MEDIA_NONE;
    return codec_encode(&fixture->plan, media, values, &fixture->out, &fixture->media,
                        &fixture->error);
}

static inline void expect_text(struct encode_fixture *fixture, enum media media,
                               const struct value *values, const char *expected)
{
    int status = fixture_encode(fixture, media, values);
    if (status != ERR_OK) {
        fail_msg("%s expected, but: %s", expected, fixture->error.text);
    }
    assert_int_equal(fixture->media, media);
    struct slice text = bytes_slice(&fixture->out);
    if (!slice_eq(text, slice_from_str(expected))) {
        fail_msg("%s expected, got %.*s", expected, SLICE_FMT(slice_head(text, 1000)));
    }
}

/* A refusal leaves what was in `out` before, and nothing else. */
static inline void expect_refusal(struct encode_fixture *fixture, enum media media,
                                  const struct value *values, const char *expected)
{
    bytes_reset(&fixture->out, SIZE_MAX);
    assert_int_equal(bytes_put(&fixture->out, SLICE("before")), ERR_OK);
    fixture->media = MEDIA_NONE;
    int status = codec_encode(&fixture->plan, media, values, &fixture->out, &fixture->media,
                              &fixture->error);
    assert_int_equal(status, ERR_INVALID);
    assert_int_equal(fixture->error.code, ERR_INVALID);
    assert_string_equal(fixture->error.text, expected);
    assert_int_equal(fixture->media, MEDIA_NONE);
    assert_true(slice_eq(bytes_slice(&fixture->out), SLICE("before")));
}

#endif
