// The head of YOLO 8 and 11 in one kernel: a block takes 32 anchors of one level. Box bins and class logits go through shared
// memory, because maps have channels innermost and the output has anchors innermost.
#include "args.h"
#include "ptx.cuh"

enum {
    THREADS = 128,
    ANCHORS = CUDA_DECODE_ANCHORS,
    BINS = 16,
    BOX_CHUNKS = 8,
    BOX_ROW = 33
}; // words of a row of bins

// Halves of `chunks` * 8 channels of the block's anchors, rows of `words` words (odd, so that a column meets all banks).
DEV void fetch(u32 shared, int words, const f16 *map, int pitch, int chunks, int count) {
    for (int i = thread_id(); i < count * chunks; i += THREADS) {
        int a = i / chunks, c = i - a * chunks;
        vec4 v = load16(map + (size_t)a * pitch + c * 8);
        u32 at = shared + (a * words + c * 4) * 4;
        shared_store4(at, v.x), shared_store4(at + 4, v.y), shared_store4(at + 8, v.z), shared_store4(at + 12, v.w);
    }
}

DEV float distance(u32 bins) {
    float v[BINS], most = LOWEST, sum = 0, weighted = 0;
    UNROLL for (int i = 0; i < BINS / 2; i++) {
        u32 w = shared_load4(bins + i * 4);
        v[2 * i] = unpack_low(w), v[2 * i + 1] = unpack_high(w);
        most = maximum(most, maximum(v[2 * i], v[2 * i + 1]));
    }
    UNROLL for (int i = 0; i < BINS; i++) {
        float e = exp2_fast((v[i] - most) * 1.44269504f);
        sum += e, weighted += e * i;
    }
    return weighted * reciprocal(sum);
}

KERNEL(decode, sw_cuda_decode) {
    const sw_cuda_decode *p = ARGS;
    wait_for_predecessor();
    int level = 0, lane = thread_id() & 31, warp = thread_id() >> 5, n = block_row();
    while (level + 1 < p->levels && block_id() >= p->first_block[level + 1]) level++;
    int in_level = (block_id() - p->first_block[level]) * ANCHORS, size = p->first[level + 1] - p->first[level];
    int count = size - in_level < ANCHORS ? size - in_level : ANCHORS, anchor = p->first[level] + in_level + lane;
    size_t pixel = (size_t)n * size + in_level;
    int chunks = (p->classes + 7) / 8, words = chunks * 4 + 1;
    u32 boxes = shared_base(), sides = boxes + ANCHORS * BOX_ROW * 4, scores = sides + ANCHORS * 5 * 4;
    fetch(boxes, BOX_ROW, (const f16 *)p->boxes[level] + pixel * p->box_pitch[level], p->box_pitch[level], BOX_CHUNKS,
          count);
    fetch(scores, words, (const f16 *)p->scores[level] + pixel * p->score_pitch[level], p->score_pitch[level], chunks,
          count);
    barrier();
    if (lane < count)
        shared_store4(sides + (lane * 5 + warp) * 4, as_bits(distance(boxes + (lane * BOX_ROW + warp * 8) * 4)));
    barrier();
    if (lane >= count) return;
    float *out = (float *)p->out + (size_t)n * (4 + p->classes) * p->anchors + anchor;
    int axis = warp & 1; // warps 0 and 1 write the centre, 2 and 3 the size
    float low = load_float((const float *)p->minus + axis * p->anchors + anchor) -
                as_float(shared_load4(sides + (lane * 5 + axis) * 4));
    float high = load_float((const float *)p->plus + axis * p->anchors + anchor) +
                 as_float(shared_load4(sides + (lane * 5 + axis + 2) * 4));
    float box = warp < 2 ? (low + high) * .5f : high - low;
    store_float(out + (size_t)warp * p->anchors, box * load_float((const float *)p->stride + anchor));
    for (int c = warp; c < p->classes; c += THREADS / 32) {
        u32 w = shared_load4(scores + (lane * words + c / 2) * 4);
        store_float(out + (size_t)(4 + c) * p->anchors, sigmoid(c & 1 ? unpack_high(w) : unpack_low(w)));
    }
}
