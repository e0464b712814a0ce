#include "cuda_emu/emu.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum {
    MAX_THREADS = 1024,
    STACK = 64 * 1024,
    MAX_SHARED = 228 * 1024,
    WORDS = MAX_SHARED / 4,
    MAX_COPIES = 512,
    LANES = 32,
    GROUP = 128,
    MAX_RANGES = 4096,
    MAX_TEAMS = 16,
    ALL = -1, /* threads, or many of them */
    MANY = -2 /* of a team: MANY - team */
};

/* Where lanes meet: all of them leave a pointer, the last computes for all. */
typedef struct meeting {
    int size, arrived, generation;
    void *slots[MAX_THREADS];
} meeting;

typedef struct copy {
    unsigned at;
    const void *from;
    bool good;
    int group;
} copy;

typedef struct fiber {
    ucontext_t context;
    bool done;
    const meeting *at; /* waits there for the end of this generation */
    int generation;
    int team;   /* the barrier of some threads that it was at last; 0: none */
    long epoch; /* when it was at any barrier last */
    copy copies[MAX_COPIES];
    int n_copies, group;
} fiber;

static const emu_kernel *kernel;
static const void *kernel_arguments;
static fiber *fibers;
static char *stacks;
static ucontext_t scheduler;
static int current, block_x, block_y;
static meeting warps[MAX_THREADS / LANES], groups[MAX_THREADS / GROUP], teams[MAX_TEAMS], block;

static unsigned char shared[MAX_SHARED];
static unsigned shared_bytes;
static struct {
    int writer, reader;
    long written, read;
} marks[WORDS]; /* by word: who, and in which epoch */
static long epoch = 1, block_epoch; /* now, and of the last barrier of all */

static const char *range_from[MAX_RANGES];
static size_t range_bytes[MAX_RANGES];
static int n_ranges, last_range;

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...) {
    va_list list;
    va_start(list, fmt);
    if (kernel)
        fprintf(stderr, "emulator: kernel %s, block %d %d, thread %d: ", kernel->id, block_x, block_y, current);
    else
        fprintf(stderr, "emulator: "); /* a copy */
    vfprintf(stderr, fmt, list);
    fprintf(stderr, "\n");
    va_end(list);
    exit(70);
}

int emu_thread(void) {
    return current;
}
int emu_block(void) {
    return block_x;
}
int emu_block_row(void) {
    return block_y;
}

/* ---- Memory -------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void emu_lock(void) {
    pthread_mutex_lock(&lock);
}
void emu_unlock(void) {
    pthread_mutex_unlock(&lock);
}

void emu_allow(const void *from, size_t bytes) {
    emu_lock();
    if (n_ranges == MAX_RANGES) exit(71);
    range_from[n_ranges] = from;
    range_bytes[n_ranges++] = bytes;
    emu_unlock();
}

void emu_forbid(const void *from) {
    emu_lock();
    for (int i = 0; i < n_ranges; i++) {
        if (range_from[i] != from) continue;
        range_from[i] = range_from[--n_ranges];
        range_bytes[i] = range_bytes[n_ranges];
        last_range = 0;
        break;
    }
    emu_unlock();
}

void emu_check_global(const void *p, size_t bytes) {
    const char *at = p;
    if ((size_t)at % bytes) die("global address is not a multiple of %zu", bytes);
    for (int i = 0, r = last_range; i < n_ranges; i++, r = r + 1 < n_ranges ? r + 1 : 0) {
        if (at < range_from[r] || at + bytes > range_from[r] + range_bytes[r]) continue;
        last_range = r;
        return;
    }
    die("%zu bytes outside of global memory", bytes);
}

static void check_shared(unsigned at, unsigned bytes) {
    if (at % bytes || at + bytes > shared_bytes) die("%u bytes at %u of %u of shared memory", bytes, at, shared_bytes);
}

/* Since when nothing orders what two threads do. */
static long since(int thread, int other) {
    int team = other >= 0 ? fibers[other].team : other == ALL ? ALL : MANY - other;
    return team == fibers[thread].team ? fibers[thread].epoch : block_epoch;
}

static void mark_read(unsigned at, unsigned bytes, int thread) {
    for (unsigned w = at / 4; w < (at + bytes) / 4; w++) {
        int writer = marks[w].writer, reader = marks[w].reader, many = MANY - fibers[thread].team;
        if (writer != thread && marks[w].written >= since(thread, writer))
            die("thread %d reads shared word %u that thread %d writes in the same phase", thread, w, writer);
        bool others = reader != thread && marks[w].read >= since(thread, reader);
        bool own = reader == many || (reader >= 0 && fibers[reader].team == fibers[thread].team);
        marks[w].reader = !others ? thread : own ? many : ALL;
        if (!others || marks[w].read < fibers[thread].epoch) marks[w].read = fibers[thread].epoch;
    }
}

static void mark_write(unsigned at, unsigned bytes, int thread) {
    for (unsigned w = at / 4; w < (at + bytes) / 4; w++) {
        int writer = marks[w].writer, reader = marks[w].reader;
        if (writer != thread && marks[w].written >= since(thread, writer))
            die("shared word %u is written by threads %d and %d in the same phase", w, writer, thread);
        if (reader != thread && marks[w].read >= since(thread, reader))
            die("thread %d writes shared word %u that thread %d reads in the same phase", thread, w, reader);
        marks[w].writer = thread;
        marks[w].written = fibers[thread].epoch;
    }
}

void emu_shared_read(unsigned at, void *to, unsigned bytes) {
    check_shared(at, bytes);
    mark_read(at, bytes, current);
    memcpy(to, shared + at, bytes);
}

void emu_shared_write(unsigned at, const void *from, unsigned bytes) {
    check_shared(at, bytes);
    mark_write(at, bytes, current);
    memcpy(shared + at, from, bytes);
}

/* ---- Asynchronous copies: they happen when they are waited for, and occupy their target from the start -------------- */

void emu_copy16(unsigned at, const void *p, bool good) {
    fiber *f = &fibers[current];
    check_shared(at, 16);
    mark_write(at, 16, current);
    if (good) emu_check_global(p, 16);
    if (f->n_copies == MAX_COPIES) die("too many copies under way");
    f->copies[f->n_copies++] = (copy){at, p, good, f->group};
    memset(shared + at, 0xff, 16); /* nobody may count on it now */
}

void emu_copy_commit(void) {
    fibers[current].group++;
}

void emu_copy_wait(int pending) {
    fiber *f = &fibers[current];
    int left = 0;
    for (int i = 0; i < f->n_copies; i++) {
        copy *c = &f->copies[i];
        if (c->group >= f->group - pending) {
            f->copies[left++] = *c;
            continue;
        }
        mark_write(c->at, 16, current);
        if (c->good)
            memcpy(shared + c->at, c->from, 16);
        else
            memset(shared + c->at, 0, 16);
    }
    f->n_copies = left;
}

/* ---- Meetings ------------------------------------------------------------------------------------------------------ */

static void yield(void) {
    int me = current;
    swapcontext(&fibers[me].context, &scheduler);
}

static void meet(meeting *m, int lane, void *slot, void (*work)(meeting *m)) {
    m->slots[lane] = slot;
    if (++m->arrived == m->size) {
        m->arrived = 0;
        m->generation++;
        work(m);
        return;
    }
    fibers[current].at = m;
    fibers[current].generation = m->generation;
    yield();
    fibers[current].at = NULL;
}

static void next_epoch(meeting *m) {
    (void)m;
    block_epoch = ++epoch;
    for (int t = 0; t < kernel->threads; t++) fibers[t].epoch = epoch;
}

void emu_barrier(void) {
    meet(&block, current, NULL, next_epoch);
}

static void next_team_epoch(meeting *m) {
    epoch++;
    for (int i = 0; i < m->size; i++) {
        fiber *f = m->slots[i];
        f->team = (int)(m - teams);
        f->epoch = epoch;
    }
}

void emu_barrier_of(int name, int threads) {
    if (name < 1 || name >= MAX_TEAMS || threads % LANES || threads > kernel->threads) die("no such barrier");
    meeting *m = &teams[name];
    m->size = threads;
    meet(m, m->arrived, &fibers[current], next_team_epoch);
}

typedef struct lane_data {
    int thread, mask;
    float v, result;
    unsigned at, count, *r;
    float *c;
    const unsigned *a, *b;
    unsigned long long da, db;
    int depth, rough;
    bool across;
} lane_data;

static void meet_warp(lane_data *data, void (*work)(meeting *m)) {
    data->thread = current;
    meet(&warps[current / LANES], current % LANES, data, work);
}

static void shuffle(meeting *m) {
    for (int i = 0; i < LANES; i++) {
        lane_data *d = m->slots[i];
        d->result = ((lane_data *)m->slots[i ^ d->mask])->v;
    }
}

float emu_shuffle_xor(float v, int mask) {
    lane_data d = {.v = v, .mask = mask};
    meet_warp(&d, shuffle);
    return d.result;
}

static void load_matrices(meeting *m) {
    unsigned short rows[LANES][8];
    const lane_data *first = m->slots[0];
    for (unsigned i = 0; i < first->count * 8; i++) {
        const lane_data *d = m->slots[i];
        check_shared(d->at, 16);
        mark_read(d->at, 16, d->thread);
        memcpy(rows[i], shared + d->at, 16);
    }
    for (int l = 0; l < LANES; l++) {
        lane_data *d = m->slots[l];
        for (unsigned k = 0; k < first->count; k++) {
            unsigned short(*r)[8] = rows + k * 8;
            int i = l / 4, e = l % 4 * 2;
            d->r[k] = d->across ? r[e][i] | (unsigned)r[e + 1][i] << 16 : r[i][e] | (unsigned)r[i][e + 1] << 16;
        }
    }
}

void emu_load_matrix(unsigned *r, unsigned at, int count, bool across) {
    lane_data d = {.at = at, .r = r, .count = (unsigned)count, .across = across};
    meet_warp(&d, load_matrices);
}

static void store_matrices(meeting *m) {
    const lane_data *first = m->slots[0];
    for (unsigned i = 0; i < first->count * 8; i++) {
        const lane_data *d = m->slots[i];
        unsigned row[4];
        for (int t = 0; t < 4; t++) row[t] = ((const lane_data *)m->slots[i % 8 * 4 + t])->a[i / 8];
        check_shared(d->at, 16);
        mark_write(d->at, 16, d->thread);
        memcpy(shared + d->at, row, 16);
    }
}

void emu_store_matrix(const unsigned *r, unsigned at, int count) {
    lane_data d = {.at = at, .a = r, .count = (unsigned)count};
    meet_warp(&d, store_matrices);
}

static float number_of(unsigned short half, int rough) {
    return rough ? sw_bf16_to_f32(half) : sw_f16_to_f32(half);
}
static float half_of(const lane_data *d, const unsigned *words, int i) {
    return number_of((unsigned short)(words[i / 2] >> (i % 2 * 16)), d->rough);
}

static void multiply(meeting *m) {
    float a[16][16], b[16][8];
    int depth = ((const lane_data *)m->slots[0])->depth;
    for (int l = 0; l < LANES; l++) {
        const lane_data *d = m->slots[l];
        int g = l / 4, t = l % 4;
        for (int k = 0; k < depth; k += 8)
            for (int e = 0; e < 2; e++) {
                a[g][2 * t + k + e] = half_of(d, d->a, k / 2 + e);
                a[g + 8][2 * t + k + e] = half_of(d, d->a, k / 2 + 2 + e);
                b[2 * t + k + e][g] = half_of(d, d->b, k / 4 + e);
            }
    }
    for (int l = 0; l < LANES; l++) {
        const lane_data *d = m->slots[l];
        for (int i = 0; i < 4; i++) {
            int row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
            float sum = 0;
            for (int k = 0; k < depth; k++) sum += a[row][k] * b[k][column];
            d->c[i] += sum;
        }
    }
}

void emu_multiply(float *c, const unsigned *a, const unsigned *b, int depth, int rough) {
    lane_data d = {.c = c, .a = a, .b = b, .depth = depth, .rough = rough};
    meet_warp(&d, multiply);
}

static void multiply_floats(meeting *m) {
    const unsigned kept = ~0u << (23 - ((const lane_data *)m->slots[0])->depth);
    float a[16][8], b[8][8];
    for (int l = 0; l < LANES; l++) {
        const lane_data *d = m->slots[l];
        for (int i = 0; i < 4; i++) a[l / 4 + i % 2 * 8][l % 4 + i / 2 * 4] = sw__bits_to_f32(d->a[i] & kept);
        for (int i = 0; i < 2; i++) b[l % 4 + i * 4][l / 4] = sw__bits_to_f32(d->b[i] & kept);
    }
    for (int l = 0; l < LANES; l++) {
        const lane_data *d = m->slots[l];
        for (int i = 0; i < 4; i++) {
            float sum = 0;
            for (int k = 0; k < 8; k++) sum += a[l / 4 + i / 2 * 8][k] * b[k][l % 4 * 2 + i % 2];
            d->c[i] += sum;
        }
    }
}

void emu_multiply_floats(float *c, const unsigned *a, const unsigned *b, int bits) {
    lane_data d = {.c = c, .a = a, .b = b, .depth = bits};
    meet_warp(&d, multiply_floats);
}

void emu_multiply_tf32(float *c, const unsigned *a, const unsigned *b) {
    for (int i = 0; i < 4; i++)
        if (a[i] & 0x1fff || (i < 2 && b[i] & 0x1fff)) die("a factor of TF32 has too many bits");
    emu_multiply_floats(c, a, b, 10);
}

/* Element (row, k) of an operand of wgmma. With a swizzle: rows of 128, 64 or 32 bytes, address bits from 4 on xor those
 * from 7 on. Without: pieces of 8 rows by 16 bytes in a row, so far apart along the depth as the descriptor tells. It
 * tells, too, how far row 8 is from row 0. */
static float operand(const lane_data *d, unsigned long long descriptor, int row, int k) {
    unsigned size = d->rough == EMU_WORDS ? 4 : 2;
    unsigned down = descriptor >> 32 & 0x3fff, across = descriptor >> 16 & 0x3fff, form = (unsigned)(descriptor >> 62);
    unsigned at = ((unsigned)(descriptor & 0x3fff) + (unsigned)row / 8 * down) * 16;
    if (form == 0) {
        at += ((unsigned)row % 8 + (unsigned)k * size / 16 * across) * 16 + (unsigned)k * size % 16;
    } else {
        unsigned chunks = 16u >> form; /* of a row */
        at += (unsigned)row % 8 * chunks * 16 + (unsigned)k * size;
        at ^= (at >> 7 & (chunks - 1)) << 4;
    }
    check_shared(at & ~3u, 4);
    mark_read(at & ~3u, 4, d->thread);
    unsigned v = 0;
    memcpy(&v, shared + at, size);
    return size == 4 ? sw__bits_to_f32(v & ~0x1fffu) : number_of((unsigned short)v, d->rough);
}

static void multiply_group(meeting *m) {
    static float a[64][16], b[256][16];
    const lane_data *first = m->slots[0];
    int columns = (int)first->count, depth = first->rough == EMU_WORDS ? 8 : 16;
    for (int k = 0; k < depth; k++) {
        for (int r = 0; r < 64 && !first->a; r++) a[r][k] = operand(first, first->da, r, k);
        for (int c = 0; c < columns; c++) b[c][k] = operand(first, first->db, c, k);
    }
    for (int l = 0; l < GROUP && first->a; l++)
        for (int i = 0; i < 8; i++) {
            int row = l / LANES * 16 + l % LANES / 4 + i / 2 % 2 * 8, k = l % 4 * 2 + i / 4 * 8 + i % 2;
            a[row][k] = half_of(m->slots[l], ((const lane_data *)m->slots[l])->a, i);
        }
    for (int l = 0; l < GROUP; l++) {
        const lane_data *d = m->slots[l];
        for (int i = 0; i < columns / 2; i++) {
            int row = l / LANES * 16 + l % LANES / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + l % 4 * 2 + i % 2;
            float sum = 0;
            for (int k = 0; k < depth; k++) sum += a[row][k] * b[column][k];
            d->c[i] += sum;
        }
    }
}

void emu_warpgroup_multiply(float *c, unsigned long long a, unsigned long long b, int columns, int rough) {
    lane_data d = {.c = c, .da = a, .db = b, .count = (unsigned)columns, .thread = current, .rough = rough};
    meet(&groups[current / GROUP], current % GROUP, &d, multiply_group);
}

void emu_warpgroup_multiply_registers(float *c, const unsigned *a, unsigned long long b, int columns, int rough) {
    lane_data d = {.c = c, .a = a, .db = b, .count = (unsigned)columns, .thread = current, .rough = rough};
    meet(&groups[current / GROUP], current % GROUP, &d, multiply_group);
}

/* ---- Launches ------------------------------------------------------------------------------------------------------ */

static void fiber_main(void) {
    kernel->run(kernel_arguments);
    fibers[current].done = true;
    if (fibers[current].n_copies) die("asynchronous copies are left at the end");
    yield();
}

/* Runs fibers in turn until all are done. */
static void run_block(void) {
    int left = kernel->threads;
    for (bool moved = true; left; moved = false) {
        for (int t = 0; t < kernel->threads; t++) {
            fiber *f = &fibers[t];
            if (f->done || (f->at && f->at->generation == f->generation)) continue;
            current = t;
            swapcontext(&scheduler, &f->context);
            left -= f->done;
            moved = true;
        }
        if (!moved) die("deadlock: not all threads come to a barrier or collective operation");
        if (!left) return;
    }
}

/* Apart from the loop: GCC warns of what getcontext might do to its counter. */
static void start_fiber(int t) {
    fiber *f = &fibers[t];
    f->done = false;
    f->at = NULL;
    f->n_copies = f->group = f->team = 0;
    getcontext(&f->context);
    fibers[t].context.uc_stack.ss_sp = stacks + (size_t)t * STACK;
    fibers[t].context.uc_stack.ss_size = STACK;
    makecontext(&fibers[t].context, fiber_main, 0);
}

static void start_block(void) {
    for (int t = 0; t < kernel->threads; t++) start_fiber(t);
    for (int i = 0; i < MAX_THREADS / LANES; i++) warps[i] = (meeting){.size = LANES};
    for (int i = 0; i < MAX_TEAMS; i++) teams[i] = (meeting){0};
    for (int i = 0; i < MAX_THREADS / GROUP; i++) groups[i] = (meeting){.size = GROUP};
    block = (meeting){.size = kernel->threads};
    memset(shared, 0xff, shared_bytes); /* NaN */
    next_epoch(&block);
}

void emu_launch(const emu_kernel *which, int grid_x, int grid_y, unsigned bytes, const void *arguments) {
    emu_lock();
    kernel = which;
    kernel_arguments = arguments;
    shared_bytes = bytes;
    if (!fibers) {
        fibers = calloc(MAX_THREADS, sizeof *fibers);
        stacks = malloc((size_t)MAX_THREADS * STACK);
    }
    if (!fibers || !stacks || bytes > MAX_SHARED || which->threads > MAX_THREADS) exit(71);
    for (block_y = 0; block_y < grid_y; block_y++)
        for (block_x = 0; block_x < grid_x; block_x++) {
            start_block();
            run_block();
        }
    emu_unlock();
}

/* ---- The list ------------------------------------------------------------------------------------------------------ */

/* Variants are weak: kernels of rows have none. */
#define DECLARE(id)                                                                                                    \
    extern emu_kernel emu_kernel_##id;                                                                                 \
    extern emu_kernel emu_kernel_##id##_BF16 __attribute__((weak));                                                    \
    extern emu_kernel emu_kernel_##id##_SM75 __attribute__((weak));                                                    \
    extern emu_kernel emu_kernel_##id##_FLOATS __attribute__((weak));                                                  \
    extern emu_kernel emu_kernel_##id##_FLOATS_SM75 __attribute__((weak));                                             \
    extern emu_kernel emu_kernel_##id##_TF32 __attribute__((weak));
#define LIST(id)                                                                                                       \
    &emu_kernel_##id, &emu_kernel_##id##_BF16, &emu_kernel_##id##_SM75, &emu_kernel_##id##_FLOATS,                     \
        &emu_kernel_##id##_FLOATS_SM75, &emu_kernel_##id##_TF32,
#define SW_CUDA_TILE(id, ...)   DECLARE(id)
#define SW_CUDA_HELD(id, ...)   DECLARE(id)
#define SW_CUDA_PATCH(id, ...)  DECLARE(id)
#define SW_CUDA_PAIR(id, ...)   DECLARE(id)
#define SW_CUDA_POINT(id, ...)  DECLARE(id)
#define SW_CUDA_KERNEL(id, ...) DECLARE(id)
#include "backend/cuda/kernels.inc"
#undef SW_CUDA_TILE
#undef SW_CUDA_HELD
#undef SW_CUDA_PATCH
#undef SW_CUDA_PAIR
#undef SW_CUDA_POINT
#undef SW_CUDA_KERNEL

emu_kernel *emu_find(const char *id) {
    static emu_kernel *const all[] = {
#define SW_CUDA_TILE(id, ...)   LIST(id)
#define SW_CUDA_HELD(id, ...)   LIST(id)
#define SW_CUDA_PATCH(id, ...)  LIST(id)
#define SW_CUDA_PAIR(id, ...)   LIST(id)
#define SW_CUDA_POINT(id, ...)  LIST(id)
#define SW_CUDA_KERNEL(id, ...) LIST(id)
#include "backend/cuda/kernels.inc"
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] && !strcmp(all[i]->id, id)) return all[i];
    return NULL;
}
