/*
 * A request is one ResourceSpans with one ScopeSpans. Their lengths come before their contents and are
 * known with the last span only: room is left for the longest head, and the real one is written right
 * before the spans.
 */
#include "obs/otlp_encode.h"

#include "base/check.h"
#include "base/utf8.h"
#include "rpc/wire.h"

/* Numbers of fields (opentelemetry/proto/trace/v1/trace.proto and its neighbours). */
enum {
    REQUEST_RESOURCE_SPANS = 1,
    RESOURCE_SPANS_RESOURCE = 1,
    RESOURCE_SPANS_SCOPE_SPANS = 2,
    RESOURCE_ATTRIBUTES = 1,
    SCOPE_SPANS_SCOPE = 1,
    SCOPE_SPANS_SPANS = 2,
    SCOPE_NAME = 1,
    SCOPE_VERSION = 2,
    SPAN_TRACE_ID = 1,
    SPAN_SPAN_ID = 2,
    SPAN_TRACE_STATE = 3,
    SPAN_PARENT_SPAN_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START = 7,
    SPAN_END = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_EVENTS = 11,
    SPAN_LINKS = 13,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16,
    STATUS_MESSAGE = 2,
    STATUS_CODE = 3,
    EVENT_TIME = 1,
    EVENT_NAME = 2,
    EVENT_ATTRIBUTES = 3,
    LINK_TRACE_ID = 1,
    LINK_SPAN_ID = 2,
    LINK_FLAGS = 6,
    KEY_VALUE_KEY = 1,
    KEY_VALUE_VALUE = 2,
    VALUE_STRING = 1,
    VALUE_INT = 3,
    VALUE_DOUBLE = 4,
    RESPONSE_PARTIAL_SUCCESS = 1,
    PARTIAL_REJECTED_SPANS = 1,
    PARTIAL_ERROR_MESSAGE = 2,
};

enum { KIND_INTERNAL = 1, KIND_SERVER = 2 };
enum { STATUS_ERROR = 2 };
/* Span.flags: those of W3C, and whether the parent came from another process. */
enum { FLAG_SAMPLED = 0x01, FLAG_TELLS_REMOTE = 0x100, FLAG_IS_REMOTE = 0x200 };

/* Of a message's tag and length. */
#define HEAD_MAX_BYTES 6
/* Of an attribute's tags and lengths, and a number. */
#define ATTRIBUTE_MAX_BYTES 64
#define ORIGIN_MAX_BYTES ((size_t)1024 * 1024)
/* A span with all its texts, each perhaps three times as long for bytes that are no UTF-8. */
#define SPAN_MAX_BYTES ((size_t)3 * SPAN_RECORD_TEXT_BYTES + 2048)

/* ---- fields ---- */

/* Where the next byte goes; there is room for all that is written. */
struct pen {
    char *at;
};

static void put_byte(struct pen *pen, unsigned byte)
{
    *pen->at++ = (char)byte;
}

static void put_varint(struct pen *pen, uint64_t value)
{
    while (value >= 0x80) {
        put_byte(pen, (unsigned)(value & 0x7f) | 0x80);
        value >>= 7;
    }
    put_byte(pen, (unsigned)value);
}

static void put_tag(struct pen *pen, unsigned number, enum wire_type type)
{
    put_varint(pen, (uint64_t)number << 3 | type);
}

static void put_raw(struct pen *pen, const void *bytes, size_t size)
{
    memcpy(pen->at, bytes, size);
    pen->at += size;
}

static void put_bytes(struct pen *pen, unsigned number, const void *bytes, size_t size)
{
    put_tag(pen, number, WIRE_BYTES);
    put_varint(pen, size);
    put_raw(pen, bytes, size);
}

static void put_number(struct pen *pen, unsigned number, uint64_t value)
{
    put_tag(pen, number, WIRE_VARINT);
    put_varint(pen, value);
}

static void put_fixed64(struct pen *pen, unsigned number, const void *value)
{
    put_tag(pen, number, WIRE_FIXED64);
    put_raw(pen, value, sizeof(uint64_t));
}

static void put_fixed32(struct pen *pen, unsigned number, uint32_t value)
{
    put_tag(pen, number, WIRE_FIXED32);
    put_raw(pen, &value, sizeof(value));
}

/* Begins a message inside: one byte is left for its length, which mostly does. */
static char *begin(struct pen *pen, unsigned number)
{
    put_tag(pen, number, WIRE_BYTES);
    return pen->at++;
}

static void end(struct pen *pen, char *length_at)
{
    size_t size = (size_t)(pen->at - length_at) - 1;
    size_t length_bytes = wire_varint_bytes(size);
    if (length_bytes > 1) {
        memmove(length_at + length_bytes, length_at + 1, size);
    }
    struct pen length = {length_at};
    put_varint(&length, size);
    pen->at = length_at + length_bytes + size;
}

/* Texts of a message are UTF-8; those of a client are what they are. */
static void put_text(struct pen *pen, unsigned number, struct slice text)
{
    if (utf8_valid_bytes(text) == text.len) {
        put_bytes(pen, number, text.len == 0 ? "" : text.ptr, text.len);
        return;
    }
    char *length_at = begin(pen, number);
    while (text.len > 0) {
        struct utf8_step step = utf8_step(text);
        struct slice shown = step.valid ? slice_head(text, step.bytes) : UTF8_REPLACEMENT;
        put_raw(pen, shown.ptr, shown.len);
        text = slice_tail(text, step.bytes);
    }
    end(pen, length_at);
}

/* ---- attributes ---- */

/* KeyValue { key, AnyValue { string_value } } */
static void put_text_attribute(struct pen *pen, unsigned number, struct slice key,
                               struct slice value)
{
    if (value.len > 0) {
        char *entry = begin(pen, number);
        put_bytes(pen, KEY_VALUE_KEY, key.ptr, key.len);
        char *any = begin(pen, KEY_VALUE_VALUE);
        put_text(pen, VALUE_STRING, value);
        end(pen, any);
        end(pen, entry);
    }
}

static void put_int_attribute(struct pen *pen, unsigned number, struct slice key, int64_t value)
{
    char *entry = begin(pen, number);
    put_bytes(pen, KEY_VALUE_KEY, key.ptr, key.len);
    char *any = begin(pen, KEY_VALUE_VALUE);
    put_number(pen, VALUE_INT, (uint64_t)value);
    end(pen, any);
    end(pen, entry);
}

static void put_double_attribute(struct pen *pen, unsigned number, struct slice key, double value)
{
    char *entry = begin(pen, number);
    put_bytes(pen, KEY_VALUE_KEY, key.ptr, key.len);
    char *any = begin(pen, KEY_VALUE_VALUE);
    put_fixed64(pen, VALUE_DOUBLE, &value);
    end(pen, any);
    end(pen, entry);
}

static void put_text_of(struct pen *pen, const struct span_record *record, struct slice key,
                        struct span_text text)
{
    put_text_attribute(pen, SPAN_ATTRIBUTES, key, span_text(record, text));
}

static bool is_known_method(struct slice method)
{
    static const char *const known[] = {"GET",   "POST",    "HEAD",    "PUT",  "DELETE",
                                        "PATCH", "OPTIONS", "CONNECT", "TRACE"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (slice_eq(method, slice_from_str(known[i]))) {
            return true;
        }
    }
    return false;
}

/* Semantic conventions for HTTP spans, "HTTP server span". */
static void put_http(struct pen *pen, const struct span_record *record)
{
    struct slice method = span_text(record, record->method);
    bool known = is_known_method(method);
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("http.request.method"),
                       known ? method : SLICE("_OTHER"));
    if (!known) {
        put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("http.request.method_original"), method);
    }
    put_text_of(pen, record, SLICE("url.path"), record->path);
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("url.scheme"), record->scheme);
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("http.route"), record->route);
    if (record->status >= 0) {
        put_int_attribute(pen, SPAN_ATTRIBUTES, SLICE("http.response.status_code"), record->status);
    }
}

/* Semantic conventions for gRPC. */
static void put_rpc(struct pen *pen, const struct span_record *record)
{
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("rpc.system"), SLICE("grpc"));
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("rpc.service"), record->rpc_service);
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("rpc.method"), record->rpc_method);
    if (record->status >= 0) {
        put_int_attribute(pen, SPAN_ATTRIBUTES, SLICE("rpc.grpc.status_code"), record->status);
    }
}

static void put_port(struct pen *pen, struct slice key, uint16_t port)
{
    if (port != 0) {
        put_int_attribute(pen, SPAN_ATTRIBUTES, key, port);
    }
}

static void put_server(struct pen *pen, const struct span_record *record)
{
    if (record->protocol == SPAN_HTTP) {
        put_http(pen, record);
    } else {
        put_rpc(pen, record);
    }
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("network.protocol.version"), record->version);
    put_text_of(pen, record, SLICE("server.address"), record->server);
    put_port(pen, SLICE("server.port"), record->server_port);
    put_text_of(pen, record, SLICE("client.address"), record->client);
    put_port(pen, SLICE("client.port"), record->client_port);
    put_text_of(pen, record, SLICE("user_agent.original"), record->user_agent);
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("error.type"), record->error_type);
}

static void put_invocations(struct pen *pen, const struct span_record *record)
{
    put_text_of(pen, record, SLICE("request.content_type"), record->request_type);
    put_int_attribute(pen, SPAN_ATTRIBUTES, SLICE("request.bytes"), (int64_t)record->request_bytes);
    if (record->rows > 0) {
        put_int_attribute(pen, SPAN_ATTRIBUTES, SLICE("batch.size"), record->rows);
    }
    put_text_attribute(pen, SPAN_ATTRIBUTES, SLICE("response.content_type"), record->response_type);
    put_double_attribute(pen, SPAN_ATTRIBUTES, SLICE("latency_ms"),
                         (double)(record->stages.ended_ns - record->stages.invoked_ns) / 1e6);
}

static void put_run(struct pen *pen, const struct span_record *record)
{
    put_int_attribute(pen, SPAN_ATTRIBUTES, SLICE("run.requests"), record->run_requests);
    put_int_attribute(pen, SPAN_ATTRIBUTES, SLICE("run.rows"), record->run_rows);
}

static void put_attributes(struct pen *pen, const struct span_record *record, enum span_role role)
{
    switch (role) {
    case SPAN_SERVER:
        put_server(pen, record);
        break;
    case SPAN_INVOCATIONS:
        put_invocations(pen, record);
        break;
    case SPAN_PREDICT:
        put_int_attribute(pen, SPAN_ATTRIBUTES, SLICE("batch.size"), record->rows);
        put_run(pen, record);
        break;
    case SPAN_RUN:
        put_run(pen, record);
        break;
    case SPAN_DECODE:
    case SPAN_QUEUE:
    case SPAN_ENCODE:
    case SPAN_ROLES:
        break;
    }
}

/* ---- the other parts of a span ---- */

/* "{method} {route}", "package.Service/Method": names are few, whatever clients ask for. */
static void put_server_name(struct pen *pen, const struct span_record *record)
{
    char *name = begin(pen, SPAN_NAME);
    struct slice method = span_text(record, record->method);
    if (record->protocol == SPAN_HTTP) {
        method = is_known_method(method) ? method : SLICE("HTTP");
        put_raw(pen, method.ptr, method.len);
    } else if (record->rpc_method.len == 0) {
        put_raw(pen, "grpc", 4);
    }
    if (record->route.len > 0) {
        put_byte(pen, ' ');
        put_raw(pen, record->route.ptr, record->route.len);
    }
    if (record->rpc_method.len > 0) {
        put_raw(pen, record->rpc_service.ptr, record->rpc_service.len);
        put_byte(pen, '/');
        put_raw(pen, record->rpc_method.ptr, record->rpc_method.len);
    }
    end(pen, name);
}

static void put_name(struct pen *pen, const struct span_record *record, enum span_role role)
{
    static const struct slice names[SPAN_ROLES] = {
        [SPAN_SERVER] = {"", 0},
        [SPAN_INVOCATIONS] = {"invocations", 11},
        [SPAN_DECODE] = {"decode", 6},
        [SPAN_QUEUE] = {"queue", 5},
        [SPAN_PREDICT] = {"model.predict", 13},
        [SPAN_RUN] = {"model.run", 9},
        [SPAN_ENCODE] = {"encode", 6},
    };
    if (role == SPAN_SERVER) {
        put_server_name(pen, record);
    } else {
        put_bytes(pen, SPAN_NAME, names[role].ptr, names[role].len);
    }
}

/* Why a request failed by our fault: on the innermost span that handles all of it. */
static void put_exception(struct pen *pen, const struct span_record *record,
                          const struct span *span, uint64_t offset_ns)
{
    enum span_role role = record->stages.invoked_ns != 0 ? SPAN_INVOCATIONS : SPAN_SERVER;
    if (span->role != role || record->exception_text.len == 0) {
        return;
    }
    uint64_t time_ns = record->stages.ended_ns + offset_ns;
    char *event = begin(pen, SPAN_EVENTS);
    put_fixed64(pen, EVENT_TIME, &time_ns);
    put_bytes(pen, EVENT_NAME, "exception", 9);
    put_text_attribute(pen, EVENT_ATTRIBUTES, SLICE("exception.type"), record->exception_type);
    put_text_attribute(pen, EVENT_ATTRIBUTES, SLICE("exception.message"),
                       span_text(record, record->exception_text));
    end(pen, event);
}

static void put_link(struct pen *pen, const struct span_record *record, enum span_role role)
{
    if (role == SPAN_PREDICT && span_id_is_set(&record->run_id)) {
        char *link = begin(pen, SPAN_LINKS);
        put_bytes(pen, LINK_TRACE_ID, record->run_trace_id.bytes, TRACE_ID_BYTES);
        put_bytes(pen, LINK_SPAN_ID, record->run_id.bytes, SPAN_ID_BYTES);
        put_fixed32(pen, LINK_FLAGS, FLAG_SAMPLED | FLAG_TELLS_REMOTE);
        end(pen, link);
    }
}

static bool has_failed(const struct span_record *record, enum span_role role)
{
    switch (role) {
    case SPAN_SERVER:
    case SPAN_INVOCATIONS:
        return record->is_error;
    case SPAN_PREDICT:
        return record->run_failed;
    case SPAN_DECODE:
    case SPAN_QUEUE:
    case SPAN_RUN:
    case SPAN_ENCODE:
    case SPAN_ROLES:
        break;
    }
    return false;
}

static void put_status(struct pen *pen, const struct span_record *record, enum span_role role)
{
    if (has_failed(record, role)) {
        char *status = begin(pen, SPAN_STATUS);
        if (record->exception_text.len > 0) {
            put_text(pen, STATUS_MESSAGE, span_text(record, record->exception_text));
        }
        put_number(pen, STATUS_CODE, STATUS_ERROR);
        end(pen, status);
    }
}

static void put_ids(struct pen *pen, const struct span_record *record, const struct span *span)
{
    put_bytes(pen, SPAN_TRACE_ID, record->trace_id.bytes, TRACE_ID_BYTES);
    put_bytes(pen, SPAN_SPAN_ID, span->id.bytes, SPAN_ID_BYTES);
    if (record->trace_state.len > 0) {
        put_text(pen, SPAN_TRACE_STATE, span_text(record, record->trace_state));
    }
    if (span_id_is_set(&span->parent_id)) {
        put_bytes(pen, SPAN_PARENT_SPAN_ID, span->parent_id.bytes, SPAN_ID_BYTES);
    }
}

static void put_times(struct pen *pen, const struct span *span, uint64_t offset_ns)
{
    uint64_t began_ns = span->began_ns + offset_ns;
    uint64_t ended_ns = span->ended_ns + offset_ns;
    put_fixed64(pen, SPAN_START, &began_ns);
    put_fixed64(pen, SPAN_END, &ended_ns);
}

static void put_flags(struct pen *pen, const struct span_record *record, enum span_role role)
{
    bool is_remote = role == SPAN_SERVER && span_id_is_set(&record->parent_id);
    put_fixed32(pen, SPAN_FLAGS,
                FLAG_SAMPLED | FLAG_TELLS_REMOTE | (is_remote ? (unsigned)FLAG_IS_REMOTE : 0));
}

int otlp_put_span(struct bytes *out, const struct span_record *record, const struct span *span,
                  uint64_t offset_ns)
{
    char *room = bytes_reserve(out, SPAN_MAX_BYTES);
    if (room == NULL) {
        return ERR_NO_MEMORY;
    }
    struct pen pen = {room};
    char *message = begin(&pen, SCOPE_SPANS_SPANS);
    put_ids(&pen, record, span);
    put_name(&pen, record, span->role);
    put_number(&pen, SPAN_KIND, span->role == SPAN_SERVER ? KIND_SERVER : KIND_INTERNAL);
    put_times(&pen, span, offset_ns);
    put_attributes(&pen, record, span->role);
    put_exception(&pen, record, span, offset_ns);
    put_link(&pen, record, span->role);
    put_status(&pen, record, span->role);
    put_flags(&pen, record, span->role);
    end(&pen, message);
    size_t size = (size_t)(pen.at - room);
    CHECK(size <= SPAN_MAX_BYTES);
    bytes_commit(out, size);
    return ERR_OK;
}

/* ---- where they come from ---- */

static size_t attributes_max_bytes(const struct otlp_attribute *attributes, size_t count)
{
    size_t size = HEAD_MAX_BYTES;
    for (size_t i = 0; i < count; i++) {
        size += attributes[i].key.len + 3 * attributes[i].text.len + ATTRIBUTE_MAX_BYTES;
    }
    return size;
}

static int put_resource(struct bytes *out, const struct otlp_attribute *attributes, size_t count)
{
    struct pen pen = {bytes_reserve(out, attributes_max_bytes(attributes, count))};
    if (pen.at == NULL) {
        return ERR_NO_MEMORY;
    }
    const char *start = pen.at;
    char *resource = begin(&pen, RESOURCE_SPANS_RESOURCE);
    for (size_t i = 0; i < count; i++) {
        if (attributes[i].text.ptr == NULL) {
            put_int_attribute(&pen, RESOURCE_ATTRIBUTES, attributes[i].key, attributes[i].number);
        } else {
            put_text_attribute(&pen, RESOURCE_ATTRIBUTES, attributes[i].key, attributes[i].text);
        }
    }
    end(&pen, resource);
    bytes_commit(out, (size_t)(pen.at - start));
    return ERR_OK;
}

static int put_scope(struct bytes *out, struct slice version)
{
    struct slice name = SLICE("onnxd");
    struct pen pen = {bytes_reserve(out, 3 * HEAD_MAX_BYTES + name.len + 3 * version.len)};
    if (pen.at == NULL) {
        return ERR_NO_MEMORY;
    }
    const char *start = pen.at;
    char *scope = begin(&pen, SCOPE_SPANS_SCOPE);
    put_text(&pen, SCOPE_NAME, name);
    put_text(&pen, SCOPE_VERSION, version);
    end(&pen, scope);
    bytes_commit(out, (size_t)(pen.at - start));
    return ERR_OK;
}

int otlp_origin_init(struct otlp_origin *origin, const struct otlp_attribute *attributes,
                     size_t count, struct slice scope_version)
{
    bytes_init(&origin->resource, ORIGIN_MAX_BYTES);
    bytes_init(&origin->scope, ORIGIN_MAX_BYTES);
    if (put_resource(&origin->resource, attributes, count) != ERR_OK ||
        put_scope(&origin->scope, scope_version) != ERR_OK) {
        otlp_origin_done(origin);
        return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

void otlp_origin_done(struct otlp_origin *origin)
{
    bytes_done(&origin->resource);
    bytes_done(&origin->scope);
}

/* ---- the request ---- */

static size_t head_max_bytes(const struct otlp_origin *origin)
{
    return 2 * HEAD_MAX_BYTES + bytes_len(&origin->resource) + bytes_len(&origin->scope);
}

int otlp_begin(struct bytes *out, const struct otlp_origin *origin)
{
    CHECK(bytes_len(out) == 0);
    size_t room = head_max_bytes(origin);
    if (bytes_reserve(out, room) == NULL) {
        return ERR_NO_MEMORY;
    }
    bytes_commit(out, room);
    return ERR_OK;
}

void otlp_end(struct bytes *out, const struct otlp_origin *origin)
{
    size_t room = head_max_bytes(origin);
    struct slice resource = bytes_slice(&origin->resource);
    struct slice scope = bytes_slice(&origin->scope);
    size_t scope_spans = scope.len + bytes_len(out) - room;
    size_t resource_spans =
        resource.len + wire_field_bytes(RESOURCE_SPANS_SCOPE_SPANS, scope_spans);
    size_t all = wire_field_bytes(REQUEST_RESOURCE_SPANS, resource_spans);
    bytes_consume(out, bytes_len(out) - all);
    struct pen pen = {out->ptr + out->head};
    put_tag(&pen, REQUEST_RESOURCE_SPANS, WIRE_BYTES);
    put_varint(&pen, resource_spans);
    put_raw(&pen, resource.ptr, resource.len);
    put_tag(&pen, RESOURCE_SPANS_SCOPE_SPANS, WIRE_BYTES);
    put_varint(&pen, scope_spans);
    put_raw(&pen, scope.ptr, scope.len);
}

/* ---- the response ---- */

static uint64_t varint_of(const struct wire_field *field)
{
    uint64_t value = 0;
    for (size_t i = 0; i < field->bytes.len; i++) {
        value |= (uint64_t)((unsigned char)field->bytes.ptr[i] & 0x7f) << 7 * i;
    }
    return value;
}

static int read_partial(struct slice message, struct otlp_verdict *verdict, struct error *error)
{
    struct wire_reader reader = {.message = message};
    int status = ERR_OK;
    while (status == ERR_OK && wire_reader_has_field(&reader)) {
        struct wire_field field;
        status = wire_read_field(&reader, &field, error);
        if (status == ERR_OK && field.number == PARTIAL_REJECTED_SPANS &&
            field.type == WIRE_VARINT) {
            verdict->rejected_spans = varint_of(&field);
        } else if (status == ERR_OK && field.number == PARTIAL_ERROR_MESSAGE) {
            status = wire_read_text(&field, "error_message", &verdict->message, error);
        }
    }
    return status;
}

int otlp_read_response(struct slice body, struct otlp_verdict *ret_verdict, struct error *error)
{
    struct otlp_verdict verdict = {0, SLICE("")};
    struct wire_reader reader = {.message = body};
    while (wire_reader_has_field(&reader)) {
        struct wire_field field;
        struct slice partial;
        int status = wire_read_field(&reader, &field, error);
        if (status == ERR_OK && field.number == RESPONSE_PARTIAL_SUCCESS) {
            status = wire_read_bytes(&field, "partial_success", &partial, error);
            if (status == ERR_OK) {
                status = read_partial(partial, &verdict, error);
            }
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    *ret_verdict = verdict;
    return ERR_OK;
}
