/* The tuner of tiles on a GPU: what sw_plan_tune is on the CPU. */
#ifndef SLIPWAY_BUILD_TUNE_GPU_H
#define SLIPWAY_BUILD_TUNE_GPU_H

#include "engine/plan.h"
#include "slipway/build.h"

/* Gives a plan that was just lowered the best tiles for its convolutions on the GPU options->device, and names that GPU in
 * it. With tuning, times that the cache lacks are measured, for the usual shapes; without, only what the cache has is used,
 * and where there is no GPU nothing happens, which is for sessions to tell. For "auto" without a GPU: nothing, with a message
 * when there is tuning. SW_E_UNSUPPORTED with a sentence, SW_E_NOMEM. */
SW_MUST_USE sw_status sw_plan_tune_gpu(sw_plan *plan, const sw_build_options *options, const sw_diag *diag);

#endif
