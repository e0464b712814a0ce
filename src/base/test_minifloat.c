#include <math.h>

#include "base/minifloat.h"
#include "unit.h"

static const sw_dtype types[] = {SW_F8_E4M3FN, SW_F8_E4M3FNUZ, SW_F8_E5M2, SW_F8_E5M2FNUZ, SW_F4_E2M1, SW_F8_E8M0};
enum { N_TYPES = sizeof types / sizeof *types };

SW_TEST(minifloat_values_come_back) {
    for (int t = 0; t < N_TYPES; t++)
        for (int code = 0; code < (types[t] == SW_F4_E2M1 ? 16 : 256); code++) {
            double value = sw_minifloat_to_f64(types[t], (uint8_t)code);
            uint8_t back = sw_minifloat_from_f64(types[t], value, false, "up");
            CHECK(isnan(value) ? isnan(sw_minifloat_to_f64(types[t], back)) : back == code);
        }
}

SW_TEST(minifloat_by_hand) {
    CHECK(sw_minifloat_to_f64(SW_F8_E4M3FN, 0x7e) == 448 && isnan(sw_minifloat_to_f64(SW_F8_E4M3FN, 0xff)));
    CHECK(sw_minifloat_to_f64(SW_F8_E4M3FN, 1) == 0x1p-9 && sw_minifloat_to_f64(SW_F8_E4M3FN, 0xc0) == -2);
    CHECK(sw_minifloat_to_f64(SW_F8_E4M3FNUZ, 0x7f) == 240 && isnan(sw_minifloat_to_f64(SW_F8_E4M3FNUZ, 0x80)));
    CHECK(sw_minifloat_to_f64(SW_F8_E5M2, 0x7b) == 57344 && sw_minifloat_to_f64(SW_F8_E5M2, 0xfc) == -INFINITY);
    CHECK(sw_minifloat_to_f64(SW_F8_E5M2FNUZ, 0x7f) == 57344 && sw_minifloat_to_f64(SW_F4_E2M1, 0xf) == -6);
    CHECK(sw_minifloat_to_f64(SW_F8_E8M0, 0) == 0x1p-127 && isnan(sw_minifloat_to_f64(SW_F8_E8M0, 0xff)));
}

SW_TEST(minifloat_rounds_to_even) {
    CHECK_INT(sw_minifloat_from_f64(SW_F4_E2M1, 2.5, true, ""), 4); /* 2 */
    CHECK_INT(sw_minifloat_from_f64(SW_F4_E2M1, -3.5, true, ""), 8 | 6);
    CHECK_INT(sw_minifloat_from_f64(SW_F4_E2M1, 0.25, true, ""), 0);
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E4M3FN, 464, false, ""), 0x7e); /* the tie between 448 and 480 */
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E8M0, 3, true, "nearest"), 129);
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E8M0, 3, true, "down"), 128);
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E8M0, 2.1, true, "up"), 129);
}

SW_TEST(minifloat_what_is_too_large) {
    static const uint8_t codes[N_TYPES][2] = {{0x7e, 0x7f}, {0x7f, 0x80}, {0x7b, 0x7c},
                                              {0x7f, 0x80}, {7, 7},       {0xfe, 0xff}};
    for (int t = 0; t < N_TYPES; t++)
        for (int cut = 0; cut < 2; cut++) CHECK_INT(sw_minifloat_from_f64(types[t], 1e300, !cut, "up"), codes[t][cut]);
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E5M2, -INFINITY, false, ""), 0xfc);
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E5M2, -INFINITY, true, ""), 0xfb);
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E4M3FN, -1e9, false, ""), 0xff);
    CHECK_INT(sw_minifloat_from_f64(SW_F8_E4M3FNUZ, -1e-9, false, ""), 0);
}
