#include "build/tune_gpu.h"

#include <stdio.h>
#include <string.h>

#include "build/timing_cache.h"
#include "engine/gpu.h"
#include "engine/inputs.h"

enum { DEVICE_TEXT = 192, WHY_TEXT = 256 };
static const double LIBRARY_GAIN = 1; /* percent */

typedef struct tuner {
    sw_plan *plan;
    const sw_tuning *o; /* NULL: nothing is timed */
    const sw_diag *diag;
    sw_arena *arena;
    sw_timings *timings;
    const char *path; /* of the timing cache; NULL: none */
    char device[DEVICE_TEXT];
    bool with_code;
    /* while choosing: the convolution at hand, and its best tile */
    const char *conv, *best;
    int64_t least;
    sw_status status;
} tuner;

/* ---- The cache ----------------------------------------------------------------------------------------------------- */

static sw_status open_cache(tuner *t) {
    t->timings = sw_timings_create(NULL, sw_cpu_kernels_version());
    if (!t->timings) return SW_E_NOMEM;
    t->path = t->o ? t->o->timing_cache : NULL;
    if (!t->path) SW_TRY(sw_timings_default_path(t->arena, sw_cpu_kernels_version(), &t->path));
    if (t->path && !t->path[0]) t->path = NULL;
    return t->path ? sw_timings_load(t->timings, t->path, t->diag) : SW_OK;
}

static bool find_time(void *ctx, const char *conv, const char *tile, int64_t ns[2]) {
    tuner *t = ctx;
    sw_timing timing;
    if (!sw_timings_find(t->timings, t->device, conv, tile, &timing)) return false;
    memcpy(ns, timing.ns, sizeof timing.ns);
    return true;
}

/* A cache that is full only means that times are not kept. */
static sw_status add_time(void *ctx, const char *conv, const char *tile, const int64_t ns[2]) {
    tuner *t = ctx;
    sw_status status = sw_timings_add(t->timings, t->device, conv, tile, (sw_timing){{ns[0], ns[1]}});
    return status == SW_E_LIMIT ? t->status : status == SW_OK ? t->status : status;
}

static void tell_progress(void *ctx, int done, int total) {
    const tuner *t = ctx;
    if (t->o->progress) t->o->progress(t->o->progress_ctx, done, total);
}

/* ---- Measuring ----------------------------------------------------------------------------------------------------- */

static sw_status keep_tiles(tuner *t, const sw_gpu *gpu) {
    char key[SW_GPU_PAIR_KEY];
    const char *tile;
    for (size_t i = 0; (tile = sw_gpu_tuned_tile(gpu, i, key)); i++) {
        const char *conv = sw_arena_strdup(t->arena, key);
        if (!conv) return SW_E_NOMEM;
        SW_TRY(sw_plan_add_gpu_tile(t->plan, conv, tile));
    }
    return SW_OK;
}

static sw_status measure_on(tuner *t, sw_gpu *gpu, const sw_tensor *inputs) {
    sw_instance *instance = NULL;
    sw_gpu_program *program = NULL;
    const sw_gpu_times times = {.find = find_time,
                                .add = add_time,
                                .progress = tell_progress,
                                .libraries = !t->o->no_libraries,
                                .library_gain = t->o->library_gain > 0 ? t->o->library_gain : LIBRARY_GAIN,
                                .seconds = t->o->seconds,
                                .ctx = t};
    sw_status status = sw_instance_create(t->plan, inputs, 0, NULL, false, t->diag, t->plan->allocator, &instance);
    if (t->o->level > 0) sw_gpu_set_tuning(gpu);
    if (status == SW_OK) status = sw_gpu_build(gpu, instance, true, t->diag, &program);
    if (status == SW_OK && t->o->level > 0) status = sw_gpu_tune(gpu, program, &times, t->diag);
    if (status == SW_OK) status = keep_tiles(t, gpu);
    if (status == SW_OK && t->with_code) status = sw_gpu_keep_code(gpu, program, t->diag);
    sw_gpu_program_destroy(gpu, program);
    sw_instance_destroy(instance);
    return status;
}

static sw_status measure(tuner *t, int index) {
    sw_tensor *inputs = SW_ARENA_ARRAY(t->arena, sw_tensor, t->plan->n_inputs + 1);
    sw_gpu *gpu;
    if (!inputs) return SW_E_NOMEM;
    if (!sw_plan_usual_inputs(t->plan, inputs) && !sw_plan_assume_inputs(t->plan, inputs)) {
        if (t->with_code)
            return sw_fail(
                t->diag, SW_E_USAGE, NULL, "fix them with --shapes",
                "which kernels a plan takes, and so their code, depends on dims of the inputs that are open");
        sw_info(t->diag, NULL, "tiles are chosen by estimate: dims of the inputs are open, and --shapes would fix them");
        return SW_OK;
    }
    SW_TRY(sw_gpu_create(t->plan, index, t->diag, &gpu));
    sw_status status = measure_on(t, gpu, inputs);
    sw_gpu_destroy(gpu);
    if (status == SW_OK && t->path) status = sw_timings_save(t->timings, t->path, t->diag);
    return status;
}

/* ---- Choosing ------------------------------------------------------------------------------------------------------ */

static void take_best(tuner *t) {
    if (t->conv && t->status == SW_OK) t->status = sw_plan_add_gpu_tile(t->plan, t->conv, t->best);
}

static void weigh(void *ctx, const char *conv, const char *tile, const sw_timing *timing) {
    tuner *t = ctx;
    if (strstr(conv, SW_GPU_IN_NETWORK) || sw_cuda_tactic_is(tile))
        return; /* libraries are for plans that were tuned */
    if (!t->conv || strcmp(t->conv, conv) != 0) {
        take_best(t);
        t->conv = conv;
        t->least = INT64_MAX;
    }
    int64_t ns = timing->ns[0] / 2 + timing->ns[1] / 2;
    if (ns < t->least) t->least = ns, t->best = tile;
}

static sw_status choose(tuner *t, const sw_cuda_info *gpu, bool any_of_sm) {
    if (!t->o) sw_timings_each(t->timings, t->device, weigh, t); /* nothing was tuned: all that is known */
    take_best(t);
    SW_TRY(t->status);
    if (!t->o && !t->plan->n_gpu_tiles) return SW_OK;
    if (t->o) SW_TRY(sw_plan_add_receipt(t->plan, "tuned on", t->device));
    return sw_plan_set_gpu(t->plan, gpu->name, gpu->sm, any_of_sm);
}

/* ---- All ----------------------------------------------------------------------------------------------------------- */

static void keep_text(void *ctx, const sw_message *message) {
    snprintf(ctx, WHY_TEXT, "%s", message->text);
}

/* Finds the GPU; false with SW_OK when there is none and that is no error. */
static sw_status find_gpu(const sw_build_options *options, const sw_diag *diag, int *index, sw_cuda_info *info,
                          bool *found) {
    sw_device device;
    char why[WHY_TEXT] = "";
    *found = false;
    SW_TRY(sw_device_parse(options->device, diag, &device));
    if (device.kind == SW_DEVICE_CPU) return SW_OK;
    bool must = options->tuning && device.kind == SW_DEVICE_CUDA;
    sw_diag quiet = {keep_text, why};
    sw_status status = sw_cuda_describe(device.index, must ? diag : &quiet, info);
    if (status != SW_OK && must) return status;
    if (status != SW_OK && options->tuning) sw_info(diag, NULL, "built for the CPU: %s", why);
    *index = device.index;
    *found = status == SW_OK;
    return SW_OK;
}

sw_status sw_plan_tune_gpu(sw_plan *plan, const sw_build_options *options, const sw_diag *diag) {
    sw_cuda_info info;
    int index;
    bool found;
    SW_TRY(find_gpu(options, diag, &index, &info, &found));
    if (!found) return SW_OK;
    tuner t = {.plan = plan,
               .o = options->tuning,
               .diag = diag,
               .arena = sw_arena_create(NULL, 0),
               .with_code = options->with_code};
    snprintf(t.device, sizeof t.device, "%s, SM %d.%d, %d multiprocessors, kernels %08x%s", info.name, info.sm / 10,
             info.sm % 10, info.multiprocessors, (unsigned)sw_cuda_text_version(),
             plan->gpu_type == SW_BF16  ? ", bfloat16"
             : plan->gpu_tf32           ? ", TF32"
             : plan->gpu_type == SW_F32 ? ", float32"
                                        : "");
    sw_status status = t.arena ? open_cache(&t) : SW_E_NOMEM;
    if (status == SW_OK && t.o && (t.o->level > 0 || t.with_code)) status = measure(&t, index);
    if (status == SW_OK) status = choose(&t, &info, options->any_of_sm);
    sw_timings_destroy(t.timings);
    sw_arena_destroy(t.arena);
    return status;
}
