/* From steps of a plan to launches of kernels.
 *
 * On the GPU a channels-last float32 value of the plan is a map of halves (float16, or all of them bfloat16): its pitch is a
 * multiple of 8, and so is the first of its channels; the channels after the last, up to a multiple of 8, are finite.
 * Row-major values stay what they are.
 * Calls have GPU addresses as `data` (NULL while one only asks whether a step is taken). */
#ifndef SLIPWAY_BACKEND_CUDA_OPS_H
#define SLIPWAY_BACKEND_CUDA_OPS_H

#include "backend/cuda/cuda.h"
#include "backend/cuda/kernels/args.h"
#include "backend/cuda/library.h"
#include "kernels/conv/conv.h"
#include "ops/fused_attention.h"
#include "ops/letterbox.h"
#include "ops/op.h"

/* A convolution that a library runs: numbers of kernels from SW_CUDA_KERNELS on. `conv` is as a kernel would have it. */
typedef struct sw_cuda_library_conv {
    sw_cuda_conv conv;
    const sw_cuda_tactic *tactic;
    void *workspace;
} sw_cuda_library_conv;

/* One kernel, ready to be launched. */
typedef struct sw_cuda_launch {
    sw_cuda_kernel kernel;
    int grid_x, grid_y, shared_bytes;
    union {
        sw_cuda_conv conv;
        sw_cuda_library_conv library;
        sw_cuda_stem_conv stem_conv;
        sw_cuda_pair pair;
        sw_cuda_pool pool;
        sw_cuda_resize resize;
        sw_cuda_relayout relayout;
        sw_cuda_copy copy;
        sw_cuda_element_map element_map;
        sw_cuda_softmax softmax;
        sw_cuda_matmul matmul;
        sw_cuda_few_rows few_rows;
        sw_cuda_dfl dfl;
        sw_cuda_mean mean;
        sw_cuda_expression expression;
        sw_cuda_excite excite;
        sw_cuda_attention attention;
        sw_cuda_decode decode;
        sw_cuda_convert convert;
        sw_cuda_letterbox letterbox;
        sw_cuda_boxes boxes;
        sw_cuda_reduce reduce;
        sw_cuda_norm norm;
        sw_cuda_affine affine;
        sw_cuda_pad pad;
        sw_cuda_shuffle shuffle;
        sw_cuda_channel_shuffle channel_shuffle;
        sw_cuda_topk topk;
        sw_cuda_pick pick;
        sw_cuda_typed typed;
        sw_cuda_grid grid;
        sw_cuda_resize_rows resize_rows;
        sw_cuda_lstm lstm;
        sw_cuda_channels channels;
        sw_cuda_tokens tokens;
        sw_cuda_product product;
        sw_cuda_gather gather;
        sw_cuda_attention_rows attention_rows;
    } args;
} sw_cuda_launch;

enum { SW_CUDA_MAX_LAUNCHES = 64 }; /* of a step */

/* How the weights of a convolution lie: for tensor cores, depthwise, stem, or plain. */
typedef enum sw_cuda_form {
    SW_CUDA_FORM_TILES,
    SW_CUDA_FORM_DEPTHWISE,
    SW_CUDA_FORM_STEM,
    SW_CUDA_FORM_PLAIN,
    SW_CUDA_FORMS
} sw_cuda_form;

/* The form in which a convolution of maps runs. */
sw_cuda_form sw_cuda_conv_form(const sw_conv *conv);
/* Bytes of the packed weights, and of the bias behind them (at a multiple of 16): in float32, then in halves. */
size_t sw_cuda_packed_bytes(const sw_conv *conv, sw_cuda_form form, sw_cuda_cell cell, size_t *bias_at);
void sw_cuda_pack(const sw_conv *conv, sw_cuda_form form, sw_cuda_cell cell, const float *weights, const float *bias,
                  void *packed);

const void *sw_cuda_half_bias(const sw_cuda_conv *conv); /* of packed weights */

/* The cheapest tile by estimate, and all that fit into `tiles` (room for SW_CUDA_KERNELS; returns how many). */
sw_cuda_kernel sw_cuda_conv_choose(const sw_conv *conv, const sw_cuda_info *gpu);
int sw_cuda_conv_candidates(const sw_conv *conv, const sw_cuda_info *gpu, sw_cuda_kernel *tiles);

double sw_cuda_conv_ns(const sw_conv *conv, const sw_cuda_info *gpu); /* estimated nanoseconds with that tile */

/* A convolution in a form; `tile` for FORM_TILES. `in`: planes for FORM_STEM. */
void sw_cuda_launch_conv(const sw_conv *conv, sw_cuda_form form, sw_cuda_kernel tile, const sw_cuda_info *gpu,
                         const void *in, const void *packed, const void *residual, void *out, sw_cuda_launch *launch);

/* Whether a stem and the convolution behind it have a kernel of their own on this GPU, and its launch. */
bool sw_cuda_has_stem_conv(const sw_conv *stem, const sw_conv *conv, const sw_cuda_info *gpu);
void sw_cuda_launch_stem_conv(const sw_conv *stem, const sw_conv *conv, const sw_cuda_info *gpu, const void *in,
                              const void *stem_packed, const void *packed, void *out, sw_cuda_launch *launch);

/* Two convolutions, of which the second reads the first one's result and nobody else does: the kernels that do both at once
 * (into `kernels`, room for SW_CUDA_KERNELS; returns how many; 0: none fits), and estimated nanoseconds of one of them. */
int sw_cuda_pair_candidates(const sw_conv *first, const sw_conv *second, const sw_cuda_info *gpu,
                            sw_cuda_kernel *kernels);
double sw_cuda_pair_ns(const sw_conv *first, const sw_conv *second, sw_cuda_kernel kernel, const sw_cuda_info *gpu);
/* residual: of the second one; may be `in` itself. */
void sw_cuda_launch_pair(const sw_conv *first, const sw_conv *second, sw_cuda_kernel kernel, const sw_cuda_info *gpu,
                         const void *in, const void *first_packed, const void *second_packed, const void *residual,
                         void *out, sw_cuda_launch *launch);

/* Types that rows on the GPU may have: float32, int64, int32, uint8, bool; float16 between casts and outputs. */
bool sw_cuda_has_type(sw_dtype dtype);
/* Whether input i of an operator is read on the GPU, and not by the host: shapes, axes, scales. */
bool sw_cuda_is_operand(sw_op op, int i, const sw_tensor *t);

/* Row-major float32 values of the plan may be halves on the GPU (their tensors then have the type SW_F16 or SW_BF16). What a
 * step takes at port i, where the plan has float32: float32 only, any of both, halves only. */
typedef enum sw_cuda_rows { SW_CUDA_ROWS_FLOAT, SW_CUDA_ROWS_ANY, SW_CUDA_ROWS_HALF } sw_cuda_rows;
sw_cuda_rows sw_cuda_rows_of(const sw_call *call, bool out, int i);
/* Whether it passes on what it reads, element by element: such a step before an output computes in float32. */
bool sw_cuda_rows_pass(const sw_call *call);
/* Between both, all elements in a row. */
void sw_cuda_convert_rows(const sw_tensor *in, const sw_tensor *out, sw_cuda_launch *launch);

enum { SW_CUDA_MOST_FEW = 16 }; /* rows of products that take a warp a column, in float32 */

/* A product of rows with a matrix of weights: MatMul, Gemm or FusedProduct; as a convolution of 1x1 whose in_type is
 * that of halves, even where there are none, for sw_cuda_launch_conv with FORM_TILES. */
bool sw_cuda_is_product(const sw_call *call);
bool sw_cuda_is_few(const sw_call *call); /* it is better left to the kernels for few rows */
SW_MUST_USE sw_status sw_cuda_describe_product(const sw_call *call, sw_dtype halves, sw_conv *conv);

/* Launches of a step; convolutions of maps are refused here. Returns why it is refused, or NULL. */
const char *sw_cuda_lower(const sw_call *call, sw_cuda_cell cell, sw_cuda_launch *launches, int *n);

/* A product of few rows whose result `act` (NULL: nothing) is applied to; false when it has another kernel. */
bool sw_cuda_lower_few_rows(const sw_call *gemm, const sw_call *act, sw_cuda_launch *launch);
/* The mean of each picture of a map: a map, or (rows > 0) so many float32 a picture. */
void sw_cuda_launch_mean(const sw_tensor *map, void *out, int64_t out_pitch, int64_t rows, sw_cuda_launch *launch);

/* Squeeze and excite: by which of both convolutions the kernel begins, -1: neither. */
int sw_cuda_excite_begin(const sw_conv convs[2], const sw_tensor *map, const sw_cuda_info *gpu);
/* `squeezed`: the mean, or what the first convolution made of it; packed: as FORM_TILES, of both or the second alone. */
void sw_cuda_launch_excite(const sw_conv convs[2], int begin, const sw_tensor *map, const sw_tensor *squeezed,
                           const void *const packed[2], const sw_tensor *out, sw_cuda_launch *launch);

/* As kernels number them: the function of a step of one operand, which is known; the operator of a step of two, -1: none. */
bool sw_cuda_activation(const sw_call *call, int *act, float *a, float *b);
int sw_cuda_binary(sw_op op);
/* Blocks for so many elements of a box. */
int sw_cuda_expression_blocks(int64_t count);

/* Two maps of equally many channels that take turns. */
void sw_cuda_launch_interleave(const sw_tensor *a, const sw_tensor *b, const sw_tensor *out, sw_cuda_launch *launch);

/* Grids of the fused ones; the caller has filled in the arguments. */
void sw_cuda_launch_pool_chain(sw_cuda_launch *launch, sw_cuda_cell cell);
void sw_cuda_launch_attention(sw_cuda_launch *launch, int dq, int dv, int batch, const sw_cuda_info *gpu);
void sw_cuda_launch_decode(sw_cuda_launch *launch, int batch, sw_cuda_cell cell);
/* Whether there is an attention kernel for these depths. */
bool sw_cuda_has_attention(int64_t dq, int64_t dv);
/* Bytes of dynamic shared memory that a block may have. */
int sw_cuda_most_shared(const sw_cuda_info *gpu);

/* Both ends of a detector. The place of a picture of `height` x `width` pixels on a canvas; bytes for it, by the canvas. */
size_t sw_cuda_picture_bytes(int64_t height, int64_t width);
void sw_cuda_place_picture(const sw_letterbox_fit *fit, int64_t height, int64_t width, bool swap, int pad,
                           sw_cuda_picture *picture);
void sw_cuda_launch_letterbox(sw_cuda_launch *launch);
/* What YoloDecode and Nms with these attributes make of the table; returns why there is no kernel for it, or NULL. */
const char *sw_cuda_describe_boxes(const sw_call *decode, const sw_call *nms, const sw_tensor *table,
                                   const sw_cuda_info *gpu, sw_cuda_boxes *boxes);
/* Bytes of the lists of candidates (the first 4 of them zeros at the beginning); places them from `at` on (NULL: nowhere). */
size_t sw_cuda_boxes_bytes(sw_cuda_boxes *boxes, char *at);
enum { SW_CUDA_BOXES_LAUNCHES = 4 };
/* Returns how many there are. */
int sw_cuda_launch_boxes(const sw_cuda_boxes *boxes, sw_cuda_launch launches[SW_CUDA_BOXES_LAUNCHES]);

/* A map from (to_map) or to dense float32 pixels. */
void sw_cuda_launch_convert(sw_cuda_launch *launch, bool to_map);

#endif
