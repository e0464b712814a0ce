/* From a model file to a plan: the build side (libslipway, which holds all of libslipway-rt, too).
 *
 * Any thread may build; each call stands alone. */
#ifndef SLIPWAY_BUILD_H
#define SLIPWAY_BUILD_H

#include "slipway/plan.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Shapes of an input: each dim from min to max, opt being the usual one that tactics are chosen for. */
typedef struct sw_shape_range {
    const char *input; /* its name; NULL: the only one */
    int rank;
    int64_t min[SW_MAX_RANK], opt[SW_MAX_RANK], max[SW_MAX_RANK]; /* 1 <= min <= opt <= max */
} sw_shape_range;

/* How kernels are chosen by timing them on this machine, for the opt shapes of the first profile; open dims of pictures count
 * as one picture of the size in the model's metadata. The numbers of `level`, from 0 (by estimate, nothing is timed) to 5
 * (everything that can run, many times); 3 is a good one. */
typedef struct sw_tuning {
    size_t struct_size; /* sizeof the struct; 0: that of version 1 */
    int level;
    int threads;              /* that the plan will run with; 0: all CPUs that the process may use */
    double seconds;           /* of tuning at most, beyond one run of each kernel and network; 0: as long as it takes */
    double max_weight_growth; /* packed weights of convolutions take at most so many times their bytes; 0: no limit */
    const char *timing_cache; /* a file; NULL: the user's cache folder; "": none */
    void (*progress)(void *ctx, int done, int total); /* may be NULL */
    void *progress_ctx;
    bool no_libraries; /* of GPUs: cuDNN and cuBLASLt are not tried */
    /* They run convolutions only where the network takes so many percent less with them, since plans that hold them load
     * slower; 0: 1 */
    double library_gain;
} sw_tuning;

/* Zeroed: the defaults. */
typedef struct sw_build_options {
    size_t struct_size; /* sizeof the struct; 0: that of version 1 */
    /* What shapes sessions may bind. Dims that are a single number are fixed in the plan. The n-th range of an input
     * belongs to the n-th profile; an input without a range keeps the model's dims, which must be fixed then. None:
     * what the model says. */
    const sw_shape_range *shapes;
    int n_shapes;
    /* Instead of shapes: the batches that sessions may bind, the first dim of every input, which must be open in the
     * model; open sides of pictures become those of the metadata. Zeroed: what the model says. */
    int64_t batch_min, batch_opt, batch_max;
    /* What maps between convolutions are stored as: SW_F32 (or SW_DTYPE_NONE, the default) or SW_BF16, which halves
     * their bytes and is computed by AVX512-BF16 where the CPU has it, or SW_F16, which halves them, too. Inputs, outputs
     * and the layers that write them stay as they are. On GPUs SW_F16 (the default) or, from SM 8.0 on, SW_BF16, with
     * float32 sums; or SW_F32, which takes about twice as long there. */
    sw_dtype precision;
    bool tf32; /* on GPUs, with SW_F32: convolutions may round their factors to TF32 (10 bits of mantissa) */
    bool best_precision;     /* instead: the faster of both, timed here */
    const sw_tuning *tuning; /* NULL: kernels are chosen by estimate */
    /* As in sw_session_options: where the plan shall run. For a GPU, tiles of tensor cores are what is timed, on that GPU,
     * and the plan belongs to it; without `tuning`, times that an earlier build left in the user's cache folder are used. */
    const char *device;
    bool any_of_sm; /* with a GPU: the plan runs on others of its SM, too */
    bool strict, trust_code; /* `path` is a plan: as in sw_load_options */
    bool with_code;          /* tuned for a GPU: the plan holds the compiled kernels, for machines without NVRTC */
} sw_build_options;

/* Zeroed: the defaults. */
typedef struct sw_plan_save_options {
    size_t struct_size; /* sizeof the struct; 0: that of version 1 */
    bool portable; /* no packed weights: each CPU chooses tactics and packs when it loads */
    bool strip;    /* no weights at all: `slipway refit` puts them back */
} sw_plan_save_options;

/* Reads a trained model (its kind is told by content, not by name: ONNX, TensorFlow Lite, OpenVINO IR, or a PyTorch
 * checkpoint of Ultralytics or YOLOv5), runs the passes and lowers it for the CPU; a plan file is loaded as it is. SW_E_IO,
 * SW_E_MODEL, SW_E_UNSUPPORTED, SW_E_NOMEM with a message. The caller gets one reference to the plan. */
SW_MUST_USE sw_status sw_plan_build(const char *path, const sw_diag *diag, sw_plan **plan);
/* The same with options (zeroed: the defaults); with shapes, from a model only. SW_E_USAGE for shapes that do not fit the
 * model. */
SW_MUST_USE sw_status sw_plan_build_with(const char *path, const sw_build_options *options, const sw_diag *diag,
                                         sw_plan **plan);
/* The same with only the plain kernels that all others are checked against; slow. */
SW_MUST_USE sw_status sw_plan_build_reference(const char *path, const sw_diag *diag, sw_plan **plan);

/* Writes a plan that was built (not one that was loaded, whose raw weights may be missing), for sw_plan_load. Chooses
 * tactics and packs weights for the profiles' opt shapes first, unless portable or input shapes are open; no session may
 * run meanwhile. `options` may be NULL. Same plan, same bytes. The file appears whole or not at all. SW_E_USAGE,
 * SW_E_IO, SW_E_LIMIT, SW_E_NOMEM with a message. */
SW_MUST_USE sw_status sw_plan_save(sw_plan *plan, const char *path, const sw_plan_save_options *options,
                                   const sw_diag *diag);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
