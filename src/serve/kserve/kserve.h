/* KServe v2 (Open Inference Protocol) with Triton's extensions: what the bodies of requests mean, and what answers look like.
 * Bytes in, bytes out; no sockets. HTTP's JSON is here; gRPC's messages (serve/grpc) fill the same request.
 *
 * An object belongs to one thread at a time. */
#ifndef SLIPWAY_SERVE_KSERVE_KSERVE_H
#define SLIPWAY_SERVE_KSERVE_KSERVE_H

#include "serve/core.h"
#include "serve/kserve/regions.h"

enum { SW_KSERVE_MAX_TENSORS = 1024, SW_KSERVE_MAX_PARAMETERS = 64, SW_KSERVE_MAX_CLASSES = 1 << 20 };

/* An output that was asked for. */
typedef struct sw_kserve_output {
    const char *name;
    bool binary;     /* JSON: as bytes behind it */
    int64_t classes; /* > 0: its best values as texts "value:index:label", in its place */
    sw_region *region;      /* not NULL: it is written there, and is no part of the answer */
    uint64_t offset, bytes; /* in the region */
} sw_kserve_output;

/* Where a tensor lies in shared memory, as its parameters say. Zeroed: it does not. */
typedef struct sw_kserve_shared {
    bool given;
    const char *region;
    uint64_t offset, bytes;
} sw_kserve_shared;

typedef struct sw_kserve_parameter {
    const char *name, *value; /* numbers and booleans as their text */
} sw_kserve_parameter;

/* An inference request as it came, around the core's. Texts and decoded data lie in its memory; raw tensors where they were
 * received, which must stay. Zeroed: empty. */
typedef struct sw_kserve_request {
    sw_serve_request request; /* model, done, user are the caller's; the rest is filled here */
    int n_outputs, n_parameters;
    sw_kserve_output *outputs;
    sw_kserve_parameter parameters[SW_KSERVE_MAX_PARAMETERS];
    bool binary_output; /* outputs that are not listed are sent as bytes */
    size_t max_bytes;   /* of decoded tensors, and of those in shared memory */
    sw_regions *regions; /* NULL: clients may not use shared memory */
    /* private: */
    sw_serve_tensor *inputs;
    const char **wanted;
    size_t cap_inputs, cap_outputs, cap_wanted, used;
    uint8_t *memory;
    sw_arena *arena;
    struct sw_kserve_held *held; /* regions in use */
    uint64_t shared_bytes;
} sw_kserve_request;

/* Empties it for the next request, keeping its memory. */
void sw_kserve_clear(sw_kserve_request *k);
void sw_kserve_free(sw_kserve_request *k);

/* Memory that lives until it is cleared, aligned to SW_ALIGN when it is large; NULL when there is none. */
void *sw_kserve_take(sw_kserve_request *k, size_t bytes);
const char *sw_kserve_text(sw_kserve_request *k, const char *text, size_t size);

/* Building blocks for both protocols. Codes as the core's, with Triton's sentences where it has one. */
SW_MUST_USE sw_serve_code sw_kserve_no_memory(sw_serve_error *error);
/* Elements and bytes of an input's shape; refuses negative dims and overflow. Bytes are 0 for SW_SERVE_BYTES. */
SW_MUST_USE sw_serve_code sw_kserve_measure(const sw_serve_tensor *input, int64_t *count, int64_t *bytes,
                                            sw_serve_error *error);
/* Adds an input (copied); data that are not aligned for their type are moved. */
SW_MUST_USE sw_serve_code sw_kserve_add_input(sw_kserve_request *k, const sw_serve_tensor *input,
                                              sw_serve_error *error);
SW_MUST_USE sw_serve_code sw_kserve_add_output(sw_kserve_request *k, sw_kserve_output output, sw_serve_error *error);
/* A parameter of a tensor: false when it is none about shared memory. Numbers that fit nothing are the largest one. */
bool sw_kserve_shared_parameter(const char *name, const char *value, sw_kserve_shared *shared);
/* Copies an input out of its region; the tensor's name, type and shape are set. */
SW_MUST_USE sw_serve_code sw_kserve_share_input(sw_kserve_request *k, const sw_kserve_shared *shared,
                                                sw_serve_tensor *input, sw_serve_error *error);
SW_MUST_USE sw_serve_code sw_kserve_share_output(sw_kserve_request *k, const sw_kserve_shared *shared,
                                                 sw_kserve_output *output, sw_serve_error *error);
/* Copies the results that belong there to their regions. */
SW_MUST_USE sw_serve_code sw_kserve_write_shared(const sw_kserve_request *k, sw_serve_error *error);
/* A request parameter: priority, timeout and binary_data_output take effect, the others are kept for rules of routing. */
SW_MUST_USE sw_serve_code sw_kserve_add_parameter(sw_kserve_request *k, const char *name, const char *value,
                                                  sw_serve_error *error);
const char *sw_kserve_parameter_of(void *ctx, const char *name); /* for sw_serve_hint: ctx is the request */
/* Lets go of the regions in use; part of clearing. */
void sw_kserve_drop_regions(sw_kserve_request *k);
/* After the last: makes request.inputs and request.wanted. */
SW_MUST_USE sw_serve_code sw_kserve_finish(sw_kserve_request *k, sw_serve_error *error);
/* Puts texts of the best values, in the request's memory, in the place of the results for which classes were asked. */
SW_MUST_USE sw_serve_code sw_kserve_classify_all(sw_kserve_request *k, sw_serve_error *error);
/* What was asked of the i-th result. */
sw_kserve_output sw_kserve_output_of(const sw_kserve_request *k, int i);

/* -- HTTP ---------------------------------------------------------------------------------------------------------- */

/* A body: JSON of `json_size` bytes (negative: all of it), then raw tensors. `model` is for messages. */
SW_MUST_USE sw_serve_code sw_kserve_read(sw_kserve_request *k, const char *model, const uint8_t *body, size_t size,
                                         int64_t json_size, sw_serve_error *error);
/* A body that is the only input of the model, without any JSON. */
SW_MUST_USE sw_serve_code sw_kserve_read_raw(sw_kserve_request *k, const sw_serve_info *info, const uint8_t *body,
                                             size_t size, sw_serve_error *error);
/* The body of the answer, from request.results. `json_size`: of its JSON; -1 when there is nothing behind it. */
SW_MUST_USE sw_serve_code sw_kserve_write(sw_kserve_request *k, const sw_serve_info *info, sw_buf *body,
                                          int64_t *json_size, sw_serve_error *error);

void sw_kserve_write_error(sw_buf *body, const char *text);
void sw_kserve_write_server(sw_buf *body);
extern const char *const sw_kserve_extensions[]; /* NULL ends them */
void sw_kserve_write_model(const sw_serve_info *info, const int64_t *versions, int n_versions, sw_buf *body);
void sw_kserve_write_index(const sw_serve_index_row *rows, int n, sw_buf *body);
void sw_kserve_write_statistics(const sw_serve_stats *stats, int n, sw_buf *body);
/* {"ready": true} or nothing at all. */
SW_MUST_USE sw_serve_code sw_kserve_read_index(const uint8_t *body, size_t size, bool *ready, sw_serve_error *error);

/* {"key": ..., "offset": ..., "byte_size": ...}: a region to register. The key lives in `arena`. */
SW_MUST_USE sw_serve_code sw_kserve_read_region(const uint8_t *body, size_t size, sw_arena *arena,
                                                sw_region_row *region, sw_serve_error *error);
void sw_kserve_write_regions(const sw_region_row *rows, int n, sw_buf *body);

/* Settings of logging and tracing, by name. Texts live as long as what they were read from or listed from. */
enum { SW_MAX_SETTINGS = 16, SW_MAX_SETTING_VALUES = 4 };
typedef enum sw_setting_kind {
    SW_SETTING_NULL,
    SW_SETTING_BOOL,
    SW_SETTING_NUMBER,
    SW_SETTING_TEXT,
    SW_SETTING_LIST
} sw_setting_kind;
typedef struct sw_setting {
    const char *name;
    sw_setting_kind kind;
    int64_t number; /* BOOL: 0 or 1 */
    int n_values;   /* TEXT: 1 */
    const char *values[SW_MAX_SETTING_VALUES];
} sw_setting;
typedef struct sw_settings {
    int n;
    sw_setting all[SW_MAX_SETTINGS];
} sw_settings;
/* An object of them, or nothing at all; texts are copied to `arena`. */
SW_MUST_USE sw_serve_code sw_kserve_read_settings(const uint8_t *body, size_t size, sw_arena *arena,
                                                  sw_settings *settings, sw_serve_error *error);
void sw_kserve_write_settings(const sw_settings *settings, sw_buf *body);

/* What a request to load or unload a model says besides its name. */
typedef struct sw_kserve_load {
    const char *config; /* NULL: none */
    sw_serve_file *files;
    size_t n_files, cap_files;
    bool unload_dependents;
    sw_arena *arena; /* of all of it but the array; made by the caller */
} sw_kserve_load;
void sw_kserve_load_free(sw_kserve_load *load);
/* A parameter: "config", "file:VERSION/FILE" with the file's bytes, "unload_dependents" (the flag); others mean nothing.
 * `value` is copied. */
SW_MUST_USE sw_serve_code sw_kserve_add_load(sw_kserve_load *load, const char *name, const char *value, size_t size,
                                             bool flag, sw_serve_error *error);
/* {"parameters": {"config": ..., "file:1/model.onnx": base64, "unload_dependents": true}} or nothing at all. */
SW_MUST_USE sw_serve_code sw_kserve_read_load(const uint8_t *body, size_t size, sw_kserve_load *load,
                                              sw_serve_error *error);

#endif
