/* Convolutions that libraries run: tiles behind those of kernels. */
#include <stdio.h>
#include <string.h>

#include "engine/gpu_program.h"

static sw_gpu_tactic *tactic_of(const sw_gpu *gpu, sw_cuda_kernel tile) {
    return gpu->tactics[tile - SW_CUDA_KERNELS];
}

const char *sw__gpu_tile_name(const sw_gpu *gpu, sw_cuda_kernel tile) {
    return sw__gpu_is_library(tile) ? tactic_of(gpu, tile)->name : sw_cuda_kernel_get(tile)->name;
}

sw_cuda_kernel sw__gpu_kernel_for(const sw_gpu *gpu, sw_cuda_kernel tile) {
    return sw__gpu_is_library(tile) ? sw_cuda_conv_choose(&tactic_of(gpu, tile)->conv, &gpu->cuda->info) : tile;
}

/* What is compiled into a tactic is more than what a tile is chosen by. */
static bool is_for(const sw_gpu_tactic *t, const sw_conv *conv, const char *name) {
    return sw__gpu_same_conv(&t->conv, conv) && t->conv.act_a == conv->act_a && t->conv.act_b == conv->act_b &&
           t->conv.residual_before_act == conv->residual_before_act && !strcmp(t->name, name);
}

/* The number of a tactic, which is listed when it is new. */
static sw_status list(sw_gpu *gpu, const sw_conv *conv, const char *name, sw_cuda_kernel *tile) {
    for (size_t i = 0; i < gpu->n_tactics; i++)
        if (is_for(gpu->tactics[i], conv, name)) {
            *tile = (sw_cuda_kernel)(SW_CUDA_KERNELS + i);
            return SW_OK;
        }
    SW_TRY(sw_grow(gpu->allocator, (void **)&gpu->tactics, &gpu->cap_tactics, gpu->n_tactics + 1,
                   sizeof *gpu->tactics, SIZE_MAX));
    sw_gpu_tactic *t = sw_calloc(gpu->allocator, 1, sizeof *t);
    if (!t) return SW_E_NOMEM;
    t->conv = *conv;
    snprintf(t->name, sizeof t->name, "%s", name);
    *tile = (sw_cuda_kernel)(SW_CUDA_KERNELS + gpu->n_tactics);
    gpu->tactics[gpu->n_tactics++] = t;
    return SW_OK;
}

sw_status sw__gpu_library_tiles(sw_gpu *gpu, const sw_conv *conv, sw_cuda_kernel *tiles, int *n) {
    char names[SW_GPU_MOST_TACTICS][SW_CUDA_TACTIC_NAME];
    *n = sw_cuda_tactics_find(gpu->cuda, conv, names);
    for (int i = 0; i < *n; i++) SW_TRY(list(gpu, conv, names[i], &tiles[i]));
    return SW_OK;
}

sw_status sw__gpu_make_tactic(sw_gpu *gpu, sw_cuda_kernel tile, const sw_diag *diag) {
    sw_gpu_tactic *t = tactic_of(gpu, tile);
    if (t->made) return SW_OK;
    if (t->refused) return SW_E_UNSUPPORTED; /* told before */
    sw_status status = sw_cuda_tactic_make(gpu->cuda, &t->conv, t->name, diag, &t->made);
    t->refused = status != SW_OK;
    return status;
}

bool sw__gpu_has_tactic(sw_gpu *gpu, const sw_conv *conv, sw_cuda_kernel *tile) {
    return list(gpu, conv, tactic_of(gpu, *tile)->name, tile) == SW_OK &&
           sw__gpu_make_tactic(gpu, *tile, NULL) == SW_OK;
}

/* A library may propose one thing twice. */
static bool is_repeated(const sw_cuda_kernel *tiles, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (tiles[k] == tiles[i]) return true;
    return false;
}

sw_status sw__gpu_make_tactics(sw_gpu *gpu, const sw_cuda_kernel *tiles, size_t n, int64_t deadline) {
    sw_cuda_wanted *wanted = sw_calloc(gpu->allocator, n + 1, sizeof *wanted);
    if (!wanted) return SW_E_NOMEM;
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        const sw_gpu_tactic *t = tactic_of(gpu, tiles[i]);
        if (!t->made && !t->refused && !is_repeated(tiles, i))
            wanted[count++] = (sw_cuda_wanted){&t->conv, t->name, NULL};
    }
    sw_cuda_tactics_make(gpu->cuda, wanted, count, deadline);
    count = 0;
    for (size_t i = 0; i < n; i++) {
        sw_gpu_tactic *t = tactic_of(gpu, tiles[i]);
        if (!t->made && !t->refused && !is_repeated(tiles, i)) t->made = wanted[count++].made;
    }
    sw_free(gpu->allocator, wanted);
    return SW_OK;
}

sw_status sw__gpu_make_planned_tactics(sw_gpu *gpu, sw_gpu_program *p) {
    sw_cuda_kernel *tiles = sw_calloc(gpu->allocator, (size_t)p->n_nodes * 2 + 1, sizeof *tiles);
    sw_status status = tiles ? SW_OK : SW_E_NOMEM;
    size_t n = 0;
    for (int i = 0; i < p->n_nodes && gpu->plan->n_gpu_tiles && status == SW_OK; i++) {
        const sw_gpu_node *node = &p->nodes[i];
        bool pair = node->kind == SW_GPU_PAIR;
        if (!pair && node->kind != SW_GPU_CONV && node->kind != SW_GPU_PRODUCT) continue;
        for (int k = 0; k <= pair && status == SW_OK; k++) {
            sw_gpu_node one = pair ? sw__gpu_conv_node(gpu, k ? node->step : node->first) : *node;
            sw_conv conv;
            char key[SW_CPU_KEY];
            status = sw__gpu_conv(gpu, p, &one, &conv);
            if (status != SW_OK) break;
            sw_cpu_conv_key(&conv, key, sizeof key);
            const char *name = sw_plan_gpu_tile(gpu->plan, key);
            if (!name || !sw_cuda_tactic_is(name) || strlen(name) >= SW_CUDA_TACTIC_NAME) continue;
            status = list(gpu, &conv, name, &tiles[n]);
            bool new = true;
            for (size_t j = 0; j < n; j++) new &= tiles[j] != tiles[n];
            n += new;
        }
    }
    if (status == SW_OK && n) status = sw__gpu_make_tactics(gpu, tiles, n, INT64_MAX);
    sw_free(gpu->allocator, tiles);
    return status;
}

static void keep_text(void *ctx, const sw_message *message) {
    snprintf(ctx, SW_CUDA_TACTIC_NAME, "%s", message->text);
}

sw_status sw__gpu_library_tile(sw_gpu *gpu, const sw_conv *conv, const char *name, const sw_diag *diag,
                               sw_cuda_kernel *tile) {
    char why[SW_CUDA_TACTIC_NAME] = "";
    sw_cuda_kernel found;
    if (strlen(name) >= SW_CUDA_TACTIC_NAME) return SW_OK; /* no tactic of ours */
    SW_TRY(list(gpu, conv, name, &found));
    sw_status status = sw__gpu_make_tactic(gpu, found, &(sw_diag){keep_text, why});
    if (status == SW_E_NOMEM) return status;
    if (status == SW_OK)
        *tile = found;
    else if (!gpu->told)
        sw_warn(diag, NULL, "kernels by estimate take the place of a library that the plan was tuned with: %s", why);
    gpu->told |= status != SW_OK;
    return SW_OK;
}

void sw__gpu_launch_conv(const sw_gpu *gpu, const sw_conv *conv, sw_cuda_form form, sw_cuda_kernel tile,
                         const void *in, const void *packed, const void *residual, void *out, sw_cuda_launch *l) {
    const sw_cuda_info *info = &gpu->cuda->info;
    bool library = sw__gpu_is_library(tile);
    sw_cuda_launch_conv(conv, form, library ? sw_cuda_conv_choose(conv, info) : tile, info, in, packed, residual, out, l);
    if (!library) return;
    *l = (sw_cuda_launch){.kernel = tile, .args.library = {l->args.conv, tactic_of(gpu, tile)->made, NULL}};
}

sw_status sw__gpu_load(sw_gpu *gpu, const sw_cuda_launch *l, const sw_diag *diag) {
    return sw__gpu_is_library(l->kernel) ? SW_OK : sw_cuda_load(gpu->cuda, l->kernel, l->shared_bytes, diag);
}

/* ---- Workspace ----------------------------------------------------------------------------------------------------- */

/* Graphs that were captured before go on using the one that is too small, in contests of tuning: it stays. */
static sw_status grow(sw_gpu *gpu, sw_gpu_program *p, int stream, int64_t bytes, const sw_diag *diag) {
    if (bytes <= p->workspace_bytes[stream]) return SW_OK;
    SW_TRY(sw_grow(gpu->allocator, (void **)&p->old_workspaces, &p->cap_old_workspaces, p->n_old_workspaces + 1,
                   sizeof *p->old_workspaces, SIZE_MAX));
    p->old_workspaces[p->n_old_workspaces++] = p->workspaces[stream];
    p->workspaces[stream] = 0;
    p->workspace_bytes[stream] = 0;
    SW_TRY(sw_cuda_alloc(gpu->cuda, (size_t)bytes, diag, &p->workspaces[stream]));
    p->workspace_bytes[stream] = bytes;
    return SW_OK;
}

sw_status sw__gpu_lend_workspace(sw_gpu *gpu, sw_gpu_program *p, int stream, sw_cuda_launch *l, const sw_diag *diag) {
    if (!sw__gpu_is_library(l->kernel)) return SW_OK;
    SW_TRY(grow(gpu, p, stream, sw_cuda_tactic_workspace(l->args.library.tactic), diag));
    l->args.library.workspace = (void *)(uintptr_t)p->workspaces[stream];
    return SW_OK;
}

/* Twice, since each may make it grow. */
sw_status sw__gpu_lend_workspaces(sw_gpu *gpu, sw_gpu_program *p, const sw_diag *diag) {
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < p->n_nodes; i++)
            for (int k = 0; k < p->nodes[i].n_launches; k++)
                SW_TRY(sw__gpu_lend_workspace(gpu, p, p->nodes[i].stream, &p->launches[p->nodes[i].first_launch + k],
                                              diag));
    return SW_OK;
}
