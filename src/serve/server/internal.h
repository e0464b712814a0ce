/* Loops, connections and calls. Private to server/ and grpc/.
 *
 * A connection belongs to its loop's thread. A call is a request that the core, or a thread for slow work, has; it comes back
 * to its loop by sw__call_return, and its connection stays until then, even when the client has gone. */
#ifndef SLIPWAY_SERVE_SERVER_INTERNAL_H
#define SLIPWAY_SERVE_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/net.h"
#include "base/os.h"
#include "serve/detectors.h"
#include "serve/http/http.h"
#include "serve/kserve/kserve.h"
#include "serve/server/overhead.h"
#include "serve/server/server.h"
#include "serve/server/tls.h"

enum { SW__SCRATCH_BYTES = 64 * 1024, SW__MAX_LISTENERS = 20, SW__MAX_VERSIONS = 4096 };

typedef struct sw__conn sw__conn;
typedef struct sw__loop sw__loop;
typedef struct sw__h2 sw__h2;
typedef struct sw__jobs sw__jobs;

/* Tags of events begin with what they are. */
typedef enum sw__tag { SW__TAG_LISTENER, SW__TAG_CONN } sw__tag;

typedef struct sw__listener {
    sw__tag tag;
    int fd, speaks;
    sw__tls *tls; /* NULL: none */
} sw__listener;

typedef struct sw__call {
    sw_kserve_request k; /* its `request.user` is the call */
    sw__conn *conn;
    sw__loop *loop;
    /* From the results to `body`, on the thread that has them; then what to do with it, on the loop's thread. */
    void (*encode)(struct sw__call *call);
    void (*finish)(struct sw__call *call);
    void (*cancel)(struct sw__call *call); /* of what is not one request of the core's; NULL */
    sw_buf body;
    int64_t json_size;
    sw_serve_error error;
    int64_t read_ns;                 /* when the last byte of the request was read */
    int accepts;                     /* codings of the answer that the client takes */
    sw_http_coding coding;           /* of the body */
    bool finished;                   /* it ended within submit */
    bool at_core;                    /* submitted, and done() has not come; under the loop's lock */
    void *owner;                     /* of gRPC: its stream; of pictures: what to do */
    sw_buf message;                  /* of gRPC: what the inputs lie in, where it is not the stream */
    bool ready;                      /* of a gRPC stream: its answer is in `body`, and waits for its turn */
    struct sw__call *sibling;        /* the next of a gRPC stream */
    struct sw__call *next;           /* of those returned, or free */
    struct sw__call *after, *before; /* of the connection's */
} sw__call;

struct sw__conn {
    sw__tag tag;
    int fd, speaks;
    sw__loop *loop;
    sw__conn *next, *before;
    sw__tls_session *tls; /* NULL: none */
    sw_http *http;        /* while a request is read or answered */
    sw__h2 *h2;           /* once it is HTTP/2 */
    sw_buf out, rest;     /* not yet written; read but not yet taken */
    size_t sent;          /* of out */
    sw__call *calls;      /* under way */
    int64_t read_ns;      /* the last read */
    int64_t since_ns;     /* the last time that something happened, or the request began */
    uint64_t received;    /* bytes of the request under way */
    bool readable, ended; /* there may be more to read; the client sends no more */
    bool closing, closed; /* ends when all is written; has ended */
    bool busy;            /* HTTP/1: a request waits for its answer */
    bool sniffed;
    bool draining; /* closing, but what the client still sends is read first */
};

struct sw__loop {
    sw_server *server;
    sw_thread thread;
    sw_poller poller;
    sw__conn *conns;
    sw__call *free_calls;
    sw_http *free_http[16];
    int n_free_http, n_conns, n_free_calls;
    _Atomic(sw__call *) returned;
    atomic_int returning; /* threads that are within sw__call_return, and may yet wake the loop */
    sw_buf out, body; /* of the connection that is being served; of an answer */
    uint8_t *scratch;
    int64_t now_ns, swept_ns;
    sw__overhead overhead[SW__PROTOCOLS];
    pthread_mutex_t lock; /* recursive: keeps done() and the cancelling of a call apart */
    bool paused;          /* listeners, for want of descriptors */
};

struct sw_server {
    sw_serve *core;
    sw_server_options options;
    sw__listener listeners[SW__MAX_LISTENERS];
    int n_listeners, n_loops;
    sw__loop *loops;
    sw__jobs *jobs;
    sw__detectors *detectors;
    sw_regions *regions;           /* NULL: clients may not use shared memory */
    atomic_bool stopping, leaving; /* no new requests; end now */
};

/* -- Loop ---------------------------------------------------------------------------------------------------------- */

SW_MUST_USE sw_status sw__loop_start(sw__loop *loop, sw_server *server);
void sw__loop_join(sw__loop *loop);

/* What to append an answer to. */
sw_buf *sw__conn_out(sw__conn *conn);
/* Writes `body` behind what is pending, without copying it if the socket takes it. */
void sw__conn_send(sw__conn *conn, const void *body, size_t size);
void sw__conn_flush(sw__conn *conn);
/* Whether a request that began then should be there, with so many bytes of it received. */
bool sw__conn_is_slow(const sw__conn *conn, int64_t since_ns, uint64_t received);

/* -- Calls --------------------------------------------------------------------------------------------------------- */

/* NULL without memory. */
sw__call *sw__call_begin(sw__conn *conn);
/* Looks the model up, for `version` as text ("" or NULL: any). */
SW_MUST_USE sw_serve_code sw__call_find(sw__call *call, const char *name, const char *version,
                                        const sw_serve_hint *hint);
/* Hands it to the core; encode and finish follow, perhaps before it returns. */
void sw__call_submit(sw__call *call);
/* Its answer is being queued: counts what the server added, when it is a good one. */
void sw__call_note(const sw__call *call, sw__protocol protocol);
/* Likewise for a model to load or unload. */
void sw__call_load(sw__call *call, const char *name, const sw_kserve_load *load, bool unload);
/* From any thread: the call's work is done. */
void sw__call_return(sw__call *call);
/* On the loop's thread: nobody waits for it any more. */
void sw__call_cancel(sw__call *call);
void sw__call_end(sw__call *call); /* gives it back */
/* Why a region of CUDA shared memory cannot be registered. */
void sw__no_cuda_regions(const sw_server *server, const char *name, sw_serve_error *error);
/* For rules of routing, when the model is theirs to choose and they look at sizes: that of a picture's file; that of a
 * request's first input. */
void sw__hint_measure(sw_serve_hint *hint, const sw_server *server, const char *model, const void *bytes, size_t size);
void sw__hint_measure_input(sw_serve_hint *hint, const sw_server *server, const char *model,
                            const sw_serve_request *request);
SW_MUST_USE bool sw__parse_version(const char *text, int64_t *version);

/* -- HTTP/1 -------------------------------------------------------------------------------------------------------- */

/* Takes bytes; returns how many were taken. */
size_t sw__http_take(sw__conn *conn, const uint8_t *data, size_t size);
void sw__http_answer(sw__conn *conn, const sw_http_answer *answer, const void *body, size_t size);
void sw__http_error(sw__conn *conn, const sw_serve_error *error);
/* Answers the request that conn->http has read, or begins a call that will. */
void sw__http_dispatch(sw__conn *conn);
/* An inference request for a model. */
void sw__http_infer(sw__conn *conn, const char *model, const char *version);

/* -- HTTP/2 -------------------------------------------------------------------------------------------------------- */

SW_MUST_USE sw_status sw__h2_create(sw__conn *conn);
void sw__h2_destroy(sw__h2 *h2);
/* False when the connection must end. */
bool sw__h2_take(sw__conn *conn, const uint8_t *data, size_t size);
/* Writes what the session has to say to sw__conn_out. */
void sw__h2_pump(sw__conn *conn);
/* No new streams; it ends when those that are open have been answered. */
void sw__h2_stop(sw__conn *conn);
bool sw__h2_is_idle(const sw__conn *conn);
/* Ends streams whose requests take too long to come. */
void sw__h2_sweep(sw__conn *conn);

#endif
