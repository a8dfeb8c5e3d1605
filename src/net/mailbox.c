/*
 * A stack that senders push to by compare-and-swap and the receiver empties by one exchange. As
 * nothing is ever popped singly, there is no ABA problem. Sequentially consistent throughout: the
 * loop's sleep protocol (loop.c) needs the order of a post and of its own flag.
 */
#include "net/mailbox.h"

#include <stddef.h>

void mailbox_init(struct mailbox *mailbox)
{
    atomic_init(&mailbox->newest, NULL);
}

void mailbox_post(struct mailbox *mailbox, struct loop_mail *mail)
{
    struct loop_mail *newest = atomic_load(&mailbox->newest);
    do {
        mail->next = newest;
    } while (!atomic_compare_exchange_weak(&mailbox->newest, &newest, mail));
}

bool mailbox_is_empty(struct mailbox *mailbox)
{
    return atomic_load(&mailbox->newest) == NULL;
}

struct loop_mail *mailbox_take(struct mailbox *mailbox)
{
    /* The look first keeps an idle mailbox's cache line shared. */
    if (mailbox_is_empty(mailbox)) {
        return NULL;
    }
    struct loop_mail *mail = atomic_exchange(&mailbox->newest, NULL);
    struct loop_mail *oldest = NULL;
    while (mail != NULL) {
        struct loop_mail *older = mail->next;
        mail->next = oldest;
        oldest = mail;
        mail = older;
    }
    return oldest;
}
