#include "serve/admin.h"

#include "serve/assets.h"
#include "http/gzip.h"
#include "serve/io_thread.h"
#include "serve/openapi.h"
#include "serve/rest.h"
#include "serve/scrape.h"
#include "serve/ui.h"

#define TEXT_PLAIN SLICE("text/plain; charset=utf-8")

static void answer_probe(struct exchange *exchange, bool good)
{
    rest_respond(exchange, good ? 200 : 500, TEXT_PLAIN, SLICE("\n"));
}

static void answer_failed(struct exchange *exchange, const struct error *error)
{
    struct slice shown = slice_head(exchange->request.path, 200);
    exchange_log_error(exchange, "%.*s: %s", SLICE_FMT(shown), error->text);
    rest_respond_error(exchange, 500, SLICE("internal_server_error"));
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

static bool accepts_gzip(const struct exchange *exchange)
{
    struct slice field = http_request_field(&exchange->request, SLICE("Accept-Encoding"));
    return http_weight(field, SLICE("gzip")) > 0;
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

/* What the page at /ui asks for. It changes with the model, so no cache may keep it. */
static void answer_ui_model(struct exchange *exchange)
{
    struct server_shared *shared = exchange->io->shared;
    struct deployment *deployment = exchange->io->deployment;
    struct ui_model model;
    if (deployment != NULL) {
        model = (struct ui_model){
            .name = deployment->name,
            .kind = model_kind_name(deployment->artifact.kind),
            .manifest = &deployment->manifest,
            .signature = deployment->signature,
            .options = &deployment->codec_options,
            .wanted = deployment->target.wanted,
            .wanted_count = deployment->target.wanted_count,
            .answer = deployment->media,
            .execution = deployment->settings.execution,
            .pooled = atomic_load(&deployment->placement.execution.pooled),
            .batchable = deployment->target.batchable,
            .max_rows = deployment->target.max_rows,
        };
    }
    struct error error;
    struct bytes *reply = &exchange->io->reply;
    bytes_reset(reply, reply->capacity);
    if (ui_write_model(&shared->settings, io_thread_is_ready(exchange->io),
                       deployment == NULL ? NULL : &model, reply, &error) != ERR_OK) {
        answer_failed(exchange, &error);
        return;
    }
    exchange_add_field(exchange, SLICE("Cache-Control"), SLICE("no-store"));
    rest_respond(exchange, 200, SLICE("application/json"), bytes_slice(reply));
}

static void answer_ui(struct exchange *exchange)
{
    if (slice_eq(exchange->request.path, SLICE("/ui/model.json"))) {
        answer_ui_model(exchange);
    } else {
        answer_asset(exchange);
    }
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
        answer_probe(exchange, io_thread_is_ready(exchange->io));
        return;
    case HANDLER_METRICS:
        scrape_answer(exchange);
        return;
    case HANDLER_OPENAPI:
        answer_openapi(exchange);
        return;
    case HANDLER_DOCS:
        answer_asset(exchange);
        return;
    case HANDLER_UI:
        answer_ui(exchange);
        return;
    default:
        rest_respond_error(exchange, 404, SLICE("there is no such path"));
        return;
    }
}
