#include "kernels/rows.h"

#include <string.h>

#include "kernels/nd.h"

typedef struct row2_run {
    sw_row2 row;
    const sw_nd *nd;
    const char *a, *b;
    char *out;
    int64_t size_in, size_out;
} row2_run;

static void run_row(void *ctx, const int64_t *offset, int64_t n) {
    const row2_run *r = ctx;
    int last = r->nd->rank - 1;
    r->row(r->a + offset[1] * r->size_in, r->nd->stride[1][last], r->b + offset[2] * r->size_in, r->nd->stride[2][last],
           r->out + offset[0] * r->size_out, n);
}

void sw__row2_run(sw_pool *pool, sw_row2 row, const sw_tensor *a, const sw_tensor *b, const sw_tensor *out) {
    sw_nd nd;
    sw__nd_broadcast(&nd, out, (const sw_tensor *const[]){a, b}, 2);
    sw__nd_collapse(&nd);
    row2_run r = {
        row, &nd, a->data, b->data, out->data, (int64_t)sw_dtype_size(a->dtype), (int64_t)sw_dtype_size(out->dtype)};
    sw__nd_for(pool, &nd, run_row, &r);
}

void sw__row2_accumulate(sw_row2 row, size_t size, void *acc, const void *b, int64_t sb, int64_t n) {
    _Alignas(SW_ALIGN) char old[2048]; /* row functions may not work in place */
    int64_t most = (int64_t)(sizeof old / size);
    for (int64_t i = 0; i < n; i += most) {
        int64_t m = n - i < most ? n - i : most;
        char *at = (char *)acc + i * (int64_t)size;
        memcpy(old, at, (size_t)m * size);
        row(old, 1, (const char *)b + i * sb * (int64_t)size, sb, at, m);
    }
}
