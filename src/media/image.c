#include "media/image.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "media/codec.h"

sw_status sw_image_create(int width, int height, const sw_allocator *allocator, sw_image *image) {
    *image = (sw_image){0};
    if (width < 1 || height < 1 || width > SW_PICTURE_MAX_SIDE || height > SW_PICTURE_MAX_SIDE ||
        (int64_t)width * height > SW_IMAGE_MAX_PIXELS)
        return SW_E_LIMIT;
    size_t pitch = (size_t)width * 3;
    uint8_t *data = sw_alloc(allocator, pitch * (size_t)height);
    if (!data) return SW_E_NOMEM;
    image->allocator = allocator;
    image->picture =
        (sw_picture){.data = data, .width = width, .height = height, .pitch = pitch, .order = SW_PIXELS_BGR};
    return SW_OK;
}

void sw_image_destroy(sw_image *image) {
    if (!image) return;
    sw_free(image->allocator, image->picture.data);
    *image = (sw_image){0};
}

sw_status sw__image_begin(const sw__source *source, uint32_t width, uint32_t height, int64_t working, sw_image *image) {
    *image = (sw_image){0};
    if (width == 0 || height == 0)
        return sw_fail(source->diag, SW_E_INPUT, source->label, NULL,
                       "the picture has no pixels (%" PRIu32 " x %" PRIu32 ")", width, height);
    if (width > SW_PICTURE_MAX_SIDE || height > SW_PICTURE_MAX_SIDE || (int64_t)width * height > SW_IMAGE_MAX_PIXELS)
        return sw_fail(source->diag, SW_E_LIMIT, source->label, "scale it down first",
                       "the picture is too large: %" PRIu32 " x %" PRIu32 ", while at most %" PRId64
                       " pixels and %d a side are taken",
                       width, height, SW_IMAGE_MAX_PIXELS, SW_PICTURE_MAX_SIDE);
    int64_t bytes = (int64_t)width * height * 3 + working;
    if (bytes > SW_IMAGE_MAX_BYTES)
        return sw_fail(source->diag, SW_E_LIMIT, source->label, "scale it down first, or save it as a baseline JPEG",
                       "decoding the picture (%" PRIu32 " x %" PRIu32 ") needs %" PRId64 " MiB, while at most %" PRId64
                       " MiB are taken",
                       width, height, bytes >> 20, SW_IMAGE_MAX_BYTES >> 20);
    sw_status status = sw_image_create((int)width, (int)height, source->allocator, image);
    if (status == SW_OK) return SW_OK;
    return sw_fail(source->diag, status, source->label, NULL, "not enough memory for %" PRIu32 " x %" PRIu32 " pixels",
                   width, height);
}

typedef struct signature {
    const char *article, *name;
    enum { PICTURE, VIDEO, OTHER } kind;
    int at;            /* offset of `bytes` */
    const char *bytes; /* what must stand there */
    int length;
} signature;

#define MAGIC(text) text, (int)sizeof(text) - 1

static const signature signatures[] = {
    {"a", "JPEG", PICTURE, 0, MAGIC("\xff\xd8\xff")},
    {"a", "PNG", PICTURE, 0, MAGIC("\x89PNG\r\n\x1a\n")},
    {"a", "WebP", PICTURE, 8, MAGIC("WEBP")},
    {"a", "GIF", PICTURE, 0, MAGIC("GIF8")},
    {"a", "BMP", PICTURE, 0, MAGIC("BM")},
    {"a", "TIFF", PICTURE, 0, MAGIC("II*\0")},
    {"a", "TIFF", PICTURE, 0, MAGIC("MM\0*")},
    {"a", "TIFF", PICTURE, 0, MAGIC("II+\0")},
    {"a", "TIFF", PICTURE, 0, MAGIC("MM\0+")},
    {"an", "AVIF", PICTURE, 4, MAGIC("ftypavi")},
    {"a", "HEIC", PICTURE, 4, MAGIC("ftyphei")},
    {"a", "HEIC", PICTURE, 4, MAGIC("ftyphev")},
    {"a", "HEIC", PICTURE, 4, MAGIC("ftypmif1")},
    {"a", "HEIC", PICTURE, 4, MAGIC("ftypmsf1")},
    {"an", "MP4", VIDEO, 4, MAGIC("ftyp")},
    {"an", "AVI", VIDEO, 8, MAGIC("AVI ")},
    {"a", "Matroska or WebM", VIDEO, 0, MAGIC("\x1a\x45\xdf\xa3")},
    {"a", "JPEG 2000", PICTURE, 4, MAGIC("jP  \r\n\x87\n")},
    {"a", "JPEG 2000", PICTURE, 0, MAGIC("\xff\x4f\xff\x51")},
    {"a", "JPEG XL", PICTURE, 4, MAGIC("JXL \r\n\x87\n")},
    {"a", "JPEG XL", PICTURE, 0, MAGIC("\xff\x0a")},
    {"an", "OpenEXR", PICTURE, 0, MAGIC("\x76\x2f\x31\x01")},
    {"a", "Radiance HDR", PICTURE, 0, MAGIC("#?RADIANCE")},
    {"a", "Photoshop", PICTURE, 0, MAGIC("8BPS")},
    {"an", "icon", PICTURE, 0, MAGIC("\0\0\1\0")},
    {"a", "netpbm", PICTURE, 0, MAGIC("P3\n")},
    {"a", "netpbm", PICTURE, 0, MAGIC("P5\n")},
    {"a", "netpbm", PICTURE, 0, MAGIC("P6\n")},
    {"an", "SVG", PICTURE, 0, MAGIC("<svg")},
    {"a", "PDF", OTHER, 0, MAGIC("%PDF")},
    {"a", "ZIP", OTHER, 0, MAGIC("PK\3\4")},
    {"a", "gzip", OTHER, 0, MAGIC("\x1f\x8b")},
    {"an", "HTML", OTHER, 0, MAGIC("<!DOCTYPE")},
    {"an", "HTML", OTHER, 0, MAGIC("<!doctype")},
    {"an", "HTML", OTHER, 0, MAGIC("<html")},
    {"a", "NumPy", OTHER, 0, MAGIC("\x93NUMPY")},
};

static const signature *find_signature(const void *bytes, size_t size) {
    for (size_t i = 0; i < sizeof(signatures) / sizeof(*signatures); i++) {
        const signature *s = &signatures[i];
        if (size >= (size_t)(s->at + s->length) &&
            memcmp((const uint8_t *)bytes + s->at, s->bytes, (size_t)s->length) == 0)
            return s;
    }
    return NULL;
}

const char *sw_image_sniff(const void *bytes, size_t size) {
    const signature *s = find_signature(bytes, size);
    return s && s->kind != OTHER ? s->name : NULL;
}

sw_image_format sw_image_format_of_name(const char *path) {
    static const struct {
        const char *end;
        sw_image_format format;
    } endings[] = {{".jpg", SW_IMAGE_JPEG},
                   {".jpeg", SW_IMAGE_JPEG},
                   {".jpe", SW_IMAGE_JPEG},
                   {".jfif", SW_IMAGE_JPEG},
                   {".png", SW_IMAGE_PNG}};
    for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
        if (sw_str_ends_like(path, endings[i].end)) return endings[i].format;
    return SW_IMAGE_NONE;
}

/* The sentence for what is neither JPEG nor PNG. */
static sw_status refuse(const sw__source *source) {
    const signature *s = find_signature(source->bytes, source->size);
    if (!s) {
        char begin[4 * 3 + 1] = "";
        for (size_t i = 0; i < 4 && i < source->size; i++)
            snprintf(begin + i * 3, sizeof begin - i * 3, " %02x", source->bytes[i]);
        return sw_fail(source->diag, SW_E_INPUT, source->label, "JPEG and PNG pictures are read",
                       "is not a picture that Slipway knows (it begins with%s)", begin);
    }
    if (s->kind == PICTURE)
        return sw_fail(source->diag, SW_E_INPUT, source->label, "convert it to JPEG or PNG",
                       "is %s %s picture, which is not supported yet", s->article, s->name);
    if (s->kind == VIDEO)
        return sw_fail(source->diag, SW_E_INPUT, source->label, "save its frames as JPEG or PNG",
                       "is %s %s video, which is not supported yet", s->article, s->name);
    return sw_fail(source->diag, SW_E_INPUT, source->label, "JPEG and PNG pictures are read",
                   "is not a picture but %s %s file", s->article, s->name);
}

static void swap_channels(sw_picture *p) {
    for (int y = 0; y < p->height; y++) {
        uint8_t *at = p->data + (size_t)y * p->pitch;
        for (int x = 0; x < p->width; x++, at += 3) {
            uint8_t first = at[0];
            at[0] = at[2];
            at[2] = first;
        }
    }
}

sw_status sw_image_decode_as(const void *bytes, size_t size, const char *label, sw_pixel_order order,
                             const sw_allocator *allocator, const sw_diag *diag, sw_image *image) {
    sw__source source = {
        .bytes = bytes, .size = size, .label = label, .allocator = allocator, .diag = diag, .order = order};
    *image = (sw_image){0};
    if (size == 0) return sw_fail(diag, SW_E_INPUT, label, NULL, "is empty");
    const char *format = sw_image_sniff(bytes, size);
    sw_status status;
    if (format && strcmp(format, "JPEG") == 0)
        status = sw__jpeg_decode(&source, image);
    else if (format && strcmp(format, "PNG") == 0)
        status = sw__png_decode(&source, image);
    else
        return refuse(&source);
    if (status != SW_OK) {
        sw_image_destroy(image);
    } else if (image->picture.order != order) {
        swap_channels(&image->picture);
        image->picture.order = order;
    }
    return status;
}

sw_status sw_image_decode(const void *bytes, size_t size, const char *label, const sw_allocator *allocator,
                          const sw_diag *diag, sw_image *image) {
    return sw_image_decode_as(bytes, size, label, SW_PIXELS_BGR, allocator, diag, image);
}

sw_status sw_image_load(const char *path, const sw_allocator *allocator, const sw_diag *diag, sw_image *image) {
    *image = (sw_image){0};
    sw_map map;
    SW_TRY(sw_map_open(path, diag, &map));
    sw_status status = sw_image_decode(map.data, map.size, path, allocator, diag, image);
    sw_map_close(&map);
    return status;
}

sw_status sw_image_encode(const sw_picture *picture, sw_image_format format, int quality, const sw_diag *diag,
                          sw_buf *buf) {
    switch (format) {
    case SW_IMAGE_JPEG:
        if (quality < 1 || quality > 100)
            return sw_fail(diag, SW_E_USAGE, NULL, NULL, "a JPEG quality of %d; it must be 1 to 100", quality);
        return sw__jpeg_encode(picture, quality, diag, buf);
    case SW_IMAGE_PNG:
        return sw__png_encode(picture, diag, buf);
    case SW_IMAGE_NONE:
        break;
    }
    return sw_fail(diag, SW_E_USAGE, NULL, NULL, "pictures are written as JPEG or PNG");
}

sw_status sw_image_save(const char *path, const sw_picture *picture, int quality, const sw_diag *diag) {
    sw_image_format format = sw_image_format_of_name(path);
    if (format == SW_IMAGE_NONE)
        return sw_fail(diag, SW_E_USAGE, path, "give a name that ends in .jpg or .png",
                       "its ending does not tell a picture format that can be written");
    sw_buf buf = sw_buf_make(NULL, (size_t)SW_IMAGE_MAX_BYTES);
    sw_status status = sw_image_encode(picture, format, quality, diag, &buf);
    if (status == SW_OK) status = sw_file_write(path, buf.data, buf.size, diag);
    sw_buf_free(&buf);
    return status;
}
