/* The configuration of a model (config.pbtxt) as the core uses it. Private to serve/. */
#ifndef SLIPWAY_SERVE_CONFIG_CONFIG_H
#define SLIPWAY_SERVE_CONFIG_CONFIG_H

#include "serve/backend.h"
#include "serve/config/tree.h"

typedef struct sw__io {
    const char *name, *label_filename; /* "" : none */
    int dtype, rank;
    int64_t dims[SW_MAX_RANK]; /* without the batch; -1: any */
    bool optional, reshaped;
    int inner_rank; /* what the model sees, when reshaped; the n-th -1 is the n-th of dims */
    int64_t inner[SW_MAX_RANK];
} sw__io;

typedef struct sw__queue_policy {
    bool delay; /* what is late goes behind the others; else it is rejected */
    bool allow_override;
    int64_t timeout_us; /* 0: none */
    int64_t max_size;   /* 0: no limit */
} sw__queue_policy;

typedef struct sw__batching {
    bool on, preserve_ordering;
    int n_preferred;
    const int64_t *preferred; /* ascending */
    int64_t delay_us;
    int64_t slo_p99_us;               /* parameters.slo_p99_ms: the delay is chosen to keep it; 0: none */
    int64_t priorities;               /* that requests may have: 1 when there are none */
    int levels, default_level;        /* levels count from 1 */
    const sw__queue_policy *policies; /* by level, from [1] on */
} sw__batching;
/* The level of a priority of at least 1: its own, but all from the 1,024th on share one. */
int sw__config_level(int64_t priority);

typedef enum sw__policy_kind { SW__LATEST, SW__ALL, SW__SPECIFIC } sw__policy_kind;

typedef struct sw__version_policy {
    sw__policy_kind kind;
    int64_t latest;
    int n;
    const int64_t *versions; /* of SW__SPECIFIC */
} sw__version_policy;

typedef struct sw__mapping {
    const char *inner, *outer; /* a step's port; the ensemble's tensor */
} sw__mapping;

typedef struct sw__ensemble_step {
    const char *model;
    int64_t version; /* -1: by policy */
    int n_inputs, n_outputs;
    const sw__mapping *inputs, *outputs;
} sw__ensemble_step;

typedef struct sw__warmup_input {
    const char *name, *file; /* file: "": none */
    int dtype, rank;
    int64_t dims[SW_MAX_RANK]; /* without the batch */
    bool random;
} sw__warmup_input;

typedef struct sw__warmup {
    const char *name;
    int64_t batch, count;
    int n_inputs;
    const sw__warmup_input *inputs;
} sw__warmup;

typedef struct sw__config {
    sw__message *message;
    const char *name, *platform, *backend, *file; /* file: default_model_filename; "": the usual one */
    int max_batch;
    int n_inputs, n_outputs, n_steps, n_warmups;
    const sw__io *inputs, *outputs;
    sw__batching batching;
    sw__version_policy versions;
    int instances;
    const char *const *devices;     /* by instance, as sw_session_options: NULL: the CPU */
    const char *device;             /* that plans are made for: the first GPU among them; NULL: the CPU */
    const sw__ensemble_step *steps; /* an ensemble when there are some */
    int64_t max_inflight;           /* of an ensemble's steps; 0: no limit */
    const sw__warmup *warmups;
} sw__config;

/* What is made of a message: typed, checked by itself, without the model and without sw__message_check_use. `message`
 * stays part of it. SW_E_MODEL, SW_E_NOMEM with a sentence. */
SW_MUST_USE sw_status sw__config_read(sw__message *message, const sw__source *source, sw__config *config);
/* Fills in what a configuration (perhaps an empty message) leaves open, from what the model is like: ports, max_batch_size
 * (default_batch where the model takes batches), dynamic batching, defaults. Not the ports and the batch when `ports` is
 * false. SW_E_NOMEM. */
SW_MUST_USE sw_status sw__config_complete(sw__message *message, const sw__source *source, const char *name,
                                          const sw_serve_backend *backend, const sw_serve_nature *nature,
                                          int default_batch, bool ports);
/* Whether configuration and model fit. SW_E_MODEL with a sentence. */
SW_MUST_USE sw_status sw__config_match(const sw__config *config, const sw__source *source,
                                       const sw_serve_nature *nature);
/* A value of parameters{}; NULL when it is not set. */
const char *sw__config_parameter(const sw__config *config, const char *key);
/* Triton's number of a data type (enum DataType). */
int sw__config_data_type(int dtype);

#endif
