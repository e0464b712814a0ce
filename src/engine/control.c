#include "engine/control.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "engine/session.h"

/* A loop that goes on longer is taken for one without end. */
enum { MAX_TURNS = 1 << 20 };

/* A graph within, and its session. */
typedef struct child {
    const sw_body *body;
    sw_session *session;
    sw_tensor *in, *out; /* of a run */
} child;

struct sw_control {
    sw_control_host host;
    child *children;
    size_t n, cap;
};

sw_control *sw_control_create(const sw_control_host *host) {
    sw_control *control = sw_calloc(host->allocator, 1, sizeof *control);
    if (control) control->host = *host;
    return control;
}

static void close_child(const sw_control *control, child *c) {
    sw_session_destroy(c->session);
    sw_free(control->host.allocator, c->in);
    sw_free(control->host.allocator, c->out);
}

void sw_control_destroy(sw_control *control) {
    if (!control) return;
    for (size_t i = 0; i < control->n; i++) close_child(control, &control->children[i]);
    sw_free(control->host.allocator, control->children);
    sw_free(control->host.allocator, control);
}

static sw_status open_child(const sw_control *control, const sw_body *body, child *c) {
    const sw_allocator *a = control->host.allocator;
    *c = (child){.body = body};
    c->in = sw_calloc(a, (size_t)(body->n_in + body->n_captured) + 1, sizeof *c->in);
    c->out = sw_calloc(a, (size_t)body->n_out + 1, sizeof *c->out);
    sw_status status = c->in && c->out ? sw_session_create_within(body->code, &control->host, &c->session) : SW_E_NOMEM;
    if (status != SW_OK) close_child(control, c);
    return status;
}

/* The session of a body; valid until the next call. */
static sw_status find_child(sw_control *control, const sw_body *body, child *found) {
    for (size_t i = 0; i < control->n; i++) {
        if (control->children[i].body != body) continue;
        *found = control->children[i];
        return SW_OK;
    }
    SW_TRY(sw_grow(control->host.allocator, (void **)&control->children, &control->cap, control->n + 1,
                   sizeof *control->children, SIZE_MAX));
    SW_TRY(open_child(control, body, found));
    control->children[control->n++] = *found;
    return SW_OK;
}

static void take_captured(child *c, const sw_call *call, int first) {
    for (int i = 0; i < c->body->n_captured; i++) c->in[c->body->n_in + i] = *call->in[first + i];
}

/* ---- Results --------------------------------------------------------------------------------------------------------- */

static bool same_dims(const sw_tensor *t, int rank, const int64_t *dims) {
    return t->rank == rank && !memcmp(t->dims, dims, (size_t)rank * sizeof *dims);
}

/* Makes room for a result. */
static sw_status shape_output(const sw_call *call, int index, sw_dtype dtype, int rank, const int64_t *dims) {
    sw_tensor *out = call->out[index];
    if (out->dtype != dtype)
        return sw_call_fail(call, "result %d is %s inside, but %s outside", index + 1, sw_dtype_name(dtype),
                            sw_dtype_name(out->dtype));
    if (!out->data) return call->resize(call, index, rank, dims);
    return same_dims(out, rank, dims) ? SW_OK
                                      : sw_call_fail(call, "result %d has another shape than was declared", index + 1);
}

static sw_status give(const sw_call *call, int index, const sw_tensor *result) {
    if (!call->out[index]) return SW_OK;
    SW_TRY(shape_output(call, index, result->dtype, result->rank, result->dims));
    size_t bytes = (size_t)sw_tensor_bytes(result);
    if (bytes) memcpy(call->out[index]->data, result->data, bytes);
    return SW_OK;
}

/* A stack of no slices: extents that nothing tells are zero. */
static sw_status give_nothing(const sw_call *call, int index) {
    sw_tensor *out = call->out[index];
    if (!out || out->data) return SW_OK;
    int64_t dims[SW_MAX_RANK] = {0};
    int rank = out->rank < 1 ? 1 : out->rank;
    for (int i = 0; i < out->rank; i++) dims[i] = out->dims[i] > 0 ? out->dims[i] : 0;
    return call->resize(call, index, rank, dims);
}

static sw_status read_flag(const sw_call *call, const sw_tensor *t, bool *flag) {
    if (t->dtype != SW_BOOL || sw_tensor_count(t) != 1)
        return sw_call_fail(call, "its condition is no single truth value");
    *flag = sw_tensor_int_at(t, 0) != 0;
    return SW_OK;
}

/* ---- If -------------------------------------------------------------------------------------------------------------- */

static sw_status run_if(sw_control *control, const sw_call *call) {
    const sw_body *yes = sw_call_attr(call, "then_branch", SW_ATTR_BODY)->body;
    const sw_body *no = sw_call_attr(call, "else_branch", SW_ATTR_BODY)->body;
    bool flag;
    child c;
    SW_TRY(read_flag(call, call->in[0], &flag));
    SW_TRY(find_child(control, flag ? yes : no, &c));
    take_captured(&c, call, 1 + (flag ? 0 : yes->n_captured));
    SW_TRY(sw_session_run(c.session, c.in, c.out));
    for (int i = 0; i < call->n_out; i++) SW_TRY(give(call, i, &c.out[i]));
    return SW_OK;
}

/* ---- Values that are carried from turn to turn ------------------------------------------------------------------------ */

typedef struct carried {
    sw_buf *copies; /* of each value; empty where it still is the node's input */
    int n;
} carried;

static sw_status open_carried(const sw_control *control, int n, carried *v) {
    v->copies = sw_calloc(control->host.allocator, (size_t)n + 1, sizeof *v->copies);
    if (!v->copies) return SW_E_NOMEM;
    v->n = n;
    for (int i = 0; i < n; i++) v->copies[i] = sw_buf_make(control->host.allocator, (size_t)control->host.memory_limit);
    return SW_OK;
}

static void close_carried(const sw_control *control, carried *v) {
    for (int i = 0; i < v->n; i++) sw_buf_free(&v->copies[i]);
    sw_free(control->host.allocator, v->copies);
}

static sw_status append(const sw_call *call, sw_buf *buf, const sw_tensor *t) {
    sw_buf_append(buf, t->data, (size_t)sw_tensor_bytes(t));
    if (buf->status == SW_E_LIMIT) return sw_call_fail(call, "its results need more memory than this machine has");
    return buf->status;
}

/* The result of a turn becomes the input of the next. */
static sw_status carry(const sw_call *call, carried *v, int i, const sw_tensor *from, sw_tensor *to) {
    sw_buf_clear(&v->copies[i]);
    SW_TRY(append(call, &v->copies[i], from));
    *to = *from;
    to->data = v->copies[i].data ? (void *)v->copies[i].data : from->data;
    return SW_OK;
}

/* ---- Loop ------------------------------------------------------------------------------------------------------------- */

typedef struct loop {
    const sw_call *call;
    child c;
    carried state, stacks;
    sw_tensor *slices; /* type of what each stack holds */
    int64_t turn, count;
    bool flag;
} loop;

static sw_status run_turn(loop *l) {
    l->c.in[0] = (sw_tensor){.dtype = SW_I64, .data = &l->turn};
    l->c.in[1] = (sw_tensor){.dtype = SW_BOOL, .data = &l->flag};
    SW_TRY(sw_session_run(l->c.session, l->c.in, l->c.out));
    const sw_tensor *out = l->c.out + 1;
    for (int i = 0; i < l->stacks.n; i++) {
        const sw_tensor *slice = &out[l->state.n + i];
        if (!l->turn) l->slices[i] = *slice;
        if (l->slices[i].dtype != slice->dtype || !same_dims(&l->slices[i], slice->rank, slice->dims))
            return sw_call_fail(l->call, "result %d changes its shape between turns", l->state.n + i + 1);
        SW_TRY(append(l->call, &l->stacks.copies[i], slice));
    }
    SW_TRY(read_flag(l->call, &l->c.out[0], &l->flag));
    for (int i = 0; i < l->state.n; i++) SW_TRY(carry(l->call, &l->state, i, &out[i], &l->c.in[2 + i]));
    return SW_OK;
}

static sw_status give_stack(const loop *l, int i) {
    int index = l->state.n + i;
    if (!l->turn) return give_nothing(l->call, index);
    sw_tensor whole = l->slices[i];
    if (whole.rank == SW_MAX_RANK)
        return sw_call_fail(l->call, "result %d has more than %d dims", index + 1, SW_MAX_RANK);
    memmove(whole.dims + 1, whole.dims, (size_t)whole.rank * sizeof *whole.dims);
    whole.dims[0] = l->turn;
    whole.rank++;
    whole.data = l->stacks.copies[i].data;
    return give(l->call, index, &whole);
}

static sw_status run_turns(loop *l) {
    const sw_call *call = l->call;
    const sw_tensor *count = call->in[0], *flag = call->in[1];
    l->count = count ? sw_tensor_int_at(count, 0) : INT64_MAX;
    l->flag = true;
    if (flag) SW_TRY(read_flag(call, flag, &l->flag));
    for (int i = 0; i < l->state.n; i++) l->c.in[2 + i] = *call->in[2 + i];
    take_captured(&l->c, call, l->c.body->n_in);
    for (; l->flag && l->turn < l->count; l->turn++) {
        if (l->turn == MAX_TURNS) return sw_call_fail(call, "it does not end within %d turns", MAX_TURNS);
        SW_TRY(run_turn(l));
    }
    for (int i = 0; i < l->state.n; i++) SW_TRY(give(call, i, &l->c.in[2 + i]));
    for (int i = 0; i < l->stacks.n; i++) SW_TRY(give_stack(l, i));
    return SW_OK;
}

static sw_status run_loop(sw_control *control, const sw_call *call) {
    const sw_body *body = sw_call_attr(call, "body", SW_ATTR_BODY)->body;
    loop l = {.call = call};
    int n = body->n_in - 2;
    if (call->in[0] && (call->in[0]->dtype != SW_I64 || sw_tensor_count(call->in[0]) != 1))
        return sw_call_fail(call, "its trip count is no single int64");
    SW_TRY(find_child(control, body, &l.c));
    l.slices = sw_calloc(control->host.allocator, (size_t)(call->n_out - n) + 1, sizeof *l.slices);
    sw_status status = l.slices ? open_carried(control, n, &l.state) : SW_E_NOMEM;
    if (status == SW_OK) status = open_carried(control, call->n_out - n, &l.stacks);
    if (status == SW_OK) status = run_turns(&l);
    close_carried(control, &l.state);
    close_carried(control, &l.stacks);
    sw_free(control->host.allocator, l.slices);
    return status;
}

/* ---- Scan ------------------------------------------------------------------------------------------------------------- */

typedef struct scan {
    const sw_call *call;
    child c;
    carried state, slices; /* slices of inputs where they are not dense */
    int n_scanned;
    int64_t turns;
} scan;

/* Slice `at` of a tensor along an axis, dense or back: `whole` and `slice` hold the elements. */
static void move_slice(const sw_tensor *whole, int axis, int64_t at, char *slice, bool back) {
    int64_t outer = 1, inner = (int64_t)sw_dtype_size(whole->dtype);
    for (int i = 0; i < axis; i++) outer *= whole->dims[i];
    for (int i = axis + 1; i < whole->rank; i++) inner *= whole->dims[i];
    for (int64_t o = 0; o < outer; o++) {
        char *there = (char *)whole->data + (o * whole->dims[axis] + at) * inner;
        memcpy(back ? there : slice + o * inner, back ? slice + o * inner : there, (size_t)inner);
    }
}

/* The axis of the i-th entry of a list, and whether it is walked backwards. */
static sw_status axis_of(const sw_call *call, const char *axes, const char *directions, int i, int rank, int *axis,
                         bool *back) {
    int64_t at = sw_scan_entry(call, axes, i);
    if (at < 0) at += rank;
    *back = sw_scan_entry(call, directions, i) == 1;
    *axis = (int)at;
    return at >= 0 && at < rank ? SW_OK : sw_call_fail(call, "axis %" PRId64 " of %s is not there", at, axes);
}

static sw_status take_slice(scan *s, int i, int64_t turn) {
    int axis;
    bool back;
    const sw_tensor *whole = s->call->in[s->state.n + i];
    SW_TRY(axis_of(s->call, "scan_input_axes", "scan_input_directions", i, whole->rank, &axis, &back));
    sw_tensor *slice = &s->c.in[s->state.n + i];
    *slice = *whole;
    memmove(slice->dims + axis, slice->dims + axis + 1, (size_t)(whole->rank - axis - 1) * sizeof *slice->dims);
    slice->rank--;
    sw_buf *buf = &s->slices.copies[i];
    sw_buf_clear(buf);
    char *room = (char *)sw_buf_extend(buf, (size_t)sw_tensor_bytes(slice));
    if (!room) return buf->status;
    move_slice(whole, axis, back ? s->turns - 1 - turn : turn, room, false);
    slice->data = room;
    return SW_OK;
}

/* Puts a result's slice in its place; the first one shapes the whole. */
static sw_status put_slice(const scan *s, int i, int64_t turn) {
    int index = s->state.n + i, axis;
    const sw_tensor *slice = &s->c.out[index];
    sw_tensor *out = s->call->out[index];
    bool back;
    if (!out) return SW_OK;
    if (slice->rank == SW_MAX_RANK)
        return sw_call_fail(s->call, "result %d has more than %d dims", index + 1, SW_MAX_RANK);
    SW_TRY(axis_of(s->call, "scan_output_axes", "scan_output_directions", i, slice->rank + 1, &axis, &back));
    int64_t dims[SW_MAX_RANK];
    memcpy(dims, slice->dims, (size_t)axis * sizeof *dims);
    dims[axis] = s->turns;
    memcpy(dims + axis + 1, slice->dims + axis, (size_t)(slice->rank - axis) * sizeof *dims);
    if (!turn) SW_TRY(shape_output(s->call, index, slice->dtype, slice->rank + 1, dims));
    if (!same_dims(out, slice->rank + 1, dims))
        return sw_call_fail(s->call, "result %d changes its shape between turns", index + 1);
    move_slice(out, axis, back ? s->turns - 1 - turn : turn, slice->data, true);
    return SW_OK;
}

static sw_status count_slices(scan *s) {
    for (int i = 0; i < s->n_scanned; i++) {
        const sw_tensor *whole = s->call->in[s->state.n + i];
        int axis;
        bool back;
        SW_TRY(axis_of(s->call, "scan_input_axes", "scan_input_directions", i, whole->rank, &axis, &back));
        if (i && whole->dims[axis] != s->turns)
            return sw_call_fail(s->call, "its inputs have unlike numbers of slices");
        s->turns = whole->dims[axis];
    }
    return SW_OK;
}

static sw_status run_slices(scan *s) {
    const sw_call *call = s->call;
    SW_TRY(count_slices(s));
    for (int i = 0; i < s->state.n; i++) s->c.in[i] = *call->in[i];
    take_captured(&s->c, call, s->c.body->n_in);
    for (int64_t turn = 0; turn < s->turns; turn++) {
        for (int i = 0; i < s->n_scanned; i++) SW_TRY(take_slice(s, i, turn));
        SW_TRY(sw_session_run(s->c.session, s->c.in, s->c.out));
        for (int i = 0; i < call->n_out - s->state.n; i++) SW_TRY(put_slice(s, i, turn));
        for (int i = 0; i < s->state.n; i++) SW_TRY(carry(call, &s->state, i, &s->c.out[i], &s->c.in[i]));
    }
    for (int i = 0; i < s->state.n; i++) SW_TRY(give(call, i, &s->c.in[i]));
    for (int i = s->state.n; i < call->n_out && !s->turns; i++) SW_TRY(give_nothing(call, i));
    return SW_OK;
}

static sw_status run_scan(sw_control *control, const sw_call *call) {
    const sw_body *body = sw_call_attr(call, "body", SW_ATTR_BODY)->body;
    scan s = {.call = call, .n_scanned = (int)sw_call_int(call, "num_scan_inputs")};
    SW_TRY(find_child(control, body, &s.c));
    sw_status status = open_carried(control, body->n_in - s.n_scanned, &s.state);
    if (status == SW_OK) status = open_carried(control, s.n_scanned, &s.slices);
    if (status == SW_OK) status = run_slices(&s);
    close_carried(control, &s.state);
    close_carried(control, &s.slices);
    return status;
}

sw_status sw_control_run(sw_control *control, const sw_call *call) {
    sw_status status = call->op == SW_OP_If     ? run_if(control, call)
                       : call->op == SW_OP_Loop ? run_loop(control, call)
                                                : run_scan(control, call);
    return status == SW_E_NOMEM ? sw_fail(&control->host.diag, status, NULL, NULL, "out of memory") : status;
}
