/* --precision best: the plan in float32 and in the halves that this CPU multiplies, and of these the one whose runs are the
 * fastest here. */
#include <stdio.h>

#include "base/arena.h"
#include "base/cpu.h"
#include "base/os.h"
#include "build/build.h"
#include "engine/inputs.h"

enum { WAYS = 3, ROUNDS = 9, TEXT = 128 };

/* A plan that is tried. */
typedef struct way {
    sw_dtype precision;
    const char *name;
    sw_plan *plan;
    sw_session *session;
    double least_ms;
} way;

static sw_status open_way(way *w, int threads, const sw_diag *diag) {
    w->least_ms = 1e30;
    return sw_session_create(w->plan, &(sw_session_options){.threads = threads}, diag, &w->session);
}

/* By turns, so that other load meets both. The first run binds shapes and does not count. */
static sw_status time_ways(way *ways, int n, const sw_tensor *inputs, sw_tensor *outputs) {
    for (int round = -1; round < ROUNDS; round++)
        for (int i = 0; i < n; i++) {
            int64_t start = sw_clock_ns();
            SW_TRY(sw_session_run(ways[i].session, inputs, outputs));
            double ms = (double)(sw_clock_ns() - start) / 1e6;
            if (round >= 0 && ms < ways[i].least_ms) ways[i].least_ms = ms;
        }
    return SW_OK;
}

/* Which is the fastest; the first where nobody knows for what shapes. */
static sw_status choose(way *ways, int n, const sw_build_options *options, const sw_diag *diag, int *best) {
    const sw_plan *plan = ways[0].plan;
    sw_arena *arena = sw_arena_create(plan->allocator, SIZE_MAX);
    sw_tensor *inputs = arena ? SW_ARENA_ARRAY(arena, sw_tensor, plan->n_inputs + 1) : NULL;
    sw_tensor *outputs = arena ? SW_ARENA_ARRAY(arena, sw_tensor, plan->n_outputs + 1) : NULL;
    int threads = options->tuning ? options->tuning->threads : 0;
    sw_status status = inputs && outputs ? SW_OK : SW_E_NOMEM;
    *best = 0;
    bool known = status == SW_OK && (sw_plan_usual_inputs(plan, inputs) || sw_plan_assume_inputs(plan, inputs));
    for (int i = 0; known && i < plan->n_inputs && status == SW_OK; i++) status = sw_tensor_fill(arena, &inputs[i]);
    for (int i = 0; known && i < n && status == SW_OK; i++) status = open_way(&ways[i], threads, diag);
    if (known && status == SW_OK) status = time_ways(ways, n, inputs, outputs);
    for (int i = 1; known && i < n && status == SW_OK; i++)
        if (ways[i].least_ms < ways[*best].least_ms) *best = i;
    sw_arena_destroy(arena);
    return status;
}

static sw_status note(sw_plan *plan, const way *ways, int n, int best) {
    char text[TEXT];
    int used = snprintf(text, sizeof text, "%s of best:", ways[best].name);
    for (int i = 0; i < n; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s %s %.2f ms", i ? "," : "", ways[i].name,
                         ways[i].least_ms);
    return sw_plan_add_receipt(plan, "precision", text);
}

sw_status sw_plan_build_best(const char *path, const sw_build_options *options, const sw_diag *diag, sw_plan **plan) {
    sw_build_options one = *options;
    way ways[WAYS] = {{SW_F32, "fp32"}};
    int best = 0, n = 1;
    one.best_precision = false;
    one.precision = SW_F32;
    if (sw_cpu_features() & (SW_CPU_AVX512BF16 | SW_CPU_BF16)) ways[n++] = (way){SW_BF16, "bf16"};
    if (sw_cpu_features() & SW_CPU_AVX512FP16) ways[n++] = (way){SW_F16, "fp16"};
    if (n == 1 || sw_build_is_for_gpu(options)) return sw_plan_build_with(path, &one, diag, plan);
    sw_status status = SW_OK;
    for (int i = 0; i < n && status == SW_OK; i++) {
        one.precision = ways[i].precision;
        status = sw_plan_build_with(path, &one, diag, &ways[i].plan);
    }
    if (status == SW_OK) status = choose(ways, n, options, diag, &best);
    for (int i = 0; i < n; i++) sw_session_destroy(ways[i].session);
    if (status == SW_OK && ways[0].least_ms > 0) status = note(ways[best].plan, ways, n, best);
    *plan = status == SW_OK ? sw_plan_ref(ways[best].plan) : NULL;
    for (int i = 0; i < n; i++) sw_plan_unref(ways[i].plan);
    return status;
}
