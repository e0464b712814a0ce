/* slipway tour: a model's way from PyTorch to a server on this machine, command by command. */
#include "cli/tour.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/options.h"
#include "import/pt/pt.h"

enum { MOST_WORDS = 24, COMMAND_SECONDS = 24 * 3600, START_SECONDS = 120 };

typedef struct tour {
    const sw_args *args;
    sw_console *console;
    sw_arena *arena;
    const char *model, *stem, *folder, *data, *onnx, *plan;
    const char *seconds, *limit, *threads; /* as options want them; limit, threads NULL: not given */
    char self[4096];
    bool onnx_made, is_pt;
    sw_tour_step steps[SW_TOUR_STEPS];
} tour;

/* -- Commands -------------------------------------------------------------------------------------------------------- */

/* The command as the user would type it. */
static sw_status show(tour *t, const char *const *words) {
    sw_print(t->console, "$ slipway");
    for (int i = 0; words[i]; i++) sw_print(t->console, strchr(words[i], ' ') ? " '%s'" : " %s", words[i]);
    sw_print(t->console, "\n");
    return sw_console_flush(t->console);
}

/* Runs it; false with the reason in `text` when it failed. Options that were not given are NULL among the words, up
 * to `n`. */
static sw_status command(tour *t, const char *const *words, int n, const char **text, bool *good) {
    const char *argv[MOST_WORDS + 2] = {t->self};
    int used = 1;
    for (int i = 0; i < n && used < MOST_WORDS; i++)
        if (words[i]) argv[used++] = words[i];
    SW_TRY(show(t, argv + 1));
    sw_status status = sw_process_capture(argv, COMMAND_SECONDS, t->arena, text);
    *good = status == SW_OK;
    if (!*good && sw_str_starts_with(*text, "slipway: ")) *text += strlen("slipway: ");
    if (!*good && !(*text)[0]) *text = "it failed";
    return status == SW_E_NOMEM ? status : SW_OK;
}

#define COMMAND(t, text, good, ...)                                                                                    \
    command((t), (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),      \
            (text), (good))

/* The number of the first such key; below 0: none. */
static double number_of(const char *text, const char *key) {
    sw_json_reader reader;
    sw_json_event event;
    double number = -1;
    bool wanted = false;
    sw_json_reader_init(&reader, text, strlen(text), NULL, "", NULL);
    while (number < 0 && sw_json_next(&reader, &event) == SW_OK && event.type != SW_JSON_END) {
        if (wanted && event.type == SW_JSON_NUMBER) number = event.number;
        wanted = event.type == SW_JSON_KEY && !strcmp(event.text, key);
    }
    sw_json_reader_free(&reader);
    return number;
}

/* Speed, then mAP where there are pictures. */
static sw_status measure(tour *t, sw_tour_step *s, const char *model, const char *backend) {
    const char *text;
    bool good;
    SW_TRY(
        COMMAND(t, &text, &good, "bench", model, "--backend", backend, "--seconds", t->seconds, t->threads, "--json"));
    if (!good) {
        s->skipped = text;
        return SW_OK;
    }
    s->latency_ms = number_of(text, "median");
    s->fps = number_of(text, "throughput");
    s->bytes = sw_file_size(model);
    if (!t->data) return SW_OK;
    SW_TRY(show(t, (const char *const[]){"val", model, "--backend", backend, "--data", t->data, t->limit, NULL}));
    int64_t limit = sw_args_int(t->args, "limit");
    sw_val_wish wish = {.model = model, .data = t->data, .backend = backend, .limit = limit};
    sw_last_text why;
    sw_diag diag = sw_last_text_diag(&why);
    sw_status status = sw_val_map(&wish, t->arena, &diag, &s->map);
    if (status != SW_OK) sw_warn(&t->console->diag, s->name, "%s", why.text);
    return status == SW_E_NOMEM ? status : SW_OK;
}

/* -- Steps ----------------------------------------------------------------------------------------------------------- */

static sw_status tour_pytorch(tour *t, sw_tour_step *s) {
    *s = (sw_tour_step){"PyTorch", "pt", "where Python and PyTorch are", NULL, -1, -1, -1, -1};
    if (!t->is_pt) s->skipped = "it takes the checkpoint (.pt), which this model is not";
    return s->skipped ? SW_OK : measure(t, s, t->model, "torch");
}

static sw_status tour_onnx(tour *t, sw_tour_step *s) {
    const char *text;
    *s = (sw_tour_step){
        "ONNX + ONNX Runtime", "onnx", "anywhere; ONNX Runtime runs on all systems", NULL, -1, -1, -1, -1};
    SW_TRY(COMMAND(t, &text, &t->onnx_made, "export", t->model, "--to", "onnx", "-o", t->onnx, "--force"));
    if (t->onnx_made) return measure(t, s, t->onnx, "onnxruntime");
    s->skipped = text;
    return SW_OK;
}

static sw_status tour_plan(tour *t, sw_tour_step *s, const char *precision, const char *path) {
    const char *text;
    bool good, bf16 = !strcmp(precision, "bf16");
    *s = (sw_tour_step){bf16 ? "Slipway, bfloat16" : "Slipway, tuned plan",
                        "slip",
                        "machines with this CPU's instruction sets, tuned for this model of CPU",
                        NULL,
                        -1,
                        -1,
                        -1,
                        -1};
    if (bf16 && !(sw_cpu_features() & (SW_CPU_AVX512BF16 | SW_CPU_AMX)))
        s->skipped = "it needs a CPU with AVX512-BF16; without it bfloat16 is not faster";
    if (!t->onnx_made) s->skipped = "there is no ONNX file with fixed sizes to build it from";
    if (s->skipped) return SW_OK;
    SW_TRY(COMMAND(t, &text, &good, "build", t->onnx, "--precision", precision, "-o", path, t->threads));
    if (good) return measure(t, s, path, "slipway");
    s->skipped = text;
    return SW_OK;
}

/* Waits until the server says that the model is ready; its port, or 0. */
static int64_t wait_for_server(sw_process *server) {
    int64_t deadline = sw_clock_ns() + (int64_t)START_SECONDS * 1000000000, port = 0;
    char byte;
    while (sw_clock_ns() < deadline && !strstr(server->notes, "is ready"))
        if (sw_process_read(server, &byte, 1, sw_clock_ns() + 100000000) == SW_TRANSFER_CLOSED) return 0;
    const char *at = strstr(server->notes, "HTTP on port ");
    if (!at || !strstr(server->notes, "is ready")) return 0;
    at += strlen("HTTP on port ");
    return sw_str_to_i64(at, strspn(at, "0123456789"), &port) ? port : 0;
}

static sw_status ask_server(tour *t, sw_tour_step *s, int64_t port) {
    const char *text, *option = sw_arena_printf(t->arena, "%lld", (long long)port);
    bool good;
    if (!option) return SW_E_NOMEM;
    SW_TRY(COMMAND(t, &text, &good, "client", t->stem, "--http-port", option, "--connections", "1", "--seconds",
                   t->seconds, "--json"));
    if (good && number_of(text, "answered") > 0) {
        s->fps = number_of(text, "per_second");
        s->latency_ms = number_of(text, "p50_us") / 1e3;
        s->bytes = sw_file_size(t->onnx);
    } else
        s->skipped = good ? "the server answered no request of 'slipway client'" : text;
    return SW_OK;
}

static sw_status tour_serve(tour *t, sw_tour_step *s) {
    const char *words[] = {t->self, "serve",          t->onnx, "--http-port",  "0",    "--grpc-port",
                           "-1",    "--metrics-port", "-1",    "--plan-cache", "none", NULL};
    sw_process server;
    *s = (sw_tour_step){
        "served over HTTP", "onnx", "any client of KServe v2 asks it over the network", NULL, -1, -1, -1, -1};
    if (!t->onnx_made) s->skipped = "there is no ONNX file to serve";
    if (s->skipped) return SW_OK;
    SW_TRY(show(t, words + 1));
    SW_TRY(sw_process_start(words, "serve", &t->console->diag, &server));
    int64_t port = wait_for_server(&server);
    sw_status status = SW_OK;
    if (port) status = ask_server(t, s, port);
    sw_process_end(&server, 0);
    char last[256];
    sw_process_last_words(&server, last, sizeof last);
    if (!port) s->skipped = sw_arena_printf(t->arena, "the server did not start: %s", last);
    return !port && !s->skipped ? SW_E_NOMEM : status;
}

/* -- The whole ------------------------------------------------------------------------------------------------------- */

static sw_status save(tour *t, const char *name, const sw_buf *buf) {
    const char *path = sw_arena_printf(t->arena, "%s/%s", t->folder, name);
    if (!path || buf->status != SW_OK) return SW_E_NOMEM;
    return sw_file_write(path, buf->data, buf->size, &t->console->diag);
}

static sw_status report(tour *t) {
    static const char *const files[] = {"tour.txt", "tour.md", "tour.json", "tour.svg"};
    sw_status status = SW_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && status == SW_OK; i++) {
        sw_buf buf = sw_buf_make(NULL, 0);
        if (i == 0) sw_tour_text(t->steps, SW_TOUR_STEPS, &buf);
        if (i == 1) sw_tour_markdown(t->steps, SW_TOUR_STEPS, sw_path_name(t->model), &buf);
        if (i == 2) sw_tour_json(t->steps, SW_TOUR_STEPS, t->model, &buf);
        if (i == 3) sw_tour_svg(t->steps, SW_TOUR_STEPS, &buf);
        if (i == 0) sw_print(t->console, "\n%s", sw_buf_text(&buf));
        status = save(t, files[i], &buf);
        sw_buf_free(&buf);
    }
    if (status == SW_OK)
        sw_print(t->console, "\n%s: the files, and tour.txt, tour.md, tour.json, tour.svg\n", t->folder);
    return status;
}

static sw_status prepare(tour *t) {
    const sw_args *args = t->args;
    sw_map map;
    t->model = args->operands[0];
    t->folder = sw_args_text(args, "output");
    t->data = sw_args_text(args, "data");
    SW_TRY(sw_map_open(t->model, &t->console->diag, &map));
    t->is_pt = sw_pt_sniff(map.data, map.size);
    sw_map_close(&map);
    const char *name = sw_path_name(t->model), *dot = strrchr(name, '.');
    int length = (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name));
    int64_t threads = sw_args_int(args, "threads"), limit = sw_args_int(args, "limit");
    char seconds[SW_FLOAT_TEXT];
    sw_str_from_f64(seconds, sw_args_number(args, "seconds"));
    t->stem = sw_arena_strndup(t->arena, name, (size_t)length);
    t->onnx = sw_arena_printf(t->arena, "%s/%.*s.onnx", t->folder, length, name);
    t->plan = sw_arena_printf(t->arena, "%s/%.*s.slip", t->folder, length, name);
    t->seconds = sw_arena_strdup(t->arena, seconds);
    if (threads) t->threads = sw_arena_printf(t->arena, "--threads=%lld", (long long)threads);
    if (limit) t->limit = sw_arena_printf(t->arena, "--limit=%lld", (long long)limit);
    if (!t->stem || !t->onnx || !t->plan || !t->seconds || (threads && !t->threads) || (limit && !t->limit))
        return SW_E_NOMEM;
    if (sw_path_same(t->onnx, t->model))
        return sw_fail(&t->console->diag, SW_E_USAGE, t->folder, "name another folder with -o",
                       "the model itself lies there");
    if (!sw_os_executable(t->self, sizeof t->self))
        return sw_fail(&t->console->diag, SW_E_IO, NULL, NULL, "this program does not know its own path");
    return sw_dir_make(t->folder, &t->console->diag);
}

static sw_status run(const sw_args *args, sw_console *console) {
    tour *t = SW_ARENA_NEW(args->arena, tour);
    if (!t) return SW_E_NOMEM;
    *t = (tour){.args = args, .console = console, .arena = args->arena};
    SW_TRY(prepare(t));
    const char *half = sw_arena_printf(t->arena, "%s/%s-bf16.slip", t->folder, t->stem);
    if (!half) return SW_E_NOMEM;
    SW_TRY(tour_pytorch(t, &t->steps[0]));
    SW_TRY(tour_onnx(t, &t->steps[1]));
    SW_TRY(tour_plan(t, &t->steps[2], "fp32", t->plan));
    SW_TRY(tour_plan(t, &t->steps[3], "bf16", half));
    SW_TRY(tour_serve(t, &t->steps[4]));
    return report(t);
}

const sw_verb sw_verb_tour = {
    .name = "tour",
    .operands = "MODEL",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "Take a model from PyTorch to a server on this machine, step by step, with numbers",
    .description =
        "PyTorch, then ONNX in ONNX Runtime, a tuned plan, bfloat16 where the CPU has it, and a server: each command is "
        "printed before it runs, and the table at the end tells speed, mAP, size and where each file may be copied. A "
        "step that cannot run here says why and what it needs. The files stay in the folder, with the table as text, "
        "Markdown and JSON and a plot.",
    .options =
        (const sw_option[]){
            {.name = "data",
             .kind = SW_TEXT,
             .argument = "PATH",
             .help = "pictures with known objects: measures mAP, too"},
            {.name = "limit",
             .kind = SW_INT,
             .argument = "N",
             .least = 1,
             .most = 1e6,
             .help = "with --data: only the first N pictures"},
            {.name = "output",
             .letter = 'o',
             .kind = SW_TEXT,
             .argument = "DIR",
             .standard = "tour",
             .help = "the folder for all files"},
            {.name = "seconds",
             .kind = SW_NUMBER,
             .argument = "S",
             .standard = "3",
             .least = 0.1,
             .most = 86400,
             .help = "how long each step is timed"},
            SW_THREADS_OPTION,
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway tour yolo11n.pt --data coco/val --limit 50", "With accuracy on 50 pictures"},
            {0},
        },
    .run = run,
};
