/* One program, two engines: from the start of a process to its first result, and how much memory it takes. Compiled twice by
 * bench/startup: with Slipway's run side (MODEL is a plan), or with -DENGINE_ORT around ONNX Runtime's library.
 *
 *     startup MODEL THREADS RUNS SIDE STARTED_NS [LIBRARY INPUT OUTPUT]
 *
 * STARTED_NS: CLOCK_MONOTONIC when the parent started it. The input is 1 x 3 x SIDE x SIDE. Prints one line of JSON:
 * milliseconds from there to main, to a session that is ready and to the first result, of the first run and of the median
 * one; largest resident memory in kB. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_RUNS = 1000 };

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fail(const char *text) {
    fprintf(stderr, "startup: %s\n", text);
    exit(2);
}

#ifdef ENGINE_ORT
/* The interface is a table of functions, whose order onnxruntime_c_api.h promises to keep. */
enum { MESSAGE = 2, CREATE_ENV = 3, CREATE_SESSION = 7, RUN = 9, CREATE_OPTIONS = 10, SET_THREADS = 24, TENSOR = 49, CPU = 69 };
typedef void *(*function)(); /* of any arguments; returns an error or NULL */
static const function *api;
static void *session;
static const char *input_name, *output_name;

static void try(void *error) {
    if (error) fail(((const char *(*)(void *))api[MESSAGE])(error));
}

static void prepare(char **argv) {
    void *library = dlopen(argv[6], RTLD_NOW), *env, *options;
    const void *(*const *(*base)(void))(uint32_t) = library ? dlsym(library, "OrtGetApiBase") : NULL;
    if (!base) fail(dlerror());
    api = base()[0](17);
    input_name = argv[7], output_name = argv[8];
    try(api[CREATE_ENV](3, "startup", &env));
    try(api[CREATE_OPTIONS](&options));
    try(api[SET_THREADS](options, (int)strtol(argv[2], NULL, 10)));
    try(api[CREATE_SESSION](env, argv[1], options, &session));
}

static void run(float *x, int64_t side) {
    static void *in, *out; /* the output is written to again in later runs */
    void *memory;
    const int64_t dims[4] = {1, 3, side, side};
    if (!in) {
        try(api[CPU](0, 0, &memory));
        try(api[TENSOR](memory, x, (size_t)(3 * side * side) * sizeof *x, dims, (size_t)4, 1, &in));
    }
    try(api[RUN](session, NULL, &input_name, &in, (size_t)1, &output_name, (size_t)1, &out));
}
#else
#include <slipway/plan.h>
static sw_session *session;

static void show(void *ctx, const sw_message *m) {
    fprintf(stderr, "startup: %s\n", m->text);
}
static const sw_diag diag = {.emit = show};

static void prepare(char **argv) {
    sw_plan *plan;
    sw_session_options options = {.threads = (int)strtol(argv[2], NULL, 10)};
    if (sw_plan_load(argv[1], NULL, &diag, &plan) || sw_session_create(plan, &options, &diag, &session)) exit(2);
}

static void run(float *x, int64_t side) {
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {1, 3, side, side}, .data = x}, out[16];
    if (sw_session_run(session, &in, out)) exit(3);
}
#endif

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static long peak_kb(void) {
    char line[256];
    long kb = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmHWM: %ld", &kb);
    if (file) fclose(file);
    return kb;
}

int main(int argc, char **argv) {
    static double ms[MAX_RUNS];
    double main_at = now_ms();
    if (argc < 6) fail("see bench/startup");
    int runs = (int)strtol(argv[3], NULL, 10);
    int64_t side = strtol(argv[4], NULL, 10), n = 3 * side * side;
    double started = strtod(argv[5], NULL) / 1e6;
    if (runs < 1 || runs > MAX_RUNS || side < 1 || side > 4096) fail("RUNS or SIDE out of range");
    prepare(argv);
    double ready_at = now_ms();
    float *x = malloc((size_t)n * sizeof *x);
    if (!x) fail("out of memory");
    for (int64_t i = 0; i < n; i++) x[i] = (float)(i * 2654435761u % 1000003) / 1000003;
    for (int i = 0; i < runs; i++) {
        double start = now_ms();
        run(x, side);
        ms[i] = now_ms() - start;
    }
    double first = ms[0];
    qsort(ms, (size_t)runs, sizeof *ms, by_value);
    printf("{\"main\": %.2f, \"ready\": %.2f, \"first\": %.2f, \"median\": %.2f, \"peak_kb\": %ld}\n", main_at - started,
           ready_at - started, first, ms[runs / 2], peak_kb());
    return 0;
}
