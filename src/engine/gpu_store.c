/* Weights on a GPU, shared by all sessions of a plan. */
#include "engine/gpu_program.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list, and of the numbers of sessions */
static sw_gpu_store *stores;

static void free_store(sw_gpu *gpu, sw_gpu_store *s) {
    size_t n_weights = s->weights ? s->plan->n_steps * SW_CUDA_FORMS : 0,
           n_constants = s->constants ? 2 * s->plan->n_values : 0;
    for (size_t i = 0; i < n_weights; i++) sw_cuda_free(gpu->cuda, s->weights[i]);
    for (size_t i = 0; i < n_constants; i++) sw_cuda_free(gpu->cuda, s->constants[i]);
    pthread_mutex_destroy(&s->lock);
    sw_free(gpu->allocator, (void *)s->weights);
    sw_free(gpu->allocator, (void *)s->constants);
    sw_free(gpu->allocator, s);
}

static sw_gpu_store *make_store(sw_gpu *gpu) {
    const sw_plan *plan = gpu->plan;
    sw_gpu_store *s = sw_calloc(gpu->allocator, 1, sizeof *s);
    if (!s) return NULL;
    s->plan = plan;
    s->index = gpu->cuda->index;
    pthread_mutex_init(&s->lock, NULL);
    s->weights = sw_calloc(gpu->allocator, (plan->n_steps + 1) * SW_CUDA_FORMS, sizeof *s->weights);
    s->constants = sw_calloc(gpu->allocator, 2 * plan->n_values + 1, sizeof *s->constants);
    if (s->weights && s->constants) return s;
    free_store(gpu, s);
    return NULL;
}

sw_status sw__gpu_store_open(sw_gpu *gpu, sw_gpu_store **store) {
    pthread_mutex_lock(&lock);
    sw_gpu_store *s = stores;
    while (s && (s->plan != gpu->plan || s->index != gpu->cuda->index)) s = s->next;
    if (!s && (s = make_store(gpu))) {
        s->next = stores;
        stores = s;
    }
    if (s) s->sessions++;
    pthread_mutex_unlock(&lock);
    *store = s;
    return s ? SW_OK : SW_E_NOMEM;
}

void sw__gpu_store_close(sw_gpu *gpu, sw_gpu_store *s) {
    if (!s) return;
    pthread_mutex_lock(&lock);
    bool last = --s->sessions == 0;
    if (last) {
        sw_gpu_store **at = &stores;
        while (*at != s) at = &(*at)->next;
        *at = s->next;
    }
    pthread_mutex_unlock(&lock);
    if (last) free_store(gpu, s);
}
