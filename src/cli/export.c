/* slipway export: a model in the formats of other runtimes. */
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "base/stage.h"
#include "base/str.h"
#include "build/build.h"
#include "cli/child.h"
#include "cli/options.h"
#include "cli/shapes.h"
#include "cli/verify.h"
#include "export/export.h"
#include "pass/pass.h"

enum { MOST_BATCH = 65536, MOST_TARGETS = 16 };

/* What is asked for, in options or in Ultralytics' spelling. */
typedef struct request {
    const char *model, *formats, *output, *imgsz, *data;
    bool force, json, verify;
    double tolerance;
    int64_t limit;
    sw_export_options options;
} request;

typedef struct target {
    const sw_exporter *exporter;
    const char *path;
    int64_t bytes, nanoseconds;
    int nodes, transposes;
    sw_verify verify;
    double map[2]; /* of the model and of the file, on --data; below 0: not measured */
} target;

/* -- Ultralytics' spelling ------------------------------------------------------------------------------------------ */

/* key=value: the option that it stands for. Values of flags are True or False. */
static const struct {
    const char *key, *option;
    bool flag;
} spellings[] = {
    {"model", NULL, false},
    {"format", "to", false},
    {"imgsz", "imgsz", false},
    {"half", "half", true},
    {"quantize", "precision", false},
    {"batch", "batch", false},
    {"opset", "opset", false},
    {"dynamic", "dynamic", true},
    {"nms", "nms", true},
    {"conf", "conf", false},
    {"iou", "iou", false},
    {"max_det", "max-det", false},
    {"agnostic_nms", "agnostic-nms", true},
    {"data", "data", false},
    {"verify", "verify", true},
};

/* Things of Ultralytics that mean nothing here, with any value. */
static const char *const ignored[] = {"simplify", "device",  "optimize", "workspace", "keras",
                                      "fraction", "verbose", "task",     "mode"};

static bool is_word(const char *text, size_t length, const char *word) {
    return strlen(word) == length && !strncmp(text, word, length);
}

static sw_status read_flag(const char *word, const char *value, bool *on, const sw_diag *diag) {
    *on = !strcmp(value, "True") || !strcmp(value, "true") || !strcmp(value, "1");
    if (*on || !strcmp(value, "False") || !strcmp(value, "false") || !strcmp(value, "0") || !strcmp(value, "None"))
        return SW_OK;
    return sw_fail(diag, SW_E_USAGE, "export", NULL, "%s: expected True or False", word);
}

/* One word key=value as words of options, appended to argv. */
static sw_status translate(const char *word, sw_arena *arena, const char **argv, int *argc, const char **model,
                           const sw_diag *diag) {
    size_t key = strcspn(word, "=");
    const char *value = word + key + 1;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (is_word(word, key, ignored[i])) return SW_OK;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        if (!is_word(word, key, spellings[i].key)) continue;
        bool on = true;
        if (!spellings[i].option) {
            *model = value;
            return SW_OK;
        }
        if (spellings[i].flag) SW_TRY(read_flag(word, value, &on, diag));
        if (!on || !strcmp(value, "None")) return SW_OK;
        const char *made = spellings[i].flag ? sw_arena_printf(arena, "--%s", spellings[i].option)
                                             : sw_arena_printf(arena, "--%s=%s", spellings[i].option, value);
        if (!made) return SW_E_NOMEM;
        argv[(*argc)++] = made;
        return SW_OK;
    }
    bool int8 = false;
    if (is_word(word, key, "int8")) {
        SW_TRY(read_flag(word, value, &int8, diag));
        if (!int8) return SW_OK;
        return sw_fail(diag, SW_E_USAGE, "export", "half=True is there; quantised models keep their integers",
                       "int8=True: quantising a model is not supported");
    }
    return sw_fail(diag, SW_E_USAGE, "export", "see 'slipway export --help'", "there is no setting '%.*s'", (int)key,
                   word);
}

/* Operands key=value become options; others are the model. A file of such a name is a model. */
static sw_status read_operands(const sw_args *args, sw_args *parsed, const char **model, const sw_diag *diag) {
    int n = 0;
    const char **argv = SW_ARENA_ARRAY(args->arena, const char *, args->n_operands + 1);
    if (!argv) return SW_E_NOMEM;
    for (int i = 0; i < args->n_operands; i++) {
        const char *word = args->operands[i];
        if (strchr(word, '=') && sw_path_kind_of(word) == SW_PATH_NONE)
            SW_TRY(translate(word, args->arena, argv, &n, model, diag));
        else if (*model)
            return sw_fail(diag, SW_E_USAGE, "export", NULL, "'%s' is one too many: it takes one model", word);
        else
            *model = word;
    }
    if (!*model) return sw_fail(diag, SW_E_USAGE, "export", "see 'slipway export --help'", "MODEL is missing");
    sw_verb none = *args->verb;
    none.least_operands = 0;
    sw_verb *verb = sw_arena_copy(args->arena, &none, sizeof none);
    return verb ? sw_args_parse(verb, n, (char *const *)(uintptr_t)argv, args->arena, diag, parsed) : SW_E_NOMEM;
}

/* -- The request ---------------------------------------------------------------------------------------------------- */

static bool flag(const sw_args *a, const sw_args *b, const char *name) {
    return sw_args_flag(a, name) || sw_args_flag(b, name);
}

/* Of two command lines, the one that gives the option. */
static const sw_args *giver(const sw_args *a, const sw_args *b, const char *name) {
    return sw_args_given(b, name) ? b : a;
}

/* "fp16", "16", "fp32", "32"; Ultralytics' 8 is refused by name. */
static sw_status read_precision(const char *text, bool half, sw_dtype *precision, const sw_diag *diag) {
    *precision = half ? SW_F16 : SW_DTYPE_NONE;
    if (!text) return SW_OK;
    bool is_half = !strcmp(text, "fp16") || !strcmp(text, "16") || !strcmp(text, "half");
    if (!is_half && strcmp(text, "fp32") != 0 && strcmp(text, "32") != 0)
        return sw_fail(diag, SW_E_USAGE, "export", NULL, "--precision wants fp32 or fp16, found '%s'", text);
    if (half && !is_half)
        return sw_fail(diag, SW_E_USAGE, "export", NULL, "--half and --precision %s contradict each other", text);
    *precision = is_half ? SW_F16 : SW_F32;
    return SW_OK;
}

/* The model's name without folder and ending. */
static const char *stem_of(const char *path, sw_arena *arena) {
    const char *name = sw_path_name(path), *dot = strrchr(name, '.');
    return sw_arena_strndup(arena, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

static sw_status read_request(const sw_args *args, request *r, const sw_diag *diag) {
    sw_args more;
    SW_TRY(read_operands(args, &more, &r->model, diag));
#define TEXT(name) sw_args_text(giver(args, &more, name), name)
    r->formats = TEXT("to");
    r->output = TEXT("output");
    r->imgsz = TEXT("imgsz");
    r->force = flag(args, &more, "force");
    r->json = flag(args, &more, "json");
    r->verify = !flag(args, &more, "no-verify");
    r->tolerance = sw_args_number(giver(args, &more, "tolerance"), "tolerance");
    r->data = TEXT("data");
    r->limit = sw_args_int(giver(args, &more, "limit"), "limit");
    if (!r->verify && (r->data || flag(args, &more, "verify")))
        return sw_fail(diag, SW_E_USAGE, "export", NULL, "--%s and --no-verify contradict each other",
                       r->data ? "data" : "verify");
    sw_export_options *o = &r->options;
    o->stem = stem_of(r->model, args->arena);
    o->half_io = flag(args, &more, "half-io");
    o->external = flag(args, &more, "external-data");
    o->dynamic = flag(args, &more, "dynamic");
    o->opset = (int)sw_args_int(giver(args, &more, "opset"), "opset");
    o->batch = sw_args_int(giver(args, &more, "batch"), "batch");
    o->nms = (sw_export_nms){.on = flag(args, &more, "nms"),
                             .agnostic = flag(args, &more, "agnostic-nms"),
                             .conf = (float)sw_args_number(giver(args, &more, "conf"), "conf"),
                             .iou = (float)sw_args_number(giver(args, &more, "iou"), "iou"),
                             .max_det = (int)sw_args_int(giver(args, &more, "max-det"), "max-det")};
    if (o->nms.on && (o->dynamic || o->half_io))
        return sw_fail(diag, SW_E_USAGE, "export", NULL, "--nms and --%s contradict each other",
                       o->dynamic ? "dynamic" : "half-io");
    for (const char *const *name = (const char *const[]){"conf", "iou", "max-det", "agnostic-nms", NULL}; *name; name++)
        if (!o->nms.on && sw_args_given(giver(args, &more, *name), *name))
            sw_warn(diag, r->model, "--%s has no effect without --nms", *name);
    bool half = flag(args, &more, "half") || o->half_io;
    if (!o->stem) return SW_E_NOMEM;
    int sides[2] = {0};
    SW_TRY(sw_sides_parse(r->imgsz, "export", diag, sides));
    o->height = sides[0];
    o->width = sides[1];
    return read_precision(TEXT("precision"), half, &o->precision, diag);
#undef TEXT
}

/* -- Targets -------------------------------------------------------------------------------------------------------- */

static sw_status unknown_format(const char *name, size_t length, const sw_diag *diag) {
    const char *names[MOST_TARGETS];
    char list[128] = "", word[32];
    int n = sw_exporter_count();
    for (int i = 0; i < n; i++) {
        names[i] = sw_exporter_get(i)->name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", names[i]);
    }
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    const char *nearest = sw_str_nearest(word, names, (size_t)n);
    if (nearest) snprintf(list, sizeof list, "did you mean '%s'?", nearest);
    return sw_fail(diag, SW_E_USAGE, "export", NULL, "there is no format '%s' to export to; %s%s", word,
                   nearest ? "" : "known: ", list);
}

/* Where a format goes: beside the model; into the folder that -o names; or to the name that it gives. */
static const char *target_path(const request *r, const sw_exporter *e, int n_targets, sw_arena *arena) {
    const char *output = r->output;
    size_t length = output ? strlen(output) : 0;
    while (length > 1 && output[length - 1] == '/') length--; /* a folder is named without */
    bool folder = output &&
                  (n_targets > 1 || sw_path_kind_of(output) == SW_PATH_FOLDER || output[strlen(output) - 1] == '/') &&
                  !(n_targets == 1 && sw_str_ends_with(output, e->ending));
    if (output && !folder) return sw_arena_strndup(arena, output, length);
    if (folder) return sw_arena_printf(arena, "%.*s/%s%s", (int)length, output, r->options.stem, e->ending);
    int beside = (int)(sw_path_name(r->model) - r->model);
    return sw_arena_printf(arena, "%.*s%s%s", beside, r->model, r->options.stem, e->ending);
}

/* What a format lacks is refused where the file would not be what was asked for. Options of one format's dialects are not meant
 * for the others beside it. */
static sw_status check_options(const sw_export_options *o, const target *targets, int n, const sw_diag *diag) {
    const char *dialect = o->opset ? "opset" : o->half_io ? "half-io" : o->external ? "external-data" : NULL;
    for (int i = 0; i < n; i++) {
        const sw_exporter *e = targets[i].exporter;
        const char *lacking = o->dynamic && !e->open_sizes ? "dynamic" : o->nms.on && !e->nms ? "nms" : NULL;
        if (lacking)
            return sw_fail(diag, SW_E_USAGE, "export", "leave it out for this format",
                           "--%s: %s files cannot have that", lacking, e->name);
        if (e->dialects) dialect = NULL;
    }
    if (!dialect) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, "export", "use it with --to onnx", "--%s means nothing for %s", dialect,
                   targets[0].exporter->name);
}

static sw_status find_targets(const request *r, sw_arena *arena, target *targets, int *n, const sw_diag *diag) {
    for (const char *at = r->formats; *at;) {
        size_t length = strcspn(at, ",");
        const sw_exporter *e = sw_exporter_find(at, length);
        if (!e) return unknown_format(at, length, diag);
        for (int i = 0; i < *n; i++)
            if (targets[i].exporter == e)
                return sw_fail(diag, SW_E_USAGE, "export", NULL, "--to names %s twice", e->name);
        targets[(*n)++] = (target){.exporter = e};
        at += length + (at[length] == ',');
    }
    SW_TRY(check_options(&r->options, targets, *n, diag));
    for (int i = 0; i < *n; i++) {
        targets[i].path = target_path(r, targets[i].exporter, *n, arena);
        if (!targets[i].path) return SW_E_NOMEM;
        if (sw_path_same(targets[i].path, r->model))
            return sw_fail(diag, SW_E_USAGE, targets[i].path, "name another place with -o", "is the model itself");
        if (!r->force && sw_path_kind_of(targets[i].path) != SW_PATH_NONE)
            return sw_fail(diag, SW_E_USAGE, targets[i].path, "--force replaces it; -o names another place",
                           "is there already");
    }
    return SW_OK;
}

/* -- Work ----------------------------------------------------------------------------------------------------------- */

/* Weights of a float16 model stay as small as they are, unless another precision is asked for. */
static sw_status prepare(sw_graph *graph, request *r, const sw_exporter *exporter, const sw_diag *diag) {
    bool was_half = false;
    SW_TRY(sw_export_prepare(graph, &r->options, diag));
    graph->keep_integers = true;
    SW_TRY(sw_passes_run(graph, SW_EXPORT_LAST_PASS, diag));
    if (!exporter->float32 && r->options.precision != SW_F32) return SW_OK;
    SW_TRY(sw_pass_float32(graph, &was_half));
    if (!was_half) return SW_OK;
    if (r->options.precision == SW_DTYPE_NONE) r->options.precision = SW_F16;
    return sw_passes_run(graph, SW_EXPORT_LAST_PASS, diag);
}

/* The folder that a file goes to, where there is none yet. */
static sw_status make_folder(const char *path, sw_arena *arena, const sw_diag *diag) {
    const char *folder = sw_arena_strndup(arena, path, (size_t)(sw_path_name(path) - path));
    if (!folder) return SW_E_NOMEM;
    return *folder && sw_path_kind_of(folder) == SW_PATH_NONE ? sw_dir_make(folder, diag) : SW_OK;
}

static int count_transposes(const sw_graph *graph) {
    int n = 0;
    for (const sw_node *node = graph->first; node; node = node->next) n += node->op == SW_OP_Transpose;
    return n;
}

/* What was written, before it gets its name: numbers as the model's, and mAP of both where there are pictures. */
static sw_status check_target(const request *r, target *t, const char *file, sw_arena *arena, const sw_diag *diag) {
    if (!r->verify) return SW_OK;
    SW_TRY(sw_verify_file(&(sw_verify_request){.model = r->model,
                                               .exporter = t->exporter,
                                               .options = &r->options,
                                               .file = file,
                                               .name = t->path,
                                               .tolerance = r->tolerance},
                          arena, diag, &t->verify));
    if (!r->data || t->verify.skipped) return SW_OK;
    sw_val_wish wish = {.model = r->model, .data = r->data, .limit = r->limit, .imgsz = r->imgsz};
    SW_TRY(sw_val_map(&wish, arena, diag, &t->map[0]));
    wish.model = file;
    wish.backend = t->verify.backend;
    return sw_val_map(&wish, arena, diag, &t->map[1]);
}

static sw_status write_target(const request *r, sw_graph *graph, target *t, int64_t began, sw_arena *arena,
                              const sw_diag *diag) {
    sw_stage *stage;
    sw_export_options options = r->options;
    options.transposes = &t->transposes;
    t->transposes = -1;
    SW_TRY(make_folder(t->path, graph->arena, diag));
    SW_TRY(sw_stage_open(t->path, diag, &stage));
    sw_status status = t->exporter->write(graph, &options, sw_stage_path(stage), sw_stage_diag(stage));
    if (status == SW_OK) {
        t->nodes = graph->n_nodes;
        if (t->transposes < 0) t->transposes = count_transposes(graph);
        t->bytes = sw_stage_bytes(stage);
        t->nanoseconds = sw_clock_ns() - began;
        status = check_target(r, t, sw_stage_path(stage), arena, diag);
        if (status == SW_OK) return sw_stage_commit(stage);
    }
    sw_stage_abort(stage);
    return status;
}

static sw_status export_one(const request *r, target *t, sw_arena *arena, const sw_diag *diag) {
    sw_graph *graph;
    int64_t began = sw_clock_ns();
    request own = *r;
    SW_TRY(sw_graph_load(r->model, diag, &graph));
    sw_status status = prepare(graph, &own, t->exporter, diag);
    if (status == SW_OK) status = write_target(&own, graph, t, began, arena, diag);
    sw_graph_destroy(graph);
    return status;
}

static void print_json(const target *targets, int n, bool verified, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 2);
    sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        sw_json_object(&w);
        sw_json_key(&w, "format");
        sw_json_string(&w, targets[i].exporter->name);
        sw_json_key(&w, "path");
        sw_json_string(&w, targets[i].path);
        sw_json_key(&w, "bytes");
        sw_json_int(&w, targets[i].bytes);
        sw_json_key(&w, "nodes");
        sw_json_int(&w, targets[i].nodes);
        sw_json_key(&w, "transposes");
        sw_json_int(&w, targets[i].transposes);
        sw_json_key(&w, "seconds");
        sw_json_fixed(&w, (double)targets[i].nanoseconds * 1e-9, 3);
        if (verified) sw_verify_json(&targets[i].verify, &w);
        if (targets[i].map[0] >= 0) {
            sw_json_key(&w, "map_model"), sw_json_f64(&w, targets[i].map[0]);
            sw_json_key(&w, "map_file"), sw_json_f64(&w, targets[i].map[1]);
        }
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_buf_append_byte(buf, '\n');
}

static void print_target(const request *r, const target *t, sw_console *console) {
    sw_print(console, "%-9s %s  %.1f MB, %d nodes, %.2f s\n", t->exporter->name, t->path, (double)t->bytes * 1e-6,
             t->nodes, (double)t->nanoseconds * 1e-9);
    if (r->verify) sw_verify_print(&t->verify, console);
    if (t->map[0] >= 0) sw_print(console, "          mAP50-95 %.4f, of the model %.4f\n", t->map[1], t->map[0]);
}

static sw_status run(const sw_args *args, sw_console *console) {
    request r = {0};
    target targets[MOST_TARGETS];
    int n = 0;
    SW_TRY(read_request(args, &r, &console->diag));
    console->subject = r.model;
    SW_TRY(find_targets(&r, args->arena, targets, &n, &console->diag));
    for (int i = 0; i < n; i++) {
        targets[i].map[0] = targets[i].map[1] = -1;
        SW_TRY(export_one(&r, &targets[i], args->arena, &console->diag));
        if (!r.json && !console->quiet) print_target(&r, &targets[i], console);
    }
    if (r.json) print_json(targets, n, r.verify, &console->out);
    return SW_OK;
}

static const sw_option options[] = {
    {.name = "to",
     .kind = SW_TEXT,
     .argument = "FORMAT,...",
     .standard = "onnx",
     .help = "the formats to write: onnx, openvino, tflite"},
    {.name = "output",
     .letter = 'o',
     .kind = SW_TEXT,
     .argument = "PATH",
     .help = "the file to write, or a folder for it (default: beside the model)"},
    SW_IMGSZ_OPTION("size of the picture, where the model leaves it open (default: what its metadata say)"),
    {.name = "batch",
     .kind = SW_INT,
     .argument = "N",
     .least = 1,
     .most = MOST_BATCH,
     .help = "pictures at once, where the model leaves it open (default: 1)"},
    {.name = "dynamic", .help = "leave batch, height and width open"},
    {.name = "half", .help = "weights in float16; inputs and outputs stay float32"},
    {.name = "half-io", .help = "as --half, with inputs and outputs in float16, too (onnx)"},
    {.name = "precision",
     .kind = SW_TEXT,
     .argument = "fp32|fp16",
     .help = "the precision of the weights (default: as the model has them)"},
    {.name = "opset",
     .kind = SW_INT,
     .argument = "N",
     .least = 13,
     .most = 26,
     .help = "version of ONNX (default: 18)"},
    {.name = "nms",
     .help = "suppress overlapping boxes inside the model: output0 becomes N x max-det x 6 (box, score, class)"},
    {.name = "conf",
     .kind = SW_NUMBER,
     .argument = "X",
     .standard = "0.25",
     .most = 1,
     .help = "with --nms: drop what is less sure"},
    {.name = "iou",
     .kind = SW_NUMBER,
     .argument = "X",
     .standard = "0.7",
     .most = 1,
     .help = "with --nms: drop boxes that overlap a surer one of their class by more"},
    {.name = "max-det",
     .kind = SW_INT,
     .argument = "N",
     .standard = "300",
     .least = 1,
     .most = 100000,
     .help = "with --nms: at most so many boxes a picture"},
    {.name = "agnostic-nms", .help = "with --nms: boxes of all classes suppress each other"},
    {.name = "external-data", .help = "weights in a file beside the model (onnx); beyond 2 GiB they always are"},
    {.name = "no-verify", .help = "do not compare what was written with the model"},
    {.name = "verify", .help = "compare (the standard): both run on noise, the file in the runtime that it is for"},
    {.name = "tolerance",
     .kind = SW_NUMBER,
     .argument = "X",
     .most = 1,
     .help = "how far outputs may be off, of their scale (default: 1e-3, with float16 1e-2, with integers 0.3)"},
    {.name = "data",
     .kind = SW_TEXT,
     .argument = "PATH",
     .help = "pictures with known objects: mAP of the model and of the file, in its runtime"},
    {.name = "limit",
     .kind = SW_INT,
     .argument = "N",
     .least = 0,
     .most = 1e9,
     .help = "with --data: only the first N pictures"},
    {.name = "force", .letter = 'f', .help = "replace what is there"},
    {.name = "json", .help = "print what was written as JSON"},
    {0},
};

const sw_verb sw_verb_export = {
    .name = "export",
    .operands = "MODEL [KEY=VALUE...]",
    .most_operands = 64,
    .summary = "Write a model in the format of another runtime",
    .description =
        "Reads MODEL, folds what is constant and batch normalisation, and writes it for another runtime, with the metadata "
        "that Ultralytics' programs read. Then it runs the file in the runtime that it is for, where that is installed "
        "('slipway backends'), else in Slipway, beside the model itself, and tells how far the outputs are apart. The file "
        "appears whole, and within the tolerance, or not at all.\n\n"
        "Ultralytics' spelling works, too: model=yolo11n.pt format=onnx imgsz=640 half=True batch=1 dynamic=True.",
    .options = options,
    .examples =
        (const sw_example[]){
            {"slipway export yolo11n.pt", "yolo11n.onnx, beside the checkpoint"},
            {"slipway export yolo11n.pt --to onnx,openvino -o models/", "Both, in a folder"},
            {"slipway export yolo11n.pt --half --imgsz 480,640 -o small.onnx", "Half the size, for wide pictures"},
            {"slipway export model=yolo11n.pt format=onnx dynamic=True",
             "As you would have written it for yolo export"},
            {0},
        },
    .run = run,
};
