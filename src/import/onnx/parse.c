/* ModelProto as written: names, nodes, attributes; tensors and types stay bytes until they are needed. */
#include <string.h>

#include "import/onnx/model.h"

/* Each message is read twice: fields are counted, then arrays of that length are filled. */
enum { MAX_FIELD = 32 };

static sw_status count_fields(sw__onnx *im, sw_pb r, size_t counts[MAX_FIELD]) {
    memset(counts, 0, MAX_FIELD * sizeof *counts);
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number < MAX_FIELD) counts[f.number]++;
        if (++im->items > SW__ONNX_MAX_ITEMS)
            return sw__onnx_fail(im, SW_E_LIMIT, "the model has more than %d nodes, names and attributes",
                                 SW__ONNX_MAX_ITEMS);
    }
    return r.status;
}

static sw_status check_count(sw__onnx *im, const char *what, size_t count, size_t max) {
    if (count <= max) return SW_OK;
    return sw__onnx_fail(im, SW_E_LIMIT, "there are %zu %s; at most %zu are allowed", count, what, max);
}

static sw_status new_array(sw__onnx *im, size_t n, size_t size, void *array) {
    void *block = sw_arena_alloc(im->arena, n, size);
    if (!block) return sw__onnx_nomem(im);
    memcpy(array, &block, sizeof block);
    return SW_OK;
}

static sw_status read_text(sw__onnx *im, sw_pb *r, const sw_pb_field *f, const char **text) {
    if (!sw_pb_text(r, f)) return r->status;
    *text = f->size ? sw_arena_strndup(im->arena, (const char *)f->data, f->size) : "";
    return *text ? SW_OK : sw__onnx_nomem(im);
}

static sw_status read_domain(sw__onnx *im, sw_pb *r, const sw_pb_field *f, const char **domain) {
    SW_TRY(read_text(im, r, f, domain));
    if (strcmp(*domain, "ai.onnx") == 0) *domain = "";
    return SW_OK;
}

static sw_status read_int(sw_pb *r, const sw_pb_field *f, int64_t *value) {
    if (!sw_pb_expect(r, f, SW_PB_VARINT)) return r->status;
    *value = sw_pb_int(f);
    return SW_OK;
}

static sw_status read_bytes(sw_pb *r, const sw_pb_field *f, sw__bytes *bytes) {
    if (!sw_pb_expect(r, f, SW_PB_BYTES)) return r->status;
    *bytes = (sw__bytes){f->data, f->size, f->offset};
    return SW_OK;
}

static sw_status parse_graph(sw__onnx *im, sw_pb r, sw__onnx_graph *graph, int depth);

/* ---- Attributes ------------------------------------------------------------------------------------------ */

static sw_status parse_subgraph(sw__onnx *im, sw_pb *r, const sw_pb_field *f, sw__onnx_attr *attr, int depth) {
    if (depth >= SW__ONNX_MAX_DEPTH)
        return sw__onnx_fail(im, SW_E_LIMIT, "graphs are nested more than %d deep", SW__ONNX_MAX_DEPTH);
    attr->g = SW_ARENA_NEW(im->arena, sw__onnx_graph);
    if (!attr->g) return sw__onnx_nomem(im);
    sw_pb sub = sw_pb_sub(r, f);
    return parse_graph(im, sub, attr->g, depth + 1);
}

/* What the field is called and which kind it makes an attribute whose writer left out the type (IR version 1). */
static const struct {
    uint32_t field;
    sw__attr_kind kind;
} value_fields[] = {{2, SW__ATTR_FLOAT},    {3, SW__ATTR_INT},     {4, SW__ATTR_STRING}, {5, SW__ATTR_TENSOR},
                    {6, SW__ATTR_GRAPH},    {7, SW__ATTR_FLOATS},  {8, SW__ATTR_INTS},   {9, SW__ATTR_STRINGS},
                    {10, SW__ATTR_TENSORS}, {11, SW__ATTR_GRAPHS}, {14, SW__ATTR_TYPE},  {15, SW__ATTR_TYPES},
                    {22, SW__ATTR_SPARSE},  {23, SW__ATTR_SPARSES}};

static sw_status parse_attr(sw__onnx *im, sw_pb r, sw__onnx_attr *attr, int depth) {
    *attr = (sw__onnx_attr){.name = "", .ref = "", .message = {r.data, r.size, r.offset}};
    int64_t type = 0;
    sw__attr_kind seen = SW__ATTR_NONE;
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            SW_TRY(read_text(im, &r, &f, &attr->name));
            break;
        case 2:
            if (!sw_pb_expect(&r, &f, SW_PB_FIXED32)) return r.status;
            attr->f = sw_pb_float(&f);
            break;
        case 3:
            SW_TRY(read_int(&r, &f, &attr->i));
            break;
        case 4:
            SW_TRY(read_bytes(&r, &f, &attr->s));
            break;
        case 5:
            SW_TRY(read_bytes(&r, &f, &attr->t));
            break;
        case 6:
            SW_TRY(parse_subgraph(im, &r, &f, attr, depth));
            break;
        case 20:
            SW_TRY(read_int(&r, &f, &type));
            break;
        case 21:
            SW_TRY(read_text(im, &r, &f, &attr->ref));
            break;
        default:
            break;
        }
        for (size_t i = 0; i < sizeof value_fields / sizeof *value_fields; i++)
            if (value_fields[i].field == f.number) seen = value_fields[i].kind;
    }
    if (r.status != SW_OK) return r.status;
    if (type < 0 || type >= SW__ATTR_KINDS)
        return sw__onnx_fail(im, SW_E_MODEL, "attribute '%.160s' has the unknown type %lld", attr->name,
                             (long long)type);
    attr->kind = type ? (sw__attr_kind)type : seen;
    return SW_OK;
}

/* ---- Nodes ----------------------------------------------------------------------------------------------- */

static sw_status parse_node(sw__onnx *im, sw_pb r, sw__onnx_node *node, int depth) {
    size_t counts[MAX_FIELD];
    SW_TRY(count_fields(im, r, counts));
    *node = (sw__onnx_node){.name = "", .op = "", .domain = "", .overload = ""};
    SW_TRY(check_count(im, "inputs of a node", counts[1], SW__ONNX_MAX_PORTS));
    SW_TRY(check_count(im, "outputs of a node", counts[2], SW__ONNX_MAX_PORTS));
    SW_TRY(check_count(im, "attributes of a node", counts[5], SW__ONNX_MAX_ATTRS));
    SW_TRY(new_array(im, counts[1], sizeof *node->in, &node->in));
    SW_TRY(new_array(im, counts[2], sizeof *node->out, &node->out));
    SW_TRY(new_array(im, counts[5], sizeof *node->attrs, &node->attrs));
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number != 5) node->text += f.size;
        switch (f.number) {
        case 1:
            SW_TRY(read_text(im, &r, &f, &node->in[node->n_in++]));
            break;
        case 2:
            SW_TRY(read_text(im, &r, &f, &node->out[node->n_out++]));
            break;
        case 3:
            SW_TRY(read_text(im, &r, &f, &node->name));
            break;
        case 4:
            SW_TRY(read_text(im, &r, &f, &node->op));
            break;
        case 5:
            SW_TRY(parse_attr(im, sw_pb_sub(&r, &f), &node->attrs[node->n_attrs++], depth));
            break;
        case 7:
            SW_TRY(read_domain(im, &r, &f, &node->domain));
            break;
        case 8:
            SW_TRY(read_text(im, &r, &f, &node->overload));
            break;
        default:
            break;
        }
    }
    return r.status;
}

static sw_status parse_opset(sw__onnx *im, sw_pb r, sw__opset *opset) {
    *opset = (sw__opset){.domain = ""};
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number == 1) SW_TRY(read_domain(im, &r, &f, &opset->domain));
        if (f.number == 2) SW_TRY(read_int(&r, &f, &opset->version));
    }
    return r.status;
}

/* ---- Graphs ---------------------------------------------------------------------------------------------- */

static sw_status parse_port(sw__onnx *im, sw_pb r, sw__onnx_port *port) {
    *port = (sw__onnx_port){.name = ""};
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number == 1) SW_TRY(read_text(im, &r, &f, &port->name));
        if (f.number == 2) SW_TRY(read_bytes(&r, &f, &port->type));
    }
    return r.status;
}

static sw_status parse_graph(sw__onnx *im, sw_pb r, sw__onnx_graph *graph, int depth) {
    size_t counts[MAX_FIELD];
    SW_TRY(count_fields(im, r, counts));
    *graph = (sw__onnx_graph){.name = ""};
    SW_TRY(check_count(im, "nodes", counts[1], SW__ONNX_MAX_NODES));
    SW_TRY(check_count(im, "initializers", counts[5], SW__ONNX_MAX_NODES));
    SW_TRY(check_count(im, "outputs", counts[12], SW__ONNX_MAX_IO));
    if (counts[15])
        return sw__onnx_fail(im, SW_E_UNSUPPORTED, "the graph has sparse initializers, which Slipway does not support");
    SW_TRY(new_array(im, counts[1], sizeof *graph->body.nodes, &graph->body.nodes));
    SW_TRY(new_array(im, counts[5], sizeof *graph->constants, &graph->constants));
    SW_TRY(new_array(im, counts[11], sizeof *graph->inputs, &graph->inputs));
    SW_TRY(new_array(im, counts[12], sizeof *graph->outputs, &graph->outputs));
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) switch (f.number) {
        case 1:
            SW_TRY(parse_node(im, sw_pb_sub(&r, &f), &graph->body.nodes[graph->body.n++], depth));
            break;
        case 2:
            SW_TRY(read_text(im, &r, &f, &graph->name));
            break;
        case 5:
            SW_TRY(read_bytes(&r, &f, &graph->constants[graph->n_constants++]));
            break;
        case 11:
            SW_TRY(parse_port(im, sw_pb_sub(&r, &f), &graph->inputs[graph->n_inputs++]));
            break;
        case 12:
            SW_TRY(parse_port(im, sw_pb_sub(&r, &f), &graph->outputs[graph->n_outputs++]));
            break;
        default:
            break;
        }
    return r.status;
}

/* ---- Functions ------------------------------------------------------------------------------------------- */

static sw_status new_function_arrays(sw__onnx *im, const size_t counts[MAX_FIELD], sw__onnx_function *fn) {
    SW_TRY(check_count(im, "inputs of a function", counts[4], SW__ONNX_MAX_PORTS));
    SW_TRY(check_count(im, "outputs of a function", counts[5], SW__ONNX_MAX_PORTS));
    SW_TRY(check_count(im, "attributes of a function", counts[11], SW__ONNX_MAX_ATTRS));
    SW_TRY(check_count(im, "nodes of a function", counts[7], SW__ONNX_MAX_NODES));
    SW_TRY(check_count(im, "opsets of a function", counts[9], SW__ONNX_MAX_ATTRS));
    SW_TRY(new_array(im, counts[4], sizeof *fn->in, &fn->in));
    SW_TRY(new_array(im, counts[5], sizeof *fn->out, &fn->out));
    SW_TRY(new_array(im, counts[7], sizeof *fn->body.nodes, &fn->body.nodes));
    SW_TRY(new_array(im, counts[9], sizeof *fn->opsets, &fn->opsets));
    return new_array(im, counts[11], sizeof *fn->defaults, &fn->defaults);
}

static sw_status parse_function(sw__onnx *im, sw_pb r, sw__onnx_function *fn) {
    size_t counts[MAX_FIELD];
    SW_TRY(count_fields(im, r, counts));
    *fn = (sw__onnx_function){.name = "", .domain = "", .overload = ""};
    SW_TRY(new_function_arrays(im, counts, fn));
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) switch (f.number) {
        case 1:
            SW_TRY(read_text(im, &r, &f, &fn->name));
            break;
        case 4:
            SW_TRY(read_text(im, &r, &f, &fn->in[fn->n_in++]));
            break;
        case 5:
            SW_TRY(read_text(im, &r, &f, &fn->out[fn->n_out++]));
            break;
        case 7:
            SW_TRY(parse_node(im, sw_pb_sub(&r, &f), &fn->body.nodes[fn->body.n++], 0));
            break;
        case 9:
            SW_TRY(parse_opset(im, sw_pb_sub(&r, &f), &fn->opsets[fn->n_opsets++]));
            break;
        case 10:
            SW_TRY(read_domain(im, &r, &f, &fn->domain));
            break;
        case 11:
            SW_TRY(parse_attr(im, sw_pb_sub(&r, &f), &fn->defaults[fn->n_defaults++], 0));
            break;
        case 13:
            SW_TRY(read_text(im, &r, &f, &fn->overload));
            break;
        default:
            break;
        }
    return r.status;
}

/* ---- The model ------------------------------------------------------------------------------------------- */

/* Values are kept as they are written; one that is no text (a program may keep bytes there) is left out. */
static sw_status parse_meta(sw__onnx *im, sw_pb r, sw_meta *meta) {
    *meta = (sw_meta){"", ""};
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number == 1) SW_TRY(read_text(im, &r, &f, &meta->key));
        if (f.number != 2) continue;
        sw__bytes value;
        SW_TRY(read_bytes(&r, &f, &value));
        if (memchr(value.data, 0, value.size)) {
            sw_warn(im->diag, im->label, "the metadata '%.160s' is not text and is left out", meta->key);
            meta->key = "";
            return SW_OK;
        }
        meta->value = sw_arena_strndup(im->arena, (const char *)value.data, value.size);
        if (!meta->value) return sw__onnx_nomem(im);
    }
    return r.status;
}

static sw_status parse_only_graph(sw__onnx *im, sw_pb r) {
    sw__onnx_model *model = &im->model;
    if (model->graph) return sw__onnx_fail(im, SW_E_MODEL, "the model has more than one graph");
    model->graph = SW_ARENA_NEW(im->arena, sw__onnx_graph);
    if (!model->graph) return sw__onnx_nomem(im);
    return parse_graph(im, r, model->graph, 0);
}

sw_status sw__onnx_parse_model(sw__onnx *im, const void *bytes, size_t size) {
    sw__onnx_model *model = &im->model;
    sw_pb r = sw_pb_make(bytes, size, im->label, im->diag);
    size_t counts[MAX_FIELD];
    SW_TRY(count_fields(im, r, counts));
    *model = (sw__onnx_model){.producer_name = "", .producer_version = ""};
    SW_TRY(check_count(im, "opsets", counts[8], SW__ONNX_MAX_ATTRS));
    SW_TRY(check_count(im, "entries of metadata", counts[14], SW_MAX_META));
    SW_TRY(new_array(im, counts[8], sizeof *model->opsets, &model->opsets));
    SW_TRY(new_array(im, counts[14], sizeof *model->meta, &model->meta));
    SW_TRY(new_array(im, counts[25], sizeof *model->functions, &model->functions));
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) switch (f.number) {
        case 1:
            SW_TRY(read_int(&r, &f, &model->ir_version));
            break;
        case 2:
            SW_TRY(read_text(im, &r, &f, &model->producer_name));
            break;
        case 3:
            SW_TRY(read_text(im, &r, &f, &model->producer_version));
            break;
        case 7:
            SW_TRY(parse_only_graph(im, sw_pb_sub(&r, &f)));
            break;
        case 8:
            SW_TRY(parse_opset(im, sw_pb_sub(&r, &f), &model->opsets[model->n_opsets++]));
            break;
        case 14:
            SW_TRY(parse_meta(im, sw_pb_sub(&r, &f), &model->meta[model->n_meta++]));
            break;
        case 25:
            SW_TRY(parse_function(im, sw_pb_sub(&r, &f), &model->functions[model->n_functions++]));
            break;
        default:
            break;
        }
    SW_TRY(r.status);
    if (!model->graph) return sw__onnx_fail(im, SW_E_MODEL, "the model has no graph");
    return SW_OK;
}
