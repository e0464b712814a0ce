/* Fast convolutions: NHWC maps of float32, bfloat16 or float16, sums in float32, epilogue fused, weights packed once.
 *
 * A tactic is one way to run a convolution on one instruction set. It refuses a shape with a reason, or names the bytes of its
 * packed weights and scratch, packs, and runs. All are listed in tactics.inc, in order of preference among equals; each is
 * checked against the reference kernel. */
#ifndef SLIPWAY_KERNELS_CONV_CONV_H
#define SLIPWAY_KERNELS_CONV_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "slipway/tensor.h"

/* X(id, text): what happens to a sum s before it is stored; a and b are parameters. */
#define SW_ACT_LIST(X)                                                                                                 \
    X(NONE, "none")               /* s */                                                                              \
    X(RELU, "relu")               /* max(s, 0) */                                                                      \
    X(LEAKY, "leaky")             /* s, or a * s below 0 */                                                            \
    X(SILU, "silu")               /* s / (1 + exp(-s)) */                                                              \
    X(SIGMOID, "sigmoid")         /* 1 / (1 + exp(-s)) */                                                              \
    X(HARDSWISH, "hardswish")     /* s * clamp(s / 6 + 0.5, 0, 1) */                                                   \
    X(HARDSIGMOID, "hardsigmoid") /* clamp(a * s + b, 0, 1) */                                                         \
    X(CLIP, "clip")               /* clamp(s, a, b) */                                                                 \
    X(GELU, "gelu")               /* s / 2 * (1 + erf(s / sqrt(2))) */

typedef enum sw_act {
#define SW_ACT_ENUM(id, text) SW_ACT_##id,
    SW_ACT_LIST(SW_ACT_ENUM)
#undef SW_ACT_ENUM
        SW_ACT_COUNT
} sw_act;

enum { SW_CONV_TILE = 4 };

/* Element (n, y, x, c) of a map lies at data[((n * height + y) * width + x) * pitch + c]. A map may be a slice of the channels
 * of a wider one: nothing outside its own channels may be written, and reads past them must not influence results. */
typedef struct sw_conv {
    int64_t batch, height, width, in_channels; /* input */
    int64_t out_height, out_width, out_channels;
    int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int64_t groups;                              /* divides both channel counts; in_channels of them is depthwise */
    int64_t in_pitch, out_pitch, residual_pitch; /* elements from pixel to pixel */
    int64_t residual_shift; /* on GPUs: a pixel of the residual's map is for 2^shift x 2^shift of the output */
    int64_t in_shift;       /* on GPUs, for 1 x 1: the same of the input, whose height and width are those of its map */
    /* Where `batch` does not tell pictures apart: pixels are of so many pictures in turn. 0: of one. */
    int64_t turns;
    bool out_planar; /* the output is row-major float32, and has no residual; out_pitch is from channel to channel */
    bool in_planar; /* the input is row-major float32, as pictures come: [batch][in_channels][height][width] */
    /* 0, or the planar input, of three channels and one group, comes as bytes instead, [batch][height][width][3], each to be
     * divided by this. Read during runs only. */
    float in_divisor;
    sw_dtype in_type, out_type; /* SW_F32, SW_BF16 or SW_F16; the residual has the type of the output */
    bool rough;                 /* maps are float32, but products may round their factors to bfloat16 */
    sw_act act;
    float act_a, act_b;
    bool residual;            /* another map of the output's shape is added ... */
    bool residual_before_act; /* ... to the sum, else to the activated result */
    /* NULL: the whole map is wanted. Else, for a batch of one, a byte for each tile of SW_CONV_TILE x SW_CONV_TILE pixels of
     * the output, by rows: tiles of 0 need not be computed, and tactics may write anything there. Read during runs only. */
    const uint8_t *wanted;
} sw_conv;

typedef struct sw_conv_tactic {
    const char *name;  /* "direct-6x16", "winograd-f43" ...: stable, stands in timing caches */
    uint32_t features; /* SW_CPU_* that it needs */
    /* NULL when it can run the shape, else why not. */
    const char *(*refuse)(const sw_conv *c);
    /* The packed form depends on types, channels, kernel, stride, groups and activation only, not on extents, batch or
     * pitches. */
    size_t (*packed_bytes)(const sw_conv *c);
    /* weights: out_channels, in_channels / groups, kernel_h, kernel_w; bias: out_channels, or NULL. `packed` is aligned
     * to 64. */
    void (*pack)(const sw_conv *c, const float *weights, const float *bias, void *packed);
    size_t (*scratch_bytes)(const sw_conv *c, int threads); /* for all threads of the pool together */
    /* Maps are aligned to their elements only; `scratch` to 64. `residual` is NULL unless c->residual; it may be the output map
     * itself. */
    void (*run)(const sw_conv *c, const void *packed, const void *in, const void *residual, void *out, void *scratch,
                sw_pool *pool);
    /* Estimated cycles on one core, for choosing without timing. */
    double (*cost)(const sw_conv *c);
    /* Multiply-adds in float32 that it does for each one of the definition, for reports: Winograd's are fewer, a pair of
     * bfloat16 counts as one, 16 of AMX (a tile of 16 x 16 x 32 in 16 cycles) as well. 0 stands for 1. */
    double work;
} sw_conv_tactic;

/* Bytes of an element of a map. */
static inline int64_t sw__map_bytes(sw_dtype type) {
    return type == SW_F32 ? 4 : 2;
}
/* Its place in tables of functions, of SW__MAP_KINDS. */
enum { SW__MAP_KINDS = 3 };
static inline int sw__map_kind(sw_dtype type) {
    return type == SW_F32 ? 0 : type == SW_BF16 ? 1 : 2;
}

/* A product of rows of `depth` elements by a matrix, as a convolution of 1 x 1 over one row of pixels; float32. */
sw_conv sw_conv_of_rows(int64_t rows, int64_t depth, int64_t columns);

/* How many tactics there are. */
enum {
    SW_CONV_TACTICS = 0
#define SW_CONV_TACTIC(id) +1
#include "kernels/conv/tactics.inc"
#undef SW_CONV_TACTIC
};

/* All tactics, ending with NULL; whether this CPU can run one is sw_cpu_features() against its `features`. */
extern const sw_conv_tactic *const sw_conv_tactics[];
/* The tactic of that name, whatever this CPU can; NULL: there is none. */
const sw_conv_tactic *sw_conv_find(const char *name);
/* Whether it can run here and takes the shape. */
bool sw_conv_accepts(const sw_conv_tactic *tactic, const sw_conv *c);
/* The cheapest by cost that runs here and accepts; never NULL, since plain C accepts every shape. */
const sw_conv_tactic *sw_conv_choose(const sw_conv *c);

#endif
