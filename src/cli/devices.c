#include <stdio.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "backend/cuda/library.h"
#include "base/cpu.h"
#include "base/json.h"
#include "cli/child.h"
#include "cli/options.h"

enum { TEXT_BYTES = 256 };

sw_status sw_device_choose(const char *name, const sw_diag *diag, const char **gpu) {
    sw_device device;
    sw_last_text why = {0};
    int n;
    *gpu = NULL;
    SW_TRY(sw_device_parse(name, diag, &device));
    if (device.kind == SW_DEVICE_CPU) return SW_OK;
    sw_diag quiet = sw_last_text_diag(&why);
    sw_status status = sw_cuda_count(device.kind == SW_DEVICE_CUDA ? diag : &quiet, &n);
    if (device.kind == SW_DEVICE_CUDA) {
        *gpu = name;
        return status;
    }
    if (status == SW_OK)
        *gpu = "cuda";
    else
        sw_info(diag, NULL, "running on the CPU: %s", why.text);
    return SW_OK;
}

/* The first message of a call, to be printed among the results. */
static void keep_text(void *ctx, const sw_message *message) {
    snprintf(ctx, TEXT_BYTES, "%s", message->text);
}

static void print_gpu(sw_console *c, int index, const sw_cuda_info *gpu) {
    sw_print(c, "cuda:%-3d %s: SM %d.%d, %d multiprocessors, %.1f GiB, driver for CUDA %d.%d\n", index, gpu->name,
             gpu->sm / 10, gpu->sm % 10, gpu->multiprocessors, (double)gpu->memory / 0x1p30, gpu->driver / 1000,
             gpu->driver % 1000 / 10);
}

/* 91900 is 9.19.0. */
static const char *version_text(int64_t version, char *text, size_t size) {
    snprintf(text, size, "%d.%d.%d", (int)(version / 10000), (int)(version / 100 % 100), (int)(version % 100));
    return text;
}

static void print_libraries(sw_console *c) {
    for (int i = 0; i < SW_CUDA_LIBRARIES; i++) {
        const char *why;
        char text[32];
        int64_t version = sw_cuda_library_version((sw_cuda_library)i, &why);
        sw_print(c, "%-8s %s\n", sw_cuda_library_name((sw_cuda_library)i),
                 version ? version_text(version, text, sizeof text) : why);
    }
}

static void print_text(sw_console *c, int n, const char *why) {
    char features[TEXT_BYTES];
    sw_cpu_text(sw_cpu_features(), features, sizeof features);
    sw_print(c, "cpu      %s: %d usable, %s\n", sw_cpu_model(), sw_cpu_allowed(), features);
    for (int i = 0; i < n; i++) {
        sw_cuda_info gpu;
        char trouble[TEXT_BYTES] = "";
        if (sw_cuda_describe(i, &(sw_diag){keep_text, trouble}, &gpu) == SW_OK)
            print_gpu(c, i, &gpu);
        else
            sw_print(c, "cuda:%-3d %s\n", i, trouble);
    }
    if (n == 0)
        sw_print(c, "no GPU:  %s\n", why);
    else
        print_libraries(c);
}

static void json_libraries(sw_json_writer *w) {
    sw_json_object(w);
    for (int i = 0; i < SW_CUDA_LIBRARIES; i++) {
        char text[32];
        int64_t version = sw_cuda_library_version((sw_cuda_library)i, NULL);
        sw_json_key(w, sw_cuda_library_name((sw_cuda_library)i));
        sw_json_string(w, version ? version_text(version, text, sizeof text) : NULL);
    }
    sw_json_object_end(w);
}

static void print_json(sw_console *c, int n, const char *why) {
    sw_json_writer w = sw_json_writer_make(&c->out, 2);
    sw_json_object(&w);
    sw_json_key(&w, "cpu"), sw_json_object(&w);
    sw_json_key(&w, "model"), sw_json_string(&w, sw_cpu_model());
    sw_json_key(&w, "cpus"), sw_json_int(&w, sw_cpu_allowed());
    sw_json_object_end(&w);
    sw_json_key(&w, "gpus"), sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        sw_cuda_info gpu;
        if (sw_cuda_describe(i, NULL, &gpu) != SW_OK) continue;
        sw_json_object(&w);
        sw_json_key(&w, "device"), sw_json_int(&w, i);
        sw_json_key(&w, "name"), sw_json_string(&w, gpu.name);
        sw_json_key(&w, "sm"), sw_json_int(&w, gpu.sm);
        sw_json_key(&w, "multiprocessors"), sw_json_int(&w, gpu.multiprocessors);
        sw_json_key(&w, "memory_bytes"), sw_json_int(&w, gpu.memory);
        sw_json_key(&w, "driver"), sw_json_int(&w, gpu.driver);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    if (n) sw_json_key(&w, "libraries"), json_libraries(&w);
    if (n == 0) sw_json_key(&w, "no_gpu"), sw_json_string(&w, why);
    sw_json_object_end(&w);
    sw_print(c, "\n");
}

static sw_status run(const sw_args *args, sw_console *console) {
    char why[TEXT_BYTES] = "";
    int n;
    sw_status status = sw_cuda_count(&(sw_diag){keep_text, why}, &n); /* no GPU is an answer, too */
    if (status != SW_OK) n = 0;
    if (sw_args_flag(args, "json"))
        print_json(console, n, why);
    else
        print_text(console, n, why);
    return SW_OK;
}

const sw_verb sw_verb_devices = {
    .name = "devices",
    .operands = "",
    .summary = "List what models can run on: the CPU, and GPUs",
    .description =
        "Prints each device under the name that --device takes, and why there is no GPU where there is none; with GPUs also "
        "the libraries of NVIDIA's that builds try beside own kernels (see build --no-libraries).",
    .options =
        (const sw_option[]){
            {.name = "json", .help = "print JSON"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway devices", "Which GPUs there are"},
            {"slipway predict yolo11n.onnx street.jpg --device cuda:0", "Run on one of them"},
            {0},
        },
    .run = run,
};
