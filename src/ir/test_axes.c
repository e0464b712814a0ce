#include "ir/axes.h"

#include "unit.h"

static sw_axes make(int n, const char *digits) {
    sw_axes a = {.n = n};
    for (int i = 0; i < n; i++) a.at[i] = (uint8_t)(digits[i] - '0');
    return a;
}

static const char *text_of(const sw_axes *a) {
    static char text[16];
    for (int i = 0; i < a->n; i++) text[i] = (char)('0' + a->at[i]);
    text[a->n] = 0;
    return text;
}

SW_TEST(axes_permutations) {
    sw_axes last = sw_axes_channels_last(4), first = sw_axes_channels_first(4), plain = sw_axes_plain(4);
    int64_t perm[4], stored[4];
    CHECK_STR(text_of(&last), "0231");
    CHECK_STR(text_of(&first), "0312");
    CHECK(sw_axes_is_plain(&plain) && !sw_axes_is_plain(&last) && !sw_axes_equal(&last, &first));
    CHECK_INT(sw_axes_find(&last, 1), 3);
    sw_axes_apply(&last, (const int64_t[]){1, 64, 20, 30}, stored);
    CHECK(stored[1] == 20 && stored[2] == 30 && stored[3] == 64);
    sw_axes_between(&last, &plain, perm); /* numpy: nhwc.transpose(0, 3, 1, 2) is nchw */
    CHECK(perm[0] == 0 && perm[1] == 3 && perm[2] == 1 && perm[3] == 2);
    /* Stored channels last, and the graph transposes to channels last: now it is stored as it is. */
    sw_axes view = sw_axes_transposed(&last, (const int64_t[]){0, 2, 3, 1});
    CHECK(sw_axes_is_plain(&view));
    CHECK(sw_axes_same_order(&last, &plain, (const int64_t[]){1, 64, 1, 1}));
    CHECK(!sw_axes_same_order(&last, &plain, (const int64_t[]){1, 64, 1, 2}));
}

static const char *reshaped(const char *stored, int n, const int64_t *dims, int n_out, const int64_t *out) {
    sw_axes a = make(n, stored), result;
    return sw_axes_reshaped(&a, dims, n_out, out, &result) ? text_of(&result) : "moves data";
}
#define DIMS(...)                                                                                                      \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {                               \
        __VA_ARGS__                                                                                                    \
    }

SW_TEST(axes_reshape_without_moving) {
    CHECK_STR(reshaped("0231", DIMS(1, 144, 80, 80), DIMS(1, 144, 6400)), "021");
    CHECK_STR(reshaped("0231", DIMS(1, 256, 20, 20), DIMS(1, 2, 128, 400)), "0312");
    CHECK_STR(reshaped("021", DIMS(1, 64, 8400), DIMS(1, 4, 16, 8400)), "0312");
    CHECK_STR(reshaped("0312", DIMS(1, 2, 64, 400), DIMS(1, 128, 20, 20)), "0231");
    CHECK_STR(reshaped("0231", DIMS(1, 64, 1, 1), DIMS(1, 64)), "01");
    CHECK_STR(reshaped("0231", DIMS(2, 64, 7, 7), DIMS(2, 3136)), "moves data");
    CHECK_STR(reshaped("0231", DIMS(1, 64, 7, 5), DIMS(1, 5, 7, 64)), "moves data");
    CHECK_STR(reshaped("01", DIMS(4, 6), DIMS(24)), "0");
    CHECK_STR(reshaped("10", DIMS(4, 6), DIMS(24)), "moves data");
    CHECK_STR(reshaped("10", DIMS(4, 6), DIMS(5, 5)), "moves data");
    /* The channels of C == H == W are told apart by place, not by extent. */
    CHECK_STR(reshaped("0231", DIMS(1, 8, 8, 8), DIMS(1, 8, 64)), "021");
    CHECK_STR(reshaped("0231", DIMS(1, 8, 8, 8), DIMS(1, 64, 8)), "moves data");
    CHECK_STR(reshaped("0312", DIMS(1, 8, 8, 8), DIMS(1, 64, 8)), "021");
}
