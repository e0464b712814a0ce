#include "cli/verify.h"

#include <stdio.h>
#include <string.h>

#include "backend/foreign/foreign.h"
#include "base/os.h"
#include "build/build.h"
#include "engine/inputs.h"
#include "pass/pass.h"

/* Of the scale of a row. Integers round: a step of a quantised map is one in 255 of its range. */
static const double tolerance_fp32 = 1e-3, tolerance_fp16 = 1e-2, tolerance_int8 = 0.3, least_cosine = 0.99;

typedef struct verifier {
    const sw_verify_request *request;
    sw_arena *arena;
    const sw_diag *diag;
    sw_verify *result;
    bool moved; /* ports of four axes are channels-last in the file, and not in the model */
    sw_named *inputs, *want, *got;
    int n_inputs, n_want, n_got;
} verifier;

/* -- The model in Slipway ------------------------------------------------------------------------------------------ */

/* As exporters see it: with sizes set, boxes suppressed, coordinates in fractions; then as sessions want it. */
static sw_status prepare(const verifier *v, sw_graph *graph) {
    const sw_export_options *o = v->request->options;
    SW_TRY(sw_export_prepare(graph, o, NULL));
    graph->keep_integers = true;
    SW_TRY(sw_passes_run(graph, SW_EXPORT_LAST_PASS, NULL));
    bool was_half;
    if (v->request->exporter->float32 || o->precision == SW_F32) SW_TRY(sw_pass_float32(graph, &was_half));
    SW_TRY(sw_graph_infer(graph, NULL));
    if (o->nms.on) SW_TRY(sw_export_add_nms(graph, o, NULL));
    SW_TRY(sw_export_coordinates(graph, v->request->exporter->fractions));
    return sw_passes_run(graph, NULL, NULL);
}

static double tolerance_of(const sw_graph *graph, const sw_verify_request *r) {
    double tolerance = r->options->precision == SW_F16 ? tolerance_fp16 : tolerance_fp32;
    for (size_t i = 0; i < graph->n_values; i++)
        if (graph->values[i]->type.dtype == SW_F16) tolerance = tolerance_fp16;
    for (const sw_node *node = graph->first; node; node = node->next)
        if (strstr(sw_op_get(node->op)->name, "Linear")) return tolerance_int8; /* QuantizeLinear, QLinearConv, ... */
    return r->tolerance > 0 ? r->tolerance : tolerance;
}

static sw_status skip(verifier *v, const char *why) {
    v->result->skipped = why;
    return SW_OK;
}

static sw_status load_reference(verifier *v, sw_plan **plan) {
    sw_graph *graph;
    *plan = NULL;
    SW_TRY(sw_graph_load(v->request->model, NULL, &graph));
    v->result->tolerance = tolerance_of(graph, v->request);
    v->moved = v->request->exporter->channels_last &&
               strncmp(graph->format, "TensorFlow Lite", strlen("TensorFlow Lite")) != 0;
    sw_status status = prepare(v, graph);
    if (status == SW_OK) status = sw_plan_lower(graph, NULL, plan);
    if (status != SW_OK) sw_graph_destroy(graph);
    return status;
}

static sw_status fill_inputs(verifier *v, const sw_plan *plan, bool *known) {
    int n = sw_plan_inputs(plan);
    sw_tensor *inputs = SW_ARENA_ARRAY(v->arena, sw_tensor, n + 1);
    v->inputs = SW_ARENA_ARRAY(v->arena, sw_named, n + 1);
    if (!inputs || !v->inputs) return SW_E_NOMEM;
    *known = sw_plan_usual_inputs(plan, inputs) || sw_plan_assume_inputs(plan, inputs);
    for (int i = 0; i < n && *known; i++) {
        SW_TRY(sw_tensor_fill(v->arena, &inputs[i]));
        v->inputs[i] = (sw_named){sw_plan_input(plan, i)->name, inputs[i]};
    }
    v->n_inputs = n;
    return SW_OK;
}

/* Outputs are copied: they lie in the session. */
static sw_status run_session(verifier *v, sw_plan *plan, sw_session *session) {
    int n = sw_plan_outputs(plan);
    sw_tensor *inputs = SW_ARENA_ARRAY(v->arena, sw_tensor, v->n_inputs + 1);
    sw_tensor *outputs = SW_ARENA_ARRAY(v->arena, sw_tensor, n + 1);
    v->want = SW_ARENA_ARRAY(v->arena, sw_named, n + 1);
    if (!inputs || !outputs || !v->want) return SW_E_NOMEM;
    for (int i = 0; i < v->n_inputs; i++) inputs[i] = v->inputs[i].type;
    SW_TRY(sw_session_run(session, inputs, outputs));
    for (int i = 0; i < n; i++) {
        v->want[i] = (sw_named){sw_arena_strdup(v->arena, sw_plan_output(plan, i)->name), outputs[i]};
        v->want[i].type.data = sw_arena_copy(v->arena, outputs[i].data, (size_t)sw_tensor_bytes(&outputs[i]));
        if (!v->want[i].name || !v->want[i].type.data) return SW_E_NOMEM;
    }
    v->n_want = n;
    return SW_OK;
}

static sw_status run_reference(verifier *v) {
    sw_plan *plan;
    sw_session *session = NULL;
    bool known = true;
    sw_status status = load_reference(v, &plan);
    if (status == SW_OK) status = fill_inputs(v, plan, &known);
    if (status == SW_OK && known) status = sw_session_create(plan, NULL, NULL, &session);
    if (status == SW_OK && known) status = run_session(v, plan, session);
    for (int i = 0; i < v->n_inputs; i++) v->inputs[i].name = sw_arena_strdup(v->arena, v->inputs[i].name);
    sw_session_destroy(session);
    sw_plan_unref(plan);
    if (!known) return skip(v, "the sizes of its inputs are open; --imgsz and --batch set them");
    if (status == SW_OK || status == SW_E_NOMEM) return status;
    return skip(v, "Slipway cannot run the model itself");
}

/* -- The file ------------------------------------------------------------------------------------------------------ */

const char *sw_model_file(const char *path, sw_arena *arena) {
    sw_names found;
    if (sw_path_kind_of(path) != SW_PATH_FOLDER) return path;
    const char *pattern = sw_arena_printf(arena, "%s/*.xml", path);
    return pattern && sw_path_glob(pattern, arena, NULL, &found) == SW_OK && found.n ? found.names[0] : NULL;
}

static sw_status move_inputs(const verifier *v, sw_named **inputs) {
    *inputs = SW_ARENA_ARRAY(v->arena, sw_named, v->n_inputs + 1);
    if (!*inputs) return SW_E_NOMEM;
    for (int i = 0; i < v->n_inputs; i++) {
        (*inputs)[i] = v->inputs[i];
        if (v->moved && v->inputs[i].type.rank == 4)
            SW_TRY(sw_tensor_channels_last(&v->inputs[i].type, false, v->arena, &(*inputs)[i].type));
    }
    return SW_OK;
}

static sw_status run_child(verifier *v, sw_foreign *child, const sw_named *inputs) {
    sw_named *bound;
    SW_TRY(sw_foreign_match(child, inputs, v->n_inputs, v->arena, v->diag, &bound));
    SW_TRY(sw_foreign_bind(child, bound, v->n_inputs));
    SW_TRY(sw_foreign_run(child, v->arena, &v->got, &v->n_got));
    for (int i = 0; i < v->n_got; i++) {
        sw_tensor *t = &v->got[i].type;
        if (v->moved && t->rank == 4) SW_TRY(sw_tensor_channels_last(t, true, v->arena, t));
    }
    return SW_OK;
}

/* The runtime that the format is for, or Slipway where that is not here. */
static sw_status choose_runtime(verifier *v, const sw_foreign_runtime **runtime) {
    const char *name = v->request->exporter->runtime;
    sw_python python;
    sw_foreign_place place;
    *runtime = sw_foreign_find(name, strlen(name));
    SW_TRY(sw_python_find(v->arena, &python));
    SW_TRY(sw_foreign_locate(*runtime, &python, v->arena, &place));
    if (!place.path) {
        v->result->instead = sw_arena_printf(v->arena, "%s is not available (%s)", name, (*runtime)->install);
        *runtime = &sw_foreign_runtimes[0];
        if (!v->result->instead) return SW_E_NOMEM;
    }
    v->result->backend = (*runtime)->name;
    return SW_OK;
}

static sw_status run_file(verifier *v) {
    const sw_foreign_runtime *runtime;
    sw_named *inputs;
    sw_foreign *child;
    SW_TRY(choose_runtime(v, &runtime));
    SW_TRY(move_inputs(v, &inputs));
    sw_foreign_options options = {
        .model = sw_model_file(v->request->file, v->arena), .shapes = inputs, .n_shapes = v->n_inputs};
    if (!options.model) return SW_E_NOMEM;
    SW_TRY(sw_foreign_open(runtime, &options, v->diag, &child));
    v->result->runtime = sw_arena_printf(v->arena, "%s %s", runtime->title, sw_foreign_version(child));
    sw_status status = v->result->runtime ? run_child(v, child, inputs) : SW_E_NOMEM;
    sw_foreign_close(child);
    return status;
}

/* -- Both ---------------------------------------------------------------------------------------------------------- */

static const sw_named *find_output(const verifier *v, int index) {
    for (int i = 0; i < v->n_got; i++)
        if (!strcmp(v->got[i].name, v->want[index].name)) return &v->got[i];
    return &v->got[index];
}

static sw_status fail_output(const verifier *v, const sw_verify_output *o) {
    const sw_closeness *c = &o->closeness;
    const char *hint = "nothing was written; --no-verify writes it all the same";
    if (!c->comparable)
        return sw_fail(v->diag, SW_E_MODEL, v->request->name, hint,
                       "in %s the output '%s' has another shape than in the model", v->result->runtime, o->name);
    if (c->odd)
        return sw_fail(v->diag, SW_E_MODEL, v->request->name, hint,
                       "in %s %lld values of the output '%s' are infinite or no numbers, unlike the model's",
                       v->result->runtime, (long long)c->odd, o->name);
    return sw_fail(
        v->diag, SW_E_MODEL, v->request->name, hint,
        "in %s the output '%s' is off by %.2g of its scale (cosine %.4f), at most %.0e is allowed (--tolerance)",
        v->result->runtime, o->name, c->max_error, c->cosine, v->result->tolerance);
}

static sw_status compare(verifier *v) {
    sw_verify *r = v->result;
    if (v->n_got != v->n_want)
        return sw_fail(v->diag, SW_E_MODEL, v->request->name, NULL, "in %s the file has %d outputs, the model %d",
                       r->runtime, v->n_got, v->n_want);
    r->outputs = SW_ARENA_ARRAY(v->arena, sw_verify_output, v->n_want + 1);
    if (!r->outputs) return SW_E_NOMEM;
    for (r->n = 0; r->n < v->n_want; r->n++) {
        sw_verify_output *o = &r->outputs[r->n];
        o->name = v->want[r->n].name;
        SW_TRY(sw_closeness_of(&v->want[r->n].type, &find_output(v, r->n)->type, r->tolerance, &o->closeness));
        const sw_closeness *c = &o->closeness;
        bool apart = c->max_error > tolerance_fp16 && c->cosine < least_cosine; /* what integers may not hide */
        if (!c->comparable || c->odd || !(c->max_error <= r->tolerance) || apart) return fail_output(v, o);
    }
    return SW_OK;
}

sw_status sw_verify_file(const sw_verify_request *request, sw_arena *arena, const sw_diag *diag, sw_verify *verify) {
    verifier v = {.request = request, .arena = arena, .diag = diag, .result = verify};
    int64_t begin = sw_clock_ns();
    *verify = (sw_verify){0};
    SW_TRY(run_reference(&v));
    if (verify->skipped) return SW_OK;
    SW_TRY(run_file(&v));
    SW_TRY(compare(&v));
    verify->seconds = (double)(sw_clock_ns() - begin) * 1e-9;
    return SW_OK;
}

void sw_verify_print(const sw_verify *verify, sw_console *console) {
    if (verify->skipped) {
        sw_print(console, "          not verified: %s\n", verify->skipped);
        return;
    }
    sw_print(console, "          verified in %s in %.2f s%s%s\n", verify->runtime, verify->seconds,
             verify->instead ? ": " : "", verify->instead ? verify->instead : "");
    for (int i = 0; i < verify->n; i++) {
        const sw_closeness *c = &verify->outputs[i].closeness;
        sw_print(console, "          %s: error at most %.2e, mean %.2e, cosine %.7f\n", verify->outputs[i].name,
                 c->max_error, c->mean_error, c->cosine);
    }
}

void sw_verify_json(const sw_verify *verify, sw_json_writer *w) {
    sw_json_key(w, "verify"), sw_json_object(w);
    sw_json_key(w, "skipped"), sw_json_string(w, verify->skipped);
    sw_json_key(w, "runtime"), sw_json_string(w, verify->runtime);
    sw_json_key(w, "instead"), sw_json_string(w, verify->instead);
    sw_json_key(w, "tolerance"), sw_json_f64(w, verify->tolerance);
    sw_json_key(w, "seconds"), sw_json_fixed(w, verify->seconds, 3);
    sw_json_key(w, "outputs"), sw_json_array(w);
    for (int i = 0; i < verify->n; i++) {
        const sw_closeness *c = &verify->outputs[i].closeness;
        sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, verify->outputs[i].name);
        sw_json_key(w, "max_error"), sw_json_f64(w, c->max_error);
        sw_json_key(w, "mean_error"), sw_json_f64(w, c->mean_error);
        sw_json_key(w, "cosine"), sw_json_f64(w, c->cosine);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
    sw_json_object_end(w);
}
