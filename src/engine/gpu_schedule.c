/* Which stream a node runs on, and what it waits for. Long side branches (the heads of a detector) get streams of their own;
 * short ones stay in line, because an edge between streams costs more than a small kernel. */
#include <string.h>

#include "engine/gpu_program.h"

typedef struct scheduler {
    sw_gpu_program *p;
    const sw_plan *plan;
    uint64_t *writers;     /* by value: bits of the nodes that its memory comes from */
    uint64_t *needs;       /* by node: bits of the nodes that it reads from */
    int *height;           /* by node: nodes with launches on the longest way to the end */
    int *readers, *reader; /* by node: how many nodes need it, and the last of them */
    int tail[SW_GPU_MAX_STREAMS];
} scheduler;

enum { SHORTEST_BRANCH = 3 };

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

/* Nodes without launches pass on what they need. */
static void find_needs(scheduler *s) {
    sw_gpu_program *p = s->p;
    for (int i = 0; i < p->n_nodes; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        uint64_t *needs = row_of(s->needs, i, p->words);
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0) add_row(needs, row_of(s->writers, node->in[k], p->words), p->words);
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
        for (int k = 0; works && k < i; k++) {
            if (!bit(row_of(s->needs, i, p->words), k)) continue;
            if (s->height[i] > s->height[k]) s->height[k] = s->height[i];
            s->readers[k]++;
            if (s->reader[k] == 0) s->reader[k] = i;
        }
    }
}

/* Nodes in a row from `i` on of which each has one reader, which needs nothing else but what lies before `i`. */
static int branch_length(const scheduler *s, int i) {
    const sw_gpu_program *p = s->p;
    int length = 1, first = i;
    while (length < SHORTEST_BRANCH && s->readers[i] == 1) {
        int next = s->reader[i];
        for (int k = first + 1; k < next; k++)
            if (k != i && bit(row_of(s->needs, next, p->words), k)) return length;
        i = next;
        length++;
    }
    return length;
}

/* Whether another node that needs `k` and is not scheduled yet has a longer way to go than `i`. */
static bool is_side_branch(const scheduler *s, int k, int i) {
    const sw_gpu_program *p = s->p;
    for (int other = i + 1; other < p->n_nodes; other++)
        if (bit(row_of(s->needs, other, p->words), k) && s->height[other] > s->height[i]) return true;
    return false;
}

static int choose_stream(scheduler *s, int i) {
    sw_gpu_program *p = s->p;
    const uint64_t *needs = row_of(s->needs, i, p->words);
    int latest = -1;
    for (int k = i - 1; k >= 0; k--) {
        if (!bit(needs, k) || p->nodes[k].stream < 0) continue;
        if (latest < 0) latest = k;
        if (s->tail[p->nodes[k].stream] != k) continue;
        bool leaves =
            is_side_branch(s, k, i) && branch_length(s, i) >= SHORTEST_BRANCH && p->n_streams < SW_GPU_MAX_STREAMS;
        return leaves ? p->n_streams++ : p->nodes[k].stream;
    }
    if (latest < 0) return 0;
    if (branch_length(s, i) >= SHORTEST_BRANCH && p->n_streams < SW_GPU_MAX_STREAMS) return p->n_streams++;
    return p->nodes[latest].stream;
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
    scheduler s = {.p = p, .plan = gpu->plan};
    size_t n = (size_t)p->n_nodes;
    p->words = (p->n_nodes + 63) / 64;
    sw_arena *arena = p->instance->arena;
    s.writers = SW_ARENA_ARRAY(arena, uint64_t, gpu->plan->n_values * (size_t)p->words);
    s.needs = SW_ARENA_ARRAY(arena, uint64_t, n * (size_t)p->words);
    s.height = SW_ARENA_ARRAY(arena, int, n);
    s.readers = SW_ARENA_ARRAY(arena, int, n);
    s.reader = SW_ARENA_ARRAY(arena, int, n);
    p->before = SW_ARENA_ARRAY(arena, uint64_t, n * (size_t)p->words);
    p->waits = SW_ARENA_ARRAY(arena, int32_t, n * n);
    if (!s.writers || !s.needs || !s.height || !s.readers || !s.reader || !p->before || !p->waits) return SW_E_NOMEM;
    find_needs(&s);
    place_all(&s);
    return SW_OK;
}
