// A decoded picture to the float32 planes of a network, as kernels/letterbox/ref.c makes them, bit for bit. A thread makes one pixel.
#include "args.h"
#include "ptx.cuh"

enum { THREADS = 256 };

KERNEL(letterbox, sw_cuda_letterbox) {
    const sw_cuda_letterbox *p = ARGS;
    const sw_cuda_picture *q = p->picture;
    wait_for_predecessor();
    int i = block_id() * THREADS + thread_id(), y = i / p->width, x = i - y * p->width;
    if (y >= p->height) return;
    int row = y - (int)load4(&q->top), column = x - (int)load4(&q->left);
    bool inside = row >= 0 && row < (int)load4(&q->scaled_height) && column >= 0 && column < (int)load4(&q->scaled_width);
    vec4 across = {0, 0, 0, 0}, down = {0, 0, 0, 0};
    if (inside) across = load16(&p->picture->columns[column]), down = load16((const vec4 *)p->rows + row);
    bool halve = load4(&q->halve), swap = load4(&q->swap);
    const char *top = (const char *)p->pixels + (size_t)down.x * 3 * load4(&q->width),
               *bottom = (const char *)p->pixels + (size_t)down.y * 3 * load4(&q->width);
    UNROLL for (int c = 0; c < 3; c++) {
        int byte = load4(&q->pad), from = swap ? 2 - c : c, a = across.x + from, b = across.y + from;
        if (inside) {
            int tl = load_byte(top + a), tr = load_byte(top + b), bl = load_byte(bottom + a), br = load_byte(bottom + b);
            int above = tl * (int)across.z + tr * (int)across.w, below = bl * (int)across.z + br * (int)across.w;
            int sum = ((int)down.z * (above >> 4) >> 16) + ((int)down.w * (below >> 4) >> 16);
            byte = halve ? (tl + tr + bl + br + 2) >> 2 : (sum + 2) >> 2;
        }
        store_float((float *)p->out + (size_t)c * p->height * p->width + i, load_float_const((const float *)p->values + c * 256 + byte));
    }
}
