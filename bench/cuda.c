/* Times a network on a GPU: cuda MODEL BATCH ROUNDS [tune|nodes|tune,nodes [HEIGHT WIDTH]]. Prints JSON: milliseconds of the
 * graphs alone (input on the GPU) and of a run with copies (medians), what the program is made of, and for each node its tile,
 * microseconds alone (in chains), bytes that it must move and operations. Dims that the model leaves open are BATCH, HEIGHT,
 * WIDTH (640). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "engine/gpu.h"
#include "slipway/build.h"

enum { MAX_ROUNDS = 1000 };

static void show(void *ctx, const sw_message *m) {
    fprintf(stderr, "cuda: %s\n", m->text);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The plan for pictures of one size: dims that the model leaves open are fixed. */
static bool build_plan(const char *path, const int64_t *dims, const sw_diag *diag, sw_plan **plan) {
    sw_shape_range range = {.rank = 4};
    sw_plan *open;
    sw_build_options options = {.device = "cuda"};
    if (sw_plan_build_with(path, &options, diag, &open) != SW_OK) return false;
    const sw_tensor *type = &sw_plan_input(open, 0)->type;
    bool fits = sw_plan_inputs(open) == 1 && type->dtype == SW_F32 && type->rank == 4;
    for (int i = 0; fits && i < 4; i++)
        range.min[i] = range.opt[i] = range.max[i] = type->dims[i] < 0 ? dims[i] : type->dims[i];
    sw_plan_unref(open);
    options.shapes = &range;
    options.n_shapes = 1;
    return fits && sw_plan_build_with(path, &options, diag, plan) == SW_OK;
}

static bool make_input(const sw_plan *plan, sw_tensor *in) {
    *in = sw_plan_input(plan, 0)->type;
    int64_t n = sw_tensor_count(in);
    float *data = n > 0 ? malloc((size_t)n * sizeof *data) : NULL;
    for (int64_t i = 0; data && i < n; i++) data[i] = (float)(i * 2654435761u % 1000003) / 1000003;
    in->data = data;
    return data != NULL;
}

static int64_t map_bytes(const sw_instance *instance, int32_t value) {
    if (value < 0 || instance->values[value].dtype != SW_F32) return 0;
    const sw_tensor *t = &instance->values[value];
    return sw_tensor_count(t) * (t->layout == SW_CHANNELS_LAST ? 2 : 4);
}

/* Multiply-adds times two of a convolution node. */
static double operations(const sw_plan *plan, const sw_instance *instance, const sw_gpu_node *node) {
    if (node->kind != SW_GPU_CONV && node->kind != SW_GPU_STEM) return 0;
    const sw_tensor *w = &instance->values[plan->steps[node->step].in[1]], *y = &instance->values[node->out[0]];
    return 2.0 * (double)sw_tensor_count(y) * (double)(w->dims[1] * w->dims[2] * w->dims[3]);
}

static void print_nodes(sw_json_writer *w, const sw_plan *plan, const sw_instance *instance,
                        const sw_gpu_program *program, const double *ms) {
    static const char *const kinds[] = {"step", "conv", "stem", "pools", "attention", "decode", "alias", "cpu"};
    int n;
    const sw_gpu_node *nodes = sw_gpu_nodes(program, &n);
    sw_json_key(w, "nodes"), sw_json_array(w);
    for (int i = 0; i < n; i++) {
        const sw_gpu_node *node = &nodes[i];
        if (node->n_launches == 0 && node->kind != SW_GPU_CPU) continue;
        int64_t bytes = 0;
        for (int k = 0; k < node->n_in; k++) bytes += map_bytes(instance, node->in[k]);
        for (int k = 0; k < node->n_out; k++) bytes += map_bytes(instance, node->out[k]);
        sw_json_flat(w), sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, plan->steps[node->step].name);
        sw_json_key(w, "op"), sw_json_string(w, sw_op_get(plan->steps[node->step].op)->name);
        sw_json_key(w, "kind"), sw_json_string(w, kinds[node->kind]);
        if (node->kind == SW_GPU_CONV) sw_json_key(w, "tile"), sw_json_string(w, sw_cuda_kernel_get(node->tile)->name);
        sw_json_key(w, "us"), sw_json_f64(w, ms[i] * 1000);
        sw_json_key(w, "bytes"), sw_json_int(w, bytes);
        sw_json_key(w, "gflop"), sw_json_f64(w, operations(plan, instance, node) / 1e9);
        sw_json_key(w, "stream"), sw_json_int(w, node->stream);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

static sw_status unwanted(void *ctx, size_t step) {
    (void)ctx, (void)step;
    return SW_E_UNSUPPORTED;
}

static sw_status measure(sw_plan *plan, const sw_tensor *in, int rounds, const char *what, const sw_diag *diag) {
    bool tune = strstr(what, "tune"), nodes = strstr(what, "nodes");
    sw_gpu *gpu = NULL;
    sw_instance *instance = NULL;
    sw_gpu_program *program = NULL;
    static double ms[1 << 16], whole[MAX_ROUNDS];
    double graph = 0;
    int64_t start = sw_clock_ns();
    sw_status status = sw_gpu_create(plan, 0, diag, &gpu);
    int64_t opened = sw_clock_ns();
    if (status == SW_OK) status = sw_instance_create(plan, in, 0, diag, plan->allocator, &instance);
    if (status == SW_OK) status = sw_gpu_build(gpu, instance, false, diag, &program);
    int64_t built = sw_clock_ns();
    if (status == SW_OK && tune) status = sw_gpu_tune(gpu, program, NULL, diag);
    int64_t tuned = sw_clock_ns();
    if (status == SW_OK) instance->values[plan->inputs[0]].data = in->data;
    for (int i = 0; i < rounds && status == SW_OK; i++) {
        int64_t begin = sw_clock_ns();
        status = sw_gpu_run(gpu, program, instance, unwanted, NULL, diag);
        whole[i] = (double)(sw_clock_ns() - begin) / 1e6;
    }
    if (status == SW_OK) status = sw_gpu_time(gpu, program, rounds, diag, &graph);
    if (status == SW_OK && nodes) status = sw_gpu_time_nodes(gpu, program, diag, ms);
    if (status == SW_OK) {
        qsort(whole, (size_t)rounds, sizeof *whole, by_value);
        sw_gpu_summary s = sw_gpu_summarize(gpu, program);
        sw_buf out = sw_buf_make(NULL, 0);
        sw_json_writer w = sw_json_writer_make(&out, 1);
        sw_json_object(&w);
        sw_json_key(&w, "batch"), sw_json_int(&w, in->dims[0]);
        sw_json_key(&w, "graph_ms"), sw_json_f64(&w, graph);
        sw_json_key(&w, "with_copies_ms"), sw_json_f64(&w, whole[rounds / 2]);
        sw_json_key(&w, "open_ms"), sw_json_f64(&w, (double)(opened - start) / 1e6);
        sw_json_key(&w, "build_ms"), sw_json_f64(&w, (double)(built - opened) / 1e6);
        sw_json_key(&w, "tune_ms"), sw_json_f64(&w, (double)(tuned - built) / 1e6);
        sw_json_key(&w, "launches"), sw_json_int(&w, s.launches);
        sw_json_key(&w, "streams"), sw_json_int(&w, s.streams);
        sw_json_key(&w, "compiled"), sw_json_int(&w, s.compiled);
        sw_json_key(&w, "memory"), sw_json_int(&w, s.memory);
        sw_json_key(&w, "weights"), sw_json_int(&w, s.weights);
        print_nodes(&w, plan, instance, program, ms);
        sw_json_object_end(&w);
        printf("%s\n", sw_buf_text(&out));
        sw_buf_free(&out);
    }
    if (gpu) sw_gpu_program_destroy(gpu, program);
    sw_instance_destroy(instance);
    sw_gpu_destroy(gpu);
    return status;
}

int main(int argc, char **argv) {
    const sw_diag diag = {.emit = show};
    int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
    if (rounds < 1 || rounds > MAX_ROUNDS)
        return fprintf(stderr, "usage: cuda MODEL BATCH ROUNDS [tune|nodes|tune,nodes [HEIGHT WIDTH]]\n"), 1;
    const int64_t dims[4] = {strtol(argv[2], NULL, 10), 3, argc > 6 ? strtol(argv[5], NULL, 10) : 640,
                             argc > 6 ? strtol(argv[6], NULL, 10) : 640};
    sw_plan *plan = NULL;
    sw_tensor in = {0};
    bool good = build_plan(argv[1], dims, &diag, &plan) && make_input(plan, &in) &&
                measure(plan, &in, rounds, argc > 4 ? argv[4] : "", &diag) == SW_OK;
    free(in.data);
    sw_plan_unref(plan);
    return good ? 0 : 1;
}
