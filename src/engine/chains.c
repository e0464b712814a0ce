#include "engine/chains.h"

#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "engine/groups.h"
#include "kernels/wide.h"

enum { USUAL_CACHE = 1 << 20, LEAST_SEGMENT = 8, PRODUCT_ROWS = 24, FEW_ROWS = 3 };

static int64_t cache_for_tests;

void sw_chains_assume_cache(int64_t bytes) {
    cache_for_tests = bytes;
}

static int64_t cache_bytes(void) {
    int64_t bytes = cache_for_tests ? cache_for_tests : (int64_t)sw_cpu_cache(2);
    return bytes > 0 ? bytes : USUAL_CACHE;
}

/* ---- Rows ------------------------------------------------------------------------------------------------------------ */

/* Winograd's tiles and Strassen's pairs must lie where they lie in the whole map, whichever tactic runs. Rows of products are
 * few numbers. */
static int64_t tile_of(const sw_conv *c) {
    if (c->width == 1) return PRODUCT_ROWS;
    if (c->kernel_h == 1 && c->kernel_w == 1) return 1 + c->out_width % 2;
    return c->kernel_h == 3 && c->kernel_w == 3 && c->groups == 1 ? SW_CONV_TILE : 1;
}

/* A row of pixels, as products have them, as a column. */
static sw_conv upright(const sw_conv *row) {
    sw_conv c = *row;
    if (c.height > 1 || c.kernel_h > 1 || c.kernel_w > 1 || c.width != c.out_width || c.pad_left) return c;
    c.height = c.width;
    c.out_height = c.out_width;
    c.width = c.out_width = 1;
    return c;
}

/* The rows of its input that rows begin .. end of the output depend on, as far as they are there. */
static int64_t first_read(const sw_conv *c, int64_t begin) {
    return sw__max64(0, begin * c->stride_h - c->pad_top);
}
static int64_t end_read(const sw_conv *c, int64_t end) {
    return sw__min64(c->height, (end - 1) * c->stride_h - c->pad_top + (c->kernel_h - 1) * c->dilation_h + 1);
}

/* Rows of a map: those that a buffer holds; `begin` < 0: nothing yet. */
typedef struct span {
    int64_t begin, end;
} span;

/* What each layer computes next, so that the last one comes from `begin` to `end`. `held`: by layer, of its output. */
static void next_rows(const sw_conv *const *convs, int n, int64_t begin, int64_t end, const span *held, span *rows) {
    rows[n - 1] = (span){begin, end};
    for (int i = n - 2; i >= 0; i--) {
        const sw_conv *reader = convs[i + 1];
        int64_t tile = tile_of(convs[i]);
        rows[i].begin = held[i].begin < 0 ? first_read(reader, rows[i + 1].begin) / tile * tile : held[i].end;
        rows[i].end = rows[i].begin;
        if (rows[i + 1].begin == rows[i + 1].end) continue;
        int64_t wanted = sw__ceil_div(end_read(reader, rows[i + 1].end), tile) * tile;
        rows[i].end = sw__max64(rows[i].begin, sw__min64(convs[i]->out_height, wanted));
    }
}

/* Makes room in a buffer for the rows to come: those that nobody reads again are dropped. The first that is kept. */
static int64_t drop(span *held, const span *rows, const sw_conv *reader, const span *reader_rows) {
    if (held->begin < 0) held->begin = held->end = rows->begin;
    if (reader_rows->begin == reader_rows->end) return held->begin;
    return sw__max64(held->begin, sw__min64(held->end, first_read(reader, reader_rows->begin)));
}

/* ---- Search ---------------------------------------------------------------------------------------------------------- */

typedef struct finder {
    const sw_plan *plan;
    sw_instance *instance;
    int threads;
    int32_t *uses, *makers;
    bool *shared; /* by value: another one lies in its memory */
    const sw_tensor **in;
    sw_tensor **out, *slices;
    int64_t cache;
} finder;

typedef struct layers {
    int n;
    size_t steps[SW_CHAIN_LAYERS];
    sw_conv convs[SW_CHAIN_LAYERS];
    int64_t weight_bytes;
} layers;

/* Every row of the output reads some of the input, kernels of 1x1 have no border, and pictures do not take turns. */
static bool is_regular(const sw_conv *c) {
    int64_t reach = (c->kernel_h - 1) * c->dilation_h;
    bool inside = c->pad_top <= reach && (c->out_height - 1) * c->stride_h - c->pad_top < c->height;
    return inside && c->out_height > 0 && c->batch > 0 && c->turns <= 1 &&
           (c->kernel_h > 1 || c->kernel_w > 1 || c->pad_left == 0);
}

/* A step as a convolution; false: it is none, or another kernel runs it. */
static bool as_conv(finder *f, size_t s, sw_conv *c) {
    const sw_step *step = &f->plan->steps[s];
    const sw_tensor *values = f->instance->values;
    if (step->n_out != 1 || step->out[0] < 0 || f->instance->places[step->out[0]] != SW_PLACE_PLANNED) return false;
    sw_call call = sw_instance_call(f->instance, f->plan, s, 0, f->in, f->out, f->slices, NULL);
    if (sw_call_is_product(&call))
        return sw_instance_has_weights(f->instance, f->plan, step) && sw_cpu_packs_product(&call, step->tactic, c);
    return step->op == SW_OP_FusedConv && values[step->out[0]].layout == SW_CHANNELS_LAST &&
           sw_call_conv(&call, c) == SW_OK;
}

static bool add_layer(finder *f, size_t s, layers *l) {
    if (l->n == SW_CHAIN_LAYERS || sw_demand_cuts(f->instance, s)) return false;
    sw_conv *c = &l->convs[l->n];
    if (!as_conv(f, s, c)) return false;
    *c = upright(c);
    if (!is_regular(c)) return false;
    int64_t bytes = sw_tensor_bytes(&f->instance->values[f->plan->steps[s].in[1]]);
    if (c->kernel_h == 3) bytes *= 4; /* as Winograd has them */
    l->steps[l->n++] = s;
    l->weight_bytes += bytes;
    return true;
}

/* Of the output. */
static int64_t row_bytes(const sw_conv *c) {
    return c->out_width * c->out_pitch * sw__map_bytes(c->out_type);
}
static int64_t map_bytes(const sw_conv *c) {
    return c->out_height * row_bytes(c);
}

/* Whether the map that the last layer writes is read by the step only, and so large that it would leave the cache. */
static bool is_link(const finder *f, const layers *l, size_t reader) {
    const sw_instance *instance = f->instance;
    size_t maker = l->steps[l->n - 1];
    int32_t map = f->plan->steps[maker].out[0];
    const sw_step *step = &f->plan->steps[reader];
    if (step->n_in < 1 || step->in[0] != map || f->uses[map] != 1 || f->shared[map] || instance->roots[map] != map)
        return false;
    return map_bytes(&l->convs[l->n - 1]) >= f->cache / 4 * 3 &&
           sw_group_of(instance, maker) == sw_group_of(instance, reader);
}

/* In equal parts, but for tiles. */
int64_t sw_chain_begin(const sw_chain *chain, const sw_conv *last, int64_t segment) {
    int64_t unit = tile_of(last), row = last->out_height * segment / chain->segments;
    return sw__min64(last->out_height, sw__ceil_div(row, unit) * unit);
}

/* How many rows the buffers must have, and the bytes of them, for so many rows at a time. */
static int64_t size_buffers(const layers *l, const sw_chain *chain, int64_t rows, int64_t *capacity) {
    const sw_conv *convs[SW_CHAIN_LAYERS], *last = &l->convs[l->n - 1];
    for (int i = 0; i < l->n; i++) convs[i] = &l->convs[i], capacity[i] = 0;
    int64_t bytes = 0;
    for (int64_t segment = 0; segment < chain->segments; segment++) {
        int64_t end = sw_chain_begin(chain, last, segment + 1);
        span held[SW_CHAIN_LAYERS], next[SW_CHAIN_LAYERS];
        memset(held, -1, sizeof held);
        for (int64_t y = sw_chain_begin(chain, last, segment); y < end; y += rows) {
            next_rows(convs, l->n, y, sw__min64(y + rows, end), held, next);
            for (int i = 0; i < l->n - 1; i++) {
                held[i].begin = drop(&held[i], &next[i], convs[i + 1], &next[i + 1]);
                held[i].end = next[i].end;
                capacity[i] = sw__max64(capacity[i], held[i].end - held[i].begin);
            }
        }
    }
    for (int i = 0; i < l->n - 1; i++) bytes += sw__ceil_div(capacity[i] * row_bytes(convs[i]), SW_ALIGN) * SW_ALIGN;
    return bytes;
}

/* Cuts the last map for threads, for as many parts each. False: there is not enough of it. */
static bool cut(const finder *f, const layers *l, sw_chain *chain) {
    const sw_conv *last = &l->convs[l->n - 1];
    int64_t unit = tile_of(last), segments = 1, most = f->cache / 8 * 3;
    if (f->threads > 1) segments = sw__ceil_div(2 * (int64_t)f->threads, last->batch);
    segments = sw__max64(1, sw__min64(segments, last->out_height / LEAST_SEGMENT));
    if (segments * last->batch < f->threads) return false;
    if (last->batch == 1) segments -= segments % f->threads;
    int64_t largest = sw__ceil_div(sw__ceil_div(last->out_height, segments), unit) * unit;
    chain->segments = segments;
    chain->rows = 0;
    for (int64_t rows = unit; rows <= largest; rows += unit) {
        int64_t capacity[SW_CHAIN_LAYERS];
        if (size_buffers(l, chain, rows, capacity) > most) break;
        chain->rows = rows;
    }
    if (!chain->rows) return false;
    int64_t bands = sw__ceil_div(largest, chain->rows);
    chain->rows = sw__ceil_div(sw__ceil_div(largest, bands), unit) * unit;
    chain->bytes = (size_t)size_buffers(l, chain, chain->rows, chain->capacity);
    return true;
}

static size_t next_step(const finder *f, size_t position) {
    const sw_instance *instance = f->instance;
    while (position < f->plan->n_steps && instance->skip[instance->order[position]]) position++;
    return position;
}

/* How many of the layers to keep where one more would be too much: all, unless the map behind them is larger than one between,
 * which then is the better one to be made whole. */
static int keep_layers(const layers *l) {
    int least = l->n;
    for (int i = l->n - 1; i > 0; i--)
        if (map_bytes(&l->convs[i - 1]) < map_bytes(&l->convs[least - 1])) least = i;
    return least;
}

/* The longest chain from a place in the order of steps on. *end: the place behind it. */
static bool find_one(finder *f, size_t position, size_t *end, sw_chain *chain) {
    const sw_plan *plan = f->plan;
    layers l = {0};
    sw_chain chains[SW_CHAIN_LAYERS + 1] = {{0}}; /* by number of layers */
    int n = 1;
    chains[1].first = chains[1].last = position;
    if (!add_layer(f, (size_t)f->instance->order[position], &l)) n = 0;
    for (size_t at = next_step(f, position + 1); n && at < plan->n_steps && at != f->instance->n_early;
         at = next_step(f, at + 1)) {
        size_t reader = (size_t)f->instance->order[at];
        layers longer = l;
        if (!is_link(f, &l, reader) || !add_layer(f, reader, &longer)) break;
        sw_chain *next = &chains[longer.n];
        bool fits = longer.weight_bytes <= f->cache / 2 && cut(f, &longer, next);
        if (!fits || (l.n > 1 && next->rows < FEW_ROWS)) {
            n = keep_layers(&l);
            break;
        }
        l = longer;
        n = next->n = l.n;
        next->first = position;
        next->last = at;
    }
    *chain = chains[n];
    memcpy(chain->steps, l.steps, sizeof l.steps);
    *end = n > 1 ? chain->last + 1 : position + 1;
    return n > 1;
}

static void take(finder *f, const sw_chain *chain) {
    sw_instance *instance = f->instance;
    instance->chains[instance->n_chains++] = *chain;
    for (int i = 0; i + 1 < chain->n; i++) instance->places[f->plan->steps[chain->steps[i]].out[0]] = SW_PLACE_NONE;
}

static sw_status find(finder *f) {
    sw_instance *instance = f->instance;
    int ports = sw_plan_max_ports(f->plan);
    f->in = SW_ARENA_ARRAY(instance->arena, const sw_tensor *, ports);
    f->out = SW_ARENA_ARRAY(instance->arena, sw_tensor *, ports);
    f->slices = SW_ARENA_ARRAY(instance->arena, sw_tensor, 2 * ports);
    instance->chains = SW_ARENA_ARRAY(instance->arena, sw_chain, f->plan->n_steps / 2 + 1);
    if (!f->in || !f->out || !f->slices || !instance->chains) return SW_E_NOMEM;
    sw_plan_readers(f->plan, f->uses, f->makers);
    for (size_t v = 0; v < f->plan->n_values; v++)
        if (instance->roots[v] != (int32_t)v) f->shared[instance->roots[v]] = true;
    for (size_t at = next_step(f, 0), end; at < f->plan->n_steps; at = next_step(f, end)) {
        sw_chain chain;
        if (find_one(f, at, &end, &chain)) take(f, &chain);
    }
    return SW_OK;
}

sw_status sw_chains_find(const sw_plan *plan, sw_instance *instance, int threads, const sw_allocator *allocator) {
    if (plan->reference || plan->whole_maps || threads == 0) return SW_OK;
    finder f = {.plan = plan, .instance = instance, .threads = threads, .cache = cache_bytes()};
    f.uses = sw_calloc(allocator, 2 * plan->n_values + 1, sizeof *f.uses);
    f.shared = sw_calloc(allocator, plan->n_values + 1, sizeof *f.shared);
    sw_status status = SW_E_NOMEM;
    if (f.uses && f.shared) {
        f.makers = f.uses + plan->n_values;
        status = find(&f);
    }
    sw_free(allocator, f.shared);
    sw_free(allocator, f.uses);
    return status;
}

const sw_chain *sw_chain_of(const sw_instance *instance, size_t step) {
    for (int i = 0; i < instance->n_chains; i++)
        for (int k = 0; k < instance->chains[i].n; k++)
            if (instance->chains[i].steps[k] == step) return &instance->chains[i];
    return NULL;
}

/* ---- Runs ------------------------------------------------------------------------------------------------------------ */

/* Rows begin .. end of a layer as a convolution of its own. *first: the row of the input that it begins with. Planes keep
 * theirs, since rows of them do not follow each other. */
static sw_conv rows_of(const sw_conv *whole, int64_t begin, int64_t end, int64_t *first) {
    sw_conv c = *whole;
    *first = c.in_planar ? 0 : first_read(&c, begin);
    c.batch = 1;
    c.out_height = end - begin;
    c.pad_top = *first - (begin * c.stride_h - c.pad_top);
    if (!c.in_planar) c.height = end_read(whole, end) - *first;
    return c;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

void sw_chain_prepare(const sw_instance *instance, size_t step, int threads, sw_prepared *prepared) {
    const sw_chain *chain = sw_chain_of(instance, step);
    if (!chain) return;
    size_t most = 0;
    int layer = 0;
    while (chain->steps[layer] != step) layer++;
    sw_conv whole = upright(&prepared->conv);
    int64_t rows = layer + 1 < chain->n ? chain->capacity[layer] : chain->rows, height = whole.out_height;
    for (int64_t n = 1; n <= sw__min64(rows, height); n++) {
        int64_t first;
        sw_conv top = rows_of(&whole, 0, n, &first);
        sw_conv bottom = rows_of(&whole, height - n, height, &first);
        most = larger(most, prepared->tactic->scratch_bytes(&top, 1));
        most = larger(most, prepared->tactic->scratch_bytes(&bottom, 1));
    }
    prepared->scratch_bytes =
        (size_t)threads * (chain->bytes + (size_t)sw__ceil_div((int64_t)most, SW_ALIGN) * SW_ALIGN);
}

typedef struct job {
    const sw_chain *chain;
    const sw_chain_run *run;
    sw_conv uprights[SW_CHAIN_LAYERS];
    const sw_conv *convs[SW_CHAIN_LAYERS]; /* those */
    const sw_prepared *layers[SW_CHAIN_LAYERS];
    char *scratch;
    size_t thread_bytes;
} job;

/* Where a row of a map begins. */
static char *out_at(const sw_conv *c, char *map, int64_t picture, int64_t y) {
    if (c->out_planar)
        return map + (picture * c->out_channels * c->out_pitch + y * c->out_width) * sw__map_bytes(c->out_type);
    return map + (picture * c->out_height + y) * row_bytes(c);
}

/* Computes rows of a layer. `in` begins with row in_first of the input, `out` with the first of these rows. */
static void run_rows(const job *j, int layer, int64_t picture, const span *rows, const char *in, int64_t in_first,
                     char *out, void *scratch) {
    const sw_conv *whole = j->convs[layer];
    const char *residual = j->run->residual[layer];
    int64_t first;
    sw_conv c = rows_of(whole, rows->begin, rows->end, &first);
    in += (first - in_first) * whole->width * whole->in_pitch * sw__map_bytes(whole->in_type);
    if (residual)
        residual += (picture * whole->out_height + rows->begin) * whole->out_width * whole->residual_pitch *
                    sw__map_bytes(whole->out_type);
    j->layers[layer]->tactic->run(&c, j->layers[layer]->packed, in, residual, out, scratch, NULL);
}

/* Rows begin .. end of the last map, a few at a time. */
static void run_segment(const job *j, int64_t picture, int64_t begin, int64_t end, int thread) {
    const sw_chain *chain = j->chain;
    const int last = chain->n - 1;
    const sw_conv *top = j->convs[0], *bottom = j->convs[last];
    const char *map =
        (const char *)j->run->in + picture * top->height * top->width * top->in_pitch * sw__map_bytes(top->in_type);
    char *buffers = j->scratch + (size_t)thread * j->thread_bytes, *scratch = buffers + chain->bytes;
    span held[SW_CHAIN_LAYERS], rows[SW_CHAIN_LAYERS];
    memset(held, -1, sizeof held);
    for (int64_t y = begin; y < end; y += chain->rows) {
        next_rows(j->convs, chain->n, y, sw__min64(end, y + chain->rows), held, rows);
        const char *in = map;
        char *buffer = buffers;
        int64_t in_first = 0;
        for (int i = 0; i <= last; i++) {
            int64_t start = j->run->spent && thread == 0 ? sw_clock_ns() : 0, row = row_bytes(j->convs[i]);
            char *out = out_at(bottom, j->run->out, picture, y);
            if (i < last) {
                int64_t kept = drop(&held[i], &rows[i], j->convs[i + 1], &rows[i + 1]);
                if (kept > held[i].begin)
                    memmove(buffer, buffer + (kept - held[i].begin) * row, (size_t)((held[i].end - kept) * row));
                held[i] = (span){kept, rows[i].end};
                out = buffer + (rows[i].begin - kept) * row;
            }
            if (rows[i].end > rows[i].begin) run_rows(j, i, picture, &rows[i], in, in_first, out, scratch);
            if (start) j->run->spent[i] += sw_clock_ns() - start;
            in = buffer;
            in_first = held[i].begin;
            buffer += sw__ceil_div(chain->capacity[i] * row, SW_ALIGN) * SW_ALIGN;
        }
    }
}

static void run_items(void *ctx, int64_t begin, int64_t end, int thread) {
    const job *j = ctx;
    const sw_conv *last = j->convs[j->chain->n - 1];
    for (int64_t item = begin; item < end; item++) {
        int64_t picture = item / j->chain->segments, segment = item % j->chain->segments;
        run_segment(j, picture, sw_chain_begin(j->chain, last, segment), sw_chain_begin(j->chain, last, segment + 1),
                    thread);
    }
}

void sw_chain_execute(const sw_instance *instance, const sw_chain *chain, const sw_chain_run *run, void *scratch,
                      sw_pool *pool) {
    job j = {.chain = chain, .run = run, .scratch = scratch};
    size_t threads = (size_t)sw_pool_threads(pool);
    for (int i = 0; i < chain->n; i++) {
        j.layers[i] = &instance->prepared[chain->steps[i]];
        j.uprights[i] = upright(&j.layers[i]->conv);
        j.convs[i] = &j.uprights[i];
    }
    /* A thread's memory is the same in all chains: it would come from another one's cache else. */
    for (int i = 0; i < instance->n_chains; i++)
        for (int k = 0; k < instance->chains[i].n; k++)
            j.thread_bytes =
                larger(j.thread_bytes, instance->prepared[instance->chains[i].steps[k]].scratch_bytes / threads);
    sw_pool_for(pool, j.convs[chain->n - 1]->batch * chain->segments, 1, run_items, &j);
}
