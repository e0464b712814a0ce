/* Where: a choice between two arrays, element by element, whatever their type. */
#include "kernels/kernel.h"
#include "kernels/nd.h"

typedef struct where_run {
    const sw_nd *nd;
    size_t size;
    const uint8_t *condition;
    const char *yes, *no;
    char *out;
} where_run;

#define CHOOSE(T)                                                                                                      \
    do {                                                                                                               \
        const T *y = (const T *)(const void *)r->yes + offset[2], *x = (const T *)(const void *)r->no + offset[3];     \
        T *o = (T *)(void *)r->out + offset[0];                                                                        \
        for (int64_t i = 0; i < n; i++) o[i * so] = condition[i * sc] ? y[i * sy] : x[i * sx];                         \
    } while (0)

static void choose_row(void *ctx, const int64_t *offset, int64_t n) {
    const where_run *r = ctx;
    int last = r->nd->rank - 1;
    int64_t so = r->nd->stride[0][last], sc = r->nd->stride[1][last];
    int64_t sy = r->nd->stride[2][last], sx = r->nd->stride[3][last];
    const uint8_t *condition = r->condition + offset[1];
    switch (r->size) {
    case 1:
        CHOOSE(uint8_t);
        break;
    case 2:
        CHOOSE(uint16_t);
        break;
    case 4:
        CHOOSE(uint32_t);
        break;
    default:
        CHOOSE(uint64_t);
        break;
    }
}

sw_status sw__where_ref(const sw_call *c) {
    sw_nd nd;
    sw__nd_broadcast(&nd, c->out[0], c->in, 3);
    sw__nd_collapse(&nd);
    where_run r = {
        &nd, sw_dtype_size(c->out[0]->dtype), c->in[0]->data, c->in[1]->data, c->in[2]->data, c->out[0]->data};
    sw__nd_for(c->pool, &nd, choose_row, &r);
    return SW_OK;
}
