/* What walks along one axis: ArgMax, ArgMin, CumSum, TopK. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

typedef struct walk {
    const sw_call *call;
    sw_lanes lanes;
    int64_t k;     /* TopK */
    int64_t *heap; /* TopK: k numbers for each thread */
} walk;

/* First element of a lane in a tensor whose axis has extent `length`. */
static int64_t lane_start(const walk *w, int64_t lane, int64_t length) {
    return lane / w->lanes.inner * length * w->lanes.inner + lane % w->lanes.inner;
}

static void arg_lanes(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const walk *w = ctx;
    const sw_tensor *x = w->call->in[0];
    uint64_t flip = w->call->op == SW_OP_ArgMin ? UINT64_MAX : 0;
    bool last = sw_call_int(w->call, "select_last_index") != 0;
    for (int64_t lane = begin; lane < end; lane++) {
        int64_t first = lane_start(w, lane, w->lanes.length), best = 0;
        uint64_t top = sw__order_key(x->dtype, x->data, first) ^ flip;
        for (int64_t i = 1; i < w->lanes.length; i++) {
            uint64_t key = sw__order_key(x->dtype, x->data, first + i * w->lanes.inner) ^ flip;
            if (key < top || (key == top && !last)) continue;
            top = key;
            best = i;
        }
        ((int64_t *)w->call->out[0]->data)[lane] = best;
    }
}

sw_status sw__arg_reduce_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    if (x->dtype == SW_DTYPE_NONE || x->dtype == SW_BOOL) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    int axis = sw_axis(sw_call_int(c, "axis"), x->rank);
    walk w = {.call = c, .lanes = sw__lanes(x, axis, axis + 1)};
    sw_pool_for(c->pool, sw_tensor_count(y), 1 + 4096 / w.lanes.length, arg_lanes, &w);
    return SW_OK;
}

static void sum_lanes(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    const walk *w = ctx;
    const sw_tensor *x = w->call->in[0];
    sw_tensor *y = w->call->out[0];
    bool exclusive = sw_call_int(w->call, "exclusive") != 0, reverse = sw_call_int(w->call, "reverse") != 0;
    bool product = w->call->op == SW_OP_CumProd;
    int64_t length = w->lanes.length, step = reverse ? -w->lanes.inner : w->lanes.inner;
    union {
        double real[SW_WIDE];
        uint64_t whole[SW_WIDE];
    } v;
    for (int64_t lane = begin; lane < end; lane++) {
        int64_t first = lane_start(w, lane, length) + (reverse ? (length - 1) * w->lanes.inner : 0);
        double sum = product;
        uint64_t whole = product;
        for (int64_t i = 0, n; i < length; i += n) {
            n = sw__min64(SW_WIDE, length - i);
            if (sw__dtype_is_float(x->dtype)) {
                sw__widen(x->dtype, x->data, first + i * step, step, n, v.real);
                for (int64_t j = 0; j < n; j++) {
                    double before = sum;
                    sum = product ? sum * v.real[j] : sum + v.real[j];
                    v.real[j] = exclusive ? before : sum;
                }
                sw__narrow(x->dtype, v.real, n, y->data, first + i * step, step);
            } else {
                sw__widen_integer(x->dtype, x->data, first + i * step, step, n, v.whole);
                for (int64_t j = 0; j < n; j++) {
                    uint64_t before = whole;
                    whole = product ? whole * v.whole[j] : whole + v.whole[j];
                    v.whole[j] = exclusive ? before : whole;
                }
                sw__narrow_integer(x->dtype, v.whole, n, y->data, first + i * step, step);
            }
        }
    }
}

sw_status sw__cum_sum_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    int64_t axis64;
    bool known;
    int axis;
    if (x->dtype == SW_DTYPE_NONE || x->dtype == SW_BOOL) return sw__refuse_dtype(c, x->dtype);
    SW_TRY(sw__input_int(c, 1, "axis", &axis64, &known));
    SW_TRY(sw__require_axis(c, axis64, x->rank, &axis));
    if (!sw_call_out(c, 0) || sw_tensor_count(x) == 0) return SW_OK;
    walk w = {.call = c, .lanes = sw__lanes(x, axis, axis + 1)};
    sw_pool_for(c->pool, w.lanes.outer * w.lanes.inner, 1 + 4096 / w.lanes.length, sum_lanes, &w);
    return SW_OK;
}

/* The lane that a heap of TopK orders: smallest key first, then smallest index; `flip` turns it to the largest. */
typedef struct ranking {
    const sw_tensor *x;
    int64_t first, step;
    uint64_t flip;
} ranking;

static bool ranks_before(const ranking *r, int64_t a, int64_t b) {
    uint64_t ka = sw__order_key(r->x->dtype, r->x->data, r->first + a * r->step) ^ r->flip;
    uint64_t kb = sw__order_key(r->x->dtype, r->x->data, r->first + b * r->step) ^ r->flip;
    return ka != kb ? ka < kb : a < b;
}

/* Restores the heap (last-ranked on top) after its element at `i` has changed. */
static void sift_down(const ranking *r, int64_t *heap, int64_t n, int64_t i) {
    for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && ranks_before(r, heap[child], heap[child + 1])) child++;
        if (!ranks_before(r, heap[i], heap[child])) return;
        int64_t t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

/* Leaves in heap[0 .. k) the k first-ranked of `length` elements, in order. */
static void select_first(const ranking *r, int64_t length, int64_t *heap, int64_t k) {
    for (int64_t i = 0; i < k; i++) heap[i] = i;
    for (int64_t i = k / 2 - 1; i >= 0; i--) sift_down(r, heap, k, i);
    for (int64_t i = k; i < length; i++) {
        if (!ranks_before(r, i, heap[0])) continue;
        heap[0] = i;
        sift_down(r, heap, k, 0);
    }
    for (int64_t n = k - 1; n > 0; n--) {
        int64_t t = heap[0];
        heap[0] = heap[n];
        heap[n] = t;
        sift_down(r, heap, n, 0);
    }
}

static void copy_element(size_t size, const void *from, int64_t i, void *to, int64_t j) {
    memcpy((char *)to + (size_t)j * size, (const char *)from + (size_t)i * size, size);
}

static void topk_lanes(void *ctx, int64_t begin, int64_t end, int thread) {
    const walk *w = ctx;
    const sw_tensor *x = w->call->in[0];
    sw_tensor *values = sw_call_out(w->call, 0), *indices = sw_call_out(w->call, 1);
    int64_t *heap = w->heap + thread * w->k;
    ranking r = {.x = x, .step = w->lanes.inner, .flip = sw_call_int(w->call, "largest") != 0 ? UINT64_MAX : 0};
    for (int64_t lane = begin; lane < end; lane++) {
        int64_t to = lane_start(w, lane, w->k);
        r.first = lane_start(w, lane, w->lanes.length);
        select_first(&r, w->lanes.length, heap, w->k);
        for (int64_t i = 0; i < w->k; i++, to += w->lanes.inner) {
            if (values) copy_element(sw_dtype_size(x->dtype), x->data, r.first + heap[i] * r.step, values->data, to);
            if (indices) ((int64_t *)indices->data)[to] = heap[i];
        }
    }
}

/* Always sorted, which `sorted` = 0 allows. Equal elements keep their order. */
sw_status sw__topk_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0) ? sw_call_out(c, 0) : sw_call_out(c, 1);
    int axis = sw_axis(sw_call_int(c, "axis"), x->rank);
    if (x->dtype == SW_DTYPE_NONE || x->dtype == SW_BOOL) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    walk w = {.call = c, .lanes = sw__lanes(x, axis, axis + 1), .k = y->dims[axis]};
    w.heap = sw_calloc(c->allocator, (size_t)w.k * (size_t)sw_pool_threads(c->pool), sizeof *w.heap);
    if (!w.heap) return SW_E_NOMEM;
    sw_pool_for(c->pool, w.lanes.outer * w.lanes.inner, 1 + 4096 / w.lanes.length, topk_lanes, &w);
    sw_free(c->allocator, w.heap);
    return SW_OK;
}
