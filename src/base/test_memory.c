/* Allocator, arena, buffers, references, tensors' sizes, half floats. */
#include "base/test_memory.h"

#include <math.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/half.h"
#include "base/ref.h"
#include "slipway/tensor.h"
#include "unit.h"

SW_TEST(alloc_aligns_and_refuses_overflow) {
    void *block = sw_alloc(NULL, 1), *none = sw_alloc(NULL, 0);
    CHECK(block && (uintptr_t)block % SW_ALIGN == 0);
    CHECK(none != NULL);
    CHECK(sw_alloc(NULL, SIZE_MAX) == NULL);
    CHECK(sw_calloc(NULL, SIZE_MAX / 2, 3) == NULL);
    sw_free(NULL, block);
    sw_free(NULL, none);
    sw_free(NULL, NULL);
}

SW_TEST(grow_keeps_items_and_obeys_the_maximum) {
    void *items = NULL;
    size_t cap = 0;
    CHECK_INT(sw_grow(NULL, &items, &cap, 1, sizeof(int), 10), SW_OK);
    ((int *)items)[0] = 42;
    CHECK_INT(sw_grow(NULL, &items, &cap, 10, sizeof(int), 10), SW_OK);
    CHECK_INT(cap, 10);
    CHECK_INT(((int *)items)[0], 42);
    void *before = items;
    CHECK_INT(sw_grow(NULL, &items, &cap, 11, sizeof(int), 10), SW_E_LIMIT);
    CHECK(items == before && cap == 10);
    sw_free(NULL, items);

    test_memory m = {.fail_at = 1};
    sw_allocator a = test_memory_allocator(&m);
    items = NULL;
    cap = 0;
    CHECK_INT(sw_grow(&a, &items, &cap, 1, 1, 10), SW_E_NOMEM);
    CHECK(items == NULL && cap == 0);
}

SW_TEST(arena_aligns_zeroes_and_limits) {
    sw_arena *arena = sw_arena_create(NULL, 1 << 20);
    for (int i = 1; i < 200; i++) {
        unsigned char *p = sw_arena_alloc(arena, (size_t)i * 37, 1);
        CHECK(p && (uintptr_t)p % (i * 37 >= 4096 ? 64 : 16) == 0);
        for (int j = 0; j < i * 37; j++)
            if (p[j]) {
                CHECK(!"zeroed");
                break;
            }
        memset(p, 0xff, (size_t)i * 37);
    }
    CHECK(sw_arena_used(arena) <= 1 << 20);
    CHECK(sw_arena_alloc(arena, 1 << 20, 1) == NULL);
    CHECK(sw_arena_alloc(arena, SIZE_MAX, 2) == NULL);
    CHECK(sw_arena_alloc(arena, 100, 1) != NULL); /* a refusal spoils nothing */
    sw_arena_destroy(arena);
    sw_arena_destroy(NULL);
}

SW_TEST(arena_copies_texts) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    CHECK_STR(sw_arena_strdup(arena, "slipway"), "slipway");
    CHECK_STR(sw_arena_strndup(arena, "slipway", 4), "slip");
    CHECK_STR(sw_arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    CHECK(sw_arena_strdup(arena, NULL) == NULL);
    char *large = sw_arena_alloc(arena, 200000, 1), *small = sw_arena_strdup(arena, "after");
    memset(large, 'x', 200000);
    CHECK_STR(small, "after");
    sw_arena_destroy(arena);
}

static void count(void *ctx) {
    *(int *)ctx = *(int *)ctx * 10 + 1;
}
static void count_two(void *ctx) {
    *(int *)ctx = *(int *)ctx * 10 + 2;
}

SW_TEST(arena_cleans_up_last_first) {
    int order = 0;
    sw_arena *arena = sw_arena_create(NULL, 0);
    CHECK_INT(sw_arena_cleanup(arena, count, &order), SW_OK);
    CHECK_INT(sw_arena_cleanup(arena, count_two, &order), SW_OK);
    sw_arena_destroy(arena);
    CHECK_INT(order, 21);
}

/* Each allocation in turn fails: NULL or a status, nothing lost, nothing held. */
SW_TEST(arena_survives_each_failing_allocation) {
    int total = 1;
    for (int fail = 0; fail <= total; fail++) {
        test_memory m = {.fail_at = fail};
        sw_allocator a = test_memory_allocator(&m);
        sw_arena *arena = sw_arena_create(&a, 0);
        int failures = arena == NULL, cleaned = 0;
        if (arena) {
            failures += sw_arena_cleanup(arena, count, &cleaned) != SW_OK;
            for (int i = 0; i < 30; i++) failures += sw_arena_alloc(arena, 9000, 1) == NULL;
            failures += sw_arena_alloc(arena, 100000, 1) == NULL;
            sw_arena_destroy(arena);
        }
        if (!fail) total = m.calls;
        CHECK_INT(failures > 0, fail > 0);
        CHECK_INT(m.held, 0);
    }
    CHECK(total > 4);
}

SW_TEST(buf_appends_and_terminates) {
    sw_buf b = sw_buf_make(NULL, 0);
    CHECK_STR(sw_buf_text(&b), "");
    sw_buf_append_text(&b, "ab");
    sw_buf_append_byte(&b, 'c');
    sw_buf_printf(&b, "%05d", 42);
    sw_buf_fill(&b, '-', 3);
    CHECK_STR(sw_buf_text(&b), "abc00042---");
    CHECK_INT(b.size, 11);
    sw_buf_clear(&b);
    CHECK_STR(sw_buf_text(&b), "");
    CHECK_INT(b.status, SW_OK);
    for (int i = 0; i < 10000; i++) sw_buf_append_byte(&b, (uint8_t)i);
    int wrong = 0;
    for (int i = 0; i < 10000; i++) wrong += b.data[i] != (uint8_t)i;
    CHECK_INT(wrong, 0);
    sw_buf_free(&b);
    sw_buf zero = {0};
    sw_buf_free(&zero);
}

SW_TEST(buf_failure_sticks) {
    sw_buf b = sw_buf_make(NULL, 4);
    sw_buf_append_text(&b, "abcd");
    CHECK_INT(b.status, SW_OK);
    sw_buf_append_byte(&b, 'e');
    CHECK_INT(b.status, SW_E_LIMIT);
    sw_buf_append_text(&b, "");
    CHECK(sw_buf_extend(&b, 0) == NULL);
    CHECK_STR(sw_buf_text(&b), "abcd");
    sw_buf_clear(&b);
    sw_buf_append_text(&b, "ok");
    CHECK_STR(sw_buf_text(&b), "ok");
    sw_buf_free(&b);

    int total = 1;
    for (int fail = 0; fail <= total; fail++) {
        test_memory m = {.fail_at = fail};
        sw_allocator a = test_memory_allocator(&m);
        sw_buf c = sw_buf_make(&a, 0);
        for (int i = 0; i < 100; i++) sw_buf_printf(&c, "%d,", i);
        CHECK_INT(c.status, fail ? SW_E_NOMEM : SW_OK);
        if (!fail) total = m.calls;
        sw_buf_free(&c);
        CHECK_INT(m.held, 0);
    }
    CHECK(total > 2);
}

static void release(void *ctx, uint8_t *data) {
    (void)data;
    ++*(int *)ctx;
}

SW_TEST(ref_counts) {
    test_memory m = {0};
    sw_allocator a = test_memory_allocator(&m);
    sw_ref *ref = sw_ref_create(&a, 100);
    CHECK((uintptr_t)ref->data % SW_ALIGN == 0);
    memset(ref->data, 1, 100);
    CHECK(sw_ref_keep(ref) == ref);
    sw_ref_drop(ref);
    CHECK_INT(m.held, 1);
    sw_ref_drop(ref);
    CHECK_INT(m.held, 0);
    sw_ref_drop(NULL);

    uint8_t bytes[4];
    int released = 0;
    ref = sw_ref_wrap(&a, bytes, sizeof bytes, release, &released);
    sw_ref_keep(ref);
    sw_ref_drop(ref);
    CHECK_INT(released, 0);
    sw_ref_drop(ref);
    CHECK_INT(released, 1);
    CHECK_INT(m.held, 0);
}

SW_TEST(tensor_sizes) {
    sw_tensor t = {.dtype = SW_F32, .rank = 3, .dims = {2, 3, 4}};
    CHECK_INT(sw_tensor_count(&t), 24);
    CHECK_INT(sw_tensor_bytes(&t), 96);
    t.rank = 0;
    CHECK_INT(sw_tensor_count(&t), 1);
    t = (sw_tensor){.dtype = SW_F64, .rank = 2, .dims = {INT64_MAX, 1}};
    CHECK_INT(sw_tensor_count(&t), INT64_MAX);
    CHECK_INT(sw_tensor_bytes(&t), -1);
    t = (sw_tensor){.dtype = SW_U8, .rank = 3, .dims = {INT64_MAX, INT64_MAX, 0}};
    CHECK_INT(sw_tensor_bytes(&t), 0);
    t.dims[2] = SW_DIM_UNKNOWN;
    CHECK_INT(sw_tensor_count(&t), -1);
    t.rank = SW_RANK_UNKNOWN;
    CHECK_INT(sw_tensor_count(&t), -1);
    CHECK_STR(sw_dtype_name(SW_BF16), "bfloat16");
    CHECK_STR(sw_dtype_name((sw_dtype)99), "unknown");
    CHECK_INT(sw_dtype_size(SW_I64), 8);
}

/* Narrowing is checked against the definition: the nearest of all 65,536 values, ties to the even one. */
SW_TEST(half_widens_exactly_and_narrows_to_nearest) {
    int wrong = 0;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float value = sw_f16_to_f32((uint16_t)h);
        if (isnan(value))
            wrong += !isnan(sw_f16_to_f32(sw_f32_to_f16(value)));
        else
            wrong += sw_f32_to_f16(value) != h;
        value = sw_bf16_to_f32((uint16_t)h);
        if (isnan(value))
            wrong += !isnan(sw_bf16_to_f32(sw_f32_to_bf16(value)));
        else
            wrong += sw_f32_to_bf16(value) != h;
    }
    CHECK_INT(wrong, 0);
    for (uint32_t h = 0; h < 0x7bff; h++) { /* between every two finite neighbours */
        float low = sw_f16_to_f32((uint16_t)h), high = sw_f16_to_f32((uint16_t)(h + 1)), middle = (low + high) / 2;
        wrong += sw_f32_to_f16(middle) != (h & 1 ? h + 1 : h);
        wrong += sw_f32_to_f16(nextafterf(middle, low)) != h;
        wrong += sw_f32_to_f16(nextafterf(middle, high)) != h + 1;
        wrong += sw_f32_to_f16(-middle) != (0x8000 | (h & 1 ? h + 1 : h));
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(sw_f32_to_f16(65519.996f), 0x7bff);
    CHECK_INT(sw_f32_to_f16(65520.0f), 0x7c00);
    CHECK_INT(sw_f32_to_f16(-INFINITY), 0xfc00);
    CHECK_INT(sw_f32_to_bf16(INFINITY), 0x7f80);
    CHECK_NEAR(sw_f16_to_f32(0x3555), 0.33325195, 1e-8);
}

SW_TEST(status_codes) {
    CHECK_INT(sw_status_exit_code(SW_OK), 0);
    CHECK_INT(sw_status_exit_code(SW_E_USAGE), 1);
    CHECK_INT(sw_status_exit_code(SW_E_UNSUPPORTED), 2);
    CHECK_INT(sw_status_exit_code(SW_E_IO), 3);
    CHECK_INT(sw_status_exit_code(SW_E_NOMEM), 4);
    CHECK_INT(sw_status_exit_code((sw_status)99), 4);
    CHECK_STR(sw_status_text((sw_status)-1), "unknown status");
    CHECK_INT(sw_fail(&sw_test_diag, SW_E_IO, "a.npy", "try", "got %d", 3), SW_E_IO);
    CHECK_STR(sw_test_message(), "a.npy: got 3 (try)");
    CHECK_INT(sw_fail(NULL, SW_E_IO, NULL, NULL, "nobody hears"), SW_E_IO);
}
