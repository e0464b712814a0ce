/* Any bytes: an array or a status. What is read is written, and reads again. */
#include <stdlib.h>
#include <string.h>

#include "base/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    if (!exact) return 0;
    if (size) memcpy(exact, data, size);
    sw_tensor t, back;
    if (sw_npy_parse(exact, size, "fuzz", NULL, NULL, &t) == SW_OK) {
        sw_buf buf = sw_buf_make(NULL, 0);
        sw_npy_format(&t, &buf);
        if (sw_npy_parse(buf.data, buf.size, "again", NULL, NULL, &back) != SW_OK) abort();
        if (back.rank != t.rank || memcmp(back.data, t.data, (size_t)sw_tensor_bytes(&t)) != 0) abort();
        sw_free(NULL, back.data);
        sw_free(NULL, t.data);
        sw_buf_free(&buf);
    }
    free(exact);
    return 0;
}
