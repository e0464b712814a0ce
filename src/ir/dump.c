#include <inttypes.h>

#include "base/minifloat.h"
#include "ir/graph.h"

static void dump_type(const sw_graph *graph, const sw_tensor *type, FILE *file) {
    fprintf(file, ":%s", sw_dtype_name(type->dtype));
    if (type->rank < 0) {
        fputs("[...]", file);
        return;
    }
    fputc('[', file);
    for (int i = 0; i < type->rank; i++) {
        const char *name = sw_graph_dim_name(graph, type->dims[i]);
        if (name)
            fprintf(file, "%s%s", i ? "," : "", name);
        else
            fprintf(file, "%s%" PRId64, i ? "," : "", type->dims[i]);
    }
    fputc(']', file);
}

static void dump_elements(const sw_tensor *t, FILE *file) {
    int64_t n = sw_tensor_count(t);
    bool floats = t->dtype == SW_F32 || t->dtype == SW_F64 || t->dtype == SW_F16 || t->dtype == SW_BF16 ||
                  sw_dtype_is_minifloat(t->dtype);
    fputs(" {", file);
    for (int64_t i = 0; i < n && i < 8; i++) {
        if (floats)
            fprintf(file, "%s%.6g", i ? "," : "", sw_tensor_float_at(t, i));
        else
            fprintf(file, "%s%" PRId64, i ? "," : "", sw_tensor_int_at(t, i));
    }
    fputs(n > 8 ? ",...}" : "}", file);
}

static bool is_default(const sw_attr *attr, const sw_attr_def *def) {
    if (!attr->set) return true;
    if (!def->has_default) return false;
    if (def->type == SW_ATTR_INT) return attr->i == def->i;
    if (def->type == SW_ATTR_FLOAT) return attr->f == def->f;
    return attr->s == def->s;
}

static void dump_attr(const sw_attr *attr, const sw_attr_def *def, FILE *file) {
    fprintf(file, " %s=", def->name);
    switch (def->type) {
    case SW_ATTR_INT:
        fprintf(file, "%" PRId64, attr->i);
        break;
    case SW_ATTR_FLOAT:
        fprintf(file, "%.9g", (double)attr->f);
        break;
    case SW_ATTR_STRING:
        fprintf(file, "'%s'", attr->s);
        break;
    case SW_ATTR_INTS:
        fputc('[', file);
        for (int i = 0; i < attr->ints.n; i++) fprintf(file, "%s%" PRId64, i ? "," : "", attr->ints.v[i]);
        fputc(']', file);
        break;
    case SW_ATTR_FLOATS:
        fputc('[', file);
        for (int i = 0; i < attr->floats.n; i++) fprintf(file, "%s%.9g", i ? "," : "", (double)attr->floats.v[i]);
        fputc(']', file);
        break;
    case SW_ATTR_TENSOR:
        dump_elements(attr->t, file);
        break;
    case SW_ATTR_BODY:
        sw_graph_dump(attr->body->code, file);
        break;
    }
}

static void dump_node(const sw_graph *graph, const sw_node *node, FILE *file) {
    const sw_op_info *info = sw_op_get(node->op);
    fputs("  ", file);
    for (int i = 0; i < node->n_out; i++) {
        fprintf(file, "%s%%%s", i ? ", " : "", node->out[i] ? node->out[i]->name : "");
        if (node->out[i]) dump_type(graph, &node->out[i]->type, file);
    }
    fprintf(file, " = %s%s%s(", info->domain, *info->domain ? "." : "", info->name);
    for (int i = 0; i < node->n_in; i++) fprintf(file, "%s%%%s", i ? ", " : "", node->in[i] ? node->in[i]->name : "");
    fputc(')', file);
    for (int i = 0; i < info->n_attrs; i++)
        if (!is_default(&node->attrs[i], &info->attrs[i])) dump_attr(&node->attrs[i], &info->attrs[i], file);
    if (*node->name) fprintf(file, " \"%s\"", node->name);
    fputc('\n', file);
}

void sw_graph_dump(const sw_graph *graph, FILE *file) {
    fprintf(file, "graph \"%s\" {\n", graph->name);
    for (int i = 0; i < graph->n_inputs; i++) {
        fprintf(file, "  input %%%s", graph->inputs[i]->name);
        dump_type(graph, &graph->inputs[i]->type, file);
        fputc('\n', file);
    }
    for (size_t i = 0; i < graph->n_values; i++) {
        const sw_value *value = graph->values[i];
        if (!value->type.data || !value->uses) continue;
        fprintf(file, "  const %%%s", value->name);
        dump_type(graph, &value->type, file);
        dump_elements(&value->type, file);
        fputc('\n', file);
    }
    for (const sw_node *node = graph->first; node; node = node->next) dump_node(graph, node, file);
    for (int i = 0; i < graph->n_outputs; i++) {
        fprintf(file, "  output %%%s", graph->outputs[i]->name);
        dump_type(graph, &graph->outputs[i]->type, file);
        fputc('\n', file);
    }
    fputs("}\n", file);
}
