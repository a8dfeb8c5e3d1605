#include "serve/infer.h"

#include <stddef.h>

#include "base/log.h"

/* A reply buffer larger than this is given back before the next answer. */
#define REPLY_KEPT_BYTES ((size_t)256 * 1024)

/* What the cause of a server's failure is goes to the log; the client learns only that it failed. */
static void log_failure(const struct inference *inference)
{
    if (error_http_status(inference->status) >= 500 && inference->status != ERR_TIMEOUT) {
        log_error("inference failed: %s", inference->error.text);
    }
}

static void finish(struct inference *inference, enum error_code status)
{
    inference->status = status;
    log_failure(inference);
    inference->finished(inference);
}

static uint64_t observe_since(struct inference *inference, enum metric metric, uint64_t before_ns)
{
    uint64_t now_ns = inference->clock_ns();
    metrics_observe(inference->metrics, metric, SERIES_NONE, now_ns - before_ns);
    return now_ns;
}

static void job_done(struct job *job)
{
    struct inference *inference =
        (struct inference *)(void *)((char *)job - offsetof(struct inference, job));
    struct deployment *deployment = inference->deployment;
    enum error_code status = job->status;
    codec_inputs_done(&inference->inputs);
    if (status == ERR_OK) {
        bytes_reset(inference->reply, REPLY_KEPT_BYTES);
        status =
            (enum error_code)codec_encode(deployment->plan, inference->accept_media, job->values,
                                          inference->reply, &inference->media, &inference->error);
        observe_since(inference, METRIC_ENCODE_DURATION, job->finished_ns);
        for (size_t i = 0; i < deployment->target.wanted_count; i++) {
            value_done(&job->values[i]);
        }
    } else {
        inference->error = job->error;
    }
    finish(inference, status);
    deployment_unref(deployment);
}

static int decode(struct inference *inference, const struct deployment *deployment)
{
    const struct settings *settings = &deployment->settings;
    struct slice content_type =
        inference->content_type.len > 0 ? inference->content_type : settings->default_content_type;
    enum media media = media_parse(content_type);
    if (media == MEDIA_NONE) {
        struct slice shown = slice_head(content_type, 128);
        return error_set(&inference->error, ERR_INVALID, "Unsupported Content-Type: %.*s",
                         SLICE_FMT(shown));
    }
    enum media fallback = media_negotiate(settings->default_accept, MEDIA_JSON);
    inference->accept_media = media_negotiate(inference->accept, fallback);
    return codec_decode(deployment->plan, media, inference->body, inference->arena,
                        &inference->inputs, &inference->error);
}

static void refuse_job(struct inference *inference)
{
    struct deployment *deployment = inference->deployment;
    metrics_count(inference->metrics, METRIC_REJECTIONS, REJECTION_QUEUE_FULL, 1);
    codec_inputs_done(&inference->inputs);
    error_set(&inference->error, ERR_BUSY, "too_many_requests");
    finish(inference, ERR_BUSY);
    deployment_unref(deployment);
}

void infer_start(struct inference *inference, struct deployment *deployment,
                 struct inline_queue *queue)
{
    uint64_t before_ns = inference->clock_ns();
    enum error_code status = (enum error_code)decode(inference, deployment);
    if (status != ERR_OK) {
        finish(inference, status);
        return;
    }
    uint64_t now_ns = observe_since(inference, METRIC_DECODE_DURATION, before_ns);
    struct value *values =
        arena_zalloc(inference->arena, deployment->target.wanted_count, sizeof(values[0]));
    if (values == NULL) {
        codec_inputs_done(&inference->inputs);
        error_set(&inference->error, ERR_NO_MEMORY, "no memory for the values of a request");
        finish(inference, ERR_NO_MEMORY);
        return;
    }
    inference->rows = inference->inputs.rows;
    inference->deployment = deployment_ref(deployment);
    struct job *job = &inference->job;
    job->inputs = inference->inputs.tensors;
    job->rows = inference->inputs.rows;
    job->submitted_ns = now_ns;
    job->deadline_ns = inference->deadline_ns;
    job->arena = inference->arena;
    job->values = values;
    job->owner = inference->owner;
    job->done = job_done;
    atomic_init(&job->cancelled, false);
    if (placement_submit(&deployment->placement, queue, job) != ERR_OK) {
        refuse_job(inference);
    }
}

void infer_cancel(struct inference *inference)
{
    atomic_store_explicit(&inference->job.cancelled, true, memory_order_relaxed);
}
