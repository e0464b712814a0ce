/* cuBLASLt for products of halves with float32 sums, bias and ReLU, in plain C: the library stands in for libcublasLt.so.13
 * (SLIPWAY_CUBLASLT). It knows two algorithms. EMU_CUDA chooses what goes wrong: "blas-11", "blas-none" (it does not start),
 * "blas-check", "blas-run" (they are refused). */
#include <stdlib.h>

#include "backend/cuda/library.h"
#include "cuda_emu/emu.h"

enum { REFUSED = 15, ALGORITHMS = 2, FIRST_ID = 20, WORKSPACE = 128 };

#define EXPORT(result, symbol, arguments)                                                                              \
    __attribute__((visibility("default"))) result symbol arguments;                                                    \
    result symbol arguments

typedef struct product {
    unsigned transposed, epilogue;
    const void *bias;
} product;

typedef struct layout {
    unsigned type;
    int64_t rows, columns, pitch;
} layout;

static unsigned make(sw_blas_object *made, size_t size) {
    *made = calloc(1, size);
    return *made ? 0 : REFUSED;
}

EXPORT(size_t, cublasLtGetVersion, (void)) {
    return emu_goes_wrong("blas-11") ? 110000 : 130100;
}
EXPORT(unsigned, cublasLtCreate, (sw_blas_object * handle)) {
    return emu_goes_wrong("blas-none") ? REFUSED : make(handle, 1);
}
EXPORT(unsigned, cublasLtDestroy, (sw_blas_object handle)) {
    return free(handle), 0;
}
EXPORT(unsigned, cublasLtMatmulDescCreate, (sw_blas_object * made, unsigned compute, unsigned scale)) {
    return compute == BLAS_COMPUTE_FLOAT && scale == BLAS_FLOAT ? make(made, sizeof(product)) : REFUSED;
}
EXPORT(unsigned, cublasLtMatmulDescDestroy, (sw_blas_object p)) {
    return free(p), 0;
}
EXPORT(unsigned, cublasLtMatmulDescSetAttribute,
       (sw_blas_object object, unsigned attribute, const void *value, size_t size)) {
    product *p = object;
    if (attribute == BLAS_TRANSPOSE_A && size == 4) return memcpy(&p->transposed, value, size), 0;
    if (attribute == BLAS_EPILOGUE && size == 4) return memcpy(&p->epilogue, value, size), 0;
    return attribute == BLAS_BIAS && size == 8 ? (memcpy(&p->bias, value, size), 0) : REFUSED;
}
EXPORT(unsigned, cublasLtMatrixLayoutCreate,
       (sw_blas_object * made, unsigned type, uint64_t rows, uint64_t columns, int64_t pitch)) {
    if (make(made, sizeof(layout))) return REFUSED;
    *(layout *)*made = (layout){type, (int64_t)rows, (int64_t)columns, pitch};
    return pitch >= (int64_t)rows ? 0 : REFUSED;
}
EXPORT(unsigned, cublasLtMatrixLayoutDestroy, (sw_blas_object l)) {
    return free(l), 0;
}
EXPORT(unsigned, cublasLtMatmulPreferenceCreate, (sw_blas_object * made)) {
    return make(made, 1);
}
EXPORT(unsigned, cublasLtMatmulPreferenceDestroy, (sw_blas_object p)) {
    return free(p), 0;
}
EXPORT(unsigned, cublasLtMatmulPreferenceSetAttribute,
       (sw_blas_object p, unsigned attribute, const void *value, size_t size)) {
    return size == (attribute == BLAS_MOST_WORKSPACE ? 8 : 4) ? 0 : REFUSED;
}

/* ---- Algorithms: the id and seven settings, each in bytes of its own ------------------------------------------------ */

EXPORT(unsigned, cublasLtMatmulAlgoInit,
       (sw_blas_object handle, unsigned compute, unsigned scale, unsigned a, unsigned b, unsigned c, unsigned d, int id,
        void *algo)) {
    memset(algo, 0, sizeof(sw_blas_algo));
    *(int *)algo = id;
    return id >= FIRST_ID && id < FIRST_ID + ALGORITHMS ? 0 : REFUSED;
}
EXPORT(unsigned, cublasLtMatmulAlgoConfigSetAttribute,
       (void *algo, unsigned attribute, const void *value, size_t size)) {
    bool good = attribute > BLAS_ALGO_ID && attribute <= BLAS_ALGO_LAST && size == (attribute >= 7 ? 2 : 4);
    return good ? (memcpy((char *)algo + 4 * attribute, value, size), 0) : REFUSED;
}
EXPORT(unsigned, cublasLtMatmulAlgoConfigGetAttribute,
       (const void *algo, unsigned attribute, void *value, size_t size, size_t *written)) {
    *written = size;
    bool good = attribute <= BLAS_ALGO_LAST && size == (attribute >= 7 ? 2 : 4);
    return good ? (memcpy(value, (const char *)algo + 4 * attribute, size), 0) : REFUSED;
}
EXPORT(unsigned, cublasLtMatmulAlgoCheck,
       (sw_blas_object handle, sw_blas_object p, sw_blas_object a, sw_blas_object b, sw_blas_object c, sw_blas_object d,
        const void *algo, void *result)) {
    *(sw_blas_choice *)result = (sw_blas_choice){.workspace = WORKSPACE};
    return emu_goes_wrong("blas-check") ? REFUSED : 0;
}
EXPORT(unsigned, cublasLtMatmulAlgoGetHeuristic,
       (sw_blas_object handle, sw_blas_object p, sw_blas_object a, sw_blas_object b, sw_blas_object c, sw_blas_object d,
        sw_blas_object preference, int room, void *results, int *n)) {
    sw_blas_choice *choices = results;
    for (*n = 0; *n < ALGORITHMS && *n < room; (*n)++) {
        choices[*n] = (sw_blas_choice){.workspace = WORKSPACE};
        cublasLtMatmulAlgoInit(handle, 0, 0, 0, 0, 0, 0, FIRST_ID + *n, &choices[*n].algo);
    }
    return 0;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

typedef struct work {
    product p;
    layout a, b, c, d;
    const uint16_t *a_data, *b_data, *c_data;
    uint16_t *d_data;
    float beta;
    char *workspace;
} work;

static float number(const uint16_t *half, unsigned type) {
    emu_check_global(half, sizeof *half);
    return type == BLAS_BFLOAT16 ? sw_bf16_to_f32(*half) : sw_f16_to_f32(*half);
}

static void run(const void *arguments) {
    const work *o = arguments;
    const unsigned type = o->d.type;
    emu_lock();
    emu_check_global(o->workspace, WORKSPACE);
    memset(o->workspace, 0x5a, WORKSPACE);
    for (int64_t j = 0; j < o->d.columns; j++)
        for (int64_t i = 0; i < o->d.rows; i++) {
            float sum = number((const uint16_t *)o->p.bias + i, type);
            for (int64_t k = 0; k < o->b.rows; k++)
                sum += number(o->a_data + i * o->a.pitch + k, type) * number(o->b_data + j * o->b.pitch + k, type);
            if (o->beta != 0) sum += o->beta * number(o->c_data + j * o->c.pitch + i, type);
            if (o->p.epilogue == BLAS_ADD_BIAS_RELU && sum < 0) sum = 0;
            uint16_t *to = o->d_data + j * o->d.pitch + i;
            emu_check_global(to, sizeof *to);
            *to = type == BLAS_BFLOAT16 ? sw_f32_to_bf16(sum) : sw_f32_to_f16(sum);
        }
    emu_unlock();
}

EXPORT(unsigned, cublasLtMatmul,
       (sw_blas_object handle, sw_blas_object p, const void *alpha, const void *a, sw_blas_object a_layout,
        const void *b, sw_blas_object b_layout, const void *beta, const void *c, sw_blas_object c_layout, void *d,
        sw_blas_object d_layout, const void *algo, void *workspace, size_t bytes, sw_cu_stream stream)) {
    const work o = {*(product *)p, *(layout *)a_layout, *(layout *)b_layout, *(layout *)c_layout, *(layout *)d_layout,
                    a,             b,                   c,                   d,                   *(const float *)beta,
                    workspace};
    bool good = o.p.transposed == BLAS_TRANSPOSED && *(const float *)alpha == 1 && bytes == WORKSPACE &&
                !emu_goes_wrong("blas-run");
    return good ? emu_submit(run, &o, sizeof o, stream) : REFUSED;
}
