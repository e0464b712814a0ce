/* Strings: strict numbers that do not depend on the locale, UTF-8, endings. */
#ifndef SLIPWAY_BASE_STR_H
#define SLIPWAY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole text must be a number: [+-]digits; false when it is not, or does not fit. */
bool sw_str_to_i64(const char *text, size_t length, int64_t *value);
/* [+-]digits[.digits][e[+-]digits], at most SW_NUMBER_MAX characters; correctly rounded; false also when it
 * overflows. */
enum { SW_NUMBER_MAX = 255 };
bool sw_str_to_f64(const char *text, size_t length, double *value);

/* Decimal digits, at most 20, without a closing zero. Returns how many. */
int sw_str_from_u64(char *text, uint64_t value);
/* The shortest decimal text that reads back as the same number; "nan", "inf", "-inf". Returns its length. */
enum { SW_FLOAT_TEXT = 32 };
int sw_str_from_f32(char text[SW_FLOAT_TEXT], float value);
int sw_str_from_f64(char text[SW_FLOAT_TEXT], double value);

bool sw_str_starts_with(const char *text, const char *start);
bool sw_str_ends_with(const char *text, const char *end);
/* Ends with `end`, ASCII letters in any case: for file name endings. */
bool sw_str_ends_like(const char *text, const char *end);

/* Bytes of the well-formed UTF-8 character at the start of text[0..length), 1 to 4; 0 when there is none. */
int sw_utf8_step(const char *text, size_t length);
bool sw_str_is_utf8(const char *text, size_t length);
/* Writes a code point (<= 0x10ffff); returns the number of bytes. */
int sw_utf8_put(char text[4], uint32_t code);

/* Edit distance (insert, delete, change, swap of neighbours); texts longer than 63 bytes count as far apart.
 * For "did you mean". */
int sw_str_distance(const char *a, const char *b);
/* The nearest of `n` names, NULL when none is near enough to be a slip of the finger. */
const char *sw_str_nearest(const char *text, const char *const *names, size_t n);

#endif
