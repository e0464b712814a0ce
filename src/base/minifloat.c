#include "base/minifloat.h"

#include <assert.h>
#include <math.h>
#include <string.h>

typedef struct format {
    int mantissa;          /* bits */
    int least;             /* exponent of the smallest normal number */
    uint8_t sign, most;    /* bit of the sign; code of the largest number */
    uint8_t infinity, nan; /* codes; where there is no infinity, that of NaN */
    bool unsigned_zero;    /* -0 is none: its code is NaN */
} format;

static format format_of(sw_dtype dtype) {
    switch (dtype) {
    case SW_F8_E4M3FN:
        return (format){3, -6, 0x80, 0x7e, 0x7f, 0x7f, false};
    case SW_F8_E4M3FNUZ:
        return (format){3, -7, 0x80, 0x7f, 0x80, 0x80, true};
    case SW_F8_E5M2:
        return (format){2, -14, 0x80, 0x7b, 0x7c, 0x7f, false};
    case SW_F8_E5M2FNUZ:
        return (format){2, -15, 0x80, 0x7f, 0x80, 0x80, true};
    case SW_F4_E2M1:
        return (format){1, 0, 0x08, 0x07, 0x07, 0x00, false};
    default:
        assert(!"no small float");
        return (format){0};
    }
}

static double scale_to_f64(uint8_t bits) {
    return bits == 0xff ? (double)NAN : ldexp(1, bits - 127);
}

static uint8_t scale_from_f64(double value, bool saturate, const char *rounding) {
    if (!isfinite(value)) return 0xff;
    if (value == 0) return 0;
    int exponent;
    double fraction = 2 * frexp(fabs(value), &exponent); /* 1 to 2 */
    int code = exponent - 1 + 127;
    if (code < 0) return 0;
    code += strcmp(rounding, "up") == 0 ? fraction > 1 : strcmp(rounding, "nearest") == 0 && fraction >= 1.5;
    return code < 0xff ? (uint8_t)code : saturate ? 0xfe : 0xff;
}

double sw_minifloat_to_f64(sw_dtype dtype, uint8_t bits) {
    if (dtype == SW_F8_E8M0) return scale_to_f64(bits);
    format f = format_of(dtype);
    uint8_t code = bits & (uint8_t)(f.sign - 1);
    if (f.unsigned_zero ? bits == f.nan : code > f.most && code != f.infinity) return (double)NAN;
    int exponent = code >> f.mantissa, fraction = code & ((1 << f.mantissa) - 1);
    double value = exponent ? ldexp(fraction + (1 << f.mantissa), exponent - 1 + f.least - f.mantissa)
                            : ldexp(fraction, f.least - f.mantissa);
    if (code > f.most) value = f.infinity == f.nan ? (double)NAN : (double)INFINITY;
    return bits & f.sign ? -value : value;
}

uint8_t sw_minifloat_from_f64(sw_dtype dtype, double value, bool saturate, const char *rounding) {
    if (dtype == SW_F8_E8M0) return scale_from_f64(value, saturate, rounding);
    format f = format_of(dtype);
    if (isnan(value)) return f.nan;
    uint8_t sign = signbit(value) ? f.sign : 0;
    int exponent = 0, code = f.most + 1;
    if (isfinite(value)) frexp(value, &exponent);
    exponent = value != 0 && exponent - 1 > f.least ? exponent - 1 : f.least;
    if (isfinite(value) && exponent - f.least <= 32)
        code = ((exponent - f.least) << f.mantissa) + (int)rint(ldexp(fabs(value), f.mantissa - exponent));
    if (code > f.most) {
        code = saturate ? f.most : f.infinity;
        if (code == f.nan && f.unsigned_zero) return f.nan;
    }
    return code == 0 && f.unsigned_zero ? 0 : (uint8_t)(code | sign);
}
