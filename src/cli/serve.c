#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/net.h"
#include "base/os.h"
#include "base/service.h"
#include "cli/options.h"
#include "cli/plan_cache.h"
#include "cli/serve_record.h"
#include "serve/server/server.h"

enum { MAX_MODELS = 1024 };

/* Messages come from many threads; the console takes them one at a time. */
typedef struct sink {
    pthread_mutex_t lock;
    const sw_diag *console;
    const sw_recorder *recorder; /* says what is shown; NULL: everything */
} sink;

static void emit(void *ctx, const sw_message *message) {
    sink *s = ctx;
    sw_message dated = *message;
    char time[SW_WALL_TEXT + 256];
    if (s->recorder && !sw_recorder_shows(s->recorder, message->severity)) return;
    if (s->recorder && sw_recorder_dates(s->recorder)) {
        sw_wall_text(sw_wall_ms(), time);
        if (message->where) snprintf(time + strlen(time), sizeof time - strlen(time), ": %s", message->where);
        dated.where = time;
    }
    pthread_mutex_lock(&s->lock);
    if (s->console->emit) s->console->emit(s->console->ctx, &dated);
    pthread_mutex_unlock(&s->lock);
}

static void say_ports(const sw_server *server, const sw_server_options *o, const sw_diag *diag) {
    int http = sw_server_port(server, SW_SERVER_HTTP), grpc = sw_server_port(server, SW_SERVER_GRPC),
        metrics = sw_server_port(server, SW_SERVER_METRICS);
    sw_info(diag, NULL, "HTTP on port %d, gRPC on %d, metrics on %d%s%s", http, grpc, metrics,
            o->unix_path ? ", all on " : "", o->unix_path ? o->unix_path : "");
}

static sw_status read_routes(sw_serve *core, const char *path, const sw_diag *diag) {
    enum { MOST_BYTES = 2 << 20 };
    sw_buf text = sw_buf_make(NULL, MOST_BYTES);
    sw_serve_error error = {0};
    sw_status status = sw_file_read(path, diag, &text);
    if (status == SW_OK && sw_serve_set_routes(core, (const char *)text.data, text.size, path, &error) != SW_SERVE_OK)
        status = sw_fail(diag, SW_E_INPUT, NULL, NULL, "%s", error.text);
    sw_buf_free(&text);
    return status;
}

/* Tells the main thread when a model could not be loaded at the start. */
typedef struct watch {
    sw_serve *core;
    bool exit_on_error;
    const char *routes; /* a file; NULL: none */
    sw_poller poller;
    atomic_int failed;
    sw_thread thread;
} watch;

static void *wait_loaded(void *ctx) {
    watch *w = ctx;
    atomic_store(&w->failed, sw_serve_wait_loaded(w->core));
    if (!w->exit_on_error || !atomic_load(&w->failed)) sw_service_notify("READY=1");
    sw_poller_wake(&w->poller);
    return NULL;
}

/* Until the program is told to stop, or models failed that must not. SIGHUP: look at certificates and repositories. */
static sw_status wait_for_stop(watch *w, sw_server *server, int signals, const sw_diag *diag) {
    sw_poll_event event;
    for (;;) {
        if (sw_poller_wait(&w->poller, -1, &event, 1) < 1) continue;
        int failed = atomic_load(&w->failed);
        if (failed && w->exit_on_error)
            return sw_fail(diag, SW_E_MODEL, NULL, "or go on without them by --exit-on-error false",
                           "%d model%s could not be loaded", failed, failed == 1 ? "" : "s");
        if (!event.tag) continue;
        if (sw_signals_read(signals) == SW_SIGNAL_STOP) return SW_OK;
        sw_service_notify_reloading();
        sw_server_reload(server);
        sw_serve_reload(w->core);
        if (w->routes && read_routes(w->core, w->routes, diag) != SW_OK)
            sw_warn(diag, NULL, "the routes stay as they were");
        sw_service_notify("READY=1"); /* models come in the background, while the old ones answer */
    }
}

static sw_status serve(sw_serve *core, const char *routes, const sw_server_options *o, int signals,
                       bool exit_on_error) {
    sw_server *server = NULL;
    watch w = {.core = core, .routes = routes, .exit_on_error = exit_on_error};
    SW_TRY(sw_poller_open(o->diag, &w.poller));
    sw_status status = sw_poller_add(&w.poller, signals, &w);
    if (status == SW_OK) status = sw_server_create(core, o, &server);
    if (status == SW_OK) {
        say_ports(server, o, o->diag);
        status = sw_thread_start(&w.thread, wait_loaded, &w);
        if (status == SW_OK) status = wait_for_stop(&w, server, signals, o->diag);
        if (status == SW_OK) sw_info(o->diag, NULL, "Waiting for in-flight requests to complete.");
    }
    sw_service_notify("STOPPING=1");
    if (w.thread.handle) sw_thread_join(&w.thread);
    sw_server_destroy(server);
    sw_poller_close(&w.poller);
    return status;
}

/* -- Keys ---------------------------------------------------------------------------------------------------------- */

static int group_named(const char *text, size_t size) {
    static const char *const names[] = {
#define GROUP_NAME(id, name) name,
        SW_SERVER_GROUPS(GROUP_NAME)
#undef GROUP_NAME
    };
    for (int i = 0; i < SW_GROUP_COUNT; i++)
        if (strlen(names[i]) == size && !memcmp(names[i], text, size)) return i;
    return -1;
}

static const char *lower(const sw_args *args, const char *prefix, const char *text, size_t size) {
    char *copy = sw_arena_printf(args->arena, "%s%.*s", prefix, (int)size, text);
    for (char *c = copy; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 32);
    return copy;
}

/* GROUP,...:HEADER=VALUE, as Triton has it. */
static sw_status read_key(const sw_args *args, const char *option, const char *prefix, const char *text,
                          sw_server_key *keys, const sw_diag *diag) {
    const char *colon = strchr(text, ':'), *equals = colon ? strchr(colon, '=') : NULL;
    if (!equals || equals == colon + 1 || !equals[1])
        return sw_fail(diag, SW_E_USAGE, option, "write GROUP,...:HEADER=VALUE", "'%s' has no header and value", text);
    sw_server_key key = {lower(args, prefix, colon + 1, (size_t)(equals - colon - 1)), equals + 1};
    if (!key.header) return SW_E_NOMEM;
    for (const char *at = text; at < colon; at += strcspn(at, ",:") + 1) {
        size_t n = strcspn(at, ",:");
        int group = group_named(at, n);
        if (group < 0)
            return sw_fail(
                diag, SW_E_USAGE, option,
                "there are health, metadata, inference, shared-memory, model-config, model-repository, statistics, "
                "trace, logging and route",
                "unknown group '%.*s'", (int)n, at);
        if (keys[group].header)
            return sw_fail(diag, SW_E_USAGE, option, NULL, "group '%.*s' is restricted twice", (int)n, at);
        keys[group] = key;
    }
    return SW_OK;
}

static sw_status read_keys(const sw_args *args, sw_server_options *o, const sw_diag *diag) {
    sw_given http = sw_args_all(args, "http-restricted-api"), grpc = sw_args_all(args, "grpc-restricted-protocol");
    for (int i = 0; i < http.n; i++)
        SW_TRY(read_key(args, "--http-restricted-api", "", http.values[i], o->http_keys, diag));
    for (int i = 0; i < grpc.n; i++)
        SW_TRY(
            read_key(args, "--grpc-restricted-protocol", "triton-grpc-protocol-", grpc.values[i], o->grpc_keys, diag));
    return SW_OK;
}

static sw_server_options server_options(const sw_args *args, const sw_diag *diag) {
    sw_server_options o = {.host = sw_args_text(args, "host"),
                           .http_port = (int)sw_args_int(args, "http-port"),
                           .grpc_port = (int)sw_args_int(args, "grpc-port"),
                           .metrics_port = (int)sw_args_int(args, "metrics-port"),
                           .unix_path = sw_args_text(args, "unix"),
                           .threads = (int)sw_args_int(args, "io-threads"),
                           .max_body = (size_t)sw_args_int(args, "http-max-input-size"),
                           .idle_seconds = (int)sw_args_int(args, "idle-timeout-secs"),
                           .request_seconds = (int)sw_args_int(args, "request-timeout-secs"),
                           .stop_seconds = (int)sw_args_int(args, "exit-timeout-secs"),
                           .diag = diag};
    static const char *const ports[] = {"http-port", "grpc-port", "metrics-port"};
    int *const numbers[] = {&o.http_port, &o.grpc_port, &o.metrics_port};
    for (int i = 0; i < 3 && sw_service_sockets(); i++) /* who is given sockets opens no others unless told to */
        if (!sw_args_given(args, ports[i])) *numbers[i] = -1;
    if (sw_args_given(args, "port")) o.http_port = o.grpc_port = o.metrics_port = (int)sw_args_int(args, "port");
    return o;
}

/* The options of one protocol's TLS. `names`: use-ssl, use-ssl-mutual, server-cert, server-key, root-cert. */
static sw_status read_tls(const sw_args *args, const char *const *names, sw_server_tls *tls, const sw_diag *diag) {
    bool use, mutual;
    SW_TRY(sw_serve_bool(args, names[0], &use, diag));
    SW_TRY(sw_serve_bool(args, names[1], &mutual, diag));
    sw_server_tls files = {sw_args_text(args, names[2]), sw_args_text(args, names[3]), sw_args_text(args, names[4])};
    if (!use && !mutual) {
        if (!files.cert && !files.key && !files.root) return SW_OK;
        return sw_fail(diag, SW_E_USAGE, "serve", NULL, "files for TLS are given, but not --%s true", names[0]);
    }
    if (!files.cert || !files.key)
        return sw_fail(diag, SW_E_USAGE, "serve", NULL, "--%s needs --%s and --%s", names[mutual && !use], names[2],
                       names[3]);
    if (mutual && !files.root) return sw_fail(diag, SW_E_USAGE, "serve", NULL, "--%s needs --%s", names[1], names[4]);
    if (!mutual) files.root = NULL;
    *tls = files;
    return SW_OK;
}

static sw_status switches(const sw_args *args, sw_server_options *o, const sw_diag *diag) {
    static const char *const http[] = {"http-use-ssl", "http-use-ssl-mutual", "http-server-cert", "http-server-key",
                                       "http-root-cert"};
    static const char *const grpc[] = {"grpc-use-ssl", "grpc-use-ssl-mutual", "grpc-server-cert", "grpc-server-key",
                                       "grpc-root-cert"};
    SW_TRY(read_tls(args, http, &o->http_tls, diag));
    SW_TRY(read_tls(args, grpc, &o->grpc_tls, diag));
    return sw_serve_bool(args, "allow-client-shm", &o->shared_memory, diag);
}

static sw_status core_options(const sw_args *args, sw_serve_options *o, const sw_diag *diag) {
    static const char *const modes[] = {"none", "poll", "explicit"};
    const char *mode = sw_args_text(args, "model-control-mode");
    int control = 0;
    while (control < 3 && strcmp(modes[control], mode)) control++;
    if (control == 3)
        return sw_fail(diag, SW_E_USAGE, "serve", NULL,
                       "--model-control-mode is '%.32s', expected none, poll or explicit", mode);
    sw_given load_models = sw_args_all(args, "load-model");
    if (load_models.n && control != SW_SERVE_CONTROL_EXPLICIT)
        return sw_fail(diag, SW_E_USAGE, "serve", NULL, "--load-model needs --model-control-mode explicit");
    bool strict;
    SW_TRY(sw_serve_bool(args, "strict-readiness", &strict, diag));
    o->control = (sw_serve_control)control;
    o->load_models = load_models.values;
    o->n_load_models = load_models.n;
    o->poll_seconds = (int)sw_args_int(args, "repository-poll-secs");
    o->config_name = sw_args_text(args, "model-config-name");
    o->no_auto_complete = sw_args_flag(args, "disable-auto-complete-config");
    o->lenient_readiness = !strict;
    o->load_threads = (int)sw_args_int(args, "model-load-thread-count");
    o->memory_budget = (int64_t)(sw_args_number(args, "memory-budget") * 1048576);
    o->threads = (int)sw_args_int(args, "threads");
    o->diag = diag;
    return SW_OK;
}

static sw_status run(const sw_args *args, sw_console *console) {
    sink s = {.lock = PTHREAD_MUTEX_INITIALIZER, .console = &console->diag};
    sw_diag diag = {emit, &s};
    const char *paths[MAX_MODELS];
    int n = 0, signals = -1;
    sw_given folders = sw_args_all(args, "model-repository");
    for (int i = 0; i < folders.n && n < MAX_MODELS; i++) paths[n++] = folders.values[i];
    for (int i = 0; i < args->n_operands && n < MAX_MODELS; i++) paths[n++] = args->operands[i];
    if (!n)
        return sw_fail(&diag, SW_E_USAGE, "serve", "name a model file, or a folder of them by --model-repository",
                       "nothing to serve");
    sw_server_options server = server_options(args, &diag);
    SW_TRY(read_keys(args, &server, &diag));
    SW_TRY(switches(args, &server, &diag));
    sw_serve *core = NULL;
    sw_serve_options options = {.repositories = paths, .n_repositories = n};
    bool exit_on_error;
    sw_plan_cache cache;
    SW_TRY(core_options(args, &options, &diag));
    SW_TRY(sw_serve_metrics_config(args, &diag, &options.metrics));
    SW_TRY(sw_plan_cache_open(args, &diag, &cache));
    sw_map_copies(cache.folder);
    options.loader = sw_plan_cache_loader(&cache);
    SW_TRY(sw_serve_bool(args, "exit-on-error", &exit_on_error, &diag));
    SW_TRY(sw_signals_open(&diag, &signals));
    sw_status status = sw_serve_record(args, &diag, &server.recorder);
    s.recorder = server.recorder;
    options.access = sw_recorder_request;
    options.access_ctx = server.recorder;
    if (status == SW_OK) status = sw_serve_create(&options, &core);
    const char *routes = sw_args_text(args, "routes");
    if (status == SW_OK && routes) status = read_routes(core, routes, &diag);
    if (status == SW_OK) status = serve(core, routes, &server, signals, exit_on_error);
    sw_serve_destroy(core);
    sw_recorder_destroy(server.recorder);
    s.recorder = NULL;
    sw_net_close(signals);
    return status;
}

static const sw_option options[] = {
    {.name = "model-repository",
     .kind = SW_TEXT,
     .argument = "DIR",
     .many = true,
     .help = "a folder of models, one folder each: MODEL/VERSION/model.onnx, with or without MODEL/config.pbtxt"},
    {.name = "model-control-mode",
     .kind = SW_TEXT,
     .argument = "MODE",
     .standard = "none",
     .help = "none: all models at the start; poll: look for changes; explicit: what --load-model and clients ask for"},
    {.name = "load-model",
     .kind = SW_TEXT,
     .argument = "NAME",
     .many = true,
     .help = "under explicit control: load this model at the start; * alone: all"},
    {.name = "repository-poll-secs",
     .kind = SW_INT,
     .argument = "N",
     .standard = "15",
     .least = 1,
     .most = 86400,
     .help = "under poll: how often to look"},
    {.name = "routes",
     .kind = SW_TEXT,
     .argument = "FILE",
     .help =
         "rules that choose models for requests to @route, and traffic to copy to other models, in JSON; read again on "
         "SIGHUP"},
    {.name = "model-config-name",
     .kind = SW_TEXT,
     .argument = "NAME",
     .help = "prefer MODEL/configs/NAME.pbtxt to MODEL/config.pbtxt"},
    {.name = "disable-auto-complete-config", .help = "configurations must say everything themselves"},
    {.name = "strict-readiness",
     .kind = SW_TEXT,
     .argument = "BOOL",
     .standard = "true",
     .help = "false: ready although models failed"},
    {.name = "exit-on-error",
     .kind = SW_TEXT,
     .argument = "BOOL",
     .standard = "true",
     .help = "false: go on when a model cannot be loaded at the start"},
    {.name = "model-load-thread-count",
     .kind = SW_INT,
     .argument = "N",
     .standard = "4",
     .least = 1,
     .most = 64,
     .help = "so many models are loaded at once"},
    {.name = "strict", .help = "refuse plans that were tuned on another model of CPU, of which else a warning tells"},
    SW_TRUST_CODE_OPTION,
    {.name = "memory-budget",
     .kind = SW_NUMBER,
     .argument = "MIB",
     .most = 1e9,
     .help = "memory for models; the least recently used makes room and comes back on demand (default: no limit)"},
    {.name = "plan-cache",
     .kind = SW_TEXT,
     .argument = "DIR",
     .help =
         "where tuned plans of model files are kept (default: slipway/plans/ in $XDG_CACHE_HOME or ~/.cache), 'none' "
         "for nowhere: models run on default plans then"},
    {.name = "tune-seconds",
     .kind = SW_NUMBER,
     .argument = "S",
     .standard = "30",
     .most = 86400,
     .help =
         "time kernels for so long at most when a tuned plan is made in the background; 0: make none, use those that "
         "are there"},
    {.name = "threads",
     .kind = SW_INT,
     .argument = "N",
     .least = 0,
     .most = 1024,
     .help = "threads that compute, all models together (default: all CPUs that may be used)"},
    {.name = "host", .kind = SW_TEXT, .argument = "ADDRESS", .help = "listen on this address only (default: all)"},
    {.name = "http-port",
     .kind = SW_INT,
     .argument = "PORT",
     .standard = "8000",
     .least = -1,
     .most = 65535,
     .help = "HTTP; 0: a free port, -1: none"},
    {.name = "grpc-port",
     .kind = SW_INT,
     .argument = "PORT",
     .standard = "8001",
     .least = -1,
     .most = 65535,
     .help = "gRPC; likewise"},
    {.name = "metrics-port",
     .kind = SW_INT,
     .argument = "PORT",
     .standard = "8002",
     .least = -1,
     .most = 65535,
     .help = "metrics for Prometheus; likewise"},
    {.name = "port",
     .kind = SW_INT,
     .argument = "PORT",
     .least = 1,
     .most = 65535,
     .help = "one port for all three, in place of those"},
    {.name = "unix", .kind = SW_TEXT, .argument = "PATH", .help = "listen on a Unix socket, too; it speaks everything"},
    {.name = "io-threads",
     .kind = SW_INT,
     .argument = "N",
     .least = 0,
     .most = 256,
     .help = "threads that wait for connections (default: one for every four CPUs)"},
    {.name = "http-max-input-size",
     .kind = SW_INT,
     .argument = "BYTES",
     .standard = "67108864",
     .least = 1,
     .most = 1LL << 40,
     .help = "largest request, compressed or not"},
    {.name = "http-restricted-api",
     .kind = SW_TEXT,
     .argument = "GROUP,...:HEADER=VALUE",
     .many = true,
     .help = "answer requests of these groups over HTTP only with this header; groups are health, metadata, inference, "
             "shared-memory, model-config, model-repository, statistics, trace, logging, route"},
    {.name = "grpc-restricted-protocol",
     .kind = SW_TEXT,
     .argument = "GROUP,...:KEY=VALUE",
     .many = true,
     .help = "likewise over gRPC, with the header triton-grpc-protocol-KEY"},
#define TLS_OPTIONS(protocol, port)                                                                                    \
    {.name = protocol "-use-ssl",                                                                                      \
     .kind = SW_TEXT,                                                                                                  \
     .argument = "BOOL",                                                                                               \
     .standard = "false",                                                                                              \
     .help = "true: TLS on the port of " port ", by OpenSSL"},                                                         \
        {.name = protocol "-use-ssl-mutual",                                                                           \
         .kind = SW_TEXT,                                                                                              \
         .argument = "BOOL",                                                                                           \
         .standard = "false",                                                                                          \
         .help = "true: likewise, and clients must have a certificate, too"},                                          \
        {.name = protocol "-server-cert",                                                                              \
         .kind = SW_TEXT,                                                                                              \
         .argument = "FILE",                                                                                           \
         .help = "the server's certificate for it in PEM format, and those above it"},                                 \
        {.name = protocol "-server-key", .kind = SW_TEXT, .argument = "FILE", .help = "the private key for it"}, {     \
        .name = protocol "-root-cert", .kind = SW_TEXT, .argument = "FILE",                                            \
        .help = "certificates of the authorities for clients' certificates"                                            \
    }
    TLS_OPTIONS("http", "HTTP"),
    TLS_OPTIONS("grpc", "gRPC"),
#undef TLS_OPTIONS
    {.name = "allow-client-shm",
     .kind = SW_TEXT,
     .argument = "BOOL",
     .standard = "false",
     .help = "true: clients on this machine may name shared memory that tensors are read from and written to"},
    {.name = "log-verbose",
     .kind = SW_INT,
     .argument = "N",
     .standard = "0",
     .least = 0,
     .most = 1000,
     .help = "taken as Triton's; there are no messages of more than level 0"},
    {.name = "log-info",
     .kind = SW_TEXT,
     .argument = "BOOL",
     .standard = "true",
     .help = "false: no messages that all is well"},
    {.name = "log-warning", .kind = SW_TEXT, .argument = "BOOL", .standard = "true", .help = "false: no warnings"},
    {.name = "log-error", .kind = SW_TEXT, .argument = "BOOL", .standard = "true", .help = "false: no errors"},
    {.name = "log-format",
     .kind = SW_TEXT,
     .argument = "FORMAT",
     .standard = "default",
     .help = "ISO8601: messages begin with the time"},
    {.name = "access-log",
     .kind = SW_TEXT,
     .argument = "FILE",
     .help = "a line of JSON for each request to a model, added to this file; -: standard output"},
    {.name = "metrics-config",
     .kind = SW_TEXT,
     .argument = "KEY=VALUE",
     .many = true,
     .help = "as Triton's: summary_latencies=true, summary_quantiles=0.5:0.05,0.99:0.001, histogram_latencies=true, "
             "counter_latencies=false"},
    {.name = "trace-config",
     .kind = SW_TEXT,
     .argument = "KEY=VALUE",
     .many = true,
     .help = "traces as Triton's: triton,file=FILE, level=TIMESTAMPS, rate=N, count=N, log-frequency=N"},
    {.name = "idle-timeout-secs",
     .kind = SW_INT,
     .argument = "N",
     .standard = "300",
     .least = 1,
     .most = 86400,
     .help = "end connections that send no request for so long"},
    {.name = "request-timeout-secs",
     .kind = SW_INT,
     .argument = "N",
     .standard = "30",
     .least = 1,
     .most = 86400,
     .help = "end connections that take longer to send a request (and a second for each 16 KB of it)"},
    {.name = "exit-timeout-secs",
     .kind = SW_INT,
     .argument = "N",
     .standard = "30",
     .least = 1,
     .most = 86400,
     .help = "when told to stop, wait so long for requests under way"},
    {0},
};

const sw_verb sw_verb_serve = {
    .name = "serve",
    .operands = "[MODEL...]",
    .most_operands = MAX_MODELS,
    .summary = "Answer inference requests over HTTP and gRPC",
    .description =
        "Speaks the protocol of KServe v2 as Triton Inference Server does, so that its clients (tritonclient, perf_analyzer) "
        "work as they are. Each MODEL is a trained model, served under the name of its file as version 1; "
        "--model-repository takes folders laid out as for Triton.\n\n"
        "SIGTERM or Ctrl-C stops it: requests under way are answered first. "
        "SIGHUP makes it read its certificates again and look at its repositories.\n\n"
        "A model file is served at once, from a plan made by estimate. Meanwhile a tuned plan is made in the background, "
        "one at a time, at the lowest priority, and takes its place; the next start finds it. Plans (.slip) are served "
        "as they are.",
    .options = options,
    .examples =
        (const sw_example[]){
            {"slipway serve yolo11n.onnx", "One model, on ports 8000 (HTTP), 8001 (gRPC) and 8002 (metrics)"},
            {"slipway serve --model-repository models --port 9000", "A folder of models, everything on one port"},
            {"curl localhost:8000/v2/models/yolo11n", "What the model takes and gives"},
            {0},
        },
    .run = run,
};
