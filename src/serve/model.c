/* A version of a model: configuration, backend and instances put together. */
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "serve/internal.h"

/* -- Start and stop -------------------------------------------------------------------------------------------------- */

static const char *parameter(void *ctx, const char *key) {
    return sw__config_parameter(ctx, key);
}

/* Threads of an instance: the instances share the CPUs. */
static int threads_of(const sw_serve_model *model) {
    int n = model->config.instances > 0 ? model->config.instances : 1;
    return model->core->cpus / n > 1 ? model->core->cpus / n : 1;
}

static sw_serve_code open_backend(sw_serve_model *model, sw_serve_error *error) {
    sw_serve_opening opening = {.name = model->config.name,
                                .core = model->core,
                                .path = model->path,
                                .loader = &model->core->options.loader,
                                .diag = &model->core->diag,
                                .n_inputs = model->info.n_inputs,
                                .n_outputs = model->info.n_outputs,
                                .max_batch_size = model->config.max_batch,
                                .inputs = model->info.inputs,
                                .outputs = model->info.outputs,
                                .parameter = parameter,
                                .parameter_ctx = &model->config,
                                .device = model->config.device,
                                .threads = threads_of(model)};
    sw_serve_code code = model->backend->open(model->backend, &opening, &model->opened, error);
    if (code == SW_SERVE_OK)
        model->backend->describe(model->opened, &model->nature);
    else
        model->opened = NULL;
    return code;
}

static sw_serve_code start_instance(sw_serve_model *model, sw__instance *instance, sw_serve_error *error) {
    sw_serve_start how = {.threads = model->threads,
                          .max_batch_size = model->config.max_batch,
                          .device = model->config.devices[instance - model->instances]};
    for (int i = 0; i < model->n_in; i++)
        instance->in[i].name = model->nature.n_inputs ? model->nature.inputs[i].name : model->info.inputs[i].name;
    for (int i = 0; i < model->n_out; i++)
        instance->out[i].name = model->nature.n_outputs ? model->nature.outputs[i].name : model->info.outputs[i].name;
    return model->backend->start(model->opened, &how, &instance->handle, error);
}

sw_serve_code sw__serve_model_start(sw_serve_model *model, sw_serve_error *error) {
    int n_in = model->nature.n_inputs, n_out = model->nature.n_outputs;
    sw_serve_code code = model->opened ? SW_SERVE_OK : open_backend(model, error);
    if (code == SW_SERVE_OK && (model->nature.n_inputs != n_in || model->nature.n_outputs != n_out))
        code = sw_serve_fail(error, SW_SERVE_INTERNAL,
                             "model '%s' has changed on disk since it was loaded; load it again", model->config.name);
    for (int i = 0; code == SW_SERVE_OK && i < model->n_instances; i++) {
        model->instances[i].handle = NULL;
        code = start_instance(model, &model->instances[i], error);
        if (code == SW_SERVE_OK) sw__serve_count_bytes(model, &model->instances[i]);
    }
    if (code != SW_SERVE_OK) sw__serve_model_stop(model);
    return code;
}

void sw__serve_count_bytes(sw_serve_model *model, sw__instance *instance) {
    sw_serve_nature now;
    model->backend->describe(model->opened, &now);
    sw_serve *core = model->core;
    pthread_mutex_lock(&core->lock);
    instance->bytes = model->backend->bytes ? model->backend->bytes(instance->handle) : 0;
    int64_t all = now.bytes;
    for (int i = 0; i < model->n_instances; i++) all += model->instances[i].bytes;
    if (core->options.memory_budget && all > model->bytes) { /* others may have to leave */
        core->crowded = true;
        core->newcomer = model;
        pthread_cond_signal(&core->work);
    }
    model->bytes = all;
    pthread_mutex_unlock(&core->lock);
}

void sw__serve_model_stop(sw_serve_model *model) {
    for (int i = 0; i < model->n_instances; i++) {
        sw__instance *instance = &model->instances[i];
        if (instance->handle) model->backend->stop(instance->handle);
        instance->handle = NULL;
        instance->bytes = 0;
        for (int k = 0; k < model->n_in; k++) {
            sw_free(NULL, instance->staging[k]);
            instance->staging[k] = NULL;
            instance->cap_staging[k] = 0;
        }
    }
    if (model->opened) model->backend->close(model->opened);
    model->opened = NULL;
    model->nature.plan = NULL;
}

static sw__tally *make_tally(bool summaries) {
    sw__tally *tally = sw_calloc(NULL, 1, sizeof *tally);
    if (!tally) return NULL;
    if (summaries) { /* without memory for them there are none */
        tally->stats.summaries = sw_calloc(NULL, SW__SUMMARIES, sizeof *tally->stats.summaries);
    }
    tally->refs = 1;
    pthread_mutex_init(&tally->lock, NULL);
    return tally;
}

static void drop_tally(sw__tally *tally) {
    if (!tally || atomic_fetch_sub(&tally->refs, 1) != 1) return;
    sw__stats_free(&tally->stats);
    pthread_mutex_destroy(&tally->lock);
    sw_free(NULL, tally);
}

void sw__serve_model_inherit(sw_serve_model *model, const sw_serve_model *from) {
    drop_tally(model->tally);
    model->tally = from->tally;
    atomic_fetch_add(&model->tally->refs, 1);
}

void sw__serve_model_destroy(sw_serve_model *model) {
    if (!model) return;
    sw__queue_close(&model->queue);
    sw__ensemble_destroy(model->ensemble);
    if (model->backend) sw__serve_model_stop(model);
    drop_tally(model->tally);
    pthread_mutex_destroy(&model->life_lock);
    sw_arena_destroy(model->arena);
}

/* -- Making ---------------------------------------------------------------------------------------------------------- */

static sw_serve_code fail_status(sw_status status, sw_serve_error *error) {
    if (!error->text[0]) snprintf(error->text, sizeof error->text, "%s", sw_status_text(status));
    return error->code = sw__serve_code_of(status);
}

/* Whether the backend takes what comes at the port of that name. */
static bool is_loose(const sw_serve_port *ports, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(ports[i].name, name) == 0) return ports[i].loose;
    return false;
}

/* The ports of a configuration as the metadata shows them. */
static const sw_serve_port *make_ports(sw_arena *arena, const sw__io *ios, int n, bool batched,
                                       const sw_serve_port *natural, int n_natural) {
    sw_serve_port *ports = SW_ARENA_ARRAY(arena, sw_serve_port, n + 1);
    for (int i = 0; ports && i < n; i++) {
        ports[i] = (sw_serve_port){.name = ios[i].name,
                                   .dtype = ios[i].dtype,
                                   .rank = ios[i].rank + batched,
                                   .optional = ios[i].optional,
                                   .loose = is_loose(natural, n_natural, ios[i].name)};
        ports[i].dims[0] = -1;
        memcpy(ports[i].dims + batched, ios[i].dims, (size_t)ios[i].rank * sizeof *ports[i].dims);
    }
    return ports;
}

static bool make_info(sw_serve_model *model, int64_t version) {
    const sw__config *c = &model->config;
    const sw_serve_nature *nature = &model->nature;
    bool batched = c->max_batch > 0;
    model->info = (sw_serve_info){
        .name = c->name,
        .platform = *c->platform ? c->platform : c->backend,
        .backend = c->backend,
        .version = version,
        .max_batch_size = c->max_batch,
        .n_inputs = c->n_inputs,
        .n_outputs = c->n_outputs,
        .inputs = make_ports(model->arena, c->inputs, c->n_inputs, batched, nature->inputs, nature->n_inputs),
        .outputs = make_ports(model->arena, c->outputs, c->n_outputs, batched, nature->outputs, nature->n_outputs)};
    return model->info.inputs && model->info.outputs;
}

/* Parses the configuration and reads what it says by itself. */
static sw_serve_code read_config(sw_serve_model *model, const sw__model_source *source, const sw__source *from,
                                 sw_serve_error *error) {
    sw__message *message = NULL;
    sw_status status;
    if (!source->config)
        status = (message = sw__message_create(model->arena, &sw__model_config)) ? SW_OK : SW_E_NOMEM;
    else
        status = (source->config_is_json ? sw__proto_json_parse : sw__pbtxt_parse)(source->config, source->config_size,
                                                                                   &sw__model_config, from, &message);
    if (status == SW_OK) status = sw__message_check_use(message, from);
    if (status == SW_OK) status = sw__config_read(message, from, &model->config);
    if (status != SW_OK) return fail_status(status, error);
    if (*model->config.name && strcmp(model->config.name, source->name) != 0)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "%s: name \"%.100s\" is not that of its folder; set it to \"%.100s\"", from->where,
                             model->config.name, source->name);
    if (!*model->config.name && !(model->config.name = sw_arena_strdup(model->arena, source->name)))
        return sw__serve_no_memory(error);
    return SW_SERVE_OK;
}

static int port_at(const char *name, const sw__io *ios, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0) return i;
    return -1;
}

/* Which port of the backend is which of the configuration. */
static bool map_ports(sw_serve_model *model) {
    const sw__config *c = &model->config;
    const sw_serve_nature *nature = &model->nature;
    bool same = !nature->n_inputs && !nature->n_outputs;
    model->n_in = same ? c->n_inputs : nature->n_inputs;
    model->n_out = same ? c->n_outputs : nature->n_outputs;
    model->in_at = SW_ARENA_ARRAY(model->arena, int, model->n_in + 1);
    model->out_at = SW_ARENA_ARRAY(model->arena, int, c->n_outputs + 1);
    if (!model->in_at || !model->out_at) return false;
    for (int i = 0; i < model->n_in; i++)
        model->in_at[i] = same ? i : port_at(nature->inputs[i].name, c->inputs, c->n_inputs);
    for (int i = 0; i < c->n_outputs; i++) {
        model->out_at[i] = i;
        for (int k = 0; !same && k < nature->n_outputs; k++)
            if (strcmp(nature->outputs[k].name, c->outputs[i].name) == 0) model->out_at[i] = k;
    }
    return true;
}

static bool make_instance(sw_serve_model *model, sw__instance *instance) {
    sw_arena *arena = model->arena;
    instance->in = SW_ARENA_ARRAY(arena, sw_serve_tensor, model->n_in + 1);
    instance->out = SW_ARENA_ARRAY(arena, sw_serve_tensor, model->n_out + 1);
    instance->given = SW_ARENA_ARRAY(arena, sw_serve_tensor, model->info.n_outputs + 1);
    instance->staging = SW_ARENA_ARRAY(arena, void *, model->n_in + 1);
    instance->cap_staging = SW_ARENA_ARRAY(arena, size_t, model->n_in + 1);
    instance->batch = SW_ARENA_ARRAY(arena, sw_serve_request *, model->config.max_batch + 1);
    return instance->in && instance->out && instance->given && instance->staging && instance->cap_staging &&
           instance->batch;
}

static bool make_instances(sw_serve_model *model) {
    int n = model->config.instances;
    model->threads = threads_of(model);
    model->instances = SW_ARENA_ARRAY(model->arena, sw__instance, n);
    if (!model->instances) return false;
    for (int i = 0; i < n; i++)
        if (!make_instance(model, &model->instances[i])) return false;
    if (model->config.batching.slo_p99_us &&
        !(model->queue.batch_ns = SW_ARENA_ARRAY(model->arena, double, model->config.max_batch + 2)))
        return false;
    model->n_instances = n;
    return true;
}

/* The backend opened, the configuration completed by it and checked against it. */
static sw_serve_code match_backend(sw_serve_model *model, const sw__model_source *source, const sw__source *from,
                                   sw_serve_error *error) {
    sw__message *message = model->config.message;
    sw_serve_code code =
        sw__serve_choose_backend(model->core, source, message, model->arena, &model->backend, &model->path, error);
    if (code != SW_SERVE_OK) return code;
    if (!make_info(model, source->version)) return sw__serve_no_memory(error);
    code = open_backend(model, error);
    if (code != SW_SERVE_OK) return code;
    sw_status status = sw__config_complete(message, from, source->name, model->backend, &model->nature,
                                           SW__DEFAULT_BATCH, !model->core->options.no_auto_complete);
    if (status == SW_OK) status = sw__config_read(message, from, &model->config);
    if (status == SW_OK) status = sw__config_match(&model->config, from, &model->nature);
    if (status != SW_OK) return fail_status(status, error);
    return make_info(model, source->version) ? SW_SERVE_OK : sw__serve_no_memory(error);
}

/* Models that an ensemble is made of must be somewhere; where repositories are polled, they may come later. */
static sw_serve_code check_members(sw_serve_model *model, sw_serve_error *error) {
    sw_serve *core = model->core;
    const char *name;
    for (int i = 0; (name = sw__ensemble_member(model->ensemble, i)); i++) {
        sw__found found;
        pthread_mutex_lock(&core->lock);
        const sw__entry *entry = sw__core_entry(core, name, false);
        bool there = entry && entry->n_versions;
        pthread_mutex_unlock(&core->lock);
        if (there || core->options.control == SW_SERVE_CONTROL_POLL ||
            sw__repository_find(core, name, model->arena, &found))
            continue;
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "ensemble '%.200s' contains models that are not available: '%.200s'", model->config.name,
                             name);
    }
    return SW_SERVE_OK;
}

static sw_serve_code make_ensemble(sw_serve_model *model, const sw__model_source *source, const sw__source *from,
                                   sw_serve_error *error) {
    static const sw_serve_nature none;
    sw__message *message = model->config.message;
    sw_status status = sw__config_complete(message, from, source->name, NULL, &none, 0, false);
    if (status == SW_OK) status = sw__config_read(message, from, &model->config);
    if (status == SW_OK) status = sw__config_match(&model->config, from, &none);
    if (status != SW_OK) return fail_status(status, error);
    if (!make_info(model, source->version) || !sw__queue_init(&model->queue, model->arena, 1, 0))
        return sw__serve_no_memory(error);
    sw_serve_code code = sw__ensemble_create(model, error);
    if (code == SW_SERVE_OK) code = check_members(model, error);
    if (code == SW_SERVE_OK) code = sw__route_read(model, error);
    return code == SW_SERVE_OK ? sw__serve_read_labels(model, source->folder, error) : code;
}

static sw_serve_code make(sw_serve_model *model, const sw__model_source *source, sw_serve_error *error) {
    sw__sink sink = {error, &model->core->diag};
    sw_diag diag = sw__serve_sink(&sink);
    sw__source from = {source->config_where, &diag, model->arena};
    sw_serve_code code = read_config(model, source, &from, error);
    if (code != SW_SERVE_OK) return code;
    if (model->config.n_steps) return make_ensemble(model, source, &from, error);
    code = match_backend(model, source, &from, error);
    if (code != SW_SERVE_OK) return code;
    if (!map_ports(model) || !make_instances(model) ||
        !sw__queue_init(&model->queue, model->arena, model->config.batching.levels, model->n_instances))
        return sw__serve_no_memory(error);
    code = sw__serve_model_start(model, error);
    if (code == SW_SERVE_OK) code = sw__route_read(model, error);
    if (code == SW_SERVE_OK) code = sw__serve_read_labels(model, source->folder, error);
    if (code == SW_SERVE_OK) code = sw__serve_warm_up(model, source->folder, error);
    for (int i = 0; code == SW_SERVE_OK && i < model->n_instances; i++)
        sw__queue_add_instance(&model->queue, &model->instances[i]);
    return code;
}

static bool copy_source(sw_arena *arena, const sw__model_source *from, sw__model_source *to) {
    *to = *from;
    to->name = sw_arena_strdup(arena, from->name);
    to->folder = sw_arena_strdup(arena, from->folder);
    to->version_folder = sw_arena_strdup(arena, from->version_folder);
    to->path = sw_arena_strdup(arena, from->path);
    to->config = from->config ? sw_arena_strndup(arena, from->config, from->config_size) : NULL;
    to->config_where = sw_arena_strdup(arena, from->config_where);
    return to->name && !from->folder == !to->folder && !from->version_folder == !to->version_folder &&
           !from->path == !to->path && !from->config == !to->config && !from->config_where == !to->config_where;
}

sw_serve_code sw__serve_model_create(sw_serve *core, const sw__model_source *source, sw_serve_model **result,
                                     sw_serve_error *error) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_serve_model *model = arena ? SW_ARENA_NEW(arena, sw_serve_model) : NULL;
    if (!model) {
        sw_arena_destroy(arena);
        return sw__serve_no_memory(error);
    }
    model->refs = 1;
    model->core = core;
    model->arena = arena;
    model->tally = make_tally(core->options.metrics.summaries);
    pthread_mutex_init(&model->life_lock, NULL);
    sw_serve_code code = model->tally && copy_source(arena, source, &model->source) ? make(model, source, error)
                                                                                    : sw__serve_no_memory(error);
    if (code != SW_SERVE_OK) {
        sw__serve_model_destroy(model);
        return code;
    }
    pthread_mutex_lock(&core->lock);
    core->n_alive++;
    pthread_mutex_unlock(&core->lock);
    *result = model;
    return SW_SERVE_OK;
}

/* -- What it tells --------------------------------------------------------------------------------------------------- */

void sw_serve_keep(sw_serve_model *model) {
    atomic_fetch_add_explicit(&model->refs, 1, memory_order_relaxed);
}

void sw_serve_drop(sw_serve_model *model) {
    if (model && atomic_fetch_sub_explicit(&model->refs, 1, memory_order_acq_rel) == 1)
        sw__loading_bury(model->core, model);
}

const sw_serve_info *sw_serve_model_info(const sw_serve_model *model) {
    return &model->info;
}

const char *sw_serve_model_label(const sw_serve_model *model, const char *output, int64_t index) {
    for (int i = 0; i < model->info.n_outputs; i++)
        if (strcmp(model->info.outputs[i].name, output) == 0)
            return index >= 0 && index < model->n_labels[i] ? model->labels[i][index] : NULL;
    return NULL;
}

void sw_serve_model_config_json(const sw_serve_model *model, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 0);
    sw__message_json(model->config.message, &w);
}

void sw_serve_model_config_pb(const sw_serve_model *model, sw_buf *buf) {
    sw__message_wire(model->config.message, buf);
}

sw_serve_code sw_serve_model_take_plan(sw_serve_model *model, sw_plan **plan, sw_serve_error *error) {
    if (!sw__loading_wait_revived(model))
        return sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "model '%s' could not be brought back into memory",
                             model->info.name);
    pthread_mutex_lock(&model->life_lock);
    *plan = model->nature.plan ? sw_plan_ref(model->nature.plan) : NULL;
    pthread_mutex_unlock(&model->life_lock);
    return SW_SERVE_OK;
}
