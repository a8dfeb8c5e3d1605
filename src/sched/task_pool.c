/*
 * One lock guards the queue; it is never held while a task runs or is delivered.
 */
#include "sched/task_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/mem.h"
#include "tensor/buffer.h"

#define TASK_POOL_MAGIC 0x7461736bu
/*
 * Tasks take milliseconds, a turn of a loop microseconds: when both want a core the loop is to have it
 * at once. (Linux keeps a nice value for each thread.)
 */
#define TASK_NICE 10

struct task_pool {
    unsigned magic;
    pthread_t *threads;
    unsigned started; /* of them */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct task *first;
    struct task **end;
    bool stopping;
};

/* Waits, with the lock held, for the oldest task. NULL when the pool ends and none is left. */
static struct task *take(struct task_pool *pool)
{
    while (pool->first == NULL && !pool->stopping) {
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    struct task *task = pool->first;
    if (task != NULL) {
        pool->first = task->next;
        if (pool->first == NULL) {
            pool->end = &pool->first;
        }
        task->next = NULL;
    }
    return task;
}

static void *run_tasks(void *argument)
{
    struct task_pool *pool = argument;
    struct task *task;
    (void)setpriority(PRIO_PROCESS, 0, TASK_NICE); /* a wish: tasks run without it too */
    pthread_mutex_lock(&pool->lock);
    while ((task = take(pool)) != NULL) {
        pthread_mutex_unlock(&pool->lock);
        task->run(task);
        task->deliver(task);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    buffer_recycler_done();
    return NULL;
}

void task_pool_submit(struct task_pool *pool, struct task *task)
{
    CHECK_MAGIC(pool, TASK_POOL_MAGIC);
    CHECK(task->run != NULL && task->deliver != NULL);
    task->next = NULL;
    pthread_mutex_lock(&pool->lock);
    CHECK(!pool->stopping);
    *pool->end = task;
    pool->end = &task->next;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

void task_pool_free(struct task_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CHECK_MAGIC(pool, TASK_POOL_MAGIC);
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    pool->magic = 0;
    mem_free(pool->threads);
    mem_free(pool);
}

int task_pool_new(unsigned threads, struct task_pool **ret_pool, struct error *error)
{
    CHECK(threads >= 1);
    struct task_pool *pool = mem_zalloc(1, sizeof(*pool));
    pthread_t *handles = mem_zalloc(threads, sizeof(handles[0]));
    if (pool == NULL || handles == NULL) {
        mem_free(handles);
        mem_free(pool);
        return error_set(error, ERR_NO_MEMORY, "no memory for threads that decode large bodies");
    }
    pool->magic = TASK_POOL_MAGIC;
    pool->threads = handles;
    pool->end = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    for (unsigned i = 0; i < threads; i++) {
        int failed = pthread_create(&handles[i], NULL, run_tasks, pool);
        if (failed != 0) {
            task_pool_free(pool);
            return error_set(error, ERR_INTERNAL, "no thread to decode large bodies: %s",
                             strerrordesc_np(failed));
        }
        pool->started++;
    }
    *ret_pool = pool;
    return ERR_OK;
}
