/*
 * Requests of gRPC (PROTOCOL-HTTP2.md of gRPC): judged at their head, their messages taken out of the
 * body, then handed to the method.
 */
#include "serve/grpc.h"

#include "base/check.h"
#include "rpc/reflection.h"
#include "serve/grpc_call.h"

#define SHOWN_BYTES 128 /* of a name in an error */
/* Storage of messages of a long call that is kept between them. */
#define MESSAGE_KEPT_BYTES ((size_t)16 * 1024)

/* ---- methods ---- */

static const struct grpc_method methods[] = {
    {GRPC_INFERENCE, "Predict", RPC_PREDICT, .goes_on = false, .takes_many = false},
    {GRPC_INFERENCE, "Live", RPC_LIVE, .goes_on = false, .takes_many = false},
    {GRPC_INFERENCE, "Ready", RPC_READY, .goes_on = false, .takes_many = false},
    {GRPC_HEALTH, "Check", RPC_CHECK, .goes_on = false, .takes_many = false},
    {GRPC_HEALTH, "Watch", RPC_WATCH, .goes_on = true, .takes_many = false},
    {GRPC_REFLECTION_V1, "ServerReflectionInfo", RPC_REFLECTION, .goes_on = true,
     .takes_many = true},
    {GRPC_REFLECTION_V1ALPHA, "ServerReflectionInfo", RPC_REFLECTION, .goes_on = true,
     .takes_many = true},
};

static struct slice service_name(enum grpc_service service)
{
    switch (service) {
    case GRPC_INFERENCE:
        return INFERENCE_SERVICE;
    case GRPC_HEALTH:
        return HEALTH_SERVICE;
    case GRPC_REFLECTION_V1:
        return REFLECTION_SERVICE_V1;
    case GRPC_REFLECTION_V1ALPHA:
        return REFLECTION_SERVICE_V1ALPHA;
    case GRPC_SERVICES:
        break;
    }
    return SLICE("");
}

/* GRPC_SERVICES where there is none of this name. */
static enum grpc_service find_service(const struct settings *settings, struct slice name)
{
    enum grpc_service end = settings->grpc_reflection ? GRPC_SERVICES : GRPC_REFLECTION_V1;
    for (enum grpc_service service = 0; service < end; service++) {
        if (slice_eq(name, service_name(service))) {
            return service;
        }
    }
    return GRPC_SERVICES;
}

static int find_method(struct grpc_call *call)
{
    struct exchange *exchange = call->exchange;
    struct slice path = exchange->request.path;
    struct slice service_text;
    struct slice name;
    if (!grpc_split_path(path, &service_text, &name)) {
        struct slice shown = slice_head(path, SHOWN_BYTES);
        return error_set(&exchange->error, ERR_METHOD, "malformed method name: %.*s",
                         SLICE_FMT(shown));
    }
    enum grpc_service service = find_service(&exchange->io->shared->settings, service_text);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (methods[i].service == service && slice_eq(name, slice_from_str(methods[i].name))) {
            call->method = &methods[i];
            return ERR_OK;
        }
    }
    struct slice shown_service = slice_head(service_text, SHOWN_BYTES);
    struct slice shown = slice_head(name, SHOWN_BYTES);
    return service == GRPC_SERVICES
               ? error_set(&exchange->error, ERR_METHOD, "unknown service %.*s",
                           SLICE_FMT(shown_service))
               : error_set(&exchange->error, ERR_METHOD, "unknown method %.*s for service %.*s",
                           SLICE_FMT(shown), SLICE_FMT(shown_service));
}

bool grpc_is_predict(const struct exchange *exchange)
{
    const struct grpc_call *call = exchange->call;
    return call != NULL && (call->method == NULL || call->method->rpc == RPC_PREDICT);
}

void grpc_tell_method(const struct exchange *exchange, struct slice *ret_service,
                      struct slice *ret_method)
{
    const struct grpc_call *call = exchange->call;
    if (call != NULL && call->method != NULL) {
        *ret_service = service_name(call->method->service);
        *ret_method = slice_from_str(call->method->name);
    }
}

/* ---- the head ---- */

bool grpc_is_call(const struct http_request *request)
{
    static const char type[] = "application/grpc";
    struct slice value = http_request_field(request, SLICE("Content-Type"));
    return slice_eq_nocase(slice_head(value, sizeof(type) - 1), SLICE(type));
}

static int refuse_http(struct grpc_call *call, int status, const char *text)
{
    call->http_status = status;
    return error_set(&call->exchange->error, ERR_INVALID, "%s", text);
}

static int check_http(struct grpc_call *call)
{
    const struct http_request *request = &call->exchange->request;
    if (!slice_eq(request->method, SLICE("POST"))) {
        return refuse_http(call, 405, "a gRPC call is a POST");
    }
    if (!grpc_is_content_type(http_request_field(request, SLICE("Content-Type")))) {
        return refuse_http(call, 415, "a gRPC call has the content-type application/grpc");
    }
    return ERR_OK;
}

/* The client's limit of time is the job's where it is shorter, and the only one of a long call. */
static int read_timeout(struct grpc_call *call)
{
    struct exchange *exchange = call->exchange;
    struct slice value = http_request_field(&exchange->request, SLICE("grpc-timeout"));
    uint64_t span_ns = UINT64_MAX;
    int status = value.ptr == NULL ? ERR_OK : grpc_parse_timeout(value, &span_ns, &exchange->error);
    if (call->method->goes_on) {
        exchange->deadline_ns = 0;
    }
    if (status == ERR_OK && span_ns < UINT64_MAX - exchange->started_ns) {
        uint64_t end_ns = exchange->started_ns + span_ns;
        bool is_first = exchange->deadline_ns == 0 || end_ns < exchange->deadline_ns;
        exchange->deadline_ns = is_first ? end_ns : exchange->deadline_ns;
    }
    return status;
}

/*
 * A reply is compressed for who compresses itself, and so holds bytes dearer than time: most clients
 * say that they take gzip without having been asked whether they want it.
 */
static int read_coding(struct grpc_call *call)
{
    struct exchange *exchange = call->exchange;
    enum grpc_coding coding = GRPC_IDENTITY;
    int status = grpc_parse_coding(http_request_field(&exchange->request, SLICE("grpc-encoding")),
                                   &coding, &exchange->error);
    struct slice accepted = http_request_field(&exchange->request, SLICE("grpc-accept-encoding"));
    call->wants_gzip = coding == GRPC_GZIP && grpc_choose_coding(accepted) == GRPC_GZIP;
    grpc_reader_init(&call->reader, coding, !call->method->takes_many);
    return status;
}

static int refuse_busy(struct grpc_call *call, enum metric_rejection reason)
{
    metrics_count(call->exchange->io->metrics, METRIC_REJECTIONS, reason, 1);
    return error_set(&call->exchange->error, ERR_BUSY, "too_many_requests");
}

/* True: the call is one of `most`, and `done` takes it off again. */
static bool take_place(_Atomic unsigned *taken, unsigned most)
{
    if (atomic_fetch_add(taken, 1) < most) {
        return true;
    }
    atomic_fetch_sub(taken, 1);
    return false;
}

/* What has no time limit gets half of the streams at most, or it could have all of them for ever. */
static int enter_long(struct grpc_call *call)
{
    struct server_shared *shared = call->exchange->io->shared;
    if (call->method->goes_on) {
        call->is_long = take_place(&shared->long_calls, shared->settings.max_streams / 2);
        return call->is_long ? ERR_OK : refuse_busy(call, REJECTION_STREAMS);
    }
    return ERR_OK;
}

/* Questions for health are answered whatever else there is to do. */
static int enter(struct grpc_call *call)
{
    struct server_shared *shared = call->exchange->io->shared;
    unsigned most = shared->settings.grpc_max_concurrent_rpcs;
    if (most == 0 || call->method->service == GRPC_HEALTH) {
        return ERR_OK;
    }
    call->is_counted = take_place(&shared->calls, most);
    return call->is_counted ? ERR_OK : refuse_busy(call, REJECTION_CALLS);
}

static int check_call(struct grpc_call *call)
{
    int status = find_method(call);
    if (status == ERR_OK) {
        status = read_coding(call);
    }
    if (status == ERR_OK) {
        status = read_timeout(call);
    }
    if (status == ERR_OK) {
        status = enter_long(call);
    }
    return status == ERR_OK ? enter(call) : status;
}

static int on_head(struct exchange *exchange)
{
    struct grpc_call *call = arena_zalloc(&exchange->arena, 1, sizeof(*call));
    if (call == NULL) {
        return exchange_log_failure(
            exchange, error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a gRPC call"));
    }
    exchange->call = call;
    call->exchange = exchange;
    exchange->body.max += INFERENCE_REQUEST_EXTRA_BYTES;
    int status = check_http(call);
    return status == ERR_OK ? check_call(call) : status;
}

/* ---- the body ---- */

static int too_large(struct exchange *exchange)
{
    metrics_count(exchange->io->metrics, METRIC_REJECTIONS, REJECTION_BODY_TOO_LARGE, 1);
    return error_set(&exchange->error, ERR_TOO_LARGE, "payload_too_large");
}

static int take_message(struct grpc_call *call)
{
    struct exchange *exchange = call->exchange;
    int status = grpc_reflection_on_message(exchange);
    bytes_reset(&exchange->body, MESSAGE_KEPT_BYTES);
    grpc_reader_next(&call->reader);
    return status;
}

static int on_body(struct exchange *exchange, struct slice piece)
{
    struct grpc_call *call = exchange->call;
    exchange->request_bytes += piece.len;
    int status = call->is_finished ? EXCHANGE_ANSWERED : ERR_OK;
    while (status == ERR_OK && piece.len > 0) {
        status = grpc_reader_feed(&call->reader, &piece, &exchange->body, &exchange->error);
        if (status == ERR_OK && call->method->takes_many && call->reader.complete) {
            status = take_message(call);
        }
    }
    return status == ERR_TOO_LARGE ? too_large(exchange) : exchange_log_failure(exchange, status);
}

/* ---- the methods of InferenceService ---- */

static int put_state(struct bytes *out, enum inference_state state)
{
    int status = grpc_message_begin(out);
    return status == ERR_OK ? inference_put_status(out, state) : status;
}

static void answer_state(struct exchange *exchange, enum inference_state state)
{
    struct bytes *reply = &exchange->io->reply;
    struct error *error = &exchange->error;
    int status = inference_read_empty(bytes_slice(&exchange->body), error);
    bytes_reset(reply, reply->capacity);
    if (status == ERR_OK && put_state(reply, state) != ERR_OK) {
        status = exchange_log_failure(exchange,
                                      error_set(error, ERR_NO_MEMORY, "no memory for a state"));
    }
    if (status == ERR_OK) {
        grpc_reply_message(exchange);
    } else {
        grpc_reply_error(exchange);
    }
}

static int read_predict(struct grpc_call *call)
{
    struct exchange *exchange = call->exchange;
    int status =
        inference_read_predict(bytes_slice(&exchange->body), &call->predict, &exchange->error);
    if (status == ERR_OK &&
        call->predict.payload.len > exchange->io->shared->settings.max_body_bytes) {
        status = too_large(exchange);
    }
    return status == ERR_OK ? exchange_check_ready(exchange) : status;
}

static void predict(struct exchange *exchange)
{
    if (read_predict(exchange->call) == ERR_OK) {
        exchange_infer(exchange);
    } else {
        grpc_reply_error(exchange);
    }
}

static void describe(struct exchange *exchange)
{
    const struct predict_request *request = &exchange->call->predict;
    exchange->inference.content_type = request->content_type;
    exchange->inference.accept = request->accept;
    exchange->inference.body = request->payload;
}

/* ---- the style ---- */

static void on_end(struct exchange *exchange)
{
    struct grpc_call *call = exchange->call;
    if (call->is_finished) {
        return;
    }
    if (grpc_reader_finish(&call->reader, &exchange->error) != ERR_OK) {
        grpc_reply_error(exchange);
        return;
    }
    switch (call->method->rpc) {
    case RPC_LIVE:
        answer_state(exchange, INFERENCE_LIVE);
        break;
    case RPC_READY:
        answer_state(exchange,
                     io_thread_is_ready(exchange->io) ? INFERENCE_READY : INFERENCE_NOT_READY);
        break;
    case RPC_PREDICT:
        predict(exchange);
        break;
    case RPC_CHECK:
        grpc_health_check(exchange);
        break;
    case RPC_WATCH:
        grpc_health_watch(exchange);
        break;
    case RPC_REFLECTION:
        grpc_reflection_on_end(exchange);
        break;
    case RPC_OTHER:
    case RPC_COUNT:
        CHECK(false);
    }
}

static void on_late(struct exchange *exchange)
{
    const struct grpc_call *call = exchange->call;
    if (call != NULL && call->is_finished) {
        return; /* its client has only not taken all of it yet */
    }
    error_set(&exchange->error, ERR_TIMEOUT, "%s",
              call != NULL && call->is_open ? "the call's time limit has passed"
                                            : "the request did not arrive in time");
    grpc_reply_error(exchange);
}

static void done(struct exchange *exchange)
{
    struct grpc_call *call = exchange->call;
    if (call == NULL) {
        return;
    }
    if (!call->is_finished) {
        grpc_finish(call, GRPC_CANCELLED, SLICE(""));
    }
    if (call->is_counted) {
        atomic_fetch_sub(&exchange->io->shared->calls, 1);
    }
    if (call->is_long) {
        atomic_fetch_sub(&exchange->io->shared->long_calls, 1);
    }
    grpc_reader_done(&call->reader);
    grpc_health_unwatch(call);
    bytes_done(&call->packed);
    bytes_done(&call->waiting);
    bytes_done(&call->leaving);
}

const struct exchange_style grpc_style = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .refuse = grpc_reply_error,
    .on_late = on_late,
    .describe = describe,
    .on_reply = grpc_reply_predict,
    .done = done,
};
