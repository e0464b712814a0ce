/* The files of a model: which one it is, and who takes it; labels; samples to warm up with. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "serve/internal.h"
#include "serve/steps.h"

enum { MAX_LABELS_BYTES = 16 << 20, MAX_LABELS = 1 << 20 };

/* -- Who takes it ---------------------------------------------------------------------------------------------------- */

static const char *const plan_names[] = {"slipway",          "onnxruntime",  "pytorch",  "openvino",
                                         "tensorrt",         "slipway_plan", "openvino", "onnxruntime_onnx",
                                         "pytorch_libtorch", "tensorrt_plan"};
static const char *const usual_files[] = {"model.slip",   "model.onnx", "model.pt",     "model.xml",
                                          "model.tflite", "model.plan", "model.engine", "model.pt2"};
static const sw_serve_backend *const built_in[] = {&sw_serve_identity_backend};

static const sw_serve_backend *find_backend(const sw_serve *core, const char *name) {
    for (int i = 0; i < core->options.n_backends; i++)
        if (strcmp(core->options.backends[i]->name, name) == 0) return core->options.backends[i];
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (strcmp(built_in[i]->name, name) == 0) return built_in[i];
    if (sw__step_named(name)) return sw__step_named(name);
    for (size_t i = 0; i < sizeof plan_names / sizeof *plan_names; i++)
        if (strcmp(plan_names[i], name) == 0) return &sw_serve_plan_backend;
    return NULL;
}

bool sw__is_model_name(const char *name) {
    static const char *const ends[] = {".onnx", ".slip", ".pt", ".xml", ".tflite", ".plan", ".engine"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sw_str_ends_like(name, ends[i])) return true;
    return false;
}

/* The model file of a version: the usual names first, then the only file that looks like one. */
static sw_serve_code find_file(const sw__model_source *source, const char *file, sw_arena *arena, const char **path,
                               sw_serve_error *error) {
    const char *folder = source->version_folder;
    if (*file) {
        if (strchr(file, '/') || strcmp(file, "..") == 0)
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "model '%s': default_model_filename \"%.100s\" must be a name, not a path",
                                 source->name, file);
        if (!(*path = sw_arena_printf(arena, "%s/%s", folder, file))) return sw__serve_no_memory(error);
        if (sw_path_kind_of(*path) != SW_PATH_NONE) return SW_SERVE_OK;
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "model '%s': there is no file %s", source->name, *path);
    }
    for (size_t i = 0; i < sizeof usual_files / sizeof *usual_files; i++) {
        if (!(*path = sw_arena_printf(arena, "%s/%s", folder, usual_files[i]))) return sw__serve_no_memory(error);
        if (sw_path_kind_of(*path) != SW_PATH_NONE) return SW_SERVE_OK;
    }
    sw_names names;
    const char *only = NULL;
    int n = 0;
    if (sw_dir_list(folder, arena, NULL, &names) == SW_OK)
        for (size_t i = 0; i < names.n; i++)
            if (sw__is_model_name(names.names[i])) {
                only = names.names[i];
                n++;
            }
    if (n == 1)
        return (*path = sw_arena_printf(arena, "%s/%s", folder, only)) ? SW_SERVE_OK : sw__serve_no_memory(error);
    return sw_serve_fail(
        error, SW_SERVE_INVALID_ARG,
        n ? "model '%s': there are several model files in %s; name one with default_model_filename"
          : "model '%s': there is no model file in %s; put model.onnx there (or .pt, .slip, .xml, .tflite)",
        source->name, folder);
}

/* TensorRT's engines cannot be read by anybody else. */
static sw_serve_code refuse_engine(const char *name, const char *path, sw_serve_error *error) {
    sw_map map;
    if (sw_path_kind_of(path) != SW_PATH_FILE || sw_map_open(path, NULL, &map) != SW_OK) return SW_SERVE_OK;
    bool engine = map.size > 4 && (memcmp(map.data, "ftrt", 4) == 0 || memcmp(map.data, "ptrt", 4) == 0);
    sw_map_close(&map);
    if (!engine) return SW_SERVE_OK;
    return sw_serve_fail(
        error, SW_SERVE_UNSUPPORTED,
        "model '%s': %s is a TensorRT engine, which runs only in the TensorRT and on the GPU that it was built "
        "for; put the .onnx or .pt that it was made of there",
        name, path);
}

sw_serve_code sw__serve_choose_backend(sw_serve *core, const sw__model_source *source, const sw__message *config,
                                       sw_arena *arena, const sw_serve_backend **chosen, const char **path,
                                       sw_serve_error *error) {
    const char *backend = sw__message_text(config, "backend"), *platform = sw__message_text(config, "platform");
    const char *name = *backend ? backend : *platform ? platform : "slipway";
    *chosen = find_backend(core, name);
    if (!*chosen)
        return sw_serve_fail(
            error, SW_SERVE_UNSUPPORTED,
            "model '%s': there is no %s '%.100s'; models are ONNX, PyTorch checkpoints, OpenVINO IR, TensorFlow "
            "Lite and plans: leave %s out, and what the file is will be seen",
            source->name, *backend ? "backend" : "platform", name, *backend ? "backend" : "platform");
    *path = NULL;
    if ((*chosen)->fileless) return SW_SERVE_OK;
    sw_serve_code code = SW_SERVE_OK;
    if (source->path)
        *path = sw_arena_strdup(arena, source->path);
    else
        code = find_file(source, sw__message_text(config, "default_model_filename"), arena, path, error);
    if (code == SW_SERVE_OK && !*path) return sw__serve_no_memory(error);
    return code == SW_SERVE_OK ? refuse_engine(source->name, *path, error) : code;
}

/* -- Labels ---------------------------------------------------------------------------------------------------------- */

/* One label a line. */
static sw_serve_code split_labels(sw_serve_model *model, int output, char *text, sw_serve_error *error) {
    int64_t n = 0, cap = 1;
    for (const char *at = text; *at; at++) cap += *at == '\n';
    const char **labels = cap <= MAX_LABELS ? SW_ARENA_ARRAY(model->arena, const char *, cap) : NULL;
    if (!labels) return sw__serve_no_memory(error);
    for (char *line = text; *line;) {
        char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;
        if (end > line && end[-1] == '\r') end--;
        *end = 0;
        labels[n++] = line;
        line = next;
    }
    model->labels[output] = labels;
    model->n_labels[output] = n;
    return SW_SERVE_OK;
}

sw_serve_code sw__serve_read_labels(sw_serve_model *model, const char *folder, sw_serve_error *error) {
    int n = model->info.n_outputs;
    model->labels = SW_ARENA_ARRAY(model->arena, const char *const *, n + 1);
    model->n_labels = SW_ARENA_ARRAY(model->arena, int64_t, n + 1);
    if (!model->labels || !model->n_labels) return sw__serve_no_memory(error);
    for (int i = 0; i < n; i++) {
        const char *name = model->config.outputs[i].label_filename;
        if (!*name) continue;
        if (!folder || strstr(name, "..") || *name == '/')
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "model '%s': label_filename \"%.100s\" must lie in the model's folder",
                                 model->info.name, name);
        const char *path = sw_arena_printf(model->arena, "%s/%s", folder, name);
        if (!path) return sw__serve_no_memory(error);
        sw_buf text = sw_buf_make(NULL, MAX_LABELS_BYTES);
        sw__sink sink = {error, NULL};
        sw_diag diag = sw__serve_sink(&sink);
        sw_status status = sw_file_read(path, &diag, &text);
        char *copy = status == SW_OK ? sw_arena_strndup(model->arena, sw_buf_text(&text), text.size) : NULL;
        sw_buf_free(&text);
        if (status != SW_OK) return error->code = SW_SERVE_INVALID_ARG;
        if (!copy) return sw__serve_no_memory(error);
        sw_serve_code code = split_labels(model, i, copy, error);
        if (code != SW_SERVE_OK) return code;
    }
    return SW_SERVE_OK;
}

/* -- Warm-up --------------------------------------------------------------------------------------------------------- */

static void fill_random(const sw_serve_tensor *t, void *data) {
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < t->bytes / (t->dtype == SW_F32 ? 4 : 1); i++) {
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        if (t->dtype == SW_F32)
            ((float *)data)[i] = (float)(state >> 40) * 0x1p-24f;
        else if (t->dtype == SW_U8)
            ((uint8_t *)data)[i] = (uint8_t)(state >> 32);
    }
}

static sw_serve_code make_sample(sw_serve_model *model, const char *folder, const sw__warmup *warmup, int i,
                                 sw_arena *arena, sw_serve_tensor *t, sw_serve_error *error) {
    const sw__warmup_input *input = &warmup->inputs[i];
    int batched = model->config.max_batch > 0;
    *t = (sw_serve_tensor){
        .name = input->name, .dtype = input->dtype, .rank = input->rank + batched, .dims = {warmup->batch}};
    memcpy(t->dims + batched, input->dims, (size_t)input->rank * sizeof *t->dims);
    int64_t count = sw__serve_count(t->rank, t->dims), bytes;
    size_t size = input->dtype == SW_SERVE_BYTES ? sizeof(uint32_t) : sw_serve_dtype_size(input->dtype);
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)size, &bytes))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "model '%s': warm-up sample '%s' is too large",
                             model->info.name, warmup->name);
    t->bytes = (size_t)bytes;
    if (*input->file) {
        if (!folder || strstr(input->file, "..") || *input->file == '/')
            return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                                 "model '%s': warm-up file \"%.100s\" must lie in the model's folder "
                                 "warmup/",
                                 model->info.name, input->file);
        const char *path = sw_arena_printf(arena, "%s/warmup/%s", folder, input->file);
        sw_map map;
        sw__sink sink = {error, NULL};
        sw_diag diag = sw__serve_sink(&sink);
        if (!path) return sw__serve_no_memory(error);
        if (sw_map_open(path, &diag, &map) != SW_OK) return error->code = SW_SERVE_INVALID_ARG;
        t->bytes = map.size;
        t->data = sw_arena_copy(arena, map.data, map.size);
        sw_map_close(&map);
        return t->data ? SW_SERVE_OK : sw__serve_no_memory(error);
    }
    void *data = sw_arena_alloc(arena, t->bytes + 1, 1);
    if (data && input->random) fill_random(t, data);
    t->data = data;
    return data ? SW_SERVE_OK : sw__serve_no_memory(error);
}

static sw_serve_code run_sample(sw_serve_model *model, const char *folder, const sw__warmup *warmup, sw_arena *arena,
                                sw_serve_error *error) {
    sw_serve_tensor *inputs = SW_ARENA_ARRAY(arena, sw_serve_tensor, warmup->n_inputs + 1);
    if (!inputs) return sw__serve_no_memory(error);
    sw_serve_code code = SW_SERVE_OK;
    for (int i = 0; code == SW_SERVE_OK && i < warmup->n_inputs; i++)
        code = make_sample(model, folder, warmup, i, arena, &inputs[i], error);
    sw_serve_request request = {.model = model, .id = warmup->name, .n_inputs = warmup->n_inputs, .inputs = inputs};
    sw_serve_request *batch = &request;
    sw__held *held = sw__serve_hold(&request, model->info.n_inputs);
    if (!held) code = sw__serve_no_memory(error);
    if (code == SW_SERVE_OK) code = sw__serve_check(&request, held, error);
    for (int i = 0; code == SW_SERVE_OK && i < model->n_instances; i++) {
        sw_info(&model->core->diag, model->info.name, "is running warmup sample '%s'", warmup->name);
        sw_serve_times times;
        for (int64_t k = 0; code == SW_SERVE_OK && k < (warmup->count ? warmup->count : 1); k++)
            code = sw__serve_compute(model, &model->instances[i], &batch, 1, true, &times, error);
    }
    sw_serve_request_free(&request);
    return code;
}

sw_serve_code sw__serve_warm_up(sw_serve_model *model, const char *folder, sw_serve_error *error) {
    for (int i = 0; i < model->config.n_warmups; i++) {
        sw_arena *arena = sw_arena_create(NULL, 0);
        if (!arena) return sw__serve_no_memory(error);
        sw_serve_error why;
        sw_serve_code code = run_sample(model, folder, &model->config.warmups[i], arena, &why);
        sw_arena_destroy(arena);
        if (code != SW_SERVE_OK)
            return sw_serve_fail(error, code, "failed to run warmup sample '%.100s': %.350s",
                                 model->config.warmups[i].name, why.text);
    }
    return SW_SERVE_OK;
}
