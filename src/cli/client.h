/* What the files of slipway client share. */
#ifndef SLIPWAY_CLI_CLIENT_H
#define SLIPWAY_CLI_CLIENT_H

#include "base/buf.h"
#include "cli/verb.h"
#include "slipway/tensor.h"

enum { SW_CLIENT_MAX_PORTS = 64 };

typedef struct sw_client_port {
    const char *name;
    int dtype, rank; /* dtype: as serve/core.h */
    int64_t dims[SW_MAX_RANK];
    void *data; /* of --input, owned; NULL: zeros */
    size_t bytes;
} sw_client_port;

typedef struct sw_client {
    const sw_args *args;
    sw_console *console;
    const sw_diag *diag;
    const char *host, *model;
    int http_port, grpc_port, n_inputs;
    bool answered; /* a request was, under some load */
    sw_client_port inputs[SW_CLIENT_MAX_PORTS];
    sw_buf request;
} sw_client;

/* One port of the server's JSON, whose beginning has been read. `bytes`: its binary_data_size, where it has one. */
struct sw_json_reader;
SW_MUST_USE sw_status sw_client_read_port(sw_client *client, struct sw_json_reader *reader, sw_client_port *port);
/* Files of --input, for the inputs that the server told: arrays, or for texts the bytes of any file. */
SW_MUST_USE sw_status sw_client_read_inputs(sw_client *client);
/* Asks once, and shows what comes back. */
SW_MUST_USE sw_status sw_client_once(sw_client *client);

#endif
