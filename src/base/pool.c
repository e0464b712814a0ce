#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/cpu.h"
#include "base/os.h"

/* How it works. The caller of a loop describes it in `job`, opens it, works on it like everybody else and closes
 * it once nothing is left to take. Workers join an open loop and leave it again; the caller waits only for
 * those that are inside. So a worker that the system has not woken yet costs nothing: its share is taken by
 * somebody else, and it finds the loop closed.
 *
 * Each thread has a share of the items, the same neighbours in every loop of so many: the rows that a thread wrote in one
 * step of a network it reads in the next, from its own caches. Where threads do not share a cache, others' rows come as
 * slowly as from memory. */
enum { PIECES_PER_THREAD = 64, MAX_THREADS = 1024, SPIN_NS = 50000, SPINS_PER_LOOK = 64 };

/* The state of the loop in one word, so that joining and closing exclude each other: generation, open flag,
 * threads inside. */
#define INSIDE     ((uint64_t)0xffff)
#define OPEN       ((uint64_t)0x10000)
#define GENERATION ((uint64_t)0x20000) /* one of them */

typedef struct job {
    sw_pool_fn fn;
    void *ctx;
    int64_t n, pieces;
} job;

/* Pieces of a thread that nobody has taken: from the low half of the word to the high one. The owner takes from the beginning,
 * others from the end. A cache line each. */
typedef struct share {
    atomic_uint_fast64_t left;
    uint64_t unused[7];
} share;

typedef struct worker {
    sw_pool *pool;
    sw_thread thread;
    int index;
} worker;

struct sw_pool {
    const sw_allocator *allocator;
    int threads;
    int64_t spin_ns;
    pthread_mutex_t turn; /* held by the caller whose loop runs */
    bool started;         /* under turn */
    int workers;          /* under turn */

    job job; /* written while nobody is inside */
    atomic_uint_fast64_t state;

    pthread_mutex_t lock; /* for the conditions */
    pthread_cond_t opened, left;
    atomic_int sleepers;
    atomic_bool stop;

    worker *worker; /* threads - 1 */
    share shares[];
};

/* Set on threads that are inside a loop: loops that they begin run where they are. */
static _Thread_local bool inside_loop;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The first item of a piece. */
static int64_t begin_of(const job *j, int64_t piece) {
    int64_t size = j->n / j->pieces, rest = j->n % j->pieces;
    return piece * size + piece * rest / j->pieces;
}

/* Works on a quarter of what is left of a share: its beginning, or its end. False when nothing is left. */
static bool run_some(const job *j, share *s, bool own, int thread) {
    uint64_t left = atomic_load(&s->left), begin, end, count;
    do {
        begin = (uint32_t)left;
        end = left >> 32;
        if (begin >= end) return false;
        count = (end - begin + 3) / 4;
    } while (!atomic_compare_exchange_weak(&s->left, &left, own ? left + count : left - (count << 32)));
    if (own)
        end = begin + count;
    else
        begin = end - count;
    j->fn(j->ctx, begin_of(j, (int64_t)begin), begin_of(j, (int64_t)end), thread);
    return true;
}

/* Works until nothing is left, of one's own share and then of others'. */
static void work(sw_pool *pool, int thread) {
    for (int i = 0; i < pool->threads; i++)
        while (run_some(&pool->job, &pool->shares[(thread + i) % pool->threads], i == 0, thread)) {
        }
}

static bool is_news(const sw_pool *pool, uint64_t seen) {
    return atomic_load(&pool->state) / GENERATION != seen || atomic_load(&pool->stop);
}

static void await_loop(sw_pool *pool, uint64_t seen) {
    if (pool->spin_ns) {
        int64_t until = sw_clock_ns() + pool->spin_ns;
        do {
            for (int i = 0; i < SPINS_PER_LOOK; i++) {
                if (is_news(pool, seen)) return;
                relax();
            }
        } while (sw_clock_ns() < until);
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1); /* before the look at the state: see open_loop */
    while (!is_news(pool, seen)) pthread_cond_wait(&pool->opened, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

static bool join(sw_pool *pool, uint64_t *seen) {
    uint64_t state = atomic_load(&pool->state);
    do {
        *seen = state / GENERATION;
        if (!(state & OPEN)) return false;
    } while (!atomic_compare_exchange_weak(&pool->state, &state, state + 1));
    return true;
}

static void leave(sw_pool *pool) {
    uint64_t state = atomic_fetch_sub(&pool->state, 1) - 1;
    if (state & (OPEN | INSIDE)) return; /* still open: the caller is not waiting yet */
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->left);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *ctx) {
    const worker *self = ctx;
    sw_pool *pool = self->pool;
    inside_loop = true;
    uint64_t seen = 0;
    for (;;) {
        await_loop(pool, seen);
        if (atomic_load(&pool->stop)) return NULL;
        if (!join(pool, &seen)) continue;
        work(pool, self->index);
        leave(pool);
    }
}

sw_pool *sw_pool_create(const sw_allocator *allocator, int threads) {
    int allowed = sw_cpu_allowed();
    if (threads <= 0) threads = allowed;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    sw_pool *pool = sw_calloc(allocator, 1, sizeof *pool + (size_t)threads * sizeof pool->shares[0]);
    worker *workers = sw_calloc(allocator, (size_t)threads, sizeof *workers);
    if (!pool || !workers) {
        sw_free(allocator, pool);
        sw_free(allocator, workers);
        return NULL;
    }
    pool->allocator = allocator;
    pool->threads = threads;
    pool->worker = workers;
    /* Who spins on a CPU that others need delays them; but waking up takes longer than the gap between two steps of a network
     * (docs/decisions/003). */
    pool->spin_ns = threads <= allowed ? SPIN_NS : 0;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->opened, NULL);
    pthread_cond_init(&pool->left, NULL);
    return pool;
}

sw_pool *sw_pool_create_small(const sw_allocator *allocator, int64_t most) {
    int cpus = sw_cpu_allowed();
    return sw_pool_create(allocator, most < 1 ? 1 : most < cpus ? (int)most : cpus);
}

void sw_pool_destroy(sw_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->workers; i++) sw_thread_join(&pool->worker[i].thread);
    pthread_cond_destroy(&pool->left);
    pthread_cond_destroy(&pool->opened);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    sw_free(pool->allocator, pool->worker);
    sw_free(pool->allocator, pool);
}

int sw_pool_threads(const sw_pool *pool) {
    return pool ? pool->threads : 1;
}

static void start_workers(sw_pool *pool) {
    pool->started = true;
    for (int i = 0; i < pool->threads - 1; i++) {
        pool->worker[i] = (worker){.pool = pool, .index = i + 1};
        if (sw_thread_start(&pool->worker[i].thread, worker_main, &pool->worker[i]) != SW_OK) break;
        pool->workers++;
    }
}

/* A worker that goes to sleep counts itself and then looks at the state; we change the state and then look at
 * the count. One of the two sees the other. */
static void open_loop(sw_pool *pool, const job *j) {
    pool->job = *j;
    for (int64_t t = 0; t < pool->threads; t++) {
        uint64_t begin = (uint64_t)(j->pieces * t / pool->threads),
                 end = (uint64_t)(j->pieces * (t + 1) / pool->threads);
        atomic_store_explicit(&pool->shares[t].left, end << 32 | begin, memory_order_relaxed);
    }
    atomic_store(&pool->state, (atomic_load(&pool->state) / GENERATION + 1) * GENERATION + OPEN);
    int64_t wanted = j->pieces - 1;
    int sleepers = atomic_load(&pool->sleepers);
    if (!sleepers) return;
    pthread_mutex_lock(&pool->lock);
    if (wanted >= sleepers)
        pthread_cond_broadcast(&pool->opened);
    else
        while (wanted-- > 0) pthread_cond_signal(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
}

static void close_loop(sw_pool *pool) {
    if (!((atomic_fetch_and(&pool->state, ~OPEN) & INSIDE))) return;
    if (pool->spin_ns) {
        int64_t until = sw_clock_ns() + pool->spin_ns;
        do {
            for (int i = 0; i < SPINS_PER_LOOK; i++) {
                if (!(atomic_load(&pool->state) & INSIDE)) return;
                relax();
            }
        } while (sw_clock_ns() < until);
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->state) & INSIDE) pthread_cond_wait(&pool->left, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void sw_pool_for(sw_pool *pool, int64_t n, int64_t grain, sw_pool_fn fn, void *ctx) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    if (!pool || pool->threads == 1 || n <= grain || inside_loop) {
        fn(ctx, 0, n, 0);
        return;
    }
    int64_t pieces = n / grain + (n % grain != 0), most = (int64_t)pool->threads * PIECES_PER_THREAD;
    job j = {.fn = fn, .ctx = ctx, .n = n, .pieces = pieces < most ? pieces : most};

    pthread_mutex_lock(&pool->turn);
    if (!pool->started) start_workers(pool);
    inside_loop = true;
    open_loop(pool, &j);
    work(pool, 0);
    close_loop(pool);
    inside_loop = false;
    pthread_mutex_unlock(&pool->turn);
}
