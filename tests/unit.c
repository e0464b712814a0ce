#include "unit.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/os.h"

static sw_test *tests;
static int failed_checks;
static bool skipped;
static char message[2048];

void sw_test_add(sw_test *test) {
    test->next = tests;
    tests = test;
}

void sw_test_fail(const char *file, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    printf("    %s:%d: ", file, line);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    failed_checks++;
}

void sw_test_skip(const char *why) {
    printf("    skipped: %s\n", why);
    skipped = true;
}

static void remember(void *ctx, const sw_message *m) {
    (void)ctx;
    snprintf(message, sizeof message, "%s%s%s%s%s%s", m->where ? m->where : "", m->where ? ": " : "", m->text,
             m->hint ? " (" : "", m->hint ? m->hint : "", m->hint ? ")" : "");
}

const sw_diag sw_test_diag = {.emit = remember};
const char *sw_test_message(void) { return message; }

void sw_test_emulate_gpu(void) {
    char program[512], library[600];
    if (getenv("SLIPWAY_TEST_GPU") || !sw_os_executable(program, sizeof program)) return;
    int folder = (int)(sw_path_name(program) - program);
    snprintf(library, sizeof library, "%.*stests/cuda_emu/libcuda-emu.so", folder, program);
    setenv("SLIPWAY_CUDA_DRIVER", library, 1);
    setenv("SLIPWAY_NVRTC", library, 1);
    setenv("SLIPWAY_CUDNN", library, 1);
    setenv("SLIPWAY_CUBLASLT", library, 1);
    setenv("SLIPWAY_CACHE", "/dev/null/none", 1); /* not even for root */
}

uint64_t sw_test_random(uint64_t *state) {
    uint64_t x = *state ? *state : 0x9e3779b97f4a7c15u;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1du;
}

float sw_test_uniform(uint64_t *state, float lo, float hi) {
    return lo + (hi - lo) * (float)(sw_test_random(state) >> 40) * 0x1p-24f;
}

static int by_name(const void *a, const void *b) {
    const sw_test *x = *(sw_test *const *)a, *y = *(sw_test *const *)b;
    int order = strcmp(x->file, y->file);
    return order ? order : strcmp(x->name, y->name);
}

int main(int argc, char **argv) {
    sw_test *sorted[4096];
    size_t n = 0;
    for (sw_test *t = tests; t && n < sizeof sorted / sizeof sorted[0]; t = t->next) sorted[n++] = t;
    qsort(sorted, n, sizeof sorted[0], by_name);
    int passed = 0, failed = 0, skips = 0;
    for (size_t i = 0; i < n; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted |= strstr(sorted[i]->name, argv[a]) != NULL || strstr(sorted[i]->file, argv[a]) != NULL;
        if (!wanted) continue;
        failed_checks = 0;
        skipped = false;
        message[0] = 0;
        sorted[i]->run();
        fflush(stdout);
        if (failed_checks) printf("FAILED %s (%s)\n", sorted[i]->name, sorted[i]->file);
        failed += failed_checks > 0;
        skips += !failed_checks && skipped;
        passed += !failed_checks && !skipped;
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skips);
    return failed > 0;
}
