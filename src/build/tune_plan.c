#include "build/tune_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "base/zip.h"
#include "build/tune.h"
#include "engine/chains.h"
#include "engine/groups.h"
#include "engine/inputs.h"
#include "engine/session.h"

enum { DEVICE_TEXT = 320 };

/* A step whose tactic is chosen. */
typedef struct tuned {
    size_t step;
    int kind;
    sw_prepared ways[SW_CONV_TACTICS]; /* by tactic of the kind; those that are timed */
} tuned;

typedef struct tuner {
    sw_plan *plan;
    const sw_tuning *o;
    const sw_diag *diag;
    int64_t start_ns;
    sw_arena *arena;
    sw_tensor *inputs, *outputs;
    sw_session *session;
    sw_instance *instance;
    sw_pool *pool;
    const sw_tensor **in; /* ports of a step */
    sw_tensor **out, *slices;
    tuned *steps;
    int n_steps;
    sw_tune_kind *kinds;
    const char **keys; /* by kind */
    const sw_conv **convs;
    int *counts; /* steps of a kind */
    int n;
    int *choice, *standard; /* by kind */
    int64_t *ns;            /* by kind; while a pass runs, the sum over its steps */
    int32_t *step_kinds;    /* by step of the plan; -1 */
    sw_timings *timings;
    const char *path; /* of the timing cache; NULL: none */
    char device[DEVICE_TEXT];
} tuner;

/* ---- Kinds ------------------------------------------------------------------------------------------------------- */

static const char *refusal(const sw_conv_tactic *tactic, const sw_conv *conv) {
    if (tactic->features & ~sw_cpu_features()) return "this CPU lacks its instruction set";
    const char *why = tactic->refuse(conv);
    if (!why && !sw_conv_accepts(tactic, conv)) why = "the shape is unusual";
    return why;
}

static void fill_kind(tuner *t, int kind, const sw_conv *conv) {
    sw_tune_kind *k = &t->kinds[kind];
    const sw_conv_tactic *chosen = sw_conv_choose(conv);
    t->convs[kind] = conv;
    for (; sw_conv_tactics[k->n]; k->n++) {
        const sw_conv_tactic *tactic = sw_conv_tactics[k->n];
        sw_tune_tactic *candidate = &k->tactics[k->n];
        *candidate = (sw_tune_tactic){.name = tactic->name, .reason = refusal(tactic, conv), .cost = 1e300};
        if (tactic == chosen) k->standard = k->choice = k->n;
        if (!candidate->reason) candidate->cost = tactic->cost(conv);
    }
}

static sw_status add_step(tuner *t, size_t step) {
    const sw_conv *conv = &t->instance->prepared[step].conv;
    char key[SW_CPU_KEY];
    sw_cpu_conv_key(conv, key, sizeof key);
    int kind = 0;
    while (kind < t->n && strcmp(t->keys[kind], key) != 0) kind++;
    if (kind == t->n) {
        t->keys[t->n] = sw_arena_strdup(t->arena, key);
        const sw_conv *copy = sw_arena_copy(t->arena, conv, sizeof *conv);
        if (!t->keys[t->n] || !copy) return SW_E_NOMEM;
        fill_kind(t, t->n++, copy);
    }
    t->counts[kind]++;
    t->step_kinds[step] = kind;
    t->steps[t->n_steps++] = (tuned){.step = step, .kind = kind};
    return SW_OK;
}

static sw_status find_kinds(tuner *t) {
    size_t most = t->plan->n_steps;
    t->steps = SW_ARENA_ARRAY(t->arena, tuned, most + 1);
    t->kinds = SW_ARENA_ARRAY(t->arena, sw_tune_kind, most + 1);
    t->keys = SW_ARENA_ARRAY(t->arena, const char *, most + 1);
    t->convs = SW_ARENA_ARRAY(t->arena, const sw_conv *, most + 1);
    t->counts = SW_ARENA_ARRAY(t->arena, int, most + 1);
    t->choice = SW_ARENA_ARRAY(t->arena, int, most + 1);
    t->standard = SW_ARENA_ARRAY(t->arena, int, most + 1);
    t->ns = SW_ARENA_ARRAY(t->arena, int64_t, most + 1);
    t->step_kinds = SW_ARENA_ARRAY(t->arena, int32_t, most + 1);
    if (!t->steps || !t->kinds || !t->keys || !t->convs || !t->counts || !t->choice || !t->standard || !t->ns ||
        !t->step_kinds)
        return SW_E_NOMEM;
    for (size_t s = 0; s < most; s++) {
        t->step_kinds[s] = -1;
        if (!t->instance->skip[s] && t->instance->prepared[s].tactic) SW_TRY(add_step(t, s));
    }
    for (int k = 0; k < t->n; k++)
        for (int i = 0; i < t->kinds[k].n; i++)
            if (!t->kinds[k].tactics[i].reason)
                t->kinds[k].tactics[i].bytes =
                    (int64_t)sw_conv_tactics[i]->packed_bytes(t->convs[k]) * t->counts[k];
    return SW_OK;
}

/* ---- The bench --------------------------------------------------------------------------------------------------- */

static void keep_time(void *ctx, size_t step, int64_t begin_ns, int64_t end_ns) {
    tuner *t = ctx;
    if (t->step_kinds[step] >= 0) t->ns[t->step_kinds[step]] += end_ns - begin_ns;
}

static sw_status run_pass(void *ctx, const int *choice, int64_t *ns, int64_t *whole_ns) {
    tuner *t = ctx;
    for (int i = 0; i < t->n_steps; i++)
        t->instance->prepared[t->steps[i].step] = t->steps[i].ways[choice[t->steps[i].kind]];
    memset(t->ns, 0, (size_t)t->n * sizeof *t->ns);
    int64_t start = sw_clock_ns();
    SW_TRY(sw_session_run(t->session, t->inputs, t->outputs));
    *whole_ns = sw_clock_ns() - start;
    for (int k = 0; k < t->n; k++) ns[k] = t->ns[k] / t->counts[k];
    return SW_OK;
}

static int64_t now_ns(void *ctx) {
    (void)ctx;
    return sw_clock_ns();
}

/* Of the time that the user allows, as the tuner's functions want it: 0 for no limit. */
static double seconds_left(const tuner *t) {
    double left = t->o->seconds - (double)(sw_clock_ns() - t->start_ns) * 1e-9;
    return t->o->seconds <= 0 ? 0 : left > 0 ? left : 1e-9;
}

static void tell_progress(void *ctx, int64_t done, int64_t total) {
    const tuner *t = ctx;
    if (t->o->progress) t->o->progress(t->o->progress_ctx, (int)done, (int)total);
}

static sw_tune_bench bench_of(tuner *t) {
    return (sw_tune_bench){.pass = run_pass, .now_ns = now_ns, .progress = tell_progress, .ctx = t};
}

/* Packs weights for every tactic that will run, and finds the most scratch memory. `needed`: a candidate without times, or
 * one of the two networks that are compared. */
static sw_status prepare_ways(tuner *t, bool (*needed)(const tuner *t, int kind, int tactic), size_t *scratch) {
    for (int i = 0; i < t->n_steps; i++) {
        tuned *step = &t->steps[i];
        sw_call call = sw_instance_call(t->instance, t->plan, step->step, 0, t->in, t->out, t->slices, t->diag);
        for (int k = 0; k < t->kinds[step->kind].n; k++) {
            if (!needed(t, step->kind, k)) continue;
            sw_prepared *way = &step->ways[k];
            SW_TRY(sw_cpu_prepare(&call, (int32_t)step->step, t->kinds[step->kind].tactics[k].name, t->plan->packs,
                                  sw_pool_threads(t->pool), way));
            sw_chain_prepare(t->instance, step->step, sw_pool_threads(t->pool), way);
            if (way->scratch_bytes > *scratch) *scratch = way->scratch_bytes;
        }
    }
    return SW_OK;
}

static bool is_timed_now(const tuner *t, int kind, int tactic) {
    const sw_tune_tactic *c = &t->kinds[kind].tactics[tactic];
    return tactic == t->kinds[kind].standard || (!c->reason && !c->timed);
}

static bool is_compared(const tuner *t, int kind, int tactic) {
    return tactic == t->choice[kind] || tactic == t->standard[kind];
}

/* Does something with all ways prepared and scratch for each. */
static sw_status with_ways(tuner *t, bool (*needed)(const tuner *, int, int), sw_status (*act)(tuner *t)) {
    size_t bytes = 64;
    SW_TRY(prepare_ways(t, needed, &bytes));
    void *scratch = sw_alloc(NULL, bytes);
    if (!scratch) return SW_E_NOMEM;
    sw_session_use_scratch(t->session, scratch);
    sw_session_watch(t->session, (sw_watch){keep_time, t});
    sw_status status = act(t);
    sw_session_watch(t->session, (sw_watch){0});
    sw_session_use_scratch(t->session, NULL);
    sw_free(NULL, scratch);
    return status;
}

/* ---- Cache ------------------------------------------------------------------------------------------------------- */

static void find_times(tuner *t) {
    for (int k = 0; k < t->n; k++)
        for (int i = 0; i < t->kinds[k].n; i++) {
            sw_tune_tactic *c = &t->kinds[k].tactics[i];
            if (!c->reason && sw_timings_find(t->timings, t->device, t->keys[k], c->name, &c->timing)) c->timed = true;
        }
}

static bool any_missing(const tuner *t) {
    for (int k = 0; k < t->n; k++)
        for (int i = 0; i < t->kinds[k].n; i++)
            if (!t->kinds[k].tactics[i].reason && !t->kinds[k].tactics[i].timed) return true;
    return false;
}

/* SW_E_LIMIT, a cache that is full, only means that times are not kept. */
static sw_status keep_timing(tuner *t, const char *step, const char *tactic, sw_timing timing) {
    sw_status status = sw_timings_add(t->timings, t->device, step, tactic, timing);
    return status == SW_E_LIMIT ? SW_OK : status;
}

static sw_status measure(tuner *t) {
    sw_tune_bench bench = bench_of(t);
    int64_t *ns = SW_ARENA_ARRAY(t->arena, int64_t, t->n + 1);
    if (!ns) return SW_E_NOMEM;
    SW_TRY(
        sw_tune_measure(t->kinds, t->n, &bench, sw_tune_effort_of(t->o->level).rounds, seconds_left(t), t->choice, ns));
    for (int k = 0; k < t->n; k++)
        for (int i = 0; i < t->kinds[k].n; i++) {
            const sw_tune_tactic *c = &t->kinds[k].tactics[i];
            if (c->timed) SW_TRY(keep_timing(t, t->keys[k], c->name, c->timing));
        }
    if (t->path) SW_TRY(sw_timings_save(t->timings, t->path, t->diag));
    find_times(t); /* what another build wrote meanwhile stands */
    return SW_OK;
}

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

/* All kinds and both choices as a key. */
static sw_status network_key(const tuner *t, char text[32]) {
    sw_buf buf = sw_buf_make(NULL, 0);
    for (int k = 0; k < t->n; k++)
        sw_buf_printf(&buf, "%s %d %s %s\n", t->keys[k], t->counts[k], t->kinds[k].tactics[t->standard[k]].name,
                      t->kinds[k].tactics[t->choice[k]].name);
    snprintf(text, 32, "network %08" PRIx32, buf.status == SW_OK ? sw_crc32(buf.data, buf.size) : 0);
    sw_status status = buf.status;
    sw_buf_free(&buf);
    return status;
}

static sw_status compare(tuner *t) {
    char key[32];
    sw_timing standard, tuned_time;
    sw_tune_bench bench = bench_of(t);
    int64_t *ns = SW_ARENA_ARRAY(t->arena, int64_t, t->n + 1);
    if (!ns) return SW_E_NOMEM;
    SW_TRY(network_key(t, key));
    SW_TRY(sw_tune_compare(&bench, sw_tune_effort_of(t->o->level).rounds, seconds_left(t), t->standard, t->choice, ns,
                           &standard, &tuned_time));
    SW_TRY(keep_timing(t, key, "standard", standard));
    SW_TRY(keep_timing(t, key, "tuned", tuned_time));
    return t->path ? sw_timings_save(t->timings, t->path, t->diag) : SW_OK;
}

static void take_choices(tuner *t, int *to) {
    for (int k = 0; k < t->n; k++) to[k] = t->kinds[k].choice;
}

static int64_t most_bytes(const tuner *t) {
    double bytes = 0;
    for (int k = 0; k < t->n; k++) {
        const sw_conv *c = t->convs[k];
        bytes += 4.0 * t->counts[k] * (double)(c->out_channels * (c->in_channels / c->groups) * c->kernel_h * c->kernel_w);
    }
    bytes *= t->o->max_weight_growth;
    return t->o->max_weight_growth > 0 && bytes < 0x1p62 ? (int64_t)bytes : INT64_MAX;
}

/* Choices by time, unless the network as a whole is not the faster for them. */
static sw_status choose(tuner *t) {
    char key[32];
    sw_timing standard, tuned_time;
    sw_tune_limit(t->kinds, t->n, most_bytes(t));
    take_choices(t, t->standard);
    sw_tune_choose(t->kinds, t->n);
    sw_tune_limit(t->kinds, t->n, most_bytes(t));
    take_choices(t, t->choice);
    if (!memcmp(t->choice, t->standard, (size_t)t->n * sizeof *t->choice)) return SW_OK;
    SW_TRY(network_key(t, key));
    if (!sw_timings_find(t->timings, t->device, key, "standard", &standard) ||
        !sw_timings_find(t->timings, t->device, key, "tuned", &tuned_time))
        SW_TRY(with_ways(t, is_compared, compare));
    if (sw_timings_find(t->timings, t->device, key, "standard", &standard) &&
        sw_timings_find(t->timings, t->device, key, "tuned", &tuned_time) && sw_tune_is_faster(&standard, &tuned_time))
        return SW_OK;
    memcpy(t->choice, t->standard, (size_t)t->n * sizeof *t->choice);
    return SW_OK;
}

/* ---- The plan ---------------------------------------------------------------------------------------------------- */

static sw_status write_choices(const tuner *t) {
    char text[32];
    for (int i = 0; i < t->n_steps; i++) {
        const tuned *step = &t->steps[i];
        const sw_tune_kind *kind = &t->kinds[step->kind];
        SW_TRY(sw_plan_set_tactic(t->plan, step->step, kind->tactics[t->choice[step->kind]].name));
        for (int k = 0; k < kind->n; k++) {
            const sw_tune_tactic *c = &kind->tactics[k];
            sw_tactic_time time = {.step = (int32_t)step->step, .tactic = c->name, .ns = -1, .reason = c->reason};
            if (c->timed) time.ns = (c->timing.ns[0] + c->timing.ns[1]) / 2;
            if (t->o->level > 0) SW_TRY(sw_plan_add_time(t->plan, &time));
        }
    }
    snprintf(text, sizeof text, "%d", t->o->level);
    SW_TRY(sw_plan_add_receipt(t->plan, "opt level", text));
    return sw_plan_add_receipt(t->plan, "tuned on", t->device);
}

/* ---- Strips -------------------------------------------------------------------------------------------------------- */

/* Sessions of the tuned plan that run chains strip by strip, and with whole maps. */
typedef struct strips {
    const tuner *t;
    sw_session *sessions[2];
} strips;

static sw_status run_either(void *ctx, const int *choice, int64_t *ns, int64_t *whole_ns) {
    const strips *s = ctx;
    int64_t start = sw_clock_ns();
    SW_TRY(sw_session_run(s->sessions[choice[0]], s->t->inputs, s->t->outputs));
    *ns = *whole_ns = sw_clock_ns() - start;
    return SW_OK;
}

static sw_status compare_strips(tuner *t, const char *key) {
    static const int with[1] = {0}, without[1] = {1};
    strips s = {.t = t};
    sw_session_options options = {.threads = t->o->threads};
    sw_tune_bench bench = {.pass = run_either, .now_ns = now_ns, .ctx = &s};
    sw_timing times[2];
    int64_t ns;
    sw_status status = SW_OK;
    for (int i = 0; i < 2 && status == SW_OK; i++) { /* the first run binds */
        t->plan->whole_maps = i;
        status = sw_session_create(t->plan, &options, t->diag, &s.sessions[i]);
        if (status == SW_OK) status = sw_session_run(s.sessions[i], t->inputs, t->outputs);
    }
    t->plan->whole_maps = false;
    int rounds = sw_tune_effort_of(t->o->level).rounds;
    if (status == SW_OK)
        status = sw_tune_compare(&bench, rounds, seconds_left(t), with, without, &ns, &times[0], &times[1]);
    for (int i = 0; i < 2; i++) sw_session_destroy(s.sessions[i]);
    SW_TRY(status);
    SW_TRY(keep_timing(t, key, "strips", times[0]));
    SW_TRY(keep_timing(t, key, "whole maps", times[1]));
    return t->path ? sw_timings_save(t->timings, t->path, t->diag) : SW_OK;
}

static bool find_strips(const tuner *t, const char *key, sw_timing times[2]) {
    return sw_timings_find(t->timings, t->device, key, "strips", &times[0]) &&
           sw_timings_find(t->timings, t->device, key, "whole maps", &times[1]);
}

/* Whether layers run strip by strip, where they can: unless whole maps are the faster. */
static sw_status choose_strips(tuner *t) {
    char network[32], key[48], text[96];
    sw_timing times[2];
    if (t->o->level == 0 || !t->instance->n_chains) return SW_OK;
    SW_TRY(network_key(t, network));
    snprintf(key, sizeof key, "%s strips", network);
    if (!find_strips(t, key, times)) SW_TRY(compare_strips(t, key));
    if (!find_strips(t, key, times)) return SW_OK;
    t->plan->whole_maps = sw_tune_wins(&times[1], &times[0]);
    snprintf(text, sizeof text, "%s: strips %.2f ms, whole %.2f ms", t->plan->whole_maps ? "whole" : "strips",
             (double)(times[0].ns[0] + times[0].ns[1]) / 2e6, (double)(times[1].ns[0] + times[1].ns[1]) / 2e6);
    return sw_plan_add_receipt(t->plan, "maps", text);
}

/* ---- Latency ------------------------------------------------------------------------------------------------------- */

/* The least time of a run of the plan as it will be saved, in each half of some runs. */
static sw_status time_plan(const tuner *t, sw_timing *time) {
    enum { RUNS = 3 };
    sw_session_options options = {.threads = t->o->threads};
    sw_session *session;
    *time = (sw_timing){{-1, -1}};
    SW_TRY(sw_session_create(t->plan, &options, t->diag, &session));
    sw_status status = sw_session_run(session, t->inputs, t->outputs); /* binds */
    for (int run = 0; run < 2 * RUNS && status == SW_OK; run++) {
        int64_t start = sw_clock_ns(), *least = &time->ns[run / RUNS];
        status = sw_session_run(session, t->inputs, t->outputs);
        int64_t ns = sw_clock_ns() - start;
        if (*least < 0 || ns < *least) *least = ns;
    }
    sw_session_destroy(session);
    return status;
}

/* The receipt tells how long a run took; kept with the timings, so that the next build of the model writes the same bytes. */
static sw_status note_latency(tuner *t) {
    char network[32], key[64], text[32];
    sw_timing time;
    if (t->o->level == 0) return SW_OK;
    SW_TRY(network_key(t, network));
    snprintf(key, sizeof key, "%s of %zu steps%s", network, t->plan->n_steps,
             t->plan->whole_maps ? ", whole maps" : "");
    if (!sw_timings_find(t->timings, t->device, key, "plan", &time)) {
        SW_TRY(time_plan(t, &time));
        SW_TRY(keep_timing(t, key, "plan", time));
        if (t->path) SW_TRY(sw_timings_save(t->timings, t->path, t->diag));
        sw_timings_find(t->timings, t->device, key, "plan", &time); /* what another build wrote meanwhile stands */
    }
    snprintf(text, sizeof text, "%.2f ms", (double)(time.ns[0] + time.ns[1]) / 2e6);
    return sw_plan_add_receipt(t->plan, "latency", text);
}

static sw_status open_cache(tuner *t) {
    t->timings = sw_timings_create(NULL, sw_cpu_kernels_version());
    if (!t->timings) return SW_E_NOMEM;
    if (t->o->level == 0) return SW_OK;
    t->path = t->o->timing_cache;
    if (!t->path) SW_TRY(sw_timings_default_path(t->arena, sw_cpu_kernels_version(), &t->path));
    if (t->path && !t->path[0]) t->path = NULL;
    return t->path ? sw_timings_load(t->timings, t->path, t->diag) : SW_OK;
}

static sw_status start(tuner *t) {
    sw_session_options options = {.threads = t->o->threads};
    int ports = sw_plan_max_ports(t->plan);
    t->in = SW_ARENA_ARRAY(t->arena, const sw_tensor *, ports);
    t->out = SW_ARENA_ARRAY(t->arena, sw_tensor *, ports);
    t->slices = SW_ARENA_ARRAY(t->arena, sw_tensor, 2 * ports);
    t->outputs = SW_ARENA_ARRAY(t->arena, sw_tensor, t->plan->n_outputs + 1);
    if (!t->in || !t->out || !t->slices || !t->outputs) return SW_E_NOMEM;
    for (int i = 0; i < t->plan->n_inputs; i++) SW_TRY(sw_tensor_fill(t->arena, &t->inputs[i]));
    SW_TRY(sw_session_create(t->plan, &options, t->diag, &t->session));
    SW_TRY(sw_session_run(t->session, t->inputs, t->outputs));
    t->instance = sw_session_instance(t->session);
    t->pool = sw_session_pool(t->session);
    char class[DEVICE_TEXT - 32];
    sw_cpu_class(class, sizeof class);
    snprintf(t->device, sizeof t->device, "%s, threads %d", class, sw_pool_threads(t->pool));
    return SW_OK;
}

static sw_status tune(tuner *t) {
    SW_TRY(start(t));
    SW_TRY(find_kinds(t));
    if (!t->n) return SW_OK;
    sw_tune_prune(t->kinds, t->n, t->o->level);
    sw_tune_bound(t->kinds, t->n, sw_os_memory_bytes() / 4);
    SW_TRY(open_cache(t));
    find_times(t);
    if (t->o->level > 0 && any_missing(t)) SW_TRY(with_ways(t, is_timed_now, measure));
    SW_TRY(choose(t));
    SW_TRY(write_choices(t));
    SW_TRY(choose_strips(t));
    return note_latency(t);
}

sw_status sw_plan_tune(sw_plan *plan, const sw_tuning *tuning, const sw_diag *diag) {
    if (plan->reference || (tuning->level == 0 && tuning->max_weight_growth <= 0)) return SW_OK;
    tuner t = {.plan = plan, .o = tuning, .diag = diag, .start_ns = sw_clock_ns()};
    t.arena = sw_arena_create(NULL, 0);
    if (t.arena) t.inputs = SW_ARENA_ARRAY(t.arena, sw_tensor, plan->n_inputs + 1);
    sw_packs *own = plan->packs;
    plan->packs = sw_packs_create(plan->allocator); /* the losers' weights go with it */
    sw_status status = t.inputs && plan->packs ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK && !sw_plan_usual_inputs(plan, t.inputs) && !sw_plan_assume_inputs(plan, t.inputs))
        sw_info(diag, NULL, "kernels are chosen by estimate: dims of the inputs are open, and --shapes would fix them");
    else if (status == SW_OK)
        status = tune(&t);
    sw_session_destroy(t.session);
    sw_timings_destroy(t.timings);
    sw_arena_destroy(t.arena);
    sw_packs_destroy(plan->packs);
    plan->packs = own;
    if (status == SW_OK || status == SW_E_NOMEM) return status;
    sw_warn(diag, NULL, "kernels are chosen by estimate: the model could not be run on noise to time them");
    return SW_OK;
}
