#include "obs/span.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/sys.h"

#define CACHE_LINE_BYTES 64
/* Most records stand for more spans: fewer slots are needed than spans may wait. */
#define SPANS_A_SLOT 4
#define SLOTS_MIN 64

/* ---- records ---- */

struct span_text span_put_text(struct span_record *record, struct slice text, size_t max)
{
    size_t room = SPAN_RECORD_TEXT_BYTES - record->text_used;
    text = slice_head(text, max < room ? max : room);
    struct span_text kept = {(uint16_t)record->text_used, (uint16_t)text.len};
    if (text.len > 0) {
        memcpy(record->text + record->text_used, text.ptr, text.len);
        record->text_used += text.len;
    }
    return kept;
}

struct slice span_text(const struct span_record *record, struct span_text text)
{
    return slice_make(record->text + text.at, text.len);
}

/* ---- spans ---- */

static bool has_role(const struct span_stages *stages, enum span_role role)
{
    switch (role) {
    case SPAN_SERVER:
        return true;
    case SPAN_INVOCATIONS:
        return stages->invoked_ns != 0;
    case SPAN_DECODE:
        return stages->decode_ended_ns != 0;
    case SPAN_QUEUE:
        return stages->submitted_ns != 0;
    case SPAN_PREDICT:
        return stages->run_began_ns != 0;
    case SPAN_RUN:
        return stages->leads_run;
    case SPAN_ENCODE:
        return stages->encode_ended_ns != 0;
    case SPAN_ROLES:
        break;
    }
    return false;
}

unsigned span_count(const struct span_stages *stages)
{
    unsigned count = 0;
    for (enum span_role role = 0; role < SPAN_ROLES; role++) {
        count += has_role(stages, role);
    }
    return count;
}

static void set_times(const struct span_stages *stages, struct span *span)
{
    switch (span->role) {
    case SPAN_SERVER:
        span->began_ns = stages->started_ns;
        span->ended_ns = stages->ended_ns;
        break;
    case SPAN_INVOCATIONS:
        span->began_ns = stages->invoked_ns;
        span->ended_ns = stages->ended_ns;
        break;
    case SPAN_DECODE:
        span->began_ns = stages->decode_began_ns;
        span->ended_ns = stages->decode_ended_ns;
        break;
    case SPAN_QUEUE:
        span->began_ns = stages->submitted_ns;
        span->ended_ns = stages->run_began_ns != 0 ? stages->run_began_ns : stages->ended_ns;
        break;
    case SPAN_PREDICT:
    case SPAN_RUN:
        span->began_ns = stages->run_began_ns;
        span->ended_ns = stages->run_ended_ns;
        break;
    case SPAN_ENCODE:
        span->began_ns = stages->run_ended_ns;
        span->ended_ns = stages->encode_ended_ns;
        break;
    case SPAN_ROLES:
        CHECK(false);
    }
}

unsigned span_expand(const struct span_record *record, struct random *random,
                     struct span spans[SPAN_ROLES])
{
    struct span_id ids[SPAN_ROLES] = {
        [SPAN_SERVER] = record->server_id, [SPAN_RUN] = record->run_id};
    static const enum span_role parents[SPAN_ROLES] = {
        [SPAN_INVOCATIONS] = SPAN_SERVER, [SPAN_DECODE] = SPAN_INVOCATIONS,
        [SPAN_QUEUE] = SPAN_INVOCATIONS,  [SPAN_PREDICT] = SPAN_INVOCATIONS,
        [SPAN_RUN] = SPAN_PREDICT,        [SPAN_ENCODE] = SPAN_INVOCATIONS,
    };
    unsigned count = 0;
    for (enum span_role role = 0; role < SPAN_ROLES; role++) {
        if (!has_role(&record->stages, role)) {
            continue;
        }
        if (role != SPAN_SERVER && role != SPAN_RUN) {
            ids[role] = span_id_make(random);
        }
        struct span *span = &spans[count++];
        span->role = role;
        span->id = ids[role];
        span->parent_id = role == SPAN_SERVER ? record->parent_id : ids[parents[role]];
        set_times(&record->stages, span);
    }
    return count;
}

/* ---- rings ---- */

struct span_ring {
    struct span_queue *queue;
    struct span_record *slots;
    size_t mask;      /* slots - 1 */
    bool passes_mark; /* the record being written makes the reader's batch full */
    /* Each is written by one side; both only ever grow. */
    _Alignas(CACHE_LINE_BYTES) _Atomic size_t written;
    _Alignas(CACHE_LINE_BYTES) _Atomic size_t read;
};

struct span_queue {
    unsigned ring_count;
    unsigned max_spans;
    unsigned wake_spans;
    int wake_fd;
    unsigned front; /* the ring that the reader looks at */
    _Atomic unsigned waiting;
    _Atomic uint64_t dropped;
    struct span_ring *rings;
    char *storage; /* of the rings, before they were aligned */
};

static size_t slots_for(unsigned max_spans)
{
    size_t slots = SLOTS_MIN;
    while (slots < max_spans / SPANS_A_SLOT) {
        slots *= 2;
    }
    return slots;
}

static struct span_ring *align(char *storage)
{
    uintptr_t address = (uintptr_t)storage;
    size_t skip = (CACHE_LINE_BYTES - address % CACHE_LINE_BYTES) % CACHE_LINE_BYTES;
    return (struct span_ring *)(void *)(storage + skip);
}

int span_queue_new(unsigned rings, unsigned max_spans, unsigned wake_spans, int wake_fd,
                   struct span_queue **ret_queue, struct error *error)
{
    struct span_queue *queue = mem_zalloc(1, sizeof(*queue));
    char *storage = mem_zalloc(rings + 1, sizeof(struct span_ring));
    if (queue == NULL || storage == NULL) {
        mem_free(queue);
        mem_free(storage);
        return error_set(error, ERR_NO_MEMORY, "no memory for spans");
    }
    queue->max_spans = max_spans;
    /* From there on some record finds no room. */
    unsigned full = max_spans < SPAN_ROLES ? 1 : max_spans - SPAN_ROLES + 1;
    queue->wake_spans = wake_spans < full ? wake_spans : full;
    queue->wake_fd = wake_fd;
    queue->storage = storage;
    queue->rings = align(storage);
    while (queue->ring_count < rings) {
        struct span_ring *ring = &queue->rings[queue->ring_count];
        size_t slots = slots_for(max_spans);
        ring->queue = queue;
        ring->mask = slots - 1;
        ring->slots = mem_zalloc(slots, sizeof(ring->slots[0]));
        if (ring->slots == NULL) {
            span_queue_free(queue);
            return error_set(error, ERR_NO_MEMORY, "no memory for spans");
        }
        queue->ring_count++;
    }
    *ret_queue = queue;
    return ERR_OK;
}

void span_queue_free(struct span_queue *queue)
{
    if (queue != NULL) {
        for (unsigned i = 0; i < queue->ring_count; i++) {
            mem_free(queue->rings[i].slots);
        }
        mem_free(queue->storage);
        mem_free(queue);
    }
}

struct span_ring *span_queue_ring(struct span_queue *queue, unsigned number)
{
    CHECK(number < queue->ring_count);
    return &queue->rings[number];
}

unsigned span_queue_waiting(const struct span_queue *queue)
{
    return atomic_load_explicit(&queue->waiting, memory_order_relaxed);
}

uint64_t span_queue_dropped(const struct span_queue *queue)
{
    return atomic_load_explicit(&queue->dropped, memory_order_relaxed);
}

/* ---- the writer ---- */

static struct span_record *drop(struct span_queue *queue, unsigned spans)
{
    atomic_fetch_add_explicit(&queue->dropped, spans, memory_order_relaxed);
    return NULL;
}

/* A record of more spans than may wait is taken where none does. */
static bool reserve(struct span_ring *ring, unsigned spans)
{
    struct span_queue *queue = ring->queue;
    unsigned before = atomic_fetch_add_explicit(&queue->waiting, spans, memory_order_relaxed);
    if (before != 0 && (before >= queue->max_spans || spans > queue->max_spans - before)) {
        atomic_fetch_sub_explicit(&queue->waiting, spans, memory_order_relaxed);
        return false;
    }
    /* Of all threads one passes it. */
    ring->passes_mark = before < queue->wake_spans && spans >= queue->wake_spans - before;
    return true;
}

struct span_record *span_ring_take(struct span_ring *ring, const struct span_stages *stages)
{
    unsigned spans = span_count(stages);
    size_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    size_t read = atomic_load_explicit(&ring->read, memory_order_acquire);
    if (written - read > ring->mask || !reserve(ring, spans)) {
        return drop(ring->queue, spans);
    }
    struct span_record *record = &ring->slots[written & ring->mask];
    memset(record, 0, offsetof(struct span_record, text));
    record->stages = *stages;
    record->spans = spans;
    return record;
}

void span_ring_put(struct span_ring *ring)
{
    size_t written = atomic_load_explicit(&ring->written, memory_order_relaxed) + 1;
    size_t slots = written - atomic_load_explicit(&ring->read, memory_order_relaxed);
    atomic_store_explicit(&ring->written, written, memory_order_release);
    if (ring->passes_mark || slots == ring->mask / 2) {
        sys_eventfd_signal(ring->queue->wake_fd);
    }
}

/* ---- the reader ---- */

const struct span_record *span_queue_front(struct span_queue *queue)
{
    for (unsigned i = 0; i < queue->ring_count; i++) {
        const struct span_ring *ring = &queue->rings[queue->front];
        size_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
        if (read != atomic_load_explicit(&ring->written, memory_order_acquire)) {
            return &ring->slots[read & ring->mask];
        }
        queue->front = (queue->front + 1) % queue->ring_count;
    }
    return NULL;
}

void span_queue_drop_front(struct span_queue *queue)
{
    struct span_ring *ring = &queue->rings[queue->front];
    size_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    CHECK(read != atomic_load_explicit(&ring->written, memory_order_acquire));
    unsigned spans = ring->slots[read & ring->mask].spans;
    atomic_store_explicit(&ring->read, read + 1, memory_order_release);
    atomic_fetch_sub_explicit(&queue->waiting, spans, memory_order_relaxed);
    queue->front = (queue->front + 1) % queue->ring_count;
}
