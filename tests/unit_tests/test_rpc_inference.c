/* The inference service's messages: as tables, and byte for byte against protobuf-c's code. */
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/wire.h"
#include "unit_tests/rpc_oracle.h"
#include "unit_tests/testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void requests_are_read(void **state)
{
    (void)state;
    const struct {
        struct slice message;
        struct predict_request request;
    } cases[] = {
        {SLICE(""), {SLICE(""), SLICE(""), SLICE("")}},
        {{NULL, 0}, {SLICE(""), SLICE(""), SLICE("")}},
        {SLICE("\x0a\5[[1]]\x12\4a/bc\x1a\3d/e"), {SLICE("[[1]]"), SLICE("a/bc"), SLICE("d/e")}},
        /* in any order, the last of each counts */
        {SLICE("\x1a\1x\x0a\1a\x12\1y\x0a\2bc\x1a\0"), {SLICE("bc"), SLICE("y"), SLICE("")}},
        /* bytes are any bytes; texts may hold NUL */
        {SLICE("\x0a\3\xff\0\x80\x12\3a\0b"), {SLICE("\xff\0\x80"), SLICE("a\0b"), SLICE("")}},
        /* unknown fields of every wire type, and one with the largest number */
        {SLICE("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
               "\x21"
               "12345678"
               "\x22\2xx"
               "\x25"
               "1234"
               "\xf8\xff\xff\xff\x0f\1"
               "\x0a\1a"),
         {SLICE("a"), SLICE(""), SLICE("")}},
        /* tags and lengths longer than they need to be */
        {SLICE("\x8a\x80\0\x81\x80\x80\x80\0a"), {SLICE("a"), SLICE(""), SLICE("")}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error;
        struct predict_request request;
        assert_int_equal(inference_read_predict(cases[i].message, &request, &error), ERR_OK);
        assert_true(slice_eq(request.payload, cases[i].request.payload));
        assert_true(slice_eq(request.content_type, cases[i].request.content_type));
        assert_true(slice_eq(request.accept, cases[i].request.accept));
        assert_int_equal(oracle_read_predict(cases[i].message), ERR_OK);
    }
}

static void what_is_no_request_is_refused_at_its_place(void **state)
{
    (void)state;
    const struct {
        struct slice message;
        const char *text;
    } cases[] = {
        {SLICE("\x0a\1a\x0a\2b"),
         "protobuf: a field that is longer than the message at byte offset 3"},
        {SLICE("\x0a"), "protobuf: no length of a field at byte offset 1"},
        {SLICE("\x0a\x80\x80\x80\x80\x80\0"), "protobuf: no length of a field at byte offset 1"},
        {SLICE("\x0a\xff\xff\xff\xff\x0f"), "protobuf: no length of a field at byte offset 1"},
        {SLICE("\x0a\xff\xff\xff\xff\7"),
         "protobuf: a field that is longer than the message at byte offset 0"},
        {SLICE("\x80\x80\x80\x80\x80\1"), "protobuf: no tag of a field at byte offset 0"},
        {SLICE("\x8a"), "protobuf: no tag of a field at byte offset 0"},
        {SLICE("\2\1a"), "protobuf: a field number out of range at byte offset 0"},
        {SLICE("\x82\0\1a"), "protobuf: a field number out of range at byte offset 0"},
        {SLICE("\xf8\xff\xff\xff\x1f\1"), "protobuf: a field number out of range at byte offset 0"},
        {SLICE("\x23\x24"), "protobuf: a field of no known wire type at byte offset 0"},
        {SLICE("\x0a\0\x26"), "protobuf: a field of no known wire type at byte offset 2"},
        {SLICE("\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0"),
         "protobuf: a varint without an end at byte offset 1"},
        {SLICE("\x21"
               "1234567"),
         "protobuf: a field that is longer than the message at byte offset 0"},
        {SLICE("\x25"
               "123"),
         "protobuf: a field that is longer than the message at byte offset 0"},
        {SLICE("\x0a\0\x08\1"), "protobuf: field payload at byte offset 2 has another wire type"},
        {SLICE("\x10\1"), "protobuf: field content_type at byte offset 0 has another wire type"},
        {SLICE("\x1d"
               "1234"),
         "protobuf: field accept at byte offset 0 has another wire type"},
        {SLICE("\x12\1\xff"), "protobuf: field content_type at byte offset 0 is not UTF-8"},
        {SLICE("\x1a\2\xc3\xa9\x1a\1\xc3"), "protobuf: field accept at byte offset 4 is not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error;
        struct predict_request request = {.payload = SLICE("as it was")};
        assert_int_equal(inference_read_predict(cases[i].message, &request, &error), ERR_INVALID);
        assert_string_equal(error.text, cases[i].text);
        assert_true(slice_eq(request.payload, SLICE("as it was")));
        assert_int_equal(oracle_read_predict(cases[i].message), ERR_INVALID);
    }
}

/* Every cut of a message, and every value of each of its bytes. */
static void agrees_with_protobuf_c(void **state)
{
    (void)state;
    const struct slice message = SLICE("\x0a\4[[1]\x12\2a/\xa2\6\1x\x1a\3\xe2\x82\xac\xa9\6"
                                       "12345678"
                                       "\xad\6"
                                       "1234\xa0\6\x96\1");
    char bytes[64];
    assert_true(message.len < sizeof(bytes));
    assert_int_equal(oracle_read_predict(message), ERR_OK);
    for (size_t len = 0; len < message.len; len++) {
        (void)oracle_read_predict(slice_head(message, len));
        for (int value = 0; value < 256; value++) {
            memcpy(bytes, message.ptr, message.len);
            bytes[len] = (char)value;
            (void)oracle_read_predict(slice_make(bytes, message.len));
        }
    }
}

static void empty_requests_may_hold_what_is_unknown(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(inference_read_empty(SLICE(""), &error), ERR_OK);
    assert_int_equal(inference_read_empty(SLICE("\x0a\1a\x10\1"), &error), ERR_OK);
    assert_int_equal(inference_read_empty(SLICE("\x0a\2a"), &error), ERR_INVALID);
}

/* The bytes of protobuf-c's code for the same reply. */
static size_t pack_generated(const struct predict_reply *reply, char *batch_size, uint8_t *out)
{
    Onnxserving__Grpc__PredictReply generated;
    Onnxserving__Grpc__PredictReply__MetadataEntry entry;
    Onnxserving__Grpc__PredictReply__MetadataEntry *entries[] = {&entry};
    onnxserving__grpc__predict_reply__init(&generated);
    onnxserving__grpc__predict_reply__metadata_entry__init(&entry);
    char key[] = "batch_size";
    char content_type[64] = {0};
    memcpy(content_type, reply->content_type.ptr, reply->content_type.len);
    entry.key = key;
    entry.value = batch_size;
    generated.body.data = (uint8_t *)(uintptr_t)reply->body.ptr;
    generated.body.len = reply->body.len;
    generated.content_type = content_type;
    generated.metadata = entries;
    generated.n_metadata = 1;
    return onnxserving__grpc__predict_reply__pack(&generated, out);
}

static void replies_are_written_as_protobuf_c_does(void **state)
{
    (void)state;
    static const size_t body_sizes[] = {0, 1, 127, 128, 16383, 16384, 70000};
    char *body = calloc(1, 70000);
    uint8_t *expected = malloc(71000);
    assert_true(body != NULL && expected != NULL);
    for (size_t i = 0; i < COUNT(body_sizes); i++) {
        for (int typed = 0; typed < 2; typed++) {
            struct predict_reply reply = {slice_make(body, body_sizes[i]),
                                          typed == 0 ? SLICE("") : SLICE("text/csv"), 4294967296};
            char batch_size[] = "4294967296";
            struct bytes out;
            bytes_init(&out, 71000);
            assert_int_equal(oracle_put_predict(&out, &reply), ERR_OK);
            size_t size = pack_generated(&reply, batch_size, expected);
            assert_true(slice_eq(bytes_slice(&out), slice_make(expected, size)));
            bytes_done(&out);
        }
    }
    free(expected);
    free(body);
}

static void a_reply_has_its_fields_in_order(void **state)
{
    (void)state;
    const struct predict_reply reply = {SLICE("[1]"), SLICE("application/json"), 1};
    struct bytes out;
    bytes_init(&out, 100);
    assert_int_equal(oracle_put_predict(&out, &reply), ERR_OK);
    assert_true(slice_eq(bytes_slice(&out), SLICE("\x0a\3[1]\x12\x10"
                                                  "application/json"
                                                  "\x1a\x0f\x0a\x0a"
                                                  "batch_size\x12\1"
                                                  "1")));
    bytes_done(&out);
}

/* Every maximum that is too small, and every allocation. */
static void a_reply_without_room_fails(void **state)
{
    (void)state;
    const struct predict_reply reply = {SLICE("[1]"), SLICE("application/json"), 1};
    const size_t size = 40;
    for (size_t max = 0; max <= size; max++) {
        struct bytes out;
        bytes_init(&out, max);
        int status = oracle_put_predict(&out, &reply);
        assert_int_equal(status, max < size ? ERR_NO_MEMORY : ERR_OK);
        bytes_done(&out);
        bytes_init(&out, max);
        status = inference_put_status(&out, INFERENCE_LIVE);
        assert_int_equal(status, max < 8 ? ERR_NO_MEMORY : ERR_OK);
        bytes_done(&out);
    }
    struct bytes out;
    bytes_init(&out, size);
    mem_fail_nth(1);
    assert_int_equal(oracle_put_predict(&out, &reply), ERR_NO_MEMORY);
    mem_fail_nth(1);
    assert_int_equal(inference_put_status(&out, INFERENCE_LIVE), ERR_NO_MEMORY);
    mem_fail_nth(0);
    bytes_done(&out);
}

static void states_are_written(void **state)
{
    (void)state;
    const struct {
        enum inference_state state;
        struct slice message;
    } cases[] = {
        {INFERENCE_LIVE, SLICE("\x08\1\x12\4live")},
        {INFERENCE_READY, SLICE("\x08\1\x12\5ready")},
        {INFERENCE_NOT_READY, SLICE("\x12\x09not_ready")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes out;
        bytes_init(&out, 100);
        assert_int_equal(inference_put_status(&out, cases[i].state), ERR_OK);
        assert_true(slice_eq(bytes_slice(&out), cases[i].message));
        bytes_done(&out);
    }
}

static void reading_allocates_nothing(void **state)
{
    (void)state;
    struct error error;
    struct predict_request request;
    uint64_t before = mem_allocations();
    struct slice message = SLICE("\x0a\5[[1]]\x12\4a/bc\x22\1x");
    assert_int_equal(inference_read_predict(message, &request, &error), ERR_OK);
    assert_ptr_equal(request.payload.ptr, message.ptr + 2);
    assert_true(mem_allocations() == before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(what_is_no_request_is_refused_at_its_place),
        cmocka_unit_test(agrees_with_protobuf_c),
        cmocka_unit_test(empty_requests_may_hold_what_is_unknown),
        cmocka_unit_test(replies_are_written_as_protobuf_c_does),
        cmocka_unit_test(a_reply_has_its_fields_in_order),
        cmocka_unit_test(a_reply_without_room_fails),
        cmocka_unit_test(states_are_written),
        cmocka_unit_test(reading_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
