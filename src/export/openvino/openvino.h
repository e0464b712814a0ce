/* The OpenVINO writer: IR version 11, layers of opsets 1 to 15 (docs.openvino.ai, "Operation Sets"). */
#ifndef SLIPWAY_EXPORT_OPENVINO_OPENVINO_H
#define SLIPWAY_EXPORT_OPENVINO_OPENVINO_H

#include "export/export.h"

/* An output of a layer that is written already. */
typedef struct sw_ov_ref {
    int layer, port; /* layer -1: nothing (an absent input) */
    const char *name; /* of the port, where it has that of a graph output; else NULL */
    sw_tensor type;  /* as far as it is known; not its data */
} sw_ov_ref;

/* Data of the .bin file. */
typedef struct sw_ov_blob {
    const sw_tensor *tensor;
    int64_t offset;
    bool half; /* written as float16 */
} sw_ov_blob;

enum { SW_OV_MAX_PORTS = 4096 };

typedef struct sw_ov {
    sw_graph *graph;
    const sw_diag *diag;
    bool half; /* weights in float16 */
    sw_buf layers, edges;
    int n_layers;
    sw_ov_ref *of; /* by value id; layer 0 and port -1: not written yet */
    size_t n_values;
    sw_ov_blob *blobs;
    size_t n_blobs, cap_blobs;
    int64_t bin_bytes;
    sw_status status; /* sticky */
} sw_ov;

/* Writes one node as layers and sets the places of its outputs; SW_E_UNSUPPORTED with a sentence. */
SW_MUST_USE sw_status sw__ov_map(sw_ov *ov, const sw_node *node);

/* Where a value comes from: constants are written when they are first asked for. NULL: an absent input. */
sw_ov_ref sw__ov_value(sw_ov *ov, const sw_value *value);
/* A layer. `data`: its attributes as XML text, "" for none. Output types are copied from `out`; `out` becomes the places. */
void sw__ov_layer(sw_ov *ov, const char *name, const char *type, int opset, const char *data, int n_in,
                  const sw_ov_ref *in, int n_out, sw_ov_ref *out);
/* A constant; the tensor is copied, its data must live as long as the graph. */
sw_ov_ref sw__ov_const(sw_ov *ov, const char *name, const sw_tensor *tensor);
/* int64 constants: rank 1, or a scalar for n < 0. */
sw_ov_ref sw__ov_ints(sw_ov *ov, const char *name, const int64_t *v, int n);

#endif
