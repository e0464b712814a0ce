/* slipway inspect: what is inside a model. */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "build/build.h"
#include "cli/inspect.h"
#include "cli/plan_report.h"
#include "cli/shapes.h"
#include "cli/verb.h"
#include "engine/inputs.h"
#include "engine/plan_file.h"
#include "pass/pass.h"
#include "slipway/build.h"
#include "vision/detector.h"

/* -- Shapes of inputs ---------------------------------------------------------------------------------------------------- */

/* Of ranges what kernels would be chosen for. */
static sw_status set_shapes(sw_graph *graph, const sw_args *args, const sw_diag *diag) {
    sw_build_options options = {0};
    sw_shapes profiles;
    SW_TRY(sw_shapes_parse(args, diag, &options));
    sw_shape_range *ranges = SW_ARENA_ARRAY(args->arena, sw_shape_range, options.n_shapes + 1);
    if (!ranges) return SW_E_NOMEM;
    for (int i = 0; i < options.n_shapes; i++) {
        ranges[i] = options.shapes[i];
        memcpy(ranges[i].min, ranges[i].opt, sizeof ranges[i].min);
        memcpy(ranges[i].max, ranges[i].opt, sizeof ranges[i].max);
    }
    options.shapes = ranges;
    return sw_shapes_apply(graph, &options, diag, &profiles);
}

/* A detector for pictures of any size says in its metadata which one it was made for: "[416, 416]", "640". */
static void assume_size(sw_report *r, sw_graph *graph) {
    const char *text = sw_graph_meta(graph, "imgsz");
    sw_tensor *type = graph->n_inputs == 1 ? &graph->inputs[0]->type : NULL;
    if (!type || type->rank != 4 || type->dims[2] >= 0 || type->dims[3] >= 0) return;
    int64_t sides[2];
    if (!sw_meta_size(text, sides)) return;
    r->assumed_height = (int)(type->dims[2] = sides[0]);
    r->assumed_width = (int)(type->dims[3] = sides[1]);
}

/* -- What it is for ------------------------------------------------------------------------------------------------------ */

/* Keeps the first error as a text. */
typedef struct refusal {
    sw_arena *arena;
    const char *text;
} refusal;

static void keep_refusal(void *ctx, const sw_message *message) {
    refusal *r = ctx;
    if (message->severity == SW_ERROR && !r->text) r->text = sw_arena_strdup(r->arena, message->text);
}

static bool takes_pictures(const sw_graph *graph) {
    const sw_tensor *t = graph->n_inputs == 1 ? &graph->inputs[0]->type : NULL;
    return t && ((t->rank == 4 && (t->dims[1] == 3 || t->dims[3] == 3)) || (t->rank == 3 && t->dims[0] == 3));
}

/* Makes a detector of the model, as `predict` would, and asks it. */
static void recognise(sw_report *r, sw_arena *arena) {
    if (!takes_pictures(r->graph)) return;
    refusal why = {.arena = arena};
    sw_diag diag = {.emit = keep_refusal, .ctx = &why};
    sw_plan *plan;
    sw_detector *detector = NULL;
    if (sw_plan_build(r->path, &diag, &plan) == SW_OK) {
        if (sw_detector_create(plan, NULL, &diag, &detector) != SW_OK) detector = NULL;
        sw_plan_unref(plan);
    }
    if (detector) {
        r->task = sw_task_name(sw_detector_task(detector));
        r->head = sw_arena_strdup(arena, sw_detector_reason(detector));
        r->preparation = sw_arena_strdup(arena, sw_detector_preparation(detector));
        r->classes = sw_detector_classes(detector);
    }
    r->refusal = detector ? NULL : why.text;
    sw_detector_destroy(detector);
}

/* -- Forms --------------------------------------------------------------------------------------------------------------- */

/* The graph's text form after a pass. */
static sw_status print_after(const sw_args *args, sw_graph *graph, const char *pass, sw_console *c) {
    SW_TRY(set_shapes(graph, args, &c->diag));
    bool all = strcmp(pass, "all") == 0;
    SW_TRY(sw_passes_run(graph, all ? NULL : pass, &c->diag));
    if (all) SW_TRY(sw_passes_for_cpu(graph, false));
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory) return SW_E_NOMEM;
    sw_graph_dump(graph, memory);
    bool good = fclose(memory) == 0;
    if (good) sw_print_text(c, text, size);
    free(text);
    return good ? SW_OK : SW_E_NOMEM;
}

static void count_flops(sw_report *r) {
    for (const sw_node *node = r->graph->first; node; node = node->next) {
        double flops = sw_node_flops(node);
        if (flops < 0)
            r->unknown++;
        else
            r->flops += flops;
    }
}

static sw_status write_dot(const sw_report *report, const char *path, const sw_diag *diag) {
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_report_dot(report, &buf);
    sw_status status = buf.status == SW_OK ? sw_file_write(path, buf.data, buf.size, diag) : buf.status;
    sw_buf_free(&buf);
    return status;
}

static const sw_tensor *copy_types(sw_arena *arena, sw_value *const *values, int n) {
    sw_tensor *types = SW_ARENA_ARRAY(arena, sw_tensor, n);
    for (int i = 0; types && i < n; i++) types[i] = values[i]->type;
    return types;
}

static sw_status report(const sw_args *args, sw_graph *graph, sw_console *c) {
    sw_report r = {.path = args->operands[0],
                   .graph = graph,
                   .nodes_in_file = graph->n_nodes,
                   .weight = sw_graph_weight(graph),
                   .layers = sw_args_flag(args, "layers")};
    r.inputs = copy_types(args->arena, graph->inputs, graph->n_inputs);
    r.outputs = copy_types(args->arena, graph->outputs, graph->n_outputs);
    if (!r.inputs || !r.outputs) return SW_E_NOMEM;
    recognise(&r, args->arena);
    if (sw_args_given(args, "shapes"))
        SW_TRY(set_shapes(graph, args, &c->diag));
    else
        assume_size(&r, graph);
    SW_TRY(sw_passes_run(graph, "fold", &c->diag));
    count_flops(&r);
    const char *dot = sw_args_text(args, "dot");
    if (dot) SW_TRY(write_dot(&r, dot, &c->diag));
    if (sw_args_flag(args, "json"))
        sw_report_json(&r, &c->out);
    else if (!c->quiet)
        sw_report_text(&r, c);
    return SW_OK;
}

static sw_status report_plan(const sw_args *args, const sw_map *map, sw_console *c) {
    sw_plan *plan;
    const char *const of_models[] = {"shapes", "passes", "dot"};
    for (size_t i = 0; i < sizeof of_models / sizeof of_models[0]; i++)
        if (sw_args_given(args, of_models[i]))
            return sw_fail(&c->diag, SW_E_USAGE, args->verb->name, NULL, "--%s is for models, but this is a plan",
                           of_models[i]);
    SW_TRY(sw_plan_load(args->operands[0], NULL, &c->diag, &plan));
    sw_plan_view view = {.path = args->operands[0],
                         .plan = plan,
                         .file_bytes = map->size,
                         .layers = sw_args_flag(args, "layers"),
                         .tactics = sw_args_flag(args, "tactics")};
    if (sw_args_flag(args, "json"))
        sw_plan_report_json(&view, &c->out);
    else if (!c->quiet)
        sw_plan_report_text(&view, c);
    sw_plan_unref(plan);
    return SW_OK;
}

static sw_status run(const sw_args *args, sw_console *console) {
    sw_graph *graph;
    sw_map map;
    const char *device = sw_args_text(args, "device"), *dot;
    SW_TRY(sw_args_output(args, "dot", args->operands[0], &console->diag, &dot));
    console->subject = args->operands[0];
    if (device && strcmp(device, "cpu") != 0) return sw_inspect_gpu(args, console, device);
    if (sw_map_open(args->operands[0], NULL, &map) == SW_OK) {
        bool plan = sw_plan_sniff(map.data, map.size);
        sw_status status = plan ? report_plan(args, &map, console) : SW_OK;
        sw_map_close(&map);
        if (plan) return status;
    }
    if (sw_args_flag(args, "tactics"))
        return sw_fail(&console->diag, SW_E_USAGE, args->verb->name, "build one with 'slipway build'",
                       "--tactics is for plans");
    SW_TRY(sw_graph_load(args->operands[0], &console->diag, &graph));
    const char *pass = sw_args_text(args, "passes");
    sw_status status = pass ? print_after(args, graph, pass, console) : report(args, graph, console);
    sw_graph_destroy(graph);
    return status;
}

const sw_verb sw_verb_inspect = {
    .name = "inspect",
    .operands = "MODEL|PLAN",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "Show what is inside a model",
    .description =
        "Prints inputs, outputs, metadata, parameters, arithmetic and operators, and what 'slipway predict' takes the model "
        "for. Arithmetic is two operations for each multiply-add of convolutions and matrix products. Sizes that the model "
        "leaves open can be set with --shapes; otherwise an open batch counts as 1, and an open height and width as the "
        "metadata say (imgsz). Of a plan it prints the receipt (what it was built from, by and on), "
        "what it needs, and the steps.",
    .options =
        (const sw_option[]){
            {.name = "layers", .letter = 'l', .help = "print each node with its output, parameters and arithmetic"},
            {.name = "shapes",
             .also = "shape",
             .kind = SW_TEXT,
             .argument = "[NAME=]DIMS",
             .many = true,
             .help = "the shape of an input, such as images=1x3x640x640; a model with one input needs no name"},
            {.name = "tactics", .help = "of a plan: print how long each tactic took, and which won"},
            {.name = "device",
             .kind = SW_TEXT,
             .argument = "NAME",
             .help =
                 "print what would run on that GPU (cuda, cuda:N) in kernels, and what on the CPU and why; with --layers "
                 "each node"},
            {.name = "json", .help = "print JSON, with every node"},
            {.name = "passes",
             .kind = SW_TEXT,
             .argument = "PASS",
             .help =
                 "print the graph as text after this pass of the builder; 'none' is the model as it is, 'all' what is run"},
            {.name = "dot", .kind = SW_TEXT, .argument = "FILE", .help = "write the graph for Graphviz, too"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway inspect yolo11n.onnx", "The most important on a page"},
            {"slipway inspect yolo11n.onnx --layers", "Layer by layer"},
            {"slipway inspect rtdetr-l.onnx --device cuda", "What a GPU would not run"},
            {"slipway inspect yolo11n.onnx --passes all", "What is left to run, as text"},
            {"slipway inspect yolo11n.onnx --dot graph.dot && dot -Tsvg graph.dot -o graph.svg", "A drawing"},
            {0},
        },
    .run = run,
};
