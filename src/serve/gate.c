/* Sharing the CPUs between models: start-time fair queueing (Goyal, Vin, Cheng, 1996) over CPU time. */
#include "serve/internal.h"

typedef struct waiter {
    sw__share *share;
    int threads;
    bool granted;
    pthread_cond_t go;
    struct waiter *next;
} waiter;

struct sw__gate {
    pthread_mutex_t lock;
    int cpus, free;
    int64_t time; /* share->used of the last that was let in: who was away gets no credit for it */
    waiter *first;
};

sw__gate *sw__gate_create(int cpus) {
    sw__gate *gate = sw_calloc(NULL, 1, sizeof *gate);
    if (!gate) return NULL;
    gate->cpus = gate->free = cpus;
    pthread_mutex_init(&gate->lock, NULL);
    return gate;
}

void sw__gate_destroy(sw__gate *gate) {
    if (!gate) return;
    pthread_mutex_destroy(&gate->lock);
    sw_free(NULL, gate);
}

static void let_in(sw__gate *gate, sw__share *share, int threads) {
    gate->free -= threads;
    if (share->used > gate->time) gate->time = share->used;
}

/* The waiter that has computed least; of equals the one that waits longest. */
static waiter **next_waiter(sw__gate *gate) {
    waiter **best = &gate->first;
    for (waiter **at = &gate->first; *at; at = &(*at)->next)
        if ((*at)->share->used < (*best)->share->used) best = at;
    return best;
}

void sw__gate_enter(sw__gate *gate, sw__share *share, int threads) {
    if (threads > gate->cpus) threads = gate->cpus;
    pthread_mutex_lock(&gate->lock);
    if (share->used < gate->time) share->used = gate->time;
    if (!gate->first && gate->free >= threads) {
        let_in(gate, share, threads);
    } else {
        waiter self = {.share = share, .threads = threads};
        waiter **end = &gate->first;
        while (*end) end = &(*end)->next;
        *end = &self;
        pthread_cond_init(&self.go, NULL);
        while (!self.granted) pthread_cond_wait(&self.go, &gate->lock);
        pthread_cond_destroy(&self.go);
    }
    pthread_mutex_unlock(&gate->lock);
}

int sw__gate_waiting(sw__gate *gate) {
    int n = 0;
    pthread_mutex_lock(&gate->lock);
    for (const waiter *at = gate->first; at; at = at->next) n++;
    pthread_mutex_unlock(&gate->lock);
    return n;
}

void sw__gate_leave(sw__gate *gate, sw__share *share, int threads, int64_t ns) {
    if (threads > gate->cpus) threads = gate->cpus;
    pthread_mutex_lock(&gate->lock);
    gate->free += threads;
    share->used += (ns > 0 ? ns : 0) * threads;
    for (waiter **at; gate->first && (*(at = next_waiter(gate)))->threads <= gate->free;) {
        waiter *chosen = *at;
        *at = chosen->next;
        let_in(gate, chosen->share, chosen->threads);
        chosen->granted = true;
        pthread_cond_signal(&chosen->go);
    }
    pthread_mutex_unlock(&gate->lock);
}
