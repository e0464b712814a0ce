#include "vision/fitter.h"

#include <string.h>

#include "base/test_memory.h"
#include "unit.h"

static uint8_t pixels[32 * 64 * 3];

/* A picture of 64 x 32, red on the left half, blue on the right. */
static sw_picture picture_of_two(sw_pixel_order order) {
    memset(pixels, 0, sizeof pixels);
    for (int i = 0; i < 32 * 64; i++) pixels[3 * i + ((i % 64 < 32) == (order == SW_PIXELS_RGB) ? 0 : 2)] = 255;
    return (sw_picture){pixels, 64, 32, 3 * 64, order};
}

SW_TEST(fitter_letterbox_both_orders) {
    sw_fitter_options o = {.height = 16, .width = 16, .dtype = SW_F32, .pad = 51};
    sw_fitter *f = NULL;
    CHECK_INT(sw_fitter_create(&o, &sw_test_diag, &f), SW_OK);
    for (sw_pixel_order order = SW_PIXELS_RGB; order <= SW_PIXELS_BGR; order++) {
        sw_picture p = picture_of_two(order);
        sw_tensor t;
        sw_fitting fit;
        CHECK_INT(sw_fitter_run(f, &p, &t, &fit), SW_OK);
        CHECK(t.rank == 4 && t.dims[0] == 1 && t.dims[1] == 3 && t.dims[2] == 16 && t.dims[3] == 16);
        const float *v = t.data;
        CHECK_NEAR(v[0], 0.2, 1e-6);                  /* padding */
        CHECK_NEAR(v[8 * 16 + 2], 1, 1e-6);           /* red */
        CHECK_NEAR(v[8 * 16 + 13], 0, 1e-6);
        CHECK_NEAR(v[2 * 256 + 8 * 16 + 13], 1, 1e-6); /* blue */
        CHECK(fit.gain_x == 0.25f && fit.gain_y == 0.25f && fit.pad_y == 4 && fit.pad_x == 0);
    }
    sw_fitter_destroy(f);
}

SW_TEST(fitter_stretch_to_bytes_and_normalised) {
    sw_fitter_options o = {
        .height = 8, .width = 4, .fit = SW_FIT_STRETCH, .dtype = SW_U8, .channels_last = true, .bgr = true};
    sw_picture p = picture_of_two(SW_PIXELS_RGB);
    sw_fitter *f = NULL;
    sw_tensor t;
    sw_fitting fit;
    CHECK_INT(sw_fitter_create(&o, &sw_test_diag, &f), SW_OK);
    CHECK_INT(sw_fitter_run(f, &p, &t, &fit), SW_OK);
    CHECK(t.dims[1] == 8 && t.dims[2] == 4 && t.dims[3] == 3);
    CHECK(memcmp(t.data, "\0\0\xff", 3) == 0);
    CHECK_NEAR(fit.gain_x, 4.0 / 64, 1e-6);
    CHECK_NEAR(fit.gain_y, 8.0 / 32, 1e-6);
    sw_fitter_destroy(f);
    o = (sw_fitter_options){.height = 8, .width = 8, .fit = SW_FIT_CROP, .dtype = SW_F32, .raw = true,
                            .mean = {55, 0, 0}, .std = {100, 1, 1}};
    CHECK_INT(sw_fitter_create(&o, &sw_test_diag, &f), SW_OK);
    CHECK_INT(sw_fitter_run(f, &p, &t, &fit), SW_OK);
    CHECK_NEAR(((const float *)t.data)[0], 2, 1e-5); /* red of 255 */
    sw_fitter_destroy(f);
}

SW_TEST(fitter_refuses) {
    sw_fitter *f = NULL;
    sw_tensor t;
    sw_fitting fit;
    CHECK_INT(sw_fitter_create(&(sw_fitter_options){.height = 0, .width = 4, .dtype = SW_F32}, &sw_test_diag, &f),
              SW_E_USAGE);
    CHECK_INT(sw_fitter_create(&(sw_fitter_options){.height = 4, .width = 4, .dtype = SW_I32}, &sw_test_diag, &f),
              SW_E_USAGE);
    CHECK_INT(sw_fitter_create(&(sw_fitter_options){.height = 4, .width = 4, .dtype = SW_F32}, &sw_test_diag, &f), SW_OK);
    CHECK_INT(sw_fitter_run(f, &(sw_picture){pixels, 0, 4, 12, SW_PIXELS_RGB}, &t, &fit), SW_E_INPUT);
    sw_fitter_destroy(f);
}
