/* ModelProto out (onnx.proto, field numbers there). Weights are not copied: the sizes of all messages are known before the
 * first byte is written, then headers and data follow each other. */
#include <string.h>

#include "base/minifloat.h"
#include "base/os.h"
#include "base/pb.h"
#include "export/onnx/onnx.h"

enum {
    ALIGNMENT = 4096,      /* of external tensors, so that they can be mapped */
    EXTERNAL_LEAST = 1024, /* smaller ones stay in the model */
    IR_VERSION_8 = 8,
    MAX_PROTO = 0x7fffffff - (16 << 20) /* of a protobuf, less room for what is no weight */
};

typedef struct writer {
    sw_graph *graph;
    const sw_diag *diag;
    const char *path, *data_name; /* data_name: of the file with external data; NULL: none */
    int opset;
    sw_buf nodes, ports, head, tail, scratch;
    const sw_value **weights; /* in the order of their first use */
    sw_tensor *stored;        /* their elements as they lie in the file */
    int n_weights;
    bool *seen;         /* by value id */
    const char **names; /* of nodes: open addressing */
    size_t cap_names;
    const char **called; /* of a graph within: by value id, what its values are called in the file */
    int64_t weight_bytes, data_at;
} writer;

static const char *name_of(const writer *w, const sw_value *value) {
    return w->called ? w->called[value->id] : value->name;
}

/* ---- Types --------------------------------------------------------------------------------------------------------- */

static void put_sub(sw_buf *to, uint32_t field, sw_buf *message) {
    sw_pb_put_bytes(to, field, message->data, message->size);
    if (message->status != SW_OK) to->status = message->status;
    sw_buf_free(message);
}

static void put_dim(const sw_graph *graph, sw_buf *shape, int64_t dim) {
    sw_buf d = sw_buf_make(graph->allocator, 0);
    const char *name = sw_graph_dim_name(graph, dim);
    if (dim >= 0)
        sw_pb_put_varint(&d, 1, (uint64_t)dim);
    else if (strcmp(name, "?") != 0)
        sw_pb_put_text(&d, 2, name);
    put_sub(shape, 1, &d);
}

/* ValueInfoProto. */
static void put_port(writer *w, uint32_t field, const sw_value *value) {
    sw_buf info = sw_buf_make(w->graph->allocator, 0), type = info, tensor = info, shape = info;
    for (int i = 0; i < value->type.rank; i++) put_dim(w->graph, &shape, value->type.dims[i]);
    sw_pb_put_varint(&tensor, 1, (uint64_t)sw_dtype_onnx(value->type.dtype));
    if (value->type.rank != SW_RANK_UNKNOWN)
        put_sub(&tensor, 2, &shape);
    else
        sw_buf_free(&shape);
    put_sub(&type, 1, &tensor);
    sw_pb_put_text(&info, 1, name_of(w, value));
    put_sub(&info, 2, &type);
    put_sub(&w->ports, field, &info);
}

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

static uint64_t hash_text(const char *text) { /* FNV-1a */
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

static bool take_name(writer *w, const char *name) {
    size_t slot = hash_text(name) & (w->cap_names - 1);
    for (; w->names[slot]; slot = (slot + 1) & (w->cap_names - 1))
        if (!strcmp(w->names[slot], name)) return false;
    w->names[slot] = name;
    return true;
}

/* The node's name where no other has it, else that of its output, else that with a number. NULL: no memory. */
static const char *own_name(writer *w, const sw_node *node) {
    const char *output = "node";
    for (int i = node->n_out - 1; i >= 0; i--)
        if (node->out[i]) output = node->out[i]->name;
    if (*node->name && take_name(w, node->name)) return node->name;
    if (take_name(w, output)) return output;
    for (int n = 2;; n++) {
        const char *made = sw_arena_printf(w->graph->arena, "%s_%d", output, n);
        if (!made || take_name(w, made)) return made;
    }
}

static void put_bodies(writer *w, sw_buf *n, const sw_node *node, const char *name);

/* Elements as the file has them: those of 4 bits two a byte. */
static sw_tensor stored_form(writer *w, const sw_tensor *t) {
    if (!sw_dtype_is_packed(t->dtype)) return *t;
    int64_t n = sw_tensor_count(t);
    sw_tensor packed = {.dtype = SW_U8, .rank = 1, .dims = {(n + 1) / 2}};
    uint8_t *bytes = sw_arena_alloc(w->graph->arena, (size_t)packed.dims[0] + 1, 1);
    packed.data = bytes;
    if (!bytes) {
        packed.dims[0] = 0;
        w->nodes.status = SW_E_NOMEM;
    }
    for (int64_t i = 0; bytes && i < n; i++)
        bytes[i / 2] |= (uint8_t)((((const uint8_t *)t->data)[i] & 15) << (i % 2 ? 4 : 0));
    return packed;
}

/* Inputs in the file; what graphs within capture is no input there. */
static int written_inputs(const writer *w, const sw_node *node) {
    int n_in = sw__onnx_inputs(node, w->opset);
    for (int i = 0; i < sw_op_bodies(node->op); i++) n_in -= node->attrs[i].body->n_captured;
    return n_in;
}

static void put_node(writer *w, const sw_node *node) {
    sw_buf n = sw_buf_make(w->graph->allocator, 0);
    int n_in = written_inputs(w, node), n_out = node->n_out;
    while (n_in && !node->in[n_in - 1]) n_in--;
    while (n_out && !node->out[n_out - 1]) n_out--;
    for (int i = 0; i < n_in; i++) {
        const sw_value *in = node->in[i];
        sw_pb_put_text(&n, 1, in ? name_of(w, in) : "");
    }
    for (int i = 0; i < node->n_in; i++) {
        const sw_value *in = node->in[i];
        if (!sw_value_is_const(in) || w->seen[in->id]) continue;
        w->seen[in->id] = true;
        w->stored[w->n_weights] = stored_form(w, &in->type);
        w->weight_bytes += sw_tensor_bytes(&w->stored[w->n_weights]);
        w->weights[w->n_weights++] = in;
    }
    for (int i = 0; i < n_out; i++) sw_pb_put_text(&n, 2, node->out[i] ? name_of(w, node->out[i]) : "");
    const char *name = own_name(w, node);
    if (name)
        sw_pb_put_text(&n, 3, name);
    else
        n.status = SW_E_NOMEM;
    sw_pb_put_text(&n, 4, sw_op_get(node->op)->name);
    sw__onnx_put_attrs(&n, node, w->opset);
    if (name && sw_op_is_control(node->op)) put_bodies(w, &n, node, name);
    put_sub(&w->nodes, 1, &n);
}

/* ---- Weights ------------------------------------------------------------------------------------------------------- */

static void put_external(writer *w, sw_buf *t, int64_t bytes) {
    const struct {
        const char *key;
        int64_t value;
    } entries[] = {{"offset", w->data_at}, {"length", bytes}};
    sw_buf entry = sw_buf_make(w->graph->allocator, 0);
    sw_pb_put_text(&entry, 1, "location");
    sw_pb_put_text(&entry, 2, w->data_name);
    put_sub(t, 13, &entry);
    for (int i = 0; i < 2; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)entries[i].value);
        sw_pb_put_text(&entry, 1, entries[i].key);
        sw_pb_put_text(&entry, 2, number);
        put_sub(t, 13, &entry);
    }
    sw_pb_put_varint(t, 14, 1);
}

static bool is_external(const writer *w, const sw_tensor *stored) {
    return w->data_name && sw_tensor_bytes(stored) >= EXTERNAL_LEAST;
}

static int64_t aligned(int64_t at) {
    return (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void put_tensor_head(writer *w, sw_buf *t, int index) {
    const sw_value *value = w->weights[index];
    for (int i = 0; i < value->type.rank; i++) sw_pb_put_varint(t, 1, (uint64_t)value->type.dims[i]);
    sw_pb_put_varint(t, 2, (uint64_t)sw_dtype_onnx(value->type.dtype));
    sw_pb_put_text(t, 8, name_of(w, value));
    if (!is_external(w, &w->stored[index])) return;
    int64_t bytes = sw_tensor_bytes(&w->stored[index]);
    w->data_at = aligned(w->data_at);
    put_external(w, t, bytes);
    w->data_at += bytes;
}

/* What stands before the data of a weight in the file (all of it when the data lie outside), into w->scratch. */
static size_t weight_head(writer *w, int index) {
    sw_buf t = sw_buf_make(w->graph->allocator, 0);
    bool outside = is_external(w, &w->stored[index]);
    size_t inside = outside ? 0 : (size_t)sw_tensor_bytes(&w->stored[index]);
    put_tensor_head(w, &t, index);
    if (!outside) sw_pb_put_bytes_head(&t, 9, inside);
    sw_buf_clear(&w->scratch);
    sw_pb_put_bytes_head(&w->scratch, 5, t.size + inside);
    sw_buf_append(&w->scratch, t.data, t.size);
    if (t.status != SW_OK) w->scratch.status = t.status;
    sw_buf_free(&t);
    return w->scratch.size + inside;
}

static sw_status write_weights(writer *w, sw_outfile *file) {
    w->data_at = 0;
    for (int i = 0; i < w->n_weights; i++) {
        weight_head(w, i);
        SW_TRY(w->scratch.status);
        SW_TRY(sw_outfile_write(file, w->scratch.data, w->scratch.size));
        const sw_tensor *type = &w->stored[i];
        if (!is_external(w, type)) SW_TRY(sw_outfile_write(file, type->data, (size_t)sw_tensor_bytes(type)));
    }
    return SW_OK;
}

static sw_status write_data(writer *w, sw_outfile *file) {
    static const uint8_t zeros[ALIGNMENT];
    int64_t at = 0;
    for (int i = 0; i < w->n_weights; i++) {
        const sw_tensor *type = &w->stored[i];
        if (!is_external(w, type)) continue;
        SW_TRY(sw_outfile_write(file, zeros, (size_t)(aligned(at) - at)));
        SW_TRY(sw_outfile_write(file, type->data, (size_t)sw_tensor_bytes(type)));
        at = aligned(at) + sw_tensor_bytes(type);
    }
    return SW_OK;
}

/* ---- Graphs within ------------------------------------------------------------------------------------------------- */

static sw_status prepare_writer(writer *w) {
    const sw_graph *graph = w->graph;
    w->nodes = w->ports = w->head = w->tail = w->scratch = sw_buf_make(graph->allocator, 0);
    for (w->cap_names = 64; w->cap_names < 2 * (size_t)graph->n_nodes + 2;) w->cap_names *= 2;
    w->names = sw_calloc(graph->allocator, w->cap_names, sizeof *w->names);
    w->seen = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *w->seen);
    w->weights = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *w->weights);
    w->stored = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *w->stored);
    return w->names && w->seen && w->weights && w->stored ? SW_OK : SW_E_NOMEM;
}

static void close_writer(writer *w) {
    sw_buf *bufs[] = {&w->nodes, &w->ports, &w->head, &w->tail, &w->scratch};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) sw_buf_free(bufs[i]);
    sw_free(w->graph->allocator, w->names);
    sw_free(w->graph->allocator, w->seen);
    sw_free(w->graph->allocator, w->weights);
    sw_free(w->graph->allocator, w->stored);
}

/* Names must not hide those of outer graphs: they are prefixed; what is captured has its outer name. */
static sw_status call_values(const writer *outer, writer *w, const sw_body *body, sw_value *const *captured,
                             const char *prefix) {
    sw_graph *graph = body->code;
    w->called = SW_ARENA_ARRAY(graph->arena, const char *, graph->n_values + 1);
    if (!w->called) return SW_E_NOMEM;
    for (size_t i = 0; i < graph->n_values; i++) {
        w->called[i] = sw_arena_printf(graph->arena, "%s/%s", prefix, graph->values[i]->name);
        if (!w->called[i]) return SW_E_NOMEM;
    }
    for (int i = 0; i < body->n_captured; i++)
        w->called[graph->inputs[body->n_in + i]->id] = name_of(outer, captured[i]);
    return SW_OK;
}

/* GraphProto, with its constants in it, into w->nodes. */
static void put_graph(writer *w, int n_in, const char *name) {
    const sw_graph *graph = w->graph;
    for (const sw_node *node = graph->first; node; node = node->next) put_node(w, node);
    for (int i = 0; i < n_in; i++) put_port(w, 11, graph->inputs[i]);
    for (int i = 0; i < graph->n_outputs; i++) put_port(w, 12, graph->outputs[i]);
    sw_pb_put_text(&w->nodes, 2, name);
    for (int i = 0; i < w->n_weights; i++) {
        const sw_tensor *type = &w->stored[i];
        weight_head(w, i);
        sw_buf_append(&w->nodes, w->scratch.data, w->scratch.size);
        sw_buf_append(&w->nodes, type->data, (size_t)sw_tensor_bytes(type));
    }
    sw_buf_append(&w->nodes, w->ports.data, w->ports.size);
    if (w->scratch.status != SW_OK) w->nodes.status = w->scratch.status;
    if (w->ports.status != SW_OK) w->nodes.status = w->ports.status;
}

static void put_body(const writer *outer, sw_buf *n, const char *attr, const sw_body *body, sw_value *const *captured,
                     const char *prefix) {
    enum { TYPE_GRAPH = 5 };
    writer w = {.graph = body->code, .diag = outer->diag, .opset = outer->opset};
    sw_buf a = sw_buf_make(w.graph->allocator, 0);
    sw_graph_forget_unused(w.graph);
    sw_status status = prepare_writer(&w);
    if (status == SW_OK) status = call_values(outer, &w, body, captured, prefix);
    if (status == SW_OK) put_graph(&w, body->n_in, prefix);
    if (status != SW_OK) n->status = status;
    sw_pb_put_text(&a, 1, attr);
    put_sub(&a, 6, &w.nodes);
    sw_pb_put_varint(&a, 20, TYPE_GRAPH);
    put_sub(n, 5, &a);
    close_writer(&w);
}

static void put_bodies(writer *w, sw_buf *n, const sw_node *node, const char *name) {
    const sw_op_info *info = sw_op_get(node->op);
    sw_value *const *captured = node->in + written_inputs(w, node);
    for (int i = 0; i < sw_op_bodies(node->op); i++) {
        const sw_body *body = node->attrs[i].body;
        const char *prefix = sw_arena_printf(w->graph->arena, "%s/%s", name, info->attrs[i].name);
        if (prefix)
            put_body(w, n, info->attrs[i].name, body, captured, prefix);
        else
            n->status = SW_E_NOMEM;
        captured += body->n_captured;
    }
}

/* ---- The model ----------------------------------------------------------------------------------------------------- */

static void put_frame(writer *w) {
    const sw_graph *graph = w->graph;
    size_t weights = 0;
    for (int i = 0; i < w->n_weights; i++) weights += weight_head(w, i);
    sw_pb_put_text(&w->nodes, 2, *graph->name ? graph->name : "main");
    sw_pb_put_varint(&w->head, 1, IR_VERSION_8 + (w->opset >= 19) + (w->opset >= 21));
    sw_pb_put_text(&w->head, 2, "slipway");
    sw_pb_put_text(&w->head, 3, SLIPWAY_VERSION);
    sw_pb_put_bytes_head(&w->head, 7, w->nodes.size + weights + w->ports.size);
    sw_buf set = sw_buf_make(graph->allocator, 0);
    sw_pb_put_text(&set, 1, "");
    sw_pb_put_varint(&set, 2, (uint64_t)w->opset);
    put_sub(&w->tail, 8, &set);
    for (size_t i = 0; i < graph->n_meta; i++) {
        sw_buf entry = sw_buf_make(graph->allocator, 0);
        sw_pb_put_text(&entry, 1, graph->meta[i].key);
        sw_pb_put_text(&entry, 2, graph->meta[i].value);
        put_sub(&w->tail, 14, &entry);
    }
}

static sw_status write_part(sw_outfile *file, const sw_buf *buf) {
    return buf->status != SW_OK ? buf->status : sw_outfile_write(file, buf->data, buf->size);
}

static sw_status write_model(writer *w, sw_outfile *file) {
    SW_TRY(write_part(file, &w->head));
    SW_TRY(write_part(file, &w->nodes));
    SW_TRY(write_weights(w, file));
    SW_TRY(write_part(file, &w->ports));
    return write_part(file, &w->tail);
}

static sw_status write_file(writer *w, const char *path, sw_status (*fill)(writer *w, sw_outfile *file)) {
    sw_outfile *file;
    SW_TRY(sw_outfile_open(path, w->diag, &file));
    sw_status status = fill(w, file);
    if (status == SW_OK) return sw_outfile_commit(file);
    sw_outfile_abort(file);
    return status;
}

static sw_status write_all(writer *w, bool external) {
    const sw_graph *graph = w->graph;
    for (const sw_node *node = graph->first; node; node = node->next) put_node(w, node);
    for (int i = 0; i < graph->n_inputs; i++) put_port(w, 11, graph->inputs[i]);
    for (int i = 0; i < graph->n_outputs; i++) put_port(w, 12, graph->outputs[i]);
    const char *data_path = NULL;
    if (external || w->weight_bytes > MAX_PROTO) {
        data_path = sw_arena_printf(graph->arena, "%s.data", w->path);
        if (!data_path) return SW_E_NOMEM;
        w->data_name = sw_path_name(data_path);
    }
    put_frame(w);
    if (data_path) SW_TRY(write_file(w, data_path, write_data));
    return write_file(w, w->path, write_model);
}

static sw_status write_graph(sw_graph *graph, const sw_export_options *o, int opset, const char *path,
                             const sw_diag *diag) {
    writer w = {.graph = graph, .diag = diag, .path = path, .opset = opset};
    sw_status status = prepare_writer(&w);
    if (status == SW_OK) status = write_all(&w, o->external);
    if (status == SW_E_NOMEM) sw_fail(diag, status, NULL, NULL, "out of memory");
    close_writer(&w);
    return status;
}

sw_status sw_onnx_write(sw_graph *graph, const sw_export_options *options, const char *path, const sw_diag *diag) {
    int opset = options->opset ? options->opset : SW_ONNX_OPSET_USUAL;
    if (opset < SW_ONNX_OPSET_LEAST || opset > SW_ONNX_OPSET_MOST)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "--opset wants %d to %d, found %d", SW_ONNX_OPSET_LEAST,
                       SW_ONNX_OPSET_MOST, opset);
    sw_graph_forget_unused(graph);
    SW_TRY(sw_export_coordinates(graph, false));
    if (options->precision == SW_F16) SW_TRY(sw__onnx_to_half(graph, options->half_io, diag));
    SW_TRY(sw_export_add_nms(graph, options, diag)); /* in float32 whatever the network's precision */
    SW_TRY(sw_export_lower(graph, opset, diag));
    SW_TRY(sw__onnx_check(graph, opset, diag));
    return write_graph(graph, options, opset, path, diag);
}
