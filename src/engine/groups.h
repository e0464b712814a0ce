/* Batches picture by picture. Runs of steps that treat each picture of a batch alike go through them for a few pictures at a
 * time, so that what only they read and write stays in the caches: such values have memory for those few only.
 *
 * A value of the instance that stays within a group has that many pictures in its dims; others have all. */
#ifndef SLIPWAY_ENGINE_GROUPS_H
#define SLIPWAY_ENGINE_GROUPS_H

#include "engine/instance.h"

/* Finds groups, and cuts the dims of values within them. After all shapes are bound, before memory is planned. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_groups_find(const sw_plan *plan, sw_instance *instance, int threads);

/* The group that a step is in; NULL: none. */
const sw_group *sw_group_of(const sw_instance *instance, size_t step);

/* The call of a step for one round of its group; without a group, `round` is 0. `in`, `out`: room for as many as a step has;
 * `slices`: room for twice that, which the call refers to. Data is where sw_instance_place put it. */
sw_call sw_instance_call(sw_instance *instance, const sw_plan *plan, size_t step, int64_t round, const sw_tensor **in,
                         sw_tensor **out, sw_tensor *slices, const sw_diag *diag);

#endif
