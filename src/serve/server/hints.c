/* What rules of routing may look at beside headers: the size of the picture in a request. */
#include <string.h>

#include "media/image.h"
#include "serve/server/internal.h"

void sw__hint_measure(sw_serve_hint *hint, const sw_server *server, const char *model, const void *bytes, size_t size) {
    if (strcmp(model, SW_SERVE_ROUTE) || !sw_serve_routes_by_size(server->core)) return;
    if (!sw_image_measure(bytes, size, &hint->width, &hint->height)) hint->width = hint->height = 0;
}

/* The first input: a file of a picture as a text; or an array that ends in height, width, 3, or in 3, height, width. */
void sw__hint_measure_input(sw_serve_hint *hint, const sw_server *server, const char *model,
                            const sw_serve_request *request) {
    if (!request->n_inputs || strcmp(model, SW_SERVE_ROUTE) || !sw_serve_routes_by_size(server->core)) return;
    const sw_serve_tensor *t = &request->inputs[0];
    uint32_t length;
    if (t->dtype == SW_SERVE_BYTES && t->bytes > sizeof length) {
        memcpy(&length, t->data, sizeof length);
        if (length <= t->bytes - sizeof length)
            sw__hint_measure(hint, server, model, (const char *)t->data + sizeof length, length);
        return;
    }
    if (t->rank < 3 || t->dtype == SW_SERVE_BYTES) return;
    const int64_t *last = t->dims + t->rank - 3;
    const int64_t *sides = last[2] == 3 ? last : last + 1; /* height, width */
    if ((last[2] != 3 && last[0] != 3) || sides[0] > INT32_MAX || sides[1] > INT32_MAX) return;
    hint->height = (int)sides[0];
    hint->width = (int)sides[1];
}
