/* For tests/py/test_media.py: decodes pictures as Slipway does and writes their pixels.
 * image-check PICTURE OUTPUT ...: for each pair prints "WIDTH HEIGHT" and writes the BGR bytes row by row, or prints
 * "CODE TEXT" of the failure; messages go to the standard error. */
#include <stdio.h>

#include "base/os.h"
#include "media/image.h"

static void print_message(void *ctx, const sw_message *message) {
    (void)ctx;
    fprintf(stderr, "%s: %s\n", message->where ? message->where : "", message->text);
}

int main(int argc, char **argv) {
    sw_diag diag = {.emit = print_message};
    for (int i = 1; i + 1 < argc; i += 2) {
        sw_image image;
        sw_status status = sw_image_load(argv[i], NULL, &diag, &image);
        if (status == SW_OK) {
            const sw_picture *picture = &image.picture;
            status = sw_file_write(argv[i + 1], picture->data, picture->pitch * (size_t)picture->height, &diag);
        }
        if (status == SW_OK)
            printf("%d %d\n", image.picture.width, image.picture.height);
        else
            printf("%d %s\n", sw_status_exit_code(status), sw_status_text(status));
        sw_image_destroy(&image);
    }
    return 0;
}
