/* ONNX models in: a ModelProto becomes a graph in the semantics of the newest opset.
 *
 * Reads opsets 7 to 26 and IR versions 3 to 12 (newer ones with a warning). Functions of the model and branches of
 * `If` that are decided while the graph is built are inlined; older forms of operators are translated
 * (translate.c). Types of the model's value_info are not believed: the shape rules decide. What Slipway does not
 * support is refused by name with SW_E_UNSUPPORTED, what is broken with SW_E_MODEL, what is too large with
 * SW_E_LIMIT. One thread per call. */
#ifndef SLIPWAY_IMPORT_ONNX_ONNX_H
#define SLIPWAY_IMPORT_ONNX_ONNX_H

#include "import/compute.h"

/* Maps a file. Constants that lie aligned in it are used where they are: the graph keeps the mapping. External
 * data is looked for in the folder of the file and nowhere else. */
SW_MUST_USE sw_status sw_onnx_load(const char *path, sw_evaluate evaluate, const sw_allocator *allocator,
                                   const sw_diag *diag, sw_graph **graph);

/* The same from memory. `bytes` are not copied and must live, unchanged, as long as the graph. `base_dir`: the folder
 * of external data; NULL: models with external data are refused. `label` names the model in messages. */
SW_MUST_USE sw_status sw_onnx_parse(const void *bytes, size_t size, const char *base_dir, const char *label,
                                    sw_evaluate evaluate, const sw_allocator *allocator, const sw_diag *diag,
                                    sw_graph **graph);

/* Is it plausibly an ONNX model? `bytes` may be just the beginning of a file; 64 are enough. */
bool sw_onnx_sniff(const void *bytes, size_t size);

#endif
