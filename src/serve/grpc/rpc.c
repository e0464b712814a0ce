/* The methods. */
#include <stdio.h>
#include <string.h>

#include "base/pb.h"
#include "serve/grpc/h2.h"
#include "serve/grpc/messages.h"

static sw__grpc_status status_of(sw_serve_code code) {
    static const sw__grpc_status status[] = {
        [SW_SERVE_OK] = SW__GRPC_OK,
        [SW_SERVE_UNKNOWN] = SW__GRPC_UNKNOWN,
        [SW_SERVE_INTERNAL] = SW__GRPC_INTERNAL,
        [SW_SERVE_NOT_FOUND] = SW__GRPC_NOT_FOUND,
        [SW_SERVE_INVALID_ARG] = SW__GRPC_INVALID_ARGUMENT,
        [SW_SERVE_UNAVAILABLE] = SW__GRPC_UNAVAILABLE,
        [SW_SERVE_UNSUPPORTED] = SW__GRPC_UNIMPLEMENTED,
        [SW_SERVE_ALREADY_EXISTS] = SW__GRPC_ALREADY_EXISTS,
        [SW_SERVE_CANCELLED] = SW__GRPC_CANCELLED,
    };
    return status[code];
}

static void end(sw__stream *s, const sw_serve_error *error) {
    bool unavailable = error->code == SW_SERVE_UNAVAILABLE;
    bool late = unavailable && s->deadline_ns && sw_clock_ns() >= s->deadline_ns; /* to try again would be late, too */
    s->try_again = unavailable && !late;
    sw__stream_end(s, late ? SW__GRPC_DEADLINE_EXCEEDED : status_of(error->code), error->text);
}

static sw_serve *core_of(const sw__stream *s) {
    return s->h2->conn->loop->server->core;
}

/* Answers with one message, or with the error. Frees the message. */
static void answer(sw__stream *s, sw_buf *message, const sw_serve_error *error) {
    if (error->code == SW_SERVE_OK) sw__stream_reply(s, message);
    end(s, error);
    sw_buf_free(message);
}

/* -- Inference ----------------------------------------------------------------------------------------------------- */

static void encode(sw__call *call) {
    const sw__stream *s = call->owner;
    sw_buf message = sw_buf_make(NULL, 0);
    if (call->error.code == SW_SERVE_OK && sw_grpc_write_infer(&call->k, sw_serve_model_info(call->k.request.model),
                                                               &message, &call->error) == SW_SERVE_OK)
        sw__grpc_frame(&message, sw__stream_coding(s), &call->body);
    if (call->body.status != SW_OK) call->error = (sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"};
    sw_buf_free(&message);
}

static void finish(sw__call *call) {
    sw__stream *s = call->owner;
    if (call->error.code == SW_SERVE_OK) sw__stream_send(s, call->body.data, call->body.size);
    sw__call_note(call, SW__PROTOCOL_GRPC);
    end(s, &call->error);
    sw__call_end(call);
    s->calls--;
    sw__stream_bury(s);
}

static sw__call *begin_call(sw__stream *s, sw_buf *owned) {
    sw__call *call = sw__call_begin(s->h2->conn);
    if (!call) return NULL;
    s->calls++;
    call->owner = s;
    if (owned) {
        call->message = *owned;
        *owned = sw_buf_make(NULL, 0);
    }
    return call;
}

static void out_of_memory(sw__stream *s) {
    sw__stream_end(s, SW__GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

static const char *header_of(void *ctx, const char *name) {
    const sw__call *call = ctx;
    const sw_buf *headers = &((const sw__stream *)call->owner)->headers;
    const char *at = (const char *)headers->data, *end = at + headers->size;
    if (headers->status != SW_OK) return NULL; /* too many */
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (!strcmp(at, name)) return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

static const char *parameter_of(void *ctx, const char *name) {
    return sw_kserve_parameter_of(&((sw__call *)ctx)->k, name);
}

static sw_serve_code prepare(sw__call *call, const uint8_t *data, size_t size) {
    const sw__stream *s = call->owner;
    const char *model, *version;
    sw_serve_hint hint = {
        .path = s->path, .content_type = s->content_type, .header = header_of, .parameter = parameter_of, .ctx = call};
    sw_serve_code code = sw_grpc_read_infer(&call->k, data, size, &model, &version, &call->error);
    call->k.request.deadline_ns = s->deadline_ns;
    if (code == SW_SERVE_OK) sw__hint_measure_input(&hint, call->loop->server, model, &call->k.request);
    return code == SW_SERVE_OK ? sw__call_find(call, model, version, &hint) : code;
}

static void model_infer(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw__call *call = begin_call(s, owned);
    if (!call) {
        out_of_memory(s);
        return;
    }
    call->encode = encode;
    call->finish = finish;
    if (prepare(call, data, size) == SW_SERVE_OK)
        sw__call_submit(call);
    else
        finish(call);
}

/* -- Streams of requests: answers in the order of requests, errors as messages ------------------------------------- */

static void encode_in_stream(sw__call *call) {
    const sw__stream *s = call->owner;
    sw_buf inner = sw_buf_make(NULL, 0), message = sw_buf_make(NULL, 0);
    if (call->error.code == SW_SERVE_OK)
        call->error.code =
            sw_grpc_write_infer(&call->k, sw_serve_model_info(call->k.request.model), &inner, &call->error);
    if (call->error.code == SW_SERVE_OK) sw_grpc_write_final(&inner);
    if (call->error.code != SW_SERVE_OK) {
        sw_buf_clear(&inner);
        sw_pb_put_text(&message, 1, call->error.text);
        if (call->k.request.id) sw_pb_put_text(&inner, 3, call->k.request.id); /* so that the client knows which */
    }
    sw_grpc_write_message(2, &inner, &message);
    sw__grpc_frame(&message, sw__stream_coding(s), &call->body);
    sw_buf_free(&inner);
    sw_buf_free(&message);
}

static void finish_in_stream(sw__call *call) {
    sw__stream *s = call->owner;
    int ended = 0;
    call->ready = true;
    while (s->first && s->first->ready) {
        sw__call *first = s->first;
        s->first = first->sibling;
        if (first->body.status == SW_OK)
            sw__stream_send(s, first->body.data, first->body.size);
        else
            out_of_memory(s);
        sw__call_note(first, SW__PROTOCOL_GRPC);
        sw__call_end(first);
        ended++;
    }
    s->calls -= ended;
    if (!s->closed && !s->running) sw__stream_run(s);
    sw__stream_bury(s);
}

static void model_stream_infer(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw__call *call = begin_call(s, owned);
    if (!call) {
        out_of_memory(s);
        return;
    }
    call->encode = encode_in_stream;
    call->finish = finish_in_stream;
    if (s->first)
        s->last->sibling = call;
    else
        s->first = call;
    s->last = call;
    if (prepare(call, data, size) == SW_SERVE_OK) {
        sw__call_submit(call);
        return;
    }
    encode_in_stream(call);
    finish_in_stream(call);
}

/* -- About the server and its models ------------------------------------------------------------------------------- */

static void server_live(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_buf message = sw_buf_make(NULL, 0);
    sw_grpc_write_flag(true, &message);
    answer(s, &message, &(sw_serve_error){0});
}

static void server_ready(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_buf message = sw_buf_make(NULL, 0);
    sw_grpc_write_flag(sw_serve_ready(core_of(s)), &message);
    answer(s, &message, &(sw_serve_error){0});
}

static void server_metadata(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_buf message = sw_buf_make(NULL, 0);
    sw_grpc_write_server(&message);
    answer(s, &message, &(sw_serve_error){0});
}

/* Reads name and version. */
static sw_serve_code read_model(const uint8_t *data, size_t size, sw_grpc_query *q, int64_t *version,
                                sw_serve_error *error) {
    sw_serve_code code = sw_grpc_read_query(data, size, q, error);
    if (code == SW_SERVE_OK && !sw__parse_version(q->second, version))
        code = sw_serve_fail(
            error, SW_SERVE_INVALID_ARG,
            "failed to get model version from specified version string '%.40s' (details: no whole number)", q->second);
    return code;
}

static void model_ready(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    int64_t version;
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0);
    if (read_model(data, size, &q, &version, &error) == SW_SERVE_OK)
        sw_grpc_write_flag(sw_serve_model_ready(core_of(s), q.first, version), &message);
    answer(s, &message, &error);
}

static sw_serve_model *find(sw__stream *s, const uint8_t *data, size_t size, sw_grpc_query *q, sw_serve_error *error) {
    int64_t version;
    sw_serve_model *model = NULL;
    if (read_model(data, size, q, &version, error) != SW_SERVE_OK) return NULL;
    return sw_serve_find(core_of(s), q->first, version, NULL, &model, error) == SW_SERVE_OK ? model : NULL;
}

static void model_metadata(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0);
    sw_serve_model *model = find(s, data, size, &q, &error);
    if (model) {
        int64_t versions[SW__MAX_VERSIONS];
        int n = 1;
        versions[0] = sw_serve_model_info(model)->version;
        if (!*q.second) n = sw_serve_versions(core_of(s), q.first, versions, SW__MAX_VERSIONS);
        sw_grpc_write_model(sw_serve_model_info(model), versions, n < SW__MAX_VERSIONS ? n : SW__MAX_VERSIONS,
                            &message);
    }
    answer(s, &message, &error);
    sw_serve_drop(model);
}

static void model_config(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0), config = sw_buf_make(NULL, 0);
    sw_serve_model *model = find(s, data, size, &q, &error);
    if (model) sw_serve_model_config_pb(model, &config);
    sw_grpc_write_message(1, &config, &message);
    sw_buf_free(&config);
    answer(s, &message, &error);
    sw_serve_drop(model);
}

static void model_statistics(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    int64_t version;
    int n;
    sw_serve_error error = {0};
    const sw_serve_stats *stats;
    sw_buf message = sw_buf_make(NULL, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!arena)
        error = (sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"};
    else if (read_model(data, size, &q, &version, &error) == SW_SERVE_OK &&
             sw_serve_statistics(core_of(s), *q.first ? q.first : NULL, version, arena, &stats, &n, &error) ==
                 SW_SERVE_OK)
        sw_grpc_write_statistics(stats, n, &message);
    answer(s, &message, &error);
    sw_arena_destroy(arena);
}

/* -- Repository ---------------------------------------------------------------------------------------------------- */

static void repository_index(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    int n;
    sw_serve_error error = {0};
    const sw_serve_index_row *rows;
    sw_buf message = sw_buf_make(NULL, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!arena)
        error = (sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"};
    else if (sw_grpc_read_query(data, size, &q, &error) == SW_SERVE_OK && *q.first)
        (void)sw_serve_fail(&error, SW_SERVE_UNSUPPORTED, "'repository_name' specification is not supported");
    else if (error.code == SW_SERVE_OK && sw_serve_index(core_of(s), q.flag, arena, &rows, &n, &error) == SW_SERVE_OK)
        sw_grpc_write_index(rows, n, &message);
    answer(s, &message, &error);
    sw_arena_destroy(arena);
}

/* The answers to these are empty messages. */
static void encode_empty(sw__call *call) {
    sw_buf empty = sw_buf_make(NULL, 0);
    sw__grpc_frame(&empty, SW_HTTP_IDENTITY, &call->body);
}

static void load_or_unload(sw__stream *s, const uint8_t *data, size_t size, bool unload) {
    const char *name;
    sw_kserve_load load = {.arena = sw_arena_create(NULL, 0)};
    sw__call *call = load.arena ? begin_call(s, NULL) : NULL;
    if (!call) {
        sw_kserve_load_free(&load);
        out_of_memory(s);
        return;
    }
    call->encode = encode_empty;
    call->finish = finish;
    if (sw_grpc_read_load(data, size, &name, &load, &call->error) == SW_SERVE_OK)
        sw__call_load(call, name, &load, unload);
    else
        finish(call);
    sw_kserve_load_free(&load);
}

static void model_load(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    load_or_unload(s, data, size, false);
}

static void model_unload(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    load_or_unload(s, data, size, true);
}

/* -- Shared memory: off by default, as Triton's; of the GPU there is none ------------------------------------------- */

static sw_regions *regions_of(const sw__stream *s) {
    return s->h2->conn->loop->server->regions;
}

static void list_regions(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    int n;
    sw_serve_error error = {0};
    const sw_region_row *rows;
    sw_buf message = sw_buf_make(NULL, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!arena)
        error = (sw_serve_error){SW_SERVE_UNAVAILABLE, "out of memory"};
    else if (sw_grpc_read_query(data, size, &q, &error) == SW_SERVE_OK && regions_of(s) &&
             sw_regions_list(regions_of(s), *q.first ? q.first : NULL, arena, &rows, &n, &error) == SW_SERVE_OK)
        sw_grpc_write_regions(rows, n, &message);
    answer(s, &message, &error);
    sw_arena_destroy(arena);
}

static void register_region(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_region_row row;
    sw_serve_error error = {0};
    sw_serve_code code = SW_SERVE_OK;
    sw_buf message = sw_buf_make(NULL, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    if (!regions_of(s))
        code = sw_serve_fail(&error, SW_SERVE_INVALID_ARG, "Client shared memory is disabled");
    else if (!arena)
        code = sw_kserve_no_memory(&error);
    else
        code = sw_grpc_read_region(data, size, arena, &row, &error);
    if (code == SW_SERVE_OK) code = sw_regions_add(regions_of(s), row.name, row.key, row.offset, row.bytes, &error);
    answer(s, &message, &error);
    sw_arena_destroy(arena);
}

static void unregister_regions(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0);
    if (sw_grpc_read_query(data, size, &q, &error) == SW_SERVE_OK && regions_of(s))
        sw_regions_remove(regions_of(s), *q.first ? q.first : NULL);
    answer(s, &message, &error);
}

static void no_cuda_region(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0);
    if (sw_grpc_read_query(data, size, &q, &error) == SW_SERVE_OK && *q.first)
        (void)sw_serve_fail(&error, SW_SERVE_NOT_FOUND, "Unable to find cuda shared memory region: '%.200s'", q.first);
    answer(s, &message, &error);
}

/* To unregister all of them, or one, is done. */
static void no_regions(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_buf message = sw_buf_make(NULL, 0);
    answer(s, &message, &(sw_serve_error){0});
}

static void no_cuda(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    sw_grpc_query q;
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0);
    sw_serve_code code = sw_grpc_read_query(data, size, &q, &error);
    (void)code; /* of the request only the name matters, and only for the sentence: the handle is no text */
    sw__no_cuda_regions(s->h2->conn->loop->server, q.first, &error);
    answer(s, &message, &error);
}

/* -- Logging and tracing: a request without settings asks for them -------------------------------------------------- */

static sw_serve_code answer_settings(sw__stream *s, const uint8_t *data, size_t size, bool log, sw_arena *arena,
                                     sw_buf *message, sw_serve_error *error) {
    sw_settings settings;
    const char *model;
    sw_recorder *recorder = s->h2->conn->loop->server->options.recorder;
    sw_serve_code code = sw_grpc_read_settings(data, size, log, arena, &settings, &model, error);
    if (code != SW_SERVE_OK) return code;
    if (log) {
        code = sw_recorder_set_log(recorder, &settings, error);
        sw_recorder_list_log(recorder, &settings);
    } else if (*model && !sw_serve_model_ready(core_of(s), model, -1)) {
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "Request for unknown model : %.200s", model);
    } else {
        if (!*model) model = NULL;
        if (settings.n) code = sw_recorder_set_trace(recorder, model, &settings, error);
        if (code == SW_SERVE_OK) code = sw_recorder_list_trace(recorder, model, arena, &settings, error);
    }
    if (code == SW_SERVE_OK) sw_grpc_write_settings(&settings, log, message);
    return code;
}

static void settings(sw__stream *s, const uint8_t *data, size_t size, bool log) {
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_serve_code code =
        arena ? answer_settings(s, data, size, log, arena, &message, &error) : sw_kserve_no_memory(&error);
    error.code = code;
    answer(s, &message, &error);
    sw_arena_destroy(arena);
}

static void log_settings(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    settings(s, data, size, true);
}

static void trace_settings(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    settings(s, data, size, false);
}

/* -- Health -------------------------------------------------------------------------------------------------------- */

static void health_check(sw__stream *s, const uint8_t *data, size_t size, sw_buf *owned) {
    enum { SERVING = 1, NOT_SERVING = 2 };
    sw_grpc_query q;
    sw_serve_error error = {0};
    sw_buf message = sw_buf_make(NULL, 0);
    if (sw_grpc_read_query(data, size, &q, &error) == SW_SERVE_OK) /* whatever service is asked for: as Triton */
        sw_pb_put_varint(&message, 1, sw_serve_ready(core_of(s)) ? SERVING : NOT_SERVING);
    answer(s, &message, &error);
}

/* -- The table ----------------------------------------------------------------------------------------------------- */

#define SERVICE "/inference.GRPCInferenceService/"
static const sw__rpc rpcs[] = {
    {SERVICE "ModelInfer", SW_GROUP_INFERENCE, model_infer, false},
    {SERVICE "ModelStreamInfer", SW_GROUP_INFERENCE, model_stream_infer, true},
    {SERVICE "ServerLive", SW_GROUP_HEALTH, server_live, false},
    {SERVICE "ServerReady", SW_GROUP_HEALTH, server_ready, false},
    {SERVICE "ModelReady", SW_GROUP_HEALTH, model_ready, false},
    {SERVICE "ServerMetadata", SW_GROUP_METADATA, server_metadata, false},
    {SERVICE "ModelMetadata", SW_GROUP_METADATA, model_metadata, false},
    {SERVICE "ModelConfig", SW_GROUP_CONFIG, model_config, false},
    {SERVICE "ModelStatistics", SW_GROUP_STATISTICS, model_statistics, false},
    {SERVICE "RepositoryIndex", SW_GROUP_REPOSITORY, repository_index, false},
    {SERVICE "RepositoryModelLoad", SW_GROUP_REPOSITORY, model_load, false},
    {SERVICE "RepositoryModelUnload", SW_GROUP_REPOSITORY, model_unload, false},
    {SERVICE "SystemSharedMemoryStatus", SW_GROUP_SHARED_MEMORY, list_regions, false},
    {SERVICE "SystemSharedMemoryRegister", SW_GROUP_SHARED_MEMORY, register_region, false},
    {SERVICE "SystemSharedMemoryUnregister", SW_GROUP_SHARED_MEMORY, unregister_regions, false},
    {SERVICE "CudaSharedMemoryStatus", SW_GROUP_SHARED_MEMORY, no_cuda_region, false},
    {SERVICE "CudaSharedMemoryRegister", SW_GROUP_SHARED_MEMORY, no_cuda, false},
    {SERVICE "CudaSharedMemoryUnregister", SW_GROUP_SHARED_MEMORY, no_regions, false},
    {SERVICE "TraceSetting", SW_GROUP_TRACE, trace_settings, false},
    {SERVICE "LogSettings", SW_GROUP_LOGGING, log_settings, false},
    {"/grpc.health.v1.Health/Check", SW_GROUP_HEALTH, health_check, false},
};

const sw__rpc *sw__rpc_find(const char *path) {
    for (size_t i = 0; i < sizeof rpcs / sizeof *rpcs; i++)
        if (!strcmp(rpcs[i].path, path)) return &rpcs[i];
    return NULL;
}
