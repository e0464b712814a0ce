/* GridSample: each position of the output mixes the pixels around a point that the grid gives.
 *
 * Points are calculated in float (f64: in double), as peers do; weights and sums in double. The grid's last axis
 * names the point backwards: x for the map's last axis first. */
#include <math.h>
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

enum { MAX_TAPS = 4 };

typedef enum grid_mode { NEAREST = 1, LINEAR = 2, CUBIC = 4 } grid_mode; /* the value: taps along an axis */
typedef enum grid_padding { ZEROS, BORDER, REFLECTION } grid_padding;

typedef struct grid_run {
    const sw_call *call;
    grid_mode mode;
    grid_padding padding;
    bool corners; /* -1 and 1 are the middles of the outermost pixels, not their edges */
    int axes;
    int64_t pixels, points; /* of a plane of the input and of the output */
} grid_run;

/* The pixels that one point mixes along one axis; index -1 reads as 0. */
typedef struct grid_taps {
    int64_t index[MAX_TAPS];
    double weight[MAX_TAPS];
} grid_taps;

/* Folds v into lo..hi, as mirrors at both ends do. */
static double reflect(double v, double lo, double hi) {
    double span = hi - lo;
    if (span <= 0) return lo;
    double rest = fmod(fabs(v - lo), 2 * span);
    return lo + (rest > span ? 2 * span - rest : rest);
}

static double clamp(double v, double lo, double hi) {
    return v < lo ? lo : v > hi ? hi : v;
}

static double point_of(const grid_run *r, double at, int64_t extent) {
    if (r->call->in[1]->dtype == SW_F64) {
        double n = (double)extent;
        return r->corners ? (at + 1) / 2 * (n - 1) : ((at + 1) * n - 1) / 2;
    }
    float v = (float)at, n = (float)extent;
    return (double)(r->corners ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2);
}

static double pad_point(const grid_run *r, double x, int64_t extent) {
    double lo = r->corners ? 0 : -0.5, hi = (double)extent - (r->corners ? 1 : 0.5);
    x = fmin(fmax(x, -0x1p40), 0x1p40); /* hostile grids stay integers; NaN too */
    /* Cubic sees the border in its pixels only, as torch and ONNX Runtime have it. */
    if (r->padding == BORDER) return r->mode == CUBIC ? x : clamp(x, 0, (double)(extent - 1));
    return r->padding == REFLECTION && (x < lo || x > hi) ? reflect(x, lo, hi) : x;
}

static int64_t pad_pixel(const grid_run *r, int64_t i, int64_t extent) {
    if (i >= 0 && i < extent) return i;
    if (r->padding == ZEROS) return -1;
    double last = (double)(extent - 1);
    if (r->padding == BORDER) return i < 0 ? 0 : extent - 1;
    double lo = r->corners ? 0 : -0.5, hi = r->corners ? last : last + 0.5;
    return (int64_t)clamp(reflect((double)i, lo, hi), 0, last);
}

/* Keys' cubic with a = -0.75. */
static double cubic(double distance) {
    const double a = -0.75;
    double d = fabs(distance);
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static void find_taps(const grid_run *r, double at, int64_t extent, grid_taps *t) {
    double x = pad_point(r, point_of(r, at, extent), extent), base = r->mode == NEAREST ? rint(x) : floor(x);
    int64_t first = (int64_t)base - (r->mode == CUBIC ? 1 : 0);
    for (int i = 0; i < (int)r->mode; i++) {
        double distance = x - (double)(first + i);
        t->weight[i] = r->mode == NEAREST ? 1 : r->mode == LINEAR ? 1 - fabs(distance) : cubic(distance);
        t->index[i] = pad_pixel(r, first + i, extent);
    }
}

/* Sum over all combinations of taps, in the plane of that number. */
static double mix(const grid_run *r, const grid_taps *taps, int64_t plane) {
    const sw_tensor *x = r->call->in[0];
    int n = 1;
    double sum = 0;
    for (int i = 0; i < r->axes; i++) n *= (int)r->mode;
    for (int k = 0; k < n; k++) {
        int64_t at = plane;
        double weight = 1;
        for (int i = 0, rest = k; i < r->axes && weight != 0; i++, rest /= (int)r->mode) {
            const grid_taps *t = &taps[i];
            int tap = rest % (int)r->mode;
            weight *= t->index[tap] < 0 ? 0 : t->weight[tap];
            at = at * x->dims[2 + i] + t->index[tap];
        }
        if (weight != 0) sum += weight * sw_tensor_float_at(x, at);
    }
    return sum;
}

/* Nearest moves elements of any type. */
static void copy_pixel(const grid_run *r, const grid_taps *taps, int64_t plane, int64_t to) {
    const sw_tensor *x = r->call->in[0];
    size_t size = sw_dtype_size(x->dtype);
    int64_t at = plane;
    bool outside = false;
    for (int i = 0; i < r->axes; i++) {
        outside = outside || taps[i].index[0] < 0;
        at = at * x->dims[2 + i] + taps[i].index[0];
    }
    char *out = (char *)r->call->out[0]->data + to * (int64_t)size;
    if (outside)
        memset(out, 0, size);
    else
        memcpy(out, (const char *)x->data + at * (int64_t)size, size);
}

static void sample_points(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const grid_run *r = ctx;
    const sw_tensor *x = r->call->in[0], *grid = r->call->in[1], *y = r->call->out[0];
    for (int64_t p = begin; p < end; p++) {
        grid_taps taps[SW_MAX_RANK];
        int64_t picture = p / r->points, to = p % r->points;
        for (int i = 0; i < r->axes; i++)
            find_taps(r, sw_tensor_float_at(grid, p * r->axes + r->axes - 1 - i), x->dims[2 + i], &taps[i]);
        for (int64_t ch = 0; ch < x->dims[1]; ch++) {
            int64_t plane = picture * x->dims[1] + ch, out = plane * r->points + to;
            if (r->mode == NEAREST) {
                copy_pixel(r, taps, plane, out);
                continue;
            }
            double v = mix(r, taps, plane);
            sw__narrow(y->dtype, &v, 1, y->data, out, 1);
        }
    }
}

sw_status sw__grid_sample_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *grid = c->in[1], *y = sw_call_out(c, 0);
    const char *mode = sw_call_string(c, "mode"), *padding = sw_call_string(c, "padding_mode");
    grid_run r = {.call = c, .corners = sw_call_int(c, "align_corners") != 0, .axes = x->rank - 2};
    r.mode = strcmp(mode, "nearest") == 0 ? NEAREST : strstr(mode, "cubic") ? CUBIC : LINEAR;
    r.padding = strcmp(padding, "zeros") == 0 ? ZEROS : strcmp(padding, "border") == 0 ? BORDER : REFLECTION;
    if (!sw__dtype_is_float(grid->dtype)) return sw__refuse_dtype(c, grid->dtype);
    if (r.mode != NEAREST && !sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    r.pixels = sw__extent(x, 2, x->rank);
    r.points = sw__extent(y, 2, y->rank);
    if (r.pixels == 0) return sw_call_fail(c, "the input has no pixels to sample");
    sw_pool_for(c->pool, y->dims[0] * r.points, 1 + 1024 / y->dims[1], sample_points, &r);
    return SW_OK;
}
