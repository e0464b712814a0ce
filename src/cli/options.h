/* Options that several verbs have, for their tables. */
#ifndef SLIPWAY_CLI_OPTIONS_H
#define SLIPWAY_CLI_OPTIONS_H

#include "cli/verb.h"

#define SW_THREADS_OPTION                                                                                              \
    {                                                                                                                  \
        .name = "threads", .kind = SW_INT, .argument = "N", .most = 1024,                                              \
        .help = "threads to work with (default: all CPUs that may be used)"                                            \
    }

#define SW_DEVICE_OPTION                                                                                               \
    {                                                                                                                  \
        .name = "device", .kind = SW_TEXT, .argument = "NAME", .standard = "cpu",                                      \
        .help =                                                                                                        \
            "where to run: cpu; cuda or cuda:N, in float16 on that GPU; auto: a GPU where there is one, else the CPU"  \
    }

#define SW_NO_FALLBACK_OPTION                                                                                          \
    { .name = "no-fallback", .help = "on a GPU: refuse a model of which a part would run on the CPU" }

#define SW_STRICT_OPTION                                                                                               \
    { .name = "strict", .help = "refuse a plan that was tuned on another model of CPU, of which else a warning tells" }

#define SW_TRUST_CODE_OPTION                                                                                           \
    {                                                                                                                  \
        .name = "trust-code",                                                                                          \
        .help =                                                                                                        \
            "run compiled GPU kernels that a plan holds (build --with-code): say so only of plans from whom you trust" \
    }

#define SW_SHAPES_OPTION                                                                                               \
    {                                                                                                                  \
        .name = "shapes", .kind = SW_TEXT, .argument = "[NAME=]DIMS", .many = true,                                    \
        .help = "the shape of an input, such as images=1x3x640x640; a model with one input needs no name"              \
    }

/* The value is for sw_sides_parse. */
#define SW_IMGSZ_OPTION(what)                                                                                          \
    { .name = "imgsz", .kind = SW_TEXT, .argument = "N|HxW", .help = what }
#define SW_FIT_PICTURES                                                                                                \
    "fit pictures into N x N pixels, or height x width, for models of open size (default: what the model says, else 640)"

#define SW_PROFILE_RUNS_OPTION                                                                                         \
    {                                                                                                                  \
        .name = "runs", .kind = SW_INT, .argument = "N", .standard = "30", .least = 1, .most = 1000,                   \
        .help = "how often to run it, after two runs that do not count"                                                \
    }

/* The GPU that --device asks for, NULL: the CPU. "auto" is the first GPU; where there is none, a message says so, and why.
 * Else a GPU that is not there is an error. */
SW_MUST_USE sw_status sw_device_choose(const char *name, const sw_diag *diag, const char **gpu);

/* Of verbs that ask a server. */
#define SW_SERVER_HOST_OPTION                                                                                          \
    { .name = "host", .kind = SW_TEXT, .argument = "NAME", .standard = "127.0.0.1", .help = "where the server is" }

#endif
