/* Whether a request is one that its model takes. Sentences as Triton's, which clients' tests look for. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/internal.h"

enum { SHAPE_TEXT = 200, NAMES_TEXT = 160 };

const char *sw__serve_id_text(const sw_serve_request *request, char text[SW__ID_TEXT]) {
    snprintf(text, SW__ID_TEXT, "[request id: %.60s] ", request->id && *request->id ? request->id : "<id_unknown>");
    return text;
}

static const char *shape_text(int rank, const int64_t *dims, char text[SHAPE_TEXT]) {
    size_t at = (size_t)snprintf(text, SHAPE_TEXT, "[");
    for (int i = 0; i < rank && at < SHAPE_TEXT - 24; i++)
        at += (size_t)snprintf(text + at, SHAPE_TEXT - at, "%s%" PRId64, i ? "," : "", dims[i]);
    snprintf(text + at, SHAPE_TEXT - at, "]");
    return text;
}

static int find_port(const sw_serve_port *ports, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(ports[i].name, name) == 0) return i;
    return -1;
}

static void add_name(char *text, const char *name) {
    size_t at = strlen(text);
    snprintf(text + at, NAMES_TEXT - at, "%s'%s'", at > 1 ? "," : "", name);
}

static sw_serve_code wrong_number(const sw_serve_request *r, const sw_serve_tensor **inputs, int required,
                                  sw_serve_error *error) {
    const sw_serve_info *info = &r->model->info;
    char got[NAMES_TEXT] = "[", missing[NAMES_TEXT] = "[", id[SW__ID_TEXT], expected[64];
    for (int i = 0; i < r->n_inputs; i++) add_name(got, r->inputs[i].name);
    for (int i = 0; i < info->n_inputs; i++)
        if (!inputs[i] && !info->inputs[i].optional) add_name(missing, info->inputs[i].name);
    if (required == info->n_inputs)
        snprintf(expected, sizeof expected, "expected %d", required);
    else
        snprintf(expected, sizeof expected, "expected number of inputs between %d and %d", required, info->n_inputs);
    return sw_serve_fail(
        error, SW_SERVE_INVALID_ARG,
        "%s%s%s but got %d inputs for model '%s'. Got input(s) %s], but missing required input(s) %s]. "
        "Please provide all required input(s).",
        sw__serve_id_text(r, id), expected, required == info->n_inputs ? " inputs" : "", r->n_inputs, info->name, got,
        missing);
}

static sw_serve_code check_shape(const sw_serve_request *r, const sw_serve_port *port, const sw_serve_tensor *t,
                                 sw_serve_error *error) {
    const sw_serve_info *info = &r->model->info;
    bool fits = t->rank == port->rank || port->loose;
    for (int i = 0; fits && i < t->rank; i++)
        fits = t->dims[i] >= 0 && (port->loose || port->dims[i] < 0 || port->dims[i] == t->dims[i]);
    if (fits) return SW_SERVE_OK;
    char expected[SHAPE_TEXT], got[SHAPE_TEXT], id[SW__ID_TEXT];
    return sw_serve_fail(
        error, SW_SERVE_INVALID_ARG, "%sunexpected shape for input '%s' for model '%s'. Expected %s, got %s.%s",
        sw__serve_id_text(r, id), port->name, info->name, shape_text(port->rank, port->dims, expected),
        shape_text(t->rank, t->dims, got),
        info->max_batch_size && t->rank == port->rank - 1
            ? " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be "
              "prepended to each input shape."
            : "");
}

static sw_serve_code check_bytes(const sw_serve_request *r, const sw_serve_tensor *t, sw_serve_error *error) {
    const char *model = r->model->info.name;
    char id[SW__ID_TEXT];
    int64_t count = sw__serve_count(t->rank, t->dims), bytes;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)sw_serve_dtype_size(t->dtype), &bytes))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "%sinput '%s' for model '%s' has more elements than can be addressed",
                             sw__serve_id_text(r, id), t->name, model);
    if (t->dtype == SW_SERVE_BYTES) {
        bytes = sw__serve_texts_bytes(t->data, t->bytes, count);
        if (bytes < 0 || (uint64_t)bytes != t->bytes)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "%sexpected %" PRId64
                                 " string elements for inference input '%s' for model '%s', whose lengths "
                                 "do not add up to its %zu bytes",
                                 sw__serve_id_text(r, id), count, t->name, model, t->bytes);
    } else if ((uint64_t)bytes != t->bytes) {
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "%sinput byte size mismatch for input '%s' for model '%s'. Expected %" PRId64 ", got %zu",
                             sw__serve_id_text(r, id), t->name, model, bytes, t->bytes);
    }
    return SW_SERVE_OK;
}

static sw_serve_code check_batch(const sw_serve_request *r, const sw_serve_tensor *t, int64_t *batch,
                                 sw_serve_error *error) {
    const sw_serve_info *info = &r->model->info;
    char id[SW__ID_TEXT];
    if (*batch < 0) *batch = t->dims[0];
    if (*batch != t->dims[0])
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "%sinput '%s' batch size does not match other inputs for '%s'", sw__serve_id_text(r, id),
                             t->name, info->name);
    /* An ensemble may have made more rows than clients may send: they are computed as one batch. */
    bool inner = ((sw__held *)r->held)->depth > 0;
    if (*batch < 1 || (*batch > info->max_batch_size && !inner))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "%sinference request batch-size must be %s %d for '%s'",
                             sw__serve_id_text(r, id), *batch < 1 ? ">=" : "<=", *batch < 1 ? 1 : info->max_batch_size,
                             info->name);
    return SW_SERVE_OK;
}

static sw_serve_code check_input(const sw_serve_request *r, const sw_serve_port *port, const sw_serve_tensor *t,
                                 int64_t *batch, sw_serve_error *error) {
    const sw_serve_info *info = &r->model->info;
    char id[SW__ID_TEXT];
    if (t->dtype != port->dtype && !port->loose)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "%sinference input '%s' data-type is '%s', but model '%s' expects '%s'",
                             sw__serve_id_text(r, id), port->name, sw_serve_dtype_name(t->dtype), info->name,
                             sw_serve_dtype_name(port->dtype));
    sw_serve_code code = check_shape(r, port, t, error);
    if (code == SW_SERVE_OK && info->max_batch_size) code = check_batch(r, t, batch, error);
    return code == SW_SERVE_OK ? check_bytes(r, t, error) : code;
}

static sw_serve_code check_wanted(const sw_serve_request *r, sw_serve_error *error) {
    const sw_serve_info *info = &r->model->info;
    char id[SW__ID_TEXT];
    for (int i = 0; i < r->n_wanted; i++) {
        if (find_port(info->outputs, info->n_outputs, r->wanted[i]) < 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "%sunexpected inference output '%s' for model '%s'",
                                 sw__serve_id_text(r, id), r->wanted[i], info->name);
        for (int j = 0; j < i; j++)
            if (strcmp(r->wanted[i], r->wanted[j]) == 0)
                return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "output '%s' already exists in request",
                                     r->wanted[i]);
    }
    return SW_SERVE_OK;
}

sw_serve_code sw__serve_check(const sw_serve_request *r, sw__held *held, sw_serve_error *error) {
    const sw_serve_tensor **inputs = held->inputs;
    int64_t *batch = &held->rows;
    const sw_serve_info *info = &r->model->info;
    char id[SW__ID_TEXT];
    int required = 0, given = 0;
    for (int i = 0; i < info->n_inputs; i++) {
        inputs[i] = NULL;
        required += !info->inputs[i].optional;
    }
    for (int i = 0; i < r->n_inputs; i++) {
        int at = find_port(info->inputs, info->n_inputs, r->inputs[i].name);
        if (at < 0 && r->n_inputs <= info->n_inputs)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "%sunexpected inference input '%s' for model '%s'",
                                 sw__serve_id_text(r, id), r->inputs[i].name, info->name);
        if (at >= 0 && inputs[at])
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "input '%s' already exists in request",
                                 r->inputs[i].name);
        if (at < 0) return wrong_number(r, inputs, required, error);
        inputs[at] = &r->inputs[i];
        given += !info->inputs[at].optional;
    }
    if (given < required) return wrong_number(r, inputs, required, error);
    *batch = -1;
    for (int i = 0; i < info->n_inputs; i++) {
        if (!inputs[i]) continue;
        sw_serve_code code = check_input(r, &info->inputs[i], inputs[i], batch, error);
        if (code != SW_SERVE_OK) return code;
    }
    if (*batch < 0) *batch = 1;
    return check_wanted(r, error);
}
