/* The built-in backend "identity": its outputs are its inputs, in order; as Triton's backend of that name. What protocols
 * cost is measured with it. */
#include "serve/backend.h"
#include "serve/internal.h"

typedef struct identity {
    int n;
} identity;

static sw_serve_code identity_open(const sw_serve_backend *backend, const sw_serve_opening *opening, void **model,
                                   sw_serve_error *error) {
    if (opening->n_inputs == 0 || opening->n_inputs != opening->n_outputs)
        return sw_serve_fail(
            error, SW_SERVE_INVALID_ARG,
            "model '%s': identity needs as many outputs as inputs in its configuration, and at least one",
            opening->name);
    for (int i = 0; i < opening->n_inputs; i++)
        if (opening->inputs[i].dtype != opening->outputs[i].dtype)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "model '%s': identity needs the same data type for input '%s' and output '%s'",
                                 opening->name, opening->inputs[i].name, opening->outputs[i].name);
    identity *made = sw_alloc(NULL, sizeof *made);
    if (!made) return sw__serve_no_memory(error);
    made->n = opening->n_inputs;
    *model = made;
    return SW_SERVE_OK;
}

static void identity_close(void *model) {
    sw_free(NULL, model);
}

static void identity_describe(void *model, sw_serve_nature *nature) {
    *nature = (sw_serve_nature){0};
}

static sw_serve_code identity_start(void *model, const sw_serve_start *how, void **instance, sw_serve_error *error) {
    *instance = model;
    return SW_SERVE_OK;
}

static void identity_stop(void *instance) {}

static sw_serve_code identity_run(void *instance, const sw_serve_tensor *in, sw_serve_tensor *out,
                                  sw_serve_error *error) {
    const identity *model = instance;
    for (int i = 0; i < model->n; i++) {
        const char *name = out[i].name;
        out[i] = in[i];
        out[i].name = name;
    }
    return SW_SERVE_OK;
}

const sw_serve_backend sw_serve_identity_backend = {.name = "identity",
                                                    .platform = "identity",
                                                    .open = identity_open,
                                                    .close = identity_close,
                                                    .describe = identity_describe,
                                                    .start = identity_start,
                                                    .stop = identity_stop,
                                                    .run = identity_run,
                                                    .fileless = true};
