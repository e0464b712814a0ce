/* Activations that exporters write as several nodes become one:
 *   x * sigmoid(x)                         Swish
 *   x * hard_sigmoid(x, 1/6, 0.5)          HardSwish
 *   x * clip(x + 3, 0, 6) / 6              HardSwish
 *   clip(x + 3, 0, 6) / 6                  HardSigmoid(1/6, 0.5)
 *   x * (1 + erf(x / sqrt(2))) * 0.5       Gelu, factors in any order */
#include <math.h>

#include "pass/pass.h"

/* ---- Matching ------------------------------------------------------------------------------------------------------ */

static sw_node *maker(const sw_value *value, sw_op op) {
    return value && value->producer && value->producer->op == op ? value->producer : NULL;
}

static bool is_near(double a, double b) {
    return fabs(a - b) <= 1e-6 * fabs(b);
}

static bool is_scalar(const sw_value *value, double want) {
    double v;
    return sw__const_scalar(value, &v) && (want == 0 ? v == 0 : is_near(v, want));
}

/* The other operand of a two-input node whose one operand is the constant `want`; NULL when none is. */
static sw_value *beside_scalar(const sw_node *node, double want) {
    if (!node) return NULL;
    for (int i = 0; i < 2; i++)
        if (is_scalar(node->in[i], want)) return node->in[1 - i];
    return NULL;
}

/* The value that `value` is `factor` times of: through a product with the factor or a division by its inverse. */
static sw_value *scaled(const sw_value *value, double factor) {
    sw_node *div = maker(value, SW_OP_Div);
    if (div && is_scalar(div->in[1], 1 / factor)) return div->in[0];
    return beside_scalar(maker(value, SW_OP_Mul), factor);
}

/* x where the value is clip(x + 3, 0, 6). */
static sw_value *shifted_relu6(const sw_value *value) {
    sw_node *clip = maker(value, SW_OP_Clip);
    if (!clip || clip->n_in < 3 || !is_scalar(clip->in[1], 0) || !is_scalar(clip->in[2], 6)) return NULL;
    return beside_scalar(maker(clip->in[0], SW_OP_Add), 3);
}

static bool is_sixth(const sw_node *hard_sigmoid) {
    return is_near((double)sw_node_float(hard_sigmoid, "alpha"), 1.0 / 6) &&
           sw_node_float(hard_sigmoid, "beta") == 0.5f;
}

/* What a gate makes of x: the operator of x * gate. */
static sw_op gated(const sw_value *gate, const sw_value *x) {
    sw_node *sigmoid = maker(gate, SW_OP_Sigmoid), *hard = maker(gate, SW_OP_HardSigmoid);
    if (sigmoid && sigmoid->in[0] == x) return SW_OP_Swish;
    return hard && hard->in[0] == x && is_sixth(hard) ? SW_OP_HardSwish : SW_OP_COUNT;
}

static sw_op match_product(const sw_value *result, sw_value **x) {
    sw_node *mul = maker(result, SW_OP_Mul);
    for (int i = 0; mul && i < 2; i++) {
        sw_op op = gated(mul->in[1 - i], mul->in[i]);
        *x = mul->in[i];
        if (op != SW_OP_COUNT) return op;
    }
    return SW_OP_COUNT;
}

static sw_op match_sixth(const sw_value *result, sw_value **x) {
    sw_value *whole = scaled(result, 1.0 / 6);
    if (!whole) return SW_OP_COUNT;
    *x = shifted_relu6(whole);
    if (*x) return SW_OP_HardSigmoid;
    sw_node *mul = maker(whole, SW_OP_Mul);
    for (int i = 0; mul && i < 2; i++)
        if ((*x = shifted_relu6(mul->in[1 - i])) && *x == mul->in[i]) return SW_OP_HardSwish;
    return SW_OP_COUNT;
}

/* x where the value is 1 + erf(x / sqrt(2)). */
static sw_value *one_plus_erf(const sw_value *value) {
    sw_node *erf = maker(beside_scalar(maker(value, SW_OP_Add), 1), SW_OP_Erf);
    return erf ? scaled(erf->in[0], 0.70710678118654752440) : NULL;
}

/* Three factors, x, 1/2 and (1 + erf), in two products: one of them stands alone, the others are behind the inner
 * product. */
static sw_op match_gelu(const sw_value *result, sw_value **x) {
    sw_node *outer = maker(result, SW_OP_Mul);
    for (int i = 0; outer && i < 2; i++) {
        sw_node *inner = maker(outer->in[i], SW_OP_Mul);
        for (int k = 0; inner && k < 2; k++) {
            sw_value *f[3] = {outer->in[1 - i], inner->in[k], inner->in[1 - k]};
            for (int half = 0; half < 3; half++)
                for (int gate = 0; gate < 3; gate++) {
                    if (gate == half || !is_scalar(f[half], 0.5)) continue;
                    *x = f[3 - half - gate];
                    if (*x && one_plus_erf(f[gate]) == *x) return SW_OP_Gelu;
                }
        }
    }
    return SW_OP_COUNT;
}

/* ---- Rewriting ----------------------------------------------------------------------------------------------------- */

static sw_op match(const sw_value *result, sw_value **x) {
    sw_op op = match_product(result, x);
    if (op == SW_OP_COUNT) op = match_sixth(result, x);
    return op == SW_OP_COUNT ? match_gelu(result, x) : op;
}

sw_status sw__pass_activations(sw_graph *graph, const sw_diag *diag) {
    for (sw_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        sw_value *x, *result = node->out[0];
        if (node->op != SW_OP_Mul && node->op != SW_OP_Div) continue;
        sw_op op = match(result, &x);
        if (op == SW_OP_COUNT || x->type.dtype != result->type.dtype) continue;
        const char *name = node->name;
        sw_graph_remove_node(graph, node);
        sw_node *fused = sw_graph_add_node(graph, next, op, name, 1, &x, 1, &result);
        if (!fused) return SW_E_NOMEM;
        if (op == SW_OP_HardSigmoid) sw_node_set_float(fused, "alpha", 1.0f / 6);
    }
    return sw__pass_dead_code(graph, diag);
}
