#include "vision/plans.h"

#include <assert.h>
#include <math.h>

enum { MAX_ATTRS = 16 };

/* A chain of steps under construction: each reads what the one before made. Failure sticks. */
typedef struct chain {
    sw_plan *plan;
    sw_status status;
    int32_t input, last;
    sw_op op; /* of the step whose attributes are being set */
    sw_attr attrs[MAX_ATTRS];
} chain;

static const sw_tensor unknown = {.dtype = SW_DTYPE_NONE, .rank = SW_RANK_UNKNOWN};

static chain chain_begin(const sw_allocator *allocator, const char *name, const sw_tensor *type) {
    chain c = {.plan = sw_plan_create(allocator)};
    c.status = c.plan ? sw_plan_add_value(c.plan, name, type, &c.input) : SW_E_NOMEM;
    c.last = c.input;
    return c;
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

/* Adds the step with the attributes set so far; `more` (may be NULL) gets its second output. */
static void chain_add(chain *c, const char *name, int32_t *more) {
    int32_t outputs[2] = {-1, -1}, input = c->last;
    for (int i = 0; i < (more ? 2 : 1) && c->status == SW_OK; i++)
        c->status = sw_plan_add_value(c->plan, i ? "counts" : name, &unknown, &outputs[i]);
    if (c->status == SW_OK)
        c->status = sw_plan_add_step(c->plan, c->op, name, c->attrs, 1, &input, more ? 2 : 1, outputs);
    c->last = outputs[0];
    if (more) *more = outputs[1];
}

static sw_status chain_end(chain *c, const int32_t *outputs, int n, sw_plan **plan) {
    if (c->status == SW_OK) c->status = sw_plan_set_ports(c->plan, &c->input, 1, outputs, n);
    if (c->status == SW_OK)
        *plan = c->plan;
    else
        sw_plan_unref(c->plan);
    return c->status;
}

/* ONNX numbers of element types, which Cast takes. */
static int64_t onnx_type(sw_dtype dtype) {
    switch (dtype) {
#define ONNX_NUMBER(name, bytes, text, onnx)                                                                           \
    case name:                                                                                                         \
        return onnx;
        SW_DTYPE_LIST(ONNX_NUMBER)
#undef ONNX_NUMBER
    default:
        return 0;
    }
}

static void chain_cast(chain *c, sw_dtype dtype) {
    chain_op(c, SW_OP_Cast);
    chain_int(c, "to", onnx_type(dtype));
    chain_add(c, sw_dtype_name(dtype), NULL);
}

sw_letterbox_rule sw__letterbox_rule(const sw__model *m, const sw__head *head) {
    return (sw_letterbox_rule){
        .height = m->height,
        .width = m->width,
        .stride = m->dynamic && !head->corner ? m->stride : 0,
        .center = !head->corner,
        .scale_up = true,
        .truncate = head->corner,
    };
}

sw_status sw__plan_picture(const sw__model *m, const sw__head *head, sw_pixel_order order,
                           const sw_allocator *allocator, sw_plan **plan) {
    static const int64_t to_channels_last[] = {0, 2, 3, 1};
    sw_tensor type = {.dtype = SW_U8, .rank = 3, .dims = {SW_DIM_UNKNOWN, SW_DIM_UNKNOWN, 3}};
    sw_letterbox_rule rule = sw__letterbox_rule(m, head);
    chain c = chain_begin(allocator, "picture", &type);
    chain_op(&c, SW_OP_Letterbox);
    chain_int(&c, "height", rule.height);
    chain_int(&c, "width", rule.width);
    chain_int(&c, "stride", rule.stride);
    chain_int(&c, "center", rule.center);
    chain_int(&c, "truncate", rule.truncate);
    chain_int(&c, "swap_rb", (order == SW_PIXELS_BGR) != head->bgr);
    chain_float(&c, "divisor", head->raw || m->dtype == SW_U8 ? 1.0f : 255.0f);
    chain_add(&c, "letterbox", NULL);
    if (m->dtype != SW_F32) chain_cast(&c, m->dtype);
    if (m->channels_last) {
        chain_op(&c, SW_OP_Transpose);
        chain_ints(&c, "perm", to_channels_last, 4);
        chain_add(&c, "channels_last", NULL);
    }
    return chain_end(&c, &c.last, 1, plan);
}

/* The largest float that is not above a double: a float is above the one exactly when it is above the
 * other. */
static float float_below(double value) {
    float nearest = (float)value;
    return (double)nearest > value ? nextafterf(nearest, -INFINITY) : nearest;
}

static void add_decode(chain *c, const sw__model *m, const sw__head *head) {
    static const int64_t strides[] = {8, 16, 32};
    chain_op(c, SW_OP_YoloDecode);
    chain_attr(c, "layout")->s = head->layout;
    chain_ints(c, "strides", strides, 3);
    chain_int(c, "height", m->height);
    chain_int(c, "width", m->width);
    chain_add(c, "decode", NULL);
}

sw_status sw__plan_boxes(const sw__model *m, const sw__head *head, const sw__nms_options *o,
                         const sw_allocator *allocator, sw_plan **plan) {
    sw_tensor type = m->outputs[0];
    type.data = NULL;
    type.dims[0] = 1;
    type.dims[head->by_anchor ? 1 : 2] = SW_DIM_UNKNOWN; /* differs with the size of the picture */
    chain c = chain_begin(allocator, "output", &type);
    if (type.dtype != SW_F32 || !head->layout) chain_cast(&c, SW_F32);
    if (!head->layout) return chain_end(&c, &c.last, 1, plan);

    int64_t *classes = sw_calloc(allocator, (size_t)o->n_classes + 1, sizeof *classes);
    if (!classes) {
        sw_plan_unref(c.plan);
        return SW_E_NOMEM;
    }
    for (int i = 0; i < o->n_classes; i++) classes[i] = o->classes[i];
    add_decode(&c, m, head);
    chain_op(&c, SW_OP_Nms);
    chain_float(&c, "conf", (float)o->conf);     /* torch compares scores with the nearest float, torchvision ... */
    chain_float(&c, "iou", float_below(o->iou)); /* ... overlaps with the double */
    chain_int(&c, "max_det", o->max_det);
    chain_int(&c, "agnostic", o->agnostic);
    chain_int(&c, "multi_label", o->multi_label);
    chain_ints(&c, "classes", classes, o->n_classes);
    int32_t outputs[2];
    chain_add(&c, "nms", &outputs[1]);
    outputs[0] = c.last;
    sw_status status = chain_end(&c, outputs, 2, plan);
    sw_free(allocator, classes);
    return status;
}
