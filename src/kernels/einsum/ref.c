/* Einsum: for each element of the output, the sum over all labels that it lacks. Floats add in double, integers
 * wrap around. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "kernels/wide.h"
#include "ops/einsum.h"

typedef struct einsum_run {
    const sw_call *call;
    int n_out, n_sum, inputs;
    int64_t extent[SW_EINSUM_LABELS]; /* of the output's axes, then of the labels that are summed */
    int64_t stride[SW_EINSUM_INPUTS][SW_EINSUM_LABELS];
    int64_t terms; /* of a sum */
} einsum_run;

/* Adds one product to the sum. */
static void add_term(const einsum_run *r, const int64_t *at, double *sum, uint64_t *whole) {
    bool is_float = sw__dtype_is_float(r->call->out[0]->dtype);
    double product = 1;
    uint64_t whole_product = 1;
    for (int i = 0; i < r->inputs; i++) {
        if (is_float)
            product *= sw_tensor_float_at(r->call->in[i], at[i]);
        else
            whole_product *= (uint64_t)sw_tensor_int_at(r->call->in[i], at[i]);
    }
    *sum += product;
    *whole += whole_product;
}

/* Steps to the next position of axes begin .. end; moves the inputs along. */
static void advance(const einsum_run *r, int begin, int end, int64_t *position, int64_t *at) {
    for (int k = end - 1; k >= begin; k--) {
        bool carry = ++position[k] == r->extent[k];
        for (int i = 0; i < r->inputs; i++) at[i] += carry ? -(r->extent[k] - 1) * r->stride[i][k] : r->stride[i][k];
        if (!carry) return;
        position[k] = 0;
    }
}

static void run_elements(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const einsum_run *r = ctx;
    const sw_tensor *y = r->call->out[0];
    int64_t position[SW_EINSUM_LABELS] = {0}, at[SW_EINSUM_INPUTS] = {0}, rest = begin;
    for (int k = r->n_out - 1; k >= 0; k--) {
        position[k] = rest % r->extent[k];
        rest /= r->extent[k];
        for (int i = 0; i < r->inputs; i++) at[i] += position[k] * r->stride[i][k];
    }
    for (int64_t to = begin; to < end; to++) {
        double sum = 0;
        uint64_t whole = 0;
        for (int64_t t = 0; t < r->terms; t++) {
            add_term(r, at, &sum, &whole);
            advance(r, r->n_out, r->n_out + r->n_sum, position, at);
        }
        if (sw__dtype_is_float(y->dtype))
            sw__put(y, to, sum);
        else
            sw__narrow_integer(y->dtype, &whole, 1, y->data, to, 1);
        advance(r, 0, r->n_out, position, at);
    }
}

/* Where a label leads in the walk: its number among the output's axes and the summed labels. */
static void order_labels(einsum_run *r, const sw_einsum *e, int8_t *place) {
    memset(place, -1, SW_EINSUM_LABELS);
    for (r->n_out = 0; r->n_out < e->n_out; r->n_out++) {
        place[e->out[r->n_out]] = (int8_t)r->n_out;
        r->extent[r->n_out] = e->extent[e->out[r->n_out]];
    }
    for (int label = 0; label < SW_EINSUM_LABELS; label++) {
        if (!e->used[label] || place[label] >= 0) continue;
        place[label] = (int8_t)(r->n_out + r->n_sum);
        r->extent[r->n_out + r->n_sum++] = e->extent[label];
    }
}

sw_status sw__einsum_ref(const sw_call *c) {
    sw_einsum e;
    einsum_run r = {.call = c, .inputs = c->n_in, .terms = 1};
    int8_t place[SW_EINSUM_LABELS];
    const sw_tensor *y = sw_call_out(c, 0);
    SW_TRY(sw_call_einsum(c, &e));
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    if (y->dtype == SW_BOOL) return sw__refuse_dtype(c, y->dtype);
    order_labels(&r, &e, place);
    for (int i = 0; i < c->n_in; i++) {
        int64_t stride[SW_MAX_RANK];
        sw__nd_strides(c->in[i]->rank, c->in[i]->dims, stride);
        for (int k = 0; k < c->in[i]->rank; k++) /* a label twice: along the diagonal */
            if (c->in[i]->dims[k] != 1) r.stride[i][(int)place[e.axis[i][k]]] += stride[k];
    }
    for (int k = r.n_out; k < r.n_out + r.n_sum; k++)
        if (__builtin_mul_overflow(r.terms, r.extent[k], &r.terms))
            return sw_call_unsupported(c, "the sums are too long");
    sw_pool_for(c->pool, sw_tensor_count(y), 1 + 4096 / (r.terms + 1), run_elements, &r);
    return SW_OK;
}
