#include "serve/errand.h"

#include <stddef.h>

static struct errand *of_task(struct task *task)
{
    return (struct errand *)(void *)((char *)task - offsetof(struct errand, task));
}

static void run(struct task *task)
{
    struct errand *errand = of_task(task);
    errand->work(errand);
}

static void post_home(struct task *task)
{
    struct errand *errand = of_task(task);
    loop_post(errand->loop, &errand->mail);
}

static void tell_done(struct loop_mail *mail)
{
    struct errand *errand = (struct errand *)(void *)((char *)mail - offsetof(struct errand, mail));
    errand->done(errand);
}

void errand_run(struct errand *errand, struct task_pool *pool, struct loop *loop,
                void (*work)(struct errand *errand), void (*done)(struct errand *errand))
{
    errand->task = (struct task){.run = run, .deliver = post_home};
    errand->mail = (struct loop_mail){.deliver = tell_done};
    errand->loop = loop;
    errand->work = work;
    errand->done = done;
    task_pool_submit(pool, &errand->task);
}
