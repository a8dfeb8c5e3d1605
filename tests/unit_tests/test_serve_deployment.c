/* Loading a deployment: what it holds, what is refused, what happens without memory. */
#include "unit_tests/serve_fixture.h"

#include "unit_tests/testing.h"

static struct deployment *load_good(struct fixture *fixture)
{
    struct deployment *deployment = NULL;
    struct error error;
    assert_int_equal(fixture_load(fixture, &deployment, &error), ERR_OK);
    return deployment;
}

static void a_good_model_is_ready_for_use(void **state)
{
    (void)state;
    static const char *const settings[] = {"MAX_BATCH_SIZE", "7", NULL};
    struct fixture fixture;
    fixture_init(&fixture, FIXTURE_ECHO, settings);
    struct deployment *deployment = load_good(&fixture);
    assert_true(slice_eq(deployment->name, SLICE("model.fake")));
    assert_int_equal(deployment->signature->input_count, 1);
    assert_int_equal(deployment->target.wanted_count, 1);
    assert_int_equal(deployment->target.max_rows, 7);
    assert_true(deployment->target.batchable);
    assert_false(deployment->has_manifest);
    deployment_unref(deployment);
    fixture_done(&fixture);
}

static void runs_are_shared_only_where_that_is_known_to_be_right(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        const char *batching;
        bool shared;
    } cases[] = {
        {FIXTURE_ECHO, "auto", true},
        {FIXTURE_ECHO, "off", false},
        /* A first dimension of 3 is no batch. */
        {"input = x float32 [3, 2]\noutput = y float32 [3, 2] echo x\n", "auto", false},
        /* It answers with another number of rows: the trial says so. */
        {FIXTURE_ECHO "extra_rows = 1\n", "auto", false},
        /* It does not run on made-up inputs: nothing is known of its rows. */
        {FIXTURE_ECHO "fail = invalid\n", "auto", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const settings[] = {"BATCHING", cases[i].batching, NULL};
        struct fixture fixture;
        fixture_init(&fixture, cases[i].script, settings);
        struct deployment *deployment = load_good(&fixture);
        assert_int_equal(deployment->target.batchable, cases[i].shared);
        deployment_unref(deployment);
        fixture_done(&fixture);
    }
}

static void what_cannot_be_served_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *script, *name, *value, *says;
    } cases[] = {
        {NULL, "BATCHING", "auto", "model.onnx"},
        {"fail = open\n", "BATCHING", "auto", "told not to open"},
        {"nonsense\n", "BATCHING", "auto", "nonsense"},
        {FIXTURE_ECHO, "ONNX_INPUT_NAME", "other", "ONNX_INPUT_NAME"},
        {FIXTURE_ECHO, "ONNX_OUTPUT_NAME", "other", "ONNX_OUTPUT_NAME"},
        {FIXTURE_ECHO, "MODEL_FILENAME", "other.onnx", "other.onnx"},
        {FIXTURE_ECHO, "MODEL_TYPE", "sklearn", "model.joblib"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const settings[] = {cases[i].name, cases[i].value, NULL};
        struct fixture fixture;
        struct error error = {.text = ""};
        struct deployment *deployment = NULL;
        fixture_init(&fixture, NULL, settings);
        if (cases[i].script != NULL) {
            fixture_write_model(&fixture, cases[i].script);
        }
        assert_true(fixture_load(&fixture, &deployment, &error) != ERR_OK);
        assert_null(deployment);
        if (strstr(error.text, cases[i].says) == NULL) {
            fail_msg("case %zu: \"%s\" is not in: %s", i, cases[i].says, error.text);
        }
        fixture_done(&fixture);
    }
}

/* ---- a model that hangs ---- */

static struct {
    unsigned runs;
    uint64_t whole_ns; /* of the last run */
} hung;

/* Which hangs until its limit. */
static int run_hanging(struct backend_model *model, const struct tensor *inputs,
                       const size_t *wanted, size_t wanted_count,
                       const struct backend_limits *limits, struct arena *arena,
                       struct value *values, struct error *error)
{
    (void)model, (void)inputs, (void)wanted, (void)wanted_count, (void)arena, (void)values;
    hung.runs++;
    hung.whole_ns = limits->whole_ns;
    return error_set(error, ERR_TIMEOUT, "a run took longer than 7000 ms");
}

static int load_hanging(const struct fixture *fixture, struct deployment **ret_deployment,
                        struct error *error)
{
    static struct backend hanging;
    hanging = backend_fake;
    hanging.run_within = run_hanging;
    const struct deployment_query query = {.input = &fixture->input, .test_backend = &hanging};
    hung.runs = 0;
    return deployment_load(&query, ret_deployment, error);
}

static const char *const endless[] = {"REQUEST_TIMEOUT_S", "0", "WORKER_START_TIMEOUT_S", "7",
                                      NULL};

/* Loading has a limit of its own, also where requests have none, and a run that hangs hangs but once. */
static void a_model_that_hangs_in_its_trial_is_not_waited_for(void **state)
{
    (void)state;
    struct fixture fixture;
    struct deployment *deployment = NULL;
    struct error error = {.text = ""};
    fixture_init(&fixture, NULL, endless);
    fixture_write_model(&fixture, FIXTURE_ECHO);
    assert_int_equal(load_hanging(&fixture, &deployment, &error), ERR_OK);
    assert_int_equal(hung.runs, 1);
    assert_int_equal(hung.whole_ns, 7 * CLOCK_NS_PER_S);
    assert_int_equal(deployment->target.run_timeout_ns, 0);
    assert_false(deployment->target.batchable);
    assert_int_equal(deployment_place(deployment, &error), ERR_OK);
    assert_int_equal(hung.runs, 1);
    assert_int_equal(deployment->target.run_timeout_ns, 0);
    deployment_unref(deployment);
    fixture_done(&fixture);
}

static void a_warmup_sample_that_hangs_is_an_error(void **state)
{
    (void)state;
    struct fixture fixture;
    struct deployment *deployment = NULL;
    struct error error = {.text = ""};
    char path[64];
    fixture_init(&fixture, NULL, endless);
    fixture_write_model(&fixture, FIXTURE_ECHO);
    snprintf(path, sizeof(path), "%s/manifest.json", fixture.directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"warmup\": {\"content_type\": \"text/csv\", \"body\": \"1,2\\n\"}}", file);
    fclose(file);
    assert_int_equal(load_hanging(&fixture, &deployment, &error), ERR_CONFIG);
    assert_string_equal(error.text, "manifest.json: the warmup sample does not run within "
                                    "WORKER_START_TIMEOUT_S: a run took longer than 7000 ms");
    assert_int_equal(hung.runs, 1);
    unlink(path);
    fixture_done(&fixture);
}

static unsigned unused_count;

static void count_unused(struct deployment *deployment, void *user)
{
    unused_count++;
    assert_ptr_equal(user, &unused_count);
    deployment_free(deployment);
}

static void the_last_reference_hands_it_back(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, FIXTURE_ECHO, NULL);
    struct deployment *deployment = load_good(&fixture);
    deployment->on_unused = count_unused;
    deployment->on_unused_user = &unused_count;
    assert_ptr_equal(deployment_ref(deployment), deployment);
    deployment_unref(deployment);
    assert_int_equal(unused_count, 0);
    deployment_unref(deployment);
    assert_int_equal(unused_count, 1);
    deployment_unref(NULL);
    fixture_done(&fixture);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, FIXTURE_ECHO, NULL);
    uint64_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        struct deployment *deployment = NULL;
        struct error error;
        uint64_t before = mem_allocations();
        mem_fail_nth(nth);
        int status = fixture_load(&fixture, &deployment, &error);
        bool reached = mem_allocations() - before >= nth;
        mem_fail_nth(0);
        assert_true(status == ERR_OK || deployment == NULL);
        deployment_unref(status == ERR_OK ? deployment : NULL);
        if (!reached) {
            assert_int_equal(status, ERR_OK);
            break;
        }
        failures += status != ERR_OK;
    }
    assert_true(failures > 5);
    fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_model_is_ready_for_use),
        cmocka_unit_test(runs_are_shared_only_where_that_is_known_to_be_right),
        cmocka_unit_test(what_cannot_be_served_is_refused_with_a_reason),
        cmocka_unit_test(a_model_that_hangs_in_its_trial_is_not_waited_for),
        cmocka_unit_test(a_warmup_sample_that_hangs_is_an_error),
        cmocka_unit_test(the_last_reference_hands_it_back),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
