/* How operators become layers: what map.c and map_*.c share. */
#ifndef SLIPWAY_EXPORT_OPENVINO_MAP_H
#define SLIPWAY_EXPORT_OPENVINO_MAP_H

#include "export/openvino/openvino.h"

/* A node that is being written. */
typedef struct sw_ov_node {
    sw_ov *ov;
    const sw_node *node;
    int steps; /* layers between, so far: they are named after the output, with a number */
} sw_ov_node;

/* One function an operator; outputs by sw__ov_finish. SW_E_UNSUPPORTED by sw__ov_refuse. */
typedef sw_status (*sw_ov_mapper)(sw_ov_node *n);

/* Input `i`; layer -1 when it is absent. */
sw_ov_ref sw__ov_in(sw_ov_node *n, int i);
bool sw__ov_has(const sw_ov_node *n, int i);
/* The constant at an input; NULL when it is computed or absent. */
const sw_tensor *sw__ov_known(const sw_ov_node *n, int i);
/* A layer of one output on the way. `type`: of its output, may be only partly known. */
sw_ov_ref sw__ov_step(sw_ov_node *n, const char *type, int opset, const char *data, int n_in, const sw_ov_ref *in,
                      sw_tensor out);
/* The layer that makes the node's outputs. */
sw_status sw__ov_finish(sw_ov_node *n, const char *type, int opset, const char *data, int n_in, const sw_ov_ref *in);
/* The node's output is that of a layer that is there. */
sw_status sw__ov_alias(sw_ov_node *n, sw_ov_ref ref);
sw_ov_ref sw__ov_list(sw_ov_node *n, const int64_t *v, int count); /* constants on the way; count -1: a scalar */
sw_ov_ref sw__ov_number(sw_ov_node *n, float v, sw_dtype dtype);
/* A type of which only the elements are known. */
static inline sw_tensor sw__ov_any(sw_dtype dtype) {
    return (sw_tensor){.dtype = dtype, .rank = SW_RANK_UNKNOWN};
}
sw_status sw__ov_refuse(const sw_ov_node *n, const char *why);
/* An input with other dims: constants are written so, others pass a Reshape. */
sw_ov_ref sw__ov_reshaped(sw_ov_node *n, int i, int rank, const int64_t *dims);
sw_ov_ref sw__ov_binary(sw_ov_node *n, const char *type, sw_ov_ref a, sw_ov_ref b, sw_tensor out);
/* Text in the node's memory: "" and a sticky status when there is none. */
const char *sw__ov_text(sw_ov_node *n, const char *fmt, ...) SW_PRINTF(2, 3);
/* "1, 2, 3" of an attribute with integers; `missing` `count` times where it is not set. */
const char *sw__ov_attr_list(sw_ov_node *n, const char *name, int count, int64_t missing, int from);

/* map_net.c, map_shape.c */
sw_status sw__ov_conv(sw_ov_node *n), sw__ov_conv_transpose(sw_ov_node *n), sw__ov_gemm(sw_ov_node *n),
    sw__ov_pool(sw_ov_node *n), sw__ov_global_pool(sw_ov_node *n), sw__ov_batch_norm(sw_ov_node *n),
    sw__ov_layer_norm(sw_ov_node *n), sw__ov_instance_norm(sw_ov_node *n), sw__ov_resize(sw_ov_node *n),
    sw__ov_grid_sample(sw_ov_node *n), sw__ov_lstm(sw_ov_node *n), sw__ov_nms(sw_ov_node *n),
    sw__ov_quantize(sw_ov_node *n), sw__ov_dequantize(sw_ov_node *n);
sw_status sw__ov_shape(sw_ov_node *n), sw__ov_flatten(sw_ov_node *n), sw__ov_transpose(sw_ov_node *n),
    sw__ov_split(sw_ov_node *n), sw__ov_slice(sw_ov_node *n), sw__ov_pad(sw_ov_node *n), sw__ov_topk(sw_ov_node *n),
    sw__ov_arg_reduce(sw_ov_node *n), sw__ov_reduce(sw_ov_node *n), sw__ov_one_hot(sw_ov_node *n),
    sw__ov_constant_of_shape(sw_ov_node *n), sw__ov_range(sw_ov_node *n), sw__ov_gather(sw_ov_node *n),
    sw__ov_scatter_elements(sw_ov_node *n), sw__ov_depth_space(sw_ov_node *n);

#endif
