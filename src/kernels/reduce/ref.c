/* Reductions over any axes: floats in double, integers and bool in 64 bits modulo 2^64. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

typedef enum fold { FOLD_SUM, FOLD_ABS, FOLD_SQUARE, FOLD_PRODUCT, FOLD_MAX, FOLD_MIN, FOLD_EXP } fold;

typedef struct axes {
    int n;
    int64_t dim[SW_MAX_RANK], stride[SW_MAX_RANK];
} axes;

typedef struct reduce {
    const sw_call *call;
    axes kept, reduced;
    int64_t count; /* elements behind one output */
} reduce;

static fold fold_of(sw_op op) {
    switch (op) {
    case SW_OP_ReduceL1:
        return FOLD_ABS;
    case SW_OP_ReduceL2:
    case SW_OP_ReduceSumSquare:
        return FOLD_SQUARE;
    case SW_OP_ReduceProd:
        return FOLD_PRODUCT;
    case SW_OP_ReduceMax:
        return FOLD_MAX;
    case SW_OP_ReduceMin:
        return FOLD_MIN;
    case SW_OP_ReduceLogSumExp:
        return FOLD_EXP;
    default:
        return FOLD_SUM; /* sum, mean, log of the sum */
    }
}

static double float_start(fold f) {
    return f == FOLD_PRODUCT ? 1 : f == FOLD_MAX ? -HUGE_VAL : f == FOLD_MIN ? HUGE_VAL : 0;
}

/* `shift` is taken off before FOLD_EXP. NaN wins in maximum and minimum. */
static double fold_floats(fold f, const double *v, int64_t n, double acc, double shift) {
    for (int64_t i = 0; i < n; i++) {
        switch (f) {
        case FOLD_SUM:
            acc += v[i];
            break;
        case FOLD_ABS:
            acc += fabs(v[i]);
            break;
        case FOLD_SQUARE:
            acc += v[i] * v[i];
            break;
        case FOLD_PRODUCT:
            acc *= v[i];
            break;
        case FOLD_MAX:
            acc = v[i] > acc || v[i] != v[i] ? v[i] : acc;
            break;
        case FOLD_MIN:
            acc = v[i] < acc || v[i] != v[i] ? v[i] : acc;
            break;
        case FOLD_EXP:
            acc += exp(v[i] - shift);
            break;
        }
    }
    return acc;
}

/* Values are extended to 64 bits; `sign` is the bit that makes signed ones order as unsigned (0 for unsigned types). */
static uint64_t fold_integers(fold f, const uint64_t *v, int64_t n, uint64_t acc, uint64_t sign) {
    for (int64_t i = 0; i < n; i++) {
        switch (f) {
        case FOLD_ABS:
            acc += v[i] & sign ? 0 - v[i] : v[i];
            break;
        case FOLD_SQUARE:
            acc += v[i] * v[i];
            break;
        case FOLD_PRODUCT:
            acc *= v[i];
            break;
        case FOLD_MAX:
            acc = (v[i] ^ sign) > (acc ^ sign) ? v[i] : acc;
            break;
        case FOLD_MIN:
            acc = (v[i] ^ sign) < (acc ^ sign) ? v[i] : acc;
            break;
        default:
            acc += v[i];
            break;
        }
    }
    return acc;
}

/* Lowest and highest value of an integer type, extended to 64 bits. */
static uint64_t integer_start(fold f, sw_dtype dtype) {
    int bits = dtype == SW_BOOL ? 1 : 8 * (int)sw_dtype_size(dtype);
    if (f == FOLD_MAX) return sw__dtype_is_signed(dtype) ? 0 - ((uint64_t)1 << (bits - 1)) : 0;
    if (f == FOLD_MIN) return UINT64_MAX >> (64 - bits + sw__dtype_is_signed(dtype));
    return f == FOLD_PRODUCT;
}

static int64_t offset_of(const axes *a, int64_t index) {
    int64_t offset = 0;
    for (int i = a->n - 1; i >= 0; i--) {
        offset += index % a->dim[i] * a->stride[i];
        index /= a->dim[i];
    }
    return offset;
}

/* Folds everything behind the output at `base` into *real or *whole, by the type of x. */
static void fold_all(const reduce *r, fold f, int64_t base, double shift, double *real, uint64_t *whole) {
    const sw_tensor *x = r->call->in[0];
    int last = r->reduced.n - 1;
    int64_t line = last < 0 ? 1 : r->reduced.dim[last], step = last < 0 ? 1 : r->reduced.stride[last];
    uint64_t sign = sw__dtype_is_signed(x->dtype) ? (uint64_t)1 << 63 : 0;
    union {
        double real[SW_WIDE];
        uint64_t whole[SW_WIDE];
    } v;
    for (int64_t i = 0; i < r->count; i += line) {
        int64_t first = base + offset_of(&r->reduced, i);
        for (int64_t k = 0, n; k < line; k += n) {
            n = sw__min64(SW_WIDE, line - k);
            if (sw__dtype_is_float(x->dtype)) {
                sw__widen(x->dtype, x->data, first + k * step, step, n, v.real);
                *real = fold_floats(f, v.real, n, *real, shift);
                continue;
            }
            sw__widen_integer(x->dtype, x->data, first + k * step, step, n, v.whole);
            if (f != FOLD_EXP) {
                *whole = fold_integers(f, v.whole, n, *whole, sign);
                continue;
            }
            for (int64_t j = 0; j < n; j++)
                *real += exp((sign ? (double)(int64_t)v.whole[j] : (double)v.whole[j]) - shift);
        }
    }
}

static double finish_float(const reduce *r, double acc, double shift) {
    switch (r->call->op) {
    case SW_OP_ReduceMean:
        return acc / (double)r->count;
    case SW_OP_ReduceL2:
        return sqrt(acc);
    case SW_OP_ReduceLogSum:
        return log(acc);
    case SW_OP_ReduceLogSumExp:
        return log(acc) + shift;
    default:
        return acc;
    }
}

/* Towards zero, saturating: log(0) of integers is the lowest value. */
static uint64_t cut_off(double v, bool is_signed) {
    if (!(v > (is_signed ? -0x1p63 : 0))) return is_signed ? (uint64_t)INT64_MIN : 0;
    if (v >= (is_signed ? 0x1p63 : 0x1p64)) return is_signed ? INT64_MAX : UINT64_MAX;
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

static uint64_t finish_integer(const reduce *r, uint64_t acc, double sum, double shift) {
    bool is_signed = sw__dtype_is_signed(r->call->in[0]->dtype);
    uint64_t n = (uint64_t)r->count;
    switch (r->call->op) {
    case SW_OP_ReduceMean:
        if (n == 0) return 0;
        return is_signed ? (uint64_t)((int64_t)acc / (int64_t)n) : acc / n;
    case SW_OP_ReduceL2:
    case SW_OP_ReduceLogSum:
        return cut_off(finish_float(r, is_signed ? (double)(int64_t)acc : (double)acc, 0), is_signed);
    case SW_OP_ReduceLogSumExp:
        return cut_off(finish_float(r, sum, shift), is_signed);
    default:
        return acc;
    }
}

/* Sums of floats that follow each other, and their means. */
static void sum_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const reduce *r = ctx;
    const float *x = (const float *)r->call->in[0]->data + begin * r->count;
    float *y = r->call->out[0]->data;
    for (int64_t o = begin; o < end; o++, x += r->count) {
        double sum = 0;
        for (int64_t i = 0; i < r->count; i++) sum += (double)x[i];
        y[o] = (float)finish_float(r, sum, 0);
    }
}

static bool is_sum_of_rows(const reduce *r) {
    bool sums = r->call->op == SW_OP_ReduceSum || r->call->op == SW_OP_ReduceMean;
    return sums && r->count > 0 && r->call->in[0]->dtype == SW_F32 && r->reduced.n == 1 && r->reduced.stride[0] == 1;
}

static void run_outputs(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const reduce *r = ctx;
    sw_dtype dtype = r->call->in[0]->dtype;
    bool is_float = sw__dtype_is_float(dtype);
    fold f = fold_of(r->call->op);
    for (int64_t o = begin; o < end; o++) {
        int64_t base = offset_of(&r->kept, o);
        double shift = 0, real = float_start(f);
        uint64_t whole = is_float ? 0 : integer_start(f, dtype);
        if (f == FOLD_EXP && r->count > 0) { /* the largest value first, so that no exponential overflows */
            double top = float_start(FOLD_MAX);
            uint64_t whole_top = is_float ? 0 : integer_start(FOLD_MAX, dtype);
            fold_all(r, FOLD_MAX, base, 0, &top, &whole_top);
            if (!is_float) top = sw__dtype_is_signed(dtype) ? (double)(int64_t)whole_top : (double)whole_top;
            shift = isfinite(top) ? top : 0;
        }
        fold_all(r, f, base, shift, &real, &whole);
        if (is_float) {
            real = finish_float(r, real, shift);
            sw__narrow(dtype, &real, 1, r->call->out[0]->data, o, 1);
        } else {
            whole = finish_integer(r, whole, real, shift);
            sw__narrow_integer(dtype, &whole, 1, r->call->out[0]->data, o, 1);
        }
    }
}

static void add_axis(axes *a, int64_t dim, int64_t stride) {
    a->dim[a->n] = dim;
    a->stride[a->n++] = stride;
}

sw_status sw__reduce_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    bool max_or_min = c->op == SW_OP_ReduceMax || c->op == SW_OP_ReduceMin, chosen[SW_MAX_RANK];
    if (x->dtype == SW_DTYPE_NONE || (x->dtype == SW_BOOL && !max_or_min)) return sw__refuse_dtype(c, x->dtype);
    SW_TRY(sw_call_reduced_axes(c, chosen));
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    reduce r = {.call = c, .count = 1};
    for (int i = 0; i < x->rank; i++) {
        int64_t stride = sw__lanes(x, i, i + 1).inner;
        add_axis(chosen[i] ? &r.reduced : &r.kept, x->dims[i], stride);
        if (chosen[i]) (void)__builtin_mul_overflow(r.count, x->dims[i], &r.count);
    }
    if (sw_tensor_count(x) == 0) r.count = 0;
    sw_pool_for(c->pool, sw_tensor_count(y), 1 + 4096 / (r.count + 1), is_sum_of_rows(&r) ? sum_rows : run_outputs, &r);
    return SW_OK;
}
