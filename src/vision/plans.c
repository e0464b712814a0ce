#include "vision/plans.h"

#include <assert.h>
#include <math.h>

enum { MAX_ATTRS = 16 };

/* A chain of steps under construction: each reads what the one before made. Failure sticks. */
typedef struct chain {
    sw_plan *plan;
    sw_status status;
    int32_t inputs[SW__MAX_OUTPUTS], last;
    int n_inputs;
    sw_op op; /* of the step whose attributes are being set */
    sw_attr attrs[MAX_ATTRS];
} chain;

static const sw_tensor unknown = {.dtype = SW_DTYPE_NONE, .rank = SW_RANK_UNKNOWN};

static chain chain_begin(const sw_allocator *allocator) {
    chain c = {.plan = sw_plan_create(allocator)};
    c.status = c.plan ? SW_OK : SW_E_NOMEM;
    return c;
}

/* An input of the plan; the next step reads it. */
static void chain_input(chain *c, const char *name, const sw_tensor *type) {
    if (c->status == SW_OK) c->status = sw_plan_add_value(c->plan, name, type, &c->last);
    c->inputs[c->n_inputs++] = c->last;
}

static void chain_op(chain *c, sw_op op) {
    assert(sw_op_get(op)->n_attrs <= MAX_ATTRS);
    c->op = op;
    sw_op_default_attrs(op, c->attrs);
}

static sw_attr *chain_attr(chain *c, const char *name) {
    sw_attr *attr = sw_attrs_find(c->op, c->attrs, name);
    assert(attr);
    attr->set = true;
    return attr;
}

static void chain_int(chain *c, const char *name, int64_t value) {
    chain_attr(c, name)->i = value;
}
static void chain_float(chain *c, const char *name, float value) {
    chain_attr(c, name)->f = value;
}

static void chain_ints(chain *c, const char *name, const int64_t *v, int n) {
    sw_attr *attr = chain_attr(c, name);
    attr->ints.v = v;
    attr->ints.n = n;
}

static void chain_floats(chain *c, const char *name, const float *v, int n) {
    sw_attr *attr = chain_attr(c, name);
    attr->floats.v = v;
    attr->floats.n = n;
}

/* Adds the step with the attributes set so far, reading `n` values; `more` (may be NULL) gets its second output. */
static void chain_add_of(chain *c, const char *name, const int32_t *inputs, int n, int32_t *more) {
    int32_t outputs[2] = {-1, -1};
    for (int i = 0; i < (more ? 2 : 1) && c->status == SW_OK; i++)
        c->status = sw_plan_add_value(c->plan, i ? "counts" : name, &unknown, &outputs[i]);
    if (c->status == SW_OK)
        c->status = sw_plan_add_step(c->plan, c->op, name, c->attrs, n, inputs, more ? 2 : 1, outputs);
    c->last = outputs[0];
    if (more) *more = outputs[1];
}

static void chain_add(chain *c, const char *name, int32_t *more) {
    int32_t input = c->last;
    chain_add_of(c, name, &input, 1, more);
}

static sw_status chain_end(chain *c, const int32_t *outputs, int n, sw_plan **plan) {
    if (c->status == SW_OK) c->status = sw_plan_set_ports(c->plan, c->inputs, c->n_inputs, outputs, n);
    if (c->status == SW_OK)
        *plan = c->plan;
    else
        sw_plan_unref(c->plan);
    return c->status;
}

static void chain_cast(chain *c, sw_dtype dtype) {
    chain_op(c, SW_OP_Cast);
    chain_int(c, "to", sw_dtype_onnx(dtype));
    chain_add(c, sw_dtype_name(dtype), NULL);
}

/* The least height (0) or width (1) that a profile of the plan takes. */
static int64_t least_side(const sw__model *m, int side) {
    int axis = (m->channels_last ? 1 : 2) - (m->no_batch ? 1 : 0) + side;
    int64_t least = 0;
    for (int p = 0; m->plan && p < m->plan->n_profiles; p++) { /* there is none behind a pipeline's steps */
        int64_t min = m->plan->profiles[p * m->plan->n_inputs * SW_MAX_RANK + axis].min;
        if (!p || min < least) least = min;
    }
    return least;
}

sw_letterbox_rule sw__letterbox_rule(const sw__model *m, const sw__head *head) {
    const sw__look *look = head->look;
    bool whole = look->corner || look->stretch || head->form == SW__LEVELS;
    return (sw_letterbox_rule){
        .height = m->height,
        .width = m->width,
        .stride = m->dynamic && !whole ? m->stride : 0,
        .least_height = least_side(m, 0),
        .least_width = least_side(m, 1),
        .center = !look->corner,
        .scale_up = true,
        .truncate = look->corner,
        .stretch = look->stretch,
    };
}

static void add_letterbox(chain *c, const sw__model *m, const sw__head *head) {
    sw_letterbox_rule rule = sw__letterbox_rule(m, head);
    chain_op(c, SW_OP_Letterbox);
    chain_int(c, "height", rule.height);
    chain_int(c, "width", rule.width);
    chain_int(c, "stride", rule.stride);
    chain_int(c, "least_height", rule.least_height);
    chain_int(c, "least_width", rule.least_width);
    chain_int(c, "center", rule.center);
    chain_int(c, "truncate", rule.truncate);
    chain_int(c, "stretch", rule.stretch);
    chain_int(c, "pad_value", head->look->pad);
}

static void add_crop(chain *c, const sw__model *m, const sw__look *look) {
    int64_t side = m->height == m->width ? (int64_t)rintf(look->margin * (float)m->height) : 0;
    chain_op(c, SW_OP_ResizeCrop);
    chain_int(c, "height", m->height);
    chain_int(c, "width", m->width);
    chain_int(c, "resize", side);
}

/* A picture of bytes, in the given order. */
static chain chain_picture(const sw_allocator *allocator) {
    sw_tensor type = {.dtype = SW_U8, .rank = 3, .dims = {SW_DIM_UNKNOWN, SW_DIM_UNKNOWN, 3}};
    chain c = chain_begin(allocator);
    chain_input(&c, "picture", &type);
    return c;
}

sw_status sw__plan_picture(const sw__model *m, const sw__head *head, sw_pixel_order order,
                           const sw_allocator *allocator, sw_plan **plan) {
    static const int64_t to_channels_last[] = {0, 2, 3, 1}, without_batch[] = {0};
    static const float middle[] = {128, 128, 128}, unit[] = {1, 1, 1};
    const sw__look *look = head->look;
    chain c = chain_picture(allocator);
    if (look->cut)
        add_crop(&c, m, look);
    else
        add_letterbox(&c, m, head);
    chain_int(&c, "swap_rb", (order == SW_PIXELS_BGR) != look->bgr);
    bool bytes = m->dtype == SW_U8 || m->dtype == SW_I8;
    chain_float(&c, "divisor", look->raw || bytes ? 1.0f : 255.0f);
    if (m->dtype == SW_I8) {
        chain_floats(&c, "mean", middle, 3);
        chain_floats(&c, "std", unit, 3);
    } else if (look->std[0] > 0 && !bytes) {
        chain_floats(&c, "mean", look->mean, 3);
        chain_floats(&c, "std", look->std, 3);
    }
    chain_add(&c, "fit", NULL);
    if (m->dtype != SW_F32) chain_cast(&c, m->dtype);
    if (m->channels_last) {
        chain_op(&c, SW_OP_Transpose);
        chain_ints(&c, "perm", to_channels_last, 4);
        chain_add(&c, "channels_last", NULL);
    }
    if (m->no_batch) {
        sw_tensor axes = {.dtype = SW_I64, .rank = 1, .dims = {1}, .data = (void *)(uintptr_t)without_batch};
        int32_t inputs[2] = {c.last, -1};
        if (c.status == SW_OK) c.status = sw_plan_add_value(c.plan, "axes", &axes, &inputs[1]);
        chain_op(&c, SW_OP_Squeeze);
        chain_add_of(&c, "without_batch", inputs, 2, NULL);
    }
    return chain_end(&c, &c.last, 1, plan);
}

float sw__picture_divisor(const sw__model *m, const sw__head *head) {
    const sw__look *look = head->look;
    bool plain = m->dtype == SW_F32 && m->batch == 1 && !m->channels_last && !m->no_batch && !look->cut;
    if (!plain || look->std[0] > 0) return 0;
    return look->raw ? 1.0f : 255.0f;
}

sw_status sw__plan_bytes(const sw__model *m, const sw__head *head, sw_pixel_order order, const sw_allocator *allocator,
                         sw_plan **plan) {
    chain c = chain_picture(allocator);
    add_letterbox(&c, m, head);
    chain_int(&c, "swap_rb", (order == SW_PIXELS_BGR) != head->look->bgr);
    chain_int(&c, "bytes", 1);
    chain_add(&c, "fit", NULL);
    return chain_end(&c, &c.last, 1, plan);
}

/* The largest float that is not above a double: a float is above the one exactly when it is above the
 * other. */
static float float_below(double value) {
    float nearest = (float)value;
    return (double)nearest > value ? nextafterf(nearest, -INFINITY) : nearest;
}

/* Fractions of the picture's sides become pixels: boxes, and points behind the classes. Final rows are fractions only in
 * models that are channels-last (Ultralytics has two writers of such files). */
static void chain_pixels(chain *c, const sw__model *m, const sw__head *head, const sw_tensor *table) {
    int values, axis = head->by_anchor ? 2 : 1,
                points = head->task == SW_TASK_POSE ? sw__head_points(head, m, &values) : 0;
    int64_t n = table->dims[axis];
    if (!m->normalized || head->fractions || n < 4 || (head->form == SW__FINAL && !m->channels_last)) return;
    sw_tensor factors = {.dtype = SW_F32, .rank = 3, .dims = {1, 1, 1}};
    factors.dims[axis] = n;
    float *v = c->status == SW_OK ? sw_arena_alloc(c->plan->arena, (size_t)n, sizeof *v) : NULL;
    if (!v) {
        if (c->status == SW_OK) c->status = SW_E_NOMEM;
        return;
    }
    for (int64_t i = 0; i < n; i++) v[i] = i >= 4 ? 1 : (float)(i % 2 ? m->height : m->width);
    int64_t first = points ? n - (int64_t)points * values : n;
    for (int64_t i = first < 4 ? n : first; i + 1 < n; i += values) {
        v[i] = (float)m->width;
        v[i + 1] = (float)m->height;
    }
    int32_t inputs[2] = {c->last, -1};
    factors.data = v;
    c->status = sw_plan_add_value(c->plan, "factors", &factors, &inputs[1]);
    chain_op(c, SW_OP_Mul);
    chain_add_of(c, "pixels", inputs, 2, NULL);
}

/* The model's output `i` as an input of the plan, in float: for a batch of one, with any number of anchors. */
static void chain_output(chain *c, const sw__model *m, const sw__head *head, int i) {
    sw_tensor type = m->outputs[i];
    type.data = NULL;
    if (type.rank == 3) {
        type.dims[0] = 1;
        type.dims[head->by_anchor ? 1 : 2] = SW_DIM_UNKNOWN; /* differs with the size of the picture */
    } else if (head->form == SW__LISTS) {
        type.dims[0] = SW_DIM_UNKNOWN;
    } else {
        type.dims[0] = 1;
    }
    chain_input(c, "output", &type);
    if (type.dtype != SW_F32 || head->form >= SW__FINAL) chain_cast(c, SW_F32);
    if (i == 0 && type.rank == 3 && (head->form == SW__TABLE || head->form == SW__FINAL))
        chain_pixels(c, m, head, &type);
}

static void add_decode(chain *c, const sw__model *m, const sw__head *head, const int32_t *values,
                       const int64_t *strides, int n) {
    static const int64_t usual[] = {8, 16, 32};
    bool grids = head->form == SW__LEVELS;
    chain_op(c, grids ? SW_OP_LevelDecode : SW_OP_YoloDecode);
    chain_attr(c, "layout")->s = head->layout;
    chain_ints(c, "strides", grids ? strides : usual, grids ? sw__head_levels(head, n) : 3);
    chain_int(c, "height", m->height);
    chain_int(c, "width", m->width);
    if (!grids) chain_int(c, "extra", sw__head_extra(head, m));
    chain_add_of(c, "decode", values, n, NULL);
}

static void add_nms(chain *c, const sw__model *m, const sw__head *head, const sw__nms_options *o,
                    const int64_t *classes, int32_t outputs[2]) {
    bool queries = head->form == SW__TABLE && head->fractions; /* transformers leave nothing to suppress */
    chain_op(c, SW_OP_Nms);
    chain_float(c, "conf", (float)o->conf); /* torch compares scores with the nearest float, torchvision ... */
    chain_float(c, "iou", queries ? 2 : float_below(o->iou)); /* ... overlaps with the double */
    chain_int(c, "max_det", o->max_det);
    chain_int(c, "agnostic", o->agnostic);
    chain_int(c, "multi_label", o->multi_label);
    chain_int(c, "extra", sw__head_extra(head, m));
    chain_int(c, "rotated", head->task == SW_TASK_OBB);
    chain_ints(c, "classes", classes, o->n_classes);
    chain_add(c, "nms", &outputs[1]);
    outputs[0] = c->last;
}

static void add_inputs(chain *c, const sw__model *m, const sw__head *head, const int *order, int n, int32_t *values) {
    for (int i = 0; i < n; i++) {
        chain_output(c, m, head, order[i]);
        values[i] = c->last;
    }
}

sw_status sw__plan_boxes(const sw__model *m, const sw__head *head, const sw__nms_options *o,
                         const sw_allocator *allocator, sw_plan **plan) {
    int order[SW__MAX_OUTPUTS], n = sw__head_inputs(head, m, order, NULL);
    int64_t strides[SW__MAX_OUTPUTS];
    int32_t values[SW__MAX_OUTPUTS], outputs[2];
    sw__head_inputs(head, m, order, strides);
    chain c = chain_begin(allocator);
    add_inputs(&c, m, head, order, n, values);
    if (head->form >= SW__FINAL) return chain_end(&c, values, n, plan);

    int64_t *classes = sw_calloc(allocator, (size_t)o->n_classes + 1, sizeof *classes);
    if (!classes) {
        sw_plan_unref(c.plan);
        return SW_E_NOMEM;
    }
    for (int i = 0; i < o->n_classes; i++) classes[i] = o->classes[i];
    add_decode(&c, m, head, values, strides, n);
    add_nms(&c, m, head, o, classes, outputs);
    sw_status status = chain_end(&c, outputs, 2, plan);
    sw_free(allocator, classes);
    return status;
}

sw_status sw__plan_reals(const sw__model *m, const sw_allocator *allocator, sw_plan **plan) {
    int32_t outputs[SW__MAX_OUTPUTS];
    chain c = chain_begin(allocator);
    for (int i = 0; i < m->n_outputs; i++) {
        sw_tensor type = sw_plan_output(m->plan, i)->type,
                  number = {.dtype = SW_F32, .data = (void *)(uintptr_t)&m->scale[i]};
        for (int k = 0; k < type.rank; k++) type.dims[k] = SW_DIM_UNKNOWN;
        chain_input(&c, "integers", &type);
        int32_t inputs[3] = {c.last, -1, -1};
        if (c.status == SW_OK) c.status = sw_plan_add_value(c.plan, "scale", &number, &inputs[1]);
        number = (sw_tensor){.dtype = type.dtype, .data = (void *)(uintptr_t)&m->zero[i]};
        if (c.status == SW_OK && m->scale[i] > 0) c.status = sw_plan_add_value(c.plan, "zero", &number, &inputs[2]);
        chain_op(&c, m->scale[i] > 0 ? SW_OP_DequantizeLinear : SW_OP_Identity);
        chain_add_of(&c, "reals", inputs, m->scale[i] > 0 ? 3 : 1, NULL);
        outputs[i] = c.last;
    }
    return chain_end(&c, outputs, m->n_outputs, plan);
}

sw_status sw__plan_masks(const sw__model *m, const sw__head *head, int64_t scale, const sw_allocator *allocator,
                         sw_plan **plan) {
    int64_t k = sw__head_extra(head, m);
    sw_tensor row = {.dtype = SW_F32, .rank = 2, .dims = {1, 6 + k}};
    static const int64_t to_channels_first[] = {0, 3, 1, 2};
    const int axis = sw__head_mask_axis(m);
    sw_tensor prototypes = {.dtype = m->outputs[1].dtype, .rank = 4, .dims = {1}};
    int32_t inputs[2];
    for (int i = 1; i < 4; i++) prototypes.dims[i] = i == axis ? k : SW_DIM_UNKNOWN;
    chain c = chain_begin(allocator);
    chain_input(&c, "detection", &row);
    inputs[0] = c.last;
    chain_input(&c, "prototypes", &prototypes);
    if (prototypes.dtype != SW_F32) chain_cast(&c, SW_F32);
    if (axis != 1) {
        chain_op(&c, SW_OP_Transpose);
        chain_ints(&c, "perm", to_channels_first, 4);
        chain_add(&c, "channels_first", NULL);
    }
    inputs[1] = c.last;
    chain_op(&c, SW_OP_ProtoMasks);
    chain_int(&c, "scale", scale);
    chain_add_of(&c, "masks", inputs, 2, NULL);
    return chain_end(&c, &c.last, 1, plan);
}
