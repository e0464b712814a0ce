#include "kernels/test_run.h"

static uint8_t pixels[100 * 100 * 3];

/* Noise of a linear congruential generator (Numerical Recipes), the same in any language. */
static sw_tensor noise(int64_t height, int64_t width) {
    uint32_t state = 1;
    for (int64_t i = 0; i < height * width * 3; i++) {
        state = state * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(state >> 24);
    }
    return test_tensor(SW_U8, TEST_DIMS(height, width, 3), pixels);
}

/* FNV-1a of the values as bytes; they must be whole numbers. */
static uint64_t hash_of(const sw_tensor *t) {
    uint64_t state = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < sw_tensor_count(t); i++) {
        float value = ((const float *)t->data)[i];
        CHECK(value == (float)(uint8_t)value);
        state = (state ^ (uint8_t)value) * 0x100000001b3u;
    }
    return state;
}

/* What cv2.resize (INTER_LINEAR) and a border give, in OpenCV 4.14 and 5.0 alike. */
SW_TEST(letterbox_as_opencv) {
    static const struct {
        int64_t height, width, canvas_height, canvas_width;
        uint64_t hash;
    } cases[] = {
        {40, 30, 40, 30, 0xc9b897d3cced7298}, {40, 60, 20, 30, 0x6a70bc6ad8e105e5},
        {27, 41, 64, 64, 0x8576691366a2d672}, {97, 55, 32, 48, 0x1a907a34e5c3ed44},
        {1, 1, 16, 8, 0x596562153b6e5265},    {3, 100, 32, 32, 0xee37ea37450ff2e1},
        {100, 2, 32, 32, 0xcd18b036c6480001}, {33, 77, 45, 51, 0x0b1c80c53c56c6f9},
        {64, 64, 32, 96, 0xe40fc27cbc620b62},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_call t;
        test_call_init(&t, SW_OP_Letterbox, 1);
        test_call_input(&t, noise(cases[i].height, cases[i].width));
        test_call_int(&t, "height", cases[i].canvas_height);
        test_call_int(&t, "width", cases[i].canvas_width);
        test_call_float(&t, "divisor", 1);
        CHECK_INT(test_call_run(&t), SW_OK);
        uint64_t hash = hash_of(&t.y[0]);
        if (hash != cases[i].hash) sw_test_fail(__FILE__, __LINE__, "case %zu differs", i);
        sw_tensor planes = t.y[0]; /* and the same as bytes, pixel by pixel */
        test_call_int(&t, "bytes", 1);
        CHECK_INT(test_call_run(&t), SW_OK);
        int64_t area = planes.dims[2] * planes.dims[3];
        CHECK(t.y[0].dtype == SW_U8 && t.y[0].dims[1] == planes.dims[2] && t.y[0].dims[3] == 3);
        for (int64_t k = 0; k < 3 * area; k++)
            CHECK(((uint8_t *)t.y[0].data)[k] == (uint8_t)((float *)planes.data)[k % 3 * area + k / 3]);
        free(planes.data);
        test_call_free(&t);
    }
}

SW_TEST(letterbox_places_and_normalises) {
    static const uint8_t two[] = {255, 0, 51, 255, 0, 51}; /* two equal pixels side by side */
    test_call t;
    test_call_init(&t, SW_OP_Letterbox, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1, 2, 3), two));
    test_call_int(&t, "height", 2);
    test_call_int(&t, "width", 2);
    test_call_int(&t, "pad_value", 102);
    CHECK_INT(test_call_run(&t), SW_OK); /* the odd row of padding is below */
    CHECK(test_call_values(&t, 0, TEST_VALUES(1, 1, .4, .4, 0, 0, .4, .4, .2, .2, .4, .4), 1e-7));
    test_call_free(&t);
    test_call_int(&t, "swap_rb", 1);
    test_call_floats(&t, "mean", 3, (const float[]){0.2f, 0, 0});
    test_call_floats(&t, "std", 3, (const float[]){1, 1, 0.5f});
    CHECK_INT(test_call_run(&t), SW_OK);
    CHECK(test_call_values(&t, 0, TEST_VALUES(0, 0, .2, .2, 0, 0, .4, .4, 2, 2, .8, .8), 1e-6));
    test_call_free(&t);
}

SW_TEST(letterbox_sizes) {
    test_call t;
    test_call_init(&t, SW_OP_Letterbox, 1);
    test_call_input(&t, test_tensor(SW_U8, TEST_DIMS(1080, 810, 3), NULL));
    test_call_int(&t, "height", 640);
    test_call_int(&t, "width", 640);
    test_call_int(&t, "stride", 32);
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].dims[2], 640);
    CHECK_INT(t.y[0].dims[3], 480);
    test_call_int(&t, "least_width", 500); /* the next multiple */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].dims[3], 512);
    test_call_int(&t, "least_width", 700); /* no more than the canvas */
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].dims[3], 640);
    t.x[0].dims[0] = SW_DIM_UNKNOWN;
    CHECK_INT(test_call_rule(&t), SW_OK);
    CHECK_INT(t.y[0].dims[2], SW_DIM_UNKNOWN);
    t.x[0].dims[0] = 0;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
    test_call_int(&t, "height", 70000);
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
