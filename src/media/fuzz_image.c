/* Any bytes: decoding ends with a picture or a status. A picture can be drawn on and written again, and reads
 * back. */
#include <stdlib.h>
#include <string.h>

#include "media/draw.h"
#include "media/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const sw_image *image) {
    sw_draw_box box = {.x1 = 1, .y1 = 1, .x2 = 30, .y2 = 20, .confidence = 0.5f, .name = "fuzz"};
    if (sw_draw_boxes(&image->picture, &box, 1, NULL, NULL) != SW_OK) return;
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_image back;
    if (sw_image_encode(&image->picture, SW_IMAGE_PNG, 0, NULL, &buf) == SW_OK) {
        if (sw_image_decode(buf.data, buf.size, "again", NULL, NULL, &back) != SW_OK) abort();
        size_t row = (size_t)image->picture.width * 3;
        if (memcmp(back.picture.data, image->picture.data, row) != 0) abort();
        sw_image_destroy(&back);
    }
    sw_buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { MAX_USED = 1 << 20 };              /* pixels: writing larger ones teaches nothing and takes long */
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    if (!exact) return 0;
    if (size) memcpy(exact, data, size);
    sw_image image;
    if (sw_image_decode(exact, size, "fuzz", NULL, NULL, &image) == SW_OK) {
        if ((int64_t)image.picture.width * image.picture.height <= MAX_USED) use(&image);
        sw_image_destroy(&image);
    }
    free(exact);
    return 0;
}
