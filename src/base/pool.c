#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/cpu.h"
#include "base/os.h"

/* How it works. The caller of a loop describes it in `job`, opens it, works on it like everybody else and closes
 * it once no chunk is left to take. Workers join an open loop and leave it again; the caller waits only for
 * those that are inside. So a worker that the system has not woken yet costs nothing: its chunk is taken by
 * somebody else, and it finds the loop closed. */
enum { CHUNKS_PER_THREAD = 6, MAX_THREADS = 1024, SPIN_NS = 50000, SHORT_SPIN_NS = 15000, SPINS_PER_LOOK = 64 };

/* The state of the loop in one word, so that joining and closing exclude each other: generation, open flag,
 * threads inside. */
#define INSIDE     ((uint64_t)0xffff)
#define OPEN       ((uint64_t)0x10000)
#define GENERATION ((uint64_t)0x20000) /* one of them */

typedef struct job {
    sw_pool_fn fn;
    void *ctx;
    int64_t n, chunks, fixed; /* the first `fixed` chunks are set aside for the thread of the same number */
} job;

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
    atomic_int_fast64_t next; /* chunk that nobody has taken, from job.fixed on */

    pthread_mutex_t lock; /* for the conditions */
    pthread_cond_t opened, left;
    atomic_int sleepers;
    atomic_bool stop;

    worker *worker;      /* threads - 1 */
    atomic_bool taken[]; /* of the chunks set aside */
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

static void run_chunk(const job *j, int64_t chunk, int thread) {
    int64_t size = j->n / j->chunks, longer = j->n % j->chunks; /* the first `longer` chunks hold one item more */
    int64_t begin = chunk * size + (chunk < longer ? chunk : longer);
    j->fn(j->ctx, begin, begin + size + (chunk < longer), thread);
}

/* Works until every chunk is taken: one's own, then those of all, then those set aside for threads that did not
 * come. */
static void work(sw_pool *pool, int thread) {
    const job *j = &pool->job;
    if (thread < j->fixed && !atomic_exchange(&pool->taken[thread], true)) run_chunk(j, thread, thread);
    for (int64_t c; (c = atomic_fetch_add(&pool->next, 1)) < j->chunks;) run_chunk(j, c, thread);
    for (int64_t c = 0; c < j->fixed; c++)
        if (!atomic_load_explicit(&pool->taken[c], memory_order_relaxed) && !atomic_exchange(&pool->taken[c], true))
            run_chunk(j, c, thread);
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
    sw_pool *pool = sw_calloc(allocator, 1, sizeof *pool + (size_t)threads * sizeof pool->taken[0]);
    worker *workers = sw_calloc(allocator, (size_t)threads, sizeof *workers);
    if (!pool || !workers) {
        sw_free(allocator, pool);
        sw_free(allocator, workers);
        return NULL;
    }
    pool->allocator = allocator;
    pool->threads = threads;
    pool->worker = workers;
    /* Who spins on a CPU that others need delays them. Where threads take all CPUs, only the gap between two steps of a
     * network is bridged: waking up takes longer (docs/decisions/003). */
    pool->spin_ns = threads < allowed ? SPIN_NS : threads == allowed ? SHORT_SPIN_NS : 0;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->opened, NULL);
    pthread_cond_init(&pool->left, NULL);
    return pool;
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
    for (int64_t c = 0; c < j->fixed; c++) atomic_store_explicit(&pool->taken[c], false, memory_order_relaxed);
    atomic_store(&pool->next, j->fixed);
    atomic_store(&pool->state, (atomic_load(&pool->state) / GENERATION + 1) * GENERATION + OPEN);
    int64_t wanted = j->chunks - 1;
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
    int64_t chunks = n / grain + (n % grain != 0), most = (int64_t)pool->threads * CHUNKS_PER_THREAD;
    if (chunks > most) chunks = most;
    job j = {.fn = fn, .ctx = ctx, .n = n, .chunks = chunks};
    j.fixed = chunks < pool->threads ? chunks : pool->threads;

    pthread_mutex_lock(&pool->turn);
    if (!pool->started) start_workers(pool);
    inside_loop = true;
    open_loop(pool, &j);
    work(pool, 0);
    close_loop(pool);
    inside_loop = false;
    pthread_mutex_unlock(&pool->turn);
}
