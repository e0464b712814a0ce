#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool sw_str_to_i64(const char *text, size_t length, int64_t *value) {
    size_t at = 0;
    bool negative = length && text[0] == '-';
    if (length && (text[0] == '-' || text[0] == '+')) at++;
    if (at == length) return false;
    int64_t sum = 0; /* kept negative: that side reaches further by one */
    for (; at < length; at++) {
        if (!is_digit(text[at])) return false;
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, text[at] - '0', &sum)) return false;
    }
    if (!negative && __builtin_sub_overflow(0, sum, &sum)) return false;
    *value = sum;
    return true;
}

/* The C library rounds correctly, but asks the locale for the decimal point: so it is told the locale. */
static locale_t c_locale;
static void make_c_locale(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t plain_locale(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

/* Powers of ten that are exact. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { MAX_POWER = 22, MAX_FIVE = 27, MAX_DIGITS = 19 };

__extension__ typedef unsigned __int128 wide;

/* digits x 10^exponent, without sign. */
typedef struct decimal {
    uint64_t digits;
    int exponent, count; /* count: of significant digits; of more than MAX_DIGITS the rest is missing in `digits` */
} decimal;

/* Takes the digits at text[at..length); where they end. */
static size_t take_digits(const char *text, size_t at, size_t length, int behind_point, decimal *d) {
    for (; at < length && is_digit(text[at]); at++) {
        d->count += d->count || text[at] != '0';
        if (d->count > MAX_DIGITS) continue;
        d->digits = d->digits * 10 + (uint64_t)(text[at] - '0');
        d->exponent -= behind_point;
    }
    return at;
}

static uint64_t power_of_five(int n) {
    uint64_t power = 1;
    while (n--) power *= 5;
    return power;
}

/* False when exponent or digits are too many. What is exact in a double is rounded once, by the division or product (Clinger
 * 1990); else the quotient by 5^n has 63 bits or more and one that tells whether something is left, and is rounded once. */
static bool round_decimal(const decimal *d, double *value) {
    int e = d->exponent;
    if (d->digits && (d->count > MAX_DIGITS || e < -MAX_FIVE || e > MAX_FIVE)) return false;
    if (!d->digits)
        *value = 0;
    else if (d->digits <= UINT64_C(1) << 53 && abs(e) <= MAX_POWER)
        *value = e < 0 ? (double)d->digits / powers[-e] : (double)d->digits * powers[e];
    else if (e >= 0)
        *value = ldexp((double)((wide)d->digits * power_of_five(e)), e);
    else {
        uint64_t five = power_of_five(-e);
        int shift = 63 + __builtin_clzll(d->digits);
        wide number = (wide)d->digits << shift, quotient = number / five;
        *value = ldexp((double)(quotient | (quotient * five != number)), e - shift);
    }
    return true;
}

bool sw_str_to_f64(const char *text, size_t length, double *value) {
    char copy[SW_NUMBER_MAX + 1];
    if (!length || length > SW_NUMBER_MAX) return false;
    decimal d = {0};
    size_t start = text[0] == '-' || text[0] == '+', at = take_digits(text, start, length, 0, &d);
    if (at == start) return false;
    if (at < length && text[at] == '.') {
        start = ++at;
        at = take_digits(text, at, length, 1, &d);
        if (at == start) return false;
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        bool down = at < length && text[at] == '-';
        int exponent = 0;
        start = at += at < length && (text[at] == '-' || text[at] == '+');
        for (; at < length && is_digit(text[at]); at++)
            if (exponent < 10000) exponent = exponent * 10 + (text[at] - '0');
        if (at == start) return false;
        d.exponent += down ? -exponent : exponent;
    }
    if (at != length) return false;
    double result;
    if (round_decimal(&d, &result)) {
        *value = text[0] == '-' ? -result : result;
        return true;
    }
    memcpy(copy, text, length);
    copy[length] = 0;
    result = strtod_l(copy, NULL, plain_locale());
    if (!isfinite(result)) return false;
    *value = result;
    return true;
}

static int special(char *text, double value) {
    return snprintf(text, SW_FLOAT_TEXT, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
}

/* Below `plain`, whole numbers are exact and shorter without an exponent: 810, not 8.1e+02. */
static int shorten(char *text, int length, double value, double plain) {
    return strchr(text, 'e') && fabs(value) >= 1 && fabs(value) < plain ? snprintf(text, SW_FLOAT_TEXT, "%.0f", value)
                                                                        : length;
}

int sw_str_from_u64(char *text, uint64_t value) {
    char digits[24];
    int at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    memcpy(text, digits + at, sizeof digits - (size_t)at);
    return (int)sizeof digits - at;
}

/* A float and the bounds between which decimal texts read back as it: half-way to its neighbours, whose bits differ by one. */
typedef struct bounded {
    double size, low, high;
} bounded;

static bounded bounds_of(float size) {
    uint32_t bits, below, above;
    float down, up;
    memcpy(&bits, &size, sizeof bits);
    below = bits - 1;
    above = bits + 1;
    memcpy(&down, &below, sizeof down);
    memcpy(&up, &above, sizeof up);
    return (bounded){(double)size, ((double)size + (double)down) / 2, ((double)size + (double)up) / 2};
}

/* Whether n decimals are enough. All numbers are exact but `back`, which is rounded once: 24 bits of the float and 28 of 5^12
 * fit a double. */
static bool is_enough(const bounded *b, int n, double *scaled) {
    *scaled = rint(b->size * powers[n]);
    double back = *scaled / powers[n];
    return back > b->low && back < b->high;
}

/* `digits`, the last n of them behind a point. */
static int write_decimals(char text[SW_FLOAT_TEXT], bool minus, uint64_t digits, int n) {
    uint64_t unit = (uint64_t)powers[n], rest = digits % unit;
    int at = 0;
    if (minus) text[at++] = '-';
    at += sw_str_from_u64(text + at, digits / unit);
    if (n) text[at++] = '.';
    for (uint64_t u = unit / 10; u > 1 && rest < u; u /= 10) text[at++] = '0';
    if (n) at += sw_str_from_u64(text + at, rest);
    text[at] = 0;
    return at;
}

/* The shortest text of a float between 1e-4 and 1e7 with few decimals; 0: there is none. Most numbers have one or two
 * decimals, or all: what two, or five, do not show is not looked for in fewer. */
static int simple_text(char text[SW_FLOAT_TEXT], float value) {
    float size = fabsf(value);
    if (size == 0) return write_decimals(text, signbit(value), 0, 0);
    if (size < 1e-4f || size >= 1e7f) return 0;
    bounded b = bounds_of(size);
    double scaled;
    int n = is_enough(&b, 2, &scaled) ? 0 : is_enough(&b, 5, &scaled) ? 3 : 6;
    while (n <= 12 && !is_enough(&b, n, &scaled)) n++;
    return n <= 12 ? write_decimals(text, value < 0, (uint64_t)scaled, n) : 0;
}

/* The same between 1e-37 and 1e-4: "1.5e-05". Two roundings bring it to 1 to 10; the bounds leave room for them. */
static int small_text(char text[SW_FLOAT_TEXT], float value) {
    bounded b = bounds_of(fabsf(value));
    double far = b.size < 1e-22 ? 1e22 : 1, scaled;
    int exponent = b.size < 1e-22 ? 22 : 0, up = 0, n;
    if (b.size < 1e-37 || b.size >= 1e-4) return 0;
    while (b.size * far * powers[up] < 1) up++;
    exponent += up;
    b.size *= far * powers[up];
    b.low *= far * powers[up] * (1 + 0x1p-50);
    b.high *= far * powers[up] * (1 - 0x1p-50);
    for (n = is_enough(&b, 5, &scaled) ? 0 : 6; n <= 8 && !is_enough(&b, n, &scaled);) n++;
    if (n > 8) return 0;
    if (scaled >= powers[n + 1]) scaled = powers[n], exponent--; /* 9.9999997e-06 is 1e-05 */
    int at = write_decimals(text, value < 0, (uint64_t)scaled, n);
    const char tail[] = {'e', '-', (char)('0' + exponent / 10), (char)('0' + exponent % 10), 0};
    memcpy(text + at, tail, sizeof tail);
    return at + (int)sizeof tail - 1;
}

/* The same of a double below 1e15: digits and power are exact, so their quotient is what the text is read as. */
static int simple_text_f64(char text[SW_FLOAT_TEXT], double value) {
    double size = fabs(value);
    if (size == 0) return write_decimals(text, signbit(value), 0, 0);
    if (size < 1e-4 || size >= 1e15) return 0;
    for (int n = 0; n <= 12; n++) {
        double scaled = rint(size * powers[n]);
        if (scaled >= 9007199254740992) return 0; /* 2^53 */
        if (scaled / powers[n] == size) return write_decimals(text, value < 0, (uint64_t)scaled, n);
    }
    return 0;
}

/* With the fewest digits that are read back; `most` are always enough. More digits than enough are enough, too. */
static int shortest(char text[SW_FLOAT_TEXT], double value, int most, bool single) {
    int low = 1, high = most;
    while (low < high) {
        int digits = (low + high) / 2;
        snprintf(text, SW_FLOAT_TEXT, "%.*g", digits, value);
        if (single ? (double)strtof(text, NULL) == value : strtod(text, NULL) == value)
            high = digits;
        else
            low = digits + 1;
    }
    return snprintf(text, SW_FLOAT_TEXT, "%.*g", low, value);
}

int sw_str_from_f32(char text[SW_FLOAT_TEXT], float value) {
    if (!isfinite(value)) return special(text, (double)value);
    int simple = simple_text(text, value);
    if (!simple) simple = small_text(text, value);
    if (simple) return simple;
    locale_t before = uselocale(plain_locale());
    int length = shorten(text, shortest(text, (double)value, 9, true), (double)value, 1e7); /* 24 bits */
    uselocale(before);
    return length;
}

int sw_str_from_f64(char text[SW_FLOAT_TEXT], double value) {
    if (!isfinite(value)) return special(text, value);
    int simple = simple_text_f64(text, value);
    if (simple) return simple;
    locale_t before = uselocale(plain_locale());
    int length = shorten(text, shortest(text, value, 17, false), value, 1e15); /* 53 bits */
    uselocale(before);
    return length;
}

bool sw_str_starts_with(const char *text, const char *start) {
    return !strncmp(text, start, strlen(start));
}

bool sw_str_ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return m <= n && !memcmp(text + n - m, end, m);
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool sw_str_ends_like(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    if (m > n) return false;
    for (size_t i = 0; i < m; i++)
        if (lower(text[n - m + i]) != lower(end[i])) return false;
    return true;
}

/* RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
int sw_utf8_step(const char *text, size_t length) {
    const uint8_t *s = (const uint8_t *)text;
    if (!length) return 0;
    if (s[0] < 0x80) return 1;
    int n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : s[0] >= 0xe0 && s[0] <= 0xef ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    if (!n || (size_t)n > length) return 0;
    uint8_t low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) return 0;
    for (int i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

bool sw_str_is_utf8(const char *text, size_t length) {
    while (length) {
        int n = sw_utf8_step(text, length);
        if (!n) return false;
        text += n;
        length -= (size_t)n;
    }
    return true;
}

int sw_utf8_put(char text[4], uint32_t code) {
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    int n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, code >>= 6) text[i] = (char)(0x80 | (code & 0x3f));
    text[0] = (char)((0xf00u >> n & 0xf0u) | code);
    return n;
}

enum { MAX_SPELLING = 63 };

static int least(int a, int b, int c) {
    return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

int sw_str_distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX_SPELLING || m > MAX_SPELLING) return (int)(n > m ? n : m);
    int row[3][MAX_SPELLING + 1], *before = row[0], *last = row[1], *now = row[2];
    for (size_t j = 0; j <= m; j++) last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        int *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

const char *sw_str_nearest(const char *text, const char *const *names, size_t n) {
    const char *best = NULL;
    int best_distance = (int)(strlen(text) + 2) / 3; /* one slip in three letters */
    for (size_t i = 0; i < n; i++) {
        int distance = sw_str_distance(text, names[i]);
        if (distance > best_distance || (best && distance == best_distance)) continue;
        best = names[i];
        best_distance = distance;
    }
    return best;
}
