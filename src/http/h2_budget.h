/*
 * How much trouble a client may make on one HTTP/2 connection before it is closed. Some frames cost
 * their sender next to nothing and us work or memory; each takes points off, and answers that reach
 * their end put some back, up to where the budget began. No clock: who works pays for it with work.
 */
#ifndef HTTP_H2_BUDGET_H
#define HTTP_H2_BUDGET_H

#include <stdbool.h>

/*
 * Room for four times H2_MAX_CONCURRENT_STREAMS requests to be cancelled, all at once and with no
 * answer in between, as an honest client does when the server is slow and its deadlines pass.
 */
#define H2_BUDGET_MAX 2048u

enum h2_cost {
    /* A frame that is dealt with at once: PING, PRIORITY, unknown types, DATA without any. */
    H2_COST_FRAME = 1,
    /* WINDOW_UPDATE by less than H2_SMALL_WINDOW_BYTES: it may make us send as small a frame. */
    H2_COST_SMALL_WINDOW = 1,
    /*
     * A request that was begun for nothing: reset by the client, malformed, or past the streams that
     * it was told of. Not one that we have no room for: its client may try again.
     */
    H2_COST_STREAM = 2,
    /* SETTINGS change the window of every open stream, and have to be acknowledged. */
    H2_COST_SETTINGS = 4,
};

enum h2_gain {
    /* A DATA frame of at least H2_SMALL_WINDOW_BYTES went out: clients measure and credit these. */
    H2_GAIN_DATA = 1,
    /* A whole answer: pays for four cancelled requests, or for a PING with every other one. */
    H2_GAIN_ANSWER = 8,
};

#define H2_SMALL_WINDOW_BYTES 1024

struct h2_budget {
    unsigned left;
};

static inline void h2_budget_init(struct h2_budget *budget)
{
    budget->left = H2_BUDGET_MAX;
}

/* False once it is used up. */
static inline bool h2_budget_spend(struct h2_budget *budget, enum h2_cost cost)
{
    bool enough = budget->left > (unsigned)cost;
    budget->left = enough ? budget->left - (unsigned)cost : 0;
    return enough;
}

static inline void h2_budget_earn(struct h2_budget *budget, enum h2_gain gain)
{
    unsigned missing = H2_BUDGET_MAX - budget->left;
    budget->left += (unsigned)gain < missing ? (unsigned)gain : missing;
}

#endif
