/* Inside of programs: shared by the files gpu*.c only. */
#ifndef SLIPWAY_ENGINE_GPU_PROGRAM_H
#define SLIPWAY_ENGINE_GPU_PROGRAM_H

#include "engine/gpu.h"

#include <pthread.h>
#include <stdatomic.h>

/* What stays on a GPU for all shapes and all sessions of a plan, until the last of them ends. Whoever finds a place empty
 * fills it, with `lock` held; a place that was filled stays as it is. */
typedef struct sw_gpu_store {
    const sw_plan *plan;
    int index, sessions;
    struct sw_gpu_store *next;
    pthread_mutex_t lock;
    _Atomic sw_cu_pointer *weights;   /* by step and form */
    _Atomic sw_cu_pointer *constants; /* by value: rows of the plan, as float32 and as halves */
    atomic_llong bytes;
} sw_gpu_store;

/* The store of gpu->plan on this GPU, made when it is the first session's; SW_E_NOMEM. Any thread. */
SW_MUST_USE sw_status sw__gpu_store_open(struct sw_gpu *gpu, sw_gpu_store **store);
void sw__gpu_store_close(struct sw_gpu *gpu, sw_gpu_store *store); /* takes NULL; the GPU is the thread's */

enum { SW_GPU_MAX_OTHERS = 7 };
/* In place of a pair's kernel: two kernels. Beyond all tiles. */
#define SW_GPU_APART ((sw_cuda_kernel)(SW_CUDA_KERNELS + (1 << 20)))
/* A tile that was measured to be the best for a convolution; pair: a kernel for it and `second` behind it, or SW_GPU_APART. */
typedef struct sw_gpu_tuned {
    sw_conv conv, second;
    bool pair;
    sw_cuda_kernel tile;
    sw_cuda_kernel others[SW_GPU_MAX_OTHERS]; /* that are nearly as good */
    int n_others;
    sw_cuda_kernel alone; /* the best in a chain of itself */
    sw_cuda_kernel own;   /* the best that is no library's */
    bool known;           /* `tile` is the best in the network, too, or the only one */
    bool tried;           /* all of them were tried there */
} sw_gpu_tuned;

/* A way of a library to run a convolution: number SW_CUDA_KERNELS + its place among all of them. */
typedef struct sw_gpu_tactic {
    sw_conv conv;
    char name[SW_CUDA_TACTIC_NAME];
    sw_cuda_tactic *made; /* NULL: not yet */
    bool refused;
} sw_gpu_tactic;

struct sw_gpu {
    sw_plan *plan;
    sw_cuda *cuda;
    const sw_allocator *allocator;
    sw_gpu_store *store;
    sw_gpu_tuned *tuned;
    size_t n_tuned, cap_tuned;
    sw_gpu_tactic **tactics; /* of libraries */
    size_t n_tactics, cap_tactics;
    bool told;            /* that one of them cannot be had */
    bool tunes;           /* programs that are built are going to be tuned */
    const sw_tensor **in; /* room for the ports of a step */
    sw_tensor **out, *ports;
};

/* Nodes from `first` on, up to `end`: a graph, or (graph NULL) one node on the CPU. */
typedef struct sw_gpu_segment {
    int first, end;
    sw_cu_graph_exec graph;
} sw_gpu_segment;

/* Weights of a step as a kernel wants them; `turn`: from those of a product. */
typedef struct sw_gpu_packing {
    int32_t step;
    sw_conv conv;
    sw_cuda_form form;
    bool turn;
} sw_gpu_packing;

struct sw_gpu_program {
    sw_instance *instance;
    sw_gpu_node *nodes;
    int n_nodes;
    int32_t *roots;    /* by value: whose memory on the GPU it lies in */
    int64_t *channels; /* and from which channel on */
    int32_t *homes;    /* by value: the map whose channels it is; of maps that share the memory of rows, not the root */
    uint8_t *forms, *native; /* by root: SW_GPU_FLOAT, SW_GPU_HALF, and which of them its node writes */
    bool *turned;            /* by value: rows that share the memory of a map */
    bool floats;             /* there are no halves */
    sw_cu_pointer *bound;    /* the same of constants that follow from the shapes; 0: not there yet */
    int64_t *offsets;        /* by root: bytes in `memory`; -1: not on the GPU */
    bool *from_cpu, *to_cpu; /* by value: made, or wanted, by the CPU */
    uint64_t *before;        /* by node: bits of the nodes that have ended before it begins */
    int words;               /* of such a row */
    int32_t *waits;          /* by node, n_nodes each: nodes on other streams that it waits for, -1 ends */
    sw_cuda_launch *launches;
    size_t n_launches, cap_launches;
    sw_gpu_packing *packings; /* wanted, before there is memory */
    size_t n_packings, cap_packings;
    int n_streams;
    sw_cu_stream streams[SW_GPU_MAX_STREAMS];
    sw_cu_pointer workspaces[SW_GPU_MAX_STREAMS]; /* of libraries: what runs on a stream runs one after the other */
    int64_t workspace_bytes[SW_GPU_MAX_STREAMS];
    sw_cu_pointer *old_workspaces; /* that larger ones replaced */
    size_t n_old_workspaces, cap_old_workspaces;
    sw_cu_event *events; /* by node */
    sw_gpu_segment *segments;
    int n_segments;
    sw_cu_pointer memory, staging;
    int64_t memory_bytes, staging_bytes;
    void *host_staging;               /* pinned */
    float **outputs;                  /* by output: pinned host memory */
    struct sw_gpu_program_ends *ends; /* NULL: not wanted yet, or `no_ends` says why not */
    const char *no_ends;
};

enum { SW_GPU_MAX_ROUNDS = 1000 };
double sw__gpu_median(double *times, int n); /* sorts */

/* The tensor that a value is on the GPU, as its node writes it; data NULL before memory is planned. */
sw_tensor sw__gpu_tensor(const sw_gpu *gpu, const sw_gpu_program *program, int32_t value);
/* The same in one of its forms. */
sw_tensor sw__gpu_form(const sw_gpu *gpu, const sw_gpu_program *program, int32_t value, int form);

/* gpu_types.c: rows as float32, as halves, or both. PLAIN: wanted in float32 first. */
enum { SW_GPU_FLOAT = 1, SW_GPU_HALF = 2, SW_GPU_PLAIN = 4 };
static inline sw_dtype
sw__gpu_half(const struct sw_gpu *gpu) { /* the type of halves; of products of rows in any case */
    return gpu->cuda->info.cell == SW_CUDA_BF16 ? SW_BF16 : SW_F16;
}
void sw__gpu_choose_types(sw_gpu *gpu, sw_gpu_program *program);
/* What a node takes or gives at a port of its own; the call is that of its step. */
sw_cuda_rows sw__gpu_rows_of(const sw_gpu_program *p, const sw_gpu_node *node, const sw_call *call, bool out, int i);
int64_t sw__gpu_bytes(const sw_gpu_program *p, int32_t root);    /* of memory */
int64_t sw__gpu_float_at(const sw_gpu_program *p, int32_t root); /* bytes of its halves, which are before */
/* The launch that makes the other form of a value; false: there is none. */
bool sw__gpu_convert(const sw_gpu *gpu, const sw_gpu_program *p, int32_t value, sw_cuda_launch *l);
/* gpu_upload.c: what stays on the GPU. Weights are only listed before the program has memory; then all are taken there side by
 * side, together with the making of host memory for outputs; from then on one by one. */
SW_MUST_USE sw_status sw__gpu_upload_weights(sw_gpu *gpu, sw_gpu_program *program, int32_t step, const sw_conv *conv,
                                             sw_cuda_form form, bool turn, const sw_diag *diag);
SW_MUST_USE sw_status sw__gpu_upload_all(sw_gpu *gpu, sw_gpu_program *program, const sw_diag *diag);
void sw__gpu_free_output(const sw_gpu *gpu, sw_gpu_program *program, int output); /* its host memory, if it has any */
SW_MUST_USE sw_status sw__gpu_upload_constant(sw_gpu *gpu, const sw_gpu_program *program, int32_t value, int form,
                                              const sw_diag *diag);
/* Where it is in the store's constants and in `bound`. */
static inline size_t sw__gpu_constant(int32_t value, int form) {
    return 2 * (size_t)value + (form == SW_GPU_HALF);
}
_Atomic sw_cu_pointer *sw__gpu_weights_of(const sw_gpu *gpu, int32_t step, sw_cuda_form form);
sw_status sw__gpu_cpu_only(const sw_diag *diag); /* fails: the plan has no weights as they were */
/* Launches of a node. `why` is set when there are none to be had. Data pointers are those of sw__gpu_tensor. */
SW_MUST_USE sw_status sw__gpu_lower_node(sw_gpu *gpu, sw_gpu_program *program, sw_gpu_node *node,
                                         sw_cuda_launch *launches, int *n, const char **why, const sw_diag *diag);
SW_MUST_USE sw_status sw__gpu_add_launches(sw_gpu *gpu, sw_gpu_program *p, const sw_cuda_launch *launches, int n);
/* Libraries. The names of their tactics for a convolution become tiles: *n, at most SW_GPU_MOST_TACTICS. */
enum { SW_GPU_MOST_TACTICS = SW_CUDA_LIBRARIES * SW_CUDA_MOST_TACTICS };
SW_MUST_USE sw_status sw__gpu_library_tiles(sw_gpu *gpu, const sw_conv *conv, sw_cuda_kernel *tiles, int *n);
/* The tile of a tactic by name, made; when it cannot be had, *tile stays as it is, and that is told once. */
SW_MUST_USE sw_status sw__gpu_library_tile(sw_gpu *gpu, const sw_conv *conv, const char *name, const sw_diag *diag,
                                           sw_cuda_kernel *tile);
/* The tile of the same choice for a convolution that tiles are chosen alike for; false when it cannot be had. */
bool sw__gpu_has_tactic(sw_gpu *gpu, const sw_conv *conv, sw_cuda_kernel *tile);
/* Makes side by side what sw__gpu_make_tactic would one after the other: tiles that differ, and those that the plan names for
 * nodes of a program. What fails, or is not reached, is left to that. */
SW_MUST_USE sw_status sw__gpu_make_tactics(sw_gpu *gpu, const sw_cuda_kernel *tiles, size_t n, int64_t deadline);
SW_MUST_USE sw_status sw__gpu_make_planned_tactics(sw_gpu *gpu, sw_gpu_program *program);
SW_MUST_USE sw_status sw__gpu_make_tactic(sw_gpu *gpu, sw_cuda_kernel tile, const sw_diag *diag);
static inline bool sw__gpu_is_library(sw_cuda_kernel tile) {
    return tile >= SW_CUDA_KERNELS;
}
const char *sw__gpu_tile_name(const sw_gpu *gpu, sw_cuda_kernel tile);
/* The kernel itself, or the one that takes the place of a library which is not there. */
sw_cuda_kernel sw__gpu_kernel_for(const sw_gpu *gpu, sw_cuda_kernel tile);
/* As sw_cuda_launch_conv, with tiles of libraries, which must be made; without workspace yet. */
void sw__gpu_launch_conv(const sw_gpu *gpu, const sw_conv *conv, sw_cuda_form form, sw_cuda_kernel tile, const void *in,
                         const void *packed, const void *residual, void *out, sw_cuda_launch *launch);
/* Gives workspace to a launch that is to run on a stream, and to all launches. When it grows, graphs captured before are
 * void. */
SW_MUST_USE sw_status sw__gpu_lend_workspace(sw_gpu *gpu, sw_gpu_program *program, int stream, sw_cuda_launch *launch,
                                             const sw_diag *diag);
SW_MUST_USE sw_status sw__gpu_lend_workspaces(sw_gpu *gpu, sw_gpu_program *program, const sw_diag *diag);
/* Loads the kernel of a launch; tactics of libraries are made before. */
SW_MUST_USE sw_status sw__gpu_load(sw_gpu *gpu, const sw_cuda_launch *launch, const sw_diag *diag);

/* Streams, edges and ancestors of all nodes with launches. */
SW_MUST_USE sw_status sw__gpu_schedule(sw_gpu *gpu, sw_gpu_program *program);
static inline bool sw__gpu_is_before(const sw_gpu_program *p, int a, int b) { /* node a has ended before b begins */
    return p->before[(size_t)b * p->words + a / 64] >> (a % 64) & 1;
}
/* Records launches [first, end) of nodes on their streams, forked from the first stream and joined to it. */
SW_MUST_USE sw_status sw__gpu_record(sw_gpu *gpu, sw_gpu_program *program, int first, int end, const sw_diag *diag);
SW_MUST_USE sw_status sw__gpu_launch(sw_gpu *gpu, const sw_cuda_launch *launch, sw_cu_stream stream, bool programmatic,
                                     const sw_diag *diag);
/* A graph of all launches between: captured on the program's first stream. `status`: of the launches; when it is no success, or
 * the graph cannot be made, *graph stays as it is. */
SW_MUST_USE sw_status sw__gpu_begin_graph(sw_gpu *gpu, sw_gpu_program *program, const sw_diag *diag);
SW_MUST_USE sw_status sw__gpu_end_graph(sw_gpu *gpu, sw_gpu_program *program, sw_status status, const sw_diag *diag,
                                        sw_cu_graph_exec *graph);
typedef struct sw_gpu_program_ends sw_gpu_program_ends;
void sw__gpu_program_ends_destroy(sw_gpu *gpu, sw_gpu_program_ends *ends); /* takes NULL */
/* Copies all outputs that the GPU makes to the host, but for one (-1: none); they are there when the stream is done. */
SW_MUST_USE sw_status sw__gpu_copy_outputs(sw_gpu *gpu, sw_gpu_program *program, int except, const sw_diag *diag);
/* The description of a convolution node, as it runs on the GPU. */
sw_status sw__gpu_conv(sw_gpu *gpu, const sw_gpu_program *program, const sw_gpu_node *node, sw_conv *conv);
bool sw__gpu_same_conv(const sw_conv *a, const sw_conv *b); /* for the choice of a tile */
/* Two convolutions that one kernel may do. The key of their times; the kernels that do it, and SW_GPU_APART behind them (n 0:
 * there are none; room for SW_CUDA_KERNELS + 1), by name; the one that is to run. */
void sw__gpu_pair_key(const sw_conv *first, const sw_conv *second, char key[SW_GPU_PAIR_KEY]);
int sw__gpu_pair_candidates(const sw_gpu *gpu, const sw_conv *first, const sw_conv *second, sw_cuda_kernel *kernels);
const char *sw__gpu_pair_name(sw_cuda_kernel kernel);
sw_cuda_kernel sw__gpu_choose_pair(const sw_gpu *gpu, const sw_conv *first, const sw_conv *second);
/* Joins pairs of nodes that run as one; `open`: all that might, with memory for the map between them, so that tuning has the
 * choice. The places of values are settled. */
SW_MUST_USE sw_status sw__gpu_find_pairs(sw_gpu *gpu, sw_gpu_program *program, bool open);
/* A convolution of the plan as a node of its own. */
sw_gpu_node sw__gpu_conv_node(const sw_gpu *gpu, int32_t step);
/* Both convolutions of a pair, and their launches: one, or (SW_GPU_APART) two. */
SW_MUST_USE sw_status sw__gpu_pair(sw_gpu *gpu, const sw_gpu_program *program, const sw_gpu_node *node, sw_conv *first,
                                   sw_conv *second);
SW_MUST_USE sw_status sw__gpu_lower_pair(sw_gpu *gpu, sw_gpu_program *program, const sw_gpu_node *node,
                                         sw_cuda_kernel kernel, sw_cuda_launch *launches, int *n, const sw_diag *diag);
/* Makes launches and graphs anew, with the tiles that are chosen now. */
SW_MUST_USE sw_status sw__gpu_capture(sw_gpu *gpu, sw_gpu_program *program, const sw_diag *diag);

#endif
