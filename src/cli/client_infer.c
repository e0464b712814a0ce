/* slipway client: arrays from files, and one request with them. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "cli/arrays.h"
#include "cli/client.h"
#include "serve/client/load.h"
#include "serve/core.h"

/* -- What is sent ---------------------------------------------------------------------------------------------------- */

/* The input of a word NAME=FILE, or of a file alone where there is one input. */
static sw_client_port *find_input(sw_client *c, const char *word, const char **path) {
    for (int i = 0; i < c->n_inputs; i++) {
        const char *name = c->inputs[i].name;
        if (!name || !sw_str_starts_with(word, name) || word[strlen(name)] != '=') continue;
        *path = word + strlen(name) + 1;
        return &c->inputs[i];
    }
    *path = word;
    return c->n_inputs == 1 && !strchr(word, '=') ? &c->inputs[0] : NULL;
}

static sw_status fail_input(sw_client *c, const char *word) {
    char names[256] = "";
    size_t n = 0;
    for (int i = 0; i < c->n_inputs && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "",
                              c->inputs[i].name ? c->inputs[i].name : "?");
    return sw_fail(c->diag, SW_E_USAGE, "--input", "write INPUT=FILE", "'%s' names no input of the model; there are %s",
                   word, names);
}

/* Any file as one text: its length in four bytes, and its bytes. */
static sw_status read_text(sw_client *c, const char *path, sw_client_port *in) {
    sw_buf file = sw_buf_make(NULL, UINT32_MAX);
    sw_status status = sw_file_read(path, c->diag, &file);
    if (status == SW_OK) in->data = sw_alloc(NULL, file.size + 4);
    if (status == SW_OK && !in->data) status = SW_E_NOMEM;
    if (status == SW_OK) {
        uint8_t *to = in->data;
        for (int i = 0; i < 4; i++) to[i] = (uint8_t)(file.size >> 8 * i);
        if (file.size) memcpy(to + 4, file.data, file.size);
        in->bytes = file.size + 4;
        for (int i = 0; i < in->rank; i++) in->dims[i] = 1;
    }
    sw_buf_free(&file);
    return status;
}

static sw_status read_array(sw_client *c, const char *path, sw_client_port *in) {
    sw_tensor array;
    SW_TRY(sw_arrays_read(path, c->console, &array));
    in->data = array.data;
    in->bytes = (size_t)sw_tensor_bytes(&array);
    in->dtype = (int)array.dtype;
    in->rank = array.rank;
    memcpy(in->dims, array.dims, sizeof in->dims);
    return SW_OK;
}

sw_status sw_client_read_inputs(sw_client *c) {
    sw_given given = sw_args_all(c->args, "input");
    for (int i = 0; i < given.n; i++) {
        const char *path;
        sw_client_port *in = find_input(c, given.values[i], &path);
        if (!in) return fail_input(c, given.values[i]);
        if (in->data) return sw_fail(c->diag, SW_E_USAGE, "--input", NULL, "the input '%s' is given twice", in->name);
        SW_TRY(in->dtype == SW_SERVE_BYTES ? read_text(c, path, in) : read_array(c, path, in));
    }
    return SW_OK;
}

/* -- What comes back ------------------------------------------------------------------------------------------------- */

/* The outputs of the JSON at the beginning of an answer; their bytes follow it, in order, up to its end. */
static sw_status read_outputs(sw_client *c, const sw_buf *answer, sw_client_port outputs[SW_CLIENT_MAX_PORTS], int *n) {
    sw_json_reader r;
    sw_json_event e;
    sw_json_reader_init(&r, answer->data, answer->size, NULL, "the server's answer", c->diag);
    sw_status status = sw_json_next(&r, &e);
    while (status == SW_OK && (status = sw_json_next(&r, &e)) == SW_OK && e.type == SW_JSON_KEY) {
        if (strcmp(e.text, "outputs") != 0) {
            status = sw_json_skip(&r, &e);
            continue;
        }
        status = sw_json_next(&r, &e);
        while (status == SW_OK && (status = sw_json_next(&r, &e)) == SW_OK && e.type == SW_JSON_OBJECT &&
               *n < SW_CLIENT_MAX_PORTS)
            status = sw_client_read_port(c, &r, &outputs[(*n)++]);
    }
    sw_json_reader_free(&r);
    size_t all = 0;
    for (int i = 0; i < *n; i++)
        all = outputs[i].bytes > answer->size - all ? answer->size + 1 : all + outputs[i].bytes;
    for (int i = 0; status == SW_OK && i < *n; i++)
        if (!outputs[i].name || outputs[i].dtype == SW_DTYPE_NONE || all > answer->size)
            return sw_fail(c->diag, SW_E_INPUT, c->host, NULL, "output %d of the answer is not understood", i);
    char *at = (char *)answer->data + answer->size - all;
    for (int i = 0; status == SW_OK && i < *n; at += outputs[i++].bytes) outputs[i].data = at;
    return status;
}

/* "LABELS: person, bus": the first few of an output's texts. */
static void print_texts(sw_client *c, const sw_client_port *out) {
    enum { MOST = 16, WIDEST = 60 };
    const uint8_t *at = out->data, *end = at + out->bytes;
    sw_print(c->console, "%s:", out->name);
    for (int i = 0; end - at >= 4; i++) {
        size_t n = at[0] | at[1] << 8 | at[2] << 16 | (size_t)at[3] << 24;
        at += 4;
        if (n > (size_t)(end - at)) break;
        if (i == MOST) sw_print(c->console, ", ...");
        if (i < MOST) sw_print(c->console, "%s %.*s", i ? "," : "", (int)(n < WIDEST ? n : WIDEST), (const char *)at);
        at += n;
    }
    sw_print(c->console, "\n");
}

static sw_status show(sw_client *c, const sw_client_port *outputs, int n, double ms) {
    sw_named *named = SW_ARENA_ARRAY(c->args->arena, sw_named, n + 1);
    if (!named) return SW_E_NOMEM;
    for (int i = 0; i < n; i++) {
        const sw_client_port *out = &outputs[i];
        bool text = out->dtype == SW_SERVE_BYTES;
        named[i] = (sw_named){out->name, {.dtype = text ? SW_DTYPE_NONE : (sw_dtype)out->dtype, .rank = out->rank}};
        memcpy(named[i].type.dims, out->dims, sizeof out->dims);
        if (!text && sw_tensor_bytes(&named[i].type) != (int64_t)out->bytes)
            return sw_fail(c->diag, SW_E_INPUT, c->host, NULL, "output '%s' has %zu bytes, which is not its shape",
                           out->name, out->bytes);
        /* Numbers lie anywhere in the answer. */
        void *copy = text ? NULL : sw_arena_alloc(c->args->arena, out->bytes + 1, SW_ALIGN);
        if (copy) memcpy(copy, out->data, out->bytes);
        named[i].type.data = copy;
        if (!text && !copy) return SW_E_NOMEM;
    }
    for (int i = 0; i < n && !c->console->quiet; i++)
        if (named[i].type.dtype == SW_DTYPE_NONE) print_texts(c, &outputs[i]);
    return sw_arrays_show(c->args, named, n, ms, c->console);
}

sw_status sw_client_once(sw_client *c) {
    sw_client_port outputs[SW_CLIENT_MAX_PORTS] = {{0}};
    sw_buf answer = sw_buf_make(NULL, 0);
    int code = 0, n = 0;
    int64_t begin = sw_clock_ns();
    sw_status status = sw_client_ask(c->host, c->http_port, c->request.data, c->request.size, c->diag, &answer, &code);
    double ms = (double)(sw_clock_ns() - begin) / 1e6;
    if (status == SW_OK && code != 200)
        status = sw_fail(c->diag, SW_E_INPUT, c->host, NULL, "%d %s", code, sw_buf_text(&answer));
    if (status == SW_OK) status = read_outputs(c, &answer, outputs, &n);
    if (status == SW_OK) status = show(c, outputs, n, ms);
    sw_buf_free(&answer);
    return status;
}
