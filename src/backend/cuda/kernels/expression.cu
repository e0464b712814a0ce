// Rows that are computed from several steps: a thread an element.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 256 };

DEV float element(const sw_cuda_term *t, long long at, bool half) {
    return half ? unpack_low(load_half((const f16 *)t->data + at)) : load_float((const float *)t->data + at);
}

// The mean of a distribution, whose numbers are logits.
DEV float distribution(const sw_cuda_term *t, long long at, bool half) {
    float most = -3.0e38f, sum = 0.f, weighted = 0.f;
    for (int b = 0; b < t->more; b++) most = maximum(most, element(t, at + (long long)b * t->bin, half));
    for (int b = 0; b < t->more; b++) {
        float e = exp2_fast((element(t, at + (long long)b * t->bin, half) - most) * 1.44269504f);
        sum += e, weighted += e * b;
    }
    return weighted / sum;
}

DEV float combine(int op, float a, float b) {
    return op == CUDA_ADD ? a + b : op == CUDA_SUB ? a - b : op == CUDA_MUL ? a * b : a / b;
}

KERNEL(expression, sw_cuda_expression) {
    const sw_cuda_expression *p = ARGS;
    wait_for_predecessor();
    int k = 0, at[CUDA_BOX_AXES], out;
    while (k + 1 < p->n_boxes && block_id() >= p->boxes[k + 1].first_block) k++;
    const sw_cuda_box *box = &p->boxes[k];
    int rest = (block_id() - box->first_block) * THREADS + thread_id();
    UNROLL for (int i = CUDA_BOX_AXES - 1; i >= 0; i--) {
        int q = rest / box->dims[i];
        at[i] = rest - q * box->dims[i];
        rest = q;
    }
    if (rest > 0) return;
    out = box->out;
    UNROLL for (int i = 0; i < CUDA_BOX_AXES; i++) out += at[i] * p->out_stride[i];
    float top = 0.f, second = 0.f, third = 0.f, fourth = 0.f;
    for (int i = 0; i < box->n_terms; i++) {
        const sw_cuda_term *t = &p->terms[box->first_term + i];
        if (t->code == CUDA_TERM_OP) {
            top = combine(t->more, second, top);
            second = third, third = fourth;
        } else if (t->code == CUDA_TERM_ACT) {
            top = function_of(t->more, as_float(t->stride[0]), as_float(t->stride[1]), top);
        } else {
            long long from = 0;
            UNROLL for (int k = 0; k < CUDA_BOX_AXES; k++) from += (long long)at[k] * t->stride[k];
            bool half = t->code == CUDA_TERM_HALF || t->code == CUDA_TERM_DFL_HALF;
            fourth = third, third = second, second = top;
            top = t->code < CUDA_TERM_DFL_FLOAT ? element(t, from, half) : distribution(t, from, half);
        }
    }
    store_float((float *)p->out + out, top);
}
