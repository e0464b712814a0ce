#include "kernels/probe/probe.h"

#include "base/cpu.h"
#include "base/os.h"
#include "kernels/probe/isa.h"

enum { REPEATS = 15, SLICES = 8, CHAIN_ROUNDS = 30000, CHAINS = 8 };

/* ---- Plain C ----------------------------------------------------------------------------------------------------- */

typedef float v4 __attribute__((vector_size(16)));

static double plain_fma(int64_t n) {
    v4 sums[CHAINS] = {0};
    const v4 a = {0.5f, 0.5f, 0.5f, 0.5f}, b = {1, 1, 1, 1};
    for (int64_t k = 0; k < n; k++)
        for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * a + b;
    SW_PROBE_USE(sums);
    return 2.0 * 4 * CHAINS * (double)n;
}

static void plain_read(const float *data, size_t n) {
    v4 sums[CHAINS] = {0};
    for (size_t k = 0; k < n; k += 4 * CHAINS)
        for (size_t i = 0; i < CHAINS; i++) sums[i] += *(const v4 *)(data + k + 4 * i);
    SW_PROBE_USE(sums);
}

const sw__probe_isa sw__probe_plain = {0, plain_fma, plain_read};

/* The widest that runs here. */
static const sw__probe_isa *isa(void) {
    static const sw__probe_isa *const all[] = {
#ifdef SW_ISA_AVX512
        &sw__probe_avx512,
#endif
#ifdef SW_ISA_AVX2
        &sw__probe_avx2,
#endif
#ifdef SW_ISA_NEON
        &sw__probe_neon,
#endif
        &sw__probe_plain,
    };
    int i = 0;
    while (all[i]->features & ~sw_cpu_features()) i++;
    return all[i];
}

/* ---- Arithmetic -------------------------------------------------------------------------------------------------- */

static void fma_slices(void *ctx, int64_t begin, int64_t end, int thread) {
    const sw__probe_isa *i = ctx;
    (void)thread;
    for (; begin < end; begin++) i->fma(CHAIN_ROUNDS);
}

/* The best of some short runs: others on the machine only ever make one slower. */
static double measure_gflops(sw_pool *pool, const sw__probe_isa *i) {
    int64_t slices = SLICES * sw_pool_threads(pool);
    double operations = i->fma(CHAIN_ROUNDS) * (double)slices, best = 0;
    for (int r = 0; r < REPEATS; r++) {
        int64_t start = sw_clock_ns();
        sw_pool_for(pool, slices, 1, fma_slices, (void *)(uintptr_t)i);
        double rate = operations / (double)(sw_clock_ns() - start + 1);
        if (rate > best) best = rate;
    }
    return best;
}

double sw_probe_bf16_gflops(sw_pool *pool) {
#ifdef SW_ISA_AVX512BF16
    if (sw_cpu_features() & SW_CPU_AVX512BF16) return measure_gflops(pool, &sw__probe_avx512bf16);
#endif
    return 0;
}

#if defined(__x86_64__)
/* Nanoseconds of a cycle: an integer product takes three on every x86-64 CPU since 2008 (uops.info). */
static double cycle_ns(void) {
    enum { PRODUCTS = 100000 };
    double best = 1e9;
    for (int r = 0; r < REPEATS; r++) {
        uint64_t x = 3;
        int64_t start = sw_clock_ns();
        for (int k = 0; k < PRODUCTS / 10; k++)
            __asm__ volatile("imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
                             "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
                             : "+r"(x));
        double ns = (double)(sw_clock_ns() - start) / (3.0 * PRODUCTS);
        if (ns < best) best = ns;
    }
    return best;
}
#else
static double cycle_ns(void) {
    return 0;
}
#endif

int sw_probe_flops_per_cycle(void) {
    double per_cycle = measure_gflops(NULL, isa()) * cycle_ns();
    if (per_cycle <= 0) return 0;
    int class = 4;
    while (class < 1 << 12 && per_cycle > class * 1.414) class *= 2;
    return class;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

typedef struct reading {
    const sw__probe_isa *isa;
    const float *data;
    size_t floats; /* of a slice */
    int64_t slices, times;
} reading;

static void read_slices(void *ctx, int64_t begin, int64_t end, int thread) {
    const reading *r = ctx;
    (void)thread;
    for (; begin < end; begin++) r->isa->read(r->data + (size_t)(begin / r->times) * r->floats, r->floats);
}

/* Reads `bytes` of data in one slice a thread, over and over while they fit a cache. */
static double measure_gbytes(sw_pool *pool, const float *data, double bytes, int64_t times) {
    reading r = {.isa = isa(), .data = data, .slices = sw_pool_threads(pool), .times = times};
    r.floats = (size_t)(bytes / (double)r.slices / 4) / 64 * 64;
    double best = 0, total = (double)r.floats * 4 * (double)(r.slices * times);
    for (int k = 0; k < REPEATS; k++) {
        int64_t start = sw_clock_ns();
        sw_pool_for(pool, r.slices * times, times, read_slices, &r);
        double rate = total / (double)(sw_clock_ns() - start + 1);
        if (rate > best) best = rate;
    }
    return best;
}

sw_status sw_probe_ceilings(sw_pool *pool, sw_ceilings *c) {
    enum { TOUCHED = 64 << 20, MOST = 256 << 20 };
    double l2 = (double)sw_cpu_cache(2), l3 = (double)sw_cpu_cache(3);
    *c = (sw_ceilings){.threads = sw_pool_threads(pool)};
    if (l2 <= 0) l2 = 512 << 10;
    c->reach[SW_PROBE_L2] = l2 * c->threads;
    c->reach[SW_PROBE_L3] = l3 > c->reach[SW_PROBE_L2] ? l3 : c->reach[SW_PROBE_L2];
    c->reach[SW_PROBE_MEMORY] = 1e300;
    double far = 2 * c->reach[SW_PROBE_L3] < MOST ? 2 * c->reach[SW_PROBE_L3] : MOST;
    float *data = sw_calloc(NULL, (size_t)far, 1);
    if (!data) return SW_E_NOMEM;
    for (size_t i = 0; i < (size_t)far / 4; i += 1024) data[i] = 1; /* pages of their own */
    c->gflops = measure_gflops(pool, isa());
    double near = c->reach[SW_PROBE_L2] / 2, middle = c->reach[SW_PROBE_L3] / 4;
    c->gbytes[SW_PROBE_L2] = measure_gbytes(pool, data, near, TOUCHED / (int64_t)near + 1);
    c->gbytes[SW_PROBE_L3] =
        l3 > 0 ? measure_gbytes(pool, data, middle > 2 * near ? middle : 2 * near, 2) : c->gbytes[SW_PROBE_L2];
    c->gbytes[SW_PROBE_MEMORY] = measure_gbytes(pool, data, far, 1);
    sw_free(NULL, data);
    /* Noise must not make a farther level the faster one. */
    for (int i = SW_PROBE_MEMORY; i > 0; i--)
        if (c->gbytes[i - 1] < c->gbytes[i]) c->gbytes[i - 1] = c->gbytes[i];
    return SW_OK;
}

double sw_ceilings_floor(const sw_ceilings *c, double flops, double bytes) {
    int level = SW_PROBE_L2;
    while (bytes > c->reach[level]) level++;
    double compute = flops / c->gflops, memory = bytes / c->gbytes[level];
    return (compute > memory ? compute : memory) * 1e-9;
}
