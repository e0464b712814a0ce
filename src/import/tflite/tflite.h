/* TensorFlow Lite (LiteRT) models in: subgraph 0 becomes a graph in ONNX semantics.
 *
 * Maps are channels-last in the file and channels-first in the graph: inputs and outputs keep the file's order of axes, so
 * a Transpose may stand at the border; inside, axes of operators are renamed instead (layout.c). Shapes are those that
 * the file states (its runtime allocates them so). Quantised tensors stay quantised: convolutions work on integers,
 * what has no integer form in ONNX stands between DequantizeLinear and QuantizeLinear. Weights that alone are
 * quantised, or of float16, are widened. What Slipway does not support is refused by name with SW_E_UNSUPPORTED, what
 * is broken with SW_E_MODEL. Metadata of an appended zip archive, as Ultralytics writes it, becomes the graph's. */
#ifndef SLIPWAY_IMPORT_TFLITE_TFLITE_H
#define SLIPWAY_IMPORT_TFLITE_TFLITE_H

#include "import/onnx/onnx.h"

bool sw_tflite_sniff(const void *bytes, size_t size);

/* Maps a file, which the graph keeps mapped: constants are used where they lie. `evaluate`: computes small constant nodes at
 * once (arithmetic on shapes); NULL: they stay. */
SW_MUST_USE sw_status sw_tflite_load(const char *path, sw_evaluate evaluate, const sw_allocator *allocator,
                                     const sw_diag *diag, sw_graph **graph);
/* The same from memory. `bytes` must live, unchanged, as long as the graph. `label` names them in messages. */
SW_MUST_USE sw_status sw_tflite_parse(const void *bytes, size_t size, const char *label, sw_evaluate evaluate,
                                      const sw_allocator *allocator, const sw_diag *diag, sw_graph **graph);

#endif
