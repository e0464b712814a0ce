/* What computes: a backend opens models; a model makes instances, each of which runs one batch at a time. */
#ifndef SLIPWAY_SERVE_BACKEND_H
#define SLIPWAY_SERVE_BACKEND_H

#include "serve/core.h"

/* What a backend is told of a model. Lives only during the call. */
typedef struct sw_serve_opening {
    const char *name, *path; /* path: the model file; NULL where the model has none */
    sw_serve *core;
    const sw_serve_loader *loader;
    const sw_diag *diag;
    /* The configured ports, dims with the batch (-1) if there is one; none where the configuration names none. */
    int n_inputs, n_outputs, max_batch_size;
    const sw_serve_port *inputs, *outputs;
    const char *(*parameter)(void *ctx, const char *key); /* of the configuration; NULL when not set */
    void *parameter_ctx;
    const char *device; /* as in sw_serve_start */
    int threads;        /* of an instance, as far as is known yet */
} sw_serve_opening;

/* What a model is like by itself. `batchable`: the first dim of every port is open, and means the batch. */
typedef struct sw_serve_nature {
    int n_inputs, n_outputs; /* 0: it takes what the configuration says */
    const sw_serve_port *inputs, *outputs;
    bool batchable;
    int64_t bytes; /* of memory, about, besides its instances; may grow as they run */
    sw_plan *plan; /* behind it; NULL: none */
    sw_serve_plan_kind plan_kind;
} sw_serve_nature;

/* How instances are to run. */
typedef struct sw_serve_start {
    int threads;        /* of this instance */
    int max_batch_size; /* that it will see; 0: no batches of the server's */
    const char *device; /* as in sw_session_options; NULL: the CPU */
} sw_serve_start;

/* Functions are called from one thread at a time for the same object, but from many for different ones. */
typedef struct sw_serve_backend {
    const char *name, *platform;
    SW_MUST_USE sw_serve_code (*open)(const struct sw_serve_backend *backend, const sw_serve_opening *opening,
                                      void **model, sw_serve_error *error);
    void (*close)(void *model); /* after all its instances */
    /* What it tells lives as long as the model. Any thread. */
    void (*describe)(void *model, sw_serve_nature *nature);
    SW_MUST_USE sw_serve_code (*start)(void *model, const sw_serve_start *how, void **instance, sw_serve_error *error);
    void (*stop)(void *instance);
    /* `in` and `out` in the order of the configuration (of the nature, where that has ports); absent optional inputs have
     * data NULL. Fills in dtype, rank, dims, data, bytes of the outputs: views that stay valid until the next run. */
    SW_MUST_USE sw_serve_code (*run)(void *instance, const sw_serve_tensor *in, sw_serve_tensor *out,
                                     sw_serve_error *error);
    /* May be NULL. Bytes that an instance holds, about. Quick: it is called after each run. */
    int64_t (*bytes)(void *instance);
    /* May be NULL. Of the runs from now on only so much is read (engine/demand.h), of each row of a batch; NULL: all. */
    void (*demand)(void *instance, const struct sw_demand *demand);
    /* Both or neither: what the outputs of the last run lie in is taken over, and outlives run, instance and model until it is
     * released, on any thread. NULL: the outputs must be copied. */
    void *(*take_memory)(void *instance);
    void (*release)(void *memory);
    void *ctx;     /* the backend's own */
    bool computes; /* it uses the CPUs: models take turns */
    bool fileless; /* its models have no file */
    bool waits;    /* it may wait for something: never run on a thread that serves clients */
    bool light;    /* steps of ensembles by it run at once, on the thread that has their inputs */
} sw_serve_backend;

extern const sw_serve_backend sw_serve_plan_backend, sw_serve_identity_backend;

#endif
