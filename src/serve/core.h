/* The core of serving: models, versions, queues, statistics. The only door between it and the protocols (HTTP, gRPC),
 * which know nothing of what lies behind, as it knows nothing of them. Meanings and messages follow Triton's.
 *
 * Any thread may call anything here, unless told otherwise. */
#ifndef SLIPWAY_SERVE_CORE_H
#define SLIPWAY_SERVE_CORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "slipway/plan.h"

/* -- Errors ---------------------------------------------------------------------------------------------------------- */

typedef enum sw_serve_code {
    SW_SERVE_OK,
    SW_SERVE_UNKNOWN,
    SW_SERVE_INTERNAL,
    SW_SERVE_NOT_FOUND,
    SW_SERVE_INVALID_ARG,
    SW_SERVE_UNAVAILABLE, /* full queue, late, unloaded: try again later */
    SW_SERVE_UNSUPPORTED,
    SW_SERVE_ALREADY_EXISTS,
    SW_SERVE_CANCELLED
} sw_serve_code;

typedef struct sw_serve_error {
    sw_serve_code code;
    char text[508]; /* one sentence; "" when the code is SW_SERVE_OK */
} sw_serve_error;

/* Fills `error` and returns the code, so that `return sw_serve_fail(...)` reads as one step. */
sw_serve_code sw_serve_fail(sw_serve_error *error, sw_serve_code code, const char *fmt, ...) SW_PRINTF(3, 4);

/* -- Types and tensors ----------------------------------------------------------------------------------------------- */

/* A dtype is one of sw_dtype, or this: texts, an element being its length (uint32, little endian) and its bytes. */
enum { SW_SERVE_BYTES = SW_DTYPE_COUNT };

const char *sw_serve_dtype_name(int dtype);              /* "FP32", "BYTES" as in the protocol; "" when it is none */
int sw_serve_dtype_parse(const char *text, size_t size); /* SW_DTYPE_NONE when there is no such type */
size_t sw_serve_dtype_size(int dtype);                   /* bytes of an element; 0 for SW_SERVE_BYTES */

typedef struct sw_serve_tensor {
    const char *name;
    int dtype, rank;
    int64_t dims[SW_MAX_RANK]; /* with the batch, if the model has one */
    const void *data;          /* row major, no padding, little endian */
    size_t bytes;
} sw_serve_tensor;

/* -- Models ---------------------------------------------------------------------------------------------------------- */

typedef struct sw_serve sw_serve;             /* the core */
typedef struct sw_serve_model sw_serve_model; /* one version of a model that is ready, or was when it was found */

typedef struct sw_serve_port {
    const char *name;
    int dtype, rank;
    int64_t dims[SW_MAX_RANK]; /* -1: any; as in the metadata: with the batch (-1) if the model has one */
    bool optional;
    bool loose; /* type and dims are only usual ones: the backend looks at what comes */
} sw_serve_port;

typedef struct sw_serve_info {
    const char *name, *platform, *backend;
    int64_t version;
    int max_batch_size; /* 0: requests are not batched, and have no batch dimension of the server's */
    int n_inputs, n_outputs;
    const sw_serve_port *inputs, *outputs;
    bool decoupled;
} sw_serve_info;

/* What traffic is told apart by, where a model's versions share it, or rules choose a model. Zeroed: nothing known. */
typedef struct sw_serve_hint {
    const char *path, *content_type, *sticky; /* sticky: requests with equal keys get the same version */
    int width, height;                        /* of the picture */
    /* The value of a request header or parameter by its lower-case name; NULL when there is none. May be NULL. */
    const char *(*header)(void *ctx, const char *name);
    const char *(*parameter)(void *ctx, const char *name);
    void *ctx;
} sw_serve_hint;

/* The name that stands for what the rules of routing choose. */
#define SW_SERVE_ROUTE "@route"

/* Finds a ready version; `version` -1: the highest, or with a `hint` the one whose turn it is by the model's route_weights. The
 * caller drops the model when done. Under the name SW_SERVE_ROUTE: the one that the first rule that takes the hint names.
 * SW_SERVE_NOT_FOUND, SW_SERVE_UNAVAILABLE. */
SW_MUST_USE sw_serve_code sw_serve_find(sw_serve *core, const char *name, int64_t version, const sw_serve_hint *hint,
                                        sw_serve_model **model, sw_serve_error *error);
void sw_serve_keep(sw_serve_model *model);
void sw_serve_drop(sw_serve_model *model); /* takes NULL */

const sw_serve_info *sw_serve_model_info(const sw_serve_model *model);
/* The label of an element of an output by its number there; NULL when there is none. */
const char *sw_serve_model_label(const sw_serve_model *model, const char *output, int64_t index);
/* The configuration, completed, as JSON (Triton's /config), and as the protobuf message inference.ModelConfig. */
void sw_serve_model_config_json(const sw_serve_model *model, sw_buf *buf);
void sw_serve_model_config_pb(const sw_serve_model *model, sw_buf *buf);
/* A reference to the plan behind it, for detectors; NULL where there is none (ensembles). Waits for a model that has left
 * memory to come back: not for threads that serve clients. */
SW_MUST_USE sw_serve_code sw_serve_model_take_plan(sw_serve_model *model, sw_plan **plan, sw_serve_error *error);
/* Ready versions, ascending, into versions[0..most); returns how many there are. */
int sw_serve_versions(sw_serve *core, const char *name, int64_t *versions, int most);

bool sw_serve_ready(sw_serve *core); /* answers, and all models asked for are ready */
bool sw_serve_model_ready(sw_serve *core, const char *name, int64_t version); /* -1: any version */

/* -- Routing --------------------------------------------------------------------------------------------------------- */

/* Takes a document of rules (docs/routing.md) in the place of the one before, as a whole: requests see the old rules or the new
 * ones. `where` names it in messages. SW_SERVE_INVALID_ARG with a sentence that names the rule; then the old ones stay. */
SW_MUST_USE sw_serve_code sw_serve_set_routes(sw_serve *core, const char *text, size_t size, const char *where,
                                              sw_serve_error *error);
/* The document as it was given, appended. */
void sw_serve_routes(sw_serve *core, sw_buf *buf);
/* Whether rules look at the size of pictures, so that hints should have it; and whether headers of requests may matter. */
bool sw_serve_routes_by_size(sw_serve *core);
bool sw_serve_routes_by_header(sw_serve *core);

/* -- Inference ------------------------------------------------------------------------------------------------------- */

/* When what happened, by sw_clock_ns; 0: it did not come to that. */
typedef struct sw_serve_times {
    int64_t queued, started, computing, computed, done;
} sw_serve_times;

/* A request. The caller makes one (zeroed), fills it in, submits it and leaves it and all it points to alone until
 * done() is called, which happens exactly once after each submit. It may be used again then; the memory of its results is
 * kept with it, until sw_serve_request_free. */
typedef struct sw_serve_request {
    sw_serve_model *model; /* the caller holds it */
    const char *id;        /* may be NULL */
    uint64_t priority;     /* 1: the highest; 0: the model's default */
    int64_t timeout_us;    /* in the queue at most; 0: the model's default */
    int64_t deadline_ns;   /* by sw_clock_ns: not computed after it; 0: none */
    int n_inputs, n_wanted;
    const sw_serve_tensor *inputs; /* in any order */
    const char *const *wanted;     /* outputs by name; none: all */
    bool
        at_once; /* results are read inside done(): they then lie in the model's memory, uncopied, valid until it returns */
    bool off_thread; /* never compute on the thread that submits */
    const struct sw_demand *demand; /* (engine/demand.h) so much is read of the results, with at_once; NULL: all */
    /* Called on any thread, perhaps before submit returns; the request is the caller's again from its beginning. It must
     * not wait for other requests. */
    void (*done)(struct sw_serve_request *request);
    void *user;

    /* Filled in before done(): */
    sw_serve_error error;
    int n_results;
    const sw_serve_tensor *results; /* in the order wanted, else of the model */
    sw_serve_times times;

    void *held;                             /* private: memory kept for the next time; NULL at first */
    struct sw_serve_request *next, *before; /* private */
    uint32_t state;                         /* private */
} sw_serve_request;

/* Checks the request, then computes it here (small models that are free and have no batcher) or queues it. All errors,
 * also of the check, come through done(). */
void sw_serve_submit(sw_serve *core, sw_serve_request *request);
/* Nobody waits for it any more: it leaves the queue, or its results are dropped. done() comes, with SW_SERVE_CANCELLED,
 * unless the request is done already. Only between submit and done(); a call at the same time as done() must be excluded by
 * the caller. */
void sw_serve_cancel(sw_serve *core, sw_serve_request *request);
/* Frees what the request keeps; not while it is submitted. */
void sw_serve_request_free(sw_serve_request *request);

/* -- Repository ------------------------------------------------------------------------------------------------------ */

typedef struct sw_serve_index_row {
    const char *name, *version, *state, *reason; /* state: READY, UNAVAILABLE, LOADING, UNLOADING; "" where not known */
} sw_serve_index_row;

/* All models that the repositories have, by name and version. Rows live in `arena`. */
SW_MUST_USE sw_serve_code sw_serve_index(sw_serve *core, bool ready_only, sw_arena *arena,
                                         const sw_serve_index_row **rows, int *n, sw_serve_error *error);

typedef struct sw_serve_file {
    const char *path; /* "1/model.onnx" */
    const void *data;
    size_t size;
} sw_serve_file;

typedef void (*sw_serve_loaded)(void *ctx, const sw_serve_error *error);
/* Both return at once; `done` is called exactly once, on any thread. `config`: JSON that takes the place of the model's
 * configuration, or NULL; `files` (with `config` only) take the place of its folder. Everything is copied. The old version
 * answers until the new one is ready, and goes on if that fails. */
void sw_serve_load(sw_serve *core, const char *name, const char *config, const sw_serve_file *files, int n_files,
                   sw_serve_loaded done, void *ctx);
void sw_serve_unload(sw_serve *core, const char *name, bool dependents, sw_serve_loaded done, void *ctx);

/* Looks at the repositories now, whether they are polled or not: what is new or has changed is loaded, what is gone is
 * unloaded, in the background. Nothing where models are loaded one by one. */
void sw_serve_reload(sw_serve *core);

/* -- Statistics ------------------------------------------------------------------------------------------------------ */

typedef struct sw_serve_duration {
    uint64_t count, ns;
} sw_serve_duration;

typedef struct sw_serve_batch_stats {
    uint64_t batch_size;
    sw_serve_duration compute_input, compute_infer, compute_output;
} sw_serve_batch_stats;

typedef struct sw_serve_memory_usage {
    const char *type; /* "CPU", "GPU" */
    int64_t id;
    uint64_t byte_size;
} sw_serve_memory_usage;

typedef struct sw_serve_stats {
    const char *name;
    int64_t version;
    uint64_t last_inference_ms; /* since 1970 */
    uint64_t inference_count, execution_count;
    sw_serve_duration success, fail, queue, compute_input, compute_infer, compute_output, cache_hit, cache_miss;
    int n_batches, n_memory;
    const sw_serve_batch_stats *batches; /* by size */
    const sw_serve_memory_usage *memory;
} sw_serve_stats;

/* Of all ready versions (`name` NULL), of a model's, or of one (`version` not -1). In `arena`. */
SW_MUST_USE sw_serve_code sw_serve_statistics(sw_serve *core, const char *name, int64_t version, sw_arena *arena,
                                              const sw_serve_stats **stats, int *n, sw_serve_error *error);
/* All metrics of the core in Prometheus' text format, appended. */
void sw_serve_metrics(sw_serve *core, sw_buf *buf);

/* -- Life ------------------------------------------------------------------------------------------------------------ */

typedef enum sw_serve_control {
    SW_SERVE_CONTROL_NONE,
    SW_SERVE_CONTROL_POLL,
    SW_SERVE_CONTROL_EXPLICIT
} sw_serve_control;

/* How good a plan is: of a model file, made by estimate; tuned; or as the user gave it. */
typedef enum sw_serve_plan_kind { SW_SERVE_PLAN_GIVEN, SW_SERVE_PLAN_DEFAULT, SW_SERVE_PLAN_TUNED } sw_serve_plan_kind;

/* What a plan is wanted for. */
typedef struct sw_serve_wish {
    const char *path;   /* of the model file */
    const char *device; /* as in sw_session_options; NULL: the CPU */
    int threads;        /* of a session */
} sw_serve_wish;

/* From a model file to a plan; given by the program, since serving neither imports nor builds. */
typedef struct sw_serve_loader {
    /* The best plan that is there at once. Called on threads of the core, several at a time. */
    sw_status (*load)(void *ctx, const sw_serve_wish *wish, const sw_diag *diag, sw_plan **plan,
                      sw_serve_plan_kind *kind);
    /* Makes the tuned plan that load() gives from then on, in its own time; one call at a time, on a thread of its own. Ends
     * early once *stop is set. SW_OK: it is there. NULL: plans stay as they are. */
    sw_status (*tune)(void *ctx, const sw_serve_wish *wish, const _Atomic(bool) *stop, const sw_diag *diag);
    void *ctx;
} sw_serve_loader;

/* Time, for tests: when now is set, nothing waits by the clock of the system, and sw_serve_tick tells that time went on. */
typedef struct sw_serve_clock {
    int64_t (*now)(void *ctx);
    void *ctx;
} sw_serve_clock;

struct sw_serve_backend; /* serve/backend.h */

/* Families of metrics that are told beside the others, with Triton's names. */
enum { SW_SERVE_MAX_QUANTILES = 16 };
typedef struct sw_serve_metrics_options {
    bool no_counters; /* of latencies */
    bool histogram, summaries;
    int n_quantiles; /* 0: 0.5, 0.9, 0.95, 0.99, 0.999 */
    double quantiles[SW_SERVE_MAX_QUANTILES];
} sw_serve_metrics_options;

/* Zeroed: the defaults. Everything is copied but what pointers of functions get. */
typedef struct sw_serve_options {
    const char *const *repositories; /* folders of models; or single model files, each a repository of one */
    int n_repositories;
    sw_serve_control control;
    const char *const *load_models; /* explicit control: what to load at the start; "*" alone: everything */
    int n_load_models;
    int poll_seconds;        /* 0: 15 */
    const char *config_name; /* <model>/configs/<name>.pbtxt is taken where it is there; NULL: config.pbtxt only */
    bool no_auto_complete;   /* configurations must say everything */
    bool lenient_readiness;  /* ready although models failed */
    int load_threads;        /* 0: 4 */
    int threads;             /* of computing, all instances together; 0: the CPUs that the process may use */
    int64_t memory_budget; /* bytes of models; the least recently used makes room, and comes back on demand; 0: none */
    sw_serve_loader loader;
    const struct sw_serve_backend *const *backends; /* besides the built-in ones */
    int n_backends;
    sw_serve_metrics_options metrics;
    sw_serve_clock clock;
    const sw_diag *diag; /* the log; calls come one at a time from any thread */
    /* Is told of every request that is done; may be NULL. Quick: it is on the way of the answer. */
    void (*access)(void *ctx, const sw_serve_request *request);
    void *access_ctx;
} sw_serve_options;

/* Makes the core and begins to load models in the background; sw_serve_ready tells when they are there. SW_E_USAGE,
 * SW_E_IO, SW_E_NOMEM with a message. */
SW_MUST_USE sw_status sw_serve_create(const sw_serve_options *options, sw_serve **core);
/* Waits until what was asked for at the start is loaded, or failed. The number of models that failed. */
int sw_serve_wait_loaded(sw_serve *core);
void sw_serve_tick(sw_serve *core);
/* Takes no more requests (SW_SERVE_UNAVAILABLE) and waits until those inside are done, for so long at most; returns how
 * many are left. */
int sw_serve_drain(sw_serve *core, int64_t timeout_ns);
/* Every request must be done, every model found be dropped. Takes NULL. */
void sw_serve_destroy(sw_serve *core);

#endif
