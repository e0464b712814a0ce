/* gRPC's streams over HTTP/2 (nghttp2). Private to grpc/.
 *
 * A stream lives until HTTP/2 has closed it and no call refers to it. Everything here is of the loop's thread. */
#ifndef SLIPWAY_SERVE_GRPC_H2_H
#define SLIPWAY_SERVE_GRPC_H2_H

#include <nghttp2/nghttp2.h>

#include "serve/server/internal.h"

/* Status codes of gRPC that are used. */
typedef enum sw__grpc_status {
    SW__GRPC_OK = 0,
    SW__GRPC_CANCELLED = 1,
    SW__GRPC_UNKNOWN = 2,
    SW__GRPC_INVALID_ARGUMENT = 3,
    SW__GRPC_DEADLINE_EXCEEDED = 4,
    SW__GRPC_NOT_FOUND = 5,
    SW__GRPC_ALREADY_EXISTS = 6,
    SW__GRPC_RESOURCE_EXHAUSTED = 8,
    SW__GRPC_UNIMPLEMENTED = 12,
    SW__GRPC_INTERNAL = 13,
    SW__GRPC_UNAVAILABLE = 14
} sw__grpc_status;

typedef struct sw__stream {
    sw__h2 *h2;
    struct sw__stream *next, *before;
    int32_t id;
    char path[128], content_type[40];
    char key_header[64], key_value[128]; /* a header "triton-grpc-protocol-..." of restricted routes */
    sw_buf headers;                      /* name, 0, value, 0 ...: what rules of routing may look at */
    sw_http_coding coding;               /* of messages that say they are coded */
    int accepts;                         /* codings of answers */
    int64_t deadline_ns, since_ns;       /* the client's; when it began */
    const struct sw__rpc *rpc; /* NULL until the headers are there */
    sw_buf in, out;            /* received; to be sent, from `sent` on */
    size_t taken, sent;        /* of in, of out */
    size_t held;               /* received bytes for which the window was not yet opened again */
    int calls;                 /* under way */
    sw__call *first,
        *last;             /* of a stream of requests, in their order (`sibling`): answers wait for those before them */
    bool began, ended;     /* answer: its headers went out; nothing follows but the trailers */
    bool finished, closed; /* the client has sent all; HTTP/2 knows it no more */
    bool running;          /* messages are being taken out of `in` */
    bool deferred;         /* HTTP/2 waits to be told of more to send */
    bool try_again;        /* the failure will pass */
    sw__grpc_status status;
    char message[600];
} sw__stream;

struct sw__h2 {
    nghttp2_session *session;
    sw__conn *conn;
    sw__stream *streams;
    size_t buffered; /* in all streams' `in` */
    bool stopping;
};

/* -- From rpc.c ---------------------------------------------------------------------------------------------------- */

typedef struct sw__rpc {
    const char *path;
    sw_server_group group;
    /* One message: writes the answer with sw__stream_reply and sw__stream_end, or begins a call. The message lies in
     * `owned`, which may be taken over; if that is NULL, in the stream for as long as it has calls. */
    void (*handle)(sw__stream *stream, const uint8_t *data, size_t size, sw_buf *owned);
    bool streaming;
} sw__rpc;
/* NULL: there is no such method. */
const sw__rpc *sw__rpc_find(const char *path);

/* -- From h2.c ----------------------------------------------------------------------------------------------------- */

/* Frees a stream that is closed and has no calls. Not from within sw__stream_run. */
void sw__stream_bury(sw__stream *stream);

/* -- From stream.c ------------------------------------------------------------------------------------------------- */

/* Frames a message into `out`, compressed where `coding` says so. */
void sw__grpc_frame(const sw_buf *message, sw_http_coding coding, sw_buf *out);
/* What answers of this stream are compressed with: as its requests, if the client takes that. */
sw_http_coding sw__stream_coding(const sw__stream *stream);
void sw__stream_reply(sw__stream *stream, const sw_buf *message);
/* Frames that are ready. */
void sw__stream_send(sw__stream *stream, const void *frames, size_t size);
void sw__stream_end(sw__stream *stream, sw__grpc_status status, const char *message);
/* Takes messages out of what was received. */
void sw__stream_run(sw__stream *stream);

#endif
