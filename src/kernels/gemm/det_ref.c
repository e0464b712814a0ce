/* Det, in double. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"

/* Product of the pivots of Gauss's elimination; `m` is destroyed. */
static double determinant(double *m, int64_t n) {
    double product = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(m[i * n + k]) > fabs(m[pivot * n + k])) pivot = i;
        if (m[pivot * n + k] == 0) return 0;
        for (int64_t j = k; pivot != k && j < n; j++) {
            double v = m[k * n + j];
            m[k * n + j] = m[pivot * n + j];
            m[pivot * n + j] = v;
        }
        product *= pivot == k ? m[k * n + k] : -m[k * n + k];
        for (int64_t i = k + 1; i < n; i++) {
            double factor = m[i * n + k] / m[k * n + k];
            for (int64_t j = k; j < n; j++) m[i * n + j] -= factor * m[k * n + j];
        }
    }
    return product;
}

sw_status sw__det_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    int64_t n = x->dims[x->rank - 1];
    double *m = sw_calloc(c->allocator, (size_t)(n * n) + 1, sizeof *m);
    if (!m) return SW_E_NOMEM;
    for (int64_t i = 0; i < sw_tensor_count(y); i++) {
        sw__widen(x->dtype, x->data, i * n * n, 1, n * n, m);
        sw__put(y, i, determinant(m, n));
    }
    sw_free(c->allocator, m);
    return SW_OK;
}
