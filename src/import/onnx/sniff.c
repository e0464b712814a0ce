/* What kind of file is it? */
#include "import/onnx/sniff.h"

#include <string.h>

#include "base/pb.h"
#include "import/onnx/onnx.h"

/* Fields of a ModelProto and the wire types that they have. */
static bool is_model_field(uint64_t tag) {
    switch (tag >> 3) {
    case 1:
    case 5:
        return (tag & 7) == SW_PB_VARINT;
    case 2:
    case 3:
    case 4:
    case 6:
    case 7:
    case 8:
    case 14:
    case 20:
    case 25:
    case 26:
        return (tag & 7) == SW_PB_BYTES;
    default:
        return false;
    }
}

static bool read_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 63 && *at < size; shift += 7) {
        uint8_t byte = data[(*at)++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

/* All fields up to the graph, or to the end of what there is, are fields of a model, and the first is one that a writer
 * begins with. */
bool sw_onnx_sniff(const void *bytes, size_t size) {
    const uint8_t *data = bytes;
    uint64_t tag, value;
    bool versioned = false;
    for (size_t at = 0; at < size;) {
        if (!read_varint(data, size, &at, &tag) || !is_model_field(tag)) return false;
        if (tag >> 3 == 7) return true;
        if (!read_varint(data, size, &at, &value)) return versioned;
        if (tag >> 3 == 1) versioned = value > 0 && value < 1000;
        if ((tag & 7) != SW_PB_BYTES) continue;
        if (value > size - at) return versioned;
        at += (size_t)value;
    }
    return versioned;
}

static bool is_text(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size && i < 256; i++)
        if (data[i] < 9 || (data[i] > 13 && data[i] < 32) || data[i] == 127) return false;
    return true;
}

const char *sw__looks_like(const void *bytes, size_t size) {
    static const struct {
        uint8_t at, length;
        const char *magic, *what;
    } kinds[] = {
        {0, 3, "\xff\xd8\xff", "a JPEG picture"},
        {0, 4, "\x89PNG", "a PNG picture"},
        {0, 4, "PK\3\4", "a zip archive (a .pt checkpoint of PyTorch is one)"},
        {4, 4, "TFL3", "a TensorFlow Lite model"},
        {0, 4, "\x89HDF", "an HDF5 file (Keras)"},
        {0, 6, "\x93NUMPY", "a NumPy array"},
        {0, 4, "GGUF", "a GGUF model"},
        {0, 4, "ftrt", "a TensorRT engine"},
        {0, 4, "ptrt", "a TensorRT engine"},
        {0, 2, "\x1f\x8b", "a gzip archive"},
        {0, 2, "\x80\x02", "a Python pickle (an old .pt checkpoint is one)"},
        {0, 4,
         "\x7f"
         "ELF",
         "a program"},
        {0, 26, "version https://git-lfs.gi", "a Git LFS pointer: the model itself was not downloaded (git lfs pull)"},
        {8, 2, "{\"", "a safetensors file: weights without the model that they belong to"},
        {0, 5, "<?xml", "an XML file (OpenVINO keeps its models so)"},
        {0, 9, "<!DOCTYPE", "a web page"},
        {0, 5, "<html", "a web page"},
    };
    const uint8_t *data = bytes;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= (size_t)kinds[i].at + kinds[i].length &&
            memcmp(data + kinds[i].at, kinds[i].magic, kinds[i].length) == 0)
            return kinds[i].what;
    return size == 0 ? "an empty file" : is_text(data, size) ? "a text file" : NULL;
}
