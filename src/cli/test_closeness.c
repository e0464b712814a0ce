#include "cli/closeness.h"

#include "unit.h"

static sw_tensor floats(float *data, int rank, int64_t a, int64_t b, int64_t c) {
    return (sw_tensor){.dtype = SW_F32, .rank = rank, .dims = {a, b, c}, .data = data};
}

SW_TEST(closeness_measures_rows_by_their_own_scale) {
    float a[6] = {640, 320, 100, 0.5f, 0, 0.25f}, b[6] = {640.64f, 320, 100, 0.5f, 0, 0.26f};
    sw_tensor want = floats(a, 3, 1, 2, 3), got = floats(b, 3, 1, 2, 3);
    sw_closeness c;
    CHECK_INT(sw_closeness_of(&want, &got, 1, &c), SW_OK);
    CHECK(c.comparable);
    CHECK_NEAR(c.max_error, 0.01, 1e-6); /* of 1, not of 640; the box is off by 0.001 of its scale */
    CHECK_NEAR(c.mean_error, 0.011 / 6, 1e-6);
    CHECK_NEAR(c.cosine, 1, 1e-6);
    CHECK_INT(c.odd, 0);
    got.dims[2] = 2;
    CHECK_INT(sw_closeness_of(&want, &got, 1, &c), SW_OK);
    CHECK(!c.comparable);
}

SW_TEST(closeness_counts_what_is_finite_here_only) {
    float a[3] = {1, 2, 3}, b[3] = {1, 2.0f, 0};
    b[2] /= 0.0f * b[2];
    sw_tensor want = floats(a, 1, 3, 0, 0), got = floats(b, 1, 3, 0, 0);
    sw_closeness c;
    CHECK_INT(sw_closeness_of(&want, &got, 1, &c), SW_OK);
    CHECK_INT(c.odd, 1);
    CHECK_INT(sw_closeness_of(&got, &got, 1, &c), SW_OK);
    CHECK_INT(c.odd, 0);
}

SW_TEST(closeness_of_lists_does_not_mind_their_order) {
    enum { K = 100, C = 6 };
    static float a[K * C], b[K * C];
    for (int i = 0; i < K; i++)
        for (int k = 0; k < C; k++) {
            a[i * C + k] = (float)(i * 7 + k);
            b[((i + 1) % K) * C + k] = (float)(i * 7 + k);
        }
    sw_tensor want = floats(a, 3, 1, K, C), got = floats(b, 3, 1, K, C);
    sw_closeness c;
    CHECK_INT(sw_closeness_of(&want, &got, 1e-4, &c), SW_OK);
    CHECK_NEAR(c.max_error, 0, 1e-12);
    for (int i = 0; i < 2 * C; i++) b[i] += 5000; /* two rows of a hundred: the end of the list */
    CHECK_INT(sw_closeness_of(&want, &got, 1e-4, &c), SW_OK);
    CHECK_NEAR(c.max_error, 0, 1e-12);
    for (int i = 0; i < 3 * C; i++) b[i] += 5000;
    CHECK_INT(sw_closeness_of(&want, &got, 1e-4, &c), SW_OK);
    CHECK(c.max_error > 1e-3);
}

SW_TEST(channels_last_and_back) {
    float a[12];
    for (int i = 0; i < 12; i++) a[i] = (float)i;
    sw_tensor t = {.dtype = SW_F32, .rank = 4, .dims = {1, 3, 2, 2}, .data = a}, last, first;
    sw_arena *arena = sw_arena_create(NULL, 0);
    CHECK_INT(sw_tensor_channels_last(&t, false, arena, &last), SW_OK);
    CHECK_INT(last.dims[3], 3);
    CHECK_NEAR(((float *)last.data)[1], 4, 0);
    first = last;
    CHECK_INT(sw_tensor_channels_last(&first, true, arena, &first), SW_OK);
    CHECK_INT(first.dims[1], 3);
    CHECK(!memcmp(first.data, a, sizeof a));
    sw_arena_destroy(arena);
}
