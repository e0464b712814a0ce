/* slipway report: one page of HTML with everything about a plan. report.html is the page; it draws what its data says. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/os.h"
#include "cli/options.h"
#include "cli/profile.h"

extern const char sw__report_page[]; /* made of report.html by the build */

static const char marker[] = "@DATA@";

/* ---- Steps: inputs, outputs, rivals ------------------------------------------------------------------------------ */

static void json_values(sw_json_writer *w, const char *key, const int32_t *values, int n) {
    sw_json_key(w, key), sw_json_array(w);
    for (int i = 0; i < n; i++)
        if (values[i] >= 0) sw_json_int(w, values[i]);
    sw_json_array_end(w);
}

static void json_rivals(const sw_plan *plan, size_t step, sw_json_writer *w) {
    sw_json_key(w, "rivals"), sw_json_array(w);
    for (size_t i = 0; i < plan->n_times; i++) {
        const sw_tactic_time *t = &plan->times[i];
        if (t->step != (int32_t)step) continue;
        sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, t->tactic);
        sw_json_key(w, "us");
        if (t->ns < 0)
            sw_json_null(w);
        else
            sw_json_fixed(w, (double)t->ns / 1e3, 1);
        sw_json_key(w, "reason"), sw_json_string(w, t->reason);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

static void json_links(const sw_profile *p, const sw_profile_step *s, sw_json_writer *w) {
    const sw_step *step = &p->plan->steps[s->step];
    json_values(w, "in", step->in, step->n_in);
    json_values(w, "out", step->out, step->n_out);
    json_rivals(p->plan, s->step, w);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* Steps of the profile during which a buffer holds something. */
typedef struct life {
    int first, last; /* first, which writes it, < 0: never */
} life;

static void live(const sw_profile *p, life *lives, int32_t value, int at) {
    if (value < 0 || p->instance->places[value] != SW_PLACE_PLANNED) return;
    life *l = &lives[p->instance->roots[value]];
    if (l->first < 0) *l = (life){at, at};
    if (at > l->last) l->last = at;
}

static void find_lives(const sw_profile *p, life *lives) {
    for (size_t v = 0; v < p->plan->n_values; v++) lives[v].first = -1;
    for (size_t i = 0; i < p->n; i++) {
        const sw_step *step = &p->plan->steps[p->steps[i].step];
        for (int k = 0; k < step->n_in; k++) live(p, lives, step->in[k], (int)i);
        for (int k = 0; k < step->n_out; k++) live(p, lives, step->out[k], (int)i);
    }
    for (int i = 0; i < p->plan->n_outputs; i++) live(p, lives, p->plan->outputs[i], (int)p->n - 1);
}

static void json_shape(sw_json_writer *w, const sw_tensor *t) {
    char text[160];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", sw_dtype_name(t->dtype));
    for (int i = 0; i < t->rank && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%c%" PRId64, i ? 'x' : ' ', t->dims[i]);
    sw_json_key(w, "shape"), sw_json_string(w, text);
}

static sw_status json_memory(const sw_args *args, const sw_profile *p, sw_json_writer *w) {
    const sw_instance *instance = p->instance;
    life *lives = SW_ARENA_ARRAY(args->arena, life, p->plan->n_values + 1);
    if (!lives) return SW_E_NOMEM;
    find_lives(p, lives);
    sw_json_key(w, "memory"), sw_json_object(w);
    sw_json_key(w, "bytes"), sw_json_int(w, instance->block_bytes);
    sw_json_key(w, "scratch_offset"), sw_json_int(w, instance->scratch_offset);
    sw_json_key(w, "scratch_bytes"), sw_json_int(w, instance->block_bytes - instance->scratch_offset);
    sw_json_key(w, "steps"), sw_json_int(w, (int64_t)p->n);
    sw_json_key(w, "buffers"), sw_json_array(w);
    for (size_t v = 0; v < p->plan->n_values; v++) {
        if (lives[v].first < 0) continue;
        sw_json_flat(w), sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, p->plan->values[v].name);
        json_shape(w, &instance->values[v]);
        sw_json_key(w, "offset"), sw_json_int(w, instance->offsets[v]);
        sw_json_key(w, "bytes"), sw_json_int(w, sw_tensor_bytes(&instance->values[v]));
        sw_json_key(w, "first"), sw_json_int(w, lives[v].first);
        sw_json_key(w, "last"), sw_json_int(w, lives[v].last);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
    sw_json_object_end(w);
    return SW_OK;
}

/* ---- The page ---------------------------------------------------------------------------------------------------- */

static int64_t packed_bytes(const sw_plan *plan) {
    int64_t bytes = 0;
    for (size_t i = 0; i < sw_packs_count(plan->packs); i++) bytes += (int64_t)sw_packs_get(plan->packs, i)->bytes;
    return bytes;
}

static sw_status write_data(const sw_args *args, const sw_profile *p, sw_buf *buf) {
    char features[160];
    sw_json_writer w = sw_json_writer_make(buf, 0);
    sw_cpu_text(sw_cpu_features(), features, sizeof features);
    sw_json_object(&w);
    sw_profile_json(p, json_links, &w);
    SW_TRY(json_memory(args, p, &w));
    sw_json_key(&w, "weight_bytes"), sw_json_int(&w, packed_bytes(p->plan));
    sw_json_key(&w, "features"), sw_json_string(&w, features);
    sw_json_key(&w, "version"), sw_json_string(&w, "slipway " SLIPWAY_VERSION);
    sw_json_key(&w, "receipt"), sw_json_object(&w);
    for (size_t i = 0; i + 1 < p->plan->n_receipt; i += 2)
        sw_json_key(&w, p->plan->receipt[i]), sw_json_string(&w, p->plan->receipt[i + 1]);
    sw_json_object_end(&w);
    sw_json_object_end(&w);
    return SW_OK;
}

/* '<' stands only in strings of JSON; as an escape it cannot end the page's script element. */
static void append_data(sw_buf *page, const sw_buf *data) {
    for (size_t i = 0; i < data->size; i++) {
        if (data->data[i] == '<')
            sw_buf_append_text(page, "\\u003c");
        else
            sw_buf_append_byte(page, data->data[i]);
    }
}

static sw_status write_page(const sw_args *args, const sw_profile *p, const char *path, const sw_diag *diag) {
    sw_buf data = sw_buf_make(NULL, 0), page = sw_buf_make(NULL, 0);
    const char *place = strstr(sw__report_page, marker);
    sw_status status = write_data(args, p, &data);
    if (status == SW_OK) status = data.status;
    sw_buf_append(&page, sw__report_page, (size_t)(place - sw__report_page));
    append_data(&page, &data);
    sw_buf_append_text(&page, place + strlen(marker));
    if (status == SW_OK) status = page.status;
    if (status == SW_OK) status = sw_file_write(path, page.data, page.size, diag);
    sw_buf_free(&data);
    sw_buf_free(&page);
    return status;
}

static sw_status run(const sw_args *args, sw_console *c) {
    sw_profile profile = {0};
    const char *path;
    const char *device = sw_args_text(args, "device");
    SW_TRY(sw_args_output(args, "output", args->operands[0], &c->diag, &path));
    SW_TRY(sw_device_choose(device, &c->diag, &device));
    if (device)
        return sw_fail(&c->diag, SW_E_USAGE, args->verb->name, "'slipway profile --device cuda' tells of GPUs",
                       "the page is about the CPU");
    sw_status status = sw_profile_make(args, c, &profile);
    c->subject = NULL;
    if (status == SW_OK) status = write_page(args, &profile, path, &c->diag);
    if (status == SW_OK && !c->quiet) sw_print(c, "%s\n", path);
    sw_profile_free(&profile);
    return status;
}

const sw_verb sw_verb_report = {
    .name = "report",
    .operands = "MODEL",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "Write a page about a plan: time, roofline, graph, kernels, memory",
    .description =
        "Profiles a model or a plan as 'slipway profile' does and writes one HTML file that needs nothing else: where the time "
        "goes, each step against what the machine allows, the graph of steps, the kernels that lost and by how much, the "
        "buffers over time, and how the plan came to be. Only plans of 'slipway build' know the losers.",
    .options =
        (const sw_option[]){
            {.name = "output",
             .kind = SW_TEXT,
             .letter = 'o',
             .argument = "FILE",
             .standard = "report.html",
             .help = "the page to write"},
            SW_SHAPES_OPTION,
            SW_THREADS_OPTION,
            {.name = "device",
             .kind = SW_TEXT,
             .argument = "NAME",
             .standard = "cpu",
             .help = "cpu only: where a GPU's time goes 'slipway profile --device cuda' tells"},
            SW_STRICT_OPTION,
            SW_TRUST_CODE_OPTION,
            SW_PROFILE_RUNS_OPTION,
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway report yolo11n.slip -o yolo11n.html", "Then open it in a browser"},
            {0},
        },
    .run = run,
};
