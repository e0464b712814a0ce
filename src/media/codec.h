/* Inside media/: one pair of functions per format, and what formats share. */
#ifndef SLIPWAY_MEDIA_CODEC_H
#define SLIPWAY_MEDIA_CODEC_H

#include <stdbool.h>

#include "media/image.h"

/* A file in memory that is being decoded. */
typedef struct sw__source {
    const uint8_t *bytes;
    size_t size;
    const char *label; /* its name in messages */
    const sw_allocator *allocator;
    const sw_diag *diag;
    sw_pixel_order order; /* wanted; a decoder may give the other one, and say so in the picture */
} sw__source;

/* As sw_image_decode and sw_image_encode say. On failure *image may hold pixels; the caller frees them. */
SW_MUST_USE sw_status sw__jpeg_decode(const sw__source *source, sw_image *image);
SW_MUST_USE sw_status sw__png_decode(const sw__source *source, sw_image *image);
SW_MUST_USE sw_status sw__jpeg_encode(const sw_picture *picture, int quality, const sw_diag *diag, sw_buf *buf);
SW_MUST_USE sw_status sw__png_encode(const sw_picture *picture, const sw_diag *diag, sw_buf *buf);

/* sw_image_create with the sentences. `working` bytes are needed beside the pixels. */
SW_MUST_USE sw_status sw__image_begin(const sw__source *source, uint32_t width, uint32_t height, int64_t working,
                                      sw_image *image);

/* The orientation, 1..8, of an EXIF block (a TIFF header and its first directory); 1 when it says none. Reads what
 * OpenCV reads: the first tag of that number counts, as 16 bits whatever its type. */
int sw__exif_orientation(const uint8_t *tiff, size_t size);
/* Turns the picture upright. Orientation as in EXIF 2.32, table 6. */
SW_MUST_USE sw_status sw__image_turn(const sw__source *source, int orientation, sw_image *image);

#endif
