/* Times a whole network, of a model or a plan, on random input: network MODEL THREADS ROUNDS [HEIGHT WIDTH [bf16]]. Prints one
 * line of JSON: median and least milliseconds of a run, the median of its processor time, and those from the start to the first
 * result. Dims that the model leaves open are 1, HEIGHT, WIDTH (640). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "slipway/build.h"

enum { MAX_ROUNDS = 1000, MAX_OUTPUTS = 64 };

static void show(void *ctx, const sw_message *m) {
    fprintf(stderr, "network: %s\n", m->text);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The first input, filled with numbers from 0 to 1; false when the model has another kind of input. */
static bool make_input(const sw_plan *plan, int64_t height, int64_t width, sw_tensor *in) {
    *in = sw_plan_input(plan, 0)->type;
    if (sw_plan_inputs(plan) != 1 || in->dtype != SW_F32 || in->rank != 4 || sw_plan_outputs(plan) > MAX_OUTPUTS)
        return false;
    const int64_t open[4] = {1, 3, height, width};
    for (int i = 0; i < 4; i++)
        if (in->dims[i] < 0) in->dims[i] = open[i];
    int64_t n = sw_tensor_count(in);
    float *data = n > 0 ? malloc((size_t)n * sizeof *data) : NULL;
    for (int64_t i = 0; data && i < n; i++) data[i] = (float)(i * 2654435761u % 1000003) / 1000003;
    in->data = data;
    return data != NULL;
}

/* Processor time of all threads. */
static double cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool time_runs(sw_session *session, const sw_tensor *in, int rounds, double *ms, double *cpu) {
    sw_tensor out[MAX_OUTPUTS];
    for (int i = 0; i < rounds; i++) {
        int64_t start = sw_clock_ns();
        double used = cpu_ms();
        if (sw_session_run(session, in, out) != SW_OK) return false;
        ms[i] = (double)(sw_clock_ns() - start) / 1e6;
        cpu[i] = cpu_ms() - used;
    }
    return true;
}

int main(int argc, char **argv) {
    const sw_diag diag = {.emit = show};
    static double ms[MAX_ROUNDS], cpu[MAX_ROUNDS];
    int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
    if (rounds < 1 || rounds > MAX_ROUNDS)
        return fprintf(stderr, "usage: network MODEL THREADS ROUNDS [HEIGHT WIDTH [bf16]]\n"), 1;
    int64_t height = argc > 5 ? strtol(argv[4], NULL, 10) : 640, width = argc > 5 ? strtol(argv[5], NULL, 10) : 640;
    sw_session_options options = {.threads = (int)strtol(argv[2], NULL, 10)};
    int64_t start = sw_clock_ns();
    sw_plan *plan = NULL;
    sw_session *session = NULL;
    sw_tensor in = {0};
    bool bf16 = argc > 6 && !strcmp(argv[6], "bf16");
    sw_build_options build = {.precision = SW_BF16};
    sw_status built = bf16 ? sw_plan_build_with(argv[1], &build, &diag, &plan) : sw_plan_build(argv[1], &diag, &plan);
    bool good = built == SW_OK && make_input(plan, height, width, &in) &&
                sw_session_create(plan, &options, &diag, &session) == SW_OK && time_runs(session, &in, 1, ms, cpu);
    double first = (double)(sw_clock_ns() - start) / 1e6;
    good = good && time_runs(session, &in, rounds, ms, cpu);
    if (good) {
        qsort(ms, (size_t)rounds, sizeof *ms, by_value);
        qsort(cpu, (size_t)rounds, sizeof *cpu, by_value);
        printf("{\"median\": %.2f, \"min\": %.2f, \"cpu\": %.2f, \"first\": %.1f}\n", ms[rounds / 2], ms[0],
               cpu[rounds / 2], first);
    }
    sw_session_destroy(session);
    sw_plan_unref(plan);
    free(in.data);
    return good ? 0 : 2;
}
