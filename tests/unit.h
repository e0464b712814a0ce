/* Unit tests: SW_TEST(name) { CHECK(...); } in src/<room>/test_<file>.c, beside the code. All are linked into one
 * program, tests/unit.c, which runs them one after the other (or those whose name contains an argument) and ends
 * with the line "N passed, N failed, N skipped". */
#ifndef SLIPWAY_TESTS_UNIT_H
#define SLIPWAY_TESTS_UNIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "slipway/status.h"

typedef struct sw_test {
    const char *name, *file;
    void (*run)(void);
    struct sw_test *next;
} sw_test;

void sw_test_add(sw_test *test);
/* Records a failed check; the test goes on. */
void sw_test_fail(const char *file, int line, const char *fmt, ...) SW_PRINTF(3, 4);
/* Marks the running test as skipped; `return` after it. */
void sw_test_skip(const char *why);
/* A sink that remembers the last message as "where: text (hint)" ("" at the start of each test). */
extern const sw_diag sw_test_diag;
const char *sw_test_message(void);
/* Lets the CUDA backend find the emulator (tests/cuda_emu) as its driver, unless SLIPWAY_TEST_GPU is set. */
void sw_test_emulate_gpu(void);
/* A repeatable random generator (xorshift64*): 64 bits, and a float in [lo, hi). */
uint64_t sw_test_random(uint64_t *state);
float sw_test_uniform(uint64_t *state, float lo, float hi);

#define SW_TEST(id)                                                                                               \
    static void test_##id(void);                                                                                  \
    __attribute__((constructor)) static void register_##id(void) {                                                \
        static sw_test test = {.name = #id, .file = __FILE__, .run = test_##id};                                  \
        sw_test_add(&test);                                                                                       \
    }                                                                                                             \
    static void test_##id(void)

#define CHECK(condition)                                                                                          \
    do {                                                                                                          \
        if (!(condition)) sw_test_fail(__FILE__, __LINE__, "%s", #condition);                                     \
    } while (0)
#define CHECK_INT(got, want)                                                                                      \
    do {                                                                                                          \
        long long got_ = (long long)(got), want_ = (long long)(want);                                             \
        if (got_ != want_) sw_test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #got, got_, want_);      \
    } while (0)
#define CHECK_STR(got, want)                                                                                      \
    do {                                                                                                          \
        const char *got_ = (got), *want_ = (want);                                                                \
        if (!got_ || strcmp(got_, want_) != 0)                                                                    \
            sw_test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #got, got_ ? got_ : "(null)", want_); \
    } while (0)
#define CHECK_NEAR(got, want, tolerance)                                                                          \
    do {                                                                                                          \
        double got_ = (double)(got), want_ = (double)(want);                                                      \
        if (!(got_ - want_ <= (tolerance) && want_ - got_ <= (tolerance)))                                        \
            sw_test_fail(__FILE__, __LINE__, "%s is %.9g, expected %.9g", #got, got_, want_);                     \
    } while (0)

#endif
