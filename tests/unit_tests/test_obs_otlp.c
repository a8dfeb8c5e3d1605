/*
 * The exporter's thread with a collector that is a function: what is sent, in what batches, what is
 * tried again or given up, and what happens at the end. Waiting is for conditions, on time of its own.
 */
#include "testing.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"
#include "obs/otlp.h"
#include "obs/otlp_retry.h"
#include "rpc/wire.h"
#include "span_fixture.h"

#define BATCH_SPANS 14
#define MAX_SPANS 140
#define POSTS_MAX 64

/* What the collector was sent, and what it is to answer; its thread writes, the test reads after. */
static struct {
    _Atomic unsigned posts;
    unsigned spans[POSTS_MAX]; /* in each post */
    uint64_t at_ns[POSTS_MAX]; /* when it came */
    int statuses[POSTS_MAX];   /* the last one that is set goes on */
    struct slice body;
    uint64_t retry_after_ns;
    atomic_bool holds; /* answers nothing before its time is over */
    const _Atomic uint64_t *give_up_ns;
} collector;

static _Atomic unsigned problems;
static char first_problem[512], last_problem[512];
static _Atomic uint64_t ahead_ns; /* of the real clock */

static uint64_t test_clock_ns(void)
{
    return clock_monotonic_ns() + atomic_load(&ahead_ns);
}

static unsigned count_fields(struct slice message, uint32_t number)
{
    struct wire_reader reader = {.message = message};
    unsigned count = 0;
    while (wire_reader_has_field(&reader)) {
        struct wire_field field;
        assert_int_equal(wire_read_field(&reader, &field, NULL), ERR_OK);
        count += field.number == number;
    }
    return count;
}

static struct slice first_field(struct slice message, uint32_t number)
{
    struct wire_reader reader = {.message = message};
    while (wire_reader_has_field(&reader)) {
        struct wire_field field;
        assert_int_equal(wire_read_field(&reader, &field, NULL), ERR_OK);
        if (field.number == number) {
            return field.bytes;
        }
    }
    return SLICE("");
}

static void post(void *transport, struct slice body, uint64_t end_ns, struct otlp_reply *ret_reply)
{
    (void)transport;
    unsigned number = atomic_load(&collector.posts);
    *ret_reply = (struct otlp_reply){.body = collector.body,
                                     .retry_after_ns = collector.retry_after_ns,
                                     .problem = "nobody is there"};
    assert_true(number < POSTS_MAX);
    collector.at_ns[number] = test_clock_ns();
    collector.spans[number] = count_fields(first_field(first_field(body, 1), 2), 2);
    while (atomic_load(&collector.holds) && test_clock_ns() < end_ns &&
           (atomic_load(collector.give_up_ns) == 0 ||
            test_clock_ns() < atomic_load(collector.give_up_ns))) {
        sched_yield();
    }
    while (number > 0 && collector.statuses[number] == -1) {
        number--;
    }
    ret_reply->status = collector.statuses[number];
    atomic_fetch_add(&collector.posts, 1);
}

static void on_problem(const char *text)
{
    snprintf(last_problem, sizeof(last_problem), "%s", text);
    if (atomic_load(&problems) == 0) {
        snprintf(first_problem, sizeof(first_problem), "%s", text);
    }
    atomic_fetch_add(&problems, 1);
}

/* ---- fixture ---- */

struct fixture {
    struct span_queue *queue;
    struct span_ring *ring;
    struct otlp *otlp;
    int wake_fd, stop_fd;
    _Atomic uint64_t give_up_ns;
    unsigned batch_spans;
    unsigned written;
};

static void reset_collector(int status)
{
    atomic_store(&collector.posts, 0);
    atomic_store(&collector.holds, false);
    atomic_store(&problems, 0);
    collector.body = SLICE("");
    collector.retry_after_ns = 0;
    last_problem[0] = '\0';
    for (unsigned i = 0; i < POSTS_MAX; i++) {
        collector.spans[i] = 0;
        collector.statuses[i] = -1;
    }
    collector.statuses[0] = status;
}

static int start(struct fixture *fixture, uint64_t schedule_ns, bool is_gzip)
{
    const struct otlp_options options = {
        .queue = fixture->queue,
        .wake_fd = fixture->wake_fd,
        .stop_fd = fixture->stop_fd,
        .give_up_ns = &fixture->give_up_ns,
        .post = post,
        .is_gzip = is_gzip,
        .attempt_ns = 10 * CLOCK_NS_PER_S,
        .batch_ns = 30 * CLOCK_NS_PER_S,
        .schedule_ns = schedule_ns,
        .batch_spans = fixture->batch_spans,
        .version = SLICE("1"),
        .clock_ns = test_clock_ns,
        .wall_ns = clock_realtime_ns,
        .on_problem = on_problem,
    };
    struct error error;
    return otlp_start(&options, &fixture->otlp, &error);
}

static void set_up_with(struct fixture *fixture, int status, unsigned max_spans,
                        unsigned wake_spans)
{
    *fixture = (struct fixture){
        .wake_fd = sys_eventfd(), .stop_fd = sys_eventfd(), .batch_spans = BATCH_SPANS};
    reset_collector(status);
    collector.give_up_ns = &fixture->give_up_ns;
    assert_int_equal(
        span_queue_new(1, max_spans, wake_spans, fixture->wake_fd, &fixture->queue, NULL), ERR_OK);
    fixture->ring = span_queue_ring(fixture->queue, 0);
}

static void set_up(struct fixture *fixture, int status)
{
    set_up_with(fixture, status, MAX_SPANS, BATCH_SPANS);
}

static void tear_down(struct fixture *fixture)
{
    span_queue_free(fixture->queue);
    sys_close(fixture->wake_fd);
    sys_close(fixture->stop_fd);
}

static void write_stages(struct fixture *fixture, unsigned count, const struct span_stages *stages)
{
    while (count-- > 0) {
        struct span_record *record = span_ring_take(fixture->ring, stages);
        if (record != NULL) {
            span_fill(record, fixture->written++);
            record->stages = *stages;
            record->spans = span_count(stages);
            span_ring_put(fixture->ring);
        }
    }
}

/* Of seven spans. */
static void write_records(struct fixture *fixture, unsigned count)
{
    static const struct span_stages stages = SPAN_PREDICTION;
    write_stages(fixture, count, &stages);
}

static void wait_until_sent(const struct fixture *fixture)
{
    while (span_queue_waiting(fixture->queue) > 0) {
        sched_yield();
    }
}

static void wait_for_posts(unsigned count)
{
    while (atomic_load(&collector.posts) < count) {
        sched_yield();
    }
}

static uint64_t soon_ns(void)
{
    return test_clock_ns() + 60 * CLOCK_NS_PER_S;
}

#define NEVER_NS (3600 * CLOCK_NS_PER_S)

/* ---- tests ---- */

static void test_a_full_batch_is_sent_at_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    write_records(&fixture, 2);
    wait_for_posts(1);
    assert_int_equal(collector.spans[0], 14);
    write_records(&fixture, 1); /* the rest goes at the end */
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(collector.posts, 2);
    assert_int_equal(collector.spans[1], 7);
    assert_int_equal(problems, 0);
    tear_down(&fixture);
}

static void test_what_waits_is_sent_when_its_time_comes(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    assert_int_equal(start(&fixture, CLOCK_NS_PER_MS, false), ERR_OK);
    write_records(&fixture, 1);
    wait_for_posts(1);
    assert_int_equal(collector.spans[0], 7);
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(collector.posts, 1);
    tear_down(&fixture);
}

/* Stages of six spans, as of a request that shared its run with none, and of one. */
static const struct span_stages alone = {.started_ns = 1,
                                         .invoked_ns = 1,
                                         .decode_began_ns = 1,
                                         .decode_ended_ns = 1,
                                         .submitted_ns = 1,
                                         .run_began_ns = 1,
                                         .run_ended_ns = 1,
                                         .encode_ended_ns = 1,
                                         .ended_ns = 1};
static const struct span_stages unrouted = {.started_ns = 1, .ended_ns = 1};

/* Writes so many records and waits until all are sent, in one post each time. */
static void send_portions(struct fixture *fixture, unsigned portions, unsigned records,
                          const struct span_stages *stages)
{
    for (unsigned posts = 1; posts <= portions; posts++) {
        write_stages(fixture, records, stages);
        wait_for_posts(posts);
        wait_until_sent(fixture);
    }
}

/* Records are taken whole: of 14 spans that may wait, 12 do, and there is no room for the next record. */
static void test_a_queue_without_room_is_sent_at_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up_with(&fixture, 200, BATCH_SPANS, BATCH_SPANS);
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    send_portions(&fixture, 5, 2, &alone);
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(collector.posts, 5);
    assert_int_equal(collector.spans[4], 12);
    assert_int_equal(span_queue_dropped(fixture.queue), 0);
    assert_int_equal(problems, 0);
    tear_down(&fixture);
}

/* A span each: the ring's 64 slots are fewer than the spans that may wait. */
static void test_a_ring_half_full_is_sent_at_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up_with(&fixture, 200, MAX_SPANS, MAX_SPANS);
    fixture.batch_spans = MAX_SPANS;
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    send_portions(&fixture, 3, 31, &unrouted);
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(span_queue_dropped(fixture.queue), 0);
    tear_down(&fixture);
}

static void test_what_found_no_room_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    write_records(&fixture, 23); /* room is for 20 */
    assert_int_equal(start(&fixture, CLOCK_NS_PER_MS, false), ERR_OK);
    wait_for_posts(1);
    otlp_stop(fixture.otlp, soon_ns());
    assert_string_equal(
        first_problem,
        "traces: more came than OTEL_BSP_MAX_QUEUE_SIZE has room for: 21 spans lost");
    assert_int_equal(problems, 1);
    tear_down(&fixture);
}

/* A batch ends within a request, and the next one goes on there. */
static void test_batches_have_so_many_spans(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    write_records(&fixture, 19); /* 133 spans */
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    otlp_stop(fixture.otlp, soon_ns());
    unsigned spans = 0;
    for (unsigned i = 0; i < collector.posts; i++) {
        assert_true(collector.spans[i] <= BATCH_SPANS);
        spans += collector.spans[i];
    }
    assert_int_equal(spans, 133);
    assert_int_equal(collector.posts, 10);
    tear_down(&fixture);
}

static void test_a_refused_batch_is_given_up(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 400);
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    write_records(&fixture, 2);
    wait_for_posts(1);
    write_records(&fixture, 2);
    wait_for_posts(2);
    while (otlp_given_up(fixture.otlp) < 28) {
        sched_yield();
    }
    assert_int_equal(otlp_exported(fixture.otlp), 0);
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(problems, 2); /* a line a minute, and one at the end */
    assert_string_equal(first_problem, "traces: the collector answers 400: 14 spans lost");
    assert_string_equal(last_problem, "traces: since the last such line: 14 spans lost");
    tear_down(&fixture);
}

/* Several in a row: it is left alone for a second, then for two, until it takes one. */
static void test_who_goes_on_refusing_is_asked_less_often(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 400);
    collector.statuses[3] = 200;
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    write_records(&fixture, 6);
    wait_for_posts(2);
    atomic_fetch_add(&ahead_ns, CLOCK_NS_PER_S);
    wait_for_posts(3);
    write_records(&fixture, 4);
    atomic_fetch_add(&ahead_ns, 2 * CLOCK_NS_PER_S);
    wait_for_posts(5); /* the fourth is taken, and the next goes at once */
    assert_true(collector.at_ns[2] - collector.at_ns[1] >= CLOCK_NS_PER_S * 8 / 10);
    assert_true(collector.at_ns[3] - collector.at_ns[2] >= CLOCK_NS_PER_S * 16 / 10);
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(problems, 2);
    tear_down(&fixture);
}

static void test_what_may_come_right_is_tried_again(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 503);
    collector.statuses[1] = OTLP_NO_STATUS;
    collector.statuses[2] = 200;
    collector.retry_after_ns = CLOCK_NS_PER_MS;
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    write_records(&fixture, 2);
    wait_for_posts(1);
    atomic_fetch_add(&ahead_ns, 2 * CLOCK_NS_PER_S);
    wait_for_posts(2);
    atomic_fetch_add(&ahead_ns, 3 * CLOCK_NS_PER_S);
    wait_for_posts(3);
    while (otlp_exported(fixture.otlp) < 14) {
        sched_yield();
    }
    assert_int_equal(collector.spans[1], 14);
    assert_int_equal(collector.spans[2], 14);
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(problems, 0);
    tear_down(&fixture);
}

/* The collector wants to be left alone for longer than a batch may take. */
static void test_a_batch_that_would_wait_too_long_is_given_up(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 429);
    collector.retry_after_ns = 100 * CLOCK_NS_PER_S;
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    write_records(&fixture, 2);
    wait_for_posts(1);
    while (otlp_given_up(fixture.otlp) < 14) {
        sched_yield();
    }
    write_records(&fixture, 30); /* the next one waits until then, the queue is full */
    assert_int_equal(span_queue_waiting(fixture.queue), MAX_SPANS);
    assert_int_equal(span_queue_dropped(fixture.queue), 70);
    assert_int_equal(collector.posts, 1);
    otlp_stop(fixture.otlp, soon_ns()); /* once more, and no more */
    assert_int_equal(collector.posts, 2);
    tear_down(&fixture);
}

static void test_a_partial_success_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    collector.body = SLICE("\x0a\x0b\x08\x03\x12\x07too old");
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    write_records(&fixture, 2);
    wait_for_posts(1);
    while (otlp_exported(fixture.otlp) + otlp_given_up(fixture.otlp) < 14) {
        sched_yield();
    }
    assert_int_equal(otlp_exported(fixture.otlp), 11);
    assert_int_equal(otlp_given_up(fixture.otlp), 3);
    write_records(&fixture, 1);
    otlp_stop(fixture.otlp, soon_ns());
    assert_int_equal(collector.posts, 2);
    assert_string_equal(first_problem, "traces: the collector says \"too old\": 3 spans lost");
    tear_down(&fixture);
}

/* At the end a collector that hangs has the time that is left, and is asked once, beside what it was asked before. */
static void test_the_end_is_bounded(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, OTLP_NO_STATUS);
    write_records(&fixture, 20);
    atomic_store(&collector.holds, true);
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    otlp_stop(fixture.otlp, test_clock_ns() + 5 * CLOCK_NS_PER_MS);
    assert_true(collector.posts <= 2);
    assert_true(problems <= 2);
    tear_down(&fixture);
}

static void test_no_time_is_left(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    write_records(&fixture, 1);
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    otlp_stop(fixture.otlp, 0);
    assert_int_equal(collector.posts, 0);
    assert_string_equal(last_problem, "traces: the server stops: 7 spans lost");
    tear_down(&fixture);
}

/* A batch ends within a record: what has gone with it is not lost as well. */
static void test_what_is_lost_is_counted_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    fixture.batch_spans = 10;
    assert_int_equal(start(&fixture, NEVER_NS, false), ERR_OK);
    write_records(&fixture, 2);
    while (otlp_exported(fixture.otlp) < 10) {
        sched_yield();
    }
    otlp_stop(fixture.otlp, 0);
    assert_string_equal(last_problem, "traces: the server stops: 4 spans lost");
    tear_down(&fixture);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 200);
    int status = ERR_NO_MEMORY;
    for (uint64_t nth = 1; status != ERR_OK; nth++) {
        mem_fail_nth(nth);
        status = start(&fixture, NEVER_NS, true);
        assert_true(status == ERR_OK || status == ERR_NO_MEMORY);
        assert_true(nth < 20);
    }
    mem_fail_nth(0);
    otlp_stop(fixture.otlp, soon_ns());
    tear_down(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_batch_is_sent_at_once),
        cmocka_unit_test(test_what_waits_is_sent_when_its_time_comes),
        cmocka_unit_test(test_a_queue_without_room_is_sent_at_once),
        cmocka_unit_test(test_a_ring_half_full_is_sent_at_once),
        cmocka_unit_test(test_what_found_no_room_is_told),
        cmocka_unit_test(test_batches_have_so_many_spans),
        cmocka_unit_test(test_a_refused_batch_is_given_up),
        cmocka_unit_test(test_who_goes_on_refusing_is_asked_less_often),
        cmocka_unit_test(test_what_may_come_right_is_tried_again),
        cmocka_unit_test(test_a_batch_that_would_wait_too_long_is_given_up),
        cmocka_unit_test(test_a_partial_success_is_told),
        cmocka_unit_test(test_the_end_is_bounded),
        cmocka_unit_test(test_no_time_is_left),
        cmocka_unit_test(test_what_is_lost_is_counted_once),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
