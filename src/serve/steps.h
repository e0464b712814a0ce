/* Built-in steps of pipelines with pictures: slipway_decode, slipway_letterbox, slipway_yolo, slipway_crop; backends of models
 * without files, and by their names steps of ensembles. Private to serve/.
 *
 * A step is for one picture; pictures of many requests come together in the batches of the networks between them. */
#ifndef SLIPWAY_SERVE_STEPS_H
#define SLIPWAY_SERVE_STEPS_H

#include "engine/demand.h"
#include "media/image.h"
#include "serve/backend.h"
#include "serve/detectors.h"
#include "vision/fitter.h"

enum { SW__STEPS = 4, SW__STEP_PORTS = 17, SW__META = 8, SW__MAX_CROPS = 1024, SW__PICTURE_BYTES = 1 << 30 };
extern const sw_serve_backend sw__step_backends[SW__STEPS];

/* The step of that name; NULL: none. */
const sw_serve_backend *sw__step_named(const char *name);
/* The parameters that a step knows, NULL ends them. */
const char *const *sw__step_parameters(const sw_serve_backend *step);

/* What a slipway_yolo will read of the network's results; NULL: all. May wait for the network to come back to memory. */
const sw_demand *sw__step_demand(const sw_serve_model *yolo, sw_serve_model *network, sw_demand *demand);

/* A model whose backend is a step. */
typedef struct sw__step {
    const sw_serve_backend *backend;
    sw_serve *core;
    char *network;  /* the model that it prepares for, or whose outputs it reads; NULL: none */
    int64_t version; /* of it; -1: the highest */
    sw__wish wish;  /* without the plan */
    sw_fitter_options fit; /* without a network */
    int max_crops;
    sw_serve_nature nature;
    sw_serve_port inputs[SW__STEP_PORTS], outputs[SW__STEP_PORTS];
} sw__step;

/* What the outputs of a run lie in: they may outlive the run, and the instance. */
typedef struct sw__step_memory {
    sw__detectors *detectors;
    sw__kept *kept; /* given back to them */
    sw_fitter *fitter;
    char why[400]; /* of the fitter */
    sw_diag diag;
    sw_image image;
    sw_serve *core; /* whose picture_bytes have: */
    int64_t picture_bytes;
    void *block;
    float meta[SW__META];
} sw__step_memory;

typedef struct sw__step_run {
    const sw__step *step;
    sw__step_memory *memory; /* of the last run, unless it was taken */
} sw__step_run;

/* The four, as sw_serve_backend.run is; `memory` is empty. */
typedef sw_serve_code sw__step_fn(const sw__step *step, const sw_serve_tensor *in, sw_serve_tensor *out,
                                  sw__step_memory *memory, sw_serve_error *error);
sw__step_fn sw__step_decode, sw__step_letterbox, sw__step_yolo, sw__step_crop;

#endif
