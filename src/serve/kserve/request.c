#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "serve/kserve/kserve.h"

enum { MEMORY_BYTES = 16 * 1024, SMALL_ALIGN = 16 };

void sw_kserve_clear(sw_kserve_request *k) {
    sw_serve_request *r = &k->request;
    sw_kserve_drop_regions(k);
    *r = (sw_serve_request){.held = r->held};
    k->n_outputs = k->n_parameters = 0;
    k->binary_output = false;
    k->used = 0;
    sw_arena_destroy(k->arena);
    k->arena = NULL;
}

void sw_kserve_free(sw_kserve_request *k) {
    sw_kserve_drop_regions(k);
    sw_serve_request_free(&k->request);
    sw_arena_destroy(k->arena);
    sw_free(NULL, k->memory);
    sw_free(NULL, k->inputs);
    sw_free(NULL, k->outputs);
    sw_free(NULL, (void *)k->wanted);
    *k = (sw_kserve_request){0};
}

/* A block that is kept from request to request, then an arena for what is larger. */
void *sw_kserve_take(sw_kserve_request *k, size_t bytes) {
    size_t align = bytes >= SW_ALIGN ? SW_ALIGN : SMALL_ALIGN, at = (k->used + align - 1) / align * align;
    if (!k->memory) k->memory = sw_alloc(NULL, MEMORY_BYTES);
    if (!k->memory) return NULL;
    if (at <= MEMORY_BYTES && bytes <= MEMORY_BYTES - at) {
        k->used = at + bytes;
        return k->memory + at;
    }
    if (!k->arena) k->arena = sw_arena_create(NULL, 0);
    return k->arena ? sw_arena_alloc(k->arena, 1, bytes) : NULL;
}

const char *sw_kserve_text(sw_kserve_request *k, const char *text, size_t size) {
    char *copy = sw_kserve_take(k, size + 1);
    if (!copy) return NULL;
    memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}

sw_serve_code sw_kserve_no_memory(sw_serve_error *error) {
    return sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "out of memory");
}

/* -- Inputs -------------------------------------------------------------------------------------------------------- */

static void shape_text(const sw_serve_tensor *t, char *text, size_t size) {
    int at = snprintf(text, size, "[");
    for (int i = 0; i < t->rank && at < (int)size; i++)
        at += snprintf(text + at, size - (size_t)at, "%s%lld", i ? "," : "", (long long)t->dims[i]);
    if (at < (int)size) snprintf(text + at, size - (size_t)at, "]");
}

sw_serve_code sw_kserve_measure(const sw_serve_tensor *input, int64_t *count, int64_t *bytes, sw_serve_error *error) {
    char shape[256];
    shape_text(input, shape, sizeof shape);
    *count = 1;
    for (int i = 0; i < input->rank; i++) {
        if (input->dims[i] < 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "shape %s of input '%s' has a negative dimension", shape,
                                 input->name);
        if (__builtin_mul_overflow(*count, input->dims[i], count))
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "shape %s of input '%s' causes total element count to exceed maximum size of %lld",
                                 shape, input->name, (long long)INT64_MAX);
    }
    int64_t size = (int64_t)sw_serve_dtype_size(input->dtype);
    if (__builtin_mul_overflow(*count, size, bytes))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "byte size overflow for input '%s' of shape %s", input->name,
                             shape);
    return SW_SERVE_OK;
}

sw_serve_code sw_kserve_add_input(sw_kserve_request *k, const sw_serve_tensor *input, sw_serve_error *error) {
    int n = k->request.n_inputs;
    void *inputs = k->inputs;
    if (n == SW_KSERVE_MAX_TENSORS)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "the request has too many inputs");
    for (int i = 0; i < n; i++)
        if (!strcmp(k->inputs[i].name, input->name))
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "input '%s' already exists in request", input->name);
    if (sw_grow(NULL, &inputs, &k->cap_inputs, (size_t)n + 1, sizeof *k->inputs, SW_KSERVE_MAX_TENSORS) != SW_OK)
        return sw_kserve_no_memory(error);
    k->inputs = inputs;
    sw_serve_tensor *made = &k->inputs[k->request.n_inputs++];
    *made = *input;
    size_t size = sw_serve_dtype_size(input->dtype);
    if (size > 1 && (uintptr_t)input->data % size && input->bytes) {
        void *moved = sw_kserve_take(k, input->bytes);
        if (!moved) return sw_kserve_no_memory(error);
        made->data = memcpy(moved, input->data, input->bytes);
    }
    return SW_SERVE_OK;
}

/* -- Outputs and parameters ---------------------------------------------------------------------------------------- */

sw_serve_code sw_kserve_add_output(sw_kserve_request *k, sw_kserve_output output, sw_serve_error *error) {
    void *outputs = k->outputs;
    if (k->n_outputs == SW_KSERVE_MAX_TENSORS)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "the request has too many outputs");
    for (int i = 0; i < k->n_outputs; i++)
        if (!strcmp(k->outputs[i].name, output.name))
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "output '%s' already exists in request", output.name);
    if (sw_grow(NULL, &outputs, &k->cap_outputs, (size_t)k->n_outputs + 1, sizeof *k->outputs, SW_KSERVE_MAX_TENSORS) !=
        SW_OK)
        return sw_kserve_no_memory(error);
    k->outputs = outputs;
    k->outputs[k->n_outputs++] = output;
    return SW_SERVE_OK;
}

sw_kserve_output sw_kserve_output_of(const sw_kserve_request *k, int i) {
    if (i < k->n_outputs) return k->outputs[i];
    return (sw_kserve_output){.binary = k->binary_output};
}

sw_serve_code sw_kserve_add_parameter(sw_kserve_request *k, const char *name, const char *value,
                                      sw_serve_error *error) {
    int64_t number = 0;
    if (sw_str_starts_with(name, "triton_"))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "parameter '%.100s': keys starting with 'triton_' are reserved", name);
    bool is_priority = !strcmp(name, "priority"), is_timeout = !strcmp(name, "timeout");
    if (is_priority || is_timeout) {
        if (!sw_str_to_i64(value, strlen(value), &number) || number < 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "parameter '%s' is no whole number of at least 0: '%s'",
                                 name, value);
        if (is_priority) k->request.priority = (uint64_t)number;
        if (is_timeout) k->request.timeout_us = number;
    }
    if (!strcmp(name, "binary_data_output")) k->binary_output = !strcmp(value, "true");
    if (k->n_parameters == SW_KSERVE_MAX_PARAMETERS)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "the request has too many parameters");
    k->parameters[k->n_parameters++] = (sw_kserve_parameter){name, value};
    return SW_SERVE_OK;
}

const char *sw_kserve_parameter_of(void *ctx, const char *name) {
    const sw_kserve_request *k = ctx;
    for (int i = 0; i < k->n_parameters; i++)
        if (!strcmp(k->parameters[i].name, name)) return k->parameters[i].value;
    return NULL;
}

sw_serve_code sw_kserve_finish(sw_kserve_request *k, sw_serve_error *error) {
    void *wanted = (void *)k->wanted;
    if (sw_grow(NULL, &wanted, &k->cap_wanted, (size_t)k->n_outputs, sizeof *k->wanted, SW_KSERVE_MAX_TENSORS) != SW_OK)
        return sw_kserve_no_memory(error);
    k->wanted = wanted;
    for (int i = 0; i < k->n_outputs; i++) k->wanted[i] = k->outputs[i].name;
    k->request.inputs = k->inputs;
    k->request.wanted = k->wanted;
    k->request.n_wanted = k->n_outputs;
    return SW_SERVE_OK;
}

/* -- Loading ------------------------------------------------------------------------------------------------------- */

void sw_kserve_load_free(sw_kserve_load *load) {
    sw_free(NULL, load->files);
    sw_arena_destroy(load->arena);
    *load = (sw_kserve_load){0};
}

sw_serve_code sw_kserve_add_load(sw_kserve_load *load, const char *name, const char *value, size_t size, bool flag,
                                 sw_serve_error *error) {
    if (!strcmp(name, "unload_dependents")) load->unload_dependents = flag;
    bool is_config = !strcmp(name, "config"), is_file = sw_str_starts_with(name, "file:");
    if (!strcmp(name, "unload_dependents")) return SW_SERVE_OK;
    if (!is_config && !is_file)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "unknown parameter '%.100s'; config, file:VERSION/NAME and unload_dependents are known",
                             name);
    if (!value) return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "parameter '%s' must be a string", name);
    char *copy = sw_arena_alloc(load->arena, size + 1, 1);
    if (!copy) return sw_kserve_no_memory(error);
    memcpy(copy, value, size);
    if (is_config) {
        load->config = copy;
        return SW_SERVE_OK;
    }
    void *files = load->files;
    if (sw_grow(NULL, &files, &load->cap_files, load->n_files + 1, sizeof *load->files, SW_KSERVE_MAX_TENSORS) != SW_OK)
        return sw_kserve_no_memory(error);
    load->files = files;
    const char *path = sw_arena_strdup(load->arena, name + strlen("file:"));
    if (!path) return sw_kserve_no_memory(error);
    load->files[load->n_files++] = (sw_serve_file){path, copy, size};
    return SW_SERVE_OK;
}
