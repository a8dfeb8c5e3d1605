/* The text of a scrape: names, types and labels as the reference's client library writes them. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "obs/exemplar.h"
#include "obs/metrics_text.h"
#include "unit_tests/testing.h"

#define MS(n) (UINT64_C(1000000) * (n))

struct scrape {
    struct metrics *metrics;
    struct metrics_shard *shards[2];
    struct bytes text;
    struct metrics_view view;
};

static int set_up(void **state)
{
    static struct scrape scrape;
    scrape.metrics = metrics_new("1.2.3");
    assert_non_null(scrape.metrics);
    for (int i = 0; i < 2; i++) {
        scrape.shards[i] = metrics_add_shard(scrape.metrics);
        assert_non_null(scrape.shards[i]);
    }
    scrape.view = (struct metrics_view){.format = METRICS_PROMETHEUS};
    bytes_init(&scrape.text, 1 << 20);
    *state = &scrape;
    return 0;
}

static int tear_down(void **state)
{
    struct scrape *scrape = *state;
    bytes_done(&scrape->text);
    metrics_free(scrape->metrics);
    return 0;
}

static void write_text(struct scrape *scrape)
{
    bytes_reset(&scrape->text, 1 << 20);
    assert_int_equal(metrics_write(scrape->metrics, &scrape->view, &scrape->text), ERR_OK);
    assert_int_equal(bytes_put_byte(&scrape->text, '\0'), ERR_OK);
}

static void assert_has(struct scrape *scrape, const char *text)
{
    write_text(scrape);
    if (strstr(scrape->text.ptr, text) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", text, scrape->text.ptr);
    }
}

static void the_references_names_and_types(void **state)
{
    static const char *const types[] = {
        "http_requests_total counter",
        "http_request_duration_seconds histogram",
        "http_request_duration_highr_seconds histogram",
        "http_request_size_bytes summary",
        "http_response_size_bytes summary",
        "process_cpu_seconds_total counter",
        "process_resident_memory_bytes gauge",
        "process_virtual_memory_bytes gauge",
        "process_start_time_seconds gauge",
        "process_open_fds gauge",
        "process_max_fds gauge",
        "byoc_up gauge",
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "\n# TYPE %s\n", types[i]);
        assert_has(*state, line);
    }
}

static void requests_are_labelled_in_the_references_order(void **state)
{
    struct scrape *scrape = *state;
    unsigned series = series_request(HANDLER_INVOCATIONS, METHOD_POST, STATUS_2XX);
    metrics_count(scrape->shards[0], METRIC_HTTP_REQUESTS, series, 2);
    metrics_count(scrape->shards[1], METRIC_HTTP_REQUESTS, series, 3);
    series = series_request(HANDLER_NONE, METHOD_OTHER, STATUS_5XX);
    metrics_count(scrape->shards[1], METRIC_HTTP_REQUESTS, series, 1);
    /* With one status all are there, so that rates see the first of each. */
    assert_has(scrape,
               "# TYPE http_requests_total counter\n"
               "http_requests_total{handler=\"/invocations\",method=\"POST\",status=\"1xx\"} 0\n"
               "http_requests_total{handler=\"/invocations\",method=\"POST\",status=\"2xx\"} 5\n"
               "http_requests_total{handler=\"/invocations\",method=\"POST\",status=\"3xx\"} 0\n"
               "http_requests_total{handler=\"/invocations\",method=\"POST\",status=\"4xx\"} 0\n"
               "http_requests_total{handler=\"/invocations\",method=\"POST\",status=\"5xx\"} 0\n"
               "http_requests_total{handler=\"none\",method=\"OTHER\",status=\"1xx\"} 0\n");
    assert_has(scrape, "{handler=\"none\",method=\"OTHER\",status=\"5xx\"} 1\n# HELP ");
}

static void histograms_are_cumulative_and_bounds_inclusive(void **state)
{
    struct scrape *scrape = *state;
    unsigned series = series_handler_method(HANDLER_LIVE, METHOD_GET);
    const uint64_t values[] = {0, MS(100), MS(100) + 1, MS(500), MS(1000), MS(1000) + 1, MS(9000)};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        metrics_observe(scrape->shards[i % 2], METRIC_HTTP_DURATION, series, values[i]);
    }
    assert_has(
        scrape,
        "\nhttp_request_duration_seconds_bucket{handler=\"/live\",method=\"GET\",le=\"0.1\"} 2\n"
        "http_request_duration_seconds_bucket{handler=\"/live\",method=\"GET\",le=\"0.5\"} 4\n"
        "http_request_duration_seconds_bucket{handler=\"/live\",method=\"GET\",le=\"1.0\"} 5\n"
        "http_request_duration_seconds_bucket{handler=\"/live\",method=\"GET\",le=\"+Inf\"} 7\n"
        "http_request_duration_seconds_sum{handler=\"/live\",method=\"GET\"} ");
    assert_has(scrape, "_count{handler=\"/live\",method=\"GET\"} 7\n");
}

static void high_resolution_bounds_are_the_references(void **state)
{
    static const char *const bounds[] = {
        "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0",  "1.5",  "2.0",
        "2.5",  "3.0",   "3.5",  "4.0",   "4.5", "5.0",  "7.5", "10.0", "30.0", "60.0", "+Inf"};
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "\nhttp_request_duration_highr_seconds_bucket{le=\"%s\"} 0\n",
                 bounds[i]);
        assert_has(*state, line);
    }
}

static void summaries_have_sum_and_count(void **state)
{
    struct scrape *scrape = *state;
    metrics_observe(scrape->shards[0], METRIC_HTTP_REQUEST_SIZE, HANDLER_INVOCATIONS, 10);
    metrics_observe(scrape->shards[1], METRIC_HTTP_REQUEST_SIZE, HANDLER_INVOCATIONS, 32);
    assert_has(scrape, "\nhttp_request_size_bytes_sum{handler=\"/invocations\"} 42\n"
                       "http_request_size_bytes_count{handler=\"/invocations\"} 2\n");
}

static void gauges_reloads_and_build_info(void **state)
{
    struct scrape *scrape = *state;
    metrics_set(scrape->metrics, METRIC_UP, 1);
    metrics_add(scrape->metrics, METRIC_RELOADS, RELOAD_FAILED, 1);
    assert_has(scrape, "\nbyoc_up 1\n");
    assert_has(scrape, "\nonnxd_reloads_total{result=\"failed\"} 1\n");
    assert_has(scrape, "\nonnxd_reloads_total{result=\"ok\"} 0\n");
    assert_has(scrape, "\nonnxd_build_info{version=\"1.2.3\",compiler=\"");
}

/* HELP and TYPE once a metric, before its samples; every sample line "name[{labels}] number". */
static void every_line_has_its_form(void **state)
{
    struct scrape *scrape = *state;
    write_text(scrape);
    char family[128] = "";
    unsigned families = 0;
    struct slice rest = slice_make(scrape->text.ptr, bytes_len(&scrape->text) - 1);
    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n');
        if (slice_starts_with(line, SLICE("# HELP "))) {
            struct slice name = slice_tail(line, 7);
            name = slice_head(name, slice_find(name, ' '));
            snprintf(family, sizeof(family), "%.*s", SLICE_FMT(name));
            families++;
        } else if (!slice_starts_with(line, SLICE("# TYPE "))) {
            assert_true(slice_starts_with(line, slice_from_str(family)));
            assert_true(slice_find(line, ' ') < line.len);
        }
    }
    assert_int_equal(families, METRIC_COUNT);
}

static void no_room_is_an_error(void **state)
{
    struct scrape *scrape = *state;
    write_text(scrape);
    size_t whole = bytes_len(&scrape->text) - 1;
    for (size_t max = 0; max < whole; max += 97) {
        struct bytes small;
        bytes_init(&small, max);
        assert_int_equal(metrics_write(scrape->metrics, &scrape->view, &small), ERR_NO_MEMORY);
        bytes_done(&small);
    }
}

static void without_memory_there_are_none(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_null(metrics_new("1"));
    }
    mem_fail_nth(0);
    struct metrics *metrics = metrics_new("1");
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_null(metrics_add_shard(metrics));
    }
    mem_fail_nth(0);
    metrics_free(metrics);
}

static void assert_has_not(struct scrape *scrape, const char *text)
{
    write_text(scrape);
    if (strstr(scrape->text.ptr, text) != NULL) {
        fail_msg("\"%s\" is in:\n%s", text, scrape->text.ptr);
    }
}

/* Threads raise and lower their own cells; what one has raised, no other lowers. */
static void gauges_are_counted_by_threads(void **state)
{
    struct scrape *scrape = *state;
    metrics_raise(scrape->shards[0], METRIC_CONNECTIONS, WIRE_HTTP1);
    metrics_raise(scrape->shards[1], METRIC_CONNECTIONS, WIRE_HTTP1);
    metrics_raise(scrape->shards[1], METRIC_CONNECTIONS, WIRE_HTTP2);
    metrics_lower(scrape->shards[1], METRIC_CONNECTIONS, WIRE_HTTP1);
    assert_has(scrape, "\nonnxd_connections{protocol=\"undecided\"} 0\n"
                       "onnxd_connections{protocol=\"http1\"} 1\n"
                       "onnxd_connections{protocol=\"http2\"} 1\n");
    metrics_lower(scrape->shards[0], METRIC_CONNECTIONS, WIRE_HTTP1);
    assert_int_equal(metrics_read(scrape->metrics, METRIC_CONNECTIONS, WIRE_HTTP1), 0);
}

static void before_a_model_there_are_no_series_of_one(void **state)
{
    assert_has(*state, "\n# TYPE onnxd_jobs_total counter\n# HELP ");
    assert_has_not(*state, "model=");
}

static void each_model_has_its_own_series(void **state)
{
    struct scrape *scrape = *state;
    struct metrics_shard *shard = scrape->shards[0];
    unsigned first = metrics_use_model(scrape->metrics, SLICE("iris"));
    scrape->view.model = first;
    metrics_shard_use_model(shard, first);
    metrics_count(shard, METRIC_JOBS, SERIES_NONE, 3);
    metrics_set(scrape->metrics, METRIC_RUNNERS, 4);
    metrics_count(shard, METRIC_JOBS_DROPPED, DROP_EXPIRED, 1);
    assert_has(scrape, "\nonnxd_jobs_total{model=\"iris\"} 3\n");
    assert_has(scrape, "\nonnxd_runners{model=\"iris\"} 4\n");

    unsigned second = metrics_use_model(scrape->metrics, SLICE("penguins"));
    assert_int_not_equal(first, second);
    metrics_count(shard, METRIC_JOBS, SERIES_NONE, 1); /* the loop has not changed over yet */
    metrics_shard_use_model(shard, second);
    metrics_count(shard, METRIC_JOBS, SERIES_NONE, 7);
    metrics_set(scrape->metrics, METRIC_RUNNERS, 2);
    /* Nor has who measures the former one: its figures stay its own. */
    metrics_set_of_model(scrape->metrics, first, METRIC_RUNNERS, SERIES_NONE, 5);
    assert_has(scrape, "\nonnxd_runners{model=\"iris\"} 5\n");
    assert_has_not(scrape, "onnxd_runners{model=\"penguins\"}");
    scrape->view.model = second;
    assert_has(scrape, "\nonnxd_jobs_total{model=\"iris\"} 4\n"
                       "onnxd_jobs_total{model=\"penguins\"} 7\n");
    assert_has(scrape, "\nonnxd_runners{model=\"penguins\"} 2\n");
    assert_has_not(scrape, "onnxd_runners{model=\"iris\"}");
    /* Of a former model only what it has counted is left. */
    assert_has(scrape, "\nonnxd_jobs_dropped_total{model=\"iris\",reason=\"expired\"} 1\n"
                       "onnxd_jobs_dropped_total{model=\"penguins\",reason=\"cancelled\"} 0\n");

    assert_int_equal(metrics_use_model(scrape->metrics, SLICE("iris")), first);
    scrape->view.model = first;
    assert_has(scrape, "\nonnxd_runners{model=\"iris\"} 5\n");
}

static void names_of_models_are_bounded(void **state)
{
    struct scrape *scrape = *state;
    unsigned last = 0;
    for (unsigned i = 0; i < 2 * METRICS_MODELS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "model-%u", i);
        last = metrics_use_model(scrape->metrics, slice_from_str(name));
        assert_int_equal(last, i < METRICS_MODELS_MAX ? i : METRICS_MODELS_MAX - 1);
    }
    metrics_shard_use_model(scrape->shards[0], last);
    metrics_count(scrape->shards[0], METRIC_JOBS, SERIES_NONE, 5);
    assert_has(scrape, "\nonnxd_jobs_total{model=\"other\"} 5\n");
}

static void a_models_name_may_hold_anything(void **state)
{
    struct scrape *scrape = *state;
    metrics_use_model(scrape->metrics, SLICE("a\"b\\c\nd\xff\xc3\xa9"));
    assert_has(scrape, "\nonnxd_jobs_total{model=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xa9\"} 0\n");
    char name[2 * METRICS_MODEL_NAME_MAX];
    memset(name, 'x', sizeof(name));
    scrape->view.model = metrics_use_model(scrape->metrics, slice_make(name, sizeof(name)));
    char line[256];
    snprintf(line, sizeof(line), "\nonnxd_jobs_total{model=\"%.*s\"} 0\n", METRICS_MODEL_NAME_MAX,
             name);
    assert_has(scrape, line);
}

static void facts_and_what_is_optional(void **state)
{
    struct scrape *scrape = *state;
    const struct slice facts[] = {SLICE("v\"1\""), SLICE("onnx"), SLICE("1.30.0")};
    metrics_use_model(scrape->metrics, SLICE("iris"));
    assert_has_not(scrape, "\nonnxd_model_info{");
    assert_has_not(scrape, "\nonnxd_worker_kills_total{");
    scrape->view.model_facts = facts;
    metrics_set_series(scrape->metrics, METRIC_WORKER_KILLS, KILL_MEMORY, 2);
    assert_has(scrape, "\nonnxd_model_info{model=\"iris\",version=\"v\\\"1\\\"\",backend=\"onnx\","
                       "runtime=\"1.30.0\"} 1\n");
    assert_has(scrape, "\nonnxd_worker_kills_total{model=\"iris\",reason=\"timeout\"} 0\n"
                       "onnxd_worker_kills_total{model=\"iris\",reason=\"memory\"} 2\n");
}

static const struct metrics_trace trace = {
    .trace_id = {0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80,
                 0x31, 0x9c},
    .span_id = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31},
    .unix_ns = UINT64_C(1700000000123456789),
};

static void openmetrics_has_its_own_words(void **state)
{
    struct scrape *scrape = *state;
    scrape->view.format = METRICS_OPENMETRICS;
    metrics_use_model(scrape->metrics, SLICE("iris"));
    assert_has(scrape, "\n# TYPE onnxd_jobs counter\nonnxd_jobs_total{model=\"iris\"} 0\n");
    assert_has(scrape, "\n# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n"
                       "process_cpu_seconds_total ");
    write_text(scrape);
    struct slice text = slice_make(scrape->text.ptr, bytes_len(&scrape->text) - 1);
    assert_true(slice_ends_with_nocase(text, SLICE("\n# EOF\n")));
    assert_true(slice_starts_with(text, SLICE("# HELP http_requests Total")));
    scrape->view.format = METRICS_PROMETHEUS;
    assert_has_not(scrape, "# EOF");
    assert_has_not(scrape, "# UNIT");
}

static void exemplars_stand_at_their_buckets(void **state)
{
    struct scrape *scrape = *state;
    struct metrics_trace later = trace;
    later.trace_id[0] = 0xff;
    later.unix_ns += UINT64_C(1000000000);
    metrics_use_model(scrape->metrics, SLICE("iris"));
    metrics_observe_exemplar(scrape->shards[0], METRIC_COMPUTE_DURATION, SERIES_NONE, 30000,
                             &later);
    metrics_observe_exemplar(scrape->shards[1], METRIC_COMPUTE_DURATION, SERIES_NONE, 40000,
                             &trace);
    metrics_observe_exemplar(scrape->shards[1], METRIC_COMPUTE_DURATION, SERIES_NONE, MS(70000),
                             &trace);
    metrics_observe_exemplar(scrape->shards[1], METRIC_COMPUTE_DURATION, SERIES_NONE, MS(70000),
                             NULL);
    assert_has_not(scrape, "trace_id");
    scrape->view.format = METRICS_OPENMETRICS;
    /* The latest of all threads. */
    assert_has(scrape,
               "\nonnxd_compute_duration_seconds_bucket{model=\"iris\",le=\"5e-05\"} 2 # "
               "{trace_id=\"fff7651916cd43dd8448eb211c80319c\",span_id=\"b7ad6b7169203331\"} "
               "3e-05 1700000001.123\n"
               "onnxd_compute_duration_seconds_bucket{model=\"iris\",le=\"0.0001\"} 2\n");
    assert_has(scrape, "le=\"+Inf\"} 4 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",span_id="
                       "\"b7ad6b7169203331\"} 70 1700000000.123\n");
}

static void without_memory_an_observation_has_no_exemplar(void **state)
{
    struct scrape *scrape = *state;
    metrics_use_model(scrape->metrics, SLICE("iris"));
    mem_fail_nth(1);
    metrics_observe_exemplar(scrape->shards[0], METRIC_COMPUTE_DURATION, SERIES_NONE, 1, &trace);
    mem_fail_nth(0);
    scrape->view.format = METRICS_OPENMETRICS;
    assert_has(scrape, "\nonnxd_compute_duration_seconds_count{model=\"iris\"} 1\n");
    assert_has_not(scrape, "trace_id");
}

#define WRITES 20000

/* Each exemplar has one byte all over: one that was torn would have two. */
static void *write_exemplars(void *argument)
{
    struct exemplar *exemplar = argument;
    for (unsigned i = 0; i < WRITES; i++) {
        struct metrics_trace one;
        unsigned char byte = (unsigned char)(i % 255 + 1);
        memset(one.trace_id, byte, sizeof(one.trace_id));
        memset(one.span_id, byte, sizeof(one.span_id));
        memset(&one.unix_ns, byte, sizeof(one.unix_ns));
        exemplar_put(exemplar, one.unix_ns, &one);
    }
    return NULL;
}

static void exemplars_are_never_torn(void **state)
{
    (void)state;
    static struct exemplar exemplar;
    pthread_t writer;
    struct exemplar_copy copy;
    assert_false(exemplar_get(&exemplar, &copy));
    assert_int_equal(pthread_create(&writer, NULL, write_exemplars, &exemplar), 0);
    for (unsigned i = 0; i < WRITES; i++) {
        if (exemplar_get(&exemplar, &copy)) {
            uint64_t word;
            memset(&word, copy.trace.trace_id[0], sizeof(word));
            assert_memory_equal(copy.trace.trace_id, &word, sizeof(word));
            assert_memory_equal(copy.trace.trace_id + 8, &word, sizeof(word));
            assert_memory_equal(copy.trace.span_id, &word, sizeof(word));
            assert_int_equal(copy.trace.unix_ns, word);
            assert_int_equal(copy.value, word);
        }
    }
    pthread_join(writer, NULL);
    assert_true(exemplar_get(&exemplar, &copy));
}

/* Rows of the table that promise what the cells cannot hold would be found by nobody else. */
static void every_row_of_the_table_is_whole(void **state)
{
    (void)state;
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_definition *definition = &metric_definitions[metric];
        assert_non_null(definition->name);
        assert_non_null(definition->help);
        struct slice name = slice_from_str(definition->name);
        struct slice help = slice_from_str(definition->help);
        bool is_total = slice_ends_with_nocase(name, SLICE("_total"));
        assert_int_equal(is_total, definition->kind == METRIC_COUNTER);
        assert_true(slice_ends_with_nocase(help, SLICE(".")));
        assert_int_equal(definition->buckets != NULL, definition->kind == METRIC_HISTOGRAM);
        for (unsigned i = 1; definition->buckets != NULL && i < definition->buckets->count; i++) {
            assert_true(definition->buckets->bounds[i - 1] < definition->buckets->bounds[i]);
        }
        if (definition->unit != METRIC_PLAIN) {
            struct slice base = is_total ? slice_head(name, name.len - 6) : name;
            struct slice unit =
                definition->unit == METRIC_SECONDS ? SLICE("_seconds") : SLICE("_bytes");
            assert_true(slice_ends_with_nocase(base, unit));
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_references_names_and_types),
        TEST(requests_are_labelled_in_the_references_order),
        TEST(histograms_are_cumulative_and_bounds_inclusive),
        TEST(high_resolution_bounds_are_the_references),
        TEST(summaries_have_sum_and_count),
        TEST(gauges_reloads_and_build_info),
        TEST(gauges_are_counted_by_threads),
        TEST(before_a_model_there_are_no_series_of_one),
        TEST(each_model_has_its_own_series),
        TEST(names_of_models_are_bounded),
        TEST(a_models_name_may_hold_anything),
        TEST(facts_and_what_is_optional),
        TEST(openmetrics_has_its_own_words),
        TEST(exemplars_stand_at_their_buckets),
        TEST(without_memory_an_observation_has_no_exemplar),
        cmocka_unit_test(exemplars_are_never_torn),
        cmocka_unit_test(every_row_of_the_table_is_whole),
        TEST(every_line_has_its_form),
        TEST(no_room_is_an_error),
        TEST(without_memory_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
