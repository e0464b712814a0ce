/* OpenVINO IR in (versions 10 and 11): an .xml of layers and edges, a .bin of constants, metadata.yaml beside them where
 * Ultralytics wrote it. FakeQuantize becomes QuantizeLinear and DequantizeLinear; integer weights stay integers behind
 * DequantizeLinear. */
#ifndef SLIPWAY_IMPORT_OPENVINO_OPENVINO_H
#define SLIPWAY_IMPORT_OPENVINO_OPENVINO_H

#include "import/compute.h"

/* True when the bytes begin like an .xml of OpenVINO; 4 KiB are enough. */
bool sw_openvino_sniff(const void *bytes, size_t size);

/* `path`: the .xml, or the folder that holds one. The graph keeps the .bin mapped. SW_E_UNSUPPORTED for layers that are not
 * known, by name; SW_E_MODEL for what is damaged. */
SW_MUST_USE sw_status sw_openvino_load(const char *path, sw_evaluate evaluate, const sw_allocator *allocator,
                                       const sw_diag *diag, sw_graph **graph);
/* The same from memory: `bin` must live, unchanged, as long as the graph, aligned to 8 bytes. `label` names the model in
 * messages. */
SW_MUST_USE sw_status sw_openvino_parse(const void *xml, size_t xml_size, const void *bin, size_t bin_size,
                                        const char *label, sw_evaluate evaluate, const sw_allocator *allocator,
                                        const sw_diag *diag, sw_graph **graph);

#endif
