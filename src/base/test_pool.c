#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "base/test_memory.h"
#include "unit.h"

enum { MOST = 5000 };

typedef struct loop {
    atomic_uchar hits[MOST];
    atomic_int calls, bad;
    int64_t n, grain;
    int threads;
} loop;

static void visit(void *ctx, int64_t begin, int64_t end, int thread) {
    loop *l = ctx;
    atomic_fetch_add(&l->calls, 1);
    if (begin >= end || begin < 0 || end > l->n || thread < 0 || thread >= l->threads)
        atomic_fetch_add(&l->bad, 1);
    else
        for (int64_t i = begin; i < end; i++) atomic_fetch_add(&l->hits[i], 1);
}

static void run(sw_pool *pool, loop *l, int64_t n, int64_t grain) {
    memset(l, 0, sizeof *l);
    l->n = n;
    l->grain = grain;
    l->threads = sw_pool_threads(pool);
    sw_pool_for(pool, n, grain, visit, l);
    int wrong = atomic_load(&l->bad);
    for (int64_t i = 0; i < MOST; i++) wrong += atomic_load(&l->hits[i]) != (i < n);
    CHECK_INT(wrong, 0);
}

SW_TEST(pool_covers_each_item_once) {
    static loop l;
    for (int threads = 1; threads <= 9; threads += 2) {
        sw_pool *pool = sw_pool_create(NULL, threads);
        CHECK_INT(sw_pool_threads(pool), threads);
        for (int64_t n = 0; n < MOST; n = n * 3 + 1)
            for (int64_t grain = 1; grain < 2000; grain *= 7) run(pool, &l, n, grain);
        run(pool, &l, 100, INT64_MAX);
        CHECK_INT(atomic_load(&l.calls), 1);
        sw_pool_destroy(pool);
    }
    run(NULL, &l, 77, 1);
    CHECK_INT(atomic_load(&l.calls), 1);
    sw_pool_destroy(NULL);
}

/* 64 pieces a thread, taken by quarters of what is left: 13 calls, whoever takes them. */
SW_TEST(pool_cuts_shares_into_shrinking_pieces) {
    static loop l;
    sw_pool *pool = sw_pool_create(NULL, 3);
    run(pool, &l, MOST, 1);
    CHECK_INT(atomic_load(&l.calls), 3 * 13);
    run(pool, &l, 10, 4);
    CHECK_INT(atomic_load(&l.calls), 3);
    sw_pool_destroy(pool);
}

typedef struct nest {
    sw_pool *pool;
    atomic_llong sum;
    pthread_t thread[64];
} nest;

static void inner(void *ctx, int64_t begin, int64_t end, int thread) {
    nest *x = ctx;
    if (thread != 0) atomic_fetch_add(&x->sum, 1000000); /* inner loops run alone */
    atomic_fetch_add(&x->sum, end - begin);
}

static void outer(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    nest *x = ctx;
    for (int64_t i = begin; i < end; i++) sw_pool_for(x->pool, 100, 1, inner, x);
}

SW_TEST(pool_runs_inner_loops_in_place) {
    nest x = {.pool = sw_pool_create(NULL, 4)};
    sw_pool_for(x.pool, 50, 1, outer, &x);
    CHECK_INT(atomic_load(&x.sum), 5000);
    sw_pool_destroy(x.pool);
}

/* Writes without atomics: the thread sanitizer sees whether the pool orders them. */
typedef struct plain {
    int64_t *cell;
} plain;

static void add_index(void *ctx, int64_t begin, int64_t end, int thread) {
    (void)thread;
    for (int64_t i = begin; i < end; i++) ((plain *)ctx)->cell[i] += i;
}

typedef struct caller {
    sw_pool *pool;
    int rounds, wrong;
} caller;

static void *call_often(void *ctx) {
    caller *c = ctx;
    int64_t cell[257];
    uint64_t state = (uint64_t)(uintptr_t)c;
    for (int r = 0; r < c->rounds; r++) {
        int64_t n = 1 + (int64_t)(sw_test_random(&state) % 257);
        plain p = {.cell = memset(cell, 0, sizeof cell)};
        sw_pool_for(c->pool, n, 1 + (int64_t)(sw_test_random(&state) % 4), add_index, &p);
        for (int64_t i = 0; i < 257; i++) c->wrong += cell[i] != (i < n ? i : 0);
        if (sw_test_random(&state) % 64 == 0) { /* let workers fall asleep */
            int64_t until = sw_clock_ns() + 100000;
            while (sw_clock_ns() < until) {
            }
        }
    }
    return NULL;
}

SW_TEST(pool_stress_with_several_callers) {
    for (int threads = 2; threads <= 8; threads *= 2) {
        sw_pool *pool = sw_pool_create(NULL, threads);
        caller callers[4];
        pthread_t ids[4];
        for (int i = 0; i < 4; i++) {
            callers[i] = (caller){.pool = pool, .rounds = 1500};
            CHECK_INT(pthread_create(&ids[i], NULL, call_often, &callers[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(ids[i], NULL);
            CHECK_INT(callers[i].wrong, 0);
        }
        sw_pool_destroy(pool);
    }
    for (int i = 0; i < 200; i++) { /* birth and death */
        static loop l;
        sw_pool *pool = sw_pool_create(NULL, 4);
        if (i % 2) run(pool, &l, 40, 1);
        sw_pool_destroy(pool);
    }
}

SW_TEST(pool_survives_failing_allocations) {
    for (int fail = 1; fail <= 2; fail++) {
        test_memory m = {.fail_at = fail};
        sw_allocator a = test_memory_allocator(&m);
        CHECK(sw_pool_create(&a, 4) == NULL);
        CHECK_INT(m.held, 0);
    }
}

SW_TEST(pool_small) {
    for (int most = 0; most < 4; most++) {
        sw_pool *pool = sw_pool_create_small(NULL, most);
        int threads = sw_pool_threads(pool);
        CHECK(threads >= 1 && threads <= (most ? most : 1));
        sw_pool_destroy(pool);
    }
}
