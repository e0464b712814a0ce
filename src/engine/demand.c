#include "engine/demand.h"

#include <string.h>

#include "engine/instance.h"
#include "kernels/yolo/columns.h"
#include "ops/shape.h"

enum { TILE = SW_CONV_TILE };

/* A convolution whose map is wanted in part. */
typedef struct part {
    int32_t step;
    int64_t height, width; /* of its map */
    int64_t column;        /* of the output that its first pixel belongs to, where `reader` is none */
    int32_t reader;        /* the part that alone reads the map, of a lower number; -1 */
    uint8_t *tiles;        /* for the kernels: which are wanted */
} part;

struct sw_demanded {
    int32_t scores; /* the value */
    float above;
    int64_t columns;
    uint8_t *wanted;         /* by column */
    const uint8_t **of_step; /* where its columns begin in `wanted`; NULL: all are computed */
    part *parts;
    int32_t n;
};

/* What the search works on. By value: `uses` counts readers, `makers` are steps (-1: none), `is_columns` tells that the last
 * axis is that of the output. By step: `late`. */
typedef struct finder {
    const sw_plan *plan;
    sw_instance *instance;
    int64_t columns;
    int32_t *uses, *makers, *levels; /* levels: number + 1 of the part that reads a value */
    bool *is_columns, *is_needed, *late;
    sw_demanded *found;
} finder;

static const sw_tensor *type_of(const finder *f, int32_t value) {
    return &f->instance->values[value];
}

static int64_t last_dim(const sw_tensor *t) {
    return t->rank > 0 ? t->dims[t->rank - 1] : 1;
}

static int axis_of(const finder *f, const sw_step *step) {
    return sw_axis(sw_call_int(&(sw_call){.op = step->op, .attrs = step->attrs}, "axis"),
                   type_of(f, step->in[0])->rank);
}

/* The value that holds just these rows of another, which joins made; -1. */
static int32_t find_rows(const finder *f, int32_t value, int64_t first, int64_t rows) {
    for (;;) {
        const sw_tensor *t = type_of(f, value);
        if (t->rank != 3 || t->dtype != SW_F32 || t->layout != SW_ROW_MAJOR) return -1;
        if (first == 0 && t->dims[1] == rows) return value;
        const sw_step *join = f->makers[value] < 0 ? NULL : &f->plan->steps[f->makers[value]];
        if (!join || join->op != SW_OP_Concat || axis_of(f, join) != 1) return -1;
        int i = 0;
        for (; i < join->n_in && first >= type_of(f, join->in[i])->dims[1]; i++)
            first -= type_of(f, join->in[i])->dims[1];
        if (i == join->n_in) return -1;
        value = join->in[i];
    }
}

/* Tells the steps apart that neither the scores nor another output needs; false: there are none, or they cannot wait. */
static bool find_late(finder *f, const sw_demand *demand, int32_t scores) {
    const sw_plan *plan = f->plan;
    bool any = false;
    f->is_needed[scores] = true;
    for (int i = 0; i < plan->n_outputs; i++)
        if (i != demand->output) f->is_needed[plan->outputs[i]] = true;
    for (size_t s = plan->n_steps; s-- > 0;) {
        const sw_step *step = &plan->steps[s];
        bool late = !f->instance->skip[s];
        for (int i = 0; i < step->n_out; i++) late &= step->out[i] < 0 || !f->is_needed[step->out[i]];
        f->late[s] = late;
        any |= late;
        for (int i = 0; !late && i < step->n_in; i++)
            if (step->in[i] >= 0) f->is_needed[step->in[i]] = true;
        for (int i = 0; late && i < step->n_out; i++)
            if (step->out[i] >= 0 && f->instance->places[step->out[i]] != SW_PLACE_PLANNED) return false;
    }
    return any;
}

static bool is_late(const finder *f, int32_t value) {
    return value >= 0 && f->makers[value] >= 0 && f->late[f->makers[value]];
}

/* Slices that may turn the last axis round. */
static bool may_turn(const finder *f, const sw_step *slice) {
    const sw_tensor *steps = slice->n_in > 4 && slice->in[4] >= 0 ? type_of(f, slice->in[4]) : NULL;
    for (int64_t i = 0; steps && i < sw_tensor_count(steps); i++)
        if (!steps->data || sw_tensor_int_at(steps, i) < 0) return true;
    return false;
}

/* Whether each column of a step's results depends on that column of its inputs only. */
static bool keeps_columns(const finder *f, const sw_step *step) {
    int last = type_of(f, step->in[0])->rank - 1;
    switch (step->op) {
    case SW_OP_Dfl:
    case SW_OP_Add:
    case SW_OP_Sub:
    case SW_OP_Mul:
    case SW_OP_Div:
    case SW_OP_Pow:
    case SW_OP_Neg:
    case SW_OP_Exp:
    case SW_OP_Sin:
    case SW_OP_Cos:
    case SW_OP_Sigmoid:
    case SW_OP_Identity:
    case SW_OP_Reshape: /* by dims, below */
        return true;
    case SW_OP_Slice:
        return !may_turn(f, step);
    case SW_OP_Split:
    case SW_OP_Concat:
        return axis_of(f, step) != last;
    default:
        return false;
    }
}

/* The convolution whose map, flattened, is the value; -1. Nothing else reads what lies between; *relayout gets the step, where
 * there is one, that makes rows of it. */
static int32_t flattened(const finder *f, int32_t value, int32_t *relayout) {
    const sw_step *reshape = f->makers[value] < 0 ? NULL : &f->plan->steps[f->makers[value]];
    if (!reshape || reshape->op != SW_OP_Reshape || f->uses[value] != 1) return -1;
    int32_t rows = reshape->in[0], maker = f->makers[rows];
    const sw_tensor *map = type_of(f, rows), *flat = type_of(f, value);
    if (maker < 0 || f->uses[rows] != 1 || map->rank != 4 || flat->rank != 3 || map->dims[1] != flat->dims[1])
        return -1;
    if (f->plan->steps[maker].op == SW_OP_Relayout) {
        *relayout = maker;
        rows = f->plan->steps[maker].in[0];
        maker = f->makers[rows];
    }
    bool alone = maker >= 0 && f->uses[rows] == 1 && f->late[maker];
    return alone && f->plan->steps[maker].op == SW_OP_FusedConv ? maker : -1;
}

static void add_part(finder *f, int32_t step, int64_t column, int32_t reader) {
    const sw_tensor *map = type_of(f, f->plan->steps[step].out[0]);
    if (map->layout != SW_CHANNELS_LAST) return;
    f->found->parts[f->found->n++] = (part){step, map->dims[2], map->dims[3], column, reader, NULL};
    f->levels[f->plan->steps[step].in[0]] = f->found->n;
}

/* Walks back from the output over the steps that keep columns, to the levels that are joined to them. False: another step lies
 * between. */
static bool find_levels(finder *f) {
    for (size_t s = f->plan->n_steps; s-- > 0;) {
        const sw_step *step = &f->plan->steps[s];
        bool wanted = false;
        for (int i = 0; i < step->n_out; i++) wanted |= step->out[i] >= 0 && f->is_columns[step->out[i]];
        if (!wanted || !f->late[s]) continue;
        if (step->n_in < 1 || step->in[0] < 0) return false;
        if (step->op == SW_OP_Concat && axis_of(f, step) == type_of(f, step->in[0])->rank - 1) {
            int64_t column = 0;
            for (int i = 0; i < step->n_in; column += last_dim(type_of(f, step->in[i++]))) {
                int32_t relayout = -1, conv = flattened(f, step->in[i], &relayout);
                if (conv >= 0) add_part(f, conv, column, -1);
                if (relayout >= 0) f->found->of_step[relayout] = f->found->wanted + column;
            }
            continue;
        }
        if (!keeps_columns(f, step)) return false;
        f->found->of_step[s] = f->found->wanted;
        for (int i = 0; i < step->n_in; i++) {
            if (!is_late(f, step->in[i])) continue;
            if (last_dim(type_of(f, step->in[i])) != f->columns) return false;
            f->is_columns[step->in[i]] = true;
        }
        for (int i = 0; i < step->n_out; i++)
            if (step->out[i] >= 0 && last_dim(type_of(f, step->out[i])) != f->columns) return false;
    }
    return true;
}

/* Whether a tile of the map depends on the same tile of the input and the eight around it only. */
static bool reads_near(const finder *f, int32_t number) {
    const sw_step *step = &f->plan->steps[number];
    const sw_tensor *x = type_of(f, step->in[0]), *w = type_of(f, step->in[1]), *y = type_of(f, step->out[0]);
    const sw_call call = {.op = step->op, .attrs = step->attrs, .name = step->name};
    sw_window v;
    if (sw_call_window(&call, x, w->dims + 2, &v) != SW_OK || x->dims[2] != y->dims[2] || x->dims[3] != y->dims[3])
        return false;
    for (int i = 0; i < 2; i++)
        if (v.stride[i] != 1 || (v.kernel[i] - 1) * v.dilation[i] > TILE || v.pad_begin[i] > TILE) return false;
    return true;
}

/* The convolutions before those of the levels, as far as nothing else reads their maps. */
static void find_before(finder *f) {
    for (size_t s = f->plan->n_steps; s-- > 0;) {
        const sw_step *step = &f->plan->steps[s];
        int32_t map = step->n_out == 1 ? step->out[0] : -1;
        if (!f->late[s] || step->op != SW_OP_FusedConv || map < 0 || f->uses[map] != 1 || !f->levels[map]) continue;
        int32_t reader = f->levels[map] - 1;
        if (reads_near(f, f->found->parts[reader].step)) add_part(f, (int32_t)s, 0, reader);
    }
}

static sw_status find(finder *f, const sw_demand *demand) {
    sw_instance *instance = f->instance;
    int32_t output = f->plan->outputs[demand->output], scores = -1;
    const sw_tensor *t = type_of(f, output);
    bool planned = instance->places[output] == SW_PLACE_PLANNED && t->rank == 3 && t->dims[0] == 1;
    if (planned) scores = find_rows(f, output, demand->first, demand->rows);
    if (scores < 0 || instance->places[scores] != SW_PLACE_PLANNED || !find_late(f, demand, scores)) return SW_OK;
    f->columns = t->dims[2];
    f->is_columns[output] = true;
    sw_demanded *found = f->found = SW_ARENA_NEW(instance->arena, sw_demanded);
    if (!found) return SW_E_NOMEM;
    *found = (sw_demanded){.scores = scores, .columns = f->columns};
    found->parts = SW_ARENA_ARRAY(instance->arena, part, f->plan->n_steps);
    found->wanted = SW_ARENA_ARRAY(instance->arena, uint8_t, f->columns);
    found->of_step = SW_ARENA_ARRAY(instance->arena, const uint8_t *, f->plan->n_steps);
    if (!found->parts || !found->wanted || !found->of_step) return SW_E_NOMEM;
    if (!find_levels(f)) return SW_OK;
    find_before(f);
    for (int32_t i = 0; i < found->n; i++) {
        part *p = &found->parts[i];
        p->tiles =
            SW_ARENA_ARRAY(instance->arena, uint8_t, ((p->height + TILE - 1) / TILE) * ((p->width + TILE - 1) / TILE));
        if (!p->tiles) return SW_E_NOMEM;
    }
    if (found->n == 0) return SW_OK;
    size_t n = 0;
    for (int late = 0; late < 2; late++) {
        for (size_t s = 0; s < f->plan->n_steps; s++)
            if (f->late[s] == late) instance->order[n++] = (int32_t)s;
        if (!late) instance->n_early = n;
    }
    instance->demanded = found;
    return SW_OK;
}

sw_status sw_demand_find(const sw_plan *plan, sw_instance *instance, const sw_demand *demand,
                         const sw_allocator *allocator) {
    finder f = {.plan = plan, .instance = instance};
    sw_status status = SW_E_NOMEM;
    f.uses = sw_calloc(allocator, 3 * plan->n_values + 1, sizeof *f.uses);
    f.is_columns = sw_calloc(allocator, 2 * plan->n_values + plan->n_steps + 1, sizeof *f.is_columns);
    if (f.uses && f.is_columns) {
        f.makers = f.uses + plan->n_values;
        f.levels = f.makers + plan->n_values;
        f.is_needed = f.is_columns + plan->n_values;
        f.late = f.is_needed + plan->n_values;
        sw_plan_readers(plan, f.uses, f.makers);
        status = find(&f, demand);
    }
    sw_free(allocator, f.is_columns);
    sw_free(allocator, f.uses);
    return status;
}

bool sw_demand_alike(const sw_demand *a, const sw_demand *b) {
    return a->output == b->output && a->first == b->first && a->rows == b->rows;
}

void sw_demand_above(sw_instance *instance, float above) {
    if (instance->demanded) instance->demanded->above = above;
}

void sw_demand_connect(sw_instance *instance) {
    const sw_demanded *d = instance->demanded;
    for (int32_t i = 0; d && i < d->n; i++) instance->prepared[d->parts[i].step].conv.wanted = d->parts[i].tiles;
}

const uint8_t *sw_demand_of_step(const sw_instance *instance, size_t step) {
    return instance->demanded ? instance->demanded->of_step[step] : NULL;
}

bool sw_demand_cuts(const sw_instance *instance, size_t step) {
    const sw_demanded *d = instance->demanded;
    bool cuts = false;
    for (int32_t i = 0; d && i < d->n; i++) cuts |= d->parts[i].step == (int32_t)step;
    return cuts;
}

/* ---- During a run ---------------------------------------------------------------------------------------------------- */

void sw_demand_columns(const float *scores, int64_t rows, int64_t columns, float above, uint8_t *wanted) {
    sw__columns_above(scores, rows, columns, above, wanted);
}

static void tiles_of_columns(const sw_demanded *d, const part *p) {
    int64_t across = (p->width + TILE - 1) / TILE;
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++)
            p->tiles[y / TILE * across + x / TILE] |= d->wanted[p->column + y * p->width + x];
}

/* Every tile at or around one that the reader wants. */
static void tiles_of_reader(const part *reader, const part *p) {
    int64_t across = (p->width + TILE - 1) / TILE, down = (p->height + TILE - 1) / TILE;
    for (int64_t y = 0; y < down; y++)
        for (int64_t x = 0; x < across; x++) {
            if (!reader->tiles[y * across + x]) continue;
            for (int64_t v = y - (y > 0); v <= y + (y < down - 1); v++)
                for (int64_t u = x - (x > 0); u <= x + (x < across - 1); u++) p->tiles[v * across + u] = 1;
        }
}

void sw_demand_look(sw_instance *instance) {
    const sw_demanded *d = instance->demanded;
    const sw_tensor *scores = &instance->values[d->scores];
    sw_demand_columns(scores->data, scores->dims[1], d->columns, d->above, d->wanted);
    for (int32_t i = 0; i < d->n; i++) {
        const part *p = &d->parts[i];
        memset(p->tiles, 0, (size_t)(((p->height + TILE - 1) / TILE) * ((p->width + TILE - 1) / TILE)));
        if (p->reader < 0)
            tiles_of_columns(d, p);
        else
            tiles_of_reader(&d->parts[p->reader], p);
    }
}
