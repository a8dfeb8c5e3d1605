/*
 * Everything that is not inference: probes, metrics, the API's description, and the pages.
 */
#ifndef SERVE_ADMIN_H
#define SERVE_ADMIN_H

#include "serve/exchange.h"

/* Answers at once. The exchange's route and method fit each other. */
void admin_answer(struct exchange *exchange);

#endif
