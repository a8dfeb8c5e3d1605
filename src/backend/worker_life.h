/*
 * The life of one worker, as its supervisor leads it: started, greeted until it is ready, and in the end
 * buried, with what then becomes of its place. The supervisor's thread alone; without the lock.
 */
#ifndef BACKEND_WORKER_LIFE_H
#define BACKEND_WORKER_LIFE_H

#include "backend/worker_slot.h"

/* Fills a vacant place. */
void worker_life_start(struct worker_pool *pool, struct worker *worker);
/* Reads what one that is starting says. */
void worker_life_hear(struct worker_pool *pool, struct worker *worker);
/* Tells one that is over to go, where it can still be told; else the same as the next. */
void worker_life_dismiss(struct worker_pool *pool, struct worker *worker);
/* Ends the process of one that is over or leaving, and decides when the place is filled again. */
void worker_life_end(struct worker_pool *pool, struct worker *worker);

#endif
