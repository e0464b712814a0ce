/* RoiAlign, MaxRoiPool, AffineGrid, MaxUnpool. */
#include <math.h>
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* ---- RoiAlign ------------------------------------------------------------------------------------------------------ */

typedef struct roi_run {
    const sw_call *call;
    bool maximum;
    double scale, offset;
    int64_t sampling; /* points a bin along each axis; 0: as many as pixels */
} roi_run;

/* The largest region in pixels that may decide how many points are sampled. */
static const double max_extent = 65536;

/* Channels that share the points of a bin, and points that are found before they are read. */
enum { BLOCK = 16, POINTS = 64 };

/* A sampled point: four pixels of a plane and their shares. */
typedef struct roi_point {
    bool inside;
    int64_t at[4];
    double share[4];
} roi_point;

static roi_point find_point(const roi_run *r, double y, double x) {
    int64_t height = r->call->in[0]->dims[2], width = r->call->in[0]->dims[3];
    if (!(y >= -1 && y <= (double)height && x >= -1 && x <= (double)width)) return (roi_point){.inside = false};
    y = fmax(y, 0);
    x = fmax(x, 0);
    int64_t y0 = sw__min64((int64_t)y, height - 1), x0 = sw__min64((int64_t)x, width - 1);
    int64_t y1 = sw__min64(y0 + 1, height - 1), x1 = sw__min64(x0 + 1, width - 1);
    double fy = y0 == height - 1 ? 0 : y - (double)y0, fx = x0 == width - 1 ? 0 : x - (double)x0;
    return (roi_point){.inside = true,
                       .at = {y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1},
                       .share = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}};
}

static double pixel(const sw_tensor *in, int64_t at) {
    return in->dtype == SW_F32 ? (double)((const float *)in->data)[at] : sw_tensor_float_at(in, at);
}

/* Bilinear value; with `maximum` the largest of the four weighted pixels, as ONNX has it. 0 beyond the border. */
static double value_of(const roi_run *r, int64_t plane, const roi_point *p) {
    const sw_tensor *in = r->call->in[0];
    if (!p->inside) return 0;
    double v[4];
    for (int i = 0; i < 4; i++) v[i] = p->share[i] * pixel(in, plane + p->at[i]);
    return r->maximum ? fmax(fmax(v[0], v[1]), fmax(v[2], v[3])) : v[0] + v[1] + v[2] + v[3];
}

/* A bin of ny x nx points: its first point's corner and extent in pixels. */
typedef struct roi_bin {
    double y, x, height, width;
    int64_t ny, nx;
} roi_bin;

/* The values of a bin in `n` channels, of which the first is plane number `first`. */
static void read_bin(const roi_run *r, const roi_bin *b, int64_t first, int n, double values[BLOCK]) {
    const sw_tensor *in = r->call->in[0];
    int64_t points = b->ny * b->nx, size = in->dims[2] * in->dims[3];
    roi_point found[POINTS];
    for (int k = 0; k < n; k++) values[k] = r->maximum && points ? -HUGE_VAL : 0;
    for (int64_t from = 0; from < points; from += POINTS) {
        int64_t count = sw__min64(POINTS, points - from);
        for (int64_t i = 0; i < count; i++)
            found[i] = find_point(r, b->y + ((double)((from + i) / b->nx) + 0.5) * b->height / (double)b->ny,
                                  b->x + ((double)((from + i) % b->nx) + 0.5) * b->width / (double)b->nx);
        for (int k = 0; k < n; k++)
            for (int64_t i = 0; i < count; i++) {
                double v = value_of(r, (first + k) * size, &found[i]);
                values[k] = r->maximum ? fmax(values[k], v) : values[k] + v;
            }
    }
    for (int k = 0; k < n && points && !r->maximum; k++) values[k] /= (double)points;
}

static void align_regions(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const roi_run *r = ctx;
    const sw_tensor *in = r->call->in[0], *rois = r->call->in[1], *out = r->call->out[0];
    int64_t channels = in->dims[1], rows = out->dims[2], columns = out->dims[3], blocks = sw__ceil_div(channels, BLOCK);
    for (int64_t item = begin; item < end; item++) {
        int64_t region = item / blocks, first = item % blocks * BLOCK;
        int n = (int)sw__min64(BLOCK, channels - first);
        int64_t batch = sw__index_wrap(sw__index_at(r->call->in[2], region), in->dims[0]);
        double box[4], values[BLOCK];
        for (int i = 0; i < 4; i++) {
            box[i] = sw_tensor_float_at(rois, region * 4 + i) * r->scale - r->offset;
            if (!(fabs(box[i]) < max_extent)) box[i] = 0; /* no picture is as large */
        }
        double width = box[2] - box[0], height = box[3] - box[1];
        if (r->offset == 0) { /* the older mode: regions have at least one pixel */
            width = fmax(width, 1);
            height = fmax(height, 1);
        }
        roi_bin bin = {.height = height / (double)rows, .width = width / (double)columns};
        bin.ny = r->sampling > 0 ? r->sampling : sw__max64((int64_t)fmin(ceil(bin.height), 4096), 0);
        bin.nx = r->sampling > 0 ? r->sampling : sw__max64((int64_t)fmin(ceil(bin.width), 4096), 0);
        for (int64_t i = 0; i < rows * columns; i++) {
            bin.y = box[1] + (double)(i / columns) * bin.height;
            bin.x = box[0] + (double)(i % columns) * bin.width;
            read_bin(r, &bin, batch * channels + first, n, values);
            for (int k = 0; k < n; k++) sw__put(out, ((region * channels + first + k) * rows * columns) + i, values[k]);
        }
    }
}

sw_status sw__roi_align_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    const char *mode = sw_call_string(c, "mode"), *coords = sw_call_string(c, "coordinate_transformation_mode");
    roi_run r = {.call = c, .maximum = strcmp(mode, "max") == 0, .scale = (double)sw_call_float(c, "spatial_scale")};
    if (!r.maximum && strcmp(mode, "avg") != 0) return sw_call_fail(c, "unknown mode '%.32s'", mode);
    r.offset = strcmp(coords, "half_pixel") == 0 ? 0.5 : 0;
    if (r.offset == 0 && strcmp(coords, "output_half_pixel") != 0)
        return sw_call_fail(c, "unknown coordinate_transformation_mode '%.32s'", coords);
    r.sampling = sw_call_int(c, "sampling_ratio");
    if (r.sampling < 0 || r.sampling > 4096) return sw_call_fail(c, "sampling_ratio is %lld", (long long)r.sampling);
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    SW_TRY(sw__index_check(c, c->in[2], x->dims[0]));
    if (x->dims[2] == 0 || x->dims[3] == 0) return sw_call_fail(c, "the input has no pixels");
    sw_pool_for(c->pool, y->dims[0] * sw__ceil_div(y->dims[1], BLOCK), 1, align_regions, &r);
    return SW_OK;
}

/* ---- MaxRoiPool ---------------------------------------------------------------------------------------------------- */

/* The pixels begin .. end of bin `i` of `bins` that split `extent` pixels from `first` on. */
static void bin_range(int64_t i, int64_t bins, int64_t first, int64_t extent, int64_t limit, int64_t *begin,
                      int64_t *end) {
    double size = (double)extent / (double)bins;
    *begin = sw__min64(sw__max64((int64_t)floor((double)i * size) + first, 0), limit);
    *end = sw__min64(sw__max64((int64_t)ceil((double)(i + 1) * size) + first, 0), limit);
}

static double largest(const sw_tensor *x, int64_t plane, const int64_t *ys, const int64_t *xs) {
    double best = ys[0] < ys[1] && xs[0] < xs[1] ? -HUGE_VAL : 0;
    for (int64_t i = ys[0]; i < ys[1]; i++)
        for (int64_t j = xs[0]; j < xs[1]; j++)
            best = fmax(best, sw_tensor_float_at(x, (plane * x->dims[2] + i) * x->dims[3] + j));
    return best;
}

sw_status sw__max_roi_pool_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *rois = c->in[1], *y = sw_call_out(c, 0);
    double scale = (double)sw_call_float(c, "spatial_scale");
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    for (int64_t i = 0; i < sw_tensor_count(y); i++) {
        int64_t column = i % y->dims[3], row = i / y->dims[3] % y->dims[2];
        int64_t ch = i / y->dims[3] / y->dims[2] % y->dims[1], region = i / y->dims[3] / y->dims[2] / y->dims[1];
        int64_t edge[4], ys[2], xs[2];
        double batch = sw_tensor_float_at(rois, region * 5);
        if (!(batch >= 0 && batch < (double)x->dims[0]))
            return sw_call_fail(c, "region %lld is of picture %g of %lld", (long long)region, batch,
                                (long long)x->dims[0]);
        for (int k = 0; k < 4; k++) {
            double v = round(sw_tensor_float_at(rois, region * 5 + 1 + k) * scale);
            edge[k] = (int64_t)fmin(fmax(v, -max_extent), max_extent);
        }
        bin_range(row, y->dims[2], edge[1], sw__max64(edge[3] - edge[1] + 1, 1), x->dims[2], &ys[0], &ys[1]);
        bin_range(column, y->dims[3], edge[0], sw__max64(edge[2] - edge[0] + 1, 1), x->dims[3], &xs[0], &xs[1]);
        sw__put(y, i, largest(x, (int64_t)batch * x->dims[1] + ch, ys, xs));
    }
    return SW_OK;
}

/* ---- AffineGrid ---------------------------------------------------------------------------------------------------- */

sw_status sw__affine_grid_ref(const sw_call *c) {
    const sw_tensor *theta = c->in[0], *y = sw_call_out(c, 0);
    bool corners = sw_call_int(c, "align_corners") != 0;
    if (!sw__dtype_is_float(theta->dtype)) return sw__refuse_dtype(c, theta->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    int axes = y->rank - 2;
    int64_t points = sw__extent(y, 1, y->rank - 1);
    for (int64_t p = 0; p < y->dims[0] * points; p++) {
        double at[4]; /* x, y, (z,) 1 */
        int64_t rest = p % points;
        for (int i = 0; i < axes; i++) {
            int64_t n = y->dims[axes - i], k = rest % n;
            rest /= n;
            at[i] = corners ? n > 1 ? 2 * (double)k / (double)(n - 1) - 1 : 0 : (2 * (double)k + 1) / (double)n - 1;
        }
        at[axes] = 1;
        for (int i = 0; i < axes; i++) {
            double sum = 0;
            for (int k = 0; k <= axes; k++)
                sum += sw_tensor_float_at(theta, (p / points * axes + i) * (axes + 1) + k) * at[k];
            sw__put(y, p * axes + i, sum);
        }
    }
    return SW_OK;
}

/* ---- MaxUnpool ----------------------------------------------------------------------------------------------------- */

/* Indices are flat places in the unpooled tensor without output_shape; a larger output keeps coordinates. */
sw_status sw__max_unpool_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *indices = c->in[1], *y = sw_call_out(c, 0);
    int64_t natural[SW_MAX_RANK], places = 1;
    if (!y) return SW_OK;
    SW_TRY(sw_call_unpooled(c, natural));
    size_t size = sw_dtype_size(x->dtype);
    memset(y->data, 0, (size_t)sw_tensor_bytes(y));
    for (int i = 0; i < x->rank; i++)
        if (__builtin_mul_overflow(places, natural[i], &places)) return sw_call_fail(c, "the output is too large");
    for (int64_t i = 0, n = sw_tensor_count(x); i < n; i++) {
        int64_t index = sw__index_at(indices, i), at = 0, step = 1;
        if (index < 0 || index >= places)
            return sw_call_fail(c, "the index %lld lies outside of %lld places", (long long)index, (long long)places);
        for (int k = x->rank - 1; k >= 0; k--) {
            at += index % natural[k] * step;
            index /= natural[k];
            step *= y->dims[k];
        }
        memcpy((char *)y->data + at * (int64_t)size, (const char *)x->data + i * (int64_t)size, size);
    }
    return SW_OK;
}
