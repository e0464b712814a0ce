/* What this machine does at best, measured: the ceilings that profiles compare with, and the class of a CPU, which its
 * name does not tell (virtual machines hide it). */
#ifndef SLIPWAY_KERNELS_PROBE_PROBE_H
#define SLIPWAY_KERNELS_PROBE_PROBE_H

#include "base/pool.h"

enum { SW_PROBE_L2, SW_PROBE_L3, SW_PROBE_MEMORY, SW_PROBE_LEVELS };

typedef struct sw_ceilings {
    int threads;
    double gflops; /* float32, all threads together; a multiply-add is two */
    /* Reading with all threads: 1e9 bytes a second where the data lies in second level caches, in the third level, beyond;
     * and up to how many bytes, all threads together, that holds (the last: without end). */
    double gbytes[SW_PROBE_LEVELS];
    double reach[SW_PROBE_LEVELS];
} sw_ceilings;

/* Takes about 0.1 s. SW_E_NOMEM. Other programs on the machine make it look slower. */
SW_MUST_USE sw_status sw_probe_ceilings(sw_pool *pool, sw_ceilings *ceilings);
/* Of products of bfloat16, summed up in float32; 0 where no instruction has them. Takes some milliseconds. */
double sw_probe_bf16_gflops(sw_pool *pool);
/* The least seconds in which so much can be done. */
double sw_ceilings_floor(const sw_ceilings *ceilings, double flops, double bytes);

/* float32 operations that one core does a cycle: 8, 16, 32 ...; 0 where cycles cannot be told. Takes some milliseconds. */
int sw_probe_flops_per_cycle(void);

#endif
