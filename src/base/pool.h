/* Thread pool: parallel loops for kernels (design 4).
 *
 * One persistent set of workers, created at the first parallel loop. A loop over n items is cut into equal shares of
 * neighbours, one a thread (locality), which it takes in shrinking pieces; who is done takes from the ends of others' shares.
 * Idle workers spin at most 50 us and then sleep. Loops may not nest: an inner loop runs on the calling thread. */
#ifndef SLIPWAY_BASE_POOL_H
#define SLIPWAY_BASE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

typedef struct sw_pool sw_pool;

/* `threads`: how many threads work in a loop, the caller included; 0: the CPUs that this process may use
 * (affinity and cgroup quota, sw_cpu_allowed). NULL when out of memory. Threads that cannot be started are done
 * without. */
sw_pool *sw_pool_create(const sw_allocator *allocator, int threads);
/* With as many threads as there are CPUs, but at most `most`: for one loop over few items. */
sw_pool *sw_pool_create_small(const sw_allocator *allocator, int64_t most);
void sw_pool_destroy(sw_pool *pool); /* takes NULL; no loop may be running */
int sw_pool_threads(const sw_pool *pool); /* 1 for NULL */

/* Calls fn(ctx, begin, end, thread) over disjoint ranges that cover 0 <= i < n; `thread` is 0 <= thread <
 * sw_pool_threads. Returns when all is done. Several threads may call it on one pool: they take turns. `pool` NULL or
 * n <= grain: one call fn(ctx, 0, n, 0) on this thread. `grain`: the least items that are worth a chunk (>= 1). */
typedef void (*sw_pool_fn)(void *ctx, int64_t begin, int64_t end, int thread);
void sw_pool_for(sw_pool *pool, int64_t n, int64_t grain, sw_pool_fn fn, void *ctx);

#endif
