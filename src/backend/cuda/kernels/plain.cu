// Convolution of any form, one output a thread: what the kernels on tensor cores do not take. Weights [out_channels][kernel_h]
// [kernel_w][in_group]. With in_plane > 0 the input is float32 planes.
#include "args.h"
#include "ptx.cuh"

#include "eights.cuh"

enum { THREADS = 128 };

KERNEL(conv_plain, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    wait_for_predecessor();
    long long i = (long long)block_id() * THREADS + thread_id();
    long long m = i / p->out_channels;
    int c = (int)(i - m * p->out_channels), x = m % p->out_width, y = m / p->out_width % p->out_height;
    if (m >= p->pixels) return;
    if (c >= p->real_channels) {
        store_cell((cell *)p->out + m * p->out_pitch + c, 0.f);
        return;
    }
    long long n = m / ((long long)p->out_width * p->out_height);
    const cell *w = (const cell *)p->weights + (size_t)c * p->kernel_h * p->kernel_w * p->in_group;
    float sum = load_float((const float *)p->bias + c);
    for (int r = 0; r < p->kernel_h; r++) {
        int yy = y * p->stride_h - p->pad_top + r * p->dilation_h;
        if (yy < 0 || yy >= p->height) continue;
        for (int s = 0; s < p->kernel_w; s++) {
            int xx = x * p->stride_w - p->pad_left + s * p->dilation_w;
            if (xx < 0 || xx >= p->width) continue;
            const cell *b = w + (r * p->kernel_w + s) * p->in_group;
            if (p->in_plane) {
                const float *a = (const float *)p->in + n * p->in_channels * p->in_plane + (size_t)yy * p->width + xx;
                a += c / p->out_group * p->in_group * p->in_plane;
                for (int k = 0; k < p->in_group; k++) sum += load_float(a + k * p->in_plane) * load_cell(b + k);
                continue;
            }
            const cell *a = (const cell *)p->in + (size_t)((n * p->height + yy) * p->width + xx) * p->in_pitch;
            a += c / p->out_group * p->in_group;
            for (int k = 0; k < p->in_group; k++) sum += load_cell(a + k) * load_cell(b + k);
        }
    }
    float other = p->residual ? load_cell((const cell *)p->residual + m * p->residual_pitch + c) : 0.f;
    if (p->residual_before_act) sum += other;
    sum = activate(p->act, p->act_a, p->act_b, sum);
    if (!p->residual_before_act) sum += other;
    store_cell((cell *)p->out + m * p->out_pitch + c, sum);
}
