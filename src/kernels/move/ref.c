/* Operators that move elements, whatever their type: each is one or more strided copies. */
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "ops/shape.h"

/* Identity, Reshape and their kin: the same elements under other dims. */
sw_status sw__copy_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    int64_t n = sw_tensor_count(in);
    if (n != sw_tensor_count(out))
        return sw_call_fail(c, "%lld elements do not fit into a shape of %lld", (long long)n,
                            (long long)sw_tensor_count(out));
    if (in->data == out->data) return SW_OK; /* a view */
    sw_nd nd = {.rank = 1, .arrays = 2, .dims = {n}, .stride = {{1}, {1}}};
    sw__nd_copy(c->pool, &nd, sw_dtype_size(in->dtype), out->data, in->data);
    return SW_OK;
}

sw_status sw__transpose_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    int perm[SW_MAX_RANK];
    int64_t step[SW_MAX_RANK];
    sw_nd nd = {.rank = out->rank, .arrays = 2};
    SW_TRY(sw__permutation(c, in->rank, perm));
    sw__nd_strides(in->rank, in->dims, step);
    sw__nd_strides(out->rank, out->dims, nd.stride[0]);
    for (int i = 0; i < out->rank; i++) {
        nd.dims[i] = out->dims[i];
        nd.stride[1][i] = step[perm[i]];
    }
    sw__nd_copy(c->pool, &nd, sw_dtype_size(in->dtype), out->data, in->data);
    return SW_OK;
}

/* Copies between `part`, row-major, and the piece of `whole` that begins at `start` along `axis`, unless it lies there. */
static void copy_piece(const sw_call *c, const sw_tensor *whole, const sw_tensor *part, int axis, int64_t start,
                       bool in) {
    if (sw_tensor_count(part) == 0) return;
    size_t size = sw_dtype_size(part->dtype);
    sw_nd nd = {.rank = part->rank, .arrays = 2};
    memcpy(nd.dims, part->dims, sizeof part->dims);
    sw__nd_strides(whole->rank, whole->dims, nd.stride[in ? 0 : 1]);
    sw__nd_strides(part->rank, part->dims, nd.stride[in ? 1 : 0]);
    char *at = (char *)whole->data + start * nd.stride[in ? 0 : 1][axis] * (int64_t)size;
    if (at == part->data) return;
    sw__nd_copy(c->pool, &nd, size, in ? at : part->data, in ? part->data : at);
}

/* Copies `n` runs of `run` bytes that follow each other to places `step` apart. */
static void spread(char *to, size_t step, const char *from, size_t run, int64_t n) {
#define SPREAD(bytes)                                                                                                  \
    case bytes:                                                                                                        \
        for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * step, from + (size_t)i * (bytes), bytes);              \
        return
    switch (run) {
        SPREAD(4);
        SPREAD(8);
        SPREAD(16);
        SPREAD(32);
    default:
        for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * step, from + (size_t)i * run, run);
    }
#undef SPREAD
}

/* Concatenation of short rows, `bytes` of them in the output. */
typedef struct short_rows {
    const sw_call *call;
    int64_t rows;
    size_t bytes;
} short_rows;

static void join_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    enum { SOME = 64 }; /* rows of the output that stay in a cache until all inputs are in them */
    const short_rows *j = ctx;
    for (int64_t n; begin < end; begin += n) {
        n = end - begin < SOME ? end - begin : SOME;
        char *out = j->call->out[0]->data, *to = out + (size_t)begin * j->bytes;
        for (int i = 0; i < j->call->n_in; i++) {
            const sw_tensor *in = j->call->in[i];
            size_t run = (size_t)sw_tensor_bytes(in) / (size_t)j->rows;
            if (run == 0) continue;
            spread(to, j->bytes, (const char *)in->data + (size_t)begin * run, run, n);
            to += run;
        }
    }
}

/* False: rows are long, or an input is a view of the output. */
static bool join_short_rows(const sw_call *c, int axis) {
    enum { SHORT = 1024 };
    const sw_tensor *out = c->out[0];
    short_rows j = {.call = c, .rows = 1};
    for (int i = 0; i < axis; i++) j.rows *= out->dims[i];
    if (sw_tensor_bytes(out) == 0) return true;
    j.bytes = sw_tensor_bytes(out) / (size_t)j.rows;
    const char *begin = out->data, *end = begin + sw_tensor_bytes(out);
    for (int i = 0; i < c->n_in; i++) {
        const char *in = c->in[i]->data;
        if (in >= begin && in < end) return false;
    }
    if (j.bytes > SHORT || j.rows == 1) return false;
    sw_pool_for(c->pool, j.rows, 1 + (1 << 15) / (int64_t)j.bytes, join_rows, &j);
    return true;
}

sw_status sw__concat_ref(const sw_call *c) {
    const sw_tensor *out = c->out[0];
    int axis = sw_axis(sw_call_int(c, "axis"), out->rank);
    int64_t start = 0;
    if (join_short_rows(c, axis)) return SW_OK;
    for (int i = 0; i < c->n_in; i++) {
        copy_piece(c, out, c->in[i], axis, start, true);
        start += c->in[i]->dims[axis];
    }
    return SW_OK;
}

sw_status sw__split_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *lengths = sw_call_in(c, 1);
    int axis = sw_axis(sw_call_int(c, "axis"), in->rank);
    int64_t dim = in->dims[axis], chunk = (dim + c->n_out - 1) / c->n_out, start = 0;
    for (int i = 0; i < c->n_out; i++) {
        if (c->out[i]) copy_piece(c, in, c->out[i], axis, start, false);
        start += lengths ? sw_tensor_int_at(lengths, i) : chunk;
    }
    return SW_OK;
}

sw_status sw__slice_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    size_t size = sw_dtype_size(in->dtype);
    sw_slice s;
    SW_TRY(sw__slice_resolve(c, &s));
    if (sw_tensor_count(out) == 0) return SW_OK;
    sw_nd nd = {.rank = in->rank, .arrays = 2};
    sw__nd_strides(out->rank, out->dims, nd.stride[0]);
    sw__nd_strides(in->rank, in->dims, nd.stride[1]);
    const char *from = in->data;
    for (int i = 0; i < in->rank; i++) {
        nd.dims[i] = s.count[i];
        from += s.first[i] * nd.stride[1][i] * (int64_t)size;
        nd.stride[1][i] *= s.step[i];
    }
    sw__nd_copy(c->pool, &nd, size, out->data, from);
    return SW_OK;
}

sw_status sw__expand_ref(const sw_call *c) {
    sw_nd nd;
    sw__nd_broadcast(&nd, c->out[0], c->in, 1);
    sw__nd_copy(c->pool, &nd, sw_dtype_size(c->out[0]->dtype), c->out[0]->data, c->in[0]->data);
    return SW_OK;
}

/* Each axis becomes two: repeats, which do not step in the input, and the input's own. */
sw_status sw__tile_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    if (sw_tensor_count(out) == 0) return SW_OK;
    int64_t step_in[SW_MAX_RANK], step_out[SW_MAX_RANK];
    sw__nd_strides(in->rank, in->dims, step_in);
    sw__nd_strides(out->rank, out->dims, step_out);
    sw_nd nd = {.rank = 2 * in->rank, .arrays = 2};
    for (int i = 0; i < in->rank; i++) {
        nd.dims[2 * i] = out->dims[i] / in->dims[i];
        nd.dims[2 * i + 1] = in->dims[i];
        nd.stride[0][2 * i] = step_out[i] * in->dims[i];
        nd.stride[0][2 * i + 1] = step_out[i];
        nd.stride[1][2 * i + 1] = step_in[i];
    }
    sw__nd_copy(c->pool, &nd, sw_dtype_size(in->dtype), out->data, in->data);
    return SW_OK;
}

/* Both directions see the pictures as six axes: N, block row, block column, channel, row, column in the deep one
 * (CRD: channel before the block), N, channel, row, block row, column, block column in the wide one. `order`:
 * which axis of the deep one each axis of the wide one is. */
static void copy_blocks(const sw_call *c, const sw_tensor *wide, const int64_t *deep_dims, const int *order,
                        bool to_wide) {
    int64_t deep_step[6];
    sw_nd nd = {.rank = 6, .arrays = 2};
    sw__nd_strides(6, deep_dims, deep_step);
    int64_t *deep = nd.stride[to_wide ? 1 : 0], *flat = nd.stride[to_wide ? 0 : 1];
    for (int i = 0; i < 6; i++) {
        nd.dims[i] = deep_dims[order[i]];
        deep[i] = deep_step[order[i]];
    }
    sw__nd_strides(6, nd.dims, flat);
    sw__nd_copy(c->pool, &nd, sw_dtype_size(wide->dtype), c->out[0]->data, c->in[0]->data);
}

sw_status sw__depth_to_space_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    int64_t b = sw_call_int(c, "blocksize");
    if (strcmp(sw_call_string(c, "mode"), "DCR") == 0)
        copy_blocks(c, out, (int64_t[]){in->dims[0], b, b, out->dims[1], in->dims[2], in->dims[3]},
                    (int[]){0, 3, 4, 1, 5, 2}, true);
    else
        copy_blocks(c, out, (int64_t[]){in->dims[0], out->dims[1], b, b, in->dims[2], in->dims[3]},
                    (int[]){0, 1, 4, 2, 5, 3}, true);
    return SW_OK;
}

sw_status sw__space_to_depth_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    int64_t b = sw_call_int(c, "blocksize");
    copy_blocks(c, in, (int64_t[]){in->dims[0], b, b, in->dims[1], out->dims[2], out->dims[3]},
                (int[]){0, 3, 4, 1, 5, 2}, false);
    return SW_OK;
}

/* ---- Trilu --------------------------------------------------------------------------------------------------------- */

typedef struct trilu_run {
    const char *from;
    char *to;
    int64_t rows, row_bytes, size, columns, k;
    bool upper;
} trilu_run;

static void trilu_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const trilu_run *r = ctx;
    for (int64_t i = begin; i < end; i++) {
        char *to = r->to + i * r->row_bytes;
        int64_t cut = i % r->rows + r->k + (r->upper ? 0 : 1); /* the first column kept, or the first dropped */
        cut = (cut < 0 ? 0 : cut > r->columns ? r->columns : cut) * r->size;
        memcpy(to, r->from + i * r->row_bytes, (size_t)r->row_bytes);
        if (r->upper)
            memset(to, 0, (size_t)cut);
        else
            memset(to + cut, 0, (size_t)(r->row_bytes - cut));
    }
}

sw_status sw__trilu_ref(const sw_call *c) {
    const sw_tensor *in = c->in[0], *out = c->out[0];
    int64_t k = 0;
    bool known;
    SW_TRY(sw__input_int(c, 1, "k", &k, &known));
    if (in->rank < 2) return sw_call_fail(c, "the input must have at least 2 axes, found %d", in->rank);
    int64_t n = sw_tensor_count(in), rows = in->dims[in->rank - 2], columns = in->dims[in->rank - 1];
    if (n == 0) return SW_OK;
    if (k < -rows) k = -rows;
    if (k > columns) k = columns;
    int64_t size = (int64_t)sw_dtype_size(in->dtype);
    trilu_run r = {in->data, out->data, rows, columns * size, size, columns, k, sw_call_int(c, "upper") != 0};
    sw_pool_for(c->pool, n / columns, 1 + 8192 / columns, trilu_rows, &r);
    return SW_OK;
}
