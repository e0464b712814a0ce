/* The CPU device, run side: which kernel runs a step. */
#ifndef SLIPWAY_BACKEND_CPU_H
#define SLIPWAY_BACKEND_CPU_H

#include "ops/op.h"

/* Runs one step on the calling thread and call->pool. SW_E_UNSUPPORTED where no kernel exists. */
SW_MUST_USE sw_status sw_cpu_run(const sw_call *call);

#endif
