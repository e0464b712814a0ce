/* Arrays of tensors' elements in JSON. Private to kserve/. */
#ifndef SLIPWAY_SERVE_KSERVE_JSON_DATA_H
#define SLIPWAY_SERVE_KSERVE_JSON_DATA_H

#include "serve/kserve/kserve.h"

/* Reads a JSON array, nested or not, into input->data, taken from the request's memory; the shape and type are set. */
SW_MUST_USE sw_serve_code sw__kserve_read_array(sw_kserve_request *k, sw_serve_tensor *input, const char *text,
                                                size_t size, sw_serve_error *error);
/* Appends the elements as a flat array. */
SW_MUST_USE sw_serve_code sw__kserve_write_array(const sw_serve_tensor *tensor, sw_buf *body, sw_serve_error *error);

#endif
