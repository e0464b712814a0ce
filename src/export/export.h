/* Models out: a graph becomes a file in the format of another runtime.
 *
 * The order of work: sw_export_prepare sets the sizes of the inputs and the metadata; the passes run up to SW_EXPORT_LAST_PASS
 * (cleaned, but nothing of Slipway's own); then the exporter's `write`. All of it changes the graph: load it anew for each
 * target. One thread a graph. */
#ifndef SLIPWAY_EXPORT_EXPORT_H
#define SLIPWAY_EXPORT_EXPORT_H

#include "base/buf.h"
#include "ir/graph.h"

#define SW_EXPORT_LAST_PASS "parallel"

/* Suppression of overlapping boxes inside the model, as Ultralytics' nms=True. */
typedef struct sw_export_nms {
    bool on, agnostic; /* agnostic: boxes of all classes suppress each other */
    float conf, iou;
    int max_det;
} sw_export_nms;

typedef struct sw_export_options {
    const char *stem;      /* what files in folders are named after: "yolo11n" */
    sw_dtype precision;    /* of the weights: SW_F32, SW_F16; SW_DTYPE_NONE: as they are */
    bool half_io;          /* ONNX with SW_F16: inputs and outputs are float16, too */
    int opset;             /* ONNX: 0 for the standard one */
    bool external;         /* ONNX: weights in a file of their own, which they always are beyond 2 GiB */
    bool dynamic;          /* sizes that the model leaves open stay open */
    int64_t batch;         /* 0: as the model says, else 1 */
    int64_t height, width; /* 0: as the model says */
    sw_export_nms nms;
    int *
        transposes; /* gets how many the file has, where the exporter moves axes itself (TensorFlow Lite); may be NULL */
} sw_export_options;

typedef struct sw_exporter {
    const char *name;    /* "onnx" */
    const char *aliases; /* "tflite lite", "" */
    const char *ending;  /* what the file's (or folder's) name ends in: ".onnx" */
    const char *doc;     /* a few words */
    /* Whether it can write the operator (for messages that name alternatives). */
    bool (*knows)(sw_op op);
    /* Writes `path` (files may be added beside it, in its folder). SW_E_UNSUPPORTED with a sentence (node, operator,
     * alternatives), SW_E_IO, SW_E_NOMEM. The caller keeps the path hidden until all is well (base/stage.h). */
    sw_status (*write)(sw_graph *graph, const sw_export_options *options, const char *path, const sw_diag *diag);
    const char *runtime; /* that the format is for, as backend/foreign names it */
    bool channels_last;  /* ports of four axes are written N H W C, but of models that came so */
    bool fractions;      /* boxes and points are written as sw_export_coordinates has them */
    bool float32;        /* runs in float32, whatever its weights: float16 models are widened before */
    /* What it can do beside: opsets, ports in float16 and weights apart; sizes left open; suppression of boxes. */
    bool dialects, open_sizes, nms;
} sw_exporter;

int sw_exporter_count(void);
const sw_exporter *sw_exporter_get(int i);
/* By name or alias; NULL: there is none. `length`: of the name, which need not end there. */
const sw_exporter *sw_exporter_find(const char *name, size_t length);

/* Sets the dims of the inputs: open ones by the options, else by the metadata (imgsz), else they stay open; and the metadata
 * as Ultralytics writes it, where the model has some of it. SW_E_USAGE when an option contradicts the model. */
SW_MUST_USE sw_status sw_export_prepare(sw_graph *graph, const sw_export_options *options, const sw_diag *diag);

/* -- For exporters ---------------------------------------------------------------------------------------------------- */

/* For formats with operators of their own: an opset above all of ONNX. */
enum { SW_EXPORT_NEWEST = 99 };
/* Operators of Slipway that passes and importers make become ones of ONNX, and operators of ONNX younger than `opset`
 * become older ones. Names of values that nobody needs any more are free again. */
SW_MUST_USE sw_status sw_export_lower(sw_graph *graph, int opset, const sw_diag *diag);
/* Suppression of boxes as last nodes, where options->nms asks for it; types must be known. SW_E_UNSUPPORTED when the model is
 * no detector, or gives detections already. */
SW_MUST_USE sw_status sw_export_add_nms(sw_graph *graph, const sw_export_options *options, const sw_diag *diag);
/* Boxes and points of Ultralytics' models, of known sizes, in fractions of the picture's sides or in pixels. */
SW_MUST_USE sw_status sw_export_coordinates(sw_graph *graph, bool fractions);
/* The sentence for an operator that the format cannot hold: node, operator, formats that can. `why` may be NULL. */
sw_status sw_export_refuse(const sw_node *node, const char *format, const char *why, const sw_diag *diag);
/* Metadata of the graph, whose values are Python literals, as YAML and as one JSON object. */
void sw_export_meta_yaml(const sw_graph *graph, sw_buf *buf);
void sw_export_meta_json(const sw_graph *graph, sw_buf *buf);

bool sw_onnx_knows(sw_op op);
sw_status sw_onnx_write(sw_graph *graph, const sw_export_options *options, const char *path, const sw_diag *diag);
bool sw_openvino_knows(sw_op op);
sw_status sw_openvino_write(sw_graph *graph, const sw_export_options *options, const char *path, const sw_diag *diag);

bool sw_tflite_knows(sw_op op);
sw_status sw_tflite_write(sw_graph *graph, const sw_export_options *options, const char *path, const sw_diag *diag);

#endif
