/* Timing on the GPU: whole programs, single nodes, and the tiles of convolutions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/hash.h"
#include "base/os.h"
#include "base/sort.h"
#include "engine/gpu_program.h"

enum { CHAIN = 20, REPLAYS = 3 };

double sw__gpu_median(double *times, int n) {
    qsort(times, (size_t)n, sizeof *times, sw_by_f64);
    return times[n / 2];
}

/* Milliseconds between two events around `launch` graphs of the whole program, or one chain. */
typedef struct stopwatch {
    sw_gpu *gpu;
    sw_cu_event from, to;
    int64_t deadline; /* of tuning, by sw_clock_ns */
} stopwatch;

static sw_status make_stopwatch(sw_gpu *gpu, const sw_diag *diag, stopwatch *w) {
    *w = (stopwatch){.gpu = gpu};
    SW_CUDA_TRY(gpu->cuda, diag, event_create(&w->from, SW_CU_TIMING));
    return sw_cuda_check(gpu->cuda, gpu->cuda->driver->event_create(&w->to, SW_CU_TIMING), "event_create", diag);
}

static void drop_stopwatch(stopwatch *w) {
    if (w->from) w->gpu->cuda->driver->event_destroy(w->from);
    if (w->to) w->gpu->cuda->driver->event_destroy(w->to);
}

static sw_status read_stopwatch(stopwatch *w, const sw_diag *diag, double *ms) {
    float time = 0;
    SW_CUDA_TRY(w->gpu->cuda, diag, event_wait(w->to));
    SW_CUDA_TRY(w->gpu->cuda, diag, event_time(&time, w->from, w->to));
    *ms = time;
    return SW_OK;
}

static sw_status time_once(stopwatch *w, sw_gpu_program *p, const sw_diag *diag, double *ms) {
    const sw_cuda *cuda = w->gpu->cuda;
    SW_CUDA_TRY(cuda, diag, event_record(w->from, p->streams[0]));
    for (int i = 0; i < p->n_segments; i++)
        if (p->segments[i].graph) SW_CUDA_TRY(cuda, diag, graph_launch(p->segments[i].graph, p->streams[0]));
    SW_CUDA_TRY(cuda, diag, event_record(w->to, p->streams[0]));
    return read_stopwatch(w, diag, ms);
}

sw_status sw_gpu_time(sw_gpu *gpu, sw_gpu_program *p, int rounds, const sw_diag *diag, double *ms) {
    double times[SW_GPU_MAX_ROUNDS];
    stopwatch w;
    if (rounds > SW_GPU_MAX_ROUNDS) rounds = SW_GPU_MAX_ROUNDS;
    SW_TRY(sw_cuda_enter(gpu->cuda, diag));
    sw_status status = make_stopwatch(gpu, diag, &w);
    for (int i = 0; i < rounds && status == SW_OK; i++) status = time_once(&w, p, diag, &times[i]);
    drop_stopwatch(&w);
    if (status != SW_OK) return status;
    *ms = sw__gpu_median(times, rounds);
    return SW_OK;
}

/* A graph of CHAIN times the same launches, each depending on the one before as in the program. */
static sw_status record_chain(sw_gpu *gpu, sw_gpu_program *p, const sw_cuda_launch *l, int n, const sw_diag *diag) {
    for (int i = 0; i < CHAIN * n; i++) SW_TRY(sw__gpu_launch(gpu, &l[i % n], p->streams[0], i > 0, diag));
    return SW_OK;
}

static sw_status make_chain(sw_gpu *gpu, sw_gpu_program *p, const sw_cuda_launch *l, int n, const sw_diag *diag,
                            sw_cu_graph_exec *chain) {
    SW_TRY(sw__gpu_begin_graph(gpu, p, diag));
    return sw__gpu_end_graph(gpu, p, record_chain(gpu, p, l, n, diag), diag, chain);
}

/* Milliseconds of the launches, once: the best of a few replays of a chain. */
static sw_status time_launches(stopwatch *w, sw_gpu_program *p, const sw_cuda_launch *l, int n, const sw_diag *diag,
                               double *ms) {
    const sw_cuda *cuda = w->gpu->cuda;
    sw_cu_graph_exec chain = NULL;
    sw_status status = make_chain(w->gpu, p, l, n, diag, &chain);
    *ms = 1e30;
    for (int i = 0; i <= REPLAYS && status == SW_OK; i++) {
        double once = 0;
        status = sw_cuda_check(cuda, cuda->driver->event_record(w->from, p->streams[0]), "event_record", diag);
        if (status == SW_OK)
            status = sw_cuda_check(cuda, cuda->driver->graph_launch(chain, p->streams[0]), "graph_launch", diag);
        if (status == SW_OK)
            status = sw_cuda_check(cuda, cuda->driver->event_record(w->to, p->streams[0]), "event_record", diag);
        if (status == SW_OK) status = read_stopwatch(w, diag, &once);
        if (i > 0 && once / CHAIN < *ms) *ms = once / CHAIN; /* the first one warms up */
    }
    if (chain) cuda->driver->graph_exec_destroy(chain);
    return status;
}

sw_status sw_gpu_time_nodes(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag, double *ms) {
    stopwatch w;
    SW_TRY(sw_cuda_enter(gpu->cuda, diag));
    sw_status status = make_stopwatch(gpu, diag, &w);
    for (int i = 0; i < p->n_nodes && status == SW_OK; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        ms[i] = 0;
        if (node->n_launches > 0)
            status = time_launches(&w, p, p->launches + node->first_launch, node->n_launches, diag, &ms[i]);
    }
    drop_stopwatch(&w);
    return status;
}

/* ---- Tuning single convolutions ------------------------------------------------------------------------------------- */

static bool is_tuned(const sw_gpu *gpu, const sw_conv *conv) {
    for (size_t i = 0; i < gpu->n_tuned; i++)
        if (!gpu->tuned[i].pair && sw__gpu_same_conv(&gpu->tuned[i].conv, conv)) return true;
    return false;
}

/* Nanoseconds of n launches, from two chains apart. */
static sw_status time_twice(stopwatch *w, sw_gpu_program *p, const sw_cuda_launch *l, int n, const sw_diag *diag,
                            int64_t ns[2]) {
    for (int i = 0; i < n; i++) SW_TRY(sw__gpu_load(w->gpu, &l[i], diag));
    for (int i = 0; i < 2; i++) {
        double ms;
        SW_TRY(time_launches(w, p, l, n, diag, &ms));
        ns[i] = (int64_t)(ms * 1e6);
    }
    return SW_OK;
}

/* The next best, in order, when they take at most two fifths more. */
static void keep_others(sw_gpu_tuned *best, const sw_cuda_kernel *tiles, const int64_t *sums, int n, int64_t least) {
    int64_t kept[SW_GPU_MAX_OTHERS];
    for (int i = 0; i < n; i++) {
        if (tiles[i] == best->tile || sums[i] > least + 2 * (least / 5)) continue;
        int at = best->n_others;
        if (at == SW_GPU_MAX_OTHERS && sums[i] >= kept[--at]) continue;
        for (; at > 0 && sums[i] < kept[at - 1]; at--) {
            kept[at] = kept[at - 1];
            best->others[at] = best->others[at - 1];
        }
        kept[at] = sums[i], best->others[at] = tiles[i];
        if (best->n_others < SW_GPU_MAX_OTHERS) best->n_others++;
    }
}

/* Tiles of a convolution, with their times: sums of two. */
typedef struct trial {
    sw_gpu_program *p;
    sw_conv conv;
    char key[SW_CPU_KEY];
    sw_cuda_conv places; /* where its maps and weights are */
    sw_cuda_kernel tiles[SW_CUDA_KERNELS + SW_GPU_MOST_TACTICS];
    int64_t sums[SW_CUDA_KERNELS + SW_GPU_MOST_TACTICS], least;
    int n, n_library;
    bool timed; /* the first has begun: the rest follows, however long it takes */
} trial;

typedef struct trials {
    const sw_gpu_times *times; /* may be NULL */
    trial *items;
    size_t n, cap;
} trials;

/* Where a kernel takes less, no library is asked: its kernels begin when the one before has ended, not sooner. */
enum { LIBRARY_NS = 4000 };
static const int64_t FOREVER = 1000000000000; /* what a library refuses to run */

/* A library that cannot run it takes forever. */
static sw_status time_tile(stopwatch *w, const trial *t, sw_cuda_kernel tile, const sw_diag *diag, int64_t ns[2]) {
    sw_cuda_launch l;
    bool library = sw__gpu_is_library(tile);
    const sw_diag *told = library ? NULL : diag;
    sw_status status = library ? sw__gpu_make_tactic(w->gpu, tile, told) : SW_OK;
    if (status == SW_OK) {
        sw__gpu_launch_conv(w->gpu, &t->conv, SW_CUDA_FORM_TILES, tile, t->places.in, t->places.weights,
                            t->places.residual, t->places.out, &l);
        if (!library) {
            l.args.conv.in_rows = t->places.in_rows, l.args.conv.out_rows = t->places.out_rows;
            l.args.conv.residual_float = t->places.residual_float;
        }
        status = sw__gpu_lend_workspace(w->gpu, t->p, 0, &l, told);
    }
    if (status == SW_OK) status = time_twice(w, t->p, &l, 1, told, ns);
    if (status == SW_OK || !library) return status;
    ns[0] = ns[1] = FOREVER;
    return SW_OK;
}

/* Tiles from `first` on, but for those whose time is known; *done false: there was no time left to begin, and the rest is no
 * longer listed. */
static sw_status time_tiles(stopwatch *w, trial *t, int first, const sw_gpu_times *times, const sw_diag *diag,
                            bool *done) {
    for (int i = first; i < t->n; i++) {
        int64_t ns[2];
        const char *name = sw__gpu_tile_name(w->gpu, t->tiles[i]);
        *done = t->timed || sw_clock_ns() <= w->deadline;
        if (!times || !times->find(times->ctx, t->key, name, ns)) {
            if (!*done) return t->n = i, SW_OK;
            t->timed = true;
            SW_TRY(time_tile(w, t, t->tiles[i], diag, ns));
            if (times) SW_TRY(times->add(times->ctx, t->key, name, ns));
        }
        t->sums[i] = ns[0] + ns[1];
        if (t->sums[i] < t->least) t->least = t->sums[i];
    }
    *done = true;
    return SW_OK;
}

/* Libraries take halves only, in their order. */
static bool is_plain(const trial *t) {
    const sw_cuda_conv *p = &t->places;
    return !p->out_float && !p->residual_float && !p->in_rows && !p->out_rows && t->conv.out_pitch % 8 == 0;
}

/* Lists a convolution with the kernels that can do it, unless it is one whose tile is known. */
static sw_status list_node(sw_gpu *gpu, trials *all, sw_gpu_program *p, sw_gpu_node *node, const sw_diag *diag) {
    trial t = {.p = p, .least = INT64_MAX};
    sw_cuda_launch now;
    int n;
    const char *why;
    SW_TRY(sw__gpu_conv(gpu, p, node, &t.conv));
    if (sw_cuda_conv_form(&t.conv) != SW_CUDA_FORM_TILES || is_tuned(gpu, &t.conv)) return SW_OK;
    for (size_t i = 0; i < all->n; i++)
        if (sw__gpu_same_conv(&all->items[i].conv, &t.conv)) return SW_OK;
    t.n = sw_cuda_conv_candidates(&t.conv, &gpu->cuda->info, t.tiles);
    SW_TRY(sw__gpu_lower_node(gpu, p, node, &now, &n, &why, diag));
    t.places = now.args.conv;
    sw_cpu_conv_key(&t.conv, t.key, sizeof t.key);
    SW_TRY(sw_grow(gpu->allocator, (void **)&all->items, &all->cap, all->n + 1, sizeof t, SIZE_MAX));
    all->items[all->n++] = t;
    return SW_OK;
}

/* The same for both of a pair. */
static sw_status list_both(sw_gpu *gpu, trials *all, sw_gpu_program *p, const sw_gpu_node *pair, const sw_diag *diag) {
    for (int i = 0; i < 2; i++) {
        sw_gpu_node one = sw__gpu_conv_node(gpu, i ? pair->step : pair->first);
        SW_TRY(list_node(gpu, all, p, &one, diag));
    }
    return SW_OK;
}

static sw_status list_all(sw_gpu *gpu, trials *all, sw_gpu_program *p, const sw_diag *diag) {
    for (int i = 0; i < p->n_nodes; i++) {
        sw_gpu_node *node = &p->nodes[i];
        if (node->kind == SW_GPU_CONV || node->kind == SW_GPU_PRODUCT) SW_TRY(list_node(gpu, all, p, node, diag));
        if (node->kind == SW_GPU_PAIR) SW_TRY(list_both(gpu, all, p, node, diag));
    }
    return SW_OK;
}

static void want_unknown(const sw_gpu_times *times, const char *key, sw_cuda_kernel kernel, int *shared) {
    int64_t ns[2];
    if (!times || !times->find(times->ctx, key, sw__gpu_pair_name(kernel), ns)) shared[kernel] = 0;
}

/* Compiles what is going to be timed. */
static sw_status load_unknown(stopwatch *w, const trials *all, const sw_gpu_program *p) {
    sw_gpu *gpu = w->gpu;
    int shared[SW_CUDA_KERNELS];
    memset(shared, -1, sizeof shared);
    for (size_t i = 0; i < all->n; i++)
        for (int k = 0; k < all->items[i].n; k++)
            want_unknown(all->times, all->items[i].key, all->items[i].tiles[k], shared);
    for (int i = 0; i < p->n_nodes; i++) {
        sw_conv a, b;
        char key[SW_GPU_PAIR_KEY];
        sw_cuda_kernel kernels[SW_CUDA_KERNELS + 1];
        if (p->nodes[i].kind != SW_GPU_PAIR) continue;
        SW_TRY(sw__gpu_pair(gpu, p, &p->nodes[i], &a, &b));
        sw__gpu_pair_key(&a, &b, key);
        for (int k = sw__gpu_pair_candidates(gpu, &a, &b, kernels) - 2; k >= 0; k--) /* the last one is no kernel */
            want_unknown(all->times, key, kernels[k], shared);
    }
    sw_cuda_load_all(gpu->cuda, shared, w->deadline);
    return SW_OK;
}

/* Times all that are listed; those that no time was left for are no longer. */
static sw_status time_all(stopwatch *w, trials *all, const sw_diag *diag) {
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        trial *t = &all->items[i];
        bool done = true;
        SW_TRY(time_tiles(w, t, 0, all->times, diag, &done));
        if (all->times && all->times->progress) all->times->progress(all->times->ctx, (int)i + 1, (int)all->n);
        if (done) all->items[kept++] = *t;
    }
    all->n = kept;
    return SW_OK;
}

/* Lists what libraries have for all of them, compiles it, and times it. */
static sw_status try_libraries(stopwatch *w, trials *all, const sw_diag *diag) {
    sw_gpu *gpu = w->gpu;
    int64_t ns[2];
    if (!all->times || !all->times->libraries) return SW_OK;
    sw_cuda_kernel *unknown = sw_calloc(gpu->allocator, all->n + 1, SW_GPU_MOST_TACTICS * sizeof *unknown);
    size_t n_unknown = 0;
    sw_status status = unknown ? SW_OK : SW_E_NOMEM;
    for (size_t i = 0; i < all->n && status == SW_OK; i++) {
        trial *t = &all->items[i];
        if (t->least < 2 * LIBRARY_NS || !is_plain(t) || sw_clock_ns() > w->deadline) continue;
        status = sw__gpu_library_tiles(gpu, &t->conv, t->tiles + t->n, &t->n_library);
        for (int k = t->n; k < t->n + t->n_library; k++)
            if (!all->times->find(all->times->ctx, t->key, sw__gpu_tile_name(gpu, t->tiles[k]), ns))
                unknown[n_unknown++] = t->tiles[k];
    }
    if (status == SW_OK) status = sw__gpu_make_tactics(gpu, unknown, n_unknown, w->deadline);
    for (size_t i = 0; i < all->n && status == SW_OK; i++) {
        if (n_unknown && sw_clock_ns() > w->deadline)
            break; /* else times are known, and the plan is the same each time */
        trial *t = &all->items[i];
        bool done;
        int first = t->n;
        t->n += t->n_library;
        status = time_tiles(w, t, first, all->times, diag, &done);
    }
    sw_free(gpu->allocator, unknown);
    return status;
}

static sw_status settle(sw_gpu *gpu, const trial *t) {
    sw_gpu_tuned best = {.conv = t->conv};
    int own = 0;
    for (int i = t->n - 1; i >= 0; i--) {
        if (t->sums[i] == t->least) best.tile = t->tiles[i];
        if (!sw__gpu_is_library(t->tiles[i]) && t->sums[i] <= t->sums[own]) own = i;
    }
    best.own = t->tiles[own];
    keep_others(&best, t->tiles, t->sums, t->n, t->least);
    SW_TRY(sw_grow(gpu->allocator, (void **)&gpu->tuned, &gpu->cap_tuned, gpu->n_tuned + 1, sizeof best, SIZE_MAX));
    gpu->tuned[gpu->n_tuned++] = best;
    return SW_OK;
}

static sw_status tune_alone(stopwatch *w, sw_gpu_program *p, const sw_gpu_times *times, const sw_diag *diag) {
    trials all = {.times = times};
    sw_status status = list_all(w->gpu, &all, p, diag);
    if (status == SW_OK) status = load_unknown(w, &all, p);
    if (status == SW_OK) status = time_all(w, &all, diag);
    if (status == SW_OK) status = try_libraries(w, &all, diag);
    for (size_t i = 0; i < all.n && status == SW_OK; i++) status = settle(w->gpu, &all.items[i]);
    sw_free(w->gpu->allocator, all.items);
    return status;
}

/* ---- Tuning pairs -------------------------------------------------------------------------------------------------- */

static bool is_pair_tuned(const sw_gpu *gpu, const sw_conv *a, const sw_conv *b) {
    for (size_t i = 0; i < gpu->n_tuned; i++)
        if (gpu->tuned[i].pair && sw__gpu_same_conv(&gpu->tuned[i].conv, a) &&
            sw__gpu_same_conv(&gpu->tuned[i].second, b))
            return true;
    return false;
}

static sw_status time_pair(stopwatch *w, sw_gpu_program *p, const sw_gpu_node *node, sw_cuda_kernel kernel,
                           const sw_diag *diag, int64_t ns[2]) {
    sw_cuda_launch l[2];
    int n;
    SW_TRY(sw__gpu_lower_pair(w->gpu, p, node, kernel, l, &n, diag));
    for (int i = 0; i < n; i++) SW_TRY(sw__gpu_lend_workspace(w->gpu, p, 0, &l[i], diag));
    return time_twice(w, p, l, n, diag, ns);
}

/* One kernel or two: each of the two has its tile already. */
static sw_status tune_pair(stopwatch *w, sw_gpu_program *p, const sw_gpu_node *node, const sw_gpu_times *times,
                           const sw_diag *diag) {
    sw_gpu *gpu = w->gpu;
    sw_gpu_tuned best = {.pair = true};
    char key[SW_GPU_PAIR_KEY];
    sw_cuda_kernel kernels[SW_CUDA_KERNELS + 1];
    int64_t sums[SW_CUDA_KERNELS + 1], least = INT64_MAX;
    SW_TRY(sw__gpu_pair(gpu, p, node, &best.conv, &best.second));
    if (is_pair_tuned(gpu, &best.conv, &best.second)) return SW_OK;
    int n = sw__gpu_pair_candidates(gpu, &best.conv, &best.second, kernels);
    sw__gpu_pair_key(&best.conv, &best.second, key);
    for (int i = 0; i < n; i++) {
        int64_t ns[2];
        const char *name = sw__gpu_pair_name(kernels[i]);
        if (!times || !times->find(times->ctx, key, name, ns)) {
            if (sw_clock_ns() > w->deadline) return SW_OK;
            SW_TRY(time_pair(w, p, node, kernels[i], diag, ns));
            if (times) SW_TRY(times->add(times->ctx, key, name, ns));
        }
        sums[i] = ns[0] + ns[1];
        if (sums[i] < least) least = sums[i], best.tile = kernels[i];
    }
    best.own = best.tile;
    keep_others(&best, kernels, sums, n, least);
    SW_TRY(sw_grow(gpu->allocator, (void **)&gpu->tuned, &gpu->cap_tuned, gpu->n_tuned + 1, sizeof best, SIZE_MAX));
    gpu->tuned[gpu->n_tuned++] = best;
    return SW_OK;
}

static sw_status tune_pairs(stopwatch *w, sw_gpu_program *p, const sw_gpu_times *times, const sw_diag *diag) {
    for (int i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].kind == SW_GPU_PAIR) SW_TRY(tune_pair(w, p, &p->nodes[i], times, diag));
    return SW_OK;
}

/* ---- Tuning the network -------------------------------------------------------------------------------------------- */

/* A tile that is best alone need not be so in the network: there its code comes from far, and others run beside it. So the
 * nearly as good ones are tried in the whole graph, and kept where that becomes faster. What was found is kept under the name
 * of the convolution with a number for the network and its tiles. */
enum { FEW_PAIRS = 6, MOST_PAIRS = 48, MOST_PASSES = 3, FEW_OTHERS = 4 };
static const double PAIRS_MS = 12;  /* that a graph is run in a contest, but never for less than twice FEW_PAIRS */
static const double SHORT_MS = 0.5; /* of a network that is gone through more than once, and more thoroughly */
static const double BETTER = 0.9985, WORSE = 1.001;

/* Of two sides: the program's graphs, and others of it, by segment. */
typedef struct contest {
    stopwatch *w;
    sw_gpu_program *p;
    sw_cu_graph_exec *others;
    double ms; /* of the network as it is */
} contest;

static void key_of(const sw_gpu_tuned *t, char key[SW_GPU_PAIR_KEY]) {
    if (t->pair)
        sw__gpu_pair_key(&t->conv, &t->second, key);
    else
        sw_cpu_conv_key(&t->conv, key, SW_CPU_KEY);
}

static const char *name_of(const sw_gpu *gpu, const sw_gpu_tuned *t, sw_cuda_kernel tile) {
    return t->pair ? sw__gpu_pair_name(tile) : sw__gpu_tile_name(gpu, tile);
}

static void name_in_network(const sw_gpu_tuned *t, uint64_t network, char *key, size_t size) {
    key_of(t, key);
    size_t length = strlen(key);
    snprintf(key + length, size - length, SW_GPU_IN_NETWORK "%016llx", (unsigned long long)network);
}

/* What libraries must gain there belongs to it: it decides, too. */
static uint64_t number_of_network(const sw_gpu *gpu, const sw_gpu_program *p, const sw_gpu_times *times) {
    uint64_t hash = sw_hash(0, &p->n_nodes, sizeof p->n_nodes);
    if (times && times->libraries) hash = sw_hash(hash, &times->library_gain, sizeof times->library_gain);
    for (size_t i = 0; i < gpu->n_tuned; i++) {
        char key[SW_GPU_PAIR_KEY];
        key_of(&gpu->tuned[i], key);
        hash = sw_hash_text(hash, key);
        hash = sw_hash_text(hash, name_of(gpu, &gpu->tuned[i], gpu->tuned[i].tile));
    }
    return hash;
}

static void swap_sides(contest *c) {
    for (int i = 0; i < c->p->n_segments; i++) {
        sw_cu_graph_exec other = c->others[i];
        c->others[i] = c->p->segments[i].graph;
        c->p->segments[i].graph = other;
    }
}

/* By how much the program's graphs take longer than the others, run in turn until it is clear. */
static sw_status compare_sides(contest *c, const sw_diag *diag, double *ratio) {
    double own[MOST_PAIRS], other[MOST_PAIRS];
    double most = fmin(fmax(PAIRS_MS / c->ms, 2 * FEW_PAIRS), MOST_PAIRS);
    SW_TRY(time_once(c->w, c->p, diag, &own[0])); /* warms up */
    for (int n = 0, next = FEW_PAIRS;; next *= 2) {
        for (; n < next && n < (int)most; n++) {
            SW_TRY(time_once(c->w, c->p, diag, &own[n]));
            swap_sides(c);
            sw_status status = time_once(c->w, c->p, diag, &other[n]);
            swap_sides(c);
            SW_TRY(status);
        }
        c->ms = sw__gpu_median(other, n);
        *ratio = sw__gpu_median(own, n) / c->ms;
        if (n == (int)most || *ratio > WORSE) return SW_OK;
    }
}

/* Whether the network with the tiles that are chosen now takes less than `bound` times what it took; else its graphs stay. */
static sw_status try_choices(contest *c, double bound, const sw_diag *diag, bool *won) {
    double ratio = bound;
    swap_sides(c);
    sw_status status = sw__gpu_capture(c->w->gpu, c->p, diag);
    if (status == SW_OK) status = compare_sides(c, diag, &ratio);
    *won = status == SW_OK && ratio < bound;
    if (*won)
        c->ms *= ratio;
    else
        swap_sides(c);
    for (int i = 0; i < c->p->n_segments; i++) {
        if (c->others[i]) c->w->gpu->cuda->driver->graph_exec_destroy(c->others[i]);
        c->others[i] = NULL;
    }
    return status;
}

/* Gives a convolution another tile where the network is faster by it. */
static sw_status try_tile(contest *c, sw_gpu_tuned *t, sw_cuda_kernel tile, const sw_diag *diag, bool *changes) {
    sw_cuda_kernel old = t->tile;
    bool won;
    t->tile = tile;
    sw_status status = try_choices(c, BETTER, diag, &won);
    if (!won) t->tile = old;
    *changes |= won;
    return status;
}

/* A plan with tactics of a library takes longer to load: the network must take so many percent less with them. */
static sw_status weigh_library(contest *c, sw_cuda_library library, double gain, const sw_diag *diag) {
    sw_gpu *gpu = c->w->gpu;
    sw_cuda_kernel *old = sw_calloc(gpu->allocator, gpu->n_tuned + 1, sizeof *old);
    bool any = false, won = false;
    if (!old) return SW_E_NOMEM;
    for (size_t i = 0; i < gpu->n_tuned; i++) {
        sw_gpu_tuned *t = &gpu->tuned[i];
        old[i] = t->tile;
        if (t->known || t->pair || sw_cuda_tactic_library(sw__gpu_tile_name(gpu, t->tile)) != (int)library) continue;
        t->tile = t->own;
        any = true;
    }
    sw_status status = any ? try_choices(c, 1 / (1 - fmin(gain, 99) / 100), diag, &won) : SW_OK;
    for (size_t i = 0; i < gpu->n_tuned && !won; i++) gpu->tuned[i].tile = old[i];
    sw_free(gpu->allocator, old);
    return status;
}

/* Takes what is known of a convolution in this network. */
static bool recall(const sw_gpu *gpu, sw_gpu_tuned *t, uint64_t network, const sw_gpu_times *times) {
    char key[SW_GPU_PAIR_KEY + 32];
    int64_t ns[2];
    name_in_network(t, network, key, sizeof key);
    for (int i = -2; times && i <= t->n_others; i++) {
        sw_cuda_kernel tile = i == -2 ? t->tile : i == -1 ? t->own : i ? t->others[i - 1] : t->alone;
        if (!times->find(times->ctx, key, name_of(gpu, t, tile), ns)) continue;
        t->tile = tile;
        return true;
    }
    return false;
}

static sw_status keep_time(const sw_gpu *gpu, const sw_gpu_tuned *t, uint64_t network, double ms,
                           const sw_gpu_times *times) {
    char key[SW_GPU_PAIR_KEY + 32];
    int64_t ns[2] = {(int64_t)(ms * 1e6), (int64_t)(ms * 1e6)};
    name_in_network(t, network, key, sizeof key);
    return times->add(times->ctx, key, name_of(gpu, t, t->tile), ns);
}

/* Goes through all convolutions of which nothing was known, until nothing changes or there is no time left. */
static sw_status hold_contests(contest *c, const sw_diag *diag) {
    sw_gpu *gpu = c->w->gpu;
    bool changes = true, is_short = c->ms < SHORT_MS;
    int most = is_short ? SW_GPU_MAX_OTHERS : FEW_OTHERS;
    for (int pass = 0; changes && pass < (is_short ? MOST_PASSES : 1); pass++) {
        changes = false;
        for (size_t i = 0; i < gpu->n_tuned; i++) {
            sw_gpu_tuned *t = &gpu->tuned[i];
            for (int k = 0; !t->known && k <= t->n_others && k <= most; k++) {
                sw_cuda_kernel tile = k ? t->others[k - 1] : t->alone;
                if (tile == t->tile) continue;
                if (sw_clock_ns() > c->w->deadline) return SW_OK;
                SW_TRY(try_tile(c, t, tile, diag, &changes));
            }
            t->tried = true;
        }
    }
    return SW_OK;
}

static sw_status tune_network(stopwatch *w, sw_gpu_program *p, const sw_gpu_times *times, const sw_diag *diag) {
    sw_gpu *gpu = w->gpu;
    uint64_t network = number_of_network(gpu, p, times);
    contest c = {.w = w, .p = p};
    bool all_known = true;
    for (size_t i = 0; i < gpu->n_tuned; i++) {
        sw_gpu_tuned *t = &gpu->tuned[i];
        t->alone = t->tile;
        if (t->pair) t->tile = SW_GPU_APART; /* one kernel is taken where the network gains by it */
        bool only = t->n_others == 0 && t->alone == t->tile && t->tile == t->own; /* a library's is weighed */
        t->known = only || recall(gpu, t, network, times);
        all_known &= t->known;
    }
    if (all_known) return SW_OK;
    c.others = sw_calloc(gpu->allocator, (size_t)p->n_segments, sizeof(*c.others));
    if (!c.others) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    sw_status status = sw__gpu_capture(gpu, p, diag);
    for (int i = 0; i < 3 && status == SW_OK; i++) status = time_once(w, p, diag, &c.ms);
    if (status == SW_OK) status = hold_contests(&c, diag);
    for (int i = SW_CUDA_LIBRARIES; times && i-- > 0 && status == SW_OK;)
        status = weigh_library(&c, (sw_cuda_library)i, times->library_gain, diag);
    for (size_t i = 0; times && i < gpu->n_tuned && status == SW_OK; i++)
        if (gpu->tuned[i].tried && !gpu->tuned[i].known) status = keep_time(gpu, &gpu->tuned[i], network, c.ms, times);
    sw_free(gpu->allocator, (void *)c.others);
    return status;
}

const char *sw_gpu_tuned_tile(const sw_gpu *gpu, size_t i, char key[SW_GPU_PAIR_KEY]) {
    if (i >= gpu->n_tuned) return NULL;
    key_of(&gpu->tuned[i], key);
    return name_of(gpu, &gpu->tuned[i], gpu->tuned[i].tile);
}

sw_status sw_gpu_tune(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_times *times, const sw_diag *diag) {
    stopwatch w;
    SW_TRY(sw_cuda_enter(gpu->cuda, diag));
    sw_status status = make_stopwatch(gpu, diag, &w);
    bool limited = times && times->seconds > 0 && times->seconds < 1e9;
    w.deadline = limited ? sw_clock_ns() + (int64_t)(times->seconds * 1e9) : INT64_MAX;
    if (status == SW_OK) status = tune_alone(&w, p, times, diag);
    if (status == SW_OK) status = tune_pairs(&w, p, times, diag);
    if (status == SW_OK) status = tune_network(&w, p, times, diag);
    drop_stopwatch(&w);
    return status == SW_OK ? sw__gpu_capture(gpu, p, diag) : status;
}
