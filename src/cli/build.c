/* slipway build: a model made ready for this machine, as a plan file; slipway refit. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "build/build.h"
#include "cli/shapes.h"
#include "engine/plan_file.h"

/* "dir/yolo11n.onnx" to "yolo11n.slip". */
static const char *default_name(const sw_args *args, const char *model) {
    const char *name = sw_path_name(model), *dot = strrchr(name, '.');
    return sw_arena_printf(args->arena, "%.*s.slip", (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name)),
                           name);
}

static sw_status output_of(const sw_args *args, const char *model, const sw_diag *diag, const char **path) {
    SW_TRY(sw_args_output(args, "output", model, diag, path));
    if (*path) return SW_OK;
    *path = default_name(args, model);
    if (!*path) return SW_E_NOMEM;
    if (sw_path_same(*path, model))
        return sw_fail(diag, SW_E_USAGE, args->verb->name, "choose another -o", "the plan would overwrite '%s'", model);
    return SW_OK;
}

static sw_status file_bytes(const char *path, const sw_diag *diag, size_t *bytes) {
    sw_map map;
    SW_TRY(sw_map_open(path, diag, &map));
    *bytes = map.size;
    sw_map_close(&map);
    return SW_OK;
}

/* What was made, as a line or as JSON. */
static sw_status tell(const sw_args *args, sw_console *c, const char *path, const sw_plan *plan, double seconds) {
    size_t bytes;
    SW_TRY(file_bytes(path, &c->diag, &bytes));
    if (sw_args_flag(args, "json")) {
        sw_json_writer w = sw_json_writer_make(&c->out, 2);
        sw_json_object(&w);
        sw_json_key(&w, "plan"), sw_json_string(&w, path);
        sw_json_key(&w, "bytes"), sw_json_int(&w, (int64_t)bytes);
        sw_json_key(&w, "steps"), sw_json_int(&w, (int64_t)plan->n_steps);
        sw_json_key(&w, "seconds"), sw_json_fixed(&w, seconds, 3);
        sw_json_object_end(&w);
        sw_print(c, "\n");
    } else if (!c->quiet)
        sw_print(c, "%s: %zu steps, %.1f MB, built in %.2f s\n", path, plan->n_steps, (double)bytes / 1e6, seconds);
    return sw_console_flush(c);
}

static double seconds_since(int64_t start) {
    return (double)(sw_clock_ns() - start) / 1e9;
}

static sw_status precision_of(const sw_args *args, const sw_diag *diag, sw_build_options *options) {
    static const struct {
        const char *name;
        sw_dtype type;
    } names[] = {{"fp32", SW_F32}, {"tf32", SW_F32}, {"fp16", SW_F16}, {"bf16", SW_BF16}, {"best", SW_DTYPE_NONE}};
    const char *text = sw_args_text(args, "precision");
    for (size_t i = 0; text && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) != 0) continue;
        options->precision = names[i].type;
        options->best_precision = names[i].type == SW_DTYPE_NONE;
        options->tf32 = !strcmp(text, "tf32");
        if (!options->tf32 || sw_build_is_for_gpu(options)) return SW_OK;
        return sw_fail(diag, SW_E_USAGE, args->verb->name, "give --device cuda", "--precision tf32 is for GPUs");
    }
    if (!text) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, args->verb->name, "see --help",
                   "--precision is '%.32s', expected fp32, tf32, fp16, bf16 or best", text);
}

static void tell_progress(void *ctx, int done, int total) {
    sw_console_progress(ctx, (size_t)done, (size_t)total, "timing kernels");
}

/* A portable plan pins no kernels, so there is nothing to time. */
static sw_tuning tuning_of(const sw_args *args, sw_console *c) {
    const char *cache = sw_args_text(args, "timing-cache");
    return (sw_tuning){
        .level = sw_args_flag(args, "portable") ? 0 : (int)sw_args_int(args, "opt-level"),
        .threads = (int)sw_args_int(args, "threads"),
        .seconds = sw_args_number(args, "tune-seconds"),
        .max_weight_growth = sw_args_number(args, "max-weight-growth"),
        .timing_cache = cache && !strcmp(cache, "none") ? "" : cache,
        .progress = tell_progress,
        .progress_ctx = c,
        .no_libraries = sw_args_flag(args, "no-libraries"),
        .library_gain = fmax(sw_args_number(args, "library-gain"), 1e-6), /* 0 is the default there */
    };
}

/* Which GPUs a plan is for. */
static sw_status compat_of(const sw_args *args, const sw_diag *diag, bool *any_of_sm) {
    const char *text = sw_args_text(args, "compat");
    *any_of_sm = text != NULL;
    if (!text || !strcmp(text, "sm")) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, args->verb->name, "see --help", "--compat is '%.32s', expected sm", text);
}

static sw_status build(const sw_args *args, sw_console *c) {
    const char *model = args->operands[0], *path;
    sw_plan_save_options save = {.portable = sw_args_flag(args, "portable"), .strip = sw_args_flag(args, "strip")};
    sw_build_options options = {0};
    int64_t start = sw_clock_ns();
    SW_TRY(output_of(args, model, &c->diag, &path));
    SW_TRY(sw_shapes_parse(args, &c->diag, &options));
    SW_TRY(sw_batch_parse(args, &c->diag, &options));
    options.device = sw_args_text(args, "device");
    SW_TRY(precision_of(args, &c->diag, &options));
    SW_TRY(compat_of(args, &c->diag, &options.any_of_sm));
    options.with_code = sw_args_flag(args, "with-code");
    const char *of_gpu = options.with_code   ? "--with-code keeps compiled GPU kernels"
                         : options.any_of_sm ? "--compat is about GPUs"
                                             : NULL;
    if (of_gpu && !sw_build_is_for_gpu(&options))
        return sw_fail(&c->diag, SW_E_USAGE, args->verb->name, "give --device cuda", "%s, and this plan is for the CPU",
                       of_gpu);
    sw_tuning tuning = tuning_of(args, c);
    options.tuning = &tuning;
    c->subject = model;
    sw_plan *plan;
    sw_status status = sw_plan_build_with(model, &options, &c->diag, &plan);
    sw_console_progress_end(c);
    SW_TRY(status);
    save.portable |= plan->gpu != NULL; /* a GPU wants the weights as they are */
    status = sw_plan_save(plan, path, &save, &c->diag);
    c->subject = NULL;
    if (status == SW_OK) status = tell(args, c, path, plan, seconds_since(start));
    sw_plan_unref(plan);
    return status;
}

static sw_status refit(const sw_args *args, sw_console *c) {
    const char *stripped_path = args->operands[0], *model = args->operands[1], *path;
    int64_t start = sw_clock_ns();
    SW_TRY(sw_args_output(args, "output", model, &c->diag, &path));
    if (!path) return sw_fail(&c->diag, SW_E_USAGE, args->verb->name, "see --help", "-o is missing: the plan to write");
    sw_plan *stripped, *plan = NULL;
    SW_TRY(sw_plan_load(stripped_path, NULL, &c->diag, &stripped));
    sw_build_options options = {0};
    sw_status status = sw_plan_shapes(stripped, args->arena, &options);
    if (status == SW_OK) status = sw_plan_build_with(model, &options, &c->diag, &plan);
    if (status == SW_OK) status = sw_plan_refit(plan, stripped, model, &c->diag);
    if (status == SW_OK)
        status = sw_plan_save(plan, path, &(sw_plan_save_options){.portable = stripped->portable}, &c->diag);
    if (status == SW_OK) status = tell(args, c, path, plan, seconds_since(start));
    sw_plan_unref(plan);
    sw_plan_unref(stripped);
    return status;
}

const sw_verb sw_verb_build = {
    .name = "build",
    .operands = "MODEL",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "Make a plan of a model: ready for this machine, loaded in milliseconds",
    .description =
        "Reads a trained model, fuses its layers, times kernels on this machine and takes the fastest for each, "
        "packs the weights for it, and writes all that into one file. A plan is used wherever a model is: "
        "predict, run, val. It belongs to "
        "machines with the same instruction sets; another CPU model of the kind is told of once, one that lacks "
        "an instruction set is refused.\n\n"
        "Open dims of the model may be set with --shapes: a number fixes a dim, min:opt:max lets sessions choose "
        "within the range, and opt is what kernels are chosen for. Given again for the same input it makes "
        "another profile.",
    .options =
        (const sw_option[]){
            {.name = "output",
             .kind = SW_TEXT,
             .letter = 'o',
             .argument = "PLAN",
             .help = "the file to write (default: the model's name with .slip, here)"},
            {.name = "shapes",
             .kind = SW_TEXT,
             .argument = "[NAME=]DIMS",
             .many = true,
             .help = "the shape of an input, such as images=1x3x640x640 or 1:4:8x3x640x640; a model with one input "
                     "needs no name"},
            {.name = "batch",
             .kind = SW_TEXT,
             .argument = "N|min:opt:max",
             .help = "instead of --shapes: the batch, the first dim of every input, which must be open in the model; "
                     "pictures whose sides are open get those of the model's metadata"},
            {.name = "precision",
             .kind = SW_TEXT,
             .argument = "fp32|tf32|fp16|bf16|best",
             .help =
                 "what maps between layers are stored as (default fp32, on GPUs fp16); bf16 is half the bytes, and twice "
                 "the products a cycle where the CPU has AVX512-BF16; fp16 is half the bytes with three bits more, for "
                 "numbers up to 65504; inputs, outputs and what decodes them stay float32; best times those that the CPU "
                 "multiplies and takes the fastest; tf32 is for GPUs: fp32 whose convolutions may round their factors to "
                 "10 bits of mantissa"},
            {.name = "opt-level",
             .kind = SW_INT,
             .letter = 'O',
             .argument = "N",
             .standard = "3",
             .least = 0,
             .most = 5,
             .help =
                 "how much is timed: 0 nothing, kernels are chosen by estimate; 1 those that are estimated within 1.5 times "
                 "of the best, in 4 rounds; 2 within 2, 6 rounds; 3 within 3, 8 rounds; 4 within 6, 16 rounds; 5 all that "
                 "can run, 32 rounds"},
            {.name = "tune-seconds",
             .kind = SW_NUMBER,
             .argument = "S",
             .standard = "30",
             .least = 0,
             .most = 86400,
             .help = "end timing after so long, but not before each kernel, and the networks that they make, ran "
                     "once; import and packing come on top; 0: as long as it takes"},
            {.name = "timing-cache",
             .kind = SW_TEXT,
             .argument = "FILE",
             .help =
                 "where times are kept between builds (default: in slipway/ of $XDG_CACHE_HOME or ~/.cache), 'none' for "
                 "nowhere; same model, same complete cache, same plan"},
            {.name = "device",
             .kind = SW_TEXT,
             .argument = "DEVICE",
             .help =
                 "what the plan is for: cpu (default), cuda or cuda:N, auto (a GPU where there is one); tiles of tensor "
                 "cores are timed on that very GPU, and another GPU refuses the plan"},
            {.name = "compat",
             .kind = SW_TEXT,
             .argument = "sm",
             .help = "with --device cuda: let all GPUs of the same SM run the plan, with the tiles of this one"},
            {.name = "with-code",
             .help = "with --device cuda: keep the compiled kernels in the plan, for machines without NVRTC; they run "
                     "there with --trust-code"},
            {.name = "no-libraries",
             .help =
                 "with --device cuda: do not try cuDNN and cuBLASLt, which run a convolution where they are here and win"},
            {.name = "library-gain",
             .kind = SW_NUMBER,
             .argument = "PERCENT",
             .standard = "1",
             .least = 0,
             .most = 100,
             .help =
                 "with --device cuda: let libraries run convolutions only where the whole network takes so much less "
                 "with them, since plans that hold them load slower"},
            {.name = "threads",
             .kind = SW_INT,
             .argument = "N",
             .least = 0,
             .most = 1024,
             .help =
                 "threads that the plan will be run with, and kernels are timed with (default: all CPUs that may be used)"},
            {.name = "max-weight-growth",
             .kind = SW_NUMBER,
             .argument = "X",
             .least = 1,
             .most = 100,
             .help =
                 "let packed weights of convolutions take at most X times their bytes: kernels that need more (Winograd's "
                 "take up to 4 times) are chosen only where they gain most"},
            {.name = "portable",
             .help = "for any CPU that Slipway runs on: weights are stored once as they are, and each machine "
                     "chooses kernels and packs when it loads, which makes loading slower"},
            {.name = "strip", .help = "leave the weights out; 'slipway refit' puts those of a model in"},
            {.name = "json", .help = "print what was made as JSON"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway build yolo11n.onnx", "Writes yolo11n.slip"},
            {"slipway build yolo11n.pt -o yolo.slip --shapes 1x3x640x640 && slipway predict yolo.slip street.jpg",
             "Build once, use it"},
            {"slipway build model.onnx --batch 1:4:8", "Batches of 1 to 8"},
            {"slipway build model.onnx --shapes 1x3x320:640:1280x320:640:1280", "Pictures of many sizes"},
            {"slipway build yolo11n.onnx -O 5 --tune-seconds 0 && slipway inspect yolo11n.slip --tactics",
             "Time everything, and see what was chosen over what"},
            {"slipway build yolo11n.pt --device cuda -o yolo11n-gpu.slip && slipway predict yolo11n-gpu.slip street.jpg "
             "--device cuda",
             "Tuned on the GPU that is there"},
            {"slipway build yolo11n.onnx --precision bf16", "Faster on CPUs with AVX512-BF16"},
            {0},
        },
    .run = build,
};

const sw_verb sw_verb_refit = {
    .name = "refit",
    .operands = "PLAN MODEL",
    .least_operands = 2,
    .most_operands = 2,
    .summary = "Put weights into a stripped plan",
    .description =
        "PLAN was made by 'slipway build --strip', or any plan whose weights are to be others: those of MODEL, "
        "which must be of the same architecture, trained again for instance. Kernels, shapes and timings of the "
        "plan stay.",
    .options =
        (const sw_option[]){
            {.name = "output", .kind = SW_TEXT, .letter = 'o', .argument = "PLAN", .help = "the file to write"},
            {.name = "json", .help = "print what was made as JSON"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway refit empty.slip retrained.pt -o full.slip", "New weights, same plan"},
            {0},
        },
    .run = refit,
};
