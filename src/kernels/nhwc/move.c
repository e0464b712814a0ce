/* Copies: between layouts, and of channels into or out of wider maps. */
#include <string.h>

#include "kernels/nhwc/nhwc.h"

sw_status sw__relayout(const sw_call *c);
sw_status sw__nhwc_turn(const sw_call *c);
sw_status sw__nhwc_concat(const sw_call *c);
sw_status sw__nhwc_split(const sw_call *c);

/* Pixels at a time: both sides of the transposition stay in the first level cache. */
enum { BLOCK = 32 };

typedef struct transposition {
    const float *from;
    float *to;
    int64_t pixels, channels, pitch, blocks, plane; /* plane: floats from channel to channel of the rows */
    bool to_rows;
} transposition;

static void transpose_block(const transposition *t, int64_t n, int64_t first) {
    int64_t count = t->pixels - first < BLOCK ? t->pixels - first : BLOCK;
    const float *from = t->from;
    float *to = t->to;
    if (t->to_rows) {
        from += (n * t->pixels + first) * t->pitch;
        to += n * t->channels * t->plane + first;
        for (int64_t c = 0; c < t->channels; c++)
            for (int64_t p = 0; p < count; p++) to[c * t->plane + p] = from[p * t->pitch + c];
        return;
    }
    from += n * t->channels * t->pixels + first;
    to += (n * t->pixels + first) * t->pitch;
    for (int64_t p = 0; p < count; p++)
        for (int64_t c = 0; c < t->channels; c++) to[p * t->pitch + c] = from[c * t->pixels + p];
}

static void transpose_blocks(void *ctx, int64_t begin, int64_t end, int thread) {
    const transposition *t = ctx;
    (void)thread;
    for (int64_t i = begin; i < end; i++) transpose_block(t, i / t->blocks, i % t->blocks * BLOCK);
}

/* A copy of channels of every pixel. */
typedef struct channels {
    const sw_nhwc *from, *to;
    int64_t from_channel, to_channel, count;
} channels;

static void copy_pixels(void *ctx, int64_t begin, int64_t end, int thread) {
    const channels *k = ctx;
    (void)thread;
    for (int64_t p = begin; p < end; p++)
        memcpy(sw_nhwc_at(k->to, p, k->to_channel), sw_nhwc_at(k->from, p, k->from_channel),
               (size_t)(k->count * k->to->bytes));
}

/* Not where they already lie there (views). */
static void copy_channels(sw_pool *pool, const sw_nhwc *from, int64_t from_channel, const sw_nhwc *to,
                          int64_t to_channel, int64_t count) {
    channels k = {from, to, from_channel, to_channel, count};
    if (sw_nhwc_at(from, 0, from_channel) == sw_nhwc_at(to, 0, to_channel)) return;
    sw_pool_for(pool, to->batch * to->height * to->width, 1024, copy_pixels, &k);
}

sw_status sw__relayout(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    if (sw_tensor_count(x) == 0) return SW_OK;
    if (x->layout == y->layout) {
        sw_nhwc from = sw_nhwc_of(x), to = sw_nhwc_of(y);
        if (x->layout == SW_CHANNELS_LAST)
            copy_channels(c->pool, &from, 0, &to, 0, to.channels);
        else
            memcpy(y->data, x->data, (size_t)sw_tensor_bytes(x));
        return SW_OK;
    }
    bool to_rows = y->layout == SW_ROW_MAJOR;
    transposition t = {.from = x->data, .to = y->data, .channels = x->dims[1], .to_rows = to_rows};
    t.pixels = x->dims[2] * x->dims[3];
    t.pitch = to_rows ? x->pitch : y->pitch;
    t.plane = sw_nhwc_plane(y);
    t.blocks = (t.pixels + BLOCK - 1) / BLOCK;
    sw_pool_for(c->pool, x->dims[0] * t.blocks, 16, transpose_blocks, &t);
    return SW_OK;
}

/* Between a map and its pixels as rows: N H W C. */
sw_status sw__nhwc_turn(const sw_call *c) {
    bool to_rows = c->out[0]->layout == SW_ROW_MAJOR;
    const sw_tensor *map = to_rows ? c->in[0] : c->out[0], *rows = to_rows ? c->out[0] : c->in[0];
    const sw_attr *perm = sw_call_attr(c, "perm", SW_ATTR_INTS);
    const int64_t *p = perm->ints.v;
    bool fits = map->layout == SW_CHANNELS_LAST && rows->layout == SW_ROW_MAJOR && perm->set && perm->ints.n == 4 &&
                p[0] == 0 && p[1] == (to_rows ? 2 : 3) && p[2] == (to_rows ? 3 : 1) && p[3] == (to_rows ? 1 : 2);
    if (!fits) return sw_call_unsupported(c, "this order of axes of maps is not supported");
    sw_nhwc a = sw_nhwc_of(map), b = a;
    b.data = rows->data;
    b.pitch = a.channels;
    copy_channels(c->pool, to_rows ? &a : &b, 0, to_rows ? &b : &a, 0, a.channels);
    return SW_OK;
}

sw_status sw__nhwc_concat(const sw_call *c) {
    sw_nhwc to = sw_nhwc_of(c->out[0]);
    int64_t channel = 0;
    for (int i = 0; i < c->n_in; i++) {
        sw_nhwc from = sw_nhwc_of(c->in[i]);
        copy_channels(c->pool, &from, 0, &to, channel, from.channels);
        channel += from.channels;
    }
    return SW_OK;
}

sw_status sw__nhwc_split(const sw_call *c) {
    sw_nhwc from = sw_nhwc_of(c->in[0]);
    const sw_tensor *lengths = sw_call_in(c, 1);
    int64_t channel = 0, chunk = (from.channels + c->n_out - 1) / c->n_out;
    for (int i = 0; i < c->n_out; i++) {
        sw_nhwc to = c->out[i] ? sw_nhwc_of(c->out[i]) : (sw_nhwc){0}; /* a part that nobody reads */
        copy_channels(c->pool, &from, channel, &to, 0, to.channels);
        channel += lengths ? sw_tensor_int_at(lengths, i) : chunk;
    }
    return SW_OK;
}
