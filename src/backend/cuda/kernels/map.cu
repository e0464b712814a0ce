// Kernels over channels-last maps; a thread works on 8 channels of a pixel. KERNEL_* chooses one.
#include "args.h"
#include "ptx.cuh"

#include "eights.cuh"

#ifdef LARGE
enum { THREADS = 1024 };
#elif defined(KERNEL_POOL_CHAIN)
enum { THREADS = 512 };
#else
enum { THREADS = 256 };
#endif

DEV void maximum8(float *m, eight v) {
    float f[8];
    unpack8(v, f);
    UNROLL for (int e = 0; e < 8; e++) m[e] = maximum(m[e], f[e]);
}

#ifdef KERNEL_POOL
KERNEL(pool, sw_cuda_pool) {
    const sw_cuda_pool *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), chunks = p->channels / 8;
    int m = i / chunks, c = (i - m * chunks) * 8, x = m % p->out_width, q = m / p->out_width, y = q % p->out_height;
    int n = q / p->out_height;
    if (n >= p->batch) return;
    float best[8];
    UNROLL for (int e = 0; e < 8; e++) best[e] = LOWEST;
    if (p->kernel_h == 3 && p->kernel_w == 3 && p->dilation_h == 1 && p->dilation_w == 1) {
        // All nine under way at once; those outside are their neighbours inside, which are in the window, too.
        eight v[9];
        UNROLL for (int k = 0; k < 9; k++) {
            int yy = y * p->stride_h - p->pad_top + k / 3, xx = x * p->stride_w - p->pad_left + k % 3;
            yy = yy < 0 ? 0 : yy < p->height ? yy : p->height - 1;
            xx = xx < 0 ? 0 : xx < p->width ? xx : p->width - 1;
            v[k] = load_eight((const cell *)p->in + ((size_t)(n * p->height + yy) * p->width + xx) * p->in_pitch + c);
        }
        UNROLL for (int k = 0; k < 9; k++) maximum8(best, v[k]);
        store_eight((cell *)p->out[0] + (size_t)m * p->out_pitch[0] + c, pack8(best));
        return;
    }
    for (int r = 0; r < p->kernel_h; r++) {
        int yy = y * p->stride_h - p->pad_top + r * p->dilation_h;
        if (yy < 0 || yy >= p->height) continue;
        for (int s = 0; s < p->kernel_w; s++) {
            int xx = x * p->stride_w - p->pad_left + s * p->dilation_w;
            if (xx < 0 || xx >= p->width) continue;
            maximum8(best, load_eight((const cell *)p->in +
                                      ((size_t)(n * p->height + yy) * p->width + xx) * p->in_pitch + c));
        }
    }
    store_eight((cell *)p->out[0] + (size_t)m * p->out_pitch[0] + c, pack8(best));
}
#endif

#ifdef KERNEL_AVERAGE
KERNEL(average, sw_cuda_pool) {
    const sw_cuda_pool *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), chunks = p->channels / 8;
    int m = i / chunks, c = (i - m * chunks) * 8, x = m % p->out_width, q = m / p->out_width, y = q % p->out_height;
    int n = q / p->out_height, count = 0;
    if (n >= p->batch) return;
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int r = 0; r < p->kernel_h; r++) {
        int yy = y * p->stride_h - p->pad_top + r * p->dilation_h;
        for (int s = 0; s < p->kernel_w; s++) {
            int xx = x * p->stride_w - p->pad_left + s * p->dilation_w;
            bool inside = yy >= 0 && yy < p->height && xx >= 0 && xx < p->width;
            count += inside || (p->count_pad && yy < p->height + p->pad_bottom && xx < p->width + p->pad_right);
            if (!inside) continue;
            float f[8];
            unpack8(load_eight((const cell *)p->in + ((size_t)(n * p->height + yy) * p->width + xx) * p->in_pitch + c),
                    f);
            UNROLL for (int e = 0; e < 8; e++) sum[e] += f[e];
        }
    }
    UNROLL for (int e = 0; e < 8; e++) sum[e] = count ? sum[e] / count : 0.f;
    store_eight((cell *)p->out[0] + (size_t)m * p->out_pitch[0] + c, pack8(sum));
}
#endif

#ifdef KERNEL_SHUFFLE
#ifdef ANY
enum { STEP = 1 }; // channels of a thread
#else
enum { STEP = 8 };
#endif
KERNEL(shuffle_map, sw_cuda_shuffle) {
    const sw_cuda_shuffle *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), steps = (p->channels + 7) / 8 * 8 / STEP;
    int m = i / steps, c = (i - m * steps) * STEP, x = m % p->out_width + p->left, q = m / p->out_width;
    int n = q / p->out_height, y = q % p->out_height + p->top;
    if (n >= p->batch) return;
    int block = y % p->down * p->across + x % p->across;
    size_t from = (size_t)(n * p->height + y / p->down) * p->width + x / p->across;
    cell *to = (cell *)p->out + (size_t)m * p->out_pitch + c;
    const cell *in = (const cell *)p->in + from * p->in_pitch + block * p->channels + c;
    if (STEP == 8)
        store_eight(to, load_eight(in));
    else
        store_cell(to, c < p->channels ? load_cell(in) : 0.f);
}
#endif

#ifdef KERNEL_SHUFFLE_CHANNELS
KERNEL(shuffle_channels, sw_cuda_channel_shuffle) {
    const sw_cuda_channel_shuffle *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), chunks = (p->channels + 7) / 8, each = p->channels / p->groups;
    int m = i / chunks, c = (i - m * chunks) * 8;
    if (m >= p->pixels) return;
    const cell *in = (const cell *)p->in + (size_t)m * p->in_pitch;
    const cell *other = p->other ? (const cell *)p->other + (size_t)m * p->other_pitch - each : in;
    float v[8];
    UNROLL for (int e = 0; e < 8; e++) {
        int at = (c + e) / p->groups, group = (c + e) - at * p->groups;
        v[e] = c + e < p->channels ? load_cell((group ? other : in) + group * each + at) : 0.f;
    }
    store_eight((cell *)p->out + (size_t)m * p->out_pitch + c, pack8(v));
}
#endif

#ifdef KERNEL_POOL_CHAIN
// Pools in a row with one window are one pool each with a larger window. A block makes one of them, for a chunk of one
// picture: in shared memory along the rows, then along the columns.
DEV u32 larger(u32 a, u32 b) {
#ifdef FLOATS
    return as_bits(maximum(as_float(a), as_float(b)));
#else
    return maximum2(a, b);
#endif
}
DEV vec4 best_of(u32 plane, int at, int step, int from, int to) {
    vec4 best = shared_load16(plane + (at + from * step) * 16);
    for (int k = from + 1; k <= to; k += 4) { // four loads are under way; the last one may be taken twice
        vec4 v[4];
        UNROLL for (int u = 0; u < 4; u++) v[u] = shared_load16(plane + (at + (k + u < to ? k + u : to) * step) * 16);
        UNROLL for (int u = 0; u < 4; u++) {
            best.x = larger(best.x, v[u].x), best.y = larger(best.y, v[u].y);
            best.z = larger(best.z, v[u].z), best.w = larger(best.w, v[u].w);
        }
    }
    return best;
}

KERNEL(pool_chain, sw_cuda_pool) {
    const sw_cuda_pool *p = ARGS;
    wait_for_predecessor();
    int chunks = p->channels / CHUNK, n = block_id() / chunks, c = (block_id() - n * chunks) * CHUNK,
        round = block_row();
    int size = p->height * p->width, reach_x = (round + 1) * (p->kernel_w / 2), reach_y = (round + 1) * (p->kernel_h / 2);
    u32 a = shared_base(), b = a + size * 16;
    for (int i = thread_id(); i < size; i += THREADS)
        shared_store16(a + i * 16, load16((const cell *)p->in + ((size_t)n * size + i) * p->in_pitch + c));
    barrier();
    for (int i = thread_id(); i < size; i += THREADS) {
        int x = i % p->width;
        int from = x < reach_x ? -x : -reach_x, to = p->width - 1 - x < reach_x ? p->width - 1 - x : reach_x;
        shared_store16(b + i * 16, best_of(a, i, 1, from, to));
    }
    barrier();
    for (int i = thread_id(); i < size; i += THREADS) {
        int y = i / p->width;
        int from = y < reach_y ? -y : -reach_y, to = p->height - 1 - y < reach_y ? p->height - 1 - y : reach_y;
        store16((cell *)p->out[round] + ((size_t)n * size + i) * p->out_pitch[round] + c,
                best_of(b, i, p->width, from, to));
    }
}
#endif

#ifdef KERNEL_RESIZE
KERNEL(resize, sw_cuda_resize) {
    const sw_cuda_resize *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), chunks = p->channels / 8;
    int m = i / chunks, c = (i - m * chunks) * 8, x = m % p->out_width, q = m / p->out_width, y = q % p->out_height;
    int n = q / p->out_height;
    if (n >= p->batch) return;
    int from_y = (int)(y * p->by_y), from_x = (int)(x * p->by_x);
    from_y = from_y < p->height ? from_y : p->height - 1;
    from_x = from_x < p->width ? from_x : p->width - 1;
    store_eight(
        (cell *)p->out + (size_t)m * p->out_pitch + c,
        load_eight((const cell *)p->in + ((size_t)(n * p->height + from_y) * p->width + from_x) * p->in_pitch + c));
}
#endif

#ifdef KERNEL_CHANNELS
// A thread a channel of a pixel: of joins and splits whose parts do not come in eights.
KERNEL(copy_channels, sw_cuda_channels) {
    const sw_cuda_channels *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), pixel = i / (p->channels + p->zeros);
    int c = (int)(i - pixel * (p->channels + p->zeros));
    if (pixel >= p->pixels) return;
    float v = c < p->channels ? load_cell((const cell *)p->in + pixel * p->in_pitch + c) : 0.f;
    store_cell((cell *)p->out + pixel * p->out_pitch + c, v);
}
#endif

#ifdef KERNEL_TO_MAP
KERNEL(to_map, sw_cuda_relayout) {
    const sw_cuda_relayout *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id();
    int chunks = (p->channels + 7) / 8, pixel = (int)(i % p->pixels), c = (int)(i / p->pixels % chunks) * 8;
    int n = (int)(i / p->pixels / chunks);
    if (n >= p->batch) return;
    const float *in = (const float *)p->in + ((size_t)n * p->channels + c) * p->pixels + pixel;
    float f[8];
    UNROLL for (int e = 0; e < 8; e++) f[e] = c + e < p->channels ? load_float(in + (size_t)e * p->pixels) : 0.f;
    store_eight((cell *)p->out + ((size_t)n * p->pixels + pixel) * p->pitch + c, pack8(f));
}
#endif

#ifdef KERNEL_TO_ROWS
KERNEL(to_rows, sw_cuda_relayout) {
    const sw_cuda_relayout *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id();
    int chunks = (p->channels + 7) / 8, pixel = (int)(i % p->pixels), c = (int)(i / p->pixels % chunks) * 8;
    int n = (int)(i / p->pixels / chunks);
    if (n >= p->batch) return;
    float f[8];
    unpack8(load_eight((const cell *)p->in + ((size_t)n * p->pixels + pixel) * p->pitch + c), f);
    float *out = (float *)p->out + ((size_t)n * p->channels + c) * p->pixels + pixel;
    UNROLL for (int e = 0; e < 8; e++) if (c + e < p->channels) store_float(out + (size_t)e * p->pixels, f[e]);
}
#endif

#ifdef KERNEL_FROM_HOST
KERNEL(from_host, sw_cuda_convert) {
    const sw_cuda_convert *p = ARGS;
    wait_for_predecessor();
    int padded = (p->channels + 7) / 8 * 8;
    long long i = (long long)block_id() * THREADS + thread_id(), pixel = i / padded;
    int c = (int)(i - pixel * padded);
    if (pixel >= p->pixels) return;
    float v = c < p->channels ? load_float((const float *)p->in + pixel * p->channels + c) : 0.f;
    store_cell((cell *)p->out + pixel * p->pitch + c, v);
}
#endif

#ifdef KERNEL_TO_HOST
KERNEL(to_host, sw_cuda_convert) {
    const sw_cuda_convert *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), pixel = i / p->channels;
    if (pixel >= p->pixels) return;
    store_float((float *)p->out + i, load_cell((const cell *)p->in + pixel * p->pitch + i % p->channels));
}
#endif

#ifdef KERNEL_ELEMENT
DEV float combine(int op, float a, float b) {
    return op == CUDA_ADD ? a + b : op == CUDA_SUB ? a - b : op == CUDA_MUL ? a * b : a / b;
}

KERNEL(element_map, sw_cuda_element_map) {
    const sw_cuda_element_map *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), chunks = p->channels / 8, m = i / chunks, c = (i - m * chunks) * 8;
    if (m >= p->pixels) return;
    float a[8], b[8];
    unpack8(load_eight((const cell *)p->a + (size_t)m * p->a_pitch + c), a);
    if (p->b) {
        unpack8(load_eight((const cell *)p->b + (size_t)(p->by_channel ? m / p->plane : m) * p->b_pitch + c), b);
        UNROLL for (int e = 0; e < 8; e++) a[e] = combine(p->op, a[e], b[e]);
    } else {
        UNROLL for (int e = 0; e < 8; e++) a[e] = function_of(p->act, p->act_a, p->act_b, a[e]);
    }
    store_eight((cell *)p->out + (size_t)m * p->out_pitch + c, pack8(a));
}
#endif

#ifdef KERNEL_MEAN
// A block adds up 8 channels of one picture.
KERNEL(mean_map, sw_cuda_mean) {
    const sw_cuda_mean *p = ARGS;
    wait_for_predecessor();
    int chunks = p->channels / 8, n = block_id() / chunks, c = (block_id() - n * chunks) * 8;
    float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int i = thread_id(); i < p->pixels; i += 4 * THREADS) {
        eight v[4]; // under way at once
        UNROLL for (int j = 0; j < 4; j++) {
            eight zero = {{{0, 0, 0, 0}}};
            v[j] = i + j * THREADS < p->pixels
                       ? load_eight((const cell *)p->in + ((size_t)n * p->pixels + i + j * THREADS) * p->in_pitch + c)
                       : zero;
        }
        UNROLL for (int j = 0; j < 4; j++) {
            float f[8];
            unpack8(v[j], f);
            UNROLL for (int e = 0; e < 8; e++) sum[e] += f[e];
        }
    }
    u32 shared = shared_base();
    UNROLL for (int e = 0; e < 8; e++) {
        UNROLL for (int d = 16; d; d /= 2) sum[e] += shuffle_xor(sum[e], d);
        if (thread_id() % 32 == 0) shared_store4(shared + (thread_id() / 32 * 8 + e) * 4, as_bits(sum[e]));
    }
    barrier();
    if (thread_id() > 0) return;
    UNROLL for (int e = 0; e < 8; e++) {
        sum[e] = 0;
        for (int w = 0; w < THREADS / 32; w++) sum[e] += as_float(shared_load4(shared + (w * 8 + e) * 4));
        sum[e] /= p->pixels;
        if (c + e < p->rows) store_float((float *)p->out + (size_t)n * p->rows + c + e, sum[e]);
    }
    if (!p->rows) store_eight((cell *)p->out + (size_t)n * p->out_pitch + c, pack8(sum));
}
#endif
