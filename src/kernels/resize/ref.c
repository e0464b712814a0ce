/* Resize: a table per axis says which input elements an output coordinate mixes; an output row then sums over the
 * rows that the other axes mix. Coordinates are computed in float, because peers do so and pixels on the edge of
 * rounding depend on it; weights and sums in double. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/resize.h"
#include "ops/shape.h"

/* Weights that all tables together may have: far above what pictures need, and a bound for hostile models. */
static const int64_t max_weights = (int64_t)1 << 24;

/* Output coordinate o mixes elements first[o] .. first[o] + taps by weight[o * taps ...]; first -1: outside of the
 * region, extrapolation_value. */
typedef struct table {
    int64_t taps, in, out;
    int64_t *first;
    double *weight; /* NULL for nearest */
} table;

typedef struct resize {
    const sw_call *call;
    sw_resize r;
    int rank;
    table axes[SW_MAX_RANK];
    bool round; /* integers round (antialias) or cut off */
    double extrapolation;
} resize;

static int64_t clamp64(int64_t v, int64_t lo, int64_t hi) {
    return v < lo ? lo : v > hi ? hi : v;
}

/* Weight of a pixel at `distance`: the tent, or Keys' cubic with coefficient a. */
static double filter(sw_resize_mode mode, double distance, double a) {
    double d = fabs(distance);
    if (mode == SW_RESIZE_LINEAR) return d < 1 ? 1 - d : 0;
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Weights of one output coordinate at `x`; `shrink` <= 1 widens the filter (antialias). Weights of pixels beyond
 * the border go to the border, or are dropped (exclude_outside). */
static void fill_weights(const resize *s, table *t, int64_t o, double x, double shrink) {
    const sw_call *c = s->call;
    double a = (double)sw_call_float(c, "cubic_coeff_a"), reach = (s->r.mode == SW_RESIZE_CUBIC ? 2 : 1) / shrink,
           sum = 0;
    bool exclude = sw_call_int(c, "exclude_outside") != 0, normalise = exclude || sw_call_int(c, "antialias") != 0;
    int64_t lo = (int64_t)floor(x - reach) + 1, hi = (int64_t)ceil(x + reach) - 1;
    int64_t first = clamp64(clamp64(lo, 0, t->in - 1), 0, t->in - t->taps);
    double *weight = t->weight + o * t->taps;
    t->first[o] = first;
    for (int64_t i = lo; i <= hi; i++) {
        int64_t at = clamp64(i, 0, t->in - 1);
        if (exclude && at != i) continue;
        double w = filter(s->r.mode, ((double)i - x) * shrink, a);
        weight[at - first] += w;
        sum += w;
    }
    for (int64_t i = 0; normalise && sum != 0 && i < t->taps; i++) weight[i] /= sum;
}

static sw_status make_table(resize *s, int axis, int64_t *weights_left) {
    const sw_call *c = s->call;
    table *t = &s->axes[axis];
    double shrink = sw_call_int(c, "antialias") && s->r.scale[axis] < 1 ? (double)s->r.scale[axis] : 1;
    double reach = (s->r.mode == SW_RESIZE_CUBIC ? 2 : 1) / shrink;
    bool nearest = s->r.mode == SW_RESIZE_NEAREST, crop = s->r.coords == SW_COORDS_TF_CROP_AND_RESIZE;
    t->taps = nearest ? 1 : sw__min64(t->in, (int64_t)ceil(2 * reach));
    if (t->out > *weights_left / t->taps)
        return sw_fail(c->diag, SW_E_LIMIT, c->name, NULL, "Resize: axis %d needs more than %lld weights", axis,
                       (long long)max_weights);
    *weights_left -= t->out * t->taps;
    t->first = sw_alloc(c->allocator, (size_t)t->out * sizeof *t->first);
    if (!nearest) t->weight = sw_calloc(c->allocator, (size_t)(t->out * t->taps), sizeof *t->weight);
    if (!t->first || (!nearest && !t->weight)) return SW_E_NOMEM;
    for (int64_t o = 0; o < t->out; o++) {
        float x = fminf(fmaxf(sw_resize_source(&s->r, axis, t->in, t->out, o), -0x1p40f),
                        0x1p40f); /* hostile regions stay integers; NaN too */
        if (crop && (x < 0 || x > (float)(t->in - 1)))
            t->first[o] = -1;
        else if (nearest)
            t->first[o] = clamp64(sw_resize_round(s->r.nearest, x), 0, t->in - 1);
        else
            fill_weights(s, t, o, (double)x, shrink);
    }
    return SW_OK;
}

/* Saturates, and rounds or cuts off. Through float first: sums that should be whole are so again. */
#define STORE_INTEGER(id, type, lowest, highest, below, above)                                                         \
    static type store_##id(double v, bool round_it) {                                                                  \
        v = (double)(float)v;                                                                                          \
        if (round_it) v = round(v);                                                                                    \
        return !(v > below) ? lowest : v >= above ? highest : (type)v;                                                 \
    }
STORE_INTEGER(i8, int8_t, INT8_MIN, INT8_MAX, -0x1p7, 0x1p7)
STORE_INTEGER(i16, int16_t, INT16_MIN, INT16_MAX, -0x1p15, 0x1p15)
STORE_INTEGER(i32, int32_t, INT32_MIN, INT32_MAX, -0x1p31, 0x1p31)
STORE_INTEGER(i64, int64_t, INT64_MIN, INT64_MAX, -0x1p63, 0x1p63)
STORE_INTEGER(u8, uint8_t, 0, UINT8_MAX, 0, 0x1p8)
STORE_INTEGER(u16, uint16_t, 0, UINT16_MAX, 0, 0x1p16)
STORE_INTEGER(u32, uint32_t, 0, UINT32_MAX, 0, 0x1p32)
STORE_INTEGER(u64, uint64_t, 0, UINT64_MAX, 0, 0x1p64)
#undef STORE_INTEGER
#define STORE_FLOAT(dtype, id, type, calc)                                                                             \
    static type store_##id(double v, bool round_it) {                                                                  \
        (void)round_it;                                                                                                \
        return sw__store_##id((calc)v);                                                                                \
    }
SW_FLOAT_TYPES(STORE_FLOAT)
#undef STORE_FLOAT

/* acc[i] += weight * (mix of input row at `row` for output coordinate x0 + i). */
static void mix_row(const resize *s, int64_t row, double weight, int64_t x0, int64_t n, double *acc) {
    const table *t = &s->axes[s->rank - 1];
    switch (s->call->in[0]->dtype) {
#define MIX(dtype, id, type, calc)                                                                                     \
    case dtype:                                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            if (t->first[x0 + i] < 0) continue;                                                                        \
            const type *in = (const type *)s->call->in[0]->data + row + t->first[x0 + i];                              \
            const double *w = t->weight + (x0 + i) * t->taps;                                                          \
            double sum = 0;                                                                                            \
            for (int64_t k = 0; k < t->taps; k++)                                                                      \
                if (w[k] != 0) sum += w[k] * (double)sw__load_##id(in[k]); /* not 0 * infinity */                      \
            acc[i] += weight * sum;                                                                                    \
        }                                                                                                              \
        break;
        SW_NUMBER_TYPES(MIX)
#undef MIX
    default:
        break;
    }
}

static void store_row(const resize *s, int64_t out, int64_t x0, int64_t n, const double *acc, bool outside) {
    const table *t = &s->axes[s->rank - 1];
    switch (s->call->in[0]->dtype) {
#define STORE(dtype, id, type, calc)                                                                                   \
    case dtype:                                                                                                        \
        for (int64_t i = 0; i < n; i++)                                                                                \
            ((type *)s->call->out[0]->data)[out + x0 + i] =                                                            \
                store_##id(outside || t->first[x0 + i] < 0 ? s->extrapolation : acc[i], s->round);                     \
        break;
        SW_NUMBER_TYPES(STORE)
#undef STORE
    default:
        break;
    }
}

/* Steps through all combinations of taps of the axes but the last; false after the last combination. */
static bool next_taps(const resize *s, int64_t *tap) {
    for (int i = s->rank - 2; i >= 0; i--) {
        if (++tap[i] < s->axes[i].taps) return true;
        tap[i] = 0;
    }
    return false;
}

/* One output row with its coordinates `at` on the other axes. */
static void interpolate_row(const resize *s, int64_t out, const int64_t *at, bool outside) {
    int64_t width = s->axes[s->rank - 1].out, tap[SW_MAX_RANK];
    for (int64_t x0 = 0, n; x0 < width; x0 += n) {
        double acc[SW_WIDE] = {0};
        n = sw__min64(SW_WIDE, width - x0);
        memset(tap, 0, sizeof tap);
        do {
            double weight = outside ? 0 : 1;
            int64_t row = 0;
            for (int i = 0; i < s->rank - 1 && weight != 0; i++) {
                const table *t = &s->axes[i];
                weight *= t->weight[at[i] * t->taps + tap[i]];
                row = row * t->in + t->first[at[i]] + tap[i];
            }
            if (weight != 0) mix_row(s, row * s->axes[s->rank - 1].in, weight, x0, n, acc);
        } while (!outside && next_taps(s, tap));
        store_row(s, out, x0, n, acc, outside);
    }
}

static void nearest_row(const resize *s, int64_t out, const int64_t *at) {
    const table *t = &s->axes[s->rank - 1];
    size_t size = sw_dtype_size(s->call->in[0]->dtype);
    int64_t row = 0;
    for (int i = 0; i < s->rank - 1; i++) row = row * s->axes[i].in + s->axes[i].first[at[i]];
    const char *from = (const char *)s->call->in[0]->data + (size_t)(row * t->in) * size;
    char *to = (char *)s->call->out[0]->data + (size_t)out * size;
#define COPY(type)                                                                                                     \
    for (int64_t i = 0; i < t->out; i++) ((type *)(void *)to)[i] = ((const type *)(const void *)from)[t->first[i]]
    switch (size) {
    case 1:
        COPY(uint8_t);
        break;
    case 2:
        COPY(uint16_t);
        break;
    case 4:
        COPY(uint32_t);
        break;
    default:
        COPY(uint64_t);
        break;
    }
#undef COPY
}

/* Nearest within a region: whole elements or the extrapolation value. */
static void nearest_crop_row(const resize *s, int64_t out, const int64_t *at, bool outside) {
    const table *t = &s->axes[s->rank - 1];
    size_t size = sw_dtype_size(s->call->in[0]->dtype);
    int64_t row = 0;
    for (int i = 0; i < s->rank - 1; i++) row = row * s->axes[i].in + s->axes[i].first[at[i]];
    for (int64_t i = 0; i < t->out; i++) {
        if (outside || t->first[i] < 0)
            store_row(s, out, i, 1, &s->extrapolation, true);
        else
            memcpy((char *)s->call->out[0]->data + (size_t)(out + i) * size,
                   (const char *)s->call->in[0]->data + (size_t)(row * t->in + t->first[i]) * size, size);
    }
}

static void run_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const resize *s = ctx;
    for (int64_t row = begin; row < end; row++) {
        int64_t at[SW_MAX_RANK], rest = row, out = row * s->axes[s->rank - 1].out;
        bool outside = false;
        for (int i = s->rank - 2; i >= 0; i--) {
            at[i] = rest % s->axes[i].out;
            rest /= s->axes[i].out;
            outside = outside || s->axes[i].first[at[i]] < 0;
        }
        if (s->r.mode != SW_RESIZE_NEAREST)
            interpolate_row(s, out, at, outside);
        else if (s->r.coords == SW_COORDS_TF_CROP_AND_RESIZE)
            nearest_crop_row(s, out, at, outside);
        else
            nearest_row(s, out, at);
    }
}

sw_status sw__resize_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    resize s = {.call = c, .rank = x->rank, .extrapolation = (double)sw_call_float(c, "extrapolation_value")};
    SW_TRY(sw_call_resize(c, &s.r));
    bool copies = s.r.mode == SW_RESIZE_NEAREST && s.r.coords != SW_COORDS_TF_CROP_AND_RESIZE;
    if (x->dtype == SW_DTYPE_NONE || (x->dtype == SW_BOOL && !copies)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    if (x->rank == 0) { /* a scalar has no axis to resize */
        memcpy(y->data, x->data, sw_dtype_size(x->dtype));
        return SW_OK;
    }
    s.round = sw_call_int(c, "antialias") != 0;
    int64_t weights_left = max_weights;
    sw_status status = SW_OK;
    for (int i = 0; i < x->rank; i++) {
        s.axes[i].in = x->dims[i];
        s.axes[i].out = y->dims[i];
        status = make_table(&s, i, &weights_left);
        if (status != SW_OK) goto out;
    }
    int64_t width = y->dims[y->rank - 1];
    sw_pool_for(c->pool, sw_tensor_count(y) / width, 1 + 1024 / width, run_rows, &s);
out:
    for (int i = 0; i < x->rank; i++) {
        sw_free(c->allocator, s.axes[i].first);
        sw_free(c->allocator, s.axes[i].weight);
    }
    return status;
}
