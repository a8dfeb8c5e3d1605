#include "serve/exchange_trace.h"

#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "serve/grpc.h"

/* The longest of what a client says of itself; a record has room for all of them but very long states. */
#define METHOD_MAX 16
#define PATH_MAX_BYTES 192
#define HOST_MAX 96
#define TYPE_MAX 96
#define AGENT_MAX 128
#define EXCEPTION_MAX 256

/* ---- the beginning ---- */

/* The one traceparent field; several count as none (section 3.2.1 wants one). */
static struct span_context read_parent(const struct http_request *request)
{
    struct span_context parent = {.is_valid = false};
    unsigned found = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (slice_eq_nocase(field->name, SLICE("traceparent")) && ++found == 1 &&
            !trace_context_parse(field->value, &parent)) {
            return parent;
        }
    }
    return found == 1 ? parent : (struct span_context){.is_valid = false};
}

/* Whether a trace may begin with this request. */
static bool is_worth_a_trace(const struct exchange *exchange)
{
    if (exchange->style == &grpc_style) {
        return grpc_is_predict(exchange);
    }
    enum metric_handler handler = exchange->route.handler;
    return handler == HANDLER_INVOCATIONS || handler == HANDLER_NONE;
}

static void record(struct exchange *exchange, const struct span_context *parent)
{
    struct exchange_trace *trace = arena_zalloc(&exchange->arena, 1, sizeof(*trace));
    if (trace == NULL) {
        return; /* the request goes on, and its own limit of memory will say so */
    }
    trace->parent_id = parent->span_id;
    trace->job.trace_id = exchange->span.trace_id;
    trace->job.run_id = span_id_make(&exchange->io->random);
    trace->client = arena_copy(&exchange->arena, exchange->client);
    exchange->trace = trace;
}

void exchange_trace_open(struct exchange *exchange)
{
    struct io_thread *io = exchange->io;
    struct span_context parent = read_parent(&exchange->request);
    bool is_called_for = parent.is_valid && (parent.is_sampled || io->spans == NULL);
    if (!is_called_for && (io->spans == NULL || !is_worth_a_trace(exchange))) {
        return;
    }
    exchange->span.is_valid = true;
    exchange->span.trace_id = parent.is_valid ? parent.trace_id : trace_id_make(&io->random);
    exchange->span.span_id = span_id_make(&io->random);
    trace_id_print(&exchange->span.trace_id, exchange->span_digits);
    span_id_print(&exchange->span.span_id, exchange->span_digits + TRACE_ID_DIGITS);
    exchange->span.is_sampled =
        io->spans != NULL &&
        sampler_decide(tracing_sampler(io->shared->tracing), &parent, &exchange->span.trace_id);
    if (exchange->span.is_sampled) {
        record(exchange, &parent);
    }
}

void exchange_trace_mark(const struct exchange *exchange, struct metrics_trace *ret_trace)
{
    const struct span_context *span = &exchange->span;
    memcpy(ret_trace->trace_id, span->trace_id.bytes, sizeof(ret_trace->trace_id));
    memcpy(ret_trace->span_id, span->span_id.bytes, sizeof(ret_trace->span_id));
    ret_trace->unix_ns = clock_realtime_ns();
}

/* ---- how far it came ---- */

static struct span_stages stages_of(const struct exchange *exchange)
{
    const struct exchange_trace *trace = exchange->trace;
    const struct inference *inference = &exchange->inference;
    const struct job *job = &inference->job;
    struct span_stages stages = {.started_ns = exchange->started_ns,
                                 .ended_ns = exchange->io->shared->clock_ns(),
                                 .invoked_ns = trace->invoked_ns};
    if (inference->decoded_ns != 0) {
        stages.decode_began_ns = inference->began_ns;
        stages.decode_ended_ns = inference->decoded_ns;
    }
    stages.submitted_ns = job->submitted_ns;
    if (job->fate == JOB_RAN && job->finished_ns != 0) {
        stages.run_began_ns = job->started_ns;
        stages.run_ended_ns = job->finished_ns;
        stages.encode_ended_ns = inference->encoded_ns;
        stages.leads_run = trace->job.leads_run;
    }
    return stages;
}

/* ---- what is said of it ---- */

/*
 * "host", "host:port", "[address]:port" (RFC 3986 section 3.2.2): the host without brackets, and the
 * port, 0 where there is none.
 */
static struct slice split_authority(struct slice authority, uint16_t *ret_port)
{
    bool is_literal = authority.len > 0 && authority.ptr[0] == '[';
    struct slice host = is_literal ? slice_tail(authority, 1) : authority;
    host = slice_head(host, slice_find(host, is_literal ? ']' : ':'));
    size_t skip = host.len + (is_literal ? 3 : 1);
    uint64_t port = 0;
    bool has_port = skip < authority.len && num_parse_u64(slice_tail(authority, skip), &port) &&
                    port <= UINT16_MAX;
    *ret_port = has_port ? (uint16_t)port : 0;
    return host;
}

static void put_ends(struct span_record *record, const struct exchange *exchange)
{
    struct slice server = split_authority(http_request_field(&exchange->request, SLICE("Host")),
                                          &record->server_port);
    struct slice client = split_authority(exchange->trace->client, &record->client_port);
    record->server = span_put_text(record, server, HOST_MAX);
    record->client = span_put_text(record, client, HOST_MAX);
}

static void put_trace_state(struct span_record *record, const struct http_request *request)
{
    struct trace_state state = {.count = 0};
    char text[TRACE_STATE_MAX_BYTES];
    for (size_t i = 0; i < request->field_count; i++) {
        if (slice_eq_nocase(request->fields[i].name, SLICE("tracestate"))) {
            trace_state_add(&state, request->fields[i].value);
        }
    }
    record->trace_state =
        span_put_text(record, slice_make(text, trace_state_write(&state, text)), sizeof(text));
}

/* A status of 5xx as text; static. */
static struct slice status_text(int status)
{
    static const char texts[][4] = {"500", "501", "502", "503", "504", "505"};
    size_t at = (size_t)(status - 500);
    return at < sizeof(texts) / sizeof(texts[0]) ? slice_make(texts[at], 3) : SLICE("_OTHER");
}

static void put_http(struct span_record *record, const struct exchange *exchange, int status)
{
    record->protocol = SPAN_HTTP;
    record->scheme = SLICE("http");
    record->route = router_pattern(&exchange->io->shared->settings, exchange->route);
    record->path = span_put_text(record, exchange->request.path, PATH_MAX_BYTES);
    record->is_error = status >= 500;
    if (record->is_error) {
        record->error_type = status_text(status);
    }
}

/* Which codes are the server's fault: semantic conventions for gRPC, "gRPC status". */
static void put_grpc(struct span_record *record, const struct exchange *exchange, int status)
{
    static const unsigned errors = 1u << GRPC_UNKNOWN | 1u << GRPC_DEADLINE_EXCEEDED |
                                   1u << GRPC_UNIMPLEMENTED | 1u << GRPC_INTERNAL |
                                   1u << GRPC_UNAVAILABLE | 1u << GRPC_DATA_LOSS;
    record->protocol = SPAN_GRPC;
    grpc_tell_method(exchange, &record->rpc_service, &record->rpc_method);
    record->is_error = status >= 0 && (errors >> status & 1) != 0;
    if (record->is_error) {
        record->error_type = metrics_grpc_status((enum grpc_status)status);
    }
}

/* The text of a 4xx tells of the client's data, and is the client's. */
static void put_failure(struct span_record *record, const struct error *failure)
{
    if (record->is_error && failure != NULL) {
        record->exception_type = metrics_grpc_status(error_grpc_status(failure->code));
        record->exception_text =
            span_put_text(record, slice_from_str(failure->text), EXCEPTION_MAX);
    }
}

static void put_inference(struct span_record *record, const struct exchange *exchange)
{
    const struct inference *inference = &exchange->inference;
    const struct job_trace *job = &exchange->trace->job;
    if (inference->arena != NULL) { /* it has had a slot, and was described */
        struct slice type = inference->content_type.len > 0
                                ? inference->content_type
                                : exchange->io->shared->settings.default_content_type;
        record->request_type = span_put_text(record, type, TYPE_MAX);
    }
    record->request_bytes =
        exchange->style == &grpc_style ? inference->body.len : exchange->request_bytes;
    record->rows = record->run_rows = inference->rows;
    record->run_requests = 1;
    record->run_failed = record->is_error && inference->job.status != ERR_OK;
    if (inference->encoded_ns != 0 && inference->status == ERR_OK) {
        record->response_type = media_content_type(inference->media);
    }
    if (job->was_shared) {
        record->run_trace_id = job->shared_trace_id;
        record->run_id = job->shared_run_id;
        record->run_rows = job->shared_rows;
        record->run_requests = inference->job.shared_by;
    }
}

static void fill(struct span_record *record, const struct exchange *exchange, int status)
{
    const struct exchange_trace *trace = exchange->trace;
    const struct http_request *request = &exchange->request;
    record->trace_id = exchange->span.trace_id;
    record->server_id = exchange->span.span_id;
    record->parent_id = trace->parent_id;
    record->status = status;
    if (span_id_is_set(&trace->parent_id)) {
        put_trace_state(record, request);
    }
    record->method = span_put_text(record, request->method, METHOD_MAX);
    if (exchange->style == &grpc_style) {
        put_grpc(record, exchange, status);
    } else {
        put_http(record, exchange, status);
    }
    if (status == EXCHANGE_TRACE_NO_STATUS) {
        record->error_type = SLICE("client_gone");
    }
    put_failure(record, trace->failure);
    if (trace->invoked_ns != 0) {
        put_inference(record, exchange);
    }
    put_ends(record, exchange);
    record->version = exchange->version;
    record->user_agent =
        span_put_text(record, http_request_field(request, SLICE("User-Agent")), AGENT_MAX);
}

void exchange_trace_close(struct exchange *exchange, int status)
{
    struct span_stages stages = stages_of(exchange);
    struct span_record *record = span_ring_take(exchange->io->spans, &stages);
    if (record != NULL) {
        fill(record, exchange, status);
        span_ring_put(exchange->io->spans);
    }
    exchange->trace = NULL;
}
