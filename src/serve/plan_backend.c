/* The backend of model files: a plan by the loader, a session per instance. */
#include <stdio.h>
#include <string.h>

#include "engine/plan.h"
#include "engine/session.h"
#include "serve/backend.h"
#include "serve/internal.h"

enum { OTHER_SHAPES = 8 };

typedef struct plan_model {
    sw_arena *arena;
    sw_plan *plan;
    sw_serve_nature nature;
    int64_t file_bytes; /* besides the plan; negative: not known */
} plan_model;

typedef struct plan_instance {
    const plan_model *model;
    sw_session *session;
    sw_tensor *in, *out, *row_in, *row_out;
    sw_demand demand; /* without rows: none */
    bool vain;        /* it saves nothing */
    void **joined;    /* by output: those of the pictures of a batch, run one by one */
    size_t *cap_joined;
    const char *hint; /* in the place of those of messages; NULL: none */
    char why[sizeof((sw_serve_error){0}).text];
} plan_instance;

/* The ports of a plan; false when out of memory. `open`: whether the first dim of each is open. */
static bool describe_ports(sw_arena *arena, const sw_plan *plan, int n, const sw_port *(*get)(const sw_plan *, int),
                           const sw_serve_port **ports, bool *open) {
    sw_serve_port *made = SW_ARENA_ARRAY(arena, sw_serve_port, n ? n : 1);
    if (!made) return false;
    for (int i = 0; i < n; i++) {
        const sw_port *port = get(plan, i);
        const sw_tensor *type = &port->type;
        made[i] =
            (sw_serve_port){.name = port->name, .dtype = (int)type->dtype, .rank = type->rank > 0 ? type->rank : 0};
        for (int d = 0; d < made[i].rank; d++) made[i].dims[d] = type->dims[d] < 0 ? -1 : type->dims[d];
        *open &= made[i].rank > 0 && made[i].dims[0] < 0;
    }
    *ports = made;
    return true;
}

/* A port whose type the protocol cannot name, or NULL. */
static const sw_serve_port *nameless(const sw_serve_port *ports, int n) {
    for (int i = 0; i < n; i++)
        if (ports[i].dtype != SW_DTYPE_NONE && !*sw_serve_dtype_name(ports[i].dtype)) return &ports[i];
    return NULL;
}

static void plan_close(void *opened) {
    plan_model *model = opened;
    sw_plan_unref(model->plan);
    sw_arena_destroy(model->arena);
}

static sw_serve_code plan_open(const sw_serve_backend *backend, const sw_serve_opening *opening, void **opened,
                               sw_serve_error *error) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    plan_model *model = arena ? SW_ARENA_NEW(arena, plan_model) : NULL;
    if (!model) {
        sw_arena_destroy(arena);
        return sw__serve_no_memory(error);
    }
    model->arena = arena;
    sw__sink sink = {error, opening->diag};
    sw_diag diag = sw__serve_sink(&sink);
    sw_serve_wish wish = {opening->path, opening->device, opening->threads};
    sw_status status =
        opening->loader->load(opening->loader->ctx, &wish, &diag, &model->plan, &model->nature.plan_kind);
    if (status != SW_OK) {
        sw_arena_destroy(arena);
        if (!error->text[0]) snprintf(error->text, sizeof error->text, "%s", sw_status_text(status));
        return error->code = sw__serve_code_of(status);
    }
    sw_serve_nature *nature = &model->nature;
    nature->batchable = true;
    nature->plan = model->plan;
    nature->n_inputs = sw_plan_inputs(model->plan);
    nature->n_outputs = sw_plan_outputs(model->plan);
    if (!model->plan->loaded)
        model->file_bytes = sw_file_size(opening->path); /* it stays mapped, or its text in memory */
    if (!describe_ports(arena, model->plan, nature->n_inputs, sw_plan_input, &nature->inputs, &nature->batchable) ||
        !describe_ports(arena, model->plan, nature->n_outputs, sw_plan_output, &nature->outputs, &nature->batchable)) {
        plan_close(model);
        return sw__serve_no_memory(error);
    }
    const sw_serve_port *port = nameless(nature->inputs, nature->n_inputs);
    if (!port) port = nameless(nature->outputs, nature->n_outputs);
    if (port) {
        sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                      "'%s' has type %s, which the protocol cannot carry; cast it in the model", port->name,
                      sw_dtype_name((sw_dtype)port->dtype));
        plan_close(model);
        return error->code;
    }
    *opened = model;
    return SW_SERVE_OK;
}

static void plan_describe(void *opened, sw_serve_nature *nature) {
    const plan_model *model = opened;
    *nature = model->nature;
    nature->bytes = sw_plan_bytes(model->plan) + (model->file_bytes > 0 ? model->file_bytes : 0);
}

/* Where a session's messages go: the first sentence of an error is what the client gets. */
static void keep_why(void *ctx, const sw_message *message) {
    plan_instance *instance = ctx;
    const char *hint = instance->hint ? instance->hint : message->hint;
    if (message->severity == SW_ERROR && !instance->why[0])
        snprintf(instance->why, sizeof instance->why, "%s%s%s", message->text, hint ? "; " : "", hint ? hint : "");
}

static void plan_stop(void *started) {
    plan_instance *instance = started;
    sw_session_destroy(instance->session);
    for (int i = 0; instance->joined && i < instance->model->nature.n_outputs; i++) sw_free(NULL, instance->joined[i]);
    sw_free(NULL, instance->joined);
    sw_free(NULL, instance->cap_joined);
    sw_free(NULL, instance->in);
    sw_free(NULL, instance);
}

static sw_serve_code plan_start(void *opened, const sw_serve_start *how, void **started, sw_serve_error *error) {
    plan_model *model = opened;
    plan_instance *instance = sw_calloc(NULL, 1, sizeof *instance);
    if (!instance) return sw__serve_no_memory(error);
    instance->model = model;
    size_t n_in = (size_t)model->nature.n_inputs, n_out = (size_t)model->nature.n_outputs;
    instance->in = sw_calloc(NULL, 2 * (n_in + n_out) + 1, sizeof *instance->in);
    instance->joined = sw_calloc(NULL, n_out + 1, sizeof *instance->joined);
    instance->cap_joined = sw_calloc(NULL, n_out + 1, sizeof *instance->cap_joined);
    sw_session_options options = {.threads = how->threads, .device = how->device};
    sw_diag diag = {keep_why, instance};
    if (how->device) instance->hint = "the model's instance_group is of KIND_GPU: with KIND_CPU it runs without";
    sw_status status = instance->in && instance->joined && instance->cap_joined
                           ? sw_session_create(model->plan, &options, &diag, &instance->session)
                           : SW_E_NOMEM;
    /* Any size of batch may be next; a few more for inputs of other sizes. */
    if (status == SW_OK) status = sw_session_keep_shapes(instance->session, how->max_batch_size + OTHER_SHAPES);
    if (status != SW_OK) {
        sw_serve_fail(error, sw__serve_code_of(status), "%s",
                      instance->why[0] ? instance->why : sw_status_text(status));
        plan_stop(instance);
        return error->code;
    }
    instance->hint = NULL;
    instance->out = instance->in + n_in;
    instance->row_in = instance->out + n_out;
    instance->row_out = instance->row_in + n_in;
    *started = instance;
    return SW_SERVE_OK;
}

static int64_t plan_bytes(void *started) {
    const plan_instance *instance = started;
    int64_t bytes = sw_session_bytes(instance->session);
    for (int i = 0; i < instance->model->nature.n_outputs; i++) bytes += (int64_t)instance->cap_joined[i];
    return bytes;
}

static void plan_demand(void *started, const sw_demand *demand) {
    plan_instance *instance = started;
    sw_demand wanted = demand ? *demand : (sw_demand){0};
    if (!sw_demand_alike(&wanted, &instance->demand)) instance->vain = false;
    instance->demand = wanted;
    sw_session_demand(instance->session, demand);
}

/* Keeps the outputs of row `at` of `rows`, behind those before; false: they are of another size. */
static bool join(plan_instance *instance, int64_t at, int64_t rows) {
    for (int i = 0; i < instance->model->nature.n_outputs; i++) {
        const sw_tensor *row = &instance->row_out[i];
        sw_tensor *all = &instance->out[i];
        size_t bytes = (size_t)sw_tensor_bytes(row);
        if (at == 0) {
            *all = *row;
            all->dims[0] = rows;
            if (row->dims[0] != 1 || sw_tensor_bytes(all) < 0) return false;
            if (sw_grow(NULL, &instance->joined[i], &instance->cap_joined[i], bytes * (size_t)rows, 1, SIZE_MAX) !=
                SW_OK)
                return false;
            all->data = instance->joined[i];
        }
        if (bytes != (size_t)sw_tensor_bytes(all) / (size_t)rows) return false;
        memcpy((char *)all->data + bytes * (size_t)at, row->data, bytes);
    }
    return true;
}

/* The rows of a batch one by one, since a demand saves work only there; *done: it does. */
static sw_status run_rows(plan_instance *instance, int64_t rows, bool *done) {
    for (int64_t at = 0; at < rows; at++) {
        for (int i = 0; i < instance->model->nature.n_inputs; i++) {
            sw_tensor *row = &instance->row_in[i];
            *row = instance->in[i];
            row->dims[0] = 1;
            row->data = (char *)row->data + at * sw_tensor_bytes(row);
        }
        SW_TRY(sw_session_run(instance->session, instance->row_in, instance->row_out));
        *done = sw_session_instance(instance->session)->demanded && join(instance, at, rows);
        instance->vain = !*done;
        if (!*done) break;
    }
    return SW_OK;
}

static sw_serve_code plan_run(void *started, const sw_serve_tensor *in, sw_serve_tensor *out, sw_serve_error *error) {
    plan_instance *instance = started;
    const sw_serve_nature *nature = &instance->model->nature;
    for (int i = 0; i < nature->n_inputs; i++) {
        sw_tensor *t = &instance->in[i];
        *t = (sw_tensor){.dtype = (sw_dtype)in[i].dtype, .rank = in[i].rank, .data = (void *)in[i].data};
        memcpy(t->dims, in[i].dims, sizeof t->dims);
    }
    instance->why[0] = 0;
    bool joined = false;
    sw_status status = SW_OK;
    if (instance->demand.rows && !instance->vain && nature->batchable && in[0].dims[0] > 1)
        status = run_rows(instance, in[0].dims[0], &joined);
    if (status == SW_OK && !joined) status = sw_session_run(instance->session, instance->in, instance->out);
    if (status != SW_OK)
        return sw_serve_fail(error, sw__serve_code_of(status), "%s",
                             instance->why[0] ? instance->why : sw_status_text(status));
    for (int i = 0; i < nature->n_outputs; i++) {
        const sw_tensor *t = &instance->out[i];
        out[i].dtype = (int)t->dtype;
        out[i].rank = t->rank;
        memcpy(out[i].dims, t->dims, sizeof out[i].dims);
        out[i].data = t->data;
        out[i].bytes = (size_t)sw_tensor_bytes(t);
    }
    return SW_SERVE_OK;
}

const sw_serve_backend sw_serve_plan_backend = {.name = "slipway",
                                                .platform = "slipway_plan",
                                                .open = plan_open,
                                                .close = plan_close,
                                                .describe = plan_describe,
                                                .start = plan_start,
                                                .stop = plan_stop,
                                                .run = plan_run,
                                                .bytes = plan_bytes,
                                                .demand = plan_demand,
                                                .computes = true};
