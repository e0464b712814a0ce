/* multipart/form-data (RFC 7578) in memory. */
#ifndef SLIPWAY_SERVE_SERVER_MULTIPART_H
#define SLIPWAY_SERVE_SERVER_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sw__multipart {
    const uint8_t *body;
    size_t size, at;
    char boundary[80];
} sw__multipart;

typedef struct sw__part {
    char name[256]; /* of the file, else of the field, else "picture" */
    const uint8_t *data;
    size_t size;
} sw__part;

/* `type`: the Content-Type. False when it has no boundary, or the body does not have it. */
bool sw__multipart_begin(sw__multipart *m, const char *type, const uint8_t *body, size_t size);
/* 1: a part; 0: there are no more; -1: the body is broken. */
int sw__multipart_next(sw__multipart *m, sw__part *part);

#endif
