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
        cmocka_unit_test(the_last_reference_hands_it_back),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
