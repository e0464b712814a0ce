/* The eight tile registers of AMX-BF16, each of 16 rows of 64 bytes: the instructions, or (SW_TILES_EMULATED defined) what
 * Intel's manual, volume 2, says of them in C, for tests on machines that have none. Tiles are named by literal numbers; steps
 * are bytes from row to row. A thread begins with SW_TILES_BEGIN and ends with SW_TILES_END. */
#ifndef SLIPWAY_KERNELS_CONV_TILES_H
#define SLIPWAY_KERNELS_CONV_TILES_H

#include <stdint.h>
#include <string.h>

#ifdef SW_TILES_EMULATED

static _Thread_local uint32_t sw__tiles[8][16][16];

#define SW_TILES_BEGIN() memset(sw__tiles, 0xff, sizeof sw__tiles) /* NaN */
#define SW_TILES_END()   ((void)0)
#define SW_TILE_LOAD(tile, from, step)                                                                                 \
    do {                                                                                                               \
        for (int64_t row_ = 0; row_ < 16; row_++)                                                                      \
            memcpy(sw__tiles[tile][row_], (const char *)(from) + row_ * (step), 64);                                   \
    } while (0)
#define SW_TILE_STORE(tile, to, step)                                                                                  \
    do {                                                                                                               \
        for (int64_t row_ = 0; row_ < 16; row_++) memcpy((char *)(to) + row_ * (step), sw__tiles[tile][row_], 64);     \
    } while (0)
#define SW_TILE_DOT(sums, a, b) sw__tile_dot(sw__tiles[sums], sw__tiles[a], sw__tiles[b])

static inline float sw__tile_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* TDPBF16PS: the products of the even halves of pairs, then those of the odd ones, each rounded once. */
static void sw__tile_dot(uint32_t (*sums)[16], uint32_t (*a)[16], uint32_t (*b)[16]) {
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 16; n++) {
                float sum = sw__tile_float(sums[m][n]);
                sum = __builtin_fmaf(sw__tile_float(a[m][k] << 16), sw__tile_float(b[k][n] << 16), sum);
                sum = __builtin_fmaf(sw__tile_float(a[m][k] & 0xffff0000u), sw__tile_float(b[k][n] & 0xffff0000u), sum);
                memcpy(&sums[m][n], &sum, sizeof sum);
            }
}

#else

#include <immintrin.h>

/* Compilers do not know that tiles come from memory and go there. */
#define SW_TILES_MEMORY __asm__ volatile("" ::: "memory")

typedef struct sw__tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} sw__tile_config;
_Static_assert(sizeof(sw__tile_config) == 64, "as LDTILECFG reads it");

static const sw__tile_config sw__tile_shapes = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

#define SW_TILES_BEGIN() _tile_loadconfig(&sw__tile_shapes)
#define SW_TILES_END()   _tile_release()
#define SW_TILE_LOAD(tile, from, step)                                                                                 \
    do {                                                                                                               \
        SW_TILES_MEMORY;                                                                                               \
        _tile_loadd(tile, from, step);                                                                                 \
    } while (0)
#define SW_TILE_STORE(tile, to, step)                                                                                  \
    do {                                                                                                               \
        _tile_stored(tile, to, step);                                                                                  \
        SW_TILES_MEMORY;                                                                                               \
    } while (0)
#define SW_TILE_DOT(sums, a, b) _tile_dpbf16ps(sums, a, b)

#endif

#endif
