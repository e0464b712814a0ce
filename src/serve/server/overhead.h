/* What the server itself adds to a request: from the read that brought its last byte until the first byte of its answer is
 * queued, less the computing. A histogram for each loop and protocol, written by the loop's thread alone, read by any. */
#ifndef SLIPWAY_SERVE_SERVER_OVERHEAD_H
#define SLIPWAY_SERVE_SERVER_OVERHEAD_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"
#include "serve/server/server.h"

enum { SW__OVERHEAD_BOUNDS = 80 };

typedef enum sw__protocol { SW__PROTOCOL_HTTP, SW__PROTOCOL_GRPC, SW__PROTOCOLS } sw__protocol;

typedef struct sw__overhead {
    _Atomic uint64_t buckets[SW__OVERHEAD_BOUNDS + 1], ns; /* the last bucket: longer than all bounds; ns: the sum */
} sw__overhead;

/* The upper end of a bucket in ns: four to an octave, from 1 us to 0.9 s. */
int64_t sw__overhead_bound(int i);
void sw__overhead_note(sw__overhead *overhead, int64_t ns);
/* As Prometheus reads it. */
void sw__overhead_write(const sw_server *server, sw_buf *out);

#endif
