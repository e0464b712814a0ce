/* PyTorch checkpoints of Ultralytics and YOLOv5, without Python: the file's pickle is read as inert records, the module tree in
 * it is rebuilt as a graph. */
#ifndef SLIPWAY_IMPORT_PT_PT_H
#define SLIPWAY_IMPORT_PT_PT_H

#include "ir/graph.h"

/* True when the bytes may be a file of torch.save: a zip archive, or the older formats that are refused with a sentence. */
bool sw_pt_sniff(const void *bytes, size_t size);
/* True for an archive of TorchScript, which sw_pt_load refuses: code, without the sizes of inputs. */
bool sw_pt_is_torchscript(const void *bytes, size_t size);

/* Reads a checkpoint. Weights of half precision are widened to float32; batch normalisation stays in the graph for
 * the passes to fold. Inputs: `images` float32 batch 3 height width (dynamic). Outputs are those of Ultralytics'
 * ONNX export: `output0` (and `output1` for segmentation). Metadata as its exporter writes it. SW_E_UNSUPPORTED for
 * what is no such checkpoint, naming what was found and what to do; SW_E_MODEL for what is damaged or hostile. */
SW_MUST_USE sw_status sw_pt_load(const char *path, const sw_allocator *allocator, const sw_diag *diag,
                                 sw_graph **graph);
/* The same for bytes in memory, which may be freed afterwards. `label` names them in messages. */
SW_MUST_USE sw_status sw_pt_parse(const void *bytes, size_t size, const char *label, const sw_allocator *allocator,
                                  const sw_diag *diag, sw_graph **graph);

#endif
