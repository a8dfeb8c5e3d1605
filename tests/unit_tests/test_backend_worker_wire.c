/* The worker protocol: packets and options there and back, and what a broken worker may send. */
#include "base/mem.h"
#include "unit_tests/backend_testing.h"
#include "unit_tests/worker_messages.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define LONG_TEXT 2000

/* One valid packet of each type. */
static const struct worker_packet packets[] = {
    [WORKER_HELLO] = {.type = WORKER_HELLO,
                      .version = 1,
                      .oldest = 1,
                      .newest = 1,
                      .area_bytes = 4096,
                      .offset = 3,
                      .size_bytes = 100},
    [WORKER_WELCOME] = {.type = WORKER_WELCOME, .version = 1},
    [WORKER_READY] = {.type = WORKER_READY,
                      .version = 1,
                      .area_bytes = 8192,
                      .offset = 4095,
                      .size_bytes = 4097},
    [WORKER_FAILED] = {.type = WORKER_FAILED,
                       .version = 1,
                       .reason = WORKER_NO_FRAMEWORK,
                       .text = SLICE("scikit-learn is not installed \xe2\x80\x93 no")},
    [WORKER_RUN] = {.type = WORKER_RUN,
                    .version = 1,
                    .run = UINT64_MAX,
                    .area_bytes = 4096,
                    .offset = 8,
                    .input_count = 2,
                    .output_count = 3},
    [WORKER_RESULT] = {.type = WORKER_RESULT,
                       .version = 1,
                       .run = 7,
                       .area_bytes = 4096,
                       .offset = 64,
                       .output_count = 3},
    [WORKER_ERROR] = {.type = WORKER_ERROR,
                      .version = 1,
                      .run = 7,
                      .reason = WORKER_CAUSE_OTHER,
                      .text = SLICE("")},
    [WORKER_END] = {.type = WORKER_END, .version = 1},
};

static void assert_packets_equal(const struct worker_packet *a, const struct worker_packet *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->version, b->version);
    assert_true(a->run == b->run);
    assert_int_equal(a->oldest, b->oldest);
    assert_int_equal(a->newest, b->newest);
    assert_true(a->area_bytes == b->area_bytes);
    assert_true(a->offset == b->offset);
    assert_true(a->size_bytes == b->size_bytes);
    assert_int_equal(a->input_count, b->input_count);
    assert_int_equal(a->output_count, b->output_count);
    assert_int_equal(a->reason, b->reason);
    assert_true(slice_eq(a->text, b->text));
}

static void packets_go_there_and_back(void **state)
{
    (void)state;
    for (size_t type = WORKER_HELLO; type <= WORKER_END; type++) {
        char bytes[WORKER_PACKET_MAX];
        struct worker_packet packet;
        struct error error;
        size_t len = worker_packet_write(&packets[type], bytes);
        assert_int_equal(worker_packet_read(slice_make(bytes, len), &packet, &error), ERR_OK);
        assert_packets_equal(&packet, &packets[type]);
    }
}

/* The bytes as the protocol's page has them. */
static void packets_have_the_protocol_s_bytes(void **state)
{
    (void)state;
    static const char run[] = "ONXW\x01\x00\x05\x00\xff\xff\xff\xff\xff\xff\xff\xff"
                              "\x00\x10\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00"
                              "\x02\x00\x00\x00\x03\x00\x00\x00";
    static const char error[] = "ONXW\x01\x00\x07\x00\x07\x00\x00\x00\x00\x00\x00\x00"
                                "\x02\x00\x00\x00\x00\x00\x00\x00";
    char bytes[WORKER_PACKET_MAX];
    size_t len = worker_packet_write(&packets[WORKER_RUN], bytes);
    assert_int_equal(len, sizeof(run) - 1);
    assert_memory_equal(bytes, run, len);
    len = worker_packet_write(&packets[WORKER_ERROR], bytes);
    assert_int_equal(len, sizeof(error) - 1);
    assert_memory_equal(bytes, error, len);
}

static void long_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    char text[LONG_TEXT];
    char bytes[WORKER_PACKET_MAX];
    struct worker_packet packet;
    memset(text, 'a', sizeof(text));
    memcpy(text + 1023, "\xc3\xbc", 2); /* the cut at 1024 would go through it */
    struct worker_packet failed = packets[WORKER_FAILED];
    failed.text = slice_make(text, sizeof(text));
    size_t len = worker_packet_write(&failed, bytes);
    assert_int_equal(worker_packet_read(slice_make(bytes, len), &packet, NULL), ERR_OK);
    assert_int_equal(packet.text.len, 1023);
}

/* HELLO and FAILED are understood before a version is agreed upon. */
static void other_versions_can_say_so(void **state)
{
    (void)state;
    char bytes[WORKER_PACKET_MAX];
    struct worker_packet packet;
    struct worker_packet failed = packets[WORKER_FAILED];
    struct worker_packet hello = packets[WORKER_HELLO];
    failed.version = 9;
    size_t len = worker_packet_write(&failed, bytes);
    assert_int_equal(worker_packet_read(slice_make(bytes, len), &packet, NULL), ERR_OK);
    assert_packets_equal(&packet, &failed);
    hello.version = hello.newest = 9;
    len = worker_packet_write(&hello, bytes);
    assert_int_equal(worker_packet_read(slice_make(bytes, len), &packet, NULL), ERR_OK);
    assert_packets_equal(&packet, &hello);
}

static void options_have_the_protocol_s_bytes(void **state)
{
    (void)state;
    static const struct worker_option options[] = {
        {SLICE("kind"), SLICE("sklearn")},
        {SLICE("output"), {NULL, 0}},
    };
    static const char expected[] = "\x02\x00\x00\x00"
                                   "\x04\x00\x00\x00kind\x07\x00\x00\x00sklearn"
                                   "\x06\x00\x00\x00output\x00\x00\x00\x00";
    char bytes[sizeof(expected) - 1];
    assert_int_equal(worker_options_size(options, COUNT_OF(options)), sizeof(bytes));
    worker_options_write(options, COUNT_OF(options), bytes);
    assert_memory_equal(bytes, expected, sizeof(bytes));
    assert_int_equal(worker_options_size(NULL, 0), 4);
}

/* What the table's cases start from: a packet of packets[], or one of these. */
enum { SIGNATURE = WORKER_END + 1, OUTPUTS };

/* Where things stand in the signature below. */
enum {
    SIG_PRODUCER = 0,
    SIG_INPUTS = 20,
    SIG_OUTPUTS = 24,
    SIG_X = 28,
    SIG_X_DTYPE = 33,
    SIG_X_RANK = 37,
    SIG_X_DIMS = 41,
    SIG_X_FEATURES = 57,
    SIG_X_LABELS = 71,
    SIG_Y = 75,
    SIG_LABEL_DTYPE = 105,
    SIG_LABEL_LABELS = 125,
    SIG_P_RANK = 150,
    SIG_P_DIMS = 154,
    SIG_BYTES = 178
};

static void make_signature(struct bytes *message)
{
    const struct slice features[] = {SLICE("a"), SLICE("b")};
    const struct slice labels[] = {SLICE("no"), SLICE("si")};
    struct port inputs[] = {
        {.name = SLICE("x"),
         .dtype = DTYPE_F32,
         .rank_known = true,
         .rank = 2,
         .dims = {-1, 2},
         .feature_names = features,
         .feature_name_count = 2},
        {.name = SLICE("y"), .dtype = DTYPE_I64},
    };
    struct port outputs[] = {
        {.name = SLICE("label"),
         .dtype = DTYPE_STRING,
         .rank_known = true,
         .rank = 1,
         .dims = {-1},
         .class_labels = labels,
         .class_label_count = 2},
        {.name = SLICE("p"), .rank_known = true, .rank = 2, .dims = {-1, 2}},
    };
    const struct signature signature = {.producer = SLICE("sklearn"),
                                        .producer_version = SLICE("1.5.0"),
                                        .inputs = inputs,
                                        .input_count = 2,
                                        .outputs = outputs,
                                        .output_count = 2};
    message_put_signature(message, &signature);
    assert_int_equal(bytes_len(message), SIG_BYTES);
}

/* Where things stand in the outputs below: records, then the data at multiples of 64. */
enum {
    OUT_P = 0,
    OUT_S = 88,
    OUT_B = 176,
    RECORD_RANK = 4,
    RECORD_OFFSET = 8,
    RECORD_SIZE = 16,
    RECORD_DIMS = 24,
    OUT_P_DATA = 320,
    OUT_S_DATA = 384,
    OUT_S_TEXT = OUT_S_DATA + 32,
    OUT_B_DATA = 448,
    OUT_BYTES = 452
};

static void make_outputs(struct bytes *message)
{
    static const float numbers[] = {1, 2, 3, 4, 5, 6};
    static const struct slice texts[] = {SLICE("ab"), SLICE(""), SLICE("c")};
    static const unsigned char flags[] = {0, 1, 1, 0};
    struct tensor outputs[] = {
        floats(2, 3, numbers),
        strings(3, 1, texts),
        make_tensor(DTYPE_BOOL, 1, (const int64_t[]){4}, flags),
    };
    size_t size_bytes;
    char *area = message_outputs(outputs, COUNT_OF(outputs), &size_bytes);
    assert_int_equal(size_bytes, OUT_BYTES);
    message_put(message, area, size_bytes);
    free(area);
    for (size_t i = 0; i < COUNT_OF(outputs); i++) {
        tensor_done(&outputs[i]);
    }
}

static const size_t wanted[] = {0, 1, 2};

static int read_outputs(const struct worker_packet *result, struct slice area,
                        struct value values[3], struct error *error)
{
    struct port ports[] = {
        {.name = SLICE("p"), .kind = PORT_TENSOR, .dtype = DTYPE_F32},
        {.name = SLICE("s"), .kind = PORT_TENSOR, .dtype = DTYPE_STRING},
        {.name = SLICE("b"), .kind = PORT_TENSOR, .dtype = DTYPE_BOOL},
    };
    const struct signature signature = {.outputs = ports, .output_count = COUNT_OF(ports)};
    return worker_result_read(result, area.ptr, area.len, &signature, wanted, COUNT_OF(wanted),
                              values, error);
}

static struct worker_packet result_of(size_t area_bytes)
{
    return (struct worker_packet){.type = WORKER_RESULT,
                                  .version = WORKER_VERSION,
                                  .area_bytes = area_bytes,
                                  .output_count = COUNT_OF(wanted)};
}

static void make_message(unsigned subject, struct bytes *message)
{
    char bytes[WORKER_PACKET_MAX];
    if (subject == SIGNATURE) {
        make_signature(message);
    } else if (subject == OUTPUTS) {
        make_outputs(message);
    } else {
        message_put(message, bytes, worker_packet_write(&packets[subject], bytes));
    }
}

static int read_message(unsigned subject, struct slice bytes, struct error *error)
{
    struct worker_packet packet = result_of(bytes.len);
    struct value values[COUNT_OF(wanted)];
    struct signature signature;
    struct arena arena;
    int status;
    arena_init(&arena, 1024, (size_t)1 << 23);
    if (subject == SIGNATURE) {
        status = worker_signature_read(bytes, &arena, &signature, error);
    } else if (subject == OUTPUTS) {
        status = read_outputs(&packet, bytes, values, error);
    } else {
        status = worker_packet_read(bytes, &packet, error);
    }
    for (size_t i = 0; subject == OUTPUTS && status == ERR_OK && i < COUNT_OF(values); i++) {
        value_done(&values[i]);
    }
    arena_done(&arena);
    return status;
}

/* One integer of a valid message replaced, and bytes added to its end or taken from it. */
static const struct malformed {
    unsigned subject;
    size_t at;
    size_t width; /* 0: nothing is replaced */
    uint64_t value;
    long more;
    const char *error;
} malformed[] = {
    /* heads */
    {WORKER_WELCOME, 0, 0, 0, -16, "a packet of 0 bytes"},
    {WORKER_WELCOME, 0, 0, 0, -1, "a packet of 15 bytes"},
    {WORKER_FAILED, 0, 0, 0, 4096, "a packet of 41"},
    {WORKER_WELCOME, 0, 4, 0x57584e4e, 0, "magic number 0x57584e4e"},
    {WORKER_WELCOME, 4, 2, 0, 0, "WELCOME of protocol version 0, not 1"},
    {WORKER_WELCOME, 4, 2, 2, 0, "WELCOME of protocol version 2, not 1"},
    {WORKER_RESULT, 4, 2, 0xffff, 0, "RESULT of protocol version 65535, not 1"},
    {WORKER_WELCOME, 6, 2, 0, 0, "unknown type 0"},
    {WORKER_WELCOME, 6, 2, 9, 0, "unknown type 9"},
    {WORKER_WELCOME, 6, 2, 0xffff, 0, "unknown type 65535"},
    {WORKER_READY, 8, 8, 1, 0, "READY with the number of a run"},
    /* bodies */
    {WORKER_WELCOME, 0, 0, 0, 1, "WELCOME with a body of 1 bytes, not 0"},
    {WORKER_END, 0, 0, 0, 8, "END with a body of 8 bytes"},
    {WORKER_HELLO, 0, 0, 0, -1, "HELLO with a body of 31 bytes, not 32"},
    {WORKER_READY, 0, 0, 0, 1, "READY with a body of 25 bytes, not 24"},
    {WORKER_RUN, 0, 0, 0, -24, "RUN with a body of 0 bytes, not 24"},
    {WORKER_RESULT, 0, 0, 0, -1, "RESULT with a body of 23 bytes, not 24"},
    {WORKER_ERROR, 0, 0, 0, -1, "ERROR with a body of 7 bytes, not 8"},
    {WORKER_HELLO, 16, 2, 0, 0, "HELLO of version 1 with versions 0 to 1"},
    {WORKER_HELLO, 16, 2, 2, 0, "HELLO of version 1 with versions 2 to 1"},
    {WORKER_HELLO, 18, 2, 2, 0, "HELLO of version 1 with versions 1 to 2"},
    {WORKER_HELLO, 20, 4, 5, 0, "HELLO with 5 where 0 belongs"},
    {WORKER_RESULT, 36, 4, 1, 0, "RESULT with 1 where 0 belongs"},
    {WORKER_FAILED, 16, 4, 0, 0, "FAILED with the unknown reason 0"},
    {WORKER_FAILED, 16, 4, 4, 0, "FAILED with the unknown reason 4"},
    {WORKER_ERROR, 16, 4, 3, 0, "ERROR with the unknown reason 3"},
    {WORKER_ERROR, 20, 4, 1, 0, "ERROR with 0 bytes of a text of 1 bytes"},
    {WORKER_ERROR, 20, 4, UINT32_MAX, 0, "ERROR with 0 bytes of a text of 4294967295 bytes"},
    {WORKER_ERROR, 0, 0, 0, 1, "ERROR with 1 bytes of a text of 0 bytes"},
    {WORKER_ERROR, 20, 4, 1025, 1025, "ERROR with 1025 bytes of a text of 1025"},
    {WORKER_FAILED, 24, 1, 0xff, 0, "FAILED with a text that is not UTF-8"},
    {WORKER_HELLO, 32, 8, 3997, 0, "HELLO points out of its area: 100 bytes at 3997"},
    {WORKER_READY, 24, 8, 8193, 0, "READY points out of its area: 4097 bytes at 8193"},
    {WORKER_READY, 24, 8, UINT64_MAX, 0, "READY points out of its area"},
    {WORKER_READY, 32, 8, 4098, 0, "READY points out of its area: 4098 bytes at 4095"},
    {WORKER_READY, 32, 8, UINT64_MAX, 0, "READY with a signature of 18446744073709551615 bytes"},
    {WORKER_READY, 32, 8, (16 << 20) + 1, 0, "READY with a signature of 16777217 bytes"},
    {WORKER_RUN, 32, 4, 47, 0, "RUN points out of its area: 4148 bytes at 8"},
    {WORKER_RUN, 32, 4, 4097, 0, "RUN with 4097 inputs and 3 outputs, at most 4096"},
    {WORKER_RUN, 24, 8, 4, 0, "RUN with records at 4, no multiple of 8"},
    {WORKER_RESULT, 32, 4, 4097, 0, "RESULT with 0 inputs and 4097 outputs, at most 4096"},
    {WORKER_RESULT, 32, 4, 46, 0, "RESULT points out of its area: 4048 bytes at 64"},
    {WORKER_RESULT, 24, 8, 65, 0, "RESULT with records at 65, no multiple of 8"},
    /* signatures */
    {SIGNATURE, 0, 0, 0, 1, "1 bytes behind the signature"},
    {SIGNATURE, 0, 0, 0, -SIG_BYTES, "ends in the middle of the framework's name"},
    {SIGNATURE, 0, 0, 0, 16 << 20, "a signature of 16777394 bytes"},
    {SIGNATURE, SIG_PRODUCER, 4, UINT32_MAX, 0, "ends in the middle of the framework's name"},
    {SIGNATURE, SIG_PRODUCER + 4, 1, 0x80, 0, "the framework's name is not UTF-8"},
    {SIGNATURE, SIG_INPUTS, 4, 0, 0, "a signature of 0 inputs, not 1 to 4096"},
    {SIGNATURE, SIG_INPUTS, 4, 4097, 0, "a signature of 4097 inputs"},
    {SIGNATURE, SIG_INPUTS, 4, 4096, 0, "input 3: dtype 0 is not one"},
    {SIGNATURE, SIG_OUTPUTS, 4, 0, 0, "a signature of 0 outputs"},
    {SIGNATURE, SIG_OUTPUTS, 4, UINT32_MAX, 0, "a signature of 4294967295 outputs"},
    {SIGNATURE, SIG_OUTPUTS, 4, 3, 0, "output 2: the signature ends in the middle of a name"},
    {SIGNATURE, SIG_X, 4, 200, 0, "input 0: the signature ends in the middle of a name"},
    {SIGNATURE, SIG_X + 4, 1, 0xc3, 0, "input 0: a name is not UTF-8"},
    {SIGNATURE, SIG_X_DTYPE, 4, 0, 0, "input 0: dtype 0 is not one"},
    {SIGNATURE, SIG_X_DTYPE, 4, 14, 0, "input 0: dtype 14 is not one"}, /* complex64 */
    {SIGNATURE, SIG_X_DTYPE, 4, UINT32_MAX, 0, "input 0: dtype 4294967295 is not one"},
    {SIGNATURE, SIG_X_RANK, 4, 9, 0, "input 0: rank 9, at most 8"},
    {SIGNATURE, SIG_X_RANK, 4, UINT32_MAX - 1, 0, "input 0: rank 4294967294, at most 8"},
    {SIGNATURE, SIG_X_DIMS, 8, (uint64_t)-2, 0, "input 0: dimension 0 is -2"},
    {SIGNATURE, SIG_X_DIMS + 8, 8, 3, 0, "2 feature names for a last dimension of 3"},
    {SIGNATURE, SIG_X_DIMS + 8, 8, INT64_MAX, 0, "input 0: the shape is too large"},
    {SIGNATURE, SIG_X_FEATURES, 4, 1, 0, "input 0: 1 feature names for a last dimension of 2"},
    {SIGNATURE, SIG_X_FEATURES, 4, UINT32_MAX, 0, "ends in the middle of a feature name"},
    {SIGNATURE, SIG_X_FEATURES + 13, 1, 'a', 0, "a feature name \"a\" comes twice"},
    {SIGNATURE, SIG_X_LABELS, 4, 0x40000000, 0, "ends in the middle of a class label"},
    {SIGNATURE, SIG_Y + 4, 1, 'x', 0, "the input \"x\" comes twice"},
    {SIGNATURE, SIG_LABEL_DTYPE, 4, 99, 0, "output 0: dtype 99 is not one"},
    {SIGNATURE, SIG_LABEL_LABELS + 8, 1, 0xff, 0, "output 0: a class label is not UTF-8"},
    {SIGNATURE, SIG_P_DIMS, 0, 0, -20, "output 1: the signature ends in the middle of a shape"},
    {SIGNATURE, SIG_P_DIMS, 8, (1u << 30) / 2 + 1, 0, "output 1: the shape is too large"},
    {SIGNATURE, SIG_P_RANK, 4, 3, 0, "output 1: the signature ends in the middle of"},
    /* outputs */
    {OUTPUTS, OUT_P, 4, 0, 0, "the output \"p\": dtype 0 is not one"},
    {OUTPUTS, OUT_P, 4, 15, 0, "the output \"p\": dtype 15 is not one"},
    {OUTPUTS, OUT_P, 4, UINT32_MAX, 0, "the output \"p\": dtype 4294967295 is not one"},
    {OUTPUTS, OUT_P, 4, 6, 0, "the output \"p\": dtype int32, the signature has float32"},
    {OUTPUTS, OUT_P, 4, 8, 0, "the output \"p\": dtype string, the signature has float32"},
    {OUTPUTS, OUT_P + RECORD_RANK, 4, 9, 0, "the output \"p\": rank 9, at most 8"},
    {OUTPUTS, OUT_P + RECORD_RANK, 4, 1, 0, "the output \"p\": dimension 1 of rank 1 is 3"},
    {OUTPUTS, OUT_P + RECORD_RANK, 4, 3, 0, "24 bytes of data where the shape asks for 0"},
    {OUTPUTS, OUT_P + RECORD_DIMS, 8, 3, 0, "24 bytes of data where the shape asks for 36"},
    {OUTPUTS, OUT_P + RECORD_DIMS, 8, (uint64_t)-1, 0, "dimension 0 of rank 2 is -1"},
    {OUTPUTS, OUT_P + RECORD_DIMS + 56, 8, 1, 0, "dimension 7 of rank 2 is 1"},
    {OUTPUTS, OUT_P + RECORD_DIMS, 8, INT64_MAX, 0, "the output \"p\": the shape is too large"},
    {OUTPUTS, OUT_P + RECORD_DIMS, 8, 0x4000000000000002, 0, "the shape is too large"},
    {OUTPUTS, OUT_P + RECORD_SIZE, 8, 23, 0, "23 bytes of data where the shape asks for 24"},
    {OUTPUTS, OUT_P + RECORD_SIZE, 8, UINT64_MAX, 0, "where the shape asks for 24"},
    {OUTPUTS, OUT_P + RECORD_OFFSET, 8, 324, 0, "data at 324, no multiple of 8"},
    {OUTPUTS, OUT_P + RECORD_OFFSET, 8, 432, 0, "data out of the area: 24 bytes at 432"},
    {OUTPUTS, OUT_P + RECORD_OFFSET, 8, 456, 0, "data out of the area: 24 bytes at 456"},
    {OUTPUTS, OUT_P + RECORD_OFFSET, 8, UINT64_MAX - 7, 0, "data out of the area"},
    {OUTPUTS, 0, 0, 0, -4, "the output \"b\": data out of the area"},
    {OUTPUTS, 0, 0, 0, -OUT_BYTES + 263, "the records of a RESULT are out of the area"},
    {OUTPUTS, OUT_S + RECORD_DIMS, 8, 4, 0, "35 bytes of data where the shape asks for 40"},
    {OUTPUTS, OUT_S + RECORD_DIMS, 8, 2, 0, "the first string begins at 32, not behind"},
    {OUTPUTS, OUT_S + RECORD_SIZE, 8, 31, 0, "31 bytes of data where the shape asks for 32"},
    {OUTPUTS, OUT_S + RECORD_SIZE, 8, 36, 0, "the last string ends at 35 of 36"},
    {OUTPUTS, OUT_S + RECORD_SIZE, 8, 34, 0, "string 2 lies from 34 to 35 of 34"},
    {OUTPUTS, OUT_S_DATA, 8, 0, 0, "the first string begins at 0"},
    {OUTPUTS, OUT_S_DATA + 8, 8, 31, 0, "string 0 lies from 32 to 31 of 35"},
    {OUTPUTS, OUT_S_DATA + 8, 8, 35, 0, "string 1 lies from 35 to 34 of 35"},
    {OUTPUTS, OUT_S_DATA + 16, 8, UINT64_MAX, 0, "string 1 lies from 34 to 18446744073709551615"},
    {OUTPUTS, OUT_S_DATA + 24, 8, 34, 0, "the last string ends at 34 of 35"},
    {OUTPUTS, OUT_S_TEXT + 1, 1, 0xe2, 0, "the output \"s\": string 0 is not UTF-8"},
    {OUTPUTS, OUT_S_TEXT + 2, 1, 0x80, 0, "the output \"s\": string 2 is not UTF-8"},
    {OUTPUTS, OUT_B_DATA + 3, 1, 2, 0, "the output \"b\": a bool that is neither 0 nor 1"},
    {OUTPUTS, OUT_B_DATA, 1, 255, 0, "the output \"b\": a bool that is neither 0 nor 1"},
};

/* The message in a block of exactly its size, so that a look behind it is seen. */
static int read_malformed(const struct malformed *bad, struct error *error)
{
    struct bytes message;
    char integer[sizeof(uint64_t)];
    bytes_init(&message, (size_t)1 << 26);
    make_message(bad->subject, &message);
    size_t len = bytes_len(&message) + (size_t)bad->more;
    char *exact = calloc(1, len);
    assert_non_null(exact);
    memcpy(exact, bytes_slice(&message).ptr, len < bytes_len(&message) ? len : bytes_len(&message));
    worker_put_u64(integer, bad->value);
    if (bad->width > 0) {
        assert_true(bad->at + bad->width <= len);
        memcpy(exact + bad->at, integer, bad->width);
    }
    int status = read_message(bad->subject, slice_make(exact, len), error);
    free(exact);
    bytes_done(&message);
    return status;
}

static void malformed_messages_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        struct error error = {.text = ""};
        int status = read_malformed(&malformed[i], &error);
        if (status != ERR_INTERNAL || strstr(error.text, malformed[i].error) == NULL) {
            fail_msg("case %zu: %d \"%s\", not \"%s\"", i, status, error.text, malformed[i].error);
        }
        assert_int_equal(read_malformed(&malformed[i], NULL), ERR_INTERNAL);
    }
    for (unsigned subject = WORKER_HELLO; subject <= OUTPUTS; subject++) {
        const struct malformed unchanged = {.subject = subject};
        assert_int_equal(read_malformed(&unchanged, NULL), ERR_OK);
    }
    buffer_recycler_done();
}

/* No message is a shorter one with something behind it. */
static void every_cut_is_refused(void **state)
{
    (void)state;
    for (unsigned subject = WORKER_HELLO; subject <= OUTPUTS; subject++) {
        struct bytes message;
        bytes_init(&message, 4096);
        make_message(subject, &message);
        for (long cut = 1; cut <= (long)bytes_len(&message); cut++) {
            const struct malformed bad = {.subject = subject, .more = -cut};
            struct error error;
            assert_int_equal(read_malformed(&bad, &error), ERR_INTERNAL);
        }
        bytes_done(&message);
    }
    buffer_recycler_done();
}

/* What RESULT itself says is held against the mapping and what was asked for. */
static void results_must_fit_what_was_asked(void **state)
{
    (void)state;
    struct bytes area;
    struct value values[COUNT_OF(wanted)];
    struct error error;
    bytes_init(&area, 4096);
    make_outputs(&area);
    struct worker_packet result = result_of(OUT_BYTES);
    result.output_count = 2;
    assert_int_equal(read_outputs(&result, bytes_slice(&area), values, &error), ERR_INTERNAL);
    assert_string_equal(error.text, "a RESULT of 2 outputs, 3 are wanted");
    result = result_of(OUT_BYTES + 1);
    assert_int_equal(read_outputs(&result, bytes_slice(&area), values, &error), ERR_INTERNAL);
    assert_non_null(strstr(error.text, "out of the area"));
    result = result_of(OUT_BYTES - 1); /* more is mapped, but no more was told */
    assert_int_equal(read_outputs(&result, bytes_slice(&area), values, &error), ERR_INTERNAL);
    assert_non_null(strstr(error.text, "data out of the area: 4 bytes at 448, the area has 451"));
    result = result_of(OUT_BYTES);
    result.offset = UINT64_MAX - 7;
    assert_int_equal(read_outputs(&result, bytes_slice(&area), values, &error), ERR_INTERNAL);
    assert_non_null(strstr(error.text, "out of the area"));
    bytes_done(&area);
    buffer_recycler_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_go_there_and_back),
        cmocka_unit_test(packets_have_the_protocol_s_bytes),
        cmocka_unit_test(long_texts_are_cut_at_a_character),
        cmocka_unit_test(other_versions_can_say_so),
        cmocka_unit_test(options_have_the_protocol_s_bytes),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(results_must_fit_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
