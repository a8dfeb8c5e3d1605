#include "serve/infer.h"

#include <stddef.h>

#include "base/check.h"
#include "http/gzip.h"

/* A scratch buffer larger than this is given back before the next answer. */
#define SCRATCH_KEPT_BYTES ((size_t)256 * 1024)

static struct inference *of_job(struct job *job)
{
    return (struct inference *)(void *)((char *)job - offsetof(struct inference, job));
}

static struct inference *of_errand(struct errand *errand)
{
    return (struct inference *)(void *)((char *)errand - offsetof(struct inference, errand));
}

/* ---- the end ---- */

static void finish(struct inference *inference)
{
    struct deployment *deployment = inference->deployment;
    inference->finished(inference);
    deployment_unref(deployment);
}

static void fail(struct inference *inference, enum error_code code, const char *text)
{
    inference->status = (enum error_code)error_set(&inference->error, code, "%s", text);
    finish(inference);
}

void infer_done(struct inference *inference)
{
    bytes_done(&inference->own_reply);
}

/* ---- the answer ---- */

static void encode(struct inference *inference)
{
    const struct deployment *deployment = inference->deployment;
    inference->status = (enum error_code)codec_encode(deployment->plan, inference->accept_media,
                                                      inference->job.values, inference->reply,
                                                      &inference->media, &inference->error);
    for (size_t i = 0; i < deployment->target.wanted_count; i++) {
        value_done(&inference->job.values[i]);
    }
    inference->encoded_ns = inference->clock_ns();
}

static void answer(struct inference *inference)
{
    metrics_observe(inference->metrics, METRIC_ENCODE_DURATION, SERIES_NONE,
                    inference->encoded_ns - inference->job.finished_ns);
    finish(inference);
}

static void encode_elsewhere(struct errand *errand)
{
    encode(of_errand(errand));
}

static void on_encoded(struct errand *errand)
{
    answer(of_errand(errand));
}

/* Numbers and texts in a value, which encoding takes its time for. */
static uint64_t count_cells(const struct value *value)
{
    switch (value->kind) {
    case VALUE_TENSOR:
        return (uint64_t)tensor_elements(&value->tensor);
    case VALUE_MAP:
        return (uint64_t)tensor_elements(&value->mapped);
    case VALUE_SEQUENCE:
        /* Items of a sequence are alike. */
        if (value->item_count == 0) {
            return 0;
        }
        return value->items->kind == VALUE_SEQUENCE ? value->item_count
                                                    : value->item_count * count_cells(value->items);
    case VALUE_NONE:
        break;
    }
    return 0;
}

static bool is_large_answer(const struct inference *inference)
{
    uint64_t cells = 0;
    for (size_t i = 0; i < inference->deployment->target.wanted_count; i++) {
        cells += count_cells(&inference->job.values[i]);
    }
    return cells >= INFER_LARGE_ANSWER_CELLS;
}

static void job_done(struct job *job)
{
    struct inference *inference = of_job(job);
    codec_inputs_done(&inference->inputs);
    if (job->status != ERR_OK) {
        inference->status = job->status;
        inference->error = job->error;
        finish(inference);
    } else if (inference->tasks != NULL && is_large_answer(inference)) {
        inference->reply = &inference->own_reply;
        errand_run(&inference->errand, inference->tasks, inference->loop, encode_elsewhere,
                   on_encoded);
    } else {
        bytes_reset(inference->scratch, SCRATCH_KEPT_BYTES);
        inference->reply = inference->scratch;
        encode(inference);
        answer(inference);
    }
}

/* ---- the run ---- */

static void refuse(struct inference *inference, enum metric_rejection reason)
{
    metrics_count(inference->metrics, METRIC_REJECTIONS, reason, 1);
    codec_inputs_done(&inference->inputs);
    fail(inference, ERR_BUSY, "too_many_requests");
}

/* What has no time left is not told to come again. */
static void refuse_late(struct inference *inference)
{
    if (inference->deadline_ns > inference->clock_ns()) {
        refuse(inference, REJECTION_LATE);
        return;
    }
    metrics_count(inference->metrics, METRIC_JOBS_DROPPED, DROP_EXPIRED, 1);
    codec_inputs_done(&inference->inputs);
    fail(inference, ERR_TIMEOUT, "the request's time limit has passed");
}

static void submit(struct inference *inference)
{
    struct deployment *deployment = inference->deployment;
    struct job *job = &inference->job;
    job->values =
        arena_zalloc(inference->arena, deployment->target.wanted_count, sizeof(job->values[0]));
    if (job->values == NULL) {
        codec_inputs_done(&inference->inputs);
        fail(inference, ERR_NO_MEMORY, "no memory for the values of a request");
        return;
    }
    inference->rows = inference->inputs.rows;
    job->inputs = inference->inputs.tensors;
    job->rows = inference->inputs.rows;
    job->submitted_ns = inference->decoded_ns;
    job->deadline_ns = inference->deadline_ns;
    job->arena = inference->arena;
    job->owner = inference->owner;
    job->trace = inference->trace;
    job->done = job_done;
    int status =
        placement_submit(&deployment->placement, &deployment->target, inference->queue, job);
    if (status == ERR_OK) {
        return;
    }
    job->submitted_ns = 0; /* it was in no queue */
    if (status == ERR_TIMEOUT) {
        refuse_late(inference);
    } else {
        refuse(inference, REJECTION_QUEUE_FULL);
    }
}

/* ---- the request ---- */

static int decode_body(struct inference *inference, struct slice body)
{
    return codec_decode(inference->deployment->plan, inference->body_media, body, inference->arena,
                        &inference->inputs, &inference->error);
}

static int unpack(struct inference *inference, struct gunzip *gunzip, struct bytes *plain)
{
    if (gunzip == NULL) {
        return error_set(&inference->error, ERR_NO_MEMORY, "no memory to decode a gzip body");
    }
    int status = gunzip_feed(gunzip, inference->body, plain, &inference->error);
    return status == ERR_OK ? gunzip_finish(gunzip, &inference->error) : status;
}

static int decode_packed(struct inference *inference)
{
    struct bytes plain;
    struct gunzip *gunzip = gunzip_new("Content-Encoding");
    bytes_init(&plain, inference->packed_max_bytes);
    int status = unpack(inference, gunzip, &plain);
    gunzip_free(gunzip);
    if (status == ERR_OK) {
        status = decode_body(inference, bytes_slice(&plain));
    }
    bytes_done(&plain);
    return status;
}

static void decode(struct inference *inference)
{
    inference->began_ns = inference->clock_ns();
    inference->status = (enum error_code)(inference->packed_max_bytes > 0
                                              ? decode_packed(inference)
                                              : decode_body(inference, inference->body));
    inference->decoded_ns = inference->clock_ns();
}

static void run_decoded(struct inference *inference)
{
    if (inference->status != ERR_OK) {
        finish(inference);
        return;
    }
    metrics_observe(inference->metrics, METRIC_DECODE_DURATION, SERIES_NONE,
                    inference->decoded_ns - inference->began_ns);
    submit(inference);
}

/* Whether nobody waits for the answer any more, after a time in a queue. */
static bool is_dead(const struct inference *inference)
{
    return atomic_load_explicit(&inference->job.cancelled, memory_order_relaxed) ||
           (inference->deadline_ns != 0 && inference->clock_ns() >= inference->deadline_ns);
}

static void decode_elsewhere(struct errand *errand)
{
    struct inference *inference = of_errand(errand);
    if (is_dead(inference)) {
        inference->status = (enum error_code)error_set(&inference->error, ERR_TIMEOUT,
                                                       "the request's time limit has passed");
        return;
    }
    decode(inference);
}

static void on_decoded(struct errand *errand)
{
    run_decoded(of_errand(errand));
}

static int choose_media(struct inference *inference)
{
    const struct settings *settings = &inference->deployment->settings;
    struct slice content_type =
        inference->content_type.len > 0 ? inference->content_type : settings->default_content_type;
    inference->body_media = media_parse(content_type);
    if (inference->body_media == MEDIA_NONE) {
        struct slice shown = slice_head(content_type, 128);
        return error_set(&inference->error, ERR_INVALID, "Unsupported Content-Type: %.*s",
                         SLICE_FMT(shown));
    }
    inference->accept_media = media_negotiate(inference->accept, inference->deployment->media);
    return ERR_OK;
}

static bool is_large_body(const struct inference *inference)
{
    return inference->body.len >=
           (inference->packed_max_bytes > 0 ? INFER_LARGE_GZIP_BYTES : INFER_LARGE_BODY_BYTES);
}

void infer_start(struct inference *inference, struct deployment *deployment,
                 struct inline_queue *queue)
{
    inference->deployment = deployment_ref(deployment);
    inference->queue = queue;
    bytes_init(&inference->own_reply, INFER_REPLY_MAX_BYTES);
    atomic_init(&inference->job.cancelled, false);
    inference->status = (enum error_code)choose_media(inference);
    if (inference->status != ERR_OK) {
        finish(inference);
    } else if (placement_is_late(&deployment->placement, inference->deadline_ns)) {
        refuse_late(inference);
    } else if (inference->tasks != NULL && is_large_body(inference)) {
        errand_run(&inference->errand, inference->tasks, inference->loop, decode_elsewhere,
                   on_decoded);
    } else {
        decode(inference);
        run_decoded(inference);
    }
}

void infer_cancel(struct inference *inference)
{
    atomic_store_explicit(&inference->job.cancelled, true, memory_order_relaxed);
}
