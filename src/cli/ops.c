#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/verb.h"
#include "kernels/kernel.h"
#include "ops/op.h"

enum { COLUMNS = 100, NAME_WIDTH = 26, ARITY_WIDTH = 8, DOC_COLUMN = NAME_WIDTH + 2 * ARITY_WIDTH };

/* "2", "2-3", "1+" */
static bool can_run(sw_op op) {
    return sw_op_is_control(op) || sw_kernel_ref(op);
}

static void arity(char text[12], int least, int most) {
    if (most == SW_VARIADIC)
        snprintf(text, 12, "%d+", least);
    else if (least == most)
        snprintf(text, 12, "%d", least);
    else
        snprintf(text, 12, "%d-%d", least, most);
}

static void print_table(sw_console *c) {
    sw_print(c, "%-*s%-*s%-*s%s\n", NAME_WIDTH, "Operator", ARITY_WIDTH, "Inputs", ARITY_WIDTH, "Outputs",
             "What it does");
    for (int op = 0; op < SW_OP_COUNT; op++) {
        const sw_op_info *info = sw_op_get((sw_op)op);
        char name[64], in[12], out[12];
        snprintf(name, sizeof name, "%s%s", info->name, can_run((sw_op)op) ? "" : " *");
        arity(in, info->min_in, info->max_in);
        arity(out, info->min_out, info->max_out);
        sw_print(c, "%-*s%-*s%-*s", NAME_WIDTH, name, ARITY_WIDTH, in, ARITY_WIDTH, out);
        sw_wrap(&c->out, info->doc, DOC_COLUMN, DOC_COLUMN, COLUMNS);
    }
    int missing = 0;
    for (int op = 0; op < SW_OP_COUNT; op++) missing += !can_run((sw_op)op);
    sw_print(c, "\n%d operators", SW_OP_COUNT);
    sw_print(c, missing ? "; %d (*) are known, but cannot be run yet\n" : "\n", missing);
}

static const char *attr_type_name(sw_attr_type type) {
    static const char *const names[] = {
        [SW_ATTR_INT] = "int",       [SW_ATTR_FLOAT] = "float",   [SW_ATTR_STRING] = "string", [SW_ATTR_INTS] = "ints",
        [SW_ATTR_FLOATS] = "floats", [SW_ATTR_TENSOR] = "tensor", [SW_ATTR_BODY] = "graph",
    };
    return names[type];
}

static void json_attr(sw_json_writer *w, const sw_attr_def *a) {
    sw_json_flat(w), sw_json_object(w);
    sw_json_key(w, "name"), sw_json_string(w, a->name);
    sw_json_key(w, "type"), sw_json_string(w, attr_type_name(a->type));
    if (a->required) sw_json_key(w, "required"), sw_json_bool(w, true);
    if (a->has_default) {
        sw_json_key(w, "default");
        if (a->type == SW_ATTR_INT)
            sw_json_int(w, a->i);
        else if (a->type == SW_ATTR_FLOAT)
            sw_json_f32(w, a->f);
        else
            sw_json_string(w, a->s);
    }
    sw_json_object_end(w);
}

static void json_range(sw_json_writer *w, const char *key, int least, int most) {
    sw_json_key(w, key), sw_json_flat(w), sw_json_array(w), sw_json_int(w, least);
    if (most == SW_VARIADIC)
        sw_json_null(w);
    else
        sw_json_int(w, most);
    sw_json_array_end(w);
}

static void print_json(sw_console *c) {
    sw_json_writer w = sw_json_writer_make(&c->out, 2);
    sw_json_array(&w);
    for (int op = 0; op < SW_OP_COUNT; op++) {
        const sw_op_info *info = sw_op_get((sw_op)op);
        sw_json_object(&w);
        sw_json_key(&w, "name"), sw_json_string(&w, info->name);
        sw_json_key(&w, "domain"), sw_json_string(&w, info->domain);
        sw_json_key(&w, "doc"), sw_json_string(&w, info->doc);
        json_range(&w, "inputs", info->min_in, info->max_in);
        json_range(&w, "outputs", info->min_out, info->max_out);
        sw_json_key(&w, "runs"), sw_json_bool(&w, can_run((sw_op)op));
        sw_json_key(&w, "tolerance"), sw_json_f32(&w, info->tolerance);
        sw_json_key(&w, "attributes"), sw_json_array(&w);
        for (int i = 0; i < info->n_attrs; i++) json_attr(&w, &info->attrs[i]);
        sw_json_array_end(&w), sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_print(c, "\n");
}

static sw_status run(const sw_args *args, sw_console *console) {
    if (sw_args_flag(args, "json"))
        print_json(console);
    else
        print_table(console);
    return SW_OK;
}

const sw_verb sw_verb_ops = {
    .name = "ops",
    .operands = "",
    .summary = "List the operators that models may use",
    .description =
        "Names and meaning are those of ONNX; older opsets are translated to the newest. The last ones are Slipway's "
        "own: they turn pictures into inputs, and outputs into boxes.",
    .options =
        (const sw_option[]){
            {.name = "json", .help = "print JSON, with the attributes of each operator"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway ops", "All operators"},
            {"slipway ops | grep -i pool", "Those that pool"},
            {0},
        },
    .run = run,
};
