/* The JSON of answers. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "serve/kserve/json_data.h"

static void put_shape(sw_json_writer *w, const int64_t *dims, int rank) {
    sw_json_array(w);
    for (int i = 0; i < rank; i++) sw_json_int(w, dims[i]);
    sw_json_array_end(w);
}

static sw_serve_code put_result(sw_json_writer *w, const sw_serve_tensor *t, const sw_kserve_output *place,
                                sw_serve_error *error) {
    sw_json_object(w);
    sw_json_key(w, "name");
    sw_json_string(w, t->name);
    sw_json_key(w, "datatype");
    sw_json_string(w, sw_serve_dtype_name(t->dtype));
    sw_json_key(w, "shape");
    put_shape(w, t->dims, t->rank);
    sw_serve_code code = SW_SERVE_OK;
    if (place->binary && !place->region) {
        sw_json_key(w, "parameters");
        sw_json_object(w);
        sw_json_key(w, "binary_data_size");
        sw_json_int(w, (int64_t)t->bytes);
        sw_json_object_end(w);
    } else if (!place->region) { /* in shared memory: clients know where, and expect to be told nothing */
        sw_json_key(w, "data");
        w->after_key = false; /* the array writes itself */
        code = sw__kserve_write_array(t, w->buf, error);
    }
    sw_json_object_end(w);
    return code;
}

static void put_head(sw_json_writer *w, const sw_kserve_request *k, const sw_serve_info *info) {
    char version[24];
    snprintf(version, sizeof version, "%lld", (long long)info->version);
    sw_json_object(w);
    if (k->request.id && *k->request.id) {
        sw_json_key(w, "id");
        sw_json_string(w, k->request.id);
    }
    sw_json_key(w, "model_name");
    sw_json_string(w, info->name);
    sw_json_key(w, "model_version");
    sw_json_string(w, version);
    sw_json_key(w, "outputs");
    sw_json_array(w);
}

sw_serve_code sw_kserve_write(sw_kserve_request *k, const sw_serve_info *info, sw_buf *body, int64_t *json_size,
                              sw_serve_error *error) {
    bool any = false;
    size_t start = body->size;
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_serve_code code = sw_kserve_classify_all(k, error);
    if (code == SW_SERVE_OK) code = sw_kserve_write_shared(k, error);
    if (code != SW_SERVE_OK) return code;
    put_head(&w, k, info);
    for (int i = 0; i < k->request.n_results && code == SW_SERVE_OK; i++) {
        sw_kserve_output place = sw_kserve_output_of(k, i);
        any |= place.binary && !place.region;
        code = put_result(&w, &k->request.results[i], &place, error);
    }
    if (code != SW_SERVE_OK) return code;
    sw_json_array_end(&w);
    sw_json_object_end(&w);
    *json_size = any ? (int64_t)(body->size - start) : -1;
    for (int i = 0; i < k->request.n_results; i++) {
        sw_kserve_output place = sw_kserve_output_of(k, i);
        if (place.binary && !place.region) sw_buf_append(body, k->request.results[i].data, k->request.results[i].bytes);
    }
    return body->status == SW_OK ? SW_SERVE_OK : sw_kserve_no_memory(error);
}

/* -- About the server and its models ------------------------------------------------------------------------------- */

void sw_kserve_write_error(sw_buf *body, const char *text) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_json_object(&w);
    sw_json_key(&w, "error");
    sw_json_string(&w, text);
    sw_json_object_end(&w);
}

const char *const sw_kserve_extensions[] = {"classification",
                                            "sequence",
                                            "model_repository",
                                            "model_repository(unload_dependents)",
                                            "schedule_policy",
                                            "model_configuration",
                                            "system_shared_memory",
                                            "cuda_shared_memory",
                                            "binary_tensor_data",
                                            "parameters",
                                            "statistics",
                                            "trace",
                                            "logging",
                                            NULL};

void sw_kserve_write_server(sw_buf *body) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_json_object(&w);
    sw_json_key(&w, "name");
    sw_json_string(&w, "slipway");
    sw_json_key(&w, "version");
    sw_json_string(&w, SLIPWAY_VERSION);
    sw_json_key(&w, "extensions");
    sw_json_array(&w);
    for (int i = 0; sw_kserve_extensions[i]; i++) sw_json_string(&w, sw_kserve_extensions[i]);
    sw_json_array_end(&w);
    sw_json_object_end(&w);
}

static void put_ports(sw_json_writer *w, const char *key, const sw_serve_port *ports, int n) {
    sw_json_key(w, key);
    sw_json_array(w);
    for (int i = 0; i < n; i++) {
        sw_json_object(w);
        sw_json_key(w, "name");
        sw_json_string(w, ports[i].name);
        sw_json_key(w, "datatype");
        sw_json_string(w, sw_serve_dtype_name(ports[i].dtype));
        sw_json_key(w, "shape");
        put_shape(w, ports[i].dims, ports[i].rank);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

void sw_kserve_write_model(const sw_serve_info *info, const int64_t *versions, int n_versions, sw_buf *body) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_json_object(&w);
    sw_json_key(&w, "name");
    sw_json_string(&w, info->name);
    sw_json_key(&w, "versions");
    sw_json_array(&w);
    for (int i = 0; i < n_versions; i++) {
        char version[24];
        snprintf(version, sizeof version, "%lld", (long long)versions[i]);
        sw_json_string(&w, version);
    }
    sw_json_array_end(&w);
    sw_json_key(&w, "platform");
    sw_json_string(&w, info->platform);
    put_ports(&w, "inputs", info->inputs, info->n_inputs);
    put_ports(&w, "outputs", info->outputs, info->n_outputs);
    sw_json_object_end(&w);
}

void sw_kserve_write_index(const sw_serve_index_row *rows, int n, sw_buf *body) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        const char *const fields[][2] = {
            {"name", rows[i].name}, {"version", rows[i].version}, {"state", rows[i].state}, {"reason", rows[i].reason}};
        sw_json_object(&w);
        for (int f = 0; f < 4; f++) {
            if (!fields[f][1] || !*fields[f][1]) continue;
            sw_json_key(&w, fields[f][0]);
            sw_json_string(&w, fields[f][1]);
        }
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
}

static void put_count(sw_json_writer *w, const char *key, uint64_t value) {
    sw_json_key(w, key);
    sw_json_int(w, (int64_t)value);
}

void sw_kserve_write_regions(const sw_region_row *rows, int n, sw_buf *body) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        sw_json_object(&w);
        sw_json_key(&w, "name");
        sw_json_string(&w, rows[i].name);
        sw_json_key(&w, "key");
        sw_json_string(&w, rows[i].key);
        put_count(&w, "offset", rows[i].offset);
        put_count(&w, "byte_size", rows[i].bytes);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
}

void sw_kserve_write_settings(const sw_settings *settings, sw_buf *body) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_json_object(&w);
    for (int i = 0; i < settings->n; i++) {
        const sw_setting *s = &settings->all[i];
        sw_json_key(&w, s->name);
        if (s->kind == SW_SETTING_LIST) sw_json_array(&w);
        for (int v = 0; v < s->n_values; v++) sw_json_string(&w, s->values[v]);
        if (s->kind == SW_SETTING_LIST) sw_json_array_end(&w);
        if (s->kind == SW_SETTING_BOOL) sw_json_bool(&w, s->number != 0);
        if (s->kind == SW_SETTING_NUMBER) sw_json_int(&w, s->number);
    }
    sw_json_object_end(&w);
}

static void put_duration(sw_json_writer *w, const char *key, sw_serve_duration duration) {
    sw_json_key(w, key);
    sw_json_object(w);
    put_count(w, "count", duration.count);
    put_count(w, "ns", duration.ns);
    sw_json_object_end(w);
}

static void put_inference(sw_json_writer *w, const sw_serve_stats *s) {
    sw_json_key(w, "inference_stats");
    sw_json_object(w);
    put_duration(w, "success", s->success);
    put_duration(w, "fail", s->fail);
    put_duration(w, "queue", s->queue);
    put_duration(w, "compute_input", s->compute_input);
    put_duration(w, "compute_infer", s->compute_infer);
    put_duration(w, "compute_output", s->compute_output);
    put_duration(w, "cache_hit", s->cache_hit);
    put_duration(w, "cache_miss", s->cache_miss);
    sw_json_object_end(w);
    sw_json_key(w, "response_stats");
    sw_json_object(w);
    sw_json_object_end(w);
}

static void put_batches(sw_json_writer *w, const sw_serve_stats *s) {
    sw_json_key(w, "batch_stats");
    sw_json_array(w);
    for (int i = 0; i < s->n_batches; i++) {
        sw_json_object(w);
        put_count(w, "batch_size", s->batches[i].batch_size);
        put_duration(w, "compute_input", s->batches[i].compute_input);
        put_duration(w, "compute_infer", s->batches[i].compute_infer);
        put_duration(w, "compute_output", s->batches[i].compute_output);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
    sw_json_key(w, "memory_usage");
    sw_json_array(w);
    for (int i = 0; i < s->n_memory; i++) {
        sw_json_object(w);
        sw_json_key(w, "type");
        sw_json_string(w, s->memory[i].type);
        sw_json_key(w, "id");
        sw_json_int(w, s->memory[i].id);
        put_count(w, "byte_size", s->memory[i].byte_size);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

void sw_kserve_write_statistics(const sw_serve_stats *stats, int n, sw_buf *body) {
    sw_json_writer w = sw_json_writer_make(body, 0);
    sw_json_object(&w);
    sw_json_key(&w, "model_stats");
    sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        const sw_serve_stats *s = &stats[i];
        char version[24];
        snprintf(version, sizeof version, "%lld", (long long)s->version);
        sw_json_object(&w);
        sw_json_key(&w, "name");
        sw_json_string(&w, s->name);
        sw_json_key(&w, "version");
        sw_json_string(&w, version);
        put_count(&w, "last_inference", s->last_inference_ms);
        put_count(&w, "inference_count", s->inference_count);
        put_count(&w, "execution_count", s->execution_count);
        put_inference(&w, s);
        put_batches(&w, s);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_json_object_end(&w);
}
