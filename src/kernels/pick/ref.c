/* Unique, Compress, ReverseSequence, CenterCropPad. */
#include <stdlib.h>
#include <string.h>

#include "kernels/index.h"
#include "kernels/kernel.h"
#include "kernels/nd.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* ---- Unique -------------------------------------------------------------------------------------------------------- */

/* A slice along the axis (or an element, without one), with what comparing it needs. */
typedef struct slice {
    const sw_tensor *x;
    sw_lanes lanes;
    int64_t at;
} slice;

/* Order of two slices, element by element. */
static int compare(const slice *a, const slice *b) {
    const sw_tensor *x = a->x;
    for (int64_t outer = 0; outer < a->lanes.outer; outer++)
        for (int64_t inner = 0; inner < a->lanes.inner; inner++) {
            int64_t row = outer * a->lanes.length;
            uint64_t ka = sw__order_key(x->dtype, x->data, (row + a->at) * a->lanes.inner + inner);
            uint64_t kb = sw__order_key(x->dtype, x->data, (row + b->at) * a->lanes.inner + inner);
            if (ka != kb) return ka < kb ? -1 : 1;
        }
    return 0;
}

static int by_value(const void *left, const void *right) {
    const slice *a = left, *b = right;
    int order = compare(a, b);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

static int by_place(const void *left, const void *right) {
    const int64_t *a = left, *b = right;
    return (a[0] > b[0]) - (a[0] < b[0]);
}

/* Groups: first place, count, number in order of value. Sorted slices give them; `group[place]` is the number. */
static int64_t find_groups(const slice *sorted, int64_t n, int64_t (*groups)[3], int64_t *group) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || compare(&sorted[i - 1], &sorted[i]) != 0) {
            memcpy(groups[count], (int64_t[3]){sorted[i].at, 0, count}, sizeof groups[0]);
            count++;
        }
        groups[count - 1][1]++;
        group[sorted[i].at] = count - 1;
    }
    return count;
}

/* `rank` maps numbers of groups to their place in the output. */
static sw_status write_unique(const sw_call *c, const slice *any, int64_t n, int64_t (*groups)[3], int64_t count,
                              const int64_t *group, const int64_t *rank) {
    const sw_tensor *x = c->in[0];
    const sw_attr *axis = sw_call_attr(c, "axis", SW_ATTR_INT);
    int64_t dims[SW_MAX_RANK] = {count};
    if (axis->set) {
        memcpy(dims, x->dims, sizeof dims);
        dims[sw_axis(axis->i, x->rank)] = count;
    }
    if (sw_call_out(c, 0)) SW_TRY(c->resize(c, 0, axis->set ? x->rank : 1, dims));
    if (sw_call_out(c, 1)) SW_TRY(c->resize(c, 1, 1, &count));
    if (sw_call_out(c, 3)) SW_TRY(c->resize(c, 3, 1, &count));
    size_t bytes = (size_t)any->lanes.inner * sw_dtype_size(x->dtype);
    for (int64_t i = 0; i < count; i++) {
        for (int64_t outer = 0; sw_call_out(c, 0) && outer < any->lanes.outer; outer++)
            memcpy((char *)c->out[0]->data + (size_t)(outer * count + i) * bytes,
                   (const char *)x->data + (size_t)(outer * any->lanes.length + groups[i][0]) * bytes, bytes);
        if (sw_call_out(c, 1)) ((int64_t *)c->out[1]->data)[i] = groups[i][0];
        if (sw_call_out(c, 3)) ((int64_t *)c->out[3]->data)[i] = groups[i][1];
    }
    for (int64_t i = 0; sw_call_out(c, 2) && i < n; i++) ((int64_t *)c->out[2]->data)[i] = rank[group[i]];
    return SW_OK;
}

sw_status sw__unique_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    const sw_attr *axis = sw_call_attr(c, "axis", SW_ATTR_INT);
    sw_lanes lanes = {1, sw_tensor_count(x), 1};
    if (axis->set) lanes = sw__lanes(x, sw_axis(axis->i, x->rank), sw_axis(axis->i, x->rank) + 1);
    if (lanes.outer < 0 || lanes.inner < 0 || sw_tensor_count(x) == 0) lanes.outer = lanes.inner = 0;
    int64_t n = lanes.length;
    slice *sorted = sw_calloc(c->allocator, (size_t)n + 1, sizeof *sorted);
    int64_t *group = sw_calloc(c->allocator, (size_t)n + 1, sizeof *group);
    int64_t *rank = sw_calloc(c->allocator, (size_t)n + 1, sizeof *rank);
    int64_t(*groups)[3] = sw_calloc(c->allocator, (size_t)n + 1, sizeof *groups);
    sw_status status = sorted && group && groups && rank ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK) {
        for (int64_t i = 0; i < n; i++) sorted[i] = (slice){x, lanes, i};
        sorted[n] = (slice){x, lanes, n};
        qsort(sorted, (size_t)n, sizeof *sorted, by_value);
        int64_t count = find_groups(sorted, n, groups, group);
        if (!sw_call_int(c, "sorted")) qsort(groups, (size_t)count, sizeof *groups, by_place);
        for (int64_t i = 0; i < count; i++) rank[groups[i][2]] = i;
        status = write_unique(c, &sorted[n], n, groups, count, group, rank);
    }
    sw_free(c->allocator, sorted);
    sw_free(c->allocator, group);
    sw_free(c->allocator, groups);
    sw_free(c->allocator, rank);
    return status;
}

/* ---- Compress ------------------------------------------------------------------------------------------------------ */

sw_status sw__compress_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *flags = c->in[1];
    const sw_attr *axis = sw_call_attr(c, "axis", SW_ATTR_INT);
    sw_lanes lanes = {1, sw_tensor_count(x), 1};
    int64_t dims[SW_MAX_RANK] = {0}, kept = 0;
    if (!sw_call_out(c, 0)) return SW_OK;
    int at = axis->set ? sw_axis(axis->i, x->rank) : 0;
    if (at < 0) return sw_call_fail(c, "axis %lld is outside the input", (long long)axis->i);
    if (axis->set) lanes = sw__lanes(x, at, at + 1);
    int64_t n = flags->dims[0];
    if (n > lanes.length)
        return sw_call_fail(c, "%lld conditions for %lld entries", (long long)n, (long long)lanes.length);
    for (int64_t i = 0; i < n; i++) kept += sw_tensor_int_at(flags, i) != 0;
    if (axis->set) memcpy(dims, x->dims, sizeof dims);
    dims[at] = kept;
    SW_TRY(c->resize(c, 0, axis->set ? x->rank : 1, dims));
    if (sw_tensor_count(c->out[0]) == 0) return SW_OK;
    size_t bytes = (size_t)lanes.inner * sw_dtype_size(x->dtype);
    char *to = c->out[0]->data;
    for (int64_t outer = 0; outer < lanes.outer; outer++)
        for (int64_t i = 0; i < n; i++) {
            if (!sw_tensor_int_at(flags, i)) continue;
            memcpy(to, (const char *)x->data + (size_t)(outer * lanes.length + i) * bytes, bytes);
            to += bytes;
        }
    return SW_OK;
}

/* ---- ReverseSequence ----------------------------------------------------------------------------------------------- */

sw_status sw__reverse_sequence_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *lengths = c->in[1], *y = sw_call_out(c, 0);
    bool batch_first = sw_call_int(c, "batch_axis") == 0;
    if (!y || sw_tensor_count(x) == 0) return SW_OK;
    int64_t batch = x->dims[!batch_first], steps = x->dims[batch_first];
    size_t bytes = (size_t)sw__extent(x, 2, x->rank) * sw_dtype_size(x->dtype);
    for (int64_t b = 0; b < batch; b++) {
        int64_t length = sw__index_at(lengths, b);
        if (length < 0 || length > steps)
            return sw_call_fail(c, "a sequence of %lld steps does not fit %lld steps", (long long)length,
                                (long long)steps);
        for (int64_t s = 0; s < steps; s++) {
            int64_t from = s < length ? length - 1 - s : s;
            int64_t at = batch_first ? b * steps + s : s * batch + b,
                    source = batch_first ? b * steps + from : from * batch + b;
            memcpy((char *)y->data + (size_t)at * bytes, (const char *)x->data + (size_t)source * bytes, bytes);
        }
    }
    return SW_OK;
}

/* ---- CenterCropPad ------------------------------------------------------------------------------------------------- */

/* The middle of the input into the middle of the output; halves of pixels go to the front. */
sw_status sw__center_crop_pad_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    size_t size = sw_dtype_size(x->dtype);
    memset(y->data, 0, (size_t)sw_tensor_bytes(y));
    if (sw_tensor_count(x) == 0) return SW_OK;
    sw_nd nd = {.rank = x->rank, .arrays = 2};
    sw__nd_strides(y->rank, y->dims, nd.stride[0]);
    sw__nd_strides(x->rank, x->dims, nd.stride[1]);
    int64_t to = 0, from = 0;
    for (int i = 0; i < x->rank; i++) {
        int64_t in = x->dims[i], out = y->dims[i];
        nd.dims[i] = sw__min64(in, out);
        if (in > out)
            from += (in - out) / 2 * nd.stride[1][i];
        else
            to += (out - in) / 2 * nd.stride[0][i];
    }
    sw__nd_copy(c->pool, &nd, size, (char *)y->data + to * (int64_t)size, (const char *)x->data + from * (int64_t)size);
    return SW_OK;
}
