/* A picture in memory: what media/ decodes and detectors look at. */
#ifndef SLIPWAY_VISION_PICTURE_H
#define SLIPWAY_VISION_PICTURE_H

#include <stddef.h>
#include <stdint.h>

typedef enum sw_pixel_order { SW_PIXELS_RGB, SW_PIXELS_BGR } sw_pixel_order;

/* A view of 8-bit pixels, three bytes each, rows from the top. It does not own them. */
typedef struct sw_picture {
    uint8_t *data;
    int width, height; /* pixels, both at least 1 */
    size_t pitch;      /* bytes from one row to the next, at least 3 * width */
    sw_pixel_order order;
} sw_picture;

/* The longest side that is taken, in pixels. */
enum { SW_PICTURE_MAX_SIDE = 65535 };

#endif
