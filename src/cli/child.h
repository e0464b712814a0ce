/* This program as a child of itself: a runtime that answers questions (backend/foreign/wire.h). */
#ifndef SLIPWAY_CLI_CHILD_H
#define SLIPWAY_CLI_CHILD_H

#include "backend/foreign/engine.h"
#include "backend/foreign/foreign.h"
#include "cli/verb.h"
#include "vision/detector.h"

enum { SW_MOST_BACKENDS = 16 };

/* Whether the command line asks for that. */
bool sw_child_is(int argc, char **argv);
/* Answers until standard input ends. SW_E_USAGE for an unknown name. */
SW_MUST_USE sw_status sw_child_run(const char *name);

/* Slipway's own engine. Settings: device, precision (fp32, bf16, fp16; of models that are no plans). */
extern const sw_engine sw_engine_slipway;

/* A sink that keeps the last error, with its hint: for rows that say why they are empty. */
typedef struct sw_last_text {
    char text[512];
} sw_last_text;
sw_diag sw_last_text_diag(sw_last_text *last);

/* What a plan for a device (NULL: the CPU) is built for when it shall compute in `text` (NULL: as it likes). */
sw_dtype sw_backend_precision(const char *text, const char *device);

/* A runtime as it was found. */
typedef struct sw_backend_found {
    const sw_foreign_runtime *runtime;
    sw_foreign_place place;
    const char *version; /* as it says itself; NULL: it does not run */
    sw_last_text why;    /* then */
} sw_backend_found;
/* Libraries are opened, in a child; Python packages are believed, because importing them takes seconds. Texts in the
 * arena. */
SW_MUST_USE sw_status sw_backend_look(const sw_foreign_runtime *runtime, const sw_python *python, sw_arena *arena,
                                      sw_backend_found *found);

/* -- Options that verbs share -------------------------------------------------------------------------------------- */

/* --backend and --set. */
#define SW_BACKEND_OPTIONS                                                                                             \
    {.name = "backend",                                                                                                \
     .kind = SW_TEXT,                                                                                                  \
     .argument = "NAME",                                                                                               \
     .standard = "slipway",                                                                                            \
     .help = "the runtime to run it in ('slipway backends' lists them), in a child process"},                          \
    {                                                                                                                  \
        .name = "set", .kind = SW_TEXT, .argument = "BACKEND.KEY=VALUE", .many = true,                                 \
        .help = "a setting of another runtime, such as onnxruntime.providers=CUDA,CPU or openvino.device=GPU"          \
    }

/* A runtime by the name that an option gives; SW_E_USAGE with the nearest. */
SW_MUST_USE sw_status sw_backend_named(const char *name, size_t length, const char *verb, const sw_diag *diag,
                                       const sw_foreign_runtime **runtime);
/* The settings BACKEND.KEY=VALUE of one backend, of the option --set. SW_E_USAGE for what is no such word. */
enum { SW_MORE_SETTINGS = 4 }; /* room that it leaves for the caller's own */
SW_MUST_USE sw_status sw_settings_parse(const sw_args *args, const char *backend, const sw_diag *diag,
                                        sw_settings *settings);

/* The runtime that --backend names, with the model that `plan` was built of, for a detector; NULL and a zeroed
 * network for Slipway. Options: backend, set, threads. */
typedef struct sw_backend_net sw_backend_net;
SW_MUST_USE sw_status sw_backend_network(const sw_args *args, const sw_plan *plan, const char *model,
                                         const sw_diag *diag, sw_backend_net **net, sw_network *network);
void sw_backend_net_close(sw_backend_net *net); /* takes NULL */

/* A run of `slipway val` as another process. */
typedef struct sw_val_wish {
    const char *model, *data;
    const char *backend; /* NULL: Slipway */
    const char *imgsz;   /* as the option has it; NULL: as the model says */
    int64_t limit;       /* 0: all */
} sw_val_wish;
/* mAP50-95, or top 1 of a model of classes. SW_E_INPUT with a sentence. */
SW_MUST_USE sw_status sw_val_map(const sw_val_wish *wish, sw_arena *arena, const sw_diag *diag, double *map);

#endif
