/* Layers become nodes, in an order in which values are made before they are used. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "import/openvino/model.h"

/* ---- Messages ------------------------------------------------------------------------------------------------------ */

sw_status sw__ovin_fail(const sw_ovin_import *im, sw_status status, const char *fmt, ...) {
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return sw_fail(im->diag, status, im->label, NULL, "layer '%.200s' (%.60s): %s", im->layer->name, im->layer->type,
                   text);
}

sw_status sw__ovin_nomem(const sw_ovin_import *im) {
    return sw_fail(im->diag, SW_E_NOMEM, im->label, NULL, "out of memory");
}

/* ---- Attributes ---------------------------------------------------------------------------------------------------- */

const char *sw__ovin_attr(const sw_ovin_layer *layer, const char *name, const char *missing) {
    for (const sw_ovin_attr *attr = layer->data; attr; attr = attr->next)
        if (!strcmp(attr->name, name)) return attr->value;
    return missing;
}

bool sw__ovin_attr_true(const sw_ovin_layer *layer, const char *name, bool missing) {
    const char *text = sw__ovin_attr(layer, name, missing ? "true" : "false");
    return !strcmp(text, "true") || !strcmp(text, "1");
}

sw_status sw__ovin_attr_int(const sw_ovin_import *im, const char *name, int64_t missing, int64_t *value) {
    const char *text = sw__ovin_attr(im->layer, name, NULL);
    *value = missing;
    if (!text || sw_str_to_i64(text, strlen(text), value)) return SW_OK;
    return sw__ovin_fail(im, SW_E_MODEL, "%s=\"%.40s\" is no whole number", name, text);
}

sw_status sw__ovin_attr_float(const sw_ovin_import *im, const char *name, double missing, float *value) {
    const char *text = sw__ovin_attr(im->layer, name, NULL);
    double v = missing;
    if (text && !sw_str_to_f64(text, strlen(text), &v))
        return sw__ovin_fail(im, SW_E_MODEL, "%s=\"%.40s\" is no number", name, text);
    *value = (float)v;
    return SW_OK;
}

sw_status sw__ovin_attr_ints(const sw_ovin_import *im, const char *name, int64_t *v, int *n) {
    const char *text = sw__ovin_attr(im->layer, name, "");
    int room = *n;
    *n = 0;
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ", ");
        if (*n == room || !sw_str_to_i64(at, length, &v[(*n)++]))
            return sw__ovin_fail(im, SW_E_MODEL, "%s=\"%.60s\" is no list of at most %d whole numbers", name, text,
                                 room);
        at += length;
    }
    return SW_OK;
}

sw_status sw__ovin_dtype(const sw_ovin_import *im, const char *text, sw_dtype *dtype) {
    static const struct {
        const char *name;
        sw_dtype dtype;
    } types[] = {{"f32", SW_F32}, {"f16", SW_F16}, {"bf16", SW_BF16},   {"f64", SW_F64}, {"u8", SW_U8},
                 {"i8", SW_I8},   {"u16", SW_U16}, {"i16", SW_I16},     {"u32", SW_U32}, {"i32", SW_I32},
                 {"u64", SW_U64}, {"i64", SW_I64}, {"boolean", SW_BOOL}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, text)) {
            *dtype = types[i].dtype;
            return SW_OK;
        }
    return sw__ovin_fail(im, SW_E_UNSUPPORTED, "elements of type '%.40s' are not supported", text);
}

/* ---- Building ------------------------------------------------------------------------------------------------------ */

sw_status sw__ovin_settle(sw_ovin_import *im, sw_node *node) {
    if (!node) return sw__ovin_nomem(im);
    SW_TRY(sw_node_infer(im->graph, node, im->diag));
    sw_status status = sw_compute_known(&im->computer, im->graph, node);
    return status == SW_E_NOMEM ? sw__ovin_nomem(im) : status;
}

sw_value *sw__ovin_output(sw_ovin_import *im, int i) {
    const sw_ovin_layer *l = im->layer;
    const char *name = i < l->n_out && l->out_names[i] ? l->out_names[i] : l->name;
    sw_value *value = sw_graph_add_value(im->graph, name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    if (value && i < l->n_out) l->out[i] = value;
    return value;
}

sw_status sw__ovin_apply(sw_ovin_import *im, sw_op op, bool last, int n_in, sw_value *const *in, sw_value **out) {
    const char *name = im->layer->name;
    sw_value *value =
        last ? sw__ovin_output(im, 0) : sw_graph_add_value(im->graph, NULL, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
    sw_node *node = value ? sw_graph_add_node(im->graph, NULL, op, name, n_in, in, 1, &value) : NULL;
    if (out) *out = value; /* which may be where the inputs were */
    return sw__ovin_settle(im, node);
}

sw_status sw__ovin_ints(sw_ovin_import *im, const int64_t *v, int n, sw_value **value) {
    const int64_t dim = n;
    *value = sw_graph_new_const(im->graph, NULL, SW_I64, n >= 0, &dim);
    if (!*value) return sw__ovin_nomem(im);
    memcpy((*value)->type.data, v, (n >= 0 ? (size_t)n : 1) * sizeof *v);
    return SW_OK;
}

sw_status sw__ovin_floats(sw_ovin_import *im, const float *v, int n, sw_value **value) {
    const int64_t dim = n;
    *value = sw_graph_new_const(im->graph, NULL, SW_F32, n >= 0, &dim);
    if (!*value) return sw__ovin_nomem(im);
    memcpy((*value)->type.data, v, (n >= 0 ? (size_t)n : 1) * sizeof *v);
    return SW_OK;
}

sw_status sw__ovin_known(sw_ovin_import *im, const sw_value *value, const char *what, int64_t *v, int room, int *n) {
    if (!sw_value_is_const(value))
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "its %s are computed; they must be constant", what);
    sw_dtype t = value->type.dtype;
    int64_t count = sw_tensor_count(&value->type);
    if (sw__ovin_is_float(t) || count > room)
        return sw__ovin_fail(im, SW_E_MODEL, "its %s are not at most %d whole numbers", what, room);
    *n = (int)count;
    for (int i = 0; i < *n; i++) v[i] = sw_tensor_int_at(&value->type, i);
    return SW_OK;
}

sw_status sw__ovin_expect(sw_ovin_import *im, int least, int most) {
    const sw_ovin_layer *l = im->layer;
    if (l->n_in < least || l->n_in > most || l->n_out < 1)
        return sw__ovin_fail(im, SW_E_MODEL, "it has %d inputs and %d outputs; expected: %d to %d, and at least one",
                             l->n_in, l->n_out, least, most);
    return SW_OK;
}

/* ---- Constants, parameters ----------------------------------------------------------------------------------------- */

/* "1,3,?,640" or "" as dims; negative and "?" are open, with a name made of the place. */
static sw_status read_shape(sw_ovin_import *im, const char *text, bool may_be_open, sw_tensor *type) {
    type->rank = 0;
    if (!strcmp(text, "...")) {
        type->rank = SW_RANK_UNKNOWN;
        return may_be_open ? SW_OK : sw__ovin_fail(im, SW_E_MODEL, "its shape is open");
    }
    for (const char *at = text + strspn(text, " "); *at; at += strspn(at, ", ")) {
        static const char *const places[] = {"batch", "channels", "height", "width"};
        size_t length = strcspn(at, ", ");
        int64_t dim = -1;
        bool number = sw_str_to_i64(at, length, &dim), open = !number || dim < 0;
        if (type->rank == SW_MAX_RANK || (open && !may_be_open) || dim > INT32_MAX)
            return sw__ovin_fail(im, SW_E_MODEL, "shape=\"%.80s\" is no shape of at most %d dims", text, SW_MAX_RANK);
        char name[32];
        snprintf(name, sizeof name, "%s%d", type->rank < 4 ? "" : "dim", type->rank);
        if (open) dim = sw_graph_symbol(im->graph, type->rank < 4 ? places[type->rank] : name);
        type->dims[type->rank++] = dim;
        at += length;
    }
    return SW_OK;
}

static sw_status read_parameter(sw_ovin_import *im, const sw_ovin_layer *l) {
    sw_tensor type = {0};
    if (l->n_out != 1) return sw__ovin_fail(im, SW_E_MODEL, "it has %d outputs, expected 1", l->n_out);
    SW_TRY(sw__ovin_dtype(im, sw__ovin_attr(l, "element_type", ""), &type.dtype));
    SW_TRY(read_shape(im, sw__ovin_attr(l, "shape", ""), true, &type));
    const char *name = l->out_names[0] ? l->out_names[0] : l->name;
    l->out[0] = sw_graph_add_value(im->graph, name, type.dtype, type.rank, type.dims);
    return l->out[0] ? SW_OK : sw__ovin_nomem(im);
}

/* Half precision is widened at once: it is a way to store weights. */
static sw_status add_const(sw_ovin_import *im, const sw_ovin_layer *l, const sw_tensor *t) {
    if (t->dtype != SW_F16) {
        l->out[0] = sw_graph_add_const(im->graph, l->name, t);
        return l->out[0] ? SW_OK : sw__ovin_nomem(im);
    }
    sw_value *wide = l->out[0] = sw_graph_new_const(im->graph, l->name, SW_F32, t->rank, t->dims);
    if (!wide) return sw__ovin_nomem(im);
    for (int64_t i = 0, n = sw_tensor_count(t); i < n; i++)
        ((float *)wide->type.data)[i] = sw_f16_to_f32(((const uint16_t *)t->data)[i]);
    return SW_OK;
}

static sw_status read_const(sw_ovin_import *im, const sw_ovin_layer *l) {
    static const uint64_t nothing;
    sw_tensor t = {0};
    int64_t offset, size;
    if (l->n_out != 1) return sw__ovin_fail(im, SW_E_MODEL, "it has %d outputs, expected 1", l->n_out);
    SW_TRY(sw__ovin_dtype(im, sw__ovin_attr(l, "element_type", ""), &t.dtype));
    SW_TRY(read_shape(im, sw__ovin_attr(l, "shape", ""), false, &t));
    SW_TRY(sw__ovin_attr_int(im, "offset", -1, &offset));
    SW_TRY(sw__ovin_attr_int(im, "size", -1, &size));
    int64_t bytes = sw_tensor_bytes(&t);
    if (bytes < 0 || bytes != size || offset < 0 || (uint64_t)offset > im->bin_size ||
        (uint64_t)bytes > im->bin_size - (uint64_t)offset)
        return sw__ovin_fail(im, SW_E_MODEL,
                             "its data, %lld bytes at %lld, do not fit its shape or the .bin of %zu bytes",
                             (long long)size, (long long)offset, im->bin_size);
    t.data = bytes ? (void *)(uintptr_t)(im->bin + offset) : (void *)(uintptr_t)&nothing;
    if (bytes && (uintptr_t)t.data % sw_dtype_size(t.dtype))
        t.data = sw_arena_copy(im->graph->arena, t.data, (size_t)bytes);
    return t.data ? add_const(im, l, &t) : sw__ovin_nomem(im);
}

/* ---- Wiring -------------------------------------------------------------------------------------------------------- */

static _Thread_local const sw_ovin_layer *sorted_layers; /* qsort has no context */

static int by_id(const void *a, const void *b) {
    int64_t x = sorted_layers[*(const int *)a].id, y = sorted_layers[*(const int *)b].id;
    return x < y ? -1 : x > y;
}

static int find_layer(const sw_ovin_import *im, int64_t id) {
    size_t low = 0, high = im->n_layers;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (im->layers[im->by_id[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < im->n_layers && im->layers[im->by_id[low]].id == id ? im->by_id[low] : -1;
}

static int find_port(const int64_t *ids, int n, int64_t id) {
    for (int i = 0; i < n; i++)
        if (ids[i] == id) return i;
    return -1;
}

static sw_status wire(sw_ovin_import *im) {
    for (size_t i = 0; i < im->n_edges; i++) {
        const sw_ovin_edge *e = &im->edges[i];
        int from = find_layer(im, e->from), to = find_layer(im, e->to);
        int out = from < 0 ? -1 : find_port(im->layers[from].out_ids, im->layers[from].n_out, e->from_port);
        int in = to < 0 ? -1 : find_port(im->layers[to].in_ids, im->layers[to].n_in, e->to_port);
        if (out < 0 || in < 0 || im->layers[to].from[in] >= 0)
            return sw_fail(im->diag, SW_E_MODEL, im->label, NULL,
                           "the edge from layer %lld port %lld to layer %lld port %lld %s", (long long)e->from,
                           (long long)e->from_port, (long long)e->to, (long long)e->to_port,
                           out < 0 || in < 0 ? "leads nowhere" : "is the second to that port");
        im->layers[to].from[in] = from;
        im->layers[to].from_out[in] = out;
    }
    return SW_OK;
}

static sw_status prepare(sw_ovin_import *im) {
    im->by_id = SW_ARENA_ARRAY(im->arena, int, im->n_layers + 1);
    if (!im->by_id) return sw__ovin_nomem(im);
    for (size_t i = 0; i < im->n_layers; i++) {
        sw_ovin_layer *l = &im->layers[i];
        im->by_id[i] = (int)i;
        l->from = SW_ARENA_ARRAY(im->arena, int, l->n_in + 1);
        l->from_out = SW_ARENA_ARRAY(im->arena, int, l->n_in + 1);
        l->out = SW_ARENA_ARRAY(im->arena, sw_value *, l->n_out + 1);
        if (!l->from || !l->from_out || !l->out) return sw__ovin_nomem(im);
        for (int k = 0; k < l->n_in; k++) l->from[k] = -1;
    }
    sorted_layers = im->layers;
    qsort(im->by_id, im->n_layers, sizeof *im->by_id, by_id);
    for (size_t i = 1; i < im->n_layers; i++)
        if (im->layers[im->by_id[i]].id == im->layers[im->by_id[i - 1]].id)
            return sw_fail(im->diag, SW_E_MODEL, im->label, NULL, "two layers have the id %lld",
                           (long long)im->layers[im->by_id[i]].id);
    return wire(im);
}

/* ---- The walk ------------------------------------------------------------------------------------------------------ */

static sw_status build_layer(sw_ovin_import *im, const sw_ovin_layer *l) {
    im->layer = l;
    if (!strcmp(l->type, "Const")) return read_const(im, l);
    if (!strcmp(l->type, "Parameter") || !strcmp(l->type, "Result")) return SW_OK; /* before and after all others */
    sw_value **in = SW_ARENA_ARRAY(im->arena, sw_value *, l->n_in + 1);
    if (!in) return sw__ovin_nomem(im);
    for (int i = 0; i < l->n_in; i++) {
        if (l->from[i] < 0) return sw__ovin_fail(im, SW_E_MODEL, "nothing leads to its input %d", i);
        in[i] = im->layers[l->from[i]].out[l->from_out[i]];
        if (!in[i]) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "its input %d is an output that is not supported", i);
    }
    sw_ovin_reader reader = sw__ovin_reader_of(l->type);
    if (!reader)
        return sw__ovin_fail(im, SW_E_UNSUPPORTED, "layers of this type (%.20s) are not supported", l->version);
    return reader(im, l, in);
}

/* Depth first, with a list of its own: files may be deep. States: 0 new, 1 waits for its inputs, 2 built. */
static sw_status build_from(sw_ovin_import *im, int start, int *stack) {
    int n = 0;
    stack[n++] = start;
    while (n) {
        sw_ovin_layer *l = &im->layers[stack[n - 1]];
        int next = -1;
        for (int i = 0; i < l->n_in && next < 0; i++)
            if (l->from[i] >= 0 && im->layers[l->from[i]].state != 2) next = l->from[i];
        if (l->state == 2 || next < 0) {
            if (l->state != 2) SW_TRY(build_layer(im, l));
            l->state = 2;
            n--;
            continue;
        }
        im->layer = &im->layers[next];
        if (im->layers[next].state == 1) return sw__ovin_fail(im, SW_E_MODEL, "it depends on itself");
        l->state = 1;
        stack[n++] = next;
    }
    return SW_OK;
}

static sw_status set_ports(sw_ovin_import *im, const char *type, bool inputs) {
    sw_value **values = SW_ARENA_ARRAY(im->arena, sw_value *, im->n_layers + 1);
    int n = 0;
    if (!values) return sw__ovin_nomem(im);
    for (size_t i = 0; i < im->n_layers; i++) {
        const sw_ovin_layer *l = im->layer = &im->layers[i];
        if (strcmp(l->type, type) != 0) continue;
        if (!inputs && (l->n_in != 1 || l->from[0] < 0)) return sw__ovin_fail(im, SW_E_MODEL, "it has no input");
        values[n++] = inputs ? l->out[0] : im->layers[l->from[0]].out[l->from_out[0]];
        if (!values[n - 1]) return sw__ovin_fail(im, SW_E_UNSUPPORTED, "its input is not supported");
    }
    if (!n) return sw_fail(im->diag, SW_E_MODEL, im->label, NULL, "the model has no %s", inputs ? "inputs" : "outputs");
    sw_status status = inputs ? sw_graph_set_inputs(im->graph, values, n) : sw_graph_set_outputs(im->graph, values, n);
    return status == SW_OK ? SW_OK : sw__ovin_nomem(im);
}

sw_status sw__ovin_build(sw_ovin_import *im) {
    SW_TRY(prepare(im));
    int *stack = SW_ARENA_ARRAY(im->arena, int, im->n_layers + 1);
    if (!stack) return sw__ovin_nomem(im);
    for (size_t i = 0; i < im->n_layers; i++) {
        im->layer = &im->layers[i];
        if (!strcmp(im->layer->type, "Parameter")) SW_TRY(read_parameter(im, im->layer));
    }
    SW_TRY(set_ports(im, "Parameter", true));
    for (size_t i = 0; i < im->n_layers; i++) SW_TRY(build_from(im, (int)i, stack));
    return set_ports(im, "Result", false);
}
