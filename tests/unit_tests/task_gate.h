/* A gate that the only thread of a task pool waits at: the test decides when what is behind it runs. */
#ifndef TASK_GATE_H
#define TASK_GATE_H

#include <pthread.h>
#include <stdbool.h>

#include "sched/task_pool.h"

static struct gate {
    struct task task;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void wait_at_gate(struct task *task)
{
    (void)task;
    pthread_mutex_lock(&gate.lock);
    while (!gate.open) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static void gate_passed(struct task *task)
{
    (void)task;
}

static inline void close_gate(struct task_pool *tasks)
{
    gate.open = false;
    gate.task = (struct task){.run = wait_at_gate, .deliver = gate_passed};
    task_pool_submit(tasks, &gate.task);
}

static inline void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

#endif
