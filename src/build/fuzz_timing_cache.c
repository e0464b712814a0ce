/* Any bytes: the reader takes all or nothing. What it takes is written, reads again, and is written the same. */
#include <stdlib.h>
#include <string.h>

#include "build/timing_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(const void *data, size_t size, sw_status want, sw_buf *out) {
    sw_timings *t = sw_timings_create(NULL, "k1");
    if (!t) abort();
    sw_status status = sw_timings_parse(t, data, size);
    if (want != SW_E_INTERNAL && status != want) abort();
    if (status != SW_OK && sw_timings_count(t) != 0) abort();
    if (status == SW_OK) sw_timings_format(t, out);
    sw_timings_destroy(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    if (!exact) return 0;
    if (size) memcpy(exact, data, size);
    sw_buf once = sw_buf_make(NULL, 0), twice = sw_buf_make(NULL, 0);
    take(exact, size, SW_E_INTERNAL, &once);
    if (once.size) {
        take(once.data, once.size, SW_OK, &twice);
        if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0) abort();
    }
    sw_buf_free(&once);
    sw_buf_free(&twice);
    free(exact);
    return 0;
}
