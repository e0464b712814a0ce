#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os.h"
#include "base/service.h"
#include "base/str.h"

int sw_service_sockets(void) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    int64_t owner = 0, n = 0;
    if (!pid || !count || !sw_str_to_i64(pid, strlen(pid), &owner) || !sw_str_to_i64(count, strlen(count), &n))
        return 0;
    return owner != getpid() || n < 0 || n > SW_SERVICE_MOST ? 0 : (int)n;
}

static void name_of(int i, char name[SW_SERVICE_NAME]) {
    const char *names = getenv("LISTEN_FDNAMES");
    for (; names && i > 0; i--) {
        names = strchr(names, ':');
        if (names) names++;
    }
    snprintf(name, SW_SERVICE_NAME, "%.*s", names ? (int)strcspn(names, ":") : 0, names ? names : "");
}

sw_status sw_service_socket(int i, const sw_diag *diag, int *fd, char name[SW_SERVICE_NAME]) {
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    *fd = SW_SERVICE_FIRST + i;
    name_of(i, name);
    bool good = getsockopt(*fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
    size = sizeof listens;
    good = good && getsockopt(*fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
    if (!good)
        return sw_fail(diag, SW_E_USAGE, "LISTEN_FDS", "have the service manager listen on stream sockets",
                       "descriptor %d, handed over as '%s', is no socket that listens for connections", *fd, name);
    fcntl(*fd, F_SETFD, FD_CLOEXEC);
    fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) | O_NONBLOCK);
    return SW_OK;
}

void sw_service_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = path ? strlen(path) : 0;
    if (size < 2 || size >= sizeof address.sun_path || (*path != '/' && *path != '@')) return;
    memcpy(address.sun_path, path, size);
    if (*path == '@') address.sun_path[0] = 0; /* Linux' abstract names */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
    (void)sent; /* a manager that does not listen is told nothing */
    close(fd);
}

void sw_service_notify_reloading(void) {
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(sw_clock_ns() / 1000));
    sw_service_notify(text);
}
