/*
 * A stack that runners push whole batches to and the loop empties by one exchange (so there is no ABA
 * problem), put in order again when it is emptied. A runner pushes, then looks whether mail was
 * sent; the loop says that none was, then looks at the stack. In that order, all of it sequentially
 * consistent, no job is left behind.
 */
#include "serve/returns.h"

#include <stddef.h>

#include "base/check.h"

static void push(struct returns *returns, struct job *newest, struct job *oldest)
{
    struct job *before = atomic_load(&returns->newest);
    do {
        oldest->next = before;
    } while (!atomic_compare_exchange_weak(&returns->newest, &before, newest));
}

/* Any thread. */
static void on_return(struct job_owner *owner, struct job *jobs)
{
    struct returns *returns = (struct returns *)(void *)owner;
    CHECK(jobs != NULL);
    struct job *oldest = jobs;
    struct job *newest = NULL;
    while (jobs != NULL) {
        struct job *job = jobs;
        jobs = job->next;
        job->next = newest;
        newest = job;
    }
    push(returns, newest, oldest);
    if (!atomic_exchange(&returns->mail_sent, true)) {
        loop_post(returns->loop, &returns->mail);
    }
}

static struct job *take_oldest_first(struct returns *returns)
{
    struct job *oldest = NULL;
    struct job *jobs = atomic_exchange(&returns->newest, NULL);
    while (jobs != NULL) {
        struct job *job = jobs;
        jobs = job->next;
        job->next = oldest;
        oldest = job;
    }
    return oldest;
}

static void on_mail(struct loop_mail *mail)
{
    struct returns *returns =
        (struct returns *)(void *)((char *)mail - offsetof(struct returns, mail));
    atomic_store(&returns->mail_sent, false);
    struct job *jobs = take_oldest_first(returns);
    while (jobs != NULL) {
        struct job *job = jobs;
        jobs = job->next; /* `done` may free the job */
        job_count(job, returns->metrics);
        job->done(job);
    }
}

void returns_init(struct returns *returns, struct loop *loop, struct metrics_shard *metrics)
{
    *returns = (struct returns){.owner = {.deliver = on_return},
                                .loop = loop,
                                .metrics = metrics,
                                .mail = {.deliver = on_mail}};
    atomic_init(&returns->mail_sent, false);
    atomic_init(&returns->newest, NULL);
}
