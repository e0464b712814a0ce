/* Letterbox: OpenCV's bilinear resize of 8-bit pixels, bit for bit, into a padded and normalised planar
 * tensor.
 *
 * OpenCV computes each direction with weights of 11 bits. Columns first, in full: 255 * 2048 fits in 19
 * bits. Rows then take the upper 15 bits of that, multiply, keep 16 bits fewer of each product, and round
 * the sum of both by 2 bits more. A reduction to exactly half in both directions is instead the rounded
 * mean of four pixels. Every step below loses the bits that OpenCV loses; tests/py/test_vision_ops.py holds
 * the proof. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/letterbox/values.h"

typedef sw__tap tap;

typedef struct job {
    const uint8_t *picture; /* rows of 3 * width bytes */
    int64_t height, width;
    sw_letterbox_fit fit;
    const tap *columns, *rows; /* of the scaled picture; indices of columns count bytes */
    bool halve;
    bool swap;
    uint8_t pad;
    float value[3][256]; /* of a byte in each channel of the tensor */
    float *out;
    uint8_t *bytes; /* in place of `out`; NULL */
} job;

/* Positions are floats, from doubles. Columns outside the picture take its edge alone (`clamp`); rows keep
 * their weights there and only clamp the index, which rounds differently. */
sw__tap sw__letterbox_tap(int64_t i, int64_t scaled, int64_t side, bool clamp) {
    double scale = 1.0 / ((double)scaled / (double)side);
    float position = (float)(((double)i + 0.5) * scale - 0.5);
    int64_t at = (int64_t)floorf(position);
    float fraction = position - (float)at;
    if (clamp && (at < 0 || at >= side - 1)) {
        at = at < 0 ? 0 : side - 1;
        fraction = 0;
    }
    int64_t next = at + 1;
    at = at < 0 ? 0 : at > side - 1 ? side - 1 : at;
    next = next > side - 1 ? side - 1 : next;
    return (tap){(int32_t)at, (int32_t)next, (int32_t)lrintf((1.0f - fraction) * 2048.0f),
                 (int32_t)lrintf(fraction * 2048.0f)};
}

static void make_taps(tap *taps, int64_t scaled, int64_t side, bool clamp, int step) {
    for (int64_t i = 0; i < scaled; i++) {
        taps[i] = sw__letterbox_tap(i, scaled, side, clamp);
        taps[i].at *= step;
        taps[i].next *= step;
    }
}

void sw__letterbox_taps(const sw_letterbox_fit *fit, int64_t height, int64_t width, sw__tap *taps) {
    make_taps(taps, fit->scaled_width, width, true, 3);
    make_taps(taps + fit->scaled_width, fit->scaled_height, height, false, 1);
}

bool sw__letterbox_halves(const sw_letterbox_fit *fit, int64_t height, int64_t width) {
    return height == 2 * fit->scaled_height && width == 2 * fit->scaled_width;
}

/* The scaled picture's byte `column` (of its row `row`) in channel `channel` of the source. */
static uint8_t bilinear(const uint8_t *above, const uint8_t *below, const tap *row, const tap *column, int channel) {
    int32_t a = above[column->at + channel] * column->weight_at + above[column->next + channel] * column->weight_next;
    int32_t b = below[column->at + channel] * column->weight_at + below[column->next + channel] * column->weight_next;
    int32_t sum = (row->weight_at * (a >> 4) >> 16) + (row->weight_next * (b >> 4) >> 16);
    return (uint8_t)((sum + 2) >> 2);
}

static uint8_t mean_of_four(const uint8_t *above, const uint8_t *below, int64_t byte) {
    return (uint8_t)((above[byte] + above[byte + 3] + below[byte] + below[byte + 3] + 2) >> 2);
}

static void put(const job *j, int64_t y, int64_t x, int channel, uint8_t byte) {
    if (j->bytes)
        j->bytes[(y * j->fit.width + x) * 3 + channel] = byte;
    else
        j->out[(channel * j->fit.height + y) * j->fit.width + x] = j->value[channel][byte];
}

static void fill_row(const job *j, int64_t y) {
    const sw_letterbox_fit *fit = &j->fit;
    int64_t row = y - fit->top, pitch = 3 * j->width;
    bool inside = row >= 0 && row < fit->scaled_height;
    int64_t begin = inside ? fit->left : fit->width, end = inside ? fit->left + fit->scaled_width : fit->width;
    for (int channel = 0; channel < 3; channel++) {
        int source = j->swap ? 2 - channel : channel;
        for (int64_t x = 0; x < begin; x++) put(j, y, x, channel, j->pad);
        for (int64_t x = end; x < fit->width; x++) put(j, y, x, channel, j->pad);
        if (!inside) continue;
        if (j->halve) {
            const uint8_t *above = j->picture + 2 * row * pitch, *below = above + pitch;
            for (int64_t x = 0; x < fit->scaled_width; x++)
                put(j, y, begin + x, channel, mean_of_four(above, below, 6 * x + source));
            continue;
        }
        const tap *tap_row = &j->rows[row];
        const uint8_t *above = j->picture + tap_row->at * pitch, *below = j->picture + tap_row->next * pitch;
        for (int64_t x = 0; x < fit->scaled_width; x++)
            put(j, y, begin + x, channel, bilinear(above, below, tap_row, &j->columns[x], source));
    }
}

static void fill_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    for (int64_t y = begin; y < end; y++) fill_row(ctx, y);
}

/* The divisions stay divisions: x / 255 is not x * (1 / 255). */
void sw__pixel_values(const sw_call *c, float value[3][256]) {
    float divisor = sw_call_float(c, "divisor");
    const sw_attr *mean = sw_call_attr(c, "mean", SW_ATTR_FLOATS), *std = sw_call_attr(c, "std", SW_ATTR_FLOATS);
    for (int channel = 0; channel < 3; channel++)
        for (int i = 0; i < 256; i++) {
            float v = (float)i / divisor;
            if (mean->floats.n) v -= mean->floats.v[channel];
            if (std->floats.n) v /= std->floats.v[channel];
            value[channel][i] = v;
        }
}

sw_status sw__letterbox_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    if (!sw_call_out(c, 0)) return SW_OK;
    sw_letterbox_rule rule;
    SW_TRY(sw_call_letterbox(c, &rule));
    job j = {
        .picture = x->data,
        .height = x->dims[0],
        .width = x->dims[1],
        .fit = sw_letterbox_place(&rule, x->dims[0], x->dims[1]),
        .swap = sw_call_int(c, "swap_rb") != 0,
        .pad = (uint8_t)sw_call_int(c, "pad_value"),
        .out = c->out[0]->data,
        .bytes = sw_call_int(c, "bytes") ? c->out[0]->data : NULL,
    };
    sw__pixel_values(c, j.value);
    j.halve = sw__letterbox_halves(&j.fit, j.height, j.width);
    tap *taps = sw_calloc(c->allocator, (size_t)(j.fit.scaled_width + j.fit.scaled_height), sizeof *taps);
    if (!taps) return SW_E_NOMEM;
    sw__letterbox_taps(&j.fit, j.height, j.width, taps);
    j.columns = taps;
    j.rows = taps + j.fit.scaled_width;
    sw_pool_for(c->pool, j.fit.height, 16, fill_rows, &j);
    sw_free(c->allocator, taps);
    return SW_OK;
}
