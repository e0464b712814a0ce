/* HTTP/1.1 (RFC 9112), the server's side: bytes in, requests out. No sockets, no clock.
 *
 * Strict where laxness lets two readers see different requests (smuggling): lines end with CR LF, no folded headers, no space
 * before a colon, one Content-Length of digits only, never beside Transfer-Encoding, whose only value is "chunked"; one Host.
 *
 * One object belongs to one thread at a time. */
#ifndef SLIPWAY_SERVE_HTTP_HTTP_H
#define SLIPWAY_SERVE_HTTP_HTTP_H

#include <stdbool.h>

#include "base/buf.h"

enum { SW_HTTP_MAX_HEADERS = 100, SW_HTTP_MAX_HEAD = 32 * 1024, SW_HTTP_MAX_CHUNKS = 65536 };
#define SW_HTTP_RAISE "; the server can raise it by --http-max-input-size" /* ends what is said of too large requests */

typedef enum sw_http_coding {
    SW_HTTP_IDENTITY = 0,
    SW_HTTP_GZIP = 1,
    SW_HTTP_DEFLATE = 2, /* zlib's format, as HTTP means it */
    SW_HTTP_CODING_OTHER = 4
} sw_http_coding;

typedef struct sw_http_header {
    const char *name, *value; /* name in small letters; value without space around it */
} sw_http_header;

/* Texts lie in the reader's memory, valid until sw_http_next. */
typedef struct sw_http_request {
    const char *method;    /* "GET": any token */
    const char *path;      /* as sent, percent signs and all; begins with '/' */
    const char *query;     /* behind the '?'; "" */
    int minor;             /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;       /* the client wants to go on with this connection */
    sw_http_coding coding; /* of the body */
    int accepts;           /* bits: SW_HTTP_GZIP, SW_HTTP_DEFLATE */
    int64_t json_size;     /* Inference-Header-Content-Length; -1: not given */
    int n_headers;
    sw_http_header headers[SW_HTTP_MAX_HEADERS];
    const uint8_t *body; /* body + json_size is aligned to SW_ALIGN when the body is not coded */
    size_t body_size;
} sw_http_request;

typedef enum sw_http_state {
    SW_HTTP_HEAD,  /* reads the request line and headers */
    SW_HTTP_BODY,  /* reads the body */
    SW_HTTP_READY, /* `request` is whole; call sw_http_next when it is answered */
    SW_HTTP_BROKEN /* answer `failure` with its code and close: what follows cannot be told apart */
} sw_http_state;

typedef struct sw_http {
    sw_http_state state;
    sw_http_request request;
    int failure;         /* status code to answer with, when broken */
    const char *why;     /* a sentence about it */
    bool wants_continue; /* the client waits for "100 Continue"; the caller sends it and clears this */
    /* private: */
    size_t max_body;
    sw_buf head, body, line;
    size_t scanned, offset,
        missing; /* of the head; where the body begins in its buffer; what the body or chunk lacks */
    int chunks, chunk_state;
    bool chunked;
    char problem[192];
} sw_http;

/* `max_body`: the most bytes that a body may have, coded or not. */
void sw_http_init(sw_http *http, const sw_allocator *allocator, size_t max_body);
void sw_http_free(sw_http *http);
/* Takes bytes up to the end of the request; returns how many it took (all, unless the request is whole or broken). */
size_t sw_http_feed(sw_http *http, const void *data, size_t size);
/* Where the rest of a body of known length may be put directly; NULL when feeding is the way. Tell with sw_http_filled. */
uint8_t *sw_http_space(sw_http *http, size_t *room);
void sw_http_filled(sw_http *http, size_t size);
/* Whether bytes of a request were read, but not all. */
bool sw_http_is_midway(const sw_http *http);
/* Undoes the body's coding, within max_body: afterwards the request has none. False: `failure` and `why` tell. */
bool sw_http_decode(sw_http *http);
/* Forgets the request. Keeps up to a page of memory for the next. */
void sw_http_next(sw_http *http);

/* The value of a header, by its name in small letters; NULL when it is missing. */
const char *sw_http_header_of(const sw_http_request *request, const char *name);
/* The value of a query parameter, not decoded, in `value` (cut to it); false when it is missing. */
bool sw_http_query(const char *query, const char *name, char *value, size_t size);
/* Decodes percent signs of text[0..n) into `out`; false for broken ones, zeros, or where it does not fit. */
bool sw_http_unescape(const char *text, size_t n, char *out, size_t size);

/* -- Answers ------------------------------------------------------------------------------------------------------- */

typedef struct sw_http_answer {
    int status;
    const char *type;      /* Content-Type; NULL: none */
    int64_t json_size;     /* Inference-Header-Content-Length; negative: none */
    sw_http_coding coding; /* of the body */
    const char *more;      /* further header lines, each with its CR LF; NULL: none */
    bool close;            /* the connection ends after it */
} sw_http_answer;

/* Appends the head of an answer whose body has `size` bytes. */
void sw_http_answer_head(sw_buf *out, const sw_http_answer *answer, size_t size);

/* Appends the bytes in the coding. SW_E_NOMEM, SW_E_LIMIT. */
SW_MUST_USE sw_status sw_http_encode(sw_http_coding coding, const void *data, size_t size, sw_buf *out);
/* Appends what a body means, `most` bytes at most: SW_E_LIMIT above, SW_E_INPUT for what is broken or has something behind
 * its end. */
SW_MUST_USE sw_status sw_http_inflate(const void *data, size_t size, size_t most, sw_buf *out);

#endif
