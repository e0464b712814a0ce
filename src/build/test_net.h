/* Networks for tests, written node by node. */
#ifndef SLIPWAY_BUILD_TEST_NET_H
#define SLIPWAY_BUILD_TEST_NET_H

#include "build/build.h"
#include "unit.h"

/* The first output of a new node. */
static inline sw_value *sw_test_apply(sw_graph *g, sw_op op, int count, sw_value *const *in) {
    sw_value *out = sw_graph_apply(g, NULL, op, "", count, in);
    CHECK(out);
    return out;
}
#define SW_TEST_APPLY(g, op, ...)                                                                                      \
    sw_test_apply((g), (op), (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)),                          \
                  (sw_value *[]){__VA_ARGS__})

/* A constant of random numbers from -most to most. */
static inline sw_value *sw_test_weights(sw_graph *g, uint64_t *seed, float most, int rank, const int64_t *dims) {
    sw_value *w = sw_graph_new_const(g, "w", SW_F32, rank, dims);
    float *v = w->type.data;
    for (int64_t i = 0; i < sw_tensor_count(&w->type); i++) v[i] = sw_test_uniform(seed, -most, most);
    return w;
}

#endif
