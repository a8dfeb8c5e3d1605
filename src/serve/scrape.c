#include "serve/scrape.h"

#include <stddef.h>

#include "base/log.h"
#include "http/gzip.h"
#include "http/message.h"
#include "obs/metrics_text.h"
#include "obs/process.h"
#include "serve/errand.h"
#include "serve/io_thread.h"
#include "serve/rest.h"

/* Many times what there is to say; a scrape is refused rather than let grow. */
#define TEXT_MAX_BYTES ((size_t)16 * 1024 * 1024)
/* Room for the text of one model, so that a scrape allocates once. */
#define TEXT_USUAL_BYTES ((size_t)96 * 1024)

_Static_assert((int)KILL_TIMEOUT == (int)BACKEND_KILL_TIMEOUT &&
                   (int)KILL_MEMORY == (int)BACKEND_KILL_MEMORY &&
                   (int)KILL_PROTOCOL == (int)BACKEND_KILL_PROTOCOL &&
                   (int)KILL_COUNT == (int)BACKEND_KILLS,
               "the label's values stand in the order of the backend's reasons");

/* In its exchange's arena. */
struct scrape {
    struct exchange *exchange;
    struct errand errand;
    struct deployment *deployment; /* referenced until it is measured; NULL: none */
    enum metrics_format format;
    bool wants_gzip;
    int status;
    struct bytes text;
};

static struct scrape *of_errand(struct errand *errand)
{
    return (struct scrape *)(void *)((char *)errand - offsetof(struct scrape, errand));
}

/* ---- the work ---- */

static void measure_workers(const struct deployment *deployment, struct metrics *metrics)
{
    struct backend_figures figures = {0};
    if (deployment->backend->measure == NULL) {
        return;
    }
    deployment->backend->measure(deployment->model, &figures);
    const unsigned model = deployment->metrics_model;
    metrics_set_of_model(metrics, model, METRIC_WORKERS, SERIES_NONE, figures.workers);
    metrics_set_of_model(metrics, model, METRIC_WORKER_STARTS, SERIES_NONE, figures.starts);
    metrics_set_of_model(metrics, model, METRIC_WORKER_DEATHS, SERIES_NONE, figures.deaths);
    metrics_set_of_model(metrics, model, METRIC_WORKER_RESIDENT, SERIES_NONE,
                         figures.resident_bytes);
    for (unsigned kill = 0; kill < BACKEND_KILLS; kill++) {
        metrics_set_of_model(metrics, model, METRIC_WORKER_KILLS, kill, figures.kills[kill]);
    }
}

/* A reload may have put another model in service meanwhile: this one's figures are its own. */
static void measure(const struct server_shared *shared, const struct deployment *deployment)
{
    struct metrics *metrics = shared->metrics;
    process_measure(metrics);
    metrics_set(metrics, METRIC_UP, server_is_ready(shared, deployment));
    metrics_set(metrics, METRIC_SLOTS, shared->admission.slots);
    metrics_set(metrics, METRIC_IN_FLIGHT, atomic_load(&shared->admission.in_use));
    metrics_set(metrics, METRIC_SLOTS_WAITING, atomic_load(&shared->admission.waiting));
    metrics_set_series(metrics, METRIC_LOG_LINES_DROPPED, LOG_DROP_FULL, log_lines_refused());
    metrics_set_series(metrics, METRIC_LOG_LINES_DROPPED, LOG_DROP_LIMITED, log_lines_limited());
    tracing_measure(shared->tracing, metrics);
    if (deployment != NULL) {
        placement_measure(&deployment->placement, metrics, deployment->metrics_model);
        measure_workers(deployment, metrics);
    }
}

static const char *runtime_version(const struct deployment *deployment)
{
    struct slice library = deployment->settings.onnx_runtime_library;
    struct error error;
    const char *version = NULL;
    if (deployment->backend->version != NULL) {
        version = deployment->backend->version(library.len == 0 ? NULL : library.ptr, &error);
    }
    return version == NULL ? "" : version;
}

static int write_text(const struct scrape *scrape, struct bytes *text)
{
    const struct deployment *deployment = scrape->deployment;
    struct slice facts[METRIC_FACTS];
    struct metrics_view view = {.format = scrape->format};
    if (deployment != NULL) {
        facts[0] = deployment->manifest.version;
        facts[1] = slice_from_str(deployment->backend->name);
        facts[2] = slice_from_str(runtime_version(deployment));
        view.model_facts = facts;
        view.model = deployment->metrics_model;
    }
    if (bytes_reserve(text, TEXT_USUAL_BYTES) == NULL) {
        return ERR_NO_MEMORY;
    }
    return metrics_write(scrape->exchange->io->shared->metrics, &view, text);
}

/* The text in gzip takes the place of the text. */
static int pack(struct bytes *text)
{
    struct bytes packed;
    struct gzip *gzip = gzip_new();
    bytes_init(&packed, TEXT_MAX_BYTES);
    int status = gzip == NULL ? ERR_NO_MEMORY : gzip_feed(gzip, bytes_slice(text), &packed);
    if (status == ERR_OK) {
        status = gzip_finish(gzip, &packed);
    }
    gzip_free(gzip);
    bytes_done(text);
    *text = packed;
    return status;
}

static void measure_and_write(struct scrape *scrape)
{
    measure(scrape->exchange->io->shared, scrape->deployment);
    scrape->status = write_text(scrape, &scrape->text);
    if (scrape->status == ERR_OK && scrape->wants_gzip) {
        scrape->status = pack(&scrape->text);
    }
}

static void work(struct errand *errand)
{
    struct scrape *scrape = of_errand(errand);
    if (!exchange_is_abandoned(scrape->exchange)) {
        measure_and_write(scrape);
    }
    deployment_unref(scrape->deployment);
}

/* ---- the answer ---- */

static void fail(struct exchange *exchange)
{
    error_set(&exchange->error, ERR_NO_MEMORY, "no memory for the metrics");
    exchange_log_failure(exchange, ERR_NO_MEMORY);
    exchange_refuse(exchange);
}

static void refuse(struct exchange *exchange, enum metric_rejection reason)
{
    metrics_count(exchange->io->metrics, METRIC_REJECTIONS, reason, 1);
    error_set(&exchange->error, ERR_BUSY, "too_many_requests");
    exchange_refuse(exchange);
}

/* The client may not take what it asked for: then so many texts may not wait for it. */
static bool is_taken(struct exchange *exchange)
{
    if (exchange->outlet->takes(exchange, bytes_len(&exchange->kept_reply))) {
        return true;
    }
    bytes_done(&exchange->kept_reply);
    refuse(exchange, REJECTION_CONNECTION_FULL);
    return false;
}

static void answer(struct scrape *scrape)
{
    struct exchange *exchange = scrape->exchange;
    if (scrape->status != ERR_OK) {
        bytes_done(&scrape->text);
        fail(exchange);
        return;
    }
    exchange->kept_reply = scrape->text;
    if (is_taken(exchange)) {
        exchange_add_field(exchange, SLICE("Vary"), SLICE("Accept, Accept-Encoding"));
        if (scrape->wants_gzip) {
            exchange_add_field(exchange, SLICE("Content-Encoding"), SLICE("gzip"));
        }
        exchange->response_storage = &exchange->kept_reply;
        rest_respond(exchange, 200, metrics_content_type(scrape->format),
                     bytes_slice(&exchange->kept_reply));
    }
}

static void on_written(struct errand *errand)
{
    struct scrape *scrape = of_errand(errand);
    scrape->exchange->io->scrapes--;
    if (scrape->exchange->owner == NULL) {
        bytes_done(&scrape->text); /* nobody waits for it any more */
    }
    if (exchange_return(scrape->exchange)) {
        answer(scrape);
    }
}

/* ---- the request ---- */

static enum metrics_format wanted_format(const struct http_request *request)
{
    struct slice accept = http_request_field(request, SLICE("Accept"));
    unsigned open = http_weight(accept, SLICE("application/openmetrics-text"));
    unsigned plain = http_weight(accept, SLICE("text/plain"));
    return open > 0 && open >= plain ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

void scrape_answer(struct exchange *exchange)
{
    struct io_thread *io = exchange->io;
    if (io->scrapes >= SCRAPES_MAX) {
        refuse(exchange, REJECTION_QUEUE_FULL);
        return;
    }
    struct scrape *scrape = arena_zalloc(&exchange->arena, 1, sizeof(*scrape));
    if (scrape == NULL) {
        fail(exchange);
        return;
    }
    scrape->exchange = exchange;
    scrape->format = wanted_format(&exchange->request);
    scrape->wants_gzip =
        http_weight(http_request_field(&exchange->request, SLICE("Accept-Encoding")),
                    SLICE("gzip")) > 0;
    scrape->deployment = io->deployment == NULL ? NULL : deployment_ref(io->deployment);
    bytes_init(&scrape->text, TEXT_MAX_BYTES);
    if (io->shared->tasks == NULL) {
        work(&scrape->errand);
        answer(scrape);
        return;
    }
    io->scrapes++;
    exchange_leave(exchange);
    errand_run(&scrape->errand, io->shared->tasks, io->loop, work, on_written);
}
