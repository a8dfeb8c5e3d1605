/*
 * When an export is tried again, and how often failures are told (OTLP/HTTP, "Failures"; "Retryable
 * Response Codes"). Pure functions; the clock is the caller's.
 */
#ifndef OBS_OTLP_RETRY_H
#define OBS_OTLP_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Of a transport that got no status. */
#define OTLP_NO_STATUS 0

enum otlp_outcome {
    OTLP_TAKEN,
    OTLP_REFUSED, /* trying again would change nothing */
    OTLP_LATER,
};

/* What the collector's status means; OTLP_NO_STATUS is a connection that failed. */
enum otlp_outcome otlp_judge(int status);

/*
 * How long to wait after so many failed attempts, at least 1: one second, doubled each time up to
 * half a minute, a fifth more or less by chance, and never less than the collector asks for.
 */
uint64_t otlp_retry_delay_ns(unsigned failures, uint64_t retry_after_ns, uint64_t chance);

/* Failures are told once a minute. Zero-initialise. */
struct otlp_complaints {
    uint64_t told_ns; /* 0: never */
    uint64_t exports; /* that failed since then */
    uint64_t spans;   /* that were lost, with them or otherwise */
};

/* Counts a loss. True when it is time for a line: then the counts are taken, and begin anew. */
bool otlp_complain(struct otlp_complaints *complaints, unsigned exports, uint64_t spans,
                   uint64_t now_ns, struct otlp_complaints *ret_since);

#endif
