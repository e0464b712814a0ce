/* Shape rules of signal processing. */
#include "ops/shape.h"

static long long ll(int64_t v) {
    return (long long)v;
}

static const int64_t longest = (int64_t)1 << 40;

sw_status sw__shape_window(const sw_call *c) {
    sw_tensor *y = sw_call_out(c, 0);
    sw_dtype dtype;
    int64_t size;
    bool known;
    SW_TRY(sw__attr_dtype(c, "output_datatype", &dtype));
    SW_TRY(sw__input_int(c, 0, "size", &size, &known));
    if (known && (size < 0 || size > longest)) return sw_call_fail(c, "the size %lld makes no sense", ll(size));
    if (!y) return SW_OK;
    sw__set_unknown(y, dtype, 1);
    if (known) y->dims[0] = size;
    return SW_OK;
}

/* The axis of DFT, from input 3; default: the last but one. Rank and data must be known. */
sw_status sw_call_dft_axis(const sw_call *c, int *axis, bool *known) {
    int64_t v = -2;
    *known = true;
    if (sw_call_in(c, 2)) SW_TRY(sw__input_int(c, 2, "axis", &v, known));
    if (!*known) return SW_OK;
    SW_TRY(sw__require_axis(c, v, c->in[0]->rank, axis));
    if (*axis < c->in[0]->rank - 1) return SW_OK;
    return sw_call_fail(c, "axis %d holds real and imaginary parts", *axis);
}

sw_status sw__shape_dft(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_tensor *y = sw_call_out(c, 0);
    bool inverse = sw_call_int(c, "inverse") != 0, onesided = sw_call_int(c, "onesided") != 0, known,
         length_known = false;
    int64_t length = SW_DIM_UNKNOWN;
    int axis;
    if (sw_call_in(c, 1)) SW_TRY(sw__input_int(c, 1, "dft_length", &length, &length_known));
    if (length_known && (length < 1 || length > longest)) return sw_call_fail(c, "dft_length is %lld", ll(length));
    if (x->rank < 0) {
        if (y) sw__set_unknown(y, x->dtype, SW_RANK_UNKNOWN);
        return SW_OK;
    }
    if (x->rank < 2) return sw_call_fail(c, "the input has %d axes, expected at least 2", x->rank);
    int64_t parts = x->dims[x->rank - 1];
    if (sw_dim_known(parts) && parts != 1 && parts != 2)
        return sw_call_fail(c, "the last axis has extent %lld, expected 1 (real) or 2 (complex)", ll(parts));
    if (onesided && !inverse && parts == 2) return sw_call_fail(c, "onesided needs a real input");
    SW_TRY(sw_call_dft_axis(c, &axis, &known));
    if (!y) return SW_OK;
    sw__set_like(y, x);
    y->dims[y->rank - 1] = onesided && inverse ? 1 : 2;
    if (!known) {
        for (int i = 0; i < y->rank - 1; i++) y->dims[i] = SW_DIM_UNKNOWN;
        return SW_OK;
    }
    int64_t n = length_known ? length : sw_call_in(c, 1) ? SW_DIM_UNKNOWN : x->dims[axis];
    if (n > longest) return sw_call_fail(c, "the extent %lld is too large", ll(n));
    bool natural = !sw_call_in(c, 1);
    if (onesided && !inverse) n = sw_dim_known(n) ? n / 2 + 1 : SW_DIM_UNKNOWN;
    if (onesided && inverse && natural) n = sw_dim_known(n) ? n > 0 ? 2 * (n - 1) : 0 : SW_DIM_UNKNOWN;
    y->dims[axis] = n;
    return SW_OK;
}

sw_status sw__shape_stft(const sw_call *c) {
    const sw_tensor *x = c->in[0], *window = sw_call_in(c, 2);
    sw_tensor *y = sw_call_out(c, 0);
    int64_t step, length = SW_DIM_UNKNOWN, window_length = SW_DIM_UNKNOWN;
    bool step_known, length_known = false, onesided = sw_call_int(c, "onesided") != 0;
    SW_TRY(sw__input_int(c, 1, "frame_step", &step, &step_known));
    if (sw_call_in(c, 3)) SW_TRY(sw__input_int(c, 3, "frame_length", &length, &length_known));
    if (step_known && (step < 1 || step > longest)) return sw_call_fail(c, "frame_step is %lld", ll(step));
    if (length_known && (length < 1 || length > longest)) return sw_call_fail(c, "frame_length is %lld", ll(length));
    if (!length_known) length = SW_DIM_UNKNOWN;
    if (window && window->rank >= 0 && window->rank != 1)
        return sw_call_fail(c, "the window has %d axes, expected 1", window->rank);
    if (window && window->rank == 1) window_length = window->dims[0];
    if (!window && !sw_call_in(c, 3)) return sw_call_fail(c, "neither window nor frame_length is given");
    SW_TRY(sw__agree(c, "the length of a frame", length, window_length, &length));
    if (length == 0) return sw_call_fail(c, "the window is empty");
    if (x->rank >= 0 && x->rank != 3 && x->rank != 2)
        return sw_call_fail(c, "the signal has %d axes, expected 2 or 3", x->rank);
    if (x->rank == 3 && sw_dim_known(x->dims[2]) && (x->dims[2] < 1 || x->dims[2] > 2))
        return sw_call_fail(c, "the last axis has extent %lld, expected 1 or 2", ll(x->dims[2]));
    if (x->rank == 3 && x->dims[2] == 2 && onesided) return sw_call_fail(c, "onesided needs a real signal");
    if (x->rank >= 2 && sw_dim_known(x->dims[1]) && sw_dim_known(length) && x->dims[1] < length)
        return sw_call_fail(c, "a signal of %lld is shorter than a frame of %lld", ll(x->dims[1]), ll(length));
    if (!y) return SW_OK;
    sw__set_unknown(y, x->dtype, 4);
    if (x->rank >= 2) y->dims[0] = x->dims[0];
    if (x->rank >= 2 && sw_dim_known(x->dims[1]) && sw_dim_known(length) && step_known)
        y->dims[1] = (x->dims[1] - length) / step + 1;
    if (sw_dim_known(length)) y->dims[2] = onesided ? length / 2 + 1 : length;
    y->dims[3] = 2;
    return SW_OK;
}

sw_status sw__shape_mel_weights(const sw_call *c) {
    sw_tensor *y = sw_call_out(c, 0);
    int64_t v[2];
    bool known[2];
    sw_dtype dtype;
    SW_TRY(sw__attr_dtype(c, "output_datatype", &dtype));
    SW_TRY(sw__input_int(c, 0, "num_mel_bins", &v[0], &known[0]));
    SW_TRY(sw__input_int(c, 1, "dft_length", &v[1], &known[1]));
    for (int i = 0; i < 2; i++)
        if (known[i] && (v[i] < 1 || v[i] > INT32_MAX)) return sw_call_fail(c, "input %d is %lld", i + 1, ll(v[i]));
    if (!y) return SW_OK;
    sw__set_unknown(y, dtype, 2);
    if (known[1]) y->dims[0] = v[1] / 2 + 1;
    if (known[0]) y->dims[1] = v[0];
    return SW_OK;
}
