/* Other runtimes, each in a child process: what there is, and the parent's side of a child.
 *
 * A runtime that crashes, hangs or answers nonsense is a sentence, never more: nothing of it is loaded into this process. */
#ifndef SLIPWAY_BACKEND_FOREIGN_FOREIGN_H
#define SLIPWAY_BACKEND_FOREIGN_FOREIGN_H

#include "backend/foreign/wire.h"

/* How a runtime is reached. */
typedef enum sw_foreign_kind {
    SW_FOREIGN_SELF,    /* Slipway in a child: the same program */
    SW_FOREIGN_LIBRARY, /* the same program, which opens a library of C functions */
    SW_FOREIGN_PYTHON   /* child.py, in the Python environment that has the module */
} sw_foreign_kind;

typedef struct sw_foreign_runtime {
    const char *name; /* "onnxruntime" */
    sw_foreign_kind kind;
    const char *title;        /* "ONNX Runtime" */
    const char *variable;     /* environment: path of the library, before all that is found */
    const char *in_packages;  /* below site-packages: the library (a pattern), or the module's folder */
    const char *distribution; /* pattern of NAME-VERSION.dist-info */
    const char *in_system;    /* pattern of the library's name in the system's folders */
    const char *reads;        /* formats that it takes, best first: "onnx", "openvino,onnx", "tflite" */
    const char *install;      /* the command that installs it */
} sw_foreign_runtime;

/* Ends with a NULL name. The first is Slipway. */
extern const sw_foreign_runtime sw_foreign_runtimes[];
/* NULL: no such runtime. `length`: of the name, which need not end there. */
const sw_foreign_runtime *sw_foreign_find(const char *name, size_t length);
/* "onnxruntime, openvino, ..." of all whose name is known; for messages. */
void sw_foreign_list(char *text, size_t size);

/* The active Python environment: $SLIPWAY_PYTHON (an interpreter), else that of $VIRTUAL_ENV, else python3 of PATH. */
enum { SW_PYTHON_FOLDERS = 8 };
typedef struct sw_python {
    const char *path;                       /* of the interpreter; NULL: none */
    const char *folders[SW_PYTHON_FOLDERS]; /* that packages are in */
    int n;
} sw_python;
/* Texts in the arena. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_python_find(sw_arena *arena, sw_python *python);

/* Where a runtime is. */
typedef struct sw_foreign_place {
    const char *path;    /* of the library or the module; NULL: not found */
    const char *version; /* of the package; "" where only the runtime itself can tell */
    const char *python;  /* the interpreter whose environment has it; NULL for others */
    const char *why_not; /* with path NULL: one sentence */
} sw_foreign_place;

/* Looks where the runtime's variable says; in the Python environment; in the system's folders. Opens nothing. Texts in the
 * arena. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_foreign_locate(const sw_foreign_runtime *runtime, const sw_python *python, sw_arena *arena,
                                        sw_foreign_place *place);

/* The same in the active environment; SW_E_IO with a sentence where it is not. */
SW_MUST_USE sw_status sw_foreign_require(const sw_foreign_runtime *runtime, sw_arena *arena, const sw_diag *diag,
                                         sw_foreign_place *place);

/* The hidden verb of this program that a child is: `slipway child NAME`. */
#define SW_FOREIGN_VERB "child"

typedef struct sw_foreign_options {
    const char *model; /* NULL: only the version is asked for */
    int threads;       /* 0: as the runtime likes */
    sw_settings settings;
    const sw_named *shapes; /* of inputs, for models that leave them open */
    int n_shapes;
    double seconds; /* that an answer may take, beyond what a question asks for; 0: $SLIPWAY_CHILD_SECONDS, else 120 */
} sw_foreign_options;

/* A child with a model. One thread at a time. */
typedef struct sw_foreign sw_foreign;

/* Starts the child and loads the model. SW_E_UNSUPPORTED with the runtime's sentence when it refuses the model; SW_E_IO
 * when it is not there, crashes, hangs or answers nonsense. */
SW_MUST_USE sw_status sw_foreign_open(const sw_foreign_runtime *runtime, const sw_foreign_options *options,
                                      const sw_diag *diag, sw_foreign **foreign);
void sw_foreign_close(sw_foreign *foreign); /* takes NULL */

/* What the runtime says of itself and the model. */
const char *sw_foreign_version(const sw_foreign *foreign);
const sw_settings *sw_foreign_used(const sw_foreign *foreign); /* settings as it took them */
int64_t sw_foreign_load_ns(const sw_foreign *foreign);         /* from question to ready, measured in the child */
const sw_named *sw_foreign_inputs(const sw_foreign *foreign, int *n);
int64_t sw_foreign_peak_bytes(const sw_foreign *foreign);

/* Puts inputs into the order of the child's ports: by name, or by place where there are as many and a name is
 * missing; with types changed to the ports' (float32 to float16, int64 to int32). Type and rank must fit. SW_E_USAGE
 * with a sentence. In the arena. */
SW_MUST_USE sw_status sw_foreign_match(const sw_foreign *foreign, const sw_named *inputs, int n, sw_arena *arena,
                                       const sw_diag *diag, sw_named **bound);
/* Gives inputs for all later runs, in the order of sw_foreign_inputs. */
SW_MUST_USE sw_status sw_foreign_bind(sw_foreign *foreign, const sw_named *inputs, int n);
/* Runs once; outputs with data in the arena. */
SW_MUST_USE sw_status sw_foreign_run(sw_foreign *foreign, sw_arena *arena, sw_named **outputs, int *n);
/* Runs for `ns`, at least `least` times, and gives the time of each run; `times` (in the arena) in ns. */
SW_MUST_USE sw_status sw_foreign_time(sw_foreign *foreign, int64_t ns, int least, sw_arena *arena, int64_t **times,
                                      int *n);

#endif
