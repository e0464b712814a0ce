/* Kernels of rows of halves, or of float32 as maps have it, against sums in double. */
#include <math.h>
#include <stdlib.h>

#include "backend/cuda/test_gpu.h"
#include "kernels/conv/act.h"

/* Rows of a product; what is read, added and written may be float32, in another order. */
typedef struct product_case {
    int rows, depth, columns;
    sw_act act;
    bool residual, before, out_float, residual_float, turned;
} product_case;

static float number_at(const void *data, bool is_float, int64_t i) {
    return is_float ? ((const float *)data)[i] : get(data, i);
}

static void *random_rows(int64_t n, bool is_float, uint64_t *state) {
    if (!is_float) return random_cells(n, state);
    float *data = sw_calloc(NULL, (size_t)n, sizeof *data);
    for (int64_t i = 0; i < n; i++) data[i] = sw_test_uniform(state, -2, 2);
    return data;
}

/* Row r is read at `turn` of it, and written there: backwards, but for the last, which is written nowhere. */
static int32_t turn(const product_case *c, int r) {
    return !c->turned ? r : r == c->rows - 1 ? -1 : c->rows - 2 - r;
}

static double product_at(const product_case *c, const void *in, const float *weights, const float *bias,
                         const void *residual, int row, int column) {
    int from = turn(c, row);
    double sum = bias[column], other = 0;
    for (int k = 0; from >= 0 && k < c->depth; k++)
        sum += (double)get(in, from * c->depth + k) * weights[column * c->depth + k];
    if (c->residual) other = number_at(residual, c->residual_float, (int64_t)from * c->columns + column);
    if (c->before) sum += other;
    sum = sw_act_apply(c->act, 0, 0, (float)sum);
    return c->before ? sum : sum + other;
}

static void check_product(sw_cuda *gpu, const product_case *c, sw_cuda_kernel tile, const sw_conv *conv) {
    uint64_t state = 3;
    int64_t n_in = (int64_t)c->rows * c->depth, n_out = (int64_t)c->rows * c->columns,
            n_weights = (int64_t)c->columns * c->depth;
    size_t bias_at, bytes = sw_cuda_packed_bytes(conv, SW_CUDA_FORM_TILES, cell, &bias_at),
                    size = c->out_float ? 4 : cell_bytes();
    void *in = random_cells(n_in, &state);
    void *residual = random_rows(n_out, c->residual_float, &state), *packed = sw_alloc(NULL, bytes);
    float *weights = sw_calloc(NULL, (size_t)n_weights, 4), *bias = random_rows(c->columns, true, &state);
    char *got = sw_calloc(NULL, (size_t)n_out + 8, size);
    int32_t *order = sw_calloc(NULL, (size_t)c->rows, sizeof *order);
    for (int64_t i = 0; i < n_weights; i++) weights[i] = rounded(sw_test_uniform(&state, -0.25f, 0.25f));
    for (int i = 0; i < c->rows; i++) order[i] = turn(c, i);
    memset(got, 0xff, ((size_t)n_out + 8) * size);
    sw_cuda_pack(conv, SW_CUDA_FORM_TILES, cell, weights, bias, packed);
    void *places[] = {upload(gpu, in, (size_t)n_in * cell_bytes()), upload(gpu, packed, bytes),
                      upload(gpu, residual, (size_t)n_out * (c->residual_float ? 4 : cell_bytes())),
                      upload(gpu, got, ((size_t)n_out + 8) * size), upload(gpu, order, (size_t)c->rows * 4)};
    sw_cuda_launch l;
    sw_cuda_launch_conv(conv, SW_CUDA_FORM_TILES, tile, &gpu->info, places[0], places[1],
                        c->residual ? places[2] : NULL, places[3], &l);
    l.args.conv.residual_float = c->residual_float;
    if (c->turned) l.args.conv.in_rows = l.args.conv.out_rows = places[4];
    run_and_fetch(gpu, &l, got, places[3], ((size_t)n_out + 8) * size);
    double worst = 0;
    for (int r = 0; r < c->rows; r++)
        for (int k = 0; k < c->columns && turn(c, r) >= 0; k++) {
            double want = product_at(c, in, weights, bias, residual, r, k);
            double error = fabs(number_at(got, c->out_float, (int64_t)turn(c, r) * c->columns + k) - want);
            if (!(error <= worst)) worst = isnan(error) ? INFINITY : error;
        }
    static const double most[] = {2e-2, 16e-2, 1e-4, 2e-2}; /* by sw_cuda_cell */
    CHECK_NEAR(worst, 0, c->out_float ? 2e-3 : most[cell]);
    for (size_t i = (size_t)n_out * size; i < ((size_t)n_out + 8) * size; i++) CHECK_INT(got[i], (char)0xff);
    for (int i = 0; i < 5; i++) sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)places[i]);
    sw_free(NULL, in), sw_free(NULL, residual), sw_free(NULL, packed), sw_free(NULL, weights);
    sw_free(NULL, bias), sw_free(NULL, got), sw_free(NULL, order);
}

static void check_products(sw_cuda *gpu, const product_case *cases, size_t n) {
    sw_cuda_kernel tiles[SW_CUDA_KERNELS];
    for (size_t i = 0; i < n; i++) {
        const product_case *c = &cases[i];
        static const sw_dtype types[] = {SW_F16, SW_BF16, SW_F16, SW_F16}; /* by sw_cuda_cell */
        sw_conv conv = sw_conv_of_rows(c->rows, c->depth, c->columns);
        conv.residual_pitch = c->residual ? c->columns : 0;
        conv.residual = c->residual;
        conv.residual_before_act = c->before;
        conv.act = c->act;
        conv.in_type = types[cell];
        if (!c->out_float) conv.out_type = types[cell];
        int found = sw_cuda_conv_candidates(&conv, &gpu->info, tiles);
        CHECK(found > 0);
        for (int k = 0; k < found; k++) check_product(gpu, c, tiles[k], &conv);
    }
}

/* A rest of rows and depth, columns that are no multiple of 8 or 2, all ends. */
static const product_case products[] = {
    {37, 72, 40, SW_ACT_GELU, false, false, false, false, false},
    {70, 136, 72, SW_ACT_NONE, true, false, false, false, true},
    {21, 24, 12, SW_ACT_RELU, true, true, false, true, false},
    {19, 16, 9, SW_ACT_SIGMOID, true, false, true, false, false},
    {130, 64, 4, SW_ACT_NONE, true, false, true, true, true},
};

SW_TEST(cuda_rows_products) {
    sw_cuda *gpu = open_gpu();
    if (gpu) check_products(gpu, products, sizeof products / sizeof products[0]);
}

/* ---- Norms --------------------------------------------------------------------------------------------------------- */

static void check_norm(sw_cuda *gpu, int rows, int length, bool in_float, bool out_float, bool has_bias) {
    uint64_t state = 11;
    int64_t n = (int64_t)rows * length;
    void *in = random_rows(n, in_float, &state), *got = sw_calloc(NULL, (size_t)n, 4);
    float *scale = random_rows(length, true, &state), *bias = random_rows(length, true, &state);
    void *places[] = {upload(gpu, in, (size_t)n * (in_float ? 4 : 2)), upload(gpu, scale, (size_t)length * 4),
                      upload(gpu, bias, (size_t)length * 4), upload(gpu, got, (size_t)n * 4)};
    sw_cuda_launch l = {.kernel = length % 8 || length > 1024 ? SW_CUDA_NORM_TOKENS : SW_CUDA_NORM_TOKENS_8,
                        .grid_x = (rows + 3) / 4,
                        .grid_y = 1};
    l.args.norm = (sw_cuda_norm){.in = places[0],
                                 .scale = places[1],
                                 .bias = has_bias ? places[2] : NULL,
                                 .out = places[3],
                                 .rows = rows,
                                 .length = length,
                                 .epsilon = 1e-5f,
                                 .in_float = in_float,
                                 .out_float = out_float};
    run_and_fetch(gpu, &l, got, places[3], (size_t)n * (out_float ? 4 : 2));
    for (int r = 0; r < rows; r++) {
        double mean = 0, spread = 0, worst = 0;
        for (int i = 0; i < length; i++) mean += number_at(in, in_float, r * length + i) / (double)length;
        for (int i = 0; i < length; i++) spread += pow(number_at(in, in_float, r * length + i) - mean, 2) / length;
        for (int i = 0; i < length; i++) {
            double want = (number_at(in, in_float, r * length + i) - mean) / sqrt(spread + 1e-5) * scale[i];
            if (has_bias) want += bias[i];
            worst = fmax(worst, fabs(number_at(got, out_float, r * length + i) - want));
        }
        CHECK_NEAR(worst, 0, out_float ? 1e-4 : cell == SW_CUDA_BF16 ? 5e-2 : 5e-3);
    }
    for (int i = 0; i < 4; i++) sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)places[i]);
    sw_free(NULL, in), sw_free(NULL, got), sw_free(NULL, scale), sw_free(NULL, bias);
}

SW_TEST(cuda_rows_norms) {
    static const int cases[][5] = {
        {5, 40, 0, 0, 1}, {3, 1024, 0, 1, 1}, {2, 520, 1, 0, 0}, {4, 13, 0, 0, 1}, {1, 1100, 1, 1, 0}};
    sw_cuda *gpu = open_gpu();
    for (size_t i = 0; gpu && i < sizeof cases / sizeof cases[0]; i++)
        check_norm(gpu, cases[i][0], cases[i][1], cases[i][2], cases[i][3], cases[i][4]);
}

/* ---- Attention ----------------------------------------------------------------------------------------------------- */

/* Heads side by side in rows of query, key and value, `masks` masks (0: none), whose last key none may see. */
typedef struct attention_case {
    int batch, heads, queries, keys, size, value_size, masks;
} attention_case;

static double score(const attention_case *c, const void *q, const void *k, const float *mask, int head, int i, int j) {
    double sum = 0;
    int h = head % c->heads, n = head / c->heads;
    for (int d = 0; d < c->size; d++)
        sum += (double)get(q, ((n * c->queries + i) * c->heads + h) * c->size + d) *
               get(k, ((n * c->keys + j) * c->heads + h) * c->size + d);
    sum *= 0.125;
    return c->masks ? sum + mask[(head % c->masks * c->queries + i) * c->keys + j] : sum;
}

static double attended_at(const attention_case *c, const void *q, const void *k, const void *v, const float *mask,
                          int head, int i, int d) {
    double sum = 0, weighted = 0;
    for (int j = 0; j < c->keys; j++) {
        double e = exp(score(c, q, k, mask, head, i, j));
        int row = head / c->heads * c->keys + j;
        sum += e;
        weighted += e * get(v, (row * c->heads + head % c->heads) * c->value_size + d);
    }
    return weighted / sum;
}

static sw_cuda_heads heads_of(const attention_case *c, int vectors, int size) {
    return (sw_cuda_heads){.along = c->heads * size, .batch = {(long long)vectors * c->heads * size, size}};
}

static void check_attention_rows(sw_cuda *gpu, const attention_case *c, sw_cuda_kernel kernel, int most) {
    uint64_t state = 7;
    size_t n_q = (size_t)(c->batch * c->queries * c->heads * c->size),
           n_k = (size_t)(c->batch * c->keys * c->heads * c->size), n_v = n_k / (size_t)c->size * (size_t)c->value_size,
           n_y = n_q / (size_t)c->size * (size_t)c->value_size;
    size_t n_mask = (size_t)(c->masks * c->queries * c->keys);
    void *q = random_cells((int64_t)n_q, &state), *k = random_cells((int64_t)n_k, &state),
         *v = random_cells((int64_t)n_v, &state), *got = random_cells((int64_t)n_y, &state);
    const size_t bytes = cell_bytes();
    float *mask = random_rows((int64_t)n_mask + 1, true, &state);
    for (size_t i = 0; c->masks && c->keys > 1 && i < n_mask; i += (size_t)c->keys)
        mask[i + (size_t)c->keys - 1] = -1e9f;
    void *places[] = {upload(gpu, q, n_q * bytes), upload(gpu, k, n_k * bytes), upload(gpu, v, n_v * bytes),
                      upload(gpu, mask, (n_mask + 1) * 4), upload(gpu, got, n_y * bytes)};
    int warps = sw_cuda_kernel_get(kernel)->threads / 32;
    sw_cuda_launch l = {.kernel = kernel,
                        .grid_x = (c->queries + 15) / 16,
                        .grid_y = c->batch * c->heads,
                        .shared_bytes = warps * (most / 8 * 4 + 4) * 128};
    l.args.attention_rows = (sw_cuda_attention_rows){.q = places[0],
                                                     .k = places[1],
                                                     .v = places[2],
                                                     .mask = c->masks ? places[3] : NULL,
                                                     .out = places[4],
                                                     .query = heads_of(c, c->queries, c->size),
                                                     .key = heads_of(c, c->keys, c->size),
                                                     .value = heads_of(c, c->keys, c->value_size),
                                                     .result = heads_of(c, c->queries, c->value_size),
                                                     .n_batch = 2,
                                                     .batch = {c->batch, c->heads},
                                                     .queries = c->queries,
                                                     .keys = c->keys,
                                                     .size = c->size,
                                                     .value_size = c->value_size,
                                                     .masks = c->masks,
                                                     .scale = 0.125f};
    run_and_fetch(gpu, &l, got, places[4], n_y * bytes);
    double worst = 0;
    for (int head = 0; head < c->batch * c->heads; head++)
        for (int i = head % 3; i < c->queries; i += 3)
            for (int d = head % 5; d < c->value_size; d += 5) {
                int at = ((head / c->heads * c->queries + i) * c->heads + head % c->heads) * c->value_size + d;
                double error = fabs(get(got, at) - attended_at(c, q, k, v, mask, head, i, d));
                if (!(error <= worst)) worst = isnan(error) ? INFINITY : error;
            }
    static const double worst_of[] = {5e-3, 4e-2, 1e-5, 5e-3}; /* by sw_cuda_cell */
    CHECK_NEAR(worst, 0, worst_of[cell]);
    for (int i = 0; i < 5; i++) sw_cuda_free(gpu, (sw_cu_pointer)(uintptr_t)places[i]);
    sw_free(NULL, q), sw_free(NULL, k), sw_free(NULL, v), sw_free(NULL, got), sw_free(NULL, mask);
}

/* Sizes below those of the kernels, fewer keys than warps take, a rest behind the last sixteen, masks for some heads. */
static void check_all_attention(sw_cuda *gpu) {
    static const struct {
        attention_case c;
        sw_cuda_kernel kernel;
        int most;
    } cases[] = {
        {{2, 3, 49, 49, 32, 32, 6}, SW_CUDA_ATTENTION_ROWS_32, 32},
        {{1, 2, 17, 150, 24, 16, 0}, SW_CUDA_ATTENTION_ROWS_32_FEW, 32},
        {{1, 2, 33, 70, 64, 64, 1}, SW_CUDA_ATTENTION_ROWS_64, 64},
        {{2, 1, 20, 9, 48, 64, 2}, SW_CUDA_ATTENTION_ROWS_64_FEW, 64},
        {{1, 2, 18, 37, 80, 96, 0}, SW_CUDA_ATTENTION_ROWS_128, 128},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_attention_rows(gpu, &cases[i].c, cases[i].kernel, cases[i].most);
}

SW_TEST(cuda_rows_attention) {
    sw_cuda *gpu = open_gpu();
    if (gpu) check_all_attention(gpu);
}

static void check_all_of_rows(sw_cuda *gpu) {
    check_products(gpu, products, 2);
    check_all_attention(gpu);
}

SW_TEST(cuda_rows_bfloat16) {
    cell = SW_CUDA_BF16;
    sw_cuda *gpu = open_gpu();
    if (gpu && gpu->info.sm >= 80) {
        check_all_of_rows(gpu);
        check_norm(gpu, 3, 40, false, false, true);
    }
    cell = SW_CUDA_F16;
}

SW_TEST(cuda_rows_floats) {
    for (cell = SW_CUDA_FLOAT; cell <= SW_CUDA_TF32; cell++) {
        sw_cuda *gpu = open_gpu();
        if (!gpu || (cell == SW_CUDA_TF32 && gpu->info.sm < 80)) continue;
        check_all_of_rows(gpu);
        check_norm(gpu, 3, 40, true, true, true);
    }
    cell = SW_CUDA_F16;
}

SW_TEST(cuda_rows_sm_75) {
    check_sm_75(check_all_of_rows);
}
