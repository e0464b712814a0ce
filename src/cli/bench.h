/* slipway bench: what its files share. */
#ifndef SLIPWAY_CLI_BENCH_H
#define SLIPWAY_CLI_BENCH_H

#include "base/json.h"
#include "base/stage.h"
#include "cli/child.h"
#include "cli/closeness.h"
#include "export/export.h"
#include "slipway/build.h"

/* A model with one batch size, and the files that were made of it for backends. */
typedef struct sw_bench_model {
    const char *path;          /* as the user gave it */
    const char *format;        /* "onnx", "pt", "torchscript", "tflite", "openvino", "plan" */
    bool quantised;            /* it has integers: its precision is int8, whatever is asked for */
    sw_export_options options; /* for files made of it */
    sw_named *inputs;          /* with noise */
    int n_inputs;
    sw_stage *folder; /* for these files */
    int n_made;       /* names them */
    struct {
        const char *format, *path;
    } made[8];
} sw_bench_model;

typedef struct sw_bench_want {
    int64_t batch, height, width; /* 0: as the model says */
    const sw_shape_range *shapes; /* of inputs, for models that do not say them */
    int n_shapes;
    bool strict; /* refuse a plan that was tuned on another model of CPU */
} sw_bench_want;

/* Reads the ports of a model and makes noise for them. SW_E_USAGE where sizes stay open or contradict the model. */
SW_MUST_USE sw_status sw_bench_model_open(const char *path, const sw_bench_want *want, sw_arena *arena,
                                          const sw_diag *diag, sw_bench_model *model);
void sw_bench_model_close(sw_bench_model *model); /* removes what was made; takes a zeroed one */

typedef struct sw_bench_build {
    sw_dtype precision; /* as in sw_build_options */
    bool tf32;
    int threads, level; /* of tuning */
    const char *device; /* of a plan, as in sw_build_options; NULL: the CPU */
} sw_bench_build;

/* The model as the backend likes it best: itself, or a file made of it. SW_E_UNSUPPORTED with a sentence. */
SW_MUST_USE sw_status sw_bench_file(sw_bench_model *model, const sw_foreign_runtime *runtime,
                                    const sw_bench_build *build, sw_arena *arena, const sw_diag *diag,
                                    const char **path);

/* One line of results; times in ns. */
typedef struct sw_bench_row {
    const char *backend, *version, *model, *precision;
    int threads;
    int64_t batch;
    int64_t *times;
    size_t n, cap;
    double load_ms, peak_mb;
    sw_settings settings;
} sw_bench_row;

typedef enum sw_bench_stat {
    SW_BENCH_MIN,
    SW_BENCH_MEDIAN,
    SW_BENCH_MEAN,
    SW_BENCH_P90,
    SW_BENCH_P95,
    SW_BENCH_P99,
    SW_BENCH_MAX,
    SW_BENCH_STATS
} sw_bench_stat;

/* Arithmetic and memory, measured for each instruction set that may be used. */
SW_MUST_USE sw_status sw_bench_print_peaks(sw_console *console);
SW_MUST_USE sw_status sw_bench_json_peaks(sw_json_writer *w);

void sw_bench_print(sw_bench_row *rows, int n, sw_console *console);
/* The member "results". */
void sw_bench_json(sw_bench_row *rows, int n, sw_json_writer *w);

#endif
