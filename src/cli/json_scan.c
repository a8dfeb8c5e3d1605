#include "cli/json_scan.h"

#include <limits.h>

void json_scan_init(struct json_scan *scan, struct slice key,
                    bool (*is_record)(const void *user, unsigned depth), const void *user)
{
    *scan = (struct json_scan){.key = key, .is_record = is_record, .user = user};
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void begin_string(struct json_scan *scan)
{
    scan->in_string = true;
    scan->in_key = scan->at_key && scan->depth == 1;
    scan->at_key = false;
    scan->key_escapes = false;
    scan->key_differs = false;
    scan->key_len = 0;
}

static void compare_key(struct json_scan *scan, char byte)
{
    if (scan->key_len < scan->key.len && scan->key.ptr[scan->key_len] == byte) {
        scan->key_len++;
    } else {
        scan->key_differs = true;
    }
}

/* Behind a key of the object. */
static enum json_scan_event end_key(struct json_scan *scan)
{
    bool same = !scan->key_differs && scan->key_len == scan->key.len;
    scan->in_key = false;
    if (!same && !scan->key_escapes) {
        return JSON_SCAN_MORE;
    }
    if (scan->place == JSON_SCAN_TAIL) {
        return JSON_SCAN_REPEATED;
    }
    scan->place = JSON_SCAN_FOUND;
    return scan->key_escapes ? JSON_SCAN_WHOLE : JSON_SCAN_MORE;
}

static enum json_scan_event step_string(struct json_scan *scan, char byte)
{
    if (scan->escaped) {
        scan->escaped = false;
    } else if (byte == '\\') {
        scan->escaped = true;
        scan->key_escapes = true;
    } else if (byte == '"') {
        scan->in_string = false;
        return scan->in_key ? end_key(scan) : JSON_SCAN_MORE;
    } else if (scan->in_key) {
        compare_key(scan, byte);
    }
    return JSON_SCAN_MORE;
}

static enum json_scan_event enter_array(struct json_scan *scan)
{
    scan->depth++;
    scan->base = scan->depth;
    scan->place = JSON_SCAN_FIRST;
    return JSON_SCAN_MORE;
}

static enum json_scan_event step_start(struct json_scan *scan, char byte)
{
    if (is_space(byte)) {
        return JSON_SCAN_MORE;
    }
    if (byte == '[') {
        return enter_array(scan);
    }
    if (byte != '{') {
        return JSON_SCAN_WHOLE;
    }
    scan->depth = 1;
    scan->at_key = true;
    scan->place = JSON_SCAN_OBJECT;
    return JSON_SCAN_MORE;
}

/* Between the key and its value. */
static enum json_scan_event step_found(struct json_scan *scan, char byte)
{
    if (is_space(byte) || byte == ':') {
        return JSON_SCAN_MORE;
    }
    return byte == '[' ? enter_array(scan) : JSON_SCAN_WHOLE;
}

/* Quotes, brackets and braces; closing what was never opened changes nothing. */
static void follow(struct json_scan *scan, char byte)
{
    if (byte == '"') {
        begin_string(scan);
    } else if (byte == '[' || byte == '{') {
        scan->depth++;
    } else if ((byte == ']' || byte == '}') && scan->depth > 0) {
        scan->depth--;
    }
}

/* In the object, around the array. */
static enum json_scan_event step_object(struct json_scan *scan, char byte)
{
    follow(scan, byte);
    scan->at_key |= byte == ',' && scan->depth == 1;
    if (scan->depth == 0) {
        bool whole = scan->place == JSON_SCAN_OBJECT;
        scan->place = JSON_SCAN_END;
        return whole ? JSON_SCAN_WHOLE : JSON_SCAN_MORE;
    }
    return JSON_SCAN_MORE;
}

static enum json_scan_event step_rows(struct json_scan *scan, char byte)
{
    if (byte == ',' && scan->depth == scan->base) {
        return JSON_SCAN_RECORD;
    }
    follow(scan, byte);
    if (scan->depth < scan->base) {
        scan->place = json_scan_in_object(scan) ? JSON_SCAN_TAIL : JSON_SCAN_END;
    }
    return JSON_SCAN_MORE;
}

/* How deep the first element is nested says whether the array is one record. */
static enum json_scan_event step_first(struct json_scan *scan, char byte)
{
    if (is_space(byte)) {
        return JSON_SCAN_MORE;
    }
    if (byte == '[') {
        scan->depth++;
        return JSON_SCAN_MORE;
    }
    size_t levels = scan->depth - scan->base + 1;
    bool object = byte == '{' && levels == 1;
    if (byte == ']' ||
        (!object && scan->is_record(scan->user, levels > UINT_MAX ? UINT_MAX : (unsigned)levels))) {
        return JSON_SCAN_WHOLE;
    }
    scan->place = JSON_SCAN_ROWS;
    return step_rows(scan, byte);
}

static enum json_scan_event step(struct json_scan *scan, char byte)
{
    if (scan->in_string) {
        return step_string(scan, byte);
    }
    switch (scan->place) {
    case JSON_SCAN_START:
        return step_start(scan, byte);
    case JSON_SCAN_FOUND:
        return step_found(scan, byte);
    case JSON_SCAN_FIRST:
        return step_first(scan, byte);
    case JSON_SCAN_ROWS:
        return step_rows(scan, byte);
    case JSON_SCAN_OBJECT:
    case JSON_SCAN_TAIL:
        return step_object(scan, byte);
    case JSON_SCAN_END:
        break;
    }
    return JSON_SCAN_MORE;
}

/* Digits, points and signs mean nothing here, and most bytes of a matrix are such. */
static size_t pass_number(struct slice text, size_t at)
{
    while (at < text.len && text.ptr[at] >= '-' && text.ptr[at] <= '9') {
        at++;
    }
    return at;
}

size_t json_scan_next(struct json_scan *scan, struct slice text, enum json_scan_event *ret_event)
{
    enum json_scan_event event = JSON_SCAN_MORE;
    size_t at = 0;
    while (at < text.len && event == JSON_SCAN_MORE) {
        if (scan->place == JSON_SCAN_ROWS && !scan->in_string) {
            at = pass_number(text, at);
            if (at == text.len) {
                break;
            }
        }
        event = step(scan, text.ptr[at++]);
    }
    *ret_event = event;
    return at;
}
