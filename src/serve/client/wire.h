/* One connection of a client: requests out, answers in. Private to client/. */
#ifndef SLIPWAY_SERVE_CLIENT_WIRE_H
#define SLIPWAY_SERVE_CLIENT_WIRE_H

#include "serve/client/load.h"

typedef struct sw__wire sw__wire;

/* Connects. */
SW_MUST_USE sw_status sw__wire_open(const sw_client_options *options, sw__wire **wire);
void sw__wire_close(sw__wire *wire); /* takes NULL */
int sw__wire_fd(const sw__wire *wire);
/* Sends the request of the options. One at a time. */
SW_MUST_USE sw_status sw__wire_ask(sw__wire *wire);
/* Reads what there is; *done when the answer is whole, with its failure ("" when it is good). */
SW_MUST_USE sw_status sw__wire_read(sw__wire *wire, bool *done, const char **failure);
/* The body of an HTTP answer that is whole, and its status. */
const sw_buf *sw__wire_body(const sw__wire *wire, size_t *from, int *status);

#endif
