#include "obs/otlp.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/sys.h"
#include "http/gzip.h"
#include "obs/otlp_retry.h"

/* Requests come first: when they want all cores, spans wait, and are dropped where they are too many. */
#define OTLP_NICE 10
/* A batch ends before its spans do when it is so large: collectors have limits. */
#define BODY_FULL_BYTES ((size_t)2 * 1024 * 1024)
#define BODY_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define BODY_KEPT_BYTES ((size_t)512 * 1024)
#define PROBLEM_MAX 512
#define CLOCK_STEP_NS CLOCK_NS_PER_MS
/* Tries to read both clocks at one moment. */
#define CLOCK_READINGS 8

struct otlp {
    struct otlp_options options;
    pthread_t thread;
    struct otlp_origin origin;
    struct random random;
    struct gzip *gzip; /* NULL: bodies are not packed */
    struct bytes body, packed;
    bool stopping;          /* stop_fd was seen */
    bool is_lost;           /* the last batch was not taken */
    uint64_t not_before_ns; /* the collector is left alone until then */
    unsigned refusals;      /* batches that it refused, one after the other */
    uint64_t dropped_told;  /* by the queue, that complaints have in them */
    struct otlp_complaints complaints;
    /* Of the record at the front of the queue. */
    struct span spans[SPAN_ROLES];
    unsigned span_count, span_at;
    uint64_t offset_ns; /* of CLOCK_REALTIME to CLOCK_MONOTONIC */

    _Atomic uint64_t exported, given_up;
};

/* ---- waiting ---- */

/* Until the time comes, the server stops, or (where `wakes`) the queue asks to be read, which it returns. */
static bool wait_until(struct otlp *otlp, uint64_t until_ns, bool wakes)
{
    struct pollfd fds[] = {{.fd = otlp->options.stop_fd, .events = POLLIN},
                           {.fd = wakes ? otlp->options.wake_fd : -1, .events = POLLIN}};
    uint64_t now_ns = otlp->options.clock_ns();
    while (!otlp->stopping && now_ns < until_ns && fds[1].revents == 0) {
        uint64_t ms = (until_ns - now_ns) / CLOCK_NS_PER_MS + 1;
        (void)poll(fds, 2, ms < 60000 ? (int)ms : 60000);
        otlp->stopping = fds[0].revents != 0;
        now_ns = otlp->options.clock_ns();
    }
    uint64_t count;
    return fds[1].revents != 0 && read(otlp->options.wake_fd, &count, sizeof(count)) > 0;
}

static uint64_t give_up_ns(const struct otlp *otlp)
{
    return otlp->stopping ? atomic_load(otlp->options.give_up_ns) : UINT64_MAX;
}

/* ---- problems ---- */

static void tell(const struct otlp *otlp, const struct otlp_complaints *since, const char *what)
{
    char text[PROBLEM_MAX];
    int len = snprintf(text, sizeof(text), "traces: %s: %llu spans lost", what,
                       (unsigned long long)since->spans);
    if (since->exports > 1 && len > 0 && (size_t)len < sizeof(text)) {
        snprintf(text + len, sizeof(text) - (size_t)len, ", with %llu exports",
                 (unsigned long long)since->exports);
    }
    otlp->options.on_problem(text);
}

/* Of that many failed exports; with them what the queue had no room for since then. */
static void complain(struct otlp *otlp, unsigned exports, uint64_t spans, const char *what)
{
    uint64_t dropped = span_queue_dropped(otlp->options.queue);
    struct otlp_complaints since;
    spans += dropped - otlp->dropped_told;
    otlp->dropped_told = dropped;
    if (otlp_complain(&otlp->complaints, exports, spans, otlp->options.clock_ns(), &since)) {
        tell(otlp, &since, what);
    }
}

static void complain_of_room(struct otlp *otlp)
{
    if (span_queue_dropped(otlp->options.queue) != otlp->dropped_told) {
        complain(otlp, 0, 0, "more came than OTEL_BSP_MAX_QUEUE_SIZE has room for");
    }
}

/* What was not told, since a line has been less than a minute ago. */
static void complain_at_the_end(struct otlp *otlp)
{
    complain_of_room(otlp);
    if (otlp->complaints.spans > 0) {
        tell(otlp, &otlp->complaints, "since the last such line");
    }
}

static void give_up(struct otlp *otlp, unsigned spans, const char *what)
{
    otlp->is_lost = true;
    atomic_fetch_add_explicit(&otlp->given_up, spans, memory_order_relaxed);
    complain(otlp, 1, spans, what);
}

static void give_up_reply(struct otlp *otlp, unsigned spans, const struct otlp_reply *reply)
{
    char what[PROBLEM_MAX / 2];
    if (reply->status == OTLP_NO_STATUS) {
        snprintf(what, sizeof(what), "the collector cannot be reached: %s", reply->problem);
    } else {
        snprintf(what, sizeof(what), "the collector answers %d", reply->status);
    }
    give_up(otlp, spans, what);
}

/* ---- a batch ---- */

/* What the wall clock is ahead; false where the thread was held up between the readings. */
static bool read_offset(const struct otlp *otlp, uint64_t *ret_offset_ns)
{
    for (int i = 0; i < CLOCK_READINGS; i++) {
        uint64_t before_ns = otlp->options.clock_ns();
        uint64_t wall_ns = otlp->options.wall_ns();
        uint64_t took_ns = otlp->options.clock_ns() - before_ns;
        *ret_offset_ns = wall_ns - before_ns - took_ns / 2;
        if (took_ns < CLOCK_STEP_NS / 4) {
            return true;
        }
    }
    return false;
}

/*
 * Reading two clocks takes a moment, never the same: a difference that is smaller than a step of the
 * clock is none, so that spans made at different times still nest.
 */
static void compare_clocks(struct otlp *otlp)
{
    uint64_t offset_ns;
    bool is_sure = read_offset(otlp, &offset_ns);
    bool differs = offset_ns - otlp->offset_ns + CLOCK_STEP_NS > 2 * CLOCK_STEP_NS;
    if (differs && (is_sure || otlp->offset_ns == 0)) {
        otlp->offset_ns = offset_ns;
    }
}

static void expand_front(struct otlp *otlp, const struct span_record *record)
{
    if (otlp->span_at == otlp->span_count) {
        compare_clocks(otlp);
        otlp->span_count = span_expand(record, &otlp->random, otlp->spans);
        otlp->span_at = 0;
    }
}

/* Moves spans into the body until it, or the batch, is full. How many. */
static unsigned fill(struct otlp *otlp)
{
    const struct span_record *record;
    unsigned spans = 0;
    while (spans < otlp->options.batch_spans && bytes_len(&otlp->body) < BODY_FULL_BYTES &&
           (record = span_queue_front(otlp->options.queue)) != NULL) {
        expand_front(otlp, record);
        if (otlp_put_span(&otlp->body, record, &otlp->spans[otlp->span_at], otlp->offset_ns) !=
            ERR_OK) {
            break;
        }
        spans++;
        otlp->span_at++;
        if (otlp->span_at == otlp->span_count) {
            span_queue_drop_front(otlp->options.queue);
        }
    }
    return spans;
}

static int pack(struct otlp *otlp, struct slice *body)
{
    bytes_reset(&otlp->packed, BODY_KEPT_BYTES);
    int status = gzip_feed(otlp->gzip, *body, &otlp->packed);
    if (status == ERR_OK) {
        status = gzip_finish(otlp->gzip, &otlp->packed);
    }
    if (status != ERR_OK) {
        gzip_reset(otlp->gzip);
        return status;
    }
    *body = bytes_slice(&otlp->packed);
    return ERR_OK;
}

static void count_taken(struct otlp *otlp, unsigned spans, const struct otlp_reply *reply)
{
    struct otlp_verdict verdict;
    struct error error;
    uint64_t rejected = 0;
    if (otlp_read_response(reply->body, &verdict, &error) == ERR_OK &&
        (verdict.rejected_spans > 0 || verdict.message.len > 0)) {
        char what[PROBLEM_MAX / 2];
        struct slice message = slice_head(verdict.message, 200);
        rejected = verdict.rejected_spans < spans ? verdict.rejected_spans : spans;
        snprintf(what, sizeof(what), "the collector says \"%.*s\"", SLICE_FMT(message));
        complain(otlp, 1, rejected, what);
    }
    atomic_fetch_add_explicit(&otlp->exported, spans - rejected, memory_order_relaxed);
    atomic_fetch_add_explicit(&otlp->given_up, rejected, memory_order_relaxed);
}

/* Whether another attempt has its time; waits for it. */
static bool wait_for_retry(struct otlp *otlp, unsigned failures, const struct otlp_reply *reply,
                           uint64_t end_ns)
{
    uint64_t now_ns = otlp->options.clock_ns();
    uint64_t at_ns =
        now_ns + otlp_retry_delay_ns(failures, reply->retry_after_ns, random_next(&otlp->random));
    if (reply->retry_after_ns > 0) {
        otlp->not_before_ns = now_ns + reply->retry_after_ns;
    }
    if (otlp->stopping || at_ns >= end_ns) {
        return false;
    }
    (void)wait_until(otlp, at_ns, false);
    return true; /* also where the server stops meanwhile: once more, and no more */
}

/*
 * One batch may be wrong by itself. Who refuses the next one too, is asked less and less often: what
 * it would refuse is dropped from the queue, where that costs nothing.
 */
static void note_refusal(struct otlp *otlp, const struct otlp_reply *reply)
{
    uint64_t now_ns = otlp->options.clock_ns();
    otlp->refusals++;
    if (otlp->refusals > 1) {
        otlp->not_before_ns =
            now_ns + otlp_retry_delay_ns(otlp->refusals - 1, reply->retry_after_ns,
                                         random_next(&otlp->random));
    }
}

static void send_batch(struct otlp *otlp, struct slice body, unsigned spans)
{
    uint64_t end_ns = otlp->options.clock_ns() + otlp->options.batch_ns;
    for (unsigned failures = 1;; failures++) {
        uint64_t attempt_end_ns = otlp->options.clock_ns() + otlp->options.attempt_ns;
        struct otlp_reply reply;
        attempt_end_ns = attempt_end_ns < end_ns ? attempt_end_ns : end_ns;
        attempt_end_ns = attempt_end_ns < give_up_ns(otlp) ? attempt_end_ns : give_up_ns(otlp);
        otlp->options.post(otlp->options.transport, body, attempt_end_ns, &reply);
        enum otlp_outcome outcome = otlp_judge(reply.status);
        if (outcome == OTLP_TAKEN) {
            otlp->refusals = 0;
            count_taken(otlp, spans, &reply);
            return;
        }
        if (outcome == OTLP_REFUSED) {
            note_refusal(otlp, &reply);
        }
        if (outcome == OTLP_REFUSED || !wait_for_retry(otlp, failures, &reply, end_ns)) {
            give_up_reply(otlp, spans, &reply);
            return;
        }
    }
}

/* False where nothing waits, or there is no memory to send it. */
static bool export_batch(struct otlp *otlp)
{
    bytes_reset(&otlp->body, BODY_KEPT_BYTES);
    if (span_queue_front(otlp->options.queue) == NULL ||
        otlp_begin(&otlp->body, &otlp->origin) != ERR_OK) {
        return false;
    }
    unsigned spans = fill(otlp);
    if (spans == 0) {
        return false;
    }
    otlp_end(&otlp->body, &otlp->origin);
    struct slice body = bytes_slice(&otlp->body);
    if (otlp->gzip != NULL && pack(otlp, &body) != ERR_OK) {
        give_up(otlp, spans, "no memory to compress them");
        return true;
    }
    send_batch(otlp, body, spans);
    return true;
}

/* ---- the thread ---- */

static bool is_batch_full(const struct otlp *otlp)
{
    return span_queue_waiting(otlp->options.queue) >= otlp->options.batch_spans;
}

/*
 * All that waits when the time has come. Else, where the queue asks for it, one batch, and then those
 * that are full: a queue that takes no more may hold less than one, since records are taken whole.
 */
static void export_due(struct otlp *otlp, bool is_time, bool is_asked)
{
    while (!otlp->stopping && (is_time || is_asked || is_batch_full(otlp))) {
        (void)wait_until(otlp, otlp->not_before_ns, false);
        if (otlp->stopping || !export_batch(otlp)) {
            break;
        }
        is_asked = false;
    }
}

/* Of the record at the front, those that were in a batch are counted already. */
static unsigned count_left(const struct otlp *otlp)
{
    unsigned sent = otlp->span_at < otlp->span_count ? otlp->span_at : 0;
    return span_queue_waiting(otlp->options.queue) - sent;
}

/* The last ones: until one fails, or the time is over. */
static void flush(struct otlp *otlp)
{
    otlp->is_lost = false;
    while (otlp->options.clock_ns() < give_up_ns(otlp) && !otlp->is_lost && export_batch(otlp)) {}
    unsigned left = count_left(otlp);
    if (left > 0) {
        give_up(otlp, left, "the server stops");
    }
    complain_at_the_end(otlp);
}

static void *run(void *argument)
{
    struct otlp *otlp = argument;
    (void)setpriority(PRIO_PROCESS, 0, OTLP_NICE); /* a wish, as for the task threads */
    while (!otlp->stopping) {
        uint64_t due_ns = otlp->options.clock_ns() + otlp->options.schedule_ns;
        bool is_time = false;
        while (!otlp->stopping && !is_time) {
            bool is_asked = wait_until(otlp, due_ns, true);
            is_time = otlp->options.clock_ns() >= due_ns;
            export_due(otlp, is_time, is_asked);
            complain_of_room(otlp); /* after a failed export's complaint, which has the reason */
        }
    }
    flush(otlp);
    return NULL;
}

/* ---- life ---- */

static void free_otlp(struct otlp *otlp)
{
    otlp_origin_done(&otlp->origin);
    gzip_free(otlp->gzip);
    bytes_done(&otlp->body);
    bytes_done(&otlp->packed);
    mem_free(otlp);
}

static int prepare(struct otlp *otlp, const struct otlp_options *options)
{
    otlp->options = *options;
    bytes_init(&otlp->body, BODY_MAX_BYTES);
    bytes_init(&otlp->packed, BODY_MAX_BYTES);
    random_seed(&otlp->random);
    if (otlp_origin_init(&otlp->origin, options->attributes, options->attribute_count,
                         options->version) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    otlp->gzip = options->is_gzip ? gzip_new() : NULL;
    return options->is_gzip && otlp->gzip == NULL ? ERR_NO_MEMORY : ERR_OK;
}

int otlp_start(const struct otlp_options *options, struct otlp **ret_otlp, struct error *error)
{
    CHECK(options->batch_spans > 0);
    struct otlp *otlp = mem_zalloc(1, sizeof(*otlp));
    if (otlp == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory to export traces");
    }
    if (prepare(otlp, options) != ERR_OK) {
        free_otlp(otlp);
        return error_set(error, ERR_NO_MEMORY, "no memory to export traces");
    }
    int failed = pthread_create(&otlp->thread, NULL, run, otlp);
    if (failed != 0) {
        free_otlp(otlp);
        return error_set(error, ERR_INTERNAL, "no thread to export traces: %s",
                         sys_error_text(failed));
    }
    *ret_otlp = otlp;
    return ERR_OK;
}

void otlp_stop(struct otlp *otlp, uint64_t end_ns)
{
    if (otlp != NULL) {
        atomic_store(otlp->options.give_up_ns, end_ns);
        sys_eventfd_signal(otlp->options.stop_fd);
        pthread_join(otlp->thread, NULL);
        free_otlp(otlp);
    }
}

uint64_t otlp_exported(const struct otlp *otlp)
{
    return atomic_load_explicit(&otlp->exported, memory_order_relaxed);
}

uint64_t otlp_given_up(const struct otlp *otlp)
{
    return atomic_load_explicit(&otlp->given_up, memory_order_relaxed);
}
