/* What the vector headers (vec_avx2.h, vec_avx512.h) and their users share. An ISA header defines `vf`, a vector of VF
 * floats, operations vf_*, and VF_ROWS: of a product of matrices, sums of so many rows x two vectors stay in registers;
 * kernels/vec_math.inc adds what can be written with these alone. Kernels that are alike on several instruction sets are
 * templates, *.inc: each *_avx2.c or *_avx512.c includes its ISA header and then the template. */
#ifndef SLIPWAY_KERNELS_VEC_H
#define SLIPWAY_KERNELS_VEC_H

#include "slipway/tensor.h"

#ifdef __clang__
#define SW_UNROLL _Pragma("unroll")
#else
#define SW_UNROLL _Pragma("GCC unroll 16") /* of loops of constant length */
#endif
#define SW_INLINE static inline __attribute__((always_inline))

/* What was stored before is read from memory after: keeps compilers from holding more vectors in registers than
 * there are. */
#define SW_SPILL __asm__ volatile("" ::: "memory")

#endif
