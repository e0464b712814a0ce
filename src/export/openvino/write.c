/* The .xml and .bin of IR version 11, and metadata.yaml, in a folder. */
#include <string.h>

#include "base/os.h"
#include "base/pyliteral.h"
#include "export/openvino/openvino.h"

static const struct {
    const char *element, *precision;
} types[SW_DTYPE_COUNT] = {
    [SW_F32] = {"f32", "FP32"},      [SW_F16] = {"f16", "FP16"}, [SW_BF16] = {"bf16", "BF16"},
    [SW_F64] = {"f64", "FP64"},      [SW_U8] = {"u8", "U8"},     [SW_I8] = {"i8", "I8"},
    [SW_U16] = {"u16", "U16"},       [SW_I16] = {"i16", "I16"},  [SW_U32] = {"u32", "U32"},
    [SW_I32] = {"i32", "I32"},       [SW_U64] = {"u64", "U64"},  [SW_I64] = {"i64", "I64"},
    [SW_BOOL] = {"boolean", "BOOL"},
};

/* ---- Text ---------------------------------------------------------------------------------------------------------- */

/* Inside a quoted attribute. */
static void put_escaped(sw_buf *buf, const char *text) {
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (strchr("&<>\"", c) || c < 0x20)
            sw_buf_printf(buf, "&#%d;", c < 0x20 && !strchr("\t\n\r", c) ? '?' : c);
        else
            sw_buf_append_byte(buf, c);
    }
}

static void put_port(sw_buf *buf, int id, const sw_tensor *t, const char *name) {
    sw_buf_printf(buf, "\t\t\t\t<port id=\"%d\"", id);
    if (t->dtype) sw_buf_printf(buf, " precision=\"%s\"", types[t->dtype].precision);
    if (name) {
        sw_buf_append_text(buf, " names=\"");
        for (const char *at = name; *at; at++) { /* a list: commas of names are escaped */
            if (*at == ',') sw_buf_append_byte(buf, '\\');
            put_escaped(buf, (char[]){*at, 0});
        }
        sw_buf_append_byte(buf, '"');
    }
    if (t->rank <= 0) {
        sw_buf_append_text(buf, " />\n");
        return;
    }
    sw_buf_append_text(buf, ">\n");
    for (int i = 0; i < t->rank; i++)
        sw_buf_printf(buf, "\t\t\t\t\t<dim>%lld</dim>\n", (long long)(t->dims[i] < 0 ? -1 : t->dims[i]));
    sw_buf_append_text(buf, "\t\t\t\t</port>\n");
}

/* "1,3,?,640". */
static void put_shape(sw_buf *buf, const sw_tensor *t) {
    if (t->rank == SW_RANK_UNKNOWN) sw_buf_append_text(buf, "...");
    for (int i = 0; i < t->rank; i++) {
        if (i) sw_buf_append_byte(buf, ',');
        if (t->dims[i] < 0)
            sw_buf_append_byte(buf, '?');
        else
            sw_buf_printf(buf, "%lld", (long long)t->dims[i]);
    }
}

/* ---- Layers -------------------------------------------------------------------------------------------------------- */

static void open_layer(sw_ov *ov, const char *name, const char *type, int opset) {
    sw_buf_printf(&ov->layers, "\t\t<layer id=\"%d\" name=\"", ov->n_layers);
    put_escaped(&ov->layers, name);
    sw_buf_printf(&ov->layers, "\" type=\"%s\" version=\"opset%d\">\n", type, opset);
}

static void put_inputs(sw_ov *ov, int n_in, const sw_ov_ref *in) {
    if (n_in) sw_buf_append_text(&ov->layers, "\t\t\t<input>\n");
    for (int i = 0; i < n_in; i++) {
        put_port(&ov->layers, i, &in[i].type, NULL);
        sw_buf_printf(&ov->edges, "\t\t<edge from-layer=\"%d\" from-port=\"%d\" to-layer=\"%d\" to-port=\"%d\" />\n",
                      in[i].layer, in[i].port, ov->n_layers, i);
    }
    if (n_in) sw_buf_append_text(&ov->layers, "\t\t\t</input>\n");
}

static void close_layer(sw_ov *ov, int n_in, int n_out, sw_ov_ref *out, const char *const *names) {
    if (n_out) sw_buf_append_text(&ov->layers, "\t\t\t<output>\n");
    for (int i = 0; i < n_out; i++) {
        out[i].layer = ov->n_layers;
        out[i].port = n_in + i;
        put_port(&ov->layers, out[i].port, &out[i].type, names ? names[i] : NULL);
    }
    if (n_out) sw_buf_append_text(&ov->layers, "\t\t\t</output>\n");
    sw_buf_append_text(&ov->layers, "\t\t</layer>\n");
    ov->n_layers++;
}

void sw__ov_layer(sw_ov *ov, const char *name, const char *type, int opset, const char *data, int n_in,
                  const sw_ov_ref *in, int n_out, sw_ov_ref *out) {
    open_layer(ov, name, type, opset);
    if (*data) sw_buf_printf(&ov->layers, "\t\t\t<data %s />\n", data);
    put_inputs(ov, n_in, in);
    const sw_value *value = n_out == 1 ? sw_graph_find_value(ov->graph, name) : NULL;
    bool named = value && sw_graph_is_output(ov->graph, value);
    close_layer(ov, n_in, n_out, out, named ? &value->name : NULL);
    if (named) out->name = value->name;
}

/* ---- Constants ----------------------------------------------------------------------------------------------------- */

enum { SMALL_BLOB = 4096, HALF_LEAST = 16 };

static bool same_bytes(const sw_ov_blob *blob, const sw_tensor *tensor, bool half) {
    int64_t bytes = sw_tensor_bytes(tensor);
    if (blob->half != half || blob->tensor->dtype != tensor->dtype || sw_tensor_bytes(blob->tensor) != bytes)
        return false;
    return blob->tensor->data == tensor->data ||
           (bytes <= SMALL_BLOB && !memcmp(blob->tensor->data, tensor->data, (size_t)bytes));
}

/* Where the data of a constant lie in the .bin file: equal ones share their place. */
static int64_t blob_offset(sw_ov *ov, const sw_tensor *tensor, bool half) {
    for (size_t i = 0; i < ov->n_blobs; i++)
        if (same_bytes(&ov->blobs[i], tensor, half)) return ov->blobs[i].offset;
    sw_status status = sw_grow(ov->graph->allocator, (void **)&ov->blobs, &ov->cap_blobs, ov->n_blobs + 1,
                               sizeof *ov->blobs, 1u << 24);
    sw_tensor *copy = sw_arena_copy(ov->graph->arena, tensor, sizeof *tensor);
    if (status != SW_OK || !copy) {
        ov->status = SW_E_NOMEM;
        return 0;
    }
    size_t size = half ? 2 : sw_dtype_size(tensor->dtype);
    ov->bin_bytes = (ov->bin_bytes + (int64_t)size - 1) / (int64_t)size * (int64_t)size;
    ov->blobs[ov->n_blobs++] = (sw_ov_blob){.tensor = copy, .offset = ov->bin_bytes, .half = half};
    int64_t offset = ov->bin_bytes;
    ov->bin_bytes += sw_tensor_count(tensor) * (int64_t)size;
    return offset;
}

/* Weights that float16 can hold; a few numbers are not worth it. */
static bool fits_half(const sw_tensor *t) {
    if (t->dtype != SW_F32 || sw_tensor_count(t) < HALF_LEAST) return false;
    for (int64_t i = 0, n = sw_tensor_count(t); i < n; i++) {
        float v = ((const float *)t->data)[i];
        if (v > 65504.0f || v < -65504.0f) return false;
    }
    return true;
}

static sw_ov_ref put_const(sw_ov *ov, const char *name, const sw_tensor *tensor, bool half) {
    sw_ov_ref out = {.type = *tensor};
    out.type.data = NULL;
    if (half) out.type.dtype = SW_F16;
    int64_t offset = blob_offset(ov, tensor, half);
    open_layer(ov, name, "Const", 1);
    sw_buf_printf(&ov->layers, "\t\t\t<data element_type=\"%s\" shape=\"", types[out.type.dtype].element);
    put_shape(&ov->layers, tensor);
    sw_buf_printf(&ov->layers, "\" offset=\"%lld\" size=\"%lld\" />\n", (long long)offset,
                  (long long)(sw_tensor_count(tensor) * (int64_t)sw_dtype_size(out.type.dtype)));
    close_layer(ov, 0, 1, &out, NULL);
    return out;
}

sw_ov_ref sw__ov_const(sw_ov *ov, const char *name, const sw_tensor *tensor) {
    if (!ov->half || !fits_half(tensor)) return put_const(ov, name, tensor, false);
    char *compressed = sw_arena_printf(ov->graph->arena, "%s_compressed", name);
    if (!compressed) ov->status = SW_E_NOMEM;
    sw_ov_ref in = put_const(ov, compressed ? compressed : name, tensor, true), out = {.type = *tensor};
    out.type.data = NULL;
    open_layer(ov, name, "Convert", 1);
    sw_buf_append_text(&ov->layers, "\t\t\t<data destination_type=\"f32\" />\n"
                                    "\t\t\t<rt_info>\n\t\t\t\t<attribute name=\"decompression\" version=\"0\" />\n"
                                    "\t\t\t</rt_info>\n");
    put_inputs(ov, 1, &in);
    close_layer(ov, 1, 1, &out, NULL);
    return out;
}

sw_ov_ref sw__ov_ints(sw_ov *ov, const char *name, const int64_t *v, int n) {
    sw_tensor t = {.dtype = SW_I64, .rank = n >= 0, .dims = {n}};
    size_t count = n >= 0 ? (size_t)n : 1;
    t.data = count ? sw_arena_copy(ov->graph->arena, v, count * sizeof *v) : sw_arena_alloc(ov->graph->arena, 1, 8);
    if (t.data) return put_const(ov, name, &t, false);
    ov->status = SW_E_NOMEM;
    return (sw_ov_ref){.type = t};
}

sw_ov_ref sw__ov_value(sw_ov *ov, const sw_value *value) {
    if (!value) return (sw_ov_ref){.layer = -1};
    sw_ov_ref *of = &ov->of[value->id];
    if (of->port < 0) *of = sw__ov_const(ov, value->name, &value->type);
    return *of;
}

/* ---- The whole ----------------------------------------------------------------------------------------------------- */

static void put_parameter(sw_ov *ov, const sw_value *value) {
    sw_ov_ref *out = &ov->of[value->id];
    *out = (sw_ov_ref){.type = value->type};
    open_layer(ov, value->name, "Parameter", 1);
    sw_buf_append_text(&ov->layers, "\t\t\t<data shape=\"");
    put_shape(&ov->layers, &value->type);
    sw_buf_printf(&ov->layers, "\" element_type=\"%s\" />\n", types[value->type.dtype].element);
    close_layer(ov, 0, 1, out, &value->name);
}

/* The place of a graph output, which has its name: where another layer made it, behind a conversion that changes nothing. */
static sw_ov_ref output_of(sw_ov *ov, const sw_value *value) {
    sw_ov_ref in = sw__ov_value(ov, value), out = {.type = value->type};
    if (in.name && !strcmp(in.name, value->name)) return in;
    open_layer(ov, value->name, "Convert", 1);
    sw_buf_printf(&ov->layers, "\t\t\t<data destination_type=\"%s\" />\n", types[value->type.dtype].element);
    put_inputs(ov, 1, &in);
    close_layer(ov, 1, 1, &out, &value->name);
    return out;
}

static sw_status put_results(sw_ov *ov) {
    for (int i = 0; i < ov->graph->n_outputs; i++) {
        const sw_value *value = ov->graph->outputs[i];
        char *name = sw_arena_printf(ov->graph->arena, "%s/sink_port_0", value->name);
        if (!name) return SW_E_NOMEM;
        sw_ov_ref in = output_of(ov, value);
        open_layer(ov, name, "Result", 1);
        put_inputs(ov, 1, &in);
        close_layer(ov, 1, 0, NULL, NULL);
    }
    return SW_OK;
}

static void put_info(sw_buf *buf, const char *key, const char *value) {
    sw_buf_printf(buf, "\t\t\t<%s value=\"", key);
    put_escaped(buf, value);
    sw_buf_append_text(buf, "\" />\n");
}

/* What OpenVINO's Model API reads, as Ultralytics writes it: class names without spaces. */
static void put_model_info(sw_ov *ov, sw_buf *buf) {
    const sw_graph *graph = ov->graph;
    const char *task = sw_graph_meta(graph, "task"), *names = sw_graph_meta(graph, "names");
    if (!task || !names) return;
    sw_py dict;
    sw_buf labels = sw_buf_make(graph->allocator, 0);
    if (sw_py_parse(graph->arena, names, &dict) == SW_OK && dict.type == SW_PY_DICT)
        for (size_t i = 0; i < dict.n; i++) {
            const sw_py *name = &dict.items[2 * i + 1];
            if (i) sw_buf_append_byte(&labels, ' ');
            for (const char *at = name->type == SW_PY_STRING ? name->s : "?"; *at; at++)
                sw_buf_append_byte(&labels, *at == ' ' ? '_' : (uint8_t)*at);
        }
    sw_buf_append_text(buf, "\t\t<model_info>\n");
    put_info(buf, "iou_threshold", "0.7");
    put_info(buf, "labels", sw_buf_text(&labels));
    put_info(buf, "model_type", "YOLO");
    put_info(buf, "pad_value", "114");
    if (strcmp(task, "classify") != 0) put_info(buf, "resize_type", "fit_to_window_letterbox");
    put_info(buf, "reverse_input_channels", "YES");
    put_info(buf, "scale_values", "255");
    sw_buf_append_text(buf, "\t\t</model_info>\n");
    if (labels.status != SW_OK) buf->status = labels.status;
    sw_buf_free(&labels);
}

static sw_status write_xml(sw_ov *ov, const char *path) {
    sw_buf xml = sw_buf_make(ov->graph->allocator, 0);
    sw_buf_append_text(&xml, "<?xml version=\"1.0\"?>\n<net name=\"");
    put_escaped(&xml, *ov->graph->name ? ov->graph->name : "model");
    sw_buf_append_text(&xml, "\" version=\"11\">\n\t<layers>\n");
    sw_buf_append(&xml, ov->layers.data, ov->layers.size);
    sw_buf_append_text(&xml, "\t</layers>\n\t<edges>\n");
    sw_buf_append(&xml, ov->edges.data, ov->edges.size);
    sw_buf_append_text(&xml, "\t</edges>\n\t<rt_info>\n");
    put_model_info(ov, &xml);
    sw_buf_append_text(&xml, "\t</rt_info>\n</net>\n");
    sw_status status = ov->layers.status != SW_OK ? ov->layers.status : ov->edges.status;
    if (status == SW_OK) status = xml.status;
    if (status == SW_OK) status = sw_file_write(path, xml.data, xml.size, ov->diag);
    sw_buf_free(&xml);
    return status;
}

static sw_status write_half(sw_outfile *file, const sw_tensor *t) {
    enum { PIECE = 8192 };
    uint16_t piece[PIECE];
    const float *from = t->data;
    for (int64_t at = 0, n = sw_tensor_count(t); at < n; at += PIECE) {
        int64_t some = n - at < PIECE ? n - at : PIECE;
        for (int64_t i = 0; i < some; i++) piece[i] = sw_f32_to_f16(from[at + i]);
        SW_TRY(sw_outfile_write(file, piece, (size_t)some * sizeof *piece));
    }
    return SW_OK;
}

static sw_status write_blobs(const sw_ov *ov, sw_outfile *file) {
    static const uint8_t zeros[8];
    int64_t at = 0;
    for (size_t i = 0; i < ov->n_blobs; i++) {
        const sw_ov_blob *blob = &ov->blobs[i];
        int64_t bytes = sw_tensor_count(blob->tensor) * (blob->half ? 2 : (int64_t)sw_dtype_size(blob->tensor->dtype));
        SW_TRY(sw_outfile_write(file, zeros, (size_t)(blob->offset - at)));
        if (blob->half)
            SW_TRY(write_half(file, blob->tensor));
        else
            SW_TRY(sw_outfile_write(file, blob->tensor->data, (size_t)bytes));
        at = blob->offset + bytes;
    }
    return SW_OK;
}

static sw_status write_bin(const sw_ov *ov, const char *path) {
    sw_outfile *file;
    SW_TRY(sw_outfile_open(path, ov->diag, &file));
    sw_status status = write_blobs(ov, file);
    if (status == SW_OK) return sw_outfile_commit(file);
    sw_outfile_abort(file);
    return status;
}

static sw_status write_metadata(const sw_graph *graph, const char *path, const sw_diag *diag) {
    if (!graph->n_meta) return SW_OK;
    sw_buf yaml = sw_buf_make(graph->allocator, 0);
    sw_export_meta_yaml(graph, &yaml);
    sw_status status = yaml.status == SW_OK ? sw_file_write(path, yaml.data, yaml.size, diag) : yaml.status;
    sw_buf_free(&yaml);
    return status;
}

static sw_status write_folder(sw_ov *ov, const char *folder, const char *stem) {
    sw_arena *arena = ov->graph->arena;
    const char *xml = sw_arena_printf(arena, "%s/%s.xml", folder, stem);
    const char *bin = sw_arena_printf(arena, "%s/%s.bin", folder, stem);
    const char *metadata = sw_arena_printf(arena, "%s/metadata.yaml", folder);
    if (!xml || !bin || !metadata) return SW_E_NOMEM;
    SW_TRY(sw_dir_make(folder, ov->diag));
    SW_TRY(write_bin(ov, bin));
    SW_TRY(write_metadata(ov->graph, metadata, ov->diag));
    return write_xml(ov, xml);
}

static sw_status map_all(sw_ov *ov) {
    sw_graph *graph = ov->graph;
    for (size_t i = 0; i < graph->n_values; i++) ov->of[i].port = -1;
    for (int i = 0; i < graph->n_inputs; i++) put_parameter(ov, graph->inputs[i]);
    for (const sw_node *node = graph->first; node; node = node->next) SW_TRY(sw__ov_map(ov, node));
    SW_TRY(put_results(ov));
    return ov->status;
}

sw_status sw_openvino_write(sw_graph *graph, const sw_export_options *options, const char *path, const sw_diag *diag) {
    SW_TRY(sw_export_coordinates(graph, false));
    SW_TRY(sw_export_add_nms(graph, options, diag));
    SW_TRY(sw_export_lower(graph, SW_EXPORT_NEWEST, diag));
    sw_buf empty = sw_buf_make(graph->allocator, 0);
    sw_ov ov = {.graph = graph, .diag = diag, .half = options->precision == SW_F16, .layers = empty, .edges = empty};
    ov.n_values = graph->n_values;
    ov.of = sw_calloc(graph->allocator, graph->n_values + 1, sizeof *ov.of);
    sw_status status = ov.of ? map_all(&ov) : SW_E_NOMEM;
    if (status == SW_OK) status = write_folder(&ov, path, options->stem);
    if (status == SW_E_NOMEM) sw_fail(diag, status, NULL, NULL, "out of memory");
    sw_buf_free(&ov.layers);
    sw_buf_free(&ov.edges);
    sw_free(graph->allocator, ov.of);
    sw_free(graph->allocator, ov.blobs);
    return status;
}
