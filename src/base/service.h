/* A service manager's side of a server: sockets that it hands over, and what it is told; the protocols of systemd's
 * sd_listen_fds(3) and sd_notify(3), without its library. */
#ifndef SLIPWAY_BASE_SERVICE_H
#define SLIPWAY_BASE_SERVICE_H

#include "slipway/status.h"

enum { SW_SERVICE_FIRST = 3, SW_SERVICE_MOST = 16, SW_SERVICE_NAME = 64 };

/* How many sockets were handed over to this process (LISTEN_PID, LISTEN_FDS): descriptors SW_SERVICE_FIRST and on. */
int sw_service_sockets(void);
/* Makes the i-th ready to accept from. `name`: as the manager calls it (LISTEN_FDNAMES), "" when it does not say. SW_E_USAGE
 * with a sentence for what is no socket that listens for connections. */
SW_MUST_USE sw_status sw_service_socket(int i, const sw_diag *diag, int *fd, char name[SW_SERVICE_NAME]);
/* Tells the manager (NOTIFY_SOCKET), in lines NAME=VALUE such as "READY=1"; nothing when there is none. */
void sw_service_notify(const char *state);
/* Tells it that settings are read again; "READY=1" must follow. */
void sw_service_notify_reloading(void);

#endif
