/* Clip between two scalars. NaN is handed on; where the lower bound is above the upper one, the upper one wins. */
#include "kernels/dtype.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"

enum { GRAIN = 8192 };

/* Bounds are NULL where there is none. */
typedef void (*clip_row)(const void *from, void *to, int64_t n, const void *lower, const void *upper);

#define CLIP(dtype, s, T, C)                                                                                           \
    static void clip_##s(const void *from, void *to, int64_t n, const void *lower, const void *upper) {                \
        const T *restrict f = from;                                                                                    \
        T *restrict t = to;                                                                                            \
        C lo = lower ? sw__load_##s(*(const T *)lower) : 0, hi = upper ? sw__load_##s(*(const T *)upper) : 0;          \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            C x = sw__load_##s(f[i]);                                                                                  \
            if (lower) x = x < lo ? lo : x;                                                                            \
            if (upper) x = x > hi ? hi : x;                                                                            \
            t[i] = sw__store_##s(x);                                                                                   \
        }                                                                                                              \
    }
SW_NUMBER_TYPES(CLIP)

#define CLIP_ENTRY(dtype, s, T, C) [dtype] = clip_##s,
static const clip_row rows[SW_DTYPE_COUNT] = {SW_NUMBER_TYPES(CLIP_ENTRY)};

typedef struct clip_run {
    clip_row row;
    const char *from;
    char *to;
    const void *lower, *upper;
    int64_t size;
} clip_run;

static void run_chunk(void *ctx, int64_t begin, int64_t end, int thread) {
    const clip_run *r = ctx;
    r->row(r->from + begin * r->size, r->to + begin * r->size, end - begin, r->lower, r->upper);
}

static sw_status bound(const sw_call *c, int i, const void **out) {
    const sw_tensor *t = sw_call_in(c, i);
    *out = NULL;
    if (!t) return SW_OK;
    if (t->dtype != c->in[0]->dtype || sw_tensor_count(t) != 1)
        return sw_call_fail(c, "input %d must be one number of type %s", i + 1, sw_dtype_name(c->in[0]->dtype));
    *out = t->data;
    return SW_OK;
}

sw_status sw__clip_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0];
    int64_t n = sw_tensor_count(in);
    clip_run r = {
        .row = rows[in->dtype], .from = in->data, .to = c->out[0]->data, .size = (int64_t)sw_dtype_size(in->dtype)};
    if (!r.row) return sw__refuse_dtype(c, in->dtype);
    SW_TRY(bound(c, 1, &r.lower));
    SW_TRY(bound(c, 2, &r.upper));
    if (n > 0) sw_pool_for(c->pool, n, GRAIN, run_chunk, &r);
    return SW_OK;
}
