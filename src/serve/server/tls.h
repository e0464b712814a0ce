/* TLS by OpenSSL, which is opened when it is first needed: nothing links it. Private to server/. */
#ifndef SLIPWAY_SERVE_SERVER_TLS_H
#define SLIPWAY_SERVE_SERVER_TLS_H

#include "serve/server/server.h"

typedef struct sw__tls sw__tls;        /* the certificate and key of a port */
typedef struct ssl_st sw__tls_session; /* of a connection; one thread at a time */

/* Reads the files; `speaks` as of the port. SW_E_IO, SW_E_INPUT with a message. `files` must outlive it. */
SW_MUST_USE sw_status sw__tls_create(const sw_server_tls *files, int speaks, const sw_diag *diag, sw__tls **tls);
void sw__tls_destroy(sw__tls *tls); /* takes NULL; sessions live on */
/* Reads the files again, for connections to come. Keeps what it has when they cannot be used. Any thread. */
SW_MUST_USE sw_status sw__tls_reload(sw__tls *tls, const sw_diag *diag);

sw__tls_session *sw__tls_accept(sw__tls *tls, int fd); /* NULL without memory. Any thread */
bool sw__tls_is_open(const sw__tls_session *session);  /* the handshake is done */
/* As sw_net_read and sw_net_write; the descriptor may become readable or writable for either. */
int64_t sw__tls_read(sw__tls_session *session, void *data, size_t size);
int64_t sw__tls_write(sw__tls_session *session, const void *first, size_t n_first, const void *second, size_t n_second);
void sw__tls_shutdown_write(sw__tls_session *session);
void sw__tls_free(sw__tls_session *session); /* takes NULL */

#endif
