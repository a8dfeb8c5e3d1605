/*
 * What is left out of a graph, as a table. Graphs are written as text: nodes "inputs > outputs" with
 * ";" between them, a body "{nodes | its outputs}" after a node that has one, "_" for a name left
 * empty.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "backend/onnx_field.h"
#include "backend/onnx_prune.h"
#include "base/mem.h"
#include "unit_tests/testing.h"

#define MODEL_MAX 65536
#define TEXT_MAX 512

/* A message under construction. */
struct message {
    char bytes[8192];
    size_t len;
};

static void put(struct message *message, char tag, const void *body, size_t len)
{
    assert_true(message->len + len + 4 < sizeof(message->bytes));
    message->bytes[message->len++] = tag;
    if (len > 0x7f) {
        message->bytes[message->len++] = (char)(len & 0x7f) | (char)0x80;
        len >>= 7;
        assert_true(len <= 0x7f);
        message->bytes[message->len++] = (char)len;
        len = len << 7 | (unsigned char)(message->bytes[message->len - 2] & 0x7f);
    } else {
        message->bytes[message->len++] = (char)len;
    }
    memcpy(message->bytes + message->len, body, len);
    message->len += len;
}

static struct slice take_word(const char **text)
{
    while (**text == ' ') {
        (*text)++;
    }
    const char *start = *text;
    while (isalnum((unsigned char)**text) || **text == '_') {
        (*text)++;
    }
    struct slice word = slice_make(start, (size_t)(*text - start));
    return slice_eq(word, SLICE("_")) ? SLICE("") : word;
}

static bool at_word(const char **text)
{
    while (**text == ' ') {
        (*text)++;
    }
    return isalnum((unsigned char)**text) || **text == '_';
}

static bool take_sign(const char **text, char sign)
{
    bool is_there = !at_word(text) && **text == sign;
    *text += is_there;
    return is_there;
}

static void put_names(struct message *message, char tag, const char **text)
{
    while (at_word(text)) {
        struct slice word = take_word(text);
        put(message, tag, word.ptr, word.len);
    }
}

/* ValueInfoProto entries in field 12 of a graph. */
static void put_outputs(struct message *graph, const char **text)
{
    while (at_word(text)) {
        struct message value = {.len = 0};
        struct slice word = take_word(text);
        put(&value, 0x0a, word.ptr, word.len);
        put(graph, 0x62, value.bytes, value.len);
    }
}

static void put_nodes(struct message *graph, const char **text)
{
    do {
        struct message node = {.len = 0};
        put_names(&node, 0x0a, text);
        assert_true(take_sign(text, '>'));
        put_names(&node, 0x12, text);
        while (take_sign(text, '{')) {
            struct message body = {.len = 0};
            struct message attribute = {.len = 0};
            if (!take_sign(text, '|')) {
                put_nodes(&body, text);
                assert_true(take_sign(text, '|'));
            }
            put_outputs(&body, text);
            assert_true(take_sign(text, '}'));
            put(&attribute, 0x32, body.bytes, body.len);
            put(&node, 0x2a, attribute.bytes, attribute.len);
        }
        put(graph, 0x0a, node.bytes, node.len);
    } while (take_sign(text, ';'));
}

/* `text` is nodes and "| outputs of the model". */
static void make_model(const char *text, struct message *model)
{
    struct message graph = {.len = 0};
    put_nodes(&graph, &text);
    assert_true(take_sign(&text, '|'));
    put_outputs(&graph, &text);
    assert_int_equal(*text, '\0');
    *model = (struct message){.len = 0};
    put(model, 0x12, "producer", 8);
    put(model, 0x3a, graph.bytes, graph.len);
    put(model, 0x42, "", 0);
}

/* The body of a message's only field `number`. */
static struct slice find(struct slice message, uint64_t number)
{
    struct onnx_field field;
    struct slice body = {NULL, 0};
    while (message.len > 0) {
        assert_true(onnx_field_next(&message, &field));
        if (onnx_field_is_bytes(&field, number)) {
            assert_null(body.ptr);
            body = field.body;
        }
    }
    assert_non_null(body.ptr);
    return body;
}

static void describe_node(struct slice node, char *text, size_t *len)
{
    struct onnx_field field;
    while (node.len > 0) {
        assert_true(onnx_field_next(&node, &field));
        if (onnx_field_is_bytes(&field, 2)) {
            *len += (size_t)snprintf(text + *len, TEXT_MAX - *len, "%.*s ", SLICE_FMT(field.body));
        }
    }
}

/* "a b | y": what the nodes make, and the outputs. */
static void describe(struct slice model, char *text)
{
    struct onnx_field field;
    struct slice graph = find(model, 7);
    char outputs[TEXT_MAX] = "|";
    size_t len = 0;
    size_t outputs_len = 1;
    while (graph.len > 0) {
        assert_true(onnx_field_next(&graph, &field));
        if (field.number == 1) {
            describe_node(field.body, text, &len);
        } else if (field.number == 12) {
            struct slice name = find(field.body, 1);
            outputs_len += (size_t)snprintf(outputs + outputs_len, TEXT_MAX - outputs_len, " %.*s",
                                            SLICE_FMT(name));
        }
    }
    snprintf(text + len, TEXT_MAX - len, "%s", outputs);
}

static size_t split_names(const char *text, struct slice *names)
{
    size_t count = 0;
    while (at_word(&text)) {
        names[count++] = take_word(&text);
    }
    return count;
}

static int prune(struct slice model, const char *wanted, struct bytes *pruned, struct error *error)
{
    struct slice names[8];
    size_t count = split_names(wanted, names);
    bytes_init(pruned, onnx_prune_max_bytes(model.len));
    return onnx_prune(model, names, count, pruned, error);
}

static void keeps_what_is_needed(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        const char *wanted;
        const char *expected; /* "": all nodes are needed */
    } cases[] = {
        {"x > a; a > y; x > z | y z", "y", "a y | y"},
        {"x > a; a > y; x > z | y z", "z", "z | z"},
        {"x > a; a > y; x > z | y z", "y z", ""},
        {"x > a; a > y; x > z | y z", "z y z", ""},
        {"x > y | y", "y", ""},
        /* nodes in any order */
        {"a > y; x > z; x > a | y z", "y", "y a | y"},
        /* scikit-learn's classifiers */
        {"x > label p; label > y; p > q; q > z | y z", "y", "label p y | y"},
        /* what a node that stays makes remains an output */
        {"x > y z; z > w | y z w", "y", "y z | y z"},
        {"x > a; a > b; b > y; b > z | a y z", "y", "a b y | a y b"},
        /* a value that lost a reader becomes an output where another still reads it */
        {"x > a; a > y; a > z | y z", "y", "a y | y a"},
        {"x > a; a > y; a > b; b > z | y z", "z", "a b z | z a"},
        /* inputs and weights have no maker */
        {"x w > y; x w > z | y z x", "x", "| x"},
        {"x w > y; x w > z | y z x", "y x", "y | y x"},
        /* optional inputs and outputs */
        {"x _ w > _ y; x _ > z _; _ > _ v | y z v", "y", " y | y"},
        {"x > a; _ > y; a > z | y z", "y", "y | y"},
        /* bodies read the graph around them, also as their outputs, however deep */
        {"x > a; x > b; c > y {a > t | t} {| b}; x > c; x > z | y z", "y", "a b y c | y"},
        {"x > a; c > y {u > t {a > s | s} | t}; x > z | y z", "y", "a y | y"},
        {"x > a; x > b; c > y {a > t | t} {| b}; a > z | y z", "z", "a z | z a"},
        {"c > y {x > t | t}; x > t; t > z | y z", "z", "t z | z t"}, /* one name in both */
        {"c > y {x > a | a}; x > z | y z", "z", "z | z"},
        /* nodes that make nothing are there for what else they do */
        {"x > a; a >; x > b; b > _; x > y; x > z | y z", "y", "a b  y | y"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message model;
        struct bytes pruned;
        struct error error;
        char text[TEXT_MAX] = "";
        make_model(cases[i].model, &model);
        if (prune(slice_make(model.bytes, model.len), cases[i].wanted, &pruned, &error) != ERR_OK) {
            fail_msg("%s: %s", cases[i].model, error.text);
        }
        if (bytes_len(&pruned) > 0) {
            describe(bytes_slice(&pruned), text);
            assert_true(slice_eq(find(bytes_slice(&pruned), 2), SLICE("producer")));
        }
        assert_string_equal(text, cases[i].expected);
        bytes_done(&pruned);
    }
}

static void leaves_alone_what_it_does_not_understand(void **state)
{
    (void)state;
    static const struct {
        struct slice model;
        const char *expected;
    } cases[] = {
        {SLICE(""), "it has no graph"},
        {SLICE("\x3a\x00"), "its outputs are not those wanted"},
        {SLICE("\x3a\x00\x3a\x00"), "it has two graphs"},
        {SLICE("\x3a\x05"), "it is malformed"},
        {SLICE("\x3a\x02\x0a\x05"), "it is malformed"},         /* a node past its graph */
        {SLICE("\x3a\x04\x0a\x02\x0a\x05"), "it is malformed"}, /* a name past its node */
        {SLICE("\x3a\x02\x00\x00"), "it is malformed"},         /* field 0 */
        {SLICE("\x3a\x01\x0b"), "it is malformed"},             /* a group */
        {SLICE("\x3a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "it is malformed"},
        {SLICE("\x3a\x00\xa2\x01\x00"), "it holds a training"},
        /* initializer, sparse initializer, tensor of a node, of a node in a function */
        {SLICE("\x3a\x04\x2a\x02\x70\x01"), "it has weights in files of their own"},
        {SLICE("\x3a\x04\x2a\x02\x6a\x00"), "it has weights in files of their own"},
        {SLICE("\x3a\x06\x7a\x04\x0a\x02\x70\x01"), "it has weights in files of their own"},
        {SLICE("\x3a\x08\x0a\x06\x2a\x04\x2a\x02\x70\x01"), "it has weights in files of their own"},
        {SLICE("\xca\x01\x08\x3a\x06\x2a\x04\x2a\x02\x70\x01\x3a\x00"),
         "it has weights in files of their own"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes pruned;
        struct error error;
        assert_int_equal(prune(cases[i].model, "y", &pruned, &error), ERR_CONFIG);
        assert_string_equal(error.text, cases[i].expected);
        assert_int_equal(bytes_len(&pruned), 0);
        bytes_done(&pruned);
    }
}

static void refuses_graphs_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        const char *wanted;
        const char *expected;
    } cases[] = {
        {"x > y; a > y; x > z | y z", "z", "two nodes make the same value"},
        {"x > y; x > z | y z", "w", "its outputs are not those wanted"},
        {"x > y; y > z | y", "z", "its outputs are not those wanted"},
        {"x > y; x > z | y y z", "y", "its outputs are not those wanted"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message model;
        struct bytes pruned;
        struct error error;
        make_model(cases[i].model, &model);
        assert_int_equal(
            prune(slice_make(model.bytes, model.len), cases[i].wanted, &pruned, &error),
            ERR_CONFIG);
        assert_string_equal(error.text, cases[i].expected);
        bytes_done(&pruned);
    }
}

static void bounds_the_depth_of_subgraphs(void **state)
{
    (void)state;
    for (unsigned depth = ONNX_PRUNE_MAX_DEPTH; depth <= ONNX_PRUNE_MAX_DEPTH + 1; depth++) {
        struct message model;
        struct bytes pruned;
        struct error error;
        char text[TEXT_MAX];
        size_t len = 0;
        for (unsigned i = 0; i < depth; i++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "x > y {");
        }
        len += (size_t)snprintf(text + len, sizeof(text) - len, "a > t");
        for (unsigned i = 0; i < depth; i++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, " | t}");
        }
        snprintf(text + len, sizeof(text) - len, "; x > a; x > z | y z");
        make_model(text, &model);
        int status = prune(slice_make(model.bytes, model.len), "y", &pruned, &error);
        assert_int_equal(status, depth <= ONNX_PRUNE_MAX_DEPTH ? ERR_OK : ERR_CONFIG);
        if (status == ERR_OK) {
            describe(bytes_slice(&pruned), text);
            assert_string_equal(text, "y a | y");
        }
        bytes_done(&pruned);
    }
}

/* Every allocation fails once: nothing is put, nothing leaks, what stood there stays. */
static void survives_without_memory(void **state)
{
    (void)state;
    struct message model;
    make_model("x > a; a > y; a > z | y z", &model);
    const struct slice wanted = SLICE("y");
    int status = ERR_NO_MEMORY;
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        struct bytes pruned;
        struct error error;
        bytes_init(&pruned, MODEL_MAX);
        assert_int_equal(bytes_put(&pruned, SLICE("before")), ERR_OK);
        mem_fail_nth(nth);
        status = onnx_prune(slice_make(model.bytes, model.len), &wanted, 1, &pruned, &error);
        mem_fail_nth(0);
        if (status != ERR_OK) {
            assert_int_equal(status, ERR_NO_MEMORY);
            assert_true(slice_eq(bytes_slice(&pruned), SLICE("before")));
        } else {
            assert_true(nth > 4 && bytes_len(&pruned) > 6);
        }
        bytes_done(&pruned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_needed),
        cmocka_unit_test(leaves_alone_what_it_does_not_understand),
        cmocka_unit_test(refuses_graphs_that_cannot_be),
        cmocka_unit_test(bounds_the_depth_of_subgraphs),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
