#include "ir/axes.h"

#include <assert.h>
#include <string.h>

sw_axes sw_axes_plain(int n) {
    sw_axes a = {.n = n};
    for (int i = 0; i < n; i++) a.at[i] = (uint8_t)i;
    return a;
}

sw_axes sw_axes_channels_last(int n) {
    sw_axes a = sw_axes_plain(n);
    for (int i = 1; i < n; i++) a.at[i] = (uint8_t)(i + 1 < n ? i + 1 : 1);
    return a;
}

sw_axes sw_axes_channels_first(int n) {
    sw_axes a = sw_axes_plain(n);
    for (int i = 1; i < n; i++) a.at[i] = (uint8_t)(i == 1 ? n - 1 : i - 1);
    return a;
}

bool sw_axes_equal(const sw_axes *a, const sw_axes *b) {
    return a->n == b->n && memcmp(a->at, b->at, (size_t)a->n) == 0;
}

bool sw_axes_is_plain(const sw_axes *a) {
    for (int i = 0; i < a->n; i++)
        if (a->at[i] != i) return false;
    return true;
}

int sw_axes_find(const sw_axes *a, int axis) {
    for (int i = 0; i < a->n; i++)
        if (a->at[i] == axis) return i;
    assert(false);
    return 0;
}

void sw_axes_apply(const sw_axes *a, const int64_t *dims, int64_t *stored) {
    for (int i = 0; i < a->n; i++) stored[i] = dims[a->at[i]];
}

void sw_axes_between(const sw_axes *from, const sw_axes *to, int64_t *perm) {
    for (int i = 0; i < to->n; i++) perm[i] = sw_axes_find(from, to->at[i]);
}

bool sw_axes_same_order(const sw_axes *from, const sw_axes *to, const int64_t *dims) {
    int i = 0, k = 0, n = from->n;
    for (;;) {
        while (i < n && dims[from->at[i]] == 1) i++;
        while (k < n && dims[to->at[k]] == 1) k++;
        if (i == n || k == n) return i == k;
        if (from->at[i++] != to->at[k++]) return false;
    }
}

sw_axes sw_axes_transposed(const sw_axes *a, const int64_t *perm) {
    sw_axes result = {.n = a->n};
    for (int i = 0; i < a->n; i++) result.at[sw_axes_find(a, (int)perm[i])] = (uint8_t)i;
    return result;
}

/* Axes of the value and of the result between the same cuts: their extents have the same product. */
typedef struct group {
    int in, in_end, out, out_end;
    int place; /* in the stored form, of its first axis */
} group;

/* Cuts both lists of dims into the smallest groups of equal product; 0 when they do not fit. */
static int find_groups(int n_in, const int64_t *dims, int n_out, const int64_t *out, group *groups) {
    int n = 0, i = 0, o = 0;
    while (i < n_in && o < n_out) {
        group *g = &groups[n++];
        *g = (group){.in = i, .out = o};
        int64_t have = dims[i++], want = out[o++];
        while (have != want) {
            if (have < want && i < n_in)
                have *= dims[i++];
            else if (want < have && o < n_out)
                want *= out[o++];
            else
                return 0;
        }
        g->in_end = i;
        g->out_end = o;
    }
    for (; i < n_in; i++)
        if (dims[i] != 1) return 0;
    for (int k = o; k < n_out; k++)
        if (out[k] != 1) return 0;
    if (n) {
        groups[n - 1].in_end = n_in;
        groups[n - 1].out_end = n_out;
    }
    return n;
}

/* The axes of a group that are not of extent 1 must lie side by side and in order. */
static bool lies_together(const sw_axes *a, const int64_t *dims, group *g) {
    int place = -1, next = g->in;
    g->place = sw_axes_find(a, g->in);
    for (int i = 0; i < a->n; i++) {
        int axis = a->at[i];
        if (dims[axis] == 1) continue;
        while (next < g->in_end && dims[next] == 1) next++;
        if (next == g->in_end) break;
        if (axis == next) {
            if (place < 0) place = i;
            next++;
        } else if (place >= 0) {
            return false; /* another axis in between */
        } else if (axis > g->in && axis < g->in_end) {
            return false; /* out of order */
        }
    }
    if (place >= 0) g->place = place;
    return true;
}

bool sw_axes_reshaped(const sw_axes *a, const int64_t *dims, int n_out, const int64_t *out, sw_axes *result) {
    group groups[SW_MAX_RANK];
    *result = sw_axes_plain(n_out);
    if (sw_axes_is_plain(a)) return true;
    for (int i = 0; i < a->n; i++)
        if (dims[i] < 1) return false;
    int n = find_groups(a->n, dims, n_out, out, groups);
    if (!n) return false;
    for (int i = 0; i < n; i++)
        if (!lies_together(a, dims, &groups[i])) return false;
    int filled = 0;
    for (int place = 0; place < a->n; place++)
        for (int i = 0; i < n; i++)
            for (int o = groups[i].out; groups[i].place == place && o < groups[i].out_end && filled < n_out; o++)
                result->at[filled++] = (uint8_t)o;
    return filled == n_out;
}
