#include <stdio.h>

/* stdio.h must come first: jpeglib.h uses what it declares. */
#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/os.h"
#include "cli/verb.h"

#define TEXT_OF(x)  TEXT_OF_(x)
#define TEXT_OF_(x) #x

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#ifdef __OPTIMIZE__
#define OPTIMIZED "optimised"
#else
#define OPTIMIZED "not optimised"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED ", address sanitizer"
#elif defined(__SANITIZE_THREAD__)
#define SANITIZED ", thread sanitizer"
#else
#define SANITIZED ""
#endif

static const struct {
    const char *name, *version;
} libraries[] = {
    {"libjpeg-turbo", TEXT_OF(LIBJPEG_TURBO_VERSION)},
    {"libpng", PNG_LIBPNG_VER_STRING},
    {"zlib", ZLIB_VERSION},
};

enum { N_LIBRARIES = sizeof libraries / sizeof libraries[0], CACHE_LEVELS = 3 };

static void print_cache(sw_console *c, int level) {
    size_t size = sw_cpu_cache(level);
    if (!size)
        sw_print(c, "  L%d cache    unknown\n", level);
    else if (size >= 1 << 20)
        sw_print(c, "  L%d cache    %.4g MiB\n", level, (double)size / (1 << 20));
    else
        sw_print(c, "  L%d cache    %.4g KiB\n", level, (double)size / (1 << 10));
}

static void print_cpu(sw_console *c) {
    char found[256], used[256];
    sw_cpu_text(sw_cpu_features_found(), found, sizeof found);
    sw_cpu_text(sw_cpu_features(), used, sizeof used);
    sw_print(c, "%s\n", sw_cpu_model());
    sw_print(c, "  features    %s\n", found);
    if (sw_cpu_features() != sw_cpu_features_found()) sw_print(c, "  used        %s (SLIPWAY_CPU_MASK)\n", used);
    sw_print(c, "  CPUs        %d that this process may use\n", sw_cpu_allowed());
    for (int level = 1; level <= CACHE_LEVELS; level++) print_cache(c, level);
}

static void print_text(sw_console *c) {
    char system[256], features[256];
    sw_os_name(system, sizeof system);
    sw_cpu_text(sw_cpu_features(), features, sizeof features);
    sw_print(c, "slipway " SLIPWAY_VERSION "\n");
    sw_print(c, "  compiler    " COMPILER ", " OPTIMIZED SANITIZED "\n");
    sw_print(c, "  system      %s\n", system);
    sw_print(c, "  CPU         %s, %d usable: %s\n", sw_cpu_model(), sw_cpu_allowed(), features);
    for (int i = 0; i < N_LIBRARIES; i++)
        sw_print(c, "  %-11s %s %s\n", i ? "" : "libraries", libraries[i].name, libraries[i].version);
}

static void print_json(sw_console *c) {
    char text[256];
    sw_json_writer w = sw_json_writer_make(&c->out, 2);
    sw_json_object(&w);
    sw_json_key(&w, "version"), sw_json_string(&w, SLIPWAY_VERSION);
    sw_json_key(&w, "compiler"), sw_json_string(&w, COMPILER);
    sw_json_key(&w, "build"), sw_json_string(&w, OPTIMIZED SANITIZED);
    sw_os_name(text, sizeof text);
    sw_json_key(&w, "system"), sw_json_string(&w, text);
    sw_json_key(&w, "cpu"), sw_json_object(&w);
    sw_json_key(&w, "model"), sw_json_string(&w, sw_cpu_model());
    sw_cpu_text(sw_cpu_features_found(), text, sizeof text);
    sw_json_key(&w, "features"), sw_json_string(&w, text);
    sw_cpu_text(sw_cpu_features(), text, sizeof text);
    sw_json_key(&w, "used"), sw_json_string(&w, text);
    sw_json_key(&w, "cpus"), sw_json_int(&w, sw_cpu_allowed());
    sw_json_key(&w, "cache_bytes"), sw_json_flat(&w), sw_json_array(&w);
    for (int level = 1; level <= CACHE_LEVELS; level++) sw_json_int(&w, (int64_t)sw_cpu_cache(level));
    sw_json_array_end(&w), sw_json_object_end(&w);
    sw_json_key(&w, "libraries"), sw_json_object(&w);
    for (int i = 0; i < N_LIBRARIES; i++) sw_json_key(&w, libraries[i].name), sw_json_string(&w, libraries[i].version);
    sw_json_object_end(&w), sw_json_object_end(&w);
    sw_print(c, "\n");
}

static sw_status run(const sw_args *args, sw_console *console) {
    if (sw_args_flag(args, "json"))
        print_json(console);
    else if (sw_args_flag(args, "cpu"))
        print_cpu(console);
    else
        print_text(console);
    return SW_OK;
}

const sw_verb sw_verb_version = {
    .name = "version",
    .operands = "",
    .summary = "Tell the version, how it was built, and what it found here",
    .description = "Prints the version first, then the compiler, the system, the CPU and the libraries.",
    .options =
        (const sw_option[]){
            {.name = "cpu", .help = "tell about the CPU: features that Slipway knows, CPUs it may use, caches"},
            {.name = "json", .help = "print JSON"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway version", "What to put into a bug report"},
            {"slipway version --cpu", "What the CPU can do"},
            {0},
        },
    .run = run,
};
