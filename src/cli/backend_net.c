/* Other runtimes where verbs use Slipway's session: under a detector, and judged by `slipway val`. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "base/process.h"
#include "cli/child.h"
#include "cli/verify.h"

enum { VAL_SECONDS = 24 * 3600, MAP_DEPTH = 2 };

struct sw_backend_net {
    sw_foreign *child;
    const sw_plan *plan;
    sw_arena *arena; /* of the outputs of the last run */
    const sw_diag *diag;
};

static const sw_named *find_output(const sw_named *outputs, int n, const sw_plan *plan, int i) {
    for (int k = 0; k < n; k++)
        if (!strcmp(outputs[k].name, sw_plan_output(plan, i)->name)) return &outputs[k];
    return &outputs[i];
}

static sw_status run(void *ctx, const sw_tensor *inputs, sw_tensor *outputs) {
    sw_backend_net *net = ctx;
    int n_in = sw_plan_inputs(net->plan), n_out = sw_plan_outputs(net->plan), n;
    sw_named *bound, *got;
    sw_arena_destroy(net->arena);
    net->arena = sw_arena_create(NULL, 0);
    sw_named *named = net->arena ? SW_ARENA_ARRAY(net->arena, sw_named, n_in + 1) : NULL;
    if (!named) return SW_E_NOMEM;
    for (int i = 0; i < n_in; i++) named[i] = (sw_named){sw_plan_input(net->plan, i)->name, inputs[i]};
    SW_TRY(sw_foreign_match(net->child, named, n_in, net->arena, net->diag, &bound));
    SW_TRY(sw_foreign_bind(net->child, bound, n_in));
    SW_TRY(sw_foreign_run(net->child, net->arena, &got, &n));
    if (n < n_out)
        return sw_fail(net->diag, SW_E_UNSUPPORTED, NULL, NULL, "the runtime gives %d outputs, expected %d", n, n_out);
    for (int i = 0; i < n_out; i++) outputs[i] = find_output(got, n, net->plan, i)->type;
    return SW_OK;
}

sw_status sw_backend_network(const sw_args *args, const sw_plan *plan, const char *model, const sw_diag *diag,
                             sw_backend_net **out, sw_network *network) {
    const char *backend = sw_args_text(args, "backend");
    const sw_foreign_runtime *runtime;
    *out = NULL;
    SW_TRY(sw_backend_named(backend, strlen(backend), args->verb->name, diag, &runtime));
    if (runtime->kind == SW_FOREIGN_SELF) return SW_OK;
    sw_foreign_options options = {.model = sw_model_file(model, args->arena),
                                  .threads = (int)sw_args_int(args, "threads")};
    sw_backend_net *net = SW_ARENA_NEW(args->arena, sw_backend_net);
    if (!net || !options.model) return SW_E_NOMEM;
    *net = (sw_backend_net){.plan = plan, .diag = diag};
    SW_TRY(sw_settings_parse(args, runtime->name, diag, &options.settings));
    SW_TRY(sw_foreign_open(runtime, &options, diag, &net->child));
    *network = (sw_network){run, net};
    *out = net;
    return SW_OK;
}

void sw_backend_net_close(sw_backend_net *net) {
    if (!net) return;
    sw_foreign_close(net->child);
    sw_arena_destroy(net->arena);
}

/* -- mAP ----------------------------------------------------------------------------------------------------------- */

/* The number under one of the keys that `slipway val --json` ends with: {"boxes": {"mAP50-95": ...}} or {"top":
 * {"top1": ...}}. */
static bool find_number(const char *text, double *map) {
    sw_json_reader reader;
    sw_json_event event;
    int depth = 0;
    bool wanted = false, found = false;
    sw_json_reader_init(&reader, text, strlen(text), NULL, "val", NULL);
    while (sw_json_next(&reader, &event) == SW_OK && event.type != SW_JSON_END) {
        if (event.type == SW_JSON_OBJECT || event.type == SW_JSON_ARRAY) depth++;
        if (event.type == SW_JSON_OBJECT_END || event.type == SW_JSON_ARRAY_END) depth--;
        if (wanted && event.type == SW_JSON_NUMBER) {
            *map = event.number; /* the last one counts: masks, keypoints after boxes */
            found = true;
        }
        wanted = event.type == SW_JSON_KEY && depth == MAP_DEPTH &&
                 (!strcmp(event.text, "mAP50-95") || !strcmp(event.text, "top1"));
    }
    sw_json_reader_free(&reader);
    return found;
}

sw_status sw_val_map(const sw_val_wish *wish, sw_arena *arena, const sw_diag *diag, double *map) {
    char self[4096];
    const char *text, *backend = wish->backend ? wish->backend : "slipway",
                      *argv[16] = {self, "val", wish->model, "--data", wish->data, "--json", "-", "--backend", backend};
    int n = 9;
    if (wish->limit) argv[n++] = sw_arena_printf(arena, "--limit=%lld", (long long)wish->limit);
    if (wish->imgsz) argv[n++] = sw_arena_printf(arena, "--imgsz=%s", wish->imgsz);
    if (!sw_os_executable(self, sizeof self) || !argv[n - 1]) return SW_E_NOMEM;
    sw_status status = sw_process_capture(argv, VAL_SECONDS, arena, &text);
    if (status == SW_E_NOMEM) return status;
    if (status == SW_OK && find_number(text, map)) return SW_OK;
    const char *prefix = "slipway: ";
    if (!strncmp(text, prefix, strlen(prefix))) text += strlen(prefix);
    return sw_fail(diag, SW_E_INPUT, wish->data, NULL, "mAP could not be measured: %s",
                   status == SW_OK ? "val gave none" : text);
}
