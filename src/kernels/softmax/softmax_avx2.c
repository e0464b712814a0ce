/* Softmax of float32 on AVX2. Along the last axis vectors run along the lane; along another, eight lanes run side
 * by side. */
#include "kernels/fast.h"
#include "kernels/vec_avx2.h"
#include "kernels/wide.h"
#include "ops/shape.h"

typedef struct work {
    const float *x;
    float *y;
    sw_lanes lanes;
    int64_t groups; /* of eight lanes side by side */
} work;

/* The last part of a row, others filled with what changes nothing. */
static vf load_or(const float *p, int64_t n, float fill) {
    vf mask = _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(vf_mask_row + 8 - n)));
    return _mm256_blendv_ps(vf_all(fill), vf_load_n(p, n), mask);
}

static void row(const float *x, float *y, int64_t n) {
    const float lowest = -__builtin_inff();
    int64_t whole = n & ~(int64_t)7, rest = n - whole;
    vf most = vf_all(lowest), sum = _mm256_setzero_ps();
    for (int64_t i = 0; i < whole; i += 8) most = vf_max(vf_load(x + i), most);
    if (rest) most = vf_max(load_or(x + whole, rest, lowest), most);
    most = vf_all(vf_largest(most));
    for (int64_t i = 0; i < whole; i += 8) {
        vf e = vf_exp(vf_sub(vf_load(x + i), most));
        vf_store(y + i, e);
        sum = vf_add(sum, e);
    }
    if (rest) {
        vf e = vf_exp(vf_sub(load_or(x + whole, rest, lowest), most));
        vf_store_n(y + whole, e, rest);
        sum = vf_add(sum, e);
    }
    vf total = vf_all(vf_sum(sum));
    for (int64_t i = 0; i < whole; i += 8) vf_store(y + i, vf_div(vf_load(y + i), total));
    if (rest) vf_store_n(y + whole, vf_div(vf_load_n(y + whole, rest), total), rest);
}

static void rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) row(w->x + i * w->lanes.length, w->y + i * w->lanes.length, w->lanes.length);
}

/* n <= 8 lanes beside one another. */
SW_INLINE void side_by_side(const float *x, float *y, int64_t length, int64_t step, int64_t n) {
    vf most = vf_load_n(x, n), sum = _mm256_setzero_ps();
    for (int64_t i = 1; i < length; i++)
        most = vf_max(n == 8 ? vf_load(x + i * step) : vf_load_n(x + i * step, n), most);
    for (int64_t i = 0; i < length; i++) {
        vf e = vf_exp(vf_sub(n == 8 ? vf_load(x + i * step) : vf_load_n(x + i * step, n), most));
        vf_store_n(y + i * step, e, n);
        sum = vf_add(sum, e);
    }
    for (int64_t i = 0; i < length; i++)
        vf_store_n(y + i * step, vf_div(n == 8 ? vf_load(y + i * step) : vf_load_n(y + i * step, n), sum), n);
}

static void columns(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t lane = i % w->groups * 8, at = i / w->groups * w->lanes.length * w->lanes.inner + lane,
                n = w->lanes.inner - lane;
        if (n >= 8)
            side_by_side(w->x + at, w->y + at, w->lanes.length, w->lanes.inner, 8);
        else
            side_by_side(w->x + at, w->y + at, w->lanes.length, w->lanes.inner, n);
    }
}

bool sw__softmax_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    if (!sw__is_plain_f32(c) || !c->out[0] || x->rank == 0) return false;
    if (sw_tensor_count(x) == 0) return true;
    int axis = sw_axis(sw_call_int(c, "axis"), x->rank);
    work w = {
        .x = x->data, .y = c->out[0]->data, .lanes = sw__lanes(x, axis, sw_call_int(c, "to_end") ? x->rank : axis + 1)};
    if (w.lanes.inner == 1) {
        sw_pool_for(c->pool, w.lanes.outer, 1 + 4096 / w.lanes.length, rows, &w);
        return true;
    }
    w.groups = (w.lanes.inner + 7) / 8;
    sw_pool_for(c->pool, w.lanes.outer * w.groups, 1 + 512 / w.lanes.length, columns, &w);
    return true;
}
