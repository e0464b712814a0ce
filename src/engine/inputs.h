/* Inputs to try a plan with: for choosing tactics, timing, profiling. */
#ifndef SLIPWAY_ENGINE_INPUTS_H
#define SLIPWAY_ENGINE_INPUTS_H

#include "engine/plan.h"

/* Height and width out of the metadata of Ultralytics: "[416, 416]", "640"; false for other texts, NULL and sides beyond
 * 16,384. */
bool sw_meta_size(const char *imgsz, int64_t size[2]);

/* The shapes that tactics are chosen for: the first profile's opt, or the declared dims; false when some are open. `inputs`:
 * room for all; their data is there, but holds nothing: binding looks at shapes only. */
bool sw_plan_usual_inputs(const sw_plan *plan, sw_tensor *inputs);
/* Sets open dims of pictures (rank 4, channels first): one picture of the size in the metadata. False when dims stay open. */
bool sw_plan_assume_inputs(const sw_plan *plan, sw_tensor *inputs);

/* Gives a concrete tensor memory of the arena: noise in [0, 1) for float32, zeros for what may be indices. SW_E_NOMEM,
 * SW_E_LIMIT. */
SW_MUST_USE sw_status sw_tensor_fill(sw_arena *arena, sw_tensor *tensor);

#endif
