/* slipway bench: numbers of a row, as a table and as JSON; what the machine can do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/pool.h"
#include "base/sort.h"
#include "cli/bench.h"
#include "kernels/probe/probe.h"

/* The smallest time that at least that share of runs did not exceed. */
static double percentile(const sw_bench_row *row, double share) {
    size_t rank = (size_t)ceil(share * (double)row->n);
    return (double)row->times[rank ? rank - 1 : 0] * 1e-6;
}

/* Milliseconds; sorts the times. Percentiles by nearest rank. n >= 1. */
static void stats_of(sw_bench_row *row, double ms[SW_BENCH_STATS]) {
    double sum = 0;
    qsort(row->times, row->n, sizeof *row->times, sw_by_i64);
    for (size_t i = 0; i < row->n; i++) sum += (double)row->times[i];
    ms[SW_BENCH_MIN] = percentile(row, 0);
    ms[SW_BENCH_MEDIAN] = percentile(row, 0.5);
    ms[SW_BENCH_MEAN] = sum / (double)row->n * 1e-6;
    ms[SW_BENCH_P90] = percentile(row, 0.9);
    ms[SW_BENCH_P95] = percentile(row, 0.95);
    ms[SW_BENCH_P99] = percentile(row, 0.99);
    ms[SW_BENCH_MAX] = percentile(row, 1);
}

/* Of the mean. */
static double pictures_a_second(const sw_bench_row *row, const double ms[SW_BENCH_STATS]) {
    return (double)row->batch * 1e3 / ms[SW_BENCH_MEAN];
}

static bool same_group(const sw_bench_row *a, const sw_bench_row *b) {
    return !strcmp(a->model, b->model) && a->threads == b->threads && a->batch == b->batch;
}

/* How Slipway stands to the best other row of its group. */
static void print_ratio(sw_bench_row *rows, int n, sw_console *c) {
    double own = 0, best = INFINITY, ms[SW_BENCH_STATS];
    const char *name = NULL;
    for (int i = 0; i < n; i++) {
        stats_of(&rows[i], ms);
        bool is_own = !strcmp(rows[i].backend, "slipway");
        if (is_own) own = ms[SW_BENCH_MEDIAN];
        if (is_own || ms[SW_BENCH_MEDIAN] >= best) continue;
        best = ms[SW_BENCH_MEDIAN];
        name = rows[i].backend;
    }
    if (own > 0 && name)
        sw_print(c, "slipway takes %.2f of the time of %s, the fastest other (medians)\n", own / best, name);
}

void sw_bench_print(sw_bench_row *rows, int n, sw_console *c) {
    for (int i = 0; i < n;) {
        int begin = i;
        sw_print(c, "%s%s: batch %lld, %d thread%s\n", i ? "\n" : "", rows[i].model, (long long)rows[i].batch,
                 rows[i].threads, rows[i].threads == 1 ? "" : "s");
        sw_print(c, "  %-12s %-9s %8s %8s %8s %8s %8s %8s %8s %9s %8s %8s\n", "backend", "precision", "min", "median",
                 "mean", "p90", "p95", "p99", "max", "images/s", "load ms", "peak MB");
        for (; i < n && same_group(&rows[begin], &rows[i]); i++) {
            double ms[SW_BENCH_STATS];
            stats_of(&rows[i], ms);
            sw_print(c, "  %-12s %-9s", rows[i].backend, rows[i].precision);
            for (int k = 0; k < SW_BENCH_STATS; k++) sw_print(c, " %8.2f", ms[k]);
            sw_print(c, " %9.1f %8.1f %8.1f\n", pictures_a_second(&rows[i], ms), rows[i].load_ms, rows[i].peak_mb);
        }
        print_ratio(rows + begin, i - begin, c);
    }
}

static void json_row(sw_bench_row *row, sw_json_writer *w) {
    static const char *const names[SW_BENCH_STATS] = {"min", "median", "mean", "p90", "p95", "p99", "max"};
    double ms[SW_BENCH_STATS];
    stats_of(row, ms);
    sw_json_object(w);
    sw_json_key(w, "backend"), sw_json_string(w, row->backend);
    sw_json_key(w, "model"), sw_json_string(w, row->model);
    sw_json_key(w, "precision"), sw_json_string(w, row->precision);
    sw_json_key(w, "threads"), sw_json_int(w, row->threads);
    sw_json_key(w, "batch"), sw_json_int(w, row->batch);
    sw_json_key(w, "latency_ms"), sw_json_flat(w), sw_json_object(w);
    for (int i = 0; i < SW_BENCH_STATS; i++) sw_json_key(w, names[i]), sw_json_fixed(w, ms[i], 4);
    sw_json_object_end(w);
    sw_json_key(w, "throughput"), sw_json_fixed(w, pictures_a_second(row, ms), 3);
    sw_json_key(w, "load_ms"), sw_json_fixed(w, row->load_ms, 3);
    sw_json_key(w, "peak_rss_mb"), sw_json_fixed(w, row->peak_mb, 3);
    sw_json_key(w, "settings"), sw_json_object(w);
    sw_json_key(w, "version"), sw_json_string(w, row->version);
    sw_json_key(w, "runs"), sw_json_int(w, (int64_t)row->n);
    for (int i = 0; i < row->settings.n; i++) {
        sw_json_key(w, row->settings.items[i].key);
        sw_json_string(w, row->settings.items[i].value);
    }
    sw_json_object_end(w);
    sw_json_object_end(w);
}

void sw_bench_json(sw_bench_row *rows, int n, sw_json_writer *w) {
    sw_json_key(w, "results"), sw_json_array(w);
    for (int i = 0; i < n; i++) json_row(&rows[i], w);
    sw_json_array_end(w);
}

/* -- Peaks --------------------------------------------------------------------------------------------------------- */

/* Instruction sets that have a probe, with all below them. */
static const struct {
    const char *name;
    uint32_t needs, mask;
} tiers[] = {
    {"plain", 0, 0},
    {"avx2", SW_CPU_AVX2, SW_CPU_SSE2 | SW_CPU_AVX2},
    {"avx512", SW_CPU_AVX512, SW_CPU_SSE2 | SW_CPU_AVX2 | SW_CPU_AVX512},
    {"avx512bf16", SW_CPU_AVX512BF16, SW_CPU_SSE2 | SW_CPU_AVX2 | SW_CPU_AVX512 | SW_CPU_AVX512BF16},
    {"neon", SW_CPU_NEON, SW_CPU_NEON},
};

typedef void (*peak_sink)(void *ctx, const char *tier, const sw_ceilings *ceilings);

static sw_status measure_peaks(peak_sink sink, void *ctx) {
    uint32_t mask = sw_cpu_mask(), features = sw_cpu_features();
    sw_status status = SW_OK;
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers && status == SW_OK; i++) {
        if (tiers[i].needs & ~features) continue;
        sw_cpu_set_mask(tiers[i].mask);
        for (int threads = 1; threads && status == SW_OK;) {
            sw_ceilings ceilings;
            sw_pool *pool = sw_pool_create(NULL, threads);
            status = pool ? sw_probe_ceilings(pool, &ceilings) : SW_E_NOMEM;
            if (tiers[i].needs & SW_CPU_AVX512BF16) ceilings.gflops = sw_probe_bf16_gflops(pool);
            if (status == SW_OK) sink(ctx, tiers[i].name, &ceilings);
            sw_pool_destroy(pool);
            threads = threads < sw_cpu_allowed() ? sw_cpu_allowed() : 0;
        }
    }
    sw_cpu_set_mask(mask);
    return status;
}

static void print_peak(void *ctx, const char *tier, const sw_ceilings *p) {
    sw_print(ctx, "%-10s %7d %9.1f %9.1f %9.1f %9.1f\n", tier, p->threads, p->gflops, p->gbytes[SW_PROBE_L2],
             p->gbytes[SW_PROBE_L3], p->gbytes[SW_PROBE_MEMORY]);
}

sw_status sw_bench_print_peaks(sw_console *console) {
    sw_print(console, "%s\n%-10s %7s %9s %9s %9s %9s\n", sw_cpu_model(), "isa", "threads", "GFLOP/s", "L2 GB/s",
             "L3 GB/s", "RAM GB/s");
    SW_TRY(measure_peaks(print_peak, console));
    sw_print(console, "\n");
    return SW_OK;
}

static void json_peak(void *ctx, const char *tier, const sw_ceilings *p) {
    sw_json_writer *w = ctx;
    sw_json_flat(w), sw_json_object(w);
    sw_json_key(w, "isa"), sw_json_string(w, tier);
    sw_json_key(w, "threads"), sw_json_int(w, p->threads);
    sw_json_key(w, "gflops"), sw_json_fixed(w, p->gflops, 1);
    sw_json_key(w, "l2_gbytes"), sw_json_fixed(w, p->gbytes[SW_PROBE_L2], 1);
    sw_json_key(w, "l3_gbytes"), sw_json_fixed(w, p->gbytes[SW_PROBE_L3], 1);
    sw_json_key(w, "memory_gbytes"), sw_json_fixed(w, p->gbytes[SW_PROBE_MEMORY], 1);
    sw_json_object_end(w);
}

sw_status sw_bench_json_peaks(sw_json_writer *w) {
    sw_json_key(w, "isa_peaks"), sw_json_array(w);
    sw_status status = measure_peaks(json_peak, w);
    sw_json_array_end(w);
    return status;
}
