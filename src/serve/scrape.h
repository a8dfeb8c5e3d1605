/*
 * GET /metrics: measures the process and the model, and writes all figures, in gzip where the client
 * takes it, on a thread for large work: reading /proc and adding up thousands of cells takes a loop's
 * other clients no time.
 */
#ifndef SERVE_SCRAPE_H
#define SERVE_SCRAPE_H

#include "serve/exchange.h"

/*
 * Scrapes that a loop may have on those threads: they take no execution slot, cost far more to answer
 * than to ask for, and large bodies wait behind them. A few Prometheus servers may come together.
 */
#define SCRAPES_MAX 8

/*
 * Answers later, or at once where no thread is for such work; with 429 past SCRAPES_MAX. One that
 * nobody waits for any more keeps its place until a thread has come to it, which costs next to nothing.
 */
void scrape_answer(struct exchange *exchange);

#endif
