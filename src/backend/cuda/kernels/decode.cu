// The head of YOLO 8 and 11 in one kernel: a block takes 32 anchors of one level. Box bins and class logits go through shared
// memory, because maps have channels innermost and the output has anchors innermost.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 128,
    ANCHORS = CUDA_DECODE_ANCHORS,
    BINS = 16,
    BOX_CHUNKS = 4 * BINS / CHUNK,
    BOX_ROW = BOX_CHUNKS * 4 + 1, // words of a row of bins
    AT_ONCE = 5,  // loads of a thread that are under way: all, for 96 classes
};

// Where chunk i of channels is: the boxes of the block's anchors, then their scores; and in shared memory, where rows have an
// odd number of words, so that a column meets all banks.
typedef struct source {
    const cell *boxes, *scores;
    int box_pitch, score_pitch, chunks, box_items, items;
} source;

DEV const cell *chunk_of(const source *s, int i, u32 *to) {
    bool box = i < s->box_items;
    int k = box ? i : i - s->box_items, chunks = box ? BOX_CHUNKS : s->chunks, a = k / chunks, c = k - a * chunks;
    *to += (box ? a * BOX_ROW : ANCHORS * (BOX_ROW + 5) + a * (s->chunks * 4 + 1)) * 4 + c * 16;
    return box ? s->boxes + (size_t)a * s->box_pitch + c * CHUNK
               : s->scores + (size_t)a * s->score_pitch + c * CHUNK;
}

DEV void fetch(const source *s, u32 shared) {
    for (int first = thread_id(); first < s->items; first += THREADS * AT_ONCE) {
        vec4 v[AT_ONCE];
        u32 to[AT_ONCE];
        UNROLL for (int u = 0; u < AT_ONCE; u++) {
            int i = first + u * THREADS;
            to[u] = shared;
            if (i < s->items) v[u] = load16(chunk_of(s, i, &to[u]));
        }
        UNROLL for (int u = 0; u < AT_ONCE; u++) {
            if (first + u * THREADS >= s->items) break;
            shared_store4(to[u], v[u].x), shared_store4(to[u] + 4, v[u].y);
            shared_store4(to[u] + 8, v[u].z), shared_store4(to[u] + 12, v[u].w);
        }
    }
}

// The i-th of a row of cells in shared memory.
DEV float cell_at(u32 row, int i) {
#ifdef FLOATS
    return as_float(shared_load4(row + i * 4));
#else
    u32 w = shared_load4(row + i / 2 * 4);
    return i & 1 ? unpack_high(w) : unpack_low(w);
#endif
}

DEV float distance(u32 bins) {
    float v[BINS], most = LOWEST, sum = 0, weighted = 0;
    UNROLL for (int i = 0; i < BINS; i++) {
        v[i] = cell_at(bins, i);
        most = maximum(most, v[i]);
    }
    UNROLL for (int i = 0; i < BINS; i++) {
        float e = exp2_fast((v[i] - most) * 1.44269504f);
        sum += e, weighted += e * i;
    }
    return weighted * reciprocal(sum);
}

KERNEL(decode, sw_cuda_decode) {
    const sw_cuda_decode *p = ARGS;
    int level = 0, lane = thread_id() & 31, warp = thread_id() >> 5, n = block_row();
    while (level + 1 < p->levels && block_id() >= p->first_block[level + 1]) level++;
    int in_level = (block_id() - p->first_block[level]) * ANCHORS, size = p->first[level + 1] - p->first[level];
    int count = size - in_level < ANCHORS ? size - in_level : ANCHORS, anchor = p->first[level] + in_level + lane;
    size_t pixel = (size_t)n * size + in_level;
    int chunks = (p->classes + CHUNK - 1) / CHUNK, words = chunks * 4 + 1;
    u32 boxes = shared_base(), sides = boxes + ANCHORS * BOX_ROW * 4, scores = sides + ANCHORS * 5 * 4;
    const source from = {(const cell *)p->boxes[level] + pixel * p->box_pitch[level],
                         (const cell *)p->scores[level] + pixel * p->score_pitch[level],
                         p->box_pitch[level],
                         p->score_pitch[level],
                         chunks,
                         count * BOX_CHUNKS,
                         count * (BOX_CHUNKS + chunks)};
    int axis = warp & 1; // warps 0 and 1 write the centre, 2 and 3 the size
    float low = 0, high = 0, stride = 0;
    if (lane < count) { // of the plan: no kernel writes them
        low = load_float_const((const float *)p->minus + axis * p->anchors + anchor);
        high = load_float_const((const float *)p->plus + axis * p->anchors + anchor);
        stride = load_float_const((const float *)p->stride + anchor);
    }
    wait_for_predecessor();
    fetch(&from, boxes);
    barrier();
    if (lane < count)
        shared_store4(sides + (lane * 5 + warp) * 4,
                      as_bits(distance(boxes + (lane * BOX_ROW + warp * (BOX_ROW / 4)) * 4)));
    barrier();
    if (lane >= count) return;
    float *out = (float *)p->out + (size_t)n * (4 + p->classes) * p->anchors + anchor;
    low -= as_float(shared_load4(sides + (lane * 5 + axis) * 4));
    high += as_float(shared_load4(sides + (lane * 5 + axis + 2) * 4));
    float box = warp < 2 ? (low + high) * .5f : high - low;
    store_float(out + (size_t)warp * p->anchors, box * stride);
    for (int c = warp; c < p->classes; c += THREADS / 32) {
        store_float(out + (size_t)(4 + c) * p->anchors, sigmoid(cell_at(scores + lane * words * 4, c)));
    }
}
