/* Every tactic that this CPU can run against plain C, on random shapes. */
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/cpu.h"
#include "base/half.h"
#include "kernels/conv/act.h"
#include "kernels/conv/test_emulated.h"
#include "kernels/dtype.h"
#include "unit.h"

enum {
    SHAPES = 1800,
    DEEP_SHAPES = 12,
    POINTWISE_SHAPES = 90,
    WIDE_SHAPES = 16,
    FAR_SHAPES = 60,
    LARGE_SHAPES = 6,
    BATCHES = 300,
    MOST_TILES = 1024,
    MOST_TACTICS = SW_CONV_TACTICS + 2 /* with those of emulated instructions */
};
static const float guard = -12288; /* a half, too */

/* Those of the list, and those of emulated instructions; ends with NULL. */
static const sw_conv_tactic *const *all_tactics(void) {
    static const sw_conv_tactic *all[MOST_TACTICS + 1];
    int n = 0;
    while (sw_conv_tactics[n]) all[n] = sw_conv_tactics[n], n++;
#ifdef SW_ISA_AMX
    all[n++] = &sw__conv_direct_amx_emulated;
#endif
#ifdef SW_ISA_AVX512FP16
    all[n] = &sw__conv_direct_avx512fp16_emulated;
#endif
    return all;
}

static int64_t pick(uint64_t *state, int64_t lo, int64_t hi) {
    return lo + (int64_t)(sw_test_random(state) % (uint64_t)(hi - lo + 1));
}

static int64_t out_extent(int64_t in, int64_t pads, int64_t kernel, int64_t stride, int64_t dilation) {
    int64_t left = in + pads - ((kernel - 1) * dilation + 1);
    return left < 0 ? 0 : left / stride + 1;
}

static bool random_conv(uint64_t *s, sw_conv *c) {
    static const int64_t kernels[] = {1, 1, 3, 3, 3, 5, 7, 2, 6},
                         counts[] = {1, 2, 3, 4, 7, 8, 9, 16, 17, 24, 31, 32, 33, 48, 80};
    int64_t kind = pick(s, 0, 5), end_pad_h = pick(s, 0, 2), end_pad_w = pick(s, 0, 2);
    *c = (sw_conv){.batch = pick(s, 1, 2), .height = pick(s, 1, 21), .width = pick(s, 1, 29)};
    c->kernel_h = c->kernel_w = kernels[pick(s, 0, 8)];
    if (pick(s, 0, 7) == 0) c->kernel_w = pick(s, 1, 4);
    c->stride_h = c->stride_w = kind == 5 ? 2 : pick(s, 1, 2);
    if (pick(s, 0, 9) == 0) c->stride_h = pick(s, 1, 3);
    c->dilation_h = c->dilation_w = pick(s, 0, 5) == 0 ? 2 : 1;
    c->pad_top = pick(s, 0, c->kernel_h / 2), c->pad_left = pick(s, 0, c->kernel_w / 2);
    c->groups = kind == 0 ? pick(s, 2, 4) : 1;
    c->in_channels = c->groups * counts[pick(s, 0, 14)], c->out_channels = c->groups * counts[pick(s, 0, 14)];
    if (kind == 1) c->groups = c->out_channels = c->in_channels; /* depthwise */
    if (kind == 2) c->in_channels = pick(s, 1, 4);               /* the first layer */
    if (kind > 2 && pick(s, 0, 1)) {                             /* what Winograd takes */
        c->kernel_h = c->kernel_w = 3;
        c->dilation_h = c->dilation_w = 1;
        c->pad_top = pick(s, 0, 2), c->pad_left = pick(s, 0, 2);
        c->stride_w = c->stride_h = pick(s, 1, 2);
    }
    c->out_height = out_extent(c->height, c->pad_top + end_pad_h, c->kernel_h, c->stride_h, c->dilation_h);
    c->out_width = out_extent(c->width, c->pad_left + end_pad_w, c->kernel_w, c->stride_w, c->dilation_w);
    c->in_pitch = c->in_channels + (pick(s, 0, 1) ? pick(s, 1, 9) : 0);
    c->out_pitch = c->out_channels + (pick(s, 0, 1) ? pick(s, 1, 9) : 0);
    c->act = (sw_act)pick(s, 0, SW_ACT_COUNT - 1);
    c->act_a = c->act == SW_ACT_CLIP ? -0.5f : 0.2f, c->act_b = c->act == SW_ACT_CLIP ? 0.75f : 0.5f;
    sw_dtype half = pick(s, 0, 2) ? SW_BF16 : SW_F16;
    c->in_type = pick(s, 0, 2) ? SW_F32 : half;
    c->out_type = pick(s, 0, 3) ? c->in_type : pick(s, 0, 1) ? SW_F32 : half;
    c->in_planar = c->in_type == SW_F32 && pick(s, 0, 3) == 0;
    if (c->in_planar && pick(s, 0, 1)) c->in_channels = c->groups * 3; /* a picture */
    if (c->in_planar) c->in_pitch = c->in_channels;
    c->residual = pick(s, 0, 2) == 0;
    c->residual_before_act = pick(s, 0, 1);
    c->residual_pitch = pick(s, 0, 1) ? c->out_pitch : c->out_channels + pick(s, 0, 5);
    return c->out_height > 0 && c->out_width > 0;
}

/* A product of matrices that is so deep that tactics take it in parts, or copy it. */
static bool deep_conv(uint64_t *s, sw_conv *c) {
    static const int64_t depths[] = {1024, 1025, 1537, 2048, 4099};
    while (!random_conv(s, c) || c->in_planar) continue;
    c->height = c->out_height = 1;
    c->width = c->out_width = pick(s, 1, 300);
    c->in_channels = depths[pick(s, 0, 4)], c->out_channels = pick(s, 1, 50);
    c->in_pitch = c->in_channels + pick(s, 0, 1);
    c->out_pitch = c->residual_pitch = c->out_channels + pick(s, 0, 1);
    c->kernel_h = c->kernel_w = c->stride_h = c->stride_w = c->dilation_h = c->dilation_w = c->groups = 1;
    c->pad_top = c->pad_left = 0;
    return true;
}

/* A product of rows by a matrix, of all extents. */
static bool pointwise_conv(uint64_t *s, sw_conv *c) {
    static const int64_t counts[] = {1, 7, 16, 33, 64, 65, 96, 130};
    while (!random_conv(s, c) || c->in_planar) continue;
    c->kernel_h = c->kernel_w = c->stride_h = c->stride_w = c->groups = 1;
    c->pad_top = c->pad_left = 0;
    c->out_height = c->height, c->out_width = c->width;
    c->in_channels = counts[pick(s, 0, 7)], c->out_channels = counts[pick(s, 0, 7)];
    c->in_pitch = c->in_channels + pick(s, 0, 1);
    c->out_pitch = c->residual_pitch = c->out_channels + pick(s, 0, 1);
    return true;
}

/* A depthwise one of more channels than are taken together, at times of pixels that share sets of the first level cache. */
static bool wide_depthwise(uint64_t *s, sw_conv *c) {
    static const int64_t channels[] = {120, 129, 144, 272, 512, 1024};
    while (!random_conv(s, c) || c->in_planar) continue;
    c->in_channels = c->out_channels = c->groups = channels[pick(s, 0, 5)];
    c->in_pitch = c->in_channels;
    c->out_pitch = c->residual_pitch = c->out_channels + pick(s, 0, 1);
    return true;
}

/* Taps so far apart that most lie on padding. */
static bool far_taps(uint64_t *s, sw_conv *c) {
    while (!random_conv(s, c) || c->in_planar || c->groups > 4) continue;
    c->kernel_h = c->kernel_w = 3;
    c->height = pick(s, 5, 21), c->width = pick(s, 5, 29);
    c->dilation_h = pick(s, c->height / 2, c->height + 1), c->dilation_w = pick(s, c->width * 3 / 4, c->width + 1);
    c->pad_top = c->dilation_h - pick(s, 0, 2), c->pad_left = c->dilation_w - pick(s, 0, 2);
    c->out_height = out_extent(c->height, 2 * c->dilation_h, 3, c->stride_h, c->dilation_h);
    c->out_width = out_extent(c->width, 2 * c->dilation_w, 3, c->stride_w, c->dilation_w);
    return true;
}

/* What Winograd takes, of a map that no cache of a core holds. */
static bool large_map(uint64_t *s, sw_conv *c) {
    while (!random_conv(s, c) || c->in_planar || c->kernel_h != 3 || c->kernel_w != 3 || c->dilation_h != 1) continue;
    c->batch = c->groups = 1;
    c->height = pick(s, 90, 110), c->width = pick(s, 90, 110);
    c->in_channels = 64, c->out_channels = pick(s, 1, 4);
    c->in_pitch = 64 + pick(s, 0, 1) * pick(s, 1, 100);
    c->out_pitch = c->residual_pitch = c->out_channels + pick(s, 0, 1);
    c->stride_h = c->stride_w = pick(s, 1, 2);
    c->out_height = out_extent(c->height, 2 * c->pad_top, 3, c->stride_h, 1);
    c->out_width = out_extent(c->width, 2 * c->pad_left, 3, c->stride_w, 1);
    return true;
}

/* Exactly `n` floats, so that sanitizers see what lies beyond. */
static float *random_floats(uint64_t *s, size_t n) {
    float *p = malloc(n * sizeof *p + (n == 0));
    for (size_t i = 0; p && i < n; i++) p[i] = sw_test_uniform(s, -1, 1);
    return p;
}

static void *random_map(uint64_t *s, sw_dtype type, size_t n) {
    void *p = malloc(n * sw_dtype_size(type) + (n == 0));
    for (size_t i = 0; p && i < n; i++) sw__map_set(type, p, i, sw_test_uniform(s, -1, 1));
    return p;
}

/* A map's elements: the last pixel ends with its channels. */
static size_t map_elements(int64_t pixels, int64_t pitch, int64_t channels) {
    return (size_t)((pixels - 1) * pitch + channels);
}

typedef struct fixture {
    sw_conv c;
    float *weights, *bias;
    void *in, *residual, *want, *got, *again;
    size_t n_out;
} fixture;

static bool make(uint64_t *s, fixture *f, bool (*shape)(uint64_t *s, sw_conv *c)) {
    if (!shape(s, &f->c)) return false;
    const sw_conv *c = &f->c;
    int64_t pixels = c->batch * c->out_height * c->out_width;
    f->n_out = map_elements(pixels, c->out_pitch, c->out_channels);
    f->in = random_map(s, c->in_type, map_elements(c->batch * c->height * c->width, c->in_pitch, c->in_channels));
    f->weights = random_floats(s, (size_t)(c->out_channels * (c->in_channels / c->groups) * c->kernel_h * c->kernel_w));
    f->c.rough = shape == deep_conv && pick(s, 0, 1);
    bool halves = c->in_type != SW_F32 || c->out_type != SW_F32 || c->rough;
    size_t n_in = map_elements(c->batch * c->height * c->width, c->in_pitch, c->in_channels);
    for (size_t i = 0; halves && c->in_type == SW_F32 && i < n_in; i++)
        sw__map_set(SW_F32, f->in, i, sw_bf16_to_f32(sw_f32_to_bf16(sw__map_get(SW_F32, f->in, i))));
    /* Inputs and weights that are bfloat16 (and float16) where products may be of those: what remains is the order of sums. */
    int64_t n_weights = c->out_channels * (c->in_channels / c->groups) * c->kernel_h * c->kernel_w;
    for (int64_t i = 0; halves && i < n_weights; i++) f->weights[i] = sw_bf16_to_f32(sw_f32_to_bf16(f->weights[i]));
    f->bias = pick(s, 0, 3) ? random_floats(s, (size_t)c->out_channels) : NULL;
    f->residual =
        c->residual ? random_map(s, c->out_type, map_elements(pixels, c->residual_pitch, c->out_channels)) : NULL;
    f->want = random_map(s, c->out_type, f->n_out);
    f->got = random_map(s, c->out_type, f->n_out);
    f->again = random_map(s, c->out_type, f->n_out);
    return true;
}

static void destroy(fixture *f) {
    void *all[] = {f->in, f->weights, f->bias, f->residual, f->want, f->got, f->again};
    for (int i = 0; i < 7; i++) free(all[i]);
}

static void *aligned(size_t bytes) {
    return aligned_alloc(64, (bytes + 64) / 64 * 64);
}

/* Scratch memory behind which there is none, but for less than 64 bytes: plain builds, too, see who reads on. */
static void *scratch_of(size_t bytes) {
    enum { PAGE = 1 << 16, MOST = 256 << 20 };
    static char *begin;
    if (!begin) {
        void *all = mmap(NULL, MOST + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (all == MAP_FAILED || mprotect((char *)all + MOST, PAGE, PROT_NONE) != 0) abort();
        begin = all;
    }
    CHECK(bytes <= MOST);
    return begin + MOST - (bytes + 63) / 64 * 64;
}

/* In place: the residual is put into the output map first. */
static void run_tactic(const fixture *f, const sw_conv_tactic *tactic, sw_pool *pool, bool in_place, void *out) {
    sw_conv c = f->c;
    void *packed = aligned(tactic->packed_bytes(&c)),
         *scratch = scratch_of(tactic->scratch_bytes(&c, sw_pool_threads(pool)));
    for (size_t i = 0; i < f->n_out; i++) sw__map_set(c.out_type, out, i, guard);
    int64_t bytes = (int64_t)sw_dtype_size(c.out_type);
    if (in_place) {
        for (int64_t p = 0; p < c.batch * c.out_height * c.out_width; p++)
            memcpy((char *)out + p * c.out_pitch * bytes, (char *)f->residual + p * c.residual_pitch * bytes,
                   (size_t)(c.out_channels * bytes));
        c.residual_pitch = c.out_pitch;
    }
    tactic->pack(&c, f->weights, f->bias, packed);
    tactic->run(&c, packed, f->in, in_place ? out : f->residual, out, scratch, pool);
    free(packed);
}

/* Errors count against the largest sum that could have been, and, where the output is bfloat16, of its rounding; neighbours'
 * channels must be as they were. */
static bool equal(const fixture *f, const char *name, double tolerance, double scale) {
    sw_dtype type = f->c.out_type; /* activations of halves are rougher, too, and what is added may cancel them */
    double rounding = type == SW_BF16 ? 0x1p-7 : type == SW_F16 ? 0x1p-10 : 1e-5, least = type == SW_F32 ? 3e-6 : 1e-3;
    for (size_t i = 0; i < f->n_out; i++) {
        bool inside = (int64_t)i % f->c.out_pitch < f->c.out_channels;
        float got = sw__map_get(f->c.out_type, f->got, i), want = sw__map_get(f->c.out_type, f->want, i);
        double error = fabs((double)got - (double)want);
        if (inside ? error <= tolerance * scale + least + rounding * fabs((double)want) : got == guard) continue;
        fprintf(stderr, "%s: element %zu is %.9g, expected %.9g (scale %g)\n", name, i, (double)got,
                inside ? (double)want : (double)guard, scale);
        const sw_conv *c = &f->c;
        fprintf(
            stderr,
            "  %lldx%lldx%lld -> %lldx%lldx%lld, kernel %lldx%lld stride %lldx%lld dilation %lld groups %lld act %s, "
            "%s to %s\n",
            (long long)c->height, (long long)c->width, (long long)c->in_channels, (long long)c->out_height,
            (long long)c->out_width, (long long)c->out_channels, (long long)c->kernel_h, (long long)c->kernel_w,
            (long long)c->stride_h, (long long)c->stride_w, (long long)c->dilation_h, (long long)c->groups,
            sw_act_name(c->act), sw_dtype_name(c->in_type), sw_dtype_name(c->out_type));
        return false;
    }
    return true;
}

/* The root of the mean square of the errors. */
static double mean_error(const fixture *f) {
    double sum = 0;
    int64_t n = 0;
    for (size_t i = 0; i < f->n_out; i++) {
        if ((int64_t)i % f->c.out_pitch >= f->c.out_channels) continue;
        double got = (double)sw__map_get(f->c.out_type, f->got, i),
               want = (double)sw__map_get(f->c.out_type, f->want, i);
        sum += (got - want) * (got - want);
        n++;
    }
    return sqrt(sum / (double)n);
}

/* Of the scale. Winograd adds and takes away what sums cancel; with bfloat16 points each of those is rounded to 8 bits:
 * single elements are much farther off than most (with other lists of shapes up to 0.041), so their mean is held, too (0.0042
 * at most in 2,120 maps). Sums of 16 products are rounded to float16 as they grow. */
static const double ROUGH = 0.03, MEAN_ROUGH = 0.006;
static double tolerance_of(const sw_conv_tactic *t) {
    bool winograd = strncmp(t->name, "winograd", 8) == 0 || strncmp(t->name, "strassen", 8) == 0;
    if (strstr(t->name, "fp16")) return 2e-3;
    return winograd && strstr(t->name, "bf16") ? ROUGH : winograd ? 1e-5 : 2e-6;
}

/* Tiles that are wanted are the same to the bit; between the channels of others, too, nothing is written. */
static bool equal_wanted(uint64_t *s, fixture *f, const sw_conv_tactic *tactic, sw_pool *pool) {
    sw_conv *c = &f->c;
    int64_t across = (c->out_width + SW_CONV_TILE - 1) / SW_CONV_TILE, bytes = (int64_t)sw_dtype_size(c->out_type);
    uint8_t wanted[MOST_TILES];
    bool same = true;
    int64_t rare = pick(s, 0, 4);
    for (int i = 0; i < MOST_TILES; i++) wanted[i] = pick(s, 0, rare) == 0;
    c->wanted = wanted;
    run_tactic(f, tactic, pool, false, f->again);
    c->wanted = NULL;
    for (int64_t i = 0; i < (int64_t)f->n_out; i++) {
        int64_t pixel = i / c->out_pitch, y = pixel / c->out_width / SW_CONV_TILE,
                x = pixel % c->out_width / SW_CONV_TILE;
        if (i % c->out_pitch < c->out_channels && !wanted[y * across + x]) continue;
        same &= memcmp((char *)f->got + i * bytes, (char *)f->again + i * bytes, (size_t)bytes) == 0;
    }
    return same;
}

/* Every tactic against plain C, on one thread and on more. `ran` counts what each tactic took. */
static void compare_tactics(uint64_t *s, fixture *f, bool in_place, sw_pool *const *pools, int *ran) {
    const sw_conv_tactic *const *tactics = all_tactics();
    run_tactic(f, tactics[0], NULL, false, f->want);
    double taps = (double)(f->c.in_channels / f->c.groups * f->c.kernel_h * f->c.kernel_w), scale = 1 + sqrt(taps);
    for (int t = 1; tactics[t]; t++) {
        const sw_conv_tactic *tactic = tactics[t];
        if ((tactic->features & ~sw_cpu_features()) || tactic->refuse(&f->c)) continue;
        ran[t]++;
        run_tactic(f, tactic, pools[0], f->c.residual && in_place, f->got);
        CHECK(equal(f, tactic->name, tolerance_of(tactic), scale));
        if (tolerance_of(tactic) == ROUGH) CHECK(mean_error(f) <= MEAN_ROUGH * scale);
        for (int threads = 1; threads < 3; threads++) {
            run_tactic(f, tactic, pools[threads], f->c.residual && in_place, f->again);
            CHECK(memcmp(f->got, f->again, f->n_out * sw_dtype_size(f->c.out_type)) == 0);
        }
        if (f->c.batch == 1) CHECK(equal_wanted(s, f, tactic, pools[pick(s, 0, 2)]));
    }
}

SW_TEST(conv_tactics) {
    const sw_conv_tactic *const *tactics = all_tactics();
    uint64_t state = 12, wishes = 1; /* apart, so that shapes are the same whichever tactics there are */
    sw_pool *pools[3] = {NULL, sw_pool_create(NULL, 2), sw_pool_create(NULL, 3)};
    int ran[MOST_TACTICS] = {0};
    for (int shape = 0; shape < SHAPES + DEEP_SHAPES + POINTWISE_SHAPES; shape++) {
        fixture f = {0};
        bool deep = shape >= SHAPES && shape < SHAPES + DEEP_SHAPES;
        if (!make(&state, &f, deep ? deep_conv : shape >= SHAPES ? pointwise_conv : random_conv)) continue;
        compare_tactics(&wishes, &f, shape % 2, pools, ran);
        destroy(&f);
    }
    for (int t = 1; tactics[t]; t++)
        if (!(tactics[t]->features & ~sw_cpu_features())) CHECK(ran[t] >= 40); /* else the shapes test nothing */
    sw_pool_destroy(pools[1]);
    sw_pool_destroy(pools[2]);
}

SW_TEST(conv_tactics_rare_shapes) {
    uint64_t state = 5, wishes = 1;
    sw_pool *pools[3] = {NULL, sw_pool_create(NULL, 2), sw_pool_create(NULL, 3)};
    int ran[MOST_TACTICS] = {0}, depthwise = 0, direct = 0;
    for (int shape = 0; shape < WIDE_SHAPES + FAR_SHAPES + LARGE_SHAPES; shape++) {
        fixture f = {0};
        CHECK(make(&state, &f,
                   shape < WIDE_SHAPES                ? wide_depthwise
                   : shape < WIDE_SHAPES + FAR_SHAPES ? far_taps
                                                      : large_map));
        compare_tactics(&wishes, &f, shape % 2, pools, ran);
        destroy(&f);
    }
    for (int t = 1; all_tactics()[t]; t++) {
        depthwise += strncmp(all_tactics()[t]->name, "depthwise", 9) ? 0 : ran[t];
        direct += strncmp(all_tactics()[t]->name, "direct", 6) ? 0 : ran[t];
    }
    CHECK((depthwise >= WIDE_SHAPES && direct >= FAR_SHAPES) || !(sw_cpu_features() & SW_CPU_VECTORS));
    sw_pool_destroy(pools[1]);
    sw_pool_destroy(pools[2]);
}

/* 88 tiles of Winograd's, which several threads take 11 at a time: products of 6 of them end in the middle. A tile is longer
 * than all that a thread's scratch has behind its tiles. */
static bool uneven_blocks(uint64_t *s, sw_conv *c) {
    while (!random_conv(s, c) || c->in_planar || c->kernel_h != 3 || c->kernel_w != 3 || c->dilation_h != 1) continue;
    c->batch = c->groups = c->pad_top = c->pad_left = 1;
    c->stride_w = c->stride_h;
    c->out_height = 16, c->out_width = 88;
    c->height = c->out_height * c->stride_h, c->width = c->out_width * c->stride_h;
    c->in_channels = c->in_pitch = 200;
    c->out_channels = c->out_pitch = c->residual_pitch = 3;
    return c->stride_h <= 2;
}

/* Which thread takes the last block is chance: several times, so that it is most likely each of them once. */
SW_TEST(conv_tactics_stay_in_their_scratch) {
    const sw_conv_tactic *const *tactics = all_tactics();
    uint64_t state = 3;
    sw_pool *pools[2] = {sw_pool_create(NULL, 2), sw_pool_create(NULL, 3)};
    for (int shape = 0; shape < 6; shape++) {
        fixture f = {0};
        if (!make(&state, &f, uneven_blocks)) continue;
        for (int t = 1; tactics[t]; t++) {
            if (strncmp(tactics[t]->name, "winograd", 8) || !sw_conv_accepts(tactics[t], &f.c)) continue;
            run_tactic(&f, tactics[t], NULL, false, f.got);
            for (int run = 0; run < 8; run++) {
                run_tactic(&f, tactics[t], pools[run % 2], false, f.again);
                CHECK(memcmp(f.got, f.again, f.n_out * sw_dtype_size(f.c.out_type)) == 0);
            }
        }
        destroy(&f);
    }
    sw_pool_destroy(pools[0]);
    sw_pool_destroy(pools[1]);
}

/* Pixel i of the first or second picture of a batch, whose pictures have `area` pixels each. */
static int64_t pixel_of(const sw_conv *c, int64_t area, int picture, int64_t i) {
    return c->turns ? i * c->turns + picture : picture * area + i;
}

/* A copy of a map, in which the first picture is the second one, behind one of `with`. */
static void *moved_map(const sw_conv *c, sw_dtype type, const void *map, int64_t area, int64_t pitch, int64_t channels,
                       float with) {
    int64_t pictures = c->turns ? c->turns : c->batch;
    size_t bytes = map_elements(area * pictures, pitch, channels) * sw_dtype_size(type);
    void *to = map ? malloc(bytes) : NULL;
    if (to) memcpy(to, map, bytes);
    for (int64_t i = 0; to && i < area * channels; i++) {
        int64_t first = pixel_of(c, area, 0, i / channels), second = pixel_of(c, area, 1, i / channels),
                k = i % channels;
        sw__map_set(type, to, (size_t)(second * pitch + k), sw__map_get(type, map, (size_t)(first * pitch + k)));
        sw__map_set(type, to, (size_t)(first * pitch + k), with);
    }
    return to;
}

static bool is_moved(const fixture *f, int64_t area) {
    const sw_conv *c = &f->c;
    size_t bytes = sw_dtype_size(c->out_type);
    for (int64_t i = 0; i < area; i++) {
        size_t first = (size_t)(pixel_of(c, area, 0, i) * c->out_pitch) * bytes,
               second = (size_t)(pixel_of(c, area, 1, i) * c->out_pitch) * bytes;
        if (memcmp((char *)f->got + first, (char *)f->again + second, (size_t)c->out_channels * bytes) != 0)
            return false;
    }
    return true;
}

/* A batch of maps, or of rows that may take turns. */
static bool some_pictures(uint64_t *s, sw_conv *c) {
    bool rows = pick(s, 0, 1);
    while (!(rows ? pointwise_conv(s, c) : random_conv(s, c)) || c->in_planar) continue;
    c->batch = pick(s, 2, 3);
    if (!rows || pick(s, 0, 1)) return true;
    c->turns = c->batch;
    c->batch = c->height = c->out_height = 1;
    c->width = c->out_width = c->turns * pick(s, 1, 40);
    return true;
}

/* What is beside a picture in its batch, and where it stands, changes no bit of it. */
SW_TEST(conv_tactics_keep_pictures_apart) {
    static const float with[] = {NAN, INFINITY, 1e30f};
    const sw_conv_tactic *const *tactics = all_tactics();
    uint64_t state = 21;
    sw_pool *pool = sw_pool_create(NULL, 2);
    int strassen = 0;
    for (int shape = 0; shape < BATCHES; shape++) {
        fixture f = {0};
        CHECK(make(&state, &f, some_pictures));
        const sw_conv *c = &f.c;
        int64_t pictures = c->turns ? c->turns : 1, in = c->height * c->width / pictures,
                out = c->out_height * c->out_width / pictures;
        fixture moved = f;
        moved.in = moved_map(c, c->in_type, f.in, in, c->in_pitch, c->in_channels, with[shape % 3]);
        moved.residual =
            moved_map(c, c->out_type, f.residual, out, c->residual_pitch, c->out_channels, with[shape % 3]);
        for (int t = 0; tactics[t]; t++) {
            if ((tactics[t]->features & ~sw_cpu_features()) || tactics[t]->refuse(c)) continue;
            run_tactic(&f, tactics[t], NULL, false, f.got);
            run_tactic(&moved, tactics[t], shape % 2 ? pool : NULL, false, f.again);
            strassen += strncmp(tactics[t]->name, "strassen", 8) == 0;
            if (!is_moved(&f, out))
                sw_test_fail(__FILE__, __LINE__, "%s lets %g spread", tactics[t]->name, (double)with[shape % 3]);
        }
        free(moved.in);
        free(moved.residual);
        destroy(&f);
    }
    CHECK(strassen >= 30 || !sw_conv_find("strassen-avx2") || !(sw_cpu_features() & SW_CPU_AVX2));
    sw_pool_destroy(pool);
}

/* A first layer. */
static bool picture_conv(uint64_t *s, sw_conv *c) {
    while (!random_conv(s, c) || !c->in_planar || c->in_channels != 3 || c->groups != 1) continue;
    return true;
}

/* Pictures of bytes, of which every one occurs, give what the same in floats gives, to the bit. */
SW_TEST(conv_tactics_bytes) {
    const sw_conv_tactic *const *tactics = all_tactics();
    uint64_t state = 9;
    sw_pool *pool = sw_pool_create(NULL, 3);
    int direct = 0;
    for (int shape = 0; shape < 40; shape++) {
        fixture f = {0};
        CHECK(make(&state, &f, picture_conv));
        float divisor = shape % 4 ? 255 : 1;
        int64_t area = f.c.height * f.c.width, n = f.c.batch * area * 3;
        uint8_t *bytes = malloc((size_t)n);
        for (int64_t i = 0; i < n; i++) {
            bytes[i] = (uint8_t)(shape + i);
            ((float *)f.in)[(i / 3 / area * 3 + i % 3) * area + i / 3 % area] = (float)bytes[i] / divisor;
        }
        for (int t = 0; tactics[t]; t++) {
            fixture b = f;
            if (!sw_conv_accepts(tactics[t], &f.c)) continue;
            b.in = bytes;
            b.c.in_divisor = divisor;
            run_tactic(&f, tactics[t], NULL, false, f.got);
            run_tactic(&b, tactics[t], shape % 2 ? pool : NULL, false, f.again);
            CHECK(memcmp(f.got, f.again, f.n_out * sw_dtype_size(f.c.out_type)) == 0);
            direct += strncmp(tactics[t]->name, "direct", 6) == 0;
        }
        free(bytes);
        destroy(&f);
    }
    CHECK(direct >= 40 || !(sw_cpu_features() & SW_CPU_VECTORS));
    sw_pool_destroy(pool);
}

/* The map of `f`, whose tiles of `wanted` (NULL: all) are wanted, as rows of planes: the same to the bit, and nothing between
 * planes is written. */
static bool equal_planes(const fixture *f, const sw_conv_tactic *tactic, const uint8_t *wanted, sw_pool *pool) {
    fixture planes = *f;
    sw_conv *c = &planes.c;
    int64_t area = c->out_height * c->out_width, channels = c->out_channels, across = (c->out_width + 3) / SW_CONV_TILE;
    c->out_planar = true;
    c->out_pitch = area + 3;
    c->wanted = wanted;
    if (tactic->refuse(c)) return true;
    planes.n_out = (size_t)((c->batch * channels - 1) * c->out_pitch + area);
    float *got = malloc(planes.n_out * sizeof *got);
    bool same = got != NULL;
    if (got) run_tactic(&planes, tactic, pool, false, got);
    for (int64_t i = 0; same && i < (int64_t)planes.n_out; i++) {
        int64_t plane = i / c->out_pitch, at = i % c->out_pitch, pixel = plane / channels * area + at;
        int64_t tile = at / c->out_width / SW_CONV_TILE * across + at % c->out_width / SW_CONV_TILE;
        float want = at < area ? ((float *)f->got)[pixel * f->c.out_pitch + plane % channels] : guard;
        same = (at < area && wanted && !wanted[tile]) || memcmp(&got[i], &want, sizeof want) == 0;
    }
    free(got);
    return same;
}

/* Maps that are written as planes. */
SW_TEST(conv_tactics_planes) {
    const sw_conv_tactic *const *tactics = all_tactics();
    uint64_t state = 77;
    sw_pool *pool = sw_pool_create(NULL, 3);
    int direct = 0;
    for (int shape = 0; shape < SHAPES / 6; shape++) {
        fixture f = {0};
        uint8_t wanted[MOST_TILES];
        for (int i = 0; i < MOST_TILES; i++) wanted[i] = pick(&state, 0, 2) == 0;
        if (!make(&state, &f, shape % 8 == 7 ? deep_conv : random_conv)) continue;
        f.c.residual = false;
        for (int t = 0; tactics[t] && f.c.out_type == SW_F32; t++) {
            if (!sw_conv_accepts(tactics[t], &f.c)) continue;
            run_tactic(&f, tactics[t], NULL, false, f.got);
            CHECK(equal_planes(&f, tactics[t], NULL, shape % 2 ? pool : NULL));
            if (f.c.batch == 1 && t > 0) CHECK(equal_planes(&f, tactics[t], wanted, pool));
            direct += strncmp(tactics[t]->name, "direct", 6) == 0;
        }
        destroy(&f);
    }
    CHECK(direct >= 100 || !(sw_cpu_features() & SW_CPU_VECTORS));
    sw_pool_destroy(pool);
}

/* A kernel of one weight shows the activation alone: against double, 1.5e-6 absolute and 3e-6 relative. */
SW_TEST(conv_tactics_sigmoid) {
    const sw_conv_tactic *const *tactics = all_tactics();
    enum { N = 40000 };
    static float in[N], out[N];
    for (int i = 0; i < N; i++) in[i] = (float)(i - N / 2) * 0.0043f;
    sw_conv c = sw_conv_of_rows(N, 1, 1);
    for (int t = 1; tactics[t]; t++) {
        const sw_conv_tactic *tactic = tactics[t];
        if ((tactic->features & ~sw_cpu_features()) || tactic->refuse(&c)) continue;
        for (int silu = 0; silu < 2; silu++) {
            c.act = silu ? SW_ACT_SILU : SW_ACT_SIGMOID;
            void *packed = aligned(tactic->packed_bytes(&c)), *scratch = aligned(tactic->scratch_bytes(&c, 1));
            double worst = 0, worst_relative = 0;
            tactic->pack(&c, (const float[]){1}, NULL, packed);
            tactic->run(&c, packed, in, NULL, out, scratch, NULL);
            for (int i = 0; i < N; i++) {
                double x = (double)in[i], want = (silu ? x : 1) / (1 + exp(-x)), error = fabs((double)out[i] - want);
                worst = fmax(worst, error);
                if (fabs(want) > 1e-35) worst_relative = fmax(worst_relative, error / fabs(want));
            }
            CHECK_NEAR(worst, 0, 1.5e-6);
            CHECK_NEAR(worst_relative, 0, 3e-6);
            free(packed);
            free(scratch);
        }
    }
}

/* The same with bfloat16 results: their rounding (2^-8) and 2^-11; far out it must not overflow. */
SW_TEST(conv_tactics_silu_bfloat16) {
    const sw_conv_tactic *const *tactics = all_tactics();
    enum { N = 20000 };
    static float in[N];
    static uint16_t out[N];
    for (int i = 0; i < N; i++) in[i] = sw_bf16_to_f32(sw_f32_to_bf16((float)(i - N / 2) * 0.0086f));
    in[0] = -1e30f, in[N - 1] = 1000;
    sw_conv c = sw_conv_of_rows(N, 1, 1);
    c.act = SW_ACT_SILU, c.out_type = SW_BF16;
    for (int t = 1; tactics[t]; t++) {
        const sw_conv_tactic *tactic = tactics[t];
        if (!sw_conv_accepts(tactic, &c)) continue;
        void *packed = aligned(tactic->packed_bytes(&c)), *scratch = aligned(tactic->scratch_bytes(&c, 1));
        double worst = 0;
        tactic->pack(&c, (const float[]){1}, NULL, packed);
        tactic->run(&c, packed, in, NULL, out, scratch, NULL);
        for (int i = 1; i < N - 1; i++) {
            double x = (double)in[i], want = x / (1 + exp(-x));
            double error = fabs((double)sw_bf16_to_f32(out[i]) - want);
            if (fabs(want) > 1e-35) worst = fmax(worst, error / fabs(want));
        }
        CHECK_NEAR(worst, 0, 0x1p-8 + 0x1p-11);
        CHECK_NEAR(sw_bf16_to_f32(out[0]), 0, 1e-6);
        CHECK_NEAR(sw_bf16_to_f32(out[N - 1]), 1000, 4);
        free(packed);
        free(scratch);
    }
}

/* NaN of the input stays NaN, whatever the activation that has no bound, the types and the residual. */
SW_TEST(conv_tactics_nan) {
    const sw_conv_tactic *const *tactics = all_tactics();
    enum { SIDE = 8, CHANNELS = 32, N = SIDE * SIDE * CHANNELS };
    static float in[N], weights[CHANNELS * CHANNELS * 9], out[N];
    static const sw_act acts[] = {SW_ACT_NONE, SW_ACT_SILU, SW_ACT_SIGMOID, SW_ACT_LEAKY};
    for (int i = 0; i < CHANNELS * CHANNELS * 9; i++) weights[i] = 0.125f;
    static const sw_dtype types[] = {SW_F32, SW_BF16, SW_F16};
    for (int shape = 0; shape < 96; shape++) {
        int64_t kernel = shape & 1 ? 3 : 1, stride = shape & 2 ? 2 : 1;
        sw_conv c = {.batch = 1,
                     .height = SIDE,
                     .width = SIDE,
                     .in_channels = CHANNELS,
                     .out_height = SIDE / stride,
                     .out_width = SIDE / stride,
                     .out_channels = CHANNELS,
                     .kernel_h = kernel,
                     .kernel_w = kernel,
                     .stride_h = stride,
                     .stride_w = stride,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .pad_top = kernel / 2,
                     .pad_left = kernel / 2,
                     .groups = shape >= 48 ? CHANNELS : 1,
                     .in_pitch = CHANNELS,
                     .out_pitch = CHANNELS,
                     .act = acts[shape >> 2 & 3],
                     .act_a = 0.5f,
                     .in_type = types[shape / 16 % 3],
                     .out_type = types[shape / 16 % 3]};
        for (size_t i = 0; i < N; i++) sw__map_set(c.in_type, in, i, (float)NAN);
        for (int t = 0; tactics[t]; t++) {
            if (!sw_conv_accepts(tactics[t], &c)) continue;
            fixture f = {
                .c = c, .in = in, .weights = weights, .n_out = (size_t)(c.out_height * c.out_width * CHANNELS)};
            run_tactic(&f, tactics[t], NULL, false, out);
            for (size_t i = 0; i < f.n_out; i++) CHECK(isnan(sw__map_get(c.out_type, out, i)));
        }
    }
}
