// Squeeze and excite behind the mean: hidden = act(w1 mean + bias1), gate = act(w2 hidden + bias2), out = in * gate. A block makes
// CHANNELS channels of some pixels of one picture; all of hidden each for itself, with weights that are there before the mean is;
// or (mean NULL) it reads hidden.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 1024, CHANNELS = CUDA_EXCITE_CHANNELS };

DEV float dot8(vec4 a, u32 numbers, float sum) {
    vec4 x = shared_load16(numbers), y = shared_load16(numbers + 16);
    sum += unpack_low(a.x) * as_float(x.x) + unpack_high(a.x) * as_float(x.y) + unpack_low(a.y) * as_float(x.z) +
           unpack_high(a.y) * as_float(x.w);
    return sum + unpack_low(a.z) * as_float(y.x) + unpack_high(a.z) * as_float(y.y) + unpack_low(a.w) * as_float(y.z) +
           unpack_high(a.w) * as_float(y.w);
}

// out[i] = act(w[i] x + bias[i]) for `rows` rows of n halves in shared memory; 8 lanes take a row.
DEV void multiply_rows(u32 w, u32 x, const float *bias, int rows, int n, int act, float a, float b, u32 out) {
    int lane = thread_id() & 7;
    for (int first = 0; first < rows; first += THREADS / 8) {
        int row = first + (thread_id() >> 3), here = row < rows;
        float sum = 0.f;
        for (int k = lane * 8; k < n && here; k += 64) sum = dot8(shared_load16(w + (row * n + k) * 2), x + k * 4, sum);
        for (int d = 4; d; d /= 2) sum += shuffle_xor(sum, d);
        if (lane == 0 && here)
            shared_store4(out + row * 4, as_bits(activate(act, a, b, sum + load_float_const(bias + row))));
    }
}

// Rows of halves to shared memory, without waiting.
DEV void fetch(u32 to, const void *from, int halves) {
    for (int i = thread_id() * 8; i < halves; i += THREADS * 8) copy16(to + i * 2, (const f16 *)from + i, true);
}

// Halves of a map of one pixel as numbers.
DEV void spread(u32 to, const void *from, int n) {
    for (int i = thread_id() * 8; i < n; i += THREADS * 8) {
        vec4 v = load16((const f16 *)from + i);
        vec4 low = {as_bits(unpack_low(v.x)), as_bits(unpack_high(v.x)), as_bits(unpack_low(v.y)), as_bits(unpack_high(v.y))};
        vec4 high = {as_bits(unpack_low(v.z)), as_bits(unpack_high(v.z)), as_bits(unpack_low(v.w)), as_bits(unpack_high(v.w))};
        shared_store16(to + i * 4, low);
        shared_store16(to + i * 4 + 16, high);
    }
}

DEV u32 scale2(u32 v, u32 gates) {
    return pack(unpack_low(v) * as_float(shared_load4(gates)), unpack_high(v) * as_float(shared_load4(gates + 4)));
}

KERNEL(excite, sw_cuda_excite) {
    const sw_cuda_excite *p = ARGS;
    int parts = (p->channels + CHANNELS - 1) / CHANNELS, split = block_id() / parts, n = block_row();
    int first = (block_id() - split * parts) * CHANNELS, rows = p->channels - first < CHANNELS ? p->channels - first : CHANNELS;
    u32 hidden = shared_base(), gates = hidden + p->hidden * 4, mean = gates + CHANNELS * 4;
    u32 second = mean + (p->mean ? p->channels * 4 : 0), w1 = second + CHANNELS * p->hidden * 2;
    fetch(second, (const f16 *)p->weights2 + (size_t)first * p->hidden, rows * p->hidden);
    if (p->mean) fetch(w1, p->weights1, p->hidden * p->channels);
    copy_commit();
    wait_for_predecessor();
    if (p->mean)
        spread(mean, (const f16 *)p->mean + (size_t)n * p->mean_pitch, p->channels);
    else
        spread(hidden, (const f16 *)p->squeezed + (size_t)n * p->mean_pitch, p->hidden);
    copy_wait(0);
    barrier();
    if (p->mean) {
        multiply_rows(w1, mean, (const float *)p->bias1, p->hidden, p->channels, p->act1, p->act1_a, p->act1_b, hidden);
        barrier();
    }
    multiply_rows(second, hidden, (const float *)p->bias2 + first, rows, p->hidden, p->act2, p->act2_a, p->act2_b, gates);
    barrier();
    int begin = split * p->step, end = begin + p->step < p->pixels ? begin + p->step : p->pixels, chunks = rows / 8;
    for (int i = thread_id(); i < (end - begin) * chunks; i += THREADS) {
        int pixel = i / chunks, c = (i - pixel * chunks) * 8;
        size_t at = (size_t)n * p->pixels + begin + pixel;
        vec4 v = load16((const f16 *)p->in + at * p->in_pitch + first + c);
        u32 g = gates + c * 4;
        vec4 scaled = {scale2(v.x, g), scale2(v.y, g + 8), scale2(v.z, g + 16), scale2(v.w, g + 24)};
        store16((f16 *)p->out + at * p->out_pitch + first + c, scaled);
    }
}
