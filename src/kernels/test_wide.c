#include "kernels/wide.h"

#include <math.h>

#include "unit.h"

SW_TEST(order_key_orders) {
    const float f[] = {-HUGE_VALF, -1e30f, -1, -1e-40f, 0, 1e-40f, 1, HUGE_VALF, NAN}, minus_zero = -0.0f;
    for (int i = 0; i < 8; i++) CHECK(sw__order_key(SW_F32, f, i) < sw__order_key(SW_F32, f, i + 1));
    CHECK(sw__order_key(SW_F32, &minus_zero, 0) == sw__order_key(SW_F32, f, 4));
    const int64_t wide[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    for (int i = 0; i < 4; i++) CHECK(sw__order_key(SW_I64, wide, i) < sw__order_key(SW_I64, wide, i + 1));
    const uint64_t huge[] = {0, 1, (uint64_t)1 << 63, UINT64_MAX};
    for (int i = 0; i < 3; i++) CHECK(sw__order_key(SW_U64, huge, i) < sw__order_key(SW_U64, huge, i + 1));
}

SW_TEST(widen_and_narrow_steps) {
    const uint16_t halves[] = {0x3c00, 0, 0xc000, 0, 0x7bff}; /* 1, -2, 65504 at every second place */
    double wide[3];
    uint16_t back[5] = {9, 9, 9, 9, 9};
    sw__widen(SW_F16, halves, 0, 2, 3, wide);
    CHECK(wide[0] == 1 && wide[1] == -2 && wide[2] == 65504);
    sw__narrow(SW_F16, wide, 3, back, 4, -2);
    CHECK_INT(back[4], 0x3c00);
    CHECK_INT(back[3], 9);
    CHECK_INT(back[0], 0x7bff);
    const int8_t bytes[] = {-1, 5};
    uint64_t whole[2];
    sw__widen_integer(SW_I8, bytes, 0, 1, 2, whole);
    CHECK(whole[0] == UINT64_MAX && whole[1] == 5);
}

SW_TEST(lanes_split) {
    const sw_tensor t = {.dtype = SW_F32, .rank = 4, .dims = {2, 3, 5, 7}};
    sw_lanes l = sw__lanes(&t, 1, 3);
    CHECK(l.outer == 2 && l.length == 15 && l.inner == 7);
}
