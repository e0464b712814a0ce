/* Programs that take pictures and give boxes: letterbox, network, candidates and their suppression in one graph. */
#include <string.h>

#include "engine/gpu_program.h"
#include "kernels/letterbox/values.h"

/* What a session keeps for all programs. */
struct sw_gpu_ends {
    sw_plan *plans[3]; /* of pictures in RGB and BGR, of boxes: attributes lie there */
    sw_letterbox_rule rule;
    int pad, output; /* the network's output that holds the boxes */
    bool swap[2];
    sw_call decode, nms;
    sw_cu_pointer values, pixels; /* pixels: of the last picture, with room for `room` bytes */
    size_t room;
};

/* What a program has of it. */
struct sw_gpu_program_ends {
    sw_cu_graph_exec graph;
    sw_cu_pointer place, lists, pixels; /* place: the sw_cuda_picture; pixels: as `graph` knows them */
    sw_cuda_picture *host_place;        /* pinned; the last that was copied */
    size_t place_bytes;
    float *rows; /* pinned: detections */
    int32_t *n_rows;
    sw_cuda_boxes boxes;
    int64_t height, width; /* of the last picture */
    int order;
};

/* ---- Of a session -------------------------------------------------------------------------------------------------- */

static sw_call call_of(const sw_step *step) {
    return (sw_call){.op = step->op, .attrs = step->attrs, .name = step->name};
}

static bool is_letterbox(const sw_plan *plan) {
    return plan->n_steps == 1 && plan->steps[0].op == SW_OP_Letterbox;
}

const char *sw_gpu_ends_refuse(const sw_gpu *gpu, sw_plan *const pictures[2], const sw_plan *boxes) {
    const sw_plan *plan = gpu->plan;
    if (!is_letterbox(pictures[0]) || !is_letterbox(pictures[1])) return "pictures are not just letterboxed";
    if (boxes->n_steps != 2 || boxes->n_inputs != 1 || boxes->steps[0].op != SW_OP_YoloDecode ||
        boxes->steps[1].op != SW_OP_Nms)
        return "its boxes are not one table";
    if (plan->n_inputs != 1) return "the model has several inputs";
    return NULL;
}

static sw_status upload_values(sw_gpu *gpu, const sw_diag *diag, const sw_call *letterbox, sw_gpu_ends *ends) {
    float values[3][256];
    sw__pixel_values(letterbox, values);
    SW_TRY(sw_cuda_alloc(gpu->cuda, sizeof values, diag, &ends->values));
    SW_CUDA_TRY(gpu->cuda, diag, copy_in(ends->values, values, sizeof values, gpu->cuda->stream));
    SW_CUDA_TRY(gpu->cuda, diag, stream_wait(gpu->cuda->stream));
    return SW_OK;
}

sw_status sw_gpu_ends_create(sw_gpu *gpu, sw_plan *const pictures[2], sw_plan *boxes, int output, const sw_diag *diag,
                             sw_gpu_ends **result) {
    sw_gpu_ends *ends = sw_calloc(gpu->allocator, 1, sizeof *ends);
    if (!ends) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    for (int i = 0; i < 2; i++) ends->plans[i] = sw_plan_ref(pictures[i]);
    ends->plans[2] = sw_plan_ref(boxes);
    ends->output = output;
    sw_call letterbox = call_of(&pictures[0]->steps[0]), other = call_of(&pictures[1]->steps[0]);
    ends->pad = (int)sw_call_int(&letterbox, "pad_value");
    ends->swap[0] = sw_call_int(&letterbox, "swap_rb") != 0;
    ends->swap[1] = sw_call_int(&other, "swap_rb") != 0;
    ends->decode = call_of(&boxes->steps[0]);
    ends->nms = call_of(&boxes->steps[1]);
    sw_status status = sw_call_letterbox(&letterbox, &ends->rule);
    if (status == SW_OK) status = sw_cuda_enter(gpu->cuda, diag);
    if (status == SW_OK) status = upload_values(gpu, diag, &letterbox, ends);
    if (status == SW_OK)
        *result = ends;
    else
        sw_gpu_ends_destroy(gpu, ends);
    return status;
}

void sw_gpu_ends_destroy(sw_gpu *gpu, sw_gpu_ends *ends) {
    if (!ends) return;
    gpu->cuda->driver->context_set(gpu->cuda->context);
    sw_cuda_free(gpu->cuda, ends->values);
    sw_cuda_free(gpu->cuda, ends->pixels);
    for (int i = 0; i < 3; i++) sw_plan_unref(ends->plans[i]);
    sw_free(gpu->allocator, ends);
}

sw_letterbox_fit sw_gpu_ends_fit(const sw_gpu_ends *ends, int64_t height, int64_t width) {
    return sw_letterbox_place(&ends->rule, height, width);
}

/* ---- Of a program -------------------------------------------------------------------------------------------------- */

/* Why the ends cannot be part of this program, or NULL. */
static const char *refuse(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_ends *ends, sw_cuda_boxes *boxes) {
    const sw_plan *plan = gpu->plan;
    int32_t in = plan->inputs[0], out = plan->outputs[ends->output];
    const sw_tensor *x = &p->instance->values[in];
    if (sw_gpu_uses_cpu(p) || p->n_segments != 1) return "steps run on the CPU";
    if (x->dtype != SW_F32 || x->layout != SW_ROW_MAJOR || x->rank != 4 || x->dims[0] != 1 || x->dims[1] != 3 ||
        p->offsets[p->roots[in]] < 0 || (p->forms[in] & SW_GPU_HALF))
        return "it takes no picture of three planes";
    if (p->instance->places[out] != SW_PLACE_PLANNED || p->offsets[p->roots[out]] < 0)
        return "its boxes do not come from the GPU";
    sw_tensor table = sw__gpu_form(gpu, p, out, SW_GPU_FLOAT);
    const char *why = sw_cuda_describe_boxes(&ends->decode, &ends->nms, &table, &gpu->cuda->info, boxes);
    boxes->table = table.data;
    return why;
}

static sw_status make_room(sw_gpu *gpu, sw_gpu_program *p, sw_gpu_program_ends *e, const sw_diag *diag) {
    const sw_tensor *x = &p->instance->values[gpu->plan->inputs[0]];
    sw_cuda_boxes *b = &e->boxes;
    size_t lists = sw_cuda_boxes_bytes(b, NULL), rows = (size_t)b->max_det * (size_t)(6 + b->extra) * sizeof(float);
    void *place = NULL, *results = NULL;
    e->place_bytes = sw_cuda_picture_bytes(x->dims[2], x->dims[3]);
    SW_TRY(sw_cuda_alloc(gpu->cuda, e->place_bytes, diag, &e->place));
    SW_TRY(sw_cuda_alloc(gpu->cuda, lists, diag, &e->lists));
    SW_CUDA_TRY(gpu->cuda, diag, memory_set(e->lists, 0, lists, p->streams[0]));
    SW_CUDA_TRY(gpu->cuda, diag, host_alloc(&place, e->place_bytes));
    e->host_place = place;
    SW_CUDA_TRY(gpu->cuda, diag, host_alloc(&results, 16 + rows));
    e->n_rows = results;
    e->rows = (float *)results + 4;
    sw_cuda_boxes_bytes(b, (char *)(uintptr_t)e->lists);
    b->rows = e->rows, b->n_rows = e->n_rows;
    return SW_OK;
}

void sw__gpu_program_ends_destroy(sw_gpu *gpu, sw_gpu_program_ends *e) {
    if (!e) return;
    const sw_cu_driver *driver = gpu->cuda->driver;
    if (e->graph) driver->graph_exec_destroy(e->graph);
    sw_cuda_free(gpu->cuda, e->place);
    sw_cuda_free(gpu->cuda, e->lists);
    if (e->host_place) driver->host_free(e->host_place);
    if (e->n_rows) driver->host_free(e->n_rows);
    sw_free(gpu->allocator, e);
}

/* The whole graph; copies of pictures come before it. */
static sw_status record(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_ends *ends, const sw_gpu_program_ends *e,
                        const sw_diag *diag) {
    sw_tensor x = sw__gpu_tensor(gpu, p, gpu->plan->inputs[0]);
    const sw_cuda_picture *place = (const sw_cuda_picture *)(uintptr_t)e->place;
    sw_cuda_launch first = {0}, last[SW_CUDA_BOXES_LAUNCHES];
    first.args.letterbox = (sw_cuda_letterbox){.picture = place,
                                               .pixels = (const void *)(uintptr_t)ends->pixels,
                                               .rows = place->columns + x.dims[3],
                                               .values = (const void *)(uintptr_t)ends->values,
                                               .out = x.data,
                                               .height = (int)x.dims[2],
                                               .width = (int)x.dims[3]};
    sw_cuda_launch_letterbox(&first);
    int n = sw_cuda_launch_boxes(&e->boxes, last);
    SW_TRY(sw__gpu_launch(gpu, &first, p->streams[0], false, diag));
    SW_TRY(sw__gpu_record(gpu, p, p->segments[0].first, p->segments[0].end, diag));
    for (int i = 0; i < n; i++) SW_TRY(sw__gpu_launch(gpu, &last[i], p->streams[0], i > 0, diag));
    return SW_OK;
}

static sw_status load(sw_gpu *gpu, const sw_gpu_program_ends *e, const sw_diag *diag) {
    sw_cuda_launch last[SW_CUDA_BOXES_LAUNCHES];
    int n = sw_cuda_launch_boxes(&e->boxes, last);
    for (int i = 0; i < n; i++) SW_TRY(sw_cuda_load(gpu->cuda, last[i].kernel, last[i].shared_bytes, diag));
    return sw_cuda_load(gpu->cuda, SW_CUDA_LETTERBOX, 0, diag);
}

static sw_status capture(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_ends *ends, sw_gpu_program_ends *e,
                         const sw_diag *diag) {
    if (e->graph) gpu->cuda->driver->graph_exec_destroy(e->graph);
    e->graph = NULL;
    e->pixels = ends->pixels;
    SW_TRY(sw__gpu_begin_graph(gpu, p, diag));
    return sw__gpu_end_graph(gpu, p, record(gpu, p, ends, e, diag), diag, &e->graph);
}

static sw_status prepare(sw_gpu *gpu, sw_gpu_program *p, const sw_gpu_ends *ends, const sw_diag *diag) {
    sw_gpu_program_ends found = {0};
    if ((p->no_ends = refuse(gpu, p, ends, &found.boxes))) return SW_OK;
    p->ends = sw_calloc(gpu->allocator, 1, sizeof *p->ends);
    if (!p->ends) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    *p->ends = found;
    sw_status status = make_room(gpu, p, p->ends, diag);
    if (status == SW_OK) status = load(gpu, p->ends, diag);
    if (status == SW_OK) return SW_OK;
    sw__gpu_program_ends_destroy(gpu, p->ends); /* the next picture tries again */
    p->ends = NULL;
    return status;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

static sw_status copy_picture(sw_gpu *gpu, sw_gpu_program *p, sw_gpu_ends *ends, const sw_tensor *picture, int order,
                              const sw_diag *diag) {
    sw_gpu_program_ends *e = p->ends;
    size_t bytes = (size_t)sw_tensor_bytes(picture);
    int64_t height = picture->dims[0], width = picture->dims[1];
    if (bytes > ends->room) {
        sw_cuda_free(gpu->cuda, ends->pixels); /* nothing that reads it is under way between runs */
        ends->pixels = 0, ends->room = 0;
        SW_TRY(sw_cuda_alloc(gpu->cuda, bytes, diag, &ends->pixels));
        ends->room = bytes;
    }
    if (height != e->height || width != e->width || order != e->order) {
        sw_letterbox_fit fit = sw_gpu_ends_fit(ends, height, width);
        sw_cuda_place_picture(&fit, height, width, ends->swap[order], ends->pad, e->host_place);
        SW_CUDA_TRY(gpu->cuda, diag, copy_in(e->place, e->host_place, e->place_bytes, p->streams[0]));
        e->height = height, e->width = width, e->order = order;
    }
    SW_CUDA_TRY(gpu->cuda, diag, copy_in(ends->pixels, picture->data, bytes, p->streams[0]));
    return e->graph && e->pixels == ends->pixels ? SW_OK : capture(gpu, p, ends, e, diag);
}

sw_status sw_gpu_run_ends(sw_gpu *gpu, sw_gpu_program *p, sw_gpu_ends *ends, const sw_tensor *picture, int order,
                          const sw_diag *diag, sw_tensor *rows) {
    SW_TRY(sw_cuda_enter(gpu->cuda, diag));
    if (!p->ends && !p->no_ends) SW_TRY(prepare(gpu, p, ends, diag));
    *rows = (sw_tensor){0};
    if (p->no_ends) return SW_OK;
    SW_TRY(copy_picture(gpu, p, ends, picture, order, diag));
    SW_CUDA_TRY(gpu->cuda, diag, graph_launch(p->ends->graph, p->streams[0]));
    SW_TRY(sw__gpu_copy_outputs(gpu, p, ends->output, diag));
    SW_CUDA_TRY(gpu->cuda, diag, stream_wait(p->streams[0]));
    *rows = (sw_tensor){
        .dtype = SW_F32, .rank = 2, .dims = {*p->ends->n_rows, 6 + p->ends->boxes.extra}, .data = p->ends->rows};
    return SW_OK;
}
