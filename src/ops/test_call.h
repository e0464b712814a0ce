/* For tests of shape rules and kernels: one call of an operator, put together by hand. Lives on the stack. */
#ifndef SLIPWAY_OPS_TEST_CALL_H
#define SLIPWAY_OPS_TEST_CALL_H

#include <assert.h>

#include "ops/op.h"
#include "unit.h"

enum { TEST_MAX_IO = 10, TEST_MAX_ATTRS = 16 };

typedef struct test_call {
    sw_call call;
    sw_attr attrs[TEST_MAX_ATTRS];
    sw_tensor x[TEST_MAX_IO], y[TEST_MAX_IO];
    const sw_tensor *in[TEST_MAX_IO];
    sw_tensor *out[TEST_MAX_IO];
} test_call;

/* A tensor from its dims, which end at the count given by the array literal: test_tensor(SW_F32, 2, (int64_t[]){2,
 * 3}, p). */
static inline sw_tensor test_tensor(sw_dtype dtype, int rank, const int64_t *dims, const void *data) {
    sw_tensor t = {.dtype = dtype, .rank = rank, .data = (void *)(uintptr_t)data};
    for (int i = 0; i < rank; i++) t.dims[i] = dims[i];
    return t;
}
#define TEST_DIMS(...)                                                                                                 \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {                                     \
        __VA_ARGS__                                                                                                    \
    }
#define TEST_F32(data, ...) test_tensor(SW_F32, TEST_DIMS(__VA_ARGS__), data)
#define TEST_I64(data, ...) test_tensor(SW_I64, TEST_DIMS(__VA_ARGS__), data)

/* Default attributes, no inputs, `n_out` outputs of unknown type. */
static inline void test_call_init(test_call *t, sw_op op, int n_out) {
    *t = (test_call){.call = {.op = op, .name = "n", .diag = &sw_test_diag, .n_out = n_out}};
    assert(sw_op_get(op)->n_attrs <= TEST_MAX_ATTRS && n_out <= TEST_MAX_IO);
    sw_op_default_attrs(op, t->attrs);
    t->call.attrs = t->attrs;
    t->call.in = t->in;
    t->call.out = t->out;
    for (int i = 0; i < n_out; i++) t->out[i] = &t->y[i];
}

/* Appends an input; `absent` inputs count, too. */
static inline void test_call_input(test_call *t, sw_tensor x) {
    int i = t->call.n_in++;
    assert(i < TEST_MAX_IO);
    t->x[i] = x;
    t->in[i] = &t->x[i];
}

static inline void test_call_absent(test_call *t) {
    t->call.n_in++;
}

static inline sw_attr *test_call_attr(test_call *t, const char *name, sw_attr_type type) {
    sw_attr *a = &t->attrs[sw_call_attr(&t->call, name, type) - t->attrs];
    a->set = true;
    return a;
}

static inline void test_call_int(test_call *t, const char *name, int64_t v) {
    test_call_attr(t, name, SW_ATTR_INT)->i = v;
}

static inline void test_call_float(test_call *t, const char *name, float v) {
    test_call_attr(t, name, SW_ATTR_FLOAT)->f = v;
}

static inline void test_call_string(test_call *t, const char *name, const char *v) {
    test_call_attr(t, name, SW_ATTR_STRING)->s = v;
}

/* `v` must outlive the call: test_call_ints(&t, "pads", TEST_DIMS(1, 1, 1, 1)). */
static inline void test_call_ints(test_call *t, const char *name, int n, const int64_t *v) {
    sw_attr *a = test_call_attr(t, name, SW_ATTR_INTS);
    a->ints.v = v;
    a->ints.n = n;
}
static inline void test_call_floats(test_call *t, const char *name, int n, const float *v) {
    sw_attr *a = test_call_attr(t, name, SW_ATTR_FLOATS);
    a->floats.v = v;
    a->floats.n = n;
}

static inline sw_status test_call_rule(test_call *t) {
    return sw_op_get(t->call.op)->rule(&t->call);
}

/* Checks type and dims of output `i`. */
static inline bool test_call_gives(const test_call *t, int i, sw_dtype dtype, int rank, const int64_t *dims) {
    if (t->y[i].dtype != dtype || t->y[i].rank != rank) return false;
    for (int k = 0; k < rank; k++)
        if (t->y[i].dims[k] != dims[k]) return false;
    return true;
}

#endif
