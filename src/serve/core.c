/* The table of models by name; the core's life. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "serve/internal.h"

int64_t sw__serve_now(const sw_serve *core) {
    return core->options.clock.now ? core->options.clock.now(core->options.clock.ctx) : sw_clock_ns();
}

/* -- The table ------------------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const char *name) {
    uint32_t hash = 0x811c9dc5u;
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 0x01000193u; /* FNV-1a */
    return hash;
}

/* The place of a name, or the free one where it would be; the table has one. */
static sw__entry **place(sw__entry **entries, size_t cap, const char *name, uint32_t hash) {
    size_t at = hash & (cap - 1);
    while (entries[at] && (entries[at]->hash != hash || strcmp(entries[at]->name, name) != 0))
        at = (at + 1) & (cap - 1);
    return &entries[at];
}

static bool grow_table(sw_serve *core) {
    size_t cap = core->cap_entries ? core->cap_entries * 2 : 64;
    sw__entry **entries = sw_calloc(NULL, cap, sizeof(void *));
    if (!entries) return false;
    for (size_t i = 0; i < core->cap_entries; i++)
        if (core->entries[i]) *place(entries, cap, core->entries[i]->name, core->entries[i]->hash) = core->entries[i];
    sw_free(NULL, core->entries);
    core->entries = entries;
    core->cap_entries = cap;
    return true;
}

sw__entry *sw__core_entry(sw_serve *core, const char *name, bool make) {
    uint32_t hash = hash_of(name);
    sw__entry **at = core->cap_entries ? place(core->entries, core->cap_entries, name, hash) : NULL;
    if (!make || (at && *at)) return at ? *at : NULL;
    if (core->n_entries * 2 >= core->cap_entries && !grow_table(core)) return NULL;
    size_t size = strlen(name) + 1;
    sw__entry *entry = sw_calloc(NULL, 1, sizeof *entry);
    char *copy = sw_alloc(NULL, size);
    if (!entry || !copy) {
        sw_free(NULL, entry);
        sw_free(NULL, copy);
        return NULL;
    }
    memcpy(copy, name, size);
    *entry = (sw__entry){.name = copy, .hash = hash};
    core->n_entries++;
    return *place(core->entries, core->cap_entries, name, hash) = entry;
}

/* Whether a model without versions may get some yet: what is asked for at the start is being loaded. Under core->lock. */
static bool may_come(const sw_serve *core, const sw__entry *entry) {
    if (!core->n_initial || (entry && entry->failed)) return false;
    for (int i = 0; entry && i < entry->n_versions; i++)
        if (entry->versions[i].model) return false;
    return true;
}

/* The version that is asked for; NULL with an error. Under core->lock. */
static sw_serve_model *choose(sw_serve *core, const char *name, int64_t version, const sw_serve_hint *hint,
                              const char *sticky, sw_serve_error *error) {
    const sw__entry *entry = sw__core_entry(core, name, false);
    if (may_come(core, entry)) {
        (void)sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "model '%.200s' is not there yet: models are being loaded",
                            name);
        return NULL;
    }
    if (!entry || (!entry->wanted && !entry->n_versions)) {
        (void)sw_serve_fail(error, SW_SERVE_NOT_FOUND, "Request for unknown model: '%.200s' is not found", name);
        return NULL;
    }
    sw_serve_model *routed = version < 0 ? sw__route_choose(entry, hint, sticky, core->turn++) : NULL;
    if (routed) return routed;
    for (int i = 0; i < entry->n_versions; i++) {
        const sw__version *v = &entry->versions[i];
        if (version != v->number) continue;
        if (v->model) return v->model;
        (void)sw_serve_fail(error, SW_SERVE_UNAVAILABLE,
                            "Request for unknown model: '%.200s' version %lld is not at ready state", name,
                            (long long)version);
        return NULL;
    }
    if (version < 0)
        (void)sw_serve_fail(error, SW_SERVE_NOT_FOUND, "Request for unknown model: '%.200s' has no available versions",
                            name);
    else
        (void)sw_serve_fail(error, SW_SERVE_NOT_FOUND, "Request for unknown model: '%.200s' version %lld is not found",
                            name, (long long)version);
    return NULL;
}

sw_serve_code sw_serve_find(sw_serve *core, const char *name, int64_t version, const sw_serve_hint *hint,
                            sw_serve_model **result, sw_serve_error *error) {
    if (*name == '@' && !strcmp(name, SW_SERVE_ROUTE)) {
        if (version < 0) return sw__route_find(core, hint, result, error);
        *result = NULL;
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "'%s' has no versions: its rules choose one", name);
    }
    int64_t now = sw__serve_now(core);
    const char *sticky = hint && atomic_load_explicit(&core->routed, memory_order_relaxed) ? sw__route_key(hint) : NULL;
    pthread_mutex_lock(&core->lock);
    sw_serve_model *model = choose(core, name, version, hint, sticky, error);
    if (model) {
        sw_serve_keep(model);
        model->used_ns = now;
    }
    pthread_mutex_unlock(&core->lock);
    *result = model;
    return model ? SW_SERVE_OK : error->code;
}

int sw_serve_versions(sw_serve *core, const char *name, int64_t *versions, int most) {
    int n = 0;
    pthread_mutex_lock(&core->lock);
    const sw__entry *entry = sw__core_entry(core, name, false);
    for (int i = 0; entry && i < entry->n_versions; i++) {
        if (!entry->versions[i].model) continue;
        if (n < most) versions[n] = entry->versions[i].number;
        n++;
    }
    pthread_mutex_unlock(&core->lock);
    return n;
}

/* Whether some version of each model that an ensemble is made of is ready. Under core->lock. */
static bool members_are_ready(sw_serve *core, const sw_serve_model *model, int depth) {
    enum { MOST_DEPTH = 8 };
    const char *name;
    if (!model->ensemble) return true;
    for (int i = 0; (name = sw__ensemble_member(model->ensemble, i)); i++) {
        const sw__entry *entry = sw__core_entry(core, name, false);
        bool ready = false;
        for (int k = 0; entry && k < entry->n_versions && depth < MOST_DEPTH && !ready; k++) {
            const sw_serve_model *member = entry->versions[k].model;
            ready = member && members_are_ready(core, member, depth + 1);
        }
        if (!ready) return false;
    }
    return true;
}

bool sw_serve_model_ready(sw_serve *core, const char *name, int64_t version) {
    sw_serve_error error;
    if (*name == '@' && !strcmp(name, SW_SERVE_ROUTE)) {
        sw_serve_model *model;
        bool found = sw_serve_find(core, name, version, NULL, &model, &error) == SW_SERVE_OK;
        sw_serve_drop(model);
        return found;
    }
    pthread_mutex_lock(&core->lock);
    const sw_serve_model *model = choose(core, name, version, NULL, NULL, &error);
    bool ready = model && members_are_ready(core, model, 0);
    pthread_mutex_unlock(&core->lock);
    return ready;
}

bool sw_serve_ready(sw_serve *core) {
    if (atomic_load(&core->draining)) return false;
    pthread_mutex_lock(&core->lock);
    bool ready = core->n_initial == 0;
    for (size_t i = 0; ready && !core->options.lenient_readiness && i < core->cap_entries; i++)
        ready = !core->entries[i] || !core->entries[i]->failed;
    pthread_mutex_unlock(&core->lock);
    return ready;
}

/* -- Repository ------------------------------------------------------------------------------------------------------ */

typedef struct rows {
    sw_arena *arena;
    sw_serve_index_row *rows;
    int n;
    size_t cap;
} rows_list;

/* `version` NULL: there is none. */
static bool add_row(rows_list *index, const sw__entry *entry, const sw__version *version) {
    const char *reason = version ? version->reason : entry->reason;
    if (sw_grow(NULL, (void **)&index->rows, &index->cap, (size_t)index->n + 1, sizeof *index->rows, SIZE_MAX) != SW_OK)
        return false;
    sw_serve_index_row *row = &index->rows[index->n++];
    row->name = sw_arena_strdup(index->arena, entry->name);
    row->version = version ? sw_arena_printf(index->arena, "%lld", (long long)version->number) : "";
    row->state = version ? version->state : reason ? "UNAVAILABLE" : "";
    row->reason = reason ? sw_arena_strdup(index->arena, reason) : "";
    return row->name && row->version && row->reason;
}

static int by_name_and_version(const void *a, const void *b) {
    const sw_serve_index_row *x = a, *y = b;
    size_t n = strlen(x->version), m = strlen(y->version); /* of decimal numbers */
    int order = strcmp(x->name, y->name);
    return order ? order : n != m ? (n > m ? 1 : -1) : strcmp(x->version, y->version);
}

sw_serve_code sw_serve_index(sw_serve *core, bool ready_only, sw_arena *arena, const sw_serve_index_row **rows, int *n,
                             sw_serve_error *error) {
    sw__found *found;
    int n_found;
    rows_list index = {.arena = arena};
    bool good = sw__repository_list(core, arena, NULL, &found, &n_found) == SW_OK;
    pthread_mutex_lock(&core->lock);
    for (int i = 0; good && i < n_found; i++) {
        const sw__entry *entry = sw__core_entry(core, found[i].name, true);
        good = entry && (ready_only || entry->n_versions || add_row(&index, entry, NULL));
    }
    for (size_t i = 0; good && i < core->cap_entries; i++)
        for (int k = 0; good && core->entries[i] && k < core->entries[i]->n_versions; k++)
            if (!ready_only || core->entries[i]->versions[k].model)
                good = add_row(&index, core->entries[i], &core->entries[i]->versions[k]);
    pthread_mutex_unlock(&core->lock);
    if (good && index.n) qsort(index.rows, (size_t)index.n, sizeof *index.rows, by_name_and_version);
    *rows = good ? sw_arena_copy(arena, index.rows, (size_t)index.n * sizeof *index.rows) : NULL;
    *n = index.n;
    sw_free(NULL, index.rows);
    return good && (*rows || !*n) ? SW_SERVE_OK : sw__serve_no_memory(error);
}

static bool control_is_refused(sw_serve *core, const char *what, const char *name, sw_serve_loaded done, void *ctx) {
    sw_serve_error error;
    if (core->options.control != SW_SERVE_CONTROL_EXPLICIT)
        (void)sw_serve_fail(&error, SW_SERVE_UNAVAILABLE,
                            "explicit model load / unload is not allowed if polling is enabled");
    else if (strchr(name, '/') || strstr(name, ".."))
        (void)sw_serve_fail(&error, SW_SERVE_INVALID_ARG,
                            "failed to %s '%.200s', model name must not contain path traversal "
                            "characters",
                            what, name);
    else
        return false;
    done(ctx, &error);
    return true;
}

void sw_serve_load(sw_serve *core, const char *name, const char *config, const sw_serve_file *files, int n_files,
                   sw_serve_loaded done, void *ctx) {
    sw_serve_error error;
    if (control_is_refused(core, "load", name, done, ctx)) return;
    if (n_files && !config) {
        (void)sw_serve_fail(&error, SW_SERVE_INVALID_ARG,
                            "failed to load '%.200s', override files need the parameter config", name);
        done(ctx, &error);
        return;
    }
    sw__loading_add(core, &(sw__task){.kind = SW__LOAD,
                                      .name = (char *)name,
                                      .config = (char *)config,
                                      .files = (sw_serve_file *)files,
                                      .n_files = n_files,
                                      .done = done,
                                      .ctx = ctx});
}

void sw_serve_unload(sw_serve *core, const char *name, bool dependents, sw_serve_loaded done, void *ctx) {
    if (control_is_refused(core, "unload", name, done, ctx)) return;
    sw__loading_add(
        core,
        &(sw__task){.kind = SW__UNLOAD, .name = (char *)name, .dependents = dependents, .done = done, .ctx = ctx});
}

/* -- Life ------------------------------------------------------------------------------------------------------------ */

static void emit(void *ctx, const sw_message *message) {
    sw_serve *core = ctx;
    const sw_diag *to = core->options.diag;
    if (!to || !to->emit) return;
    pthread_mutex_lock(&core->diag_lock);
    to->emit(to->ctx, message);
    pthread_mutex_unlock(&core->diag_lock);
}

static const char *const *copy_texts(sw_arena *arena, const char *const *texts, int n) {
    const char **copy = SW_ARENA_ARRAY(arena, const char *, n + 1);
    for (int i = 0; copy && i < n; i++)
        if (!(copy[i] = sw_arena_strdup(arena, texts[i]))) return NULL;
    return copy;
}

static bool copy_options(sw_serve *core, const sw_serve_options *options) {
    sw_serve_options *o = &core->options;
    *o = *options;
    o->repositories = copy_texts(core->arena, options->repositories, options->n_repositories);
    o->load_models = copy_texts(core->arena, options->load_models, options->n_load_models);
    o->config_name = sw_arena_strdup(core->arena, options->config_name);
    o->backends =
        sw_arena_copy(core->arena, options->backends, (size_t)options->n_backends * sizeof *options->backends);
    if (options->diag && !(o->diag = sw_arena_copy(core->arena, options->diag, sizeof *options->diag))) return false;
    if (o->poll_seconds < 1) o->poll_seconds = 15;
    if (!o->metrics.n_quantiles) {
        static const double usual[] = {0.5, 0.9, 0.95, 0.99, 0.999};
        o->metrics.n_quantiles = sizeof usual / sizeof *usual;
        memcpy(o->metrics.quantiles, usual, sizeof usual);
    }
    if (o->load_threads < 1) o->load_threads = 4;
    core->cpus = options->threads > 0 ? options->threads : sw_cpu_allowed();
    return o->repositories && o->load_models && (o->config_name || !options->config_name) &&
           (o->backends || !options->n_backends);
}

/* Asks for what the control mode wants at the start. */
static sw_status load_initial(sw_serve *core) {
    const sw_serve_options *o = &core->options;
    bool all = o->control != SW_SERVE_CONTROL_EXPLICIT;
    for (int i = 0; i < o->n_load_models; i++) all |= strcmp(o->load_models[i], "*") == 0;
    for (int i = 0; !all && i < o->n_load_models; i++)
        sw__loading_add(core, &(sw__task){.kind = SW__LOAD, .name = (char *)o->load_models[i], .initial = true});
    if (!all) return SW_OK;
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw__found *found;
    int n = 0;
    sw_status status = arena ? sw__repository_list(core, arena, &core->diag, &found, &n) : SW_E_NOMEM;
    for (int i = 0; i < n; i++)
        sw__loading_add(core, &(sw__task){.kind = SW__LOAD, .name = (char *)found[i].name, .initial = true});
    sw_arena_destroy(arena);
    return status;
}

sw_status sw_serve_create(const sw_serve_options *options, sw_serve **result) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_serve *core = arena ? SW_ARENA_NEW(arena, sw_serve) : NULL;
    if (!core) {
        sw_arena_destroy(arena);
        return sw_fail(options->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    }
    sw_os_give_back_blocks();
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    core->arena = arena;
    core->diag = (sw_diag){emit, core};
    pthread_mutex_init(&core->diag_lock, NULL);
    pthread_mutex_init(&core->lock, NULL);
    pthread_mutex_init(&core->rules_lock, NULL);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&core->copies_lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_cond_init(&core->work, &monotonic);
    pthread_cond_init(&core->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    bool good = copy_options(core, options) && (core->gate = sw__gate_create(core->cpus)) &&
                (core->detectors = sw__detectors_create()) && (core->machine = sw__machine_create());
    sw_status status = good ? sw__repository_check(core, &core->diag)
                            : sw_fail(options->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    if (status == SW_OK) status = sw__loading_start(core);
    if (status == SW_OK) status = load_initial(core);
    if (status == SW_OK)
        *result = core;
    else
        sw_serve_destroy(core);
    return status;
}

int sw_serve_wait_loaded(sw_serve *core) {
    int failed = 0;
    pthread_mutex_lock(&core->lock);
    while (core->n_initial) pthread_cond_wait(&core->idle, &core->lock);
    for (size_t i = 0; i < core->cap_entries; i++) failed += core->entries[i] && core->entries[i]->failed;
    pthread_mutex_unlock(&core->lock);
    return failed;
}

sw__detectors *sw_serve_detectors(sw_serve *core) {
    return core->detectors;
}

void sw_serve_tick(sw_serve *core) {
    pthread_mutex_lock(&core->lock);
    pthread_cond_broadcast(&core->work);
    for (size_t i = 0; i < core->cap_entries; i++)
        for (int k = 0; core->entries[i] && k < core->entries[i]->n_versions; k++) {
            sw_serve_model *model = core->entries[i]->versions[k].model;
            if (!model) continue;
            pthread_mutex_lock(&model->queue.lock);
            pthread_cond_broadcast(&model->queue.wake);
            pthread_mutex_unlock(&model->queue.lock);
        }
    pthread_mutex_unlock(&core->lock);
}

int sw_serve_drain(sw_serve *core, int64_t timeout_ns) {
    enum { LOOK_NS = 2000000 }; /* requests do not pay for telling that they were the last */
    int64_t now = sw_clock_ns(), end = now + timeout_ns;
    atomic_store(&core->draining, true);
    sw__shadow_cancel(core);
    pthread_mutex_lock(&core->lock);
    for (; atomic_load(&core->inside) && now < end; now = sw_clock_ns()) {
        int64_t look = end - now < LOOK_NS ? end : now + LOOK_NS;
        struct timespec until = {.tv_sec = look / 1000000000, .tv_nsec = look % 1000000000};
        pthread_cond_timedwait(&core->idle, &core->lock, &until);
    }
    pthread_mutex_unlock(&core->lock);
    return atomic_load(&core->inside);
}

void sw_serve_destroy(sw_serve *core) {
    if (!core) return;
    for (; atomic_load(&core->n_copies); sw_sleep_ms(1)) sw__shadow_cancel(core);
    sw__loading_stop(core);
    for (size_t i = 0; i < core->cap_entries; i++) {
        sw__entry *entry = core->entries[i];
        for (int k = 0; entry && k < entry->n_versions; k++) sw_free(NULL, entry->versions[k].reason);
        if (entry) sw_free(NULL, entry->versions);
        if (entry) sw_free(NULL, entry->reason);
        if (entry) sw_free(NULL, entry->name);
        sw_free(NULL, entry);
    }
    sw_free(NULL, core->entries);
    sw__gate_destroy(core->gate);
    sw__detectors_destroy(core->detectors);
    sw__machine_destroy(core->machine);
    pthread_mutex_destroy(&core->lock);
    pthread_mutex_destroy(&core->rules_lock);
    pthread_mutex_destroy(&core->copies_lock);
    sw__rules_drop(core->rules);
    pthread_mutex_destroy(&core->diag_lock);
    pthread_cond_destroy(&core->work);
    pthread_cond_destroy(&core->idle);
    sw_arena_destroy(core->arena);
}
