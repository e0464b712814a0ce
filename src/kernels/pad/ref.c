/* Pad. Negative pads cut first; what is left is then continued on each side, as ONNX Runtime does it. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "ops/shape.h"

/* Elements that a negative pad cuts off the beginning of an axis; never more than it has. */
static int64_t cut_first(int64_t dim, int64_t begin) {
    return begin >= 0 ? 0 : begin < -dim ? dim : -begin;
}

/* Constant mode: fill everything, then copy the part of the input that is left. */
static sw_status pad_constant(const sw_call *c, const sw_pads *p) {
    const sw_tensor *in = c->in[0], *value = sw_call_in(c, 2), *out = c->out[0];
    static const uint64_t zero;
    size_t size = sw_dtype_size(in->dtype);
    if (value && sw_tensor_count(value) != 1) return sw_call_fail(c, "the value must be one number");
    sw__fill(c->pool, size, out->data, value ? value->data : &zero, sw_tensor_count(out));
    sw_nd nd = {.rank = in->rank, .arrays = 2};
    sw__nd_strides(out->rank, out->dims, nd.stride[0]);
    sw__nd_strides(in->rank, in->dims, nd.stride[1]);
    int64_t to = 0, from = 0;
    for (int i = 0; i < in->rank; i++) {
        int64_t first = cut_first(in->dims[i], p->begin[i]); /* of the input's elements that stay */
        int64_t end = in->dims[i] + (p->end[i] < 0 ? p->end[i] : 0);
        nd.dims[i] = end > first ? end - first : 0;
        if (nd.dims[i] == 0) return SW_OK;
        from += first * nd.stride[1][i];
        to += (p->begin[i] > 0 ? p->begin[i] : 0) * nd.stride[0][i];
    }
    sw__nd_copy(c->pool, &nd, size, (char *)out->data + to * (int64_t)size,
                (const char *)in->data + from * (int64_t)size);
    return SW_OK;
}

static int64_t floor_mod(int64_t a, int64_t b) {
    int64_t r = a % b;
    return r < 0 ? r + b : r;
}

/* Which of n > 0 elements continues them at position `at`, which may lie outside. */
static int64_t source_index(char mode, int64_t at, int64_t n) {
    if (mode == 'e') return at < 0 ? 0 : at >= n ? n - 1 : at;
    if (mode == 'w') return floor_mod(at, n);
    if (n == 1) return 0;
    int64_t m = floor_mod(at, 2 * (n - 1)); /* reflect: there and back without repeating the ends */
    return m < n ? m : 2 * (n - 1) - m;
}

/* Source offset of each output position, axis after axis, in elements. */
static sw_status source_map(const sw_call *c, const sw_pads *p, char mode, int64_t *map) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    int64_t step[SW_MAX_RANK];
    sw__nd_strides(in->rank, in->dims, step);
    for (int i = 0; i < in->rank; i++) {
        int64_t cut = cut_first(in->dims[i], p->begin[i]);
        int64_t left = in->dims[i] - cut + (p->end[i] < 0 ? p->end[i] : 0), pad = p->begin[i] > 0 ? p->begin[i] : 0;
        if (left < 1) return sw_call_fail(c, "the pads leave nothing of axis %d to repeat", i);
        for (int64_t k = 0; k < out->dims[i]; k++) *map++ = (cut + source_index(mode, k - pad, left)) * step[i];
    }
    return SW_OK;
}

typedef struct pad_run {
    const sw_tensor *in, *out;
    const int64_t *map;
    size_t size;
} pad_run;

#define GATHER(T)                                                                                                      \
    do {                                                                                                               \
        T *t = (T *)r->out->data + row * columns;                                                                      \
        const T *f = (const T *)r->in->data + from;                                                                    \
        for (int64_t i = 0; i < columns; i++) t[i] = f[inner[i]];                                                      \
    } while (0)

static void pad_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const pad_run *r = ctx;
    int last = r->out->rank - 1;
    int64_t columns = r->out->dims[last];
    const int64_t *inner = r->map;
    for (int i = 0; i < last; i++) inner += r->out->dims[i];
    for (int64_t row = begin; row < end; row++) {
        int64_t from = 0, rest = row;
        const int64_t *outer = inner;
        for (int i = last - 1; i >= 0; i--) {
            outer -= r->out->dims[i];
            from += outer[rest % r->out->dims[i]];
            rest /= r->out->dims[i];
        }
        switch (r->size) {
        case 1:
            GATHER(uint8_t);
            break;
        case 2:
            GATHER(uint16_t);
            break;
        case 4:
            GATHER(uint32_t);
            break;
        default:
            GATHER(uint64_t);
            break;
        }
    }
}

sw_status sw__pad_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    sw_pads p;
    SW_TRY(sw__pad_resolve(c, &p));
    const char *mode = sw_call_string(c, "mode");
    int64_t n = sw_tensor_count(out);
    if (n == 0) return SW_OK;
    if (mode[0] == 'c' || in->rank == 0) return pad_constant(c, &p);
    size_t entries = 0; /* no more than elements of the output times its rank: fits */
    for (int i = 0; i < out->rank; i++) entries += (size_t)out->dims[i];
    int64_t *map = sw_calloc(c->allocator, entries, sizeof *map);
    if (!map) return SW_E_NOMEM;
    sw_status status = source_map(c, &p, mode[0], map);
    if (status == SW_OK) {
        int64_t columns = out->dims[out->rank - 1];
        pad_run r = {in, out, map, sw_dtype_size(in->dtype)};
        sw_pool_for(c->pool, n / columns, 1 + 8192 / columns, pad_rows, &r);
    }
    sw_free(c->allocator, map);
    return status;
}
