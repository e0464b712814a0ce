#include "kernels/nd.h"

#include <assert.h>
#include <string.h>

/* The least elements that are worth a chunk of the pool. */
enum { GRAIN = 8192 };

void sw__nd_strides(int rank, const int64_t *dims, int64_t *stride) {
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = step;
        (void)__builtin_mul_overflow(step, dims[i], &step); /* overflows only in empty arrays, which nobody reads */
    }
}

void sw__nd_broadcast(sw_nd *nd, const sw_tensor *out, const sw_tensor *const *in, int n) {
    assert(n < SW_ND_ARRAYS);
    nd->rank = out->rank;
    nd->arrays = n + 1;
    memcpy(nd->dims, out->dims, sizeof out->dims);
    sw__nd_strides(out->rank, out->dims, nd->stride[0]);
    for (int k = 0; k < n; k++) {
        int64_t step[SW_MAX_RANK];
        int lead = out->rank - in[k]->rank;
        sw__nd_strides(in[k]->rank, in[k]->dims, step);
        for (int i = 0; i < out->rank; i++)
            nd->stride[k + 1][i] = i < lead || in[k]->dims[i - lead] == 1 ? 0 : step[i - lead];
    }
}

static bool steps_alike(const sw_nd *nd, int outer, int inner) {
    for (int k = 0; k < nd->arrays; k++)
        if (nd->stride[k][outer] != nd->stride[k][inner] * nd->dims[inner]) return false;
    return true;
}

void sw__nd_collapse(sw_nd *nd) {
    int rank = 0;
    for (int i = 0; i < nd->rank; i++) {
        if (nd->dims[i] != 0) continue;
        nd->rank = 1; /* nothing to walk over; the products below might not fit */
        nd->dims[0] = 0;
    }
    for (int i = 0; i < nd->rank; i++) {
        if (nd->dims[i] == 1) continue;
        bool join = rank > 0 && steps_alike(nd, rank - 1, i);
        int at = join ? rank - 1 : rank++;
        nd->dims[at] = join ? nd->dims[at] * nd->dims[i] : nd->dims[i];
        for (int k = 0; k < nd->arrays; k++) nd->stride[k][at] = nd->stride[k][i];
    }
    if (rank == 0) {
        nd->dims[rank++] = 1;
        for (int k = 0; k < nd->arrays; k++) nd->stride[k][0] = 0;
    }
    nd->rank = rank;
}

typedef struct nd_walk {
    const sw_nd *nd;
    sw_nd_row row;
    void *ctx;
} nd_walk;

/* Positions begin .. end of the walk, counted row-major; the first and the last run may be parts of a row. */
static void walk_range(void *ctx, int64_t begin, int64_t end, int thread) {
    const nd_walk *w = ctx;
    const sw_nd *nd = w->nd;
    int last = nd->rank - 1;
    int64_t at[SW_ND_RANK], offset[SW_ND_ARRAYS] = {0}, rest = begin;
    for (int i = last; i >= 0; i--) {
        at[i] = rest % nd->dims[i];
        rest /= nd->dims[i];
        for (int k = 0; k < nd->arrays; k++) offset[k] += at[i] * nd->stride[k][i];
    }
    while (begin < end) {
        int64_t n = nd->dims[last] - at[last] < end - begin ? nd->dims[last] - at[last] : end - begin;
        w->row(w->ctx, offset, n);
        begin += n;
        for (int k = 0; k < nd->arrays; k++) offset[k] -= at[last] * nd->stride[k][last];
        at[last] = 0;
        for (int i = last - 1; i >= 0; i--) {
            bool carry = ++at[i] == nd->dims[i];
            if (carry) at[i] = 0;
            for (int k = 0; k < nd->arrays; k++)
                offset[k] += carry ? -(nd->dims[i] - 1) * nd->stride[k][i] : nd->stride[k][i];
            if (!carry) break;
        }
    }
}

void sw__nd_for(sw_pool *pool, const sw_nd *nd, sw_nd_row row, void *ctx) {
    int64_t n = 1;
    for (int i = 0; i < nd->rank; i++)
        if (nd->dims[i] == 0) return;
    for (int i = 0; i < nd->rank; i++) n *= nd->dims[i];
    nd_walk w = {nd, row, ctx};
    if (pool)
        sw_pool_for(pool, n, GRAIN, walk_range, &w);
    else
        walk_range(&w, 0, n, 0);
}

#define COPY_STRIDED(type)                                                                                             \
    do {                                                                                                               \
        type *t = (type *)(void *)to;                                                                                  \
        const type *f = (const type *)(const void *)from;                                                              \
        for (int64_t i = 0; i < n; i++) t[i * to_stride] = f[i * from_stride];                                         \
    } while (0)

void sw__copy_strided(size_t size, char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t n) {
    if (to_stride == 1 && from_stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1:
        COPY_STRIDED(uint8_t);
        break;
    case 2:
        COPY_STRIDED(uint16_t);
        break;
    case 4:
        COPY_STRIDED(uint32_t);
        break;
    default:
        COPY_STRIDED(uint64_t);
        break;
    }
}

typedef struct nd_copy {
    size_t size;
    char *to;
    const char *from;
    int64_t to_stride, from_stride;
} nd_copy;

static void copy_row(void *ctx, const int64_t *offset, int64_t n) {
    const nd_copy *p = ctx;
    int64_t size = (int64_t)p->size;
    sw__copy_strided(p->size, p->to + offset[0] * size, p->to_stride, p->from + offset[1] * size, p->from_stride, n);
}

void sw__nd_copy(sw_pool *pool, sw_nd *nd, size_t size, void *to, const void *from) {
    sw__nd_collapse(nd);
    int last = nd->rank - 1;
    nd_copy p = {size, to, from, nd->stride[0][last], nd->stride[1][last]};
    sw__nd_for(pool, nd, copy_row, &p);
}

void sw__fill(sw_pool *pool, size_t size, void *to, const void *value, int64_t n) {
    sw_nd nd = {.rank = 1, .arrays = 2, .dims = {n}, .stride = {{1}, {0}}};
    sw__nd_copy(pool, &nd, size, to, value);
}
