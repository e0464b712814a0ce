/* slipway profile: where the time of a network goes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/options.h"
#include "cli/profile.h"
#include "engine/chains.h"

enum { NAME_TEXT = 34, OUTPUT_TEXT = 16, NUMBER_TEXT = 16 };

/* The end of a long text says more than its beginning. */
static const char *tail(const char *text, int most) {
    int length = (int)strlen(text);
    return length > most ? text + length - most : text;
}

/* "-" where it is not known. */
static const char *format(char text[NUMBER_TEXT], double value, int decimals) {
    if (value < 0)
        snprintf(text, NUMBER_TEXT, "-");
    else
        snprintf(text, NUMBER_TEXT, "%.*f", decimals, value);
    return text;
}

static void print_row(const sw_profile *p, const sw_profile_step *s, sw_console *c) {
    char rate[NUMBER_TEXT], bytes[NUMBER_TEXT], floor[NUMBER_TEXT], share[NUMBER_TEXT];
    double of_floor = sw_profile_share(s);
    sw_print(c, "%5zu  %-14.14s %-*s %*s %-20s %8.3f %6.1f %8s %8s %8s %6s\n", s->step, s->op, NAME_TEXT,
             tail(s->name, NAME_TEXT), OUTPUT_TEXT, s->output, s->tactic, s->ms, 100 * s->ms / p->sum_ms,
             format(rate, sw_profile_rate(s), 1), format(bytes, s->bytes < 0 ? -1 : s->bytes / 1e6, 2),
             format(floor, s->floor_ms, 3), format(share, of_floor < 0 ? -1 : 100 * of_floor, 0));
}

static int by_time(const void *a, const void *b) {
    const sw_profile_step *x = *(const sw_profile_step *const *)a, *y = *(const sw_profile_step *const *)b;
    return x->ms != y->ms ? (x->ms < y->ms) - (x->ms > y->ms) : (x->step > y->step) - (x->step < y->step);
}

static sw_status print_table(const sw_args *args, const sw_profile *p, sw_console *c) {
    const sw_profile_step **order = SW_ARENA_ARRAY(args->arena, const sw_profile_step *, p->n + 1);
    if (!order) return SW_E_NOMEM;
    for (size_t i = 0; i < p->n; i++) order[i] = &p->steps[i];
    if (sw_args_flag(args, "sort")) qsort(order, p->n, sizeof *order, by_time);
    sw_print(c, "%5s  %-14s %-*s %*s %-20s %8s %6s %8s %8s %8s %6s\n", "step", "operator", NAME_TEXT, "node", OUTPUT_TEXT,
             "output", "tactic", "ms", "%", "GFLOP/s", "MB", "floor ms", "% of it");
    for (size_t i = 0; i < p->n; i++) print_row(p, order[i], c);
    for (int i = 0; i < p->instance->n_chains; i++) {
        const sw_chain *chain = &p->instance->chains[i];
        sw_print(c, "%ssteps %zu to %zu run strip by strip, %" PRId64 " rows at a time\n", i ? "" : "\n",
                 chain->steps[0], chain->steps[chain->n - 1], chain->rows);
    }
    const sw_ceilings *m = &p->ceilings;
    sw_print(c, "\n%zu steps, %.3f ms together; a run %.3f ms (median of %d), %.2f GFLOP, %.1f GFLOP/s\n", p->n, p->sum_ms,
             p->run_ms, p->runs, p->flops / 1e9, p->flops / p->run_ms / 1e6);
    sw_print(c, "floor %.3f ms, %.0f %% of it reached: %.0f GFLOP/s, %.0f, %.0f and %.0f GB/s from caches and memory, "
                "measured with %d thread%s\n",
             p->floor_ms, 100 * p->floor_ms / p->run_ms, m->gflops, m->gbytes[SW_PROBE_L2], m->gbytes[SW_PROBE_L3],
             m->gbytes[SW_PROBE_MEMORY], m->threads, m->threads == 1 ? "" : "s");
    return SW_OK;
}

/* Chrome's trace format: complete events ("X") with microseconds. */
static void write_trace(const sw_profile *p, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 1);
    sw_json_object(&w);
    sw_json_key(&w, "displayTimeUnit"), sw_json_string(&w, "ms");
    sw_json_key(&w, "traceEvents"), sw_json_array(&w);
    for (size_t i = 0; i < p->n; i++) {
        const sw_profile_step *s = &p->steps[i];
        sw_json_flat(&w), sw_json_object(&w);
        sw_json_key(&w, "name"), sw_json_string(&w, s->name[0] ? s->name : s->op);
        sw_json_key(&w, "cat"), sw_json_string(&w, s->op);
        sw_json_key(&w, "ph"), sw_json_string(&w, "X");
        sw_json_key(&w, "pid"), sw_json_int(&w, 1);
        sw_json_key(&w, "tid"), sw_json_int(&w, 1);
        sw_json_key(&w, "ts"), sw_json_fixed(&w, (double)s->begin_ns / 1e3, 3);
        sw_json_key(&w, "dur"), sw_json_fixed(&w, (double)(s->end_ns - s->begin_ns) / 1e3, 3);
        sw_json_key(&w, "args"), sw_json_object(&w);
        sw_json_key(&w, "step"), sw_json_int(&w, (int64_t)s->step);
        sw_json_key(&w, "output"), sw_json_string(&w, s->output);
        sw_json_key(&w, "tactic"), sw_json_string(&w, s->tactic);
        sw_json_object_end(&w);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_json_object_end(&w);
    sw_buf_append_byte(buf, '\n');
}

static sw_status save_trace(const sw_profile *p, const char *path, const sw_diag *diag) {
    sw_buf buf = sw_buf_make(NULL, 0);
    write_trace(p, &buf);
    sw_status status = buf.status == SW_OK ? sw_file_write(path, buf.data, buf.size, diag) : buf.status;
    sw_buf_free(&buf);
    return status;
}

static sw_status show(const sw_args *args, const sw_profile *p, sw_console *c) {
    const char *trace = sw_args_text(args, "trace");
    c->subject = NULL;
    if (trace) SW_TRY(save_trace(p, trace, &c->diag));
    if (sw_args_flag(args, "json")) {
        sw_json_writer w = sw_json_writer_make(&c->out, 2);
        sw_json_object(&w);
        sw_profile_json(p, NULL, &w);
        sw_json_object_end(&w);
        sw_print(c, "\n");
        return SW_OK;
    }
    return c->quiet ? SW_OK : print_table(args, p, c);
}

static sw_status run(const sw_args *args, sw_console *c) {
    sw_profile profile;
    const char *device = sw_args_text(args, "device"), *trace;
    SW_TRY(sw_args_output(args, "trace", args->operands[0], &c->diag, &trace));
    c->subject = args->operands[0];
    SW_TRY(sw_device_choose(device, &c->diag, &device));
    if (device) return sw_profile_gpu(args, c, device);
    if (sw_args_given(args, "picture"))
        return sw_fail(&c->diag, SW_E_USAGE, args->verb->name, "give --device cuda", "--picture is for GPUs");
    sw_status status = sw_profile_make(args, c, &profile);
    if (status == SW_OK) status = show(args, &profile, c);
    sw_profile_free(&profile);
    return status;
}

const sw_verb sw_verb_profile = {
    .name = "profile",
    .operands = "MODEL",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "Show how long each step takes, and how long it would have to",
    .description =
        "Runs a model or a plan on noise and prints each step's median time, its share, its rate (2 operations a multiply-add, "
        "other elements one for each function), and the bytes that it must move. The floor is what the machine allows: the "
        "operations that the kernel does, of which Winograd's are fewer, at the rate of multiply-adds, or the bytes at the "
        "bandwidth of the caches or memory that hold so many, whichever takes longer; both rates are measured beside it. "
        "'-' stands for what is not known.\n\n"
        "On a GPU the rows are kernels: each is timed in a chain of its own, with the edges that it has in the graph. A run is "
        "told apart into copies to the GPU, what the GPU computes (its graphs, by events), and copies back.",
    .options =
        (const sw_option[]){
            SW_SHAPES_OPTION,
            SW_THREADS_OPTION,
            {.name = "device",
             .kind = SW_TEXT,
             .argument = "NAME",
             .standard = "cpu",
             .help = "where to run: cpu; cuda or cuda:N; auto"},
            SW_STRICT_OPTION,
            SW_TRUST_CODE_OPTION,
            SW_PROFILE_RUNS_OPTION,
            {.name = "picture",
             .kind = SW_TEXT,
             .argument = "FILE",
             .help = "on a GPU, of a detector: also time this picture from its pixels in pinned memory to boxes"},
            {.name = "sort", .letter = 's', .help = "the slowest step first, instead of the order of the run"},
            {.name = "json", .help = "print JSON"},
            {.name = "trace",
             .kind = SW_TEXT,
             .argument = "FILE",
             .help = "write the run nearest to the median as a trace for chrome://tracing or ui.perfetto.dev, too"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway profile yolo11n.slip --sort", "Where the time goes"},
            {"slipway profile yolo11n.pt --device cuda --sort", "On a GPU"},
            {"slipway profile yolo11n.onnx --threads 1 --trace trace.json", "One thread; a picture of it in a browser"},
            {0},
        },
    .run = run,
};
