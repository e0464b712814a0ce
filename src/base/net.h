/* Sockets and waiting for them: what a server needs of the system. os_net.c is behind it.
 *
 * All descriptors made here do not block and are closed on exec. Functions may be called from any thread; a poller is
 * waited on by one thread at a time, and woken from any. */
#ifndef SLIPWAY_BASE_NET_H
#define SLIPWAY_BASE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slipway/status.h"

/* Listens on a TCP port of `host` (a name or address; NULL or "": all addresses). Port 0: a free one. SW_E_IO with a
 * sentence when the address is not known or taken. */
SW_MUST_USE sw_status sw_net_listen(const char *host, int port, const sw_diag *diag, int *fd);
/* Listens on a Unix socket. A socket file that nobody listens on is replaced, one in use refused. */
SW_MUST_USE sw_status sw_net_listen_unix(const char *path, const sw_diag *diag, int *fd);
/* The port of a TCP socket; 0 for others. */
int sw_net_port(int fd);
/* Connects (a client's side), waiting for it; the descriptor then does not block. */
SW_MUST_USE sw_status sw_net_connect(const char *host, int port, const sw_diag *diag, int *fd);

enum { SW_NET_END = 0, SW_NET_AGAIN = -1, SW_NET_ERROR = -2, SW_NET_FULL = -3 };
/* The next waiting connection (small writes are sent at once); SW_NET_AGAIN: none; SW_NET_FULL: no descriptor is free. */
int sw_net_accept(int listener);
/* Whether the other side of a connection is on this machine: by a Unix socket, or an address for that. */
bool sw_net_is_local(int fd);
/* Bytes read or written, SW_NET_END when the other side has sent all, SW_NET_AGAIN or SW_NET_ERROR. */
int64_t sw_net_read(int fd, void *data, size_t size);
/* Writes the two pieces one after the other; either may be empty. */
int64_t sw_net_write(int fd, const void *first, size_t n_first, const void *second, size_t n_second);
void sw_net_shutdown_write(int fd);
void sw_net_close(int fd);
/* Removes the file of a Unix socket. */
void sw_net_remove_unix(const char *path);
/* How many descriptors may be open at once, raised as far as the system allows. */
int64_t sw_net_raise_descriptors(void);

typedef struct sw_poller {
    int fd, wake;
} sw_poller;

enum { SW_POLL_READ = 1, SW_POLL_WRITE = 2, SW_POLL_ENDED = 4, SW_POLL_BROKEN = 8 };
typedef struct sw_poll_event {
    void *tag; /* NULL: the poller was woken */
    int what;
} sw_poll_event;

SW_MUST_USE sw_status sw_poller_open(const sw_diag *diag, sw_poller *poller);
void sw_poller_close(sw_poller *poller);
/* Events of a connection come once for each change (edge triggered): read and write until SW_NET_AGAIN or less than
 * asked for. */
SW_MUST_USE sw_status sw_poller_add(sw_poller *poller, int fd, void *tag);
/* A listener, perhaps shared with other pollers, of which one is told at a time; told again while connections wait. */
SW_MUST_USE sw_status sw_poller_add_listener(sw_poller *poller, int fd, void *tag);
void sw_poller_remove(sw_poller *poller, int fd);
/* Waits for up to `timeout_ms` (negative: for ever). The number of events, 0 for none. */
int sw_poller_wait(sw_poller *poller, int timeout_ms, sw_poll_event *events, int n);
void sw_poller_wake(const sw_poller *poller);

/* Signals as a descriptor: SIGTERM, SIGINT and SIGHUP no longer end the process but can be read. Call it before threads are
 * started. */
typedef enum sw_signal { SW_SIGNAL_NONE, SW_SIGNAL_STOP, SW_SIGNAL_RELOAD } sw_signal;
SW_MUST_USE sw_status sw_signals_open(const sw_diag *diag, int *fd);
sw_signal sw_signals_read(int fd);

#endif
