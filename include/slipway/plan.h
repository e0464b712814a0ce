/* Plans and sessions: the run side (libslipway-rt).
 *
 * A plan is an immutable list of steps with their constants; sessions run it. */
#ifndef SLIPWAY_PLAN_H
#define SLIPWAY_PLAN_H

#include "slipway/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct sw_plan sw_plan;
typedef struct sw_session sw_session;

/* Name and declared type of an input or output; dims may be unknown (negative). Owned by the plan. */
typedef struct sw_port {
    const char *name;
    sw_tensor type; /* data NULL */
} sw_port;

typedef struct sw_load_options {
    size_t struct_size; /* sizeof the struct; 0: that of version 1 */
    bool strict; /* refuse a plan that was tuned on another model of CPU, where a warning would do */
    /* Compiled GPU kernels in the plan may be run: say so only of plans from whom you trust, since nothing can be checked but
     * that their bytes are as they were written. Else kernels are compiled here, or come from the user's cache folder. */
    bool trust_code;
} sw_load_options;

/* Reads a plan file (.slip): its weights are used where they lie, so the file must stay as it is while the plan lives.
 * `options` may be NULL. SW_E_MODEL for what is no plan or a broken one, SW_E_UNSUPPORTED for one of another format or
 * for instruction sets that are not here; SW_E_NOMEM; with a message. The caller gets one reference to the plan. */
SW_MUST_USE sw_status sw_plan_load(const char *path, const sw_load_options *options, const sw_diag *diag,
                                   sw_plan **plan);

/* Plans are shared between sessions and threads by reference count. */
sw_plan *sw_plan_ref(sw_plan *plan);
void sw_plan_unref(sw_plan *plan); /* takes NULL */

int sw_plan_inputs(const sw_plan *plan);
int sw_plan_outputs(const sw_plan *plan);
const sw_port *sw_plan_input(const sw_plan *plan, int i);
const sw_port *sw_plan_output(const sw_plan *plan, int i);
/* Metadata of the model (Ultralytics: names, stride, task ...); NULL when there is no such key. */
const char *sw_plan_meta(const sw_plan *plan, const char *key);

typedef struct sw_session_options {
    size_t struct_size;   /* sizeof the struct; 0: that of version 1 */
    int threads;          /* 0: all CPUs that the process may use */
    int64_t memory_limit; /* bytes of tensors that a run may hold; 0: the memory of the machine (or its cgroup) */
    /* "cpu" (NULL is the same), "cuda", "cuda:N", or "auto": a GPU where there is one, else the CPU, with a message. A GPU
     * computes in float16 with float32 sums; steps that it has no kernel for run on the CPU. */
    const char *device;
    bool no_fallback; /* such a step is an error: SW_E_UNSUPPORTED */
    bool tune;        /* on a GPU: time the variants of each convolution when a shape is first seen (a second or two) */
} sw_session_options;

/* A session belongs to one thread at a time. It keeps a reference to the plan. `options` may be NULL. */
SW_MUST_USE sw_status sw_session_create(sw_plan *plan, const sw_session_options *options, const sw_diag *diag,
                                        sw_session **session);
void sw_session_destroy(sw_session *session); /* takes NULL */

/* Runs once. `inputs`: one concrete tensor per input of the plan, in its order, types as declared; they are read only
 * during the call. `outputs`: filled with one view per output, into memory of the session that stays valid until the
 * next run or the session's end. SW_E_INPUT when an input does not fit: the message names it, expected and found. */
SW_MUST_USE sw_status sw_session_run(sw_session *session, const sw_tensor *inputs, sw_tensor *outputs);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
