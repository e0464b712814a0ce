/* Demand: what a caller will read of an output, so that the rest need not be computed.
 *
 * Detectors look at the box of an anchor only where the score of one of its classes passes their threshold. Scores do not
 * depend on boxes: the steps that only boxes need run last, and their convolutions compute what the wanted anchors depend on,
 * tile by tile. Everything that is read is the same to the bit as without. */
#ifndef SLIPWAY_ENGINE_DEMAND_H
#define SLIPWAY_ENGINE_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "slipway/status.h"

/* Of an output 1 x rows x columns of float32, rows first .. first + rows - 1 are read, and the other rows of those columns only
 * in which one of these is above `above`. What the others hold then means nothing. No rows: no demand, all is read. */
typedef struct sw_demand {
    int output;
    int64_t first, rows;
    float above;
} sw_demand;

/* Whether both read the same rows; their thresholds may differ. */
bool sw_demand_alike(const sw_demand *a, const sw_demand *b);

/* Where that was found in an instance. */
typedef struct sw_demanded sw_demanded;

struct sw_instance;
struct sw_plan;
/* Orders the steps of a bound instance, before its memory is planned: those first that the scores and other outputs need.
 * Leaves order and demanded alone where nothing can be gained, or where a step between mixes columns. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_demand_find(const struct sw_plan *plan, struct sw_instance *instance, const sw_demand *demand,
                                     const sw_allocator *allocator);
/* Lets the convolutions know where they find what is wanted; after they were prepared. */
void sw_demand_connect(struct sw_instance *instance);
/* The threshold of the runs from now on. */
void sw_demand_above(struct sw_instance *instance, float above);
/* Finds out what is wanted, from the scores of the run. */
void sw_demand_look(struct sw_instance *instance);
/* What a step need compute, as sw_call.columns has it; NULL: all. */
const uint8_t *sw_demand_of_step(const struct sw_instance *instance, size_t step);
/* Whether a convolution computes only what is wanted. */
bool sw_demand_cuts(const struct sw_instance *instance, size_t step);
/* Sets the byte of each column to 1 where one of its scores (rows of `columns` floats) is above `above`, else to 0. */
void sw_demand_columns(const float *scores, int64_t rows, int64_t columns, float above, uint8_t *wanted);

#endif
