// From the table of a YOLO head to detections, as kernels/nms/ref.c makes them, bit for bit: KERNEL_CANDIDATES takes the anchors
// that score enough (a thread an anchor), KERNEL_RANK brings them in order (a thread a candidate), KERNEL_NMS, one block, keeps
// those that no better one overlaps.
#include "args.h"
#include "ptx.cuh"

#ifdef KERNEL_NMS
enum { THREADS = 1024 };
#else
enum { THREADS = 256 };
#endif

#ifdef KERNEL_CANDIDATES
KERNEL(candidates, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    launch_dependents();
    wait_for_predecessor();
    int a = block_id() * THREADS + thread_id(), best = 0;
    if (a >= p->anchors) return;
    const float *row = (const float *)p->table + (size_t)a * p->anchor_step;
    int first = p->objectness ? 5 : 4;
    float most = 0, sure = p->objectness ? load_float(row + (size_t)4 * p->value_step) : 1.f;
    for (int c = 0; c < p->classes; c++) {
        float score = product(load_float(row + (size_t)(first + c) * p->value_step), sure);
        if (score != score) return;
        if (c == 0 || score > most) most = score, best = c;
    }
    if (!(most > p->conf) || !(p->wanted[best >> 5] >> (best & 31) & 1)) return;
    int at = atomic_add((u32 *)p->count, 1);
    float x = load_float(row), y = load_float(row + p->value_step), w = load_float(row + (size_t)2 * p->value_step) * .5f,
          h = load_float(row + (size_t)3 * p->value_step) * .5f;
    vec4 box = {as_bits(x - w), as_bits(y - h), as_bits(x + w), as_bits(y + h)}, key = {as_bits(most), (u32)a, (u32)best, 0};
    store16((vec4 *)p->boxes + at, box);
    store16((vec4 *)p->keys + at, key);
}
#endif

#ifdef KERNEL_RANK
// Whether a comes before b: by falling score (scores are above 0: as their bits), then by anchor.
DEV bool precedes(vec4 a, vec4 b) {
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}

KERNEL(rank, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    launch_dependents();
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), n = load4(p->count), rank = 0;
    if (i >= n) return;
    vec4 key = load16((const vec4 *)p->keys + i), box = load16((const vec4 *)p->boxes + i);
    for (int k = 0; k < n; k++) rank += precedes(load16((const vec4 *)p->keys + k), key);
    float move = p->agnostic ? 0.f : product((float)(int)key.z, p->max_wh);
    vec4 moved = {as_bits(as_float(box.x) + move), as_bits(as_float(box.y) + move), as_bits(as_float(box.z) + move),
                  as_bits(as_float(box.w) + move)};
    store16((vec4 *)p->moved + rank, moved);
    store4((u32 *)p->order + rank, i);
}
#endif

#ifdef KERNEL_NMS
DEV float area_of(vec4 b) {
    return product(as_float(b.z) - as_float(b.x), as_float(b.w) - as_float(b.y));
}

DEV bool overlaps(vec4 a, vec4 b, float iou) {
    float width = minimum(as_float(a.z), as_float(b.z)) - maximum(as_float(a.x), as_float(b.x));
    float height = minimum(as_float(a.w), as_float(b.w)) - maximum(as_float(a.y), as_float(b.y));
    float inter = product(maximum(width, 0.f), maximum(height, 0.f));
    return inter / (area_of(a) + area_of(b) - inter) > iou;
}

// What stands at place `k` of a detection.
DEV float value_of(const sw_cuda_boxes *p, int candidate, int k) {
    if (k < 4) return load_float((const float *)p->boxes + candidate * 4 + k);
    vec4 key = load16((const vec4 *)p->keys + candidate);
    if (k < 6) return k == 4 ? as_float(key.x) : (float)(int)key.z;
    int first = (p->objectness ? 5 : 4) + p->classes;
    return load_float((const float *)p->table + (size_t)key.y * p->anchor_step + (size_t)(first + k - 6) * p->value_step);
}

// Also empties the list of candidates, for the next picture.
KERNEL(nms, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    launch_dependents();
    wait_for_predecessor();
    int n = load4(p->count), t = thread_id(), kept = 0, values = 6 + p->extra;
    u32 alive = shared_base();
    if (n > p->max_nms) n = p->max_nms;
    for (int i = t; i < n; i += THREADS) shared_store4(alive + i * 4, 1);
    barrier();
    if (t == 0) store4(p->count, 0);
    for (int i = 0; i < n && kept < p->max_det; i++) {
        if (!shared_load4(alive + i * 4)) continue;
        vec4 box = load16((const vec4 *)p->moved + i);
        if (t == 0) store4((u32 *)p->kept + kept, load4((const u32 *)p->order + i));
        kept++;
        for (int k = i + 1 + t; k < n; k += THREADS)
            if (overlaps(box, load16((const vec4 *)p->moved + k), p->iou)) shared_store4(alive + k * 4, 0);
        barrier();
    }
    barrier();
    for (int i = t; i < kept * values; i += THREADS) {
        int row = i / values;
        store_float((float *)p->rows + i, value_of(p, load4((const u32 *)p->kept + row), i - row * values));
    }
    if (t == 0) store4(p->n_rows, kept);
}
#endif
