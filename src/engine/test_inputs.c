#include "engine/inputs.h"

#include "unit.h"

SW_TEST(inputs_size_of_metadata) {
    int64_t size[2];
    CHECK(sw_meta_size("[416, 320]", size));
    CHECK_INT(size[0], 416);
    CHECK_INT(size[1], 320);
    CHECK(sw_meta_size("640", size));
    CHECK_INT(size[1], 640);
    const char *const bad[] = {"", "none", "0", "[20000, 20]", "99999999999999999999", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CHECK(!sw_meta_size(bad[i], size));
}

SW_TEST(inputs_open_dims_are_assumed_from_metadata) {
    sw_plan *plan = sw_plan_create(NULL);
    int32_t x;
    sw_tensor type = {.dtype = SW_F32, .rank = 4, .dims = {SW_DIM_SYMBOL, 3, SW_DIM_UNKNOWN, SW_DIM_UNKNOWN}}, in[1];
    CHECK_INT(sw_plan_add_value(plan, "x", &type, &x), SW_OK);
    CHECK_INT(sw_plan_set_ports(plan, &x, 1, &x, 1), SW_OK);
    CHECK(!sw_plan_usual_inputs(plan, in));
    CHECK(!sw_plan_assume_inputs(plan, in)); /* nothing tells a size */
    CHECK_INT(sw_plan_add_meta(plan, "imgsz", "[32, 64]"), SW_OK);
    CHECK(!sw_plan_usual_inputs(plan, in));
    CHECK(sw_plan_assume_inputs(plan, in));
    CHECK_INT(in[0].dims[0], 1);
    CHECK_INT(in[0].dims[2], 32);
    CHECK_INT(in[0].dims[3], 64);
    sw_extent extents[SW_MAX_RANK] = {{1, 2, 4}, {3, 3, 3}, {8, 16, 32}, {8, 24, 32}};
    CHECK_INT(sw_plan_set_profiles(plan, extents, 1), SW_OK);
    CHECK(sw_plan_usual_inputs(plan, in));
    CHECK_INT(in[0].dims[0], 2);
    CHECK_INT(in[0].dims[3], 24);
    sw_plan_unref(plan);
}

SW_TEST(inputs_are_filled_with_noise_or_zeros) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_tensor f = {.dtype = SW_F32, .rank = 1, .dims = {100}}, i = {.dtype = SW_I64, .rank = 1, .dims = {3}};
    CHECK_INT(sw_tensor_fill(arena, &f), SW_OK);
    CHECK_INT(sw_tensor_fill(arena, &i), SW_OK);
    const float *v = f.data;
    float sum = 0;
    for (int k = 0; k < 100; k++) {
        CHECK(v[k] >= 0 && v[k] < 1);
        sum += v[k];
    }
    CHECK(sum > 30 && sum < 70);
    for (int k = 0; k < 3; k++) CHECK_INT(((int64_t *)i.data)[k], 0);
    sw_arena_destroy(arena);
}
