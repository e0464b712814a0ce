/* slipway inspect --device cuda: what of a model would run on a GPU, and what not. */
#include "base/json.h"
#include "cli/inspect.h"
#include "engine/gpu.h"
#include "engine/inputs.h"
#include "slipway/build.h"

enum { NAME_TEXT = 40 };

static void print_text(const sw_gpu *gpu, const sw_gpu_program *program, const sw_plan *plan, bool all, sw_console *c) {
    int n;
    const sw_gpu_node *nodes = sw_gpu_nodes(program, &n);
    sw_gpu_summary s = sw_gpu_summarize(gpu, program);
    sw_print(c, "%d kernels on %d stream%s in %d graph%s; %d step%s on the CPU\n", s.launches, s.streams,
             s.streams == 1 ? "" : "s", s.graphs, s.graphs == 1 ? "" : "s", s.cpu_steps, s.cpu_steps == 1 ? "" : "s");
    for (int i = 0; i < n; i++) {
        const sw_gpu_node *node = &nodes[i];
        const sw_step *step = &plan->steps[node->step];
        bool cpu = node->kind == SW_GPU_CPU;
        if (cpu || (all && node->n_launches > 0))
            sw_print(c, "%-*s %-18s %s%s%s\n", NAME_TEXT, step->name, sw_op_get(step->op)->name, sw_gpu_kernel_name(node),
                     cpu ? ": " : "", cpu ? node->why : "");
    }
}

static void print_json(const sw_gpu *gpu, const sw_gpu_program *program, const sw_plan *plan, const char *path,
                       sw_console *c) {
    int n;
    const sw_gpu_node *nodes = sw_gpu_nodes(program, &n);
    sw_gpu_summary s = sw_gpu_summarize(gpu, program);
    sw_json_writer w = sw_json_writer_make(&c->out, 2);
    sw_json_object(&w);
    sw_json_key(&w, "model"), sw_json_string(&w, path);
    sw_json_key(&w, "kernels"), sw_json_int(&w, s.launches);
    sw_json_key(&w, "streams"), sw_json_int(&w, s.streams);
    sw_json_key(&w, "graphs"), sw_json_int(&w, s.graphs);
    sw_json_key(&w, "steps_on_cpu"), sw_json_int(&w, s.cpu_steps);
    sw_json_key(&w, "nodes"), sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        const sw_step *step = &plan->steps[nodes[i].step];
        if (nodes[i].kind != SW_GPU_CPU && nodes[i].n_launches == 0) continue;
        sw_json_flat(&w), sw_json_object(&w);
        sw_json_key(&w, "node"), sw_json_string(&w, step->name);
        sw_json_key(&w, "operator"), sw_json_string(&w, sw_op_get(step->op)->name);
        sw_json_key(&w, "kernel"), sw_json_string(&w, sw_gpu_kernel_name(&nodes[i]));
        sw_json_key(&w, "why"), sw_json_string(&w, nodes[i].why);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_json_object_end(&w);
    sw_print(c, "\n");
}

static sw_status show(const sw_args *args, sw_console *c, sw_plan *plan, int index) {
    sw_tensor *inputs = SW_ARENA_ARRAY(args->arena, sw_tensor, plan->n_inputs + 1);
    sw_gpu *gpu = NULL;
    sw_instance *instance = NULL;
    sw_gpu_program *program = NULL;
    if (!inputs) return SW_E_NOMEM;
    if (!sw_plan_usual_inputs(plan, inputs) && !sw_plan_assume_inputs(plan, inputs))
        return sw_fail(&c->diag, SW_E_USAGE, NULL, "build a plan with --shapes, and inspect that",
                       "what runs on a GPU depends on the shapes of the inputs, which are open");
    sw_status status = sw_gpu_create(plan, index, &c->diag, &gpu);
    if (status == SW_OK) status = sw_instance_create(plan, inputs, 0, NULL, false, &c->diag, plan->allocator, &instance);
    if (status == SW_OK) status = sw_gpu_build(gpu, instance, true, &c->diag, &program);
    if (status == SW_OK && sw_args_flag(args, "json"))
        print_json(gpu, program, plan, args->operands[0], c);
    else if (status == SW_OK && !c->quiet)
        print_text(gpu, program, plan, sw_args_flag(args, "layers"), c);
    if (program) sw_gpu_program_destroy(gpu, program);
    sw_instance_destroy(instance);
    sw_gpu_destroy(gpu);
    return status;
}

sw_status sw_inspect_gpu(const sw_args *args, sw_console *c, const char *name) {
    const sw_build_options options = {.device = name};
    sw_device device;
    sw_plan *plan;
    SW_TRY(sw_device_parse(name, &c->diag, &device));
    SW_TRY(sw_plan_build_with(args->operands[0], &options, &c->diag, &plan));
    sw_status status = show(args, c, plan, device.index);
    sw_plan_unref(plan);
    return status;
}
