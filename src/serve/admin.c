#include "serve/admin.h"

#include "base/log.h"
#include "obs/process.h"
#include "serve/assets.h"
#include "http/gzip.h"
#include "serve/io_thread.h"
#include "serve/openapi.h"
#include "serve/rest.h"

#define TEXT_PLAIN SLICE("text/plain; charset=utf-8")

static void answer_probe(struct exchange *exchange, bool good)
{
    rest_respond(exchange, good ? 200 : 500, TEXT_PLAIN, SLICE("\n"));
}

static void answer_failed(struct exchange *exchange, const struct error *error)
{
    log_error("%.*s: %s", SLICE_FMT(exchange->request.path), error->text);
    rest_respond_error(exchange, 500, SLICE("internal_server_error"));
}

static void answer_metrics(struct exchange *exchange)
{
    struct server_shared *shared = exchange->io->shared;
    struct bytes *reply = &exchange->io->reply;
    process_measure(shared->metrics);
    metrics_set(shared->metrics, METRIC_UP, server_is_ready(shared));
    metrics_set(shared->metrics, METRIC_IN_FLIGHT, atomic_load(&shared->admission.in_use));
    metrics_set(shared->metrics, METRIC_CONNECTIONS, atomic_load(&shared->connections));
    if (exchange->io->deployment != NULL) {
        placement_measure(&exchange->io->deployment->placement, shared->metrics);
    }
    bytes_reset(reply, reply->capacity);
    if (metrics_write(shared->metrics, reply) != ERR_OK) {
        struct error error;
        error_set(&error, ERR_NO_MEMORY, "no memory for the metrics");
        answer_failed(exchange, &error);
        return;
    }
    rest_respond(exchange, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"),
                 bytes_slice(reply));
}

static void answer_openapi(struct exchange *exchange)
{
    const struct deployment *deployment = exchange->io->deployment;
    struct openapi_model model = {.ready = false};
    if (deployment != NULL) {
        const struct manifest *manifest = &deployment->manifest;
        model = (struct openapi_model){
            .name = deployment->name,
            .version = manifest->version,
            .signature = deployment->signature,
            .options = &deployment->codec_options,
            .example_content_type = manifest->example.content_type,
            .example_body = manifest->example.body,
            .feature_names = deployment->codec_options.feature_names,
            .feature_name_count = deployment->codec_options.feature_name_count,
            .ready = true,
        };
    }
    struct error error;
    struct bytes *reply = &exchange->io->reply;
    bytes_reset(reply, reply->capacity);
    if (openapi_write(&model, reply, &error) != ERR_OK) {
        answer_failed(exchange, &error);
        return;
    }
    rest_respond(exchange, 200, SLICE("application/yaml"), bytes_slice(reply));
}

/* A weight of zero: "q=0", with at most three zeros behind a point (RFC 9110 section 12.4.2). */
static bool is_refusal(struct slice weight)
{
    if (!slice_eq_nocase(slice_head(weight, 2), SLICE("q="))) {
        return false;
    }
    struct slice value = slice_tail(weight, 2);
    return value.len > 0 && slice_starts_with(SLICE("0.000"), value);
}

/* Whether gzip stands in Accept-Encoding and is not refused there (RFC 9110 section 12.5.3). */
static bool accepts_gzip(const struct exchange *exchange)
{
    struct slice rest = http_request_field(&exchange->request, SLICE("Accept-Encoding"));
    while (rest.ptr != NULL) {
        struct slice parameters = slice_cut(&rest, ',');
        struct slice coding = slice_trim(slice_cut(&parameters, ';'));
        if (slice_eq_nocase(coding, SLICE("gzip"))) {
            return !is_refusal(slice_trim(parameters));
        }
    }
    return false;
}

static int inflate_asset(const struct asset *asset, struct bytes *out, struct error *error)
{
    struct gunzip *gunzip = gunzip_new("Content-Encoding");
    if (gunzip == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory to decode the page");
    }
    bytes_reset(out, out->capacity);
    int status = gunzip_feed(gunzip, asset_bytes(asset), out, error);
    gunzip_free(gunzip);
    return status;
}

static void answer_asset(struct exchange *exchange)
{
    const struct asset *asset = asset_find(exchange->request.path);
    if (asset == NULL) {
        rest_respond_error(exchange, 404, SLICE("there is no such page"));
        return;
    }
    struct slice body = asset_bytes(asset);
    if (asset->policy.len > 0) {
        exchange_add_field(exchange, SLICE("Content-Security-Policy"), asset->policy);
    }
    if (asset->gzip) {
        exchange_add_field(exchange, SLICE("Vary"), SLICE("Accept-Encoding"));
    }
    if (asset->gzip && accepts_gzip(exchange)) {
        exchange_add_field(exchange, SLICE("Content-Encoding"), SLICE("gzip"));
    } else if (asset->gzip) {
        struct error error;
        if (inflate_asset(asset, &exchange->io->reply, &error) != ERR_OK) {
            answer_failed(exchange, &error);
            return;
        }
        body = bytes_slice(&exchange->io->reply);
    }
    rest_respond(exchange, 200, asset->content_type, body);
}

void admin_answer(struct exchange *exchange)
{
    switch (exchange->route.handler) {
    case HANDLER_LIVE:
    case HANDLER_HEALTHZ:
        answer_probe(exchange, true);
        return;
    case HANDLER_READY:
    case HANDLER_READYZ:
    case HANDLER_PING:
        answer_probe(exchange, server_is_ready(exchange->io->shared));
        return;
    case HANDLER_METRICS:
        answer_metrics(exchange);
        return;
    case HANDLER_OPENAPI:
        answer_openapi(exchange);
        return;
    case HANDLER_DOCS:
        answer_asset(exchange);
        return;
    default:
        rest_respond_error(exchange, 404, SLICE("there is no such path"));
        return;
    }
}
