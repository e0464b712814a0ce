/* The threads that load: models come, change and go in the background, while the old version answers until the new one is
 * ready. One task at a time is at work on a model. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stage.h"
#include "serve/ensemble.h"

/* -- Tasks ----------------------------------------------------------------------------------------------------------- */

static void free_task(sw__task *task) {
    if (!task) return;
    for (int i = 0; i < task->n_files && task->files; i++) {
        sw_free(NULL, (void *)task->files[i].path);
        sw_free(NULL, (void *)task->files[i].data);
    }
    sw_free(NULL, task->files);
    sw_free(NULL, task->name);
    sw_free(NULL, task->config);
    sw_free(NULL, task);
}

static void *copy_bytes(const void *data, size_t size) {
    char *copy = sw_alloc(NULL, size + 1);
    if (!copy) return NULL;
    if (size) memcpy(copy, data, size);
    copy[size] = 0;
    return copy;
}

static char *copy_text(const char *text) {
    return copy_bytes(text, strlen(text));
}

static sw__task *copy_task(const sw__task *task) {
    sw__task *copy = sw_calloc(NULL, 1, sizeof *copy);
    if (!copy) return NULL;
    *copy = *task;
    copy->name = task->name ? copy_text(task->name) : NULL;
    copy->config = task->config ? copy_text(task->config) : NULL;
    copy->files = task->n_files ? sw_calloc(NULL, (size_t)task->n_files, sizeof *copy->files) : NULL;
    bool whole = (!task->name || copy->name) && (!task->config || copy->config) && (!task->n_files || copy->files);
    for (int i = 0; whole && i < task->n_files; i++) {
        copy->files[i].path = copy_text(task->files[i].path);
        copy->files[i].data = copy_bytes(task->files[i].data, task->files[i].size);
        copy->files[i].size = task->files[i].size;
        whole = copy->files[i].path && copy->files[i].data;
    }
    if (whole) return copy;
    free_task(copy);
    return NULL;
}

static void add_locked(sw_serve *core, sw__task *task) {
    task->next = NULL;
    if (core->last_task)
        core->last_task->next = task;
    else
        core->tasks = task;
    core->last_task = task;
    pthread_cond_signal(&core->work);
}

void sw__loading_add(sw_serve *core, const sw__task *task) {
    sw__task *copy = copy_task(task);
    if (!copy) {
        sw_serve_error error;
        (void)sw__serve_no_memory(&error);
        if (task->done) task->done(task->ctx, &error);
        return;
    }
    pthread_mutex_lock(&core->lock);
    core->n_initial += copy->initial;
    add_locked(core, copy);
    pthread_mutex_unlock(&core->lock);
}

void sw_serve_reload(sw_serve *core) {
    if (core->options.control != SW_SERVE_CONTROL_EXPLICIT) sw__loading_add(core, &(sw__task){.kind = SW__POLL});
}

void sw__loading_bury(sw_serve *core, sw_serve_model *model) {
    pthread_mutex_lock(&core->lock);
    model->next_dead = core->dead;
    core->dead = model;
    pthread_cond_signal(&core->work);
    pthread_mutex_unlock(&core->lock);
}

/* -- Loading --------------------------------------------------------------------------------------------------------- */

/* Where the files of a load request lie, if it brought some. */
static sw_status write_files(const sw__task *task, sw_stage **stage, sw_arena *arena, const sw_diag *diag,
                             sw__found *found) {
    const char *base = getenv("TMPDIR");
    const char *path = sw_arena_printf(arena, "%s/%s", base && *base ? base : "/tmp", task->name);
    if (!path) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    SW_TRY(sw_stage_open(path, diag, stage));
    *found = (sw__found){.name = task->name, .folder = sw_stage_path(*stage)};
    for (int i = 0; i < task->n_files; i++) {
        const char *name = task->files[i].path;
        if (*name == '/' || strstr(name, ".."))
            return sw_fail(diag, SW_E_INPUT, name, NULL, "a file must lie in the model's folder");
        const char *to = sw_arena_printf(arena, "%s/%s", found->folder, name), *slash = to ? strrchr(to, '/') : NULL;
        const char *folder = slash ? sw_arena_strndup(arena, to, (size_t)(slash - to)) : NULL;
        if (!folder) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
        SW_TRY(sw_dir_make(folder, diag));
        SW_TRY(sw_file_write(to, task->files[i].data, task->files[i].size, diag));
    }
    return SW_OK;
}

/* What a load found out before it made anything. */
typedef struct plan {
    sw__found found;
    sw__model_source source; /* of each version */
    int64_t *versions;
    uint64_t stamp, *stamps;
    sw_serve_model **models;
    sw_serve_error *errors;
    int n;
} plan;

/* Reads the configuration as far as the choice of versions needs it. */
static sw_status choose_versions(sw_serve *core, const sw__task *task, sw_arena *arena, const sw_diag *diag, plan *p) {
    sw__model_source *s = &p->source;
    s->name = task->name;
    s->folder = p->found.folder;
    s->path = p->found.path;
    s->temporary = task->n_files > 0;
    if (task->config) {
        s->config = task->config;
        s->config_size = strlen(task->config);
        s->config_is_json = true;
        s->config_where = "config of the load request";
    } else {
        SW_TRY(sw__repository_config(core, &p->found, arena, diag, &s->config, &s->config_size, &s->config_where));
    }
    sw__version_policy policy = {.latest = 1};
    if (s->config) {
        sw__message *message;
        sw__config config;
        sw__source from = {s->config_where, diag, arena};
        SW_TRY((s->config_is_json ? sw__proto_json_parse : sw__pbtxt_parse)(s->config, s->config_size,
                                                                            &sw__model_config, &from, &message));
        SW_TRY(sw__config_read(message, &from, &config));
        policy = config.versions;
    }
    SW_TRY(sw__repository_versions(&p->found, &policy, arena, diag, &p->versions, &p->n));
    if (p->n == 0)
        return sw_fail(diag, SW_E_MODEL, p->found.folder, "add such a version, or change version_policy",
                       "no version in the folder is wanted by the version policy");
    p->models = SW_ARENA_ARRAY(arena, sw_serve_model *, p->n);
    p->errors = SW_ARENA_ARRAY(arena, sw_serve_error, p->n);
    p->stamps = SW_ARENA_ARRAY(arena, uint64_t, p->n);
    return p->models && p->errors && p->stamps ? SW_OK : sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
}

static sw__version *find_version(sw__entry *entry, int64_t number) {
    for (int i = 0; i < entry->n_versions; i++)
        if (entry->versions[i].number == number) return &entry->versions[i];
    return NULL;
}

/* Makes the models of a plan, but for versions that are ready and have not changed. */
static void make_models(sw_serve *core, sw__entry *entry, const sw__task *task, sw_arena *arena, plan *p) {
    bool same = task->only_changes && p->stamp == entry->stamp;
    for (int i = 0; i < p->n; i++) {
        p->source.version = p->versions[i];
        if (p->found.folder) {
            p->source.version_folder = sw_arena_printf(arena, "%s/%lld", p->found.folder, (long long)p->versions[i]);
            if (!p->source.version_folder) {
                (void)sw__serve_no_memory(&p->errors[i]);
                continue;
            }
            p->stamps[i] = sw__repository_stamp(p->source.version_folder, true, arena);
        } else {
            p->stamps[i] = (uint64_t)sw_file_changed_ns(p->found.path);
        }
        pthread_mutex_lock(&core->lock);
        const sw__version *old = find_version(entry, p->versions[i]);
        bool ready = old && old->model && same && old->stamp == p->stamps[i];
        pthread_mutex_unlock(&core->lock);
        if (ready) continue;
        if (sw__serve_model_create(core, &p->source, &p->models[i], &p->errors[i]) == SW_SERVE_OK) {
            sw_info(&core->diag, task->name, "version %lld is ready", (long long)p->versions[i]);
            sw__tuning_add(p->models[i]);
        } else {
            p->models[i] = NULL;
            (void)sw_fail(&core->diag, SW_E_MODEL, task->name, NULL, "version %lld cannot be loaded: %s",
                          (long long)p->versions[i], p->errors[i].text);
        }
    }
}

static sw__version *add_version(sw__entry *entry, int64_t number) {
    size_t cap = (size_t)entry->cap_versions;
    if (sw_grow(NULL, (void **)&entry->versions, &cap, (size_t)entry->n_versions + 1, sizeof *entry->versions,
                SIZE_MAX) != SW_OK)
        return NULL;
    entry->cap_versions = (int)cap;
    int at = entry->n_versions++;
    for (; at > 0 && entry->versions[at - 1].number > number; at--) entry->versions[at] = entry->versions[at - 1];
    entry->versions[at] = (sw__version){.number = number};
    return &entry->versions[at];
}

static void set_state(sw__version *version, const char *state, const char *reason) {
    sw_free(NULL, version->reason);
    version->state = state;
    version->reason = reason ? copy_text(reason) : NULL;
}

static bool is_parked(sw_serve_model *model) {
    pthread_mutex_lock(&model->queue.lock);
    bool parked = model->queue.parked;
    pthread_mutex_unlock(&model->queue.lock);
    return parked;
}

/* Takes a version's model out of the table, into `gone`. Under core->lock. */
static void take_out(sw_serve *core, sw__version *version, sw_serve_model **gone) {
    if (!version->model) return;
    version->model->next_dead = *gone;
    *gone = version->model;
    version->model = NULL;
}

static void drop_all(sw_serve_model *gone) {
    while (gone) {
        sw_serve_model *model = gone;
        gone = model->next_dead;
        sw_serve_drop(model);
    }
}

/* Puts the new models in the place of the old ones. False when a version is not ready for want of memory. */
static void put_in(sw_serve *core, sw__entry *entry, const plan *p, sw_serve_model **gone) {
    for (int i = 0; i < p->n; i++) {
        sw__version *version = find_version(entry, p->versions[i]);
        if (!version) version = add_version(entry, p->versions[i]);
        if (!version) {
            if (p->models[i]) p->models[i]->next_dead = *gone, *gone = p->models[i];
            continue;
        }
        version->stamp = p->stamps[i];
        if (p->models[i]) {
            take_out(core, version, gone);
            version->model = p->models[i];
            version->model->used_ns = sw__serve_now(core);
            set_state(version, "READY", NULL);
        } else if (p->errors[i].code != SW_SERVE_OK && !version->model) {
            set_state(version, "UNAVAILABLE", p->errors[i].text);
        }
    }
    entry->stamp = p->stamp;
    for (int i = 0; i < entry->n_versions; i++) {
        bool wanted = false;
        for (int k = 0; k < p->n; k++) wanted |= p->versions[k] == entry->versions[i].number;
        if (wanted || !entry->versions[i].model) continue;
        take_out(core, &entry->versions[i], gone);
        set_state(&entry->versions[i], "UNAVAILABLE", "unloaded");
    }
}

static bool any_ready(const sw__entry *entry) {
    for (int i = 0; i < entry->n_versions; i++)
        if (entry->versions[i].model) return true;
    return false;
}

static void load_found(sw_serve *core, sw__entry *entry, const sw__task *task, sw_arena *arena, plan *p,
                       sw_serve_error *error) {
    sw__sink sink = {error, &core->diag};
    sw_diag diag = sw__serve_sink(&sink);
    sw_serve_model *gone = NULL;
    if (p->found.folder) p->stamp = sw__repository_stamp(p->found.folder, false, arena);
    sw_status status = choose_versions(core, task, arena, &diag, p);
    if (status == SW_OK) make_models(core, entry, task, arena, p);
    pthread_mutex_lock(&core->lock);
    if (status == SW_OK)
        put_in(core, entry, p, &gone);
    else
        entry->stamp = p->stamp;
    entry->wanted = true;
    entry->failed = !any_ready(entry);
    sw_free(NULL, entry->reason);
    entry->reason = status == SW_OK ? NULL : copy_text(error->text);
    pthread_mutex_unlock(&core->lock);
    drop_all(gone);
    if (status != SW_OK) {
        char why[sizeof error->text];
        snprintf(why, sizeof why, "%s", error->text);
        sw_serve_code code = task->config ? SW_SERVE_INVALID_ARG : SW_SERVE_INTERNAL; /* whose mistake it is */
        (void)sw_serve_fail(error, code, "failed to load '%.100s': %.380s", task->name, why);
        (void)sw_fail(&core->diag, status, NULL, NULL, "%s", error->text);
        return;
    }
    for (int i = 0; i < p->n && error->code == SW_SERVE_OK; i++)
        if (p->errors[i].code != SW_SERVE_OK)
            (void)sw_serve_fail(error, task->config ? SW_SERVE_INVALID_ARG : SW_SERVE_INTERNAL,
                                "failed to load '%.100s', version %lld is at UNAVAILABLE state: %.350s", task->name,
                                (long long)p->versions[i], p->errors[i].text);
}

static void load(sw_serve *core, sw__entry *entry, const sw__task *task, sw_serve_error *error) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_stage *stage = NULL;
    plan p = {0};
    sw__sink sink = {error, NULL};
    sw_diag diag = sw__serve_sink(&sink);
    sw_status status = arena ? SW_OK : SW_E_NOMEM;
    bool found = status == SW_OK && (task->n_files || sw__repository_find(core, task->name, arena, &p.found));
    if (status == SW_OK && task->n_files) status = write_files(task, &stage, arena, &diag, &p.found);
    if (status != SW_OK) {
        error->code = SW_SERVE_INVALID_ARG;
    } else if (!found) {
        (void)sw_serve_fail(error, SW_SERVE_INTERNAL,
                            "failed to load '%.200s', failed to poll from model repository: no folder has this name",
                            task->name);
        pthread_mutex_lock(&core->lock);
        entry->failed |= task->initial;
        pthread_mutex_unlock(&core->lock);
        if (task->initial) (void)sw_fail(&core->diag, SW_E_USAGE, NULL, NULL, "%s", error->text);
    } else {
        load_found(core, entry, task, arena, &p, error);
    }
    sw_stage_abort(stage);
    sw_arena_destroy(arena);
}

/* By step, the models of an ensemble, where all have a version that is ready. Under core->lock. */
static bool find_members(sw_serve *core, const struct sw__ensemble *e, const sw_serve_info **infos) {
    for (int s = 0; s < e->n_steps; s++) {
        const sw__member *step = &e->steps[s];
        const sw__entry *entry = step->own ? NULL : sw__core_entry(core, step->model, false);
        infos[s] = step->own ? &step->own->info : NULL;
        for (int i = 0; entry && i < entry->n_versions; i++) {
            const sw_serve_model *member = entry->versions[i].model;
            if (member && (step->version < 0 || step->version == member->info.version)) infos[s] = &member->info;
        }
        if (!infos[s]) return false;
    }
    return true;
}

/* An ensemble that does not fit its models is not ready any more: false, with an error. Under core->lock. */
static bool check_ensemble(sw_serve *core, sw__entry *entry, sw__version *version, sw_serve_model **gone,
                           sw_serve_error *error) {
    sw_serve_model *model = version->model;
    if (!model || !model->ensemble || model->checked) return true;
    const sw_serve_info **infos = sw_calloc(NULL, (size_t)model->ensemble->n_steps + 1, sizeof *infos);
    model->checked = infos && find_members(core, model->ensemble, infos);
    bool good = !model->checked || sw__ensemble_check(model, infos, error) == SW_SERVE_OK;
    sw_free(NULL, infos);
    if (good) return true;
    take_out(core, version, gone);
    set_state(version, "UNAVAILABLE", error->text);
    entry->failed = !any_ready(entry);
    return false;
}

/* After a load: ensembles whose models have all come. What goes wrong with the entry that was loaded is its error. */
static void check_ensembles(sw_serve *core, const sw__entry *loaded, sw_serve_error *error) {
    for (bool found = true; found;) {
        sw_serve_model *gone = NULL;
        sw_serve_error why;
        found = false;
        pthread_mutex_lock(&core->lock);
        for (size_t i = 0; i < core->cap_entries && !found; i++)
            for (int k = 0; core->entries[i] && k < core->entries[i]->n_versions && !found; k++) {
                sw__entry *entry = core->entries[i];
                found = !check_ensemble(core, entry, &entry->versions[k], &gone, &why);
                if (found && entry == loaded && error->code == SW_SERVE_OK)
                    (void)sw_serve_fail(error, SW_SERVE_INTERNAL, "failed to load '%.100s': %.380s", entry->name,
                                        why.text);
            }
        pthread_mutex_unlock(&core->lock);
        if (found) (void)sw_fail(&core->diag, SW_E_MODEL, gone->info.name, NULL, "is not ready: %s", why.text);
        drop_all(gone);
    }
}

/* The names of the models that a model's ensembles are made of, in `arena`; n of them. Under core->lock. */
static const char **members_of(const sw__entry *entry, sw_arena *arena, int *n) {
    const char **names = NULL;
    *n = 0;
    for (int i = 0; i < entry->n_versions; i++) {
        const sw_serve_model *model = entry->versions[i].model;
        if (!model || !model->ensemble) continue;
        int count = 0;
        while (sw__ensemble_member(model->ensemble, count)) count++;
        names = SW_ARENA_ARRAY(arena, const char *, count + 1);
        for (*n = 0; names && *n < count; ++*n)
            names[*n] = sw_arena_strdup(arena, sw__ensemble_member(model->ensemble, *n));
    }
    return names;
}

/* The entry of a member, to be at work on it; NULL: somebody else is, or it need not be. */
static sw__entry *take_member(sw_serve *core, const char *name, bool ready) {
    pthread_mutex_lock(&core->lock);
    sw__entry *entry = name ? sw__core_entry(core, name, true) : NULL;
    if (entry && (entry->busy || any_ready(entry) != ready)) entry = NULL;
    if (entry) entry->busy = true;
    pthread_mutex_unlock(&core->lock);
    return entry;
}

static void leave_member(sw_serve *core, sw__entry *entry) {
    pthread_mutex_lock(&core->lock);
    entry->busy = false;
    pthread_mutex_unlock(&core->lock);
}

/* An ensemble brings the models that it is made of, where the program asks for models one by one. */
static void load_members(sw_serve *core, sw__entry *entry, int depth, sw_serve_error *error) {
    enum { MOST_DEPTH = 8 };
    sw_arena *arena = sw_arena_create(NULL, 0);
    int n = 0;
    pthread_mutex_lock(&core->lock);
    const char **names = arena ? members_of(entry, arena, &n) : NULL;
    pthread_mutex_unlock(&core->lock);
    for (int i = 0; i < n && depth < MOST_DEPTH && error->code == SW_SERVE_OK; i++) {
        sw__entry *member = take_member(core, names[i], false);
        if (!member) continue;
        sw__task task = {.kind = SW__LOAD, .name = member->name};
        load(core, member, &task, error);
        if (error->code == SW_SERVE_OK) load_members(core, member, depth + 1, error);
        leave_member(core, member);
    }
    sw_arena_destroy(arena);
}

static void unload(sw_serve *core, sw__entry *entry) {
    sw_serve_model *gone = NULL;
    pthread_mutex_lock(&core->lock);
    for (int i = 0; i < entry->n_versions; i++) {
        if (!entry->versions[i].model) continue;
        take_out(core, &entry->versions[i], &gone);
        set_state(&entry->versions[i], "UNAVAILABLE", "unloaded");
    }
    entry->wanted = entry->failed = false;
    sw_free(NULL, entry->reason);
    entry->reason = NULL;
    entry->stamp = 0;
    pthread_mutex_unlock(&core->lock);
    if (gone) sw_info(&core->diag, entry->name, "is unloaded");
    drop_all(gone);
}

static void unload_with_members(sw_serve *core, sw__entry *entry) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    int n = 0;
    pthread_mutex_lock(&core->lock);
    const char **names = arena ? members_of(entry, arena, &n) : NULL;
    pthread_mutex_unlock(&core->lock);
    unload(core, entry);
    for (int i = 0; i < n; i++) {
        sw__entry *member = take_member(core, names[i], true);
        if (!member) continue;
        unload(core, member);
        leave_member(core, member);
    }
    sw_arena_destroy(arena);
}

/* -- Polling --------------------------------------------------------------------------------------------------------- */

/* What is new or has changed is loaded, what is gone is unloaded: by tasks of their own. */
static void poll(sw_serve *core) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw__found *found;
    int n = 0;
    if (arena && sw__repository_list(core, arena, &core->diag, &found, &n) == SW_OK) {
        for (int i = 0; i < n; i++)
            sw__loading_add(core, &(sw__task){.kind = SW__LOAD, .name = (char *)found[i].name, .only_changes = true});
        pthread_mutex_lock(&core->lock);
        for (size_t i = 0; i < core->cap_entries; i++) {
            sw__entry *entry = core->entries[i];
            bool there = !entry || !entry->wanted;
            for (int k = 0; !there && k < n; k++) there = strcmp(found[k].name, entry->name) == 0;
            sw__task *task = there ? NULL : copy_task(&(sw__task){.kind = SW__UNLOAD, .name = entry->name});
            if (task) add_locked(core, task);
        }
        pthread_mutex_unlock(&core->lock);
    }
    sw_arena_destroy(arena);
}

/* Whether a load for changes has nothing to do: cheap, since polls ask it of every model. */
static bool unchanged(sw_serve *core, sw__entry *entry, const sw__task *task) {
    if (task->kind != SW__LOAD || !task->only_changes || !entry->wanted) return false;
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw__found found;
    bool same = false;
    if (arena && sw__repository_find(core, task->name, arena, &found)) {
        uint64_t all =
            found.folder ? sw__repository_stamp(found.folder, true, arena) : (uint64_t)sw_file_changed_ns(found.path);
        same = entry->whole_stamp == all;
        entry->whole_stamp = all;
    }
    sw_arena_destroy(arena);
    return same;
}

/* -- Memory ---------------------------------------------------------------------------------------------------------- */

/* The least recently used model that nobody holds, parked: no instances, until a request comes. core->crowded tells of others
 * that are held. Under core->lock. */
static sw_serve_model *park_one(sw_serve *core, const sw_serve_model *but) {
    sw_serve_model *oldest = NULL;
    for (size_t i = 0; i < core->cap_entries; i++)
        for (int k = 0; core->entries[i] && k < core->entries[i]->n_versions; k++) {
            sw_serve_model *model = core->entries[i]->versions[k].model;
            if (!model || model == but || !model->bytes || is_parked(model)) continue;
            if (atomic_load(&model->refs) != 1) {
                core->crowded = true;
                continue;
            }
            if (!oldest || model->used_ns < oldest->used_ns) oldest = model;
        }
    if (!oldest) return NULL;
    pthread_mutex_lock(&oldest->queue.lock);
    oldest->queue.parked = true;
    oldest->queue.free = NULL;
    oldest->queue.n_free = 0;
    pthread_mutex_unlock(&oldest->queue.lock);
    sw_serve_keep(oldest);
    return oldest;
}

/* Of all models that are not parked. Under core->lock. */
static int64_t loaded_bytes(const sw_serve *core) {
    int64_t bytes = 0;
    for (size_t i = 0; i < core->cap_entries; i++)
        for (int k = 0; core->entries[i] && k < core->entries[i]->n_versions; k++) {
            sw_serve_model *model = core->entries[i]->versions[k].model;
            if (model && !is_parked(model)) bytes += model->bytes;
        }
    return bytes;
}

static void make_room(sw_serve *core, const sw_serve_model *but) {
    int64_t budget = core->options.memory_budget;
    for (bool more = budget > 0; more;) {
        pthread_mutex_lock(&core->lock);
        core->crowded = false;
        core->newcomer = but;
        sw_serve_model *model = loaded_bytes(core) > budget ? park_one(core, but) : NULL;
        pthread_mutex_unlock(&core->lock);
        more = model != NULL;
        if (!model) break;
        pthread_mutex_lock(&model->life_lock);
        sw__serve_model_stop(model);
        pthread_mutex_unlock(&model->life_lock);
        sw_info(&core->diag, model->info.name, "version %lld leaves memory until it is asked for",
                (long long)model->info.version);
        sw_serve_drop(model);
        sw_os_trim();
    }
}

void sw__loading_revive(sw_serve_model *model) {
    sw_serve_keep(model);
    sw__loading_add(model->core, &(sw__task){.kind = SW__REVIVE, .model = model});
}

bool sw__loading_wait_revived(sw_serve_model *model) {
    sw_serve *core = model->core;
    sw__queue *q = &model->queue;
    pthread_mutex_lock(&q->lock);
    bool begin = q->parked && !q->reviving;
    q->reviving |= begin;
    pthread_mutex_unlock(&q->lock);
    if (begin) sw__loading_revive(model);
    pthread_mutex_lock(&core->lock);
    for (;;) {
        pthread_mutex_lock(&q->lock);
        bool parked = q->parked, waits = q->reviving;
        pthread_mutex_unlock(&q->lock);
        if (!parked || !waits) {
            pthread_mutex_unlock(&core->lock);
            return !parked;
        }
        pthread_cond_wait(&core->idle, &core->lock);
    }
}

static void revive(sw_serve *core, sw_serve_model *model) {
    sw_serve_error error = {0};
    pthread_mutex_lock(&model->life_lock);
    sw_serve_code code = sw__serve_model_start(model, &error);
    pthread_mutex_unlock(&model->life_lock);
    sw__queue_revived(model, code == SW_SERVE_OK);
    if (code != SW_SERVE_OK) sw__queue_fail_all(model, &error);
    make_room(core, model);
    sw_serve_drop(model);
}

/* -- Threads --------------------------------------------------------------------------------------------------------- */

/* The first task whose model nobody is at work on; taken out of the list. Under core->lock. */
static sw__task *next_task(sw_serve *core, sw__entry **entry) {
    sw__task *before = NULL;
    for (sw__task *task = core->tasks; task; before = task, task = task->next) {
        *entry = task->name ? sw__core_entry(core, task->name, true) : NULL;
        if (*entry && (*entry)->busy) continue;
        if (*entry) (*entry)->busy = true;
        if (before)
            before->next = task->next;
        else
            core->tasks = task->next;
        if (core->last_task == task) core->last_task = before;
        return task;
    }
    return NULL;
}

static void run_task(sw_serve *core, sw__task *task, sw__entry *entry, bool stopping) {
    sw_serve_error error = {0};
    if (stopping && task->kind != SW__REVIVE) {
        (void)sw_serve_fail(&error, SW_SERVE_UNAVAILABLE, "the server is stopping");
    } else if (task->kind == SW__POLL) {
        poll(core);
    } else if (task->kind == SW__REVIVE) {
        revive(core, task->model);
    } else if (!entry) {
        (void)sw__serve_no_memory(&error);
    } else if (task->kind == SW__SWAP) {
        sw__tuning_swap(core, entry);
    } else if (task->kind == SW__UNLOAD) {
        if (task->dependents)
            unload_with_members(core, entry);
        else
            unload(core, entry);
    } else if (!unchanged(core, entry, task)) {
        load(core, entry, task, &error);
        if (error.code == SW_SERVE_OK && core->options.control == SW_SERVE_CONTROL_EXPLICIT)
            load_members(core, entry, 0, &error);
        check_ensembles(core, entry, &error);
        make_room(core, NULL);
    }
    if (task->done) task->done(task->ctx, &error);
}

/* Whoever holds a model lets it go without telling the loading threads. */
enum { CROWDED_MS = 20 };

static void wait_for_work(sw_serve *core) {
    if (core->crowded && !core->stopping) {
        int64_t until_ns = sw_clock_ns() + CROWDED_MS * 1000000;
        struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
        if (pthread_cond_timedwait(&core->work, &core->lock, &until) != ETIMEDOUT || !core->crowded) return;
        const sw_serve_model *newcomer = core->newcomer;
        pthread_mutex_unlock(&core->lock);
        make_room(core, newcomer);
        pthread_mutex_lock(&core->lock);
        return;
    }
    if (core->options.control != SW_SERVE_CONTROL_POLL || core->options.clock.now) {
        pthread_cond_wait(&core->work, &core->lock);
        return;
    }
    struct timespec until = {.tv_sec = core->next_poll_ns / 1000000000, .tv_nsec = core->next_poll_ns % 1000000000};
    pthread_cond_timedwait(&core->work, &core->lock, &until);
}

static bool poll_is_due(sw_serve *core) {
    if (core->options.control != SW_SERVE_CONTROL_POLL || core->stopping || sw__serve_now(core) < core->next_poll_ns)
        return false;
    core->next_poll_ns = sw__serve_now(core) + core->options.poll_seconds * (int64_t)1000000000;
    sw__task *task = copy_task(&(sw__task){.kind = SW__POLL});
    if (task) add_locked(core, task);
    return true;
}

/* Something to do done, with the lock let go meanwhile; false when there was nothing. */
static bool step(sw_serve *core) {
    sw__entry *entry;
    if (core->dead) {
        sw_serve_model *model = core->dead;
        core->dead = model->next_dead;
        pthread_mutex_unlock(&core->lock);
        sw__serve_model_destroy(model);
        sw_os_trim();
        pthread_mutex_lock(&core->lock);
        core->n_alive--;
        pthread_cond_broadcast(&core->idle);
        return true;
    }
    sw__task *task = next_task(core, &entry);
    if (!task) return poll_is_due(core);
    bool stopping = core->stopping;
    core->n_running++;
    pthread_mutex_unlock(&core->lock);
    run_task(core, task, entry, stopping);
    pthread_mutex_lock(&core->lock);
    core->n_running--;
    if (entry) entry->busy = false;
    core->n_initial -= task->initial;
    pthread_cond_broadcast(&core->idle);
    pthread_cond_signal(&core->work); /* a task may have waited for this one */
    free_task(task);
    return true;
}

static void *work(void *ctx) {
    sw_serve *core = ctx;
    pthread_mutex_lock(&core->lock);
    for (;;) {
        if (step(core)) continue;
        if (core->closing) break;
        wait_for_work(core);
    }
    pthread_mutex_unlock(&core->lock);
    return NULL;
}

sw_status sw__loading_start(sw_serve *core) {
    int n = core->options.load_threads;
    core->threads = SW_ARENA_ARRAY(core->arena, sw_thread, n);
    if (!core->threads) return SW_E_NOMEM;
    core->next_poll_ns = sw__serve_now(core) + core->options.poll_seconds * (int64_t)1000000000;
    while (core->n_threads < n && sw_thread_start(&core->threads[core->n_threads], work, core) == SW_OK)
        core->n_threads++;
    return core->n_threads ? SW_OK : sw_fail(&core->diag, SW_E_LIMIT, NULL, NULL, "no thread can be started");
}

void sw__loading_stop(sw_serve *core) {
    sw_serve_model *gone = NULL;
    sw__tuning_stop(core);
    pthread_mutex_lock(&core->lock);
    core->stopping = true;
    pthread_cond_broadcast(&core->work);
    while (core->n_threads && (core->tasks || core->n_running)) pthread_cond_wait(&core->idle, &core->lock);
    for (size_t i = 0; i < core->cap_entries; i++)
        for (int k = 0; core->entries[i] && k < core->entries[i]->n_versions; k++)
            take_out(core, &core->entries[i]->versions[k], &gone);
    pthread_mutex_unlock(&core->lock);
    drop_all(gone);
    pthread_mutex_lock(&core->lock);
    while (core->n_alive) pthread_cond_wait(&core->idle, &core->lock);
    core->closing = true;
    pthread_cond_broadcast(&core->work);
    pthread_mutex_unlock(&core->lock);
    for (int i = 0; i < core->n_threads; i++) sw_thread_join(&core->threads[i]);
}
