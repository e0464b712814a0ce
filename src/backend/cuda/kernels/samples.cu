// Maps in rows (float32, planes of height x width) read between their pixels. KERNEL_* chooses one.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 256 };

#ifdef KERNEL_GRID
DEV float clamp(float v, float low, float high) {
    return v < low ? low : v > high ? high : v;
}

// Folds v into low..high, as mirrors at both ends do.
DEV float reflect(float v, float low, float high) {
    float span = high - low;
    if (!(span > 0.f)) return low;
    float rest = fmodf(v < low ? low - v : v - low, 2.f * span);
    return low + (rest > span ? 2.f * span - rest : rest);
}

// Where a point of the grid, -1 to 1, lies among `extent` pixels.
DEV float find_point(const sw_cuda_grid *p, float at, int extent) {
    float n = (float)extent, x = p->corners ? (at + 1.f) / 2.f * (n - 1.f) : ((at + 1.f) * n - 1.f) / 2.f;
    float low = p->corners ? 0.f : -.5f, high = n - (p->corners ? 1.f : .5f);
    x = x > -1e9f ? x < 1e9f ? x : 1e9f : -1e9f; // NaN, too
    if (p->padding == CUDA_GRID_BORDER) return clamp(x, 0.f, n - 1.f);
    return p->padding == CUDA_GRID_REFLECTION && (x < low || x > high) ? reflect(x, low, high) : x;
}

// The pixel that stands at place i; -1: none.
DEV int find_pixel(const sw_cuda_grid *p, int i, int extent) {
    if (i >= 0 && i < extent) return i;
    if (p->padding == CUDA_GRID_ZEROS) return -1;
    return i < 0 ? 0 : extent - 1; // a point within the border has no others
}

KERNEL(grid_sample, sw_cuda_grid) {
    const sw_cuda_grid *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id();
    if (i >= (long long)p->batch * p->channels * p->points) return;
    long long plane = i / p->points, point = plane / p->channels * p->points + i % p->points;
    float x = find_point(p, load_float((const float *)p->grid + 2 * point), p->width);
    float y = find_point(p, load_float((const float *)p->grid + 2 * point + 1), p->height);
    int x0 = (int)(p->nearest ? rintf(x) : floorf(x)), y0 = (int)(p->nearest ? rintf(y) : floorf(y));
    const float *in = (const float *)p->in + plane * p->height * p->width;
    int taps = p->nearest ? 1 : 2;
    float sum = 0.f;
    for (int r = 0; r < taps; r++) {
        int row = find_pixel(p, y0 + r, p->height);
        float wy = p->nearest ? 1.f : r ? y - (float)y0 : 1.f - (y - (float)y0);
        for (int s = 0; s < taps; s++) {
            int column = find_pixel(p, x0 + s, p->width);
            float w = p->nearest ? 1.f : (s ? x - (float)x0 : 1.f - (x - (float)x0)) * wy;
            if (row >= 0 && column >= 0 && w != 0.f) sum += w * load_float(in + (long long)row * p->width + column);
        }
    }
    store_float((float *)p->out + i, sum);
}
#endif

#ifdef KERNEL_RESIZE
// As sw_resize_source of ops/resize.h; pixels at the edge of rounding depend on it.
DEV float find_source(const sw_cuda_resize_rows *p, int o, int in, int out, float scale) {
    float x = (float)o, n = (float)in, m = (float)out;
    switch (p->coords) {
    case CUDA_COORDS_SYMMETRIC:
        return n / 2.f * (1.f - m / product(scale, n)) + (x + .5f) / scale - .5f;
    case CUDA_COORDS_PYTORCH:
        return out > 1 ? (x + .5f) / scale - .5f : 0.f;
    case CUDA_COORDS_CORNERS:
        return out > 1 ? product(x, n - 1.f) / (m - 1.f) : 0.f;
    case CUDA_COORDS_ASYMMETRIC:
        return x / scale;
    default:
        return (x + .5f) / scale - .5f;
    }
}

DEV int inside(int i, int extent) {
    return i < 0 ? 0 : i >= extent ? extent - 1 : i;
}

DEV int nearest_of(const sw_cuda_resize_rows *p, float x, int extent) {
    float at = p->rounding == CUDA_PREFER_FLOOR  ? ceilf(x - .5f)
               : p->rounding == CUDA_PREFER_CEIL ? floorf(x + .5f)
               : p->rounding == CUDA_FLOOR       ? floorf(x)
                                                 : ceilf(x);
    return inside((int)at, extent);
}

KERNEL(resize_rows, sw_cuda_resize_rows) {
    const sw_cuda_resize_rows *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), row = i / p->out_width, plane = row / p->out_height;
    if (plane >= p->planes) return;
    float x = find_source(p, (int)(i - row * p->out_width), p->width, p->out_width, p->scale_x);
    float y = find_source(p, (int)(row - plane * p->out_height), p->height, p->out_height, p->scale_y);
    const float *in = (const float *)p->in + plane * p->height * p->width;
    if (p->nearest) {
        int r = nearest_of(p, y, p->height), s = nearest_of(p, x, p->width);
        store_float((float *)p->out + i, load_float(in + (long long)r * p->width + s));
        return;
    }
    float x0 = floorf(x), y0 = floorf(y), wx = x - x0, wy = y - y0;
    int left = inside((int)x0, p->width), right = inside((int)x0 + 1, p->width);
    const float *top = in + (long long)inside((int)y0, p->height) * p->width;
    const float *bottom = in + (long long)inside((int)y0 + 1, p->height) * p->width;
    float high = (1.f - wx) * load_float(top + left) + wx * load_float(top + right);
    float low = (1.f - wx) * load_float(bottom + left) + wx * load_float(bottom + right);
    store_float((float *)p->out + i, (1.f - wy) * high + wy * low);
}
#endif
