// Convolution with wgmma whose operands stay in shared memory: the weights of BN output channels as long as the block lives, and
// for each tile of BM output pixels the patch of the map under it, loaded once for all KS x KS taps. A block has TEAMS of threads
// that share the weights and nothing else, so that one computes while others load and store; each takes every `step`-th tile. The
// patch of its next one is under way meanwhile; with BUFFERS 1 from when the products are done.
//
// A tile is BM / 8 rows of 8 pixels; with KS 1 it is BM pixels in a row. A pixel of a patch is `row` chunks of 16
// bytes (more than 8: several patches, `plane` chunks apart), in the swizzle of wgmma for rows of 32, 64 or 128 bytes. That swizzle is one
// of addresses, so that a product may begin at any pixel: under every tap the 8 pixels of a row of the tile are 8 rows in a row.
// With STRIDE 2 the even columns of a patch row come before the odd ones. With PAIRS the map has 8 channels, and two taps make the
// depth of 16 of a product.
#include "args.h"
#include "ptx.cuh"
#include "wgmma.cuh"

#include "patch.cuh"

DEV void load_patch(const sw_cuda_conv *p, u32 shared, int tile) {
    place at = place_of(p, tile);
    int top = at.y * STRIDE - p->pad_top, left = at.x * STRIDE - p->pad_left, corner = at.n * p->height * p->width;
    int member = member_id(), pixel = fast_div(member, p->by_chunks), c = member - pixel * p->chunks;
    int pixels = fast_div(TEAM, p->by_chunks), rest = TEAM - pixels * p->chunks;
    while (pixel < PATCH) {
        bool good = c * CHUNK < p->in_channels;
        int from = tile * BM + pixel, slot = pixel;
        if (KS == 1) {
            good = good && from < p->pixels;
        } else {
            int row = pixel / PATCH_W, column = pixel - row * PATCH_W, y = top + row, x = left + column;
            good = good && y >= 0 && y < p->height && x >= 0 && x < p->width;
            from = corner + y * p->width + x;
            slot = slot_of(row, column);
        }
        int to = (c >> 3) * p->plane + slot * p->row + ((c & 7) ^ swizzle(slot, p->row));
        copy16(shared + to * 16, (const cell *)p->in + (good ? from * p->in_pitch + c * CHUNK : 0), good);
        pixel += pixels, c += rest;
        if (c >= p->chunks) c -= p->chunks, pixel++;
    }
}

KERNEL(conv, sw_cuda_conv) {
    const sw_cuda_conv *p = ARGS;
    int block = fast_div(block_id(), p->by_column_tiles), n0 = (block_id() - block * p->column_tiles) * BN;
    int team = uniform(thread_id() / TEAM), tile = block + team * (p->step / TEAMS);
    u32 weights = shared_base(), bytes = (p->chunks + 7) / 8 * p->plane * 16;
    u32 patch = weights + (p->depth + 7) / 8 * BN * 128 + team * BUFFERS * bytes, other = patch + (BUFFERS - 1) * bytes;
    load_weights(p, weights, n0);
    wait_for_predecessor();
    if (tile < p->tiles) load_patch(p, patch, tile);
    copy_commit();
    if (TEAMS > 1) {
        copy_wait(0);
        async_proxy_fence();
        barrier(); // the weights of all
    }
    for (; tile < p->tiles; tile += p->step) {
        float acc[NT * 4];
        int pixel[2], channel = n0 + (thread_id() & 3) * GROUP;
        start_sums(p, acc, channel, true);
        copy_wait(0); // and nothing else is under way: the fence would wait for it
        async_proxy_fence();
        team_barrier(team);
        start_products(p, acc, weights, patch);
        if (BUFFERS > 1 && tile + p->step < p->tiles) load_patch(p, other, tile + p->step);
        find_pixels(p, tile, pixel);
        u32 more[MORE];
        load_residual(p, more, pixel, channel);
        warpgroup_wait(0);
        if (BUFFERS == 1 && tile + p->step < p->tiles) {
            team_barrier(team); // all have read the patch
            load_patch(p, patch, tile + p->step);
        }
        copy_commit();
        finish(p, acc, pixel, channel, more);
        u32 next = other;
        other = patch, patch = next;
    }
    copy_wait(0);
}
