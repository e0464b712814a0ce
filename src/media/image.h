/* Pictures: decode and encode JPEG and PNG.
 *
 * A decoded picture has the pixels that OpenCV's imread (IMREAD_COLOR) and so Ultralytics would see: 8 bits in the
 * order blue, green, red; turned upright by its EXIF orientation; alpha dropped; 16-bit samples cut to their high
 * byte. The format is told by the first bytes, never by the name.
 *
 * Nothing here keeps state: any function may run in any thread, but one sw_image belongs to one thread at a time. */
#ifndef SLIPWAY_MEDIA_IMAGE_H
#define SLIPWAY_MEDIA_IMAGE_H

#include <stdbool.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "vision/picture.h"

/* Larger pictures (or ones with a side above SW_PICTURE_MAX_SIDE) are refused with SW_E_LIMIT before memory is
 * taken for them. The bytes bound all that decoding needs: the pixels, the coefficients of a progressive JPEG, the
 * copy that turns a picture upright. */
#define SW_IMAGE_MAX_PIXELS ((int64_t)1 << 28)
#define SW_IMAGE_MAX_BYTES  ((int64_t)896 << 20)

/* A picture that owns its pixels. Zeroed: empty. Hand `&image.picture` to what looks at pictures or draws on them. */
typedef struct sw_image {
    sw_picture picture;            /* data is NULL when empty */
    const sw_allocator *allocator; /* of the pixels; NULL is the process heap */
} sw_image;

typedef enum sw_image_format { SW_IMAGE_NONE, SW_IMAGE_JPEG, SW_IMAGE_PNG } sw_image_format;

/* A picture of undefined pixels in BGR order. SW_E_LIMIT outside the limits above, SW_E_NOMEM; both without a
 * message. On failure *image is empty. */
SW_MUST_USE sw_status sw_image_create(int width, int height, const sw_allocator *allocator, sw_image *image);
/* Frees the pixels and leaves the picture empty; takes NULL and empty pictures. */
void sw_image_destroy(sw_image *image);

/* Decodes a whole file held in memory. `label` names it in messages (a file name).
 * JPEG: baseline, extended and progressive with 8 bits; grey, YCbCr, RGB, CMYK and YCCK. Damage that libjpeg can
 * step over, and an early end after the first row of blocks, give the picture and a warning; what is missing is
 * grey.
 * PNG: every colour type and depth, interlaced too. It must be whole up to its last row.
 * SW_E_INPUT: no picture, a broken one, or one in a format that is known but not read (the message names it);
 * SW_E_LIMIT, SW_E_NOMEM. On success the caller owns *image (sw_image_destroy); on failure it is empty. */
SW_MUST_USE sw_status sw_image_decode(const void *bytes, size_t size, const char *label, const sw_allocator *allocator,
                                      const sw_diag *diag, sw_image *image);
/* The same in another order of the channels. */
SW_MUST_USE sw_status sw_image_decode_as(const void *bytes, size_t size, const char *label, sw_pixel_order order,
                                         const sw_allocator *allocator, const sw_diag *diag, sw_image *image);
/* The same for a file. SW_E_IO when it cannot be read. */
SW_MUST_USE sw_status sw_image_load(const char *path, const sw_allocator *allocator, const sw_diag *diag,
                                    sw_image *image);

/* The best JPEG quality for pictures that people look at. */
enum { SW_IMAGE_QUALITY = 92 };

/* Appends the encoded picture to `buf`. `quality` is 1..100 for JPEG (chroma at full resolution from 90 on, halved
 * below) and means nothing for PNG. SW_E_LIMIT when the buffer's maximum is reached, or a side is above JPEG's
 * 65,500; SW_E_NOMEM. After a failure the buffer may hold a part. */
SW_MUST_USE sw_status sw_image_encode(const sw_picture *picture, sw_image_format format, int quality,
                                      const sw_diag *diag, sw_buf *buf);
/* Writes a file in the format that the name's ending asks for; SW_E_USAGE for endings that sw_image_format_of_name
 * does not know. The file appears when it is whole, or (SW_E_IO) not at all. */
SW_MUST_USE sw_status sw_image_save(const char *path, const sw_picture *picture, int quality, const sw_diag *diag);

/* The format that a name's ending asks for (.jpg .jpeg .jpe .jfif .png in any case), else SW_IMAGE_NONE: for
 * choosing the pictures of a folder, and for checking an output name early. */
sw_image_format sw_image_format_of_name(const char *path);
/* Width and height that the picture will have when it is decoded, as its first bytes tell; false when they do not. */
bool sw_image_measure(const void *bytes, size_t size, int *width, int *height);
/* The name of the picture or video format that the first bytes tell: "JPEG", "PNG", or one that is known but not read
 * ("WebP", "GIF", "TIFF", "HEIC", "MP4" ...). NULL for everything else. 32 bytes are enough. */
const char *sw_image_sniff(const void *bytes, size_t size);

#endif
