#include "base/str.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "unit.h"

static bool to_i64(const char *text, int64_t *value) {
    return sw_str_to_i64(text, strlen(text), value);
}
static bool to_f64(const char *text, double *value) {
    return sw_str_to_f64(text, strlen(text), value);
}

SW_TEST(str_integers_are_strict) {
    int64_t v = 0;
    CHECK(to_i64("0", &v) && v == 0);
    CHECK(to_i64("-9223372036854775808", &v) && v == INT64_MIN);
    CHECK(to_i64("+9223372036854775807", &v) && v == INT64_MAX);
    static const char *const bad[] = {
        "", "-", "+", " 1", "1 ", "0x10", "1.0", "9223372036854775808", "-9223372036854775809", "--1", "1e3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (to_i64(bad[i], &v)) sw_test_fail(__FILE__, __LINE__, "took \"%s\"", bad[i]);
}

SW_TEST(str_floats_are_strict) {
    double v = 0;
    CHECK(to_f64("0.25", &v) && v == 0.25);
    CHECK(to_f64("-1e-3", &v) && v == -1e-3);
    CHECK(to_f64("2.2250738585072011e-308", &v) && v == 2.2250738585072011e-308);
    CHECK(to_f64("1E+2", &v) && v == 100);
    CHECK(to_f64("1e-999", &v) && v == 0);
    static const char *const bad[] = {"",      ".5",  "5.", "1e", "1e+",   "nan", "inf",
                                      "0x1p3", "1,5", " 1", "1 ", "1e999", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (to_f64(bad[i], &v)) sw_test_fail(__FILE__, __LINE__, "took \"%s\"", bad[i]);
    char longest[300];
    memset(longest, '1', sizeof longest);
    CHECK(!sw_str_to_f64(longest, 300, &v));
    CHECK(sw_str_to_f64(longest, SW_NUMBER_MAX, &v) && v > 1e254);
}

SW_TEST(str_floats_ignore_the_locale) {
    char before[64], text[SW_FLOAT_TEXT];
    snprintf(before, sizeof before, "%s", setlocale(LC_NUMERIC, NULL));
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
        sw_test_skip("the locale de_DE.UTF-8 is not installed");
        return;
    }
    double v = 0;
    CHECK(to_f64("1.5", &v) && v == 1.5);
    sw_str_from_f32(text, 1.5f);
    CHECK_STR(text, "1.5");
    setlocale(LC_NUMERIC, before);
}

SW_TEST(str_floats_round_trip_shortly) {
    static const struct {
        float value;
        const char *text;
    } rows[] = {{0.1f, "0.1"},
                {1, "1"},
                {-0.0f, "-0"},
                {16777216.0f, "16777216"},
                {1e20f, "1e+20"},
                {810, "810"},
                {-3000000, "-3000000"},
                {1e-5f, "1e-05"},
                {FLT_MAX, "3.4028235e+38"},
                {1e-45f, "1e-45"},
                {0.33333334f, "0.33333334"},
                {INFINITY, "inf"},
                {-INFINITY, "-inf"},
                {NAN, "nan"}};
    char text[SW_FLOAT_TEXT];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_INT(sw_str_from_f32(text, rows[i].value), strlen(rows[i].text));
        CHECK_STR(text, rows[i].text);
    }
    CHECK_INT(sw_str_from_f64(text, 0.1), 3);
    CHECK_INT(sw_str_from_f64(text, 1.0 / 3), 18);
    CHECK_INT(sw_str_from_f64(text, 5e-324), 6); /* 5e-324: fewer digits than the 17 that are always enough */
    uint64_t state = 1;
    int wrong = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = sw_test_random(&state);
        float f;
        double d;
        memcpy(&f, &bits, sizeof f);
        memcpy(&d, &bits, sizeof d);
        if (isfinite(f)) wrong += (sw_str_from_f32(text, f), strtof(text, NULL)) != f;
        if (isfinite(d)) wrong += (sw_str_from_f64(text, d), strtod(text, NULL)) != d;
    }
    CHECK_INT(wrong, 0);
}

static bool reads_as_the_library(const char *text) {
    double value;
    return to_f64(text, &value) && value == strtod(text, NULL);
}

/* All ways of reading and writing give what the C library gives. */
SW_TEST(str_floats_are_those_of_the_library) {
    uint64_t state = 2;
    int wrong = 0, longer = 0;
    for (int i = 0; i < 20000; i++) {
        char text[400];
        uint64_t chance = sw_test_random(&state), digits = sw_test_random(&state) >> (chance % 64);
        int exponent = (int)(chance >> 8 & 127) - 64;
        snprintf(text, sizeof text, "-%llu.%llue%d", (unsigned long long)digits % 10000000,
                 (unsigned long long)digits / 10000000, exponent);
        wrong += !reads_as_the_library(text);
        float value = (float)ldexp((double)digits, exponent - 90), back;
        snprintf(text, sizeof text, "%.17g", (double)value);
        wrong += !reads_as_the_library(text);
        int length = sw_str_from_f32(text, value), count = 0;
        wrong += strtof(text, NULL) != value || (int)strlen(text) != length;
        for (const char *c = text; *c && *c != 'e'; c++) count += *c != '.' && (count || *c != '0');
        snprintf(text, sizeof text, "%.*g", count > 1 ? count - 1 : 1, (double)value);
        back = strtof(text, NULL);
        longer += value < 1e-4f && count > 1 && back == value;
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(longer, 0);
    CHECK(reads_as_the_library("0e999") && reads_as_the_library("-0.00000000000000000000000000000000000000"));
}

SW_TEST(str_endings) {
    CHECK(sw_str_ends_with("a.jpg", ".jpg") && !sw_str_ends_with("a.JPG", ".jpg") && !sw_str_ends_with("g", ".jpg"));
    CHECK(sw_str_ends_like("a.JPG", ".jpg") && !sw_str_ends_like("a.jp", ".jpg"));
    CHECK(sw_str_starts_with("--conf", "--") && !sw_str_starts_with("-", "--"));
}

SW_TEST(str_utf8) {
    static const char *const good[] = {
        "", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\xa2", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "\xc3",
                                      "a\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) CHECK(sw_str_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CHECK(!sw_str_is_utf8(bad[i], strlen(bad[i])));
    int wrong = 0;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        char text[4];
        int n = sw_utf8_put(text, code);
        bool surrogate = code >= 0xd800 && code < 0xe000;
        wrong += sw_utf8_step(text, 4) != (surrogate ? 0 : n) || n != (code < 0x80      ? 1
                                                                       : code < 0x800   ? 2
                                                                       : code < 0x10000 ? 3
                                                                                        : 4);
    }
    CHECK_INT(wrong, 0);
}

SW_TEST(str_nearest_spelling) {
    CHECK_INT(sw_str_distance("", "abc"), 3);
    CHECK_INT(sw_str_distance("kitten", "sitting"), 3);
    CHECK_INT(sw_str_distance("conf", "cnof"), 1);
    CHECK_INT(sw_str_distance("same", "same"), 0);
    static const char *const names[] = {"conf", "classes", "csv", "imgsz"};
    CHECK_STR(sw_str_nearest("cofn", names, 4), "conf");
    CHECK_STR(sw_str_nearest("imgs", names, 4), "imgsz");
    CHECK(sw_str_nearest("zebra", names, 4) == NULL);
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[199] = 0;
    CHECK(sw_str_nearest(longest, names, 4) == NULL);
}
