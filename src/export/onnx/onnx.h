/* The ONNX writer: what its files share. */
#ifndef SLIPWAY_EXPORT_ONNX_ONNX_H
#define SLIPWAY_EXPORT_ONNX_ONNX_H

#include "export/export.h"

enum { SW_ONNX_OPSET_LEAST = 13, SW_ONNX_OPSET_USUAL = 18, SW_ONNX_OPSET_MOST = 26 };

/* Whether `opset` has all operators, attributes and inputs of the graph; rewrites what it has in another form. */
SW_MUST_USE sw_status sw__onnx_check(sw_graph *graph, int opset, const sw_diag *diag);
/* How many inputs of a node are inputs in `opset`: the last may be an attribute there. */
int sw__onnx_inputs(const sw_node *node, int opset);
/* Attributes of a node (fields 5 of NodeProto). */
void sw__onnx_put_attrs(sw_buf *buf, const sw_node *node, int opset);
/* Everything in float16 but what must not be. */
SW_MUST_USE sw_status sw__onnx_to_half(sw_graph *graph, bool half_io, const sw_diag *diag);

#endif
