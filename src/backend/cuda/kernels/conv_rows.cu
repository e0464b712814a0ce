// Convolutions, pools and shuffles of planes in float32, [batch][channels][height][width]. KERNEL_* chooses one.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 256 };

// What becomes of a sum that stands at `at` of the output.
DEV float act_on(int act, float a, float b, float sum) {
    return act == CUDA_ACT_GELU ? .5f * sum * (1.f + erff(sum * .70710678f)) : activate(act, a, b, sum);
}
DEV float finish(const sw_cuda_conv *p, float sum, int channel, size_t at) {
    if (p->bias) sum += load_float_const((const float *)p->bias + channel);
    float other = p->residual ? load_float((const float *)p->residual + at) : 0.f;
    if (p->residual_before_act) sum += other;
    sum = act_on(p->act, p->act_a, p->act_b, sum);
    return p->residual_before_act ? sum : sum + other;
}

#ifdef KERNEL_CONV
// A block makes 64 channels of 64 pixels of a picture, 16 of the depth (channel, row, column of the kernel) at a time through
// shared memory. A thread holds 4 x 4 of the sums; with TF32, which rounds the factors, a warp 16 channels of 32 pixels.
enum { SIDE = 64, DEPTH = 16, ROW = SIDE + 8 }; // words of a row of a tile, so far apart that lanes meet no bank twice

DEV float input_at(const sw_cuda_conv *p, const float *in, int k, int y, int x) {
    int taps = p->kernel_h * p->kernel_w, c = k / taps, tap = k - c * taps, r = tap / p->kernel_w;
    int yy = y + r * p->dilation_h, xx = x + (tap - r * p->kernel_w) * p->dilation_w;
    if (yy < 0 || yy >= p->height || xx < 0 || xx >= p->width) return 0.f;
    return load_float(in + ((size_t)c * p->height + yy) * p->width + xx);
}

KERNEL(conv_rows, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    wait_for_predecessor();
    int t = thread_id(), n = block_row(), plane = p->out_height * p->out_width, depth = p->in_channels * p->kernel_h * p->kernel_w;
    int m0 = block_id() % p->column_tiles * SIDE, q0 = block_id() / p->column_tiles * SIDE, q = q0 + (t & 63);
    int y = q / p->out_width * p->stride_h - p->pad_top, x = q % p->out_width * p->stride_w - p->pad_left;
    const float *in = (const float *)p->in + (size_t)n * p->in_channels * p->height * p->width;
    const float *w = (const float *)p->weights;
    u32 sw = shared_base(), sx = sw + DEPTH * ROW * 4;
    float acc[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
#ifdef TF32
    int lane = t & 31, g = lane >> 2, l = lane & 3, channels = (t >> 5) % 4 * 16, pixels = (t >> 7) * 32;
#else
    int channels = (t >> 4) * 4, pixels = (t & 15) * 4;
#endif
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
        UNROLL for (int i = 0; i < 4; i++) {
            int k = k0 + (t & 15), m = m0 + (t >> 4) + 16 * i;
            float v = k < depth && m < p->out_channels ? load_float_const(w + (size_t)m * depth + k) : 0.f;
            shared_store4(sw + ((t & 15) * ROW + (t >> 4) + 16 * i) * 4, as_bits(v));
            k = k0 + (t >> 6) + 4 * i;
            v = k < depth && q < plane ? input_at(p, in, k, y, x) : 0.f;
            shared_store4(sx + (((t >> 6) + 4 * i) * ROW + (t & 63)) * 4, as_bits(v));
        }
        barrier();
#ifdef TF32
        UNROLL for (int k = 0; k < DEPTH; k += 8) {
            u32 a[4], at = sw + ((k + l) * ROW + channels + g) * 4;
            UNROLL for (int i = 0; i < 4; i++)
                a[i] = round_tf32(shared_load4(at + (i >> 1) * 4 * ROW * 4 + (i & 1) * 32));
            UNROLL for (int j = 0; j < 4; j++) {
                u32 from = sx + ((k + l) * ROW + pixels + 8 * j + g) * 4;
                u32 b[2] = {round_tf32(shared_load4(from)), round_tf32(shared_load4(from + 4 * ROW * 4))};
                multiply_tf32(acc + 4 * j, a, b);
            }
        }
#else
        for (int k = 0; k < DEPTH; k++) {
            vec4 a = shared_load16(sw + (k * ROW + channels) * 4), b = shared_load16(sx + (k * ROW + pixels) * 4);
            float av[4] = {as_float(a.x), as_float(a.y), as_float(a.z), as_float(a.w)};
            float bv[4] = {as_float(b.x), as_float(b.y), as_float(b.z), as_float(b.w)};
            UNROLL for (int i = 0; i < 16; i++) acc[i] += av[i >> 2] * bv[i & 3];
        }
#endif
        barrier();
    }
    UNROLL for (int i = 0; i < 16; i++) {
#ifdef TF32
        int m = m0 + channels + g + (i >> 1 & 1) * 8, to = q0 + pixels + (i >> 2) * 8 + 2 * l + (i & 1);
#else
        int m = m0 + channels + (i >> 2), to = q0 + pixels + (i & 3);
#endif
        if (m >= p->out_channels || to >= plane) continue;
        size_t at = ((size_t)n * p->out_channels + m) * plane + to;
        store_float((float *)p->out + at, finish(p, acc[i], m, at));
    }
}
#endif

#ifdef KERNEL_GROUPS
// A thread an element of the output: for groups of few channels.
KERNEL(conv_groups, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), q = i / p->out_width, picture = q / p->out_height;
    int x = (int)(i - q * p->out_width) * p->stride_w - p->pad_left;
    int y = (int)(q - picture * p->out_height) * p->stride_h - p->pad_top, m = (int)(picture % p->out_channels);
    if (picture >= (long long)p->pixels) return; // pictures of all channels
    long long first = picture / p->out_channels * p->in_channels + m / p->out_group * p->in_group;
    const float *w = (const float *)p->weights + (size_t)m * p->in_group * p->kernel_h * p->kernel_w;
    float sum = 0.f;
    for (int c = 0; c < p->in_group; c++) {
        const float *in = (const float *)p->in + (first + c) * p->height * p->width;
        for (int r = 0; r < p->kernel_h; r++) {
            int yy = y + r * p->dilation_h;
            for (int s = 0; s < p->kernel_w; s++, w++) {
                int xx = x + s * p->dilation_w;
                if (yy >= 0 && yy < p->height && xx >= 0 && xx < p->width)
                    sum += load_float_const(w) * load_float(in + (long long)yy * p->width + xx);
            }
        }
    }
    store_float((float *)p->out + i, finish(p, sum, m, i));
}
#endif

#ifdef KERNEL_POOL
// Largest or mean of a window; `channels` planes of each picture.
KERNEL(pool_rows, sw_cuda_pool) {
    const sw_cuda_pool *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), q = i / p->out_width, plane = q / p->out_height;
    if (plane >= (long long)p->batch * p->channels) return;
    int x = (int)(i - q * p->out_width) * p->stride_w - p->pad_left;
    int y = (int)(q - plane * p->out_height) * p->stride_h - p->pad_top, count = 0;
    const float *in = (const float *)p->in + plane * p->height * p->width;
    float result = p->mean ? 0.f : -3.4e38f;
    for (int r = 0; r < p->kernel_h; r++) {
        for (int s = 0; s < p->kernel_w; s++) {
            int yy = y + r * p->dilation_h, xx = x + s * p->dilation_w;
            bool inside = yy >= 0 && yy < p->height && xx >= 0 && xx < p->width;
            count += inside || (p->count_pad && yy < p->height + p->pad_bottom && xx < p->width + p->pad_right);
            if (!inside) continue;
            float v = load_float(in + (long long)yy * p->width + xx);
            result = p->mean ? result + v : maximum(result, v);
        }
    }
    store_float((float *)p->out[0] + i, p->mean && count ? result / count : result);
}
#endif

#ifdef KERNEL_SHUFFLE
KERNEL(shuffle_rows, sw_cuda_shuffle) {
    const sw_cuda_shuffle *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id(), q = i / p->out_width, plane = q / p->out_height;
    if (plane >= (long long)p->batch * p->channels) return;
    int x = (int)(i - q * p->out_width) + p->left, y = (int)(q - plane * p->out_height) + p->top;
    int block = y % p->down * p->across + x % p->across, c = (int)(plane % p->channels);
    size_t from = (size_t)(plane / p->channels) * p->down * p->across * p->channels + (size_t)block * p->channels + c;
    store_float((float *)p->out + i,
                load_float((const float *)p->in + (from * p->height + y / p->down) * p->width + x / p->across));
}
#endif
