/* The routes of HTTP. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "serve/server/detect.h"

enum { MAX_SEGMENTS = 10, MAX_NAME = 1024 };

extern const char sw__serve_page[]; /* made of page.html by the build */

/* A path in pieces between slashes, percent signs decoded. */
typedef struct path {
    const char *segments[MAX_SEGMENTS];
    int n;
    char text[4 * MAX_NAME];
} path;

typedef struct request {
    sw__conn *conn;
    const sw_http_request *http;
    sw_serve *core;
    const char *model, *version; /* of /v2/models/MODEL/versions/VERSION; NULL: not given */
    const char *name;            /* the segment before the last: of /v2/repository/models/NAME/load */
    sw_buf *body;                /* of the answer */
    sw_serve_error error;
} request;

static void answer_json(request *r) {
    sw_http_answer answer = {.status = 200, .type = "application/json", .json_size = -1};
    if (r->error.code != SW_SERVE_OK)
        sw__http_error(r->conn, &r->error);
    else
        sw__http_answer(r->conn, &answer, r->body->data, r->body->size);
}

static void answer_bare(request *r, int status) {
    sw__http_answer(r->conn, &(sw_http_answer){.status = status, .json_size = -1}, "", 0);
}

static void answer_error(request *r, int status, const char *text) {
    sw_kserve_write_error(r->body, text);
    sw__http_answer(r->conn, &(sw_http_answer){.status = status, .type = "application/json", .json_size = -1},
                    r->body->data, r->body->size);
}

/* -- Handlers ------------------------------------------------------------------------------------------------------ */

static void health_live(request *r) {
    answer_bare(r, 200);
}

static void health_ready(request *r) {
    answer_bare(r, sw_serve_ready(r->core) ? 200 : 400);
}

static void server_metadata(request *r) {
    sw_kserve_write_server(r->body);
    answer_json(r);
}

static void model_ready(request *r) {
    int64_t version;
    bool ready = sw__parse_version(r->version, &version) && sw_serve_model_ready(r->core, r->model, version);
    if (ready)
        answer_bare(r, 200);
    else
        answer_error(r, 400, "Model version not ready");
}

/* Looks the model up; answers with the error and returns NULL when it is not there. */
static sw_serve_model *find(request *r) {
    int64_t version;
    sw_serve_model *model = NULL;
    if (!sw__parse_version(r->version, &version))
        sw_serve_fail(&r->error, SW_SERVE_INVALID_ARG, "version '%.40s' is no whole number", r->version);
    else if (sw_serve_find(r->core, r->model, version, NULL, &model, &r->error) == SW_SERVE_OK)
        return model;
    sw__http_error(r->conn, &r->error);
    return NULL;
}

static void model_metadata(request *r) {
    sw_serve_model *model = find(r);
    if (!model) return;
    const sw_serve_info *info = sw_serve_model_info(model);
    int64_t versions[SW__MAX_VERSIONS];
    int n = 1;
    versions[0] = info->version;
    if (!r->version) n = sw_serve_versions(r->core, r->model, versions, SW__MAX_VERSIONS);
    sw_kserve_write_model(info, versions, n < SW__MAX_VERSIONS ? n : SW__MAX_VERSIONS, r->body);
    answer_json(r);
    sw_serve_drop(model);
}

static void model_config(request *r) {
    sw_serve_model *model = find(r);
    if (!model) return;
    sw_serve_model_config_json(model, r->body);
    answer_json(r);
    sw_serve_drop(model);
}

static void statistics(request *r) {
    int64_t version = -1;
    int n = 0;
    const sw_serve_stats *stats;
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!arena)
        r->error = (sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"};
    else if (!sw__parse_version(r->version, &version))
        sw_serve_fail(&r->error, SW_SERVE_INVALID_ARG, "version '%.40s' is no whole number", r->version);
    else if (sw_serve_statistics(r->core, r->model, version, arena, &stats, &n, &r->error) == SW_SERVE_OK)
        sw_kserve_write_statistics(stats, n, r->body);
    answer_json(r);
    sw_arena_destroy(arena);
}

static void infer(request *r) {
    sw__http_infer(r->conn, r->model, r->version);
}

static void detect(request *r) {
    sw__http_detect(r->conn, r->model, r->version);
}

static void metrics(request *r) {
    sw_serve_metrics(r->core, r->body);
    sw__overhead_write(r->conn->loop->server, r->body);
    sw__http_answer(
        r->conn, &(sw_http_answer){.status = 200, .type = "text/plain; version=0.0.4; charset=utf-8", .json_size = -1},
        r->body->data, r->body->size);
}

/* The page for people, and what it asks for beside the API. */
static void page(request *r) {
    static const char policy[] =
        "Cache-Control: no-cache\r\nContent-Security-Policy: default-src 'self'; img-src blob:; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\r\n";
    sw__http_answer(
        r->conn, &(sw_http_answer){.status = 200, .type = "text/html; charset=utf-8", .json_size = -1, .more = policy},
        sw__serve_page, strlen(sw__serve_page));
}

/* -- Rules of routing ---------------------------------------------------------------------------------------------- */

static void get_routes(request *r) {
    sw_serve_routes(r->core, r->body);
    answer_json(r);
}

/* Whoever sends traffic elsewhere has the models' answers in hand: without a key only who is on this machine may. */
static void put_routes(request *r) {
    if (!r->conn->loop->server->options.http_keys[SW_GROUP_ROUTE].header && !sw_net_is_local(r->conn->fd)) {
        answer_error(r, 403,
                     "Routes are changed from the server's own machine; from elsewhere once it was started with "
                     "--http-restricted-api route:HEADER=VALUE, with that header");
        return;
    }
    if (sw_serve_set_routes(r->core, (const char *)r->http->body, r->http->body_size, "routes", &r->error) ==
        SW_SERVE_OK)
        sw_serve_routes(r->core, r->body);
    answer_json(r);
}

/* -- The repository ------------------------------------------------------------------------------------------------ */

static void repository_index(request *r) {
    int n = 0;
    bool ready = false;
    const sw_serve_index_row *rows;
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!arena)
        r->error = (sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"};
    else if (sw_kserve_read_index(r->http->body, r->http->body_size, &ready, &r->error) == SW_SERVE_OK &&
             sw_serve_index(r->core, ready, arena, &rows, &n, &r->error) == SW_SERVE_OK)
        sw_kserve_write_index(rows, n, r->body);
    answer_json(r);
    sw_arena_destroy(arena);
}

/* The answers to loading and unloading have no body. */
static void encode_nothing(sw__call *call) {}

static void finish_load(sw__call *call) {
    sw__conn *c = call->conn;
    if (c->closed)
        c->busy = false;
    else if (call->error.code != SW_SERVE_OK)
        sw__http_error(c, &call->error);
    else
        sw__http_answer(c, &(sw_http_answer){.status = 200, .json_size = -1}, "", 0);
    sw__call_end(call);
}

static void load_or_unload(request *r, bool unload) {
    sw_kserve_load load = {.arena = sw_arena_create(NULL, 0)};
    sw__call *call = load.arena ? sw__call_begin(r->conn) : NULL;
    if (call) {
        call->encode = encode_nothing;
        call->finish = finish_load;
        if (sw_kserve_read_load(r->http->body, r->http->body_size, &load, &call->error) == SW_SERVE_OK)
            sw__call_load(call, r->name, &load, unload);
        else
            finish_load(call);
    } else
        sw__http_error(r->conn, &(sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"});
    sw_kserve_load_free(&load);
}

static void model_load(request *r) {
    load_or_unload(r, false);
}

static void model_unload(request *r) {
    load_or_unload(r, true);
}

/* -- Shared memory: off by default, as Triton's; of the GPU there is none ------------------------------------------- */

static sw_regions *regions_of(const request *r) {
    return r->conn->loop->server->regions;
}

static void list_regions(request *r, const char *name) {
    int n = 0;
    const sw_region_row *rows = NULL;
    sw_serve_code code = SW_SERVE_OK;
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!arena)
        code = sw_kserve_no_memory(&r->error);
    else if (regions_of(r))
        code = sw_regions_list(regions_of(r), name, arena, &rows, &n, &r->error);
    else if (name)
        code =
            sw_serve_fail(&r->error, SW_SERVE_NOT_FOUND, "Unable to find system shared memory region: '%.200s'", name);
    if (code == SW_SERVE_OK) sw_kserve_write_regions(rows, n, r->body);
    answer_json(r);
    sw_arena_destroy(arena);
}

static void system_regions(request *r) {
    list_regions(r, NULL);
}

static void system_region(request *r) {
    list_regions(r, r->name);
}

static void register_region(request *r) {
    sw_region_row row;
    sw_serve_code code = SW_SERVE_OK;
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!regions_of(r))
        code = sw_serve_fail(&r->error, SW_SERVE_INVALID_ARG, "Client shared memory is disabled");
    else if (!arena)
        code = sw_kserve_no_memory(&r->error);
    else
        code = sw_kserve_read_region(r->http->body, r->http->body_size, arena, &row, &r->error);
    if (code == SW_SERVE_OK) code = sw_regions_add(regions_of(r), r->name, row.key, row.offset, row.bytes, &r->error);
    sw_arena_destroy(arena);
    if (code == SW_SERVE_OK)
        answer_bare(r, 200);
    else
        sw__http_error(r->conn, &r->error);
}

static void unregister_region(request *r) {
    if (regions_of(r)) sw_regions_remove(regions_of(r), r->name);
    answer_bare(r, 200);
}

static void unregister_regions(request *r) {
    if (regions_of(r)) sw_regions_remove(regions_of(r), NULL);
    answer_bare(r, 200);
}

static void no_regions(request *r) {
    sw_buf_append_text(r->body, "[]");
    answer_json(r);
}

static void no_such_region(request *r) {
    sw_serve_fail(&r->error, SW_SERVE_NOT_FOUND, "Unable to find cuda shared memory region: '%.200s'", r->name);
    answer_json(r);
}

static void no_cuda(request *r) {
    sw__no_cuda_regions(r->conn->loop->server, r->name, &r->error);
    answer_json(r);
}

/* There is nothing to unregister. */
static void done(request *r) {
    answer_bare(r, 200);
}

/* -- Logging and tracing ------------------------------------------------------------------------------------------- */

static sw_serve_code answer_log(request *r, sw_recorder *recorder, sw_arena *arena, bool post) {
    sw_settings s;
    sw_serve_code code = SW_SERVE_OK;
    if (post) code = sw_kserve_read_settings(r->http->body, r->http->body_size, arena, &s, &r->error);
    if (code == SW_SERVE_OK && post) code = sw_recorder_set_log(recorder, &s, &r->error);
    sw_recorder_list_log(recorder, &s);
    if (code == SW_SERVE_OK) sw_kserve_write_settings(&s, r->body);
    return code;
}

static sw_serve_code answer_trace(request *r, sw_recorder *recorder, sw_arena *arena, bool post) {
    sw_settings s;
    sw_serve_code code = SW_SERVE_OK;
    if (r->model && !sw_serve_model_ready(r->core, r->model, -1))
        return sw_serve_fail(&r->error, SW_SERVE_INVALID_ARG, "Request for unknown model : %.200s", r->model);
    if (post) code = sw_kserve_read_settings(r->http->body, r->http->body_size, arena, &s, &r->error);
    if (code == SW_SERVE_OK && post) code = sw_recorder_set_trace(recorder, r->model, &s, &r->error);
    if (code == SW_SERVE_OK) code = sw_recorder_list_trace(recorder, r->model, arena, &s, &r->error);
    if (code == SW_SERVE_OK) sw_kserve_write_settings(&s, r->body);
    return code;
}

static void settings(request *r, sw_serve_code (*make)(request *r, sw_recorder *recorder, sw_arena *arena, bool post)) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_serve_code code = arena
                             ? make(r, r->conn->loop->server->options.recorder, arena, !strcmp(r->http->method, "POST"))
                             : sw_kserve_no_memory(&r->error);
    if (code == SW_SERVE_OK)
        answer_json(r);
    else
        sw__http_error(r->conn, &r->error);
    sw_arena_destroy(arena);
}

static void log_settings(request *r) {
    settings(r, answer_log);
}

static void trace_settings(request *r) {
    settings(r, answer_trace);
}

static void generate(request *r) {
    answer_error(r, 501, "generate is not supported: models here take tensors (infer) or pictures (detect)");
}

/* -- The table ----------------------------------------------------------------------------------------------------- */

typedef struct route {
    const char *method, *pattern; /* segments; '*': any */
    sw_server_group group;
    void (*handle)(request *r);
} route;

/* Below /v2, without the part /models/MODEL[/versions/VERSION], which stands as MODEL. */
static const route routes[] = {
    {"GET", "", SW_GROUP_METADATA, server_metadata},
    {"GET", "health/live", SW_GROUP_HEALTH, health_live},
    {"GET", "health/ready", SW_GROUP_HEALTH, health_ready},
    {"GET", "models/stats", SW_GROUP_STATISTICS, statistics},
    {"GET", "MODEL", SW_GROUP_METADATA, model_metadata},
    {"GET", "MODEL/ready", SW_GROUP_HEALTH, model_ready},
    {"GET", "MODEL/config", SW_GROUP_CONFIG, model_config},
    {"GET", "MODEL/stats", SW_GROUP_STATISTICS, statistics},
    {"POST", "MODEL/infer", SW_GROUP_INFERENCE, infer},
    {"POST", "MODEL/detect", SW_GROUP_INFERENCE, detect},
    {"PUT", "MODEL/detect", SW_GROUP_INFERENCE, detect}, /* curl -T */
    {"POST", "MODEL/generate", SW_GROUP_INFERENCE, generate},
    {"POST", "MODEL/generate_stream", SW_GROUP_INFERENCE, generate},
    {"GET", "MODEL/trace/setting", SW_GROUP_TRACE, trace_settings},
    {"POST", "MODEL/trace/setting", SW_GROUP_TRACE, trace_settings},
    {"GET", "trace/setting", SW_GROUP_TRACE, trace_settings},
    {"POST", "trace/setting", SW_GROUP_TRACE, trace_settings},
    {"GET", "logging", SW_GROUP_LOGGING, log_settings},
    {"POST", "logging", SW_GROUP_LOGGING, log_settings},
    {"GET", "routes", SW_GROUP_ROUTE, get_routes},
    {"PUT", "routes", SW_GROUP_ROUTE, put_routes},
    {"POST", "repository/index", SW_GROUP_REPOSITORY, repository_index},
    {"POST", "repository/*/index", SW_GROUP_REPOSITORY, repository_index},
    {"POST", "repository/models/*/load", SW_GROUP_REPOSITORY, model_load},
    {"POST", "repository/*/models/*/load", SW_GROUP_REPOSITORY, model_load},
    {"POST", "repository/models/*/unload", SW_GROUP_REPOSITORY, model_unload},
    {"POST", "repository/*/models/*/unload", SW_GROUP_REPOSITORY, model_unload},
    {"GET", "systemsharedmemory/status", SW_GROUP_SHARED_MEMORY, system_regions},
    {"GET", "systemsharedmemory/region/*/status", SW_GROUP_SHARED_MEMORY, system_region},
    {"POST", "systemsharedmemory/region/*/register", SW_GROUP_SHARED_MEMORY, register_region},
    {"POST", "systemsharedmemory/region/*/unregister", SW_GROUP_SHARED_MEMORY, unregister_region},
    {"POST", "systemsharedmemory/unregister", SW_GROUP_SHARED_MEMORY, unregister_regions},
    {"GET", "cudasharedmemory/status", SW_GROUP_SHARED_MEMORY, no_regions},
    {"GET", "cudasharedmemory/region/*/status", SW_GROUP_SHARED_MEMORY, no_such_region},
    {"POST", "cudasharedmemory/region/*/register", SW_GROUP_SHARED_MEMORY, no_cuda},
    {"POST", "cudasharedmemory/region/*/unregister", SW_GROUP_SHARED_MEMORY, done},
    {"POST", "cudasharedmemory/unregister", SW_GROUP_SHARED_MEMORY, done},
};

static bool split_path(const char *text, path *p) {
    size_t used = 0;
    p->n = 0;
    while (*text) {
        text++; /* the slash */
        size_t n = strcspn(text, "/");
        if (!n && !text[n]) break; /* one at the end */
        if (p->n == MAX_SEGMENTS || !sw_http_unescape(text, n, p->text + used, sizeof p->text - used)) return false;
        p->segments[p->n++] = p->text + used;
        used += strlen(p->text + used) + 1;
        text += n;
    }
    return true;
}

/* Takes /models/MODEL[/versions/VERSION] out of the segments from `at` on; what follows is left. */
static int take_model(const path *p, int at, request *r) {
    if (p->n - at < 2 || strcmp(p->segments[at], "models") || (!strcmp(p->segments[at + 1], "stats") && p->n - at == 2))
        return at;
    r->model = p->segments[at + 1];
    at += 2;
    if (p->n - at >= 2 && !strcmp(p->segments[at], "versions")) {
        const char *version = p->segments[at + 1];
        if (*version && strspn(version, "0123456789") == strlen(version)) {
            r->version = version;
            at += 2;
        }
    }
    return at;
}

static bool matches(const char *pattern, const path *p, int at, bool model) {
    if (!strncmp(pattern, "MODEL", 5)) {
        if (!model) return false;
        pattern += 5 + (pattern[5] == '/');
    } else if (model)
        return false;
    for (; at < p->n; at++) {
        size_t n = strcspn(pattern, "/");
        bool any = n == 1 && *pattern == '*';
        if (!n || (!any && (strlen(p->segments[at]) != n || memcmp(p->segments[at], pattern, n) != 0))) return false;
        pattern += n + (pattern[n] == '/');
    }
    return !*pattern;
}

/* Whether the request may use the group; answers it otherwise. */
static bool is_allowed(request *r, sw_server_group group) {
    const sw_server_key *key = &r->conn->loop->server->options.http_keys[group];
    if (!key->header) return true;
    const char *value = sw_http_header_of(r->http, key->header);
    size_t n = strlen(key->value), different = !value || strlen(value) != n;
    for (size_t i = 0; i < n && !different; i++) different |= (size_t)(value[i] ^ key->value[i]) << 8;
    if (!different) return true;
    sw_buf_clear(r->body);
    char text[300];
    snprintf(text, sizeof text, "This API is restricted, expecting header '%s'", key->header);
    answer_error(r, 403, text);
    return false;
}

/* Says which methods there are, as RFC 9110, 15.5.6 asks. */
static void answer_wrong_method(request *r, const path *p, int at) {
    char allow[64] = "Allow: ";
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!matches(routes[i].pattern, p, at, r->model != NULL)) continue;
        size_t used = strlen(allow);
        snprintf(allow + used, sizeof allow - used, "%s%s%s", allow[used - 1] == ' ' ? "" : ", ", routes[i].method,
                 strcmp(routes[i].method, "GET") != 0 ? "" : ", HEAD");
    }
    size_t used = strlen(allow);
    snprintf(allow + used, sizeof allow - used, "\r\n");
    sw_kserve_write_error(r->body, "Method Not Allowed");
    sw_http_answer answer = {.status = 405, .type = "application/json", .json_size = -1, .more = allow};
    sw__http_answer(r->conn, &answer, r->body->data, r->body->size);
}

static void dispatch_v2(request *r, const path *p) {
    int at = take_model(p, 1, r);
    bool wrong_method = false;
    r->name = p->n >= 2 ? p->segments[p->n - 2] : "";
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!matches(routes[i].pattern, p, at, r->model != NULL)) continue;
        bool head = !strcmp(r->http->method, "HEAD") && !strcmp(routes[i].method, "GET");
        if (strcmp(routes[i].method, r->http->method) != 0 && !head) {
            wrong_method = true;
            continue;
        }
        if (is_allowed(r, routes[i].group)) routes[i].handle(r);
        return;
    }
    if (wrong_method)
        answer_wrong_method(r, p, at);
    else
        answer_error(r, 404, "Not Found");
}

static bool is_page(const request *r, const path *p) {
    bool metrics_too = p->n == 2 && !strcmp(p->segments[0], "page") && !strcmp(p->segments[1], "metrics");
    return (!p->n || metrics_too) && (!strcmp(r->http->method, "GET") || !strcmp(r->http->method, "HEAD"));
}

static void dispatch_page(request *r, const path *p) {
    if (!p->n)
        page(r);
    else if (is_allowed(r, SW_GROUP_STATISTICS))
        metrics(r);
}

void sw__http_dispatch(sw__conn *c) {
    path p;
    request r = {.conn = c, .http = &c->http->request, .core = c->loop->server->core, .body = &c->loop->body};
    sw_buf_clear(r.body);
    bool good = split_path(r.http->path, &p);
    if (good && p.n >= 1 && !strcmp(p.segments[0], "v2") && c->speaks & SW_SERVER_HTTP)
        dispatch_v2(&r, &p);
    else if (good && c->speaks & SW_SERVER_HTTP && is_page(&r, &p))
        dispatch_page(&r, &p);
    else if (good && p.n == 1 && !strcmp(p.segments[0], "metrics") && c->speaks & SW_SERVER_METRICS)
        metrics(&r);
    else
        answer_error(&r, 404, "Not Found");
}
