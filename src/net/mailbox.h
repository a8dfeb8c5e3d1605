/*
 * Mail from many threads to one: lock-free, unbounded (a mail is embedded in what it is about, so
 * that posting allocates nothing and cannot fail). Only the stack of mail is here; waking the
 * receiver is the loop's.
 */
#ifndef NET_MAILBOX_H
#define NET_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "net/loop.h"

struct mailbox {
    _Atomic(struct loop_mail *) newest;
};

void mailbox_init(struct mailbox *mailbox);
/* Any thread. The mail is not to be posted again before it was taken. */
void mailbox_post(struct mailbox *mailbox, struct loop_mail *mail);
/* Any thread. */
bool mailbox_is_empty(struct mailbox *mailbox);
/*
 * The receiver's thread. All the mail there is, oldest first, linked by `next`: one sender's mail
 * comes in the order of its posting. NULL when there is none.
 */
struct loop_mail *mailbox_take(struct mailbox *mailbox);

#endif
