/* Records and their spans, and the rings between the threads that write and the one that reads. */
#include "testing.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "span_fixture.h"

#define MAX_SPANS 100
#define WAKE_SPANS 20

/* ---- spans of a record ---- */

static const struct span *find(const struct span *spans, unsigned count, enum span_role role)
{
    for (unsigned i = 0; i < count; i++) {
        if (spans[i].role == role) {
            return &spans[i];
        }
    }
    return NULL;
}

static void expect_span(const struct span *spans, unsigned count, enum span_role role,
                        enum span_role parent, uint64_t began, uint64_t ended)
{
    const struct span *span = find(spans, count, role);
    assert_non_null(span);
    assert_memory_equal(&span->parent_id, &find(spans, count, parent)->id, SPAN_ID_BYTES);
    assert_int_equal(span->began_ns, SPAN_START_NS + began);
    assert_int_equal(span->ended_ns, SPAN_START_NS + ended);
}

static void test_a_prediction_is_a_tree(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random);
    struct span_record record = {.text_used = 0};
    struct span spans[SPAN_ROLES];
    span_fill(&record, 0);
    assert_int_equal(span_count(&record.stages), 7);
    assert_int_equal(span_expand(&record, &random, spans), 7);
    assert_int_equal(spans[0].role, SPAN_SERVER);
    assert_memory_equal(&spans[0].id, &record.server_id, SPAN_ID_BYTES);
    assert_memory_equal(&spans[0].parent_id, &record.parent_id, SPAN_ID_BYTES);
    expect_span(spans, 7, SPAN_INVOCATIONS, SPAN_SERVER, 1, 6);
    expect_span(spans, 7, SPAN_DECODE, SPAN_INVOCATIONS, 1, 2);
    expect_span(spans, 7, SPAN_QUEUE, SPAN_INVOCATIONS, 2, 3);
    expect_span(spans, 7, SPAN_PREDICT, SPAN_INVOCATIONS, 3, 4);
    expect_span(spans, 7, SPAN_RUN, SPAN_PREDICT, 3, 4);
    expect_span(spans, 7, SPAN_ENCODE, SPAN_INVOCATIONS, 4, 5);
    assert_memory_equal(&find(spans, 7, SPAN_RUN)->id, &record.run_id, SPAN_ID_BYTES);
}

/* Whatever did not come to pass has no span; what waited in vain waited to the end. */
static void test_a_request_that_did_not_come_far(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random);
    struct span_record record = {.text_used = 0};
    struct span spans[SPAN_ROLES];
    record.stages.started_ns = SPAN_START_NS;
    record.stages.ended_ns = SPAN_START_NS + 9;
    assert_int_equal(span_expand(&record, &random, spans), 1);
    assert_false(span_id_is_set(&spans[0].parent_id));
    record.stages.invoked_ns = SPAN_START_NS + 1;
    record.stages.decode_began_ns = SPAN_START_NS + 1;
    record.stages.decode_ended_ns = SPAN_START_NS + 2;
    record.stages.submitted_ns = SPAN_START_NS + 2;
    assert_int_equal(span_expand(&record, &random, spans), 4);
    expect_span(spans, 4, SPAN_QUEUE, SPAN_INVOCATIONS, 2, 9);
}

static void test_texts_are_cut_where_the_record_is_full(void **state)
{
    (void)state;
    struct span_record record = {.text_used = 0};
    char long_text[SPAN_RECORD_TEXT_BYTES + 10];
    memset(long_text, 'x', sizeof(long_text));
    struct span_text empty = span_put_text(&record, SLICE(""), 10);
    struct span_text cut = span_put_text(&record, SLICE("abcdef"), 4);
    struct span_text rest = span_put_text(&record, slice_make(long_text, sizeof(long_text)), 9999);
    struct span_text none = span_put_text(&record, SLICE("abc"), 10);
    assert_int_equal(empty.len, 0);
    assert_true(slice_eq(span_text(&record, cut), SLICE("abcd")));
    assert_int_equal(rest.len, SPAN_RECORD_TEXT_BYTES - 4);
    assert_int_equal(none.len, 0);
}

/* ---- rings ---- */

static bool is_signalled(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    uint64_t count;
    return poll(&polled, 1, 0) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* Stages that stand for so many spans, at most 6. */
static struct span_stages stages_of(unsigned spans)
{
    return (struct span_stages){.invoked_ns = spans > 1,
                                .decode_ended_ns = spans > 2,
                                .submitted_ns = spans > 3,
                                .run_began_ns = spans > 4,
                                .encode_ended_ns = spans > 5};
}

static bool put(struct span_ring *ring, unsigned spans, unsigned number)
{
    struct span_stages stages = stages_of(spans);
    struct span_record *record = span_ring_take(ring, &stages);
    if (record == NULL) {
        return false;
    }
    record->status = (int)number;
    span_ring_put(ring);
    return true;
}

static void test_spans_are_bounded_over_all_rings(void **state)
{
    (void)state;
    struct span_queue *queue;
    int fd = sys_eventfd();
    assert_int_equal(span_queue_new(2, MAX_SPANS, WAKE_SPANS, fd, &queue, NULL), ERR_OK);
    struct span_ring *rings[] = {span_queue_ring(queue, 0), span_queue_ring(queue, 1)};
    for (unsigned i = 0; i < 20; i++) {
        assert_true(put(rings[i % 2], 5, i));
        assert_int_equal(is_signalled(fd), i == 3); /* the mark, once */
    }
    assert_false(put(rings[0], 5, 99));
    assert_false(put(rings[1], 1, 99));
    assert_int_equal(span_queue_dropped(queue), 6);
    assert_int_equal(span_queue_waiting(queue), MAX_SPANS);
    for (unsigned i = 0; i < 20; i++) { /* by turns, and in order */
        assert_int_equal(span_queue_front(queue)->status, i);
        span_queue_drop_front(queue);
    }
    assert_null(span_queue_front(queue));
    assert_int_equal(span_queue_waiting(queue), 0);
    assert_true(put(rings[1], 6, 1)); /* there is room again, and the mark can be passed again */
    assert_true(put(rings[1], 6, 2));
    assert_true(put(rings[1], 6, 3));
    assert_false(is_signalled(fd));
    assert_true(put(rings[1], 2, 4));
    assert_true(is_signalled(fd));
    span_queue_free(queue);
    sys_close(fd);
}

static void test_a_record_larger_than_the_queue_is_taken_alone(void **state)
{
    (void)state;
    struct span_queue *queue;
    int fd = sys_eventfd();
    assert_int_equal(span_queue_new(1, 1, 1, fd, &queue, NULL), ERR_OK);
    assert_true(put(span_queue_ring(queue, 0), 6, 1));
    assert_false(put(span_queue_ring(queue, 0), 6, 2));
    assert_int_equal(span_queue_dropped(queue), 6);
    span_queue_free(queue);
    sys_close(fd);
}

/* Many small records fill the slots before the spans: it wakes, and then drops. */
static void test_a_ring_has_so_many_slots(void **state)
{
    (void)state;
    struct span_queue *queue;
    int fd = sys_eventfd();
    assert_int_equal(span_queue_new(1, 400, 400, fd, &queue, NULL), ERR_OK);
    unsigned slots = 0;
    bool woke = false;
    while (put(span_queue_ring(queue, 0), 1, 0)) {
        slots++;
        woke = woke || is_signalled(fd);
    }
    assert_int_equal(slots, 128);
    assert_true(woke);
    assert_int_equal(span_queue_dropped(queue), 1);
    span_queue_free(queue);
    sys_close(fd);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct span_queue *queue;
    struct error error;
    for (uint64_t nth = 1; nth <= 4; nth++) {
        mem_fail_nth(nth);
        assert_int_equal(span_queue_new(2, MAX_SPANS, WAKE_SPANS, -1, &queue, &error),
                         ERR_NO_MEMORY);
    }
    mem_fail_nth(0);
}

/* ---- threads ---- */

#define WRITERS 3
#define RECORDS 20000

struct writer {
    pthread_t thread;
    struct span_ring *ring;
    unsigned number;
    uint64_t written; /* spans */
};

static _Atomic unsigned writing;

static void *write_records(void *argument)
{
    struct writer *writer = argument;
    for (unsigned i = 0; i < RECORDS; i++) {
        unsigned spans = 1 + i % 6;
        struct span_stages stages = stages_of(spans);
        struct span_record *record = span_ring_take(writer->ring, &stages);
        if (record != NULL) {
            record->rows = i;
            record->path = span_put_text(record, slice_make(&i, sizeof(i)), sizeof(i));
            record->status = (int)writer->number;
            span_ring_put(writer->ring);
            writer->written += spans;
        }
    }
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

/* Every record that was taken comes out once, whole, in the order of its thread. */
static void test_writers_and_a_reader(void **state)
{
    (void)state;
    struct span_queue *queue;
    struct writer writers[WRITERS] = {{.number = 0}};
    int64_t last[WRITERS] = {-1, -1, -1};
    uint64_t read = 0;
    int fd = sys_eventfd();
    assert_int_equal(span_queue_new(WRITERS, 2048, 512, fd, &queue, NULL), ERR_OK);
    atomic_store(&writing, WRITERS);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].number = i;
        writers[i].ring = span_queue_ring(queue, i);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_records, &writers[i]), 0);
    }
    for (;;) {
        bool ended = atomic_load(&writing) == 0;
        const struct span_record *record = span_queue_front(queue);
        if (record == NULL && ended) {
            break;
        }
        if (record != NULL) {
            unsigned index = (unsigned)record->rows;
            assert_true(record->rows > last[record->status]);
            assert_memory_equal(span_text(record, record->path).ptr, &index, sizeof(index));
            last[record->status] = record->rows;
            read += record->spans;
            span_queue_drop_front(queue);
        }
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    uint64_t written = 0;
    uint64_t all = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        all += (1 + i % 6) * WRITERS;
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        written += writers[i].written;
    }
    assert_int_equal(read, written);
    assert_int_equal(span_queue_dropped(queue), all - written);
    assert_int_equal(span_queue_waiting(queue), 0);
    span_queue_free(queue);
    sys_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_prediction_is_a_tree),
        cmocka_unit_test(test_a_request_that_did_not_come_far),
        cmocka_unit_test(test_texts_are_cut_where_the_record_is_full),
        cmocka_unit_test(test_spans_are_bounded_over_all_rings),
        cmocka_unit_test(test_a_record_larger_than_the_queue_is_taken_alone),
        cmocka_unit_test(test_a_ring_has_so_many_slots),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_writers_and_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
