/*
 * The text formats (Prometheus exposition format 0.0.4; OpenMetrics 1.0.0 of the IETF draft). A sum
 * over shards while these go on counting is a little behind, and never inconsistent with itself: the
 * count of a histogram is what its last bucket says.
 */
#include "obs/metrics_text.h"

#include <stdio.h>

#include "base/check.h"
#include "base/num.h"
#include "base/utf8.h"
#include "obs/metrics_state.h"

/* Series of a counter or gauge that are shown before they were touched, so that rates have a start. */
#define SHOWN_AT_ZERO_MAX 16

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif
#if defined(__x86_64__)
#define ARCHITECTURE "x86_64"
#elif defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#else
#define ARCHITECTURE "other"
#endif

/* Once something found no room, the rest is left out. */
struct writer {
    const struct metrics *metrics;
    const struct metrics_view *view;
    struct bytes *out;
    int status;
    /* Of the series at hand. */
    enum metric metric;
    const struct metric_definition *definition;
    unsigned model;
    unsigned series;
};

/* ---- text ---- */

static void put(struct writer *writer, struct slice text)
{
    if (writer->status == ERR_OK) {
        writer->status = bytes_put(writer->out, text);
    }
}

static void put_str(struct writer *writer, const char *text)
{
    put(writer, slice_from_str(text));
}

static bool is_openmetrics(const struct writer *writer)
{
    return writer->view->format == METRICS_OPENMETRICS;
}

/* What the characters that cannot stand for themselves in a label's value or a help text become. */
static struct slice escape_of(char c, bool quotes)
{
    switch (c) {
    case '\\':
        return SLICE("\\\\");
    case '\n':
        return SLICE("\\n");
    case '"':
        return quotes ? SLICE("\\\"") : SLICE("\"");
    default:
        return SLICE("");
    }
}

/* Bytes that are no UTF-8 would spoil the whole scrape. */
static void put_escaped(struct writer *writer, struct slice text, bool quotes)
{
    while (text.len > 0) {
        struct utf8_step step = utf8_step(text);
        struct slice escape = escape_of(text.ptr[0], quotes);
        put(writer, !step.valid      ? UTF8_REPLACEMENT
                    : escape.len > 0 ? escape
                                     : slice_head(text, step.bytes));
        text = slice_tail(text, step.bytes);
    }
}

static void put_number(struct writer *writer, double value)
{
    char text[NUM_TEXT_MAX];
    bool whole = value >= 0 && value < 1e15 && (double)(uint64_t)value == value;
    size_t len = whole ? num_print_u64((uint64_t)value, text) : num_print_f64(value, text);
    put(writer, slice_make(text, len));
}

static double scaled(const struct metric_definition *definition, uint64_t value)
{
    return definition->scale == 0 ? (double)value : (double)value * definition->scale;
}

/* ---- labels ---- */

/* Begins with what separates it from the label before it. */
static void put_label(struct writer *writer, const char **separator, const char *name,
                      struct slice value)
{
    put_str(writer, *separator);
    put_str(writer, name);
    put(writer, SLICE("=\""));
    put_escaped(writer, value, true);
    put(writer, SLICE("\""));
    *separator = ",";
}

static void put_own_labels(struct writer *writer, const char **separator)
{
    const struct metric_definition *definition = writer->definition;
    unsigned below = metric_series_count(definition);
    for (unsigned i = 0; i < METRIC_LABELS_MAX && definition->labels[i] != NULL; i++) {
        const struct metric_label *label = definition->labels[i];
        below /= label->count;
        put_label(writer, separator, label->name,
                  slice_from_str(label->values[writer->series / below % label->count]));
    }
}

static void put_facts(struct writer *writer, const char **separator)
{
    const struct slice build[METRIC_FACTS] = {slice_from_str(writer->metrics->version),
                                              SLICE(COMPILER), SLICE(ARCHITECTURE)};
    const struct slice *values =
        writer->metric == METRIC_BUILD_INFO ? build : writer->view->model_facts;
    for (unsigned i = 0; i < METRIC_FACTS && writer->definition->facts[i] != NULL; i++) {
        put_label(writer, separator, writer->definition->facts[i], values[i]);
    }
}

/* `le`: an upper bound in printed units, or NULL. */
static void put_labels(struct writer *writer, const char *le)
{
    const char *separator = "{";
    if (writer->definition->of_model) {
        put_label(writer, &separator, "model",
                  slice_from_str(writer->metrics->models[writer->model]));
    }
    put_own_labels(writer, &separator);
    put_facts(writer, &separator);
    if (le != NULL) {
        put_label(writer, &separator, "le", slice_from_str(le));
    }
    if (separator[0] == ',') {
        put(writer, SLICE("}"));
    }
}

/* A sample without the end of its line. */
static void put_sample(struct writer *writer, const char *suffix, const char *le, double value)
{
    put_str(writer, writer->definition->name);
    put_str(writer, suffix);
    put_labels(writer, le);
    put(writer, SLICE(" "));
    put_number(writer, value);
}

static void put_line(struct writer *writer, const char *suffix, double value)
{
    put_sample(writer, suffix, NULL, value);
    put(writer, SLICE("\n"));
}

/* ---- cells ---- */

static uint64_t total_of(const struct writer *writer, unsigned series, unsigned offset)
{
    const struct metrics *metrics = writer->metrics;
    unsigned cell =
        metrics->first_cell[writer->metric] +
        metrics_series(writer->metric, writer->model, series) * metric_cells(writer->definition) +
        offset;
    uint64_t sum = atomic_load_explicit(&metrics->shared[cell], memory_order_relaxed);
    for (unsigned i = 0; i < metrics->shard_count; i++) {
        sum += atomic_load_explicit(&metrics->shards[i]->cells[cell], memory_order_relaxed);
    }
    return sum;
}

static uint64_t total(const struct writer *writer, unsigned offset)
{
    return total_of(writer, writer->series, offset);
}

/* The latest of all shards. */
static bool find_exemplar(const struct writer *writer, unsigned bucket,
                          struct exemplar_copy *ret_copy)
{
    const struct metrics *metrics = writer->metrics;
    unsigned at = metrics->first_exemplar[writer->metric] +
                  metrics_series(writer->metric, writer->model, writer->series) *
                      (writer->definition->buckets->count + 1) +
                  bucket;
    bool found = false;
    for (unsigned i = 0; i < metrics->shard_count; i++) {
        const struct exemplar *all =
            atomic_load_explicit(&metrics->shards[i]->exemplars, memory_order_acquire);
        struct exemplar_copy copy;
        if (all != NULL && exemplar_get(&all[at], &copy) &&
            (!found || copy.trace.unix_ns > ret_copy->trace.unix_ns)) {
            *ret_copy = copy;
            found = true;
        }
    }
    return found;
}

/* ---- histograms ---- */

#define BOUND_TEXT_MAX 32

/* Upper bound of a bucket as text; what is past the last one is +Inf. */
static void print_bound(const struct metric_definition *definition, unsigned bucket, char *text)
{
    if (bucket == definition->buckets->count) {
        snprintf(text, BOUND_TEXT_MAX, "+Inf");
        return;
    }
    char exact[BOUND_TEXT_MAX];
    snprintf(exact, sizeof(exact), "%.9g", scaled(definition, definition->buckets->bounds[bucket]));
    /* As Python writes floats: a dashboard may name le="30.0". */
    struct num number = num_parse(slice_from_str(exact));
    double bound = number.kind == NUM_F64 ? number.as.f64 : (double)number.as.i64;
    text[num_print_f64(bound, text)] = '\0';
}

static void put_hex(struct writer *writer, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        const char text[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        put(writer, slice_make(text, 2));
    }
}

/* ` # {trace_id="...",span_id="..."} value seconds` */
static void put_exemplar(struct writer *writer, unsigned bucket)
{
    struct exemplar_copy copy;
    if (!is_openmetrics(writer) || !find_exemplar(writer, bucket, &copy)) {
        return;
    }
    put(writer, SLICE(" # {trace_id=\""));
    put_hex(writer, copy.trace.trace_id, sizeof(copy.trace.trace_id));
    put(writer, SLICE("\",span_id=\""));
    put_hex(writer, copy.trace.span_id, sizeof(copy.trace.span_id));
    put(writer, SLICE("\"} "));
    put_number(writer, scaled(writer->definition, copy.value));
    put(writer, SLICE(" "));
    uint64_t unix_ms = copy.trace.unix_ns / 1000000u;
    put_number(writer, (double)unix_ms / 1000);
}

/* Returns what the last bucket says. */
static uint64_t put_buckets(struct writer *writer)
{
    uint64_t running = 0;
    for (unsigned i = 0; i <= writer->definition->buckets->count; i++) {
        char bound[BOUND_TEXT_MAX];
        print_bound(writer->definition, i, bound);
        running += total(writer, i);
        put_sample(writer, "_bucket", bound, (double)running);
        put_exemplar(writer, i);
        put(writer, SLICE("\n"));
    }
    return running;
}

/* ---- series ---- */

static bool is_sum(const struct metric_definition *definition)
{
    return definition->kind == METRIC_HISTOGRAM || definition->kind == METRIC_SUMMARY;
}

/*
 * A counter that differs in its last label alone, such as the status, has counted: from then on this one
 * is there too, so that rates see its first events.
 */
static bool has_counted_sibling(const struct writer *writer)
{
    const struct metric_definition *definition = writer->definition;
    if (definition->kind != METRIC_COUNTER || definition->labels[0] == NULL) {
        return false;
    }
    unsigned last = 0;
    while (last + 1 < METRIC_LABELS_MAX && definition->labels[last + 1] != NULL) {
        last++;
    }
    unsigned siblings = definition->labels[last]->count;
    unsigned first = writer->series - writer->series % siblings;
    uint64_t sum = 0;
    for (unsigned i = 0; i < siblings; i++) {
        sum += total_of(writer, first + i, 0);
    }
    return sum > 0;
}

/* Those of a model that is no longer in service keep what they have counted. */
static bool is_shown(const struct writer *writer, uint64_t count)
{
    const struct metric_definition *definition = writer->definition;
    const struct metrics *metrics = writer->metrics;
    if (definition->optional && !atomic_load(&metrics->given[writer->metric])) {
        return false;
    }
    bool is_now = !definition->of_model || writer->model == writer->view->model;
    unsigned series = metric_series_count(definition);
    bool at_zero = series == 1 || (!is_sum(definition) && series <= SHOWN_AT_ZERO_MAX);
    if (definition->kind == METRIC_GAUGE) {
        return is_now;
    }
    return count > 0 || (is_now && (at_zero || has_counted_sibling(writer)));
}

static void put_series(struct writer *writer)
{
    const struct metric_definition *definition = writer->definition;
    unsigned last = metric_cells(definition) - 1;
    uint64_t count = total(writer, last);
    if (!is_shown(writer, count)) {
        return;
    }
    if (definition->facts[0] != NULL) {
        if (writer->metric == METRIC_BUILD_INFO || writer->view->model_facts != NULL) {
            put_line(writer, "", 1);
        }
        return;
    }
    if (!is_sum(definition)) {
        put_line(writer, "", scaled(definition, count));
        return;
    }
    if (definition->kind == METRIC_HISTOGRAM) {
        count = put_buckets(writer);
    }
    put_line(writer, "_sum", scaled(definition, total(writer, last - 1)));
    put_line(writer, "_count", (double)count);
}

/* ---- families ---- */

/* OpenMetrics names the family of a counter without its suffix. */
static struct slice family_name(const struct writer *writer)
{
    struct slice name = slice_from_str(writer->definition->name);
    struct slice suffix = SLICE("_total");
    bool cut = is_openmetrics(writer) && slice_ends_with_nocase(name, suffix);
    return cut ? slice_head(name, name.len - suffix.len) : name;
}

static void put_meta(struct writer *writer, const char *keyword)
{
    put_str(writer, keyword);
    put(writer, family_name(writer));
    put(writer, SLICE(" "));
}

static void put_head(struct writer *writer)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
        [METRIC_SUMMARY] = "summary",
    };
    put_meta(writer, "# HELP ");
    put_escaped(writer, slice_from_str(writer->definition->help), is_openmetrics(writer));
    put(writer, SLICE("\n"));
    put_meta(writer, "# TYPE ");
    put_str(writer, kinds[writer->definition->kind]);
    put(writer, SLICE("\n"));
    if (is_openmetrics(writer) && writer->definition->unit != METRIC_PLAIN) {
        put_meta(writer, "# UNIT ");
        put_str(writer, writer->definition->unit == METRIC_SECONDS ? "seconds\n" : "bytes\n");
    }
}

static void put_family(struct writer *writer)
{
    const struct metric_definition *definition = &metric_definitions[writer->metric];
    unsigned models = definition->of_model ? atomic_load(&writer->metrics->model_count) : 1;
    writer->definition = definition;
    put_head(writer);
    for (writer->model = 0; writer->model < models; writer->model++) {
        unsigned count = metric_series_count(definition);
        for (writer->series = 0; writer->series < count; writer->series++) {
            put_series(writer);
        }
    }
}

struct slice metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? SLICE("application/openmetrics-text; version=1.0.0; charset=utf-8")
               : SLICE("text/plain; version=0.0.4; charset=utf-8");
}

__attribute__((noinline)) /* tests/bench/budget.py marks its parts by it */
int metrics_write(const struct metrics *metrics, const struct metrics_view *view, struct bytes *out)
{
    struct writer writer = {.metrics = metrics, .view = view, .out = out, .status = ERR_OK};
    for (writer.metric = 0; writer.metric < METRIC_COUNT; writer.metric++) {
        put_family(&writer);
    }
    if (view->format == METRICS_OPENMETRICS) {
        put(&writer, SLICE("# EOF\n"));
    }
    return writer.status;
}

uint64_t metrics_read(const struct metrics *metrics, enum metric metric, unsigned series)
{
    struct writer writer = {
        .metrics = metrics,
        .metric = metric,
        .definition = &metric_definitions[metric],
        .model = atomic_load(&metrics->model_now),
        .series = series,
    };
    CHECK(metric_cells(writer.definition) == 1);
    return total(&writer, 0);
}
