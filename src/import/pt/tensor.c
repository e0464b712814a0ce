/* Tensors of a checkpoint: records of torch._utils._rebuild_* over storages, which are members of the archive. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "import/pt/net.h"

typedef struct storage {
    const sw_zip_entry *entry;
    sw_dtype dtype;
} storage;

static sw_dtype storage_dtype(const char *name) {
    static const struct {
        const char *name;
        sw_dtype dtype;
    } kinds[] = {
        {"torch.HalfStorage", SW_F16},      {"torch.FloatStorage", SW_F32}, {"torch.DoubleStorage", SW_F64},
        {"torch.BFloat16Storage", SW_BF16}, {"torch.LongStorage", SW_I64},  {"torch.IntStorage", SW_I32},
        {"torch.ShortStorage", SW_I16},     {"torch.CharStorage", SW_I8},   {"torch.ByteStorage", SW_U8},
        {"torch.BoolStorage", SW_BOOL},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0) return kinds[i].dtype;
    return SW_DTYPE_NONE;
}

/* A persistent id ('storage', torch.HalfStorage, '0', 'cpu', elements). */
static bool find_storage(sw_net *net, const sw_pickle *reference, storage *s) {
    const sw_pickle *id = reference->type == SW_PICKLE_PERSISTENT ? reference->args : NULL;
    if (!id || id->type != SW_PICKLE_TUPLE || id->n_items != 5 || id->items[1]->type != SW_PICKLE_GLOBAL ||
        id->items[2]->type != SW_PICKLE_STRING || id->items[4]->type != SW_PICKLE_INT)
        return sw_net_fail(net, SW_E_MODEL, NULL, "a tensor has no storage");
    s->dtype = storage_dtype(id->items[1]->text);
    if (!s->dtype)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "a tensor has a storage of kind %.64s", id->items[1]->text);
    char name[SW_ZIP_MAX_NAME];
    snprintf(name, sizeof name, "%sdata/%.64s", net->folder, id->items[2]->text);
    s->entry = sw_zip_find(net->zip, name);
    if (!s->entry) return sw_net_fail(net, SW_E_MODEL, NULL, "the archive has no '%.128s'", name);
    if (!s->entry->stored)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "'%.128s' is compressed, which torch.save never does", name);
    int64_t elements = id->items[4]->number;
    if (elements < 0 || (uint64_t)elements > s->entry->size / sw_dtype_size(s->dtype))
        return sw_net_fail(net, SW_E_MODEL, NULL, "'%.128s' should hold %" PRId64 " elements, but has %zu bytes", name,
                           elements, s->entry->size);
    size_t index = (size_t)(s->entry - net->zip->entries);
    if (!net->intact[index]) net->intact[index] = sw_zip_entry_intact(s->entry);
    if (!net->intact[index])
        return sw_net_fail(net, SW_E_MODEL, NULL, "'%.128s' is damaged: its checksum is wrong", name);
    return true;
}

static bool read_extents(const sw_pickle *tuple, int64_t *v, int *n) {
    bool is_tuple = tuple->type == SW_PICKLE_TUPLE;
    if (tuple->type == SW_PICKLE_OBJECT && strcmp(tuple->text, "torch.Size") == 0 && tuple->args &&
        tuple->args->n_items == 1) {
        tuple = tuple->args->items[0];
        is_tuple = tuple->type == SW_PICKLE_TUPLE || tuple->type == SW_PICKLE_LIST;
    }
    if (!is_tuple || tuple->n_items > SW_MAX_RANK) return false;
    *n = (int)tuple->n_items;
    for (int i = 0; i < *n; i++) {
        if (tuple->items[i]->type != SW_PICKLE_INT || tuple->items[i]->number < 0) return false;
        v[i] = tuple->items[i]->number;
    }
    return true;
}

/* Offset, dims and strides of a view, all in elements; `last` is the furthest element it touches. */
typedef struct view {
    int rank, strides;
    int64_t offset, dims[SW_MAX_RANK], stride[SW_MAX_RANK];
} view;

static bool read_view(const sw_pickle *args, view *v) {
    if (args->n_items < 4 || args->items[1]->type != SW_PICKLE_INT || args->items[1]->number < 0) return false;
    v->offset = args->items[1]->number;
    return read_extents(args->items[2], v->dims, &v->rank) && read_extents(args->items[3], v->stride, &v->strides) &&
           v->rank == v->strides;
}

static bool view_fits(const view *v, uint64_t elements) {
    int64_t last = v->offset;
    for (int i = 0; i < v->rank; i++) {
        if (v->dims[i] == 0) return true;
        int64_t reach;
        if (__builtin_mul_overflow(v->dims[i] - 1, v->stride[i], &reach) || __builtin_add_overflow(last, reach, &last))
            return false;
    }
    return (uint64_t)last < elements;
}

/* Copies n elements that lie `step` elements apart to to[at ...]; floats become float32, integers int64. */
#define WIDEN(type, target, expression)                                                                                \
    do {                                                                                                               \
        target *out = (target *)to->data + at;                                                                         \
        for (int64_t i = 0; i < n; i++, from += step * (int64_t)sizeof(type)) {                                        \
            type v; /* storages may lie at any address */                                                              \
            memcpy(&v, from, sizeof v);                                                                                \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
    } while (0)
static void widen(const uint8_t *from, sw_dtype dtype, int64_t step, int64_t n, sw_tensor *to, int64_t at) {
    switch (dtype) {
    case SW_F16:
        WIDEN(uint16_t, float, sw_f16_to_f32(v));
        break;
    case SW_BF16:
        WIDEN(uint16_t, float, sw_bf16_to_f32(v));
        break;
    case SW_F32:
        WIDEN(float, float, v);
        break;
    case SW_F64:
        WIDEN(double, float, (float)v);
        break;
    case SW_I64:
        WIDEN(int64_t, int64_t, v);
        break;
    case SW_I32:
        WIDEN(int32_t, int64_t, v);
        break;
    case SW_I16:
        WIDEN(int16_t, int64_t, v);
        break;
    case SW_I8:
        WIDEN(int8_t, int64_t, v);
        break;
    default:
        WIDEN(uint8_t, int64_t, v);
        break;
    }
}
#undef WIDEN

/* Joins axes that lie one behind the other in the storage, so that most tensors are one run. */
static void merge_axes(view *v) {
    int rank = 0;
    for (int i = 0; i < v->rank; i++) {
        if (v->dims[i] == 1) continue;
        if (rank && v->stride[rank - 1] == v->dims[i] * v->stride[i]) {
            v->dims[rank - 1] *= v->dims[i];
            v->stride[rank - 1] = v->stride[i];
            continue;
        }
        v->dims[rank] = v->dims[i];
        v->stride[rank++] = v->stride[i];
    }
    v->rank = rank;
}

/* Copies a view that fits its storage, in row-major order of its dims. */
static void copy_view(view v, const storage *s, sw_tensor *to) {
    merge_axes(&v);
    int last = v.rank - 1;
    int64_t n = v.rank ? v.dims[last] : 1, step = v.rank ? v.stride[last] : 1;
    int64_t count = sw_tensor_count(to), index[SW_MAX_RANK] = {0}, at = v.offset;
    size_t size = sw_dtype_size(s->dtype);
    for (int64_t done = 0; done < count; done += n) {
        widen(s->entry->data + (size_t)at * size, s->dtype, step, n, to, done);
        for (int k = last - 1; k >= 0; k--) {
            at += v.stride[k];
            if (++index[k] < v.dims[k]) break;
            at -= index[k] * v.stride[k];
            index[k] = 0;
        }
    }
}

static sw_value *rebuild(sw_net *net, const sw_pickle *args, const char *name) {
    view v;
    storage s;
    if (!read_view(args, &v))
        return sw_net_fail(net, SW_E_MODEL, NULL, "tensor '%.96s' has a damaged description", name);
    if (!find_storage(net, args->items[0], &s)) return NULL;
    if (!view_fits(&v, s.entry->size / sw_dtype_size(s.dtype)))
        return sw_net_fail(net, SW_E_MODEL, NULL, "tensor '%.96s' reaches outside its storage", name);
    bool is_float = s.dtype == SW_F16 || s.dtype == SW_BF16 || s.dtype == SW_F32 || s.dtype == SW_F64;
    /* Strides of zero could make a large tensor of a small storage. */
    sw_tensor type = {.dtype = is_float ? SW_F32 : SW_I64, .rank = v.rank};
    memcpy(type.dims, v.dims, (size_t)v.rank * sizeof *v.dims);
    int64_t count = sw_tensor_count(&type);
    if (count < 0 || (uint64_t)count > s.entry->size)
        return sw_net_fail(net, SW_E_MODEL, NULL, "tensor '%.96s' is larger than its storage", name);
    /* Many records of one storage could fill the memory from a small file. */
    size_t bytes = (size_t)count * sw_dtype_size(type.dtype);
    if (bytes > net->room)
        return sw_net_fail(net, SW_E_LIMIT, NULL, "the tensors are many times larger than the file that holds them");
    net->room -= bytes;
    sw_value *value = sw_graph_new_const(net->graph, name, type.dtype, v.rank, v.dims);
    if (!value) return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    copy_view(v, &s, &value->type);
    return value;
}

sw_value *sw_net_tensor(sw_net *net, const sw_pickle *record, const char *name) {
    if (!sw_net_ok(net) || !record || record->type == SW_PICKLE_NONE) return NULL;
    for (int depth = 0; depth < 4; depth++) { /* Parameter around Tensor */
        if (record->type != SW_PICKLE_OBJECT || !record->args || record->args->n_items == 0) break;
        if (sw_pickle_is(record, "torch._utils._rebuild_tensor_v2") ||
            sw_pickle_is(record, "torch._utils._rebuild_tensor"))
            return rebuild(net, record->args, name);
        record = record->args->items[0];
    }
    return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "'%.96s' is no plain tensor", name);
}
