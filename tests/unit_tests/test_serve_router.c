/* Which path and method lead where. */
#include "serve/router.h"
#include "unit_tests/testing.h"

static struct settings some_settings(bool prometheus, bool pages)
{
    return (struct settings){.prometheus_enabled = prometheus,
                             .prometheus_path = SLICE("/m"),
                             .swagger_enabled = pages,
                             .ui_enabled = pages};
}

static void paths_are_compared_as_they_came(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum metric_handler on, off; /* with metrics and pages switched on, and off */
    } cases[] = {
        {"/invocations", HANDLER_INVOCATIONS, HANDLER_INVOCATIONS},
        {"/ping", HANDLER_PING, HANDLER_PING},
        {"/live", HANDLER_LIVE, HANDLER_LIVE},
        {"/healthz", HANDLER_HEALTHZ, HANDLER_HEALTHZ},
        {"/ready", HANDLER_READY, HANDLER_READY},
        {"/readyz", HANDLER_READYZ, HANDLER_READYZ},
        {"/m", HANDLER_METRICS, HANDLER_NONE},
        {"/metrics", HANDLER_NONE, HANDLER_NONE},
        {"/openapi.yaml", HANDLER_OPENAPI, HANDLER_NONE},
        {"/docs", HANDLER_DOCS, HANDLER_NONE},
        {"/docs/", HANDLER_DOCS, HANDLER_NONE},
        {"/docs/x", HANDLER_DOCS, HANDLER_NONE},
        {"/docsx", HANDLER_NONE, HANDLER_NONE},
        {"/ui", HANDLER_UI, HANDLER_NONE},
        {"/ui/model.json", HANDLER_UI, HANDLER_NONE},
        {"/uix", HANDLER_NONE, HANDLER_NONE},
        {"/", HANDLER_NONE, HANDLER_NONE},
        {"", HANDLER_NONE, HANDLER_NONE},
        {"*", HANDLER_NONE, HANDLER_NONE},
        {"/live/", HANDLER_LIVE, HANDLER_LIVE},
        {"/invocations/", HANDLER_INVOCATIONS, HANDLER_INVOCATIONS},
        {"/m/", HANDLER_METRICS, HANDLER_NONE},
        {"/live//", HANDLER_NONE, HANDLER_NONE},
        {"//", HANDLER_NONE, HANDLER_NONE},
        {"/Live", HANDLER_NONE, HANDLER_NONE},
        {"/%6cive", HANDLER_NONE, HANDLER_NONE},
        {"//live", HANDLER_NONE, HANDLER_NONE},
    };
    struct settings on = some_settings(true, true);
    struct settings off = some_settings(false, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice path = slice_from_str(cases[i].path);
        assert_int_equal(router_find(&on, path).handler, cases[i].on);
        assert_int_equal(router_find(&off, path).handler, cases[i].off);
    }
}

static void a_slash_of_the_metrics_own_counts(void **state)
{
    (void)state;
    struct settings settings = some_settings(true, true);
    settings.prometheus_path = SLICE("/live/");
    assert_int_equal(router_check(&settings, NULL), ERR_OK);
    assert_int_equal(router_find(&settings, SLICE("/live/")).handler, HANDLER_METRICS);
    assert_int_equal(router_find(&settings, SLICE("/live")).handler, HANDLER_LIVE);
}

static void methods_fit_or_are_told_which_do(void **state)
{
    (void)state;
    static const struct {
        const char *path, *method, *allow;
        bool allowed;
    } cases[] = {
        {"/live", "GET", "GET, HEAD", true},       {"/live", "HEAD", "GET, HEAD", true},
        {"/live", "POST", "GET, HEAD", false},     {"/live", "get", "GET, HEAD", false},
        {"/live", "OPTIONS", "GET, HEAD", false},  {"/invocations", "POST", "POST", true},
        {"/invocations", "GET", "POST", false},    {"/invocations", "HEAD", "POST", false},
        {"/invocations", "DELETE", "POST", false}, {"/ui", "HEAD", "GET, HEAD", true},
        {"/ui", "POST", "GET, HEAD", false},
    };
    struct settings settings = some_settings(true, true);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct route route = router_find(&settings, slice_from_str(cases[i].path));
        enum metric_method method = router_method(slice_from_str(cases[i].method));
        assert_int_equal(router_allows(route, method), cases[i].allowed);
        assert_true(slice_eq(router_allow_field(route), slice_from_str(cases[i].allow)));
    }
}

static void metrics_have_a_path_of_their_own(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *taken_by; /* with pages; NULL: free */
        bool without_pages;   /* taken without them too */
    } cases[] = {
        {"/metrics", NULL, false},        {"/live/x", NULL, false},
        {"/live", "/live", true},         {"/invocations", "/invocations", true},
        {"/readyz", "/readyz", true},     {"/openapi.yaml", "/openapi.yaml", false},
        {"/docs", "/docs", false},        {"/docs/metrics", "/docs", false},
        {"/ui/model.json", "/ui", false}, {"/uix", NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int pages = 0; pages < 2; pages++) {
            struct error error = {.text = ""};
            struct settings settings = some_settings(true, pages == 1);
            settings.prometheus_path = slice_from_str(cases[i].path);
            bool taken = cases[i].taken_by != NULL && (pages == 1 || cases[i].without_pages);
            assert_int_equal(router_check(&settings, &error), taken ? ERR_CONFIG : ERR_OK);
            if (taken) {
                assert_non_null(strstr(error.text, cases[i].path));
                assert_non_null(strstr(error.text, cases[i].taken_by));
            }
            settings.prometheus_enabled = false;
            assert_int_equal(router_check(&settings, &error), ERR_OK);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_compared_as_they_came),
        cmocka_unit_test(a_slash_of_the_metrics_own_counts),
        cmocka_unit_test(methods_fit_or_are_told_which_do),
        cmocka_unit_test(metrics_have_a_path_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
