/* slipway backends: which runtimes there are. slipway child: one of them, as another process of this program. */
#include <stdio.h>
#include <string.h>

#include "backend/foreign/engine.h"
#include "backend/foreign/foreign.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/child.h"
#include "cli/verb.h"

enum { NAME_WIDTH = 12, VERSION_WIDTH = 14 };

static void keep_text(void *ctx, const sw_message *message) {
    sw_last_text *last = ctx;
    if (message->severity != SW_ERROR) return;
    snprintf(last->text, sizeof last->text, "%s%s%s", message->text, message->hint ? "; " : "",
             message->hint ? message->hint : "");
}

sw_diag sw_last_text_diag(sw_last_text *last) {
    *last = (sw_last_text){0};
    return (sw_diag){keep_text, last};
}

sw_status sw_backend_look(const sw_foreign_runtime *runtime, const sw_python *python, sw_arena *arena,
                          sw_backend_found *r) {
    *r = (sw_backend_found){.runtime = runtime};
    SW_TRY(sw_foreign_locate(runtime, python, arena, &r->place));
    if (!r->place.path) {
        snprintf(r->why.text, sizeof r->why.text, "%s", r->place.why_not);
        return SW_OK;
    }
    r->version = r->place.version;
    if (runtime->kind != SW_FOREIGN_LIBRARY) return SW_OK;
    sw_foreign *child;
    r->version = NULL;
    sw_diag diag = sw_last_text_diag(&r->why);
    if (sw_foreign_open(runtime, &(sw_foreign_options){0}, &diag, &child) != SW_OK) return SW_OK;
    r->version = sw_arena_strdup(arena, sw_foreign_version(child));
    sw_foreign_close(child);
    return r->version ? SW_OK : SW_E_NOMEM;
}

static void print_json(const sw_backend_found *rows, int n, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 2);
    sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        const sw_backend_found *r = &rows[i];
        sw_json_object(&w);
        sw_json_key(&w, "name"), sw_json_string(&w, r->runtime->name);
        sw_json_key(&w, "available"), sw_json_bool(&w, r->version != NULL);
        sw_json_key(&w, "version"), sw_json_string(&w, r->version);
        sw_json_key(&w, "path"), sw_json_string(&w, r->place.path);
        sw_json_key(&w, "reads"), sw_json_string(&w, r->runtime->reads);
        if (!r->version) {
            sw_json_key(&w, "why_not"), sw_json_string(&w, r->why.text);
            sw_json_key(&w, "install"), sw_json_string(&w, r->runtime->install);
        }
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_buf_append_byte(buf, '\n');
}

static sw_status run(const sw_args *args, sw_console *console) {
    sw_backend_found rows[SW_MOST_BACKENDS];
    int n = 0;
    sw_python python;
    SW_TRY(sw_python_find(args->arena, &python));
    for (const sw_foreign_runtime *r = sw_foreign_runtimes; r->name && n < SW_MOST_BACKENDS; r++)
        SW_TRY(sw_backend_look(r, &python, args->arena, &rows[n++]));
    if (sw_args_flag(args, "json")) {
        print_json(rows, n, &console->out);
        return SW_OK;
    }
    for (int i = 0; i < n; i++) {
        const sw_backend_found *r = &rows[i];
        if (r->version)
            sw_print(console, "%-*s %-*s %s\n", NAME_WIDTH, r->runtime->name, VERSION_WIDTH, r->version, r->place.path);
        else
            sw_print(console, "%-*s not available: %s; %s\n", NAME_WIDTH, r->runtime->name, r->why.text,
                     r->runtime->install);
    }
    return SW_OK;
}

const sw_verb sw_verb_backends = {
    .name = "backends",
    .operands = "",
    .summary = "List the runtimes that can be compared with: name, version, path, or why not",
    .description =
        "Looks for ONNX Runtime, OpenVINO, LiteRT, ncnn and PyTorch in the active Python environment (SLIPWAY_PYTHON names an "
        "interpreter; else VIRTUAL_ENV; else python3) and for libraries in the system. SLIPWAY_ONNXRUNTIME and "
        "SLIPWAY_OPENVINO name a library. Each runs in a child process, so that a crash of it is a sentence.",
    .options =
        (const sw_option[]){
            {.name = "json", .help = "print JSON"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway backends", "What is here, and what installs the rest"},
            {"VIRTUAL_ENV=~/venv slipway backends --json", "Of another environment"},
            {0},
        },
    .run = run,
};

/* -- Options ------------------------------------------------------------------------------------------------------- */

sw_status sw_backend_named(const char *name, size_t length, const char *verb, const sw_diag *diag,
                           const sw_foreign_runtime **runtime) {
    char list[128], word[32];
    const char *names[SW_MOST_BACKENDS];
    size_t n = 0;
    *runtime = sw_foreign_find(name, length);
    if (*runtime) return SW_OK;
    for (const sw_foreign_runtime *r = sw_foreign_runtimes; r->name; r++) names[n++] = r->name;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    const char *nearest = sw_str_nearest(word, names, n);
    sw_foreign_list(list, sizeof list);
    return sw_fail(diag, SW_E_USAGE, verb, NULL, "there is no backend '%s'; %s%s", word,
                   nearest ? "did you mean " : "known: ", nearest ? nearest : list);
}

sw_status sw_settings_parse(const sw_args *args, const char *backend, const sw_diag *diag, sw_settings *settings) {
    sw_given given = sw_args_all(args, "set");
    *settings = (sw_settings){.items = SW_ARENA_ARRAY(args->arena, sw_setting, given.n + SW_MORE_SETTINGS)};
    for (int i = 0; settings->items && i < given.n; i++) {
        const char *word = given.values[i], *dot = strchr(word, '.'), *equals = dot ? strchr(dot, '=') : NULL;
        const sw_foreign_runtime *runtime;
        if (!equals || equals == dot + 1 || settings->n == SW_WIRE_MOST_SETTINGS - SW_MORE_SETTINGS)
            return sw_fail(diag, SW_E_USAGE, args->verb->name, NULL, "--set wants BACKEND.KEY=VALUE, found '%s'", word);
        SW_TRY(sw_backend_named(word, (size_t)(dot - word), args->verb->name, diag, &runtime));
        if (strcmp(runtime->name, backend) != 0) continue;
        sw_setting *setting = &settings->items[settings->n++];
        *setting = (sw_setting){sw_arena_strndup(args->arena, dot + 1, (size_t)(equals - dot - 1)), equals + 1};
        if (!setting->key) return SW_E_NOMEM;
    }
    return settings->items ? SW_OK : SW_E_NOMEM;
}

/* -- The child ----------------------------------------------------------------------------------------------------- */

bool sw_child_is(int argc, char **argv) {
    return argc == 3 && !strcmp(argv[1], SW_FOREIGN_VERB);
}

sw_status sw_child_run(const char *name) {
    static const sw_engine *const engines[] = {&sw_engine_onnxruntime, &sw_engine_openvino, &sw_engine_slipway};
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (!strcmp(engines[i]->name, name)) return sw_engine_serve(engines[i]);
    return SW_E_USAGE;
}
