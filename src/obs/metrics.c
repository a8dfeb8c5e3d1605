/*
 * Counting. A metric's cells are one run in each shard: for histograms the buckets, then sum and
 * count. One writer a shard, so a relaxed load and store is enough; readers may be a little behind.
 * What is not counted by one thread alone stands in cells that all share.
 */
#include "obs/metrics.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "obs/metrics_state.h"

/* ---- life ---- */

static void lay_out(struct metrics *metrics)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_definition *definition = &metric_definitions[metric];
        unsigned series =
            metric_series_count(definition) * (definition->of_model ? METRICS_MODELS_MAX : 1);
        metrics->first_cell[metric] = metrics->cell_count;
        metrics->cell_count += series * metric_cells(definition);
        metrics->first_exemplar[metric] = metrics->exemplar_count;
        if (definition->kind == METRIC_HISTOGRAM) {
            metrics->exemplar_count += series * (definition->buckets->count + 1);
        }
    }
}

struct metrics *metrics_new(const char *version)
{
    struct metrics *metrics = mem_zalloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        return NULL;
    }
    metrics->version = version;
    lay_out(metrics);
    metrics->shared = mem_zalloc(metrics->cell_count, sizeof(metrics->shared[0]));
    if (metrics->shared == NULL) {
        mem_free(metrics);
        return NULL;
    }
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (unsigned i = 0; i < metrics->shard_count; i++) {
        mem_free(atomic_load(&metrics->shards[i]->exemplars));
        mem_free(metrics->shards[i]->cells);
        mem_free(metrics->shards[i]);
    }
    mem_free(metrics->shared);
    mem_free(metrics);
}

struct metrics_shard *metrics_add_shard(struct metrics *metrics)
{
    CHECK(metrics->shard_count < METRICS_SHARDS_MAX);
    struct metrics_shard *shard = mem_zalloc(1, sizeof(*shard));
    if (shard == NULL) {
        return NULL;
    }
    shard->cells = mem_zalloc(metrics->cell_count, sizeof(shard->cells[0]));
    if (shard->cells == NULL) {
        mem_free(shard);
        return NULL;
    }
    shard->metrics = metrics;
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        shard->places[metric].stride = metric_cells(&metric_definitions[metric]);
    }
    metrics_shard_use_model(shard, 0);
    metrics->shards[metrics->shard_count++] = shard;
    return shard;
}

/* ---- models ---- */

static unsigned add_model(struct metrics *metrics, struct slice name)
{
    unsigned count = atomic_load_explicit(&metrics->model_count, memory_order_relaxed);
    if (count == METRICS_MODELS_MAX) {
        return count - 1;
    }
    if (count == METRICS_MODELS_MAX - 1) {
        name = SLICE("other");
    }
    if (name.len > 0) {
        memcpy(metrics->models[count], name.ptr, name.len);
    }
    atomic_store_explicit(&metrics->model_count, count + 1, memory_order_release);
    return count;
}

static unsigned find_model(struct metrics *metrics, struct slice name)
{
    unsigned count = atomic_load_explicit(&metrics->model_count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++) {
        const char *known = metrics->models[i];
        if (slice_eq(slice_make(known, strlen(known)), name)) {
            return i;
        }
    }
    return add_model(metrics, name);
}

unsigned metrics_use_model(struct metrics *metrics, struct slice name)
{
    name = slice_head(name, METRICS_MODEL_NAME_MAX);
    unsigned model = find_model(metrics, slice_head(name, slice_find(name, '\0')));
    atomic_store_explicit(&metrics->model_now, model, memory_order_release);
    return model;
}

void metrics_shard_use_model(struct metrics_shard *shard, unsigned model)
{
    CHECK(model < METRICS_MODELS_MAX);
    shard->model = model;
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        struct metrics_place *place = &shard->places[metric];
        place->cells = shard->cells + shard->metrics->first_cell[metric] +
                       metrics_series(metric, model, 0) * place->stride;
    }
}

/* ---- by one thread ---- */

static void add(_Atomic uint64_t *cell, uint64_t more)
{
    uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, value + more, memory_order_relaxed);
}

static _Atomic uint64_t *cells_of(struct metrics_shard *shard, enum metric metric, unsigned series)
{
    const struct metrics_place *place = &shard->places[metric];
    return place->cells + series * place->stride;
}

void metrics_count(struct metrics_shard *shard, enum metric metric, unsigned series, uint64_t more)
{
    CHECK(metric_definitions[metric].kind == METRIC_COUNTER);
    add(cells_of(shard, metric, series), more);
}

void metrics_raise(struct metrics_shard *shard, enum metric metric, unsigned series)
{
    CHECK(metric_definitions[metric].kind == METRIC_GAUGE);
    add(cells_of(shard, metric, series), 1);
}

void metrics_lower(struct metrics_shard *shard, enum metric metric, unsigned series)
{
    CHECK(metric_definitions[metric].kind == METRIC_GAUGE);
    add(cells_of(shard, metric, series), UINT64_MAX); /* one less */
}

static unsigned bucket_of(const struct metric_buckets *buckets, uint64_t value)
{
    unsigned bucket = 0;
    while (bucket < buckets->count && value > buckets->bounds[bucket]) {
        bucket++;
    }
    return bucket;
}

void metrics_observe(struct metrics_shard *shard, enum metric metric, unsigned series,
                     uint64_t value)
{
    const struct metric_definition *definition = &metric_definitions[metric];
    _Atomic uint64_t *cells = cells_of(shard, metric, series);
    if (definition->kind == METRIC_HISTOGRAM) {
        add(&cells[bucket_of(definition->buckets, value)], 1);
        cells += definition->buckets->count + 1;
    } else {
        CHECK(definition->kind == METRIC_SUMMARY);
    }
    add(&cells[0], value);
    add(&cells[1], 1);
}

/* NULL without memory. Published for the scrapes' threads. */
static struct exemplar *exemplars_of(struct metrics_shard *shard)
{
    struct exemplar *all = atomic_load_explicit(&shard->exemplars, memory_order_relaxed);
    if (all == NULL) {
        all = mem_zalloc(shard->metrics->exemplar_count, sizeof(all[0]));
        atomic_store_explicit(&shard->exemplars, all, memory_order_release);
    }
    return all;
}

void metrics_observe_exemplar(struct metrics_shard *shard, enum metric metric, unsigned series,
                              uint64_t value, const struct metrics_trace *trace)
{
    const struct metric_definition *definition = &metric_definitions[metric];
    CHECK(definition->kind == METRIC_HISTOGRAM);
    metrics_observe(shard, metric, series, value);
    struct exemplar *all = trace == NULL ? NULL : exemplars_of(shard);
    if (all != NULL) {
        unsigned buckets = definition->buckets->count + 1;
        unsigned at = metrics_series(metric, shard->model, series) * buckets;
        exemplar_put(&all[shard->metrics->first_exemplar[metric] + at +
                          bucket_of(definition->buckets, value)],
                     value, trace);
    }
}

/* ---- by any thread ---- */

static _Atomic uint64_t *shared_cell(struct metrics *metrics, enum metric metric, unsigned model,
                                     unsigned series)
{
    CHECK(metric_cells(&metric_definitions[metric]) == 1);
    atomic_store_explicit(&metrics->given[metric], true, memory_order_relaxed);
    return &metrics->shared[metrics->first_cell[metric] + metrics_series(metric, model, series)];
}

static unsigned model_now(const struct metrics *metrics)
{
    return atomic_load_explicit(&metrics->model_now, memory_order_relaxed);
}

void metrics_set_of_model(struct metrics *metrics, unsigned model, enum metric metric,
                          unsigned series, uint64_t value)
{
    CHECK(model < METRICS_MODELS_MAX);
    atomic_store_explicit(shared_cell(metrics, metric, model, series), value, memory_order_relaxed);
}

void metrics_set_series(struct metrics *metrics, enum metric metric, unsigned series,
                        uint64_t value)
{
    metrics_set_of_model(metrics, model_now(metrics), metric, series, value);
}

void metrics_set(struct metrics *metrics, enum metric metric, uint64_t value)
{
    metrics_set_series(metrics, metric, SERIES_NONE, value);
}

void metrics_add(struct metrics *metrics, enum metric metric, unsigned series, uint64_t more)
{
    atomic_fetch_add_explicit(shared_cell(metrics, metric, model_now(metrics), series), more,
                              memory_order_relaxed);
}
