#include "serve/server/jobs.h"

/* A model may have so many times what is free: "dynamic queue length thresholds" (Choudhury, Hahne, 1998). One alone gets three
 * quarters, the next one three quarters of the rest. */
enum { MAX_THREADS = 16, TIMES_FREE = 3, MAX_SHARES = SW__MAX_JOBS + SW__MAX_PICTURES_INSIDE };

/* What a model has of both; one of them is not 0. */
typedef struct share {
    const void *model;
    int waiting, inside;
} share;

typedef struct list {
    sw__job *first, *last;
} list;

struct sw__jobs {
    pthread_mutex_t lock;
    pthread_cond_t more;
    list waiting, urgent; /* urgent: have their place already */
    int n_waiting, n_inside, n_running, n_threads, most_threads;
    share shares[MAX_SHARES];
    int n_shares;
    bool end;
    sw_thread threads[MAX_THREADS];
};

sw__jobs *sw__jobs_create(int threads) {
    sw__jobs *j = sw_calloc(NULL, 1, sizeof *j);
    if (!j) return NULL;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->more, NULL);
    j->most_threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    return j;
}

static void append(list *l, sw__job *first) {
    if (l->last)
        l->last->next = first;
    else
        l->first = first;
    for (l->last = first; l->last->next;) l->last = l->last->next;
}

/* The job behind `before` (NULL: the first). */
static sw__job *take(list *l, sw__job *before) {
    sw__job *job = before ? before->next : l->first;
    if (before)
        before->next = job->next;
    else
        l->first = job->next;
    if (l->last == job) l->last = before;
    return job;
}

/* A model's share; a new one if it had none. Valid until the next call. */
static share *share_of(sw__jobs *j, const void *model) {
    for (int i = 0; i < j->n_shares; i++)
        if (j->shares[i].model == model) return &j->shares[i];
    j->shares[j->n_shares] = (share){.model = model};
    return &j->shares[j->n_shares++];
}

static void drop_if_empty(sw__jobs *j, share *s) {
    if (!s->waiting && !s->inside) *s = j->shares[--j->n_shares];
}

/* The first that waits and whose model may have a place. */
static sw__job *next_waiting(sw__jobs *j) {
    int free = SW__MAX_PICTURES_INSIDE - j->n_inside;
    for (sw__job *job = j->waiting.first, *before = NULL; job; before = job, job = job->next) {
        share *s = share_of(j, job->model);
        if (s->inside >= TIMES_FREE * free && !j->end) continue;
        s->waiting--;
        s->inside++;
        j->n_waiting--;
        j->n_inside++;
        return take(&j->waiting, before);
    }
    return NULL;
}

/* The next job, if there is one that may run. */
static sw__job *next_job(sw__jobs *j) {
    return j->urgent.first ? take(&j->urgent, NULL) : next_waiting(j);
}

static void *work(void *ctx) {
    sw__jobs *j = ctx;
    pthread_mutex_lock(&j->lock);
    for (;;) {
        sw__job *job = next_job(j);
        if (!job && j->end) break;
        if (!job) {
            pthread_cond_wait(&j->more, &j->lock);
            continue;
        }
        j->n_running++;
        pthread_mutex_unlock(&j->lock);
        job->run(job);
        pthread_mutex_lock(&j->lock);
        j->n_running--;
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

void sw__jobs_destroy(sw__jobs *j) {
    if (!j) return;
    pthread_mutex_lock(&j->lock);
    j->end = true;
    pthread_cond_broadcast(&j->more);
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; i < j->n_threads; i++) sw_thread_join(&j->threads[i]);
    pthread_cond_destroy(&j->more);
    pthread_mutex_destroy(&j->lock);
    sw_free(NULL, j);
}

/* Under the lock: one more thread if those that there are will not do. */
static void start_thread(sw__jobs *j, int n) {
    while (j->n_threads < j->most_threads && j->n_threads < j->n_running + n &&
           sw_thread_start(&j->threads[j->n_threads], work, j) == SW_OK)
        j->n_threads++;
}

bool sw__jobs_add(sw__jobs *j, sw__job *first, int n) {
    pthread_mutex_lock(&j->lock);
    start_thread(j, j->n_waiting + n);
    int free = SW__MAX_JOBS - j->n_waiting - n;
    bool taken = free >= 0 && j->n_threads;
    if (taken) {
        share *s = share_of(j, first->model);
        taken = s->waiting + n <= TIMES_FREE * (free + n);
        if (taken) s->waiting += n;
        drop_if_empty(j, s);
    }
    if (taken) {
        append(&j->waiting, first);
        j->n_waiting += n;
        pthread_cond_broadcast(&j->more);
    }
    pthread_mutex_unlock(&j->lock);
    return taken;
}

void sw__jobs_add_more(sw__jobs *j, sw__job *job) {
    job->next = NULL;
    pthread_mutex_lock(&j->lock);
    append(&j->urgent, job);
    pthread_cond_signal(&j->more);
    pthread_mutex_unlock(&j->lock);
}

void sw__jobs_leave(sw__jobs *j, const void *model) {
    pthread_mutex_lock(&j->lock);
    share *s = share_of(j, model);
    s->inside--;
    j->n_inside--;
    drop_if_empty(j, s);
    if (j->waiting.first) pthread_cond_signal(&j->more);
    pthread_mutex_unlock(&j->lock);
}

int sw__jobs_left(sw__jobs *j) {
    pthread_mutex_lock(&j->lock);
    int left = j->n_waiting + j->n_inside + j->n_running;
    pthread_mutex_unlock(&j->lock);
    return left;
}
