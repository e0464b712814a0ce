/* The head of a request. Private to http/. */
#ifndef SLIPWAY_SERVE_HTTP_HEAD_H
#define SLIPWAY_SERVE_HTTP_HEAD_H

#include "serve/http/http.h"

typedef struct sw__http_framing {
    int64_t length; /* Content-Length; -1: none */
    bool chunked, expects_continue;
} sw__http_framing;

/* Parses a head, up to and with its empty line; `text` is changed (zeros end names and values), and the request points into
 * it. 0 when good, else the status code to answer with, and why. */
int sw__http_parse_head(char *text, size_t size, sw_http_request *request, sw__http_framing *framing, const char **why);

#endif
