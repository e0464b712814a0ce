#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/inspect.h"

enum { NAME_TEXT = 40, SHAPE_TEXT = 160, META_COLUMNS = 68, LABEL = 12 };

void sw_report_shape(const sw_graph *graph, const sw_tensor *t, char *text, size_t size) {
    if (t->rank < 0) {
        snprintf(text, size, "[...]");
        return;
    }
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < t->rank && used < size; i++) {
        const char *name = sw_graph_dim_name(graph, t->dims[i]);
        if (name)
            used += (size_t)snprintf(text + used, size - used, "%s%s", i ? "," : "", name);
        else
            used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? "," : "", t->dims[i]);
    }
    if (used < size) snprintf(text + used, size - used, "]");
}

/* How often each operator is there, most frequent first. */
typedef struct op_count {
    sw_op op;
    int n;
} op_count;

static int by_count(const void *a, const void *b) {
    const op_count *x = a, *y = b;
    return x->n != y->n ? y->n - x->n : (int)x->op - (int)y->op;
}

static int count_ops(const sw_graph *graph, op_count counts[SW_OP_COUNT]) {
    for (int i = 0; i < SW_OP_COUNT; i++) counts[i] = (op_count){.op = (sw_op)i};
    for (const sw_node *node = graph->first; node; node = node->next) counts[node->op].n++;
    qsort(counts, SW_OP_COUNT, sizeof *counts, by_count);
    int kinds = 0;
    while (kinds < SW_OP_COUNT && counts[kinds].n) kinds++;
    return kinds;
}

/* -- Text ---------------------------------------------------------------------------------------------------------------- */

static void print_ports(const sw_graph *graph, sw_value *const *values, const sw_tensor *types, int n,
                        const char *title, sw_console *c) {
    char shape[SHAPE_TEXT];
    for (int i = 0; i < n; i++) {
        sw_report_shape(graph, &types[i], shape, sizeof shape);
        sw_print(c, "%-*s%s  %s %s\n", LABEL, i ? "" : title, values[i]->name, sw_dtype_name(types[i].dtype), shape);
    }
}

/* Bytes of the first characters of `text` that fit: to its end, a line break, or `most` bytes. */
static int fitting(const char *text, int most) {
    int length = (int)strcspn(text, "\r\n");
    if (length <= most) return length;
    while (most > 0 && (text[most] & 0xc0) == 0x80) most--; /* not within a character */
    return most;
}

void sw_report_meta(sw_console *c, bool first, const char *key, const char *value) {
    int length = fitting(value, META_COLUMNS - (int)strlen(key));
    if (length < 0) length = 0;
    sw_print(c, "%-*s%s: %.*s%s\n", LABEL, first ? "metadata" : "", key, length, value, value[length] ? "..." : "");
}

static void print_ops(const sw_graph *graph, sw_console *c) {
    op_count counts[SW_OP_COUNT];
    int kinds = count_ops(graph, counts), at = LABEL;
    sw_print(c, "%-*s", LABEL, "operators");
    for (int i = 0; i < kinds; i++) {
        char text[64];
        int length = snprintf(text, sizeof text, "%s %d%s", sw_op_get(counts[i].op)->name, counts[i].n,
                              i + 1 < kinds ? "," : "");
        bool full = at + 1 + length > LABEL + META_COLUMNS + 8;
        if (full)
            sw_print(c, "\n%*s", LABEL, "");
        else if (i)
            sw_print(c, " ");
        at = full ? LABEL : at + (i > 0);
        sw_print(c, "%s", text);
        at += length;
    }
    sw_print(c, "\n");
}

/* A number with its unit, short: 2.6 M. */
static void short_number(char *text, size_t size, double value) {
    if (value >= 1e9)
        snprintf(text, size, "%.2f G", value / 1e9);
    else if (value >= 1e6)
        snprintf(text, size, "%.2f M", value / 1e6);
    else if (value >= 1e3)
        snprintf(text, size, "%.1f k", value / 1e3);
    else
        snprintf(text, size, "%.0f", value);
}

static void print_layers(const sw_graph *graph, sw_console *c) {
    sw_print(c, "\n%5s  %-18s %-*s %-24s %10s %10s\n", "#", "operator", NAME_TEXT, "output", "shape", "params",
             "MFLOP");
    int number = 0;
    for (const sw_node *node = graph->first; node; node = node->next, number++) {
        char shape[SHAPE_TEXT] = "", name[NAME_TEXT + 1] = "", flops[32] = "-";
        const sw_value *out = node->n_out ? node->out[0] : NULL;
        if (out) {
            sw_report_shape(graph, &out->type, shape, sizeof shape);
            size_t length = strlen(out->name);
            if (length <= NAME_TEXT)
                snprintf(name, sizeof name, "%s", out->name);
            else
                snprintf(name, sizeof name, "...%s", out->name + length - NAME_TEXT + 3);
        }
        double cost = sw_node_flops(node);
        if (cost < 0)
            snprintf(flops, sizeof flops, "?");
        else if (cost > 0)
            snprintf(flops, sizeof flops, "%.2f", cost / 1e6);
        sw_weight w = sw_node_weight(node);
        sw_print(c, "%5d  %-18s %-*s %-24s %10" PRId64 " %10s\n", number, sw_op_get(node->op)->name, NAME_TEXT, name,
                 shape, w.elements, flops);
    }
}

/* What `predict` takes the model for. */
static void print_purpose(const sw_report *r, sw_console *c) {
    if (r->task) {
        sw_print(c, "%-*s%s, %d class%s\n", LABEL, "task", r->task, r->classes, r->classes == 1 ? "" : "es");
        sw_print(c, "%-*s%s\n%-*s%s\n", LABEL, "head", r->head ? r->head : "", LABEL, "picture",
                 r->preparation ? r->preparation : "");
    } else if (r->refusal) {
        sw_print(c, "%-*snot understood: %s\n", LABEL, "head", r->refusal);
    }
}

void sw_report_text(const sw_report *r, sw_console *c) {
    const sw_graph *g = r->graph;
    char parameters[32];
    sw_print(c, "%s\n", r->path);
    sw_print(c, "%-*s%s%s%s\n", LABEL, "format", g->format ? g->format : "unknown",
             g->producer && g->producer[0] ? ", by " : "", g->producer ? g->producer : "");
    if (g->name && g->name[0]) sw_print(c, "%-*s%s\n", LABEL, "name", g->name);
    print_ports(g, g->inputs, r->inputs, g->n_inputs, "inputs", c);
    print_ports(g, g->outputs, r->outputs, g->n_outputs, "outputs", c);
    print_purpose(r, c);
    short_number(parameters, sizeof parameters, (double)r->weight.elements);
    sw_print(c, "%-*s%s (%.2f MB)\n", LABEL, "parameters", parameters, (double)r->weight.bytes / 1e6);
    sw_print(c, "%-*s%.3f GFLOP", LABEL, "arithmetic", r->flops / 1e9);
    if (r->assumed_height) sw_print(c, " at %d x %d pixels", r->assumed_width, r->assumed_height);
    if (r->unknown) sw_print(c, ", and %d nodes whose size is not known; set it with --shapes", r->unknown);
    sw_print(c, "\n%-*s%d, %d with constants folded\n", LABEL, "nodes", r->nodes_in_file, g->n_nodes);
    print_ops(g, c);
    for (size_t i = 0; i < g->n_meta; i++) sw_report_meta(c, i == 0, g->meta[i].key, g->meta[i].value);
    if (r->layers) print_layers(g, c);
}

/* -- JSON ---------------------------------------------------------------------------------------------------------------- */

static void json_type(sw_json_writer *w, const sw_graph *graph, const sw_tensor *t) {
    sw_json_key(w, "dtype"), sw_json_string(w, sw_dtype_name(t->dtype));
    sw_json_key(w, "shape");
    if (t->rank < 0) {
        sw_json_null(w);
        return;
    }
    sw_json_flat(w);
    sw_json_array(w);
    for (int i = 0; i < t->rank; i++) {
        const char *name = sw_graph_dim_name(graph, t->dims[i]);
        if (name && strcmp(name, "?") == 0)
            sw_json_null(w);
        else if (name)
            sw_json_string(w, name);
        else
            sw_json_int(w, t->dims[i]);
    }
    sw_json_array_end(w);
}

static void json_ports(sw_json_writer *w, const sw_graph *graph, const char *key, sw_value *const *values,
                       const sw_tensor *types, int n) {
    sw_json_key(w, key), sw_json_array(w);
    for (int i = 0; i < n; i++) {
        sw_json_flat(w), sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, values[i]->name);
        json_type(w, graph, &types[i]);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

static void json_names(sw_json_writer *w, const char *key, sw_value *const *values, int n) {
    sw_json_key(w, key), sw_json_array(w);
    for (int i = 0; i < n; i++) sw_json_string(w, values[i] ? values[i]->name : NULL);
    sw_json_array_end(w);
}

static void json_flops(sw_json_writer *w, double flops) {
    sw_json_key(w, "gflops");
    if (flops < 0)
        sw_json_null(w);
    else
        sw_json_f64(w, flops / 1e9);
}

static void json_nodes(sw_json_writer *w, const sw_graph *graph) {
    sw_json_key(w, "nodes"), sw_json_array(w);
    for (const sw_node *node = graph->first; node; node = node->next) {
        sw_json_flat(w), sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, node->name);
        sw_json_key(w, "op"), sw_json_string(w, sw_op_get(node->op)->name);
        json_names(w, "inputs", node->in, node->n_in);
        json_names(w, "outputs", node->out, node->n_out);
        if (node->n_out && node->out[0]) json_type(w, graph, &node->out[0]->type);
        sw_json_key(w, "parameters"), sw_json_int(w, sw_node_weight(node).elements);
        json_flops(w, sw_node_flops(node));
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

void sw_report_json(const sw_report *r, sw_buf *buf) {
    const sw_graph *g = r->graph;
    op_count counts[SW_OP_COUNT];
    int kinds = count_ops(g, counts);
    sw_json_writer w = sw_json_writer_make(buf, 2);
    sw_json_object(&w);
    sw_json_key(&w, "model"), sw_json_string(&w, r->path);
    sw_json_key(&w, "format"), sw_json_string(&w, g->format);
    sw_json_key(&w, "producer"), sw_json_string(&w, g->producer);
    sw_json_key(&w, "name"), sw_json_string(&w, g->name);
    json_ports(&w, g, "inputs", g->inputs, r->inputs, g->n_inputs);
    json_ports(&w, g, "outputs", g->outputs, r->outputs, g->n_outputs);
    sw_json_key(&w, "task"), sw_json_string(&w, r->task);
    sw_json_key(&w, "head"), sw_json_string(&w, r->head);
    sw_json_key(&w, "picture"), sw_json_string(&w, r->preparation);
    sw_json_key(&w, "parameters"), sw_json_int(&w, r->weight.elements);
    sw_json_key(&w, "parameter_bytes"), sw_json_int(&w, r->weight.bytes);
    json_flops(&w, r->unknown ? -1 : r->flops);
    sw_json_key(&w, "nodes_in_file"), sw_json_int(&w, r->nodes_in_file);
    sw_json_key(&w, "operators"), sw_json_object(&w);
    for (int i = 0; i < kinds; i++) sw_json_key(&w, sw_op_get(counts[i].op)->name), sw_json_int(&w, counts[i].n);
    sw_json_object_end(&w);
    sw_json_key(&w, "metadata"), sw_json_object(&w);
    for (size_t i = 0; i < g->n_meta; i++) sw_json_key(&w, g->meta[i].key), sw_json_string(&w, g->meta[i].value);
    sw_json_object_end(&w);
    json_nodes(&w, g);
    sw_json_object_end(&w);
    sw_buf_append_byte(buf, '\n');
}

/* -- Graphviz ------------------------------------------------------------------------------------------------------------ */

/* Text within double quotes of the DOT language. */
static void dot_text(sw_buf *b, const char *text) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') sw_buf_append_byte(b, '\\');
        sw_buf_append_byte(b, (uint8_t)*text < 0x20 ? ' ' : (uint8_t)*text);
    }
}

static void dot_edge(const sw_graph *graph, const sw_value *value, const char *from, const char *to, sw_buf *b) {
    char shape[SHAPE_TEXT];
    sw_report_shape(graph, &value->type, shape, sizeof shape);
    sw_buf_printf(b, "  %s -> %s [label=\"", from, to);
    dot_text(b, shape);
    sw_buf_append_text(b, "\"];\n");
}

static void dot_ports(const char *kind, sw_value *const *values, int n, sw_buf *b) {
    for (int i = 0; i < n; i++) {
        sw_buf_printf(b, "  %s%" PRIu32 " [shape=ellipse label=\"", kind, values[i]->id);
        dot_text(b, values[i]->name);
        sw_buf_append_text(b, "\"];\n");
    }
}

/* A node is called by its first output's id: it has no number of its own. */
static void dot_name(const sw_node *node, char text[32]) {
    uint32_t id = 0;
    for (int i = node->n_out - 1; i >= 0; i--)
        if (node->out[i]) id = node->out[i]->id;
    snprintf(text, 32, "n%" PRIu32, id);
}

static void dot_source(const sw_value *value, char text[32]) {
    if (value->producer)
        dot_name(value->producer, text);
    else
        snprintf(text, 32, "in%" PRIu32, value->id);
}

void sw_report_dot(const sw_report *r, sw_buf *b) {
    const sw_graph *g = r->graph;
    char from[32], to[32];
    sw_buf_append_text(b, "digraph model {\n  rankdir=TB;\n  node [shape=box fontname=\"sans-serif\" fontsize=11];\n"
                          "  edge [fontname=\"sans-serif\" fontsize=9];\n");
    dot_ports("in", g->inputs, g->n_inputs, b);
    dot_ports("out", g->outputs, g->n_outputs, b);
    for (const sw_node *node = g->first; node; node = node->next) {
        dot_name(node, to);
        sw_buf_printf(b, "  %s [label=\"%s\" tooltip=\"", to, sw_op_get(node->op)->name);
        dot_text(b, node->name);
        sw_buf_append_text(b, "\"];\n");
        for (int i = 0; i < node->n_in; i++) {
            if (!node->in[i] || sw_value_is_const(node->in[i])) continue;
            dot_source(node->in[i], from);
            dot_edge(g, node->in[i], from, to, b);
        }
    }
    for (int i = 0; i < g->n_outputs; i++) {
        if (sw_value_is_const(g->outputs[i])) continue;
        dot_source(g->outputs[i], from);
        snprintf(to, sizeof to, "out%" PRIu32, g->outputs[i]->id);
        dot_edge(g, g->outputs[i], from, to, b);
    }
    sw_buf_append_text(b, "}\n");
}
