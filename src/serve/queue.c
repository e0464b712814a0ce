/* A model's queue and its threads: requests wait in levels of priority; a thread takes a free instance and a batch, and
 * runs it. What is quick, and finds an instance free and nobody waiting, runs on the thread that submits. */
#include <string.h>

#include "serve/internal.h"

/* Runs of models that take longer are not done on a thread that has other clients to serve. */
enum { QUICK_NS = 100000 };

bool sw__queue_init(sw__queue *q, sw_arena *arena, int levels, int n_threads) {
    q->levels = SW_ARENA_ARRAY(arena, sw__level, levels + 1);
    q->threads = SW_ARENA_ARRAY(arena, sw_thread, n_threads + 1);
    if (!q->levels || !q->threads) return false;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->wake, &monotonic);
    pthread_cond_init(&q->order, NULL);
    pthread_condattr_destroy(&monotonic);
    return true;
}

void sw__queue_close(sw__queue *q) {
    if (!q->levels) return; /* not initialised */
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    pthread_cond_broadcast(&q->wake);
    int n = q->n_threads;
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < n; i++) sw_thread_join(&q->threads[i]);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wake);
    pthread_cond_destroy(&q->order);
}

/* -- Lists ----------------------------------------------------------------------------------------------------------- */

static void append(sw__list *list, sw_serve_request *r) {
    r->before = list->last;
    r->next = NULL;
    if (list->last)
        list->last->next = r;
    else
        list->first = r;
    list->last = r;
}

static void unlink_from(sw__list *list, sw_serve_request *r) {
    if (r->before)
        r->before->next = r->next;
    else
        list->first = r->next;
    if (r->next)
        r->next->before = r->before;
    else
        list->last = r->before;
    r->next = r->before = NULL;
}

static bool is_timed(const sw_serve_request *r) {
    return r->deadline_ns || (((sw__held *)r->held)->late_ns && !((sw__held *)r->held)->timed_out);
}

static void enqueue(sw__queue *q, sw_serve_request *r) {
    sw__held *held = r->held;
    append(&q->levels[held->level].waiting, r);
    q->levels[held->level].n++;
    q->n++;
    q->n_timed += is_timed(r);
    r->state = SW__QUEUED;
}

static void dequeue(sw__queue *q, sw_serve_request *r, sw__request_state state) {
    const sw__held *held = r->held;
    sw__level *level = &q->levels[held->level];
    unlink_from(held->timed_out ? &level->late : &level->waiting, r);
    level->n--;
    q->n--;
    q->n_timed -= is_timed(r);
    r->state = state;
}

/* -- Choosing -------------------------------------------------------------------------------------------------------- */

static void drop(sw__queue *q, sw_serve_request *r, sw__list *dropped, const char *why) {
    char id[SW__ID_TEXT];
    dequeue(q, r, SW__RUNNING);
    append(dropped, r);
    (void)sw_serve_fail(&r->error, SW_SERVE_UNAVAILABLE, "%s%s", sw__serve_id_text(r, id), why);
}

/* What timed out leaves, or goes behind the others; what is over its deadline leaves. *wake_ns: when the next one will. */
static void expire(sw_serve_model *model, int64_t now, int64_t *wake_ns, sw__list *dropped) {
    sw__queue *q = &model->queue;
    const sw__batching *batching = &model->config.batching;
    for (int l = 1; l <= batching->levels && q->n_timed; l++) {
        sw__level *level = &q->levels[l];
        for (int late = 0; late < 2; late++) {
            sw_serve_request *next;
            for (sw_serve_request *r = late ? level->late.first : level->waiting.first; r; r = next) {
                sw__held *held = r->held;
                next = r->next;
                if (r->deadline_ns && now >= r->deadline_ns) {
                    drop(q, r, dropped, "Deadline exceeded before the request was computed");
                } else if (!late && held->late_ns && now >= held->late_ns && !batching->policies[l].delay) {
                    drop(q, r, dropped, "Request timeout expired");
                } else if (!late && held->late_ns && now >= held->late_ns) {
                    unlink_from(&level->waiting, r);
                    q->n_timed -= is_timed(r);
                    held->timed_out = true;
                    q->n_timed += is_timed(r);
                    append(&level->late, r);
                } else {
                    if (r->deadline_ns && r->deadline_ns < *wake_ns) *wake_ns = r->deadline_ns;
                    if (!late && held->late_ns && held->late_ns < *wake_ns) *wake_ns = held->late_ns;
                }
            }
        }
    }
}

/* Whether two requests may share a batch. */
static bool alike(const sw_serve_model *model, const sw_serve_request *a, const sw_serve_request *b) {
    const sw__held *x = a->held, *y = b->held;
    for (int i = 0; i < model->info.n_inputs; i++) {
        const sw_serve_tensor *s = x->inputs[i], *t = y->inputs[i];
        if (!s != !t) return false;
        if (s && (s->rank != t->rank || memcmp(s->dims + 1, t->dims + 1, (size_t)(s->rank - 1) * sizeof *s->dims) != 0))
            return false;
    }
    return true;
}

static bool is_preferred(const sw__batching *batching, int64_t rows) {
    for (int i = 0; i < batching->n_preferred; i++)
        if (batching->preferred[i] == rows) return true;
    return false;
}

/* The requests in the order in which they are served. `r` NULL: the first. */
static sw_serve_request *following(const sw_serve_model *model, const sw_serve_request *r) {
    const sw__queue *q = &model->queue;
    if (r && r->next) return r->next;
    int level = 1;
    if (r) {
        const sw__held *held = r->held;
        level = held->level + held->timed_out;
        if (!held->timed_out && q->levels[level].late.first) return q->levels[level].late.first;
        if (!held->timed_out) level++;
    }
    for (; level <= model->config.batching.levels; level++) {
        if (q->levels[level].waiting.first) return q->levels[level].waiting.first;
        if (q->levels[level].late.first) return q->levels[level].late.first;
    }
    return NULL;
}

/* How a batch is looked for: as Triton's dynamic batcher does it. */
typedef struct search {
    int n, best; /* requests; of them those that make a preferred size, 0: none */
    int64_t rows, oldest_ns;
    bool full; /* no request that waits may join */
} search;

static search gather(const sw_serve_model *model, sw_serve_request **batch) {
    const sw__batching *batching = &model->config.batching;
    int64_t most = model->config.max_batch,
            largest = batching->n_preferred ? batching->preferred[batching->n_preferred - 1] : most;
    search s = {.oldest_ns = INT64_MAX};
    for (sw_serve_request *r = following(model, NULL); r; r = following(model, r)) {
        int64_t rows = ((sw__held *)r->held)->rows;
        if (s.n && s.rows + rows > largest && !s.best) s.best = s.n;
        s.full = s.n && (s.rows + rows > most || !alike(model, batch[0], r));
        if (s.full) break;
        batch[s.n++] = r;
        s.rows += rows;
        if (r->times.queued < s.oldest_ns) s.oldest_ns = r->times.queued;
        if (is_preferred(batching, s.rows)) s.best = s.n;
        if (s.rows == most) break;
    }
    s.full |= s.rows >= largest;
    return s;
}

/* How long a batch of so many rows takes, about; 0: not known. */
static double batch_time(const sw_serve_model *model, int64_t rows) {
    const double *known = model->queue.batch_ns;
    if (rows > model->config.max_batch) rows = model->config.max_batch; /* of steps of ensembles */
    for (int64_t n = rows; n >= 1; n--)
        if (known[n] > 0) return known[n] * (double)rows / (double)n; /* at most */
    for (int64_t n = rows + 1; n <= model->config.max_batch; n++)
        if (known[n] > 0) return known[n];
    return 0;
}

/* Batching by a goal for the 99th percentile: no more rows than can be computed in time for the oldest, and waiting for the
 * next request only where it is expected soon enough to be in time with it. Some of the goal is left for what is not
 * foreseen. */
static int64_t delay_for_goal(const sw_serve_model *model, int64_t now, sw_serve_request **batch, search *s) {
    double goal = (double)model->config.batching.slo_p99_us * 1000 * 0.8, waited = (double)(now - s->oldest_ns);
    while (s->n > 1 && waited + batch_time(model, s->rows) > goal) {
        s->rows -= ((sw__held *)batch[--s->n]->held)->rows;
        s->full = true;
    }
    if (s->best > s->n) s->best = 0;
    double room = goal - batch_time(model, s->rows + 1), gap = model->queue.gap_ns;
    return gap > 0 && waited + gap < room ? (int64_t)room : 0;
}

/* The next batch of the queue: into batch[], which has room for max_batch (at least 1); returns how many. 0: nothing yet;
 * *wake_ns is when to look again (INT64_MAX: when something comes). Requests that are late or over their deadline move to
 * `dropped`, with their errors. Under queue->lock. */
static int choose_batch(sw_serve_model *model, int64_t now, sw_serve_request **batch, int64_t *wake_ns,
                        sw__list *dropped) {
    sw__queue *q = &model->queue;
    const sw__batching *batching = &model->config.batching;
    *wake_ns = INT64_MAX;
    if (q->n_timed) expire(model, now, wake_ns, dropped);
    if (!q->n) return 0;
    if (!batching->on) {
        batch[0] = following(model, NULL);
        dequeue(q, batch[0], SW__RUNNING);
        return 1;
    }
    search s = gather(model, batch);
    int64_t delay_ns = batching->slo_p99_us ? delay_for_goal(model, now, batch, &s) : batching->delay_us * 1000;
    bool over = delay_ns <= 0 || now - s.oldest_ns >= delay_ns, preferred = s.best && (delay_ns <= 0 || !over);
    if (!s.full && !preferred && !over) {
        if (s.oldest_ns + delay_ns < *wake_ns) *wake_ns = s.oldest_ns + delay_ns;
        return 0;
    }
    int n = preferred ? s.best : s.n;
    for (int i = 0; i < n; i++) dequeue(q, batch[i], SW__RUNNING);
    return n;
}

/* -- Threads --------------------------------------------------------------------------------------------------------- */

static sw__instance *take_instance(sw__queue *q) {
    sw__instance *instance = q->free;
    q->free = instance->next_free;
    q->n_free--;
    return instance;
}

static void wait_until(sw_serve_model *model, int64_t wake_ns) {
    sw__queue *q = &model->queue;
    q->n_idle++;
    if (wake_ns == INT64_MAX || model->core->options.clock.now) {
        pthread_cond_wait(&q->wake, &q->lock);
    } else {
        struct timespec until = {.tv_sec = wake_ns / 1000000000, .tv_nsec = wake_ns % 1000000000};
        pthread_cond_timedwait(&q->wake, &q->lock, &until);
    }
    q->n_idle--;
}

static void finish_all(sw__list *list) {
    sw_serve_request *next;
    for (sw_serve_request *r = list->first; r; r = next) {
        next = r->next;
        r->next = r->before = NULL;
        sw__serve_finish(r);
    }
}

static void *work(void *ctx);

/* Somebody sees to what waits: a thread that is idle, or one more. False when there is none, and none can be had. */
static bool rouse(sw_serve_model *model) {
    sw__queue *q = &model->queue;
    if (q->n_idle)
        pthread_cond_signal(&q->wake);
    else if (q->n_threads < model->n_instances && sw_thread_start(&q->threads[q->n_threads], work, model) == SW_OK)
        q->n_threads++;
    return q->n_threads > 0;
}

static void *work(void *ctx) {
    sw_serve_model *model = ctx;
    sw__queue *q = &model->queue;
    pthread_mutex_lock(&q->lock);
    while (!q->closing || q->n) {
        sw__list dropped = {0};
        sw__instance *instance = NULL;
        int64_t wake_ns = INT64_MAX;
        int n =
            q->free && q->n ? choose_batch(model, sw__serve_now(model->core), q->free->batch, &wake_ns, &dropped) : 0;
        if (!n && !dropped.first) {
            wait_until(model, wake_ns);
            continue;
        }
        if (n) instance = take_instance(q);
        uint64_t ticket = n ? q->next_ticket++ : 0;
        if (q->n && q->free) (void)rouse(model);
        pthread_mutex_unlock(&q->lock);
        finish_all(&dropped);
        if (n) sw__serve_run_batch(model, instance, instance->batch, n, ticket, true);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

void sw__queue_add_instance(sw__queue *q, sw__instance *instance) {
    instance->next_free = q->free;
    q->free = instance;
    q->n_free++;
    pthread_cond_broadcast(&q->order);
    if (q->n && q->n_idle) pthread_cond_signal(&q->wake);
}

/* -- Requests -------------------------------------------------------------------------------------------------------- */

static void rank(sw_serve_model *model, sw_serve_request *r) {
    const sw__batching *batching = &model->config.batching;
    sw__held *held = r->held;
    bool has_one = r->priority >= 1 && r->priority <= (uint64_t)batching->priorities;
    held->level = has_one ? sw__config_level((int64_t)r->priority) : batching->default_level;
    held->timed_out = false;
    const sw__queue_policy *policy = &batching->policies[held->level];
    int64_t timeout_us = policy->timeout_us;
    if (policy->allow_override && r->timeout_us > 0 && (!timeout_us || r->timeout_us < timeout_us))
        timeout_us = r->timeout_us;
    if (!timeout_us || __builtin_mul_overflow(timeout_us, 1000, &held->late_ns) ||
        __builtin_add_overflow(held->late_ns, r->times.queued, &held->late_ns))
        held->late_ns = 0;
}

static bool runs_here(const sw_serve_model *model, const sw_serve_request *r) {
    const sw__queue *q = &model->queue;
    const sw__batching *batching = &model->config.batching;
    return !r->off_thread && q->free && !q->n && q->mean_ns && q->mean_ns < QUICK_NS && !model->backend->waits &&
           !batching->delay_us && !batching->n_preferred && !batching->slo_p99_us && !batching->preserve_ordering;
}

/* Averages of the last arrivals, for slo_p99. */
static void note_arrival(sw__queue *q, int64_t now) {
    double gap = (double)(now - q->arrival_ns);
    if (q->arrival_ns) q->gap_ns = q->gap_ns > 0 ? q->gap_ns * 0.9 + gap * 0.1 : gap;
    q->arrival_ns = now;
}

void sw__queue_submit(sw_serve_model *model, sw_serve_request *r) {
    sw__queue *q = &model->queue;
    char id[SW__ID_TEXT];
    rank(model, r);
    const sw__held *held = r->held;
    int64_t most = model->config.batching.policies[held->level].max_size;
    pthread_mutex_lock(&q->lock);
    if (q->batch_ns) note_arrival(q, r->times.queued);
    /* Nobody who has an instance of a light model waits for anything else: one will be free at once. */
    bool light = model->backend->light && held->depth;
    while (light && !q->free) pthread_cond_wait(&q->order, &q->lock);
    if ((light || runs_here(model, r)) && !(r->deadline_ns && r->times.queued >= r->deadline_ns)) {
        sw__instance *instance = take_instance(q);
        uint64_t ticket = q->next_ticket++;
        r->state = SW__RUNNING;
        pthread_mutex_unlock(&q->lock);
        sw__serve_run_batch(model, instance, &r, 1, ticket, false);
        return;
    }
    if (most && q->levels[held->level].n >= most) {
        (void)sw_serve_fail(&r->error, SW_SERVE_UNAVAILABLE, "%sExceeds maximum queue size", sw__serve_id_text(r, id));
    } else {
        enqueue(q, r);
        if (q->parked || rouse(model)) {
            bool revive = q->parked && !q->reviving;
            q->reviving |= revive;
            pthread_mutex_unlock(&q->lock);
            if (revive) sw__loading_revive(model);
            return;
        }
        dequeue(q, r, SW__RUNNING);
        (void)sw_serve_fail(&r->error, SW_SERVE_UNAVAILABLE, "%sno thread can be started", sw__serve_id_text(r, id));
    }
    pthread_mutex_unlock(&q->lock);
    sw__serve_finish(r);
}

void sw__queue_revived(sw_serve_model *model, bool back) {
    sw__queue *q = &model->queue;
    pthread_mutex_lock(&q->lock);
    q->reviving = false;
    if (back) {
        q->parked = false;
        for (int i = 0; i < model->n_instances; i++) sw__queue_add_instance(q, &model->instances[i]);
        if (q->n) (void)rouse(model);
    }
    pthread_mutex_unlock(&q->lock);
}

void sw__queue_fail_all(sw_serve_model *model, const sw_serve_error *error) {
    sw__queue *q = &model->queue;
    sw__list all = {0};
    pthread_mutex_lock(&q->lock);
    for (sw_serve_request *r; (r = following(model, NULL));) {
        dequeue(q, r, SW__RUNNING);
        append(&all, r);
        r->error = *error;
    }
    pthread_mutex_unlock(&q->lock);
    finish_all(&all);
}

void sw__queue_mark_running(sw_serve_model *model, sw_serve_request *r) {
    pthread_mutex_lock(&model->queue.lock);
    r->state = SW__RUNNING;
    pthread_mutex_unlock(&model->queue.lock);
}

bool sw__queue_remove(sw_serve_model *model, sw_serve_request *r) {
    sw__queue *q = &model->queue;
    pthread_mutex_lock(&q->lock);
    bool queued = r->state == SW__QUEUED;
    if (queued)
        dequeue(q, r, SW__RUNNING);
    else if (r->state == SW__RUNNING)
        ((sw__held *)r->held)->cancelled = true;
    pthread_mutex_unlock(&q->lock);
    return queued;
}
