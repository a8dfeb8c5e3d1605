/*
 * The declaration of every metric: what is counted, scraped and documented is made from this one
 * table. Constant: any thread.
 */
#ifndef OBS_METRICS_TABLE_H
#define OBS_METRICS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "obs/metrics.h"

#define METRIC_LABELS_MAX 3
#define METRIC_BUCKETS_MAX 24
#define METRIC_FACTS 3

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_SUMMARY };

/* What a value is printed in. */
enum metric_unit { METRIC_PLAIN, METRIC_SECONDS, METRIC_BYTES };

/* Its values are ours, never a client's text. */
struct metric_label {
    const char *name;
    const char *const *values;
    unsigned count;
};

struct metric_buckets {
    unsigned count;
    uint64_t bounds[METRIC_BUCKETS_MAX]; /* as counted, ascending and inclusive; +Inf is implied */
};

struct metric_definition {
    const char *name;
    const char *help; /* a sentence; may hold any character */
    enum metric_kind kind;
    enum metric_unit unit;
    double scale; /* what one counted unit is worth in the printed one; 0 stands for 1 */
    const struct metric_label *labels[METRIC_LABELS_MAX];
    const struct metric_buckets *buckets; /* of a histogram */
    bool of_model;                        /* has the label `model` before its own */
    const char *facts[METRIC_FACTS]; /* labels whose values are told at a scrape; the value is 1 */
    bool optional;                   /* left out until it has been set */
};

extern const struct metric_definition metric_definitions[METRIC_COUNT];

/* How many series its own labels make, without that of the model. */
unsigned metric_series_count(const struct metric_definition *definition);
/* Cells of a series: a histogram's are its buckets, +Inf, then like a summary's the sum and count. */
unsigned metric_cells(const struct metric_definition *definition);

#endif
