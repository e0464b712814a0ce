/* What the files of the core share. Private to serve/. */
#ifndef SLIPWAY_SERVE_INTERNAL_H
#define SLIPWAY_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "serve/backend.h"

/* Always SW_SERVE_UNAVAILABLE. */
sw_serve_code sw__serve_no_memory(sw_serve_error *error);
/* The product; -1 when a dim is negative or the product overflows. */
int64_t sw__serve_count(int rank, const int64_t *dims);
/* Bytes that the first `count` texts of a BYTES tensor take; -1 when they do not fit. */
int64_t sw__serve_texts_bytes(const void *data, size_t bytes, int64_t count);

/* Runs one batch at a time. */
typedef struct sw__instance {
    void *handle; /* of the backend */
    bool busy;    /* under the model's lock */
    sw_serve_tensor *in, *out;
    struct sw__instance *next_free;
} sw__instance;

struct sw_serve_model {
    atomic_int refs;
    sw_serve *core;
    sw_arena *arena;
    sw_serve_info info;
    const sw_serve_backend *backend;
    void *opened; /* of the backend */
    sw_serve_nature nature;
    pthread_mutex_t lock;
    sw__instance instance;
};

struct sw_serve {
    sw_serve_loader loader;
    sw_diag diag;
    sw_serve_clock clock;
    pthread_mutex_t lock;
    sw_serve_model **models;
    int n_models;
    atomic_bool draining;
    atomic_int inside; /* requests */
};

/* What a request keeps between its uses. */
typedef struct sw__held {
    sw_serve_tensor *results;
    int cap_results;
    void *bytes;
    size_t cap_bytes;
} sw__held;

/* Model version of a file; its own reference. */
SW_MUST_USE sw_serve_code sw__serve_model_create(sw_serve *core, const char *name, int64_t version, const char *path,
                                                 sw_serve_model **model, sw_serve_error *error);
/* Whether a request is one that its model takes. `batch`: requests' rows, 1 for models without batches. `inputs`: the
 * request's by the order of the model; NULL where an optional one is absent. */
SW_MUST_USE sw_serve_code sw__serve_check(const sw_serve_request *request, const sw_serve_tensor **inputs,
                                          int64_t *batch, sw_serve_error *error);
int64_t sw__serve_now(const sw_serve *core);
/* Where the results of a request are put together: room for n; NULL when out of memory. */
sw__held *sw__serve_held(sw_serve_request *request, int n);
/* Room for bytes of results; false when out of memory. */
bool sw__serve_held_bytes(sw__held *held, size_t bytes);

#endif
