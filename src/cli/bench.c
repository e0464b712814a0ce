/* slipway bench: how fast a model is here, in Slipway and in other runtimes. */
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/shapes.h"

enum { MOST_LIST = 16, ROUNDS = 5, MOST_THREADS = 1024, MOST_BATCH = 65536, MOST_TIMES = 1 << 24 };

typedef struct bench {
    const sw_args *args;
    sw_console *console;
    const sw_foreign_runtime *backends[MOST_LIST];
    int n_backends, n_threads, n_batches;
    int64_t threads[MOST_LIST], batches[MOST_LIST];
    sw_dtype half;                  /* SW_BF16 or SW_F16 on a CPU */
    const char *device, *precision; /* device NULL: the CPU */
    sw_bench_row *rows;
    size_t n, cap;
    sw_status failed; /* the last failure of a backend */
    char why[512];    /* and its sentence */
} bench;

/* A backend that is ready. */
typedef struct runner {
    const sw_foreign_runtime *runtime;
    sw_foreign *child;
    sw_bench_row *row;
    sw_last_text why; /* what it said last; lives as long as the child */
} runner;

/* -- What is asked for ----------------------------------------------------------------------------------------------- */

static sw_status read_numbers(const bench *b, const char *option, int64_t most, int64_t *numbers, int *n) {
    const char *text = sw_args_text(b->args, option);
    for (const char *at = text ? text : ""; *at;) {
        size_t length = strcspn(at, ",");
        bool good =
            *n < MOST_LIST && sw_str_to_i64(at, length, &numbers[*n]) && numbers[*n] >= 1 && numbers[*n] <= most;
        if (!good)
            return sw_fail(&b->console->diag, SW_E_USAGE, "bench", NULL,
                           "--%s wants up to %d whole numbers from 1 to %lld, separated by commas; found '%s'", option,
                           MOST_LIST, (long long)most, text);
        (*n)++;
        at += length + (at[length] == ',');
    }
    return SW_OK;
}

/* "all" are those that are here. */
static sw_status all_backends(bench *b) {
    sw_python python;
    SW_TRY(sw_python_find(b->args->arena, &python));
    for (const sw_foreign_runtime *r = sw_foreign_runtimes; r->name && b->n_backends < MOST_LIST; r++) {
        sw_foreign_place place;
        SW_TRY(sw_foreign_locate(r, &python, b->args->arena, &place));
        if (place.path) b->backends[b->n_backends++] = r;
    }
    return SW_OK;
}

static sw_status read_backends(bench *b) {
    const char *text = sw_args_text(b->args, "backend");
    if (!strcmp(text, "all")) return all_backends(b);
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        const sw_foreign_runtime *r;
        SW_TRY(sw_backend_named(at, length, "bench", &b->console->diag, &r));
        for (int i = 0; i < b->n_backends; i++)
            if (b->backends[i] == r)
                return sw_fail(&b->console->diag, SW_E_USAGE, "bench", NULL, "--backend names %s twice", r->name);
        b->backends[b->n_backends++] = r;
        at += length + (at[length] == ',');
    }
    return SW_OK;
}

static sw_status read_request(bench *b) {
    const char *precision = sw_args_text(b->args, "precision");
    SW_TRY(sw_device_choose(sw_args_text(b->args, "device"), &b->console->diag, &b->device));
    b->precision = precision ? precision : b->device ? "fp16" : "fp32";
    bool bf16 = !strcmp(b->precision, "bf16"), fp16 = !strcmp(b->precision, "fp16");
    bool tf32 = b->device && !strcmp(b->precision, "tf32");
    b->half = bf16 ? SW_BF16 : fp16 && !b->device ? SW_F16 : SW_DTYPE_NONE;
    if (!bf16 && !fp16 && !tf32 && strcmp(b->precision, "fp32") != 0)
        return sw_fail(&b->console->diag, SW_E_USAGE, "bench", NULL,
                       "--precision wants fp32, fp16, bf16 or (with --device cuda) tf32, found '%s'", b->precision);
    SW_TRY(read_backends(b));
    SW_TRY(read_numbers(b, "threads", MOST_THREADS, b->threads, &b->n_threads));
    SW_TRY(read_numbers(b, "batch", MOST_BATCH, b->batches, &b->n_batches));
    if (!b->n_threads) b->threads[b->n_threads++] = sw_cpu_allowed();
    if (!b->n_batches) b->n_batches = 1; /* 0: as the model says */
    return SW_OK;
}

/* -- One backend ------------------------------------------------------------------------------------------------------- */

/* A backend that cannot take part is a warning: the others go on. */
static void leave_out(bench *b, const sw_foreign_runtime *r, const sw_bench_model *m, sw_status status,
                      const char *why) {
    b->failed = status;
    snprintf(b->why, sizeof b->why, "%s", why[0] ? why : sw_status_text(status));
    sw_warn(&b->console->diag, m->path, "%s is left out: %s", r->name, b->why);
}

/* Noise in the order of axes that the port wants. */
static sw_status bind(bench *b, runner *r, const sw_bench_model *m, const sw_diag *diag) {
    sw_arena *arena = b->args->arena;
    sw_named *inputs = SW_ARENA_ARRAY(arena, sw_named, m->n_inputs + 1), *bound;
    int n;
    const sw_named *ports = sw_foreign_inputs(r->child, &n);
    if (!inputs) return SW_E_NOMEM;
    for (int i = 0; i < m->n_inputs; i++) {
        inputs[i] = m->inputs[i];
        const sw_tensor *t = &inputs[i].type, *port = i < n ? &ports[i].type : NULL;
        bool last = port && t->rank == 4 && port->rank == 4 && t->dims[1] != t->dims[3] &&
                    port->dims[3] == t->dims[1] && port->dims[1] == t->dims[2];
        if (last) SW_TRY(sw_tensor_channels_last(t, false, arena, &inputs[i].type));
    }
    SW_TRY(sw_foreign_match(r->child, inputs, m->n_inputs, arena, diag, &bound));
    return sw_foreign_bind(r->child, bound, m->n_inputs);
}

static sw_status copy_settings(const sw_settings *from, sw_arena *arena, sw_settings *to) {
    to->items = SW_ARENA_ARRAY(arena, sw_setting, from->n + 1);
    for (int i = 0; to->items && i < from->n; i++) {
        to->items[i] =
            (sw_setting){sw_arena_strdup(arena, from->items[i].key), sw_arena_strdup(arena, from->items[i].value)};
        if (!to->items[i].key || !to->items[i].value) return SW_E_NOMEM;
        to->n = i + 1;
    }
    return to->items ? SW_OK : SW_E_NOMEM;
}

/* What the runtime computes in: its own settings say so. */
static const char *precision_of(const bench *b, const sw_foreign_runtime *r, const sw_bench_model *m) {
    bool takes = !strcmp(r->name, "slipway") || !strcmp(r->name, "openvino") || !strcmp(r->name, "torch") ||
                 !strcmp(r->name, "ncnn");
    if (b->device && !m->quantised) return takes ? b->precision : "fp32";
    takes = b->half == SW_F16 ? !strcmp(r->name, "slipway") : takes; /* on CPUs, that is */
    return m->quantised ? "int8" : b->half && takes ? b->precision : "fp32";
}

static void set(sw_settings *s, const char *key, const char *value) {
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->items[i].key, key)) return;
    s->items[s->n++] = (sw_setting){key, value};
}

/* What a backend is told beside what the user has set. */
static sw_status add_settings(const bench *b, const sw_foreign_runtime *r, sw_settings *s, const sw_diag *diag) {
    bool own = !strcmp(r->name, "slipway"), torch = !strcmp(r->name, "torch"), ort = !strcmp(r->name, "onnxruntime");
    bool told = own ? b->half || b->device : b->half == SW_BF16 || (b->device && torch);
    if (told) set(s, "precision", b->precision);
    if (!b->device) return SW_OK;
    if (!own && !torch && !ort)
        return sw_fail(diag, SW_E_UNSUPPORTED, NULL, NULL, "it does not run on %s", b->device);
    if (ort) set(s, "providers", "CUDA,CPU");
    set(s, "device", b->device);
    if (sw_args_flag(b->args, "include-transfers")) set(s, "transfers", "1");
    return SW_OK;
}

static sw_status open_backend(bench *b, runner *r, sw_bench_model *m, int threads, const sw_diag *diag) {
    sw_arena *arena = b->args->arena;
    const char *file;
    sw_foreign_place place;
    sw_bench_build build = {.precision = sw_backend_precision(b->precision, b->device),
                            .tf32 = !strcmp(b->precision, "tf32"),
                            .threads = threads,
                            .level = (int)sw_args_int(b->args, "opt-level")};
    sw_foreign_options options = {.threads = threads, .shapes = m->inputs, .n_shapes = m->n_inputs};
    SW_TRY(sw_settings_parse(b->args, r->runtime->name, diag, &options.settings));
    SW_TRY(sw_foreign_require(r->runtime, arena, diag, &place));
    SW_TRY(add_settings(b, r->runtime, &options.settings, diag));
    for (int i = 0; i < options.settings.n; i++)
        if (!strcmp(options.settings.items[i].key, "device")) build.device = options.settings.items[i].value;
    SW_TRY(sw_bench_file(m, r->runtime, &build, arena, diag, &file));
    options.model = file;
    SW_TRY(sw_foreign_open(r->runtime, &options, diag, &r->child));
    SW_TRY(bind(b, r, m, diag));
    sw_named *outputs;
    int n;
    SW_TRY(sw_foreign_run(r->child, arena, &outputs, &n)); /* the first run prepares what is prepared late */
    *r->row = (sw_bench_row){.backend = r->runtime->name,
                             .version = sw_arena_strdup(arena, sw_foreign_version(r->child)),
                             .model = m->path,
                             .precision = precision_of(b, r->runtime, m),
                             .threads = threads,
                             .batch = m->n_inputs && m->inputs[0].type.rank > 0 ? m->inputs[0].type.dims[0] : 1,
                             .load_ms = (double)sw_foreign_load_ns(r->child) * 1e-6};
    if (!r->row->version) return SW_E_NOMEM;
    return copy_settings(sw_foreign_used(r->child), arena, &r->row->settings);
}

/* The first run of a slice is not counted: another backend had the caches. */
static sw_status time_slice(runner *r, int64_t ns, sw_arena *arena) {
    int64_t *times;
    int n;
    SW_TRY(sw_foreign_time(r->child, ns, 2, arena, &times, &n));
    sw_bench_row *row = r->row;
    SW_TRY(sw_grow(NULL, (void **)&row->times, &row->cap, row->n + (size_t)n, sizeof *row->times, MOST_TIMES));
    memcpy(row->times + row->n, times + 1, (size_t)(n - 1) * sizeof *times);
    row->n += (size_t)n - 1;
    return SW_OK;
}

/* -- All of them ------------------------------------------------------------------------------------------------------- */

/* Rounds interleave: each backend gets a slice in turn, so that what else the machine does meets all alike. */
static sw_status time_runners(bench *b, runner *runners, int n, sw_bench_model *m) {
    int64_t slice = (int64_t)(sw_args_number(b->args, "seconds") * 1e9 / ROUNDS);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < n; i++) {
            runner *r = &runners[(i + round) % n];
            sw_console_progress(b->console, (size_t)(round * n + i), (size_t)(ROUNDS * n), r->runtime->name);
            if (!r->child) continue;
            sw_arena *arena = sw_arena_create(NULL, 0);
            sw_status status = arena ? time_slice(r, slice, arena) : SW_E_NOMEM;
            sw_arena_destroy(arena);
            if (status == SW_E_NOMEM || status == SW_E_LIMIT) return status;
            if (status == SW_OK) continue;
            leave_out(b, r->runtime, m, status, r->why.text);
            sw_foreign_close(r->child);
            r->child = NULL;
        }
    sw_console_progress_end(b->console);
    return SW_OK;
}

/* Only the rows of those that came through stay. */
static void close_runners(bench *b, runner *runners, int n) {
    for (int i = 0; i < n; i++) {
        runner *r = &runners[i];
        if (r->child) r->row->peak_mb = (double)sw_foreign_peak_bytes(r->child) / 1e6;
        if (r->child && r->row->n)
            b->rows[b->n++] = *r->row;
        else
            sw_free(NULL, r->row->times);
        sw_foreign_close(r->child);
    }
}

static sw_status run_group(bench *b, sw_bench_model *m, int threads) {
    runner runners[MOST_LIST] = {0};
    sw_bench_row rows[MOST_LIST] = {0};
    sw_cpu_set before;
    sw_status status = sw_grow(NULL, (void **)&b->rows, &b->cap, b->n + MOST_LIST, sizeof *b->rows, 1 << 16);
    /* Children inherit it: all backends work on the same CPUs. */
    bool pinned = status == SW_OK && sw_cpu_pin(threads, &before);
    for (int i = 0; status == SW_OK && i < b->n_backends; i++) {
        runners[i] = (runner){.runtime = b->backends[i], .row = &rows[i]};
        sw_diag diag = sw_last_text_diag(&runners[i].why);
        const char *why = runners[i].why.text;
        sw_console_progress(b->console, (size_t)i, (size_t)b->n_backends, b->backends[i]->name);
        sw_status opened = open_backend(b, &runners[i], m, threads, &diag);
        sw_console_progress_end(b->console);
        if (opened == SW_E_NOMEM || opened == SW_E_USAGE) {
            status = sw_fail(&b->console->diag, opened, m->path, NULL, "%s: %s", b->backends[i]->name,
                             why[0] ? why : sw_status_text(opened));
        } else if (opened != SW_OK) {
            leave_out(b, b->backends[i], m, opened, why);
            sw_foreign_close(runners[i].child);
            runners[i].child = NULL;
        }
    }
    if (status == SW_OK) status = time_runners(b, runners, b->n_backends, m);
    if (pinned) sw_cpu_unpin(&before);
    int n = 0;
    while (n < MOST_LIST && runners[n].runtime) n++;
    close_runners(b, runners, n);
    return status;
}

static sw_status run_model(bench *b, const char *path, int64_t batch) {
    int sides[2] = {0};
    SW_TRY(sw_sides_parse(sw_args_text(b->args, "imgsz"), b->args->verb->name, &b->console->diag, sides));
    sw_bench_want want = {
        .batch = batch, .height = sides[0], .width = sides[1], .strict = sw_args_flag(b->args, "strict")};
    sw_build_options options = {0};
    SW_TRY(sw_shapes_parse(b->args, &b->console->diag, &options));
    want.shapes = options.shapes;
    want.n_shapes = options.n_shapes;
    sw_bench_model model = {0};
    sw_status status = sw_bench_model_open(path, &want, b->args->arena, &b->console->diag, &model);
    for (int i = 0; status == SW_OK && i < b->n_threads; i++) status = run_group(b, &model, (int)b->threads[i]);
    sw_bench_model_close(&model);
    return status;
}

static sw_status print(bench *b) {
    bool peaks = sw_args_flag(b->args, "isa-peaks");
    sw_console *c = b->console;
    if (!sw_args_flag(b->args, "json")) {
        if (peaks) SW_TRY(sw_bench_print_peaks(c));
        sw_bench_print(b->rows, (int)b->n, c);
        return SW_OK;
    }
    sw_json_writer w = sw_json_writer_make(&c->out, 2);
    sw_json_object(&w);
    if (peaks) SW_TRY(sw_bench_json_peaks(&w));
    sw_bench_json(b->rows, (int)b->n, &w);
    sw_json_object_end(&w);
    sw_print(c, "\n");
    return SW_OK;
}

static sw_status run(const sw_args *args, sw_console *console) {
    bench b = {.args = args, .console = console};
    sw_status status = read_request(&b);
    if (status == SW_OK && !args->n_operands && !sw_args_flag(args, "isa-peaks"))
        status = sw_fail(&console->diag, SW_E_USAGE, "bench", "see 'slipway bench --help'", "MODEL is missing");
    for (int i = 0; status == SW_OK && i < args->n_operands; i++)
        for (int k = 0; status == SW_OK && k < b.n_batches; k++)
            status = run_model(&b, args->operands[i], b.batches[k]);
    if (status == SW_OK && args->n_operands && !b.n)
        status = sw_fail(&console->diag, b.failed, NULL, NULL, "no backend could run it; the last: %s", b.why);
    if (status == SW_OK) status = print(&b);
    for (size_t i = 0; i < b.n; i++) sw_free(NULL, b.rows[i].times);
    sw_free(NULL, b.rows);
    return status;
}

const sw_verb sw_verb_bench = {
    .name = "bench",
    .operands = "[MODEL|PLAN...]",
    .most_operands = 64,
    .summary = "Time a model, in Slipway and in other runtimes beside it",
    .description =
        "Each backend runs in a process of its own, on the same CPUs and the same noise, in the format that it likes "
        "best: itself where MODEL is that, else exported on the fly into a temporary folder; Slipway gets a tuned plan. "
        "Rounds interleave. Times are of whole runs of the network, in milliseconds, without pictures; load ms from the "
        "model's file to a session that is ready; peak MB the largest resident memory of the process. A backend that is "
        "not here, or refuses the model, is left out with a warning.",
    .options =
        (const sw_option[]){
            {.name = "backend",
             .kind = SW_TEXT,
             .argument = "NAME,...",
             .standard = "slipway",
             .help = "slipway, onnxruntime, openvino, litert, ncnn, torch; all: those that are here"},
            {.name = "set",
             .kind = SW_TEXT,
             .argument = "BACKEND.KEY=VALUE",
             .many = true,
             .help = "a setting of a backend, such as openvino.PERFORMANCE_HINT=THROUGHPUT"},
            {.name = "threads",
             .kind = SW_TEXT,
             .argument = "N,...",
             .help = "numbers of threads, and of CPUs, to try (default: all CPUs that may be used)"},
            {.name = "batch",
             .kind = SW_TEXT,
             .argument = "N,...",
             .help = "pictures at once (default: as the model says, else 1)"},
            SW_IMGSZ_OPTION("height and width, where the model leaves them open (default: what its metadata say)"),
            {.name = "shapes",
             .kind = SW_TEXT,
             .argument = "[NAME=]DIMS",
             .many = true,
             .help = "the inputs of a TorchScript archive, which does not say them, in order, such as 1x3x224x224"},
            {.name = "precision",
             .kind = SW_TEXT,
             .argument = "fp32|tf32|fp16|bf16",
             .help =
                 "what to compute in; tf32 on GPUs only; backends that have no bfloat16, or on a CPU no float16, run "
                 "in float32, and their rows say so (default: fp32; fp16 on a GPU)"},
            {.name = "device",
             .kind = SW_TEXT,
             .argument = "cpu|cuda[:N]|auto",
             .standard = "cpu",
             .help =
                 "where: on a GPU slipway, torch and onnxruntime take part, with input and output there: the first two are "
                 "timed between events, onnxruntime by the clock around a run"},
            {.name = "include-transfers", .help = "on a GPU: with the copies to it and back, by the clock"},
            {.name = "seconds",
             .kind = SW_NUMBER,
             .argument = "S",
             .standard = "5",
             .least = 0.01,
             .most = 86400,
             .help = "how long each row is timed, in 5 rounds"},
            {.name = "opt-level",
             .kind = SW_INT,
             .letter = 'O',
             .argument = "N",
             .standard = "3",
             .least = 0,
             .most = 5,
             .help = "how much is timed for Slipway's plan, as in slipway build"},
            SW_STRICT_OPTION,
            {.name = "isa-peaks", .help = "also measure what the CPUs can do with each instruction set"},
            {.name = "json", .help = "print JSON"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway bench yolo11n.slip", "A plan, on all CPUs"},
            {"slipway bench yolo11n.pt --backend all --threads 1,2", "Which runtime wins on this machine"},
            {"slipway bench yolo11n.onnx --backend slipway,openvino --batch 1,8 --json", "For scripts"},
            {"slipway bench yolo11n.pt --device cuda:0 --backend slipway,torch --set torch.compile=max-autotune",
             "On a GPU, beside PyTorch"},
            {"slipway bench --isa-peaks", "What the machine can do at best"},
            {0},
        },
    .run = run,
};
