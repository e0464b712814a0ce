/* Row-major values that lie in the memory of others, found when shapes are bound: reshaped ones are their input; joins and
 * splits along an axis with nothing but ones before it cost nothing; maps that are flattened and joined (the levels of a
 * head) are written where the join wants them. */
#ifndef SLIPWAY_ENGINE_ROW_VIEWS_H
#define SLIPWAY_ENGINE_ROW_VIEWS_H

#include "engine/instance.h"

/* Sets roots and inner offsets of row-major values, and the pitch of those that are written into a wider join. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_row_views_find(const sw_plan *plan, sw_instance *instance, const sw_allocator *allocator);

/* Convolutions of 1x1 whose map only a relayout reads write its rows, and the relayout is skipped. After demands and chains are
 * found, before memory is planned. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_row_views_write(const sw_plan *plan, sw_instance *instance, const sw_allocator *allocator);

#endif
