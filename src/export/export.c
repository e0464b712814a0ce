#include "export/export.h"

#include <string.h>

/* One row a format. */
static const sw_exporter exporters[] = {
    {.name = "onnx",
     .aliases = "",
     .ending = ".onnx",
     .doc = "ONNX, opsets 13 to 26",
     .knows = sw_onnx_knows,
     .write = sw_onnx_write,
     .runtime = "onnxruntime",
     .dialects = true,
     .open_sizes = true,
     .nms = true},
    {.name = "openvino",
     .aliases = "ov",
     .ending = "_openvino_model",
     .doc = "OpenVINO IR 11: a folder with .xml, .bin and metadata.yaml",
     .knows = sw_openvino_knows,
     .write = sw_openvino_write,
     .runtime = "openvino",
     .float32 = true,
     .open_sizes = true,
     .nms = true},
    {.name = "tflite",
     .aliases = "litert",
     .ending = ".tflite",
     .doc = "TensorFlow Lite (LiteRT), schema 3",
     .knows = sw_tflite_knows,
     .write = sw_tflite_write,
     .runtime = "litert",
     .float32 = true,
     .channels_last = true,
     .fractions = true},
};

int sw_exporter_count(void) {
    return sizeof exporters / sizeof exporters[0];
}
const sw_exporter *sw_exporter_get(int i) {
    return &exporters[i];
}

static bool among(const char *words, const char *name, size_t length) {
    for (const char *at = words; *at;) {
        size_t n = strcspn(at, " ");
        if (n == length && !memcmp(at, name, n)) return true;
        at += n + (at[n] == ' ');
    }
    return false;
}

const sw_exporter *sw_exporter_find(const char *name, size_t length) {
    for (int i = 0; i < sw_exporter_count(); i++)
        if (among(exporters[i].name, name, length) || among(exporters[i].aliases, name, length)) return &exporters[i];
    return NULL;
}

sw_status sw_export_refuse(const sw_node *node, const char *format, const char *why, const sw_diag *diag) {
    char hint[128] = "";
    for (int i = 0; i < sw_exporter_count(); i++) {
        if (!strcmp(exporters[i].name, format) || !exporters[i].knows(node->op)) continue;
        size_t used = strlen(hint);
        snprintf(hint + used, sizeof hint - used, "%s%s", used ? ", " : "it can be written with --to ",
                 exporters[i].name);
    }
    return sw_fail(diag, SW_E_UNSUPPORTED, NULL, *hint ? hint : NULL, "node '%s' (%s): %s%s%s", node->name,
                   sw_op_get(node->op)->name, why ? why : "there is no such operator in ", why ? "" : format,
                   why ? "" : " files");
}
