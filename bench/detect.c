/* Times finding things in a picture, end to end but for the picture's file: detect MODEL PICTURE THREADS ROUNDS [CONF [bf16]].
 * Prints one line of JSON: median milliseconds of letterbox, network, decoding with suppression, and all three; the median of
 * their processor time; and how many objects there were. SLIPWAY_WHOLE=1 computes the boxes of all anchors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/image.h"
#include "slipway/build.h"
#include "vision/detector.h"

enum { MAX_ROUNDS = 1000 };

static void show(void *ctx, const sw_message *m) {
    fprintf(stderr, "detect: %s\n", m->text);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

/* Processor time of all threads. */
static double cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool time_runs(sw_detector *detector, const sw_picture *picture, int rounds) {
    static double parts[5][MAX_ROUNDS];
    sw_detections found;
    if (sw_detector_run(detector, picture, &found) != SW_OK) return false;
    for (int i = 0; i < rounds; i++) {
        double used = cpu_ms();
        if (sw_detector_run(detector, picture, &found) != SW_OK) return false;
        const sw_detector_times *t = &found.times_ms;
        const double ms[5] = {t->preprocess, t->inference, t->postprocess,
                              t->preprocess + t->inference + t->postprocess, cpu_ms() - used};
        for (int k = 0; k < 5; k++) parts[k][i] = ms[k];
    }
    printf("{\"preprocess\": %.2f, \"inference\": %.2f, \"postprocess\": %.2f, \"median\": %.2f, \"cpu\": %.2f, "
           "\"objects\": %d}\n",
           median(parts[0], rounds), median(parts[1], rounds), median(parts[2], rounds), median(parts[3], rounds),
           median(parts[4], rounds), found.count);
    return true;
}

int main(int argc, char **argv) {
    const sw_diag diag = {.emit = show};
    int rounds = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 0;
    if (rounds < 1 || rounds > MAX_ROUNDS)
        return fprintf(stderr, "usage: detect MODEL PICTURE THREADS ROUNDS [CONF [bf16]]\n"), 1;
    sw_detector_options options;
    sw_detector_defaults(&options);
    options.threads = (int)strtol(argv[3], NULL, 10);
    if (argc > 5) options.conf = strtod(argv[5], NULL);
    sw_build_options build = {.precision = argc > 6 && !strcmp(argv[6], "bf16") ? SW_BF16 : SW_F32};
    sw_plan *plan = NULL;
    sw_detector *detector = NULL;
    sw_image image = {0};
    bool good = sw_plan_build_with(argv[1], &build, &diag, &plan) == SW_OK &&
                sw_detector_create(plan, &options, &diag, &detector) == SW_OK &&
                sw_image_load(argv[2], NULL, &diag, &image) == SW_OK && time_runs(detector, &image.picture, rounds);
    sw_image_destroy(&image);
    sw_detector_destroy(detector);
    sw_plan_unref(plan);
    return good ? 0 : 1;
}
