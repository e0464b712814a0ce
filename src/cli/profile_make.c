/* Measures: the runs behind `slipway profile` and `slipway report`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "base/sort.h"
#include "cli/profile.h"
#include "cli/shapes.h"
#include "engine/chains.h"
#include "engine/groups.h"
#include "engine/inputs.h"
#include "ops/cost.h"

/* Begins and ends of all steps in all runs: [run][step of the profile][2]. */
typedef struct recorder {
    int64_t *times;
    int64_t run_begin;
    size_t at, n; /* the next place; places of a run */
} recorder;

static void record(void *ctx, size_t step, int64_t begin_ns, int64_t end_ns) {
    recorder *r = ctx;
    (void)step;
    r->times[2 * r->at] = begin_ns - r->run_begin;
    r->times[2 * r->at + 1] = end_ns - r->run_begin;
    r->at++;
}

static double median_ms(int64_t *ns, int n) {
    qsort(ns, (size_t)n, sizeof *ns, sw_by_i64);
    return (double)ns[n / 2] / 1e6;
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

static sw_status set_shape(const sw_shape_range *range, const sw_plan *plan, const sw_diag *diag, sw_tensor *inputs) {
    int n = sw_plan_inputs(plan), at = range->input ? 0 : n == 1 ? 0 : n;
    while (range->input && at < n && strcmp(sw_plan_input(plan, at)->name, range->input) != 0) at++;
    if (at == n)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--shapes: there is no input '%s'",
                       range->input ? range->input : "without a name");
    inputs[at].rank = range->rank;
    for (int k = 0; k < range->rank; k++) inputs[at].dims[k] = range->opt[k];
    return SW_OK;
}

static sw_status make_inputs(const sw_args *args, const sw_diag *diag, sw_profile *p) {
    sw_build_options options = {0};
    SW_TRY(sw_shapes_parse(args, diag, &options));
    p->inputs = SW_ARENA_ARRAY(args->arena, sw_tensor, sw_plan_inputs(p->plan) + 1);
    p->outputs = SW_ARENA_ARRAY(args->arena, sw_tensor, sw_plan_outputs(p->plan) + 1);
    if (!p->inputs || !p->outputs) return SW_E_NOMEM;
    sw_plan_usual_inputs(p->plan, p->inputs);
    for (int i = 0; i < options.n_shapes; i++) SW_TRY(set_shape(&options.shapes[i], p->plan, diag, p->inputs));
    sw_plan_assume_inputs(p->plan, p->inputs);
    for (int i = 0; i < sw_plan_inputs(p->plan); i++) {
        if (!sw_tensor_is_concrete(&p->inputs[i]))
            return sw_fail(diag, SW_E_USAGE, NULL, "give its shape with --shapes, such as 1x3x640x640",
                           "the input '%s' has open dims", sw_plan_input(p->plan, i)->name);
        SW_TRY(sw_tensor_fill(args->arena, &p->inputs[i]));
    }
    return SW_OK;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

static void print_dims(const sw_tensor *t, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; t && i < t->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? "x" : "", t->dims[i]);
}

static bool is_move(sw_op op) {
    return op == SW_OP_Concat || op == SW_OP_Split || op == SW_OP_Reshape || op == SW_OP_Flatten || op == SW_OP_Squeeze ||
           op == SW_OP_Unsqueeze || op == SW_OP_Identity;
}

/* Moves are of those parts only that lie elsewhere than the whole. */
static double moved_bytes(const sw_instance *instance, const sw_step *step, const sw_call *call) {
    bool join = step->op == SW_OP_Concat;
    int n = join ? step->n_in : step->n_out;
    int32_t whole = join ? step->out[0] : step->in[0];
    double bytes = 0;
    for (int i = 0; i < n; i++) {
        int32_t part = join ? step->in[i] : step->out[i];
        const sw_tensor *t = join ? call->in[i] : call->out[i];
        if (part < 0 || !t) continue;
        if (instance->roots[part] != instance->roots[whole]) bytes += 2 * (double)sw_tensor_bytes(t);
    }
    return bytes;
}

/* `rounds`: how often a step in a group does what its call tells. */
static void describe(const sw_profile *p, const sw_call *call, double rounds, sw_profile_step *s) {
    const sw_step *step = &p->plan->steps[s->step];
    const sw_prepared *prepared = &p->instance->prepared[s->step];
    s->op = sw_op_get(step->op)->name;
    s->name = step->name;
    s->tactic = prepared->tactic ? prepared->tactic->name : "";
    print_dims(step->n_out ? call->out[0] : NULL, s->output, sizeof s->output);
    s->flops = s->work = sw_call_flops(call) < 0 ? -1 : sw_call_flops(call) * rounds;
    s->bytes = sw_call_bytes(call) * rounds;
    if (is_move(step->op)) s->bytes = moved_bytes(p->instance, step, call) * rounds;
    if (!prepared->tactic) return;
    if (prepared->tactic->work > 0) s->work *= prepared->tactic->work;
    s->bytes +=
        rounds * ((double)prepared->tactic->packed_bytes(&prepared->conv) - (double)sw_tensor_bytes(call->in[1]));
}

static sw_status list_steps(const sw_args *args, const sw_diag *diag, sw_profile *p) {
    int ports = sw_plan_max_ports(p->plan);
    const sw_tensor **in = SW_ARENA_ARRAY(args->arena, const sw_tensor *, ports);
    sw_tensor **out = SW_ARENA_ARRAY(args->arena, sw_tensor *, ports);
    p->steps = SW_ARENA_ARRAY(args->arena, sw_profile_step, p->plan->n_steps + 1);
    sw_tensor *slices = SW_ARENA_ARRAY(args->arena, sw_tensor, 2 * ports);
    if (!in || !out || !slices || !p->steps) return SW_E_NOMEM;
    for (size_t s = 0; s < p->plan->n_steps; s++) {
        if (p->instance->skip[s]) continue;
        const sw_group *group = sw_group_of(p->instance, s);
        sw_call call = sw_instance_call(p->instance, p->plan, s, 0, in, out, slices, diag);
        p->steps[p->n].step = s;
        describe(p, &call, group ? (double)group->rounds : 1, &p->steps[p->n++]);
    }
    return SW_OK;
}

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

static sw_status time_runs(const sw_args *args, sw_console *c, sw_profile *p) {
    recorder r = {.n = p->n};
    r.times = SW_ARENA_ARRAY(args->arena, int64_t, 2 * p->n * (size_t)p->runs + 2);
    int64_t *whole = SW_ARENA_ARRAY(args->arena, int64_t, p->runs), *sorted = SW_ARENA_ARRAY(args->arena, int64_t, p->runs);
    if (!r.times || !whole || !sorted) return SW_E_NOMEM;
    sw_session_watch(p->session, (sw_watch){record, &r});
    for (int run = 0; run < p->runs; run++) {
        sw_console_progress(c, (size_t)run, (size_t)p->runs, "runs");
        r.at = p->n * (size_t)run;
        r.run_begin = sw_clock_ns();
        SW_TRY(sw_session_run(p->session, p->inputs, p->outputs));
        whole[run] = sorted[run] = sw_clock_ns() - r.run_begin;
    }
    sw_session_watch(p->session, (sw_watch){0});
    p->run_ms = median_ms(sorted, p->runs);
    int middle = 0;
    while (whole[middle] != sorted[p->runs / 2]) middle++;
    for (size_t s = 0; s < p->n; s++) {
        for (int run = 0; run < p->runs; run++) {
            const int64_t *times = r.times + 2 * (p->n * (size_t)run + s);
            sorted[run] = times[1] - times[0];
            if (run == middle) p->steps[s].begin_ns = times[0], p->steps[s].end_ns = times[1];
        }
        p->steps[s].ms = median_ms(sorted, p->runs);
    }
    return SW_OK;
}

static void add_up(sw_profile *p) {
    for (size_t i = 0; i < p->n; i++) {
        sw_profile_step *s = &p->steps[i];
        bool known = s->work >= 0 && s->bytes >= 0;
        s->floor_ms = known ? 1e3 * sw_ceilings_floor(&p->ceilings, s->work, s->bytes) : -1;
        p->sum_ms += s->ms;
        if (known) p->floor_ms += s->floor_ms;
        if (s->flops > 0) p->flops += s->flops;
    }
}

sw_status sw_profile_begin(const sw_args *args, sw_console *c, const char *device, sw_profile *p) {
    sw_build_options options = {
        .device = device, .strict = sw_args_flag(args, "strict"), .trust_code = sw_args_flag(args, "trust-code")};
    *p = (sw_profile){.path = args->operands[0], .runs = (int)sw_args_int(args, "runs")};
    c->subject = p->path;
    int64_t begin = sw_clock_ns();
    SW_TRY(sw_plan_build_with(p->path, &options, &c->diag, &p->plan));
    p->plan_ms = (double)(sw_clock_ns() - begin) / 1e6;
    return make_inputs(args, &c->diag, p);
}

sw_status sw_profile_make(const sw_args *args, sw_console *c, sw_profile *p) {
    const sw_diag *diag = &c->diag;
    sw_session_options options = {.threads = (int)sw_args_int(args, "threads")};
    SW_TRY(sw_profile_begin(args, c, NULL, p));
    SW_TRY(sw_session_create(p->plan, &options, diag, &p->session));
    for (int warm = 0; warm < 2; warm++) SW_TRY(sw_session_run(p->session, p->inputs, p->outputs));
    p->instance = sw_session_instance(p->session);
    SW_TRY(list_steps(args, diag, p));
    SW_TRY(sw_probe_ceilings(sw_session_pool(p->session), &p->ceilings));
    sw_status status = time_runs(args, c, p);
    sw_console_progress_end(c);
    add_up(p);
    return status;
}

void sw_profile_free(sw_profile *p) {
    sw_session_destroy(p->session);
    sw_plan_unref(p->plan);
}

double sw_profile_rate(const sw_profile_step *s) {
    return s->flops < 0 ? -1 : s->ms > 0 ? s->flops / s->ms / 1e6 : 0;
}

double sw_profile_share(const sw_profile_step *s) {
    return s->floor_ms < 0 || s->ms <= 0 ? -1 : s->floor_ms / s->ms;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void number(sw_json_writer *w, const char *key, double value, int decimals) {
    sw_json_key(w, key);
    if (value < 0)
        sw_json_null(w);
    else
        sw_json_fixed(w, value, decimals);
}

static void json_machine(const sw_profile *p, sw_json_writer *w) {
    static const char *const levels[SW_PROBE_LEVELS] = {"l2", "l3", "memory"};
    sw_json_key(w, "machine"), sw_json_object(w);
    sw_json_key(w, "cpu"), sw_json_string(w, sw_cpu_model());
    sw_json_key(w, "signature"), sw_json_string(w, sw_cpu_signature());
    sw_json_key(w, "threads"), sw_json_int(w, p->ceilings.threads);
    number(w, "gflops", p->ceilings.gflops, 1);
    sw_json_key(w, "gbytes_per_s"), sw_json_object(w);
    for (int i = 0; i < SW_PROBE_LEVELS; i++) number(w, levels[i], p->ceilings.gbytes[i], 1);
    sw_json_object_end(w);
    sw_json_object_end(w);
}

static void json_step(const sw_profile *p, const sw_profile_step *s, sw_profile_more more, sw_json_writer *w) {
    const sw_chain *chain = sw_chain_of(p->instance, s->step);
    sw_json_flat(w), sw_json_object(w);
    sw_json_key(w, "step"), sw_json_int(w, (int64_t)s->step);
    sw_json_key(w, "operator"), sw_json_string(w, s->op);
    sw_json_key(w, "node"), sw_json_string(w, s->name);
    sw_json_key(w, "tactic"), sw_json_string(w, s->tactic[0] ? s->tactic : NULL);
    sw_json_key(w, "output"), sw_json_string(w, s->output);
    number(w, "strip_rows", chain ? (double)chain->rows : -1, 0);
    number(w, "ms", s->ms, 6);
    number(w, "share", p->sum_ms > 0 ? s->ms / p->sum_ms : 0, 5);
    number(w, "flops", s->flops, 0);
    number(w, "flops_done", s->work, 0);
    number(w, "gflops", sw_profile_rate(s), 2);
    number(w, "bytes", s->bytes, 0);
    number(w, "floor_ms", s->floor_ms, 6);
    number(w, "share_of_floor", sw_profile_share(s), 4);
    if (more) more(p, s, w);
    sw_json_object_end(w);
}

void sw_profile_json(const sw_profile *p, sw_profile_more more, sw_json_writer *w) {
    sw_json_key(w, "model"), sw_json_string(w, p->path);
    json_machine(p, w);
    sw_json_key(w, "runs"), sw_json_int(w, p->runs);
    number(w, "run_ms", p->run_ms, 3);
    number(w, "steps_ms", p->sum_ms, 3);
    number(w, "floor_ms", p->floor_ms, 3);
    number(w, "gflop", p->flops / 1e9, 4);
    sw_json_key(w, "steps"), sw_json_array(w);
    for (size_t i = 0; i < p->n; i++) json_step(p, &p->steps[i], more, w);
    sw_json_array_end(w);
}
