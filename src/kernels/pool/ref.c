/* Pools over windows and over whole planes. One item of work is one row of output in one plane. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

enum { AXES = 3 };

typedef struct pool {
    const sw_call *call;
    sw_window w; /* always three spatial axes; missing ones in front have extent 1 */
    int64_t in_plane;
} pool;

/* Where a window lies: taps lo <= k < hi of each axis fall onto pixels, at begin + k * dilation. */
typedef struct place {
    int64_t lo[AXES], hi[AXES], begin[AXES];
    int64_t padded; /* taps on pixels or on padding, which AveragePool may count */
} place;

/* Number of k >= 0 with begin + k * step < limit, at most `n`. */
static int64_t taps_below(int64_t begin, int64_t step, int64_t limit, int64_t n) {
    return begin >= limit ? 0 : sw__min64(n, (limit - begin + step - 1) / step);
}

static place place_window(const sw_window *w, const int64_t *at) {
    place p = {.padded = 1};
    for (int i = 0; i < AXES; i++) {
        p.begin[i] = at[i] * w->stride[i] - w->pad_begin[i];
        p.lo[i] = taps_below(p.begin[i], w->dilation[i], 0, w->kernel[i]);
        p.hi[i] = taps_below(p.begin[i], w->dilation[i], w->in[i], w->kernel[i]);
        p.padded *= taps_below(p.begin[i], w->dilation[i], w->in[i] + w->pad_end[i], w->kernel[i]);
    }
    return p;
}

/* ONNX numbers the pixels of a plane along rows, or along columns with storage_order 1, and planes before that. */
static int64_t flat_index(const pool *v, int64_t plane, int64_t z, int64_t y, int64_t x, bool by_columns) {
    const int64_t *in = v->w.in;
    return plane * v->in_plane + (by_columns ? (x * in[1] + y) * in[0] + z : (z * in[1] + y) * in[2] + x);
}

/* A window without pixels gives the lowest value and index 0. NaN wins, as in PyTorch. */
#define MAX_ROW(dtype, id, type, calc)                                                                                 \
    static void max_row_##id(const pool *v, int64_t plane, int64_t *at, int64_t row, calc lowest, bool by_columns) {   \
        const sw_window *w = &v->w;                                                                                    \
        const type *in = (const type *)v->call->in[0]->data + plane * v->in_plane;                                     \
        sw_tensor *out = sw_call_out(v->call, 0), *where = sw_call_out(v->call, 1);                                    \
        for (at[2] = 0; at[2] < w->out[2]; at[2]++) {                                                                  \
            place p = place_window(w, at);                                                                             \
            calc best = lowest;                                                                                        \
            int64_t index = -1;                                                                                        \
            for (int64_t kz = p.lo[0]; kz < p.hi[0]; kz++)                                                             \
                for (int64_t ky = p.lo[1]; ky < p.hi[1]; ky++)                                                         \
                    for (int64_t kx = p.lo[2]; kx < p.hi[2]; kx++) {                                                   \
                        int64_t z = p.begin[0] + kz * w->dilation[0], y = p.begin[1] + ky * w->dilation[1];            \
                        int64_t x = p.begin[2] + kx * w->dilation[2];                                                  \
                        calc value = sw__load_##id(in[(z * w->in[1] + y) * w->in[2] + x]);                             \
                        if (index >= 0 && !(value > best) && value == value) continue;                                 \
                        best = value;                                                                                  \
                        index = flat_index(v, plane, z, y, x, by_columns);                                             \
                    }                                                                                                  \
            if (out) ((type *)out->data)[row * w->out[2] + at[2]] = sw__store_##id(best);                              \
            if (where) ((int64_t *)where->data)[row * w->out[2] + at[2]] = index < 0 ? 0 : index;                      \
        }                                                                                                              \
    }
SW_FLOAT_TYPES(MAX_ROW)
SW_INTEGER_TYPES(MAX_ROW)
#undef MAX_ROW

static void row_position(const sw_window *w, int64_t row, int64_t *plane, int64_t *at) {
    at[1] = row % w->out[1];
    at[0] = row / w->out[1] % w->out[0];
    *plane = row / w->out[1] / w->out[0];
}

static void max_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const pool *v = ctx;
    bool by_columns = sw_call_int(v->call, "storage_order") != 0;
    for (int64_t row = begin; row < end; row++) {
        int64_t plane, at[AXES];
        row_position(&v->w, row, &plane, at);
        switch (v->call->in[0]->dtype) {
#define RUN(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        max_row_##id(v, plane, at, row, (calc)-HUGE_VALF, by_columns);                                                 \
        break;
            SW_FLOAT_TYPES(RUN)
#undef RUN
#define RUN(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        max_row_##id(v, plane, at, row, (calc)((uint64_t)1 << (8 * sizeof(calc) - 1)), by_columns);                    \
        break;
            SW_SIGNED_TYPES(RUN)
#undef RUN
#define RUN(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        max_row_##id(v, plane, at, row, 0, by_columns);                                                                \
        break;
            SW_UNSIGNED_TYPES(RUN)
#undef RUN
        default:
            break;
        }
    }
}

/* Sum of the window's pixels, or of |pixel|^p. */
static double window_sum(const pool *v, const place *p, int64_t plane, int64_t power) {
    const sw_window *w = &v->w;
    const sw_tensor *in = v->call->in[0];
    double sum = 0;
    for (int64_t kz = p->lo[0]; kz < p->hi[0]; kz++)
        for (int64_t ky = p->lo[1]; ky < p->hi[1]; ky++) {
            int64_t z = p->begin[0] + kz * w->dilation[0], y = p->begin[1] + ky * w->dilation[1];
            int64_t row = plane * v->in_plane + (z * w->in[1] + y) * w->in[2] + p->begin[2];
            for (int64_t kx = p->lo[2], n; kx < p->hi[2]; kx += n) {
                double pixels[SW_WIDE];
                n = sw__min64(SW_WIDE, p->hi[2] - kx);
                sw__widen(in->dtype, in->data, row + kx * w->dilation[2], w->dilation[2], n, pixels);
                for (int64_t i = 0; i < n; i++) sum += power ? pow(fabs(pixels[i]), (double)power) : pixels[i];
            }
        }
    return sum;
}

static void average_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const pool *v = ctx;
    const sw_window *w = &v->w;
    sw_tensor *out = v->call->out[0];
    int64_t power = v->call->op == SW_OP_LpPool ? sw_call_int(v->call, "p") : 0;
    bool count_pad = !power && sw_call_int(v->call, "count_include_pad") != 0;
    for (int64_t row = begin; row < end; row++) {
        int64_t plane, at[AXES];
        row_position(w, row, &plane, at);
        for (at[2] = 0; at[2] < w->out[2]; at[2]++) {
            place p = place_window(w, at);
            int64_t pixels = (p.hi[0] - p.lo[0]) * (p.hi[1] - p.lo[1]) * (p.hi[2] - p.lo[2]);
            int64_t count = count_pad ? p.padded : pixels;
            double sum = window_sum(v, &p, plane, power);
            double value = power ? pow(sum, 1.0 / (double)power) : count ? sum / (double)count : 0;
            sw__narrow(out->dtype, &value, 1, out->data, row * w->out[2] + at[2], 1);
        }
    }
}

static sw_status run(const sw_call *c, sw_pool_fn fn) {
    pool v = {.call = c};
    SW_TRY(sw_call_window(c, c->in[0], NULL, &v.w));
    SW_TRY(sw_call_window_3d(c, &v.w));
    const sw_tensor *out = sw_call_out(c, 0) ? sw_call_out(c, 0) : sw_call_out(c, 1);
    if (!out || sw_tensor_count(out) == 0) return SW_OK;
    v.in_plane = v.w.in[0] * v.w.in[1] * v.w.in[2];
    int64_t rows = out->dims[0] * out->dims[1] * v.w.out[0] * v.w.out[1];
    sw_pool_for(c->pool, rows, 1 + 256 / v.w.out[2], fn, &v);
    return SW_OK;
}

sw_status sw__max_pool_ref(const sw_call *c) {
    sw_dtype dtype = c->in[0]->dtype;
    if (dtype == SW_DTYPE_NONE || dtype == SW_BOOL) return sw__refuse_dtype(c, dtype);
    return run(c, max_rows);
}

/* AveragePool and LpPool. */
sw_status sw__average_pool_ref(const sw_call *c) {
    if (!sw__dtype_is_float(c->in[0]->dtype)) return sw__refuse_dtype(c, c->in[0]->dtype);
    if (c->op == SW_OP_LpPool && sw_call_int(c, "p") < 1)
        return sw_call_fail(c, "attribute p is %lld, expected at least 1", (long long)sw_call_int(c, "p"));
    return sw_call_out(c, 0) ? run(c, average_rows) : SW_OK;
}

static void global_planes(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const sw_call *c = ctx;
    const sw_tensor *x = c->in[0];
    int64_t length = sw__lanes(x, 2, x->rank).length;
    bool maximum = c->op == SW_OP_GlobalMaxPool;
    double p = c->op == SW_OP_GlobalLpPool ? (double)sw_call_int(c, "p") : 0;
    for (int64_t plane = begin; plane < end; plane++) {
        double pixels[SW_WIDE], value = maximum ? -HUGE_VAL : 0;
        for (int64_t i = 0, n; i < length; i += n) {
            n = sw__min64(SW_WIDE, length - i);
            sw__widen(x->dtype, x->data, plane * length + i, 1, n, pixels);
            for (int64_t j = 0; j < n; j++)
                if (!maximum)
                    value += p > 0 ? pow(fabs(pixels[j]), p) : pixels[j];
                else if (pixels[j] > value || pixels[j] != pixels[j])
                    value = pixels[j];
        }
        if (c->op == SW_OP_GlobalAveragePool) value /= (double)length;
        if (p > 0) value = pow(value, 1 / p);
        sw__narrow(x->dtype, &value, 1, c->out[0]->data, plane, 1);
    }
}

sw_status sw__global_pool_ref(const sw_call *c) {
    const sw_tensor *y = sw_call_out(c, 0);
    if (!sw__dtype_is_float(c->in[0]->dtype)) return sw__refuse_dtype(c, c->in[0]->dtype);
    if (c->op == SW_OP_GlobalLpPool && sw_call_int(c, "p") < 1)
        return sw_call_fail(c, "attribute p is %lld, expected at least 1", (long long)sw_call_int(c, "p"));
    if (y && sw_tensor_count(y) > 0) sw_pool_for(c->pool, y->dims[0] * y->dims[1], 1, global_planes, (void *)c);
    return SW_OK;
}
