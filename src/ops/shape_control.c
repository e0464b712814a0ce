/* Operators that hold graphs. Shapes inside are known when they run; here only what the bodies' outputs tell. */
#include "ops/shape.h"

static const sw_body *body_of(const sw_call *c, const char *name) {
    return sw_call_attr(c, name, SW_ATTR_BODY)->body;
}

/* What two ways to make a value have in common. */
static sw_status merge(const sw_call *c, const sw_tensor *a, const sw_tensor *b, sw_tensor *out) {
    sw_dtype dtype;
    SW_TRY(sw__same_dtype(c, a, b, &dtype));
    sw__set_unknown(out, dtype, a->rank == b->rank ? a->rank : SW_RANK_UNKNOWN);
    for (int i = 0; i < out->rank; i++)
        if (a->dims[i] == b->dims[i] && sw_dim_known(a->dims[i])) out->dims[i] = a->dims[i];
    return SW_OK;
}

/* A value with one axis more, of unknown extent. */
static sw_status stack(const sw_call *c, const sw_tensor *one, int64_t axis, int64_t extent, sw_tensor *out) {
    sw__set_unknown(out, one->dtype, one->rank < 0 ? SW_RANK_UNKNOWN : one->rank + 1);
    if (one->rank < 0) return SW_OK;
    int at;
    SW_TRY(sw__require_rank(c, one->rank + 1));
    SW_TRY(sw__require_axis(c, axis, one->rank + 1, &at));
    for (int i = 0, k = 0; i <= one->rank; i++) {
        int64_t dim = i == at ? extent : one->dims[k++];
        out->dims[i] = sw_dim_known(dim) ? dim : SW_DIM_UNKNOWN;
    }
    return SW_OK;
}

/* The inputs: as many as the graphs take, all there from `first` on. */
static sw_status check_inputs(const sw_call *c, int first, int total) {
    if (c->n_in != total) return sw_call_fail(c, "its graphs take %d values, but it has %d inputs", total, c->n_in);
    for (int i = first; i < c->n_in; i++)
        if (!c->in[i]) return sw_call_fail(c, "input %d is absent", i + 1);
    return SW_OK;
}

static sw_status check_outputs(const sw_call *c, const sw_body *body, int first) {
    if (body->n_out - first == c->n_out) return SW_OK;
    return sw_call_fail(c, "its body gives %d results, the node %d", body->n_out - first, c->n_out);
}

sw_status sw__shape_if(const sw_call *c) {
    const sw_body *yes = body_of(c, "then_branch"), *no = body_of(c, "else_branch");
    if (yes->n_in || no->n_in) return sw_call_fail(c, "its graphs have inputs of their own");
    SW_TRY(check_inputs(c, 0, 1 + yes->n_captured + no->n_captured));
    SW_TRY(check_outputs(c, yes, 0));
    SW_TRY(check_outputs(c, no, 0));
    for (int i = 0; i < c->n_out; i++)
        if (c->out[i]) SW_TRY(merge(c, &yes->out_types[i], &no->out_types[i], c->out[i]));
    return SW_OK;
}

/* Inputs: trip count, condition, carried values. Results of the body: condition, carried values, what is stacked. */
sw_status sw__shape_loop(const sw_call *c) {
    const sw_body *body = body_of(c, "body");
    int carried = body->n_in - 2;
    SW_TRY(check_outputs(c, body, 1));
    if (carried < 0 || carried > c->n_out)
        return sw_call_fail(c, "its body takes %d values and gives %d", body->n_in, body->n_out);
    SW_TRY(check_inputs(c, 2, body->n_in + body->n_captured));
    for (int i = 0; i < c->n_out; i++) {
        const sw_tensor *made = &body->out_types[1 + i], *given = i < carried ? sw_call_in(c, 2 + i) : NULL;
        if (!c->out[i]) continue;
        if (given)
            SW_TRY(merge(c, given, made, c->out[i]));
        else
            SW_TRY(stack(c, made, 0, SW_DIM_UNKNOWN, c->out[i]));
    }
    return SW_OK;
}

int64_t sw_scan_entry(const sw_call *c, const char *list, int i) {
    const sw_attr *a = sw_call_attr(c, list, SW_ATTR_INTS);
    return a->set && i < a->ints.n ? a->ints.v[i] : 0;
}

/* Inputs: state values, then what is cut into slices. Results of the body: state values, slices. */
sw_status sw__shape_scan(const sw_call *c) {
    const sw_body *body = body_of(c, "body");
    int64_t scanned = sw_call_int(c, "num_scan_inputs"), state = body->n_in - scanned;
    SW_TRY(check_outputs(c, body, 0));
    if (scanned < 1 || scanned > body->n_in || state > c->n_out)
        return sw_call_fail(c, "its body takes %d values, %lld of them slices, and gives %d", body->n_in,
                            (long long)scanned, body->n_out);
    SW_TRY(check_inputs(c, 0, body->n_in + body->n_captured));
    const sw_tensor *first = sw_call_in(c, (int)state);
    int64_t extent = SW_DIM_UNKNOWN;
    if (first && first->rank >= 0) {
        int axis;
        SW_TRY(sw__require_axis(c, sw_scan_entry(c, "scan_input_axes", 0), first->rank, &axis));
        extent = first->dims[axis];
    }
    for (int i = 0; i < c->n_out; i++) {
        if (!c->out[i]) continue;
        if (i < state) {
            const sw_tensor *given = sw_call_in(c, i);
            if (given) SW_TRY(merge(c, given, &body->out_types[i], c->out[i]));
        } else
            SW_TRY(
                stack(c, &body->out_types[i], sw_scan_entry(c, "scan_output_axes", i - (int)state), extent, c->out[i]));
    }
    return SW_OK;
}
