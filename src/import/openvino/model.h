/* The file as it is written, and the state of an import. Private to import/openvino. */
#ifndef SLIPWAY_IMPORT_OPENVINO_MODEL_H
#define SLIPWAY_IMPORT_OPENVINO_MODEL_H

#include "import/compute.h"

enum {
    SW_OVIN_MAX_LAYERS = 1 << 18,
    SW_OVIN_MAX_EDGES = 1 << 20,
    SW_OVIN_MAX_PORTS = 1 << 14, /* of a layer */
    SW_OVIN_MAX_DEPTH = 32,
    SW_OVIN_MAX_TEXT = 1 << 20, /* of an attribute */
    SW_OVIN_MAX_SLOTS = 1 << 22 /* of all ports */
};

typedef struct sw_ovin_attr {
    const char *name, *value;
    struct sw_ovin_attr *next;
} sw_ovin_attr;

typedef struct sw_ovin_layer {
    int64_t id;
    const char *name, *type, *version;
    sw_ovin_attr *data; /* of <data> */
    int n_in, n_out;    /* ports, in the order of the file */
    int in_cap, out_cap;
    int64_t *in_ids, *out_ids;
    const char **out_names; /* the first of names="a,b"; NULL: none */
    int *from, *from_out;   /* by input: index of the layer it comes from and of that layer's output; -1: nothing */
    sw_value **out;         /* once it is built */
    int state;              /* of the sort */
    int line;
} sw_ovin_layer;

typedef struct sw_ovin_edge {
    int64_t from, from_port, to, to_port;
} sw_ovin_edge;

typedef struct sw_ovin_import {
    const sw_diag *diag;
    const char *label;
    sw_graph *graph;
    sw_computer computer;
    sw_arena *arena; /* for what dies with the import */
    const uint8_t *bin;
    size_t bin_size;
    sw_ovin_layer *layers;
    size_t n_layers, cap_layers;
    sw_ovin_edge *edges;
    size_t n_edges, cap_edges, n_slots;
    int *by_id;                 /* indices of layers, sorted by id */
    const sw_ovin_layer *layer; /* that is built now, for messages */
} sw_ovin_import;

/* xml.c */
SW_MUST_USE sw_status sw__ovin_read_xml(sw_ovin_import *im, const void *xml, size_t size);
/* build.c */
SW_MUST_USE sw_status sw__ovin_build(sw_ovin_import *im);
/* metadata.c: metadata.yaml as entries whose values are Python literals. */
SW_MUST_USE sw_status sw__ovin_read_metadata(sw_graph *graph, const void *yaml, size_t size, const char *where,
                                             const sw_diag *diag);

/* "layer 'x' (Convolution): ..." */
sw_status sw__ovin_fail(const sw_ovin_import *im, sw_status status, const char *fmt, ...) SW_PRINTF(3, 4);
sw_status sw__ovin_nomem(const sw_ovin_import *im);

/* What mappers (map.c, map_more.c) use. Each turns im->layer into nodes and sets its outputs. */
typedef sw_status (*sw_ovin_reader)(sw_ovin_import *im, const sw_ovin_layer *layer, sw_value **in);
typedef struct sw_ovin_row {
    const char *type; /* NULL ends a table */
    sw_ovin_reader read;
} sw_ovin_row;
extern const sw_ovin_row sw__ovin_vision[];          /* map_vision.c */
sw_ovin_reader sw__ovin_reader_of(const char *type); /* NULL: not known */

const char *sw__ovin_attr(const sw_ovin_layer *layer, const char *name, const char *missing);
SW_MUST_USE sw_status sw__ovin_attr_int(const sw_ovin_import *im, const char *name, int64_t missing, int64_t *value);
SW_MUST_USE sw_status sw__ovin_attr_float(const sw_ovin_import *im, const char *name, double missing, float *value);
/* "1, 2"; *n in: room, out: how many. */
SW_MUST_USE sw_status sw__ovin_attr_ints(const sw_ovin_import *im, const char *name, int64_t *v, int *n);
bool sw__ovin_attr_true(const sw_ovin_layer *layer, const char *name, bool missing);
SW_MUST_USE sw_status sw__ovin_dtype(const sw_ovin_import *im, const char *text, sw_dtype *dtype);

/* A node before which its shape rule runs. `name` NULL: a value on the way, else that of the layer's first output. */
SW_MUST_USE sw_status sw__ovin_apply(sw_ovin_import *im, sw_op op, bool last, int n_in, sw_value *const *in,
                                     sw_value **out);
SW_MUST_USE sw_status sw__ovin_settle(sw_ovin_import *im, sw_node *node);
/* The layer's own output `i`, without producer yet. */
sw_value *sw__ovin_output(sw_ovin_import *im, int i);
SW_MUST_USE sw_status sw__ovin_ints(sw_ovin_import *im, const int64_t *v, int n, sw_value **value); /* n -1: a scalar */
SW_MUST_USE sw_status sw__ovin_floats(sw_ovin_import *im, const float *v, int n, sw_value **value); /* n -1: a scalar */
/* Integers of a constant input, at most `room`; fails when it is computed. */
SW_MUST_USE sw_status sw__ovin_known(sw_ovin_import *im, const sw_value *value, const char *what, int64_t *v, int room,
                                     int *n);
static inline bool sw__ovin_is_float(sw_dtype t) {
    return t == SW_F32 || t == SW_F16 || t == SW_F64 || t == SW_BF16;
}
/* Inputs that must be there. */
SW_MUST_USE sw_status sw__ovin_expect(sw_ovin_import *im, int least, int most);

sw_status sw__ovin_read_conv(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);
sw_status sw__ovin_read_pool(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);
sw_status sw__ovin_read_interpolate(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);
sw_status sw__ovin_read_fake_quantize(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);
sw_status sw__ovin_read_multiply(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);
sw_status sw__ovin_read_mvn(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);
sw_status sw__ovin_read_lstm(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);
sw_status sw__ovin_read_strided_slice(sw_ovin_import *im, const sw_ovin_layer *l, sw_value **in);

#endif
