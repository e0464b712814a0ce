/* Plan files: what is written comes back; what is wrong is refused. The Python tests go further. */
#include <stdlib.h>

#include "base/os.h"
#include "engine/plan_fields.h"
#include "engine/plan_file.h"
#include "unit.h"

static const char path[] = "test-plan.slip";

/* y = relu(x + c), x of [2, 3] or open. */
static sw_plan *small(bool open_dims, float c) {
    sw_plan *plan = sw_plan_create(NULL);
    static float data[8];
    data[0] = c;
    sw_tensor x = {.dtype = SW_F32, .rank = 2, .dims = {open_dims ? SW_DIM_UNKNOWN : 2, 3}},
              k = {.dtype = SW_F32, .rank = 1, .dims = {1}, .data = data};
    sw_tensor any = {.dtype = SW_F32, .rank = 2, .dims = {open_dims ? SW_DIM_UNKNOWN : 2, 3}};
    int32_t ids[4];
    CHECK_INT(sw_plan_add_value(plan, "x", &x, &ids[0]), SW_OK);
    CHECK_INT(sw_plan_add_value(plan, "k", &k, &ids[1]), SW_OK);
    CHECK_INT(sw_plan_add_value(plan, "s", &any, &ids[2]), SW_OK);
    CHECK_INT(sw_plan_add_value(plan, "y", &any, &ids[3]), SW_OK);
    CHECK_INT(sw_plan_add_step(plan, SW_OP_Add, "add", NULL, 2, ids, 1, &ids[2]), SW_OK);
    CHECK_INT(sw_plan_add_step(plan, SW_OP_Relu, "relu", NULL, 1, &ids[2], 1, &ids[3]), SW_OK);
    CHECK_INT(sw_plan_set_ports(plan, &ids[0], 1, &ids[3], 1), SW_OK);
    CHECK_INT(sw_plan_add_meta(plan, "names", "{0: 'a'}"), SW_OK);
    CHECK_INT(sw_plan_add_receipt(plan, "model", "m.onnx"), SW_OK);
    return plan;
}

static sw_status run(sw_plan *plan, int64_t rows, float *y) {
    float x[12] = {-5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    sw_tensor in = {.dtype = SW_F32, .rank = 2, .dims = {rows, 3}, .data = x}, out;
    sw_session *session;
    SW_TRY(sw_session_create(plan, &(sw_session_options){.threads = 1}, &sw_test_diag, &session));
    sw_status status = sw_session_run(session, &in, &out);
    if (status == SW_OK) memcpy(y, out.data, (size_t)sw_tensor_bytes(&out));
    sw_session_destroy(session);
    return status;
}

SW_TEST(plan_file_comes_back) {
    sw_plan *plan = small(false, 2), *loaded;
    CHECK_INT(sw_plan_add_time(plan, &(sw_tactic_time){.step = 1, .tactic = "a", .ns = 1500}), SW_OK);
    CHECK_INT(sw_plan_add_time(plan, &(sw_tactic_time){.step = 1, .tactic = "b", .ns = -1, .reason = "no"}), SW_OK);
    CHECK_INT(sw_plan_set_gpu(plan, "a GPU", 90, true), SW_OK);
    CHECK_INT(sw_plan_add_gpu_tile(plan, "conv 3x3", "64x64"), SW_OK);
    CHECK_INT(sw_plan_save(plan, path, &(sw_plan_save_options){0}, &sw_test_diag), SW_OK);
    CHECK_INT(sw_plan_load(path, NULL, &sw_test_diag, &loaded), SW_OK);
    CHECK_STR(loaded->gpu, "a GPU");
    CHECK_INT(loaded->gpu_sm, 90);
    CHECK(loaded->any_of_sm);
    CHECK_STR(sw_plan_gpu_tile(loaded, "conv 3x3"), "64x64");
    CHECK(!sw_plan_gpu_tile(loaded, "conv 1x1"));
    char text[256];
    CHECK(!sw_plan_differs(plan, loaded, text, sizeof text));
    CHECK_STR(sw_plan_meta(loaded, "names"), "{0: 'a'}");
    CHECK_STR(sw_plan_receipt(loaded, "model"), "m.onnx");
    CHECK_INT(loaded->n_times, 2);
    CHECK_STR(loaded->times[1].reason, "no");
    float y[6], want[6] = {0, 3, 4, 5, 6, 7};
    CHECK_INT(run(loaded, 2, y), SW_OK);
    for (int i = 0; i < 6; i++) CHECK_NEAR(y[i], want[i], 0);
    CHECK_INT(sw_plan_save(loaded, path, &(sw_plan_save_options){0}, NULL), SW_E_USAGE);
    sw_plan_unref(loaded);
    sw_plan_unref(plan);
    remove(path);
}

SW_TEST(plan_file_profiles_bound_shapes) {
    sw_plan *plan = small(true, 1), *loaded;
    sw_extent extents[2 * SW_MAX_RANK] = {{1, 1, 2}, {3, 3, 3}};
    extents[SW_MAX_RANK] = (sw_extent){4, 4, 4};
    extents[SW_MAX_RANK + 1] = (sw_extent){3, 3, 3};
    CHECK_INT(sw_plan_set_profiles(plan, extents, 2), SW_OK);
    CHECK_INT(sw_plan_save(plan, path, &(sw_plan_save_options){0}, &sw_test_diag), SW_OK);
    CHECK_INT(sw_plan_load(path, NULL, &sw_test_diag, &loaded), SW_OK);
    float y[12];
    CHECK_INT(run(loaded, 2, y), SW_OK);
    CHECK_INT(run(loaded, 4, y), SW_OK);
    CHECK_INT(run(loaded, 3, y), SW_E_INPUT);
    CHECK(strstr(sw_test_message(), "outside every profile"));
    sw_plan_unref(loaded);
    sw_plan_unref(plan);
    remove(path);
}

SW_TEST(plan_file_stripped_is_refitted) {
    sw_plan *plan = small(false, 2), *other = small(false, 2), *wide = small(true, 2), *stripped;
    CHECK_INT(sw_plan_save(plan, path, &(sw_plan_save_options){.strip = true}, &sw_test_diag), SW_OK);
    CHECK_INT(sw_plan_load(path, NULL, &sw_test_diag, &stripped), SW_OK);
    float y[6];
    CHECK_INT(run(stripped, 2, y), SW_E_MODEL);
    CHECK_INT(sw_plan_refit(other, stripped, "m", &sw_test_diag), SW_OK);
    CHECK_INT(sw_plan_refit(wide, stripped, "m", &sw_test_diag), SW_E_INPUT);
    sw_plan_unref(stripped);
    sw_plan_unref(other);
    sw_plan_unref(wide);
    sw_plan_unref(plan);
    remove(path);
}

/* A step without its only output would write to nowhere. */
SW_TEST(plan_file_with_a_step_that_makes_nothing) {
    sw_plan *plan = small(false, 2), *loaded;
    CHECK_INT(sw_plan_add_step(plan, SW_OP_Neg, "neg", NULL, 1, plan->inputs, 1, (int32_t[]){-1}), SW_OK);
    CHECK_INT(sw_plan_save(plan, path, &(sw_plan_save_options){.portable = true}, &sw_test_diag), SW_OK);
    CHECK_INT(sw_plan_load(path, NULL, &sw_test_diag, &loaded), SW_E_MODEL);
    CHECK(strstr(sw_test_message(), "a step of Neg makes nothing"));
    sw_plan_unref(plan);
    remove(path);
}

/* Every cut and every single damaged byte of the header and control part is refused. */
SW_TEST(plan_file_damage) {
    sw_plan *plan = small(false, 2), *loaded;
    CHECK_INT(sw_plan_save(plan, path, &(sw_plan_save_options){0}, &sw_test_diag), SW_OK);
    sw_plan_unref(plan);
    sw_buf good = sw_buf_make(NULL, 0);
    CHECK_INT(sw_file_read(path, &sw_test_diag, &good), SW_OK);
    for (size_t size = 1; size < good.size; size += size < 600 ? 7 : 997) {
        CHECK_INT(sw_file_write(path, good.data, size, &sw_test_diag), SW_OK);
        CHECK_INT(sw_plan_load(path, NULL, NULL, &loaded), SW_E_MODEL);
    }
    size_t control = good.data[24] | (size_t)good.data[25] << 8;
    for (size_t at = 0; at < SW__PLAN_HEADER_BYTES + control; at++) {
        if (at >= 48 && at < SW__PLAN_HEADER_BYTES) continue; /* nothing is there */
        good.data[at] ^= 0x40;
        CHECK_INT(sw_file_write(path, good.data, good.size, &sw_test_diag), SW_OK);
        CHECK(sw_plan_load(path, NULL, NULL, &loaded) != SW_OK);
        good.data[at] ^= 0x40;
    }
    sw_buf_free(&good);
    remove(path);
}
