/*
 * The HTTP/1.1 request engine: gathers whole lines, has h1_guard judge them and llhttp take them
 * apart, and passes bodies through without keeping them. llhttp reports some mistakes differently
 * when its input is split inside a line; it never sees one here, and that is what makes the events
 * independent of how the bytes arrive. Response heads are h1_head's.
 */
#include "http/h1.h"

#include <llhttp.h>

#include "base/check.h"
#include "base/mem.h"
#include "http/h1_guard.h"
#include "http/h1_head.h"
#include "http/h1_line.h"

#define H1_MAGIC 0x68310001u
/* Method, two spaces, version and CRLF come on top of the target. */
#define MAX_REQUEST_LINE_BYTES (H1_MAX_TARGET_BYTES + 64)
/* RFC 9112 section 2.2: at least one empty line before a request line is to be ignored. */
#define MAX_EMPTY_LINES 4
#define LINE_END_BYTES 2
#define TLS_HANDSHAKE 0x16 /* the first byte of a ClientHello (RFC 8446 section 5.1) */
#define FIRST_FIELD_CAPACITY 16

enum phase {
    PHASE_REQUEST_LINE,
    PHASE_FIELDS,
    PHASE_HEAD_END, /* while the whole head is judged */
    PHASE_BODY,     /* remaining_bytes of a Content-Length */
    PHASE_CHUNK_SIZE,
    PHASE_CHUNK_BODY, /* remaining_bytes of a chunk */
    PHASE_CHUNK_END,  /* the CRLF after it */
    PHASE_TRAILERS,
};

struct h1 {
    unsigned magic;
    llhttp_t parser;
    const struct h1_events *events;
    void *user;
    struct arena *arena;
    struct error *error; /* of the running h1_feed */
    enum phase phase;
    enum h1_result outcome; /* H1_MORE until the request is over, one way or another */
    int error_status;
    struct h1_line line;
    unsigned empty_lines;
    size_t lines_done; /* header lines, chunks or trailer lines before this one */
    size_t head_bytes;
    size_t trailer_bytes; /* chunk extensions and trailers */
    uint64_t remaining_bytes;
    struct http_request *request;
    size_t field_capacity;
    struct http_field field; /* of the line that llhttp is reading */
    struct h1_facts facts;
};

/* Ends the request with `status`; the caller has filled *h1->error. -1 is llhttp's to stop at. */
static int refuse(struct h1 *h1, int status)
{
    h1->outcome = H1_ERROR;
    h1->error_status = status;
    return -1;
}

static void refuse_memory(struct h1 *h1)
{
    error_set(h1->error, ERR_NO_MEMORY, "no memory to read it into");
    refuse(h1, error_http_status(ERR_NO_MEMORY));
}

static int stop(struct h1 *h1)
{
    h1->outcome = H1_STOPPED;
    return -1;
}

/*
 * Callbacks of llhttp. A line is whole and stays where it is, so that a name or value which llhttp
 * gave in several spans would still be one slice.
 */
static void join_span(struct slice *text, const char *at, size_t length)
{
    const char *start = text->len > 0 ? text->ptr : at;
    *text = slice_make(start, (size_t)(at - start) + length);
}

static int on_field_name(llhttp_t *parser, const char *at, size_t length)
{
    struct h1 *h1 = parser->data;
    join_span(&h1->field.name, at, length);
    return 0;
}

static int on_field_value(llhttp_t *parser, const char *at, size_t length)
{
    struct h1 *h1 = parser->data;
    join_span(&h1->field.value, at, length);
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct h1 *h1 = parser->data;
    h1->phase = PHASE_HEAD_END;
    int status = h1_guard_head(&h1->facts, h1->error);
    if (status != 0) {
        return refuse(h1, status);
    }
    if (h1->facts.has_length && parser->content_length == HTTP_LENGTH_UNKNOWN) {
        error_set(h1->error, ERR_INVALID, "Content-Length is 2^64 - 1");
        return refuse(h1, 400);
    }
    struct http_request *request = h1->request;
    h1->remaining_bytes = h1->facts.has_length ? parser->content_length : 0;
    request->content_length = h1->facts.chunked ? HTTP_LENGTH_UNKNOWN : h1->remaining_bytes;
    request->expect_continue = h1->facts.expects_continue && request->content_length > 0;
    h1->phase = h1->facts.chunked ? PHASE_CHUNK_SIZE : PHASE_BODY;
    h1->lines_done = 0;
    return h1->events->on_head(h1->user, request) == 0 ? 0 : stop(h1);
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct h1 *h1 = parser->data;
    return h1->events->on_body(h1->user, slice_make(at, length)) == 0 ? 0 : stop(h1);
}

static int on_chunk_header(llhttp_t *parser)
{
    struct h1 *h1 = parser->data;
    h1->remaining_bytes = parser->content_length;
    h1->phase = h1->remaining_bytes > 0 ? PHASE_CHUNK_BODY : PHASE_TRAILERS;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct h1 *h1 = parser->data;
    h1->outcome = H1_DONE;
    h1->events->on_end(h1->user);
    return 0;
}

static const llhttp_settings_t callbacks = {
    .on_header_field = on_field_name,
    .on_header_value = on_field_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

/*
 * Runs llhttp over a whole line or a piece of a body; true while the request goes on. Once a
 * callback has ended it, what llhttp returns does not matter: it pauses after a request with an
 * Upgrade field, which this server ignores (RFC 9110 section 7.8), and the next request starts with
 * a fresh parser.
 */
static bool execute(struct h1 *h1, struct slice bytes)
{
    enum llhttp_errno code = llhttp_execute(&h1->parser, bytes.ptr, bytes.len);
    if (h1->outcome == H1_MORE && code != HPE_OK) {
        const char *reason = llhttp_get_error_reason(&h1->parser);
        error_set(h1->error, ERR_INVALID, "%s",
                  reason == NULL || reason[0] == '\0' ? llhttp_errno_name(code) : reason);
        refuse(h1, 400);
    }
    return h1->outcome == H1_MORE;
}

/* How long the line now being read may become. */
static size_t line_limit(const struct h1 *h1)
{
    switch (h1->phase) {
    case PHASE_REQUEST_LINE:
        return MAX_REQUEST_LINE_BYTES;
    case PHASE_FIELDS:
        return H1_MAX_HEAD_BYTES - h1->head_bytes;
    case PHASE_CHUNK_SIZE:
        return H1_CHUNK_SIZE_DIGITS + LINE_END_BYTES + H1_MAX_TRAILER_BYTES - h1->trailer_bytes;
    case PHASE_TRAILERS:
        return LINE_END_BYTES + H1_MAX_TRAILER_BYTES - h1->trailer_bytes;
    default:
        return LINE_END_BYTES;
    }
}

static void refuse_long_line(struct h1 *h1)
{
    int status = 400;
    if (h1->phase == PHASE_REQUEST_LINE) {
        status = h1_guard_long_request_line(h1_line_slice(&h1->line), h1->error);
    } else if (h1->phase == PHASE_FIELDS) {
        status = 431;
        error_set(h1->error, ERR_INVALID, "the head is longer than %d bytes", H1_MAX_HEAD_BYTES);
    } else if (h1->phase == PHASE_CHUNK_END) {
        error_set(h1->error, ERR_INVALID, "the chunk is longer than its size says");
    } else {
        status = h1->phase == PHASE_TRAILERS ? 431 : 400;
        error_set(h1->error, ERR_INVALID, "chunk extensions and trailers take more than %d bytes",
                  H1_MAX_TRAILER_BYTES);
    }
    refuse(h1, status);
}

static void skip_empty_line(struct h1 *h1)
{
    if (++h1->empty_lines > MAX_EMPTY_LINES) {
        error_set(h1->error, ERR_INVALID, "more than %d empty lines before it", MAX_EMPTY_LINES);
        refuse(h1, 400);
    }
}

static bool start_request(struct h1 *h1, const struct h1_request_line *parts)
{
    h1->request = arena_zalloc(h1->arena, 1, sizeof(*h1->request));
    if (h1->request == NULL) {
        refuse_memory(h1);
        return false;
    }
    h1->request->method = parts->method;
    h1->request->target = parts->target;
    h1->request->path = parts->path;
    h1->request->query = parts->query;
    h1->facts = (struct h1_facts){.minor = parts->minor};
    return true;
}

/* After llhttp refused a request line whose version is known to be right. */
static bool is_unknown_method(const struct h1 *h1)
{
    enum llhttp_errno code = llhttp_get_errno(&h1->parser);
    return code == HPE_INVALID_METHOD || code == HPE_INVALID_CONSTANT;
}

static void read_request_line(struct h1 *h1, struct slice line)
{
    if (line.len == LINE_END_BYTES) {
        skip_empty_line(h1);
        return;
    }
    struct h1_request_line parts;
    int status = h1_guard_request_line(line, &parts, h1->error);
    if (status != 0) {
        refuse(h1, status);
    } else if (start_request(h1, &parts)) {
        if (execute(h1, line)) {
            h1->phase = PHASE_FIELDS;
        } else if (is_unknown_method(h1)) {
            error_set(h1->error, ERR_INVALID, "the method is not known");
            refuse(h1, 501);
        }
    }
}

static void push_field(struct h1 *h1)
{
    struct http_request *request = h1->request;
    if (request->field_count == h1->field_capacity) {
        size_t capacity = h1->field_capacity == 0 ? FIRST_FIELD_CAPACITY : h1->field_capacity * 2;
        struct http_field *fields =
            arena_realloc(h1->arena, request->fields, h1->field_capacity * sizeof(*fields),
                          capacity * sizeof(*fields));
        if (fields == NULL) {
            refuse_memory(h1);
            return;
        }
        request->fields = fields;
        h1->field_capacity = capacity;
    }
    request->fields[request->field_count++] = h1->field;
}

/* The empty line that ends the head is no field: on_headers_complete has judged it. */
static void read_field_line(struct h1 *h1, struct slice line)
{
    h1->field = (struct http_field){SLICE(""), SLICE("")};
    if (!execute(h1, line) || line.len == LINE_END_BYTES) {
        return;
    }
    if (h1->request->field_count == H1_MAX_FIELDS) {
        error_set(h1->error, ERR_INVALID, "there are more than %d fields", H1_MAX_FIELDS);
        refuse(h1, 431);
        return;
    }
    h1->field.value = slice_trim(h1->field.value);
    int status = h1_guard_field(&h1->facts, &h1->field, h1->error);
    if (status != 0) {
        refuse(h1, status);
        return;
    }
    push_field(h1);
    h1->lines_done++;
}

static void read_chunk_size(struct h1 *h1, struct slice line)
{
    h1->trailer_bytes += h1_guard_chunk_excess(line);
    if (h1->trailer_bytes > H1_MAX_TRAILER_BYTES) {
        refuse_long_line(h1);
    } else if (execute(h1, line)) {
        CHECK(h1->phase != PHASE_CHUNK_SIZE);
        h1->lines_done = h1->phase == PHASE_TRAILERS ? 0 : h1->lines_done + 1;
    }
}

static void read_chunk_end(struct h1 *h1, struct slice line)
{
    if (execute(h1, line)) {
        h1->phase = PHASE_CHUNK_SIZE;
    }
}

/* The empty line that ends them costs nothing. */
static void read_trailer_line(struct h1 *h1, struct slice line)
{
    h1->trailer_bytes += line.len > LINE_END_BYTES ? line.len : 0;
    if (h1->trailer_bytes > H1_MAX_TRAILER_BYTES) {
        refuse_long_line(h1);
    } else if (execute(h1, line)) {
        h1->lines_done++;
    }
}

static void read_line(struct h1 *h1, struct slice line)
{
    static void (*const readers[])(struct h1 *, struct slice) = {
        [PHASE_REQUEST_LINE] = read_request_line, [PHASE_FIELDS] = read_field_line,
        [PHASE_CHUNK_SIZE] = read_chunk_size,     [PHASE_CHUNK_END] = read_chunk_end,
        [PHASE_TRAILERS] = read_trailer_line,
    };
    if (h1_guard_line_end(line)) {
        readers[h1->phase](h1, line);
    } else {
        error_set(h1->error, ERR_INVALID, "a CR or LF that is not part of one CRLF");
        refuse(h1, 400);
    }
}

static bool is_kept(const struct h1 *h1, struct slice line)
{
    return h1->phase <= PHASE_FIELDS && line.len > LINE_END_BYTES;
}

/* A line is complete with `piece`. Only what is kept, or came in pieces, is copied. */
static void end_line(struct h1 *h1, struct slice piece)
{
    struct slice line = piece;
    if (h1->line.len > 0 || is_kept(h1, piece)) {
        if (h1_line_append(&h1->line, h1->arena, piece, true) != ERR_OK) {
            refuse_memory(h1);
            return;
        }
        line = h1_line_slice(&h1->line);
    }
    if (is_kept(h1, line)) {
        line = h1_line_take(&h1->line, h1->arena);
        h1->head_bytes += line.len;
    }
    h1_line_clear(&h1->line);
    read_line(h1, line);
}

/* A request line begins with a token, an empty one with CR. A line's end has a judge of its own. */
static bool may_start_line(const struct h1 *h1, char first)
{
    return h1->phase != PHASE_REQUEST_LINE || h1->line.len > 0 || first == '\r' || first == '\n' ||
           h1_guard_is_token(slice_make(&first, 1));
}

/* Who speaks another protocol may wait for us before it sends anything that ends a line. */
static void refuse_first_byte(struct h1 *h1, char first)
{
    error_set(h1->error, ERR_INVALID,
              first == TLS_HANDSHAKE ? "this looks like TLS, which is not spoken on this port"
                                     : "the method is not a token");
    refuse(h1, 400);
}

/* Takes the bytes of `input` that belong to the current line; returns how many. */
static size_t take_line(struct h1 *h1, struct slice input)
{
    if (!may_start_line(h1, input.ptr[0])) {
        refuse_first_byte(h1, input.ptr[0]);
        return 1;
    }
    struct slice window = slice_head(input, line_limit(h1) - h1->line.len);
    size_t end = slice_find(window, '\n');
    if (end < window.len) {
        end_line(h1, slice_head(window, end + 1));
        return end + 1;
    }
    if (h1_line_append(&h1->line, h1->arena, window, false) != ERR_OK) {
        refuse_memory(h1);
    } else if (h1->line.len == line_limit(h1)) {
        refuse_long_line(h1);
    }
    return window.len;
}

static size_t take_body(struct h1 *h1, struct slice input)
{
    size_t used = input.len < h1->remaining_bytes ? input.len : (size_t)h1->remaining_bytes;
    h1->remaining_bytes -= used;
    if (execute(h1, slice_head(input, used)) && h1->remaining_bytes == 0) {
        CHECK(h1->phase == PHASE_CHUNK_BODY);
        h1->phase = PHASE_CHUNK_END;
    }
    return used;
}

/* Puts the place of a mistake before its text. */
static void name_place(struct h1 *h1)
{
    static const char *const places[] = {
        [PHASE_REQUEST_LINE] = "request line", [PHASE_FIELDS] = "header line",
        [PHASE_HEAD_END] = "request head",     [PHASE_CHUNK_SIZE] = "size of chunk",
        [PHASE_CHUNK_END] = "end of chunk",    [PHASE_TRAILERS] = "trailer line",
    };
    if (h1->phase == PHASE_REQUEST_LINE || h1->phase == PHASE_HEAD_END) {
        error_prefix(h1->error, "%s", places[h1->phase]);
    } else {
        /* The chunk whose end is wrong has been counted already. */
        size_t number = h1->phase == PHASE_CHUNK_END ? h1->lines_done : h1->lines_done + 1;
        error_prefix(h1->error, "%s %zu", places[h1->phase], number);
    }
}

struct h1 *h1_new(const struct h1_events *events, void *user)
{
    struct h1 *h1 = mem_zalloc(1, sizeof(*h1));
    if (h1 != NULL) {
        h1->magic = H1_MAGIC;
        h1->events = events;
        h1->user = user;
        h1->outcome = H1_DONE;
    }
    return h1;
}

void h1_free(struct h1 *h1)
{
    if (h1 != NULL) {
        CHECK_MAGIC(h1, H1_MAGIC);
        h1->magic = 0;
        mem_free(h1);
    }
}

void h1_next(struct h1 *h1, struct arena *arena)
{
    CHECK_MAGIC(h1, H1_MAGIC);
    *h1 = (struct h1){
        .magic = H1_MAGIC,
        .events = h1->events,
        .user = h1->user,
        .arena = arena,
        .facts = {.minor = 1},
    };
    llhttp_init(&h1->parser, HTTP_REQUEST, &callbacks);
    h1->parser.data = h1;
}

enum h1_result h1_feed(struct h1 *h1, struct slice input, size_t *ret_consumed, struct error *error)
{
    CHECK_MAGIC(h1, H1_MAGIC);
    CHECK(error != NULL);
    h1->error = error;
    struct slice rest = input;
    while (h1->outcome == H1_MORE && rest.len > 0) {
        bool in_body = h1->phase == PHASE_BODY || h1->phase == PHASE_CHUNK_BODY;
        rest = slice_tail(rest, in_body ? take_body(h1, rest) : take_line(h1, rest));
        if (h1->outcome == H1_ERROR) {
            name_place(h1);
        }
    }
    h1->error = NULL;
    *ret_consumed = input.len - rest.len;
    return h1->outcome;
}

int h1_error_status(const struct h1 *h1)
{
    CHECK_MAGIC(h1, H1_MAGIC);
    CHECK(h1->outcome == H1_ERROR);
    return h1->error_status;
}

bool h1_is_idle(const struct h1 *h1)
{
    CHECK_MAGIC(h1, H1_MAGIC);
    return h1->outcome == H1_MORE && h1->phase == PHASE_REQUEST_LINE && h1->line.len == 0;
}

bool h1_keeps_alive(const struct h1 *h1)
{
    CHECK_MAGIC(h1, H1_MAGIC);
    return h1->outcome == H1_DONE && h1_guard_persists(&h1->facts);
}

unsigned h1_minor(const struct h1 *h1)
{
    return h1->facts.minor;
}

int h1_put_head(const struct h1 *h1, const struct http_response *response, struct slice date,
                bool close, struct bytes *out)
{
    CHECK_MAGIC(h1, H1_MAGIC);
    enum h1_connection connection = H1_CONNECTION_DEFAULT;
    if (close || !h1_guard_persists(&h1->facts)) {
        connection = H1_CONNECTION_CLOSE;
    } else if (h1->facts.minor == 0) {
        connection = H1_CONNECTION_KEEP_ALIVE;
    }
    return h1_head_put(response, date, connection, out);
}

int h1_put_continue(struct bytes *out)
{
    return bytes_put(out, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *h1_library_version(void)
{
    return VERSION_TEXT(LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
}
