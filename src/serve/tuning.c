/* Model files are served at once from plans made by estimate; a thread of its own has tuned ones made meanwhile, one at a time,
 * and each takes its place by making the version again, as when a model is loaded anew: the old one answers until then. */
#include <string.h>

#include "serve/internal.h"

typedef struct job {
    char *name, *path, *device; /* device: NULL: the CPU */
    int threads;
    struct job *next;
} job;

struct sw__tuning {
    job *jobs, *last; /* under core->lock, as what follows */
    pthread_cond_t work;
    atomic_bool stop;
    sw_thread thread;
};

static void free_job(job *j) {
    if (!j) return;
    sw_free(NULL, j->name);
    sw_free(NULL, j->path);
    sw_free(NULL, j->device);
    sw_free(NULL, j);
}

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = sw_alloc(NULL, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static job *make_job(const sw_serve_model *model) {
    const char *device = model->config.device;
    job *j = sw_calloc(NULL, 1, sizeof *j);
    if (!j) return NULL;
    *j = (job){copy_text(model->info.name), copy_text(model->path), device ? copy_text(device) : NULL, model->threads,
               NULL};
    if (j->name && j->path && (j->device || !device)) return j;
    free_job(j);
    return NULL;
}

static void do_job(sw_serve *core, const job *j, const atomic_bool *stop) {
    const sw_serve_loader *loader = &core->options.loader;
    sw_serve_wish wish = {j->path, j->device, j->threads};
    int64_t start = sw_clock_ns();
    sw_info(&core->diag, j->name, "a tuned plan is being made in the background");
    sw_serve_error error;
    sw__sink sink = {&error, NULL};
    sw_diag diag = sw__serve_sink(&sink);
    sw_status status = loader->tune(loader->ctx, &wish, stop, &diag);
    if (atomic_load(stop)) return;
    if (status == SW_OK) {
        sw_info(&core->diag, j->name, "the tuned plan is there, after %.1f s", (double)(sw_clock_ns() - start) / 1e9);
        sw__loading_add(core, &(sw__task){.kind = SW__SWAP, .name = j->name});
    } else {
        sw_warn(&core->diag, j->name, "goes on with its default plan, since no tuned one could be made: %s",
                error.text[0] ? error.text : sw_status_text(status));
    }
}

/* Waits until everything asked for at the start is loaded: that comes first. */
static void *work(void *ctx) {
    sw_serve *core = ctx;
    struct sw__tuning *t = core->tuning;
    pthread_mutex_lock(&core->lock);
    while (!atomic_load(&t->stop)) {
        if (core->n_initial) {
            pthread_cond_wait(&core->idle, &core->lock);
            continue;
        }
        job *j = t->jobs;
        if (!j) {
            pthread_cond_wait(&t->work, &core->lock);
            continue;
        }
        t->jobs = j->next;
        pthread_mutex_unlock(&core->lock);
        do_job(core, j, &t->stop);
        free_job(j);
        pthread_mutex_lock(&core->lock);
    }
    pthread_mutex_unlock(&core->lock);
    return NULL;
}

/* The thread starts with the first job. Under core->lock. */
static bool begin(sw_serve *core) {
    if (core->tuning) return true;
    struct sw__tuning *t = core->tuning = sw_calloc(NULL, 1, sizeof *t);
    if (!t) return false;
    pthread_cond_init(&t->work, NULL);
    if (sw_thread_start(&t->thread, work, core) == SW_OK) return true;
    pthread_cond_destroy(&t->work);
    sw_free(NULL, t);
    core->tuning = NULL;
    return false;
}

void sw__tuning_add(sw_serve_model *model) {
    sw_serve *core = model->core;
    if (!core->options.loader.tune || model->nature.plan_kind != SW_SERVE_PLAN_DEFAULT || model->source.temporary)
        return;
    job *j = make_job(model);
    pthread_mutex_lock(&core->lock);
    if (j && !core->stopping && begin(core)) {
        struct sw__tuning *t = core->tuning;
        if (t->jobs)
            t->last->next = j;
        else
            t->jobs = j;
        t->last = j;
        pthread_cond_signal(&t->work);
        j = NULL;
    }
    pthread_mutex_unlock(&core->lock);
    free_job(j); /* nothing is lost but speed */
}

void sw__tuning_stop(sw_serve *core) {
    pthread_mutex_lock(&core->lock);
    core->stopping = true;
    struct sw__tuning *t = core->tuning;
    if (t) {
        atomic_store(&t->stop, true);
        pthread_cond_signal(&t->work);
        pthread_cond_broadcast(&core->idle);
    }
    pthread_mutex_unlock(&core->lock);
    if (!t) return;
    sw_thread_join(&t->thread);
    while (t->jobs) {
        job *j = t->jobs;
        t->jobs = j->next;
        free_job(j);
    }
    pthread_cond_destroy(&t->work);
    sw_free(NULL, t);
    core->tuning = NULL;
}

/* The model of a version that runs on a default plan, with a reference; NULL: it does not, or is parked. */
static sw_serve_model *take_default(sw_serve *core, const sw__version *version) {
    pthread_mutex_lock(&core->lock);
    sw_serve_model *model = version->model;
    if (model) {
        pthread_mutex_lock(&model->queue.lock);
        bool parked = model->queue.parked; /* it comes back with the tuned plan */
        pthread_mutex_unlock(&model->queue.lock);
        if (parked || model->nature.plan_kind != SW_SERVE_PLAN_DEFAULT) model = NULL;
    }
    if (model) sw_serve_keep(model);
    pthread_mutex_unlock(&core->lock);
    return model;
}

/* Nobody else changes the entry meanwhile, and what is held is not parked. */
static void swap(sw_serve *core, sw__version *version, sw_serve_model *old) {
    sw_serve_model *fresh;
    sw_serve_error error;
    if (sw__serve_model_create(core, &old->source, &fresh, &error) != SW_SERVE_OK) {
        sw_warn(&core->diag, old->info.name, "version %lld goes on with its default plan: %s",
                (long long)old->info.version, error.text);
        return;
    }
    if (fresh->nature.plan_kind != SW_SERVE_PLAN_TUNED) {
        sw_warn(&core->diag, old->info.name, "version %lld goes on with its default plan: its files have changed",
                (long long)old->info.version);
        sw_serve_drop(fresh);
        return;
    }
    sw__serve_model_inherit(fresh, old);
    pthread_mutex_lock(&core->lock);
    fresh->used_ns = old->used_ns;
    fresh->weight = old->weight;
    version->model = fresh;
    pthread_mutex_unlock(&core->lock);
    sw_serve_drop(old);
    sw_info(&core->diag, fresh->info.name, "version %lld runs on its tuned plan from now on",
            (long long)fresh->info.version);
}

void sw__tuning_swap(sw_serve *core, sw__entry *entry) {
    for (int i = 0; i < entry->n_versions; i++) {
        sw_serve_model *old = take_default(core, &entry->versions[i]);
        if (old) swap(core, &entry->versions[i], old);
        sw_serve_drop(old);
    }
}
