/* What the files of the core share. Private to serve/.
 *
 * Locks, outermost first: core->lock (the table of models), queue.lock (one model's requests), tally->lock. None is held
 * while a backend computes or a caller's function is called. */
#ifndef SLIPWAY_SERVE_INTERNAL_H
#define SLIPWAY_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "serve/backend.h"
#include "serve/config/config.h"
#include "serve/detectors.h"
#include "serve/machine.h"
#include "serve/metrics.h"
#include "serve/rules.h"
#include "serve/stats.h"

/* -- Small things ---------------------------------------------------------------------------------------------------- */

/* Always SW_SERVE_UNAVAILABLE. */
sw_serve_code sw__serve_no_memory(sw_serve_error *error);
/* The product; -1 when a dim is negative or the product overflows. */
int64_t sw__serve_count(int rank, const int64_t *dims);
/* Bytes that the first `count` texts of a BYTES tensor take; -1 when they do not fit. */
int64_t sw__serve_texts_bytes(const void *data, size_t bytes, int64_t count);
/* "[request id: 7] ", as Triton's messages begin. */
enum { SW__ID_TEXT = 80, SW__DEFAULT_BATCH = 4 };
const char *sw__serve_id_text(const sw_serve_request *request, char text[SW__ID_TEXT]);
/* A sink that keeps the first error, and hands everything else on. */
typedef struct sw__sink {
    sw_serve_error *error;
    const sw_diag *others; /* NULL: dropped */
} sw__sink;
sw_diag sw__serve_sink(sw__sink *sink); /* clears the error */
sw_serve_code sw__serve_code_of(sw_status status);

/* -- Requests -------------------------------------------------------------------------------------------------------- */

typedef struct sw__instance sw__instance;

typedef enum sw__request_state { SW__IDLE, SW__QUEUED, SW__RUNNING } sw__request_state;

/* What a request keeps between its uses (request->held), and what is known of it while it is submitted. */
typedef struct sw__held {
    sw_serve_tensor *results;
    int cap_results;
    void *bytes;
    size_t cap_bytes;
    const sw_serve_tensor **inputs; /* by the order of the model's configuration; NULL: an optional one is absent */
    int cap_inputs;
    int64_t rows;    /* of the batch that it is part of; 1 for models without batches */
    int64_t late_ns; /* times out in the queue then; 0: never */
    int level;       /* its priority */
    bool timed_out;  /* and stays, behind the others */
    atomic_bool cancelled;
    bool copy;                    /* of another request, for comparison */
    bool partial;                 /* results have what the demand wants only */
    int depth;                    /* of ensembles that it is a step in */
    struct sw__ensemble_run *run; /* of an ensemble, kept; else NULL */
    /* What the results lie in, where the backend gave it away; and who takes it back. */
    void *memory;
    void (*release)(void *memory);
} sw__held;

/* request->held, with room for the model's inputs; NULL when out of memory. */
sw__held *sw__serve_hold(sw_serve_request *request, int n_inputs);
/* Whether the request is one that its model takes: fills in the held inputs and rows. */
SW_MUST_USE sw_serve_code sw__serve_check(const sw_serve_request *request, sw__held *held, sw_serve_error *error);
/* Puts the results together from outputs by the order of the model's configuration: views, or copies when the request
 * wants to keep them, unless the instance (NULL: none) can give away what they lie in. What goes wrong is the request's
 * error. */
void sw__serve_hand_over(sw_serve_request *request, const sw_serve_tensor *out, sw__instance *instance);
/* Copies results that are views so far. */
void sw__serve_keep_results(sw_serve_request *request);
/* Gives back what the results lie in. */
void sw__serve_release(sw__held *held);
/* Checks a request and queues it, or runs it. `inner`: of one that was let in already. */
void sw__serve_submit(sw_serve *core, sw_serve_request *request, bool inner);
/* Statistics, log, done(). The request is no longer ours after it. */
void sw__serve_finish(sw_serve_request *request);

/* -- Sharing the CPUs ------------------------------------------------------------------------------------------------ */

/* No more threads compute than there are CPUs; the model that has computed least goes first. */
typedef struct sw__gate sw__gate;
typedef struct sw__share {
    int64_t used; /* CPU time, on the gate's scale */
} sw__share;
sw__gate *sw__gate_create(int cpus); /* NULL: out of memory */
void sw__gate_destroy(sw__gate *gate);
/* Waits until `threads` may run (more than there are CPUs count as all). */
void sw__gate_enter(sw__gate *gate, sw__share *share, int threads);
int sw__gate_waiting(sw__gate *gate); /* how many wait */
void sw__gate_leave(sw__gate *gate, sw__share *share, int threads, int64_t ns);

/* -- A model's queue ------------------------------------------------------------------------------------------------- */

/* Runs one batch at a time. */
struct sw__instance {
    void *handle;              /* of the backend */
    sw_serve_tensor *in, *out; /* by the order of the backend */
    sw_serve_tensor *given;    /* outputs by the order of the configuration */
    void **staging;            /* by input: where batches are gathered */
    size_t *cap_staging;
    sw_serve_request **batch; /* room for max_batch requests */
    int64_t bytes;            /* that the backend told last */
    struct sw__instance *next_free;
};

typedef struct sw__list {
    sw_serve_request *first, *last;
} sw__list;

typedef struct sw__level {
    sw__list waiting, late; /* late: timed out, but not rejected; behind those that wait */
    int64_t n;
} sw__level;

typedef struct sw__queue {
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* something to do, or the clock went on */
    pthread_cond_t order; /* a batch was delivered */
    sw__level *levels;    /* from 1 on */
    int64_t n, n_timed;   /* requests in all levels; of them those that a clock may take out */
    sw__instance *free;
    int n_free, n_threads, n_idle;
    sw_thread *threads;
    bool closing, parked, reviving; /* parked: no instances; a request brings them back */
    uint64_t next_ticket, delivered;
    int64_t mean_ns;    /* of computing, about; 0: not known */
    int64_t arrival_ns; /* of the last request */
    double gap_ns;      /* between arrivals, about; 0: not known */
    double *batch_ns;   /* how long a batch of so many rows takes, about, for slo_p99; 0: not known; NULL: no goal */
} sw__queue;

/* What is counted of a version: it goes on when a tuned plan takes the place of the default one. */
typedef struct sw__tally {
    atomic_int refs;
    pthread_mutex_t lock;
    sw__stats stats;
} sw__tally;

/* What a model is made from. */
typedef struct sw__model_source {
    const char *name, *folder, *version_folder; /* folders: NULL for a bare model file */
    const char *path;                           /* of a bare model file, else NULL */
    int64_t version;
    const char *config; /* its text; NULL: none */
    size_t config_size;
    bool config_is_json;
    const char *config_where;
    bool temporary; /* the folder is gone once it is loaded */
    bool own;       /* a built-in step of an ensemble: completed whatever the options say */
} sw__model_source;

struct sw_serve_model {
    atomic_int refs;
    sw_serve *core;
    sw_arena *arena;
    sw__config config;
    sw_serve_info info;
    const sw_serve_backend *backend;
    const char *path; /* of the model file; NULL: none */
    void *opened;     /* of the backend; NULL while parked */
    sw_serve_nature nature;
    int *in_at, *out_at;        /* by the backend's ports: which of the configuration; -1: none, or not wanted */
    int n_in, n_out;            /* ports of the backend */
    const char *const **labels; /* by output: n_labels[output] texts */
    int64_t *n_labels;
    int threads; /* of an instance */
    sw__share share;
    sw__instance *instances;
    int n_instances;
    sw__queue queue;
    sw__tally *tally;
    sw__model_source source;       /* texts: in the arena */
    _Atomic(int64_t) bytes;        /* of memory, about, when it is not parked */
    int64_t used_ns;               /* when it was last found; under core->lock */
    pthread_mutex_t life_lock;     /* held while instances come and go */
    struct sw__ensemble *ensemble; /* NULL: none */
    bool checked;                  /* the ensemble, against its models; under core->lock */
    double weight;                 /* of traffic that names no version; -1: the highest version takes all */
    struct sw_serve_model *next_dead;
};

/* One reference. All of it: configuration, instances, labels, warm-up. */
SW_MUST_USE sw_serve_code sw__serve_model_create(sw_serve *core, const sw__model_source *source, sw_serve_model **model,
                                                 sw_serve_error *error);
/* One that has not served yet goes on counting where another version's model is. */
void sw__serve_model_inherit(sw_serve_model *model, const sw_serve_model *from);
void sw__serve_model_destroy(sw_serve_model *model); /* no request is inside; takes NULL, and what is half made */
/* Opens the backend and starts the instances (again), closes them. */
SW_MUST_USE sw_serve_code sw__serve_model_start(sw_serve_model *model, sw_serve_error *error);
void sw__serve_model_stop(sw_serve_model *model);
/* Counts the memory of the model anew, after an instance ran or started. */
void sw__serve_count_bytes(sw_serve_model *model, sw__instance *instance);
/* Runs the samples of the configuration on each instance. `folder`: of the model; NULL: none. */
SW_MUST_USE sw_serve_code sw__serve_warm_up(sw_serve_model *model, const char *folder, sw_serve_error *error);
SW_MUST_USE sw_serve_code sw__serve_read_labels(sw_serve_model *model, const char *folder, sw_serve_error *error);
/* The model file of a version's folder, and the backend that takes it. */
SW_MUST_USE sw_serve_code sw__serve_choose_backend(sw_serve *core, const sw__model_source *source,
                                                   const sw__message *config, sw_arena *arena,
                                                   const sw_serve_backend **chosen, const char **path,
                                                   sw_serve_error *error);

SW_MUST_USE bool sw__queue_init(sw__queue *queue, sw_arena *arena, int levels, int n_threads);
/* Waits for its threads to end. Nothing may be queued. */
void sw__queue_close(sw__queue *queue);
/* Checked, held, from here on the queue's. */
void sw__queue_submit(sw_serve_model *model, sw_serve_request *request);
/* Of a request that never waits: what is needed to cancel it. */
void sw__queue_mark_running(sw_serve_model *model, sw_serve_request *request);
/* Whether it was in the queue, and is the caller's now. */
bool sw__queue_remove(sw_serve_model *model, sw_serve_request *request);
void sw__queue_add_instance(sw__queue *queue, sw__instance *instance);

/* Computes n requests, held and checked, as one; outputs are in the instance. */
SW_MUST_USE sw_serve_code sw__serve_compute(sw_serve_model *model, sw__instance *instance, sw_serve_request **batch,
                                            int n, bool gated, sw_serve_times *times, sw_serve_error *error);
/* The same, and finishes them. `ticket`: of the order that batches left the queue in. `gated`: waits for
 * its share of the CPUs. */
void sw__serve_run_batch(sw_serve_model *model, sw__instance *instance, sw_serve_request **batch, int n,
                         uint64_t ticket, bool gated);
/* A parked model's instances are back, or could not be brought back. */
void sw__queue_revived(sw_serve_model *model, bool back);
/* Ends all that waits with an error. */
void sw__queue_fail_all(sw_serve_model *model, const sw_serve_error *error);

/* -- Ensembles ------------------------------------------------------------------------------------------------------- */

/* From the model's configuration: model->ensemble. */
SW_MUST_USE sw_serve_code sw__ensemble_create(sw_serve_model *model, sw_serve_error *error);
/* Models that must be there beside it; NULL after the last. */
const char *sw__ensemble_member(const struct sw__ensemble *ensemble, int i);
/* The built-in steps that are part of it; NULL after the last. */
sw_serve_model *sw__ensemble_own(const struct sw__ensemble *ensemble, int i);
void sw__ensemble_destroy(struct sw__ensemble *ensemble); /* takes NULL, and what is half made */
/* Checked, held. */
void sw__ensemble_submit(sw_serve_model *model, sw_serve_request *request);
void sw__ensemble_run_free(struct sw__ensemble_run *run); /* takes NULL */

/* -- The core -------------------------------------------------------------------------------------------------------- */

typedef struct sw__version { /* of a model that is or was loaded */
    int64_t number;
    uint64_t stamp;        /* of its files when they were loaded */
    sw_serve_model *model; /* one reference; NULL: not ready */
    const char *state;
    char *reason; /* owned; NULL: none */
} sw__version;

typedef struct sw__entry { /* a model by name */
    char *name;
    uint32_t hash;
    sw__version *versions; /* ascending */
    int n_versions, cap_versions;
    uint64_t stamp;       /* of the files outside the versions' folders when they were loaded */
    uint64_t whole_stamp; /* of all its files at the last look for changes; of the task at work on it */
    bool wanted;          /* its load was asked for */
    bool failed;          /* and did not go well: no version is ready */
    char *reason;         /* why, where that concerns no version by itself; owned; NULL: none */
    bool busy;            /* a task is at work on it */
} sw__entry;

typedef enum sw__task_kind { SW__LOAD, SW__UNLOAD, SW__POLL, SW__REVIVE, SW__SWAP } sw__task_kind;

typedef struct sw__task {
    sw__task_kind kind;
    char *name;   /* NULL: none */
    char *config; /* JSON; NULL: none */
    sw_serve_file *files;
    int n_files;
    bool dependents, only_changes, initial;
    sw_serve_model *model; /* of SW__REVIVE: a reference */
    sw_serve_loaded done;
    void *ctx;
    struct sw__task *next;
} sw__task;

struct sw_serve {
    sw_arena *arena;
    sw_serve_options options; /* pointers: into the arena */
    sw_diag diag;             /* one call at a time */
    pthread_mutex_t diag_lock;
    pthread_mutex_t lock;
    sw__entry **entries; /* by hash, open addressing */
    size_t n_entries, cap_entries;
    bool crowded; /* perhaps over the budget, by models that somebody held: to be looked at again ... */
    const sw_serve_model *newcomer; /* ... but for this one, which came last; compared only */

    /* Tasks: under lock. */
    pthread_cond_t work, idle;
    sw__task *tasks, *last_task;
    sw_serve_model *dead;
    int n_initial; /* initial loads that are not done */
    int n_threads;
    int64_t next_poll_ns;
    int n_running; /* tasks */
    bool stopping; /* no task is begun */
    bool closing;  /* the threads end */
    sw_thread *threads;

    struct sw__tuning *tuning; /* NULL: nothing was to be tuned yet; under lock */

    atomic_bool routed; /* some model has weights */
    pthread_mutex_t rules_lock;
    sw__rules *rules;                               /* one reference; NULL: none. Under rules_lock */
    atomic_bool rules_set, rules_by_size, shadowed; /* shadowed: they may copy results */
    uint64_t turn;                                  /* counts requests that name no version; under lock */

    atomic_bool draining;
    atomic_int inside;           /* requests */
    atomic_llong picture_bytes;  /* decoded for ensembles that run */
    pthread_mutex_t copies_lock; /* recursive; never taken while another lock is held: */
    struct sw__copy *copies;     /* of requests, for comparison, that are submitted */
    atomic_int n_copies;         /* of all on their way */
    atomic_llong copied_bytes;   /* of them */
    atomic_ullong copied;        /* bytes of results between steps of ensembles */
    sw__gate *gate;
    sw__detectors *detectors; /* kept for the next picture */
    sw__machine *machine;
    int cpus;
    int n_alive; /* models that are not destroyed; under lock */
};

int64_t sw__serve_now(const sw_serve *core);
/* route.c: what share of the traffic a version gets, from the configuration's parameter route_weights. */
SW_MUST_USE sw_serve_code sw__route_read(sw_serve_model *model, sw_serve_error *error);
/* What makes a request stick to a version: the hint's own key, the header slipway-sticky, the parameter sticky; NULL:
 * nothing. */
const char *sw__route_key(const sw_serve_hint *hint);
/* The ready version for traffic that names none (`hint` NULL: the highest); NULL when no version is ready. `turn` differs from
 * request to request; those with equal sticky keys get the same version while the same ones are ready. Under core->lock. */
sw_serve_model *sw__route_choose(const sw__entry *entry, const sw_serve_hint *hint, const char *sticky, uint64_t turn);

/* The version by the rules that are set, a reference. */
SW_MUST_USE sw_serve_code sw__route_find(sw_serve *core, const sw_serve_hint *hint, sw_serve_model **model,
                                         sw_serve_error *error);
/* A reference to the rules; NULL: there are none. */
sw__rules *sw__route_rules(sw_serve *core);

/* shadow.c: copies of a request that is done, but not handed back, as the rules want them; to be sent after that. NULL:
 * none. */
typedef struct sw__copy sw__copy;
sw__copy *sw__shadow_take(sw_serve *core, const sw_serve_request *request);
void sw__shadow_send(sw__copy *copies); /* takes NULL */
void sw__shadow_cancel(sw_serve *core); /* nobody waits for copies any more */
void sw__shadow_metrics(sw_serve *core, sw_buf *buf);

/* Under core->lock; NULL: there is none, or (make) out of memory. */
sw__entry *sw__core_entry(sw_serve *core, const char *name, bool make);

/* loading.c: the threads that load. */
SW_MUST_USE sw_status sw__loading_start(sw_serve *core);
void sw__loading_stop(sw_serve *core);
/* Does what the task says in the background; copies all of it. When that fails, done() is called at once. */
void sw__loading_add(sw_serve *core, const sw__task *task);
/* A parked model is wanted: its instances come back in the background. */
void sw__loading_revive(sw_serve_model *model);
/* Brings a parked model back, if it is one, and waits for that; false when it failed. */
bool sw__loading_wait_revived(sw_serve_model *model);
/* Hands a model without references over to be destroyed. */
void sw__loading_bury(sw_serve *core, sw_serve_model *model);

/* tuning.c: tuned plans in the place of default ones. What a model wants of that, in the background. */
void sw__tuning_add(sw_serve_model *model);
/* Versions of an entry that run on default plans are made again where there are tuned ones now. */
void sw__tuning_swap(sw_serve *core, sw__entry *entry);
/* Ends what is under way, and waits for it. */
void sw__tuning_stop(sw_serve *core);

/* repository.c: what lies in the folders. Text in `arena`. */
typedef struct sw__found {
    const char *name, *folder, *path; /* a folder, or a bare model file */
} sw__found;
/* Mistakes of whoever laid the repositories out, told once: what does not exist, model files of one name (errors); a model in
 * two repositories, model files beside the folders of models, no model at all (warnings). */
SW_MUST_USE sw_status sw__repository_check(const sw_serve *core, const sw_diag *diag);
/* Whether the name is that of a model file, by its end. */
bool sw__is_model_name(const char *name);
/* What changes with the files of a folder: below it all, or all but the versions'. */
uint64_t sw__repository_stamp(const char *folder, bool versions, sw_arena *arena);
SW_MUST_USE sw_status sw__repository_list(const sw_serve *core, sw_arena *arena, const sw_diag *diag, sw__found **found,
                                          int *n);
/* False when there is no such model. */
bool sw__repository_find(const sw_serve *core, const char *name, sw_arena *arena, sw__found *found);
/* Its configuration's text; *text NULL when it has none. */
SW_MUST_USE sw_status sw__repository_config(const sw_serve *core, const sw__found *found, sw_arena *arena,
                                            const sw_diag *diag, const char **text, size_t *size, const char **where);
/* The versions that its policy wants, ascending. */
SW_MUST_USE sw_status sw__repository_versions(const sw__found *found, const sw__version_policy *policy, sw_arena *arena,
                                              const sw_diag *diag, int64_t **versions, int *n);

#endif
