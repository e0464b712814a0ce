/* Tuned plans of model files, kept in a folder between runs: how `slipway serve` gets from a model to a plan.
 *
 * A plan is found again by the content of its model (for models that lie in several files: and by the names, sizes and times of
 * the files beside it), the CPU, the threads it is tuned for and the version of Slipway. Its name ends with a hash of its own
 * content; what is damaged is told of and made again. Several processes may share a folder. */
#ifndef SLIPWAY_CLI_PLAN_CACHE_H
#define SLIPWAY_CLI_PLAN_CACHE_H

#include "cli/verb.h"
#include "serve/core.h"

typedef struct sw_plan_cache {
    const char *folder; /* NULL: none */
    double seconds;     /* of timing kernels at most; 0: no plans are made, those that are there are used */
    bool strict;        /* plans that were tuned on another model of CPU are refused */
    bool trust_code;    /* compiled GPU kernels of plans are run */
} sw_plan_cache;

/* By the options plan-cache and tune-seconds. A folder that cannot be made is none, with a warning. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_plan_cache_open(const sw_args *args, const sw_diag *diag, sw_plan_cache *cache);
/* What serving loads models by; keeps a pointer to the cache. */
sw_serve_loader sw_plan_cache_loader(sw_plan_cache *cache);

/* Whether this process is one that makes a plan for another, and that. */
bool sw_plan_child_is(int argc, char **argv);
SW_MUST_USE sw_status sw_plan_child_run(char **argv);

#endif
