/* The server: listens, speaks HTTP and gRPC, hands requests to the core.
 *
 * One thread per loop waits for its connections (epoll); small models compute on it, others on threads of the core, whose
 * results come back through a queue. Nothing else is shared between loops. */
#ifndef SLIPWAY_SERVE_SERVER_SERVER_H
#define SLIPWAY_SERVE_SERVER_SERVER_H

#include "serve/core.h"
#include "serve/server/recorder.h"

typedef struct sw_server sw_server;

/* What a port speaks. Where it is both HTTP and gRPC, the first bytes of a connection tell. */
enum { SW_SERVER_HTTP = 1, SW_SERVER_GRPC = 2, SW_SERVER_METRICS = 4 };

/* Groups of routes, as Triton names them for restricting access. */
#define SW_SERVER_GROUPS(X)                                                                                            \
    X(SW_GROUP_HEALTH, "health")                                                                                       \
    X(SW_GROUP_METADATA, "metadata")                                                                                   \
    X(SW_GROUP_INFERENCE, "inference")                                                                                 \
    X(SW_GROUP_SHARED_MEMORY, "shared-memory")                                                                         \
    X(SW_GROUP_CONFIG, "model-config")                                                                                 \
    X(SW_GROUP_REPOSITORY, "model-repository")                                                                         \
    X(SW_GROUP_STATISTICS, "statistics")                                                                               \
    X(SW_GROUP_TRACE, "trace")                                                                                         \
    X(SW_GROUP_LOGGING, "logging")                                                                                     \
    X(SW_GROUP_ROUTE, "route")
typedef enum sw_server_group {
#define SW_SERVER_GROUP(name, text) name,
    SW_SERVER_GROUPS(SW_SERVER_GROUP)
#undef SW_SERVER_GROUP
        SW_GROUP_COUNT
} sw_server_group;

typedef struct sw_server_key {
    const char *header, *value; /* header in small letters; NULL: the group is open */
} sw_server_key;

/* PEM files of TLS. */
typedef struct sw_server_tls {
    const char *cert, *key; /* the server's, perhaps with the chain above it; NULL: no TLS */
    const char *root;       /* clients must have a certificate by one of these; NULL: they need none */
} sw_server_tls;

/* Zeroed fields mean what is said there. Texts must live as long as the server. */
typedef struct sw_server_options {
    const char *host; /* NULL: all addresses */
    int http_port, grpc_port,
        metrics_port;                  /* negative: none; 0: a free one. Equal ones are one port that speaks both */
    const char *unix_path;             /* a Unix socket that speaks everything; NULL: none */
    int threads;                       /* loops; 0: one for every four CPUs, one at least */
    size_t max_body;                   /* bytes; 0: 64 MiB */
    int idle_seconds, request_seconds; /* without a request, to send one; 0: 300, 30 */
    int stop_seconds;                  /* for requests under way when the server stops; 0: 30 */
    bool shared_memory;                /* clients may register system shared memory for tensors */
    sw_server_key http_keys[SW_GROUP_COUNT], grpc_keys[SW_GROUP_COUNT];
    sw_server_tls http_tls, grpc_tls; /* on a port for both they must be the same; a Unix socket has none */
    sw_recorder *recorder;            /* whose settings clients may change; outlives the server. Not NULL */
    const sw_diag *diag;              /* calls come one at a time */
} sw_server_options;

/* Listens, and answers from then on. The core must outlive it. SW_E_IO when a port is taken, with a message. */
SW_MUST_USE sw_status sw_server_create(sw_serve *core, const sw_server_options *options, sw_server **server);
/* Reads the files of TLS again, for connections to come, and opens the access log anew; what cannot be used is told, and the
 * old ones stay. Any thread. */
void sw_server_reload(sw_server *server);
/* The ports that it listens on: 0 where it does not. */
int sw_server_port(const sw_server *server, int what);
/* Stops taking connections and requests, waits for those under way, ends all connections. Takes NULL. */
void sw_server_destroy(sw_server *server);

#endif
