/* Col2Im: blocks add up where they overlap. */
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/wide.h"
#include "ops/shape.h"

/* Place in the picture of position `tap` of block `column`; -1 when it falls into the padding. */
static int64_t place_of(const sw_window *w, int64_t tap, int64_t column) {
    int64_t at = 0, step = 1;
    for (int i = w->n - 1; i >= 0; i--) {
        int64_t p = column % w->out[i] * w->stride[i] - w->pad_begin[i] + tap % w->kernel[i] * w->dilation[i];
        if (p < 0 || p >= w->in[i]) return -1;
        at += p * step;
        step *= w->in[i];
        column /= w->out[i];
        tap /= w->kernel[i];
    }
    return at;
}

sw_status sw__col2im_ref(const sw_call *c) {
    const sw_tensor *x = c->in[0], *y = sw_call_out(c, 0);
    sw_window w;
    bool known;
    SW_TRY(sw_call_columns(c, &w, &known));
    if (!sw__dtype_is_float(x->dtype)) return sw__refuse_dtype(c, x->dtype);
    if (!y || sw_tensor_count(y) == 0) return SW_OK;
    int64_t planes = y->dims[0] * y->dims[1], pixels = sw_tensor_count(y) / planes, taps = 1, columns = x->dims[2];
    for (int i = 0; i < w.n; i++) taps *= w.kernel[i];
    double *sum = sw_calloc(c->allocator, (size_t)pixels, sizeof *sum);
    if (!sum) return SW_E_NOMEM;
    for (int64_t plane = 0; plane < planes; plane++) {
        memset(sum, 0, (size_t)pixels * sizeof *sum);
        for (int64_t tap = 0; tap < taps; tap++)
            for (int64_t column = 0; column < columns; column++) {
                int64_t at = place_of(&w, tap, column);
                if (at >= 0) sum[at] += sw_tensor_float_at(x, (plane * taps + tap) * columns + column);
            }
        sw__narrow(y->dtype, sum, pixels, y->data, plane * pixels, 1);
    }
    sw_free(c->allocator, sum);
    return SW_OK;
}
