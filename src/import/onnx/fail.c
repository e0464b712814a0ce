#include <stdio.h>
#include <string.h>

#include "import/onnx/model.h"

sw_status sw__onnx_fail(sw__onnx *im, sw_status status, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return sw_fail(im->diag, status, im->label, NULL, "%s", text);
}

static void place(const sw__draft *d, char *where, size_t size) {
    const char *outer = d->scope->prefix;
    snprintf(where, size, "%.200s, node '%.80s%s%.120s' (%.80s)", d->im->label, outer, *outer ? "/" : "",
             *d->proto->name || !d->proto->n_out ? d->proto->name : d->proto->out[0], d->proto->op);
}

sw_status sw__draft_fail(const sw__draft *d, sw_status status, const char *fmt, ...) {
    char text[1024], where[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    place(d, where, sizeof where);
    return sw_fail(d->im->diag, status, where, NULL, "%s", text);
}

void sw__draft_warn(const sw__draft *d, const char *fmt, ...) {
    char text[1024], where[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    place(d, where, sizeof where);
    sw_warn(d->im->diag, where, "%s", text);
}

sw_status sw__onnx_nomem(sw__onnx *im) {
    if (im->graph && im->graph->n_values >= SW_MAX_VALUES)
        return sw__onnx_fail(im, SW_E_LIMIT, "the graph has more than %d values", SW_MAX_VALUES);
    if (im->graph && im->graph->n_nodes >= SW_MAX_NODES)
        return sw__onnx_fail(im, SW_E_LIMIT, "the graph has more than %d nodes", SW_MAX_NODES);
    return sw__onnx_fail(im, SW_E_NOMEM, "out of memory");
}

sw_status sw__onnx_charge(sw__onnx *im, uint64_t bytes) {
    if (bytes > im->bytes_left)
        return sw__onnx_fail(im, SW_E_LIMIT, "the functions of the model repeat too much data when they are inlined");
    im->bytes_left -= bytes;
    return SW_OK;
}

sw_status sw__onnx_count_inlined(sw__onnx *im, int ports) {
    im->inlined += 1 + (size_t)ports / 16;
    if (im->inlined <= SW__ONNX_MAX_INLINED) return SW_OK;
    return sw__onnx_fail(im, SW_E_LIMIT, "functions and branches give more than %d nodes", SW__ONNX_MAX_INLINED);
}

/* ---- Operators that Slipway does not have ---------------------------------------------------------------- */

enum { MAX_UNKNOWN = 64 }; /* kinds that are told apart */

struct sw__unknown {
    const char *domain, *op, *why, *first;
    int count;
};

static sw_status count_unknown(sw__onnx *im, const sw__onnx_node *node, const char *why) {
    if (!im->unknown && !(im->unknown = SW_ARENA_ARRAY(im->arena, struct sw__unknown, MAX_UNKNOWN)))
        return sw__onnx_nomem(im);
    size_t i = 0;
    while (i < im->n_unknown && (strcmp(im->unknown[i].op, node->op) != 0 ||
                                 strcmp(im->unknown[i].domain, node->domain) != 0 || im->unknown[i].why != why))
        i++;
    if (i == MAX_UNKNOWN) return SW_OK;
    if (i == im->n_unknown)
        im->unknown[im->n_unknown++] = (struct sw__unknown){node->domain, node->op, why,
                                                            *node->name || !node->n_out ? node->name : node->out[0], 0};
    im->unknown[i].count++;
    return SW_OK;
}

sw_status sw__onnx_unknown(sw__draft *d, const char *why) {
    SW_TRY(count_unknown(d->im, d->proto, why));
    for (int i = 0; i < d->proto->n_out; i++) {
        sw_value *value;
        SW_TRY(sw__onnx_output(d, i, &value));
    }
    return SW_OK;
}

/* "unsupported operators: Foo (3 nodes, first 'n1'), com.x.Bar (1 node, 'n7')". */
sw_status sw__onnx_report_unknown(sw__onnx *im) {
    if (!im->n_unknown) return SW_OK;
    sw_buf text = sw_buf_make(im->graph->allocator, 0);
    sw_buf_append_text(&text, im->n_unknown == 1 ? "unsupported operator: " : "unsupported operators: ");
    for (size_t i = 0; i < im->n_unknown; i++) {
        const struct sw__unknown *u = &im->unknown[i];
        sw_buf_printf(&text, "%s%.80s%s%.80s%s%s (%d node%s '%.120s')", i ? ", " : "", u->domain, *u->domain ? "." : "",
                      u->op, *u->why ? " " : "", u->why, u->count, u->count > 1 ? "s, first" : ",", u->first);
    }
    sw_status status = sw_fail(im->diag, SW_E_UNSUPPORTED, im->label, NULL, "%s", sw_buf_text(&text));
    sw_buf_free(&text);
    return status;
}
