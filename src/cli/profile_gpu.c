/* slipway profile --device cuda: where the time of a network goes on a GPU. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/sort.h"
#include "cli/profile.h"
#include "engine/gpu.h"
#include "media/image.h"
#include "vision/detector.h"

enum { NAME_TEXT = 34 };

/* A node with kernels, or one that runs on the CPU (ms below 0). */
typedef struct row {
    const sw_gpu_node *node;
    double ms;
    int64_t bytes; /* that it reads and writes at least */
    double flops;
} row;

typedef struct gpu_profile {
    sw_profile base;
    sw_gpu *gpu;
    sw_gpu_program *program;
    row *rows;
    size_t n;
    double load_ms; /* from the model or plan to the end of the first run, without the driver's context and a run */
    double run_ms, in_ms, compute_ms, out_ms;
    const char *picture; /* NULL: none */
    int width, height, boxes; /* of the picture */
    double picture_ms[2];     /* from its pixels in pinned memory to boxes: median, 99th percentile */
} gpu_profile;

/* ---- Measuring ----------------------------------------------------------------------------------------------------- */

static bool is_conv(const sw_gpu_node *node) {
    return node->kind == SW_GPU_CONV || node->kind == SW_GPU_STEM;
}

static bool is_two(const sw_gpu_node *node) {
    return node->kind == SW_GPU_STEM_CONV || node->kind == SW_GPU_PAIR;
}

/* Maps and the weights of convolutions are float16 on the GPU. */
static int64_t bytes_of(const sw_instance *instance, int32_t value, bool weights) {
    if (value < 0 || instance->values[value].dtype != SW_F32) return 0;
    const sw_tensor *t = &instance->values[value];
    return sw_tensor_count(t) * (t->layout == SW_CHANNELS_LAST || weights ? 2 : 4);
}

/* Two operations a multiply-add of a convolution; 0 for others. */
static double step_flops(const gpu_profile *p, int32_t index) {
    const sw_step *step = &p->base.plan->steps[index];
    const sw_instance *instance = p->base.instance;
    const sw_tensor *w = &instance->values[step->in[1]], *y = &instance->values[step->out[0]];
    return 2.0 * (double)sw_tensor_count(y) * (double)(w->dims[1] * w->dims[2] * w->dims[3]);
}

static double flops_of(const gpu_profile *p, const sw_gpu_node *node) {
    if (is_two(node)) return step_flops(p, node->first) + step_flops(p, node->step);
    return is_conv(node) ? step_flops(p, node->step) : 0;
}

static sw_status time_nodes(const sw_args *args, const sw_diag *diag, gpu_profile *p) {
    int n;
    const sw_gpu_node *nodes = sw_gpu_nodes(p->program, &n);
    double *ms = SW_ARENA_ARRAY(args->arena, double, n + 1);
    p->rows = SW_ARENA_ARRAY(args->arena, row, n + 1);
    if (!ms || !p->rows) return SW_E_NOMEM;
    SW_TRY(sw_gpu_time_nodes(p->gpu, p->program, diag, ms));
    for (int i = 0; i < n; i++) {
        const sw_gpu_node *node = &nodes[i];
        bool cpu = node->kind == SW_GPU_CPU;
        if (node->n_launches == 0 && !cpu) continue;
        row *r = &p->rows[p->n++];
        *r = (row){.node = node, .ms = cpu ? -1 : ms[i], .flops = flops_of(p, node)};
        for (int k = 0; k < node->n_in; k++)
            r->bytes += bytes_of(p->base.instance, node->in[k], is_conv(node) && k == 1);
        for (int k = 0; k < node->n_out; k++) {
            bool between = node->kind == SW_GPU_PAIR && k == 1; /* written and read where there are two kernels */
            r->bytes += (between ? 2 * (node->n_launches == 2) : 1) * bytes_of(p->base.instance, node->out[k], false);
        }
        if (is_two(node))
            r->bytes += bytes_of(p->base.instance, p->base.plan->steps[node->first].in[1], true) +
                        bytes_of(p->base.instance, p->base.plan->steps[node->step].in[1], true);
    }
    return SW_OK;
}

static sw_status time_runs(const sw_args *args, gpu_profile *p) {
    double *ms = SW_ARENA_ARRAY(args->arena, double, p->base.runs);
    if (!ms) return SW_E_NOMEM;
    for (int i = 0; i < p->base.runs; i++) {
        int64_t begin = sw_clock_ns();
        SW_TRY(sw_session_run(p->base.session, p->base.inputs, p->base.outputs));
        ms[i] = (double)(sw_clock_ns() - begin) / 1e6;
    }
    qsort(ms, (size_t)p->base.runs, sizeof *ms, sw_by_f64);
    p->run_ms = ms[p->base.runs / 2];
    return SW_OK;
}

static sw_status time_detector(gpu_profile *p, sw_detector *detector, const sw_picture *picture) {
    sw_detections found;
    double *ms = sw_calloc(NULL, (size_t)p->base.runs, sizeof *ms);
    sw_status status = ms ? SW_OK : SW_E_NOMEM;
    for (int i = -5; i < p->base.runs && status == SW_OK; i++) {
        int64_t begin = sw_clock_ns();
        status = sw_detector_run(detector, picture, &found);
        if (i >= 0) ms[i] = (double)(sw_clock_ns() - begin) / 1e6;
    }
    if (status == SW_OK) {
        qsort(ms, (size_t)p->base.runs, sizeof *ms, sw_by_f64);
        p->picture_ms[0] = ms[p->base.runs / 2], p->picture_ms[1] = ms[p->base.runs * 99 / 100];
        p->width = picture->width, p->height = picture->height, p->boxes = found.count;
    }
    sw_free(NULL, ms);
    return status;
}

/* From the decoded picture in pinned memory to boxes on the host, by the clock. */
static sw_status time_pictures(const sw_diag *diag, const char *device, sw_cuda *gpu, gpu_profile *p) {
    sw_image image;
    sw_detector_options o;
    sw_detector *detector = NULL;
    void *pinned = NULL;
    SW_TRY(sw_image_load(p->picture, NULL, diag, &image));
    size_t bytes = image.picture.pitch * (size_t)image.picture.height;
    sw_detector_defaults(&o);
    o.device = device;
    sw_status status = sw_cuda_check(gpu, gpu->driver->host_alloc(&pinned, bytes), "host_alloc", diag);
    if (status == SW_OK) status = sw_detector_create(p->base.plan, &o, diag, &detector);
    if (status == SW_OK) {
        sw_picture picture = image.picture;
        memcpy(pinned, picture.data, bytes);
        picture.data = pinned;
        status = time_detector(p, detector, &picture);
    }
    sw_detector_destroy(detector);
    if (pinned) gpu->driver->host_free(pinned);
    sw_image_destroy(&image);
    return status;
}

static sw_status time_picture(const sw_diag *diag, const char *device, gpu_profile *p) {
    sw_device where;
    sw_cuda *gpu;
    SW_TRY(sw_device_parse(device, diag, &where));
    SW_TRY(sw_cuda_open(where.index, NULL, diag, &gpu));
    sw_status status = time_pictures(diag, device, gpu, p);
    sw_cuda_close(gpu);
    return status;
}

static sw_status measure(const sw_args *args, sw_console *c, const char *device, gpu_profile *p) {
    const sw_session_options options = {.threads = (int)sw_args_int(args, "threads"), .device = device};
    const sw_diag *diag = &c->diag;
    int64_t begin = sw_clock_ns();
    SW_TRY(sw_session_create(p->base.plan, &options, diag, &p->base.session));
    SW_TRY(sw_session_run(p->base.session, p->base.inputs, p->base.outputs));
    p->load_ms = p->base.plan_ms + (double)(sw_clock_ns() - begin) / 1e6;
    SW_TRY(sw_session_run(p->base.session, p->base.inputs, p->base.outputs));
    p->base.instance = sw_session_instance(p->base.session);
    p->gpu = sw_session_gpu(p->base.session, &p->program);
    if (!p->gpu)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, "profile it with --device cpu", "the model does not run on a GPU here");
    SW_TRY(time_runs(args, p));
    p->load_ms -= sw_gpu_summarize(p->gpu, p->program).context_ms + p->run_ms;
    SW_TRY(sw_gpu_time_copies(p->gpu, p->program, p->base.runs, diag, &p->in_ms, &p->out_ms));
    SW_TRY(sw_gpu_time(p->gpu, p->program, p->base.runs, diag, &p->compute_ms));
    if ((p->picture = sw_args_text(args, "picture"))) SW_TRY(time_picture(diag, device, p));
    return time_nodes(args, diag, p);
}

/* ---- Telling ------------------------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b) {
    const row *x = a, *y = b;
    return (x->ms < y->ms) - (x->ms > y->ms);
}

static void print_table(const sw_args *args, const gpu_profile *p, sw_console *c) {
    sw_gpu_summary s = sw_gpu_summarize(p->gpu, p->program);
    double sum = 0;
    for (size_t i = 0; i < p->n; i++) sum += p->rows[i].ms > 0 ? p->rows[i].ms : 0;
    if (sw_args_flag(args, "sort")) qsort(p->rows, p->n, sizeof *p->rows, by_time);
    sw_print(c, "%-*s %-14s %-20s %9s %6s %9s %9s  %s\n", NAME_TEXT, "node", "operator", "kernel", "us", "%", "GFLOP/s", "GB/s",
             "stream");
    for (size_t i = 0; i < p->n; i++) {
        const row *r = &p->rows[i];
        const sw_step *step = &p->base.plan->steps[r->node->step];
        int length = (int)strlen(step->name);
        sw_print(c, "%-*s %-14.14s %-20s ", NAME_TEXT, step->name + (length > NAME_TEXT ? length - NAME_TEXT : 0),
                 sw_op_get(step->op)->name, sw_gpu_kernel_name(r->node));
        if (r->ms < 0)
            sw_print(c, "%9s %6s %9s %9s  (%s)\n", "-", "-", "-", "-", r->node->why);
        else
            sw_print(c, "%9.2f %6.1f %9.0f %9.0f  %d\n", r->ms * 1e3, 100 * r->ms / sum, r->flops / r->ms / 1e6,
                     (double)r->bytes / r->ms / 1e6, r->node->stream);
    }
    sw_print(c, "\na run %.3f ms (median of %d): %.3f to the GPU, %.3f computing, %.3f back, each measured alone\n", p->run_ms,
             p->base.runs, p->in_ms, p->compute_ms, p->out_ms);
    if (p->picture)
        sw_print(c, "from %d x %d pixels in pinned memory to %d boxes %.3f ms (median), %.3f ms (99th percentile)\n",
                 p->width, p->height, p->boxes, p->picture_ms[0], p->picture_ms[1]);
    sw_print(c, "%d kernels on %d stream%s in %d graph%s, %.1f us one after the other; %d steps on the CPU; %.1f MiB of maps, "
                "%.1f MiB of weights\n",
             s.launches, s.streams, s.streams == 1 ? "" : "s", s.graphs, s.graphs == 1 ? "" : "s", sum * 1e3, s.cpu_steps,
             (double)s.memory / 0x1p20, (double)s.weights / 0x1p20);
    sw_print(c, "loaded in %.1f ms after %.1f ms of opening the GPU; %d kernel%s compiled\n", p->load_ms, s.context_ms,
             s.compiled, s.compiled == 1 ? "" : "s");
}

static void print_json(const gpu_profile *p, sw_console *c) {
    sw_gpu_summary s = sw_gpu_summarize(p->gpu, p->program);
    sw_json_writer w = sw_json_writer_make(&c->out, 2);
    sw_json_object(&w);
    sw_json_key(&w, "model"), sw_json_string(&w, p->base.path);
    sw_json_key(&w, "runs"), sw_json_int(&w, p->base.runs);
    sw_json_key(&w, "context_ms"), sw_json_fixed(&w, s.context_ms, 3);
    sw_json_key(&w, "load_ms"), sw_json_fixed(&w, p->load_ms, 3);
    sw_json_key(&w, "run_ms"), sw_json_fixed(&w, p->run_ms, 4);
    sw_json_key(&w, "to_gpu_ms"), sw_json_fixed(&w, p->in_ms, 4);
    sw_json_key(&w, "compute_ms"), sw_json_fixed(&w, p->compute_ms, 4);
    sw_json_key(&w, "from_gpu_ms"), sw_json_fixed(&w, p->out_ms, 4);
    if (p->picture) {
        sw_json_key(&w, "picture"), sw_json_flat(&w), sw_json_object(&w);
        sw_json_key(&w, "width"), sw_json_int(&w, p->width);
        sw_json_key(&w, "height"), sw_json_int(&w, p->height);
        sw_json_key(&w, "boxes"), sw_json_int(&w, p->boxes);
        sw_json_key(&w, "median_ms"), sw_json_fixed(&w, p->picture_ms[0], 4);
        sw_json_key(&w, "p99_ms"), sw_json_fixed(&w, p->picture_ms[1], 4);
        sw_json_object_end(&w);
    }
    sw_json_key(&w, "kernels"), sw_json_int(&w, s.launches);
    sw_json_key(&w, "streams"), sw_json_int(&w, s.streams);
    sw_json_key(&w, "graphs"), sw_json_int(&w, s.graphs);
    sw_json_key(&w, "steps_on_cpu"), sw_json_int(&w, s.cpu_steps);
    sw_json_key(&w, "compiled"), sw_json_int(&w, s.compiled);
    sw_json_key(&w, "map_bytes"), sw_json_int(&w, s.memory);
    sw_json_key(&w, "weight_bytes"), sw_json_int(&w, s.weights);
    sw_json_key(&w, "nodes"), sw_json_array(&w);
    for (size_t i = 0; i < p->n; i++) {
        const row *r = &p->rows[i];
        const sw_step *step = &p->base.plan->steps[r->node->step];
        sw_json_flat(&w), sw_json_object(&w);
        sw_json_key(&w, "node"), sw_json_string(&w, step->name);
        sw_json_key(&w, "operator"), sw_json_string(&w, sw_op_get(step->op)->name);
        sw_json_key(&w, "kernel"), sw_json_string(&w, sw_gpu_kernel_name(r->node));
        if (r->ms < 0) {
            sw_json_key(&w, "why"), sw_json_string(&w, r->node->why);
        } else {
            sw_json_key(&w, "us"), sw_json_fixed(&w, r->ms * 1e3, 3);
            sw_json_key(&w, "flops"), sw_json_fixed(&w, r->flops, 0);
            sw_json_key(&w, "bytes"), sw_json_int(&w, r->bytes);
            sw_json_key(&w, "stream"), sw_json_int(&w, r->node->stream);
        }
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_json_object_end(&w);
    sw_print(c, "\n");
}

sw_status sw_profile_gpu(const sw_args *args, sw_console *c, const char *device) {
    gpu_profile p = {0};
    sw_status status = SW_OK;
    if (sw_args_given(args, "trace"))
        return sw_fail(&c->diag, SW_E_USAGE, args->verb->name, "leave it out", "--trace is for the CPU");
    status = sw_profile_begin(args, c, device, &p.base);
    if (status == SW_OK) status = measure(args, c, device, &p);
    c->subject = NULL;
    if (status == SW_OK && sw_args_flag(args, "json"))
        print_json(&p, c);
    else if (status == SW_OK && !c->quiet)
        print_table(args, &p, c);
    sw_profile_free(&p.base);
    return status;
}
