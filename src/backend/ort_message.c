/*
 * Cleans the runtime's error texts. Three things are cut: wrappers ("Load model from P failed:"),
 * source locations ("/a/b.cc:12 void ns::f(int) cond was false. ") and everything past the first
 * line and its details. What is not recognised stays as it is: a strange text is better than none.
 */
#include "backend/ort_message.h"

#include <string.h>

/* What is read of a message: a client's text in it may be as long as a request. */
#define MESSAGE_MAX_BYTES 8192

struct text {
    char *at;
    size_t size; /* room, the final NUL included */
    size_t len;
};

static void put(struct text *text, struct slice more)
{
    more = slice_head(more, text->size - 1 - text->len);
    if (more.len > 0) {
        memcpy(text->at + text->len, more.ptr, more.len);
        text->len += more.len;
    }
}

/* Position of `needle`, or len. */
static size_t find_text(struct slice s, struct slice needle)
{
    const char *at = s.len == 0 ? NULL : memmem(s.ptr, s.len, needle.ptr, needle.len);
    return at == NULL ? s.len : (size_t)(at - s.ptr);
}

static bool skip_prefix(struct slice *s, struct slice prefix)
{
    if (!slice_starts_with(*s, prefix)) {
        return false;
    }
    *s = slice_tail(*s, prefix.len);
    return true;
}

/* Moves *s behind `needle`; false where it does not occur. */
static bool skip_past(struct slice *s, struct slice needle)
{
    size_t at = find_text(*s, needle);
    if (at == s->len) {
        return false;
    }
    *s = slice_tail(*s, at + needle.len);
    return true;
}

/* "Non-zero status code returned while running Gather node. Name:'g' Status Message: " -> "Gather: " */
static bool skip_node(struct slice *s, struct text *text)
{
    struct slice rest = *s;
    if (!skip_prefix(&rest, SLICE("Non-zero status code returned while running "))) {
        return false;
    }
    struct slice operator_name = slice_head(rest, find_text(rest, SLICE(" node. Name:'")));
    if (!skip_past(&rest, SLICE(" node. Name:'")) || !skip_past(&rest, SLICE("Status Message: "))) {
        return false;
    }
    put(text, operator_name);
    put(text, SLICE(": "));
    *s = rest;
    return true;
}

/* Texts around a cause that say nothing a caller does not know. */
static bool skip_wrapper(struct slice *s)
{
    struct slice rest = *s;
    if (skip_prefix(&rest, SLICE("Load model from ")) && skip_past(&rest, SLICE(" failed:"))) {
        *s = rest;
        return true;
    }
    rest = *s;
    if (skip_prefix(&rest, SLICE("[ONNXRuntimeError] : ")) && skip_past(&rest, SLICE(" : ")) &&
        skip_past(&rest, SLICE(" : "))) {
        *s = rest;
        return true;
    }
    return skip_prefix(s, SLICE("Exception during initialization: ")) ||
           skip_prefix(s, SLICE("Exception during loading: ")) ||
           skip_prefix(s, SLICE("Fatal error: ")) ||
           skip_prefix(s, SLICE("ONNX Runtime only *guarantees* support for models stamped with "
                                "official released onnx opset versions. "));
}

/* "core/graph/model.cc:256 ", at the start of *s: its length, 0 where there is none. */
static size_t location_len(struct slice s)
{
    static const char *const extensions[] = {".cc:", ".cpp:", ".h:", ".hpp:", ".cu:", ".cuh:"};
    struct slice word = slice_head(s, slice_find(s, ' '));
    size_t digits = 0;
    while (digits < word.len && word.ptr[word.len - 1 - digits] >= '0' &&
           word.ptr[word.len - 1 - digits] <= '9') {
        digits++;
    }
    if (digits == 0 || word.len == s.len) {
        return 0;
    }
    struct slice file = slice_head(word, word.len - digits);
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        if (slice_ends_with_nocase(file, slice_from_str(extensions[i]))) {
            return word.len + 1;
        }
    }
    return 0;
}

/*
 * Length of a C++ function signature as the compiler prints it: up to the first blank outside all
 * brackets after a parameter list. 0 where none is found.
 */
static size_t signature_len(struct slice s)
{
    int round = 0;
    int angle = 0;
    bool had_parameters = false;
    for (size_t i = 0; i < s.len; i++) {
        char byte = s.ptr[i];
        round += (byte == '(') - (byte == ')');
        angle += (byte == '<') - (byte == '>' && i > 0 && s.ptr[i - 1] != '-');
        had_parameters = had_parameters || (byte == ')' && angle <= 0);
        if (byte == ' ' && had_parameters && round <= 0 && angle <= 0) {
            return i + 1;
        }
    }
    return 0;
}

static void skip_pretty_function(struct slice *s)
{
    *s = slice_tail(*s, signature_len(*s));
    (void)skip_prefix(s, SLICE("const "));
    if (slice_starts_with(*s, SLICE("[with "))) {
        (void)skip_past(s, SLICE("] "));
    }
}

/* "a == b was false. why": the why, where there is one. */
static void skip_condition(struct slice *s)
{
    struct slice rest = *s;
    if (skip_past(&rest, SLICE(" was false. ")) && rest.len > 0) {
        *s = rest;
    }
}

/*
 * A location with a directory comes from an exception and is followed by the whole signature; one
 * without comes from a status and is followed by the bare name of the function.
 */
static bool skip_location(struct slice *s)
{
    size_t len = location_len(*s);
    if (len == 0) {
        return false;
    }
    bool pretty = memchr(s->ptr, '/', len) != NULL;
    *s = slice_tail(*s, len);
    if (pretty) {
        skip_pretty_function(s);
    } else {
        size_t name = slice_find(*s, ' ');
        *s = slice_tail(*s, name < s->len ? name + 1 : 0);
    }
    skip_condition(s);
    return true;
}

/* One line: wrappers are recognised at its start and behind each other, locations before any word. */
static void put_line(struct text *text, struct slice line)
{
    while (line.len > 0) {
        if (skip_wrapper(&line) || skip_node(&line, text) || skip_location(&line)) {
            continue;
        }
        size_t word = slice_find(line, ' ');
        word = word < line.len ? word + 1 : line.len;
        put(text, slice_head(line, word));
        line = slice_tail(line, word);
    }
}

static struct slice without_advice(struct slice line)
{
    return slice_head(line, find_text(line, SLICE(" Please fix ")));
}

static void cut_end(struct text *text)
{
    while (text->len > 0 && (text->at[text->len - 1] == ' ' || text->at[text->len - 1] == '.' ||
                             text->at[text->len - 1] == '\r')) {
        text->len--;
    }
    text->at[text->len] = '\0';
}

size_t ort_message_clean(struct slice message, char *text, size_t size)
{
    struct text out = {.at = text, .size = size};
    struct slice rest = slice_head(message, MESSAGE_MAX_BYTES);
    struct slice line = slice_cut(&rest, '\n');
    put_line(&out, without_advice(line));
    while (
        slice_starts_with(rest, SLICE(" "))) { /* an indented line belongs to the one before it */
        put(&out, without_advice(slice_cut(&rest, '\n')));
    }
    cut_end(&out);
    if (out.len == 0) {
        put(&out, SLICE("the runtime gave no reason"));
        cut_end(&out);
    }
    return out.len;
}

bool ort_message_blames_machine(struct slice message)
{
    static const char *const signs[] = {
        "llocate memory", "bad_alloc",      "ut of memory", "CUDA failure",
        "CUDNN failure",  "CUBLAS failure", "CUDA error",
    };
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (find_text(message, slice_from_str(signs[i])) < message.len) {
            return true;
        }
    }
    return false;
}
