/* PixelShuffle, and DepthToSpace in its order (DCR): channel (i * sw + j) * C + c of a pixel becomes channel c of pixel
 * (i, j) of its block. ChannelShuffle: channel g * C + c becomes c * groups + g. Either layout. */
#include <string.h>

#include "kernels/kernel.h"

sw_status sw__pixel_shuffle(const sw_call *c);
sw_status sw__channel_shuffle(const sw_call *c);

typedef struct shuffle {
    const char *from;
    char *to;
    const sw_tensor *y;
    int64_t stride[2], top, left, groups;
    int64_t bytes;                    /* of an element */
    int64_t from_step[4], to_step[4]; /* bytes between batches, channels, rows, columns */
} shuffle;

static void set_steps(const sw_tensor *t, int64_t bytes, int64_t step[4]) {
    bool last = t->layout == SW_CHANNELS_LAST;
    const int64_t *d = t->dims;
    step[1] = last ? bytes : d[2] * d[3] * bytes;
    step[3] = last ? t->pitch * bytes : bytes;
    step[2] = d[3] * step[3];
    step[0] = last ? d[2] * step[2] : d[1] * step[1];
}

/* All channels of a pixel of the output. */
static void copy_pixel(const shuffle *s, const char *from, char *to) {
    int64_t channels = s->y->dims[1];
    if (s->from_step[1] == s->bytes && s->to_step[1] == s->bytes) {
        memcpy(to, from, (size_t)(channels * s->bytes));
        return;
    }
    for (int64_t c = 0; c < channels; c++) memcpy(to + c * s->to_step[1], from + c * s->from_step[1], (size_t)s->bytes);
}

static void copy_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const shuffle *s = ctx;
    (void)thread;
    const int64_t *dims = s->y->dims;
    for (int64_t row = begin; row < end; row++) {
        int64_t n = row / dims[2], y = row % dims[2], at_y = y + s->top, block_y = at_y % s->stride[0];
        const char *from = s->from + n * s->from_step[0] + at_y / s->stride[0] * s->from_step[2];
        char *to = s->to + n * s->to_step[0] + y * s->to_step[2];
        for (int64_t x = 0; x < dims[3]; x++) {
            int64_t at_x = x + s->left, block = block_y * s->stride[1] + at_x % s->stride[1];
            copy_pixel(s, from + at_x / s->stride[1] * s->from_step[3] + block * dims[1] * s->from_step[1],
                       to + x * s->to_step[3]);
        }
    }
}

sw_status sw__pixel_shuffle(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    shuffle s = {.from = x->data, .to = y->data, .y = y, .bytes = (int64_t)sw_dtype_size(x->dtype)};
    if (sw_tensor_count(y) == 0) return SW_OK;
    if (c->op == SW_OP_PixelShuffle) {
        const int64_t *strides = sw_call_attr(c, "strides", SW_ATTR_INTS)->ints.v,
                      *crops = sw_call_attr(c, "crops", SW_ATTR_INTS)->ints.v;
        s.stride[0] = strides[0], s.stride[1] = strides[1], s.top = crops[0], s.left = crops[1];
    } else
        s.stride[0] = s.stride[1] = sw_call_int(c, "blocksize");
    set_steps(x, s.bytes, s.from_step);
    set_steps(y, s.bytes, s.to_step);
    sw_pool_for(c->pool, y->dims[0] * y->dims[2], 4, copy_rows, &s);
    return SW_OK;
}

/* Two groups of floats, as most networks have them. */
static void interleave(const float *restrict a, const float *restrict b, int64_t n, float *restrict to) {
    for (int64_t i = 0; i < n; i++) {
        to[2 * i] = a[i];
        to[2 * i + 1] = b[i];
    }
}

static void shuffle_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const shuffle *s = ctx;
    (void)thread;
    const int64_t *dims = s->y->dims, each = dims[1] / s->groups;
    bool floats = s->bytes == 4, pairs = floats && s->groups == 2 && s->from_step[1] == 4 && s->to_step[1] == 4;
    for (int64_t row = begin; row < end; row++) {
        const char *from = s->from + row / dims[2] * s->from_step[0] + row % dims[2] * s->from_step[2];
        char *to = s->to + row / dims[2] * s->to_step[0] + row % dims[2] * s->to_step[2];
        for (int64_t x = 0; x < dims[3]; x++, from += s->from_step[3], to += s->to_step[3]) {
            if (pairs) {
                interleave((const float *)from, (const float *)from + each, each, (float *)to);
                continue;
            }
            for (int64_t g = 0; g < s->groups; g++)
                for (int64_t i = 0; i < each; i++) {
                    const char *a = from + (g * each + i) * s->from_step[1];
                    char *b = to + (i * s->groups + g) * s->to_step[1];
                    if (floats)
                        memcpy(b, a, 4);
                    else
                        memcpy(b, a, (size_t)s->bytes);
                }
        }
    }
}

sw_status sw__channel_shuffle(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    shuffle s = {.from = x->data, .to = y->data, .y = y, .groups = sw_call_int(c, "groups")};
    s.bytes = (int64_t)sw_dtype_size(x->dtype);
    if (sw_tensor_count(y) == 0) return SW_OK;
    set_steps(x, s.bytes, s.from_step);
    set_steps(y, s.bytes, s.to_step);
    sw_pool_for(c->pool, y->dims[0] * y->dims[2], 4, shuffle_rows, &s);
    return SW_OK;
}
