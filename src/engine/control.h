/* If, Loop and Scan: operators that run the plans they hold. */
#ifndef SLIPWAY_ENGINE_CONTROL_H
#define SLIPWAY_ENGINE_CONTROL_H

#include "engine/plan.h"

/* What the graphs within a session's plan share with it. */
typedef struct sw_control_host {
    const sw_allocator *allocator;
    sw_pool *pool; /* borrowed */
    int64_t memory_limit;
    bool reference;
    sw_diag diag;
} sw_control_host;

/* The sessions of the graphs within one plan, each made when it first runs. As a session: one thread at a time. */
typedef struct sw_control sw_control;
sw_control *sw_control_create(const sw_control_host *host); /* NULL: out of memory */
void sw_control_destroy(sw_control *control);               /* takes NULL */

/* Runs a step of a control operator. Results go where out[].data points, if their shape is that of out[], or, where data is
 * NULL, into memory that call->resize gives. */
SW_MUST_USE sw_status sw_control_run(sw_control *control, const sw_call *call);

#endif
