/* For tests of kernels: rule, memory for the outputs, kernel. */
#ifndef SLIPWAY_KERNELS_TEST_RUN_H
#define SLIPWAY_KERNELS_TEST_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "ops/test_call.h"

static inline sw_status test_call_resize(const sw_call *c, int index, int rank, const int64_t *dims) {
    sw_tensor *out = c->out[index];
    out->rank = rank;
    memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    int64_t bytes = sw_tensor_bytes(out);
    out->data = malloc((size_t)bytes + (bytes == 0));
    return out->data ? SW_OK : SW_E_NOMEM;
}

/* Outputs that the call wants get memory of their exact size, so that sanitizers see writes beyond; test_call_free. */
static inline sw_status test_call_run(test_call *t) {
    sw_status status = test_call_rule(t);
    t->call.resize = test_call_resize;
    for (int i = 0; status == SW_OK && i < t->call.n_out; i++) {
        int64_t bytes = sw_tensor_bytes(&t->y[i]);
        t->y[i].data = NULL;
        if (!t->out[i] || bytes < 0) continue;
        t->y[i].data = malloc((size_t)bytes + (bytes == 0));
        if (!t->y[i].data) return SW_E_NOMEM;
        memset(t->y[i].data, 0xab, (size_t)bytes);
    }
    return status == SW_OK ? sw_kernel_ref(t->call.op)(&t->call) : status;
}

static inline void test_call_free(test_call *t) {
    for (int i = 0; i < t->call.n_out; i++) {
        free(t->y[i].data);
        t->y[i].data = NULL;
    }
}

/* Compares output `i` element by element. */
static inline bool test_call_values(const test_call *t, int i, int64_t n, const double *want, double tolerance) {
    if (sw_tensor_count(&t->y[i]) != n) return false;
    for (int64_t k = 0; k < n; k++) {
        double error = sw_tensor_float_at(&t->y[i], k) - want[k];
        if (!(error <= tolerance && error >= -tolerance)) {
            fprintf(stderr, "element %lld is %.9g, expected %.9g\n", (long long)k, sw_tensor_float_at(&t->y[i], k),
                    want[k]);
            return false;
        }
    }
    return true;
}
#define TEST_VALUES(...)                                                                                               \
    (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (const double[]) {                                    \
        __VA_ARGS__                                                                                                    \
    }

#endif
