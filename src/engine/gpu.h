/* A plan on a GPU: what a session keeps there, and programs, which are instances made ready.
 *
 * Steps are grouped into nodes (several steps that one kernel does, or one step); a node runs on the GPU, or on the CPU where
 * there is no kernel for it, or does nothing because its result already lies where it belongs. Nodes on the GPU between two
 * on the CPU make one CUDA graph. */
#ifndef SLIPWAY_ENGINE_GPU_H
#define SLIPWAY_ENGINE_GPU_H

#include "backend/cpu/cpu.h"
#include "backend/cuda/ops.h"
#include "engine/instance.h"

typedef enum sw_gpu_kind {
    SW_GPU_STEP, /* the step's own kernels */
    SW_GPU_CONV,
    SW_GPU_PRODUCT,   /* of rows of halves with weights: as a convolution of 1x1 */
    SW_GPU_STEM,      /* a convolution that reads a picture in rows */
    SW_GPU_STEM_CONV, /* the same with the convolution behind it, whose step is the node's */
    SW_GPU_PAIR,      /* two convolutions that one kernel may do, the second one's step is the node's */
    SW_GPU_POOLS,     /* max pools in a row */
    SW_GPU_ATTENTION,
    SW_GPU_DECODE,     /* the head of YOLO 8 and 11 */
    SW_GPU_TURNS,      /* channels of two maps in turn: a join that is shuffled */
    SW_GPU_EXCITE,     /* squeeze and excite behind the mean, or behind its first convolution */
    SW_GPU_EXPRESSION, /* rows that are computed from several steps */
    SW_GPU_MEAN,       /* of each picture, as rows */
    SW_GPU_GEMM,       /* few rows, and the activation behind them */
    SW_GPU_ALIAS,      /* a reshaped value is its input */
    SW_GPU_CPU,
} sw_gpu_kind;

enum { SW_GPU_MAX_PORTS = 12, SW_GPU_MAX_STREAMS = 16 };

/* Values that a node reads and writes; what they mean goes with the kind:
 * PAIR the map and (or -1) what is added, then the result, and the map between the two if it may need memory; POOLS the map,
 * then each result; ATTENTION qkv, then the result and (or -1) the values as a map; DECODE boxes and scores of each level, then
 * minus, plus, strides; TURNS both maps, then the result; EXCITE the map, the mean or what the first convolution made of it,
 * then the result; EXPRESSION what is loaded, then results; MEAN the map, then rows; GEMM ports of the step, then the
 * activation's result. Others: ports of the step. */
typedef struct sw_gpu_expression sw_gpu_expression; /* gpu_expressions.h */
typedef struct sw_gpu_node {
    sw_gpu_kind kind;
    int32_t step; /* the main one: its name is the node's */
    int n_in, n_out;
    const int32_t *in, *out;
    int heads, dq, dv; /* ATTENTION */
    float scale;
    int levels, classes; /* DECODE */
    int32_t first;       /* STEM_CONV, PAIR: the step of the first */
    int32_t act;         /* GEMM: the step of the activation */
    int32_t convs[2];    /* EXCITE: steps, from `begin` on */
    int begin;
    int residual_shift;  /* CONV: in[3] is the map that the step's residual is an enlarged one of; as in sw_cuda_conv */
    const sw_gpu_expression *const *made; /* EXPRESSION: by output */
    bool bare;           /* CONV: without the step's activation and residual */
    int in_shift;        /* CONV: as in sw_cuda_conv; when it is not 0, ... */
    int32_t end;         /* ... the output, activation and residual are those of this step */
    const char *why;     /* CPU: why */
    /* set when a program is built */
    sw_cuda_kernel tile; /* CONV, PRODUCT: its kernel, of whatever form; from SW_CUDA_KERNELS on: a library's */
    const char *library; /* CONV, PRODUCT: the name of the library's tactic that runs it, the GPU's; NULL: none */
    int first_launch, n_launches;
    int stream; /* -1: no launches */
    bool waits; /* for other streams */
} sw_gpu_node;

/* Finds the nodes of a bound plan on a GPU, in order. They and their lists lie in the instance's arena. */
SW_MUST_USE sw_status sw_gpu_find_nodes(const sw_plan *plan, const sw_instance *instance, const sw_cuda_info *gpu,
                                        sw_gpu_node **nodes, int *n);

typedef struct sw_gpu sw_gpu;
typedef struct sw_gpu_program sw_gpu_program;

/* Opens GPU `index` for a plan. SW_E_UNSUPPORTED when the plan was built for another one. */
SW_MUST_USE sw_status sw_gpu_create(sw_plan *plan, int index, const sw_diag *diag, sw_gpu **gpu);
void sw_gpu_destroy(sw_gpu *gpu); /* takes NULL; programs first */
/* Programs that are built from now on are going to be tuned. */
void sw_gpu_set_tuning(sw_gpu *gpu);

/* Makes an instance ready. With `fallback` false a step without a kernel is an error: SW_E_UNSUPPORTED. */
SW_MUST_USE sw_status sw_gpu_build(sw_gpu *gpu, sw_instance *instance, bool fallback, const sw_diag *diag,
                                   sw_gpu_program **program);
void sw_gpu_program_destroy(sw_gpu *gpu, sw_gpu_program *program); /* takes NULL */

/* Steps that run on the CPU: whether there are any, and by step. */
bool sw_gpu_uses_cpu(const sw_gpu_program *program);
bool sw_gpu_step_on_cpu(const sw_gpu_program *program, size_t step);

/* Puts the code of all kernels that the program takes, and of those beside it, into its plan. */
SW_MUST_USE sw_status sw_gpu_keep_code(sw_gpu *gpu, const sw_gpu_program *program, const sw_diag *diag);

/* Runs once. Values of the instance that CPU steps read and graph outputs get host memory: outputs lie in the program.
 * `run_step` runs a step on the CPU. */
SW_MUST_USE sw_status sw_gpu_run(sw_gpu *gpu, sw_gpu_program *program, sw_status (*run_step)(void *ctx, size_t step),
                                 void *ctx, const sw_diag *diag);

/* Both ends of a detector as parts of programs: pictures in, boxes out, one graph. `pictures`: plans of one Letterbox
 * each, for RGB and for BGR; `boxes`: a plan of YoloDecode and Nms for the network's output `output`. */
typedef struct sw_gpu_ends sw_gpu_ends;
/* Why these plans cannot be ends, or NULL. */
const char *sw_gpu_ends_refuse(const sw_gpu *gpu, sw_plan *const pictures[2], const sw_plan *boxes);
/* Keeps references to the plans. */
SW_MUST_USE sw_status sw_gpu_ends_create(sw_gpu *gpu, sw_plan *const pictures[2], sw_plan *boxes, int output,
                                         const sw_diag *diag, sw_gpu_ends **ends);
void sw_gpu_ends_destroy(sw_gpu *gpu, sw_gpu_ends *ends); /* takes NULL */
/* Where a picture of this size lies on the network's input. */
sw_letterbox_fit sw_gpu_ends_fit(const sw_gpu_ends *ends, int64_t height, int64_t width);
/* Runs once on a picture, uint8 [height][width][3], fastest from pinned memory. *rows: detections x1 y1 x2 y2 score class
 * extra, memory of the program, valid until its next run; the other outputs lie in the program as after sw_gpu_run.
 * rows->data is NULL when this program cannot have ends (steps on the CPU, another kind of table): nothing was run. */
SW_MUST_USE sw_status sw_gpu_run_ends(sw_gpu *gpu, sw_gpu_program *program, sw_gpu_ends *ends, const sw_tensor *picture,
                                      int order, const sw_diag *diag, sw_tensor *rows);

/* Tells which operators run on the CPU, and why, in one sentence; nothing when there are none. */
void sw_gpu_tell_cuts(const sw_gpu *gpu, const sw_gpu_program *program, const sw_diag *diag);

/* What a program does. */
typedef struct sw_gpu_summary {
    int nodes, launches, cpu_steps, streams, graphs;
    int64_t memory, weights; /* bytes on the GPU */
    int compiled;            /* kernels that were not in the cache */
    double context_ms;       /* that the driver took to open the GPU */
} sw_gpu_summary;
sw_gpu_summary sw_gpu_summarize(const sw_gpu *gpu, const sw_gpu_program *program);
/* Milliseconds of a run of the graphs on the GPU without copies: the median of `rounds`. */
SW_MUST_USE sw_status sw_gpu_time(sw_gpu *gpu, sw_gpu_program *program, int rounds, const sw_diag *diag, double *ms);
/* Milliseconds of copying the inputs of the last run to the GPU, and the outputs back: medians. */
SW_MUST_USE sw_status sw_gpu_time_copies(sw_gpu *gpu, sw_gpu_program *program, int rounds, const sw_diag *diag,
                                         double *in_ms, double *out_ms);
/* Milliseconds of each node alone: chains of it with the edges that it has in the graph. By node; nodes from sw_gpu_nodes. */
SW_MUST_USE sw_status sw_gpu_time_nodes(sw_gpu *gpu, sw_gpu_program *program, const sw_diag *diag, double *ms);
/* What a node runs: the tile of a convolution, or what kind of kernel; "on the CPU". */
const char *sw_gpu_kernel_name(const sw_gpu_node *node);
const sw_gpu_node *sw_gpu_nodes(const sw_gpu_program *program, int *n);
/* Where two times of a tile, in nanoseconds, are kept between tunings; a convolution by its key (sw_cpu_conv_key). */
typedef struct sw_gpu_times {
    bool (*find)(void *ctx, const char *conv, const char *tile, int64_t ns[2]);
    sw_status (*add)(void *ctx, const char *conv, const char *tile, const int64_t ns[2]);
    void (*progress)(void *ctx, int done, int total); /* convolutions; may be NULL */
    bool libraries;                                   /* cuDNN and cuBLASLt are tried, too */
    double library_gain; /* and stay where the network takes so many percent less: their plans load slower */
    double seconds; /* after which no other convolution is timed: its tile is chosen by estimate; 0: no limit */
    void *ctx;
} sw_gpu_times;

/* Stands in keys between a convolution and the network that its tile was chosen in. */
#define SW_GPU_IN_NETWORK " in "
enum { SW_GPU_PAIR_KEY = 2 * SW_CPU_KEY + 8 }; /* room for the key of two convolutions */
/* The tile that tuning found for the i-th convolution or pair, whose key is written to `key`; NULL beyond the last. */
const char *sw_gpu_tuned_tile(const sw_gpu *gpu, size_t i, char key[SW_GPU_PAIR_KEY]);
/* Times all tiles for each convolution, but for those that `times` (NULL: none) has, then those that are nearly the best in
 * the whole network, and takes the best; sw_gpu_build uses them from then on. */
SW_MUST_USE sw_status sw_gpu_tune(sw_gpu *gpu, sw_gpu_program *program, const sw_gpu_times *times, const sw_diag *diag);

#endif
