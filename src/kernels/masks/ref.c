/* ProtoMasks: instance masks of YOLACT's kind, as Ultralytics assembles them: the weighted sum of the prototypes, enlarged by
 * bilinear interpolation with pixel centres at halves, cut at zero and at the box. Only what a box needs is calculated. */
#include <math.h>
#include <string.h>

#include "kernels/kernel.h"

typedef struct job {
    const float *rows, *protos;
    int64_t values, height, width; /* of a row; of the prototypes */
    int64_t scale;
    uint8_t *masks;
} job;

/* Pixels begin <= x < end of a side. */
typedef struct span {
    int64_t begin, end;
} span;

/* The pixels x of 0 .. side - 1 with from <= x < to; none when a bound is not a number. */
static span pixels_within(float from, float to, int64_t side) {
    if (!(from < to)) return (span){0, 0};
    float begin = ceilf(fmaxf(from, 0)), end = ceilf(fminf(to, (float)side));
    return begin < end ? (span){(int64_t)begin, (int64_t)end} : (span){0, 0};
}

/* Between which prototypes' pixels a pixel of the mask lies, and how far from the first. */
static float source_of(const job *j, int64_t pixel, int64_t side, int64_t *at, int64_t *next) {
    float position = fmaxf(((float)pixel + 0.5f) / (float)j->scale - 0.5f, 0);
    *at = (int64_t)position;
    *next = *at + (*at < side - 1);
    return position - (float)*at;
}

/* Sums of the prototypes for the rows and columns of them that the box needs. */
static void combine(const job *j, const float *coefficients, span y, span x, float *sums) {
    int64_t area = j->height * j->width;
    for (int64_t row = y.begin; row < y.end; row++)
        for (int64_t column = x.begin; column < x.end; column++) {
            const float *proto = j->protos + row * j->width + column;
            float sum = 0;
            for (int64_t k = 0; k < j->values - 6; k++) sum += coefficients[k] * proto[k * area];
            sums[row * j->width + column] = sum;
        }
}

static void make_mask(const job *j, int64_t n, float *sums) {
    const float *row = j->rows + n * j->values;
    int64_t pitch = j->width * j->scale, first, last, unused;
    uint8_t *mask = j->masks + n * j->height * j->scale * pitch;
    span x = pixels_within(row[0], row[2], pitch), y = pixels_within(row[1], row[3], j->height * j->scale);
    memset(mask, 0, (size_t)(j->height * j->scale * pitch));
    if (x.begin == x.end || y.begin == y.end) return;
    span proto_x, proto_y;
    source_of(j, x.begin, j->width, &first, &unused), source_of(j, x.end - 1, j->width, &unused, &last);
    proto_x = (span){first, last + 1};
    source_of(j, y.begin, j->height, &first, &unused), source_of(j, y.end - 1, j->height, &unused, &last);
    proto_y = (span){first, last + 1};
    combine(j, row + 6, proto_y, proto_x, sums);
    for (int64_t py = y.begin; py < y.end; py++) {
        int64_t above, below, left, right;
        float down = source_of(j, py, j->height, &above, &below);
        const float *a = sums + above * j->width, *b = sums + below * j->width;
        for (int64_t px = x.begin; px < x.end; px++) {
            float along = source_of(j, px, j->width, &left, &right);
            float value = (1 - down) * ((1 - along) * a[left] + along * a[right]) +
                          down * ((1 - along) * b[left] + along * b[right]);
            mask[py * pitch + px] = value > 0;
        }
    }
}

sw_status sw__proto_masks_ref(const sw_call *c) {
    const sw_tensor *rows = c->in[0], *protos = c->in[1];
    if (!sw_call_out(c, 0)) return SW_OK;
    job j = {.rows = rows->data,
             .protos = protos->data,
             .values = rows->dims[1],
             .height = protos->dims[2],
             .width = protos->dims[3],
             .scale = sw_call_int(c, "scale"),
             .masks = c->out[0]->data};
    float *sums = sw_calloc(c->allocator, (size_t)(j.height * j.width), sizeof *sums);
    if (!sums) return SW_E_NOMEM;
    for (int64_t n = 0; n < rows->dims[0]; n++) make_mask(&j, n, sums);
    sw_free(c->allocator, sums);
    return SW_OK;
}
