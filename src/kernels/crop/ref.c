/* ResizeCrop: what torchvision's Resize and CenterCrop make of a Pillow picture, byte for byte, as a normalised planar tensor.
 *
 * Pillow resizes with a triangle as wide as the reduction (never narrower than a pixel on each side), rows first. Weights are
 * doubles that are divided by their sum and rounded to 22 bits behind the point; each pass rounds to a byte. A pass that
 * changes nothing is left out. Only the part that is cut out is calculated. */
#include <math.h>

#include "kernels/kernel.h"
#include "kernels/letterbox/values.h"

enum { BITS = 22 };

/* One side of the picture: its resized size, and what is cut out of that. */
typedef struct side {
    int64_t from, to, begin, count;
} side;

/* The source pixels that a resized pixel is made of, and the index of the first one's weight. */
typedef struct tap {
    int64_t first, count;
    int64_t weight;
} tap;

typedef struct taps {
    tap *items; /* of the pixels that are cut out */
    int32_t *weights;
} taps;

typedef struct job {
    const uint8_t *picture;
    int64_t pitch;
    side x, y;
    taps across, down;
    int64_t first_row; /* of the picture, in `rows` */
    uint8_t *rows;     /* resized across, 3 * x.count bytes each */
    bool swap;
    float value[3][256];
    float *out;
} job;

static void place(const sw_call *c, int64_t height, int64_t width, side *y, side *x) {
    int64_t resize = sw_call_int(c, "resize");
    y->from = height, x->from = width;
    y->count = y->to = sw_call_int(c, "height");
    x->count = x->to = sw_call_int(c, "width");
    if (resize) {
        int64_t shorter = height < width ? height : width;
        y->to = height == shorter ? resize : (int64_t)((double)(resize * height) / (double)shorter);
        x->to = width == shorter ? resize : (int64_t)((double)(resize * width) / (double)shorter);
    }
    y->begin = (int64_t)rint((double)(y->to - y->count) / 2);
    x->begin = (int64_t)rint((double)(x->to - x->count) / 2);
}

static sw_status make_taps(const sw_call *c, const side *s, taps *t) {
    double scale = (double)s->from / (double)s->to, reach = fmax(scale, 1);
    int64_t most = 2 * (int64_t)ceil(reach) + 1;
    t->items = sw_calloc(c->allocator, (size_t)s->count, sizeof *t->items);
    t->weights = sw_calloc(c->allocator, (size_t)(s->count * most), sizeof *t->weights);
    if (!t->items || !t->weights) return SW_E_NOMEM;
    for (int64_t i = 0; i < s->count; i++) {
        double center = ((double)(s->begin + i) + 0.5) * scale, sum = 0;
        int64_t first = (int64_t)fmax(center - reach + 0.5, 0),
                end = (int64_t)fmin(center + reach + 0.5, (double)s->from);
        for (int64_t k = first; k < end; k++) sum += fmax(1 - fabs(((double)k - center + 0.5) / reach), 0);
        for (int64_t k = first; k < end; k++) {
            double weight = fmax(1 - fabs(((double)k - center + 0.5) * (1 / reach)), 0) / sum;
            t->weights[i * most + k - first] = (int32_t)(0.5 + weight * (1 << BITS));
        }
        t->items[i] = (tap){first, end - first, i * most};
    }
    return SW_OK;
}

/* A weighted sum of bytes that lie `step` apart. */
static uint8_t blend(const uint8_t *from, int64_t step, const int32_t *weights, int64_t n) {
    int64_t sum = 1 << (BITS - 1);
    for (int64_t i = 0; i < n; i++) sum += (int64_t)from[i * step] * weights[i];
    sum >>= BITS;
    return (uint8_t)(sum > 255 ? 255 : sum);
}

static void resize_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const job *j = ctx;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        const uint8_t *from = j->picture + (j->first_row + row) * j->pitch;
        uint8_t *to = j->rows + row * 3 * j->x.count;
        for (int64_t i = 0; i < 3 * j->x.count; i++) {
            const tap *t = &j->across.items[i / 3];
            to[i] = j->x.from == j->x.to
                        ? from[3 * j->x.begin + i]
                        : blend(from + 3 * t->first + i % 3, 3, j->across.weights + t->weight, t->count);
        }
    }
}

static void fill_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const job *j = ctx;
    int64_t pitch = 3 * j->x.count;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        const tap *t = &j->down.items[row];
        bool same = j->y.from == j->y.to;
        const uint8_t *from = j->rows + ((same ? j->y.begin + row : t->first) - j->first_row) * pitch;
        for (int channel = 0; channel < 3; channel++) {
            int source = j->swap ? 2 - channel : channel;
            float *out = j->out + (channel * j->y.count + row) * j->x.count;
            for (int64_t i = 0; i < j->x.count; i++) {
                const uint8_t *at = from + 3 * i + source;
                out[i] = j->value[channel][same ? *at : blend(at, pitch, j->down.weights + t->weight, t->count)];
            }
        }
    }
}

sw_status sw__resize_crop_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    if (!sw_call_out(c, 0)) return SW_OK;
    job j = {
        .picture = x->data, .pitch = 3 * x->dims[1], .swap = sw_call_int(c, "swap_rb") != 0, .out = c->out[0]->data};
    place(c, x->dims[0], x->dims[1], &j.y, &j.x);
    sw__pixel_values(c, j.value);
    sw_status status = make_taps(c, &j.x, &j.across);
    if (status == SW_OK) status = make_taps(c, &j.y, &j.down);
    if (status != SW_OK) goto out;
    const tap *last = &j.down.items[j.y.count - 1];
    bool same = j.y.from == j.y.to;
    j.first_row = same ? j.y.begin : j.down.items[0].first;
    int64_t n_rows = (same ? j.y.begin + j.y.count : last->first + last->count) - j.first_row;
    j.rows = sw_alloc(c->allocator, (size_t)(n_rows * 3 * j.x.count));
    if (!j.rows) {
        status = SW_E_NOMEM;
        goto out;
    }
    sw_pool_for(c->pool, n_rows, 16, resize_rows, &j);
    sw_pool_for(c->pool, j.y.count, 16, fill_rows, &j);
out:
    sw_free(c->allocator, j.rows);
    sw_free(c->allocator, j.across.items);
    sw_free(c->allocator, j.across.weights);
    sw_free(c->allocator, j.down.items);
    sw_free(c->allocator, j.down.weights);
    return status;
}
