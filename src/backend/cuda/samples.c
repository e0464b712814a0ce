/* Steps that read maps in rows between their pixels, and recurrent ones. */
#include <string.h>

#include "backend/cuda/lower.h"
#include "ops/recurrent.h"
#include "ops/resize.h"
#include "ops/shape.h"

static const char *grid_sample(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *grid = c->in[1], *y = c->out[0];
    const char *mode = sw_call_string(c, "mode"), *padding = sw_call_string(c, "padding_mode");
    if (x->rank != 4) return "it has another number of axes than 4";
    if (strstr(mode, "cubic")) return "its mode is cubic";
    if (x->dims[2] < 1 || x->dims[3] < 1) return "it has no pixels";
    l->kernel = SW_CUDA_GRID_SAMPLE;
    l->args.grid = (sw_cuda_grid){.in = x->data,
                                  .grid = grid->data,
                                  .out = y->data,
                                  .batch = (int)x->dims[0],
                                  .channels = (int)x->dims[1],
                                  .height = (int)x->dims[2],
                                  .width = (int)x->dims[3],
                                  .points = (int)(y->dims[2] * y->dims[3]),
                                  .nearest = !strcmp(mode, "nearest"),
                                  .corners = sw_call_int(c, "align_corners") != 0,
                                  .padding = !strcmp(padding, "zeros")    ? CUDA_GRID_ZEROS
                                             : !strcmp(padding, "border") ? CUDA_GRID_BORDER
                                                                          : CUDA_GRID_REFLECTION};
    l->grid_x = sw__cuda_blocks(sw_tensor_count(y));
    return NULL;
}

static int coords_of(sw_resize_coords coords) {
    switch (coords) {
    case SW_COORDS_HALF_PIXEL:
        return CUDA_COORDS_HALF_PIXEL;
    case SW_COORDS_HALF_PIXEL_SYMMETRIC:
        return CUDA_COORDS_SYMMETRIC;
    case SW_COORDS_PYTORCH_HALF_PIXEL:
        return CUDA_COORDS_PYTORCH;
    case SW_COORDS_ALIGN_CORNERS:
        return CUDA_COORDS_CORNERS;
    case SW_COORDS_ASYMMETRIC:
        return CUDA_COORDS_ASYMMETRIC;
    default:
        return -1;
    }
}

/* Over the last two axes, or the last one. */
static const char *resize(const sw_call *c, sw_cuda_launch *l) {
    const sw_tensor *x = c->in[0], *y = c->out[0];
    sw_resize r;
    int64_t planes = 1;
    if (x->rank < 3) return "it has fewer than 3 axes";
    if (sw_call_resize(c, &r) != SW_OK) return "its scales are not known";
    if (r.mode == SW_RESIZE_CUBIC || coords_of(r.coords) < 0) return "it is cubic, or crops";
    if (sw_call_int(c, "antialias") || sw_call_int(c, "exclude_outside")) return "it smooths, or excludes what is outside";
    int across = x->rank - 1, down = x->rank > 3 ? x->rank - 2 : -1;
    for (int i = 0; i < x->rank; i++) {
        if (r.scale[i] <= 0 || x->dims[i] < 1) return "its scales are not known";
        if (i == across || i == down) continue;
        if (x->dims[i] != y->dims[i] || r.scale[i] != 1) return "it resizes other axes than the last two";
        planes *= x->dims[i];
    }
    l->kernel = SW_CUDA_RESIZE_ROWS;
    l->args.resize_rows = (sw_cuda_resize_rows){.in = x->data,
                                                .out = y->data,
                                                .planes = (int)planes,
                                                .height = down < 0 ? 1 : (int)x->dims[down],
                                                .width = (int)x->dims[across],
                                                .out_height = down < 0 ? 1 : (int)y->dims[down],
                                                .out_width = (int)y->dims[across],
                                                .nearest = r.mode == SW_RESIZE_NEAREST,
                                                .coords = coords_of(r.coords),
                                                .rounding = r.nearest == SW_ROUND_PREFER_FLOOR  ? CUDA_PREFER_FLOOR
                                                            : r.nearest == SW_ROUND_PREFER_CEIL ? CUDA_PREFER_CEIL
                                                            : r.nearest == SW_ROUND_FLOOR       ? CUDA_FLOOR
                                                                                                : CUDA_CEIL,
                                                .scale_x = r.scale[across],
                                                .scale_y = down < 0 ? 1 : r.scale[down]};
    l->grid_x = sw__cuda_blocks(sw_tensor_count(y));
    return NULL;
}

/* Why this LSTM has no kernel, or NULL. */
static const char *refuse_lstm(const sw_call *c, const sw_recurrent *r) {
    if (sw_call_in(c, 4)) return "its sequences have lengths";
    if (sw_call_in(c, 7)) return "it has peepholes";
    if (sw_call_attr(c, "clip", SW_ATTR_FLOAT)->set || sw_call_int(c, "input_forget")) return "it clips, or couples gates";
    for (int d = 0; d < r->directions; d++)
        if (r->act[d][0] != SW_GATE_SIGMOID || r->act[d][1] != SW_GATE_TANH || r->act[d][2] != SW_GATE_TANH)
            return "its activations are not the usual ones";
    return r->hidden * 6 * 4 > 48 * 1024 ? "its state is too large" : NULL;
}

static const void *data_of(const sw_tensor *t) {
    return t ? t->data : NULL;
}

static const char *lstm(const sw_call *c, sw_cuda_launch *l) {
    sw_recurrent r;
    if (sw_call_recurrent(c, &r) != SW_OK) return "its shapes are not known";
    const char *why = refuse_lstm(c, &r);
    if (why) return why;
    const sw_tensor *out[3] = {sw_call_out(c, 0), sw_call_out(c, 1), sw_call_out(c, 2)};
    bool first = r.batch_first;
    bool small = r.hidden <= 64;
    l->kernel = small ? SW_CUDA_LSTM_SMALL : SW_CUDA_LSTM;
    l->args.lstm = (sw_cuda_lstm){.x = c->in[0]->data,
                                  .w = c->in[1]->data,
                                  .r = c->in[2]->data,
                                  .bias = data_of(sw_call_in(c, 3)),
                                  .first_h = data_of(sw_call_in(c, 5)),
                                  .first_c = data_of(sw_call_in(c, 6)),
                                  .y = (void *)(uintptr_t)data_of(out[0]),
                                  .last_h = (void *)(uintptr_t)data_of(out[1]),
                                  .last_c = (void *)(uintptr_t)data_of(out[2]),
                                  .steps = (int)r.steps,
                                  .input = (int)r.input,
                                  .hidden = (int)r.hidden,
                                  .reverse = r.reverse,
                                  .x_step = (first ? 1 : r.batch) * r.input,
                                  .x_batch = (first ? r.steps : 1) * r.input,
                                  .y_step = (first ? 1 : r.batch) * r.directions * r.hidden,
                                  .y_direction = (first ? 1 : r.batch) * r.hidden,
                                  .y_batch = (first ? r.steps * r.directions : 1) * r.hidden,
                                  .state_direction = (first ? 1 : r.batch) * r.hidden,
                                  .state_batch = (first ? r.directions : 1) * r.hidden};
    l->grid_x = (int)r.batch;
    l->grid_y = r.directions;
    l->shared_bytes = small ? (2 * 64 + 24 * 256 + 24 * 32 + 256 * 33) * 4 : (int)r.hidden * 6 * 4;
    return NULL;
}

const char *sw__cuda_lower_sample(const sw_call *c, sw_cuda_launch *l, bool *taken) {
    *taken = true;
    switch (c->op) {
    case SW_OP_GridSample:
        return grid_sample(c, l);
    case SW_OP_Resize:
        return resize(c, l);
    case SW_OP_LSTM:
        return lstm(c, l);
    default:
        *taken = false;
        return NULL;
    }
}
