/* Fast kernels against the reference: errors within the operator's tolerance, the same bits for any number of
 * threads, and under sanitizers nothing read or written outside of the tensors. */
#include <math.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "kernels/fast.h"
#include "kernels/nhwc/nhwc.h"
#include "ops/test_call.h"

static uint64_t state = 7;

static int64_t pick(int64_t lo, int64_t hi) {
    return lo + (int64_t)(sw_test_random(&state) % (uint64_t)(hi - lo + 1));
}

static float *noise(int64_t n, float lo, float hi) {
    float *p = malloc((size_t)n * sizeof *p + (n == 0));
    for (int64_t i = 0; p && i < n; i++) p[i] = sw_test_uniform(&state, lo, hi);
    return p;
}

/* The floats that a tensor spans: the last pixel of a map ends with its channels. */
static int64_t span(const sw_tensor *t) {
    int64_t n = sw_tensor_count(t);
    return t->layout == SW_ROW_MAJOR ? n : (n / t->dims[1] - 1) * t->pitch + t->dims[1];
}

static bool close_to(const sw_tensor *got, const float *want, double tolerance) {
    const float *y = got->data;
    double scale = 1e-30;
    int64_t n = span(got);
    for (int64_t i = 0; i < n; i++)
        if (fabs((double)want[i]) < 1e30 && fabs((double)want[i]) > scale) scale = fabs((double)want[i]);
    for (int64_t i = 0; i < n; i++) {
        if (isnan(want[i]) ? isnan(y[i]) : y[i] == want[i] || fabs((double)y[i] - (double)want[i]) <= tolerance * scale)
            continue;
        fprintf(stderr, "element %lld is %.9g, expected %.9g (scale %.3g)\n", (long long)i, (double)y[i],
                (double)want[i], scale);
        return false;
    }
    return true;
}

/* Runs the rule for row-major outputs (others are set by the test), then the fast kernel with 1 to 3 threads and
 * the reference `ref`. True when a fast kernel took the call. */
static bool agree(test_call *t, sw_kernel_fn ref, double tolerance) {
    static sw_pool *pools[3];
    if (!pools[1]) pools[1] = sw_pool_create(NULL, 2), pools[2] = sw_pool_create(NULL, 3);
    sw_tensor *y = t->out[0];
    sw_layout layout = y->layout;
    int64_t pitch = y->pitch;
    CHECK(sw_op_infer(&t->call) == SW_OK);
    y->layout = layout;
    y->pitch = pitch;
    int64_t n = span(y);
    float *want = noise(n, 77, 77.5f), *first = malloc((size_t)n * sizeof *first + 1);
    y->data = want;
    t->call.pool = NULL;
    CHECK(ref(&t->call) == SW_OK);
    bool taken = true;
    for (int i = 0; i < 3 && taken; i++) {
        y->data = malloc((size_t)n * sizeof(float) + (n == 0));
        memcpy(y->data, want, (size_t)n * sizeof(float));
        for (int64_t k = 0; layout == SW_ROW_MAJOR && k < n; k++)
            ((float *)y->data)[k] = -3; /* gaps of maps must stay */
        t->call.pool = pools[i];
        taken = sw_kernel_fast(&t->call);
        if (taken) CHECK(close_to(y, want, tolerance));
        if (i == 0)
            memcpy(first, y->data, (size_t)n * sizeof *first);
        else if (taken)
            CHECK(memcmp(first, y->data, (size_t)n * sizeof *first) == 0);
        free(y->data);
    }
    free(want);
    free(first);
    return taken;
}

static bool has_vectors(void) {
    if (sw_cpu_features() & SW_CPU_VECTORS) return true;
    sw_test_skip("neither AVX2 nor NEON");
    return false;
}

static void check_unary(sw_op op, const char *approximate) {
    static const float special[] = {0,   -0.0f, INFINITY, -INFINITY, NAN,    88.7f, 89, -87.3f,
                                    -88, -104,  1e-30f,   0.62499f,  0.925f, -4,    30};
    for (int64_t n = 1; n < 3000; n = n * 3 + 1) {
        test_call t;
        float *x = noise(n, op == SW_OP_Exp ? -20.0f : -12.0f, 12);
        for (int64_t i = 0; i < n && i < (int64_t)(sizeof special / sizeof special[0]); i++)
            if (n > 100) x[n - 1 - i] = special[i];
        x[0] = 1; /* results are measured by the largest */
        test_call_init(&t, op, 1);
        if (approximate) test_call_string(&t, "approximate", approximate);
        test_call_input(&t, TEST_F32(x, n));
        /* exp by its own size; infinities are skipped in the scale */
        CHECK(agree(&t, sw_kernel_ref(op), op == SW_OP_Exp ? 3e-7 : 1e-7 + (double)sw_op_get(op)->tolerance));
        free(x);
    }
}

SW_TEST(fast_unary) {
    if (!has_vectors()) return;
    static const sw_op ops[] = {SW_OP_Exp, SW_OP_Sigmoid, SW_OP_Swish, SW_OP_HardSwish, SW_OP_Tanh, SW_OP_Erf};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) check_unary(ops[i], NULL);
    check_unary(SW_OP_Gelu, "none");
    check_unary(SW_OP_Gelu, "tanh");
}

/* Relative errors over the whole range, not only against the largest element. */
SW_TEST(fast_unary_relative) {
    if (!has_vectors()) return;
    enum { N = 4000 };
    static const struct {
        sw_op op;
        double limit, (*f)(double);
    } rows[] = {{SW_OP_Exp, 2.5e-7, exp}, {SW_OP_Tanh, 4e-7, tanh}, {SW_OP_Erf, 4e-7, erf}};
    static float x[N], y[N];
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < N; i++) x[i] = (float)(i - N / 2) * (k == 0 ? 0.043f : 0.0025f);
        test_call t;
        test_call_init(&t, rows[k].op, 1);
        test_call_input(&t, TEST_F32(x, N));
        CHECK(sw_op_infer(&t.call) == SW_OK);
        t.y[0].data = y;
        CHECK(sw_kernel_fast(&t.call));
        double worst = 0;
        for (int i = 0; i < N; i++) {
            double want = rows[k].f((double)x[i]);
            if (fabs(want) > 2e-38 && want < 3e38) worst = fmax(worst, fabs((double)y[i] - want) / fabs(want));
        }
        CHECK_NEAR(worst, 0, rows[k].limit);
    }
}

SW_TEST(fast_unary_maps) {
    if (!has_vectors()) return;
    for (int i = 0; i < 20; i++) {
        test_call t;
        int64_t dims[4] = {pick(1, 2), pick(1, 35), pick(1, 9), pick(1, 9)};
        sw_tensor x = test_tensor(SW_F32, 4, dims, NULL);
        x.layout = SW_CHANNELS_LAST;
        x.pitch = dims[1] + pick(0, 5);
        x.data = noise(span(&x), -9, 9);
        test_call_init(&t, SW_OP_Swish, 1);
        test_call_input(&t, x);
        t.y[0].layout = SW_CHANNELS_LAST;
        t.y[0].pitch = dims[1] + pick(0, 5);
        CHECK(agree(&t, sw_kernel_nhwc(SW_OP_Swish), 1e-6));
        free(x.data);
    }
}

SW_TEST(fast_softmax) {
    if (!has_vectors()) return;
    for (int i = 0; i < 60; i++) {
        test_call t;
        int64_t dims[3] = {pick(1, 4), pick(1, 40), pick(1, 70)}, n = dims[0] * dims[1] * dims[2];
        float *x = noise(n, -30, 30);
        if (i % 7 == 0) x[pick(0, n - 1)] = i % 2 ? NAN : -INFINITY;
        test_call_init(&t, SW_OP_Softmax, 1);
        test_call_int(&t, "axis", pick(-3, 2));
        test_call_int(&t, "to_end", pick(0, 3) == 0);
        test_call_input(&t, test_tensor(SW_F32, 3, dims, x));
        CHECK(agree(&t, sw_kernel_ref(SW_OP_Softmax), 1e-6));
        free(x);
    }
}

SW_TEST(fast_dfl) {
    if (!has_vectors()) return;
    for (int64_t anchors = 1; anchors < 500; anchors = anchors * 2 + 3) {
        test_call t;
        float *x = noise(2 * 64 * anchors, -9, 9);
        test_call_init(&t, SW_OP_Dfl, 1);
        test_call_int(&t, "bins", 16);
        test_call_input(&t, TEST_F32(x, 2, 64, anchors));
        CHECK(agree(&t, sw_kernel_ref(SW_OP_Dfl), 1e-6));
        free(x);
    }
}

/* Of rows: layers, root mean squares; of planes: instances. */
static void check_norms(sw_op op) {
    for (int i = 0; i < 30; i++) {
        test_call t;
        int64_t rows = pick(1, 30), n = pick(1, 70);
        bool planes = op == SW_OP_InstanceNormalization;
        int64_t numbers = planes ? rows : n;
        float *x = noise(rows * n, -3, 9), *scale = noise(numbers, -2, 2), *bias = noise(numbers, -2, 2);
        for (int64_t k = 0; i >= 24 && k < n; k++) x[k] += i < 27 ? 3000 : 0; /* a mean far from 0 */
        if (i == 27) x[0] = NAN;
        if (i == 28) x[n / 2] = INFINITY;
        if (i == 29) x[n / 2] = 1e30f; /* whose square is no float */
        test_call_init(&t, op, 1);
        if (!planes) test_call_int(&t, "axis", -1);
        test_call_input(&t, planes ? TEST_F32(x, 1, rows, n) : TEST_F32(x, rows, n));
        test_call_input(&t, TEST_F32(scale, numbers));
        if (planes || (i % 2 && op == SW_OP_LayerNormalization)) test_call_input(&t, TEST_F32(bias, numbers));
        CHECK(agree(&t, sw_kernel_ref(op), 1e-5));
        free(x), free(scale), free(bias);
    }
}

SW_TEST(fast_norms) {
    if (!has_vectors()) return;
    check_norms(SW_OP_LayerNormalization);
    check_norms(SW_OP_RMSNormalization);
    check_norms(SW_OP_InstanceNormalization);
}

SW_TEST(fast_matmul) {
    if (!has_vectors()) return;
    for (int i = 0; i < 80; i++) {
        test_call t;
        int64_t m = pick(1, 40), k = pick(1, 70), n = pick(1, 50), outer = pick(1, 3), inner = pick(1, 2);
        bool shared = i % 3 == 0, vector = i % 8 == 7;
        float *a = noise(outer * inner * m * k, -1, 1), *b = noise(outer * inner * k * n, -1, 1);
        test_call_init(&t, SW_OP_MatMul, 1);
        test_call_input(&t, vector       ? TEST_F32(a, k)
                            : i % 5 == 4 ? TEST_F32(a, inner, m, k)
                                         : TEST_F32(a, outer, inner, m, k));
        test_call_input(&t, shared  ? TEST_F32(b, k, n)
                            : i % 2 ? TEST_F32(b, outer, 1, k, n)
                                    : TEST_F32(b, outer, inner, k, n));
        CHECK(agree(&t, sw_kernel_ref(SW_OP_MatMul), 2e-6));
        free(a), free(b);
    }
}

SW_TEST(fast_gemm) {
    if (!has_vectors()) return;
    for (int i = 0; i < 80; i++) {
        test_call t;
        int64_t m = i % 4 ? pick(1, 200) : pick(1, 4), k = pick(1, 90), n = pick(1, 60);
        float *a = noise(m * k, -1, 1), *b = noise(k * n, -1, 1), *bias = noise(m * n, -1, 1);
        test_call_init(&t, SW_OP_Gemm, 1);
        test_call_int(&t, "transB", i % 2);
        if (i % 3 == 0) test_call_float(&t, "alpha", 0.5f), test_call_float(&t, "beta", -2);
        test_call_input(&t, TEST_F32(a, m, k));
        if (i % 2)
            test_call_input(&t, TEST_F32(b, n, k));
        else
            test_call_input(&t, TEST_F32(b, k, n));
        if (i % 5 == 1) test_call_input(&t, TEST_F32(bias, n));
        if (i % 5 == 2) test_call_input(&t, TEST_F32(bias, m, 1));
        if (i % 5 == 3) test_call_input(&t, TEST_F32(bias, m, n));
        if (i % 5 == 4) test_call_input(&t, TEST_F32(bias, 1));
        CHECK(agree(&t, sw_kernel_ref(SW_OP_Gemm), 2e-6));
        free(a), free(b), free(bias);
    }
}

static void check_pools(sw_op op, double tolerance) {
    for (int i = 0; i < 60; i++) {
        test_call t;
        int64_t dims[4] = {pick(1, 2), pick(1, 75), pick(5, 14), i % 9 ? pick(5, 14) : pick(250, 600)},
                kernel = pick(1, 5), pad = pick(0, kernel / 2);
        int64_t stride = pick(1, 2), dilation = pick(0, 4) ? 1 : 2;
        if ((kernel - 1) * dilation >= 5) dilation = 1;
        sw_tensor x = test_tensor(SW_F32, 4, dims, NULL);
        x.layout = SW_CHANNELS_LAST;
        x.pitch = dims[1] + pick(0, 5);
        x.data = noise(span(&x), -9, 9);
        if (i % 5 == 0) ((float *)x.data)[pick(0, span(&x) - 1)] = NAN;
        test_call_init(&t, op, 1);
        if (op == SW_OP_AveragePool) test_call_int(&t, "count_include_pad", i % 2);
        const int64_t window[2] = {kernel, kernel}, pads[4] = {pad, pad, pad, pad}, strides[2] = {stride, stride},
                      dilations[2] = {dilation, dilation};
        if (op != SW_OP_GlobalAveragePool) { /* the call keeps the lists, it does not copy them */
            test_call_int(&t, "ceil_mode", i / 2 % 2);
            test_call_ints(&t, "kernel_shape", 2, window);
            test_call_ints(&t, "pads", 4, pads);
            test_call_ints(&t, "strides", 2, strides);
            test_call_ints(&t, "dilations", 2, dilations);
        }
        test_call_input(&t, x);
        t.y[0].layout = SW_CHANNELS_LAST;
        t.y[0].pitch = dims[1] + pick(0, 5);
        CHECK(agree(&t, sw_kernel_nhwc(op), tolerance));
        free(x.data);
    }
}

SW_TEST(fast_pools) {
    if (!has_vectors()) return;
    check_pools(SW_OP_MaxPool, 0);
    check_pools(SW_OP_AveragePool, 3e-7);
    check_pools(SW_OP_GlobalAveragePool, 3e-6); /* of means that are small beside what they are means of */
}

SW_TEST(fast_grid_linear) {
    if (!has_vectors()) return;
    for (int i = 0; i < 40; i++) {
        test_call t;
        int64_t n = pick(1, 3), channels = pick(1, 5), height = pick(1, 9), width = pick(1, 9), h = pick(1, 6),
                w = pick(1, 6);
        float *x = noise(n * channels * height * width, -9, 9), *grid = noise(n * h * w * 2, -1.6f, 1.6f);
        if (i % 5 == 0) grid[0] = NAN;
        if (i % 7 == 0) grid[1] = 1e30f;
        if (i % 3 == 0) x[0] = INFINITY;
        test_call_init(&t, SW_OP_GridSample, 1);
        test_call_string(&t, "mode", "linear");
        test_call_string(&t, "padding_mode", i % 2 ? "zeros" : "border");
        test_call_int(&t, "align_corners", i / 2 % 2);
        test_call_input(&t, TEST_F32(x, n, channels, height, width));
        test_call_input(&t, TEST_F32(grid, n, h, w, 2));
        CHECK(agree(&t, sw_kernel_ref(SW_OP_GridSample), 1e-6));
        free(x), free(grid);
    }
}

SW_TEST(fast_transpose) {
    if (!has_vectors()) return;
    static const int64_t perms[][4] = {{0, 1, 3, 2}, {0, 2, 3, 1}, {0, 3, 1, 2},
                                       {1, 2, 3, 0}, {2, 3, 0, 1}, {3, 0, 1, 2}};
    for (int i = 0; i < 60; i++) {
        test_call t;
        int64_t dims[4] = {pick(1, 3), pick(1, 20), pick(1, 20), pick(1, 40)};
        float *x = noise(dims[0] * dims[1] * dims[2] * dims[3], -9, 9);
        test_call_init(&t, SW_OP_Transpose, 1);
        test_call_ints(&t, "perm", 4, perms[i % 6]);
        test_call_input(&t, test_tensor(SW_F32, 4, dims, x));
        CHECK(agree(&t, sw_kernel_ref(SW_OP_Transpose), 0));
        free(x);
    }
}

SW_TEST(fast_lstm) {
    if (!has_vectors()) return;
    static const char *const ways[] = {"forward", "reverse", "bidirectional"};
    for (int i = 0; i < 30; i++) {
        test_call t;
        int64_t steps = pick(1, 7), batch = pick(1, 3), input = pick(1, 20), hidden = pick(1, 40),
                d = i % 3 == 2 ? 2 : 1;
        bool first = i / 3 % 2;
        float *x = noise(steps * batch * input, -2, 2), *w = noise(d * 4 * hidden * input, -1, 1);
        float *r = noise(d * 4 * hidden * hidden, -1, 1), *b = noise(d * 8 * hidden, -1, 1),
              *h = noise(d * batch * hidden, -1, 1);
        test_call_init(&t, SW_OP_LSTM, 1);
        test_call_string(&t, "direction", ways[i % 3]);
        test_call_int(&t, "hidden_size", hidden);
        test_call_int(&t, "layout", first);
        test_call_input(&t, first ? TEST_F32(x, batch, steps, input) : TEST_F32(x, steps, batch, input));
        test_call_input(&t, TEST_F32(w, d, 4 * hidden, input));
        test_call_input(&t, TEST_F32(r, d, 4 * hidden, hidden));
        if (i % 4) test_call_input(&t, TEST_F32(b, d, 8 * hidden));
        if (i % 4 == 2) {
            test_call_absent(&t);
            test_call_input(&t, first ? TEST_F32(h, batch, d, hidden) : TEST_F32(h, d, batch, hidden));
        }
        CHECK(agree(&t, sw_kernel_ref(SW_OP_LSTM), 3e-6));
        free(x), free(w), free(r), free(b), free(h);
    }
}

SW_TEST(fast_resize_linear) {
    static const char *const modes[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                                        "asymmetric"};
    for (int i = 0; i < 60; i++) {
        test_call t;
        int64_t dims[4] = {pick(1, 2), pick(1, 3), pick(1, 9), pick(1, 9)};
        int64_t sizes[4] = {dims[0], dims[1], pick(1, 30), pick(1, 30)};
        float *x = noise(dims[0] * dims[1] * dims[2] * dims[3], -9, 9);
        if (i % 7 == 0) x[0] = INFINITY;
        test_call_init(&t, SW_OP_Resize, 1);
        test_call_string(&t, "mode", "linear");
        test_call_string(&t, "coordinate_transformation_mode", modes[i % 5]);
        test_call_input(&t, test_tensor(SW_F32, 4, dims, x));
        test_call_absent(&t);
        test_call_absent(&t);
        test_call_input(&t, test_tensor(SW_I64, 1, (int64_t[]){4}, sizes));
        CHECK(agree(&t, sw_kernel_ref(SW_OP_Resize), 1e-6));
        free(x);
    }
}

/* The same call with bytes as its result. */
static void check_bytes(test_call *t) {
    test_call_int(t, "bytes", 1);
    CHECK_INT(sw_op_infer(&t->call), SW_OK);
    size_t n = (size_t)sw_tensor_count(&t->y[0]);
    uint8_t *want = malloc(n), *got = malloc(n);
    memset(got, 1, n);
    t->call.pool = NULL;
    t->y[0].data = want;
    CHECK_INT(sw_kernel_ref(SW_OP_Letterbox)(&t->call), SW_OK);
    t->y[0].data = got;
    CHECK(sw_kernel_fast(&t->call));
    CHECK(memcmp(got, want, n) == 0);
    free(got);
    free(want);
}

/* To the bit, whatever the picture's size; halved, enlarged, with edges that no vector reaches. */
SW_TEST(fast_letterbox) {
    if (!(sw_cpu_features() & SW_CPU_AVX2)) {
        sw_test_skip("no AVX2");
        return;
    }
    for (int i = 0; i < 300; i++) {
        test_call t;
        int64_t height = pick(1, 90), width = pick(1, 90), canvas = pick(1, 60), across = pick(1, 60);
        if (i % 5 == 0) canvas = height = pick(1, 40), across = width = pick(1, 40), height *= 2, width *= 2;
        int64_t n = height * width * 3;
        uint8_t *pixels = malloc((size_t)n); /* no more: sanitizers see what is read behind it */
        for (int64_t k = 0; k < n; k++) pixels[k] = i % 7 ? (uint8_t)pick(0, 255) : 255;
        test_call_init(&t, SW_OP_Letterbox, 1);
        test_call_input(&t, test_tensor(SW_U8, 3, (int64_t[]){height, width, 3}, pixels));
        test_call_int(&t, "height", canvas);
        test_call_int(&t, "width", across);
        test_call_int(&t, "stride", i % 4 ? 0 : 8);
        test_call_int(&t, "center", i % 3 != 0);
        test_call_int(&t, "stretch", i % 11 == 0);
        test_call_int(&t, "swap_rb", i % 2);
        test_call_float(&t, "divisor", i % 6 ? 255 : 1);
        static const float mean[] = {0.485f, 0.456f, 0.406f}, std[] = {0.229f, 0.224f, 0.225f};
        if (i % 8 == 1) test_call_floats(&t, "mean", 3, mean);
        if (i % 8 == 1) test_call_floats(&t, "std", 3, std);
        CHECK(agree(&t, sw_kernel_ref(SW_OP_Letterbox), 0));
        check_bytes(&t);
        free(pixels);
    }
}

SW_TEST(fast_relayout) {
    if (!has_vectors()) return;
    for (int i = 0; i < 60; i++) {
        test_call t;
        int64_t dims[4] = {pick(1, 2), i % 6 ? pick(1, 40) : 3, pick(1, 14), pick(1, 14)};
        sw_tensor x = test_tensor(SW_F32, 4, dims, NULL);
        int64_t pitch = dims[1] + pick(0, 1) * pick(1, 5);
        if (i % 2) x.layout = SW_CHANNELS_LAST, x.pitch = pitch;
        x.data = noise(span(&x), -9, 9);
        test_call_init(&t, SW_OP_Relayout, 1);
        test_call_input(&t, x);
        if (i % 2 == 0) t.y[0].layout = SW_CHANNELS_LAST, t.y[0].pitch = pitch;
        CHECK(agree(&t, sw_kernel_nhwc(SW_OP_Relayout), 0));
        free(x.data);
    }
}

SW_TEST(fast_kernels_obey) {
    float x[4] = {1, 2, 3, 4}, y[4] = {0};
    test_call t;
    test_call_init(&t, SW_OP_Exp, 1);
    test_call_input(&t, TEST_F32(x, 4));
    CHECK(sw_op_infer(&t.call) == SW_OK);
    t.y[0].data = y;
    t.call.reference = true;
    CHECK(!sw_kernel_fast(&t.call));
    t.call.reference = false;
    uint32_t mask = sw_cpu_mask();
    sw_cpu_set_mask(SW_CPU_SSE2);
    CHECK(!sw_kernel_fast(&t.call));
    sw_cpu_set_mask(mask);
    CHECK(y[0] == 0);
}

/* Heads side by side in one tensor, or each in rows of its own, elements turned or not: strides from the inside out. */
static int64_t lay_heads(int64_t *numbers, int64_t batch, int64_t heads, int64_t vectors, int64_t size, int order) {
    static const int orders[4][4] = {{0, 1, 2, 3}, {0, 2, 1, 3}, {0, 1, 3, 2}, {2, 0, 1, 3}}; /* outermost first */
    const int64_t extents[4] = {batch, heads, vectors, size};
    int64_t strides[4], stride = 1;
    for (int i = 3; i >= 0; i--) strides[orders[order][i]] = stride, stride *= extents[orders[order][i]];
    const int64_t offset = pick(0, 3);
    memcpy(numbers, (int64_t[]){offset, strides[2], strides[3], strides[0], strides[1]}, 5 * sizeof *numbers);
    return stride + offset;
}

SW_TEST(fast_attention) {
    if (!has_vectors()) return;
    for (int round = 0; round < 60; round++) {
        int64_t batch = pick(1, 2), heads = pick(1, 3), queries = pick(1, 40), keys = pick(1, 70), size = pick(1, 40),
                value_size = pick(1, 70), of[4][5], n[4];
        bool masked = round % 3 == 0;
        n[0] = lay_heads(of[0], batch, heads, queries, size, (int)pick(0, 3));
        n[1] = lay_heads(of[1], batch, heads, keys, size, (int)pick(0, 3));
        n[2] = lay_heads(of[2], batch, heads, keys, value_size, (int)pick(0, 3));
        n[3] = lay_heads(of[3], batch, heads, queries, value_size, (int)pick(0, 3)) - of[3][0];
        of[3][0] = 0;
        float *x[4] = {noise(n[0], -2, 2), noise(n[1], -2, 2), noise(n[2], -2, 2),
                       noise(heads * queries * keys, -3, 3)};
        for (int64_t i = 0; i < heads * queries * keys; i++)
            if (i % keys && pick(0, 3) == 0) x[3][i] = -INFINITY;
        if (round == 1) x[0][of[0][0]] = NAN;
        if (round == 2) x[0][of[0][0]] = 1e30f;
        test_call t;
        test_call_init(&t, SW_OP_FusedAttention, 1);
        for (int i = 0; i < 3; i++) test_call_input(&t, TEST_F32(x[i], n[i]));
        if (masked) test_call_input(&t, test_tensor(SW_F32, TEST_DIMS(heads, queries, keys), x[3]));
        test_call_ints(&t, "batch", TEST_DIMS(batch, heads));
        test_call_ints(&t, "sizes", TEST_DIMS(queries, keys, size, value_size));
        test_call_ints(&t, "shape", TEST_DIMS(n[3]));
        test_call_float(&t, "scale", round % 5 ? 0.4f : -0.4f);
        static const char *const names[4] = {"query", "key", "value", "result"};
        for (int i = 0; i < 4; i++) test_call_ints(&t, names[i], 5, of[i]);
        CHECK(agree(&t, sw_kernel_ref(SW_OP_FusedAttention), 2e-6));
        for (int i = 0; i < 4; i++) free(x[i]);
    }
}
