/*
 * Tracing as the settings want it: whether there is any, what is sampled, and the exporter that sends
 * spans to the collector. What a request records is serve/exchange_trace.
 */
#ifndef SERVE_TRACING_H
#define SERVE_TRACING_H

#include <stdint.h>

#include "base/error.h"
#include "config/settings.h"
#include "obs/metrics.h"
#include "obs/sampler.h"
#include "obs/span.h"

struct tracing;

/*
 * Starts the exporter where there is an endpoint. *ret_tracing is NULL where tracing is off; without
 * an endpoint nothing is recorded or sent, but requests that belong to a trace are told so. The
 * settings are borrowed until tracing_free. ERR_CONFIG for an endpoint that is none, ERR_NO_MEMORY.
 * Where libcurl is missing one log line says so, and it is as without an endpoint.
 */
MUST_CHECK int tracing_new(const struct settings *settings, struct slice version, unsigned threads,
                           struct tracing **ret_tracing, struct error *error);
/* Sends what waits, until `end_ns` at most, and frees. The I/O threads have ended. NULL is fine. */
void tracing_free(struct tracing *tracing, uint64_t end_ns);

/* Of an I/O thread; NULL where nothing is recorded, or there is no tracing. */
struct span_ring *tracing_ring(struct tracing *tracing, unsigned thread);
const struct sampler *tracing_sampler(const struct tracing *tracing);

/* Sets the counters of spans. Any thread. NULL is fine. */
void tracing_measure(const struct tracing *tracing, struct metrics *metrics);

#endif
