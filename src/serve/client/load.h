/* Load on a server, and how long answers take: closed loop (each connection asks again when it is answered) or open loop
 * (requests come when they come, as users do; what waits for a free connection is counted as waiting). */
#ifndef SLIPWAY_SERVE_CLIENT_LOAD_H
#define SLIPWAY_SERVE_CLIENT_LOAD_H

#include <stdbool.h>

#include "base/buf.h"

typedef struct sw_client_options {
    const char *host;
    int port, connections;
    double seconds, warm_up; /* warm_up is not counted */
    double rate;             /* requests a second, Poisson; 0: closed loop */
    bool grpc;
    /* HTTP: a whole request. gRPC: the message, framed, for the method `path`. */
    const void *request;
    size_t size;
    const char *path;
    const sw_diag *diag;
} sw_client_options;

typedef struct sw_client_result {
    uint64_t answered, failed; /* failed: other codes than 200 and OK */
    double seconds;
    double mean_us, p50_us, p90_us, p99_us, p999_us, max_us; /* from when a request was due to the end of its answer */
    char problem[256];                                       /* the first failure; "": none */
} sw_client_result;

/* SW_E_IO when the server cannot be reached or ends connections; SW_E_NOMEM. */
SW_MUST_USE sw_status sw_client_run(const sw_client_options *options, sw_client_result *result);

/* One HTTP request on a connection of its own: the body of the answer, appended, and its status code. */
SW_MUST_USE sw_status sw_client_ask(const char *host, int port, const void *request, size_t size, const sw_diag *diag,
                                    sw_buf *body, int *status);

#endif
