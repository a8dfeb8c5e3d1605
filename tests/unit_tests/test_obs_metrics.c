/* The text of a scrape: names, types and labels as the reference's client library writes them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "obs/metrics.h"
#include "unit_tests/testing.h"

#define MS(n) (UINT64_C(1000000) * (n))

struct scrape {
    struct metrics *metrics;
    struct metrics_shard *shards[2];
    struct bytes text;
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
    assert_int_equal(metrics_write(scrape->metrics, &scrape->text), ERR_OK);
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
    assert_has(scrape, "\nhttp_requests_total{handler=\"/invocations\",method=\"POST\","
                       "status=\"2xx\"} 5\n"
                       "http_requests_total{handler=\"none\",method=\"OTHER\",status=\"5xx\"} 1\n"
                       "# HELP ");
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
    metrics_count_reload(scrape->metrics, RELOAD_FAILED);
    assert_has(scrape, "\nbyoc_up 1\n");
    assert_has(scrape, "\nonnxd_reloads_total{result=\"failed\"} 1\n");
    assert_has(scrape, "\nonnxd_build_info{version=\"1.2.3\"} 1\n");
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
        assert_int_equal(metrics_write(scrape->metrics, &small), ERR_NO_MEMORY);
        bytes_done(&small);
    }
}

static void without_memory_there_are_none(void **state)
{
    (void)state;
    mem_fail_nth(1);
    assert_null(metrics_new("1"));
    struct metrics *metrics = metrics_new("1");
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_null(metrics_add_shard(metrics));
    }
    mem_fail_nth(0);
    metrics_free(metrics);
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
        TEST(every_line_has_its_form),
        TEST(no_room_is_an_error),
        TEST(without_memory_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
