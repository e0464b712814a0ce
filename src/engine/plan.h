/* The plan in memory, and how one is put together. build/ makes plans from graphs; vision/ makes small ones for
 * pre- and post-processing. Design 3. */
#ifndef SLIPWAY_ENGINE_PLAN_H
#define SLIPWAY_ENGINE_PLAN_H

#include <stdatomic.h>

#include "backend/cpu/cpu.h"
#include "backend/cuda/cuda.h"
#include "base/arena.h"
#include "ops/op.h"
#include "slipway/plan.h"

/* Values are numbered by order of adding; -1 stands for an absent input or an output that nobody wants. */
typedef struct sw_step {
    sw_op op;
    const sw_attr *attrs;
    const char *name;   /* of the node, for messages and profiles */
    const char *tactic; /* by name; NULL: the cost model chooses when shapes are bound */
    int n_in, n_out;
    const int32_t *in, *out;
} sw_step;

/* Where a map lies: channels from `channel` on of another value's memory, or (root == its own number) in memory of
 * its own. */
typedef struct sw_view {
    int32_t root;
    int64_t channel;
} sw_view;

/* Smallest, usual and largest extent of a dim. */
typedef struct sw_extent {
    int64_t min, opt, max;
} sw_extent;

/* How long a tactic took for a step, or why it was not timed: what `inspect --tactics` shows. */
typedef struct sw_tactic_time {
    int32_t step;
    const char *tactic;
    int64_t ns;         /* -1: not timed */
    const char *reason; /* why not, or NULL */
} sw_tactic_time;

struct sw_plan {
    atomic_int refs;
    const sw_allocator *allocator;
    sw_arena *arena;
    sw_port *values; /* type.data is set for constants */
    size_t n_values, cap_values;
    sw_view *views; /* by value */
    size_t cap_views;
    bool reference;  /* steps run their reference kernels */
    sw_packs *packs; /* weights in the form that kernels want, made when first needed */
    sw_step *steps;
    size_t n_steps, cap_steps;
    int32_t *inputs, *outputs;
    int n_inputs, n_outputs;
    const char **meta; /* key, value, key, value ... */
    size_t n_meta, cap_meta;
    /* How the plan came to be, key, value, ...: model, its hash, options, device, timing cache; not the model's metadata. */
    const char **receipt;
    const char *source; /* the model's path; NULL: not known */
    size_t n_receipt, cap_receipt;
    sw_extent *profiles; /* n_profiles x n_inputs x SW_MAX_RANK; what shapes sessions may bind; none: any */
    int n_profiles;
    sw_tactic_time *times;
    size_t n_times, cap_times;
    /* The GPU that tiles were chosen on, NULL: none; what tile each convolution of one description takes there (pairs). */
    const char *gpu;
    int gpu_sm;
    sw_dtype gpu_type; /* of maps on GPUs: SW_BF16, SW_F32, else float16 */
    bool gpu_tf32;     /* with SW_F32: products may round their factors to TF32 */
    bool any_of_sm; /* other GPUs of that SM may run it, too */
    const char **gpu_tiles;
    size_t n_gpu_tiles, cap_gpu_tiles;
    sw_cuda_code *gpu_codes; /* of the kernels that it takes there, for machines without NVRTC */
    size_t n_gpu_codes, cap_gpu_codes;
    uint32_t features; /* SW_CPU_* without which it does not run; 0 for plans that were not loaded */
    bool loaded, stripped, portable;
    bool whole_maps; /* no chains (engine/chains.h): they were slower where the plan was tuned */
};

/* Building: create, add in order (a step may read only values added before), set inputs and outputs, share. Not
 * thread-safe until then. Adders copy everything but constant data, which must live as long as the plan
 * (sw_arena_cleanup on plan->arena can see to that). */
sw_plan *sw_plan_create(const sw_allocator *allocator); /* one reference; NULL when out of memory */
SW_MUST_USE sw_status sw_plan_add_value(sw_plan *plan, const char *name, const sw_tensor *type, int32_t *id);
/* `attrs`: the operator's n_attrs values, NULL for the defaults. */
SW_MUST_USE sw_status sw_plan_add_step(sw_plan *plan, sw_op op, const char *name, const sw_attr *attrs, int n_in,
                                       const int32_t *in, int n_out, const int32_t *out);
/* Lets a channels-last value be channels of another, which may be added later: both must be of the plan in the
 * end. */
void sw_plan_set_view(sw_plan *plan, int32_t value, int32_t root, int64_t channel);
SW_MUST_USE sw_status sw_plan_set_ports(sw_plan *plan, const int32_t *inputs, int n_in, const int32_t *outputs,
                                        int n_out);
/* Chooses the tactic of a step (copied): of a convolution, one of sw_conv_tactics. Where it does not run or refuses a
 * shape, the cost model chooses. */
SW_MUST_USE sw_status sw_plan_set_tactic(sw_plan *plan, size_t step, const char *name);
SW_MUST_USE sw_status sw_plan_add_meta(sw_plan *plan, const char *key, const char *value);

/* `extents` (copied): n_profiles x n_inputs x SW_MAX_RANK, after the ports are set. */
SW_MUST_USE sw_status sw_plan_set_profiles(sw_plan *plan, const sw_extent *extents, int n_profiles);
/* The file that the plan is built of (copied): its checksum goes into the receipt when the plan is saved. */
SW_MUST_USE sw_status sw_plan_set_source(sw_plan *plan, const char *path);
SW_MUST_USE sw_status sw_plan_add_receipt(sw_plan *plan, const char *key, const char *value);
const char *sw_plan_receipt(const sw_plan *plan, const char *key);                 /* NULL: no such key */
SW_MUST_USE sw_status sw_plan_add_time(sw_plan *plan, const sw_tactic_time *time); /* copied */

SW_MUST_USE sw_status sw_plan_set_gpu(sw_plan *plan, const char *name, int sm, bool any_of_sm);
/* A convolution by sw_cpu_conv_key (as it lies on the GPU), and the name of its tile. */
SW_MUST_USE sw_status sw_plan_add_gpu_tile(sw_plan *plan, const char *conv, const char *tile);
const char *sw_plan_gpu_tile(const sw_plan *plan, const char *conv); /* NULL: none was chosen */
SW_MUST_USE sw_status sw_plan_add_gpu_code(sw_plan *plan, const sw_cuda_code *code); /* copied */
size_t sw_plan_gpu_code_bytes(const sw_plan *plan);

/* What it holds of memory, about: itself, constants, packed weights (mapped files, too). Any thread. */
int64_t sw_plan_bytes(const sw_plan *plan);
/* By value: how many inputs of steps and outputs of the plan read it (`uses`, zeroed by the caller), and the step that writes
 * it, -1 for none. */
void sw_plan_readers(const sw_plan *plan, int32_t *uses, int32_t *makers);

/* Describes a plan as what an operator of `owner` runs; from then on, or when this fails, owner has `child`. */
SW_MUST_USE sw_status sw_plan_hold(sw_plan *owner, sw_plan *child, int n_in, int n_captured, const sw_body **body);

/* Sets an attribute by name in an array of the operator's attributes. */
sw_attr *sw_attrs_find(sw_op op, sw_attr *attrs, const char *name);

#endif
