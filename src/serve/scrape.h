/*
 * GET /metrics: measures the process and the model, and writes all figures, in gzip where the client
 * takes it, on a thread for large work: reading /proc and adding up thousands of cells takes a loop's
 * other clients no time.
 */
#ifndef SERVE_SCRAPE_H
#define SERVE_SCRAPE_H

#include "serve/exchange.h"

/* Answers later, or at once where no thread is for such work. */
void scrape_answer(struct exchange *exchange);

#endif
