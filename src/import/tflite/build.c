/* The file's subgraph becomes the graph: inputs, operators in their order, outputs. */
#include <string.h>

#include "import/tflite/model.h"

enum { NAME_LIMIT = 4096 };

/* The name that the first signature of the subgraph gives a tensor; NULL when none does. */
static const char *signature_name(sw_tfl *m, bool outputs, int32_t tensor) {
    sw_fb_table root = sw_fb_root(&m->fb);
    sw_fb_vector signatures = sw_fb_vec(&root, SW_TFL_MODEL_SIGNATURES, 4);
    if (signatures.n == 0) return NULL;
    sw_fb_table first = sw_fb_vec_table(&signatures, 0);
    if (sw_fb_u32(&first, SW_TFL_SIGNATURE_GRAPH, 0) != 0) return NULL;
    sw_fb_vector maps = sw_fb_vec(&first, outputs ? SW_TFL_SIGNATURE_OUTPUTS : SW_TFL_SIGNATURE_INPUTS, 4);
    for (uint32_t i = 0; i < maps.n && i < NAME_LIMIT; i++) {
        size_t length;
        sw_fb_table map = sw_fb_vec_table(&maps, i);
        const char *name = sw_fb_text(&map, SW_TFL_MAP_NAME, &length);
        if (name && *name && sw_fb_u32(&map, SW_TFL_MAP_TENSOR, 0) == tensor) return name;
    }
    return NULL;
}

/* The tensors of a list of ports. NULL with an error. */
static int32_t *read_ports(sw_tfl *m, int slot, const char *what, uint32_t *count) {
    sw_fb_vector list = sw_fb_vec(&m->subgraph, slot, 4);
    *count = list.n;
    if (list.n > NAME_LIMIT)
        return sw__tfl_fail(m, SW_E_LIMIT, "there are %u %ss; at most %d are possible", list.n, what, NAME_LIMIT);
    int32_t *ports = SW_ARENA_ARRAY(m->scratch, int32_t, list.n + 1);
    if (!ports) return sw__tfl_nomem(m);
    for (uint32_t i = 0; i < list.n; i++) {
        ports[i] = sw_fb_vec_i32(&list, i);
        if (ports[i] < 0 || ports[i] >= (int64_t)m->n_tensors)
            return sw__tfl_fail(m, SW_E_MODEL, "%s %u is tensor %d; there are %u", what, i + 1, ports[i], m->n_tensors);
    }
    return ports;
}

static void add_inputs(sw_tfl *m, const int32_t *ports, uint32_t count) {
    sw_value **values = SW_ARENA_ARRAY(m->scratch, sw_value *, count + 1);
    if (!values) sw__tfl_nomem(m);
    for (uint32_t i = 0; i < count && m->status == SW_OK; i++) {
        sw_tfl_tensor *t = &m->tensors[ports[i]];
        const char *name = signature_name(m, false, ports[i]);
        if (t->n_forms || t->like.data) {
            sw__tfl_fail(m, SW_E_MODEL, "input '%s' is there twice, or is a constant", t->name);
        } else if (!t->like.dtype) {
            sw__tfl_fail(m, SW_E_UNSUPPORTED, "input '%s' is of type %s, which is not supported", t->name,
                         sw__tfl_type_name(t->type));
        } else {
            values[i] = sw_graph_add_value(m->graph, name ? name : t->name, t->like.dtype, t->like.rank, t->like.dims);
            if (!values[i]) sw__tfl_nomem(m);
            t->forms[0] = (sw_tfl_form){values[i], sw_axes_plain(t->like.rank)};
            t->n_forms = 1;
        }
    }
    if (m->status == SW_OK && sw_graph_set_inputs(m->graph, values, (int)count) != SW_OK) sw__tfl_nomem(m);
}

/* Values that hold the names of outputs until these are made. */
static sw_value **reserve_outputs(sw_tfl *m, const int32_t *ports, uint32_t count) {
    sw_value **values = SW_ARENA_ARRAY(m->scratch, sw_value *, count + 1);
    if (!values) return sw__tfl_nomem(m);
    for (uint32_t i = 0; i < count && m->status == SW_OK; i++) {
        const char *name = signature_name(m, true, ports[i]);
        values[i] =
            sw_graph_add_value(m->graph, name ? name : m->tensors[ports[i]].name, SW_DTYPE_NONE, SW_RANK_UNKNOWN, NULL);
        if (!values[i]) sw__tfl_nomem(m);
    }
    if (m->status == SW_OK && sw_graph_set_outputs(m->graph, values, (int)count) != SW_OK) sw__tfl_nomem(m);
    return m->status == SW_OK ? values : NULL;
}

static void add_outputs(sw_tfl *m, const int32_t *ports, uint32_t count, sw_value *const *reserved) {
    for (uint32_t i = 0; i < count && m->status == SW_OK; i++) {
        sw_tfl_tensor *t = &m->tensors[ports[i]];
        sw_axes plain = sw_axes_plain(t->n_forms ? t->forms[0].axes.n : t->like.rank);
        sw_value *value = sw__tfl_in_form(m, t, &plain);
        if (value && (!value->producer || sw_graph_is_output(m->graph, value)))
            value = sw__tfl_settle(m, sw__tfl_apply(m, SW_OP_Identity, t->name, 1, &value));
        if (value) sw_graph_replace_output(m->graph, reserved[i], value);
    }
}

/* What the integers of outputs stand for, which their type does not tell. */
static void note_scales(sw_tfl *m, const int32_t *ports, uint32_t count) {
    sw_buf text = sw_buf_make(m->graph->allocator, 0);
    for (uint32_t i = 0; i < count && m->status == SW_OK; i++) {
        const sw_tfl_tensor *t = &m->tensors[ports[i]];
        if (!sw__tfl_quantised(t) || t->scales.n != 1) continue;
        sw_buf_append_text(&text, text.size ? ", " : "{");
        sw_buf_append_repr(&text, m->graph->outputs[i]->name);
        sw_buf_printf(&text, ": [%.9g, %lld]", (double)sw__tfl_scale(t), (long long)sw__tfl_zero(t));
    }
    if (text.size && m->status == SW_OK) {
        sw_buf_append_text(&text, "}");
        if (text.status != SW_OK || sw_graph_set_meta(m->graph, SW_META_QUANTIZATION, sw_buf_text(&text)) != SW_OK)
            sw__tfl_nomem(m);
    }
    sw_buf_free(&text);
}

static const sw_tfl_row *find_row(int code) {
    const sw_tfl_row *const tables[] = {sw__tfl_spatial, sw__tfl_element, sw__tfl_move, sw__tfl_reduce,
                                        sw__tfl_recurrent};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const sw_tfl_row *row = tables[i]; row->translate; row++)
            if (row->code == code) return row;
    return NULL;
}

static void translate(sw_tfl *m, const sw_fb_table *op, int number) {
    sw_tfl_node n = {.m = m, .number = number};
    if (sw__tfl_read_node(m, op, &n) != SW_OK) return;
    const sw_tfl_row *row = find_row(n.code);
    if (!row) {
        const char *what = n.code == SW_TFL_CUSTOM ? "a custom operator" : "an operator";
        sw__tfl_refuse(&n, SW_E_UNSUPPORTED, "%s that Slipway does not know", what);
        return;
    }
    n.arg = row->arg;
    row->translate(&n);
}

sw_status sw__tfl_build(sw_tfl *m) {
    uint32_t n_inputs, n_outputs;
    int32_t *inputs = read_ports(m, SW_TFL_GRAPH_INPUTS, "input", &n_inputs);
    int32_t *outputs = read_ports(m, SW_TFL_GRAPH_OUTPUTS, "output", &n_outputs);
    sw_fb_vector operators = sw_fb_vec(&m->subgraph, SW_TFL_GRAPH_OPERATORS, 4);
    if (operators.n > SW_TFL_MAX_OPERATORS)
        sw__tfl_fail(m, SW_E_LIMIT, "there are %u operators; at most %d are possible", operators.n,
                     SW_TFL_MAX_OPERATORS);
    if (n_outputs == 0) sw__tfl_fail(m, SW_E_MODEL, "the graph has no output");
    if (m->fb.status != SW_OK) return m->fb.status;
    if (m->status != SW_OK) return m->status;
    add_inputs(m, inputs, n_inputs);
    sw_value **reserved = m->status == SW_OK ? reserve_outputs(m, outputs, n_outputs) : NULL;
    for (uint32_t i = 0; i < operators.n && m->status == SW_OK && m->fb.status == SW_OK; i++) {
        sw_fb_table op = sw_fb_vec_table(&operators, i);
        translate(m, &op, (int)i);
    }
    if (m->fb.status == SW_OK && m->status == SW_OK) add_outputs(m, outputs, n_outputs, reserved);
    if (m->fb.status == SW_OK && m->status == SW_OK) note_scales(m, outputs, n_outputs);
    return m->fb.status != SW_OK ? m->fb.status : m->status;
}
