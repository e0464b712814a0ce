#include "ops/cost.h"

#include "ops/fused_attention.h"

/* A dim as a number: 1 for an unknown batch, -1 for what else is not known. */
static double dim(const sw_tensor *t, int axis) {
    if (t->dims[axis] >= 0) return (double)t->dims[axis];
    return axis == 0 ? 1 : -1;
}

/* Product of the dims from `first` on; -1 when one is not known. */
static double product(const sw_tensor *t, int first) {
    if (t->rank < 0) return -1;
    double result = 1;
    for (int i = first; i < t->rank; i++) {
        double d = dim(t, i);
        if (d < 0) return -1;
        result *= d;
    }
    return result;
}

static double multiply(double a, double b) {
    return a < 0 || b < 0 ? -1 : a * b;
}

double sw_call_macs(const sw_call *c) {
    if (c->n_in < 2 || !c->in[0] || !c->in[1] || !c->n_out || !c->out[0]) return 0;
    const sw_tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
    switch (c->op) {
    case SW_OP_Conv:
    case SW_OP_FusedConv:
    case SW_OP_ConvInteger:
    case SW_OP_DeformConv:
        return b->rank < 2 ? -1 : multiply(product(y, 0), product(b, 1));
    case SW_OP_QLinearConv:
        return c->n_in < 4 || !c->in[3] || c->in[3]->rank < 2 ? -1 : multiply(product(y, 0), product(c->in[3], 1));
    case SW_OP_ConvTranspose:
        return b->rank < 2 ? -1 : multiply(product(a, 0), product(b, 1));
    case SW_OP_Gemm:
        return a->rank != 2 ? -1 : multiply(product(y, 0), dim(a, sw_call_int(c, "transA") ? 0 : 1));
    case SW_OP_MatMul:
    case SW_OP_FusedProduct:
    case SW_OP_MatMulInteger:
    case SW_OP_QLinearMatMul:
        return a->rank < 1 ? -1 : multiply(product(y, 0), dim(a, a->rank - 1));
    case SW_OP_FusedAttention: {
        sw_fused_attention f;
        if (sw_call_fused_attention(c, &f) != SW_OK) return -1;
        return (double)f.heads * (double)f.queries * (double)f.keys * (double)(f.size + f.value_size);
    }
    default:
        return 0;
    }
}

/* What the operations of an operator are counted by. */
typedef enum basis {
    UNKNOWN,
    MACS,    /* multiply-adds */
    OUTPUTS, /* `times` for each element of the first output */
    INPUTS,  /* `times` for each element of the first input */
    EACH,    /* for each element of the first output, one for every input but the first */
    WINDOW,  /* for each element of the first output, one for every element of the window */
    MOVE,    /* none */
} basis;

typedef struct row {
    basis basis;
    int times;
} row;

#define OP(id, basis, times) [SW_OP_##id] = {basis, times},
/* clang-format off */
static const row rows[SW_OP_COUNT] = {
    OP(Conv, MACS, 0) OP(FusedConv, MACS, 0) OP(FusedProduct, MACS, 0) OP(FusedAttention, MACS, 0)
    OP(ConvInteger, MACS, 0) OP(DeformConv, MACS, 0) OP(QLinearConv, MACS, 0) OP(ConvTranspose, MACS, 0)
    OP(Gemm, MACS, 0) OP(MatMul, MACS, 0) OP(MatMulInteger, MACS, 0) OP(QLinearMatMul, MACS, 0)
    OP(QuantizeLinear, OUTPUTS, 2) OP(DequantizeLinear, OUTPUTS, 2) OP(BatchNormalization, OUTPUTS, 2)
    OP(InstanceNormalization, OUTPUTS, 6) OP(LayerNormalization, OUTPUTS, 6) OP(RMSNormalization, OUTPUTS, 4)
    OP(LpNormalization, OUTPUTS, 3) OP(Softmax, OUTPUTS, 5) OP(LogSoftmax, OUTPUTS, 5) OP(Hardmax, OUTPUTS, 1)
    OP(CumSum, OUTPUTS, 1) OP(CumProd, OUTPUTS, 1) OP(Abs, OUTPUTS, 1) OP(Neg, OUTPUTS, 1) OP(Sign, OUTPUTS, 1)
    OP(Exp, OUTPUTS, 1) OP(Log, OUTPUTS, 1) OP(Sqrt, OUTPUTS, 1) OP(Reciprocal, OUTPUTS, 1) OP(Floor, OUTPUTS, 1)
    OP(Ceil, OUTPUTS, 1) OP(Round, OUTPUTS, 1) OP(Sin, OUTPUTS, 1) OP(Cos, OUTPUTS, 1) OP(Tan, OUTPUTS, 1)
    OP(Tanh, OUTPUTS, 1) OP(Erf, OUTPUTS, 1) OP(Sigmoid, OUTPUTS, 3) OP(Relu, OUTPUTS, 1) OP(LeakyRelu, OUTPUTS, 2)
    OP(Elu, OUTPUTS, 3) OP(HardSigmoid, OUTPUTS, 4) OP(HardSwish, OUTPUTS, 5) OP(Swish, OUTPUTS, 4)
    OP(Mish, OUTPUTS, 5) OP(Softplus, OUTPUTS, 3) OP(Gelu, OUTPUTS, 5) OP(Clip, OUTPUTS, 2) OP(PRelu, OUTPUTS, 2)
    OP(Add, OUTPUTS, 1) OP(Sub, OUTPUTS, 1) OP(Mul, OUTPUTS, 1) OP(Div, OUTPUTS, 1) OP(Pow, OUTPUTS, 1)
    OP(Mod, OUTPUTS, 1) OP(And, OUTPUTS, 1) OP(Or, OUTPUTS, 1) OP(Xor, OUTPUTS, 1) OP(Not, OUTPUTS, 1)
    OP(Equal, OUTPUTS, 1) OP(Less, OUTPUTS, 1) OP(LessOrEqual, OUTPUTS, 1) OP(Greater, OUTPUTS, 1)
    OP(GreaterOrEqual, OUTPUTS, 1) OP(Where, OUTPUTS, 1)
    OP(MaxPool, WINDOW, 0) OP(AveragePool, WINDOW, 0)
    OP(GlobalAveragePool, INPUTS, 1) OP(GlobalMaxPool, INPUTS, 1) OP(ReduceSum, INPUTS, 1) OP(ReduceMean, INPUTS, 1)
    OP(ReduceMax, INPUTS, 1) OP(ReduceMin, INPUTS, 1) OP(ReduceProd, INPUTS, 1) OP(ReduceL1, INPUTS, 2)
    OP(ReduceL2, INPUTS, 2) OP(ReduceSumSquare, INPUTS, 2) OP(ReduceLogSum, INPUTS, 1) OP(ReduceLogSumExp, INPUTS, 2)
    OP(ArgMax, INPUTS, 1) OP(ArgMin, INPUTS, 1) OP(Dfl, INPUTS, 6)
    OP(Min, EACH, 0) OP(Max, EACH, 0) OP(Sum, EACH, 0) OP(Mean, EACH, 0)
    OP(Cast, MOVE, 0) OP(Identity, MOVE, 0) OP(Shape, MOVE, 0) OP(Size, MOVE, 0) OP(Reshape, MOVE, 0)
    OP(Flatten, MOVE, 0) OP(Squeeze, MOVE, 0) OP(Unsqueeze, MOVE, 0) OP(Transpose, MOVE, 0) OP(Concat, MOVE, 0)
    OP(Split, MOVE, 0) OP(Slice, MOVE, 0) OP(Gather, MOVE, 0) OP(GatherElements, MOVE, 0) OP(GatherND, MOVE, 0)
    OP(Expand, MOVE, 0) OP(Tile, MOVE, 0) OP(Pad, MOVE, 0) OP(ConstantOfShape, MOVE, 0) OP(Range, MOVE, 0)
    OP(EyeLike, MOVE, 0) OP(Trilu, MOVE, 0) OP(DepthToSpace, MOVE, 0) OP(SpaceToDepth, MOVE, 0)
    OP(PixelShuffle, MOVE, 0) OP(ChannelShuffle, MOVE, 0) OP(Relayout, MOVE, 0)
};
/* clang-format on */
#undef OP

static double window_elements(const sw_call *c) {
    const sw_attr *kernel = sw_call_attr(c, "kernel_shape", SW_ATTR_INTS);
    double area = kernel->set ? 1 : -1;
    for (int i = 0; kernel->set && i < kernel->ints.n; i++) area *= (double)kernel->ints.v[i];
    return area;
}

double sw_call_flops(const sw_call *c) {
    const row *r = &rows[c->op];
    const sw_tensor *x = sw_call_in(c, 0), *y = sw_call_out(c, 0);
    switch (r->basis) {
    case MACS:
        return multiply(2, sw_call_macs(c));
    case OUTPUTS:
        return y ? multiply(r->times, product(y, 0)) : -1;
    case INPUTS:
        return x ? multiply(r->times, product(x, 0)) : -1;
    case EACH:
        return y ? multiply(c->n_in - 1, product(y, 0)) : -1;
    case WINDOW:
        return y ? multiply(window_elements(c), product(y, 0)) : -1;
    case MOVE:
        return 0;
    default:
        return -1;
    }
}

static double tensor_bytes(const sw_tensor *t) {
    return multiply(product(t, 0), (double)sw_dtype_size(t->dtype));
}

static bool picks(sw_op op) {
    return op == SW_OP_Slice || op == SW_OP_Gather || op == SW_OP_GatherElements || op == SW_OP_GatherND ||
           op == SW_OP_Shape || op == SW_OP_Size || op == SW_OP_Expand || op == SW_OP_Tile;
}

double sw_call_bytes(const sw_call *c) {
    double written = 0, read = 0;
    for (int i = 0; i < c->n_out; i++) {
        double bytes = c->out[i] ? tensor_bytes(c->out[i]) : 0;
        if (bytes < 0) return -1;
        written += bytes;
    }
    for (int i = 0; i < c->n_in; i++) {
        bool again = false;
        for (int k = 0; k < i; k++) again |= c->in[k] == c->in[i];
        double bytes = c->in[i] && !again ? tensor_bytes(c->in[i]) : 0;
        if (bytes < 0) return -1;
        if (i == 0 && picks(c->op) && bytes > written) bytes = written;
        read += bytes;
    }
    return written + read;
}
