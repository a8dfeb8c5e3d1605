/* Mail into loops: from many threads, in order, and no wake-up is lost. */
#include "net/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "unit_tests/net_testing.h"

static int set_up(void **state)
{
    *state = new_loop();
    return 0;
}

static int tear_down(void **state)
{
    loop_free(*state);
    return 0;
}

static void takes_all_of_it_oldest_first(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct loop_mail mails[3];
    mailbox_init(&mailbox);
    assert_true(mailbox_is_empty(&mailbox));
    assert_null(mailbox_take(&mailbox));
    for (int i = 0; i < 3; i++) {
        mailbox_post(&mailbox, &mails[i]);
        assert_false(mailbox_is_empty(&mailbox));
    }
    struct loop_mail *taken = mailbox_take(&mailbox);
    for (int i = 0; i < 3; i++, taken = taken->next) {
        assert_ptr_equal(taken, &mails[i]);
    }
    assert_null(taken);
    assert_true(mailbox_is_empty(&mailbox));
}

#define POSTS 10000
#define SENDERS 4

struct letter {
    struct loop_mail mail;
    int sender;
    int number;
};

static struct {
    int next_number[SENDERS];
    int received;
    int out_of_order;
} post_office;

static void count_letter(struct loop_mail *mail)
{
    struct letter *letter = (struct letter *)mail; /* its first member */
    if (letter->number != post_office.next_number[letter->sender]++) {
        post_office.out_of_order++;
    }
    post_office.received++;
    free(letter);
}

struct sender {
    struct loop *loop;
    int number;
};

static void *send_letters(void *user)
{
    struct sender *sender = user;
    for (int i = 0; i < POSTS; i++) {
        struct letter *letter = malloc(sizeof(*letter));
        if (letter == NULL) {
            abort();
        }
        *letter = (struct letter){{.deliver = count_letter}, sender->number, i};
        loop_post(sender->loop, &letter->mail);
    }
    return NULL;
}

static void mail_of_many_threads_arrives_in_order(void **state)
{
    struct loop *loop = *state;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    post_office.received = 0;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){loop, i};
        post_office.next_number[i] = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &senders[i]), 0);
    }
    while (post_office.received < SENDERS * POSTS) {
        loop_turn(loop, -1); /* a lost wake-up would be waited for for ever */
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(post_office.next_number[i], POSTS);
    }
    assert_int_equal(post_office.out_of_order, 0);
}

static void ten_thousand_posts_to_a_resting_loop_are_one_turn(void **state)
{
    struct loop *loop = *state;
    struct sender sender = {loop, 0};
    post_office.received = post_office.next_number[0] = 0;
    send_letters(&sender);
    loop_turn(loop, -1);
    assert_int_equal(post_office.received, POSTS);
    assert_int_equal(post_office.out_of_order, 0);
}

struct ping {
    struct loop_mail mail;
    struct loop *to;
    struct ping *answer;
    int left;
};

static void ping_back(struct loop_mail *mail)
{
    struct ping *ping = (struct ping *)mail; /* its first member */
    struct ping *answer = ping->answer;
    if (ping->left == 0) {
        loop_stop(ping->to);
        loop_stop(answer->to);
        return;
    }
    answer->left = ping->left - 1;
    loop_post(answer->to, &answer->mail);
}

static void *run_loop(void *user)
{
    loop_run(user);
    return NULL;
}

/* Each loop sleeps until the other one wakes it, a thousand times: the sleep protocol's worst case. */
static void two_loops_wake_each_other(void **state)
{
    struct loop *loops[2] = {*state, new_loop()};
    struct ping pings[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        pings[i] =
            (struct ping){.mail.deliver = ping_back, .to = loops[i], .answer = &pings[1 - i]};
    }
    pings[0].left = 1000;
    loop_post(loops[0], &pings[0].mail);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_loop, loops[i]), 0);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    assert_int_equal(pings[0].left, 0);
    loop_free(loops[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_all_of_it_oldest_first),
        TEST(mail_of_many_threads_arrives_in_order),
        TEST(ten_thousand_posts_to_a_resting_loop_are_one_turn),
        TEST(two_loops_wake_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
