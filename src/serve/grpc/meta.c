/* Messages about the server and its models. */
#include <stdio.h>
#include <string.h>

#include "base/pb.h"
#include "serve/grpc/messages.h"

static sw_serve_code broken(sw_serve_error *error) {
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "the request is no message of this kind");
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

static bool copy_text(sw_pb *pb, const sw_pb_field *f, char *text, size_t size) {
    if (!sw_pb_text(pb, f) || f->size >= size) return false;
    if (f->size) memcpy(text, f->data, f->size);
    text[f->size] = 0;
    return true;
}

sw_serve_code sw_grpc_read_query(const uint8_t *data, size_t size, sw_grpc_query *query, sw_serve_error *error) {
    sw_pb pb = sw_pb_make(data, size, NULL, NULL);
    sw_pb_field f;
    query->first[0] = query->second[0] = 0;
    query->flag = false;
    while (sw_pb_next(&pb, &f)) {
        if (f.number == 1 && !copy_text(&pb, &f, query->first, sizeof query->first)) return broken(error);
        if (f.number == 2 && f.wire == SW_PB_VARINT) query->flag = f.value != 0;
        if (f.number == 2 && f.wire == SW_PB_BYTES && !copy_text(&pb, &f, query->second, sizeof query->second))
            return broken(error);
    }
    return pb.status == SW_OK ? SW_SERVE_OK : broken(error);
}

sw_serve_code sw_grpc_read_region(const uint8_t *data, size_t size, sw_arena *arena, sw_region_row *region,
                                  sw_serve_error *error) {
    sw_pb pb = sw_pb_make(data, size, NULL, NULL);
    sw_pb_field f;
    *region = (sw_region_row){"", "", 0, 0};
    while (sw_pb_next(&pb, &f)) {
        if (f.number == 1 || f.number == 2) {
            if (!sw_pb_text(&pb, &f)) return broken(error);
            const char *text = sw_arena_strndup(arena, (const char *)f.data, f.size);
            if (!text) return sw_kserve_no_memory(error);
            *(f.number == 1 ? &region->name : &region->key) = text;
        }
        if (f.number == 3) region->offset = f.value;
        if (f.number == 4) region->bytes = f.value;
    }
    return pb.status == SW_OK ? SW_SERVE_OK : broken(error);
}

/* An entry of map<string, ModelRepositoryParameter>. */
static sw_serve_code read_load_parameter(sw_pb *pb, const sw_pb_field *field, sw_kserve_load *load,
                                         sw_serve_error *error) {
    sw_pb entry = sw_pb_sub(pb, field);
    sw_pb_field f;
    char name[1024] = "";
    sw_pb_field value = {0};
    while (sw_pb_next(&entry, &f)) {
        if (f.number == 1 && !copy_text(&entry, &f, name, sizeof name)) return broken(error);
        if (f.number != 2) continue;
        sw_pb sub = sw_pb_sub(&entry, &f);
        while (sw_pb_next(&sub, &f)) value = f;
        if (sub.status != SW_OK) return broken(error);
    }
    if (entry.status != SW_OK) return broken(error);
    bool is_bytes = value.wire == SW_PB_BYTES && value.data;
    return sw_kserve_add_load(load, name, is_bytes ? (const char *)value.data : NULL, is_bytes ? value.size : 0,
                              value.number == 1 && value.value, error);
}

sw_serve_code sw_grpc_read_load(const uint8_t *data, size_t size, const char **name, sw_kserve_load *load,
                                sw_serve_error *error) {
    sw_pb pb = sw_pb_make(data, size, NULL, NULL);
    sw_pb_field f;
    *name = "";
    while (sw_pb_next(&pb, &f)) {
        if (f.number == 2) {
            if (!sw_pb_text(&pb, &f)) return broken(error);
            *name = sw_arena_strndup(load->arena, (const char *)f.data, f.size);
            if (!*name) return sw_kserve_no_memory(error);
        }
        if (f.number == 3) {
            sw_serve_code code = read_load_parameter(&pb, &f, load, error);
            if (code != SW_SERVE_OK) return code;
        }
    }
    return pb.status == SW_OK ? SW_SERVE_OK : broken(error);
}

/* -- Writing ------------------------------------------------------------------------------------------------------- */

void sw_grpc_write_flag(bool flag, sw_buf *out) {
    if (flag) sw_pb_put_varint(out, 1, 1);
}

void sw_grpc_write_message(uint32_t number, const sw_buf *message, sw_buf *out) {
    sw_pb_put_bytes(out, number, message->data, message->size);
    if (message->status != SW_OK) out->status = message->status;
}

void sw_grpc_write_server(sw_buf *out) {
    sw_pb_put_text(out, 1, "slipway");
    sw_pb_put_text(out, 2, SLIPWAY_VERSION);
    for (int i = 0; sw_kserve_extensions[i]; i++) sw_pb_put_text(out, 3, sw_kserve_extensions[i]);
}

static void put_port(uint32_t number, const sw_serve_port *port, sw_buf *out) {
    sw_buf message = sw_buf_make(NULL, 0);
    sw_pb_put_text(&message, 1, port->name);
    sw_pb_put_text(&message, 2, sw_serve_dtype_name(port->dtype));
    for (int i = 0; i < port->rank; i++) sw_pb_put_varint(&message, 3, (uint64_t)port->dims[i]);
    sw_grpc_write_message(number, &message, out);
    sw_buf_free(&message);
}

void sw_grpc_write_model(const sw_serve_info *info, const int64_t *versions, int n_versions, sw_buf *out) {
    char version[24];
    sw_pb_put_text(out, 1, info->name);
    for (int i = 0; i < n_versions; i++) {
        snprintf(version, sizeof version, "%lld", (long long)versions[i]);
        sw_pb_put_text(out, 2, version);
    }
    sw_pb_put_text(out, 3, info->platform);
    for (int i = 0; i < info->n_inputs; i++) put_port(4, &info->inputs[i], out);
    for (int i = 0; i < info->n_outputs; i++) put_port(5, &info->outputs[i], out);
}

static void put_if_any(uint32_t number, const char *text, sw_buf *out) {
    if (text && *text) sw_pb_put_text(out, number, text);
}

void sw_grpc_write_index(const sw_serve_index_row *rows, int n, sw_buf *out) {
    sw_buf row = sw_buf_make(NULL, 0);
    for (int i = 0; i < n; i++) {
        sw_buf_clear(&row);
        put_if_any(1, rows[i].name, &row);
        put_if_any(2, rows[i].version, &row);
        put_if_any(3, rows[i].state, &row);
        put_if_any(4, rows[i].reason, &row);
        sw_grpc_write_message(1, &row, out);
    }
    sw_buf_free(&row);
}

void sw_grpc_write_regions(const sw_region_row *rows, int n, sw_buf *out) {
    sw_buf status = sw_buf_make(NULL, 0), entry = sw_buf_make(NULL, 0);
    for (int i = 0; i < n; i++) {
        sw_buf_clear(&status);
        sw_buf_clear(&entry);
        sw_pb_put_text(&status, 1, rows[i].name);
        sw_pb_put_text(&status, 2, rows[i].key);
        sw_pb_put_varint(&status, 3, rows[i].offset);
        sw_pb_put_varint(&status, 4, rows[i].bytes);
        sw_pb_put_text(&entry, 1, rows[i].name);
        sw_grpc_write_message(2, &status, &entry);
        sw_grpc_write_message(1, &entry, out);
    }
    sw_buf_free(&status);
    sw_buf_free(&entry);
}

static void put_duration(uint32_t number, sw_serve_duration duration, sw_buf *out) {
    sw_buf message = sw_buf_make(NULL, 0);
    if (duration.count) sw_pb_put_varint(&message, 1, duration.count);
    if (duration.ns) sw_pb_put_varint(&message, 2, duration.ns);
    sw_grpc_write_message(number, &message, out);
    sw_buf_free(&message);
}

static void put_inference(const sw_serve_stats *s, sw_buf *out) {
    sw_buf message = sw_buf_make(NULL, 0);
    const sw_serve_duration durations[] = {s->success,       s->fail,           s->queue,     s->compute_input,
                                           s->compute_infer, s->compute_output, s->cache_hit, s->cache_miss};
    for (uint32_t i = 0; i < 8; i++) put_duration(i + 1, durations[i], &message);
    sw_grpc_write_message(6, &message, out);
    sw_buf_free(&message);
}

static void put_statistics(const sw_serve_stats *s, sw_buf *out) {
    char version[24];
    snprintf(version, sizeof version, "%lld", (long long)s->version);
    sw_pb_put_text(out, 1, s->name);
    sw_pb_put_text(out, 2, version);
    sw_pb_put_varint(out, 3, s->last_inference_ms);
    sw_pb_put_varint(out, 4, s->inference_count);
    sw_pb_put_varint(out, 5, s->execution_count);
    put_inference(s, out);
    sw_buf message = sw_buf_make(NULL, 0);
    for (int i = 0; i < s->n_batches; i++) {
        sw_buf_clear(&message);
        sw_pb_put_varint(&message, 1, s->batches[i].batch_size);
        put_duration(2, s->batches[i].compute_input, &message);
        put_duration(3, s->batches[i].compute_infer, &message);
        put_duration(4, s->batches[i].compute_output, &message);
        sw_grpc_write_message(7, &message, out);
    }
    for (int i = 0; i < s->n_memory; i++) {
        sw_buf_clear(&message);
        sw_pb_put_text(&message, 1, s->memory[i].type);
        sw_pb_put_varint(&message, 2, (uint64_t)s->memory[i].id);
        sw_pb_put_varint(&message, 3, s->memory[i].byte_size);
        sw_grpc_write_message(8, &message, out);
    }
    sw_buf_free(&message);
}

void sw_grpc_write_statistics(const sw_serve_stats *stats, int n, sw_buf *out) {
    sw_buf message = sw_buf_make(NULL, 0);
    for (int i = 0; i < n; i++) {
        sw_buf_clear(&message);
        put_statistics(&stats[i], &message);
        sw_grpc_write_message(1, &message, out);
    }
    sw_buf_free(&message);
}
