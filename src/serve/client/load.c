#include "serve/client/load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/net.h"
#include "base/os.h"
#include "serve/client/wire.h"

enum { MAX_EVENTS = 256, MAX_SAMPLES = 100 << 20, MAX_CONNECTIONS = 100000 };

typedef struct link {
    sw__wire *wire;
    int64_t due_ns; /* of the request under way; 0: it is free */
} link;

typedef struct load {
    const sw_client_options *options;
    sw_client_result *result;
    sw_poller poller;
    link *links;
    int *free;
    int n_free, n_busy;
    uint32_t *samples; /* latencies in 10 ns */
    size_t n_samples, cap_samples;
    int64_t start_ns, counted_ns, end_ns, next_ns; /* next_ns: when the next request is due */
    uint64_t random;
} load;

static double uniform(load *l) {
    l->random ^= l->random >> 12;
    l->random ^= l->random << 25;
    l->random ^= l->random >> 27;
    return ((double)(l->random * 0x2545f4914f6cdd1dULL >> 11) + 0.5) * 0x1p-53;
}

static sw_status note(load *l, int64_t due_ns, int64_t now, const char *failure) {
    if (due_ns < l->counted_ns) return SW_OK;
    if (*failure) {
        l->result->failed++;
        if (!*l->result->problem) snprintf(l->result->problem, sizeof l->result->problem, "%s", failure);
    } else
        l->result->answered++;
    void *samples = l->samples;
    sw_status status = sw_grow(NULL, &samples, &l->cap_samples, l->n_samples + 1, sizeof *l->samples, MAX_SAMPLES);
    l->samples = samples;
    if (status != SW_OK) return status;
    int64_t ticks = (now - due_ns) / 10;
    l->samples[l->n_samples++] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
    return SW_OK;
}

/* Sends what is due, on connections that are free. */
static sw_status send_due(load *l, int64_t now) {
    double rate = l->options->rate;
    while (l->n_free && now < l->end_ns && (!(rate > 0) || l->next_ns <= now)) {
        link *k = &l->links[l->free[--l->n_free]];
        k->due_ns = rate > 0 ? l->next_ns : now;
        if (rate > 0) l->next_ns += (int64_t)(-log(uniform(l)) / rate * 1e9);
        l->n_busy++;
        SW_TRY(sw__wire_ask(k->wire));
    }
    return SW_OK;
}

static sw_status on_event(load *l, link *k) {
    bool done;
    const char *failure;
    SW_TRY(sw__wire_read(k->wire, &done, &failure));
    if (!done || !k->due_ns) return SW_OK;
    SW_TRY(note(l, k->due_ns, sw_clock_ns(), failure));
    k->due_ns = 0;
    l->n_busy--;
    l->free[l->n_free++] = (int)(k - l->links);
    return SW_OK;
}

static sw_status run(load *l) {
    sw_poll_event events[MAX_EVENTS];
    int64_t now = sw_clock_ns(), second = 1000000000;
    l->start_ns = l->next_ns = now;
    l->counted_ns = now + (int64_t)(l->options->warm_up * 1e9);
    l->end_ns = l->counted_ns + (int64_t)(l->options->seconds * 1e9);
    while ((now = sw_clock_ns()) < l->end_ns || l->n_busy) {
        if (now > l->end_ns + 30 * second)
            return sw_fail(l->options->diag, SW_E_IO, l->options->host, NULL, "%d requests are not answered",
                           l->n_busy);
        SW_TRY(send_due(l, now));
        int64_t wait = l->options->rate > 0 && l->n_free && now < l->end_ns ? (l->next_ns - now) / 1000000 : 100;
        int n = sw_poller_wait(&l->poller, wait < 0 ? 0 : wait > 100 ? 100 : (int)wait, events, MAX_EVENTS);
        for (int i = 0; i < n; i++) SW_TRY(on_event(l, events[i].tag));
    }
    l->result->seconds = (double)(now - l->counted_ns) / 1e9;
    return SW_OK;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void summarise(load *l) {
    sw_client_result *r = l->result;
    size_t n = l->n_samples;
    if (!n) return;
    qsort(l->samples, n, sizeof *l->samples, compare);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += l->samples[i];
    const struct {
        double *to, part;
    } points[] = {{&r->p50_us, 0.5}, {&r->p90_us, 0.9}, {&r->p99_us, 0.99}, {&r->p999_us, 0.999}, {&r->max_us, 1}};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        size_t at = (size_t)ceil(points[i].part * (double)n);
        *points[i].to = l->samples[at ? at - 1 : 0] / 100.0;
    }
    r->mean_us = sum / (double)n / 100;
}

static sw_status open_links(load *l) {
    int n = l->options->connections;
    l->links = sw_calloc(NULL, (size_t)n, sizeof *l->links);
    l->free = sw_calloc(NULL, (size_t)n, sizeof *l->free);
    if (!l->links || !l->free) return SW_E_NOMEM;
    SW_TRY(sw_poller_open(l->options->diag, &l->poller));
    for (int i = 0; i < n; i++) {
        SW_TRY(sw__wire_open(l->options, &l->links[i].wire));
        SW_TRY(sw_poller_add(&l->poller, sw__wire_fd(l->links[i].wire), &l->links[i]));
        l->free[l->n_free++] = i;
    }
    return SW_OK;
}

sw_status sw_client_run(const sw_client_options *options, sw_client_result *result) {
    load l = {.options = options, .result = result, .poller = {-1, -1}, .random = 88172645463325252ULL};
    *result = (sw_client_result){0};
    if (options->connections < 1 || options->connections > MAX_CONNECTIONS)
        return sw_fail(options->diag, SW_E_USAGE, NULL, NULL, "1 to %d connections", MAX_CONNECTIONS);
    sw_net_raise_descriptors();
    sw_status status = open_links(&l);
    if (status == SW_OK) status = run(&l);
    if (status == SW_OK) summarise(&l);
    for (int i = 0; l.links && i < options->connections; i++) sw__wire_close(l.links[i].wire);
    sw_poller_close(&l.poller);
    sw_free(NULL, l.links);
    sw_free(NULL, l.free);
    sw_free(NULL, l.samples);
    return status;
}

sw_status sw_client_ask(const char *host, int port, const void *request, size_t size, const sw_diag *diag, sw_buf *body,
                        int *status) {
    sw_client_options options = {.host = host, .port = port, .request = request, .size = size, .diag = diag};
    sw__wire *wire = NULL;
    sw_poller poller = {-1, -1};
    bool done = false;
    const char *failure;
    SW_TRY(sw__wire_open(&options, &wire));
    sw_status result = sw_poller_open(diag, &poller);
    if (result == SW_OK) result = sw_poller_add(&poller, sw__wire_fd(wire), wire);
    if (result == SW_OK) result = sw__wire_ask(wire);
    while (result == SW_OK && !done) {
        sw_poll_event event;
        sw_poller_wait(&poller, -1, &event, 1);
        result = sw__wire_read(wire, &done, &failure);
    }
    if (result == SW_OK) {
        size_t from;
        const sw_buf *answer = sw__wire_body(wire, &from, status);
        sw_buf_append(body, answer->data + from, answer->size - from);
        result = body->status;
    }
    sw__wire_close(wire);
    sw_poller_close(&poller);
    return result;
}
