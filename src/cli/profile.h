/* How long each step of a plan takes, and how long it would have to: what the verbs profile and report show. */
#ifndef SLIPWAY_CLI_PROFILE_H
#define SLIPWAY_CLI_PROFILE_H

#include "base/json.h"
#include "cli/verb.h"
#include "engine/session.h"
#include "kernels/probe/probe.h"

/* Of one step; numbers below 0 are not known. */
typedef struct sw_profile_step {
    size_t step; /* in the plan */
    const char *op, *name, *tactic; /* tactic: "" where there is no choice */
    char output[96];                /* "1x64x80x80" */
    double ms;                      /* median */
    double flops;                   /* by definition; 2 a multiply-add */
    double work;                    /* operations that the tactic really does: Winograd's are fewer */
    double bytes;                   /* read and written at least, weights as they are packed */
    double floor_ms;                /* work and bytes against the ceilings */
    int64_t begin_ns, end_ns;       /* in the run that was nearest to the median, from its begin */
} sw_profile_step;

typedef struct sw_profile {
    const char *path;
    sw_plan *plan;
    sw_session *session;
    sw_instance *instance; /* of the session */
    sw_tensor *inputs, *outputs;
    sw_ceilings ceilings;
    sw_profile_step *steps; /* those that run, in order */
    size_t n;
    int runs;
    double plan_ms; /* of reading the plan, or building it */
    double run_ms; /* median of whole runs */
    double sum_ms, floor_ms, flops;
} sw_profile;

/* Builds or loads args' operand, runs it on noise (options threads, runs, shapes), and measures the machine. Lies in
 * args->arena, but for what sw_profile_free frees. SW_E_USAGE where shapes are missing. */
SW_MUST_USE sw_status sw_profile_make(const sw_args *args, sw_console *console, sw_profile *profile);
void sw_profile_free(sw_profile *profile); /* takes a zeroed one */
/* Builds or loads args' operand for `device` (NULL: the CPU) and makes noise for its inputs: the beginning of the above. */
SW_MUST_USE sw_status sw_profile_begin(const sw_args *args, sw_console *console, const char *device, sw_profile *profile);

/* The same on a GPU: nodes in place of steps, and copies apart from what the GPU computes. Prints. */
SW_MUST_USE sw_status sw_profile_gpu(const sw_args *args, sw_console *console, const char *device);

/* GFLOP/s of a step, 0 without time; share of the floor, 0 to 1 and above where caches hold more than was assumed; -1 where
 * it is not known. */
double sw_profile_rate(const sw_profile_step *step);
double sw_profile_share(const sw_profile_step *step);

/* Adds members to the object of a step. */
typedef void (*sw_profile_more)(const sw_profile *profile, const sw_profile_step *step, sw_json_writer *w);
/* The members of a JSON object that describe the profile: machine, totals, steps. `more` may be NULL. */
void sw_profile_json(const sw_profile *profile, sw_profile_more more, sw_json_writer *w);

#endif
