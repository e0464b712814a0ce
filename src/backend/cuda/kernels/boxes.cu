// From the table of a YOLO head to detections, as kernels/nms/ref.c makes them, bit for bit: KERNEL_CANDIDATES takes the anchors
// that score enough (a thread an anchor), KERNEL_RANK brings them in order (a thread a candidate), KERNEL_NMS, one block, keeps
// those that no better one overlaps. *_ANY are these for anchors of several classes and for rotated boxes; of those, KERNEL_BEATEN
// tells which a better one overlaps (a thread a candidate), and KERNEL_KEEP, one block, keeps the others.
#include "args.h"
#include "ptx.cuh"

#if defined KERNEL_NMS || defined KERNEL_KEEP
enum { THREADS = 1024 };
#else
enum { THREADS = 256 };
#endif

#ifdef KERNEL_CANDIDATES
KERNEL(candidates, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
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

#ifdef KERNEL_CANDIDATES_ANY
DEV void add_candidate(const sw_cuda_boxes *p, const float *row, int anchor, int class_id, float score) {
    if (!(score > p->conf) || !(p->wanted[class_id >> 5] >> (class_id & 31) & 1)) return;
    int at = atomic_add((u32 *)p->count, 1);
    float x = load_float(row), y = load_float(row + p->value_step), w = load_float(row + (size_t)2 * p->value_step),
          h = load_float(row + (size_t)3 * p->value_step);
    vec4 centre = {as_bits(x), as_bits(y), as_bits(w), as_bits(h)};
    w *= .5f, h *= .5f;
    vec4 corners = {as_bits(x - w), as_bits(y - h), as_bits(x + w), as_bits(y + h)};
    vec4 key = {as_bits(score), (u32)anchor, (u32)class_id, 0};
    store16((vec4 *)p->boxes + at, p->rotated ? centre : corners);
    store16((vec4 *)p->keys + at, key);
}

KERNEL(candidates_any, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    wait_for_predecessor();
    int a = block_id() * THREADS + thread_id(), best = 0, first = p->objectness ? 5 : 4;
    if (a >= p->anchors) return;
    const float *row = (const float *)p->table + (size_t)a * p->anchor_step;
    float most = 0, sure = p->objectness ? load_float(row + (size_t)4 * p->value_step) : 1.f;
    for (int c = 0; c < p->classes; c++) {
        float score = product(load_float(row + (size_t)(first + c) * p->value_step), sure);
        if (score != score) return;
        if (c == 0 || score > most) most = score, best = c;
    }
    for (int c = p->multi ? 0 : best; c < (p->multi ? p->classes : best + 1); c++)
        add_candidate(p, row, a, c, product(load_float(row + (size_t)(first + c) * p->value_step), sure));
}
#endif

#ifdef KERNEL_RANK_ANY
// By falling score, then by anchor, then by class.
DEV bool precedes(vec4 a, vec4 b) {
    return a.x > b.x || (a.x == b.x && (a.y < b.y || (a.y == b.y && a.z < b.z)));
}

KERNEL(rank_any, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), n = load4(p->count), rank = 0;
    if (i >= n) return;
    vec4 key = load16((const vec4 *)p->keys + i), box = load16((const vec4 *)p->boxes + i);
    for (int k = 0; k < n; k++) rank += precedes(load16((const vec4 *)p->keys + k), key);
    float move = p->agnostic ? 0.f : product((float)(int)key.z, p->max_wh), x = as_float(box.x) + move,
          y = as_float(box.y) + move, w = as_float(box.z), h = as_float(box.w);
    vec4 moved = {as_bits(x), as_bits(y), as_bits(w + move), as_bits(h + move)};
    if (p->rotated) { // as a Gaussian: covariance [[a, c], [c, b]]
        int last = (p->objectness ? 5 : 4) + p->classes + p->extra - 1;
        float angle =
            load_float((const float *)p->table + (size_t)key.y * p->anchor_step + (size_t)last * p->value_step);
        float along = product(w, w) / 12, across = product(h, h) / 12, cosine = cosf(angle), sine = sinf(angle);
        moved.z = as_bits(product(product(along, cosine), cosine) + product(product(across, sine), sine));
        moved.w = as_bits(product(product(along, sine), sine) + product(product(across, cosine), cosine));
        vec4 spread = {as_bits(product(product(along - across, cosine), sine)), as_bits(maximum(along, across)), 0, 0};
        store16((vec4 *)p->spreads + rank, spread);
    }
    store16((vec4 *)p->moved + rank, moved);
    store4((u32 *)p->order + rank, i);
}
#endif

#ifdef KERNEL_BEATEN
// 1 minus the Hellinger distance of two Gaussians (ProbIoU, arXiv 2106.06072), as the CPU has it.
DEV float prob_iou(vec4 p, float pc, vec4 q, float qc) {
    const float tiny = 1e-7f;
    float pa = as_float(p.z), pb = as_float(p.w), qa = as_float(q.z), qb = as_float(q.w);
    float a = pa + qa, b = pb + qb, c = pc + qc, dx = as_float(q.x) - as_float(p.x), dy = as_float(p.y) - as_float(q.y);
    float det = product(a, b) - product(c, c);
    float shift = (product(product(a, dy), dy) + product(product(b, dx), dx)) / (det + tiny) * .25f;
    shift += product(product(product(c, dx), dy) / (det + tiny), .5f);
    float own =
        product(maximum(product(pa, pb) - product(pc, pc), 0.f), maximum(product(qa, qb) - product(qc, qc), 0.f));
    float shape = product(logf(det / (product(4.f, sqrtf(own)) + tiny) + tiny), .5f);
    float distance = minimum(maximum(shift + shape, tiny), 100.f);
    return 1.f - sqrtf(1.f - expf(-distance) + tiny);
}

KERNEL(beaten, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), n = load4(p->count);
    if (i >= n || i >= p->max_nms) return;
    vec4 box = load16((const vec4 *)p->moved + i), spread = load16((const vec4 *)p->spreads + i);
    bool beaten = false;
    for (int k = 0; k < i && !beaten; k++) {
        vec4 other = load16((const vec4 *)p->moved + k), wide = load16((const vec4 *)p->spreads + k);
        float dx = as_float(other.x) - as_float(box.x), dy = as_float(other.y) - as_float(box.y);
        if (product(dx, dx) + product(dy, dy) > product(p->far, as_float(wide.y) + as_float(spread.y))) continue;
        beaten = prob_iou(other, as_float(wide.x), box, as_float(spread.x)) > p->iou;
    }
    store4((u32 *)p->beaten + i, beaten);
}
#endif

#if defined KERNEL_NMS || defined KERNEL_KEEP
// What stands at place `k` of a detection.
DEV float value_of(const sw_cuda_boxes *p, int candidate, int k) {
    if (k < 4) return load_float((const float *)p->boxes + candidate * 4 + k);
    vec4 key = load16((const vec4 *)p->keys + candidate);
    if (k < 6) return k == 4 ? as_float(key.x) : (float)(int)key.z;
    int first = (p->objectness ? 5 : 4) + p->classes;
    return load_float((const float *)p->table + (size_t)key.y * p->anchor_step + (size_t)(first + k - 6) * p->value_step);
}

DEV void write_rows(const sw_cuda_boxes *p, int kept) {
    int values = 6 + p->extra;
    for (int i = thread_id(); i < kept * values; i += THREADS) {
        int row = i / values;
        store_float((float *)p->rows + i, value_of(p, load4((const u32 *)p->kept + row), i - row * values));
    }
    if (thread_id() == 0) store4(p->n_rows, kept);
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

// Also empties the list of candidates, for the next picture.
KERNEL(nms, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    wait_for_predecessor();
    int n = load4(p->count), t = thread_id(), kept = 0;
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
    write_rows(p, kept);
}
#endif

#ifdef KERNEL_KEEP
// The first max_det that nobody beats, THREADS candidates at a time. Also empties the list.
KERNEL(keep, sw_cuda_boxes) {
    const sw_cuda_boxes *p = ARGS;
    wait_for_predecessor();
    int n = load4(p->count), t = thread_id(), kept = 0;
    u32 flags = shared_base();
    if (n > p->max_nms) n = p->max_nms;
    barrier();
    if (t == 0) store4(p->count, 0);
    for (int first = 0; first < n && kept < p->max_det; first += THREADS) {
        int here = n - first < THREADS ? n - first : THREADS, before = kept;
        bool alive = t < here && !load4((const u32 *)p->beaten + first + t);
        shared_store4(flags + t * 4, alive);
        barrier();
        for (int k = 0; k < here; k++) {
            bool one = shared_load4(flags + k * 4);
            before += one && k < t, kept += one;
        }
        if (alive && before < p->max_det) store4((u32 *)p->kept + before, load4((const u32 *)p->order + first + t));
        barrier();
    }
    write_rows(p, kept < p->max_det ? kept : p->max_det);
}
#endif
