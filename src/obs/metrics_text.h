/*
 * What a scrape reads: the text format of Prometheus 0.0.4, and OpenMetrics 1.0 with the exemplars of
 * histograms.
 */
#ifndef OBS_METRICS_TEXT_H
#define OBS_METRICS_TEXT_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "obs/metrics.h"
#include "obs/metrics_table.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

struct metrics_view {
    enum metrics_format format;
    /* Values of the labels of METRIC_MODEL_INFO, in its order; NULL: no model is in service. */
    const struct slice *model_facts;
    unsigned model; /* whose gauges are written, and whose facts these are */
};

/* What the format calls itself. */
struct slice metrics_content_type(enum metrics_format format);

/*
 * Appends everything. Series of many that were never touched are left out. The facts may hold any
 * bytes. Any thread, beside those that count. ERR_NO_MEMORY.
 */
MUST_CHECK int metrics_write(const struct metrics *metrics, const struct metrics_view *view,
                             struct bytes *out);

/* What a counter or gauge stands at; that of a model, for the one in service. Any thread. */
uint64_t metrics_read(const struct metrics *metrics, enum metric metric, unsigned series);

#endif
