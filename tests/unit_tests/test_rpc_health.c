/* Health messages, and what rpc/message makes of protobuf-c's verdicts. */
#include "base/mem.h"
#include "rpc/health.h"
#include "unit_tests/testing.h"

static void checks_name_a_service(void **state)
{
    (void)state;
    const struct {
        struct slice message;
        struct slice service;
    } cases[] = {
        {SLICE(""), SLICE("")},
        {{NULL, 0}, SLICE("")},
        {SLICE("\x0a\0"), SLICE("")},
        {SLICE("\x0a\3a.B"), SLICE("a.B")},
        {SLICE("\x0a\3a.B\x12\1x\x0a\1c"), SLICE("c")},
    };
    struct arena arena;
    arena_init(&arena, 4096, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        struct slice service;
        assert_int_equal(health_read_check(cases[i].message, &arena, &service, &error), ERR_OK);
        assert_true(slice_eq(service, cases[i].service));
        arena_reset(&arena);
    }
    arena_done(&arena);
}

static void what_is_no_check_is_refused(void **state)
{
    (void)state;
    const struct slice cases[] = {SLICE("\x0a\3a"), SLICE("\x08\1"), SLICE("\x0b\x0c"),
                                  SLICE("\0\1")};
    struct arena arena;
    arena_init(&arena, 4096, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        struct slice service;
        assert_int_equal(health_read_check(cases[i], &arena, &service, &error), ERR_INVALID);
        assert_string_equal(error.text,
                            "protobuf: the message is no grpc.health.v1.HealthCheckRequest");
    }
    arena_done(&arena);
}

static void a_check_has_its_room(void **state)
{
    (void)state;
    char message[300] = "\x0a\xa8\x02";
    struct error error;
    struct slice service;
    struct arena arena;
    for (size_t i = 3; i < sizeof(message); i++) {
        message[i] = 'x';
    }
    struct slice whole = slice_make(message, 3 + 296);
    arena_init(&arena, 64, 256);
    assert_int_equal(health_read_check(whole, &arena, &service, &error), ERR_NO_MEMORY);
    arena_done(&arena);
    arena_init(&arena, 64, 1024);
    mem_fail_nth(1);
    assert_int_equal(health_read_check(whole, &arena, &service, &error), ERR_NO_MEMORY);
    mem_fail_nth(2);
    assert_int_equal(health_read_check(whole, &arena, &service, &error), ERR_NO_MEMORY);
    mem_fail_nth(0);
    assert_int_equal(health_read_check(whole, &arena, &service, &error), ERR_OK);
    assert_int_equal(service.len, 296);
    arena_done(&arena);
}

static void responses_are_written(void **state)
{
    (void)state;
    const struct {
        enum health_status status;
        struct slice message;
    } cases[] = {
        {HEALTH_UNKNOWN, SLICE("")},
        {HEALTH_SERVING, SLICE("\x08\1")},
        {HEALTH_NOT_SERVING, SLICE("\x08\2")},
        {HEALTH_SERVICE_UNKNOWN, SLICE("\x08\3")},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes out;
        bytes_init(&out, 2);
        assert_int_equal(health_put_response(&out, cases[i].status), ERR_OK);
        assert_true(slice_eq(bytes_slice(&out), cases[i].message));
        bytes_done(&out);
    }
    struct bytes full;
    bytes_init(&full, 1);
    assert_int_equal(health_put_response(&full, HEALTH_SERVING), ERR_NO_MEMORY);
    bytes_done(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_name_a_service),
        cmocka_unit_test(what_is_no_check_is_refused),
        cmocka_unit_test(a_check_has_its_room),
        cmocka_unit_test(responses_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
