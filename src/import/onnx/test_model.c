#include "import/onnx/test_model.h"

#include <stdlib.h>

#include "base/str.h"
#include "import/onnx/onnx.h"
#include "kernels/kernel.h"
#include "unit.h"

/* ---- Text to bytes --------------------------------------------------------------------------------------- */

enum { MAX_WORDS = 64, MAX_GRAPHS = 8 };

typedef struct maker {
    const char *at;
    char line[1024];
    char *words[MAX_WORDS];
    int n;
    char graph_names[MAX_GRAPHS][32];
    sw_buf graphs[MAX_GRAPHS];
    int n_graphs;
    int64_t ir;
} maker;

static bool next_line(maker *m) {
    for (;;) {
        size_t length = strcspn(m->at, "\n");
        if (!length && !*m->at) return false;
        snprintf(m->line, sizeof m->line, "%.*s", (int)length, m->at);
        m->at += length + (m->at[length] == '\n');
        m->n = 0;
        char *save = NULL;
        for (char *w = strtok_r(m->line, " ", &save); w && m->n < MAX_WORDS; w = strtok_r(NULL, " ", &save))
            m->words[m->n++] = w;
        if (m->n) return true;
    }
}

static void put_message(sw_buf *to, uint32_t number, sw_buf *inner) {
    sw_pb_put_bytes(to, number, inner->data ? inner->data : (const uint8_t *)"", inner->size);
    sw_buf_free(inner);
}

static const char *name_of(const char *word) {
    return strcmp(word, "-") == 0 ? "" : word;
}

static int64_t int_of(const char *word) {
    int64_t v = 0;
    if (!sw_str_to_i64(word, strlen(word), &v)) sw_test_fail(__FILE__, __LINE__, "no integer: %s", word);
    return v;
}

static double number_of(const char *word) {
    double v = 0;
    if (!sw_str_to_f64(word, strlen(word), &v)) sw_test_fail(__FILE__, __LINE__, "no number: %s", word);
    return v;
}

static const struct {
    const char *name;
    int onnx;
    sw_dtype dtype;
} types[] = {{"f32", 1, SW_F32}, {"u8", 2, SW_U8},     {"i8", 3, SW_I8},    {"i32", 6, SW_I32},  {"i64", 7, SW_I64},
             {"str", 8, 0},      {"bool", 9, SW_BOOL}, {"f16", 10, SW_F16}, {"f64", 11, SW_F64}, {"f8", 17, 0}};

static int type_of(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) return (int)i;
    sw_test_fail(__FILE__, __LINE__, "no type: %s", name);
    return 0;
}

static void put_element(sw_buf *raw, sw_dtype dtype, const char *word) {
    double v = number_of(word);
    float f = (float)v;
    int64_t i = (int64_t)v;
    uint16_t h = sw_f32_to_f16(f);
    const void *bytes = dtype == SW_F64   ? (const void *)&v
                        : dtype == SW_F32 ? (const void *)&f
                        : dtype == SW_F16 ? (const void *)&h
                                          : (const void *)&i;
    sw_buf_append(raw, bytes, sw_dtype_size(dtype));
}

/* TensorProto of words: type, dims, ":" and elements. */
static sw_buf tensor_of(const char *name, char **words, int n) {
    sw_buf t = sw_buf_make(NULL, 0), raw = sw_buf_make(NULL, 0);
    int type = type_of(words[0]), i = 1;
    for (; i < n && strcmp(words[i], ":") != 0; i++) sw_pb_put_varint(&t, 1, (uint64_t)int_of(words[i]));
    sw_pb_put_varint(&t, 2, (uint64_t)types[type].onnx);
    for (i++; i < n; i++) put_element(&raw, types[type].dtype, words[i]);
    if (*name) sw_pb_put_text(&t, 8, name);
    put_message(&t, 9, &raw);
    return t;
}

/* ValueInfoProto */
static sw_buf port_of(const char *name, char **words, int n) {
    sw_buf port = sw_buf_make(NULL, 0), type = port, tensor = port, shape = port;
    sw_pb_put_text(&port, 1, name);
    if (!n) return port;
    sw_pb_put_varint(&tensor, 1, (uint64_t)types[type_of(words[0])].onnx);
    for (int i = 1; i < n; i++) {
        sw_buf dim = sw_buf_make(NULL, 0);
        int64_t v;
        if (sw_str_to_i64(words[i], strlen(words[i]), &v))
            sw_pb_put_varint(&dim, 1, (uint64_t)v);
        else if (strcmp(words[i], "?") != 0)
            sw_pb_put_text(&dim, 2, words[i]);
        if (strcmp(words[i], "*") != 0)
            put_message(&shape, 1, &dim);
        else
            sw_buf_free(&dim);
    }
    if (n < 2 || strcmp(words[1], "*") != 0) put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor);
    put_message(&port, 2, &type);
    return port;
}

static void put_list(sw_buf *attr, const char *kind, char *list) {
    char *save = NULL;
    for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        if (strcmp(kind, "is") == 0)
            sw_pb_put_varint(attr, 8, (uint64_t)int_of(w));
        else if (strcmp(kind, "fs") == 0)
            sw_pb_put_float(attr, 7, (float)number_of(w));
        else
            sw_pb_put_text(attr, 9, w);
    }
}

static void put_tensor_attr(sw_buf *attr, char *text) {
    char *words[MAX_WORDS], *save = NULL;
    int n = 0;
    for (char *w = strtok_r(text, ",", &save); w && n < MAX_WORDS; w = strtok_r(NULL, ",", &save)) words[n++] = w;
    sw_buf t = tensor_of("", words, n);
    put_message(attr, 5, &t);
}

/* AttributeProto of "name=kind:value". */
static sw_buf attr_of(maker *m, char *word) {
    static const struct {
        const char *kind;
        int type;
    } kinds[] = {{"f", 1}, {"i", 2}, {"s", 3}, {"t", 4}, {"g", 5}, {"fs", 6}, {"is", 7}, {"ss", 8}, {"ref", 0}};
    sw_buf attr = sw_buf_make(NULL, 0);
    char *kind = strchr(word, '='), *value = kind ? strchr(kind, ':') : NULL;
    if (!value) {
        sw_test_fail(__FILE__, __LINE__, "no attribute: %s", word);
        return attr;
    }
    *kind++ = *value++ = 0;
    sw_pb_put_text(&attr, 1, word);
    if (strcmp(kind, "i") == 0)
        sw_pb_put_varint(&attr, 3, (uint64_t)int_of(value));
    else if (strcmp(kind, "f") == 0)
        sw_pb_put_float(&attr, 2, (float)number_of(value));
    else if (strcmp(kind, "s") == 0)
        sw_pb_put_text(&attr, 4, value);
    else if (strcmp(kind, "ref") == 0)
        sw_pb_put_text(&attr, 21, value);
    else if (strcmp(kind, "t") == 0)
        put_tensor_attr(&attr, value);
    else if (strcmp(kind, "g") != 0)
        put_list(&attr, kind, value);
    for (int i = 0; strcmp(kind, "g") == 0 && i < m->n_graphs; i++)
        if (strcmp(m->graph_names[i], value) == 0) sw_pb_put_bytes(&attr, 6, m->graphs[i].data, m->graphs[i].size);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].kind, kind) == 0 && kinds[i].type) sw_pb_put_varint(&attr, 20, (uint64_t)kinds[i].type);
    return attr;
}

static void put_node(maker *m, sw_buf *to, uint32_t number) {
    sw_buf node = sw_buf_make(NULL, 0);
    char *op = m->words[1], *name = strchr(op, '@'), *domain = strstr(op, "::");
    int i = 2;
    for (; i < m->n && strcmp(m->words[i], "->") != 0; i++) sw_pb_put_text(&node, 1, name_of(m->words[i]));
    for (i++; i < m->n && strcmp(m->words[i], "|") != 0; i++) sw_pb_put_text(&node, 2, name_of(m->words[i]));
    if (name) {
        *name = 0;
        sw_pb_put_text(&node, 3, name + 1);
    }
    sw_pb_put_text(&node, 4, domain ? domain + 2 : op);
    for (; i < m->n; i++) {
        if (strcmp(m->words[i], "|") == 0) continue;
        sw_buf attr = attr_of(m, m->words[i]);
        put_message(&node, 5, &attr);
    }
    if (domain) {
        *domain = 0;
        sw_pb_put_text(&node, 7, op);
    }
    put_message(to, number, &node);
}

static void put_opset(const maker *m, sw_buf *to, uint32_t number) {
    sw_buf opset = sw_buf_make(NULL, 0);
    if (m->n > 2) sw_pb_put_text(&opset, 1, m->words[1]);
    sw_pb_put_varint(&opset, 2, (uint64_t)int_of(m->words[m->n - 1]));
    put_message(to, number, &opset);
}

/* A line of a graph; false when it is none. */
static bool put_graph_line(maker *m, sw_buf *graph) {
    const char *verb = m->words[0];
    if (strcmp(verb, "node") == 0) {
        put_node(m, graph, 1);
        return true;
    }
    uint32_t number = strcmp(verb, "in") == 0 ? 11 : strcmp(verb, "out") == 0 ? 12 : strcmp(verb, "init") == 0 ? 5 : 0;
    if (!number) return false;
    sw_buf inner =
        number == 5 ? tensor_of(m->words[1], m->words + 2, m->n - 2) : port_of(m->words[1], m->words + 2, m->n - 2);
    put_message(graph, number, &inner);
    return true;
}

static void read_inner_graph(maker *m) {
    sw_buf *graph = &m->graphs[m->n_graphs];
    snprintf(m->graph_names[m->n_graphs], sizeof m->graph_names[0], "%s", m->words[1]);
    *graph = sw_buf_make(NULL, 0);
    while (next_line(m) && strcmp(m->words[0], "end") != 0)
        if (!put_graph_line(m, graph)) sw_test_fail(__FILE__, __LINE__, "no line of a graph: %s", m->words[0]);
    m->n_graphs++;
}

static void put_function(maker *m, sw_buf *model) {
    sw_buf fn = sw_buf_make(NULL, 0);
    char *domain = m->words[1], *name = strstr(domain, "::");
    *name = 0;
    sw_pb_put_text(&fn, 1, name + 2);
    sw_pb_put_text(&fn, 10, domain);
    int i = 2;
    for (; i < m->n && strcmp(m->words[i], "->") != 0; i++) sw_pb_put_text(&fn, 4, m->words[i]);
    for (i++; i < m->n && strcmp(m->words[i], "|") != 0; i++) sw_pb_put_text(&fn, 5, m->words[i]);
    for (; i < m->n; i++) {
        if (strcmp(m->words[i], "|") == 0) continue;
        if (!strchr(m->words[i], '=')) {
            sw_pb_put_text(&fn, 6, m->words[i]);
            continue;
        }
        sw_buf attr = attr_of(m, m->words[i]);
        put_message(&fn, 11, &attr);
    }
    while (next_line(m) && strcmp(m->words[0], "end") != 0) {
        if (strcmp(m->words[0], "opset") == 0)
            put_opset(m, &fn, 9);
        else
            put_node(m, &fn, 7);
    }
    put_message(model, 25, &fn);
}

static void put_meta(const maker *m, sw_buf *model) {
    sw_buf entry = sw_buf_make(NULL, 0);
    sw_pb_put_text(&entry, 1, m->words[1]);
    sw_pb_put_text(&entry, 2, m->words[2]);
    put_message(model, 14, &entry);
}

sw_buf sw__test_model(const char *text) {
    maker m = {.at = text, .ir = 8};
    sw_buf rest = sw_buf_make(NULL, 0), graph = rest, model = rest;
    while (next_line(&m)) {
        if (strcmp(m.words[0], "ir") == 0)
            m.ir = int_of(m.words[1]);
        else if (strcmp(m.words[0], "opset") == 0)
            put_opset(&m, &rest, 8);
        else if (strcmp(m.words[0], "graph") == 0)
            read_inner_graph(&m);
        else if (strcmp(m.words[0], "func") == 0)
            put_function(&m, &rest);
        else if (strcmp(m.words[0], "meta") == 0)
            put_meta(&m, &rest);
        else if (!put_graph_line(&m, &graph))
            sw_test_fail(__FILE__, __LINE__, "no line of a model: %s", m.words[0]);
    }
    sw_pb_put_varint(&model, 1, (uint64_t)m.ir);
    put_message(&model, 7, &graph);
    sw_buf_append(&model, rest.data, rest.size);
    sw_buf_free(&rest);
    for (int i = 0; i < m.n_graphs; i++) sw_buf_free(&m.graphs[i]);
    return model;
}

/* ---- Graph to text --------------------------------------------------------------------------------------- */

static char result[4096];

static void say(const char *fmt, ...) SW_PRINTF(1, 2);
static void say(const char *fmt, ...) {
    size_t used = strlen(result);
    va_list args;
    va_start(args, fmt);
    vsnprintf(result + used, sizeof result - used, fmt, args);
    va_end(args);
}

static void say_dims(const sw_tensor *t) {
    for (int i = 0; i < t->rank; i++) say("%s%lld", i ? "x" : "", (long long)t->dims[i]);
}

/* A constant as its elements ("f32[0 1]", a scalar without brackets), long ones as their dims. */
static void say_constant(const sw_tensor *t) {
    int64_t count = sw_tensor_count(t);
    say("%s", t->dtype == SW_F32 ? "" : t->dtype == SW_I64 ? "i" : sw_dtype_name(t->dtype));
    if (t->rank > 1) {
        say("{");
        say_dims(t);
        say("}");
    }
    if (count > 8) return;
    if (t->rank) say("[");
    for (int64_t i = 0; i < count; i++) say("%s%g", i ? " " : "", sw_tensor_float_at(t, i));
    if (t->rank) say("]");
}

static void say_value(const sw_value *value) {
    if (!value)
        say("-");
    else if (value->type.data)
        say_constant(&value->type);
    else
        say("%s", value->name);
}

static void say_attr(const sw_attr_def *def, const sw_attr *attr) {
    if (!attr->set) return;
    if (def->type == SW_ATTR_INT && (!def->has_default || attr->i != def->i))
        say(" %s=%lld", def->name, (long long)attr->i);
    if (def->type == SW_ATTR_FLOAT && (attr->f < def->f || attr->f > def->f)) say(" %s=%g", def->name, (double)attr->f);
    if (def->type == SW_ATTR_STRING && (!def->s || strcmp(attr->s, def->s) != 0)) say(" %s=%s", def->name, attr->s);
    if (def->type == SW_ATTR_TENSOR) {
        say(" %s=", def->name);
        say_constant(attr->t);
    }
    if (def->type != SW_ATTR_INTS && def->type != SW_ATTR_FLOATS) return;
    say(" %s=[", def->name);
    for (int i = 0; def->type == SW_ATTR_INTS && i < attr->ints.n; i++)
        say("%s%lld", i ? " " : "", (long long)attr->ints.v[i]);
    for (int i = 0; def->type == SW_ATTR_FLOATS && i < attr->floats.n; i++)
        say("%s%g", i ? " " : "", (double)attr->floats.v[i]);
    say("]");
}

const char *sw__test_describe(const sw_graph *graph) {
    result[0] = 0;
    for (const sw_node *node = graph->first; node; node = node->next) {
        const sw_op_info *info = sw_op_get(node->op);
        say("%s%s(", node->prev ? "; " : "", info->name);
        for (int i = 0; i < node->n_in; i++) {
            if (i) say(", ");
            say_value(node->in[i]);
        }
        say(")");
        for (int i = 0; i < info->n_attrs; i++) say_attr(&info->attrs[i], &node->attrs[i]);
        say(" ->");
        for (int i = 0; i < node->n_out; i++) say(" %s", node->out[i] ? node->out[i]->name : "-");
    }
    return result;
}

sw_status sw__test_evaluate(const sw_call *call) {
    sw_kernel_fn kernel = sw_kernel_ref(call->op);
    return kernel ? kernel(call) : SW_E_UNSUPPORTED;
}

static const char *import(const void *bytes, size_t size, const char *base_dir, sw_evaluate evaluate) {
    sw_graph *graph;
    sw_status status = sw_onnx_parse(bytes, size, base_dir, "m", evaluate, NULL, &sw_test_diag, &graph);
    if (status != SW_OK) {
        snprintf(result, sizeof result, "%d %s", sw_status_exit_code(status), sw_test_message());
        if (graph) sw_test_fail(__FILE__, __LINE__, "a graph in spite of the error %s", result);
        return result;
    }
    if (sw_graph_verify(graph, &sw_test_diag) != SW_OK)
        sw_test_fail(__FILE__, __LINE__, "the verifier says: %s", sw_test_message());
    sw__test_describe(graph);
    sw_graph_destroy(graph);
    return result;
}

const char *sw__test_import_bytes(const void *bytes, size_t size, const char *base_dir) {
    return import(bytes, size, base_dir, NULL);
}

const char *sw__test_import_computing(const char *text) {
    sw_buf model = sw__test_model(text);
    import(model.data, model.size, NULL, sw__test_evaluate);
    sw_buf_free(&model);
    return result;
}

const char *sw__test_import(const char *text) {
    sw_buf model = sw__test_model(text);
    sw__test_import_bytes(model.data, model.size, NULL);
    sw_buf_free(&model);
    return result;
}

const char *sw__test_import_tensor(const sw_buf *tensor, const char *base_dir) {
    sw_buf frame = sw__test_model("opset 17\nnode Add w w -> y\nout y\n"), graph = sw_buf_make(NULL, 0), model = graph;
    sw_pb r = sw_pb_make(frame.data, frame.size, "frame", NULL);
    sw_pb_field f;
    while (sw_pb_next(&r, &f)) {
        if (f.number == 1)
            sw_pb_put_varint(&model, 1, f.value);
        else if (f.number != 7)
            sw_pb_put_bytes(&model, f.number, f.data, f.size);
        else
            sw_buf_append(&graph, f.data, f.size);
    }
    sw_pb_put_bytes(&graph, 5, tensor->data, tensor->size);
    put_message(&model, 7, &graph);
    sw__test_import_bytes(model.data, model.size, base_dir);
    sw_buf_free(&model);
    sw_buf_free(&frame);
    return result;
}
