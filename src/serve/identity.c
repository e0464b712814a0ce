/* The built-in backend "identity": its outputs are its inputs, in order; as Triton's backend of that name. What protocols
 * cost is measured with it. The parameter execute_delay_ms makes each run last so long, to see what queues do. */
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "serve/backend.h"
#include "serve/internal.h"

enum { MAX_DELAY_MS = 60000 };

typedef struct identity {
    int n, delay_ms;
} identity;

static bool read_delay(const sw_serve_opening *opening, int *ms) {
    const char *text = opening->parameter(opening->parameter_ctx, "execute_delay_ms");
    int64_t value = 0;
    bool good = !text || (sw_str_to_i64(text, strlen(text), &value) && value >= 0 && value <= MAX_DELAY_MS);
    *ms = (int)value;
    return good;
}

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
    int delay_ms;
    if (!read_delay(opening, &delay_ms))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "model '%s': parameter execute_delay_ms must be a whole number from 0 to %d",
                             opening->name, MAX_DELAY_MS);
    identity *made = sw_alloc(NULL, sizeof *made);
    if (!made) return sw__serve_no_memory(error);
    *made = (identity){opening->n_inputs, delay_ms};
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
    if (model->delay_ms) sw_sleep_ms(model->delay_ms);
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
