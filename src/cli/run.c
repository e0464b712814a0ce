/* slipway run: a model on arrays. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "cli/arrays.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "ops/op.h"
#include "slipway/build.h"

enum { NAMES_TEXT = 512 };

/* "a, b, c", cut when there are many. */
static void list_inputs(const sw_plan *plan, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < sw_plan_inputs(plan) && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", sw_plan_input(plan, i)->name);
    if (used >= size) snprintf(text + size - 4, 4, "...");
}

/* Splits "name=file" at the name of an input (names may hold '=', too). The index of the input, or -1. */
static int split_input(const sw_plan *plan, const char *word, const char **path) {
    int found = -1;
    size_t longest = 0;
    for (int i = 0; i < sw_plan_inputs(plan); i++) {
        const char *name = sw_plan_input(plan, i)->name;
        size_t length = strlen(name);
        if (!sw_str_starts_with(word, name) || word[length] != '=' || (found >= 0 && length < longest)) continue;
        found = i;
        longest = length;
    }
    if (found >= 0) *path = word + longest + 1;
    return found;
}

static sw_status find_input(const sw_plan *plan, const char *word, const sw_diag *diag, int *index, const char **path) {
    *index = split_input(plan, word, path);
    if (*index >= 0) return SW_OK;
    char names[NAMES_TEXT];
    list_inputs(plan, names, sizeof names);
    bool only_file = !strchr(word, '=') && sw_str_ends_like(word, ".npy");
    if (only_file && sw_plan_inputs(plan) == 1) {
        *index = 0;
        *path = word;
        return SW_OK;
    }
    if (!strchr(word, '='))
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--input wants name=file.npy, found '%s'; the model's inputs: %s",
                       word, names);
    return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the model has no input '%.*s'; its inputs: %s",
                   (int)strcspn(word, "="), word, names);
}

static sw_status read_inputs(const sw_args *args, const sw_plan *plan, sw_console *c, sw_tensor *inputs) {
    const sw_diag *diag = &c->diag;
    sw_given given = sw_args_all(args, "input");
    for (int i = 0; i < given.n; i++) {
        int index;
        const char *path;
        SW_TRY(find_input(plan, given.values[i], diag, &index, &path));
        if (inputs[index].data)
            return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the input '%s' is given twice",
                           sw_plan_input(plan, index)->name);
        SW_TRY(sw_arrays_read(path, c, &inputs[index]));
    }
    for (int i = 0; i < sw_plan_inputs(plan); i++)
        if (!inputs[i].data)
            return sw_fail(diag, SW_E_USAGE, NULL, "give it with --input name=file.npy", "the input '%s' is missing",
                           sw_plan_input(plan, i)->name);
    return SW_OK;
}

/* -- The run ----------------------------------------------------------------------------------------------------------- */

static sw_status run_session(const sw_args *args, sw_plan *plan, const sw_tensor *inputs, sw_console *c) {
    sw_session_options options = {.threads = (int)sw_args_int(args, "threads"),
                                  .device = sw_args_text(args, "device"),
                                  .no_fallback = sw_args_flag(args, "no-fallback")};
    int n = sw_plan_outputs(plan);
    sw_session *session;
    sw_tensor *outputs = SW_ARENA_ARRAY(args->arena, sw_tensor, n + 1);
    sw_named *named = SW_ARENA_ARRAY(args->arena, sw_named, n + 1);
    if (!outputs || !named) return SW_E_NOMEM;
    SW_TRY(sw_session_create(plan, &options, &c->diag, &session));
    int64_t start = sw_clock_ns();
    sw_status status = sw_session_run(session, inputs, outputs);
    double ms = (double)(sw_clock_ns() - start) / 1e6;
    for (int i = 0; i < n; i++) named[i] = (sw_named){sw_plan_output(plan, i)->name, outputs[i]};
    if (status == SW_OK) status = sw_arrays_show(args, named, n, ms, c);
    sw_session_destroy(session);
    return status;
}

static sw_status run_here(const sw_args *args, sw_console *console) {
    sw_plan *plan;
    bool reference = sw_args_flag(args, "reference");
    sw_build_options build = {.device = sw_args_text(args, "device"),
                              .strict = sw_args_flag(args, "strict"),
                              .trust_code = sw_args_flag(args, "trust-code")};
    SW_TRY(reference ? sw_plan_build_reference(args->operands[0], &console->diag, &plan)
                     : sw_plan_build_with(args->operands[0], &build, &console->diag, &plan));
    sw_tensor *inputs = SW_ARENA_ARRAY(args->arena, sw_tensor, sw_plan_inputs(plan));
    sw_status status = inputs ? read_inputs(args, plan, console, inputs) : SW_E_NOMEM;
    if (status == SW_OK) status = run_session(args, plan, inputs, console);
    for (int i = 0; inputs && i < sw_plan_inputs(plan); i++) sw_free(NULL, inputs[i].data);
    sw_plan_unref(plan);
    return status;
}

/* -- In another runtime ------------------------------------------------------------------------------------------------ */

/* Words NAME=FILE, or a file alone; the runtime says later which names it knows. */
static sw_status read_named(const sw_args *args, sw_console *c, sw_named **inputs, int *n) {
    sw_given given = sw_args_all(args, "input");
    *inputs = SW_ARENA_ARRAY(args->arena, sw_named, given.n + 1);
    for (*n = 0; *inputs && *n < given.n; (*n)++) {
        const char *word = given.values[*n], *equals = strrchr(word, '=');
        sw_named *input = &(*inputs)[*n];
        input->name = sw_arena_strndup(args->arena, word, equals ? (size_t)(equals - word) : 0);
        if (!input->name) return SW_E_NOMEM;
        SW_TRY(sw_arrays_read(equals ? equals + 1 : word, c, &input->type));
    }
    return *inputs ? SW_OK : SW_E_NOMEM;
}

static sw_status run_child(const sw_args *args, sw_foreign *child, const sw_named *inputs, int n_inputs,
                           sw_console *c) {
    sw_named *bound, *outputs;
    int n;
    SW_TRY(sw_foreign_match(child, inputs, n_inputs, args->arena, &c->diag, &bound));
    SW_TRY(sw_foreign_bind(child, bound, n_inputs));
    int64_t start = sw_clock_ns();
    SW_TRY(sw_foreign_run(child, args->arena, &outputs, &n));
    return sw_arrays_show(args, outputs, n, (double)(sw_clock_ns() - start) / 1e6, c);
}

static sw_status run_elsewhere(const sw_args *args, const sw_foreign_runtime *runtime, sw_console *c) {
    sw_named *inputs = NULL;
    int n = 0;
    sw_foreign *child = NULL;
    sw_foreign_options options = {.model = args->operands[0], .threads = (int)sw_args_int(args, "threads")};
    sw_status status = sw_settings_parse(args, runtime->name, &c->diag, &options.settings);
    if (status == SW_OK) status = read_named(args, c, &inputs, &n);
    options.shapes = inputs;
    options.n_shapes = n;
    if (status == SW_OK) status = sw_foreign_open(runtime, &options, &c->diag, &child);
    if (status == SW_OK) status = run_child(args, child, inputs, n, c);
    sw_foreign_close(child);
    for (int i = 0; inputs && i < n; i++) sw_free(NULL, inputs[i].type.data);
    return status;
}

static sw_status run(const sw_args *args, sw_console *console) {
    const char *backend = sw_args_text(args, "backend");
    const sw_foreign_runtime *runtime;
    console->subject = args->operands[0];
    SW_TRY(sw_backend_named(backend, strlen(backend), "run", &console->diag, &runtime));
    return runtime->kind == SW_FOREIGN_SELF ? run_here(args, console) : run_elsewhere(args, runtime, console);
}

const sw_verb sw_verb_run = {
    .name = "run",
    .operands = "MODEL",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "Run a model on arrays",
    .description =
        "Arrays come from NumPy's .npy files (numpy.save) and go to such files. Prints type, shape, and the least, mean "
        "and largest value of each output.",
    .options =
        (const sw_option[]){
            {.name = "input",
             .kind = SW_TEXT,
             .letter = 'i',
             .argument = "NAME=FILE",
             .many = true,
             .help = "the array for an input; a model with one input needs no name"},
            {.name = "output-dir",
             .kind = SW_TEXT,
             .letter = 'o',
             .argument = "DIR",
             .help = "write each output into this folder, as its name with / as _, plus .npy"},
            SW_BACKEND_OPTIONS,
            {.name = "reference", .help = "run the plain kernels that all others are checked against; slow"},
            SW_DEVICE_OPTION,
            SW_STRICT_OPTION,
            SW_TRUST_CODE_OPTION,
            SW_NO_FALLBACK_OPTION,
            SW_THREADS_OPTION,
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway run yolo11n.onnx --input images=x.npy --output-dir out", "Write out/output0.npy"},
            {"slipway run model.onnx --input x.npy --backend onnxruntime", "The same in ONNX Runtime"},
            {"slipway run model.onnx --input x.npy", "One input needs no name; only the summary is printed"},
            {0},
        },
    .run = run,
};
