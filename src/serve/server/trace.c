#include "serve/server/trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "base/str.h"

enum { MAX_MODELS = 1024, MAX_BYTES = 64 << 20 };

/* What can be set; a bit of `set` tells that it is. */
enum { LEVEL, RATE, COUNT, FREQUENCY, N_FIELDS };
static const char *const names[N_FIELDS] = {"trace_level", "trace_rate", "trace_count", "log_frequency"};

typedef struct setting {
    int64_t values[N_FIELDS]; /* level: 0 is off, 1 timestamps */
    unsigned set;
} setting;

typedef struct model_setting {
    struct model_setting *next;
    setting setting;
    int64_t seen;
    char name[];
} model_setting;

struct sw__trace {
    const sw_recorder_options *options;
    pthread_mutex_t lock;
    atomic_bool active; /* somebody is traced; read without the lock */
    setting initial, all;
    int64_t seen;
    model_setting *models;
    int n_models;
    int64_t n_traces, next_id, next_file;
    sw_buf records; /* of traces that are not yet written, with commas between them */
    bool full;
};

sw__trace *sw__trace_create(const sw_recorder_options *o) {
    sw__trace *t = sw_calloc(NULL, 1, sizeof *t);
    if (!t) return NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->options = o;
    t->records = sw_buf_make(NULL, MAX_BYTES);
    t->initial = (setting){{o->trace, o->trace_rate, o->trace_count, o->trace_frequency}, (1u << N_FIELDS) - 1};
    t->all = t->initial;
    atomic_store(&t->active, o->trace);
    return t;
}

/* -- Files --------------------------------------------------------------------------------------------------------- */

static void write_file(sw__trace *t, bool numbered) {
    char path[1200];
    if (!t->n_traces) return;
    if (numbered)
        snprintf(path, sizeof path, "%s.%lld", t->options->trace_file, (long long)t->next_file++);
    else
        snprintf(path, sizeof path, "%s", t->options->trace_file);
    sw_buf whole = sw_buf_make(NULL, 0);
    sw_buf_append_text(&whole, "[");
    sw_buf_append(&whole, t->records.data, t->records.size);
    sw_buf_append_text(&whole, "]\n");
    sw_status status =
        whole.status == SW_OK ? sw_file_write(path, whole.data, whole.size, t->options->diag) : whole.status;
    if (status == SW_E_NOMEM) sw_warn(t->options->diag, path, "no memory to write traces");
    sw_buf_free(&whole);
    sw_buf_clear(&t->records);
    t->n_traces = 0;
}

void sw__trace_destroy(sw__trace *t) {
    if (!t) return;
    write_file(t, t->all.values[FREQUENCY] > 0);
    for (model_setting *m = t->models, *next; m; m = next) {
        next = m->next;
        sw_free(NULL, m);
    }
    sw_buf_free(&t->records);
    pthread_mutex_destroy(&t->lock);
    sw_free(NULL, t);
}

/* -- Records ------------------------------------------------------------------------------------------------------- */

static void put_times(sw_json_writer *w, const sw_serve_times *times) {
    const struct {
        const char *name;
        int64_t ns;
    } stamps[] = {{"REQUEST_START", times->queued},
                  {"QUEUE_START", times->queued},
                  {"COMPUTE_START", times->started},
                  {"COMPUTE_INPUT_END", times->computing},
                  {"COMPUTE_OUTPUT_START", times->computed},
                  {"COMPUTE_END", times->computed ? times->done : 0},
                  {"REQUEST_END", times->done}};
    sw_json_key(w, "timestamps");
    sw_json_array(w);
    for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++) {
        if (!stamps[i].ns) continue; /* it did not come to that */
        sw_json_object(w);
        sw_json_key(w, "name");
        sw_json_string(w, stamps[i].name);
        sw_json_key(w, "ns");
        sw_json_int(w, stamps[i].ns);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

/* Two objects, as Triton writes them: who it is, and when what happened. */
static void put_record(sw__trace *t, const sw_serve_request *r) {
    const sw_serve_info *info = sw_serve_model_info(r->model);
    size_t before = t->records.size;
    int64_t id = ++t->next_id;
    if (t->n_traces) sw_buf_append_byte(&t->records, ',');
    for (int part = 0; part < 2; part++) {
        sw_json_writer w = sw_json_writer_make(&t->records, 0);
        if (part) sw_buf_append_byte(&t->records, ',');
        sw_json_object(&w);
        sw_json_key(&w, "id");
        sw_json_int(&w, id);
        if (part) {
            put_times(&w, &r->times);
        } else {
            sw_json_key(&w, "model_name");
            sw_json_string(&w, info->name);
            sw_json_key(&w, "model_version");
            sw_json_int(&w, info->version);
            sw_json_key(&w, "request_id");
            sw_json_string(&w, r->id ? r->id : "");
        }
        sw_json_object_end(&w);
    }
    if (t->records.status == SW_OK) {
        t->n_traces++;
        return;
    }
    t->records.size = before;
    t->records.status = SW_OK;
    if (!t->full)
        sw_warn(t->options->diag, t->options->trace_file, "traces fill %d MiB; more are dropped until they are written",
                MAX_BYTES >> 20);
    t->full = true;
}

static model_setting *find(const sw__trace *t, const char *name) {
    for (model_setting *m = t->models; m; m = m->next)
        if (!strcmp(m->name, name)) return m;
    return NULL;
}

static int64_t value_of(const sw__trace *t, const model_setting *m, int field) {
    return m && m->setting.set & 1u << field ? m->setting.values[field] : t->all.values[field];
}

static void trace_one(sw__trace *t, const sw_serve_request *r) {
    model_setting *m = find(t, sw_serve_model_info(r->model)->name);
    int64_t *seen = m && m->setting.set & 1u << RATE ? &m->seen : &t->seen;
    if (!value_of(t, m, LEVEL) || ++*seen % value_of(t, m, RATE)) return;
    int64_t *count = m && m->setting.set & 1u << COUNT ? &m->setting.values[COUNT] : &t->all.values[COUNT];
    if (!*count) return;
    if (*count > 0) --*count;
    put_record(t, r);
    int64_t frequency = value_of(t, m, FREQUENCY);
    if (frequency && t->n_traces >= frequency) {
        write_file(t, true);
        t->full = false;
    }
}

void sw__trace_request(sw__trace *t, const sw_serve_request *request) {
    if (!atomic_load_explicit(&t->active, memory_order_relaxed)) return;
    pthread_mutex_lock(&t->lock);
    trace_one(t, request);
    pthread_mutex_unlock(&t->lock);
}

/* -- Settings ------------------------------------------------------------------------------------------------------ */

static bool add_text(sw_settings *list, sw_arena *arena, const char *name, const char *text) {
    sw_setting *s = &list->all[list->n++];
    *s = (sw_setting){.name = name, .kind = SW_SETTING_TEXT, .n_values = 1, .values = {sw_arena_strdup(arena, text)}};
    return s->values[0] != NULL;
}

sw_serve_code sw__trace_list(sw__trace *t, const char *model, sw_arena *arena, sw_settings *list,
                             sw_serve_error *error) {
    char text[24];
    bool good = true;
    list->n = 0;
    pthread_mutex_lock(&t->lock);
    const model_setting *m = model ? find(t, model) : NULL;
    for (int field = 0; field < N_FIELDS && good; field++) {
        int64_t value = value_of(t, m, field);
        if (field == LEVEL)
            snprintf(text, sizeof text, "%s", value ? "TIMESTAMPS" : "OFF");
        else
            snprintf(text, sizeof text, "%lld", (long long)value);
        good = add_text(list, arena, names[field], text);
        if (field == LEVEL) list->all[list->n - 1].kind = SW_SETTING_LIST;
    }
    pthread_mutex_unlock(&t->lock);
    good = good && add_text(list, arena, "trace_file", t->options->trace_file ? t->options->trace_file : "");
    good = good && add_text(list, arena, "trace_mode", "triton");
    return good ? SW_SERVE_OK : sw_kserve_no_memory(error);
}

static sw_serve_code read_level(const sw__trace *t, const sw_setting *s, int64_t *value, sw_serve_error *error) {
    *value = 0;
    for (int i = 0; i < s->n_values; i++) {
        if (!strcmp(s->values[i], "OFF") && s->n_values == 1) return SW_SERVE_OK;
        if (!strcmp(s->values[i], "OFF"))
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "Expect only one trace level 'OFF' is specified");
        if (!strcmp(s->values[i], "TENSORS"))
            return sw_serve_fail(error, SW_SERVE_UNSUPPORTED, "trace level TENSORS is not supported, TIMESTAMPS is");
        if (strcmp(s->values[i], "TIMESTAMPS") != 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "unknown trace level '%.40s', expected OFF or TIMESTAMPS",
                                 s->values[i]);
        *value = 1;
    }
    if (*value && !t->options->trace_file)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "there is no trace file: start the server with --trace-config triton,file=FILE");
    return SW_SERVE_OK;
}

/* Numbers come as texts, or as numbers. */
static sw_serve_code read_number(const sw_setting *s, int field, int64_t *value, sw_serve_error *error) {
    static const int64_t least[N_FIELDS] = {[RATE] = 1, [COUNT] = -1, [FREQUENCY] = 0};
    bool good = s->kind == SW_SETTING_NUMBER;
    *value = s->number;
    if (s->n_values == 1) good = sw_str_to_i64(s->values[0], strlen(s->values[0]), value);
    if (good && *value >= least[field]) return SW_SERVE_OK;
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "'%s' must be a whole number of at least %lld", names[field],
                         (long long)least[field]);
}

static int field_named(const char *name) {
    int field = 0;
    while (field < N_FIELDS && strcmp(names[field], name) != 0) field++;
    return field;
}

/* What `list` asks for, into `changed`; `cleared`: what follows all models, or the start, again. */
static sw_serve_code read_all(const sw__trace *t, const sw_settings *list, setting *changed, unsigned *cleared,
                              sw_serve_error *error) {
    for (int i = 0; i < list->n; i++) {
        const sw_setting *s = &list->all[i];
        int field = field_named(s->name);
        if (!strcmp(s->name, "trace_file"))
            return sw_serve_fail(error, SW_SERVE_UNSUPPORTED,
                                 "trace file location can not be updated through network protocol");
        if (field == N_FIELDS)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "unknown trace setting '%.60s'", s->name);
        if (s->kind == SW_SETTING_NULL) {
            *cleared |= 1u << field;
            continue;
        }
        sw_serve_code code = field == LEVEL ? read_level(t, s, &changed->values[LEVEL], error)
                                            : read_number(s, field, &changed->values[field], error);
        if (code != SW_SERVE_OK) return code;
        changed->set |= 1u << field;
    }
    return SW_SERVE_OK;
}

static model_setting *add_model(sw__trace *t, const char *name) {
    size_t size = strlen(name) + 1;
    model_setting *m = t->n_models < MAX_MODELS ? sw_calloc(NULL, 1, sizeof *m + size) : NULL;
    if (!m) return NULL;
    memcpy(m->name, name, size);
    m->next = t->models;
    t->models = m;
    t->n_models++;
    return m;
}

static void change(setting *to, const setting *from, unsigned cleared, const setting *initial) {
    for (int field = 0; field < N_FIELDS; field++) {
        if (from->set & 1u << field) to->values[field] = from->values[field];
        if (cleared & 1u << field && initial) to->values[field] = initial->values[field];
    }
    to->set = initial ? to->set : (to->set | from->set) & ~cleared;
}

static bool any_level(const sw__trace *t) {
    bool any = t->all.values[LEVEL];
    for (const model_setting *m = t->models; m; m = m->next)
        any |= m->setting.set & 1u << LEVEL && m->setting.values[LEVEL];
    return any;
}

sw_serve_code sw__trace_set(sw__trace *t, const char *model, const sw_settings *list, sw_serve_error *error) {
    setting changed = {0};
    unsigned cleared = 0;
    sw_serve_code code = read_all(t, list, &changed, &cleared, error);
    if (code != SW_SERVE_OK) return code;
    pthread_mutex_lock(&t->lock);
    model_setting *m = model ? find(t, model) : NULL;
    if (model && !m) m = add_model(t, model);
    if (model && m)
        change(&m->setting, &changed, cleared, NULL);
    else if (!model)
        change(&t->all, &changed, cleared, &t->initial);
    atomic_store(&t->active, any_level(t));
    pthread_mutex_unlock(&t->lock);
    return model && !m ? sw_kserve_no_memory(error) : SW_SERVE_OK;
}
