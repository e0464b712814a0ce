/* TensorFlow Lite models out: schema version 3, channels-last maps, Ultralytics' metadata in an appended zip archive. */
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "base/zip.h"
#include "export/tflite/model.h"

static const sw_tfw_row *row_of(sw_op op) {
    const sw_tfw_row *const tables[] = {sw__tfw_spatial, sw__tfw_element, sw__tfw_move, sw__tfw_index};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const sw_tfw_row *row = tables[i]; row->write; row++)
            if (row->op == op) return row;
    return NULL;
}

bool sw_tflite_knows(sw_op op) {
    return row_of(op) || sw__tfw_composes(op);
}

/* ---- From nodes to operators --------------------------------------------------------------------------------------- */

/* Models that came from such a file have their ports in its order already. */
static sw_axes port_axes(const sw_graph *graph, const sw_value *v) {
    return v->type.rank == 4 && !sw_str_starts_with(graph->format, "TensorFlow Lite") ? sw_axes_channels_last(4)
                                                                                      : sw_axes_plain(v->type.rank);
}

static sw_status check(const sw_tfw *w) {
    bool known = true;
    for (int i = 0; i < w->graph->n_inputs; i++) known = known && sw_tensor_is_concrete(&w->graph->inputs[i]->type);
    for (const sw_node *node = w->graph->first; node; node = node->next)
        for (int i = 0; i < node->n_in + node->n_out; i++) {
            const sw_value *v = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
            if (!v || (i >= node->n_in && !v->uses)) continue;
            if (!sw_tensor_is_concrete(&v->type))
                return sw_fail(w->diag, SW_E_UNSUPPORTED, NULL,
                               known ? "write it with --to onnx" : "give the sizes with --imgsz and --batch",
                               "the size of '%s' %s, and TensorFlow Lite files have fixed sizes", v->name,
                               known ? "depends on the data" : "is not known");
        }
    return SW_OK;
}

static void find_readers(sw_tfw *w) {
    for (sw_node *node = w->graph->first; node; node = node->next)
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i]) w->readers[node->in[i]->id] = node->in[i]->uses == 1 ? node : NULL;
    for (int i = 0; i < w->graph->n_outputs; i++) w->readers[w->graph->outputs[i]->id] = NULL;
}

static void write_nodes(sw_tfw *w) {
    for (sw_node *node = w->graph->first; node && w->status == SW_OK; node = node->next) {
        const sw_tfw_row *row = row_of(node->op);
        w->node = node;
        if (node->out[0] && w->fused[node->out[0]->id]) continue;
        if (row)
            row->write(w, node, row->arg);
        else
            sw__tfw_refuse(w, NULL);
    }
}

/* ---- The FlatBuffer ------------------------------------------------------------------------------------------------- */

static int type_number(sw_dtype dtype) {
    switch (dtype) {
    case SW_F32:
        return 0;
    case SW_F16:
        return 1;
    case SW_I32:
        return 2;
    case SW_U8:
        return 3;
    case SW_I64:
        return 4;
    case SW_BOOL:
        return 6;
    case SW_I16:
        return 7;
    case SW_I8:
        return 9;
    default:
        return -1;
    }
}

static void put_list(sw_fb_writer *fb, size_t hole, const int32_t *v, int n) {
    sw_fb_link(fb, hole, sw_fb_put_vector(fb, v, (size_t)n, 4, 4));
}

static void put_tensors(sw_tfw *w, sw_fb_writer *fb, size_t hole, const int32_t *numbers, size_t count) {
    size_t list = sw_fb_put_vector(fb, NULL, count, 4, 4), at[4];
    int32_t buffer = 0, dims[SW_MAX_RANK];
    sw_fb_link(fb, hole, list);
    for (size_t i = 0; i < w->n_tensors && w->status == SW_OK; i++) {
        const sw_tfw_tensor *t = &w->tensors[i];
        if (numbers[i] < 0) continue;
        if (type_number(t->type.dtype) < 0)
            w->status =
                sw_fail(w->diag, SW_E_UNSUPPORTED, NULL, NULL, "'%s' is %s, which TensorFlow Lite files do not hold",
                        t->name, sw_dtype_name(t->type.dtype));
        const sw_fb_field fields[] = {SW_FB_OFFSET(0), SW_FB_I8(1, type_number(t->type.dtype)),
                                      SW_FB_I32(2, t->type.data ? ++buffer : 0), SW_FB_OFFSET(3)};
        sw_fb_link(fb, list + 4 + 4 * (size_t)numbers[i], sw_fb_put_table(fb, fields, 4, at));
        for (int k = 0; k < t->type.rank; k++) dims[k] = (int32_t)t->type.dims[k];
        put_list(fb, at[0], dims, t->type.rank);
        sw_fb_link(fb, at[3], sw_fb_put_text(fb, t->name));
    }
}

/* Distinct pairs of code and version. */
static int32_t code_of(sw_tfw *w, int32_t (*codes)[2], int32_t *n, const sw_tfw_operator *op) {
    for (int32_t i = 0; i < *n; i++)
        if (codes[i][0] == op->code && codes[i][1] == op->version) return i;
    codes[*n][0] = op->code;
    codes[*n][1] = op->version;
    return (*n)++;
}

static void put_operators(sw_tfw *w, sw_fb_writer *fb, size_t hole, const int32_t *numbers, int32_t (*codes)[2],
                          int32_t *n_codes) {
    size_t list = sw_fb_put_vector(fb, NULL, w->n_operators, 4, 4), at[5];
    sw_fb_link(fb, hole, list);
    for (size_t i = 0; i < w->n_operators; i++) {
        sw_tfw_operator *op = &w->operators[i];
        for (int k = 0; k < op->n_in + op->n_out; k++)
            if (op->ports[k] >= 0) op->ports[k] = numbers[op->ports[k]];
        const sw_fb_field fields[] = {SW_FB_I32(0, code_of(w, codes, n_codes, op)), SW_FB_OFFSET(1), SW_FB_OFFSET(2),
                                      SW_FB_I8(3, op->options), SW_FB_OFFSET(4)};
        sw_fb_link(fb, list + 4 + 4 * i, sw_fb_put_table(fb, fields, op->options ? 5 : 3, at));
        put_list(fb, at[1], op->ports, op->n_in);
        put_list(fb, at[2], op->ports + op->n_in, op->n_out);
        if (op->options) sw_fb_link(fb, at[4], sw_fb_put_table(fb, op->fields, op->n_fields, NULL));
    }
}

static void put_codes(sw_fb_writer *fb, size_t hole, int32_t (*codes)[2], int32_t n) {
    size_t list = sw_fb_put_vector(fb, NULL, (size_t)n, 4, 4);
    sw_fb_link(fb, hole, list);
    for (int32_t i = 0; i < n; i++) {
        /* Old readers look at the first slot, which ends at 127. */
        const sw_fb_field fields[] = {SW_FB_I8(0, codes[i][0] < 127 ? codes[i][0] : 127), SW_FB_I32(2, codes[i][1]),
                                      SW_FB_I32(3, codes[i][0])};
        sw_fb_link(fb, list + 4 + 4 * (size_t)i, sw_fb_put_table(fb, fields, 3, NULL));
    }
}

static void put_maps(sw_fb_writer *fb, size_t hole, sw_value *const *values, int n, const int32_t *numbers) {
    size_t list = sw_fb_put_vector(fb, NULL, (size_t)n, 4, 4), at[2];
    sw_fb_link(fb, hole, list);
    for (int i = 0; i < n; i++) {
        const sw_fb_field fields[] = {SW_FB_OFFSET(0), SW_FB_I32(1, numbers[i])};
        sw_fb_link(fb, list + 4 + 4 * (size_t)i, sw_fb_put_table(fb, fields, 2, at));
        sw_fb_link(fb, at[0], sw_fb_put_text(fb, values[i]->name));
    }
}

static void put_signature(sw_tfw *w, sw_fb_writer *fb, size_t hole, const int32_t *inputs, const int32_t *outputs) {
    size_t list = sw_fb_put_vector(fb, NULL, 1, 4, 4), at[3];
    const sw_fb_field fields[] = {SW_FB_OFFSET(0), SW_FB_OFFSET(1), SW_FB_OFFSET(2)};
    sw_fb_link(fb, hole, list);
    sw_fb_link(fb, list + 4, sw_fb_put_table(fb, fields, 3, at));
    put_maps(fb, at[0], w->graph->inputs, w->graph->n_inputs, inputs);
    put_maps(fb, at[1], w->graph->outputs, w->graph->n_outputs, outputs);
    sw_fb_link(fb, at[2], sw_fb_put_text(fb, "serving_default"));
}

static void put_buffers(sw_tfw *w, sw_fb_writer *fb, size_t hole, const int32_t *numbers, size_t count) {
    const sw_fb_field data = SW_FB_OFFSET(0);
    size_t list = sw_fb_put_vector(fb, NULL, count, 4, 4), at, k = 0;
    sw_fb_link(fb, hole, list);
    sw_fb_link(fb, list + 4, sw_fb_put_table(fb, NULL, 0, NULL)); /* number 0 is the empty one */
    for (size_t i = 0; i < w->n_tensors; i++) {
        const sw_tensor *t = &w->tensors[i].type;
        if (numbers[i] < 0 || !t->data) continue;
        sw_fb_link(fb, list + 4 + 4 * ++k, sw_fb_put_table(fb, &data, 1, &at));
        sw_fb_link(fb, at, sw_fb_put_vector(fb, t->data, (size_t)sw_tensor_bytes(t), 1, 16));
    }
}

sw_status sw__tfw_serialise(sw_tfw *w, const int32_t *inputs, const int32_t *outputs, sw_fb_writer *fb) {
    int32_t *numbers = SW_ARENA_ARRAY(w->scratch, int32_t, w->n_tensors + 1), n_codes = 0;
    int32_t(*codes)[2] = sw_arena_alloc(w->scratch, w->n_operators + 1, sizeof *codes);
    int n_in = w->graph->n_inputs, n_out = w->graph->n_outputs;
    int32_t *ports = SW_ARENA_ARRAY(w->scratch, int32_t, n_in + n_out + 1);
    size_t model[6], sub[5], count = 0, buffers = 1;
    if (!numbers || !codes || !ports) return SW_E_NOMEM;
    for (size_t i = 0; i < w->n_tensors; i++) {
        numbers[i] = w->tensors[i].referenced ? (int32_t)count++ : -1;
        buffers += w->tensors[i].referenced && w->tensors[i].type.data;
    }
    for (int i = 0; i < n_in; i++) ports[i] = numbers[inputs[i]];
    for (int i = 0; i < n_out; i++) ports[n_in + i] = numbers[outputs[i]];
    const sw_fb_field fields[] = {SW_FB_I32(SW_TFL_MODEL_VERSION, 3),   SW_FB_OFFSET(SW_TFL_MODEL_CODES),
                                  SW_FB_OFFSET(SW_TFL_MODEL_SUBGRAPHS), SW_FB_OFFSET(SW_TFL_MODEL_DESCRIPTION),
                                  SW_FB_OFFSET(SW_TFL_MODEL_BUFFERS),   SW_FB_OFFSET(SW_TFL_MODEL_SIGNATURES)};
    const sw_fb_field parts[] = {SW_FB_OFFSET(0), SW_FB_OFFSET(1), SW_FB_OFFSET(2), SW_FB_OFFSET(3), SW_FB_OFFSET(4)};
    size_t root = sw_fb_begin(fb, SW_TFL_IDENTIFIER);
    sw_fb_link(fb, root, sw_fb_put_table(fb, fields, 6, model));
    size_t graphs = sw_fb_put_vector(fb, NULL, 1, 4, 4);
    sw_fb_link(fb, model[2], graphs);
    sw_fb_link(fb, graphs + 4, sw_fb_put_table(fb, parts, 5, sub));
    put_tensors(w, fb, sub[0], numbers, count);
    put_list(fb, sub[1], ports, n_in);
    put_list(fb, sub[2], ports + n_in, n_out);
    put_operators(w, fb, sub[3], numbers, codes, &n_codes);
    sw_fb_link(fb, sub[4], sw_fb_put_text(fb, "main"));
    put_codes(fb, model[1], codes, n_codes);
    sw_fb_link(fb, model[3], sw_fb_put_text(fb, "Slipway"));
    put_signature(w, fb, model[5], ports, ports + n_in);
    put_buffers(w, fb, model[4], numbers, buffers);
    return w->status != SW_OK ? w->status : fb->buf.status;
}

/* ---- The archive behind it ------------------------------------------------------------------------------------------- */

static void put_le(sw_buf *buf, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) sw_buf_append_byte(buf, (uint8_t)(v >> (8 * i)));
}

/* What the local and the central header share: version to unpack, flags, stored, the first of January 1980, checksum, sizes. */
static void put_entry(sw_buf *buf, const sw_buf *text, const char *name) {
    put_le(buf, 20, 2);
    put_le(buf, 0, 2 + 2 + 2);
    put_le(buf, 1 << 5 | 1, 2);
    put_le(buf, sw_crc32(text->data, text->size), 4);
    put_le(buf, text->size, 4);
    put_le(buf, text->size, 4);
    put_le(buf, strlen(name), 2);
    put_le(buf, 0, 2);
}

/* Offsets count from the beginning of the file, as Python's zipfile does. */
static void append_metadata(const sw_graph *graph, sw_buf *buf) {
    static const char name[] = "metadata.json";
    sw_buf text = sw_buf_make(graph->allocator, 0);
    sw_export_meta_json(graph, &text);
    size_t local = buf->size;
    sw_buf_append(buf, "PK\3\4", 4);
    put_entry(buf, &text, name);
    sw_buf_append_text(buf, name);
    sw_buf_append(buf, text.data, text.size);
    size_t central = buf->size;
    sw_buf_append(buf, "PK\1\2", 4);
    put_le(buf, 20, 2);
    put_entry(buf, &text, name);
    put_le(buf, 0, 2 + 2 + 2);
    put_le(buf, (uint64_t)0644 << 16, 4);
    put_le(buf, local, 4);
    sw_buf_append_text(buf, name);
    size_t end = buf->size;
    sw_buf_append(buf, "PK\5\6", 4);
    put_le(buf, 0, 4);
    put_le(buf, 1, 2);
    put_le(buf, 1, 2);
    put_le(buf, end - central, 4);
    put_le(buf, central, 4);
    put_le(buf, 0, 2);
    if (text.status != SW_OK) buf->status = text.status;
    sw_buf_free(&text);
}

/* ---- The whole ------------------------------------------------------------------------------------------------------- */

static sw_status gather(sw_tfw *w, sw_fb_writer *fb) {
    sw_graph *graph = w->graph;
    size_t n = graph->n_values + 1;
    int32_t *inputs = SW_ARENA_ARRAY(w->scratch, int32_t, graph->n_inputs + 1);
    int32_t *outputs = SW_ARENA_ARRAY(w->scratch, int32_t, graph->n_outputs + 1);
    w->forms = SW_ARENA_ARRAY(w->scratch, sw_tfw_forms, n);
    w->readers = SW_ARENA_ARRAY(w->scratch, sw_node *, n);
    w->fused = SW_ARENA_ARRAY(w->scratch, bool, n);
    if (!inputs || !outputs || !w->forms || !w->readers || !w->fused) return SW_E_NOMEM;
    SW_TRY(check(w));
    find_readers(w);
    for (int i = 0; i < graph->n_inputs; i++) {
        if (!sw_tensor_is_concrete(&graph->inputs[i]->type))
            return sw_fail(w->diag, SW_E_UNSUPPORTED, NULL, "give the sizes with --imgsz and --batch",
                           "the size of input '%s' is not known, and TensorFlow Lite files have fixed sizes",
                           graph->inputs[i]->name);
        inputs[i] = sw__tfw_out(w, graph->inputs[i], port_axes(graph, graph->inputs[i]));
        if (inputs[i] >= 0) w->tensors[inputs[i]].referenced = true;
    }
    write_nodes(w);
    for (int i = 0; i < graph->n_outputs && w->status == SW_OK; i++) {
        w->node = graph->outputs[i]->producer;
        outputs[i] = sw__tfw_as(w, graph->outputs[i], port_axes(graph, graph->outputs[i]));
        if (outputs[i] >= 0) w->tensors[outputs[i]].referenced = true;
    }
    if (w->status != SW_OK) return w->status;
    return sw__tfw_serialise(w, inputs, outputs, fb);
}

sw_status sw_tflite_write(sw_graph *graph, const sw_export_options *options, const char *path, const sw_diag *diag) {
    enum { OPSET = 20 }; /* the operators from which the tables above start */
    sw_tfw w = {.graph = graph, .options = options, .diag = diag, .scratch = sw_arena_create(graph->allocator, 0)};
    sw_fb_writer fb = sw_fb_writer_make(graph->allocator);
    sw_status status = w.scratch ? sw_export_lower(graph, OPSET, diag) : SW_E_NOMEM;
    if (status == SW_OK) status = sw_graph_infer(graph, diag);
    if (status == SW_OK) status = sw__tfw_compose(graph, diag);
    if (status == SW_OK) status = sw_export_coordinates(graph, true);
    if (status == SW_OK) status = gather(&w, &fb);
    if (status == SW_OK && graph->n_meta) append_metadata(graph, &fb.buf);
    if (status == SW_OK) status = fb.buf.status;
    if (status == SW_E_NOMEM) sw_fail(diag, status, NULL, NULL, "out of memory");
    if (status == SW_E_LIMIT)
        sw_fail(diag, status, NULL, "write it with --half, or to another format",
                "the model is larger than the 2 GiB that a TensorFlow Lite file can have");
    if (status == SW_OK) status = sw_file_write(path, fb.buf.data, fb.buf.size, diag);
    if (status == SW_OK) sw_info(diag, NULL, "%d transposes", w.transposes);
    if (options->transposes) *options->transposes = w.transposes;
    sw_free(graph->allocator, w.tensors);
    sw_free(graph->allocator, w.operators);
    sw_arena_destroy(w.scratch);
    sw_fb_writer_free(&fb);
    return status;
}
