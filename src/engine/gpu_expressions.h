/* Rows that one kernel computes from several steps: steps that move elements (joins, slices, turns, maps as rows) or compute
 * each by itself, between values that are there before and one that is wanted. Private to engine/. */
#ifndef SLIPWAY_ENGINE_GPU_EXPRESSIONS_H
#define SLIPWAY_ENGINE_GPU_EXPRESSIONS_H

#include "engine/gpu.h"

/* One term of the sum that stands for an element, in postfix order: a load, or what is done with what was loaded. */
typedef struct sw_gpu_term {
    int code, more;                                  /* as in sw_cuda_term */
    int32_t value;                                   /* of a load */
    int64_t at, pixel_at;                            /* where it begins, in elements and (of maps) pixels */
    int64_t step[CUDA_BOX_AXES], pixel[CUDA_BOX_AXES]; /* along the axes of the value that the box is of */
    int64_t bin;                                     /* of distributions: elements from bin to bin */
    float a, b;
} sw_gpu_term;

/* A part of a value whose elements come alike. */
typedef struct sw_gpu_box {
    int64_t from[CUDA_BOX_AXES], size[CUDA_BOX_AXES];
    int n, depth; /* terms; of the stack */
    sw_gpu_term *terms;
} sw_gpu_box;

struct sw_gpu_expression {
    int rank, n, steps; /* boxes; steps that would have launches of their own */
    sw_gpu_box *boxes;
};

/* Looks at the steps that are neither taken nor (kind STEP or ALIAS) part of another node; groups of them become one node of
 * kind EXPRESSION each, the others of a group are taken. SW_E_NOMEM. */
SW_MUST_USE sw_status sw__gpu_find_expressions(const sw_plan *plan, const sw_instance *instance, bool *taken,
                                               sw_gpu_node *nodes);

/* Launches of such a node, at most SW_CUDA_MAX_LAUNCHES; returns why there are none, or NULL. */
const char *sw__gpu_lower_expression(const sw_gpu *gpu, const sw_gpu_program *program, const sw_gpu_node *node,
                                     sw_cuda_launch *launches, int *n);

#endif
