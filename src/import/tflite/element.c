/* Element by element, with numpy broadcasting; softmax and its like. */
#include <string.h>

#include "import/tflite/model.h"

/* ---- Operands ------------------------------------------------------------------------------------------------------ */

sw_axes sw__tfl_common(sw_tfl_node *n) {
    int rank = 0;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->like.rank > rank) rank = n->in[i]->like.rank;
    for (int i = 0; i < n->n_in; i++) {
        const sw_tfl_tensor *t = n->in[i];
        if (t && t->like.rank == rank && t->n_forms && !t->like.data) return t->forms[0].axes;
    }
    return sw_axes_plain(rank);
}

/* The tensor with axes of extent 1 in front. */
static sw_tfl_tensor *widened(sw_tfl *m, sw_tfl_tensor *t, int rank) {
    sw_tfl_tensor *wide = SW_ARENA_NEW(m->scratch, sw_tfl_tensor);
    if (!wide) return sw__tfl_nomem(m);
    int more = rank - t->like.rank;
    *wide = *t;
    wide->n_forms = 0;
    wide->real = NULL;
    wide->like.rank = rank;
    wide->scale_axis += more;
    for (int i = 0; i < rank; i++) wide->like.dims[i] = i < more ? 1 : t->like.dims[i - more];
    if (t->like.data) return wide;
    if (t->quantised && t->quantised->like.data) {
        wide->quantised = widened(m, t->quantised, rank);
        return wide->quantised ? wide : NULL;
    }
    sw_axes plain = sw_axes_plain(t->like.rank);
    sw_value *value = sw__tfl_in_form(m, t, &plain);
    int64_t dims[SW_MAX_RANK];
    for (int i = 0; i < rank && value; i++) dims[i] = i < more ? 1 : value->type.dims[i - more];
    value = value ? sw__tfl_settle(m, sw__tfl_reshape(m, t->name, value, dims, rank)) : NULL;
    wide->forms[0] = (sw_tfl_form){value, sw_axes_plain(rank)};
    wide->n_forms = 1;
    return value ? wide : NULL;
}

sw_value *sw__tfl_operand(sw_tfl_node *n, int i, const sw_axes *axes) {
    if (i >= n->n_in || !n->in[i]) return sw__tfl_refuse(n, SW_E_MODEL, "input %d is missing", i + 1);
    sw_tfl_tensor *t = n->in[i];
    if (t->like.rank == axes->n) return sw__tfl_in_form(n->m, t, axes);
    if (sw_axes_is_plain(axes) || t->like.rank == 0) return sw__tfl_plain(n, i);
    t = widened(n->m, t, axes->n);
    return t ? sw__tfl_in_form(n->m, t, axes) : NULL;
}

/* ---- One operand --------------------------------------------------------------------------------------------------- */

static void unary(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_any(n, 0, &axes);
    sw__tfl_out_real(n, 0, SW_TFL_APPLY(n, (sw_op)n->arg, x), axes);
}

static void clip(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_any(n, 0, &axes);
    double low = n->code == SW_TFL_RELU_N1_TO_1 ? -1 : 0, high = n->code == SW_TFL_RELU6 ? 6 : 1;
    if (!x) return;
    sw_value *y = SW_TFL_APPLY(n, SW_OP_Clip, x, sw__tfl_number(n->m, x->type.dtype, low),
                               sw__tfl_number(n->m, x->type.dtype, high));
    sw__tfl_out_real(n, 0, y, axes);
}

static void with_alpha(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *y = SW_TFL_APPLY(n, (sw_op)n->arg, sw__tfl_any(n, 0, &axes));
    if (n->arg == SW_OP_LeakyRelu) sw__tfl_set_float(y, "alpha", sw_fb_f32(&n->options, 0, 0));
    if (n->arg == SW_OP_Gelu && sw_fb_u8(&n->options, 0, 0)) sw__tfl_set_string(n->m, y, "approximate", "tanh");
    sw__tfl_out_real(n, 0, y, axes);
}

static void square(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_any(n, 0, &axes);
    sw__tfl_out_real(n, 0, SW_TFL_APPLY(n, SW_OP_Mul, x, x), axes);
}

static void inverse_root(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *root = SW_TFL_APPLY(n, SW_OP_Sqrt, sw__tfl_any(n, 0, &axes));
    sw__tfl_out_real(n, 0, SW_TFL_APPLY(n, SW_OP_Reciprocal, root), axes);
}

/* The last axis of the file is normalised. */
static void last_axis(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *x = sw__tfl_any(n, 0, &axes);
    float beta = n->arg == SW_OP_Softmax ? sw_fb_f32(&n->options, 0, 0) : 1;
    if (!x) return;
    if (axes.n == 0) {
        sw__tfl_refuse(n, SW_E_MODEL, "the input has no axis");
        return;
    }
    if (beta != 1) x = SW_TFL_APPLY(n, SW_OP_Mul, x, sw__tfl_number(n->m, SW_F32, (double)beta));
    sw_value *y = SW_TFL_APPLY(n, (sw_op)n->arg, x);
    sw__tfl_set_int(y, "axis", sw_axes_find(&axes, axes.n - 1));
    sw__tfl_out_real(n, 0, y, axes);
}

/* ---- Two operands -------------------------------------------------------------------------------------------------- */

static sw_value *pair(sw_tfl_node *n, sw_op op, sw_axes *axes) {
    *axes = sw__tfl_common(n);
    return SW_TFL_APPLY(n, op, sw__tfl_operand(n, 0, axes), sw__tfl_operand(n, 1, axes));
}

static void binary(sw_tfl_node *n) {
    sw_axes axes;
    bool fuses = n->arg == SW_OP_Add || n->arg == SW_OP_Sub || n->arg == SW_OP_Mul || n->arg == SW_OP_Div;
    sw__tfl_all_real(n);
    sw_value *y = pair(n, (sw_op)n->arg, &axes);
    sw__tfl_out_act(n, y, axes, fuses ? sw_fb_i8(&n->options, 0, 0) : SW_TFL_ACT_NONE, true);
}

static void comparison(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *y = pair(n, (sw_op)n->arg, &axes);
    if (n->code == SW_TFL_NOT_EQUAL) y = SW_TFL_APPLY(n, SW_OP_Not, y);
    sw__tfl_out(n, 0, y, axes);
}

static void squared_difference(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    sw_value *d = pair(n, SW_OP_Sub, &axes);
    sw__tfl_out_real(n, 0, SW_TFL_APPLY(n, SW_OP_Mul, d, d), axes);
}

/* Quotients rounded down, and what they leave, which has the sign of the divisor. */
static void floor_division(sw_tfl_node *n) {
    sw_axes axes = sw__tfl_common(n);
    sw__tfl_all_real(n);
    sw_value *a = sw__tfl_operand(n, 0, &axes), *b = sw__tfl_operand(n, 1, &axes), *y;
    if (!a || !b) return;
    bool rest = n->code == SW_TFL_FLOOR_MOD;
    if (a->type.dtype == SW_F32 || a->type.dtype == SW_F64) {
        y = SW_TFL_APPLY(n, SW_OP_Floor, SW_TFL_APPLY(n, SW_OP_Div, a, b));
        if (rest) y = SW_TFL_APPLY(n, SW_OP_Sub, a, SW_TFL_APPLY(n, SW_OP_Mul, y, b));
    } else {
        y = SW_TFL_APPLY(n, SW_OP_Mod, a, b);
        if (!rest) y = SW_TFL_APPLY(n, SW_OP_Div, SW_TFL_APPLY(n, SW_OP_Sub, a, y), b);
    }
    sw__tfl_out_real(n, 0, y, axes);
}

static void sum_all(sw_tfl_node *n) {
    sw__tfl_all_real(n);
    sw_axes axes = sw__tfl_common(n);
    sw_value **in = SW_ARENA_ARRAY(n->m->scratch, sw_value *, n->n_in);
    if (!in) {
        sw__tfl_nomem(n->m);
        return;
    }
    for (int i = 0; i < n->n_in; i++) in[i] = sw__tfl_operand(n, i, &axes);
    if (n->n_in < 1)
        sw__tfl_refuse(n, SW_E_MODEL, "there is no input");
    else
        sw__tfl_out_real(n, 0, sw__tfl_apply(n->m, SW_OP_Sum, n->out[0]->name, n->n_in, in), axes);
}

/* SELECT's condition of rank 1 chooses whole rows. */
static void choose(sw_tfl_node *n) {
    sw__tfl_all_real(n);
    sw_axes axes = sw__tfl_common(n);
    if (n->code == SW_TFL_SELECT && n->n_in > 0 && n->in[0] && n->in[0]->like.rank == 1 && axes.n > 1)
        axes = sw_axes_plain(axes.n);
    sw_value *condition = sw__tfl_operand(n, 0, &axes);
    if (condition && n->code == SW_TFL_SELECT && condition->type.rank == 1 && axes.n > 1) {
        int64_t dims[SW_MAX_RANK] = {condition->type.dims[0], 1, 1, 1, 1, 1, 1, 1};
        condition = sw__tfl_reshape(n->m, n->out[0]->name, condition, dims, axes.n);
    }
    sw_value *y = SW_TFL_APPLY(n, SW_OP_Where, condition, sw__tfl_operand(n, 1, &axes), sw__tfl_operand(n, 2, &axes));
    sw__tfl_out_real(n, 0, y, axes);
}

/* ---- Types --------------------------------------------------------------------------------------------------------- */

static void cast(sw_tfl_node *n) {
    sw_axes axes;
    sw_value *x = sw__tfl_any(n, 0, &axes);
    if (!n->out[0]->like.dtype)
        sw__tfl_refuse(n, SW_E_UNSUPPORTED, "to %s is not supported", sw__tfl_type_name(n->out[0]->type));
    else
        sw__tfl_out(n, 0, sw__tfl_cast(n->m, n->out[0]->name, x, n->out[0]->like.dtype), axes);
}

/* QUANTIZE (also from one scale to another) and DEQUANTIZE: the same number in another type. */
static void requantise(sw_tfl_node *n) {
    sw_axes axes;
    sw__tfl_all_real(n);
    /* Dequantised constants stay what they are: weights are then wanted in their own order. */
    if (n->n_in > 0 && n->in[0] && !sw__tfl_quantised(n->out[0]) &&
        (n->in[0]->like.data || (n->in[0]->quantised && n->in[0]->quantised->like.data)) && !n->out[0]->n_forms &&
        !n->out[0]->like.data && n->in[0]->like.dtype == n->out[0]->like.dtype) {
        const char *name = n->out[0]->name;
        *n->out[0] = *n->in[0];
        n->out[0]->name = name;
        return;
    }
    sw_value *x = sw__tfl_any(n, 0, &axes);
    sw__tfl_out_real(n, 0, x, axes);
}

static void zeros_like(sw_tfl_node *n) {
    int64_t dims[SW_MAX_RANK];
    int rank;
    if (n->n_in < 1 || !n->in[0] || !sw__tfl_dims(n, n->in[0], dims, &rank) || !n->out[0]->like.dtype) return;
    sw_value *zero = sw__tfl_number(n->m, n->out[0]->like.dtype, (double)sw__tfl_zero(n->out[0]));
    sw__tfl_out(n, 0, SW_TFL_APPLY(n, SW_OP_Expand, zero, sw__tfl_const_ints(n->m, dims, rank)), sw_axes_plain(rank));
}

const sw_tfl_row sw__tfl_element[] = {
    {SW_TFL_ADD, binary, SW_OP_Add},
    {SW_TFL_SUB, binary, SW_OP_Sub},
    {SW_TFL_MUL, binary, SW_OP_Mul},
    {SW_TFL_DIV, binary, SW_OP_Div},
    {SW_TFL_MAXIMUM, binary, SW_OP_Max},
    {SW_TFL_MINIMUM, binary, SW_OP_Min},
    {SW_TFL_POW, binary, SW_OP_Pow},
    {SW_TFL_PRELU, binary, SW_OP_PRelu},
    {SW_TFL_SQUARED_DIFFERENCE, squared_difference, 0},
    {SW_TFL_FLOOR_DIV, floor_division, 0},
    {SW_TFL_FLOOR_MOD, floor_division, 0},
    {SW_TFL_ADD_N, sum_all, 0},
    {SW_TFL_EQUAL, comparison, SW_OP_Equal},
    {SW_TFL_NOT_EQUAL, comparison, SW_OP_Equal},
    {SW_TFL_LESS, comparison, SW_OP_Less},
    {SW_TFL_LESS_EQUAL, comparison, SW_OP_LessOrEqual},
    {SW_TFL_GREATER, comparison, SW_OP_Greater},
    {SW_TFL_GREATER_EQUAL, comparison, SW_OP_GreaterOrEqual},
    {SW_TFL_LOGICAL_AND, comparison, SW_OP_And},
    {SW_TFL_LOGICAL_OR, comparison, SW_OP_Or},
    {SW_TFL_LOGICAL_NOT, unary, SW_OP_Not},
    {SW_TFL_SELECT, choose, 0},
    {SW_TFL_SELECT_V2, choose, 0},
    {SW_TFL_ABS, unary, SW_OP_Abs},
    {SW_TFL_NEG, unary, SW_OP_Neg},
    {SW_TFL_EXP, unary, SW_OP_Exp},
    {SW_TFL_LOG, unary, SW_OP_Log},
    {SW_TFL_SQRT, unary, SW_OP_Sqrt},
    {SW_TFL_RSQRT, inverse_root, 0},
    {SW_TFL_SQUARE, square, 0},
    {SW_TFL_FLOOR, unary, SW_OP_Floor},
    {SW_TFL_CEIL, unary, SW_OP_Ceil},
    {SW_TFL_ROUND, unary, SW_OP_Round},
    {SW_TFL_SIN, unary, SW_OP_Sin},
    {SW_TFL_COS, unary, SW_OP_Cos},
    {SW_TFL_SIGN, unary, SW_OP_Sign},
    {SW_TFL_RELU, unary, SW_OP_Relu},
    {SW_TFL_RELU6, clip, 0},
    {SW_TFL_RELU_N1_TO_1, clip, 0},
    {SW_TFL_RELU_0_TO_1, clip, 0},
    {SW_TFL_LOGISTIC, unary, SW_OP_Sigmoid},
    {SW_TFL_TANH, unary, SW_OP_Tanh},
    {SW_TFL_ELU, unary, SW_OP_Elu},
    {SW_TFL_HARD_SWISH, unary, SW_OP_HardSwish},
    {SW_TFL_GELU, with_alpha, SW_OP_Gelu},
    {SW_TFL_LEAKY_RELU, with_alpha, SW_OP_LeakyRelu},
    {SW_TFL_SOFTMAX, last_axis, SW_OP_Softmax},
    {SW_TFL_LOG_SOFTMAX, last_axis, SW_OP_LogSoftmax},
    {SW_TFL_L2_NORMALIZATION, last_axis, SW_OP_LpNormalization},
    {SW_TFL_CAST, cast, 0},
    {SW_TFL_QUANTIZE, requantise, 0},
    {SW_TFL_DEQUANTIZE, requantise, 0},
    {SW_TFL_ZEROS_LIKE, zeros_like, 0},
    {0, NULL, 0},
};
