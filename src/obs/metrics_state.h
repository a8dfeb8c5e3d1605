/*
 * The cells behind obs/metrics.h, for metrics.c (which writes them) and metrics_text.c (which reads
 * them). Nobody else includes this.
 */
#ifndef OBS_METRICS_STATE_H
#define OBS_METRICS_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "obs/exemplar.h"
#include "obs/metrics.h"
#include "obs/metrics_table.h"

#define METRICS_SHARDS_MAX 512

/* Where a shard counts a metric: for one of a model, that model's first series. */
struct metrics_place {
    _Atomic uint64_t *cells;
    unsigned stride; /* cells of a series */
};

struct metrics_shard {
    const struct metrics *metrics;
    unsigned model;
    struct metrics_place places[METRIC_COUNT];
    _Atomic uint64_t *cells;              /* all of them */
    _Atomic(struct exemplar *) exemplars; /* one for each bucket of each histogram; NULL: not yet */
};

struct metrics {
    const char *version;
    unsigned first_cell[METRIC_COUNT];
    unsigned first_exemplar[METRIC_COUNT]; /* of histograms */
    unsigned cell_count;
    unsigned exemplar_count;
    unsigned shard_count;
    struct metrics_shard *shards[METRICS_SHARDS_MAX];
    _Atomic uint64_t *shared; /* cells of what is not counted by shards */
    atomic_bool given[METRIC_COUNT];
    /* A name is written before it is counted, and stays. */
    char models[METRICS_MODELS_MAX][METRICS_MODEL_NAME_MAX + 1];
    _Atomic unsigned model_count;
    _Atomic unsigned model_now; /* in service */
};

/* Position of a series among all of its metric: those of a model lie together. */
static inline unsigned metrics_series(enum metric metric, unsigned model, unsigned series)
{
    const struct metric_definition *definition = &metric_definitions[metric];
    return definition->of_model ? model * metric_series_count(definition) + series : series;
}

#endif
