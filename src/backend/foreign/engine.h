/* The child's side: what a runtime must be able to do, and the loop that answers the parent's questions. */
#ifndef SLIPWAY_BACKEND_FOREIGN_ENGINE_H
#define SLIPWAY_BACKEND_FOREIGN_ENGINE_H

#include "backend/foreign/wire.h"

/* What to load, and (the lower half) what became of it; all texts and tensors lie in `arena`. */
typedef struct sw_engine_model {
    sw_arena *arena;
    const char *library, *path; /* path "": tell the version only */
    int threads;                /* 0: as the runtime likes */
    sw_settings wanted;
    const sw_named *shapes; /* of inputs, by name or else by place; none: as the model says */
    int n_shapes;

    void *state; /* the engine's own */
    const char *version;
    sw_settings used; /* settings as the runtime took them; room for SW_WIRE_MOST_SETTINGS */
    sw_named *inputs, *outputs;
    int n_inputs, n_outputs;
} sw_engine_model;

/* Functions fail with a sentence. The process ends without closing anything: so nothing is freed at the end. */
typedef struct sw_engine {
    const char *name;
    sw_status (*open)(sw_engine_model *model, const sw_diag *diag);
    /* Inputs of all later runs, in the order of the ports; they live until the next call. */
    sw_status (*bind)(sw_engine_model *model, const sw_named *inputs, const sw_diag *diag);
    sw_status (*run)(sw_engine_model *model, const sw_diag *diag);
    /* Outputs of the last run, in the order of the ports, valid until the next call. */
    sw_status (*outputs)(sw_engine_model *model, sw_named *outputs, const sw_diag *diag);
    /* Runs as above and tells how long it took: where a run is not timed by the clock around it. May be NULL. */
    sw_status (*time)(sw_engine_model *model, const sw_diag *diag, int64_t *ns);
} sw_engine;

extern const sw_engine sw_engine_onnxruntime, sw_engine_openvino;

/* Answers questions on standard input until it ends: the whole life of a child. */
SW_MUST_USE sw_status sw_engine_serve(const sw_engine *engine);

/* -- For engines --------------------------------------------------------------------------------------------------- */

/* The value of a wanted setting; NULL: not given. */
const char *sw_engine_wanted(const sw_engine_model *model, const char *key);
/* Adds to `used`; printed. Nothing when there is no room. */
void sw_engine_used(sw_engine_model *model, const char *key, const char *fmt, ...) SW_PRINTF(3, 4);
/* The shape that is asked for an input; NULL: as the model says. */
const sw_tensor *sw_engine_shape(const sw_engine_model *model, const char *name, int index);

#endif
