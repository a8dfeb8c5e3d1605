/*
 * Runner threads under test: a model that answers with its input and waits at a gate, so that a test
 * decides what is queued while a run is under way, and an owner as a loop is one.
 */
#ifndef POOL_FIXTURE_H
#define POOL_FIXTURE_H

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sched/pool.h"
#include "unit_tests/sched_testing.h"

#define MAX_ROWS 16
#define POISON (-1.0f)

/* ---- a model that answers with its input, behind a gate ---- */

static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    unsigned inside; /* runs that wait at it */
    unsigned runs;
    int64_t rows;
    int64_t most_rows; /* of one run */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void gate_set(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static inline void gate_wait_inside(unsigned runs)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.inside < runs) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static inline void gate_pass(int64_t rows)
{
    pthread_mutex_lock(&gate.lock);
    gate.runs++;
    gate.rows += rows;
    gate.most_rows = rows > gate.most_rows ? rows : gate.most_rows;
    gate.inside++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.closed) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
}

static inline int echo_run(struct backend_model *model, const struct tensor *inputs,
                           const size_t *wanted, size_t wanted_count, struct arena *arena,
                           struct value *values, struct error *error)
{
    (void)model, (void)wanted, (void)wanted_count, (void)arena;
    gate_pass(inputs->dims[0]);
    for (int64_t i = 0; i < tensor_elements(inputs); i++) {
        if (((const float *)inputs->at)[i] <= POISON) {
            return error_set(error, ERR_INVALID, "poison");
        }
    }
    values[0] =
        (struct value){.kind = VALUE_TENSOR, .tensor = tensor_row_view(inputs, 0, inputs->dims[0])};
    return ERR_OK;
}

static const struct backend echo = {.name = "echo", .run = echo_run};
static const size_t first_output[] = {0};
static struct batch_target target;

/* ---- an owner, as a loop is one ---- */

struct owner {
    struct job_owner owner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned delivered;
    unsigned deliveries;
    bool out_of_order; /* a job came before one that was submitted earlier, in one delivery */
};

static inline void on_deliver(struct job_owner *base, struct job *jobs)
{
    struct owner *owner = (struct owner *)(void *)base;
    pthread_mutex_lock(&owner->lock);
    owner->deliveries++;
    uint64_t before_ns = 0;
    while (jobs != NULL) {
        struct request *request = (struct request *)(void *)jobs;
        jobs = jobs->next;
        owner->out_of_order |= request->job.submitted_ns < before_ns;
        before_ns = request->job.submitted_ns;
        request->done++;
        owner->delivered++;
    }
    pthread_cond_broadcast(&owner->changed);
    pthread_mutex_unlock(&owner->lock);
}

static inline void owner_init(struct owner *owner)
{
    *owner = (struct owner){.owner = {.deliver = on_deliver},
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
}

static inline void owner_wait(struct owner *owner, unsigned delivered)
{
    pthread_mutex_lock(&owner->lock);
    while (owner->delivered < delivered) {
        pthread_cond_wait(&owner->changed, &owner->lock);
    }
    pthread_mutex_unlock(&owner->lock);
}

/* ---- the pool ---- */

static inline struct pool_options options_of(unsigned instances)
{
    return (struct pool_options){.target = &target,
                                 .instances = instances,
                                 .max_jobs = 1000,
                                 .max_rows = 100000,
                                 .max_bytes = 1 << 30,
                                 .clock_ns = clock_monotonic_ns};
}

static inline struct pool *make_pool(const struct pool_options *options)
{
    struct pool *pool = NULL;
    assert_int_equal(pool_new(options, &pool, NULL), ERR_OK);
    return pool;
}

static inline int set_up(void **state)
{
    (void)state;
    gate.closed = false;
    gate.runs = 0;
    gate.rows = gate.most_rows = 0;
    target = (struct batch_target){.backend = &echo,
                                   .input_count = 1,
                                   .wanted = first_output,
                                   .wanted_count = 1,
                                   .batchable = true,
                                   .max_rows = MAX_ROWS};
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    buffer_recycler_done();
    return 0;
}

static uint64_t next_submitted_ns = 1;

static inline int submit(struct pool *pool, struct owner *owner, struct request *request,
                         int64_t rows, float first)
{
    request_init(request, rows, 2, first);
    request->job.owner = &owner->owner;
    request->job.submitted_ns = next_submitted_ns++;
    return pool_submit(pool, &request->job);
}

static inline void must_submit(struct pool *pool, struct owner *owner, struct request *request,
                               int64_t rows, float first)
{
    assert_int_equal(submit(pool, owner, request, rows, first), ERR_OK);
}

/* Occupies every runner: what is submitted next waits until the gate opens. */
static inline void occupy(struct pool *pool, struct owner *owner, struct request *requests,
                          unsigned instances)
{
    gate_set(true);
    for (unsigned i = 0; i < instances; i++) {
        must_submit(pool, owner, &requests[i], MAX_ROWS, 1);
        gate_wait_inside(i + 1);
    }
}

#endif
