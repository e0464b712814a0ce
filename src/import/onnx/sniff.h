#ifndef SLIPWAY_IMPORT_ONNX_SNIFF_H
#define SLIPWAY_IMPORT_ONNX_SNIFF_H

#include <stddef.h>

/* What a file that is no ONNX model seems to be: "a JPEG picture"; NULL when there is no telling. */
const char *sw__looks_like(const void *bytes, size_t size);

#endif
