/* Where the pictures of a batch lie in the values of an instance: products whose kernels mix rows (kernels/conv/strassen.inc)
 * then mix those of one picture only, and its results do not depend on what else is in the batch.
 *
 * Elements of a value, by rows, are of the pictures in turn: so many of the first one, so many of the second, and so on,
 * perhaps again and again: tokens of [T, N, C] change the picture with every C elements, those of [N, T, C] with every T C.
 * Followed from the inputs, whose first axis is the batch, through the operators that treat pictures alike; behind others it
 * is not known. */
#ifndef SLIPWAY_ENGINE_PICTURES_H
#define SLIPWAY_ENGINE_PICTURES_H

#include "engine/instance.h"

enum { SW_PICTURES_UNKNOWN = 0, SW_PICTURES_NONE = -1 }; /* NONE: the same for all pictures, as constants are */

/* Sets the instance's batch and `turns`. After all shapes are bound, before groups cut them. `within`: the plan is a graph
 * within another one, whose inputs tell nothing. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_pictures_find(const sw_plan *plan, sw_instance *instance, bool within);

/* Tells the call of a product how its first input, value `value`, changes pictures; `pictures`: how many it holds. */
void sw_pictures_tell(const sw_instance *instance, int32_t value, int64_t pictures, sw_call *call);

#endif
