/* The file's tables as arrays. Nothing is trusted: indices, sizes of constants and counts are checked here, once. */
#include "base/str.h"
#include "import/tflite/model.h"

const char *sw__tfl_type_name(int type) {
    switch (type) {
#define NAME(name, number, dtype)                                                                                      \
    case number:                                                                                                       \
        return #name;
        SW_TFL_TYPE_LIST(NAME)
#undef NAME
    default:
        return "an unknown type";
    }
}

static sw_dtype dtype_of(int type) {
    switch (type) {
#define DTYPE(name, number, dtype)                                                                                     \
    case number:                                                                                                       \
        return dtype;
        SW_TFL_TYPE_LIST(DTYPE)
#undef DTYPE
    default:
        return SW_DTYPE_NONE;
    }
}

static const char *code_name(int code) {
    switch (code) {
#define NAME(name, number)                                                                                             \
    case number:                                                                                                       \
        return #name;
        SW_TFL_OP_LIST(NAME)
#undef NAME
    default:
        return NULL;
    }
}

/* Bytes of buffer `index`, in the FlatBuffer or, of large models, behind it; none for variables. */
static bool find_buffer(sw_tfl *m, int64_t index, const uint8_t **data, uint64_t *size) {
    *data = NULL;
    *size = 0;
    if (index < 0 || index >= m->buffers.n) {
        sw__tfl_fail(m, SW_E_MODEL, "a tensor names buffer %lld; there are %u", (long long)index, m->buffers.n);
        return false;
    }
    sw_fb_table buffer = sw_fb_vec_table(&m->buffers, (uint32_t)index);
    sw_fb_vector inside = sw_fb_vec(&buffer, SW_TFL_BUFFER_DATA, 1);
    uint64_t at = sw_fb_u64(&buffer, SW_TFL_BUFFER_OFFSET, 0), length = sw_fb_u64(&buffer, SW_TFL_BUFFER_SIZE, 0);
    *data = inside.data;
    *size = inside.n;
    if (at > 1) { /* 0 and 1 mean: not outside */
        if (at > m->size || length > m->size - at) {
            sw__tfl_fail(m, SW_E_MODEL, "buffer %lld reaches behind the end of the file; is it cut?", (long long)index);
            return false;
        }
        *data = m->bytes + at;
        *size = length;
    }
    return true;
}

static bool read_shape(sw_tfl *m, const sw_fb_table *table, sw_tfl_tensor *t) {
    sw_fb_vector shape = sw_fb_vec(table, SW_TFL_TENSOR_SHAPE, 4);
    if (shape.n > SW_MAX_RANK) {
        sw__tfl_fail(m, SW_E_UNSUPPORTED, "tensor '%s' has %u axes; at most %d are possible", t->name, shape.n,
                     SW_MAX_RANK);
        return false;
    }
    t->like.rank = (int)shape.n;
    for (uint32_t i = 0; i < shape.n; i++) {
        t->like.dims[i] = sw_fb_vec_i32(&shape, i);
        if (t->like.dims[i] >= 0) continue;
        sw__tfl_fail(m, SW_E_UNSUPPORTED, "tensor '%s' has an axis of unknown extent", t->name);
        return false;
    }
    return true;
}

static bool read_quantisation(sw_tfl *m, const sw_fb_table *table, sw_tfl_tensor *t) {
    sw_fb_table quant = sw_fb_sub(table, SW_TFL_TENSOR_QUANTIZATION);
    t->scales = sw_fb_vec(&quant, SW_TFL_QUANT_SCALE, 4);
    t->zeros = sw_fb_vec(&quant, SW_TFL_QUANT_ZERO, 8);
    int64_t axis = sw_fb_i32(&quant, SW_TFL_QUANT_AXIS, 0);
    if (sw_fb_u8(&quant, SW_TFL_QUANT_DETAILS_TYPE, 0) != 0) {
        sw__tfl_fail(m, SW_E_UNSUPPORTED, "tensor '%s' is quantised by blocks or in its own way", t->name);
        return false;
    }
    if (t->scales.n > 1 && (axis < 0 || axis >= t->like.rank || t->like.dims[axis] != t->scales.n)) {
        sw__tfl_fail(m, SW_E_MODEL, "tensor '%s' has %u scales, which do not fit axis %lld", t->name, t->scales.n,
                     (long long)axis);
        return false;
    }
    if (t->zeros.n > 1 && t->zeros.n != t->scales.n) {
        sw__tfl_fail(m, SW_E_MODEL, "tensor '%s' has %u scales and %u zero points", t->name, t->scales.n, t->zeros.n);
        return false;
    }
    t->scale_axis = (int)axis;
    return true;
}

static void read_tensor(sw_tfl *m, const sw_fb_table *table, sw_tfl_tensor *t, uint32_t number) {
    size_t length;
    const char *name = sw_fb_text(table, SW_TFL_TENSOR_NAME, &length);
    const uint8_t *data;
    uint64_t size;
    t->name = name && *name && sw_str_is_utf8(name, length) ? name : sw_arena_printf(m->scratch, "tensor_%u", number);
    if (!t->name) {
        sw__tfl_nomem(m);
        return;
    }
    t->type = (int)sw_fb_i8(table, SW_TFL_TENSOR_TYPE, 0);
    t->like.dtype = dtype_of(t->type);
    t->variable = sw_fb_u8(table, SW_TFL_TENSOR_VARIABLE, 0) != 0;
    sw_fb_table sparsity = sw_fb_sub(table, SW_TFL_TENSOR_SPARSITY);
    t->sparse = sw_fb_has(&sparsity);
    if (!read_shape(m, table, t) || !read_quantisation(m, table, t)) return;
    if (sw_fb_u32(table, SW_TFL_TENSOR_EXTERNAL, 0)) {
        sw__tfl_fail(m, SW_E_UNSUPPORTED, "tensor '%s' lies in another file; models in one file are supported",
                     t->name);
        return;
    }
    if (!find_buffer(m, sw_fb_u32(table, SW_TFL_TENSOR_BUFFER, 0), &data, &size) || !data || t->sparse) return;
    int64_t want = sw_tensor_bytes(&t->like);
    if (t->like.dtype == SW_DTYPE_NONE) return; /* refused where it is used */
    if (want < 0 || (uint64_t)want != size)
        sw__tfl_fail(m, SW_E_MODEL, "tensor '%s' holds %llu bytes, its shape asks for %lld", t->name,
                     (unsigned long long)size, (long long)want);
    else
        t->like.data = (void *)(uintptr_t)data;
}

sw_status sw__tfl_read(sw_tfl *m) {
    sw_fb_table root = sw_fb_root(&m->fb);
    int64_t version = sw_fb_u32(&root, SW_TFL_MODEL_VERSION, 0);
    sw_fb_vector graphs = sw_fb_vec(&root, SW_TFL_MODEL_SUBGRAPHS, 4);
    m->buffers = sw_fb_vec(&root, SW_TFL_MODEL_BUFFERS, 4);
    m->codes = sw_fb_vec(&root, SW_TFL_MODEL_CODES, 4);
    if (m->fb.status != SW_OK) return m->fb.status;
    if (version != 3) {
        sw__tfl_fail(m, SW_E_UNSUPPORTED, "the schema has version %lld; version 3 is supported", (long long)version);
        return m->status;
    }
    if (graphs.n == 0) {
        sw__tfl_fail(m, SW_E_MODEL, "there is no graph in it");
        return m->status;
    }
    m->subgraph = sw_fb_vec_table(&graphs, 0);
    sw_fb_vector tensors = sw_fb_vec(&m->subgraph, SW_TFL_GRAPH_TENSORS, 4);
    if (tensors.n > SW_TFL_MAX_TENSORS) {
        sw__tfl_fail(m, SW_E_LIMIT, "there are %u tensors; at most %d are possible", tensors.n, SW_TFL_MAX_TENSORS);
        return m->status;
    }
    m->n_tensors = tensors.n;
    m->tensors = SW_ARENA_ARRAY(m->scratch, sw_tfl_tensor, tensors.n);
    if (!m->tensors) sw__tfl_nomem(m);
    for (uint32_t i = 0; i < tensors.n && m->status == SW_OK && m->fb.status == SW_OK; i++) {
        sw_fb_table table = sw_fb_vec_table(&tensors, i);
        read_tensor(m, &table, &m->tensors[i], i);
    }
    return m->status != SW_OK ? m->status : m->fb.status;
}

/* ---- Operators ----------------------------------------------------------------------------------------------------- */

static bool read_ports(sw_tfl *m, const sw_fb_table *op, int slot, sw_tfl_tensor ***ports, int *count) {
    sw_fb_vector list = sw_fb_vec(op, slot, 4);
    if (!sw__tfl_charge(m, (uint64_t)list.n * 4)) return false;
    *ports = SW_ARENA_ARRAY(m->scratch, sw_tfl_tensor *, list.n + 1);
    *count = (int)list.n;
    if (!*ports) return sw__tfl_nomem(m);
    for (uint32_t i = 0; i < list.n; i++) {
        int32_t index = sw_fb_vec_i32(&list, i);
        if (index < -1 || index >= (int64_t)m->n_tensors)
            return sw__tfl_fail(m, SW_E_MODEL, "an operator names tensor %d; there are %u", index, m->n_tensors);
        (*ports)[i] = index < 0 ? NULL : &m->tensors[index];
    }
    return true;
}

sw_status sw__tfl_read_node(sw_tfl *m, const sw_fb_table *op, sw_tfl_node *n) {
    int64_t index = sw_fb_u32(op, SW_TFL_OPERATOR_CODE, 0);
    if (m->fb.status != SW_OK) return m->fb.status;
    if (index >= m->codes.n) {
        sw__tfl_fail(m, SW_E_MODEL, "operator %d names code %lld; there are %u", n->number, (long long)index,
                     m->codes.n);
        return m->status;
    }
    sw_fb_table code = sw_fb_vec_table(&m->codes, (uint32_t)index);
    int64_t old = sw_fb_i8(&code, SW_TFL_CODE_OLD, 0), fresh = sw_fb_i32(&code, SW_TFL_CODE_BUILTIN, 0);
    size_t length;
    n->code = (int)(fresh > old ? fresh : old); /* writers before 2020 set only the old one */
    const char *custom = sw_fb_text(&code, SW_TFL_CODE_CUSTOM, &length);
    n->kind = n->code == SW_TFL_CUSTOM ? custom ? custom : "CUSTOM" : code_name(n->code);
    if (!n->kind) n->kind = sw_arena_printf(m->scratch, "operator code %d", n->code);
    if (!n->kind) sw__tfl_nomem(m);
    n->options = sw_fb_sub(op, SW_TFL_OPERATOR_OPTIONS);
    if (m->status == SW_OK && m->fb.status == SW_OK && read_ports(m, op, SW_TFL_OPERATOR_INPUTS, &n->in, &n->n_in) &&
        read_ports(m, op, SW_TFL_OPERATOR_OUTPUTS, &n->out, &n->n_out) && (n->n_out == 0 || !n->out[0]))
        sw__tfl_fail(m, SW_E_MODEL, "operator %d (%s) has no output", n->number, n->kind);
    return m->status != SW_OK ? m->status : m->fb.status;
}
