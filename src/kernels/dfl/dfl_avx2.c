/* Distribution focal loss, decoded, on AVX2: eight anchors at a time; see ref.c. */
#include "kernels/fast.h"
#include "kernels/vec_avx2.h"

typedef struct work {
    const float *in;
    float *out;
    int64_t bins, anchors, groups; /* of eight anchors */
} work;

SW_INLINE vf load(const float *p, int64_t n) {
    return n == 8 ? vf_load(p) : vf_load_n(p, n);
}

/* Softmax weights without their division: exp(x - most). */
SW_INLINE void decode(const work *w, const float *in, float *out, int64_t n) {
    vf most = load(in, n), sum = _mm256_setzero_ps(), mean = sum;
    for (int64_t b = 1; b < w->bins; b++) most = vf_max(load(in + b * w->anchors, n), most);
    for (int64_t b = 0; b < w->bins; b++) {
        vf e = vf_exp(vf_sub(load(in + b * w->anchors, n), most));
        sum = vf_add(sum, e);
        mean = vf_fma(e, vf_all((float)b), mean);
    }
    vf_store_n(out, vf_div(mean, sum), n);
}

static void groups(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) {
        int64_t side = i / w->groups, first = i % w->groups * 8, n = w->anchors - first;
        const float *in = w->in + side * w->bins * w->anchors + first;
        float *out = w->out + side * w->anchors + first;
        if (n >= 8)
            decode(w, in, out, 8);
        else
            decode(w, in, out, n);
    }
}

bool sw__dfl_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    if (!sw__is_plain_f32(c)) return false;
    work w = {.in = x->data, .out = c->out[0]->data, .bins = sw_call_int(c, "bins"), .anchors = x->dims[2]};
    w.groups = (w.anchors + 7) / 8;
    sw_pool_for(c->pool, x->dims[0] * 4 * w.groups, 32, groups, &w);
    return true;
}
