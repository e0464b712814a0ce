#include "serve/server/recorder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/json.h"
#include "base/net.h"
#include "base/os.h"
#include "serve/server/trace.h"

enum { STDOUT = 1 };

struct sw_recorder {
    sw_recorder_options options;
    atomic_bool info, warning, error, iso8601;
    _Atomic int64_t verbose;
    pthread_mutex_t lock; /* of the access log */
    int access;           /* its descriptor; -1: none, or it failed */
    sw_buf line;
    sw__trace *trace;
};

static sw_status open_access(sw_recorder *r, const char *path) {
    r->access = !path ? -1 : !strcmp(path, "-") ? STDOUT : sw_file_append(path);
    if (!path || r->access >= 0) return SW_OK;
    return sw_fail(r->options.diag, SW_E_IO, path, "name a file in a folder that is there and may be written to",
                   "the access log cannot be opened");
}

sw_status sw_recorder_create(const sw_recorder_options *options, sw_recorder **result) {
    sw_recorder *r = sw_calloc(NULL, 1, sizeof *r);
    if (!r) return SW_E_NOMEM;
    r->options = *options;
    atomic_store(&r->info, options->log_info);
    atomic_store(&r->warning, options->log_warning);
    atomic_store(&r->error, options->log_error);
    atomic_store(&r->iso8601, options->iso8601);
    atomic_store(&r->verbose, options->verbose);
    pthread_mutex_init(&r->lock, NULL);
    r->line = sw_buf_make(NULL, 0);
    r->trace = sw__trace_create(&r->options);
    sw_status status = r->trace ? open_access(r, options->access_log) : SW_E_NOMEM;
    if (status == SW_OK)
        *result = r;
    else
        sw_recorder_destroy(r);
    return status;
}

void sw_recorder_destroy(sw_recorder *r) {
    if (!r) return;
    sw__trace_destroy(r->trace);
    if (r->access > STDOUT) sw_net_close(r->access);
    sw_buf_free(&r->line);
    pthread_mutex_destroy(&r->lock);
    sw_free(NULL, r);
}

void sw_recorder_reopen(sw_recorder *r) {
    const char *path = r->options.access_log;
    if (!path || !strcmp(path, "-")) return;
    int fresh = sw_file_append(path);
    if (fresh < 0) {
        sw_warn(r->options.diag, path, "cannot be opened again; the access log goes on where it was");
        return;
    }
    pthread_mutex_lock(&r->lock);
    int old = r->access;
    r->access = fresh;
    pthread_mutex_unlock(&r->lock);
    sw_net_close(old);
}

/* -- Requests ------------------------------------------------------------------------------------------------------ */

static const char *code_text(sw_serve_code code) {
    static const char *const texts[] = {
        [SW_SERVE_OK] = "OK",
        [SW_SERVE_UNKNOWN] = "UNKNOWN",
        [SW_SERVE_INTERNAL] = "INTERNAL",
        [SW_SERVE_NOT_FOUND] = "NOT_FOUND",
        [SW_SERVE_INVALID_ARG] = "INVALID_ARGUMENT",
        [SW_SERVE_UNAVAILABLE] = "UNAVAILABLE",
        [SW_SERVE_UNSUPPORTED] = "UNIMPLEMENTED",
        [SW_SERVE_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [SW_SERVE_CANCELLED] = "CANCELLED",
    };
    return texts[code];
}

static void put_text(sw_json_writer *w, const char *key, const char *text) {
    sw_json_key(w, key);
    sw_json_string(w, text);
}

static void put_us(sw_json_writer *w, const char *key, int64_t from_ns, int64_t to_ns) {
    sw_json_key(w, key);
    sw_json_int(w, from_ns && to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0);
}

static void put_line(sw_buf *line, const sw_serve_request *request) {
    const sw_serve_info *info = sw_serve_model_info(request->model);
    const sw_serve_times *t = &request->times;
    char time[SW_WALL_TEXT];
    sw_wall_text(sw_wall_ms(), time);
    sw_json_writer w = sw_json_writer_make(line, 0);
    sw_json_object(&w);
    put_text(&w, "time", time);
    put_text(&w, "model", info->name);
    sw_json_key(&w, "version");
    sw_json_int(&w, info->version);
    if (request->id && *request->id) put_text(&w, "id", request->id);
    put_text(&w, "code", code_text(request->error.code));
    if (request->error.code != SW_SERVE_OK) put_text(&w, "error", request->error.text);
    put_us(&w, "queue_us", t->queued, t->started ? t->started : t->done);
    put_us(&w, "compute_us", t->computing, t->computed);
    put_us(&w, "total_us", t->queued, t->done);
    sw_json_object_end(&w);
    sw_buf_append_byte(line, '\n');
}

static void write_line(sw_recorder *r, const sw_serve_request *request) {
    pthread_mutex_lock(&r->lock);
    sw_buf_clear(&r->line);
    put_line(&r->line, request);
    bool good = r->access < 0 ||
                sw_fd_write(r->access, r->options.access_log, r->line.data, r->line.size, r->options.diag) == SW_OK;
    if (!good) r->access = -1; /* it was told; requests go on */
    pthread_mutex_unlock(&r->lock);
}

void sw_recorder_request(void *recorder, const sw_serve_request *request) {
    sw_recorder *r = recorder;
    if (r->options.access_log) write_line(r, request);
    sw__trace_request(r->trace, request);
}

/* -- The log ------------------------------------------------------------------------------------------------------- */

bool sw_recorder_shows(const sw_recorder *r, sw_severity severity) {
    return atomic_load(severity == SW_INFO ? &r->info : severity == SW_WARNING ? &r->warning : &r->error);
}

bool sw_recorder_dates(const sw_recorder *r) {
    return atomic_load(&r->iso8601);
}

static void add_flag(sw_settings *s, const char *name, bool value) {
    s->all[s->n++] = (sw_setting){.name = name, .kind = SW_SETTING_BOOL, .number = value};
}

static void add_text(sw_settings *s, const char *name, const char *value) {
    s->all[s->n++] = (sw_setting){.name = name, .kind = SW_SETTING_TEXT, .n_values = 1, .values = {value}};
}

void sw_recorder_list_log(const sw_recorder *r, sw_settings *s) {
    s->n = 0;
    add_text(s, "log_file", "");
    add_flag(s, "log_info", atomic_load(&r->info));
    add_flag(s, "log_warning", atomic_load(&r->warning));
    add_flag(s, "log_error", atomic_load(&r->error));
    s->all[s->n++] =
        (sw_setting){.name = "log_verbose_level", .kind = SW_SETTING_NUMBER, .number = atomic_load(&r->verbose)};
    add_text(s, "log_format", atomic_load(&r->iso8601) ? "ISO8601" : "default");
}

static atomic_bool *flag_named(sw_recorder *r, const char *name) {
    if (!strcmp(name, "log_info")) return &r->info;
    if (!strcmp(name, "log_warning")) return &r->warning;
    return !strcmp(name, "log_error") ? &r->error : NULL;
}

static sw_serve_code check_setting(sw_recorder *r, const sw_setting *s, sw_serve_error *error) {
    if (!strcmp(s->name, "log_file"))
        return sw_serve_fail(error, SW_SERVE_UNSUPPORTED,
                             "log file location can not be updated through network protocol");
    if (flag_named(r, s->name))
        return s->kind == SW_SETTING_BOOL
                   ? SW_SERVE_OK
                   : sw_serve_fail(error, SW_SERVE_INVALID_ARG, "'%s' must be true or false", s->name);
    if (!strcmp(s->name, "log_verbose_level"))
        return s->kind == SW_SETTING_NUMBER && s->number >= 0
                   ? SW_SERVE_OK
                   : sw_serve_fail(error, SW_SERVE_INVALID_ARG, "'%s' must be a whole number of at least 0", s->name);
    if (strcmp(s->name, "log_format") != 0)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "unknown log setting '%.60s'", s->name);
    bool known = s->kind == SW_SETTING_TEXT && (!strcmp(s->values[0], "default") || !strcmp(s->values[0], "ISO8601"));
    return known ? SW_SERVE_OK : sw_serve_fail(error, SW_SERVE_INVALID_ARG, "'log_format' must be default or ISO8601");
}

sw_serve_code sw_recorder_set_log(sw_recorder *r, const sw_settings *list, sw_serve_error *error) {
    for (int i = 0; i < list->n; i++) {
        sw_serve_code code = check_setting(r, &list->all[i], error);
        if (code != SW_SERVE_OK) return code;
    }
    for (int i = 0; i < list->n; i++) {
        const sw_setting *s = &list->all[i];
        if (s->kind == SW_SETTING_BOOL) atomic_store(flag_named(r, s->name), s->number != 0);
        if (s->kind == SW_SETTING_NUMBER) atomic_store(&r->verbose, s->number);
        if (s->kind == SW_SETTING_TEXT) atomic_store(&r->iso8601, strcmp(s->values[0], "ISO8601") == 0);
    }
    return SW_SERVE_OK;
}

/* -- Tracing ------------------------------------------------------------------------------------------------------- */

sw_serve_code sw_recorder_list_trace(sw_recorder *r, const char *model, sw_arena *arena, sw_settings *settings,
                                     sw_serve_error *error) {
    return sw__trace_list(r->trace, model, arena, settings, error);
}

sw_serve_code sw_recorder_set_trace(sw_recorder *r, const char *model, const sw_settings *settings,
                                    sw_serve_error *error) {
    return sw__trace_set(r->trace, model, settings, error);
}
