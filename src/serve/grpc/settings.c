/* Messages of settings. */
#include "base/pb.h"
#include "serve/grpc/messages.h"

typedef struct reader {
    sw_arena *arena;
    sw_settings *settings;
    bool typed;
    sw_serve_error *error;
} reader;

static sw_serve_code broken(const reader *r) {
    return sw_serve_fail(r->error, SW_SERVE_INVALID_ARG, "the request is no message of this kind");
}

static sw_serve_code take_text(const reader *r, sw_pb *pb, const sw_pb_field *f, const char **text) {
    if (!sw_pb_text(pb, f)) return broken(r);
    *text = sw_arena_strndup(r->arena, (const char *)f->data, f->size);
    return *text ? SW_SERVE_OK : sw_kserve_no_memory(r->error);
}

/* Logging: a boolean (1), a number (2) or a text (3); tracing: texts (1), none of them to clear the setting. */
static sw_serve_code take_value(const reader *r, sw_pb *pb, const sw_pb_field *f, sw_setting *s) {
    if (r->typed && f->number <= 2) {
        s->kind = f->number == 1 ? SW_SETTING_BOOL : SW_SETTING_NUMBER;
        s->number = (int64_t)f->value;
        return f->wire == SW_PB_VARINT ? SW_SERVE_OK : broken(r);
    }
    if (r->typed && f->number != 3) return SW_SERVE_OK;
    if (f->wire != SW_PB_BYTES || s->n_values == SW_MAX_SETTING_VALUES) return broken(r);
    s->kind = r->typed ? SW_SETTING_TEXT : SW_SETTING_LIST;
    return take_text(r, pb, f, &s->values[s->n_values++]);
}

/* An entry of map<string, SettingValue>. */
static sw_serve_code take_setting(const reader *r, sw_pb *pb, const sw_pb_field *field) {
    sw_pb entry = sw_pb_sub(pb, field);
    sw_pb_field f;
    if (r->settings->n == SW_MAX_SETTINGS) return broken(r);
    sw_setting *s = &r->settings->all[r->settings->n++];
    *s = (sw_setting){.name = ""};
    while (sw_pb_next(&entry, &f)) {
        sw_serve_code code = SW_SERVE_OK;
        if (f.number == 1) code = take_text(r, &entry, &f, &s->name);
        if (f.number == 2) {
            sw_pb value = sw_pb_sub(&entry, &f);
            while (code == SW_SERVE_OK && sw_pb_next(&value, &f)) code = take_value(r, &value, &f, s);
            if (code == SW_SERVE_OK && value.status != SW_OK) code = broken(r);
        }
        if (code != SW_SERVE_OK) return code;
    }
    return entry.status == SW_OK ? SW_SERVE_OK : broken(r);
}

sw_serve_code sw_grpc_read_settings(const uint8_t *data, size_t size, bool typed, sw_arena *arena,
                                    sw_settings *settings, const char **model, sw_serve_error *error) {
    reader r = {arena, settings, typed, error};
    sw_pb pb = sw_pb_make(data, size, NULL, NULL);
    sw_pb_field f;
    settings->n = 0;
    *model = "";
    while (sw_pb_next(&pb, &f)) {
        sw_serve_code code = SW_SERVE_OK;
        if (f.number == 1) code = take_setting(&r, &pb, &f);
        if (f.number == 2) code = take_text(&r, &pb, &f, model);
        if (code != SW_SERVE_OK) return code;
    }
    return pb.status == SW_OK ? SW_SERVE_OK : broken(&r);
}

/* Lists and texts of tracing are the same on the wire; of logging only texts come. */
static void put_value(const sw_setting *s, bool typed, sw_buf *out) {
    for (int v = 0; v < s->n_values; v++) sw_pb_put_text(out, typed ? 3 : 1, s->values[v]);
    if (s->kind == SW_SETTING_BOOL) sw_pb_put_varint(out, 1, (uint64_t)s->number);
    if (s->kind == SW_SETTING_NUMBER) sw_pb_put_varint(out, 2, (uint64_t)s->number);
}

void sw_grpc_write_settings(const sw_settings *settings, bool typed, sw_buf *out) {
    sw_buf value = sw_buf_make(NULL, 0), entry = sw_buf_make(NULL, 0);
    for (int i = 0; i < settings->n; i++) {
        sw_buf_clear(&value);
        sw_buf_clear(&entry);
        put_value(&settings->all[i], typed, &value);
        sw_pb_put_text(&entry, 1, settings->all[i].name);
        sw_grpc_write_message(2, &value, &entry);
        sw_grpc_write_message(1, &entry, out);
    }
    sw_buf_free(&value);
    sw_buf_free(&entry);
}
