/* Convolutions, pools and shuffles of planes in float32: what is no map, and old plans of that precision. */
#include "backend/cpu/cpu.h"
#include "backend/cuda/lower.h"
#include "ops/shape.h"

enum { SIDE = 64, TILE_BYTES = 2 * 16 * (SIDE + 8) * 4 };

static bool is_planes(const sw_tensor *t) {
    return t->rank == 4 && t->layout == SW_ROW_MAJOR && t->dtype == SW_F32;
}

static const char *conv(const sw_call *c, bool tf32, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0], *bias = sw_call_in(c, 2), *residual = sw_call_in(c, 3);
    sw_conv v;
    if (!is_planes(x) || !is_planes(y) || (residual && !is_planes(residual))) return "it is not of float32 planes";
    if (sw_call_conv(c, &v) != SW_OK) return "its window is not known";
    int64_t plane = v.out_height * v.out_width, columns = (v.out_channels + SIDE - 1) / SIDE;
    if (v.batch > 65535) return "its batch is too large";
    l->args.conv = (sw_cuda_conv){.in = x->data,
                                  .weights = c->in[1]->data,
                                  .bias = bias ? bias->data ? bias->data : x : NULL,
                                  .residual = residual ? residual->data ? residual->data : x : NULL,
                                  .out = y->data,
                                  .height = (int)v.height,
                                  .width = (int)v.width,
                                  .in_channels = (int)v.in_channels,
                                  .out_height = (int)v.out_height,
                                  .out_width = (int)v.out_width,
                                  .out_channels = (int)v.out_channels,
                                  .kernel_h = (int)v.kernel_h,
                                  .kernel_w = (int)v.kernel_w,
                                  .stride_h = (int)v.stride_h,
                                  .stride_w = (int)v.stride_w,
                                  .dilation_h = (int)v.dilation_h,
                                  .dilation_w = (int)v.dilation_w,
                                  .pad_top = (int)v.pad_top,
                                  .pad_left = (int)v.pad_left,
                                  .pixels = (int)(v.batch * v.out_channels),
                                  .act = (int)v.act,
                                  .act_a = v.act_a,
                                  .act_b = v.act_b,
                                  .residual_before_act = v.residual_before_act,
                                  .column_tiles = (int)columns,
                                  .in_group = (int)(v.in_channels / v.groups),
                                  .out_group = (int)(v.out_channels / v.groups)};
    l->kernel = v.groups > 1 ? SW_CUDA_CONV_GROUPS : tf32 ? SW_CUDA_CONV_ROWS_TF32 : SW_CUDA_CONV_ROWS;
    if (v.groups > 1) {
        l->grid_x = sw__cuda_blocks(sw_tensor_count(y));
        return NULL;
    }
    l->grid_x = (int)((plane + SIDE - 1) / SIDE * columns);
    l->grid_y = (int)v.batch;
    l->shared_bytes = TILE_BYTES;
    return NULL;
}

static const char *pool(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    sw_window w;
    if (!is_planes(x)) return "it is not of float32 planes";
    if (c->n_out > 1 && c->out[1]) return "the indices are wanted";
    if (sw_call_window(c, x, NULL, &w) != SW_OK) return "the window is not known";
    sw__cuda_describe_pool(c, &w, l);
    l->kernel = SW_CUDA_POOL_ROWS;
    l->args.pool.channels = (int)x->dims[1];
    l->args.pool.mean = c->op == SW_OP_AveragePool;
    l->grid_x = sw__cuda_blocks(sw_tensor_count(y));
    return NULL;
}

static const char *global_mean(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0];
    int64_t length = 1;
    if (x->rank < 3) return "it has no pixels";
    for (int i = 2; i < x->rank; i++) length *= x->dims[i];
    l->kernel = SW_CUDA_REDUCE;
    l->args.reduce = (sw_cuda_reduce){.in = x->data,
                                      .out = c->out[0]->data,
                                      .outer = (int)(x->dims[0] * x->dims[1]),
                                      .length = (int)length,
                                      .inner = 1,
                                      .op = CUDA_REDUCE_MEAN};
    l->grid_x = (int)((x->dims[0] * x->dims[1] + 7) / 8);
    return NULL;
}

static const char *shuffle(const sw_call *c, sw_cuda_launch *l) {
    if (!is_planes(c->in[0])) return "it is not of float32 planes";
    sw__cuda_describe_shuffle(c, l);
    l->kernel = SW_CUDA_SHUFFLE_ROWS;
    l->grid_x = sw__cuda_blocks(sw_tensor_count(c->out[0]));
    return NULL;
}

const char *sw__cuda_lower_planes(const sw_call *c, bool tf32, sw_cuda_launch *l, bool *taken) {
    *taken = true;
    switch (c->op) {
    case SW_OP_FusedConv:
        return conv(c, tf32, l);
    case SW_OP_MaxPool:
    case SW_OP_AveragePool:
        return pool(c, l);
    case SW_OP_GlobalAveragePool:
        return global_mean(c, l);
    case SW_OP_PixelShuffle:
        return shuffle(c, l);
    default:
        *taken = false;
        return NULL;
    }
}
