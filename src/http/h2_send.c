/*
 * Responses of HTTP/2: checks them, makes nghttp2's fields of them and queues them. nghttp2 copies
 * names (in lower case) and values.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include "http/h1_guard.h"
#include "http/h2_state.h"

/* :status, date and content-length. */
#define OWN_FIELDS 3

/* Fields on their way to nghttp2. */
struct fields {
    nghttp2_nv list[OWN_FIELDS + H2_MAX_RESPONSE_FIELDS];
    size_t count;
    char *clean; /* copies of values that had control characters; owned */
};

/* nghttp2 does not write through these pointers, but its type does not say so. */
static uint8_t *unconst(const char *text)
{
    union {
        const char *from;
        uint8_t *to;
    } pointer = {text};
    return pointer.to;
}

static void add(struct fields *fields, struct slice name, struct slice value)
{
    fields->list[fields->count++] = (nghttp2_nv){
        .name = unconst(name.ptr),
        .value = unconst(value.ptr),
        .namelen = name.len,
        .valuelen = value.len,
        .flags = NGHTTP2_NV_FLAG_NONE,
    };
}

/* A connection's own (RFC 9113 section 8.2.2), or written by the engine. */
static bool is_reserved(struct slice name)
{
    static const struct slice names[] = {{"connection", 10}, {"content-length", 14},   {"date", 4},
                                         {"keep-alive", 10}, {"proxy-connection", 16}, {"te", 2},
                                         {"upgrade", 7},     {"transfer-encoding", 17}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name.len == names[i].len && slice_eq_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool is_control(char byte)
{
    return ((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f;
}

static bool is_clean(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (is_control(value.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* Bytes of the values that have to be copied to be cleaned. */
static size_t unclean_bytes(const struct http_field *list, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += is_clean(list[i].value) ? 0 : list[i].value.len;
    }
    return bytes;
}

static struct slice clean(struct slice value, char *at)
{
    for (size_t i = 0; i < value.len; i++) {
        at[i] = is_control(value.ptr[i]) ? ' ' : value.ptr[i];
    }
    return slice_make(at, value.len);
}

/* No two of its values are alike: in the table of HPACK they would only drive out what repeats. */
static bool is_unique(struct slice name)
{
    return slice_eq_nocase(name, SLICE("X-Request-Id")) || slice_eq(name, SLICE("x-trace-id")) ||
           slice_eq(name, SLICE("x-span-id"));
}

/* Values lose the white space at their ends, which RFC 9113 section 8.2.1 forbids. */
static int add_all(struct fields *fields, const struct http_field *list, size_t count)
{
    CHECK(count <= H2_MAX_RESPONSE_FIELDS);
    size_t bytes = unclean_bytes(list, count);
    if (bytes > 0) {
        fields->clean = mem_alloc(bytes);
        if (fields->clean == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice value = list[i].value;
        CHECK(h1_guard_is_token(list[i].name) && !is_reserved(list[i].name));
        if (!is_clean(value)) {
            CHECK(fields->clean != NULL);
            value = clean(value, fields->clean + used);
            used += value.len;
        }
        value = slice_trim(value);
        add(fields, list[i].name, value.len == 0 ? SLICE("") : value);
        if (is_unique(list[i].name)) {
            fields->list[fields->count - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
        }
    }
    return ERR_OK;
}

static bool has_body(const struct h2_stream *stream, const struct http_response *response,
                     const struct h2_body *body)
{
    return body != NULL && response->status != 204 && response->status != 304 &&
           !slice_eq(stream->head.request.method, SLICE("HEAD"));
}

static bool has_length(const struct http_response *response)
{
    return response->status != 204 && response->status != 304 &&
           response->content_length != HTTP_LENGTH_UNKNOWN;
}

static int submit(struct h2 *h2, struct h2_stream *stream, const struct fields *fields,
                  const struct h2_body *body)
{
    nghttp2_data_provider provider = h2_write_provider(stream);
    if (body != NULL) {
        stream->body = *body;
    }
    return nghttp2_submit_response(h2->session, stream->id, fields->list, fields->count,
                                   body == NULL ? NULL : &provider) == 0
               ? ERR_OK
               : ERR_NO_MEMORY;
}

int h2_respond(struct h2 *h2, int32_t stream_id, const struct http_response *response,
               struct slice date, const struct h2_body *body)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    CHECK(response->status >= 200 && response->status <= 999);
    if (h2->is_lost) {
        return ERR_NO_MEMORY;
    }
    struct h2_stream *stream = h2_find_stream(h2, stream_id);
    CHECK(stream != NULL && !stream->is_answered);
    struct fields fields = {.count = 0};
    char status[] = {(char)('0' + response->status / 100), (char)('0' + response->status / 10 % 10),
                     (char)('0' + response->status % 10)};
    char length[24];
    add(&fields, SLICE(":status"), slice_make(status, sizeof(status)));
    if (date.len > 0) {
        CHECK(is_clean(date));
        add(&fields, SLICE("date"), date);
    }
    if (has_length(response)) {
        size_t digits = num_print_u64(response->content_length, length);
        add(&fields, SLICE("content-length"), slice_make(length, digits));
    }
    int result = add_all(&fields, response->fields, response->field_count);
    if (result == ERR_OK) {
        result = submit(h2, stream, &fields, has_body(stream, response, body) ? body : NULL);
    }
    mem_free(fields.clean);
    stream->is_answered = result == ERR_OK;
    return result;
}

int h2_send_trailers(struct h2 *h2, struct h2_stream *stream, const struct h2_piece *last)
{
    struct fields fields = {.count = 0};
    int result = add_all(&fields, last->trailers, last->trailer_count);
    if (result == ERR_OK &&
        nghttp2_submit_trailer(h2->session, stream->id, fields.list, fields.count) != 0) {
        result = ERR_NO_MEMORY;
    }
    mem_free(fields.clean);
    return result;
}

int h2_put_continue(struct h2 *h2, int32_t stream_id)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    if (h2->is_lost) {
        return ERR_NO_MEMORY;
    }
    struct h2_stream *stream = h2_find_stream(h2, stream_id);
    CHECK(stream != NULL && !stream->is_answered);
    struct fields fields = {.count = 0};
    add(&fields, SLICE(":status"), SLICE("100"));
    return nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, stream_id, NULL, fields.list,
                                  fields.count, NULL) == 0
               ? ERR_OK
               : ERR_NO_MEMORY;
}

void h2_resume(struct h2 *h2, int32_t stream_id)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    if (!h2->is_lost && nghttp2_session_resume_data(h2->session, stream_id) == NGHTTP2_ERR_NOMEM) {
        h2_lose(h2);
    }
}

bool h2_is_starved(const struct h2 *h2, int32_t stream_id)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    return h2_find_stream(h2, stream_id) != NULL &&
           nghttp2_session_get_remote_window_size(h2->session) > 0 &&
           nghttp2_session_get_stream_remote_window_size(h2->session, stream_id) <= 0;
}

void h2_reset(struct h2 *h2, int32_t stream_id, uint32_t code)
{
    CHECK_MAGIC(h2, H2_MAGIC);
    struct h2_stream *stream = h2_find_stream(h2, stream_id);
    if (stream != NULL) {
        stream->is_paid = true;
        h2_end_stream(h2, stream, code);
    }
}
