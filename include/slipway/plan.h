/* Plans and sessions: the run side (libslipway-rt).
 *
 * A plan is an immutable list of steps with their constants; sessions run it. */
#ifndef SLIPWAY_PLAN_H
#define SLIPWAY_PLAN_H

#include "slipway/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sw_plan sw_plan;
typedef struct sw_session sw_session;

/* Name and declared type of an input or output; dims may be unknown (negative). Owned by the plan. */
typedef struct sw_port {
    const char *name;
    sw_tensor type; /* data NULL */
} sw_port;

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
    int threads;          /* 0: all CPUs that the process may use */
    int64_t memory_limit; /* bytes of tensors that a run may hold; 0: the memory of the machine (or its cgroup) */
} sw_session_options;

/* A session belongs to one thread at a time. It keeps a reference to the plan. `options` may be NULL. */
SW_MUST_USE sw_status sw_session_create(sw_plan *plan, const sw_session_options *options, const sw_diag *diag,
                                        sw_session **session);
void sw_session_destroy(sw_session *session); /* takes NULL */

/* Runs once. `inputs`: one concrete tensor per input of the plan, in its order, types as declared; they are read only
 * during the call. `outputs`: filled with one view per output, into memory of the session that stays valid until the
 * next run or the session's end. SW_E_INPUT when an input does not fit: the message names it, expected and found. */
SW_MUST_USE sw_status sw_session_run(sw_session *session, const sw_tensor *inputs, sw_tensor *outputs);

#ifdef __cplusplus
}
#endif
#endif
