/* Layers strip by strip. A chain is a run of convolutions, each the only reader of the map before. A few rows of the last map
 * at a time go through all of them, so that what lies between stays in the second level cache: of those maps there is memory
 * for some rows only, apart for each thread. Results are the same to the bit. */
#ifndef SLIPWAY_ENGINE_CHAINS_H
#define SLIPWAY_ENGINE_CHAINS_H

#include "engine/instance.h"

enum { SW_CHAIN_LAYERS = 8 };

struct sw_chain {
    int n;                             /* layers */
    size_t steps[SW_CHAIN_LAYERS];     /* of the plan */
    size_t first, last;                /* in the order of the instance; between lie only steps that are skipped */
    int64_t capacity[SW_CHAIN_LAYERS]; /* rows that a thread's buffer of a map between has */
    int64_t rows, segments;            /* rows of the last map at a time; parts of it that are dealt out to threads */
    size_t bytes;                      /* of the buffers of a thread */
};

/* Finds chains; the maps between get SW_PLACE_NONE. After views are settled, before memory is planned. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_chains_find(const sw_plan *plan, sw_instance *instance, int threads,
                                     const sw_allocator *allocator);

/* For tests, while nothing else runs: takes the second level cache of a core for so large; 0: as large as it is. */
void sw_chains_assume_cache(int64_t bytes);

/* The chain that a step is in; NULL: none. */
const sw_chain *sw_chain_of(const sw_instance *instance, size_t step);

/* The first row of a part of the last map; of the part behind the last one, the end of the map. */
int64_t sw_chain_begin(const sw_chain *chain, const sw_conv *last, int64_t segment);

/* Of a step in a chain, sets the scratch memory that the chain needs if the step is prepared like this. */
void sw_chain_prepare(const sw_instance *instance, size_t step, int threads, sw_prepared *prepared);

/* What a run reads and writes: of the first layer its input, of the last its output, and what each adds. */
typedef struct sw_chain_run {
    const void *in, *residual[SW_CHAIN_LAYERS];
    void *out;
    int64_t *spent; /* by layer: nanoseconds that thread 0 took; NULL: nobody asks */
} sw_chain_run;
/* With the prepared steps of the instance, and the most scratch that one of them needs. */
void sw_chain_execute(const sw_instance *instance, const sw_chain *chain, const sw_chain_run *run, void *scratch,
                      sw_pool *pool);

#endif
