/* The event loop: order within a turn, timers on a virtual clock, tasks and mail. */
#include "net/loop.h"

#include "base/clock.h"
#include "base/mem.h"
#include "unit_tests/net_testing.h"

#define TRACE_MAX 32

/* What has happened, one letter an event. */
struct trace {
    char text[TRACE_MAX];
    size_t len;
};

static void trace_put(struct trace *trace, char letter)
{
    assert_true(trace->len + 1 < TRACE_MAX);
    trace->text[trace->len++] = letter;
    trace->text[trace->len] = '\0';
}

static struct trace trace;

struct fixture {
    struct loop *loop;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    trace = (struct trace){0};
    fixture.loop = new_loop();
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    loop_free(fixture->loop);
    sys_reset();
    return 0;
}

/* A task, timer or mail that writes its letter, and then does something to the next one. */
struct actor {
    char letter;
    struct loop *loop;
    struct actor *next;
    struct loop_task task;
    struct loop_timer timer;
    struct loop_mail mail;
    void (*then)(struct actor *actor);
};

#define ACTOR_OF(pointer, member)                                                                  \
    ((struct actor *)((char *)(pointer)-offsetof(struct actor, member)))

static void act(struct actor *actor)
{
    trace_put(&trace, actor->letter);
    if (actor->then != NULL) {
        actor->then(actor);
    }
}

static void act_task(struct loop_task *task)
{
    act(ACTOR_OF(task, task));
}

static void act_timer(struct loop_timer *timer)
{
    struct actor *actor = ACTOR_OF(timer, timer);
    assert_true(loop_now_ns(actor->loop) >= timer->at_ns);
    assert_int_equal(timer->position, 0);
    act(actor);
}

static void act_mail(struct loop_mail *mail)
{
    act(ACTOR_OF(mail, mail));
}

static struct actor make_actor(struct loop *loop, char letter)
{
    return (struct actor){.letter = letter,
                          .loop = loop,
                          .task.run = act_task,
                          .timer.on_due = act_timer,
                          .mail.deliver = act_mail};
}

static void defer_next(struct actor *actor)
{
    loop_defer(actor->loop, &actor->next->task);
}

static void defer_next_last(struct actor *actor)
{
    loop_defer_last(actor->loop, &actor->next->task);
}

static void undefer_next(struct actor *actor)
{
    loop_undefer(actor->loop, &actor->next->task);
}

static void cancel_next(struct actor *actor)
{
    loop_timer_cancel(actor->loop, &actor->next->timer);
}

static void set_again(struct actor *actor)
{
    assert_int_equal(loop_timer_set(actor->loop, &actor->timer, 1), ERR_OK);
}

static void tasks_run_in_order_and_once(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a'), b = make_actor(loop, 'b'), c = make_actor(loop, 'c');
    loop_defer(loop, &a.task);
    loop_defer(loop, &b.task);
    loop_defer(loop, &a.task);
    loop_defer(loop, &c.task);
    loop_undefer(loop, &b.task);
    loop_undefer(loop, &b.task);
    loop_turn(loop, -1); /* does not wait: there is work */
    assert_string_equal(trace.text, "ac");
    loop_turn(loop, 0);
    assert_string_equal(trace.text, "ac");
}

static void tasks_defer_and_undefer_tasks(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a'), b = make_actor(loop, 'b'), c = make_actor(loop, 'c');
    a.then = defer_next;
    a.next = &b;
    b.then = undefer_next;
    b.next = &c;
    loop_defer(loop, &a.task);
    loop_defer(loop, &b.task);
    loop_defer(loop, &c.task);
    loop_turn(loop, 0);
    assert_string_equal(trace.text, "ab");
    b.then = NULL;
    loop_defer(loop, &a.task);
    loop_turn(loop, 0);
    assert_string_equal(trace.text, "abab");
}

static void last_tasks_come_after_all_tasks_and_once_a_turn(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor w = make_actor(loop, 'w'), v = make_actor(loop, 'v');
    struct actor a = make_actor(loop, 'a'), b = make_actor(loop, 'b');
    loop_defer_last(loop, &w.task);
    loop_defer(loop, &a.task);
    a.then = defer_next;
    a.next = &b; /* runs before the last tasks */
    w.then = defer_next;
    w.next = &v; /* an ordinary task: still this turn */
    v.then = defer_next_last;
    v.next = &w; /* next turn's */
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "abwv");
    w.then = NULL;
    loop_turn(loop, -1); /* does not wait */
    assert_string_equal(trace.text, "abwvw");
    loop_defer_last(loop, &w.task);
    loop_undefer(loop, &w.task);
    loop_turn(loop, 0);
    assert_string_equal(trace.text, "abwvw");
}

static void defer_self_next(struct actor *actor)
{
    loop_defer_next(actor->loop, &actor->task);
}

static void a_task_for_the_next_turn_does_not_hold_this_one(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a'), b = make_actor(loop, 'b');
    a.then = defer_self_next;
    loop_defer(loop, &a.task);
    loop_defer(loop, &b.task);
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "ab");
    loop_turn(loop, -1); /* does not wait */
    assert_string_equal(trace.text, "aba");
    loop_undefer(loop, &a.task);
    loop_turn(loop, 0);
    assert_string_equal(trace.text, "aba");
}

static void timers_fire_on_time(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a'), b = make_actor(loop, 'b'), c = make_actor(loop, 'c');
    sys_virtual_clock(VIRTUAL_START_NS);
    loop_turn(loop, 0);
    assert_int_equal(loop_timer_set(loop, &a.timer, VIRTUAL_START_NS + 1), ERR_OK);
    assert_int_equal(loop_timer_set(loop, &b.timer, VIRTUAL_START_NS + 75 * CLOCK_NS_PER_S + 1),
                     ERR_OK);
    assert_int_equal(loop_timer_set(loop, &c.timer, UINT64_MAX), ERR_OK);
    sys_count_calls();
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "a");
    assert_int_equal(loop_now_ns(loop), VIRTUAL_START_NS + CLOCK_NS_PER_MS);
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "ab"); /* one wait, to the next whole millisecond */
    assert_int_equal(sys_calls(SYS_EPOLL_WAIT), 2);
    assert_true(loop_now_ns(loop) > VIRTUAL_START_NS + 75 * CLOCK_NS_PER_S);
    assert_true(loop_now_ns(loop) <= VIRTUAL_START_NS + 75 * CLOCK_NS_PER_S + 2 * CLOCK_NS_PER_MS);
    loop_turn(loop, 10); /* the caller's maximum holds */
    assert_int_equal(loop_now_ns(loop) / CLOCK_NS_PER_MS % 1000, 11);
    loop_timer_cancel(loop, &c.timer);
    assert_string_equal(trace.text, "ab");
}

static void a_firing_timer_cancels_another(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a'), b = make_actor(loop, 'b'), c = make_actor(loop, 'c');
    a.then = cancel_next;
    a.next = &b;
    assert_int_equal(loop_timer_set(loop, &a.timer, 1), ERR_OK);
    assert_int_equal(loop_timer_set(loop, &b.timer, 2), ERR_OK);
    assert_int_equal(loop_timer_set(loop, &c.timer, 3), ERR_OK);
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "ac");
}

static void a_timer_set_to_the_past_does_not_hold_the_turn(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a');
    a.then = set_again;
    assert_int_equal(loop_timer_set(loop, &a.timer, 1), ERR_OK);
    loop_turn(loop, -1);
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "aa");
    loop_timer_cancel(loop, &a.timer);
}

static void mail_and_timers_come_before_tasks(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor m = make_actor(loop, 'm'), t = make_actor(loop, 't'), d = make_actor(loop, 'd');
    m.then = defer_next;
    m.next = &d;
    assert_int_equal(loop_timer_set(loop, &t.timer, 1), ERR_OK);
    loop_post(loop, &m.mail);
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "mtd");
}

static void post_next(struct actor *actor)
{
    loop_post(actor->loop, &actor->next->mail);
}

static void mail_posted_in_a_turn_comes_in_the_next(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a'), b = make_actor(loop, 'b');
    a.then = post_next;
    a.next = &b;
    loop_post(loop, &a.mail);
    loop_turn(loop, -1);
    assert_string_equal(trace.text, "a");
    loop_turn(loop, -1); /* does not wait for ever: mail is there */
    assert_string_equal(trace.text, "ab");
}

/* Two sources that are ready in the same turn; the first one served takes the other one out. */
struct pair_source {
    struct loop_source source;
    struct loop *loop;
    struct pair_source *other;
    int served;
    bool removed;
};

static void remove_other(struct loop_source *source, uint32_t ready)
{
    struct pair_source *self = (struct pair_source *)source; /* its first member */
    assert_true(ready & EPOLLIN);
    assert_false(self->removed);
    self->served++;
    loop_remove(self->loop, &self->other->source);
    self->other->removed = true;
}

static void a_removed_source_gets_no_fetched_event(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    int fds[2][2];
    struct pair_source sources[2] = {0};
    for (int i = 0; i < 2; i++) {
        make_socketpair(fds[i]);
        sources[i].source = (struct loop_source){.fd = fds[i][0], .on_ready = remove_other};
        sources[i].loop = loop;
        sources[i].other = &sources[1 - i];
        assert_int_equal(loop_add(loop, &sources[i].source, EPOLLIN, NULL), ERR_OK);
        peer_send(fds[i][1], "x", 1);
    }
    loop_turn(loop, -1);
    assert_int_equal(sources[0].served + sources[1].served, 1);
    int kept = sources[0].removed ? 1 : 0;
    loop_remove(loop, &sources[kept].source);
    loop_turn(loop, 0);
    assert_int_equal(sources[0].served + sources[1].served, 1);
    for (int i = 0; i < 2; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

static void reports_what_the_kernel_refuses(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct loop_source source = {.fd = -1, .on_ready = remove_other};
    struct error error = {0};
    assert_int_equal(loop_add(loop, &source, EPOLLIN, &error), ERR_INTERNAL);
    assert_string_equal(error.text, "epoll_ctl: Bad file descriptor");
}

static void survives_a_failing_wait(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a');
    loop_defer(loop, &a.task);
    sys_fail_call(SYS_EPOLL_WAIT, 1, ENOMEM);
    loop_turn(loop, 0);
    assert_false(sys_fault_pending());
    assert_string_equal(trace.text, "a");
}

static void every_failure_to_make_one_is_clean(void **state)
{
    (void)state;
    size_t before = count_descriptors();
    struct loop *loop = NULL;
    struct error error;
    mem_fail_nth(1);
    assert_int_equal(loop_new(&loop, &error), ERR_NO_MEMORY);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        sys_fail_nth(nth, EMFILE);
        assert_int_equal(loop_new(&loop, &error), ERR_INTERNAL);
        assert_non_null(strstr(error.text, ": Too many open files"));
        assert_null(loop);
    }
    sys_reset();
    assert_int_equal(count_descriptors(), before);
}

static void mail_posted_before_the_stop_is_delivered(void **state)
{
    struct loop *loop = ((struct fixture *)*state)->loop;
    struct actor a = make_actor(loop, 'a');
    loop_post(loop, &a.mail);
    loop_stop(loop);
    loop_run(loop);
    assert_string_equal(trace.text, "a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tasks_run_in_order_and_once),
        TEST(tasks_defer_and_undefer_tasks),
        TEST(last_tasks_come_after_all_tasks_and_once_a_turn),
        TEST(a_task_for_the_next_turn_does_not_hold_this_one),
        TEST(timers_fire_on_time),
        TEST(a_firing_timer_cancels_another),
        TEST(a_timer_set_to_the_past_does_not_hold_the_turn),
        TEST(mail_and_timers_come_before_tasks),
        TEST(mail_posted_in_a_turn_comes_in_the_next),
        TEST(a_removed_source_gets_no_fetched_event),
        TEST(reports_what_the_kernel_refuses),
        TEST(survives_a_failing_wait),
        TEST(every_failure_to_make_one_is_clean),
        TEST(mail_posted_before_the_stop_is_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
