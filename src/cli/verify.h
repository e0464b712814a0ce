/* An exported file against the model that it came from: both run on the same noise. */
#ifndef SLIPWAY_CLI_VERIFY_H
#define SLIPWAY_CLI_VERIFY_H

#include "base/json.h"
#include "cli/closeness.h"
#include "cli/verb.h"
#include "export/export.h"

typedef struct sw_verify_request {
    const char *model; /* the source */
    const sw_exporter *exporter;
    const sw_export_options *options; /* as the file was written */
    const char *file;                 /* what was written, wherever it lies now */
    const char *name;                 /* its final name, for messages */
    double tolerance;                 /* 0: by precision */
} sw_verify_request;

typedef struct sw_verify_output {
    const char *name;
    sw_closeness closeness;
} sw_verify_output;

/* All in the arena. */
typedef struct sw_verify {
    const char *skipped; /* why nothing was compared; NULL: it was */
    const char *runtime; /* what ran the file: "ONNX Runtime 1.32.0", "Slipway 0.1.0" */
    const char *backend; /* its name for --backend */
    const char *instead; /* Slipway ran it, because: "onnxruntime is not available: ..."; NULL */
    double tolerance, seconds;
    sw_verify_output *outputs;
    int n;
} sw_verify;

/* Runs the model in Slipway and the file in its runtime where that is installed, else reads the file back into
 * Slipway. SW_E_MODEL with a sentence when an output is beyond the tolerance; also what the runtime says when it
 * refuses the file or crashes. */
SW_MUST_USE sw_status sw_verify_file(const sw_verify_request *request, sw_arena *arena, const sw_diag *diag,
                                     sw_verify *verify);

/* A line for people (with indent), or a member "verify" of an object. */
void sw_verify_print(const sw_verify *verify, sw_console *console);
void sw_verify_json(const sw_verify *verify, sw_json_writer *w);

/* The file that runtimes want where a model is a folder: the .xml inside. NULL: none, or no memory. */
const char *sw_model_file(const char *path, sw_arena *arena);

#endif
