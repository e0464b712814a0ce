#include "import/pt/pt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/os.h"
#include "import/pt/net.h"

enum { SCRATCH_BYTES = 512 << 20 };

static const char *const export_hint =
    "export the model to ONNX where it was trained (torch.onnx.export; of Ultralytics: yolo export model=best.pt format=onnx)";

/* ---- What kind of file ---------------------------------------------------------------------------------------------- */

/* Files of torch.save before 1.6 are a bare pickle, which begins with a magic number of protocol 2. */
static bool is_legacy(const uint8_t *bytes, size_t size) {
    static const uint8_t magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return size >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

static bool is_pickle(const uint8_t *bytes, size_t size) {
    return size > 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
}

/* A tar file of 2017 has its mark at a fixed place. */
static bool is_tar(const uint8_t *bytes, size_t size) {
    return size > 262 && memcmp(bytes + 257, "ustar", 5) == 0;
}

bool sw_pt_sniff(const void *bytes, size_t size) {
    return sw_zip_sniff(bytes, size) || is_pickle(bytes, size) || is_tar(bytes, size);
}

static sw_status refuse_old(const uint8_t *bytes, size_t size, const char *label, const sw_diag *diag) {
    if (is_legacy(bytes, size) || is_tar(bytes, size))
        return sw_fail(diag, SW_E_UNSUPPORTED, label, "load it with torch and save it again with torch.save",
                       "the file has the format of PyTorch before 1.6");
    return sw_fail(diag, SW_E_UNSUPPORTED, label, export_hint,
                   "the file is a bare pickle, not a checkpoint of torch.save");
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

bool sw_pt_is_torchscript(const void *bytes, size_t size) {
    sw_arena *arena = sw_zip_sniff(bytes, size) ? sw_arena_create(NULL, 0) : NULL;
    sw_zip zip = {0};
    bool found = false;
    if (arena && sw_zip_read(bytes, size, NULL, arena, NULL, &zip) == SW_OK)
        for (size_t i = 0; i < zip.n && !found; i++) found = ends_with(zip.entries[i].name, "/constants.pkl");
    sw_arena_destroy(arena);
    return found;
}

/* Finds NAME/data.pkl; sets net->folder to "NAME/". */
static const sw_zip_entry *find_pickle(sw_net *net) {
    const sw_zip_entry *found = NULL;
    for (size_t i = 0; i < net->zip->n; i++) {
        const sw_zip_entry *entry = &net->zip->entries[i];
        if (ends_with(entry->name, "/constants.pkl"))
            return sw_net_fail(net, SW_E_UNSUPPORTED, export_hint,
                               "the file is a TorchScript archive, which holds code instead of modules");
        if (strcmp(entry->name, "data.pkl") != 0 && !ends_with(entry->name, "/data.pkl")) continue;
        if (found)
            return sw_net_fail(net, SW_E_MODEL, NULL, "the archive holds two pickles: '%.100s' and '%.100s'",
                               found->name, entry->name);
        found = entry;
    }
    if (!found)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL,
                           "the file is a zip archive, but no checkpoint of PyTorch: it has no data.pkl");
    if (!found->stored)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "'%.100s' is compressed, which torch.save never does",
                           found->name);
    if (!sw_zip_entry_intact(found))
        return sw_net_fail(net, SW_E_MODEL, "fetch the file again", "'%.100s' is damaged: its checksum is wrong",
                           found->name);
    net->folder = sw_arena_strndup(net->scratch, found->name, strlen(found->name) - strlen("data.pkl"));
    return net->folder ? found : sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

static const char *describe(const sw_pickle *p) {
    switch (p->type) {
    case SW_PICKLE_OBJECT:
        return p->text;
    case SW_PICKLE_DICT:
        return "a dictionary";
    case SW_PICKLE_LIST:
        return "a list";
    case SW_PICKLE_TUPLE:
        return "a tuple";
    default:
        return "a plain value";
    }
}

/* A dictionary of tensors, by its first entry. */
static bool is_state_dict(const sw_pickle *p) {
    return p->n_pairs >= 2 && p->pairs[0]->type == SW_PICKLE_STRING && p->pairs[1]->type == SW_PICKLE_OBJECT &&
           strncmp(p->pairs[1]->text, "torch._utils._rebuild_", 22) == 0;
}

/* The trained module: `ema` while training, else `model`; or the root itself when a module was saved alone. */
static const sw_pickle *find_model(sw_net *net, const sw_pickle *root) {
    const sw_pickle *model = sw_pickle_get(root, "ema");
    if (!model || model->type != SW_PICKLE_OBJECT) model = sw_pickle_get(root, "model");
    if ((!model || !sw_pickle_get(model, "_modules")) && sw_pickle_get(root, "_modules")) model = root;
    if (model && model->type == SW_PICKLE_OBJECT && sw_net_child(model, "model")) return model;
    const sw_pickle *weights = model ? model : sw_pickle_get(root, "state_dict");
    if (is_state_dict(root) || (weights && is_state_dict(weights)))
        return sw_net_fail(net, SW_E_UNSUPPORTED, export_hint,
                           "the file holds weights only (a state_dict), without the modules that they belong to");
    return sw_net_fail(net, SW_E_UNSUPPORTED, export_hint,
                       "the file holds %.100s, but no model of Ultralytics or YOLOv5",
                       describe(model && model->type == SW_PICKLE_OBJECT ? model : root));
}

/* ---- The layers of the root ---------------------------------------------------------------------------------------- */

/* The output of layer `from`: an index, or relative to layer i when negative. */
static sw_value *output_of(sw_net *net, int64_t from, size_t i, sw_value *images) {
    int64_t index = from < 0 ? (int64_t)i + from : from;
    if (index == -1 && from < 0) return images;
    if (index >= 0 && index < (int64_t)i && net->saved[index]) return net->saved[index];
    return sw_net_fail(net, SW_E_MODEL, NULL, "layer %zu reads the output of layer %" PRId64 ", which is not before it",
                       i, index);
}

/* Gathers the inputs of a layer by its `f`; returns their number, -1 on error. */
static int gather_inputs(sw_net *net, const sw_pickle *layer, size_t i, sw_value *images, sw_value **in, int max) {
    const sw_pickle *from = sw_pickle_get(layer, "f");
    static const sw_pickle before = {.type = SW_PICKLE_INT, .number = -1};
    if (!from) from = &before;
    bool many = from->type == SW_PICKLE_LIST || from->type == SW_PICKLE_TUPLE;
    size_t n = many ? from->n_items : 1;
    if (n < 1 || n > (size_t)max) return sw_net_fail(net, SW_E_MODEL, NULL, "layer %zu has %zu inputs", i, n), -1;
    for (size_t k = 0; k < n; k++) {
        const sw_pickle *item = many ? from->items[k] : from;
        if (item->type != SW_PICKLE_INT)
            return sw_net_fail(net, SW_E_MODEL, NULL, "layer %zu has an input that is no number", i), -1;
        in[k] = output_of(net, item->number, i, images);
        if (!in[k]) return -1;
    }
    return (int)n;
}

/* Part `wanted` of the output of a CBLinear, which is all of its parts side by side. */
static sw_value *take_part(sw_net *net, const sw_pickle *source, int64_t wanted, sw_value *x) {
    const sw_pickle *lengths = sw_pickle_get(source, "c2s");
    int64_t start = 0;
    bool is_list = lengths && (lengths->type == SW_PICKLE_LIST || lengths->type == SW_PICKLE_TUPLE);
    for (int64_t i = 0; is_list && i <= wanted && i < (int64_t)lengths->n_items && i < 64; i++) {
        int64_t length = lengths->items[i]->type == SW_PICKLE_INT ? lengths->items[i]->number : 0;
        if (length < 1 || length > 1 << 20) break;
        if (i == wanted) return sw_net_slice(net, x, 1, start, start + length, 1);
        start += length;
    }
    return sw_net_fail(net, SW_E_MODEL, NULL, "the block reads part %" PRId64 " of a layer that has no such part",
                       wanted);
}

/* v9's CBFuse: parts of earlier layers, scaled to the size of the last input, are added to it. */
static sw_value *fuse(sw_net *net, const sw_pickle *layer, int n, sw_value *const *in) {
    const sw_pickle *parts = sw_pickle_get(layer, "idx"), *from = sw_pickle_get(layer, "f");
    const sw_pickle *layers = sw_net_child(net->model, "model");
    sw_value *sum = in[n - 1], *size[4] = {NULL};
    if (!parts || (parts->type != SW_PICKLE_LIST && parts->type != SW_PICKLE_TUPLE) || parts->n_items < (size_t)n - 1)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the block does not say which parts it adds");
    for (int i = 0; i < n - 1; i++) {
        const sw_pickle *source = sw_net_item(layers, (size_t)from->items[i]->number);
        if (parts->items[i]->type != SW_PICKLE_INT || from->items[i]->number < 0)
            return sw_net_fail(net, SW_E_MODEL, NULL, "the block names a part that is no number");
        sw_value *part = take_part(net, source, parts->items[i]->number, in[i]);
        for (int k = 0; k < 4; k++) size[k] = sw_net_extent(net, k < 2 ? part : in[n - 1], k);
        sum = sw_net_add(net, sum, sw_net_resize_to(net, part, sw_net_concat(net, 0, 4, size)));
    }
    return sum;
}

/* A layer over several inputs. Single-input classes are all others. */
static sw_value *join(sw_net *net, const sw_pickle *layer, int n, sw_value *const *in) {
    if (strcmp(sw_net_class(layer), "Concat") == 0) return sw_net_concat(net, (int)sw_net_int(layer, "d", 1), n, in);
    if (strcmp(sw_net_class(layer), "CBFuse") == 0) return fuse(net, layer, n, in);
    return sw_net_fail(net, SW_E_UNSUPPORTED, export_hint, "the module of class '%.100s' with %d inputs is not known",
                       sw_net_class(layer), n);
}

static void build_layers(sw_net *net, sw_value *images) {
    const sw_pickle *layers = sw_net_child(net->model, "model");
    size_t n = sw_net_count(layers);
    if (n == 0 || n > SW_PT_MAX_LAYERS) {
        sw_net_fail(net, SW_E_MODEL, NULL, "the model has %zu layers", n);
        return;
    }
    for (size_t i = 0; i < n && sw_net_ok(net); i++) {
        const sw_pickle *layer = sw_net_item(layers, i);
        sw_value *in[32];
        int count = gather_inputs(net, layer, i, images, in, 32);
        if (count < 0) return;
        char name[32];
        snprintf(name, sizeof name, "model.%zu", i);
        if (i == n - 1) {
            snprintf(net->scope, sizeof net->scope, "%s", name);
            if (!sw__pt_head(net, layer, count, in))
                sw_net_fail(net, SW_E_UNSUPPORTED, export_hint, "the head is of the unknown class '%.100s'",
                            describe(layer));
            net->scope[0] = 0;
        } else if (count == 1 && strcmp(sw_net_class(layer), "Concat") != 0) {
            net->saved[i] = sw_net_module(net, layer, name, in[0]);
        } else {
            snprintf(net->scope, sizeof net->scope, "%s", name);
            net->saved[i] = join(net, layer, count, in);
            net->scope[0] = 0;
        }
    }
}

/* ---- Metadata ------------------------------------------------------------------------------------------------------ */

static void set_meta(sw_net *net, const char *key, const char *value) {
    if (sw_net_ok(net) && sw_graph_set_meta(net->graph, key, value) != SW_OK)
        sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
}

/* {0: 'person', ...} from a dict or a list of names. */
static void set_names(sw_net *net, const sw_pickle *names) {
    bool dict = names && names->type == SW_PICKLE_DICT, list = names && names->type == SW_PICKLE_LIST;
    if (!dict && !list) return;
    sw_buf buf = sw_buf_make(NULL, 16 << 20);
    size_t n = dict ? names->n_pairs / 2 : names->n_items;
    for (size_t i = 0; i < n; i++) {
        const sw_pickle *key = dict ? names->pairs[2 * i] : NULL,
                        *name = dict ? names->pairs[2 * i + 1] : names->items[i];
        if (name->type != SW_PICKLE_STRING || (key && key->type != SW_PICKLE_INT)) continue;
        sw_buf_printf(&buf, "%s%" PRId64 ": ", buf.size ? ", " : "{", key ? key->number : (int64_t)i);
        sw_buf_append_repr(&buf, name->text);
    }
    sw_buf_printf(&buf, "}");
    if (n && buf.status == SW_OK) set_meta(net, "names", sw_buf_text(&buf));
    sw_buf_free(&buf);
}

static void set_stride(sw_net *net) {
    sw_value *stride = sw_net_tensor(net, sw_pickle_get(net->model, "stride"), "stride");
    if (!stride || stride->type.dtype != SW_F32) return;
    float most = 0;
    for (int64_t i = 0; i < sw_tensor_count(&stride->type); i++) {
        float s = ((float *)stride->type.data)[i];
        if (s > most) most = s;
    }
    char text[32];
    snprintf(text, sizeof text, "%d", most > 0 && most < 65536 ? (int)most : 32);
    set_meta(net, "stride", text);
}

static void set_metadata(sw_net *net, const sw_pickle *root) {
    static const char *const copied[] = {"date", "version", "license", "docs"};
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        const sw_pickle *p = sw_pickle_get(root, copied[i]);
        if (p && p->type == SW_PICKLE_STRING) set_meta(net, copied[i], p->text);
    }
    static const char *const author = "Ultralytics";
    bool is_theirs = strncmp(net->model->text, "ultralytics.", 12) == 0;
    if (is_theirs) set_meta(net, "author", author);
    if (net->task) set_meta(net, "task", net->task);
    if (net->head) set_meta(net, "head", net->head);
    set_meta(net, "batch", "1");
    set_meta(net, "end2end", net->end2end ? "True" : "False");
    set_stride(net);
    set_names(net, sw_pickle_get(net->model, "names"));
    const sw_pickle *args = sw_pickle_get(root, "train_args");
    if (!args) args = sw_pickle_get(net->model, "args");
    int64_t size[2];
    if (!sw_net_ints(args, "imgsz", size, 2))
        size[0] = size[1] = strcmp(net->task ? net->task : "", "classify") == 0 ? 224 : 640;
    char text[64];
    snprintf(text, sizeof text, "[%" PRId64 ", %" PRId64 "]", size[0], size[1]);
    set_meta(net, "imgsz", text);
    snprintf(text, sizeof text, "%" PRId64, net->graph->inputs[0]->type.dims[1]);
    set_meta(net, "channels", text);
    if (!net->key_points[0]) return;
    snprintf(text, sizeof text, "[%" PRId64 ", %" PRId64 "]", net->key_points[0], net->key_points[1]);
    set_meta(net, "kpt_shape", text);
}

/* ---- Entry --------------------------------------------------------------------------------------------------------- */

static sw_value *add_images(sw_net *net) {
    sw_graph *graph = net->graph;
    const sw_pickle *yaml = sw_pickle_get(net->model, "yaml");
    int64_t channels = sw_net_int(yaml, "channels", sw_net_int(yaml, "ch", 3));
    int64_t dims[4] = {sw_graph_symbol(graph, "batch"), channels, sw_graph_symbol(graph, "height"),
                       sw_graph_symbol(graph, "width")};
    if (channels < 1 || channels > 4096)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the model takes %" PRId64 " channels", channels);
    sw_value *images = sw_graph_add_value(graph, "images", SW_F32, 4, dims);
    if (!images || sw_graph_set_inputs(graph, &images, 1) != SW_OK)
        return sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    return images;
}

static void read_checkpoint(sw_net *net) {
    const sw_zip_entry *entry = find_pickle(net);
    const sw_pickle *root = NULL;
    if (!entry) return;
    net->status = sw_pickle_read(entry->data, entry->size, net->label, net->scratch, net->diag, &root);
    if (!sw_net_ok(net)) return;
    net->model = find_model(net, root);
    sw_value *images = net->model ? add_images(net) : NULL;
    if (!images) return;
    build_layers(net, images);
    set_metadata(net, root);
    net->graph->name = "model";
    net->graph->format = "PyTorch checkpoint";
}

sw_status sw_pt_parse(const void *bytes, size_t size, const char *label, const sw_allocator *allocator,
                      const sw_diag *diag, sw_graph **graph) {
    *graph = NULL;
    if (!sw_zip_sniff(bytes, size)) return refuse_old(bytes, size, label, diag);
    sw_net *net = sw_calloc(allocator, 1, sizeof *net);
    if (!net) return sw_fail(diag, SW_E_NOMEM, label, NULL, "out of memory");
    sw_zip zip;
    *net = (sw_net){.diag = diag, .label = label, .zip = &zip, .folder = "", .status = SW_E_NOMEM};
    /* Records are a small multiple of the pickle's bytes, which are bounded. */
    net->scratch = sw_arena_create(allocator, SCRATCH_BYTES);
    net->room =
        (64u << 20) + (size < SIZE_MAX / 8 ? 4 * size : 0); /* half precision doubles, small integers grow eightfold */
    net->graph = sw_graph_create(allocator);
    if (net->scratch && net->graph)
        net->status = sw_zip_read(bytes, size, label, net->scratch, diag, &zip);
    else
        sw_fail(diag, SW_E_NOMEM, label, NULL, "out of memory");
    if (net->status == SW_OK) {
        net->intact = SW_ARENA_ARRAY(net->scratch, bool, zip.n ? zip.n : 1);
        if (!net->intact) sw_net_fail(net, SW_E_NOMEM, NULL, "out of memory");
    }
    if (net->status == SW_OK) read_checkpoint(net);
    sw_status status = net->status;
    if (status == SW_OK)
        *graph = net->graph;
    else
        sw_graph_destroy(net->graph);
    sw_arena_destroy(net->scratch);
    sw_free(allocator, net);
    return status;
}

sw_status sw_pt_load(const char *path, const sw_allocator *allocator, const sw_diag *diag, sw_graph **graph) {
    sw_map map;
    SW_TRY(sw_map_open(path, diag, &map));
    sw_status status = sw_pt_parse(map.data, map.size, path, allocator, diag, graph);
    sw_map_close(&map);
    return status;
}
