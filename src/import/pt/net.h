/* From modules to nodes: what the builders of all modules share.
 *
 * A builder gets a module's record and its input, adds nodes, and returns the output. The first error sticks in net->status;
 * from then on every function returns NULL or does nothing, and NULL inputs are passed through, so that builders read as
 * straight code and only the caller checks. */
#ifndef SLIPWAY_IMPORT_PT_NET_H
#define SLIPWAY_IMPORT_PT_NET_H

#include "base/zip.h"
#include "import/pt/pickle.h"
#include "ir/graph.h"

enum { SW_PT_MAX_LAYERS = 1024, SW_PT_MAX_DEPTH = 32, SW_PT_MAX_MODULES = 1 << 14 };

typedef struct sw_net {
    sw_graph *graph;
    sw_arena *scratch; /* lives while the file is read */
    const sw_diag *diag;
    const char *label; /* the file */
    sw_status status;
    const sw_zip *zip;
    const char *folder;                /* of the checkpoint inside the archive, with its slash: "best/" */
    const sw_pickle *model;            /* the root module */
    char scope[256];                   /* path of the module being built: "model.2.cv1" */
    int depth, modules;                /* that are being built, and that were */
    bool *intact;                      /* by entry of the archive: its checksum was right */
    size_t room;                       /* bytes that constants may still take */
    sw_value *saved[SW_PT_MAX_LAYERS]; /* outputs of the root's layers */
    const char *task, *head;           /* set by the head, as are the next two */
    int64_t key_points[2];             /* number, values of each */
    bool end2end;                      /* the model suppresses doubles itself */
} sw_net;

/* ---- Errors -------------------------------------------------------------------------------------------------------- */

/* Sets the status, once, with a message that names the scope; returns NULL for `return sw_net_fail(...)`. */
void *sw_net_fail(sw_net *net, sw_status status, const char *hint, const char *fmt, ...) SW_PRINTF(4, 5);
static inline bool sw_net_ok(const sw_net *net) {
    return net->status == SW_OK;
}

/* ---- Records of modules -------------------------------------------------------------------------------------------- */

/* Class name without its module: "Conv2d"; "" when it is no object. */
const char *sw_net_class(const sw_pickle *module);
/* A submodule, or NULL (no error). */
const sw_pickle *sw_net_child(const sw_pickle *module, const char *name);
/* The i-th submodule of a Sequential or ModuleList in order, and their number. */
const sw_pickle *sw_net_item(const sw_pickle *module, size_t i);
size_t sw_net_count(const sw_pickle *module);
/* Attributes of a module; `fallback` when it has none of that name and kind. Bools count as integers. */
int64_t sw_net_int(const sw_pickle *module, const char *name, int64_t fallback);
double sw_net_float(const sw_pickle *module, const char *name, double fallback);
/* An int or a tuple of ints, spread over n values; false when absent or of another kind. */
bool sw_net_ints(const sw_pickle *module, const char *name, int64_t *v, int n);

/* ---- Tensors ------------------------------------------------------------------------------------------------------- */

/* A tensor record (parameter, buffer or plain) as a constant of float32, or of int64 for integer storages. NULL for None or an
 * absent record (no error); an error when it lies about its storage. */
sw_value *sw_net_tensor(sw_net *net, const sw_pickle *record, const char *name);
/* A parameter or buffer of a module, named after the scope. */
sw_value *sw_net_param(sw_net *net, const sw_pickle *module, const char *name);
sw_value *sw_net_floats(sw_net *net, const char *name, const float *v, int rank, const int64_t *dims);
sw_value *sw_net_scalar(sw_net *net, float v);
sw_value *sw_net_dims(sw_net *net, const int64_t *v, int n);
#define SW_NET_DIMS(net, ...)                                                                                          \
    sw_net_dims((net), (const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

/* ---- Nodes --------------------------------------------------------------------------------------------------------- */

/* Applies an operator to n inputs; any NULL input gives NULL. */
sw_value *sw_net_apply(sw_net *net, sw_op op, int n, sw_value *const *in);
#define SW_NET_APPLY(net, op, ...)                                                                                     \
    sw_net_apply((net), (op), (int)(sizeof((sw_value *[]){__VA_ARGS__}) / sizeof(sw_value *)),                         \
                 (sw_value *[]){__VA_ARGS__})
sw_value *sw_net_concat(sw_net *net, int axis, int n, sw_value *const *in);
sw_value *sw_net_add(sw_net *net, sw_value *a, sw_value *b);
sw_value *sw_net_mul(sw_net *net, sw_value *a, sw_value *b);
sw_value *sw_net_reshape(sw_net *net, sw_value *x, const int64_t *dims, int n);
sw_value *sw_net_transpose(sw_net *net, sw_value *x, const int64_t *perm, int n);
/* Equal parts, or parts of given lengths, along an axis. */
void sw_net_split(sw_net *net, sw_value *x, int axis, int n, const int64_t *lengths, sw_value **parts);
/* The same with lengths that are computed: n of int64. */
void sw_net_split_at(sw_net *net, sw_value *x, int axis, int n, sw_value *lengths, sw_value **parts);
sw_value *sw_net_softmax(sw_net *net, sw_value *x, int axis);
/* x[..., start:end:step, ...] along an axis. */
sw_value *sw_net_slice(sw_net *net, sw_value *x, int axis, int64_t start, int64_t end, int64_t step);
sw_value *sw_net_unsqueeze(sw_net *net, sw_value *x, int axis);
/* Extent of an axis as a tensor of one int64. */
sw_value *sw_net_extent(sw_net *net, sw_value *x, int axis);
/* offset, offset + 1, ... along an axis of x, as float32 of rank 1. */
sw_value *sw_net_steps(sw_net *net, sw_value *x, int axis, float offset);
/* Rows `index` (batch, k; int64) of x (batch, rows, channels): batch, k, channels. */
sw_value *sw_net_pick(sw_net *net, sw_value *x, sw_value *index, int64_t channels);
/* The k largest along axis 1 in falling order, and where they were. */
void sw_net_top_k(sw_net *net, sw_value *x, sw_value *k, sw_value **values, sw_value **index);
/* The nearest pixels of x for dims `size` (4 of int64). */
sw_value *sw_net_resize_to(sw_net *net, sw_value *x, sw_value *size);
/* A map of batch, channels, height, width to batch, positions, channels; and back, with height and width of `like`. */
sw_value *sw_net_tokens(sw_net *net, sw_value *x);
sw_value *sw_net_map(sw_net *net, sw_value *tokens, sw_value *like);

/* ---- Modules ------------------------------------------------------------------------------------------------------- */

typedef sw_value *(*sw_net_builder)(sw_net *net, const sw_pickle *module, sw_value *x);

/* Builds a module of any known class under `name` in the scope. An unknown class is an error that names it. */
sw_value *sw_net_module(sw_net *net, const sw_pickle *module, const char *name, sw_value *x);
/* The same for a submodule that must be there. */
sw_value *sw_net_sub(sw_net *net, const sw_pickle *module, const char *name, sw_value *x);
/* A chain of modules. */
sw_value *sw_net_sequence(sw_net *net, const sw_pickle *sequence, sw_value *x);

/* One row of a table of modules. Heads take several inputs and make the graph's outputs themselves. */
typedef struct sw_net_class_row {
    const char *name;
    sw_net_builder build;
} sw_net_class_row;
extern const sw_net_class_row sw__pt_layers[], sw__pt_blocks[], sw__pt_attention[]; /* end with a NULL name */

/* Multi-head attention with one key a value (torch.nn.MultiheadAttention) over batch, positions, channels. */
sw_value *sw__pt_multihead(sw_net *net, const sw_pickle *module, sw_value *query, sw_value *key, sw_value *value);

/* Builds a head (Detect, Segment ...) over its n inputs and sets the graph's outputs; false when the class is no head. */
bool sw__pt_head(sw_net *net, const sw_pickle *module, int n, sw_value *const *x);

/* Names values output0, output1 ... and makes them the graph's outputs. */
void sw__pt_outputs(sw_net *net, int n, sw_value **outputs);
/* The k best pairs of row and class of scores (batch, rows, classes): batch, k each; classes as float32, rows as int64. */
void sw__pt_best_pairs(sw_net *net, sw_value *scores, int64_t classes, sw_value *k, sw_value **values, sw_value **class,
                       sw_value **row);
/* RT-DETR's transformer decoder, as a head. */
void sw__pt_rtdetr(sw_net *net, const sw_pickle *module, int n, sw_value *const *x);

#endif
