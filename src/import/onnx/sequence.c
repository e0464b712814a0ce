/* Sequences and optionals. Which tensors are in them must be known when the model is read; then they are gone: what is left are
 * the tensors, and Split and Concat where tensors are taken apart and put together. */
#include <string.h>

#include "import/onnx/model.h"

enum { MOST_ITEMS = 4096 };

/* Stands for a value. It has no name, as no other value of a graph. */
typedef struct sequence {
    sw_value value;
    sw_value **items;
    int n;
} sequence;

static const uint32_t SEQUENCE_ID = UINT32_MAX;

bool sw__onnx_is_sequence(const sw_value *value) {
    return value && !value->name && value->id == SEQUENCE_ID;
}

sw_value *sw__onnx_new_sequence(sw_arena *arena, int n, sw_value ***items) {
    sequence *made = SW_ARENA_NEW(arena, sequence);
    if (!made) return NULL;
    made->items = SW_ARENA_ARRAY(arena, sw_value *, n + 1);
    if (!made->items) return NULL;
    made->value.id = SEQUENCE_ID;
    made->n = n;
    *items = made->items;
    return &made->value;
}

int sw__onnx_items(const sw_value *value, sw_value ***items) {
    const sequence *s = (const sequence *)(const void *)value;
    *items = s->items;
    return s->n;
}

/* ---- Parts of nodes -------------------------------------------------------------------------------------------------- */

/* The value is the result. Outputs of the graph are values of their own. */
static sw_status hand_on(sw__draft *d, sw_value *value) {
    bool is_output = sw__names_get(&d->scope->renamed, d->proto->out[0], NULL);
    if (!is_output || !value || sw__onnx_is_sequence(value))
        return sw__onnx_bind(d->im, d->scope, d->proto->out[0], value);
    return sw__onnx_step(d, SW_OP_Identity, NULL, 1, &value, &value);
}

/* A new sequence as the result. */
static sw_status give(sw__draft *d, int n, sw_value ***items) {
    if (n > MOST_ITEMS) return sw__draft_fail(d, SW_E_LIMIT, "a sequence of more than %d tensors", MOST_ITEMS);
    SW_TRY(sw__onnx_charge(d->im, (uint64_t)(n + 1) * sizeof **items));
    sw_value *made = sw__onnx_new_sequence(d->im->arena, n, items);
    return made ? sw__onnx_bind(d->im, d->scope, d->proto->out[0], made) : sw__onnx_nomem(d->im);
}

/* A number that is the result. */
static sw_status give_number(sw__draft *d, sw_dtype dtype, int64_t number) {
    const char *stem = *d->proto->name ? d->proto->name : d->proto->out[0];
    const char *name = sw__onnx_free_name(d->im, stem, "number");
    sw_value *value = name ? sw_graph_new_const(d->im->graph, name, dtype, 0, NULL) : NULL;
    if (!value) return sw__onnx_nomem(d->im);
    if (dtype == SW_BOOL)
        *(uint8_t *)value->type.data = number != 0;
    else
        *(int64_t *)value->type.data = number;
    return hand_on(d, value);
}

static sw_status need(const sw__draft *d, int i, bool is_sequence) {
    const sw_value *in = i < d->n_in ? d->in[i] : NULL;
    if (in && sw__onnx_is_sequence(in) == is_sequence) return SW_OK;
    return sw__draft_fail(d, SW_E_MODEL, "input %d is %s; expected: %s", i + 1,
                          !in           ? "absent"
                          : is_sequence ? "no sequence"
                                        : "a sequence",
                          is_sequence ? "a sequence" : "a tensor");
}

/* Whole numbers that are known. */
static bool are_known(const sw_value *value) {
    return sw_value_is_const(value) && (value->type.dtype == SW_I64 || value->type.dtype == SW_I32);
}
static bool is_known(const sw_value *value) {
    return are_known(value) && sw_tensor_count(&value->type) == 1;
}

/* Input `i` as a place among n; `usual` where it is absent. */
static sw_status read_place(const sw__draft *d, int i, int n, int usual, int *place) {
    *place = usual;
    const sw_value *in = i < d->n_in ? d->in[i] : NULL;
    if (in && !is_known(in))
        return sw__draft_fail(d, SW_E_UNSUPPORTED, "the place in the sequence is no constant whole number");
    int64_t at = in ? sw_tensor_int_at(&in->type, 0) : usual;
    if (at < -n || at >= n)
        return sw__draft_fail(d, SW_E_MODEL, "place %lld of a sequence that has %d", (long long)at, n);
    *place = (int)(at < 0 ? at + n : at);
    return SW_OK;
}

/* ---- Nodes ----------------------------------------------------------------------------------------------------------- */

static sw_status empty(sw__draft *d) {
    const sw__onnx_attr *dtype;
    sw_value **items;
    SW_TRY(sw__onnx_take(d, "dtype", SW__ATTR_INT, &dtype));
    return give(d, 0, &items);
}

static sw_status construct(sw__draft *d) {
    sw_value **items;
    for (int i = 0; i < d->n_in; i++) SW_TRY(need(d, i, false));
    SW_TRY(give(d, d->n_in, &items));
    for (int i = 0; i < d->n_in; i++) items[i] = d->in[i];
    return SW_OK;
}

static sw_status insert(sw__draft *d) {
    sw_value **from, **items;
    int at;
    SW_TRY(need(d, 0, true));
    SW_TRY(need(d, 1, false));
    int n = sw__onnx_items(d->in[0], &from);
    SW_TRY(give(d, n + 1, &items));
    /* Negative places count from the end of the sequence as it was. */
    const sw_value *place = d->n_in > 2 ? d->in[2] : NULL;
    bool behind = place && is_known(place) && sw_tensor_int_at(&place->type, 0) == n;
    if (!place || behind)
        at = n;
    else
        SW_TRY(read_place(d, 2, n, n, &at));
    for (int i = 0; i <= n; i++) items[i] = i < at ? from[i] : i == at ? d->in[1] : from[i - 1];
    return SW_OK;
}

static sw_status erase(sw__draft *d) {
    sw_value **from, **items;
    int at;
    SW_TRY(need(d, 0, true));
    int n = sw__onnx_items(d->in[0], &from);
    SW_TRY(read_place(d, 1, n, n - 1, &at));
    SW_TRY(give(d, n - 1, &items));
    for (int i = 0; i < n - 1; i++) items[i] = from[i < at ? i : i + 1];
    return SW_OK;
}

static sw_status pick(sw__draft *d) {
    sw_value **items;
    int at;
    SW_TRY(need(d, 0, true));
    SW_TRY(need(d, 1, false));
    SW_TRY(read_place(d, 1, sw__onnx_items(d->in[0], &items), 0, &at));
    return hand_on(d, items[at]);
}

static sw_status length(sw__draft *d) {
    sw_value **items;
    SW_TRY(need(d, 0, true));
    return give_number(d, SW_I64, sw__onnx_items(d->in[0], &items));
}

/* How long the parts are that a tensor is split into: as given, or so long each, or 1. */
static sw_status read_parts(sw__draft *d, int64_t axis, const int64_t **parts, int *n) {
    const sw_value *x = d->in[0], *split = d->n_in > 1 ? d->in[1] : NULL;
    if (split && !are_known(split))
        return sw__draft_fail(d, SW_E_UNSUPPORTED, "the lengths of the parts are no constant whole numbers");
    bool each = !split || split->type.rank == 0;
    int64_t extent = x->type.rank > axis ? x->type.dims[axis] : -1, step = 1;
    if (each && extent < 0)
        return sw__draft_fail(d, SW_E_UNSUPPORTED,
                              "how many parts there are depends on a dimension that is open; fix it in the model");
    if (each && split) step = sw_tensor_int_at(&split->type, 0);
    if (step < 1) return sw__draft_fail(d, SW_E_MODEL, "parts of length %lld", (long long)step);
    int64_t count = each ? extent / step + (extent % step != 0) : sw_tensor_count(&split->type);
    if (count > MOST_ITEMS) return sw__draft_fail(d, SW_E_LIMIT, "more than %d parts", MOST_ITEMS);
    int64_t *made = SW_ARENA_ARRAY(d->im->arena, int64_t, count + 1);
    if (!made) return sw__onnx_nomem(d->im);
    for (int64_t i = 0; i < count; i++)
        made[i] = !each ? sw_tensor_int_at(&split->type, i) : extent - i * step < step ? extent - i * step : step;
    *parts = made;
    *n = (int)count;
    return SW_OK;
}

static sw_status split(sw__draft *d) {
    const sw__onnx_attr *given, *keep;
    const int64_t *lengths;
    sw_value **items, *axes;
    int n;
    SW_TRY(need(d, 0, false));
    SW_TRY(sw__onnx_take(d, "axis", SW__ATTR_INT, &given));
    SW_TRY(sw__onnx_take(d, "keepdims", SW__ATTR_INT, &keep)); /* counts only where the parts are not given */
    int64_t axis = given ? given->i : 0;
    int rank = d->in[0]->type.rank;
    if (rank < 1) return sw__draft_fail(d, SW_E_UNSUPPORTED, "the rank of its input is not known");
    if (axis < -rank || axis >= rank)
        return sw__draft_fail(d, SW_E_MODEL, "axis %lld of a tensor with %d axes", (long long)axis, rank);
    if (axis < 0) axis += rank;
    SW_TRY(read_parts(d, axis, &lengths, &n));
    SW_TRY(give(d, n, &items));
    if (n == 0) return SW_OK;
    SW_TRY(sw__onnx_count_inlined(d->im, n));
    SW_TRY(sw__onnx_split(d, "part", d->in[0], axis, lengths, n, items));
    if ((d->n_in > 1 && d->in[1]) || !keep || keep->i) return SW_OK;
    SW_TRY(sw__onnx_new_ints(d, "axes", &axis, 1, &axes));
    for (int i = 0; i < n; i++)
        SW_TRY(sw__onnx_step(d, SW_OP_Squeeze, "item", 2, (sw_value *[]){items[i], axes}, &items[i]));
    return SW_OK;
}

static sw_status concat(sw__draft *d) {
    const sw__onnx_attr *axis, *stack;
    sw_value **items, *axes;
    sw_node *node;
    SW_TRY(need(d, 0, true));
    SW_TRY(sw__onnx_take(d, "axis", SW__ATTR_INT, &axis));
    SW_TRY(sw__onnx_take(d, "new_axis", SW__ATTR_INT, &stack));
    int n = sw__onnx_items(d->in[0], &items);
    if (!axis) return sw__draft_fail(d, SW_E_MODEL, "the attribute 'axis' is missing");
    if (!n) return sw__draft_fail(d, SW_E_MODEL, "the sequence is empty");
    sw_value **in = SW_ARENA_ARRAY(d->im->arena, sw_value *, n);
    if (!in) return sw__onnx_nomem(d->im);
    SW_TRY(sw__onnx_count_inlined(d->im, n));
    if (stack && stack->i) SW_TRY(sw__onnx_new_ints(d, "axes", &axis->i, 1, &axes));
    for (int i = 0; i < n; i++) {
        in[i] = items[i];
        if (stack && stack->i)
            SW_TRY(sw__onnx_step(d, SW_OP_Unsqueeze, "item", 2, (sw_value *[]){items[i], axes}, &in[i]));
    }
    SW_TRY(sw__onnx_start(d, SW_OP_Concat, NULL, n, in, &node));
    sw_node_set_int(node, "axis", axis->i);
    return sw__onnx_settle(d->im, node);
}

/* An optional is what it holds; an empty one an absent input. */
static sw_status optional(sw__draft *d) {
    const sw__onnx_attr *type;
    SW_TRY(sw__onnx_take(d, "type", SW__ATTR_TYPE, &type));
    return hand_on(d, d->n_in ? d->in[0] : NULL);
}

static sw_status has_element(sw__draft *d) {
    return give_number(d, SW_BOOL, d->n_in > 0 && d->in[0]);
}

static sw_status get_element(sw__draft *d) {
    if (!d->n_in || !d->in[0]) return sw__draft_fail(d, SW_E_MODEL, "the optional is empty");
    return hand_on(d, d->in[0]);
}

static const struct row {
    const char *op;
    sw_status (*make)(sw__draft *d);
} rows[] = {
    {"SequenceAt", pick},
    {"SequenceConstruct", construct},
    {"SequenceEmpty", empty},
    {"SequenceErase", erase},
    {"SequenceInsert", insert},
    {"SequenceLength", length},
    {"SplitToSequence", split},
    {"ConcatFromSequence", concat},
    {"Optional", optional},
    {"OptionalGetElement", get_element},
    {"OptionalHasElement", has_element},
};

sw_status sw__onnx_sequence_node(sw__draft *d, bool *done) {
    const sw__onnx_node *proto = d->proto;
    *done = false;
    for (size_t i = 0; !*proto->domain && i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, proto->op) != 0) continue;
        *done = true;
        if (proto->n_out != 1 || !*proto->out[0])
            return sw__draft_fail(d, SW_E_MODEL, "it has %d outputs; expected: 1", proto->n_out);
        SW_TRY(rows[i].make(d));
        return sw__onnx_check_taken(d);
    }
    for (int i = 0; i < d->n_in; i++) {
        if (!sw__onnx_is_sequence(d->in[i])) continue;
        *done = !*proto->domain && strcmp(proto->op, "Identity") == 0 && proto->n_out == 1 && *proto->out[0];
        return *done ? hand_on(d, d->in[i]) : need(d, i, false);
    }
    return SW_OK;
}
