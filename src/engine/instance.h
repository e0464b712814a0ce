/* An instance: a plan bound to concrete input shapes (design 2, "Shapes"). */
#ifndef SLIPWAY_ENGINE_INSTANCE_H
#define SLIPWAY_ENGINE_INSTANCE_H

#include "base/pool.h"
#include "engine/demand.h"
#include "engine/plan.h"

/* Where a value's data is during a run. */
typedef enum sw_place {
    SW_PLACE_NONE,    /* nobody needs it, or it stays within a chain */
    SW_PLACE_CONST,   /* in the plan */
    SW_PLACE_INPUT,   /* the caller's */
    SW_PLACE_BOUND,   /* computed while binding, in the instance */
    SW_PLACE_PLANNED, /* at an offset in the session's block */
    SW_PLACE_DYNAMIC, /* allocated during the run: its shape depends on data */
} sw_place;

/* Steps first .. end, but for those that are skipped, go through the batch in rounds of so many pictures (engine/groups.h). */
typedef struct sw_group {
    size_t first, end;
    int64_t rounds, pictures;
} sw_group;

/* Steps that run strip by strip (engine/chains.h). */
typedef struct sw_chain sw_chain;

typedef struct sw_instance {
    sw_arena *arena;
    sw_tensor *values; /* by value of the plan; the data of planned ones is set by sw_instance_place */
    sw_place *places;
    int64_t *offsets;       /* of planned values */
    bool *skip;             /* by step: done while binding */
    int32_t *roots;         /* by value: whose memory it lies in; itself where the plan's view cannot be used */
    int64_t *channels;      /* and, of a map, from which channel on */
    int64_t *inner;         /* bytes from the beginning of the root's memory */
    sw_prepared *prepared;  /* by step */
    int32_t *order;         /* of the steps */
    size_t n_early;         /* of them, those that run before it is known what is wanted; all without a demand */
    sw_demand demand;       /* that it was bound for */
    sw_demanded *demanded;  /* NULL: all is wanted */
    int64_t batch;          /* pictures (engine/pictures.h); 0: not known */
    int64_t *turns;         /* by value: how many elements, by rows, are of one picture before those of the next */
    sw_group *groups;
    int n_groups;
    int32_t *groups_of;     /* by value: the group that alone touches it, and whose pictures it has room for; -1 */
    sw_chain *chains;
    int n_chains;
    int64_t scratch_offset; /* in the block, for the steps that need scratch */
    int64_t block_bytes;
    char *block; /* that the data pointers are set for */
    uint64_t last_used;
} sw_instance;

/* The same in every run of it: constants, what follows from the shapes, and weights that a plan file holds packed only, which
 * have no place (nor have maps within chains, once these are found). */
static inline bool sw_instance_is_const(const sw_instance *instance, int32_t value) {
    return instance->places[value] <= SW_PLACE_CONST || instance->places[value] == SW_PLACE_BOUND;
}

/* Binds for a pool of so many threads (0: the caller prepares the steps that run on the CPU). `inputs`: as
 * sw_session_run. `demand`: NULL for all outputs as they are. `within`: the plan is a graph within another one. SW_E_INPUT when
 * they do not fit the plan, SW_E_MODEL from shape rules. */
SW_MUST_USE sw_status sw_instance_create(const sw_plan *plan, const sw_tensor *inputs, int threads,
                                         const sw_demand *demand, bool within, const sw_diag *diag,
                                         const sw_allocator *allocator, sw_instance **instance);
void sw_instance_destroy(sw_instance *instance); /* takes NULL */
/* Makes the steps ready that `wanted` (NULL: all) tells to run on the CPU. */
SW_MUST_USE sw_status sw_instance_prepare(sw_instance *instance, const sw_plan *plan, int threads,
                                          bool (*wanted)(const void *ctx, size_t step), const void *ctx,
                                          const sw_diag *diag);
/* Whether the weights of a product or convolution are the plan's own, so that they may be packed once; true of others. */
bool sw_instance_has_weights(const sw_instance *instance, const sw_plan *plan, const sw_step *step);
bool sw_instance_fits(const sw_instance *instance, const sw_plan *plan, const sw_tensor *inputs);
/* Points planned values into a block of at least block_bytes. */
void sw_instance_place(sw_instance *instance, const sw_plan *plan, char *block);

/* The call of a step over the values of an instance; `in` and `out` hold room for its inputs and outputs. */
sw_call sw_step_call(const sw_step *step, sw_tensor *values, const sw_tensor **in, sw_tensor **out,
                     const sw_diag *diag);
/* The most inputs and outputs of any step. */
int sw_plan_max_ports(const sw_plan *plan);

#endif
