#include "serve/server/server.h"

#include <string.h>

#include "base/cpu.h"
#include "base/service.h"
#include "serve/server/jobs.h"

enum { DEFAULT_BODY = 64 << 20, IDLE_S = 300, REQUEST_S = 30, STOP_S = 30, CPUS_PER_LOOP = 4, LEAST_JOB_THREADS = 2 };

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && !strcmp(a, b));
}

/* The files of a port's TLS; cert NULL: it has none. */
static sw_status tls_of(const sw_server_options *o, int speaks, const sw_server_tls **files) {
    const sw_server_tls *http = &o->http_tls, *grpc = &o->grpc_tls;
    bool same =
        same_text(http->cert, grpc->cert) && same_text(http->key, grpc->key) && same_text(http->root, grpc->root);
    *files = speaks & SW_SERVER_HTTP ? http : grpc;
    if (same || !(speaks & SW_SERVER_HTTP) || !(speaks & SW_SERVER_GRPC)) return SW_OK;
    return sw_fail(o->diag, SW_E_USAGE, "TLS", "give both the same files, or separate ports",
                   "HTTP and gRPC on one port have one certificate, or none");
}

static sw_status add_listener(sw_server *server, int fd, int speaks) {
    sw__listener *made = &server->listeners[server->n_listeners++];
    const sw_server_tls *files;
    *made = (sw__listener){.tag = SW__TAG_LISTENER, .fd = fd, .speaks = speaks};
    if (!sw_net_port(fd) || !(speaks & (SW_SERVER_HTTP | SW_SERVER_GRPC))) return SW_OK;
    SW_TRY(tls_of(&server->options, speaks, &files));
    return files->cert ? sw__tls_create(files, speaks, server->options.diag, &made->tls) : SW_OK;
}

void sw_server_reload(sw_server *server) {
    const sw_diag *diag = server->options.diag;
    sw_recorder_reopen(server->options.recorder);
    for (int i = 0; i < server->n_listeners; i++)
        if (server->listeners[i].tls && sw__tls_reload(server->listeners[i].tls, diag) != SW_OK)
            sw_warn(diag, "TLS", "the certificates that were read before stay in use");
}

/* A socket that was handed over says by its name what it is for; others speak everything. */
static int speaks_by_name(const char *name) {
    static const char *const names[] = {"http", "grpc", "metrics"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) return 1 << i;
    return SW_SERVER_HTTP | SW_SERVER_GRPC | SW_SERVER_METRICS;
}

/* A port of its own for each of the three, or one for those with the same number (unless 0). */
static sw_status listen_all(sw_server *server) {
    const sw_server_options *o = &server->options;
    const int ports[] = {o->http_port, o->grpc_port, o->metrics_port};
    for (int i = 0; i < 3; i++) {
        int speaks = 1 << i, fd;
        bool taken = false;
        for (int j = 0; j < 3; j++) {
            if (ports[j] != ports[i] || ports[i] <= 0) continue;
            speaks |= 1 << j;
            taken |= j < i;
        }
        if (ports[i] < 0 || taken) continue;
        SW_TRY(sw_net_listen(o->host, ports[i], o->diag, &fd));
        SW_TRY(add_listener(server, fd, speaks));
    }
    if (o->unix_path) {
        int fd;
        SW_TRY(sw_net_listen_unix(o->unix_path, o->diag, &fd));
        SW_TRY(add_listener(server, fd, SW_SERVER_HTTP | SW_SERVER_GRPC | SW_SERVER_METRICS));
    }
    int handed_over = sw_service_sockets();
    for (int i = 0; i < handed_over; i++) {
        char name[SW_SERVICE_NAME];
        int fd;
        SW_TRY(sw_service_socket(i, o->diag, &fd, name));
        SW_TRY(add_listener(server, fd, speaks_by_name(name)));
    }
    return SW_OK;
}

int sw_server_port(const sw_server *server, int what) {
    for (int i = 0; i < server->n_listeners; i++)
        if (server->listeners[i].speaks & what && sw_net_port(server->listeners[i].fd))
            return sw_net_port(server->listeners[i].fd);
    return 0;
}

sw_status sw_server_create(sw_serve *core, const sw_server_options *options, sw_server **result) {
    sw_server *server = sw_calloc(NULL, 1, sizeof *server);
    if (!server) return SW_E_NOMEM;
    server->core = core;
    server->options = *options;
    sw_server_options *o = &server->options;
    if (!o->max_body) o->max_body = DEFAULT_BODY;
    if (!o->idle_seconds) o->idle_seconds = IDLE_S;
    if (!o->request_seconds) o->request_seconds = REQUEST_S;
    if (!o->stop_seconds) o->stop_seconds = STOP_S;
    if (!o->threads) o->threads = (sw_cpu_allowed() + CPUS_PER_LOOP - 1) / CPUS_PER_LOOP;
    sw_net_raise_descriptors();
    sw_status status = listen_all(server);
    server->loops = sw_calloc(NULL, (size_t)o->threads, sizeof *server->loops);
    server->jobs = sw__jobs_create(sw_cpu_allowed() > LEAST_JOB_THREADS ? sw_cpu_allowed() : LEAST_JOB_THREADS);
    server->detectors = sw_serve_detectors(core);
    if (o->shared_memory) server->regions = sw_regions_create();
    bool whole = server->loops && server->jobs && (server->regions || !o->shared_memory);
    if (!whole && status == SW_OK) status = SW_E_NOMEM;
    for (int i = 0; i < o->threads && status == SW_OK; i++) {
        status = sw__loop_start(&server->loops[i], server);
        server->n_loops++;
    }
    if (status == SW_OK)
        *result = server;
    else
        sw_server_destroy(server);
    return status;
}

static void wake_all(sw_server *server) {
    for (int i = 0; i < server->n_loops; i++) sw_poller_wake(&server->loops[i].poller);
}

static void stop(sw_server *server) {
    atomic_store(&server->stopping, true);
    wake_all(server);
    int64_t end = sw_clock_ns() + server->options.stop_seconds * 1000000000LL;
    while (server->jobs && sw__jobs_left(server->jobs) && sw_clock_ns() < end) sw_sleep_ms(1);
    int left = sw_serve_drain(server->core, server->options.stop_seconds * 1000000000LL);
    if (left) sw_warn(server->options.diag, NULL, "%d requests were not done in time and are dropped", left);
    atomic_store(&server->leaving, true);
    wake_all(server);
    for (int i = 0; i < server->n_loops; i++) sw__loop_join(&server->loops[i]);
    server->n_loops = 0;
    sw__jobs_destroy(server->jobs);
    server->jobs = NULL;
}

void sw_server_destroy(sw_server *server) {
    if (!server) return;
    stop(server);
    for (int i = 0; i < server->n_listeners; i++) {
        sw_net_close(server->listeners[i].fd);
        sw__tls_destroy(server->listeners[i].tls);
    }
    if (server->options.unix_path) sw_net_remove_unix(server->options.unix_path);
    sw_regions_destroy(server->regions);
    sw_free(NULL, server->loops);
    sw_free(NULL, server);
}
