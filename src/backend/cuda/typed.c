/* Arithmetic of int64 and bool, and what has no kernel of its own for float32: one kernel for all, element by element. */
#include "backend/cuda/lower.h"

static const struct {
    sw_op op;
    int code;
} codes[] = {
    {SW_OP_Add, CUDA_ADD},
    {SW_OP_Sub, CUDA_SUB},
    {SW_OP_Mul, CUDA_MUL},
    {SW_OP_Div, CUDA_DIV},
    {SW_OP_Min, CUDA_MIN},
    {SW_OP_Max, CUDA_MAX},
    {SW_OP_Mod, CUDA_MOD},
    {SW_OP_Pow, CUDA_POW},
    {SW_OP_PRelu, CUDA_PRELU},
    {SW_OP_Where, CUDA_WHERE},
    {SW_OP_Cast, CUDA_CAST},
    {SW_OP_Equal, CUDA_EQUAL},
    {SW_OP_Less, CUDA_LESS},
    {SW_OP_LessOrEqual, CUDA_LESS_EQUAL},
    {SW_OP_Greater, CUDA_GREATER},
    {SW_OP_GreaterOrEqual, CUDA_GREATER_EQUAL},
    {SW_OP_And, CUDA_AND},
    {SW_OP_Or, CUDA_OR},
    {SW_OP_Xor, CUDA_XOR},
    {SW_OP_Not, CUDA_NOT},
    {SW_OP_IsNaN, CUDA_IS_NAN},
};

static int code_of(sw_op op) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].op == op) return codes[i].code;
    return -1;
}

/* The kernels' name of a type; -1: it has none. */
static int type_of(sw_dtype dtype) {
    switch (dtype) {
    case SW_F32:
        return CUDA_F32;
    case SW_I64:
        return CUDA_I64;
    case SW_BOOL:
        return CUDA_BOOL;
    case SW_I32:
        return CUDA_I32;
    case SW_U8:
        return CUDA_U8;
    case SW_F16:
        return CUDA_F16;
    default:
        return -1;
    }
}

bool sw_cuda_has_type(sw_dtype dtype) {
    return type_of(dtype) >= 0;
}

static bool is_reshape(sw_op op) {
    return op == SW_OP_Reshape || op == SW_OP_Flatten || op == SW_OP_Squeeze || op == SW_OP_Unsqueeze ||
           op == SW_OP_Identity;
}

bool sw_cuda_is_operand(sw_op op, int i, const sw_tensor *t) {
    if (t->dtype == SW_F32) return i == 0 || (op != SW_OP_Resize && op != SW_OP_Clip && op != SW_OP_Pad);
    if (!sw_cuda_has_type(t->dtype)) return false;
    if (t->dtype == SW_F16) return i == 0 && (op == SW_OP_Cast || is_reshape(op));
    if (is_reshape(op)) return i == 0;
    switch (op) {
    case SW_OP_Gather:
    case SW_OP_GatherElements:
    case SW_OP_Concat:
        return true;
    case SW_OP_Split:
    case SW_OP_Transpose:
    case SW_OP_Slice:
    case SW_OP_Expand:
    case SW_OP_Tile:
        return i == 0;
    default:
        return code_of(op) >= 0;
    }
}

const char *sw__cuda_lower_typed(const sw_call *c, sw_cuda_launch *l, bool *taken) {
    int code = code_of(c->op);
    const sw_tensor *y = c->out[0];
    *taken = code >= 0;
    if (!*taken) return NULL;
    if (code == CUDA_MOD && sw_call_int(c, "fmod")) code = CUDA_FMOD;
    if (c->n_in > 3 || (c->n_in == 3) != (code == CUDA_WHERE) || !c->in[0]) return "it has another number of inputs";
    bool whole = c->in[0]->dtype != SW_F32;
    if (whole && (code == CUDA_POW || code == CUDA_PRELU)) return "it is not float32";
    bool one = code == CUDA_CAST || code == CUDA_NOT || code == CUDA_IS_NAN || code == CUDA_WHERE;
    if (c->n_in < 2 && !one) return "it has one input only";
    l->kernel = SW_CUDA_TYPED_ROWS;
    sw_cuda_typed *p = &l->args.typed;
    *p = (sw_cuda_typed){.out = y->data,
                         .count = sw_tensor_count(y),
                         .rank = y->rank,
                         .op = code,
                         .n_in = c->n_in,
                         .out_type = type_of(y->dtype)};
    for (int i = 0; i < y->rank; i++) p->dims[i] = (int)y->dims[i];
    for (int i = 0; i < c->n_in; i++) {
        if (!sw_cuda_is_operand(c->op, i, c->in[i])) return "it has a type that only casts take";
        if (!one && c->in[i]->dtype != c->in[0]->dtype) return "its types differ";
        p->in[i] = c->in[i]->data;
        p->types[i] = type_of(c->in[i]->dtype);
        sw__cuda_broadcast(c->in[i], y, p->stride[i]);
    }
    l->grid_x = sw__cuda_blocks(p->count);
    return NULL;
}
