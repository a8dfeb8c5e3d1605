/* Arenas and byte queues: alignment, limits, reuse, and every failed allocation. */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "unit_tests/testing.h"

static void arena_aligns_and_reuses(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 256, 4096);
    for (int round = 0; round < 3; round++) {
        uint64_t before = mem_allocations();
        for (size_t size = 0; size < 12; size++) {
            char *block = arena_alloc(&arena, size);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % 16, 0);
            memset(block, 0xff, size);
        }
        assert_int_equal(mem_allocations() - before, round == 0 ? 1 : 0);
        arena_reset(&arena);
    }
    arena_done(&arena);
}

static void arena_has_a_maximum(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 256, 1024);
    assert_null(arena_alloc(&arena, 2000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 8));
    assert_null(arena_zalloc(&arena, SIZE_MAX / 2, 4));
    assert_non_null(arena_alloc(&arena, 512));
    assert_non_null(arena_alloc(&arena, 200));
    assert_null(arena_alloc(&arena, 512));
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 512));
    arena_done(&arena);
}

static void arena_grows_the_newest_in_place(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096, 1 << 20);
    char *first = arena_alloc(&arena, 16);
    memcpy(first, "0123456789abcdef", 16);
    assert_ptr_equal(arena_realloc(&arena, first, 16, 64), first);
    char *second = arena_alloc(&arena, 16);
    assert_ptr_not_equal(second, first);
    char *moved = arena_realloc(&arena, first, 64, 128);
    assert_ptr_not_equal(moved, first);
    assert_memory_equal(moved, "0123456789abcdef", 16);
    assert_ptr_equal(arena_realloc(&arena, moved, 128, 32), moved);
    assert_null(arena_realloc(&arena, moved, 32, SIZE_MAX - 4));
    assert_memory_equal(moved, "0123456789abcdef", 16);
    arena_done(&arena);
}

static void arena_goes_back_to_a_mark(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 256, 4096);
    struct arena_mark empty = arena_mark(&arena);
    char *kept = arena_alloc(&arena, 16);
    assert_non_null(kept);
    memset(kept, 7, 16);
    struct arena_mark mark = arena_mark(&arena);
    char *next = arena_alloc(&arena, 16);
    assert_non_null(next);
    assert_non_null(arena_alloc(&arena, 3000));
    assert_null(arena_alloc(&arena, 3000));
    arena_rewind(&arena, mark);
    assert_ptr_equal(arena_alloc(&arena, 16), next);
    assert_int_equal(kept[15], 7);
    assert_non_null(arena_alloc(&arena, 3000));
    arena_rewind(&arena, empty);
    assert_ptr_equal(arena_alloc(&arena, 16), kept);
    arena_done(&arena);
}

static void arena_survives_failed_allocations(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 4; nth++) {
        struct arena arena;
        arena_init(&arena, 256, 4096);
        mem_fail_nth(nth);
        for (int i = 0; i < 3; i++) {
            void *block = arena_alloc(&arena, 250);
            assert_true(block != NULL || (uint64_t)i + 1 == nth);
        }
        mem_fail_nth(0);
        arena_done(&arena);
    }
}

static void bytes_queue_in_order(void **state)
{
    (void)state;
    struct bytes bytes;
    bytes_init(&bytes, 4096);
    assert_int_equal(bytes_put(&bytes, SLICE("hello ")), ERR_OK);
    assert_int_equal(bytes_printf(&bytes, "%d %s", 42, "world"), ERR_OK);
    assert_true(slice_eq(bytes_slice(&bytes), SLICE("hello 42 world")));
    bytes_consume(&bytes, 6);
    assert_true(slice_eq(bytes_slice(&bytes), SLICE("42 world")));
    bytes_consume(&bytes, 8);
    assert_int_equal(bytes_len(&bytes), 0);
    bytes_done(&bytes);
}

static void bytes_stop_at_the_maximum(void **state)
{
    (void)state;
    static const char kilobyte[1024] = {0};
    struct bytes bytes;
    bytes_init(&bytes, 2500);
    assert_int_equal(bytes_put(&bytes, slice_make(kilobyte, 1024)), ERR_OK);
    assert_int_equal(bytes_put(&bytes, slice_make(kilobyte, 1024)), ERR_OK);
    assert_int_equal(bytes_put(&bytes, slice_make(kilobyte, 1024)), ERR_NO_MEMORY);
    assert_int_equal(bytes_len(&bytes), 2048);
    bytes_consume(&bytes, 1000);
    assert_int_equal(bytes_put(&bytes, slice_make(kilobyte, 1024)), ERR_OK);
    assert_null(bytes_reserve(&bytes, SIZE_MAX));
    bytes_reset(&bytes, 100);
    assert_int_equal(bytes.capacity, 0);
    bytes_done(&bytes);
}

static void bytes_survive_a_failed_allocation(void **state)
{
    (void)state;
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    assert_int_equal(bytes_put(&bytes, SLICE("kept")), ERR_OK);
    mem_fail_nth(1);
    assert_null(bytes_reserve(&bytes, 4096));
    mem_fail_nth(0);
    assert_true(slice_eq(bytes_slice(&bytes), SLICE("kept")));
    bytes_done(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_aligns_and_reuses),
        cmocka_unit_test(arena_has_a_maximum),
        cmocka_unit_test(arena_grows_the_newest_in_place),
        cmocka_unit_test(arena_goes_back_to_a_mark),
        cmocka_unit_test(arena_survives_failed_allocations),
        cmocka_unit_test(bytes_queue_in_order),
        cmocka_unit_test(bytes_stop_at_the_maximum),
        cmocka_unit_test(bytes_survive_a_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
