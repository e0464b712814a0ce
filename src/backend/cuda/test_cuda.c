/* Kernels against sums in double, in the emulator (tests/cuda_emu), or on a GPU when SLIPWAY_TEST_GPU is set. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/test_gpu.h"
#include "base/os.h"
#include "base/str.h"
#include "kernels/conv/act.h"

/* A convolution with its data: maps with their pitch, weights in float32. */
typedef struct sample {
    sw_conv c;
    void *in, *residual, *out;
    float *planes, *weights, *bias;
    int64_t pixels_in, pixels_out, n_weights;
} sample;

static sample make_sample(const sw_conv *c) {
    uint64_t state = 77;
    sample s = {.c = *c};
    s.pixels_in = c->batch * c->height * c->width;
    s.pixels_out = c->batch * c->out_height * c->out_width;
    s.n_weights = c->out_channels * (c->in_channels / c->groups) * c->kernel_h * c->kernel_w;
    s.in = new_cells(s.pixels_in * c->in_pitch);
    s.residual = new_cells(s.pixels_out * c->residual_pitch);
    s.out = new_cells(s.pixels_out * c->out_pitch);
    s.planes = sw_calloc(NULL, (size_t)(s.pixels_in * c->in_channels), sizeof(float));
    s.weights = sw_calloc(NULL, (size_t)s.n_weights, sizeof(float));
    s.bias = sw_calloc(NULL, (size_t)c->out_channels, sizeof(float));
    for (int64_t i = 0; i < s.pixels_in * c->in_pitch; i++) /* what stands between maps is not zero, pads are */
        if (i % c->in_pitch < c->in_channels || i % c->in_pitch >= (c->in_channels + 7) / 8 * 8)
            put(s.in, i, sw_test_uniform(&state, -1, 1));
    int64_t plane = c->height * c->width;
    for (int64_t i = 0; i < s.pixels_in; i++)
        for (int64_t k = 0; k < c->in_channels; k++)
            s.planes[(i / plane * c->in_channels + k) * plane + i % plane] = get(s.in, i * c->in_pitch + k);
    for (int64_t i = 0; i < s.pixels_out * c->residual_pitch; i++) put(s.residual, i, sw_test_uniform(&state, -1, 1));
    for (int64_t i = 0; i < s.n_weights; i++) s.weights[i] = rounded(sw_test_uniform(&state, -0.5f, 0.5f));
    for (int64_t i = 0; i < c->out_channels; i++) s.bias[i] = sw_test_uniform(&state, -1, 1);
    return s;
}

static void free_sample(sample *s) {
    sw_free(NULL, s->in), sw_free(NULL, s->residual), sw_free(NULL, s->out);
    sw_free(NULL, s->planes), sw_free(NULL, s->weights), sw_free(NULL, s->bias);
}

static double expected(const sample *s, int64_t pixel, int64_t channel) {
    const sw_conv *c = &s->c;
    int64_t depth = c->in_channels / c->groups, group = channel / (c->out_channels / c->groups);
    int64_t x = pixel % c->out_width, y = pixel / c->out_width % c->out_height,
            n = pixel / c->out_width / c->out_height;
    double sum = s->bias[channel];
    for (int64_t r = 0; r < c->kernel_h; r++)
        for (int64_t q = 0; q < c->kernel_w; q++) {
            int64_t yy = y * c->stride_h - c->pad_top + r * c->dilation_h,
                    xx = x * c->stride_w - c->pad_left + q * c->dilation_w;
            yy >>= c->in_shift, xx >>= c->in_shift;
            if (yy < 0 || yy >= c->height || xx < 0 || xx >= c->width) continue;
            int64_t in = ((n * c->height + yy) * c->width + xx) * c->in_pitch + group * depth;
            const float *w = s->weights + (channel * depth * c->kernel_h + r) * c->kernel_w + q;
            for (int64_t k = 0; k < depth; k++) sum += (double)get(s->in, in + k) * w[k * c->kernel_h * c->kernel_w];
        }
    int64_t from = ((n * c->out_height + y) >> c->residual_shift) * (c->out_width >> c->residual_shift) +
                   (x >> c->residual_shift);
    double other = c->residual ? get(s->residual, from * c->residual_pitch + channel) : 0;
    if (c->residual_before_act) sum += other;
    sum = sw_act_apply(c->act, c->act_a, c->act_b, (float)sum);
    return c->residual_before_act ? sum : sum + other;
}

static void launch_tactic(sw_cuda *gpu, const sw_cuda_tactic *tactic, const sw_cuda_launch *l) {
    sw_cu_pointer workspace;
    CHECK_INT(sw_cuda_alloc(gpu, (size_t)sw_cuda_tactic_workspace(tactic), &sw_test_diag, &workspace), SW_OK);
    CHECK_INT(sw_cuda_tactic_run(gpu, tactic, &l->args.conv, (void *)(uintptr_t)workspace, gpu->stream, &sw_test_diag),
              SW_OK);
    CHECK_INT(gpu->driver->stream_wait(gpu->stream), 0);
    sw_cuda_free(gpu, workspace);
}

/* Runs the sample, by a kernel or (tactic not NULL) a library, and compares every element; nothing beside the map may be
 * written. */
static void check_sample(sw_cuda *gpu, sample *s, sw_cuda_form form, sw_cuda_kernel tile, const char *name,
                         const sw_cuda_tactic *tactic) {
    const sw_conv *c = &s->c;
    size_t bias_at, bytes = sw_cuda_packed_bytes(c, form, cell, &bias_at),
                    out_bytes = (size_t)(s->pixels_out * c->out_pitch) * cell_bytes();
    void *packed = sw_alloc(NULL, bytes);
    sw_cuda_pack(c, form, cell, s->weights, s->bias, packed);
    memset(s->out, 0xff, out_bytes);
    void *in = c->in_planar ? upload(gpu, s->planes, (size_t)(s->pixels_in * c->in_channels) * sizeof(float))
                            : upload(gpu, s->in, (size_t)(s->pixels_in * c->in_pitch) * cell_bytes());
    void *weights = upload(gpu, packed, bytes), *out = upload(gpu, s->out, out_bytes);
    size_t residual_bytes = (size_t)(s->pixels_out * c->residual_pitch) * cell_bytes();
    void *residual = c->residual ? upload(gpu, s->residual, residual_bytes) : NULL;
    sw_cuda_launch l;
    sw_cuda_info small = gpu->info; /* so that blocks take several tiles */
    small.multiprocessors = 1;
    sw_cuda_launch_conv(c, form, tile, &small, in, weights, residual, out, &l);
    if (tactic)
        launch_tactic(gpu, tactic, &l);
    else
        launch(gpu, &l);
    CHECK_INT(gpu->driver->copy_out(s->out, (sw_cu_pointer)(uintptr_t)out, out_bytes, gpu->stream), 0);
    CHECK_INT(gpu->driver->stream_wait(gpu->stream), 0);
    double worst = 0, scale = sqrt((double)(c->in_channels / c->groups * c->kernel_h * c->kernel_w)) * 0.2 + 1;
    int64_t spilled = 0, padded = (c->out_channels + 7) / 8 * 8;
    for (int64_t i = 0; i < s->pixels_out; i++)
        for (int64_t k = 0; k < c->out_pitch; k++) {
            float got = get(s->out, i * c->out_pitch + k);
            if (k >= padded) spilled += !isnan(got);
            if (k >= c->out_channels) continue;
            double difference = fabs(got - expected(s, i, k));
            if (!(difference <= worst)) worst = isnan(difference) ? INFINITY : difference;
        }
    static const double most[] = {2e-3, 16e-3, 1e-5, 2e-3}; /* by sw_cuda_cell */
    if (worst > most[cell] * scale || spilled)
        sw_test_fail(__FILE__, __LINE__, "%s: kernel %d x %d, stride %d, %d -> %d: off by %g, %d written beside",
                     name ? name : sw_cuda_kernel_get(l.kernel)->name, (int)c->kernel_h, (int)c->kernel_w,
                     (int)c->stride_h, (int)c->in_channels, (int)c->out_channels, worst, (int)spilled);
    sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)in), sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)weights);
    sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)out), sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)residual);
    sw_free(NULL, packed);
}

/* {batch, height, width, in, out, kernel, stride, dilation, pad, groups, act, residual (2: before, 3: and enlarged, 4: before,
 * and the input is enlarged), channels beside (-8: none, and the input is planes)} */
static sw_conv conv_of(const int *v) {
    int64_t span = (v[5] - 1) * v[7] + 1;
    sw_conv c = {.batch = v[0],
                 .height = v[1],
                 .width = v[2],
                 .in_channels = v[3],
                 .out_channels = v[4],
                 .kernel_h = v[5],
                 .kernel_w = v[5],
                 .stride_h = v[6],
                 .stride_w = v[6],
                 .dilation_h = v[7],
                 .dilation_w = v[7],
                 .pad_top = v[8],
                 .pad_left = v[8],
                 .groups = v[9],
                 .act = (sw_act)v[10],
                 .act_a = -0.25f,
                 .act_b = 0.75f,
                 .residual = v[11] > 0,
                 .residual_before_act = v[11] >= 2,
                 .residual_shift = v[11] == 3,
                 .in_shift = v[11] == 4};
    c.out_height = (c.height + 2 * v[8] - span) / v[6] + 1;
    c.out_width = (c.width + 2 * v[8] - span) / v[6] + 1;
    if (c.in_shift) c.out_height *= 2, c.out_width *= 2;
    c.in_pitch = (v[3] + 7) / 8 * 8 + v[12], c.out_pitch = (v[4] + 7) / 8 * 8 + v[12];
    c.residual_pitch = v[11] ? (v[4] + 7) / 8 * 8 + v[12] : 0;
    return c;
}

/* All tactics that libraries have for it; returns how many ran. */
static int check_libraries(sw_cuda *gpu, sample *s) {
    char names[SW_CUDA_LIBRARIES * SW_CUDA_MOST_TACTICS][SW_CUDA_TACTIC_NAME];
    int n = sw_cuda_tactics_find(gpu, &s->c, names), ran = 0;
    for (int i = 0; i < n; i++) {
        sw_cuda_tactic *tactic;
        if (sw_cuda_tactic_make(gpu, &s->c, names[i], NULL, &tactic) != SW_OK) continue; /* it may refuse */
        check_sample(gpu, s, SW_CUDA_FORM_TILES, SW_CUDA_CONV_64X16, names[i], tactic);
        sw_cuda_tactic_destroy(tactic);
        ran++;
    }
    return ran;
}

static void check_form(const int (*cases)[13], int n, sw_cuda_form form) {
    sw_cuda *gpu = open_gpu();
    sw_cuda_kernel tiles[SW_CUDA_KERNELS] = {SW_CUDA_CONV_64X16};
    for (int i = 0; gpu && i < n; i++) {
        sw_conv c = conv_of(cases[i]);
        c.in_planar = form == SW_CUDA_FORM_STEM || cases[i][12] < 0;
        if (cases[i][12] < 0) c.in_pitch += 8, c.out_pitch += 8;
        sample s = make_sample(&c);
        int n_tiles = form == SW_CUDA_FORM_TILES ? sw_cuda_conv_candidates(&c, &gpu->info, tiles) : 1;
        CHECK_INT(sw_cuda_conv_form(&c) == form, true);
        for (int k = 0; k < n_tiles; k++) check_sample(gpu, &s, form, tiles[k], NULL, NULL);
        free_sample(&s);
    }
}

/* Without a GPU nobody else would tell. */
SW_TEST(cuda_headers) {
    int n = 0;
    for (int i = 0; i < sw_cuda_n_texts; i++) n += !sw_str_ends_with(sw_cuda_texts[i].name, ".cu");
    CHECK(n > 0 && n <= SW_CUDA_MAX_HEADERS);
}

SW_TEST(cuda_conv_tiles) {
    static const int cases[][13] = {
        {1, 7, 5, 72, 136, 1, 1, 1, 0, 1, SW_ACT_SILU, 0, 0},
        {2, 6, 5, 16, 24, 3, 1, 1, 1, 1, SW_ACT_SILU, 1, 8},
        {1, 9, 7, 40, 12, 3, 2, 1, 1, 1, SW_ACT_NONE, 0, 16},
        {1, 8, 9, 8, 80, 5, 1, 1, 2, 1, SW_ACT_HARDSWISH, 2, 0},
        {1, 9, 9, 3, 9, 3, 1, 2, 2, 1, SW_ACT_LEAKY, 0, 8},
        {1, 5, 5, 264, 16, 1, 2, 1, 0, 1, SW_ACT_CLIP, 0, 0},
        {1, 6, 6, 8, 8, 4, 2, 1, 1, 1, SW_ACT_RELU, 2, 0},
        {1, 3, 3, 24, 8, 1, 1, 1, 0, 1, SW_ACT_SIGMOID, 0, 0},
        {1, 4, 4, 16, 8, 2, 2, 1, 0, 1, SW_ACT_HARDSIGMOID, 1, 0},
        {3, 6, 10, 24, 40, 1, 1, 1, 0, 1, SW_ACT_SILU, 3, 8},
        {2, 5, 3, 40, 24, 1, 1, 1, 0, 1, SW_ACT_SILU, 4, 8},
    };
    check_form(cases, sizeof cases / sizeof cases[0], SW_CUDA_FORM_TILES);
}

/* Small maps: more copies of a patch than a thread knows before it waits, strides with pads, a depth of odd chunks. */
SW_TEST(cuda_conv_held) {
    static const int cases[][13] = {
        {1, 9, 10, 264, 16, 3, 1, 1, 1, 1, SW_ACT_NONE, 2, 0},
        {2, 11, 9, 136, 24, 3, 2, 1, 0, 1, SW_ACT_SILU, 1, 8},
        {2, 5, 3, 1032, 72, 1, 1, 1, 0, 1, SW_ACT_NONE, 2, 8},
    };
    sw_cuda *gpu = open_gpu();
    for (size_t i = 0; gpu && i < sizeof cases / sizeof cases[0]; i++) {
        sw_cuda_kernel tiles[SW_CUDA_KERNELS];
        sw_conv c = conv_of(cases[i]);
        sample s = make_sample(&c);
        int n = sw_cuda_conv_candidates(&c, &gpu->info, tiles), ran = 0;
        for (int k = 0; k < n; k++) {
            if (!sw_cuda_kernel_get(tiles[k])->held) continue;
            check_sample(gpu, &s, SW_CUDA_FORM_TILES, tiles[k], NULL, NULL);
            ran++;
        }
        CHECK(ran > 1);
        free_sample(&s);
    }
}

/* What libraries run: cuDNN's graphs of each activation that it has, cuBLASLt's products. In the emulator each has two. */
SW_TEST(cuda_libraries) {
    static const struct {
        int v[13], n; /* tactics in the emulator */
    } cases[] = {
        {{2, 6, 5, 16, 24, 3, 1, 1, 1, 1, SW_ACT_SILU, 1, 8}, 2},
        {{1, 9, 7, 40, 12, 3, 2, 1, 1, 1, SW_ACT_NONE, 0, 16}, 2},
        {{1, 8, 9, 8, 80, 5, 1, 1, 2, 1, SW_ACT_RELU, 2, 0}, 2},
        {{1, 9, 9, 3, 9, 3, 1, 2, 2, 1, SW_ACT_LEAKY, 0, 8}, 2},
        {{1, 5, 5, 264, 16, 1, 2, 1, 0, 1, SW_ACT_CLIP, 0, 0}, 2},
        {{1, 6, 7, 8, 8, 4, 2, 1, 1, 1, SW_ACT_SIGMOID, 0, 0}, 2},
        {{1, 4, 4, 16, 8, 2, 2, 1, 0, 1, SW_ACT_GELU, 1, 0}, 2},
        {{1, 4, 4, 16, 8, 3, 1, 1, 1, 1, SW_ACT_HARDSWISH, 0, 0}, 0},
        {{2, 7, 5, 72, 136, 1, 1, 1, 0, 1, SW_ACT_NONE, 1, 8}, 4},
        {{3, 5, 3, 20, 12, 1, 1, 1, 0, 1, SW_ACT_RELU, 2, 0}, 4},
        {{1, 5, 3, 24, 40, 1, 1, 1, 0, 1, SW_ACT_RELU, 1, 0}, 2},
        {{2, 40, 40, 64, 128, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 0}, 2},
    };
    for (int i = 0; i < 2; i++) {
        cell = i > 0 ? SW_CUDA_BF16 : SW_CUDA_F16;
        sw_cuda *gpu = open_gpu();
        for (size_t k = 0; gpu && gpu->info.sm >= 80 && k < sizeof cases / sizeof cases[0]; k++) {
            sw_conv c = conv_of(cases[k].v);
            sample s = make_sample(&c);
            int ran = check_libraries(gpu, &s);
            if (getenv("SLIPWAY_TEST_GPU"))
                printf("  case %d: %d tactics of libraries\n", (int)k, ran);
            else
                CHECK_INT(ran, cases[k].n);
            free_sample(&s);
        }
    }
    cell = SW_CUDA_F16;
}

/* Kernels that hold patches: several tiles a block, odd extents and pads, channels that are no multiple of 16. */
SW_TEST(cuda_conv_patches) {
    static const int cases[][13] = {
        {2, 21, 19, 8, 16, 3, 1, 1, 1, 1, SW_ACT_SILU, 1, 8},   {1, 17, 23, 16, 40, 3, 1, 1, 2, 1, SW_ACT_NONE, 2, 0},
        {3, 11, 9, 24, 72, 3, 1, 1, 0, 1, SW_ACT_RELU, 0, 16},  {2, 23, 18, 16, 32, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 8},
        {1, 18, 35, 40, 24, 3, 2, 1, 0, 1, SW_ACT_SILU, 1, 0},  {1, 37, 33, 72, 80, 1, 1, 1, 0, 1, SW_ACT_SILU, 1, 8},
        {5, 13, 7, 32, 136, 1, 1, 1, 0, 1, SW_ACT_LEAKY, 0, 0}, {1, 9, 40, 5, 8, 3, 1, 1, 1, 1, SW_ACT_CLIP, 0, 0},
        {2, 20, 22, 16, 24, 3, 1, 1, 1, 1, SW_ACT_SILU, 3, 8},
    };
    check_form(cases, sizeof cases / sizeof cases[0], SW_CUDA_FORM_TILES);
}

SW_TEST(cuda_depthwise) {
    static const int cases[][13] = {
        {2, 7, 5, 24, 24, 3, 1, 1, 1, 24, SW_ACT_SILU, 1, 8},
        {1, 9, 8, 8, 8, 3, 2, 1, 1, 8, SW_ACT_RELU, 0, 0},
        {1, 6, 7, 16, 16, 5, 1, 1, 2, 16, SW_ACT_NONE, 2, 0},
        {1, 9, 9, 8, 8, 5, 2, 1, 2, 8, SW_ACT_HARDSWISH, 0, 16},
        {1, 181, 183, 64, 64, 3, 1, 1, 1, 64, SW_ACT_SILU, 0, 0},
        {2, 9, 11, 24, 24, 7, 1, 1, 3, 24, SW_ACT_NONE, 0, 8},
        {1, 37, 57, 64, 64, 7, 1, 1, 3, 64, SW_ACT_RELU, 1, 0},
        {2, 7, 5, 40, 40, 1, 1, 1, 0, 40, SW_ACT_RELU, 0, 8},
        {1, 11, 9, 16, 16, 7, 1, 1, 3, 16, SW_ACT_NONE, 1, 0},
        {2, 12, 13, 8, 8, 5, 1, 2, 4, 8, SW_ACT_HARDSWISH, 0, 8},
        {1, 12, 13, 24, 24, 2, 3, 1, 0, 24, SW_ACT_SILU, 2, 0},
    };
    check_form(cases, sizeof cases / sizeof cases[0], SW_CUDA_FORM_DEPTHWISE);
}

SW_TEST(cuda_stem) {
    static const int cases[][13] = {
        {2, 13, 11, 3, 16, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 0}, {1, 8, 9, 1, 40, 3, 1, 1, 1, 1, SW_ACT_NONE, 0, 8},
        {1, 9, 8, 4, 24, 3, 2, 1, 0, 1, SW_ACT_RELU, 0, 0},   {1, 15, 17, 3, 16, 7, 2, 1, 3, 1, SW_ACT_RELU, 0, 0},
        {1, 12, 14, 3, 8, 6, 2, 1, 2, 1, SW_ACT_SILU, 1, 0},  {1, 8, 8, 3, 8, 4, 4, 1, 0, 1, SW_ACT_NONE, 0, 0},
    };
    check_form(cases, sizeof cases / sizeof cases[0], SW_CUDA_FORM_STEM);
}

/* The first two convolutions at once: what the second makes of the first one's result, rounded to float16. */
static void check_stem_conv(sw_cuda *gpu, const int *stem_case, const int *conv_case) {
    sw_conv a = conv_of(stem_case), b;
    a.in_planar = true;
    int second[13];
    memcpy(second, conv_case, sizeof second);
    second[1] = (int)a.out_height, second[2] = (int)a.out_width;
    b = conv_of(second);
    CHECK(sw_cuda_has_stem_conv(&a, &b, &gpu->info));
    sample s = make_sample(&a), t = make_sample(&b);
    for (int64_t i = 0; i < s.pixels_out; i++)
        for (int64_t k = 0; k < a.out_channels; k++) put(t.in, i * b.in_pitch + k, (float)expected(&s, i, k));
    size_t bias_at, a_bytes = sw_cuda_packed_bytes(&a, SW_CUDA_FORM_STEM, cell, &bias_at),
                    b_bytes = sw_cuda_packed_bytes(&b, SW_CUDA_FORM_TILES, cell, &bias_at),
                    out_bytes = (size_t)(t.pixels_out * b.out_pitch) * cell_bytes();
    void *a_packed = sw_alloc(NULL, a_bytes), *b_packed = sw_alloc(NULL, b_bytes);
    sw_cuda_pack(&a, SW_CUDA_FORM_STEM, cell, s.weights, s.bias, a_packed);
    sw_cuda_pack(&b, SW_CUDA_FORM_TILES, cell, t.weights, t.bias, b_packed);
    memset(t.out, 0xff, out_bytes);
    void *places[] = {upload(gpu, s.planes, (size_t)(s.pixels_in * a.in_channels) * sizeof(float)),
                      upload(gpu, a_packed, a_bytes), upload(gpu, b_packed, b_bytes), upload(gpu, t.out, out_bytes)};
    sw_cuda_launch l;
    sw_cuda_info small = gpu->info;
    small.multiprocessors = 1;
    sw_cuda_launch_stem_conv(&a, &b, &small, places[0], places[1], places[2], places[3], &l);
    launch(gpu, &l);
    CHECK_INT(gpu->driver->copy_out(t.out, (sw_cu_pointer)(uintptr_t)places[3], out_bytes, gpu->stream), 0);
    CHECK_INT(gpu->driver->stream_wait(gpu->stream), 0);
    double worst = 0;
    for (int64_t i = 0; i < t.pixels_out; i++)
        for (int64_t k = 0; k < b.out_channels; k++) {
            double difference = fabs(get(t.out, i * b.out_pitch + k) - expected(&t, i, k));
            if (!(difference <= worst)) worst = isnan(difference) ? INFINITY : difference;
        }
    CHECK_NEAR(worst, 0, cell == SW_CUDA_BF16 ? 0.2 : 2e-2);
    for (int i = 0; i < 4; i++) sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)places[i]);
    sw_free(NULL, a_packed), sw_free(NULL, b_packed);
    free_sample(&s), free_sample(&t);
}

SW_TEST(cuda_stem_conv) {
    static const int cases[][2][13] = {
        {{2, 45, 52, 3, 16, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 0}, {2, 0, 0, 16, 32, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 8}},
        {{1, 80, 76, 3, 16, 3, 2, 1, 0, 1, SW_ACT_RELU, 0, 0}, {1, 0, 0, 16, 40, 3, 2, 1, 0, 1, SW_ACT_NONE, 0, 0}},
        {{3, 66, 36, 3, 16, 2, 2, 1, 1, 1, SW_ACT_CLIP, 0, 0}, {3, 0, 0, 16, 64, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 0}},
    };
    sw_cuda *gpu = open_gpu();
    for (size_t i = 0; gpu && gpu->info.sm == 90 && i < sizeof cases / sizeof cases[0]; i++)
        check_stem_conv(gpu, cases[i][0], cases[i][1]);
}

/* Two convolutions at once: what the second makes of the first one's result, rounded to float16. `own`: it adds the map. */
typedef struct pair_places {
    void *in, *a, *b, *residual, *out;
} pair_places;

static sw_cuda_form form_of(const sample *s) {
    return sw_cuda_conv_form(&s->c);
}

static pair_places upload_pair(sw_cuda *gpu, sample *s, sample *t, bool own) {
    size_t bias_at, a_bytes = sw_cuda_packed_bytes(&s->c, form_of(s), cell, &bias_at),
                    b_bytes = sw_cuda_packed_bytes(&t->c, SW_CUDA_FORM_TILES, cell, &bias_at);
    void *a = sw_alloc(NULL, a_bytes), *b = sw_alloc(NULL, b_bytes);
    sw_cuda_pack(&s->c, form_of(s), cell, s->weights, s->bias, a);
    sw_cuda_pack(&t->c, SW_CUDA_FORM_TILES, cell, t->weights, t->bias, b);
    memset(t->out, 0xff, (size_t)(t->pixels_out * t->c.out_pitch) * cell_bytes());
    pair_places p = {.in = upload(gpu, s->in, (size_t)(s->pixels_in * s->c.in_pitch) * cell_bytes()),
                     .a = upload(gpu, a, a_bytes),
                     .b = upload(gpu, b, b_bytes),
                     .out = upload(gpu, t->out, (size_t)(t->pixels_out * t->c.out_pitch) * cell_bytes())};
    if (t->c.residual)
        p.residual =
            own ? p.in : upload(gpu, t->residual, (size_t)(t->pixels_out * t->c.residual_pitch) * cell_bytes());
    CHECK_INT(gpu->driver->stream_wait(gpu->stream), 0);
    sw_free(NULL, a), sw_free(NULL, b);
    return p;
}

static void free_pair(sw_cuda *gpu, const pair_places *p) {
    if (p->residual != p->in) sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)p->residual);
    sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)p->in), sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)p->a);
    sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)p->b), sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)p->out);
}

static void check_pair(sw_cuda *gpu, const int *first, const int *second, bool own, int multiprocessors) {
    sw_conv a = conv_of(first), b = conv_of(second);
    sw_cuda_kernel kernels[SW_CUDA_KERNELS];
    sw_cuda_info info = gpu->info;
    info.multiprocessors = multiprocessors; /* 1: so that blocks take several tiles */
    sample s = make_sample(&a), t = make_sample(&b);
    for (int64_t i = 0; i < s.pixels_out; i++)
        for (int64_t k = 0; k < a.out_channels; k++) put(t.in, i * b.in_pitch + k, (float)expected(&s, i, k));
    for (int64_t i = 0; own && i < s.pixels_in * a.in_pitch; i++) put(t.residual, i, get(s.in, i));
    int n = sw_cuda_pair_candidates(&a, &b, &info, kernels);
    CHECK(n > 0 || gpu->info.sm < 80);
    for (int k = 0; k < n; k++) {
        pair_places p = upload_pair(gpu, &s, &t, own);
        sw_cuda_launch l;
        sw_cuda_launch_pair(&a, &b, kernels[k], &info, p.in, p.a, p.b, p.residual, p.out, &l);
        CHECK_INT(l.args.pair.adds_map, own);
        launch(gpu, &l);
        size_t bytes = (size_t)(t.pixels_out * b.out_pitch) * cell_bytes();
        CHECK_INT(gpu->driver->copy_out(t.out, (sw_cu_pointer)(uintptr_t)p.out, bytes, gpu->stream), 0);
        CHECK_INT(gpu->driver->stream_wait(gpu->stream), 0);
        double worst = 0, scale = sqrt((double)(b.in_channels * b.kernel_h * b.kernel_w)) * 0.2 + 1;
        int64_t spilled = 0, padded = (b.out_channels + 7) / 8 * 8;
        for (int64_t i = 0; i < t.pixels_out; i++)
            for (int64_t c = 0; c < b.out_pitch; c++) {
                float got = get(t.out, i * b.out_pitch + c);
                if (c >= padded) spilled += !isnan(got);
                if (c >= b.out_channels) continue;
                double want = expected(&t, i, c), difference = fabs(got - want) / (scale + fabs(want) / 8);
                if (!(difference <= worst)) worst = isnan(difference) ? INFINITY : difference;
            }
        if (worst > (cell == SW_CUDA_BF16 ? 3e-2 : 4e-3) || spilled)
            sw_test_fail(__FILE__, __LINE__, "%s: %d x %d, %d -> %d -> %d: off by %g, %d written beside",
                         sw_cuda_kernel_get(l.kernel)->name, (int)a.height, (int)a.width, (int)a.in_channels,
                         (int)a.out_channels, (int)b.out_channels, worst, (int)spilled);
        free_pair(gpu, &p);
    }
    free_sample(&s), free_sample(&t);
}

/* All kernels; odd extents, channels beside, those that are no multiple of 8; the map added before or after, or another one. */
SW_TEST(cuda_pairs) {
    static const struct {
        int first[13], second[13];
        bool own;
        int multiprocessors;
    } cases[] = {
        {{2, 21, 19, 16, 8, 3, 1, 1, 1, 1, SW_ACT_SILU, 0, 8},
         {2, 21, 19, 8, 16, 3, 1, 1, 1, 1, SW_ACT_SILU, 1, 8},
         true,
         1},
        {{1, 9, 40, 12, 16, 3, 1, 1, 1, 1, SW_ACT_RELU, 0, 0},
         {1, 9, 40, 16, 10, 3, 1, 1, 1, 1, SW_ACT_NONE, 2, 8},
         false,
         1},
        {{1, 5, 3, 8, 3, 3, 1, 1, 1, 1, SW_ACT_SIGMOID, 0, 0},
         {1, 5, 3, 3, 8, 3, 1, 1, 1, 1, SW_ACT_CLIP, 0, 0},
         false,
         1},
        {{1, 33, 17, 32, 16, 3, 1, 1, 1, 1, SW_ACT_SILU, 0, 16},
         {1, 33, 17, 16, 32, 3, 1, 1, 1, 1, SW_ACT_SILU, 1, 16},
         true,
         9},
        {{3, 11, 13, 24, 32, 3, 1, 1, 1, 1, SW_ACT_LEAKY, 0, 8},
         {3, 11, 13, 32, 24, 3, 1, 1, 1, 1, SW_ACT_RELU, 2, 8},
         true,
         1},
        {{1, 10, 14, 32, 20, 3, 1, 1, 1, 1, SW_ACT_SILU, 0, 0},
         {1, 10, 14, 20, 24, 3, 1, 1, 1, 1, SW_ACT_HARDSWISH, 1, 0},
         false,
         2},
        {{2, 7, 1, 16, 16, 3, 1, 1, 1, 1, SW_ACT_SILU, 0, 8},
         {2, 7, 1, 16, 16, 3, 1, 1, 1, 1, SW_ACT_SILU, 0, 8},
         false,
         132},
    };
    sw_cuda *gpu = open_gpu();
    for (size_t i = 0; gpu && i < sizeof cases / sizeof cases[0]; i++)
        check_pair(gpu, cases[i].first, cases[i].second, cases[i].own, cases[i].multiprocessors);
}

/* A depthwise and a 1 x 1, of all sizes and strides. */
SW_TEST(cuda_depthwise_points) {
    static const struct {
        int first[13], second[13], multiprocessors;
    } cases[] = {
        {{2, 21, 19, 24, 24, 3, 1, 1, 1, 24, SW_ACT_SILU, 0, 8},
         {2, 21, 19, 24, 80, 1, 1, 1, 0, 1, SW_ACT_SILU, 1, 8},
         1},
        {{1, 9, 8, 80, 80, 3, 1, 1, 1, 80, SW_ACT_SILU, 0, 0}, {1, 9, 8, 80, 13, 1, 1, 1, 0, 1, SW_ACT_NONE, 2, 0}, 3},
        {{1, 7, 7, 328, 328, 3, 1, 1, 1, 328, SW_ACT_CLIP, 0, 0},
         {1, 7, 7, 328, 168, 1, 1, 1, 0, 1, SW_ACT_NONE, 0, 0},
         132},
        {{1, 23, 14, 40, 40, 3, 2, 1, 1, 40, SW_ACT_RELU, 0, 16},
         {1, 12, 7, 40, 24, 1, 1, 1, 0, 1, SW_ACT_NONE, 0, 16},
         1},
        {{3, 9, 13, 16, 16, 5, 1, 1, 2, 16, SW_ACT_HARDSWISH, 0, 0},
         {3, 9, 13, 16, 130, 1, 1, 1, 0, 1, SW_ACT_RELU, 1, 0},
         2},
        {{1, 17, 18, 72, 72, 5, 2, 1, 2, 72, SW_ACT_RELU, 0, 8},
         {1, 9, 9, 72, 40, 1, 1, 1, 0, 1, SW_ACT_HARDSWISH, 0, 8},
         1},
        {{1, 3, 1, 8, 8, 3, 1, 1, 1, 8, SW_ACT_SIGMOID, 0, 0}, {1, 3, 1, 8, 8, 1, 1, 1, 0, 1, SW_ACT_SILU, 0, 0}, 1},
    };
    sw_cuda *gpu = open_gpu();
    for (size_t i = 0; gpu && i < sizeof cases / sizeof cases[0]; i++)
        check_pair(gpu, cases[i].first, cases[i].second, false, cases[i].multiprocessors);
}

SW_TEST(cuda_conv_plain) {
    static const int cases[][13] = {
        {1, 7, 5, 24, 12, 3, 1, 1, 1, 3, SW_ACT_SILU, 1, 8},
        {1, 8, 8, 12, 12, 7, 2, 1, 3, 12, SW_ACT_RELU, 2, 0},
        {2, 5, 5, 8, 16, 6, 1, 1, 3, 1, SW_ACT_CLIP, 0, 0},
        {2, 18, 9, 3, 9, 9, 9, 1, 0, 1, SW_ACT_NONE, 0, -8},
    };
    check_form(cases, sizeof cases / sizeof cases[0], SW_CUDA_FORM_PLAIN);
}

/* ---- Fused kernels ------------------------------------------------------------------------------------------------- */

/* Element d of what token q attends to. */
static double attended(const void *in, int base, int tokens, int pitch, int dq, int q, int d, double scale) {
    double sum = 0, weighted = 0;
    for (int k = 0; k < tokens; k++) {
        double s = 0;
        for (int i = 0; i < dq; i++) s += (double)get(in, base + q * pitch + i) * get(in, base + k * pitch + dq + i);
        s = exp(s * scale);
        sum += s;
        weighted += s * get(in, base + k * pitch + 2 * dq + d);
    }
    return weighted / sum;
}

static void check_attention(sw_cuda *gpu, int batch, int tokens, int heads, int dv) {
    enum { DQ = 32 };
    int head = 2 * DQ + dv, pitch = heads * head + 8, out_pitch = heads * dv + 8;
    uint64_t state = 5;
    int n_in = batch * tokens * pitch, n_out = batch * tokens * out_pitch;
    size_t out_bytes = (size_t)n_out * cell_bytes();
    void *in = random_cells(n_in, &state), *got = random_cells(n_out, &state);
    void *qkv = upload(gpu, in, (size_t)n_in * cell_bytes()), *out = upload(gpu, got, out_bytes),
         *values = upload(gpu, got, out_bytes);
    sw_cuda_launch l = {0};
    l.args.attention = (sw_cuda_attention){.qkv = qkv,
                                           .out = out,
                                           .values = values,
                                           .qkv_pitch = pitch,
                                           .out_pitch = out_pitch,
                                           .values_pitch = out_pitch,
                                           .tokens = tokens,
                                           .heads = heads,
                                           .head = head,
                                           .scale = 0.25f};
    sw_cuda_launch_attention(&l, DQ, dv, batch, &gpu->info);
    run_and_fetch(gpu, &l, got, out, out_bytes);
    double worst = 0;
    for (int i = 0; i < batch * tokens; i += 3)
        for (int h = 0; h < heads; h++)
            for (int d = h; d < dv; d += 5) {
                int base = i / tokens * (tokens * pitch) + h * head;
                double want = attended(in, base, tokens, pitch, DQ, i % tokens, d, 0.25);
                worst = fmax(worst, fabs(get(got, i * out_pitch + h * dv + d) - want));
            }
    static const double most[] = {5e-3, 4e-2, 1e-5, 5e-3}; /* by sw_cuda_cell */
    CHECK_NEAR(worst, 0, most[cell]);
    CHECK_INT(gpu->driver->copy_out(got, (sw_cu_pointer)(uintptr_t)values, out_bytes, gpu->stream), 0);
    CHECK_INT(gpu->driver->stream_wait(gpu->stream), 0);
    for (int i = 0; i < batch * tokens; i++)
        CHECK_NEAR(get(got, i * out_pitch + dv - 1), get(in, i * pitch + head - 1), 0);
    sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)qkv), sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)out);
    sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)values);
    sw_free(NULL, in), sw_free(NULL, got);
}

/* Fewer tokens than warps take, a rest behind the last sixteen, several rounds; all numbers of warps. */
SW_TEST(cuda_attention) {
    static const int cases[][4] = {{1, 9, 2, 64}, {2, 150, 1, 32}, {1, 165, 12, 32}, {1, 131, 15, 64}, {1, 33, 260, 64}};
    sw_cuda *gpu = open_gpu();
    for (size_t i = 0; gpu && i < sizeof cases / sizeof cases[0]; i++)
        check_attention(gpu, cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
}

static float largest(const void *in, int first, int height, int width, int pitch, int y, int x, int reach, int c) {
    float most = -INFINITY;
    for (int r = y - reach; r <= y + reach; r++)
        for (int s = x - reach; s <= x + reach; s++)
            if (r >= 0 && r < height && s >= 0 && s < width)
                most = fmaxf(most, get(in, first + (r * width + s) * pitch + c));
    return most;
}

static void check_pools_in_a_row(sw_cuda *gpu) {
    enum { HEIGHT = 11, WIDTH = 17, CHANNELS = 16, PITCH = 24, ROUNDS = 3, COUNT = 2 * HEIGHT * WIDTH * PITCH };
    uint64_t state = 9;
    void *in = random_cells(COUNT, &state), *got = random_cells(COUNT, &state);
    const size_t bytes = COUNT * cell_bytes();
    sw_cuda_launch l = {0};
    l.args.pool = (sw_cuda_pool){.in = upload(gpu, in, bytes),
                                 .in_pitch = PITCH,
                                 .batch = 2,
                                 .height = HEIGHT,
                                 .width = WIDTH,
                                 .channels = CHANNELS,
                                 .kernel_h = 5,
                                 .kernel_w = 5,
                                 .rounds = ROUNDS};
    for (int i = 0; i < ROUNDS; i++) l.args.pool.out[i] = upload(gpu, got, bytes), l.args.pool.out_pitch[i] = PITCH;
    sw_cuda_launch_pool_chain(&l, cell);
    for (int round = 0; round < ROUNDS; round++) {
        run_and_fetch(gpu, &l, got, l.args.pool.out[round], bytes);
        for (int i = 0; i < COUNT; i += 7) {
            int c = i % PITCH, pixel = i / PITCH % (HEIGHT * WIDTH), n = i / PITCH / (HEIGHT * WIDTH);
            if (c >= CHANNELS) continue;
            float want = largest(in, n * HEIGHT * WIDTH * PITCH, HEIGHT, WIDTH, PITCH, pixel / WIDTH, pixel % WIDTH,
                                 2 * (round + 1), c);
            CHECK_NEAR(get(got, i), want, 0);
        }
    }
    sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)l.args.pool.in);
    for (int i = 0; i < ROUNDS; i++) sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)l.args.pool.out[i]);
    sw_free(NULL, in), sw_free(NULL, got);
}

SW_TEST(cuda_pools_in_a_row) {
    sw_cuda *gpu = open_gpu();
    if (gpu) check_pools_in_a_row(gpu);
}

/* Every form, every tile once or twice. */
static void check_all_forms(sw_cuda *gpu) {
    static const int tiles[][13] = {
        {2, 6, 5, 16, 24, 3, 1, 1, 1, 1, SW_ACT_SILU, 1, 8},
        {1, 18, 19, 8, 16, 3, 1, 1, 1, 1, SW_ACT_SILU, 2, 8},
        {1, 18, 17, 16, 32, 3, 2, 1, 1, 1, SW_ACT_NONE, 0, 0},
        {1, 17, 9, 72, 136, 1, 1, 1, 0, 1, SW_ACT_RELU, 0, 8},
    };
    static const int depthwise[][13] = {{2, 7, 5, 24, 24, 3, 1, 1, 1, 24, SW_ACT_SILU, 1, 8},
                                        {1, 9, 8, 8, 8, 3, 2, 1, 1, 8, SW_ACT_RELU, 0, 0},
                                        {1, 6, 7, 16, 16, 5, 1, 1, 2, 16, SW_ACT_NONE, 2, 0},
                                        {1, 9, 9, 8, 8, 5, 2, 1, 2, 8, SW_ACT_HARDSWISH, 0, 16}};
    static const int stems[][13] = {{2, 13, 11, 3, 16, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 0},
                                    {1, 15, 17, 3, 16, 7, 2, 1, 3, 1, SW_ACT_RELU, 0, 0}};
    static const int plain[][13] = {{1, 7, 5, 24, 12, 3, 1, 1, 1, 3, SW_ACT_SILU, 1, 8}};
    check_form(tiles, sizeof tiles / sizeof tiles[0], SW_CUDA_FORM_TILES);
    check_form(depthwise, sizeof depthwise / sizeof depthwise[0], SW_CUDA_FORM_DEPTHWISE);
    check_form(stems, sizeof stems / sizeof stems[0], SW_CUDA_FORM_STEM);
    check_form(plain, sizeof plain / sizeof plain[0], SW_CUDA_FORM_PLAIN);
    check_attention(gpu, 1, 37, 2, 64);
    check_attention(gpu, 2, 19, 1, 32);
    check_attention(gpu, 1, 70, 26, 32);
}

SW_TEST(cuda_bfloat16) {
    static const int both[2][13] = {{2, 45, 52, 3, 16, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 0},
                                    {2, 0, 0, 16, 32, 3, 2, 1, 1, 1, SW_ACT_SILU, 0, 8}};
    cell = SW_CUDA_BF16;
    sw_cuda *gpu = open_gpu();
    if (gpu && gpu->info.sm >= 80) check_all_forms(gpu);
    if (gpu && gpu->info.sm == 90) check_stem_conv(gpu, both[0], both[1]);
    cell = SW_CUDA_F16;
}

static void check_all_of_maps(sw_cuda *gpu) {
    check_all_forms(gpu);
    check_pools_in_a_row(gpu);
}

/* Maps of float32, and of those whose products round their factors. */
SW_TEST(cuda_floats) {
    static const int pair[2][13] = {{1, 21, 19, 16, 8, 3, 1, 1, 1, 1, SW_ACT_SILU, 0, 0},
                                    {1, 21, 19, 8, 16, 3, 1, 1, 1, 1, SW_ACT_SILU, 1, 0}};
    sw_cuda_kernel kernels[SW_CUDA_KERNELS];
    for (cell = SW_CUDA_FLOAT; cell <= SW_CUDA_TF32; cell++) {
        sw_cuda *gpu = open_gpu();
        if (!gpu || (cell == SW_CUDA_TF32 && gpu->info.sm < 80)) continue;
        check_all_of_maps(gpu);
        sw_conv a = conv_of(pair[0]), b = conv_of(pair[1]); /* those are for halves */
        CHECK_INT(sw_cuda_pair_candidates(&a, &b, &gpu->info, kernels), 0);
    }
    cell = SW_CUDA_F16;
}

SW_TEST(cuda_sm_75) {
    check_sm_75(check_all_of_maps);
    cell = SW_CUDA_FLOAT;
    check_sm_75(check_all_of_maps);
    cell = SW_CUDA_F16;
}

/* What does not fit is refused, not cut off. */
SW_TEST(cuda_options) {
    char long_text[SW_CUDA_MOST_DEFINES + 1] = "";
    sw_cuda_options o;
    CHECK(sw__cuda_options("arch", " -DA=1  -DB", " -DC", &o));
    CHECK_INT(o.n, 6);
    CHECK_STR(o.words[0], "arch");
    CHECK_STR(o.words[3], "-DA=1");
    CHECK_STR(o.words[5], "-DC");
    memset(long_text, 'x', SW_CUDA_MOST_DEFINES - 1);
    CHECK(sw__cuda_options("arch", long_text, "", &o));
    CHECK(!sw__cuda_options("arch", long_text, " ", &o));
    for (int i = 0; i < SW_CUDA_MOST_OPTIONS - 3; i++) memcpy(long_text + 3 * i, " -D", 4);
    CHECK(sw__cuda_options("arch", long_text, "", &o));
    CHECK_INT(o.n, SW_CUDA_MOST_OPTIONS);
    CHECK(!sw__cuda_options("arch", long_text, " -D", &o));
    for (int i = 0; i < SW_CUDA_KERNELS; i++)
        CHECK(sw__cuda_options("arch", sw_cuda_kernel_get((sw_cuda_kernel)i)->defines, " -DFLOATS -DTF32", &o));
}

SW_TEST(cuda_activations_are_those_of_the_cpu) {
    CHECK_INT(CUDA_ACT_NONE, SW_ACT_NONE);
    CHECK_INT(CUDA_ACT_RELU, SW_ACT_RELU);
    CHECK_INT(CUDA_ACT_LEAKY, SW_ACT_LEAKY);
    CHECK_INT(CUDA_ACT_SILU, SW_ACT_SILU);
    CHECK_INT(CUDA_ACT_SIGMOID, SW_ACT_SIGMOID);
    CHECK_INT(CUDA_ACT_HARDSWISH, SW_ACT_HARDSWISH);
    CHECK_INT(CUDA_ACT_HARDSIGMOID, SW_ACT_HARDSIGMOID);
    CHECK_INT(CUDA_ACT_CLIP, SW_ACT_CLIP);
}

SW_TEST(device_names) {
    sw_device device;
    CHECK_INT(sw_device_parse(NULL, &sw_test_diag, &device), SW_OK);
    CHECK_INT(device.kind, SW_DEVICE_CPU);
    CHECK_INT(sw_device_parse("cuda:12", &sw_test_diag, &device), SW_OK);
    CHECK_INT(device.kind, SW_DEVICE_CUDA);
    CHECK_INT(device.index, 12);
    CHECK_INT(sw_device_parse("auto", &sw_test_diag, &device), SW_OK);
    CHECK_INT(device.kind, SW_DEVICE_AUTO);
    static const char *const bad[] = {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda: 1", "cuda:99999", "CUDA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(sw_device_parse(bad[i], &sw_test_diag, &device), SW_E_USAGE);
}
