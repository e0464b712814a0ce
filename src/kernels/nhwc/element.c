/* Element by element: activations, and arithmetic of two maps with broadcasting. */
#include "kernels/conv/act.h"
#include "kernels/nhwc/nhwc.h"
#include "kernels/rows.h"

sw_status sw__nhwc_activation(const sw_call *c);
sw_status sw__nhwc_binary(const sw_call *c);

/* ---- Activations --------------------------------------------------------------------------------------------------- */

typedef struct act_work {
    sw_nhwc x, y;
    sw_act act;
    float a, b;
} act_work;

static void act_pixels(void *ctx, int64_t begin, int64_t end, int thread) {
    const act_work *w = ctx;
    (void)thread;
    for (int64_t p = begin; p < end; p++) {
        const float *in = w->x.data + p * w->x.pitch;
        float *out = w->y.data + p * w->y.pitch;
        for (int64_t c = 0; c < w->y.channels; c++) out[c] = sw_act_apply(w->act, w->a, w->b, in[c]);
    }
}

sw_status sw__nhwc_activation(const sw_call *c) {
    act_work w = {.x = sw_nhwc_of(c->in[0]), .y = sw_nhwc_of(c->out[0])};
    switch (c->op) {
    case SW_OP_Relu:
        w.act = SW_ACT_RELU;
        break;
    case SW_OP_Sigmoid:
        w.act = SW_ACT_SIGMOID;
        break;
    case SW_OP_Swish:
        w.act = SW_ACT_SILU;
        break;
    case SW_OP_HardSwish:
        w.act = SW_ACT_HARDSWISH;
        break;
    case SW_OP_LeakyRelu:
        w.act = SW_ACT_LEAKY;
        w.a = sw_call_float(c, "alpha");
        break;
    default:
        w.act = SW_ACT_HARDSIGMOID;
        w.a = sw_call_float(c, "alpha");
        w.b = sw_call_float(c, "beta");
    }
    sw_pool_for(c->pool, w.y.batch * w.y.height * w.y.width, 256, act_pixels, &w);
    return SW_OK;
}

/* ---- Arithmetic ---------------------------------------------------------------------------------------------------- */

/* An operand with a stride of 0 along the axes on which it is broadcast. */
typedef struct operand {
    const float *data;
    int64_t n, y, x, c;
} operand;

typedef struct binary_work {
    operand a, b;
    sw_nhwc out;
    sw_row2 row;
} binary_work;

static operand operand_of(const sw_tensor *t) {
    if (t->rank < 4) return (operand){.data = t->data}; /* one element */
    sw_nhwc m = sw_nhwc_of(t);
    return (operand){.data = m.data,
                     .n = m.batch > 1 ? m.height * m.width * m.pitch : 0,
                     .y = m.height > 1 ? m.width * m.pitch : 0,
                     .x = m.width > 1 ? m.pitch : 0,
                     .c = m.channels > 1};
}

static void binary_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const binary_work *w = ctx;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        int64_t n = row / w->out.height, y = row % w->out.height;
        const float *a = w->a.data + n * w->a.n + y * w->a.y, *b = w->b.data + n * w->b.n + y * w->b.y;
        for (int64_t x = 0; x < w->out.width; x++)
            w->row(a + x * w->a.x, w->a.c, b + x * w->b.x, w->b.c, sw_nhwc_pixel(&w->out, n, y, x), w->out.channels);
    }
}

sw_status sw__nhwc_binary(const sw_call *c) {
    binary_work w = {.a = operand_of(c->in[0]), .b = operand_of(c->in[1]), .out = sw_nhwc_of(c->out[0])};
    w.row = sw__arithmetic_row(c->op, SW_F32);
    sw_pool_for(c->pool, w.out.batch * w.out.height, 1, binary_rows, &w);
    return SW_OK;
}
