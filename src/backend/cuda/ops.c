#include "backend/cuda/lower.h"

#include <float.h>
#include <string.h>

#include "ops/shape.h"

static int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}
static bool is_map(const sw_tensor *t) {
    return t->layout == SW_CHANNELS_LAST;
}
static int64_t pixels_of(const sw_tensor *t) {
    return t->dims[0] * t->dims[2] * t->dims[3];
}

/* ---- Maps ---------------------------------------------------------------------------------------------------------- */

static const char *copy_map(const sw_tensor *in, const sw_tensor *out, int64_t channels, sw_cuda_launch *l) {
    *l = (sw_cuda_launch){.kernel = SW_CUDA_RESIZE};
    l->args.resize = (sw_cuda_resize){.in = in->data,
                                      .out = out->data,
                                      .in_pitch = (int)in->pitch,
                                      .out_pitch = (int)out->pitch,
                                      .batch = (int)in->dims[0],
                                      .height = (int)in->dims[2],
                                      .width = (int)in->dims[3],
                                      .channels = (int)round_up(channels, 8),
                                      .out_height = (int)out->dims[2],
                                      .out_width = (int)out->dims[3],
                                      .by_y = 1,
                                      .by_x = 1};
    l->grid_x = sw__cuda_blocks(pixels_of(out) * (round_up(channels, 8) / 8));
    return NULL;
}

static sw_tensor channels_from(const sw_tensor *t, int64_t first, sw_cuda_cell cell) {
    sw_tensor part = *t;
    if (part.data) part.data = (char *)part.data + first * sw_cuda_cell_bytes(cell);
    return part;
}

static bool comes_in_eights(const sw_call *c, bool split) {
    int parts = split ? c->n_out : c->n_in;
    for (int i = 0; i + 1 < parts; i++)
        if ((split ? c->out[i] : c->in[i])->dims[1] % 8) return false;
    return true;
}

/* A part that is any channels of the whole. What is behind the last channel of a map, up to a multiple of 8, is zero. */
static void copy_channels(const sw_tensor *in, const sw_tensor *out, int64_t channels, bool last, sw_cuda_launch *l) {
    *l = (sw_cuda_launch){.kernel = SW_CUDA_COPY_CHANNELS};
    l->args.channels = (sw_cuda_channels){.in = in->data,
                                          .out = out->data,
                                          .in_pitch = (int)in->pitch,
                                          .out_pitch = (int)out->pitch,
                                          .channels = (int)channels,
                                          .zeros = last ? (int)(round_up(out->dims[1], 8) - out->dims[1]) : 0,
                                          .pixels = pixels_of(out)};
    l->grid_x = sw__cuda_blocks(l->args.channels.pixels * (channels + l->args.channels.zeros));
}

/* Parts that do not lie where they belong are copied. */
static const char *join_maps(const sw_call *c, bool split, sw_cuda_cell cell, sw_cuda_launch *l, int *n) {
    int parts = split ? c->n_out : c->n_in;
    int64_t first = 0;
    for (int i = 0; i < parts; i++)
        if (!(split ? c->out[i] : c->in[i])) return "a part is absent";
    bool eights = comes_in_eights(c, split);
    for (int i = 0; i < parts; i++) {
        const sw_tensor *part = split ? c->out[i] : c->in[i], *whole = split ? c->in[0] : c->out[0];
        sw_tensor there = channels_from(whole, first, cell);
        bool last = i + 1 == parts;
        first += part->dims[1];
        if (part->data && part->data == there.data && part->pitch == there.pitch) continue;
        if (*n == SW_CUDA_MAX_LAUNCHES) return "too many parts";
        if (!eights) {
            copy_channels(split ? &there : part, split ? part : &there, part->dims[1], split || last, &l[(*n)++]);
            continue;
        }
        there.dims[1] = part->dims[1];
        copy_map(split ? &there : part, split ? part : &there, part->dims[1], &l[(*n)++]);
    }
    return NULL;
}

void sw__cuda_describe_pool(const sw_call *c, const sw_window *w, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    l->args.pool = (sw_cuda_pool){.in = x->data,
                                  .out = {y->data},
                                  .in_pitch = (int)x->pitch,
                                  .out_pitch = {(int)y->pitch},
                                  .batch = (int)x->dims[0],
                                  .height = (int)x->dims[2],
                                  .width = (int)x->dims[3],
                                  .channels = (int)round_up(x->dims[1], 8),
                                  .out_height = (int)y->dims[2],
                                  .out_width = (int)y->dims[3],
                                  .kernel_h = (int)w->kernel[0],
                                  .kernel_w = (int)w->kernel[1],
                                  .stride_h = (int)w->stride[0],
                                  .stride_w = (int)w->stride[1],
                                  .dilation_h = (int)w->dilation[0],
                                  .dilation_w = (int)w->dilation[1],
                                  .pad_top = (int)w->pad_begin[0],
                                  .pad_left = (int)w->pad_begin[1],
                                  .pad_bottom = (int)w->pad_end[0],
                                  .pad_right = (int)w->pad_end[1],
                                  .count_pad = c->op == SW_OP_AveragePool && sw_call_int(c, "count_include_pad"),
                                  .rounds = 1};
}

static const char *pool(const sw_call *c, sw_cuda_launch *l) {
    sw_window w;
    if (c->n_out > 1 && c->out[1]) return "the indices are wanted";
    if (sw_call_window(c, c->in[0], NULL, &w) != SW_OK) return "the window is not known";
    sw__cuda_describe_pool(c, &w, l);
    l->kernel = c->op == SW_OP_AveragePool ? SW_CUDA_AVERAGE : SW_CUDA_POOL;
    l->grid_x = sw__cuda_blocks(pixels_of(c->out[0]) * (l->args.pool.channels / 8));
    return NULL;
}

void sw__cuda_describe_shuffle(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    const int64_t *strides = sw_call_attr(c, "strides", SW_ATTR_INTS)->ints.v,
                  *crops = sw_call_attr(c, "crops", SW_ATTR_INTS)->ints.v;
    l->args.shuffle = (sw_cuda_shuffle){.in = x->data,
                                        .out = y->data,
                                        .in_pitch = (int)x->pitch,
                                        .out_pitch = (int)y->pitch,
                                        .batch = (int)y->dims[0],
                                        .height = (int)x->dims[2],
                                        .width = (int)x->dims[3],
                                        .out_height = (int)y->dims[2],
                                        .out_width = (int)y->dims[3],
                                        .channels = (int)y->dims[1],
                                        .down = (int)strides[0],
                                        .across = (int)strides[1],
                                        .top = (int)crops[0],
                                        .left = (int)crops[1]};
}

static const char *shuffle(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    if (!is_map(x) || !is_map(y)) return "not all of it are maps";
    bool eights = y->dims[1] % 8 == 0;
    sw__cuda_describe_shuffle(c, l);
    l->kernel = eights ? SW_CUDA_SHUFFLE_MAP : SW_CUDA_SHUFFLE_MAP_ANY;
    l->grid_x = sw__cuda_blocks(pixels_of(y) * round_up(y->dims[1], 8) / (eights ? 8 : 1));
    return NULL;
}

static void shuffle_channels(const sw_tensor *x, const sw_tensor *y, int64_t groups, sw_cuda_launch *l) {
    *l = (sw_cuda_launch){.kernel = SW_CUDA_SHUFFLE_CHANNELS, .grid_y = 1};
    l->args.channel_shuffle = (sw_cuda_channel_shuffle){.in = x->data,
                                                        .out = y->data,
                                                        .in_pitch = (int)x->pitch,
                                                        .out_pitch = (int)y->pitch,
                                                        .channels = (int)y->dims[1],
                                                        .groups = (int)groups,
                                                        .pixels = (int)pixels_of(y)};
    l->grid_x = sw__cuda_blocks(pixels_of(y) * (round_up(y->dims[1], 8) / 8));
}

void sw_cuda_launch_interleave(const sw_tensor *a, const sw_tensor *b, const sw_tensor *y, sw_cuda_launch *l) {
    shuffle_channels(a, y, 2, l);
    l->args.channel_shuffle.other = b->data;
    l->args.channel_shuffle.other_pitch = (int)b->pitch;
}

/* Of rows: [batch, groups, each, pixels] turned. */
static const char *shuffle_planes(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0];
    int64_t groups = sw_call_int(c, "groups"), pixels = x->dims[2] * x->dims[3], each = x->dims[1] / groups;
    const int64_t dims[] = {x->dims[0], each, groups, pixels};
    const long long in[] = {x->dims[1] * pixels, pixels, each * pixels, 1},
                    out[] = {x->dims[1] * pixels, groups * pixels, pixels, 1};
    sw__cuda_copy_box(x, 0, in, c->out[0], 0, out, dims, 4, l);
    return NULL;
}

static const char *resize(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0], *scales = sw_call_in(c, 2);
    if (!scales || !scales->data) return "the scales are not known";
    copy_map(x, y, x->dims[1], l);
    l->args.resize.by_y = 1 / ((const float *)scales->data)[2];
    l->args.resize.by_x = 1 / ((const float *)scales->data)[3];
    return NULL;
}

void sw_cuda_launch_mean(const sw_tensor *map, void *out, int64_t out_pitch, int64_t rows, sw_cuda_launch *l) {
    bool large = map->dims[2] * map->dims[3] > 1024;
    *l = (sw_cuda_launch){.kernel = large ? SW_CUDA_MEAN_LARGE : SW_CUDA_MEAN_MAP, .grid_y = 1};
    l->args.mean = (sw_cuda_mean){.in = map->data,
                                  .out = out,
                                  .in_pitch = (int)map->pitch,
                                  .out_pitch = (int)out_pitch,
                                  .batch = (int)map->dims[0],
                                  .pixels = (int)(map->dims[2] * map->dims[3]),
                                  .channels = (int)round_up(map->dims[1], 8),
                                  .rows = (int)rows};
    l->grid_x = (int)(map->dims[0] * (l->args.mean.channels / 8));
    l->shared_bytes = 1024 / 32 * 8 * 4;
}

static const char *mean(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    sw_cuda_launch_mean(x, y->data, y->pitch, 0, l);
    return NULL;
}

static const char *relayout(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    if (is_map(x) == is_map(y)) return "it changes nothing";
    l->kernel = is_map(y) ? SW_CUDA_TO_MAP : SW_CUDA_TO_ROWS;
    l->args.relayout = (sw_cuda_relayout){.in = x->data,
                                          .out = y->data,
                                          .pitch = (int)(is_map(y) ? y->pitch : x->pitch),
                                          .batch = (int)x->dims[0],
                                          .channels = (int)x->dims[1],
                                          .pixels = (int)(x->dims[2] * x->dims[3])};
    l->grid_x = sw__cuda_blocks(pixels_of(x) * (round_up(x->dims[1], 8) / 8));
    return NULL;
}

/* ---- Element-wise -------------------------------------------------------------------------------------------------- */

static const struct {
    sw_op op;
    int act;
} functions[] = {
    {SW_OP_Exp, CUDA_ACT_EXP},           {SW_OP_Log, CUDA_ACT_LOG},
    {SW_OP_Sqrt, CUDA_ACT_SQRT},         {SW_OP_Reciprocal, CUDA_ACT_RECIPROCAL},
    {SW_OP_Sin, CUDA_ACT_SIN},           {SW_OP_Cos, CUDA_ACT_COS},
    {SW_OP_Tanh, CUDA_ACT_TANH},         {SW_OP_Erf, CUDA_ACT_ERF},
    {SW_OP_Neg, CUDA_ACT_NEG},           {SW_OP_Abs, CUDA_ACT_ABS},
    {SW_OP_Floor, CUDA_ACT_FLOOR},       {SW_OP_Ceil, CUDA_ACT_CEIL},
    {SW_OP_Round, CUDA_ACT_ROUND},       {SW_OP_Sign, CUDA_ACT_SIGN},
    {SW_OP_Softplus, CUDA_ACT_SOFTPLUS}, {SW_OP_Softsign, CUDA_ACT_SOFTSIGN},
    {SW_OP_Mish, CUDA_ACT_MISH},         {SW_OP_Tan, CUDA_ACT_TAN},
    {SW_OP_Atan, CUDA_ACT_ATAN},
};

/* The limits of a Clip, when they are known. */
static bool find_limits(const sw_call *c, sw__activation *act) {
    const sw_tensor *low = sw_call_in(c, 1), *high = sw_call_in(c, 2);
    if ((low && !low->data) || (high && !high->data)) return false;
    *act = (sw__activation){CUDA_ACT_CLIP, low ? *(const float *)low->data : -FLT_MAX,
                            high ? *(const float *)high->data : FLT_MAX};
    return true;
}

bool sw__cuda_find_activation(const sw_call *c, sw__activation *act) {
    *act = (sw__activation){CUDA_ACT_NONE, 0, 0};
    switch (c->op) {
    case SW_OP_Relu:
        act->act = CUDA_ACT_RELU;
        return true;
    case SW_OP_Sigmoid:
        act->act = CUDA_ACT_SIGMOID;
        return true;
    case SW_OP_HardSwish:
        act->act = CUDA_ACT_HARDSWISH;
        return true;
    case SW_OP_Swish:
        act->act = CUDA_ACT_SILU;
        return sw_call_float(c, "alpha") == 1;
    case SW_OP_LeakyRelu:
        *act = (sw__activation){CUDA_ACT_LEAKY, sw_call_float(c, "alpha"), 0};
        return true;
    case SW_OP_Elu:
        *act = (sw__activation){CUDA_ACT_ELU, sw_call_float(c, "alpha"), 0};
        return true;
    case SW_OP_Gelu:
        act->act = strcmp(sw_call_string(c, "approximate"), "tanh") ? CUDA_ACT_GELU : CUDA_ACT_GELU_TANH;
        return true;
    case SW_OP_Clip:
        return find_limits(c, act);
    case SW_OP_HardSigmoid:
        *act = (sw__activation){CUDA_ACT_HARDSIGMOID, sw_call_float(c, "alpha"), sw_call_float(c, "beta")};
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (functions[i].op == c->op) act->act = functions[i].act;
    return act->act != CUDA_ACT_NONE;
}

bool sw_cuda_activation(const sw_call *c, int *act, float *a, float *b) {
    sw__activation found;
    if (!sw__cuda_find_activation(c, &found)) return false;
    *act = found.act, *a = found.a, *b = found.b;
    return true;
}

int sw_cuda_expression_blocks(int64_t count) {
    return sw__cuda_blocks(count);
}

int sw_cuda_binary(sw_op op) {
    return sw__cuda_binary_op(op);
}

int sw__cuda_binary_op(sw_op op) {
    return op == SW_OP_Add   ? CUDA_ADD
           : op == SW_OP_Sub ? CUDA_SUB
           : op == SW_OP_Mul ? CUDA_MUL
           : op == SW_OP_Div ? CUDA_DIV
                             : -1;
}

static const char *element_map(const sw_call *c, const sw__activation *act, int op, sw_cuda_launch *l) {
    const sw_tensor *a = c->in[0], *b = op < 0 ? NULL : c->in[1], *y = c->out[0];
    bool turn = (op == CUDA_ADD || op == CUDA_MUL) && memcmp(a->dims, y->dims, 4 * sizeof *a->dims) != 0;
    if (turn) a = c->in[1], b = c->in[0];
    if (op == CUDA_DIV && y->dims[1] % 8) return "channels do not come in eights";
    bool same = true, pixel = true;
    if (b) {
        if (!is_map(b) || !is_map(a) || memcmp(a->dims, y->dims, 4 * sizeof *a->dims) != 0) return "its shapes differ";
        same = memcmp(b->dims, y->dims, 4 * sizeof *b->dims) == 0;
        pixel = b->dims[0] == y->dims[0] && b->dims[1] == y->dims[1] && b->dims[2] == 1 && b->dims[3] == 1;
        if (!same && !pixel) return "its shapes differ";
    }
    l->kernel = SW_CUDA_ELEMENT_MAP;
    l->args.element_map = (sw_cuda_element_map){.a = a->data,
                                                .b = b ? b->data ? b->data : a : NULL,
                                                .out = y->data,
                                                .a_pitch = (int)a->pitch,
                                                .b_pitch = b ? (int)b->pitch : 0,
                                                .out_pitch = (int)y->pitch,
                                                .pixels = (int)pixels_of(y),
                                                .channels = (int)round_up(y->dims[1], 8),
                                                .op = op,
                                                .act = act->act,
                                                .by_channel = b && !same,
                                                .plane = (int)(y->dims[2] * y->dims[3]),
                                                .act_a = act->a,
                                                .act_b = act->b};
    l->grid_x = sw__cuda_blocks(pixels_of(y) * (l->args.element_map.channels / 8));
    return NULL;
}

/* Strides of `t` read as if it had the shape of `y`, 0 along what is broadcast. */
void sw__cuda_broadcast(const sw_tensor *t, const sw_tensor *y, long long *strides) {
    long long stride = 1;
    for (int i = y->rank - 1, k = t->rank - 1; i >= 0; i--, k--) {
        strides[i] = k >= 0 && t->dims[k] > 1 ? stride : 0;
        if (k >= 0) stride *= t->dims[k];
    }
}

/* ---- Rows: moving -------------------------------------------------------------------------------------------------- */

void sw__cuda_row_strides(const sw_tensor *t, long long *strides) {
    long long stride = 1;
    for (int i = t->rank - 1; i >= 0; i--) strides[i] = stride, stride *= t->dims[i];
}

/* Copies the box `dims` between places of two arrays. */
void sw__cuda_copy_box(const sw_tensor *in, long long in_at, const long long *in_stride, const sw_tensor *out,
                       long long out_at, const long long *out_stride, const int64_t *dims, int rank,
                       sw_cuda_launch *l) {
    size_t bytes = sw_dtype_size(in->dtype);
    if (bytes == 2 || sw_dtype_size(out->dtype) == 2 || in->dtype == SW_F32) {
        sw__cuda_copy_tokens(in, in_at, in_stride, out, out_at, out_stride, dims, rank, l);
        return;
    }
    *l = (sw_cuda_launch){.kernel = bytes == 8 ? SW_CUDA_COPY_8 : bytes == 1 ? SW_CUDA_COPY_1 : SW_CUDA_COPY_ROWS};
    sw_cuda_copy *p = &l->args.copy;
    *p = (sw_cuda_copy){.in = in->data ? (const char *)in->data + in_at * (long long)bytes : NULL,
                        .out = out->data ? (char *)out->data + out_at * (long long)bytes : NULL,
                        .count = 1,
                        .rank = rank};
    for (int i = 0; i < rank; i++) {
        p->dims[i] = (int)dims[i];
        p->in_stride[i] = in_stride[i], p->out_stride[i] = out_stride[i];
        p->count *= dims[i];
    }
    l->grid_x = sw__cuda_blocks(p->count);
}

static const char *join_rows(const sw_call *c, bool split, sw_cuda_launch *l, int *n) {
    const sw_tensor *whole = split ? c->in[0] : c->out[0];
    int64_t axis = sw_call_int(c, "axis"), first = 0;
    if (axis < 0) axis += whole->rank;
    long long whole_stride[SW_MAX_RANK], part_stride[SW_MAX_RANK];
    sw__cuda_row_strides(whole, whole_stride);
    for (int i = 0; i < (split ? c->n_out : c->n_in); i++) {
        const sw_tensor *part = split ? c->out[i] : c->in[i];
        if (!part || *n == SW_CUDA_MAX_LAUNCHES) return "it has too many parts, or one is absent";
        long long at = first * whole_stride[axis];
        sw__cuda_row_strides(part, part_stride);
        first += part->dims[axis];
        if (sw_tensor_count(part) == 0) continue;
        if (split)
            sw__cuda_copy_box(whole, at, whole_stride, part, 0, part_stride, part->dims, part->rank, &l[(*n)++]);
        else
            sw__cuda_copy_box(part, 0, part_stride, whole, at, whole_stride, part->dims, part->rank, &l[(*n)++]);
    }
    return NULL;
}

static const char *transpose(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    const sw_attr *perm = sw_call_attr(c, "perm", SW_ATTR_INTS);
    long long in[SW_MAX_RANK], from[SW_MAX_RANK], out[SW_MAX_RANK];
    sw__cuda_row_strides(x, in);
    sw__cuda_row_strides(y, out);
    for (int i = 0; i < y->rank; i++) from[i] = in[perm->set ? perm->ints.v[i] : y->rank - 1 - i];
    sw__cuda_copy_box(x, 0, from, y, 0, out, y->dims, y->rank, l);
    return NULL;
}

static const char *slice(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0], *starts = c->in[1], *axes = sw_call_in(c, 3),
                    *steps = sw_call_in(c, 4);
    if (!starts->data || (axes && !axes->data) || (steps && !steps->data)) return "where it begins is not known";
    long long from[SW_MAX_RANK], out[SW_MAX_RANK], at = 0;
    sw__cuda_row_strides(x, from);
    sw__cuda_row_strides(y, out);
    for (int64_t i = 0; i < sw_tensor_count(starts); i++) {
        int64_t axis = axes ? sw_tensor_int_at(axes, i) : i, step = steps ? sw_tensor_int_at(steps, i) : 1;
        int64_t start = sw_tensor_int_at(starts, i);
        if (axis < 0) axis += x->rank;
        if (step < 1) return "it goes backwards";
        if (start < 0) start += x->dims[axis];
        start = start < 0 ? 0 : start > x->dims[axis] ? x->dims[axis] : start;
        at += start * from[axis];
        from[axis] *= step;
    }
    sw__cuda_copy_box(x, at, from, y, 0, out, y->dims, y->rank, l);
    return NULL;
}

/* ---- Rows: arithmetic ---------------------------------------------------------------------------------------------- */

static const char *softmax(const sw_call *c, sw_cuda_kernel kernel, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0];
    int64_t axis = sw_call_int(c, "axis"), outer = 1, inner = 1;
    if (sw_call_int(c, "to_end")) return "it goes over several axes";
    if (axis < 0) axis += x->rank;
    for (int i = 0; i < x->rank; i++) *(i < axis ? &outer : &inner) *= i == axis ? 1 : x->dims[i];
    l->kernel = kernel;
    l->args.softmax = (sw_cuda_softmax){x->data, c->out[0]->data, (int)outer, (int)x->dims[axis], (int)inner};
    l->grid_x = (int)((outer * inner + 7) / 8);
    return NULL;
}

static const char *affine(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0];
    int64_t inner = 1;
    if (x->rank < 2) return "it has no channels";
    for (int i = 2; i < x->rank; i++) inner *= x->dims[i];
    l->kernel = SW_CUDA_AFFINE;
    l->args.affine = (sw_cuda_affine){.in = x->data,
                                      .scale = c->in[1]->data,
                                      .bias = c->in[2]->data,
                                      .mean = c->in[3]->data,
                                      .variance = c->in[4]->data,
                                      .out = c->out[0]->data,
                                      .count = sw_tensor_count(x),
                                      .channels = (int)x->dims[1],
                                      .inner = (int)inner,
                                      .epsilon = sw_call_float(c, "epsilon")};
    l->grid_x = sw__cuda_blocks(sw_tensor_count(x));
    return NULL;
}

static const char *pad(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0], *pads = c->in[1], *value = sw_call_in(c, 2),
                    *axes = sw_call_in(c, 3);
    if (strcmp(sw_call_string(c, "mode"), "constant") != 0) return "its mode is not constant";
    if (!pads->data || (value && !value->data) || (axes && !axes->data)) return "its pads are not known";
    sw_cuda_pad *p = &l->args.pad;
    *p = (sw_cuda_pad){.in = x->data,
                       .out = y->data,
                       .count = sw_tensor_count(y),
                       .rank = y->rank,
                       .value = value ? *(const float *)value->data : 0};
    int64_t n = sw_tensor_count(pads) / 2;
    for (int i = 0; i < y->rank; i++) p->dims[i] = (int)y->dims[i], p->in_dims[i] = (int)x->dims[i];
    for (int64_t i = 0; i < n; i++) {
        int64_t axis = axes ? sw_tensor_int_at(axes, i) : i;
        p->before[axis < 0 ? axis + y->rank : axis] = (int)sw_tensor_int_at(pads, i);
    }
    l->kernel = SW_CUDA_PAD;
    l->grid_x = sw__cuda_blocks(sw_tensor_count(y));
    return NULL;
}

const char *sw__cuda_describe_norm(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *bias = sw_call_in(c, 2);
    int64_t axis = sw_call_int(c, "axis"), rows = 1, length = 1;
    if (axis < 0) axis += x->rank;
    for (int i = 0; i < x->rank; i++) *(i < axis ? &rows : &length) *= x->dims[i];
    if (sw_tensor_count(c->in[1]) != length || (bias && sw_tensor_count(bias) != length)) return "its scale broadcasts";
    if (c->n_out > 1 && (c->out[1] || (c->n_out > 2 && c->out[2]))) return "its mean is wanted";
    l->args.norm = (sw_cuda_norm){.in = x->data,
                                  .scale = c->in[1]->data,
                                  .bias = bias ? bias->data : NULL,
                                  .out = c->out[0]->data,
                                  .rows = (int)rows,
                                  .length = (int)length,
                                  .epsilon = sw_call_float(c, "epsilon")};
    return NULL;
}

/* Over axes that are neighbours. */
static const char *reduce(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0];
    bool reduced[SW_MAX_RANK];
    int64_t sides[3] = {1, 1, 1};
    int part = 0;
    if (sw_call_reduced_axes(c, reduced) != SW_OK) return "its axes are not known";
    for (int i = 0; i < x->rank; i++) {
        if (reduced[i] != (part == 1)) part++;
        if (part > 2) return "its axes are not neighbours";
        sides[part] *= x->dims[i];
    }
    l->kernel = SW_CUDA_REDUCE;
    l->args.reduce = (sw_cuda_reduce){.in = x->data,
                                      .out = c->out[0]->data,
                                      .outer = (int)sides[0],
                                      .length = (int)sides[1],
                                      .inner = (int)sides[2],
                                      .op = c->op == SW_OP_ReduceSum    ? CUDA_REDUCE_SUM
                                            : c->op == SW_OP_ReduceMean ? CUDA_REDUCE_MEAN
                                            : c->op == SW_OP_ReduceMax  ? CUDA_REDUCE_MAX
                                                                        : CUDA_REDUCE_MIN};
    l->grid_x =
        sides[1] <= CUDA_SHORT_LANE ? sw__cuda_blocks(sides[0] * sides[2]) : (int)((sides[0] * sides[2] + 7) / 8);
    return NULL;
}

static void launch_matmul(sw_cuda_launch *l) {
    const sw_cuda_matmul *m = &l->args.matmul;
    l->kernel = SW_CUDA_MATMUL;
    l->grid_x = (m->m + 31) / 32 * ((m->n + 31) / 32);
    l->grid_y = m->batch;
    l->shared_bytes = 2 * 32 * 33 * 4;
}

static const char *matmul(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
    if (a->rank < 2 || b->rank < 2) return "it has a vector";
    int64_t m = a->dims[a->rank - 2], k = a->dims[a->rank - 1], n = b->dims[b->rank - 1], batch = 1, a_batch = 1,
            b_batch = 1;
    for (int i = 0; i < y->rank - 2; i++) batch *= y->dims[i];
    for (int i = 0; i < a->rank - 2; i++) a_batch *= a->dims[i];
    for (int i = 0; i < b->rank - 2; i++) b_batch *= b->dims[i];
    if ((a_batch != 1 && a_batch != batch) || (b_batch != 1 && b_batch != batch)) return "it broadcasts matrices";
    if (batch > 65535) return "it has too many matrices";
    l->args.matmul = (sw_cuda_matmul){.a = a->data,
                                      .b = b->data,
                                      .out = y->data,
                                      .batch = (int)batch,
                                      .m = (int)m,
                                      .n = (int)n,
                                      .k = (int)k,
                                      .a_batch = a_batch > 1 ? m * k : 0,
                                      .a_row = k,
                                      .a_column = 1,
                                      .b_batch = b_batch > 1 ? k * n : 0,
                                      .b_row = n,
                                      .b_column = 1,
                                      .alpha = 1};
    launch_matmul(l);
    return NULL;
}

static const char *gemm(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *bias = sw_call_in(c, 2), *y = c->out[0];
    bool ta = sw_call_int(c, "transA"), tb = sw_call_int(c, "transB");
    if (bias && sw_call_float(c, "beta") != 1) return "its beta is not 1";
    l->args.matmul = (sw_cuda_matmul){.a = a->data,
                                      .b = b->data,
                                      .out = y->data,
                                      .batch = 1,
                                      .m = (int)y->dims[0],
                                      .n = (int)y->dims[1],
                                      .k = (int)a->dims[ta ? 0 : 1],
                                      .a_row = ta ? 1 : a->dims[1],
                                      .a_column = ta ? a->dims[1] : 1,
                                      .b_row = tb ? 1 : b->dims[1],
                                      .b_column = tb ? b->dims[1] : 1,
                                      .alpha = sw_call_float(c, "alpha")};
    if (bias) {
        long long strides[2];
        sw__cuda_broadcast(bias, y, strides);
        l->args.matmul.bias = bias->data;
        l->args.matmul.bias_row = strides[0], l->args.matmul.bias_column = strides[1];
    }
    if (!sw_cuda_lower_few_rows(c, NULL, l)) launch_matmul(l);
    return NULL;
}

bool sw_cuda_lower_few_rows(const sw_call *c, const sw_call *act, sw_cuda_launch *l) {
    const sw_tensor *a = c->in[0], *b = c->in[1], *bias = sw_call_in(c, 2), *y = c->out[0];
    sw__activation end = {CUDA_ACT_NONE, 0, 0};
    bool columns = sw_call_int(c, "transB");
    int64_t k = a->dims[1];
    if (y->dims[0] > SW_CUDA_MOST_FEW || sw_call_int(c, "transA") || (bias && sw_call_float(c, "beta") != 1))
        return false;
    if ((columns && k % 4) || (act && !sw__cuda_find_activation(act, &end))) return false;
    sw_cuda_few_rows p = {.a = a->data,
                          .b = b->data,
                          .bias = bias ? bias->data : NULL,
                          .out = act ? act->out[0]->data : y->data,
                          .m = (int)y->dims[0],
                          .n = (int)y->dims[1],
                          .k = (int)k,
                          .act = end.act,
                          .alpha = sw_call_float(c, "alpha"),
                          .act_a = end.a,
                          .act_b = end.b};
    long long strides[2];
    if (bias) sw__cuda_broadcast(bias, y, strides), p.bias_row = strides[0], p.bias_column = strides[1];
    *l = (sw_cuda_launch){.kernel = columns ? SW_CUDA_FEW_ROWS_COLUMNS : SW_CUDA_FEW_ROWS,
                          .grid_x = (p.n + 7) / 8,
                          .grid_y = (p.m + 3) / 4,
                          .shared_bytes = columns ? 0 : SW__CUDA_THREADS * 4,
                          .args.few_rows = p};
    return true;
}

static const char *dfl(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    int64_t bins = sw_call_int(c, "bins");
    l->kernel = SW_CUDA_DFL;
    l->args.dfl =
        (sw_cuda_dfl){x->data, y->data, (int)x->dims[0], (int)(x->dims[1] / bins), (int)bins, (int)x->dims[2]};
    l->grid_x = sw__cuda_blocks(sw_tensor_count(y));
    return NULL;
}

/* ---- All steps ----------------------------------------------------------------------------------------------------- */

static const char *lower_maps(const sw_call *c, sw_cuda_cell cell, sw_cuda_launch *l, int *n) {
    sw__activation act;
    switch (c->op) {
    case SW_OP_Concat:
        return join_maps(c, false, cell, l, n);
    case SW_OP_Split:
        return join_maps(c, true, cell, l, n);
    case SW_OP_MaxPool:
        return *n = 1, pool(c, l);
    case SW_OP_AveragePool:
        return *n = 1, pool(c, l);
    case SW_OP_PixelShuffle:
        return *n = 1, shuffle(c, l);
    case SW_OP_ChannelShuffle:
        return *n = 1, shuffle_channels(c->in[0], c->out[0], sw_call_int(c, "groups"), l), NULL;
    case SW_OP_Resize:
        return *n = 1, resize(c, l);
    case SW_OP_GlobalAveragePool:
        return *n = 1, mean(c, l);
    case SW_OP_Relayout:
        return *n = 1, relayout(c, l);
    default:
        break;
    }
    *n = 1;
    if (sw__cuda_find_activation(c, &act) || sw__cuda_binary_op(c->op) >= 0)
        return element_map(c, &act, sw__cuda_binary_op(c->op), l);
    return "there is no GPU kernel for it";
}

/* Those that move rows of any type. */
static const char *lower_moves(const sw_call *c, sw_cuda_launch *l, int *n, bool *taken) {
    *taken = true;
    *n = 0;
    if (c->op == SW_OP_Concat) return join_rows(c, false, l, n);
    if (c->op == SW_OP_Split) return join_rows(c, true, l, n);
    *n = 1;
    if (c->op == SW_OP_Transpose) return transpose(c, l);
    if (c->op == SW_OP_Slice) return slice(c, l);
    if (c->op == SW_OP_ChannelShuffle) return shuffle_planes(c, l);
    *taken = false;
    return NULL;
}

static const char *lower_floats(const sw_call *c, sw_cuda_launch *l, bool *taken) {
    *taken = true;
    switch (c->op) {
    case SW_OP_Softmax:
        return softmax(c, SW_CUDA_SOFTMAX, l);
    case SW_OP_LogSoftmax:
        return softmax(c, SW_CUDA_LOG_SOFTMAX, l);
    case SW_OP_BatchNormalization:
        return affine(c, l);
    case SW_OP_Pad:
        return pad(c, l);
    case SW_OP_ReduceSum:
    case SW_OP_ReduceMean:
    case SW_OP_ReduceMax:
    case SW_OP_ReduceMin:
        return reduce(c, l);
    case SW_OP_MatMul:
        return matmul(c, l);
    case SW_OP_Gemm:
        return gemm(c, l);
    case SW_OP_Dfl:
        return dfl(c, l);
    default:
        break;
    }
    *taken = false;
    return NULL;
}

/* Whether all that is read and written on the GPU is float32. */
static bool is_float(const sw_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i] && sw_cuda_is_operand(c->op, i, c->in[i]) && c->in[i]->dtype != SW_F32) return false;
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i] && c->out[i]->dtype != SW_F32) return false;
    return true;
}

static const char *lower_rows(const sw_call *c, sw_cuda_cell cell, sw_cuda_launch *l, int *n) {
    static const char *(*const others[])(const sw_call *, sw_cuda_launch *,
                                         bool *) = {sw__cuda_lower_pick, sw__cuda_lower_typed, sw__cuda_lower_sample};
    bool taken;
    const char *why = lower_moves(c, l, n, &taken);
    if (taken) return why;
    if (is_float(c)) {
        why = lower_floats(c, l, &taken);
        if (taken) return why;
        why = sw__cuda_lower_planes(c, cell == SW_CUDA_TF32, l, &taken);
        if (taken) return why;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        why = others[i](c, l, &taken);
        if (taken) return why;
    }
    return "there is no GPU kernel for it";
}

const char *sw_cuda_lower(const sw_call *c, sw_cuda_cell cell, sw_cuda_launch *l, int *n) {
    bool maps = false;
    *n = 0;
    for (int i = 0; i < c->n_in + c->n_out; i++) {
        const sw_tensor *t = i < c->n_in ? c->in[i] : c->out[i - c->n_in];
        if (!t) continue;
        maps |= is_map(t);
        int64_t count = sw_tensor_count(t);
        if (count < 0 || count > INT32_MAX / 4) return "a tensor is too large";
        if (t->rank > CUDA_MAX_RANK) return "a tensor has too many axes";
        if (i >= c->n_in && count == 0) return "its result is empty";
    }
    memset(l, 0, sizeof *l);
    bool taken;
    const char *why = sw__cuda_lower_tokens(c, l, &taken);
    if (taken) {
        *n = why ? 0 : 1;
        if (l->grid_y == 0) l->grid_y = 1;
        return why;
    }
    if (maps && !is_float(c)) return "it is not float32";
    why = maps ? lower_maps(c, cell, l, n) : lower_rows(c, cell, l, n);
    for (int i = 0; i < *n; i++)
        if (l[i].grid_y == 0) l[i].grid_y = 1;
    return why;
}

/* ---- Fused --------------------------------------------------------------------------------------------------------- */

void sw_cuda_launch_pool_chain(sw_cuda_launch *l, sw_cuda_cell cell) {
    const sw_cuda_pool *p = &l->args.pool;
    l->kernel = SW_CUDA_POOL_CHAIN;
    l->grid_x = p->batch * (p->channels * sw_cuda_cell_bytes(cell) / 16);
    l->grid_y = p->rounds;
    l->shared_bytes = p->height * p->width * 32;
}

bool sw_cuda_has_attention(int64_t dq, int64_t dv) {
    return dq == 32 && (dv == 32 || dv == 64);
}

void sw_cuda_launch_attention(sw_cuda_launch *l, int dq, int dv, int batch, const sw_cuda_info *gpu) {
    enum { MULTIPROCESSORS = 128, BUFFERS = 2, KEYS = 64 }; /* about as many as GPUs have; of a team */
    static const sw_cuda_kernel kernels[2][3] = {
        {SW_CUDA_ATTENTION_32_32_FEW, SW_CUDA_ATTENTION_32_32, SW_CUDA_ATTENTION_32_32_MANY},
        {SW_CUDA_ATTENTION_32_64_FEW, SW_CUDA_ATTENTION_32_64, SW_CUDA_ATTENTION_32_64_MANY}};
    const sw_cuda_attention *p = &l->args.attention;
    int sixteens = (p->tokens + 15) / 16 * p->heads * batch, team = BUFFERS * KEYS * (dq + dv) * 2;
    bool few = sixteens <= MULTIPROCESSORS || 4 * team > sw_cuda_most_shared(gpu) || sw_cuda_is_float(gpu->cell);
    bool many = sixteens >= 6 * MULTIPROCESSORS;
    int queries = few ? 16 : 32, states = 8 * (dv / 8 * 4 + 4) * 128; /* of half the warps */
    l->kernel = kernels[dv == 64][few ? 0 : many ? 2 : 1];
    l->grid_x = (p->tokens + queries - 1) / queries;
    l->grid_y = p->heads * batch;
    l->shared_bytes = few ? states : many ? 2 * team : 4 * team;
}

void sw_cuda_launch_decode(sw_cuda_launch *l, int batch, sw_cuda_cell cell) {
    const sw_cuda_decode *p = &l->args.decode;
    int chunk = 16 / sw_cuda_cell_bytes(cell), words = (p->classes + chunk - 1) / chunk * 4 + 1;
    l->kernel = SW_CUDA_DECODE;
    l->grid_x = p->first_block[p->levels];
    l->grid_y = batch;
    l->shared_bytes = CUDA_DECODE_ANCHORS * (64 / chunk * 4 + 1 + 5 + words) * 4;
}

void sw_cuda_launch_convert(sw_cuda_launch *l, bool to_map) {
    const sw_cuda_convert *p = &l->args.convert;
    l->kernel = to_map ? SW_CUDA_FROM_HOST : SW_CUDA_TO_HOST;
    l->grid_x = sw__cuda_blocks(p->pixels * (to_map ? round_up(p->channels, 8) : p->channels));
    l->grid_y = 1;
}
