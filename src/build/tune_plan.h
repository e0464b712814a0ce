/* The tuner over a plan: finds kinds, times them with a session, sets tactics. */
#ifndef SLIPWAY_BUILD_TUNE_PLAN_H
#define SLIPWAY_BUILD_TUNE_PLAN_H

#include "engine/plan.h"
#include "slipway/build.h"

/* Chooses the tactics of a plan that was just lowered and is not shared yet. Where nothing can be timed (input shapes are
 * open, the network fails on noise) the cost model's choices stay, with a message. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_plan_tune(sw_plan *plan, const sw_tuning *tuning, const sw_diag *diag);

#endif
