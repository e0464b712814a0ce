/* Writing plan files. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/options.h"
#include "base/os.h"
#include "base/pb.h"
#include "base/zip.h"
#include "engine/inputs.h"
#include "engine/instance.h"
#include "engine/plan_fields.h"
#include "engine/plan_file.h"

/* A blob of the weights section. */
typedef struct blob {
    const void *data;
    size_t bytes;
    uint64_t offset;
} blob;

typedef struct blobs {
    blob *items;
    size_t n, cap;
    uint64_t bytes; /* so far */
    sw_status status;
} blobs;

typedef struct writer {
    sw_plan *plan;
    const sw_plan_save_options *options;
    const sw_diag *diag;
    sw_buf control, part, inner; /* the control part, a message, a message within */
    bool *packed;                /* by value: constants that lie in packs only; NULL: none */
    blobs *weights;              /* of all graphs */
} writer;

static void free_buffers(writer *w) {
    sw_buf_free(&w->control);
    sw_buf_free(&w->part);
    sw_buf_free(&w->inner);
}

static const int onnx_dtypes[SW_DTYPE_COUNT] = {
#define SW_DTYPE_NUMBER(name, bytes, text, onnx) [name] = onnx,
    SW_DTYPE_LIST(SW_DTYPE_NUMBER)
#undef SW_DTYPE_NUMBER
};

/* ---- Tactics and packs
 * ---------------------------------------------------------------------------------------------- */

/* Fixes the tactics that binding chooses, and so has their weights packed. */
static sw_status fix_tactics(sw_plan *plan, const sw_diag *diag) {
    sw_tensor *inputs = sw_calloc(plan->allocator, (size_t)plan->n_inputs + 1, sizeof *inputs);
    sw_instance *instance = NULL;
    sw_status status = inputs ? SW_OK : SW_E_NOMEM;
    if (status == SW_OK && sw_plan_usual_inputs(plan, inputs))
        status = sw_instance_create(plan, inputs, 1, NULL, false, diag, plan->allocator, &instance);
    for (size_t s = 0; status == SW_OK && instance && s < plan->n_steps; s++) {
        const sw_conv_tactic *tactic = instance->prepared[s].tactic;
        if (tactic && (!plan->steps[s].tactic || strcmp(plan->steps[s].tactic, tactic->name) != 0))
            status = sw_plan_set_tactic(plan, s, tactic->name);
    }
    sw_instance_destroy(instance);
    sw_free(plan->allocator, inputs);
    return status;
}

static bool all_fixed(const sw_plan *plan) {
    for (int i = 0; i < plan->n_inputs; i++)
        if (!sw_tensor_is_concrete(&sw_plan_input(plan, i)->type)) return false;
    return true;
}

/* The packed weights of a step's tactic; NULL: none. */
static const sw_pack *pack_of(const sw_plan *plan, size_t step) {
    const char *tactic = plan->steps[step].tactic;
    for (size_t i = 0; tactic && i < sw_packs_count(plan->packs); i++) {
        const sw_pack *pack = sw_packs_get(plan->packs, i);
        if (pack->step == (int32_t)step && !strcmp(pack->tactic->name, tactic)) return pack;
    }
    return NULL;
}

/* With fixed shapes a pinned tactic always holds: constants that only such steps read need not be there raw. */
static void find_packed(writer *w) {
    const sw_plan *plan = w->plan;
    if (!all_fixed(plan) || w->options->portable || w->options->strip) return;
    for (int pass = 0; pass < 2; pass++) { /* first what packs hold, then what others read as well */
        for (size_t s = 0; s < plan->n_steps; s++) {
            const sw_step *step = &plan->steps[s];
            bool pinned = pack_of(plan, s) != NULL;
            for (int k = 0; k < step->n_in; k++) {
                bool held = pinned && (k == 1 || k == 2);
                if (step->in[k] >= 0 && held == (pass == 0)) w->packed[step->in[k]] = pass == 0;
            }
        }
    }
    for (int i = 0; i < plan->n_outputs; i++) w->packed[plan->outputs[i]] = false;
}

static uint64_t add_blob(writer *w, const void *data, size_t bytes) {
    blobs *all = w->weights;
    uint64_t offset = all->bytes;
    sw_status status =
        sw_grow(w->plan->allocator, (void **)&all->items, &all->cap, all->n + 1, sizeof *all->items, SIZE_MAX);
    if (status != SW_OK) {
        all->status = status;
        return 0;
    }
    all->items[all->n++] = (blob){data, bytes, offset};
    all->bytes += (bytes + SW__PLAN_ALIGN - 1) / SW__PLAN_ALIGN * SW__PLAN_ALIGN;
    return offset;
}

/* ---- The control part
 * ----------------------------------------------------------------------------------------------- */

static void put_part(writer *w, uint32_t number) {
    if (w->part.status != SW_OK) w->control.status = w->part.status;
    sw_pb_put_bytes(&w->control, number, w->part.data, w->part.size);
    sw_buf_clear(&w->part);
}

static void put_value(writer *w, size_t v) {
    const sw_port *value = &w->plan->values[v];
    const sw_tensor *t = &value->type;
    sw_buf *b = &w->part;
    sw_pb_put_text(b, SW__VALUE_NAME, value->name);
    sw_pb_put_varint(b, SW__VALUE_DTYPE, (uint64_t)onnx_dtypes[t->dtype]);
    sw_pb_put_varint(b, SW__VALUE_RANK, (uint64_t)(t->rank + 1));
    for (int i = 0; i < t->rank; i++) sw_pb_put_varint(b, SW__VALUE_DIM, (uint64_t)t->dims[i]);
    if (t->layout != SW_ROW_MAJOR) sw_pb_put_varint(b, SW__VALUE_LAYOUT, t->layout);
    if (t->data && (w->options->strip || (w->packed && w->packed[v])))
        sw_pb_put_varint(b, SW__VALUE_MISSING, 1);
    else if (t->data)
        sw_pb_put_varint(b, SW__VALUE_DATA, 1 + add_blob(w, t->data, (size_t)sw_tensor_bytes(t)));
    const sw_view *view = &w->plan->views[v];
    if (view->root != (int32_t)v) {
        sw_pb_put_varint(b, SW__VALUE_ROOT, (uint64_t)view->root + 1);
        sw_pb_put_varint(b, SW__VALUE_CHANNEL, (uint64_t)view->channel);
    }
    put_part(w, SW__CONTROL_VALUE);
}

static void put_control(writer *w);

/* The graphs within keep their constants raw, and their tactics open. */
static void put_body(const writer *w, sw_buf *to, const sw_body *body) {
    writer inner = {.plan = body->code, .options = w->options, .diag = w->diag, .weights = w->weights};
    inner.control = inner.part = inner.inner = sw_buf_make(w->plan->allocator, SW__PLAN_MAX_CONTROL);
    put_control(&inner);
    sw_pb_put_varint(to, SW__ATTR_BODY_IN, (uint64_t)body->n_in);
    sw_pb_put_varint(to, SW__ATTR_BODY_CAPTURED, (uint64_t)body->n_captured);
    sw_pb_put_bytes(to, SW__ATTR_BODY, inner.control.data, inner.control.size);
    if (inner.control.status != SW_OK) to->status = inner.control.status;
    free_buffers(&inner);
}

static void put_attr(writer *w, const sw_attr_def *def, const sw_attr *a) {
    sw_buf *b = &w->inner;
    sw_buf_clear(b);
    sw_pb_put_text(b, SW__ATTR_NAME, def->name);
    switch (def->type) {
    case SW_ATTR_INT:
        sw_pb_put_varint(b, SW__ATTR_INT, (uint64_t)a->i);
        break;
    case SW_ATTR_FLOAT:
        sw_pb_put_float(b, SW__ATTR_FLOAT, a->f);
        break;
    case SW_ATTR_STRING:
        sw_pb_put_text(b, SW__ATTR_STRING, a->s);
        break;
    case SW_ATTR_INTS:
        for (int i = 0; i < a->ints.n; i++) sw_pb_put_varint(b, SW__ATTR_INTS, (uint64_t)a->ints.v[i]);
        break;
    case SW_ATTR_FLOATS:
        for (int i = 0; i < a->floats.n; i++) sw_pb_put_float(b, SW__ATTR_FLOATS, a->floats.v[i]);
        break;
    case SW_ATTR_TENSOR:
        sw_pb_put_varint(b, SW__ATTR_DTYPE, (uint64_t)onnx_dtypes[a->t->dtype]);
        for (int i = 0; i < a->t->rank; i++) sw_pb_put_varint(b, SW__ATTR_DIM, (uint64_t)a->t->dims[i]);
        sw_pb_put_bytes(b, SW__ATTR_DATA, a->t->data, (size_t)sw_tensor_bytes(a->t));
        break;
    case SW_ATTR_BODY:
        put_body(w, b, a->body);
    }
    if (b->status != SW_OK) w->control.status = b->status;
    sw_pb_put_bytes(&w->part, SW__STEP_ATTR, b->data, b->size);
}

static void put_step(writer *w, const sw_step *step) {
    const sw_op_info *info = sw_op_get(step->op);
    sw_buf *b = &w->part;
    if (info->domain[0]) sw_pb_put_text(b, SW__STEP_DOMAIN, info->domain);
    sw_pb_put_text(b, SW__STEP_OP, info->name);
    if (step->name[0]) sw_pb_put_text(b, SW__STEP_NAME, step->name);
    if (step->tactic && !w->options->portable) sw_pb_put_text(b, SW__STEP_TACTIC, step->tactic);
    for (int i = 0; i < step->n_in; i++) sw_pb_put_varint(b, SW__STEP_IN, (uint64_t)(step->in[i] + 1));
    for (int i = 0; i < step->n_out; i++) sw_pb_put_varint(b, SW__STEP_OUT, (uint64_t)(step->out[i] + 1));
    for (int i = 0; i < info->n_attrs; i++)
        if (step->attrs[i].set) put_attr(w, &info->attrs[i], &step->attrs[i]);
    put_part(w, SW__CONTROL_STEP);
}

static void put_pairs(writer *w, uint32_t number, const char *const *pairs, size_t n) {
    for (size_t i = 0; i < n; i += 2) {
        sw_pb_put_text(&w->part, SW__PAIR_KEY, pairs[i]);
        sw_pb_put_text(&w->part, SW__PAIR_VALUE, pairs[i + 1]);
        put_part(w, number);
    }
}

static void put_packs(writer *w) {
    for (size_t step = 0; step < w->plan->n_steps; step++) {
        const sw_pack *pack = pack_of(w->plan, step);
        if (!pack) continue;
        sw_pb_put_varint(&w->part, SW__PACK_STEP, step);
        sw_pb_put_text(&w->part, SW__PACK_TACTIC, pack->tactic->name);
        sw_pb_put_varint(&w->part, SW__PACK_OFFSET, add_blob(w, pack->data, pack->bytes));
        sw_pb_put_varint(&w->part, SW__PACK_BYTES, pack->bytes);
        put_part(w, SW__CONTROL_PACK);
    }
}

static void put_times(writer *w) {
    for (size_t i = 0; i < w->plan->n_times; i++) {
        const sw_tactic_time *t = &w->plan->times[i];
        sw_pb_put_varint(&w->part, SW__TIME_STEP, (uint64_t)t->step);
        sw_pb_put_text(&w->part, SW__TIME_TACTIC, t->tactic);
        sw_pb_put_varint(&w->part, SW__TIME_NS, (uint64_t)t->ns);
        if (t->reason) sw_pb_put_text(&w->part, SW__TIME_REASON, t->reason);
        put_part(w, SW__CONTROL_TIME);
    }
}

static void put_gpu(writer *w) {
    const sw_plan *plan = w->plan;
    if (plan->gpu_type) sw_pb_put_varint(&w->control, SW__CONTROL_GPU_TYPE, (uint64_t)onnx_dtypes[plan->gpu_type]);
    if (!plan->gpu) return;
    sw_pb_put_text(&w->part, SW__GPU_NAME, plan->gpu);
    sw_pb_put_varint(&w->part, SW__GPU_SM, (uint64_t)plan->gpu_sm);
    if (plan->any_of_sm) sw_pb_put_varint(&w->part, SW__GPU_ANY, 1);
    put_part(w, SW__CONTROL_GPU);
    put_pairs(w, SW__CONTROL_GPU_TILE, plan->gpu_tiles, plan->n_gpu_tiles);
    for (size_t i = 0; i < plan->n_gpu_codes && !w->options->strip; i++) {
        const sw_cuda_code *code = &plan->gpu_codes[i];
        sw_pb_put_text(&w->part, SW__CODE_KERNEL, code->kernel);
        sw_pb_put_varint(&w->part, SW__CODE_TEXT, code->text);
        sw_pb_put_varint(&w->part, SW__CODE_OFFSET, add_blob(w, code->data, code->bytes));
        sw_pb_put_varint(&w->part, SW__CODE_BYTES, code->bytes);
        sw_pb_put_varint(&w->part, SW__CODE_CRC, sw_crc32(code->data, code->bytes));
        put_part(w, SW__CONTROL_GPU_CODE);
    }
}

/* What the machine must have: the instruction sets of the tactics and those of channels-last maps. There is plain C for
 * these, too, but row-major maps run faster in it: only a portable plan has to do with it. */
static uint32_t needed_features(const writer *w) {
    uint32_t features = 0;
    if (w->options->portable) return 0;
    for (size_t v = 0; v < w->plan->n_values; v++)
        if (w->plan->values[v].type.layout == SW_CHANNELS_LAST) features |= sw_cpu_features() & SW_CPU_VECTORS;
    for (size_t s = 0; s < w->plan->n_steps; s++) {
        const sw_conv_tactic *tactic = w->plan->steps[s].tactic ? sw_conv_find(w->plan->steps[s].tactic) : NULL;
        if (tactic) features |= tactic->features;
    }
    return features;
}

static void put_control(writer *w) {
    const sw_plan *plan = w->plan;
    char features[256] = "";
    uint32_t needed = needed_features(w);
    if (needed) sw_cpu_text(needed, features, sizeof features);
    uint64_t flags = (w->options->strip ? SW__FLAG_STRIPPED : 0) | (w->options->portable ? SW__FLAG_PORTABLE : 0) |
                     (plan->gpu_tf32 ? SW__FLAG_TF32 : 0) | (plan->whole_maps ? SW__FLAG_WHOLE_MAPS : 0);
    if (flags) sw_pb_put_varint(&w->control, SW__CONTROL_FLAGS, flags);
    sw_pb_put_text(&w->control, SW__CONTROL_FEATURES, features);
    for (size_t v = 0; v < plan->n_values; v++) put_value(w, v);
    for (size_t s = 0; s < plan->n_steps; s++) put_step(w, &plan->steps[s]);
    for (int i = 0; i < plan->n_inputs; i++)
        sw_pb_put_varint(&w->control, SW__CONTROL_INPUT, (uint64_t)plan->inputs[i]);
    for (int i = 0; i < plan->n_outputs; i++)
        sw_pb_put_varint(&w->control, SW__CONTROL_OUTPUT, (uint64_t)plan->outputs[i]);
    put_pairs(w, SW__CONTROL_META, plan->meta, plan->n_meta);
    put_pairs(w, SW__CONTROL_RECEIPT, plan->receipt, plan->n_receipt);
    if (!w->options->strip && !w->options->portable) put_packs(w);
    int extents = plan->n_profiles * plan->n_inputs * SW_MAX_RANK;
    for (int i = 0; i < extents; i++) {
        const int64_t values[] = {plan->profiles[i].min, plan->profiles[i].opt, plan->profiles[i].max};
        for (int k = 0; k < 3; k++) sw_pb_put_varint(&w->control, SW__CONTROL_EXTENT, (uint64_t)values[k]);
    }
    put_times(w);
    put_gpu(w);
}

/* ---- The file
 * ------------------------------------------------------------------------------------------------------- */

static void put_number(uint8_t *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static sw_status write_zeros(sw_outfile *file, uint64_t count) {
    static const uint8_t zeros[SW__PLAN_PAGE];
    return count ? sw_outfile_write(file, zeros, (size_t)count) : SW_OK; /* below a page */
}

static sw_status write_all(const writer *w, sw_outfile *file) {
    uint8_t header[SW__PLAN_HEADER_BYTES] = {0};
    uint64_t end = SW__PLAN_HEADER_BYTES + w->control.size;
    uint64_t weights = (end + SW__PLAN_PAGE - 1) / SW__PLAN_PAGE * SW__PLAN_PAGE;
    memcpy(header, SW__PLAN_MAGIC, SW__PLAN_MAGIC_BYTES);
    put_number(header + 8, SW_PLAN_FORMAT, 4);
    put_number(header + 12, sw_crc32(w->control.data, w->control.size), 4);
    put_number(header + 16, weights + w->weights->bytes, 8);
    put_number(header + 24, w->control.size, 8);
    put_number(header + 32, weights, 8);
    put_number(header + 40, w->weights->bytes, 8);
    SW_TRY(sw_outfile_write(file, header, sizeof header));
    SW_TRY(sw_outfile_write(file, w->control.data, w->control.size));
    SW_TRY(write_zeros(file, weights - end));
    const blobs *all = w->weights;
    for (size_t i = 0; i < all->n; i++) {
        uint64_t next = i + 1 < all->n ? all->items[i + 1].offset : all->bytes;
        SW_TRY(sw_outfile_write(file, all->items[i].data, all->items[i].bytes));
        SW_TRY(write_zeros(file, next - all->items[i].offset - all->items[i].bytes));
    }
    return SW_OK;
}

static sw_status save(writer *w, const char *path) {
    find_packed(w);
    put_control(w);
    if (w->control.status == SW_E_LIMIT)
        return sw_fail(w->diag, SW_E_LIMIT, path, NULL, "the plan has more than %d MiB beside its weights",
                       SW__PLAN_MAX_CONTROL >> 20);
    SW_TRY(w->control.status);
    SW_TRY(w->weights->status);
    sw_outfile *file;
    SW_TRY(sw_outfile_open(path, w->diag, &file));
    sw_status status = write_all(w, file);
    if (status == SW_OK) return sw_outfile_commit(file);
    sw_outfile_abort(file);
    return status;
}

/* CRC-32 of the model's file as eight hexadecimal digits, where it is still there; its size beside it tells apart what the CRC
 * does not. */
static sw_status sign_source(sw_plan *plan) {
    sw_map map;
    char text[64];
    if (!plan->source || sw_plan_receipt(plan, "model crc32") || sw_path_kind_of(plan->source) == SW_PATH_FOLDER)
        return SW_OK;
    if (sw_map_open(plan->source, NULL, &map) != SW_OK) return SW_OK;
    snprintf(text, sizeof text, "%08" PRIx32 ", %zu bytes", sw_crc32(map.data, map.size), map.size);
    sw_map_close(&map);
    return sw_plan_add_receipt(plan, "model crc32", text);
}

sw_status sw_plan_save(sw_plan *plan, const char *path, const sw_plan_save_options *options, const sw_diag *diag) {
    const sw_allocator *a = plan->allocator;
    const sw_plan_save_options defaults = {0};
    SW_TRY(SW_OPTIONS_CHECK(options, diag));
    if (!options) options = &defaults;
    if (plan->loaded || plan->reference)
        return sw_fail(diag, SW_E_USAGE, path, "build it from the model again", "this plan cannot be saved");
    SW_TRY(sign_source(plan));
    if (!options->portable && !options->strip) SW_TRY(fix_tactics(plan, diag));
    blobs weights = {0};
    writer w = {.plan = plan, .options = options, .diag = diag, .weights = &weights};
    w.control = w.part = w.inner = sw_buf_make(a, SW__PLAN_MAX_CONTROL);
    w.packed = sw_calloc(a, plan->n_values + 1, sizeof *w.packed);
    sw_status status = w.packed ? save(&w, path) : SW_E_NOMEM;
    free_buffers(&w);
    sw_free(a, w.packed);
    sw_free(a, weights.items);
    if (status == SW_E_NOMEM) sw_fail(diag, status, path, NULL, "out of memory while writing the plan");
    return status;
}
