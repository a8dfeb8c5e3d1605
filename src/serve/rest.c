/*
 * What happens to a request of the HTTP interface: route and limits at its head, its body as it
 * comes, then a handler. Inference goes by way of an execution slot to serve/infer; everything else
 * answers at once.
 */
#include "serve/rest.h"

#include "base/check.h"
#include "codec/json_text.h"
#include "serve/admin.h"
#include "serve/exchange_trace.h"
#include "serve/io_thread.h"

/* ---- answers ---- */

static void count_answer(const struct exchange *exchange)
{
    struct metrics_shard *metrics = exchange->io->metrics;
    enum metric_handler handler = exchange->route.handler;
    unsigned series = series_handler_method(handler, exchange->method);
    uint64_t took_ns = exchange_took_ns(exchange);
    enum metric_status status = (enum metric_status)(exchange->response.status / 100 - 1);
    size_t body_bytes = exchange->method == METHOD_HEAD ? 0 : exchange->response_body.len;
    metrics_count(metrics, METRIC_HTTP_REQUESTS, series_request(handler, exchange->method, status),
                  1);
    struct metrics_trace storage;
    const struct metrics_trace *trace = exchange_trace_exemplar(exchange, &storage);
    metrics_observe_exemplar(metrics, METRIC_HTTP_DURATION, series, took_ns, trace);
    metrics_observe_exemplar(metrics, METRIC_HTTP_DURATION_HIGHR, SERIES_NONE, took_ns, trace);
    metrics_observe(metrics, METRIC_HTTP_REQUEST_SIZE, handler, exchange->request_bytes);
    metrics_observe(metrics, METRIC_HTTP_RESPONSE_SIZE, handler, body_bytes);
    if (handler == HANDLER_INVOCATIONS) {
        metrics_observe_exemplar(metrics, METRIC_INFERENCE_DURATION, INTERFACE_REST, took_ns,
                                 trace);
    }
}

void rest_respond(struct exchange *exchange, int status, struct slice content_type,
                  struct slice body)
{
    if (content_type.len > 0) {
        exchange_add_field(exchange, SLICE("Content-Type"), content_type);
    }
    exchange_add_request_id(exchange);
    exchange_trace_add_fields(exchange);
    exchange->response.status = status;
    exchange->response.fields = exchange->fields;
    exchange->response.content_length = body.len;
    exchange->response_body = body;
    count_answer(exchange);
    exchange_trace_end(exchange, status);
    exchange->outlet->send(exchange);
}

void rest_respond_error(struct exchange *exchange, int status, struct slice text)
{
    struct bytes *reply = &exchange->io->reply;
    bytes_reset(reply, reply->capacity);
    struct slice body = SLICE("{\"error\":\"internal_server_error\"}");
    if (bytes_put(reply, SLICE("{\"error\":")) == ERR_OK && json_text_put(reply, text) == ERR_OK &&
        bytes_put_byte(reply, '}') == ERR_OK) {
        body = bytes_slice(reply);
    }
    rest_respond(exchange, status, SLICE("application/json"), body);
}

static void respond_too_large(struct exchange *exchange)
{
    struct bytes *reply = &exchange->io->reply;
    bytes_reset(reply, reply->capacity);
    if (bytes_printf(reply, "{\"error\":\"payload_too_large\",\"max_bytes\":%llu}",
                     (unsigned long long)exchange->io->shared->settings.max_body_bytes) != ERR_OK) {
        bytes_reset(reply, 0);
    }
    metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_BODY_TOO_LARGE, 1);
    rest_respond(exchange, 413, SLICE("application/json"), bytes_slice(reply));
}

static void refuse(struct exchange *exchange)
{
    const struct error *error = &exchange->error;
    int status = error_http_status(error->code);
    exchange_trace_fail(exchange, error);
    switch (error->code) {
    case ERR_TOO_LARGE:
        respond_too_large(exchange);
        return;
    case ERR_BUSY:
        exchange_add_field(exchange, SLICE("Retry-After"), SLICE("1"));
        break;
    case ERR_UNAVAILABLE:
        exchange_add_field(exchange, SLICE("Retry-After"), SLICE("1"));
        break;
    case ERR_METHOD:
        exchange_add_field(exchange, SLICE("Allow"), router_allow_field(exchange->route));
        break;
    case ERR_CONFIG:
    case ERR_NO_MEMORY:
    case ERR_INTERNAL:
        rest_respond_error(exchange, status, SLICE("internal_server_error"));
        return;
    default:
        break;
    }
    rest_respond_error(exchange, status, slice_from_str(error->text));
}

void rest_refuse_status(struct exchange *exchange, int status, struct slice text)
{
    if (status == 500) {
        exchange_log_error(exchange, "a request failed: %.*s", SLICE_FMT(text));
        text = SLICE("internal_server_error");
    }
    rest_respond_error(exchange, status, text);
}

static void on_late(struct exchange *exchange)
{
    rest_refuse_status(exchange, 408, SLICE("the request did not arrive in time"));
}

/* ---- the request ---- */

static int check_route(struct exchange *exchange)
{
    if (exchange->route.handler == HANDLER_NONE) {
        struct slice shown = slice_head(exchange->request.path, 200);
        return error_set(&exchange->error, ERR_NOT_FOUND, "there is no path %.*s",
                         SLICE_FMT(shown));
    }
    if (!router_allows(exchange->route, exchange->method)) {
        struct slice allow = router_allow_field(exchange->route);
        return error_set(&exchange->error, ERR_METHOD, "this path takes %.*s", SLICE_FMT(allow));
    }
    return ERR_OK;
}

static int check_encoding(struct exchange *exchange)
{
    struct slice encoding = http_request_field(&exchange->request, SLICE("Content-Encoding"));
    if (encoding.len == 0 || slice_eq_nocase(encoding, SLICE("identity"))) {
        return ERR_OK;
    }
    if (!slice_eq_nocase(encoding, SLICE("gzip")) && !slice_eq_nocase(encoding, SLICE("x-gzip"))) {
        struct slice shown = slice_head(encoding, 64);
        return error_set(&exchange->error, ERR_INVALID,
                         "Content-Encoding %.*s is not supported; gzip is", SLICE_FMT(shown));
    }
    exchange->is_gzip = true;
    return ERR_OK;
}

static int check_length(struct exchange *exchange)
{
    uint64_t length = exchange->request.content_length;
    if (length != HTTP_LENGTH_UNKNOWN && length > exchange->io->shared->settings.max_body_bytes) {
        return error_set(&exchange->error, ERR_TOO_LARGE, "payload_too_large");
    }
    return ERR_OK;
}

/*
 * Room for the whole body at once: what grows bit by bit is copied as often, and its pages are new. Not
 * before its first byte, or heads alone could take it all.
 */
static int reserve_body(struct exchange *exchange)
{
    uint64_t length = exchange->request.content_length;
    if (length == HTTP_LENGTH_UNKNOWN || bytes_len(&exchange->body) > 0 ||
        bytes_reserve(&exchange->body, (size_t)length) != NULL) {
        return ERR_OK;
    }
    return exchange_log_failure(exchange, error_set(&exchange->error, ERR_NO_MEMORY,
                                                    "no memory for a body of %llu bytes",
                                                    (unsigned long long)length));
}

/* Lists that a client, or a proxy on the way, may have sent in several fields. */
static int join_lists(struct exchange *exchange)
{
    static const struct slice names[] = {SLICE("Accept"), SLICE("Accept-Encoding"),
                                         SLICE("X-Amzn-SageMaker-Accept")};
    int status = ERR_OK;
    for (size_t i = 0; status == ERR_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        status = http_request_join(&exchange->request, names[i], SLICE(", "), &exchange->arena);
    }
    return status == ERR_OK
               ? ERR_OK
               : exchange_log_failure(exchange, error_set(&exchange->error, ERR_NO_MEMORY,
                                                          "no memory for a request's fields"));
}

static int on_head(struct exchange *exchange)
{
    const struct settings *settings = &exchange->io->shared->settings;
    exchange->method = router_method(exchange->request.method);
    exchange->route = router_find(settings, exchange->request.path);
    int status = join_lists(exchange);
    if (status == ERR_OK) {
        status = check_length(exchange);
    }
    if (status == ERR_OK && exchange->request.content_length != 0) {
        /* Who is refused anyway need not send a body; without one the answer can wait for the end. */
        status = check_route(exchange);
    }
    if (status == ERR_OK && exchange->route.handler == HANDLER_INVOCATIONS) {
        status = check_encoding(exchange);
    }
    return status;
}

static int store_body(struct exchange *exchange, struct slice piece)
{
    int status = reserve_body(exchange);
    if (status != ERR_OK || bytes_put(&exchange->body, piece) == ERR_OK) {
        return status;
    }
    return exchange_log_failure(
        exchange, error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a request's body"));
}

/*
 * The limit holds for what comes, and for what it decodes to (serve/infer). Only inference has a use
 * for a body.
 */
static int on_body(struct exchange *exchange, struct slice piece)
{
    exchange->request_bytes += piece.len;
    if (exchange->request_bytes > exchange->io->shared->settings.max_body_bytes) {
        return error_set(&exchange->error, ERR_TOO_LARGE, "payload_too_large");
    }
    return exchange->route.handler == HANDLER_INVOCATIONS ? store_body(exchange, piece) : ERR_OK;
}

static void on_end(struct exchange *exchange)
{
    if (check_route(exchange) != ERR_OK) {
        refuse(exchange);
    } else if (exchange->route.handler != HANDLER_INVOCATIONS) {
        admin_answer(exchange);
    } else if (exchange_check_ready(exchange) != ERR_OK) {
        refuse(exchange);
    } else {
        exchange_infer(exchange);
    }
}

/* ---- inference ---- */

static struct slice content_type(const struct exchange *exchange)
{
    struct slice own = http_request_field(&exchange->request, SLICE("Content-Type"));
    return own.len > 0
               ? own
               : http_request_field(&exchange->request, SLICE("X-Amzn-SageMaker-Content-Type"));
}

/* Most clients send the wildcard unasked: it wishes for nothing, and SageMaker's field counts. */
static struct slice accept_wish(const struct exchange *exchange)
{
    struct slice own = http_request_field(&exchange->request, SLICE("Accept"));
    struct slice platform =
        http_request_field(&exchange->request, SLICE("X-Amzn-SageMaker-Accept"));
    bool wishes = own.len > 0 && !slice_eq(own, SLICE("*/*"));
    return wishes || platform.len == 0 ? own : platform;
}

static void describe(struct exchange *exchange)
{
    exchange->inference.content_type = content_type(exchange);
    exchange->inference.accept = accept_wish(exchange);
    exchange->inference.body = bytes_slice(&exchange->body);
    exchange->inference.packed_max_bytes =
        exchange->is_gzip ? (size_t)exchange->io->shared->settings.max_body_bytes : 0;
}

static void on_reply(struct exchange *exchange)
{
    rest_respond(exchange, 200, media_content_type(exchange->inference.media),
                 bytes_slice(exchange->inference.reply));
}

static void done(struct exchange *exchange)
{
    (void)exchange;
}

const struct exchange_style rest_style = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .refuse = refuse,
    .on_late = on_late,
    .describe = describe,
    .on_reply = on_reply,
    .done = done,
};
