/* Arguments of the GPU kernels, one struct each: read by the host (C) and by the kernel text (CUDA) alike.
 *
 * Maps are float16 and channels-last: element (n, y, x, c) at data[((n * height + y) * width + x) * pitch + c]; pointers to
 * them are multiples of 16 bytes, pitches and numbers of channels multiples of 8. Pitches count elements. `by_*` are the
 * magic numbers of sw_fast_div: ceil(2^32 / d), or 0 for d == 1; exact while numerator * d < 2^32. */
#ifndef SLIPWAY_CUDA_ARGS_H
#define SLIPWAY_CUDA_ARGS_H

/* As sw_act of kernels/conv/conv.h; a test compares them. */
enum {
    CUDA_ACT_NONE,
    CUDA_ACT_RELU,
    CUDA_ACT_LEAKY,
    CUDA_ACT_SILU,
    CUDA_ACT_SIGMOID,
    CUDA_ACT_HARDSWISH,
    CUDA_ACT_HARDSIGMOID,
    CUDA_ACT_CLIP,
    /* for steps of their own only */
    CUDA_ACT_GELU,
    CUDA_ACT_GELU_TANH,
    CUDA_ACT_EXP,
    CUDA_ACT_LOG,
    CUDA_ACT_SQRT,
    CUDA_ACT_RECIPROCAL,
    CUDA_ACT_SIN,
    CUDA_ACT_COS,
    CUDA_ACT_TANH,
    CUDA_ACT_ERF,
    CUDA_ACT_NEG,
    CUDA_ACT_ABS,
    CUDA_ACT_FLOOR,
    CUDA_ACT_CEIL,
    CUDA_ACT_ROUND,
    CUDA_ACT_SIGN,
    CUDA_ACT_SOFTPLUS,
    CUDA_ACT_SOFTSIGN,
    CUDA_ACT_MISH,
    CUDA_ACT_ELU,
    CUDA_ACT_TAN,
    CUDA_ACT_ATAN,
};

/* A convolution of maps, or (conv_rows) of float32 planes with float32 weights as the model has them. Weights of maps:
 * [out_channels rounded up to 8][kernel_h][kernel_w][in_channels], halves, for depthwise [kernel_h][kernel_w][channels]; the
 * bias is float32. */
typedef struct sw_cuda_conv {
    const void *in, *weights, *bias, *residual; /* residual: another map of the output's shape, or NULL */
    void *out;
    int in_pitch, out_pitch, residual_pitch;
    int residual_shift; /* on tensor cores: each pixel of the residual stands for 2^shift x 2^shift of the output's */
    int in_shift;       /* the same of the input (conv.cu, direct.cu), for 1 x 1 without stride and pads */
    int height, width, in_channels, out_height, out_width, out_channels;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int pixels; /* of the output: batch * out_height * out_width */
    int act, residual_before_act;
    float act_a, act_b;
    int column_tiles;              /* blocks along the output channels */
    int chunks, row, plane, depth; /* patch.cu: eights of channels, of a row and a patch of it, of the depth */
    int tiles, tiles_across, tiles_down, step;
    int tile_width, tile_height, patch_width; /* held.cu; there depth, row (chunks) and plane (pixels) are its own */
    int rounds;                             /* stem: groups of pixels that a block takes in turn */
    int in_group, out_group, real_channels; /* conv_plain: channels of a group, and of the output without padding */
    unsigned by_out_width, by_out_height, by_in_channels, by_kernel_w, by_column_tiles, by_chunks;
    unsigned by_depth, by_tiles_across, by_tiles_down, by_tile_width, by_patch_width;
    long long in_plane; /* of float32 planes (stem, conv_plain): floats from one to the next; 0: a map */
    /* of rows: `pixels` of them; int32 where row i is read (below 0: zeros), and written (below 0: not), NULL: at i; whether
     * the result and what is added are float32, else halves */
    const void *in_rows, *out_rows;
    int out_float, residual_float;
} sw_cuda_conv;

/* The first two convolutions at once: a stem of 3 x 3 taps to 16 channels, whose out is not used, and what reads it. */
typedef struct sw_cuda_stem_conv {
    sw_cuda_conv stem, conv;
} sw_cuda_stem_conv;

/* Two convolutions at once; first.out is not used. pair: of 3 x 3 taps, stride 1 and pads of 1; depthwise_point: a depthwise,
 * and one of 1 x 1. */
typedef struct sw_cuda_pair {
    sw_cuda_conv first, second;
    int adds_map; /* the map itself is added; second.residual is NULL then */
    int tile_height, tile_width, tiles, tiles_across, tiles_down, step, middle_bytes, patch_bytes;
    int line, patch_width; /* depthwise_point: chunks of a pixel in shared memory, odd; pixels of a row of a patch */
    unsigned by_tiles_across, by_tiles_down, by_tile_width, by_middle_width, by_patch_width;
    unsigned by_depth, by_chunks;
} sw_cuda_pair;

/* Max pools: `rounds` times the same window of stride 1 (pool_chain; out[i] after i + 1 rounds), or one of any stride. */
enum { CUDA_MAX_ROUNDS = 4 };
typedef struct sw_cuda_pool {
    const void *in;
    void *out[CUDA_MAX_ROUNDS];
    int in_pitch, out_pitch[CUDA_MAX_ROUNDS];
    int batch, height, width, channels, out_height, out_width;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left, rounds;
    int pad_bottom, pad_right, count_pad; /* of means */
    int mean;                             /* pool_rows: not the largest */
} sw_cuda_pool;

/* Nearest upsampling as Resize with mode nearest, floor, asymmetric: source = floor(i * by). A copy with by 1. */
typedef struct sw_cuda_resize {
    const void *in;
    void *out;
    int in_pitch, out_pitch, batch, height, width, channels, out_height, out_width;
    float by_y, by_x;
} sw_cuda_resize;

/* `channels` of a map to another, from and to any of them, one by one; `zeros` more are set to 0. */
typedef struct sw_cuda_channels {
    const void *in;
    void *out;
    int in_pitch, out_pitch, channels, zeros;
    long long pixels;
} sw_cuda_channels;

/* Between rows (float32, N C H W) and channels-last maps. `channels` need not be a multiple of 8: the rest of the last 8 of
 * a map is written as zeros. */
typedef struct sw_cuda_relayout {
    const void *in;
    void *out;
    int pitch, batch, channels, pixels; /* of a picture */
} sw_cuda_relayout;

/* out[i0, i1, ...] = in[offset + i0 * stride0 + ...], elements of 1, 4 or 8 bytes; outputs have strides, too. */
enum { CUDA_MAX_RANK = 6 };
typedef struct sw_cuda_copy {
    const void *in;
    void *out;
    long long count;
    int rank;
    int dims[CUDA_MAX_RANK];
    long long in_stride[CUDA_MAX_RANK], out_stride[CUDA_MAX_RANK];
} sw_cuda_copy;

/* Element-wise on maps, 8 channels a thread. */
enum { CUDA_ADD, CUDA_SUB, CUDA_MUL, CUDA_DIV };
typedef struct sw_cuda_element_map {
    const void *a, *b; /* b NULL: `act` of a alone */
    void *out;
    int a_pitch, b_pitch, out_pitch, pixels, channels;
    int op, act, by_channel; /* by_channel: b has one pixel for each picture of `plane` pixels */
    int plane;
    float act_a, act_b;
} sw_cuda_element_map;

/* Rows of halves or float32 alike: element-wise, with any broadcast by strides, from and to any of both; with op CUDA_ADD ..
 * CUDA_DIV of a and b, then (or of a alone, b NULL) `act`, CUDA_ACT_NONE: a copy. Strides and dims in elements; the kernel for
 * eights takes a last axis whose dims are those of eights, with strides of 8 (in a row) or 0 (one element for all), and the
 * activations of convolutions. */
typedef struct sw_cuda_tokens {
    const void *a, *b;
    void *out;
    long long count; /* of elements, or of eights */
    int rank, op, act, a_float, b_float, out_float;
    int dims[CUDA_MAX_RANK];
    long long a_stride[CUDA_MAX_RANK], b_stride[CUDA_MAX_RANK], out_stride[CUDA_MAX_RANK];
    float act_a, act_b;
} sw_cuda_tokens;

/* Rows of `length` elements, a multiple of 8, halves or float32: out row i = in row places[i], int64, below 0: from the end of
 * `extent` on. */
typedef struct sw_cuda_gather {
    const void *in, *places;
    void *out;
    long long count; /* of eights */
    int length, extent, in_float, out_float;
} sw_cuda_gather;

/* The k first of the lanes of [outer][length][inner] float32 in falling order (smallest: rising): NaN is the largest, equal
 * ones stand in their own order. Values or places (int64) may be NULL. Of ArgMax and ArgMin: the place of the first one, or
 * the last. */
typedef struct sw_cuda_topk {
    const void *in;
    void *values, *places;
    int outer, length, inner, k, smallest, last;
} sw_cuda_topk;

/* out[i0, i1, ...] = in[i0 * in_stride0 + ... + place * axis_stride], place = places[i0 * place_stride0 + ...], int64, below
 * 0: from the end of the `extent` of the axis; narrow: int32. Elements of 1, 4 or 8 bytes. */
typedef struct sw_cuda_pick {
    const void *in, *places;
    void *out;
    long long count, axis_stride;
    int rank, extent, narrow;
    int dims[CUDA_MAX_RANK];
    long long in_stride[CUDA_MAX_RANK], place_stride[CUDA_MAX_RANK];
} sw_cuda_pick;

/* Element-wise on rows of any of these types, with any broadcast by strides; those that begin with CUDA_EQUAL give bools. */
enum { CUDA_F32, CUDA_I64, CUDA_BOOL, CUDA_I32, CUDA_U8, CUDA_F16 }; /* float16: of casts only */
enum {
    CUDA_MIN = CUDA_DIV + 1,
    CUDA_MAX,
    CUDA_MOD,  /* with the sign of the divisor */
    CUDA_FMOD, /* with that of the dividend */
    CUDA_POW,
    CUDA_PRELU,
    CUDA_WHERE,
    CUDA_CAST,
    CUDA_EQUAL,
    CUDA_LESS,
    CUDA_LESS_EQUAL,
    CUDA_GREATER,
    CUDA_GREATER_EQUAL,
    CUDA_AND,
    CUDA_OR,
    CUDA_XOR,
    CUDA_IS_NAN,
    CUDA_NOT,
};
typedef struct sw_cuda_typed {
    const void *in[3];
    void *out;
    long long count;
    int rank, op, n_in, out_type, types[3];
    int dims[CUDA_MAX_RANK];
    long long stride[3][CUDA_MAX_RANK];
} sw_cuda_typed;

/* GridSample of planes [batch][channels][height][width] at [batch][points][2] (x, y), to [batch][channels][points]. */
enum { CUDA_GRID_ZEROS, CUDA_GRID_BORDER, CUDA_GRID_REFLECTION };
typedef struct sw_cuda_grid {
    const void *in, *grid;
    void *out;
    int batch, channels, height, width, points;
    int nearest, corners, padding;
} sw_cuda_grid;

/* Resize of planes, nearest or linear; scales as sw_resize has them. */
enum {
    CUDA_COORDS_HALF_PIXEL,
    CUDA_COORDS_SYMMETRIC,
    CUDA_COORDS_PYTORCH,
    CUDA_COORDS_CORNERS,
    CUDA_COORDS_ASYMMETRIC
};
enum { CUDA_PREFER_FLOOR, CUDA_PREFER_CEIL, CUDA_FLOOR, CUDA_CEIL };
typedef struct sw_cuda_resize_rows {
    const void *in;
    void *out;
    int planes, height, width, out_height, out_width;
    int nearest, coords, rounding;
    float scale_x, scale_y;
} sw_cuda_resize_rows;

/* LSTM: w [directions][4 hidden][input], r [directions][4 hidden][hidden], bias [directions][8 hidden] (or NULL), gates in the
 * order input, output, forget, cell. Steps and batches in floats; states and results may be NULL. */
typedef struct sw_cuda_lstm {
    const void *x, *w, *r, *bias, *first_h, *first_c;
    void *y, *last_h, *last_c;
    int steps, input, hidden, reverse;
    long long x_step, x_batch, y_step, y_direction, y_batch, state_direction, state_batch;
} sw_cuda_lstm;

/* Over the lanes of [outer][length][inner] float32, one number for each: a warp takes a lane, or a thread a short one. */
enum { CUDA_SHORT_LANE = 32 };
enum { CUDA_REDUCE_SUM, CUDA_REDUCE_MEAN, CUDA_REDUCE_MAX, CUDA_REDUCE_MIN };
typedef struct sw_cuda_reduce {
    const void *in;
    void *out;
    int outer, length, inner, op;
} sw_cuda_reduce;

/* LayerNormalization of rows [rows][length] float32; bias may be NULL. norm_tokens: halves where not in_float, out_float. */
typedef struct sw_cuda_norm {
    const void *in, *scale, *bias;
    void *out;
    int rows, length;
    float epsilon;
    int in_float, out_float;
} sw_cuda_norm;

/* BatchNormalization of rows [batch][channels][inner] float32. */
typedef struct sw_cuda_affine {
    const void *in, *scale, *bias, *mean, *variance;
    void *out;
    long long count;
    int channels, inner;
    float epsilon;
} sw_cuda_affine;

/* Rows with `value` around them: `before` elements along each axis. */
typedef struct sw_cuda_pad {
    const void *in;
    void *out;
    long long count;
    int rank;
    int dims[CUDA_MAX_RANK], in_dims[CUDA_MAX_RANK], before[CUDA_MAX_RANK];
    float value;
} sw_cuda_pad;

/* PixelShuffle of a map: blocks of down x across pixels from channels; crops at the top and left; `channels` of the
 * output. */
typedef struct sw_cuda_shuffle {
    const void *in;
    void *out;
    int in_pitch, out_pitch, batch, height, width, out_height, out_width, channels, down, across, top, left;
} sw_cuda_shuffle;

/* ChannelShuffle of a map (other NULL), or of two groups that are maps; channels of the output, without padding. */
typedef struct sw_cuda_channel_shuffle {
    const void *in, *other;
    void *out;
    int in_pitch, other_pitch, out_pitch, channels, groups, pixels;
} sw_cuda_channel_shuffle;

/* Softmax along an axis of [outer][axis][inner] float32. */
typedef struct sw_cuda_softmax {
    const void *in;
    void *out;
    int outer, axis, inner;
} sw_cuda_softmax;

/* out[b] = alpha * A[b] B[b] + bias, float32 rows; strides in elements, 0 for what is broadcast. bias may be NULL. */
typedef struct sw_cuda_matmul {
    const void *a, *b, *bias;
    void *out;
    int batch, m, n, k;
    long long a_batch, a_row, a_column, b_batch, b_row, b_column, bias_row, bias_column;
    float alpha;
} sw_cuda_matmul;

/* out = act(alpha * a b + bias) of few rows: a [m][k], b [n][k] (FEW_ROWS_COLUMNS, k a multiple of 4) or [k][n], float32;
 * bias may be NULL. */
typedef struct sw_cuda_few_rows {
    const void *a, *b, *bias;
    void *out;
    int m, n, k, act;
    long long bias_row, bias_column;
    float alpha, act_a, act_b;
} sw_cuda_few_rows;

/* act(A B + bias) + residual for any rows [rows][depth] and float32 weights, depth or column by column: what tensor cores do
 * not take. residual and bias may be NULL. */
typedef struct sw_cuda_product {
    const void *a, *weights, *bias, *residual;
    void *out;
    int rows, columns, depth, weight_row, weight_column;
    int a_float, residual_float, out_float, act, residual_before_act;
    float act_a, act_b;
} sw_cuda_product;

/* Expected value of softmax over `bins` of [batch][sides][bins][anchors]: the distribution focal decoder. */
typedef struct sw_cuda_dfl {
    const void *in;
    void *out;
    int batch, sides, bins, anchors;
} sw_cuda_dfl;

/* Mean over the pixels of each picture of a map; the result is a map of one pixel, or (rows > 0) so many float32. */
typedef struct sw_cuda_mean {
    const void *in;
    void *out;
    int in_pitch, out_pitch, batch, pixels, channels, rows;
} sw_cuda_mean;

/* Rows that are computed from several steps, in boxes whose elements come alike: terms in postfix order. A load has strides
 * along the axes of the box (of a distribution: and from bin to bin, `more` of them); a function its number in `more` and the
 * bits of its two numbers in the strides; an operator of two (CUDA_ADD ...) its number in `more`. The stack holds four. */
enum { CUDA_BOX_AXES = 4, CUDA_MAX_BOXES = 12, CUDA_MAX_TERMS = 96 };
enum { CUDA_TERM_FLOAT, CUDA_TERM_HALF, CUDA_TERM_DFL_FLOAT, CUDA_TERM_DFL_HALF, CUDA_TERM_ACT, CUDA_TERM_OP };
typedef struct sw_cuda_term {
    const void *data;
    int stride[CUDA_BOX_AXES];
    short code, more;
    int bin;
} sw_cuda_term;
typedef struct sw_cuda_box {
    int first_block, first_term, n_terms, out; /* out: its first element */
    int dims[CUDA_BOX_AXES];
} sw_cuda_box;
typedef struct sw_cuda_expression {
    void *out;
    int out_stride[CUDA_BOX_AXES];
    int n_boxes, n_terms, blocks;
    sw_cuda_box boxes[CUDA_MAX_BOXES];
    sw_cuda_term terms[CUDA_MAX_TERMS];
} sw_cuda_expression;

/* Squeeze and excite of a map: its mean, or (mean NULL) what the first convolution made of that, and the weights of both 1 x 1
 * convolutions, rows of `channels` and of `hidden` halves, multiples of 8. Blocks take `step` pixels of a picture. */
enum { CUDA_EXCITE_CHANNELS = 16 };
typedef struct sw_cuda_excite {
    const void *in, *mean, *squeezed, *weights1, *bias1, *weights2, *bias2;
    void *out;
    int in_pitch, out_pitch, mean_pitch, pixels, step, channels, hidden, act1, act2;
    float act1_a, act1_b, act2_a, act2_b;
} sw_cuda_excite;

/* Self-attention over the pixels of a map that holds, for each head h from channel h * head on, query, key (dq channels
 * each) and value (dv): out = softmax(scale * q k) v. Also copies the values to `values`, when that is not NULL. */
typedef struct sw_cuda_attention {
    const void *qkv;
    void *out, *values;
    int qkv_pitch, out_pitch, values_pitch;
    int tokens, heads, head; /* per picture */
    float scale;
} sw_cuda_attention;

/* Vectors of heads in a tensor, as sw_heads of ops/fused_attention.h, their elements in a row: element j of vector i of a
 * head at offset + i along + j + the sum of its places in the batch times `batch`. Offsets and strides are multiples of 8. */
enum { CUDA_ATTENTION_BATCH = 6 };
typedef struct sw_cuda_heads {
    long long offset, along, batch[CUDA_ATTENTION_BATCH];
} sw_cuda_heads;

/* Attention over rows of halves: mask [masks][queries][keys] float32 or NULL, that of head h is the h mod masks-th. */
typedef struct sw_cuda_attention_rows {
    const void *q, *k, *v, *mask;
    void *out;
    sw_cuda_heads query, key, value, result;
    int n_batch, batch[CUDA_ATTENTION_BATCH];
    int queries, keys, size, value_size, masks;
    float scale;
} sw_cuda_attention_rows;

/* The head of YOLO 8 and 11: per level a map of 4 * 16 box bins and one of class logits, to float32 [batch][4 +
 * classes][anchors]: centre x, centre y, width, height, then scores. Anchors and strides as the model gives them. */
enum { CUDA_MAX_LEVELS = 5, CUDA_DECODE_ANCHORS = 32 };
typedef struct sw_cuda_decode {
    const void *boxes[CUDA_MAX_LEVELS], *scores[CUDA_MAX_LEVELS];
    const void *minus, *plus, *stride; /* float32: [2][anchors], [2][anchors], [anchors] */
    void *out;
    int box_pitch[CUDA_MAX_LEVELS], score_pitch[CUDA_MAX_LEVELS];
    int first[CUDA_MAX_LEVELS + 1];       /* anchor of a level */
    int first_block[CUDA_MAX_LEVELS + 1]; /* block of a level, of one picture */
    int levels, anchors, classes;
} sw_cuda_decode;

/* Where a scaled row or column of a picture comes from: two of its own (columns in bytes), with weights in 2048ths. */
typedef struct sw_cuda_tap {
    int at, next, weight_at, weight_next;
} sw_cuda_tap;

/* A picture of `width` pixels a row, 3 bytes a pixel, and where it lies on the canvas. In GPU memory, written anew for
 * every other size of picture; taps of the rows follow those of the columns. A multiple of 16 bytes. */
typedef struct sw_cuda_picture {
    int width, top, left, scaled_height, scaled_width, halve, swap, pad;
    sw_cuda_tap columns[1];
} sw_cuda_picture;

typedef struct sw_cuda_letterbox {
    const sw_cuda_picture *picture;
    const void *pixels, *rows; /* rows: taps, behind those of the columns */
    const void *values;        /* float32 [3][256]: what a byte becomes */
    void *out;                 /* float32 [3][height][width] */
    int height, width;
} sw_cuda_letterbox;

/* From a table of `anchors` boxes (centre, size, maybe objectness, scores, extra values) to detections x1 y1 x2 y2 score
 * class extra. Lists of candidates have room for `room` of them: all anchors, or (multi: an anchor is a candidate of each class
 * whose score passes) all anchors of all classes; `count` is 0 before and after. Rotated boxes stay centre and size, the last
 * extra value is their angle; `moved` and `spreads` are their Gaussians, `beaten` tells which a better one overlaps. */
enum { CUDA_MAX_CLASSES = 1024 };
typedef struct sw_cuda_boxes {
    const void *table; /* float32; steps in floats */
    void *count, *keys, *boxes, *moved, *order, *kept, *spreads, *beaten;
    void *rows, *n_rows; /* results: float32 [max_det][6 + extra], int32 */
    int anchors, anchor_step, value_step;
    int classes, objectness, extra, agnostic, max_det, max_nms, multi, rotated, room;
    float conf, iou, max_wh, far;           /* far: rotated boxes that far apart cannot overlap */
    unsigned wanted[CUDA_MAX_CLASSES / 32]; /* bits of the classes that count */
} sw_cuda_boxes;

/* Between a map and dense float32 [pixels][channels]: what travels to and from steps on the CPU. */
typedef struct sw_cuda_convert {
    const void *in;
    void *out;
    int pitch, channels;
    long long pixels;
} sw_cuda_convert;

#endif
