#include "serve/server/jobs.h"

enum { MAX_THREADS = 16 };

typedef struct job {
    sw__call *call;
    sw__job_fn run;
} job;

struct sw__jobs {
    pthread_mutex_t lock;
    pthread_cond_t more;
    job waiting[SW__MAX_JOBS]; /* a ring */
    int first, n, running, n_threads, most_threads;
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

static void *work(void *ctx) {
    sw__jobs *j = ctx;
    pthread_mutex_lock(&j->lock);
    for (;;) {
        while (!j->n && !j->end) pthread_cond_wait(&j->more, &j->lock);
        if (!j->n) break;
        job next = j->waiting[j->first];
        j->first = (j->first + 1) % SW__MAX_JOBS;
        j->n--;
        j->running++;
        pthread_mutex_unlock(&j->lock);
        next.run(next.call);
        sw__call_return(next.call);
        pthread_mutex_lock(&j->lock);
        j->running--;
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

bool sw__jobs_add(sw__jobs *j, sw__call *call, sw__job_fn run) {
    pthread_mutex_lock(&j->lock);
    bool idle = j->n_threads > j->running + j->n;
    if (!idle && j->n_threads < j->most_threads && sw_thread_start(&j->threads[j->n_threads], work, j) == SW_OK)
        j->n_threads++;
    bool taken = j->n < SW__MAX_JOBS && j->n_threads;
    if (taken) {
        j->waiting[(j->first + j->n++) % SW__MAX_JOBS] = (job){call, run};
        pthread_cond_signal(&j->more);
    }
    pthread_mutex_unlock(&j->lock);
    return taken;
}

int sw__jobs_left(sw__jobs *j) {
    pthread_mutex_lock(&j->lock);
    int left = j->n + j->running;
    pthread_mutex_unlock(&j->lock);
    return left;
}
