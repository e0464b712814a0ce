/* Shape rule of Einsum: the equation is parsed anew each time, as rules keep nothing. */
#include "ops/einsum.h"

#include <string.h>

#include "ops/shape.h"

enum { LETTERS = 52 };

typedef struct einsum_parser {
    const sw_call *call;
    const char *text; /* what is left */
    int count[SW_EINSUM_LABELS];
    int ellipsis; /* axes that it stands for */
} einsum_parser;

static void skip_spaces(einsum_parser *p) {
    while (*p->text == ' ') p->text++;
}

/* A letter's label, or -1. */
static int label_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    return c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

static sw_status fail_at(const einsum_parser *p) {
    return sw_call_fail(p->call, "the equation '%.80s' cannot be read at '%.20s'", sw_call_string(p->call, "equation"),
                        p->text);
}

/* One term: labels by axis, until a comma, an arrow or the end. `width`: axes that an ellipsis stands for here. */
static sw_status read_term(einsum_parser *p, int width, uint8_t *labels, int *n) {
    bool dots = false;
    *n = 0;
    for (skip_spaces(p); *p->text && *p->text != ',' && *p->text != '-'; skip_spaces(p)) {
        int label = label_of(*p->text), many = 1;
        if (label < 0) {
            if (strncmp(p->text, "...", 3) != 0 || dots) return fail_at(p);
            dots = true;
            many = width;
            label = LETTERS + width - 1; /* falls towards the last axis */
        }
        p->text += label_of(*p->text) < 0 ? 3 : 1;
        if (*n + many > SW_MAX_RANK) return sw_call_unsupported(p->call, "a term has more than %d axes", SW_MAX_RANK);
        for (int i = 0; i < many; i++) labels[(*n)++] = (uint8_t)(label - i);
    }
    return SW_OK;
}

/* Letters of a term, which tells how many axes its ellipsis stands for. */
static int letters_of(const char *text) {
    int n = 0;
    for (; *text && *text != ',' && *text != '-'; text++) n += label_of(*text) >= 0;
    return n;
}

static bool has_dots(const char *text) {
    for (; *text && *text != ',' && *text != '-'; text++)
        if (*text == '.') return true;
    return false;
}

static sw_status read_input(einsum_parser *p, int i, sw_einsum *e) {
    const sw_tensor *t = p->call->in[i];
    int n, width = has_dots(p->text) ? t->rank - letters_of(p->text) : 0;
    if (width < 0) width = 0;
    SW_TRY(read_term(p, width, e->axis[i], &n));
    if (n != t->rank)
        return sw_call_fail(p->call, "term %d of the equation names %d axes, but the input has %d", i + 1, n, t->rank);
    if (width > p->ellipsis) p->ellipsis = width;
    for (int k = 0; k < n; k++) {
        int label = e->axis[i][k];
        int64_t *extent = &e->extent[label];
        p->count[label]++;
        if (!e->used[label])
            *extent = t->dims[k];
        else
            SW_TRY(sw__broadcast_dim(p->call, *extent, t->dims[k], extent));
        e->used[label] = true;
    }
    return SW_OK;
}

/* Without an arrow: the ellipsis, then all letters that occur once, in order of the alphabet (capitals first). */
static sw_status imply_output(einsum_parser *p, sw_einsum *e) {
    for (int i = p->ellipsis - 1; i >= 0; i--) e->out[e->n_out++] = (uint8_t)(LETTERS + i);
    for (int label = 0; label < LETTERS; label++) {
        if (p->count[label] != 1) continue;
        if (e->n_out == SW_MAX_RANK) return sw__require_rank(p->call, e->n_out + 1);
        e->out[e->n_out++] = (uint8_t)label;
    }
    return SW_OK;
}

static sw_status read_output(einsum_parser *p, sw_einsum *e) {
    bool seen[SW_EINSUM_LABELS] = {false};
    p->text += 2;
    SW_TRY(read_term(p, p->ellipsis, e->out, &e->n_out));
    if (*p->text) return fail_at(p);
    for (int i = 0; i < e->n_out; i++) {
        if (!e->used[e->out[i]] || seen[e->out[i]])
            return sw_call_fail(p->call, "axis %d of the output occurs in no input, or twice", i);
        seen[e->out[i]] = true;
    }
    return SW_OK;
}

sw_status sw_call_einsum(const sw_call *c, sw_einsum *e) {
    einsum_parser p = {.call = c, .text = sw_call_string(c, "equation")};
    memset(e, 0, sizeof *e);
    if (c->n_in > SW_EINSUM_INPUTS)
        return sw_call_unsupported(c, "%d inputs; at most %d are supported", c->n_in, SW_EINSUM_INPUTS);
    for (int i = 0; i < c->n_in; i++) {
        SW_TRY(read_input(&p, i, e));
        if (i + 1 == c->n_in) break;
        if (*p.text++ != ',') return sw_call_fail(c, "the equation has %d terms for %d inputs", i + 1, c->n_in);
    }
    if (!*p.text) return imply_output(&p, e);
    return strncmp(p.text, "->", 2) == 0 ? read_output(&p, e) : fail_at(&p);
}

sw_status sw__shape_einsum(const sw_call *c) {
    sw_tensor *y = sw_call_out(c, 0);
    sw_dtype dtype = c->in[0]->dtype;
    bool known = true;
    for (int i = 0; i < c->n_in; i++) {
        if (dtype == SW_DTYPE_NONE) dtype = c->in[i]->dtype;
        SW_TRY(sw__same_dtype(c, c->in[0], c->in[i], &dtype));
        known = known && c->in[i]->rank >= 0;
    }
    sw_einsum e;
    if (known) SW_TRY(sw_call_einsum(c, &e));
    if (!y) return SW_OK;
    sw__set_unknown(y, dtype, known ? e.n_out : SW_RANK_UNKNOWN);
    for (int i = 0; known && i < e.n_out; i++) y->dims[i] = e.extent[e.out[i]];
    return SW_OK;
}
