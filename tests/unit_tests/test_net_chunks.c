/* The pool of socket buffers, and a queue's storage going in and out of it. */
#include "net/chunks.h"

#include <string.h>

#include "base/mem.h"
#include "unit_tests/net_testing.h"

#define LEAST CHUNKS_LEAST_BYTES
#define LARGEST (CHUNKS_LEAST_BYTES << (CHUNKS_CLASSES - 1))

static void lends_the_class_that_fits(void **state)
{
    (void)state;
    static const struct {
        size_t wanted;
        size_t max;
        size_t size;
    } cases[] = {
        {0, 1 << 30, LEAST},         {LEAST, 1 << 30, LEAST}, {LEAST + 1, 1 << 30, 2 * LEAST},
        {1 << 30, 1 << 30, LARGEST}, {1 << 30, LEAST, LEAST}, {4 * LEAST, 3 * LEAST, 2 * LEAST},
    };
    struct chunks chunks;
    chunks_init(&chunks, CHUNKS_KEPT_MAX_BYTES);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes bytes;
        bytes_init(&bytes, cases[i].max);
        chunks_lend(&chunks, &bytes, cases[i].wanted);
        assert_int_equal(bytes_room(&bytes), cases[i].size);
        assert_int_equal(bytes.max, cases[i].max);
        memset(bytes_reserve(&bytes, cases[i].size), 'x', cases[i].size);
        chunks_reclaim(&chunks, &bytes);
        assert_null(bytes.ptr);
        assert_int_equal(bytes_room(&bytes), 0);
    }
    chunks_done(&chunks);
}

static void a_queue_with_bytes_keeps_its_storage(void **state)
{
    (void)state;
    struct chunks chunks;
    struct bytes bytes;
    chunks_init(&chunks, CHUNKS_KEPT_MAX_BYTES);
    bytes_init(&bytes, 2 * LEAST);
    chunks_lend(&chunks, &bytes, 0);
    assert_int_equal(bytes_put(&bytes, SLICE("abc")), ERR_OK);
    const char *storage = bytes.ptr;
    chunks_lend(&chunks, &bytes, LEAST);
    chunks_reclaim(&chunks, &bytes);
    assert_ptr_equal(bytes.ptr, storage);
    assert_true(slice_eq(bytes_slice(&bytes), SLICE("abc")));
    bytes_consume(&bytes, 3);
    chunks_reclaim(&chunks, &bytes);
    assert_null(bytes.ptr);
    chunks_reclaim(&chunks, &bytes); /* nothing to take */
    chunks_done(&chunks);
}

/* Lends, lets the queue grow by itself, takes back: allocates only the first time. */
static void grow_and_return(struct chunks *chunks, size_t size, size_t hint)
{
    struct bytes bytes;
    bytes_init(&bytes, 1 << 30);
    chunks_lend(chunks, &bytes, hint);
    assert_non_null(bytes_reserve(&bytes, size));
    bytes_commit(&bytes, size);
    bytes_consume(&bytes, size);
    chunks_reclaim(chunks, &bytes);
}

static void keeps_grown_storage_for_the_next_use(void **state)
{
    (void)state;
    struct chunks chunks;
    chunks_init(&chunks, CHUNKS_KEPT_MAX_BYTES);
    grow_and_return(&chunks, 100, 0);
    grow_and_return(&chunks, 3 * LEAST, 0);
    uint64_t before = mem_allocations();
    grow_and_return(&chunks, 3 * LEAST, 3 * LEAST);
#if POOLS_RECYCLE
    assert_int_equal(mem_allocations(), before);
    assert_int_equal(chunks.kept_bytes, 4 * LEAST);
#else
    assert_true(mem_allocations() > before);
    assert_int_equal(chunks.kept_bytes, 0);
#endif
    grow_and_return(&chunks, 10 * LARGEST, 0); /* of no class: freed */
    assert_true(chunks.kept_bytes <= 5 * LEAST);
    chunks_done(&chunks);
}

static void keeps_no_more_than_its_maximum(void **state)
{
    (void)state;
    struct chunks chunks;
    struct bytes bytes[3];
    chunks_init(&chunks, 2 * LEAST);
    for (int i = 0; i < 3; i++) {
        bytes_init(&bytes[i], LEAST);
        chunks_lend(&chunks, &bytes[i], 0);
    }
    for (int i = 0; i < 3; i++) {
        chunks_reclaim(&chunks, &bytes[i]);
    }
    assert_int_equal(chunks.kept_bytes, POOLS_RECYCLE ? 2 * LEAST : 0);
    chunks_done(&chunks);
}

static void without_memory_the_queue_stays_as_it_is(void **state)
{
    (void)state;
    struct chunks chunks;
    struct bytes bytes;
    chunks_init(&chunks, CHUNKS_KEPT_MAX_BYTES);
    bytes_init(&bytes, LEAST);
    mem_fail_nth(1);
    chunks_lend(&chunks, &bytes, 0);
    assert_null(bytes.ptr);
    assert_int_equal(bytes_put(&bytes, SLICE("abc")), ERR_OK); /* by itself */
    bytes_consume(&bytes, 3);
    chunks_reclaim(&chunks, &bytes);
    assert_null(bytes.ptr);
    assert_int_equal(chunks.kept_bytes, 0);
    chunks_done(&chunks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lends_the_class_that_fits),
        cmocka_unit_test(a_queue_with_bytes_keeps_its_storage),
        cmocka_unit_test(keeps_grown_storage_for_the_next_use),
        cmocka_unit_test(keeps_no_more_than_its_maximum),
        cmocka_unit_test(without_memory_the_queue_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
