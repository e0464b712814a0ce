/* Requests in pieces: the first byte says how long the pieces are. */
#include <stdint.h>

#include "serve/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sw_http h;
    sw_http_init(&h, NULL, 1 << 16);
    size_t piece = size ? (size_t)data[0] + 1 : 1;
    for (size_t at = 1; at < size && h.state != SW_HTTP_BROKEN;) {
        size_t n = size - at < piece ? size - at : piece;
        at += sw_http_feed(&h, data + at, n);
        if (h.state != SW_HTTP_READY) continue;
        volatile uint8_t last = h.request.body_size ? h.request.body[h.request.body_size - 1] : 0;
        (void)last;
        if (sw_http_decode(&h)) sw_http_next(&h);
    }
    sw_http_free(&h);
    return 0;
}
