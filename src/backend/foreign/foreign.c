/* The parent's side of a child. */
#include "backend/foreign/foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/os.h"
#include "base/process.h"
#include "base/str.h"

extern const char sw__foreign_child_py[]; /* child.py, made by the build */

enum { STANDARD_SECONDS = 120, MOST_SECONDS = 86400 };
static const int64_t grace_ns = 200000000, crash_grace_ns = 2000000000;

struct sw_foreign {
    const sw_foreign_runtime *runtime;
    sw_process process;
    sw_arena *arena;
    sw_diag diag;
    double seconds;
    const char *version;
    int64_t load_ns, peak_bytes;
    sw_settings used;
    sw_named *inputs;
    int n_inputs;
};

static double answer_seconds(double wanted) {
    double seconds;
    const char *text = getenv("SLIPWAY_CHILD_SECONDS");
    if (wanted > 0) return wanted;
    if (text && sw_str_to_f64(text, strlen(text), &seconds) && seconds > 0 && seconds <= MOST_SECONDS) return seconds;
    return STANDARD_SECONDS;
}

/* -- What went wrong ----------------------------------------------------------------------------------------------- */

/* The child is of no more use: ends it, and says why. */
static sw_status fail_child(sw_foreign *f, sw_transfer way, const char *doing) {
    char words[256];
    const char *title = f->runtime->title;
    int code = sw_process_end(&f->process, way == SW_TRANSFER_CLOSED ? crash_grace_ns : 0);
    sw_process_last_words(&f->process, words, sizeof words);
    const char *between = words[0] ? "; it said last: " : "";
    if (way == SW_TRANSFER_LATE)
        return sw_fail(&f->diag, SW_E_IO, f->runtime->name, "SLIPWAY_CHILD_SECONDS lets it take longer",
                       "%s did not answer within %.0f s while %s, and was ended%s%s", title, f->seconds, doing, between,
                       words);
    if (way == SW_TRANSFER_DONE)
        return sw_fail(&f->diag, SW_E_IO, f->runtime->name, NULL,
                       "%s's process answered nonsense while %s, and was ended%s%s", title, doing, between, words);
    if (code < 0)
        return sw_fail(&f->diag, SW_E_IO, f->runtime->name, NULL, "%s crashed while %s (%s)%s%s", title, doing,
                       sw_signal_text(-code), between, words);
    return sw_fail(&f->diag, SW_E_IO, f->runtime->name, NULL, "%s's process ended while %s (exit code %d)%s%s", title,
                   doing, code, between, words);
}

/* -- Questions ----------------------------------------------------------------------------------------------------- */

/* The runtime's own refusal: the child lives on. */
static sw_status fail_question(sw_foreign *f, sw_wire *wire, const char *doing) {
    int32_t status = sw_wire_i32(wire);
    const char *text = sw_wire_text(wire);
    if (!sw_wire_done(wire) || status <= SW_OK || status > SW_E_INTERNAL) return fail_child(f, SW_TRANSFER_DONE, doing);
    return sw_fail(&f->diag, (sw_status)status, f->runtime->name, NULL, "%s", text);
}

static sw_status transfer(sw_foreign *f, uint32_t kind, const sw_buf *question, int64_t extra_ns, sw_frame *frame,
                          uint8_t **body, const char *doing) {
    uint8_t header[SW_FRAME_HEADER];
    int64_t deadline = sw_clock_ns() + (int64_t)(f->seconds * 1e9) + extra_ns;
    if (question->status != SW_OK) return question->status;
    sw_frame_format(&(sw_frame){kind, question->size}, header);
    sw_transfer way = sw_process_write(&f->process, header, sizeof header, deadline);
    if (way == SW_TRANSFER_DONE) way = sw_process_write(&f->process, question->data, question->size, deadline);
    if (way == SW_TRANSFER_DONE) way = sw_process_read(&f->process, header, sizeof header, deadline);
    if (way != SW_TRANSFER_DONE || !sw_frame_parse(header, frame)) return fail_child(f, way, doing);
    *body = sw_alloc(NULL, (size_t)frame->size + 1);
    if (!*body)
        return sw_fail(&f->diag, SW_E_NOMEM, f->runtime->name, NULL, "no memory for what %s answers",
                       f->runtime->title);
    way = sw_process_read(&f->process, *body, (size_t)frame->size, deadline);
    return way == SW_TRANSFER_DONE ? SW_OK : fail_child(f, way, doing);
}

/* Asks, and hands the answer to `read`, which takes what it wants from it. */
typedef void (*reader)(sw_wire *wire, void *ctx);

static sw_status ask(sw_foreign *f, uint32_t kind, sw_buf *question, int64_t extra_ns, sw_arena *arena, reader read,
                     void *ctx, const char *doing) {
    sw_frame frame;
    uint8_t *body = NULL;
    if (!f->process.pid) {
        sw_buf_free(question);
        return sw_fail(&f->diag, SW_E_IO, f->runtime->name, NULL, "%s's process is not there any more",
                       f->runtime->title);
    }
    sw_status status = transfer(f, kind, question, extra_ns, &frame, &body, doing);
    if (status == SW_OK) {
        sw_wire wire = {.at = body, .end = body + frame.size, .arena = arena};
        if (frame.kind == SW_WIRE_ERROR)
            status = fail_question(f, &wire, doing);
        else {
            if (read) read(&wire, ctx);
            if (frame.kind != SW_WIRE_ANSWER || !sw_wire_done(&wire)) status = fail_child(f, SW_TRANSFER_DONE, doing);
        }
    }
    sw_free(NULL, body);
    sw_buf_free(question);
    return status;
}

static void read_opened(sw_wire *wire, void *ctx) {
    sw_foreign *f = ctx;
    f->version = sw_wire_text(wire);
    f->load_ns = sw_wire_i64(wire);
    sw_wire_settings(wire, &f->used);
    sw_wire_ports(wire, &f->inputs, &f->n_inputs);
    sw_named *outputs; /* a run brings them */
    int n_outputs;
    sw_wire_ports(wire, &outputs, &n_outputs);
}

static sw_status ask_open(sw_foreign *f, const sw_foreign_options *o, const sw_foreign_place *place) {
    sw_buf question = sw_buf_make(NULL, 0);
    /* Python imports modules by name. */
    sw_wire_put_text(&question, f->runtime->kind == SW_FOREIGN_PYTHON ? f->runtime->name : place->path);
    sw_wire_put_text(&question, o->model);
    sw_wire_put_i32(&question, o->threads);
    sw_wire_put_settings(&question, &o->settings);
    sw_wire_put_ports(&question, o->shapes, o->n_shapes);
    return ask(f, SW_WIRE_OPEN, &question, 0, f->arena, read_opened, f, o->model ? "loading the model" : "starting");
}

/* -- Life ---------------------------------------------------------------------------------------------------------- */

static sw_status start(sw_foreign *f, const sw_foreign_place *place) {
    char self[4096];
    if (f->runtime->kind == SW_FOREIGN_PYTHON)
        return sw_process_start((const char *const[]){place->python, "-u", "-c", sw__foreign_child_py, NULL},
                                f->runtime->name, &f->diag, &f->process);
    if (!sw_os_executable(self, sizeof self))
        return sw_fail(&f->diag, SW_E_IO, f->runtime->name, NULL, "this program does not know its own path");
    return sw_process_start((const char *const[]){self, SW_FOREIGN_VERB, f->runtime->name, NULL}, f->runtime->name,
                            &f->diag, &f->process);
}

sw_status sw_foreign_require(const sw_foreign_runtime *runtime, sw_arena *arena, const sw_diag *diag,
                             sw_foreign_place *place) {
    sw_python python = {0};
    if (runtime->kind != SW_FOREIGN_SELF) SW_TRY(sw_python_find(arena, &python));
    SW_TRY(sw_foreign_locate(runtime, &python, arena, place));
    if (place->path) return SW_OK;
    return sw_fail(diag, SW_E_IO, runtime->name, runtime->install, "is not available: %s", place->why_not);
}

sw_status sw_foreign_open(const sw_foreign_runtime *runtime, const sw_foreign_options *options, const sw_diag *diag,
                          sw_foreign **foreign) {
    *foreign = NULL;
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_foreign *f = arena ? SW_ARENA_NEW(arena, sw_foreign) : NULL;
    sw_foreign_place place;
    sw_status status = f ? sw_foreign_require(runtime, arena, diag, &place) : SW_E_NOMEM;
    if (f) *f = (sw_foreign){.runtime = runtime, .arena = arena, .seconds = answer_seconds(options->seconds)};
    if (f && diag) f->diag = *diag;
    if (status == SW_OK) status = start(f, &place);
    if (status == SW_OK) status = ask_open(f, options, &place);
    if (status == SW_OK)
        *foreign = f;
    else if (f)
        sw_foreign_close(f);
    else
        sw_arena_destroy(arena);
    return status;
}

void sw_foreign_close(sw_foreign *foreign) {
    if (!foreign) return;
    sw_process_end(&foreign->process, grace_ns);
    sw_arena_destroy(foreign->arena);
}

const char *sw_foreign_version(const sw_foreign *foreign) {
    return foreign->version;
}

const sw_settings *sw_foreign_used(const sw_foreign *foreign) {
    return &foreign->used;
}

int64_t sw_foreign_load_ns(const sw_foreign *foreign) {
    return foreign->load_ns;
}

const sw_named *sw_foreign_inputs(const sw_foreign *foreign, int *n) {
    *n = foreign->n_inputs;
    return foreign->inputs;
}

int64_t sw_foreign_peak_bytes(const sw_foreign *foreign) {
    return foreign->process.pid ? sw_process_peak_bytes(&foreign->process) : 0;
}

/* -- Inputs -------------------------------------------------------------------------------------------------------- */

static const sw_named *find_input(const sw_named *inputs, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(inputs[i].name, name)) return &inputs[i];
    return NULL;
}

/* An input as the port wants it. */
static sw_status fit(const sw_foreign *f, const sw_named *port, const sw_named *input, sw_arena *arena,
                     const sw_diag *diag, sw_named *bound) {
    *bound = (sw_named){port->name, input->type};
    const sw_tensor *t = &input->type;
    bool known = port->type.dtype != SW_DTYPE_NONE;
    if (known && port->type.rank >= 0 && port->type.rank != t->rank)
        return sw_fail(diag, SW_E_USAGE, f->runtime->name, NULL, "the input '%s' has %d axes, expected %d", port->name,
                       t->rank, port->type.rank);
    if (!known || port->type.dtype == t->dtype) return SW_OK;
    bool halves = port->type.dtype == SW_F16 && t->dtype == SW_F32,
         shorter = port->type.dtype == SW_I32 && t->dtype == SW_I64;
    if (!halves && !shorter)
        return sw_fail(diag, SW_E_USAGE, f->runtime->name, NULL, "the input '%s' is %s, expected %s", port->name,
                       sw_dtype_name(t->dtype), sw_dtype_name(port->type.dtype));
    int64_t count = sw_tensor_count(t);
    bound->type.dtype = port->type.dtype;
    bound->type.data = sw_arena_alloc(arena, (size_t)count + 1, sw_dtype_size(port->type.dtype));
    if (!bound->type.data) return SW_E_NOMEM;
    for (int64_t i = 0; i < count; i++)
        if (halves)
            ((uint16_t *)bound->type.data)[i] = sw_f32_to_f16(((const float *)t->data)[i]);
        else
            ((int32_t *)bound->type.data)[i] = (int32_t)((const int64_t *)t->data)[i];
    return SW_OK;
}

sw_status sw_foreign_match(const sw_foreign *foreign, const sw_named *inputs, int n, sw_arena *arena,
                           const sw_diag *diag, sw_named **bound) {
    const sw_foreign *f = foreign;
    if (n != f->n_inputs)
        return sw_fail(diag, SW_E_USAGE, f->runtime->name, NULL, "the model has %d inputs, %d are given", f->n_inputs,
                       n);
    *bound = SW_ARENA_ARRAY(arena, sw_named, n + 1);
    bool by_name = true;
    for (int i = 0; i < n; i++) by_name &= find_input(inputs, n, f->inputs[i].name) != NULL;
    for (int i = 0; *bound && i < n; i++) {
        const sw_named *input = by_name ? find_input(inputs, n, f->inputs[i].name) : &inputs[i];
        SW_TRY(fit(f, &f->inputs[i], input, arena, diag, &(*bound)[i]));
    }
    return *bound ? SW_OK : SW_E_NOMEM;
}

/* -- Runs ---------------------------------------------------------------------------------------------------------- */

sw_status sw_foreign_bind(sw_foreign *foreign, const sw_named *inputs, int n) {
    sw_buf question = sw_buf_make(NULL, (size_t)SW_FRAME_MOST);
    sw_wire_put_tensors(&question, inputs, n);
    return ask(foreign, SW_WIRE_BIND, &question, 0, foreign->arena, NULL, NULL, "taking its inputs");
}

typedef struct tensors {
    sw_named **items;
    int *n;
} tensors;

static void read_tensors(sw_wire *wire, void *ctx) {
    tensors *t = ctx;
    sw_wire_tensors(wire, t->items, t->n);
}

sw_status sw_foreign_run(sw_foreign *foreign, sw_arena *arena, sw_named **outputs, int *n) {
    sw_buf question = sw_buf_make(NULL, 0);
    return ask(foreign, SW_WIRE_RUN, &question, 0, arena, read_tensors, &(tensors){outputs, n}, "running");
}

typedef struct times {
    int64_t **items;
    int *n;
} times;

static void read_times(sw_wire *wire, void *ctx) {
    times *t = ctx;
    int n = sw_wire_i32(wire);
    if (n < 1 || n > SW_WIRE_MOST_RUNS) wire->bad = true;
    *t->items = wire->bad ? NULL : SW_ARENA_ARRAY(wire->arena, int64_t, n);
    *t->n = n;
    if (!*t->items) wire->bad = true;
    for (int i = 0; i < n && !wire->bad; i++) (*t->items)[i] = sw_wire_i64(wire);
}

sw_status sw_foreign_time(sw_foreign *foreign, int64_t ns, int least, sw_arena *arena, int64_t **items, int *n) {
    sw_buf question = sw_buf_make(NULL, 0);
    sw_wire_put_i64(&question, ns);
    sw_wire_put_i32(&question, least);
    sw_wire_put_i32(&question, SW_WIRE_MOST_RUNS);
    return ask(foreign, SW_WIRE_TIME, &question, ns, arena, read_times, &(times){items, n}, "running");
}
