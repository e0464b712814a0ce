#include "media/codec.h"

enum { TAG_ORIENTATION = 0x0112, ENTRY_BYTES = 12 };

/* Sequential access with a bound; a read beyond the end gives 0 and sticks. */
typedef struct tiff_reader {
    const uint8_t *bytes;
    size_t size;
    bool little, failed;
} tiff_reader;

static uint32_t read_number(tiff_reader *r, size_t at, size_t width) {
    if (at > r->size || r->size - at < width) {
        r->failed = true;
        return 0;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < width; i++) value = value << 8 | r->bytes[at + (r->little ? width - 1 - i : i)];
    return value;
}

int sw__exif_orientation(const uint8_t *tiff, size_t size) {
    tiff_reader r = {.bytes = tiff, .size = size};
    if (size < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M')) return 1;
    r.little = tiff[0] == 'I';
    if (read_number(&r, 2, 2) != 42) return 1;
    size_t at = read_number(&r, 4, 4);
    uint32_t entries = read_number(&r, at, 2);
    at += 2;
    for (uint32_t i = 0; i < entries && !r.failed; i++, at += ENTRY_BYTES) {
        if (read_number(&r, at, 2) != TAG_ORIENTATION) continue;
        uint32_t value = read_number(&r, at + 8, 2);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* Where pixel (x, y) of the picture as stored goes: origin + x * step_x + y * step_y. */
typedef struct turned {
    uint8_t *origin;
    ptrdiff_t step_x, step_y;
} turned;

static turned turned_view(const sw_picture *to, int orientation) {
    ptrdiff_t across = 3, down = (ptrdiff_t)to->pitch;
    bool swapped = orientation >= 5; /* rows become columns */
    bool from_right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    turned view = {.origin = to->data};
    if (from_right) view.origin += across * (to->width - 1), across = -across;
    if (from_bottom) view.origin += down * (to->height - 1), down = -down;
    view.step_x = swapped ? down : across;
    view.step_y = swapped ? across : down;
    return view;
}

/* Goes through the source in strips of rows: a turn by 90 degrees then writes runs of `strip` pixels. */
static void turn_pixels(const sw_picture *from, turned view) {
    enum { STRIP = 16 };
    for (int top = 0; top < from->height; top += STRIP) {
        int bottom = top + STRIP < from->height ? top + STRIP : from->height;
        for (int x = 0; x < from->width; x++) {
            const uint8_t *source = from->data + (size_t)top * from->pitch + (size_t)x * 3;
            uint8_t *target = view.origin + x * view.step_x + top * view.step_y;
            for (int y = top; y < bottom; y++, source += from->pitch, target += view.step_y) {
                target[0] = source[0];
                target[1] = source[1];
                target[2] = source[2];
            }
        }
    }
}

sw_status sw__image_turn(const sw__source *source, int orientation, sw_image *image) {
    if (orientation <= 1) return SW_OK;
    const sw_picture *from = &image->picture;
    uint32_t width = (uint32_t)from->width, height = (uint32_t)from->height;
    int64_t working = (int64_t)from->pitch * from->height;
    bool swapped = orientation >= 5;
    sw_image upright;
    SW_TRY(sw__image_begin(source, swapped ? height : width, swapped ? width : height, working, &upright));
    upright.picture.order = from->order;
    turn_pixels(from, turned_view(&upright.picture, orientation));
    sw_image_destroy(image);
    *image = upright;
    return SW_OK;
}
