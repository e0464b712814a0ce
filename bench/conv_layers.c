/* Times the convolution tactics on a list of layers: conv_layers [-t threads] [-r rounds] [-b] [-c] [-w] layers.txt
 *
 * One layer a line: height width cin cout kernel stride groups activation ('#' begins a comment); pads are (kernel
 * - 1) / 2. For each layer, every tactic that this CPU can run and that accepts is timed by turns; the table shows
 * ms (20th percentile: other load only ever adds), GFLOP/s of the direct count, its share of the FMA peak (measured
 * beside it), the tactic that sw_conv_choose takes and what that costs against the best. -w: all layers in network
 * order with the chosen tactics, weights cold, instead of each alone. -b: maps are bfloat16 (the picture float32). -c: CPU
 * time of the program instead of time on the wall, for busy machines (one thread). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/os.h"
#include "kernels/conv/act.h"

enum { MOST_LAYERS = 512, MOST_TACTICS = 32, MOST_ROUNDS = 101 };

typedef struct layer {
    sw_conv conv;
    const sw_conv_tactic *chosen;
    void *packed[MOST_TACTICS];
    double macs;
} layer;

static layer layers[MOST_LAYERS];
static int n_layers;
static float *in, *out, *weights;
static void *scratch;

static bool by_cpu_time, bfloat16;

static int64_t clock_ns(void) {
    if (!by_cpu_time) return sw_clock_ns();
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void *allocate(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (p) return p;
    fprintf(stderr, "out of memory\n");
    exit(1);
}

static float *noise(size_t n) {
    float *p = allocate(n * sizeof *p);
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) p[i] = (float)((state = state * 1664525 + 1013904223) >> 8) / (1 << 24) - 0.5f;
    return p;
}

static void read_layers(const char *path) {
    FILE *file = fopen(path, "r");
    char line[256], act[32];
    if (!file) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    while (n_layers < MOST_LAYERS && fgets(line, sizeof line, file)) {
        long long h, w, ci, co, k, s, g;
        if (sscanf(line, "%lld %lld %lld %lld %lld %lld %lld %31s", &h, &w, &ci, &co, &k, &s, &g, act) != 8) continue;
        int64_t pad = (k - 1) / 2, oh = (h + 2 * pad - k) / s + 1, ow = (w + 2 * pad - k) / s + 1;
        layers[n_layers++] = (layer){
            .conv = {.batch = 1,
                     .height = h,
                     .width = w,
                     .in_channels = ci,
                     .out_height = oh,
                     .out_width = ow,
                     .out_channels = co,
                     .kernel_h = k,
                     .kernel_w = k,
                     .stride_h = s,
                     .stride_w = s,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .pad_top = pad,
                     .pad_left = pad,
                     .groups = g,
                     .in_pitch = ci,
                     .out_pitch = co,
                     .in_planar = ci == 3, /* a picture */
                     .in_type = bfloat16 && ci > 3 ? SW_BF16 : SW_F32,
                     .out_type = bfloat16 ? SW_BF16 : SW_F32,
                     .act = sw_act_find(act),
                     .act_b = 6},
            .macs = (double)(oh * ow * co * k * k * (ci / g)),
        };
    }
    fclose(file);
}

static void prepare(int threads) {
    size_t most_in = 0, most_out = 0, most_weights = 0, most_scratch = 64;
    for (int i = 0; i < n_layers; i++) {
        const sw_conv *c = &layers[i].conv;
        size_t n_in = (size_t)(c->height * c->width * c->in_channels),
               n_out = (size_t)(c->out_height * c->out_width * c->out_channels);
        size_t n_weights = (size_t)(c->kernel_h * c->kernel_w * c->in_channels / c->groups * c->out_channels);
        most_in = n_in > most_in ? n_in : most_in;
        most_out = n_out > most_out ? n_out : most_out;
        most_weights = n_weights > most_weights ? n_weights : most_weights;
    }
    in = noise(most_in);
    out = noise(most_out);
    weights = noise(most_weights);
    for (int i = 0; i < n_layers; i++) {
        layer *l = &layers[i];
        l->chosen = sw_conv_choose(&l->conv);
        for (int t = 0; sw_conv_tactics[t]; t++) {
            const sw_conv_tactic *tactic = sw_conv_tactics[t];
            if ((tactic->features & ~sw_cpu_features()) || tactic->refuse(&l->conv)) continue;
            size_t bytes = tactic->scratch_bytes(&l->conv, threads);
            most_scratch = bytes > most_scratch ? bytes : most_scratch;
            l->packed[t] = allocate(tactic->packed_bytes(&l->conv));
            tactic->pack(&l->conv, weights, NULL, l->packed[t]);
        }
    }
    scratch = allocate(most_scratch);
}

/* GFLOP/s of one core: independent chains of the widest multiply-add that the tactics use. */
static double measure_peak(void) {
#ifdef SW_ISA_AVX2
    if (sw_cpu_features() & SW_CPU_AVX2) {
        int64_t least = INT64_MAX;
        for (int round = 0; round < 5; round++) {
            int64_t begin = clock_ns();
            for (int i = 0; i < 100000; i++)
                __asm__ volatile("vfmadd231ps %%ymm15, %%ymm14, %%ymm0\n vfmadd231ps %%ymm15, %%ymm14, %%ymm1\n"
                                 "vfmadd231ps %%ymm15, %%ymm14, %%ymm2\n vfmadd231ps %%ymm15, %%ymm14, %%ymm3\n"
                                 "vfmadd231ps %%ymm15, %%ymm14, %%ymm4\n vfmadd231ps %%ymm15, %%ymm14, %%ymm5\n"
                                 "vfmadd231ps %%ymm15, %%ymm14, %%ymm6\n vfmadd231ps %%ymm15, %%ymm14, %%ymm7\n"
                                 "vfmadd231ps %%ymm15, %%ymm14, %%ymm8\n vfmadd231ps %%ymm15, %%ymm14, %%ymm9\n" ::
                                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9");
            int64_t took = clock_ns() - begin;
            least = took < least ? took : least;
        }
        return 100000.0 * 10 * 16 / (double)least;
    }
#endif
    return 0;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The 20th percentile. */
static double typical(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 5];
}

static double time_once(const layer *l, int tactic, sw_pool *pool) {
    int64_t begin = clock_ns();
    sw_conv_tactics[tactic]->run(&l->conv, l->packed[tactic], in, NULL, out, scratch, pool);
    return (double)(clock_ns() - begin) * 1e-6;
}

static int index_of(const sw_conv_tactic *tactic) {
    int i = 0;
    while (sw_conv_tactics[i] != tactic) i++;
    return i;
}

/* The layer alone: all tactics by turns. */
static double time_layer(const layer *l, int number, int rounds, sw_pool *pool, double *best_total) {
    static double ms[MOST_TACTICS][MOST_ROUNDS];
    for (int r = -1; r < rounds; r++)
        for (int t = 0; sw_conv_tactics[t]; t++) {
            if (!l->packed[t] || (t == 0 && l->chosen != sw_conv_tactics[0] && r > 0))
                continue; /* plain C: once, it is slow */
            double took = time_once(l, t, pool);
            ms[t][r < 0 ? 0 : r] = took;
        }
    double peak = measure_peak() * sw_pool_threads(pool), best = 1e30, chosen = 0;
    const sw_conv *c = &l->conv;
    printf("%3d %4lldx%-4lld %4lld %4lld k%lld s%lld g%-4lld", number, (long long)c->height, (long long)c->width,
           (long long)c->in_channels, (long long)c->out_channels, (long long)c->kernel_h, (long long)c->stride_h,
           (long long)c->groups);
    for (int t = 0; sw_conv_tactics[t]; t++) {
        if (!l->packed[t]) continue;
        bool once = t == 0 && l->chosen != sw_conv_tactics[0];
        double took = typical(ms[t], once ? 1 : rounds), rate = 2 * l->macs / took * 1e-6;
        if (took < best) best = took;
        if (sw_conv_tactics[t] == l->chosen) chosen = took;
        if (!once) printf("  %s %.3f (%.0f, %.0f%%)", sw_conv_tactics[t]->name, took, rate, 100 * rate / peak);
    }
    printf("  -> %s %+.0f%%\n", l->chosen->name, 100 * (chosen / best - 1));
    *best_total += best;
    return chosen;
}

static const char *class_of(const sw_conv *c) {
    return c->groups > 1      ? "grouped"
           : c->kernel_h == 1 ? "1x1"
           : c->kernel_h == 3 ? c->stride_h == 1 ? "3x3 s1" : "3x3 s2"
                              : "other";
}

static void print_classes(const double *ms, double peak) {
    static const char *const names[] = {"1x1", "3x3 s1", "3x3 s2", "grouped", "other"};
    double all = 0, floor = 0;
    for (int k = 0; k < 5; k++) {
        double sum = 0, macs = 0;
        for (int i = 0; i < n_layers; i++)
            if (!strcmp(class_of(&layers[i].conv), names[k])) {
                sum += ms[i];
                macs += layers[i].macs;
            }
        if (macs > 0) printf("%-8s %8.2f ms, direct floor %8.2f ms\n", names[k], sum, 2 * macs / peak * 1e-6);
        all += sum;
        floor += 2 * macs / peak * 1e-6;
    }
    printf("%-8s %8.2f ms, direct floor %8.2f ms at %.1f GFLOP/s\n", "all", all, floor, peak);
}

static void time_network(int rounds, sw_pool *pool, double *ms) {
    static double of_layer[MOST_LAYERS][MOST_ROUNDS], whole[MOST_ROUNDS];
    for (int r = 0; r < rounds; r++) {
        whole[r] = 0;
        for (int i = 0; i < n_layers; i++)
            whole[r] += of_layer[i][r] = time_once(&layers[i], index_of(layers[i].chosen), pool);
    }
    for (int i = 0; i < n_layers; i++) ms[i] = typical(of_layer[i], rounds);
    double usual = typical(whole, rounds);
    printf("network order: least %.2f ms, 20th percentile %.2f ms, median %.2f ms\n", whole[0], usual,
           whole[rounds / 2]);
}

int main(int argc, char **argv) {
    int threads = 1, rounds = 15;
    bool network = false;
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-t") && i + 1 < argc)
            threads = (int)strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "-r") && i + 1 < argc)
            rounds = (int)strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "-w"))
            network = true;
        else if (!strcmp(argv[i], "-b"))
            bfloat16 = true;
        else if (!strcmp(argv[i], "-c"))
            by_cpu_time = true;
        else
            path = argv[i];
    }
    if (!path || rounds < 1 || rounds > MOST_ROUNDS) {
        fprintf(stderr, "usage: conv_layers [-t threads] [-r rounds up to %d] [-b] [-c] [-w] layers.txt\n",
                MOST_ROUNDS);
        return 2;
    }
    static double ms[MOST_LAYERS];
    read_layers(path);
    sw_pool *pool = sw_pool_create(NULL, threads);
    prepare(threads);
    double best = 0, chosen = 0, peak = measure_peak();
    if (network)
        time_network(rounds, pool, ms);
    else
        for (int i = 0; i < n_layers; i++) chosen += ms[i] = time_layer(&layers[i], i, rounds, pool, &best);
    print_classes(ms, (peak + measure_peak()) / 2 * threads);
    if (!network)
        printf("chosen %.2f ms, best of each layer %.2f ms: regret %.2f%%\n", chosen, best, 100 * (chosen / best - 1));
    sw_pool_destroy(pool);
    return 0;
}
