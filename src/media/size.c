/* How large a picture is, from its head alone. */
#include <string.h>

#include "media/codec.h"

static uint32_t big(const uint8_t *at, int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | at[i];
    return value;
}

typedef struct measured {
    uint32_t width, height;
    int orientation;
} measured;

/* Markers up to the frame's (ITU T.81, B.1). */
static bool measure_jpeg(const uint8_t *bytes, size_t size, measured *m) {
    for (size_t at = 2; size - at >= 4;) {
        if (bytes[at] != 0xff) return false;
        uint8_t marker = bytes[at + 1];
        if (marker == 0xff || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) { /* fill bytes; no length */
            at += marker == 0xff ? 1 : 2;
            if (at > size) return false;
            continue;
        }
        size_t length = big(bytes + at + 2, 2);
        const uint8_t *segment = bytes + at + 4;
        if (length < 2 || size - at - 2 < length) return false;
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
            if (length < 7) return false;
            m->height = big(segment + 1, 2);
            m->width = big(segment + 3, 2);
            return true;
        }
        if (marker == 0xda || marker == 0xd9) return false;
        if (marker == 0xe1 && length >= 8 && !memcmp(segment, "Exif\0", 6))
            m->orientation = sw__exif_orientation(segment + 6, length - 8);
        at += 2 + length;
    }
    return false;
}

/* IHDR comes first; eXIf, if there is one, before or after the pixels (PNG, third edition, 5.6). */
static bool measure_png(const uint8_t *bytes, size_t size, measured *m) {
    for (size_t at = 8; size - at >= 12;) {
        uint32_t length = big(bytes + at, 4);
        const uint8_t *data = bytes + at + 8;
        if (length > size - at - 12) break;
        if (!memcmp(bytes + at + 4, "IHDR", 4) && length >= 8) {
            m->width = big(data, 4);
            m->height = big(data + 4, 4);
        } else if (!memcmp(bytes + at + 4, "eXIf", 4)) {
            m->orientation = sw__exif_orientation(data, length);
        }
        at += 12 + length;
    }
    return m->width > 0;
}

bool sw_image_measure(const void *bytes, size_t size, int *width, int *height) {
    const char *format = sw_image_sniff(bytes, size);
    measured m = {.orientation = 1};
    bool known = format && ((!strcmp(format, "JPEG") && measure_jpeg(bytes, size, &m)) ||
                            (!strcmp(format, "PNG") && measure_png(bytes, size, &m)));
    if (!known || m.width < 1 || m.height < 1 || m.width > INT32_MAX || m.height > INT32_MAX) return false;
    bool swapped = m.orientation >= 5;
    *width = (int)(swapped ? m.height : m.width);
    *height = (int)(swapped ? m.width : m.height);
    return true;
}
