#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/foreign/engine.h"
#include "base/os.h"
#include "base/process.h"

enum { TEXT_BYTES = 1024 };

typedef struct server {
    const sw_engine *engine;
    int in, out;
    sw_engine_model model;
    sw_arena *bound; /* holds the inputs */
    sw_named *inputs;
    int n_inputs;
    char text[TEXT_BYTES]; /* the last message of the engine */
    sw_diag diag;
} server;

static void keep_text(void *ctx, const sw_message *message) {
    server *s = ctx;
    if (message->severity != SW_ERROR) return;
    snprintf(s->text, sizeof s->text, "%s%s%s", message->text, message->hint ? "; " : "",
             message->hint ? message->hint : "");
}

/* -- For engines --------------------------------------------------------------------------------------------------- */

const char *sw_engine_wanted(const sw_engine_model *model, const char *key) {
    for (int i = 0; i < model->wanted.n; i++)
        if (!strcmp(model->wanted.items[i].key, key)) return model->wanted.items[i].value;
    return NULL;
}

void sw_engine_used(sw_engine_model *model, const char *key, const char *fmt, ...) {
    char value[TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    if (model->used.n == SW_WIRE_MOST_SETTINGS) return;
    sw_setting *setting = &model->used.items[model->used.n++];
    setting->key = sw_arena_strdup(model->arena, key);
    setting->value = sw_arena_strdup(model->arena, value);
}

const sw_tensor *sw_engine_shape(const sw_engine_model *model, const char *name, int index) {
    for (int i = 0; i < model->n_shapes; i++)
        if (name && !strcmp(model->shapes[i].name, name)) return &model->shapes[i].type;
    return index < model->n_shapes ? &model->shapes[index].type : NULL;
}

/* -- Questions ----------------------------------------------------------------------------------------------------- */

static sw_status fail_question(server *s) {
    return sw_fail(&s->diag, SW_E_INTERNAL, NULL, NULL, "a question of the parent is broken");
}

static sw_status answer_open(server *s, sw_wire *wire, sw_buf *answer) {
    sw_engine_model *m = &s->model;
    m->arena = wire->arena;
    m->library = sw_wire_text(wire);
    m->path = sw_wire_text(wire);
    m->threads = sw_wire_i32(wire);
    sw_named *shapes;
    sw_wire_settings(wire, &m->wanted);
    sw_wire_ports(wire, &shapes, &m->n_shapes);
    m->shapes = shapes;
    if (!sw_wire_done(wire) || m->state || m->threads < 0) return fail_question(s);
    m->used.items = SW_ARENA_ARRAY(m->arena, sw_setting, SW_WIRE_MOST_SETTINGS);
    if (!m->used.items) return SW_E_NOMEM;
    int64_t begin = sw_clock_ns();
    SW_TRY(s->engine->open(m, &s->diag));
    sw_wire_put_text(answer, m->version);
    sw_wire_put_i64(answer, sw_clock_ns() - begin);
    sw_wire_put_settings(answer, &m->used);
    sw_wire_put_ports(answer, m->inputs, m->n_inputs);
    sw_wire_put_ports(answer, m->outputs, m->n_outputs);
    return SW_OK;
}

static sw_status answer_bind(server *s, sw_wire *wire) {
    sw_wire_tensors(wire, &s->inputs, &s->n_inputs);
    if (!sw_wire_done(wire) || !s->model.state || s->n_inputs != s->model.n_inputs) return fail_question(s);
    SW_TRY(s->engine->bind(&s->model, s->inputs, &s->diag));
    sw_arena_destroy(s->bound);
    s->bound = wire->arena; /* kept from now on */
    wire->arena = NULL;
    return SW_OK;
}

static sw_status answer_run(server *s, sw_wire *wire, sw_buf *answer) {
    if (!sw_wire_done(wire) || !s->bound) return fail_question(s);
    sw_named *outputs = SW_ARENA_ARRAY(wire->arena, sw_named, s->model.n_outputs + 1);
    if (!outputs) return SW_E_NOMEM;
    SW_TRY(s->engine->run(&s->model, &s->diag));
    for (int i = 0; i < s->model.n_outputs; i++) outputs[i].name = s->model.outputs[i].name;
    SW_TRY(s->engine->outputs(&s->model, outputs, &s->diag));
    sw_wire_put_tensors(answer, outputs, s->model.n_outputs);
    return SW_OK;
}

static sw_status answer_time(server *s, sw_wire *wire, sw_buf *answer) {
    int64_t ns = sw_wire_i64(wire);
    int32_t least = sw_wire_i32(wire), most = sw_wire_i32(wire), n = 0;
    if (!sw_wire_done(wire) || !s->bound || least < 1 || most < least || most > SW_WIRE_MOST_RUNS)
        return fail_question(s);
    sw_wire_put_i32(answer, 0);
    for (int64_t begin = sw_clock_ns(); n < most && (n < least || sw_clock_ns() - begin < ns); n++) {
        int64_t took = 0, start = sw_clock_ns();
        if (s->engine->time) {
            SW_TRY(s->engine->time(&s->model, &s->diag, &took));
        } else {
            SW_TRY(s->engine->run(&s->model, &s->diag));
            took = sw_clock_ns() - start;
        }
        sw_wire_put_i64(answer, took);
    }
    if (answer->status == SW_OK) memcpy(answer->data, &n, sizeof n);
    return SW_OK;
}

static sw_status answer_question(server *s, uint32_t kind, sw_wire *wire, sw_buf *answer) {
    switch (kind) {
    case SW_WIRE_OPEN:
        return answer_open(s, wire, answer);
    case SW_WIRE_BIND:
        return answer_bind(s, wire);
    case SW_WIRE_RUN:
        return answer_run(s, wire, answer);
    case SW_WIRE_TIME:
        return answer_time(s, wire, answer);
    default:
        return fail_question(s);
    }
}

static bool send_frame(server *s, uint32_t kind, const sw_buf *body) {
    uint8_t header[SW_FRAME_HEADER];
    sw_frame_format(&(sw_frame){kind, body->size}, header);
    return sw_fd_give(s->out, header, sizeof header) && sw_fd_give(s->out, body->data, body->size);
}

/* One question; false at the end of questions. */
static bool serve_one(server *s) {
    uint8_t header[SW_FRAME_HEADER];
    sw_frame frame;
    if (!sw_fd_take(s->in, header, sizeof header) || !sw_frame_parse(header, &frame)) return false;
    uint8_t *body = sw_alloc(NULL, (size_t)frame.size + 1);
    sw_arena *arena = sw_arena_create(NULL, 0);
    bool good = body && arena && sw_fd_take(s->in, body, (size_t)frame.size);
    if (good) {
        sw_wire wire = {.at = body, .end = body + frame.size, .arena = arena};
        sw_buf answer = sw_buf_make(NULL, (size_t)SW_FRAME_MOST);
        s->text[0] = 0;
        sw_status status = answer_question(s, frame.kind, &wire, &answer);
        if (status == SW_OK) status = answer.status;
        if (status != SW_OK) {
            sw_buf_clear(&answer);
            sw_wire_put_i32(&answer, status);
            sw_wire_put_text(&answer, s->text[0] ? s->text : sw_status_text(status));
        }
        if (frame.kind == SW_WIRE_OPEN) wire.arena = NULL; /* the model lies there */
        good = send_frame(s, status == SW_OK ? SW_WIRE_ANSWER : SW_WIRE_ERROR, &answer);
        sw_buf_free(&answer);
        arena = wire.arena;
    }
    sw_arena_destroy(arena);
    sw_free(NULL, body);
    return good;
}

sw_status sw_engine_serve(const sw_engine *engine) {
    server s = {.engine = engine};
    s.diag = (sw_diag){keep_text, &s};
    SW_TRY(sw_process_become_child(&s.in, &s.out));
    while (serve_one(&s)) continue;
    /* Destructors of foreign libraries have crashed programs before: the system frees it all. */
    sw_process_leave();
}
