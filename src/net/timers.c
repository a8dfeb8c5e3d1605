/*
 * A binary heap of (due time, timer) pairs. Each timer knows its place (position = 1 + index), so
 * that moving and cancelling need no search.
 */
#include "net/timers.h"

#include "base/check.h"
#include "base/mem.h"

#define TIMERS_FIRST_CAPACITY ((size_t)16)

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_done(struct timers *timers)
{
    CHECK(timers->count == 0);
    mem_free(timers->heap);
    timers_init(timers);
}

static void put(struct timers *timers, size_t index, struct timers_slot slot)
{
    timers->heap[index] = slot;
    slot.timer->position = index + 1;
}

/* Moves the hole at `index` up or down to where `slot` belongs, and fills it. */
static void settle(struct timers *timers, size_t index, struct timers_slot slot)
{
    struct timers_slot *heap = timers->heap;
    while (index > 0 && heap[(index - 1) / 2].at_ns > slot.at_ns) {
        put(timers, index, heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < timers->count && heap[child + 1].at_ns < heap[child].at_ns) {
            child++;
        }
        if (child >= timers->count || heap[child].at_ns >= slot.at_ns) {
            break;
        }
        put(timers, index, heap[child]);
        index = child;
    }
    put(timers, index, slot);
}

static int grow(struct timers *timers)
{
    size_t capacity = timers->capacity == 0 ? TIMERS_FIRST_CAPACITY : timers->capacity * 2;
    if (capacity > TIMERS_MAX) {
        return ERR_NO_MEMORY;
    }
    void *moved = mem_realloc(timers->heap, capacity * sizeof(timers->heap[0]));
    if (moved == NULL) {
        return ERR_NO_MEMORY;
    }
    timers->heap = moved;
    timers->capacity = capacity;
    return ERR_OK;
}

int timers_set(struct timers *timers, struct loop_timer *timer, uint64_t at_ns)
{
    size_t index = timer->position - 1;
    if (timer->position == 0) {
        if (timers->count == timers->capacity && grow(timers) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        index = timers->count++;
    } else {
        CHECK(index < timers->count && timers->heap[index].timer == timer);
    }
    timer->at_ns = at_ns;
    settle(timers, index, (struct timers_slot){at_ns, timer});
    return ERR_OK;
}

void timers_cancel(struct timers *timers, struct loop_timer *timer)
{
    if (timer->position == 0) {
        return;
    }
    size_t index = timer->position - 1;
    CHECK(index < timers->count && timers->heap[index].timer == timer);
    timer->position = 0;
    timers->count--;
    if (index < timers->count) {
        settle(timers, index, timers->heap[timers->count]);
    }
}

uint64_t timers_next_ns(const struct timers *timers)
{
    return timers->count == 0 ? UINT64_MAX : timers->heap[0].at_ns;
}

struct loop_timer *timers_take_due(struct timers *timers, uint64_t now_ns)
{
    if (timers->count == 0 || timers->heap[0].at_ns > now_ns) {
        return NULL;
    }
    struct loop_timer *timer = timers->heap[0].timer;
    timers_cancel(timers, timer);
    return timer;
}
