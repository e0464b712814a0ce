#include <string.h>

#include "serve/internal.h"

int64_t sw__serve_now(const sw_serve *core) {
    return core->clock.now ? core->clock.now(core->clock.ctx) : sw_clock_ns();
}

/* -- Models ---------------------------------------------------------------------------------------------------------- */

static void destroy_model(sw_serve_model *model) {
    if (!model) return;
    if (model->instance.handle) model->backend->stop(model->instance.handle);
    if (model->opened) model->backend->close(model->opened);
    pthread_mutex_destroy(&model->lock);
    sw_arena_destroy(model->arena);
}

sw_serve_code sw__serve_model_create(sw_serve *core, const char *name, int64_t version, const char *path,
                                     sw_serve_model **result, sw_serve_error *error) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_serve_model *model = arena ? SW_ARENA_NEW(arena, sw_serve_model) : NULL;
    if (!model) {
        sw_arena_destroy(arena);
        return sw__serve_no_memory(error);
    }
    model->refs = 1;
    model->core = core;
    model->arena = arena;
    model->backend = &sw_serve_plan_backend;
    pthread_mutex_init(&model->lock, NULL);
    sw_serve_opening opening = {.name = name, .path = path, .loader = &core->loader, .diag = &core->diag};
    sw_serve_code code = model->backend->open(model->backend, &opening, &model->opened, error);
    if (code != SW_SERVE_OK) goto out;
    model->backend->describe(model->opened, &model->nature);
    model->info = (sw_serve_info){.name = sw_arena_strdup(arena, name),
                                  .platform = model->backend->platform,
                                  .backend = model->backend->name,
                                  .version = version,
                                  .n_inputs = model->nature.n_inputs,
                                  .n_outputs = model->nature.n_outputs,
                                  .inputs = model->nature.inputs,
                                  .outputs = model->nature.outputs};
    model->instance.in = SW_ARENA_ARRAY(arena, sw_serve_tensor, model->info.n_inputs + 1);
    model->instance.out = SW_ARENA_ARRAY(arena, sw_serve_tensor, model->info.n_outputs + 1);
    if (!model->info.name || !model->instance.in || !model->instance.out)
        code = sw__serve_no_memory(error);
    else
        code = model->backend->start(model->opened, 0, &model->instance.handle, error);
out:
    if (code == SW_SERVE_OK)
        *result = model;
    else
        destroy_model(model);
    return code;
}

sw_serve_code sw_serve_find(sw_serve *core, const char *name, int64_t version, const sw_serve_hint *hint,
                            sw_serve_model **model, sw_serve_error *error) {
    for (int i = 0; i < core->n_models; i++) {
        if (strcmp(core->models[i]->info.name, name) != 0) continue;
        if (version >= 0 && version != core->models[i]->info.version)
            return sw_serve_fail(error, SW_SERVE_NOT_FOUND, "Request for unknown model: '%s' version %lld is not found",
                                 name, (long long)version);
        *model = core->models[i];
        sw_serve_keep(*model);
        return SW_SERVE_OK;
    }
    return sw_serve_fail(error, SW_SERVE_NOT_FOUND, "Request for unknown model: '%s' is not found", name);
}

void sw_serve_keep(sw_serve_model *model) {
    atomic_fetch_add_explicit(&model->refs, 1, memory_order_relaxed);
}

void sw_serve_drop(sw_serve_model *model) {
    if (model && atomic_fetch_sub_explicit(&model->refs, 1, memory_order_acq_rel) == 1) destroy_model(model);
}

const sw_serve_info *sw_serve_model_info(const sw_serve_model *model) {
    return &model->info;
}

const char *sw_serve_model_label(const sw_serve_model *model, const char *output, int64_t index) {
    return NULL;
}

void sw_serve_model_config_json(const sw_serve_model *model, sw_buf *buf) {
    sw_buf_append_text(buf, "{}");
}

void sw_serve_model_config_pb(const sw_serve_model *model, sw_buf *buf) {}

sw_plan *sw_serve_model_plan(const sw_serve_model *model) {
    return model->nature.plan;
}

int sw_serve_versions(sw_serve *core, const char *name, int64_t *versions, int most) {
    int n = 0;
    for (int i = 0; i < core->n_models; i++) {
        if (strcmp(core->models[i]->info.name, name) != 0) continue;
        if (n < most) versions[n] = core->models[i]->info.version;
        n++;
    }
    return n;
}

bool sw_serve_ready(sw_serve *core) {
    return !core->draining;
}

bool sw_serve_model_ready(sw_serve *core, const char *name, int64_t version) {
    sw_serve_error error;
    sw_serve_model *model;
    if (sw_serve_find(core, name, version, NULL, &model, &error) != SW_SERVE_OK) return false;
    sw_serve_drop(model);
    return true;
}

/* -- Inference ------------------------------------------------------------------------------------------------------- */

sw__held *sw__serve_held(sw_serve_request *request, int n) {
    sw__held *held = request->held;
    if (!held) held = request->held = sw_calloc(NULL, 1, sizeof *held);
    if (!held || n <= held->cap_results) return held;
    sw_serve_tensor *results = sw_alloc(NULL, (size_t)n * sizeof *results);
    if (!results) return NULL;
    sw_free(NULL, held->results);
    held->results = results;
    held->cap_results = n;
    return held;
}

bool sw__serve_held_bytes(sw__held *held, size_t bytes) {
    if (bytes <= held->cap_bytes) return true;
    void *fresh = sw_alloc(NULL, bytes);
    if (!fresh) return false;
    sw_free(NULL, held->bytes);
    held->bytes = fresh;
    held->cap_bytes = bytes;
    return true;
}

void sw_serve_request_free(sw_serve_request *request) {
    sw__held *held = request->held;
    if (!held) return;
    sw_free(NULL, held->results);
    sw_free(NULL, held->bytes);
    sw_free(NULL, held);
    request->held = NULL;
}

/* Results in the order wanted: views into the instance's memory, or copies in the request's. */
static sw_serve_code hand_over(sw_serve_request *request, const sw_serve_tensor *out) {
    const sw_serve_info *info = &request->model->info;
    int n = request->n_wanted ? request->n_wanted : info->n_outputs;
    sw__held *held = sw__serve_held(request, n);
    if (!held) return sw__serve_no_memory(&request->error);
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        int at = i;
        if (request->n_wanted)
            for (at = 0; strcmp(info->outputs[at].name, request->wanted[i]) != 0;) at++;
        held->results[i] = out[at];
        held->results[i].name = info->outputs[at].name;
        total += (out[at].bytes + SW_ALIGN - 1) / SW_ALIGN * SW_ALIGN;
    }
    request->n_results = n;
    request->results = held->results;
    if (request->at_once) return SW_SERVE_OK;
    if (!sw__serve_held_bytes(held, total)) return sw__serve_no_memory(&request->error);
    char *to = held->bytes;
    for (int i = 0; i < n; i++) {
        if (held->results[i].bytes) memcpy(to, held->results[i].data, held->results[i].bytes);
        held->results[i].data = to;
        to += (held->results[i].bytes + SW_ALIGN - 1) / SW_ALIGN * SW_ALIGN;
    }
    return SW_SERVE_OK;
}

static void finish(sw_serve *core, sw_serve_request *request) {
    request->times.done = sw__serve_now(core);
    if (request->error.code != SW_SERVE_OK) request->n_results = 0;
    request->done(request);
    atomic_fetch_sub(&core->inside, 1);
}

void sw_serve_submit(sw_serve *core, sw_serve_request *request) {
    enum { MOST = 64 };
    sw_serve_model *model = request->model;
    const sw_serve_tensor *inputs[MOST];
    int64_t batch;
    request->error.code = SW_SERVE_OK;
    request->error.text[0] = 0;
    request->n_results = 0;
    request->times = (sw_serve_times){.queued = sw__serve_now(core)};
    atomic_fetch_add(&core->inside, 1);
    if (core->draining)
        (void)sw_serve_fail(&request->error, SW_SERVE_UNAVAILABLE,
                            "Server is stopping, scheduler for model has stopped");
    else if (model->info.n_inputs > MOST)
        (void)sw_serve_fail(&request->error, SW_SERVE_UNSUPPORTED, "more than %d inputs", MOST);
    else if (sw__serve_check(request, inputs, &batch, &request->error) == SW_SERVE_OK) {
        sw__instance *instance = &model->instance;
        pthread_mutex_lock(&model->lock);
        request->times.started = request->times.computing = sw__serve_now(core);
        for (int i = 0; i < model->info.n_inputs; i++) instance->in[i] = *inputs[i];
        if (model->backend->run(instance->handle, instance->in, instance->out, &request->error) == SW_SERVE_OK) {
            request->times.computed = sw__serve_now(core);
            (void)hand_over(request, instance->out);
        }
        finish(core, request);
        pthread_mutex_unlock(&model->lock);
        return;
    }
    finish(core, request);
}

void sw_serve_cancel(sw_serve *core, sw_serve_request *request) {}

/* -- Repository, statistics ------------------------------------------------------------------------------------------ */

sw_serve_code sw_serve_index(sw_serve *core, bool ready_only, sw_arena *arena, const sw_serve_index_row **rows, int *n,
                             sw_serve_error *error) {
    sw_serve_index_row *made = SW_ARENA_ARRAY(arena, sw_serve_index_row, core->n_models + 1);
    if (!made) return sw__serve_no_memory(error);
    for (int i = 0; i < core->n_models; i++)
        made[i] = (sw_serve_index_row){core->models[i]->info.name, "1", "READY", ""};
    *rows = made;
    *n = core->n_models;
    return SW_SERVE_OK;
}

static void refuse_control(sw_serve_loaded done, void *ctx) {
    sw_serve_error error;
    (void)sw_serve_fail(&error, SW_SERVE_UNAVAILABLE,
                        "explicit model load / unload is not allowed if polling is enabled or model control is none");
    done(ctx, &error);
}

void sw_serve_load(sw_serve *core, const char *name, const char *config, const sw_serve_file *files, int n_files,
                   sw_serve_loaded done, void *ctx) {
    refuse_control(done, ctx);
}

void sw_serve_unload(sw_serve *core, const char *name, bool dependents, sw_serve_loaded done, void *ctx) {
    refuse_control(done, ctx);
}

sw_serve_code sw_serve_statistics(sw_serve *core, const char *name, int64_t version, sw_arena *arena,
                                  const sw_serve_stats **stats, int *n, sw_serve_error *error) {
    sw_serve_stats *made = SW_ARENA_ARRAY(arena, sw_serve_stats, core->n_models + 1);
    if (!made) return sw__serve_no_memory(error);
    *n = 0;
    for (int i = 0; i < core->n_models; i++) {
        const sw_serve_info *info = &core->models[i]->info;
        if (name && (strcmp(name, info->name) != 0 || (version >= 0 && version != info->version))) continue;
        made[(*n)++] = (sw_serve_stats){.name = info->name, .version = info->version};
    }
    *stats = made;
    return SW_SERVE_OK;
}

void sw_serve_metrics(sw_serve *core, sw_buf *buf) {}

/* -- Life ------------------------------------------------------------------------------------------------------------ */

static sw_status load_file(sw_serve *core, const char *path, sw_arena *arena) {
    const char *name = sw_path_name(path), *dot = strrchr(name, '.');
    name = sw_arena_strndup(arena, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
    sw_serve_error error;
    if (!name) return SW_E_NOMEM;
    if (sw__serve_model_create(core, name, 1, path, &core->models[core->n_models], &error) != SW_SERVE_OK)
        return sw_fail(&core->diag, SW_E_MODEL, path, NULL, "%s", error.text);
    core->n_models++;
    return SW_OK;
}

sw_status sw_serve_create(const sw_serve_options *options, sw_serve **result) {
    sw_serve *core = sw_calloc(NULL, 1, sizeof *core);
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!core || !arena) {
        sw_free(NULL, core);
        sw_arena_destroy(arena);
        return SW_E_NOMEM;
    }
    core->loader = options->loader;
    core->clock = options->clock;
    if (options->diag) core->diag = *options->diag;
    pthread_mutex_init(&core->lock, NULL);
    core->models = sw_calloc(NULL, (size_t)options->n_repositories + 1, sizeof(void *));
    sw_status status = core->models ? SW_OK : SW_E_NOMEM;
    for (int i = 0; status == SW_OK && i < options->n_repositories; i++)
        status = load_file(core, options->repositories[i], arena);
    sw_arena_destroy(arena);
    if (status == SW_OK)
        *result = core;
    else
        sw_serve_destroy(core);
    return status;
}

int sw_serve_wait_loaded(sw_serve *core) {
    return 0;
}

void sw_serve_tick(sw_serve *core) {}

int sw_serve_drain(sw_serve *core, int64_t timeout_ns) {
    core->draining = true;
    return core->inside;
}

void sw_serve_destroy(sw_serve *core) {
    if (!core) return;
    for (int i = 0; i < core->n_models; i++) sw_serve_drop(core->models[i]);
    sw_free(NULL, core->models);
    pthread_mutex_destroy(&core->lock);
    sw_free(NULL, core);
}
