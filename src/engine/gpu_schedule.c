/* Which stream a node runs on, and what it waits for. Of all that need a node, that with the longest way to go goes on with its
 * stream; the others get streams of their own. */
#include <string.h>

#include "engine/gpu_program.h"

typedef struct scheduler {
    const sw_gpu *gpu;
    sw_gpu_program *p;
    uint64_t *writers; /* by value: bits of the nodes that its memory comes from */
    uint64_t *needs;   /* by node: bits of the nodes that it reads from */
    int *height;       /* by node: nodes with launches on the longest way to the end */
    int tail[SW_GPU_MAX_STREAMS];
} scheduler;

static bool bit(const uint64_t *row, int i) {
    return row[i / 64] >> (i % 64) & 1;
}
static void set_bit(uint64_t *row, int i) {
    row[i / 64] |= (uint64_t)1 << (i % 64);
}
static void add_row(uint64_t *row, const uint64_t *other, int words) {
    for (int i = 0; i < words; i++) row[i] |= other[i];
}
static uint64_t *row_of(uint64_t *rows, int i, int words) {
    return rows + (size_t)i * words;
}

/* Whether input k of a join lies where it belongs already: no launch of the join reads it. */
static bool is_in_place(const scheduler *s, const sw_gpu_node *node, int k) {
    if (node->kind != SW_GPU_STEP || s->gpu->plan->steps[node->step].op != SW_OP_Concat) return false;
    sw_tensor part = sw__gpu_tensor(s->gpu, s->p, node->in[k]), whole = sw__gpu_tensor(s->gpu, s->p, node->out[0]);
    int64_t first = 0;
    for (int i = 0; i < k; i++) first += s->p->instance->values[node->in[i]].dims[1];
    return whole.layout == SW_CHANNELS_LAST && part.data &&
           part.data == (char *)whole.data + first * sw_cuda_cell_bytes(s->gpu->cuda->info.cell);
}

/* Nodes without launches pass on what they need, joins what they do not read. */
static void find_needs(scheduler *s) {
    sw_gpu_program *p = s->p;
    for (int i = 0; i < p->n_nodes; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        uint64_t *needs = row_of(s->needs, i, p->words);
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0)
                add_row(is_in_place(s, node, k) ? row_of(s->writers, node->out[0], p->words) : needs,
                        row_of(s->writers, node->in[k], p->words), p->words);
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] < 0) continue;
            uint64_t *writers = row_of(s->writers, node->out[k], p->words);
            bool works = node->n_launches > 0 || node->kind == SW_GPU_CPU;
            if (works)
                set_bit(writers, i);
            else
                add_row(writers, needs, p->words);
        }
    }
    for (int i = p->n_nodes - 1; i >= 0; i--) {
        bool works = p->nodes[i].n_launches > 0 || p->nodes[i].kind == SW_GPU_CPU;
        s->height[i] += works;
        for (int k = 0; works && k < i; k++)
            if (bit(row_of(s->needs, i, p->words), k) && s->height[i] > s->height[k]) s->height[k] = s->height[i];
    }
}

/* Whether a node behind `i` that needs `k` has more than `height` nodes to go. */
static bool is_needed_after(const scheduler *s, int k, int i, int height) {
    const sw_gpu_program *p = s->p;
    for (int other = i + 1; other < p->n_nodes; other++)
        if (bit(row_of(s->needs, other, p->words), k) && s->height[other] > height) return true;
    return false;
}

/* A stream on which node i waits for nothing more than it does anyway, and that nobody will go on with; -1: none. */
static int free_stream(scheduler *s, int i) {
    sw_gpu_program *p = s->p;
    const uint64_t *needs = row_of(s->needs, i, p->words);
    for (int stream = 0; stream < p->n_streams; stream++) {
        int tail = s->tail[stream];
        if (tail < 0 || is_needed_after(s, tail, i, -1)) continue;
        for (int k = tail; k < i; k++)
            if (bit(needs, k) && (k == tail || sw__gpu_is_before(p, tail, k))) return stream;
    }
    return p->n_streams < SW_GPU_MAX_STREAMS ? p->n_streams++ : -1;
}

static int choose_stream(scheduler *s, int i) {
    sw_gpu_program *p = s->p;
    const uint64_t *needs = row_of(s->needs, i, p->words);
    int latest = -1;
    for (int k = i - 1; k >= 0; k--) {
        if (!bit(needs, k) || p->nodes[k].stream < 0) continue;
        if (latest < 0) latest = k;
        bool is_side_branch = is_needed_after(s, k, i, s->height[i]);
        if (s->tail[p->nodes[k].stream] == k && !is_side_branch) return p->nodes[k].stream;
    }
    int stream = latest < 0 ? 0 : free_stream(s, i);
    return stream < 0 ? p->nodes[latest].stream : stream;
}

static void place(scheduler *s, int i) {
    sw_gpu_program *p = s->p;
    sw_gpu_node *node = &p->nodes[i];
    uint64_t *before = row_of(p->before, i, p->words);
    const uint64_t *needs = row_of(s->needs, i, p->words);
    node->stream = choose_stream(s, i);
    int tail = s->tail[node->stream], n = 0;
    if (tail >= 0) {
        set_bit(before, tail);
        add_row(before, row_of(p->before, tail, p->words), p->words);
    }
    for (int k = i - 1; k >= 0; k--) {
        if (!bit(needs, k) || bit(before, k)) continue;
        p->waits[(size_t)i * p->n_nodes + n++] = k;
        set_bit(before, k);
        add_row(before, row_of(p->before, k, p->words), p->words);
    }
    node->waits = n > 0;
    s->tail[node->stream] = i;
}

/* A node on the CPU comes after all before it, and before all after it. */
static void place_barrier(scheduler *s, int i) {
    sw_gpu_program *p = s->p;
    uint64_t *before = row_of(p->before, i, p->words);
    for (int k = 0; k < i; k++) set_bit(before, k);
    for (int k = 0; k < SW_GPU_MAX_STREAMS; k++) s->tail[k] = -1;
    p->n_streams = 1;
}

static void place_all(scheduler *s) {
    sw_gpu_program *p = s->p;
    int barrier = -1, most = 1;
    for (int i = 0; i < SW_GPU_MAX_STREAMS; i++) s->tail[i] = -1;
    p->n_streams = 1;
    for (int i = 0; i < p->n_nodes; i++) {
        for (int k = 0; k < p->n_nodes; k++) p->waits[(size_t)i * p->n_nodes + k] = -1;
        uint64_t *before = row_of(p->before, i, p->words);
        for (int k = 0; k <= barrier; k++) set_bit(before, k);
        if (p->nodes[i].kind == SW_GPU_CPU) {
            place_barrier(s, i);
            barrier = i;
        } else if (p->nodes[i].n_launches > 0) {
            place(s, i);
        }
        if (p->n_streams > most) most = p->n_streams;
    }
    p->n_streams = most;
}

sw_status sw__gpu_schedule(sw_gpu *gpu, sw_gpu_program *p) {
    scheduler s = {.gpu = gpu, .p = p};
    size_t n = (size_t)p->n_nodes;
    p->words = (p->n_nodes + 63) / 64;
    sw_arena *arena = p->instance->arena;
    s.writers = SW_ARENA_ARRAY(arena, uint64_t, gpu->plan->n_values * (size_t)p->words);
    s.needs = SW_ARENA_ARRAY(arena, uint64_t, n * (size_t)p->words);
    s.height = SW_ARENA_ARRAY(arena, int, n);
    p->before = SW_ARENA_ARRAY(arena, uint64_t, n * (size_t)p->words);
    p->waits = SW_ARENA_ARRAY(arena, int32_t, n * n);
    if (!s.writers || !s.needs || !s.height || !p->before || !p->waits) return SW_E_NOMEM;
    find_needs(&s);
    place_all(&s);
    return SW_OK;
}
