/* The messages of KServe v2's gRPC service (package inference) in protobuf's wire format. Bytes in, bytes out.
 *
 * Writers append a message to `out`, whose status tells of failure. */
#ifndef SLIPWAY_SERVE_GRPC_MESSAGES_H
#define SLIPWAY_SERVE_GRPC_MESSAGES_H

#include "serve/kserve/kserve.h"

/* ModelInferRequest. The name and version live in the request's memory. */
SW_MUST_USE sw_serve_code sw_grpc_read_infer(sw_kserve_request *k, const uint8_t *data, size_t size, const char **model,
                                             const char **version, sw_serve_error *error);
/* ModelInferResponse, from request.results. */
SW_MUST_USE sw_serve_code sw_grpc_write_infer(sw_kserve_request *k, const sw_serve_info *info, sw_buf *out,
                                              sw_serve_error *error);
/* Says that the ModelInferResponse is the last one to its request, as clients of streams expect. */
void sw_grpc_write_final(sw_buf *out);

/* Requests with up to two texts or a text and a flag (fields 1 and 2), and those to load and unload. */
typedef struct sw_grpc_query {
    char first[1024], second[1024]; /* "" when missing */
    bool flag;                      /* field 2, where it is a boolean */
} sw_grpc_query;
SW_MUST_USE sw_serve_code sw_grpc_read_query(const uint8_t *data, size_t size, sw_grpc_query *query,
                                             sw_serve_error *error);
/* SystemSharedMemoryRegisterRequest; texts in `arena`. */
SW_MUST_USE sw_serve_code sw_grpc_read_region(const uint8_t *data, size_t size, sw_arena *arena, sw_region_row *region,
                                              sw_serve_error *error);
/* LogSettingsRequest (`typed`) and TraceSettingRequest, whose values are lists of texts; texts in `arena`. */
SW_MUST_USE sw_serve_code sw_grpc_read_settings(const uint8_t *data, size_t size, bool typed, sw_arena *arena,
                                                sw_settings *settings, const char **model, sw_serve_error *error);
/* RepositoryModelLoadRequest, RepositoryModelUnloadRequest. `name` is in load->arena. */
SW_MUST_USE sw_serve_code sw_grpc_read_load(const uint8_t *data, size_t size, const char **name, sw_kserve_load *load,
                                            sw_serve_error *error);

void sw_grpc_write_flag(bool flag, sw_buf *out);                                 /* message with one boolean, field 1 */
void sw_grpc_write_message(uint32_t number, const sw_buf *message, sw_buf *out); /* message with one message in it */
void sw_grpc_write_server(sw_buf *out);
void sw_grpc_write_model(const sw_serve_info *info, const int64_t *versions, int n_versions, sw_buf *out);
void sw_grpc_write_regions(const sw_region_row *rows, int n, sw_buf *out); /* SystemSharedMemoryStatusResponse */
void sw_grpc_write_settings(const sw_settings *settings, bool typed, sw_buf *out);
void sw_grpc_write_index(const sw_serve_index_row *rows, int n, sw_buf *out);
void sw_grpc_write_statistics(const sw_serve_stats *stats, int n, sw_buf *out);

#endif
