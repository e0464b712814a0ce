/* Pictures: decode and encode JPEG and PNG.
 *
 * A decoded picture has the pixels that OpenCV's imread (IMREAD_COLOR) and so Ultralytics would see: 8 bits, three channels
 * in the order blue, green, red; turned upright by its EXIF orientation; alpha dropped; 16-bit samples cut to their high
 * byte. The format is told by the first bytes, never by the name.
 *
 * Nothing here keeps state: any function may run in any thread, but one sw_image belongs to one thread at a time. */
#ifndef SLIPWAY_MEDIA_IMAGE_H
#define SLIPWAY_MEDIA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "slipway/status.h"

/* Larger pictures are refused with SW_E_LIMIT before memory is taken for them. The last one also bounds what decoding needs
 * beside the pixels (the coefficients of a progressive JPEG, the copy that turns an interlaced PNG). */
#define SW_IMAGE_MAX_SIDE   65536
#define SW_IMAGE_MAX_PIXELS ((int64_t)1 << 28)
#define SW_IMAGE_MAX_BYTES  ((int64_t)896 << 20)
/* The largest file that sw_image_load reads. */
#define SW_IMAGE_MAX_FILE ((int64_t)512 << 20)

/* Interleaved 8-bit BGR, top row first. Row y starts at pixels + y * pitch; its bytes are b g r, b g r ... */
typedef struct sw_image {
    int width, height;             /* pixels, 1..SW_IMAGE_MAX_SIDE */
    ptrdiff_t pitch;               /* bytes from a row to the next, at least 3 * width */
    uint8_t *pixels;               /* NULL when empty */
    void *block;                   /* what sw_image_destroy frees; NULL for a view of someone else's pixels */
    const sw_allocator *allocator; /* of `block`; NULL is the process heap */
} sw_image;

typedef enum sw_image_format { SW_IMAGE_NONE, SW_IMAGE_JPEG, SW_IMAGE_PNG } sw_image_format;

/* A picture of undefined pixels. SW_E_LIMIT outside the limits above, SW_E_NOMEM. On failure *out is empty. */
SW_MUST_USE sw_status sw_image_create(int width, int height, const sw_allocator *allocator, const sw_diag *diag,
                                      sw_image *out);
/* Frees the pixels that the picture owns and leaves it empty; takes NULL and empty pictures. */
void sw_image_destroy(sw_image *image);

/* Decodes a whole file held in memory. `label` names it in messages (a file name; NULL: "picture").
 * JPEG: baseline, extended and progressive with 8 bits; grey, YCbCr, RGB, CMYK and YCCK. Damage that libjpeg can step over,
 * and an early end after the first row of blocks, give the picture and a warning; what is missing is grey.
 * PNG: every colour type and depth, interlaced too. Must be whole up to its last row.
 * SW_E_INPUT: not a picture, a broken one, or one in a format that is known but not read (the message names it);
 * SW_E_LIMIT, SW_E_NOMEM. On success the caller owns *out (sw_image_destroy); on failure it is empty. */
SW_MUST_USE sw_status sw_image_decode(const void *bytes, size_t size, const char *label,
                                      const sw_allocator *allocator, const sw_diag *diag, sw_image *out);
/* The same for a file. SW_E_IO when it cannot be read, SW_E_LIMIT above SW_IMAGE_MAX_FILE. */
SW_MUST_USE sw_status sw_image_load(const char *path, const sw_allocator *allocator, const sw_diag *diag,
                                    sw_image *out);

/* Encodes into a new block of the allocator that the caller frees (sw_free). `quality` is 1..100 for JPEG (95 is a good
 * one; 4:2:0 below 90, 4:4:4 from there) and ignored for PNG. SW_E_LIMIT above 1 GiB or 65,500 pixels a side (JPEG). */
SW_MUST_USE sw_status sw_image_encode(const sw_image *image, sw_image_format format, int quality,
                                      const sw_allocator *allocator, const sw_diag *diag, uint8_t **bytes,
                                      size_t *size);
/* Writes a file, in the format that the name's ending asks for (.jpg .jpeg .png in any case; SW_E_USAGE for others).
 * The file appears under its name only when it is whole: it is written beside it and renamed. SW_E_IO when that fails; then
 * nothing new is left behind and an older file of that name is as it was. */
SW_MUST_USE sw_status sw_image_save(const char *path, const sw_image *image, int quality, const sw_diag *diag);

/* The name of the format that the first bytes tell: "JPEG", "PNG", or one that is known but not read ("WebP", "GIF",
 * "BMP", "TIFF", "AVIF", "HEIC", "JPEG XL", "JPEG 2000", "MP4", "AVI", "Matroska", "PDF", "SVG", "PSD"). NULL when unknown.
 * 32 bytes are enough. */
const char *sw_image_sniff(const void *bytes, size_t size);
/* The format that a name's ending asks for (.jpg .jpeg .jpe .jfif .png in any case), else SW_IMAGE_NONE: for choosing the
 * pictures of a folder and for checking an output name early. */
sw_image_format sw_image_format_of_name(const char *path);

#endif
