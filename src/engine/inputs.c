#include "engine/inputs.h"

#include <string.h>

#include "base/str.h"

bool sw_meta_size(const char *imgsz, int64_t size[2]) {
    enum { MOST_SIDE = 16384 };
    static const char digits[] = "0123456789";
    int n = 0;
    if (!imgsz) return false;
    for (const char *at = imgsz + strcspn(imgsz, digits); *at && n < 2; at += strcspn(at, digits)) {
        size_t length = strspn(at, digits);
        if (!sw_str_to_i64(at, length, &size[n++])) return false;
        at += length;
    }
    if (n == 1) size[1] = size[0];
    return n > 0 && size[0] >= 1 && size[0] <= MOST_SIDE && size[1] >= 1 && size[1] <= MOST_SIDE;
}

bool sw_plan_usual_inputs(const sw_plan *plan, sw_tensor *inputs) {
    static char nothing[SW_ALIGN];
    bool concrete = true;
    for (int i = 0; i < plan->n_inputs; i++) {
        inputs[i] = sw_plan_input(plan, i)->type;
        inputs[i].data = nothing;
        for (int k = 0; k < inputs[i].rank && plan->n_profiles; k++)
            inputs[i].dims[k] = plan->profiles[i * SW_MAX_RANK + k].opt;
        concrete &= sw_tensor_is_concrete(&inputs[i]);
    }
    return concrete;
}

bool sw_plan_assume_inputs(const sw_plan *plan, sw_tensor *inputs) {
    int64_t size[2];
    bool known = sw_meta_size(sw_plan_meta(plan, "imgsz"), size), concrete = true;
    for (int i = 0; i < plan->n_inputs; i++) {
        sw_tensor *t = &inputs[i];
        if (t->rank == 4 && t->dims[0] < 0 && (known || t->dims[2] >= 0)) t->dims[0] = 1;
        for (int k = 2; known && t->rank == 4 && k < 4; k++)
            if (t->dims[k] < 0) t->dims[k] = size[k - 2];
        concrete &= sw_tensor_is_concrete(t);
    }
    return concrete;
}

sw_status sw_tensor_fill(sw_arena *arena, sw_tensor *t) {
    int64_t bytes = sw_tensor_bytes(t);
    if (bytes < 0) return SW_E_LIMIT;
    t->data = sw_arena_alloc(arena, (size_t)bytes + 1, 1);
    if (!t->data) return SW_E_NOMEM;
    uint32_t state = 1;
    for (int64_t i = 0; i < bytes / 4 && t->dtype == SW_F32; i++) {
        state = state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
        ((float *)t->data)[i] = (float)(state >> 8) * 0x1p-24f;
    }
    return SW_OK;
}
