/* The parts of the HTTP/2 engine that stand alone: finding frames, and the heap of a session. */
#include "unit_tests/testing.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "http/h2_heap.h"
#include "http/h2_scan.h"
#include "unit_tests/h2_frames.h"

static void put_frames(struct bytes *in)
{
    static char payload[70000];
    frames_put(in, SLICE(H2_PREFACE));
    frames_put_frame(in, FRAME_SETTINGS, FLAG_ACK, 0, SLICE(""));
    frames_put_frame(in, FRAME_DATA, 0, 1, slice_make(payload, sizeof(payload)));
    frames_put_frame(in, FRAME_UNKNOWN, 0xff, 0, SLICE("123456789"));
    frames_put_frame(in, FRAME_PING, 0, 0, SLICE(""));
}

static void finds_frames_in_any_split(void **state)
{
    (void)state;
    static const unsigned types[] = {FRAME_SETTINGS, FRAME_DATA, FRAME_UNKNOWN, FRAME_PING};
    static const unsigned flags[] = {FLAG_ACK, 0, 0xff, 0};
    static const size_t ends[] = {33, 42, 70051, 70069};
    static const size_t pieces[] = {1, 2, 3, 8, 9, 10, 1000, SIZE_MAX};
    struct bytes in;
    bytes_init(&in, (size_t)1024 * 1024);
    put_frames(&in);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct slice all = bytes_slice(&in);
        struct h2_scan scan;
        size_t at = 0;
        size_t found = 0;
        h2_scan_init(&scan);
        while (at < all.len) {
            struct slice piece = slice_head(slice_tail(all, at), pieces[i]);
            bool is_header = false;
            at += h2_scan_next(&scan, piece, &is_header);
            if (is_header) {
                assert_int_equal(at, ends[found]);
                assert_int_equal(h2_scan_type(&scan), types[found]);
                assert_int_equal(h2_scan_flags(&scan), flags[found]);
                found++;
            }
        }
        assert_int_equal(found, 4);
    }
    bytes_done(&in);
}

static void keeps_a_list_of_blocks(void **state)
{
    (void)state;
    struct h2_heap heap = {0};
    char *blocks[4];
    for (size_t i = 0; i < 4; i++) {
        blocks[i] = h2_heap_zalloc(i + 1, 10, &heap);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        assert_int_equal(blocks[i][10 * (i + 1) - 1], 0);
        memset(blocks[i], (int)i, 10);
    }
    h2_heap_free(blocks[1], &heap);
    blocks[2] = h2_heap_realloc(blocks[2], 100000, &heap);
    assert_non_null(blocks[2]);
    assert_int_equal(blocks[2][9], 2);
    mem_fail_nth(1);
    assert_null(h2_heap_realloc(blocks[2], 200000, &heap));
    mem_fail_nth(0);
    assert_int_equal(blocks[2][9], 2);
    assert_null(h2_heap_zalloc(SIZE_MAX, 2, &heap));
    assert_null(h2_heap_alloc(SIZE_MAX, &heap));
    assert_null(h2_heap_realloc(blocks[2], SIZE_MAX, &heap));
    assert_non_null(h2_heap_realloc(NULL, 1, &heap));
    h2_heap_free(blocks[3], &heap);
    h2_heap_free(NULL, &heap);
    h2_heap_done(&heap); /* the others, which a sanitizer would miss */
    assert_null(heap.first);
    assert_int_equal(heap.kept_bytes, 0);
}

/* What is kept is bounded, and is used again. */
static void keeps_small_blocks(void **state)
{
    (void)state;
    struct h2_heap heap = {0};
    void *blocks[100];
    for (int round = 0; round < 3; round++) {
        bool recycles = heap.kept_bytes > 0; /* not under a sanitizer */
        uint64_t before = mem_allocations();
        for (size_t i = 0; i < 100; i++) {
            blocks[i] = h2_heap_alloc(i * 20, &heap);
            assert_non_null(blocks[i]);
        }
        assert_true((mem_allocations() - before < 100) == recycles);
        for (size_t i = 0; i < 100; i++) {
            h2_heap_free(blocks[i], &heap);
            assert_true(heap.kept_bytes <= H2_HEAP_KEPT_BYTES);
        }
    }
    h2_heap_done(&heap);
    assert_int_equal(heap.kept_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_frames_in_any_split),
        cmocka_unit_test(keeps_a_list_of_blocks),
        cmocka_unit_test(keeps_small_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
