#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/net.h"

enum { BACKLOG = 4096, MAX_EVENTS = 256 };

static sw_status fail_errno(const sw_diag *diag, const char *where, const char *what, int error, const char *hint) {
    char text[128];
    sw_status status = error == ENOMEM ? SW_E_NOMEM : error == EMFILE || error == ENFILE ? SW_E_LIMIT : SW_E_IO;
    return sw_fail(diag, status, where, hint, "%s: %s", what, strerror_r(error, text, sizeof text));
}

/* -- Sockets ------------------------------------------------------------------------------------------------------- */

static sw_status find_address(const char *host, int port, bool passive, const sw_diag *diag, struct addrinfo **list) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
    int error = getaddrinfo(host && *host ? host : NULL, service, &hints, list);
    if (!error) return SW_OK;
    return sw_fail(diag, SW_E_IO, host, "name an address of this machine, such as 127.0.0.1", "address not known: %s",
                   error == EAI_SYSTEM ? "the system does not say why" : gai_strerror(error));
}

/* An address of IPv6 takes IPv4, too; without IPv6 the system refuses it, and the next in the list is tried. */
static int listen_on(const struct addrinfo *address) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0;
    if (fd < 0) return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    int error = errno;
    close(fd);
    return -error;
}

sw_status sw_net_listen(const char *host, int port, const sw_diag *diag, int *fd) {
    struct addrinfo *list = NULL;
    SW_TRY(find_address(host, port, true, diag, &list));
    *fd = -EADDRNOTAVAIL;
    for (int family = 0; family < 2 && *fd < 0; family++) /* IPv6 first: it takes both */
        for (const struct addrinfo *a = list; a && *fd < 0; a = a->ai_next)
            if ((a->ai_family == AF_INET6) == (family == 0)) {
                int made = listen_on(a);
                if (made >= 0 || *fd != -EADDRINUSE) *fd = made;
            }
    freeaddrinfo(list);
    if (*fd >= 0) return SW_OK;
    char what[64];
    snprintf(what, sizeof what, "cannot listen on port %d", port);
    return fail_errno(diag, host, what, -*fd,
                      -*fd == EADDRINUSE ? "stop the other program or choose another port" : NULL);
}

static bool unix_address(const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) return false;
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

/* Whether somebody listens there. */
static bool is_alive(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool alive = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    close(fd);
    return alive;
}

sw_status sw_net_listen_unix(const char *path, const sw_diag *diag, int *fd) {
    struct sockaddr_un address;
    struct stat info;
    if (!unix_address(path, &address))
        return sw_fail(diag, SW_E_USAGE, path, "choose a shorter path", "the path of a socket has at most %zu bytes",
                       sizeof address.sun_path - 1);
    if (stat(path, &info) == 0 && S_ISSOCK(info.st_mode)) {
        if (is_alive(&address))
            return sw_fail(diag, SW_E_IO, path, "stop the other program or choose another path",
                           "somebody listens there");
        unlink(path);
    }
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd >= 0 && bind(*fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(*fd, BACKLOG) == 0)
        return SW_OK;
    int error = errno;
    if (*fd >= 0) close(*fd);
    return fail_errno(diag, path, "cannot listen", error, NULL);
}

int sw_net_port(int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

static void send_at_once(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* refused by Unix sockets, which need it not */
}

sw_status sw_net_connect(const char *host, int port, const sw_diag *diag, int *fd) {
    struct addrinfo *list = NULL;
    SW_TRY(find_address(host, port, false, diag, &list));
    int error = EADDRNOTAVAIL;
    *fd = -1;
    for (const struct addrinfo *a = list; a && *fd < 0; a = a->ai_next) {
        *fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (*fd >= 0 && connect(*fd, a->ai_addr, a->ai_addrlen) == 0) break;
        error = errno;
        if (*fd >= 0) close(*fd);
        *fd = -1;
    }
    freeaddrinfo(list);
    if (*fd < 0) return fail_errno(diag, host, "cannot connect", error, NULL);
    fcntl(*fd, F_SETFL, O_NONBLOCK);
    send_at_once(*fd);
    return SW_OK;
}

int sw_net_accept(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            send_at_once(fd);
            return fd;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return SW_NET_FULL;
        if (errno != EINTR && errno != ECONNABORTED) return SW_NET_AGAIN;
    }
}

bool sw_net_is_local(int fd) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } address;
    socklen_t size = sizeof address;
    if (getpeername(fd, &address.any, &size) != 0) return false;
    const struct in6_addr *v6 = &address.v6.sin6_addr;
    switch (address.any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(address.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
    default:
        return false;
    }
}

static int64_t outcome(ssize_t n) {
    return n >= 0 ? n : errno == EAGAIN || errno == EWOULDBLOCK ? SW_NET_AGAIN : SW_NET_ERROR;
}

int64_t sw_net_read(int fd, void *data, size_t size) {
    ssize_t n;
    do n = recv(fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return outcome(n);
}

int64_t sw_net_write(int fd, const void *first, size_t n_first, const void *second, size_t n_second) {
    struct iovec pieces[2] = {{(void *)first, n_first}, {(void *)second, n_second}};
    int skip = n_first == 0;
    struct msghdr message = {.msg_iov = pieces + skip, .msg_iovlen = (size_t)(2 - skip - (n_second == 0))};
    if (!message.msg_iovlen) return 0;
    ssize_t n;
    do n = message.msg_iovlen == 1 ? send(fd, message.msg_iov->iov_base, message.msg_iov->iov_len, MSG_NOSIGNAL)
                                   : sendmsg(fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return outcome(n);
}

void sw_net_shutdown_write(int fd) {
    shutdown(fd, SHUT_WR);
}

void sw_net_close(int fd) {
    if (fd >= 0) close(fd);
}

void sw_net_remove_unix(const char *path) {
    struct stat info;
    if (stat(path, &info) == 0 && S_ISSOCK(info.st_mode)) unlink(path);
}

int64_t sw_net_raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur > INT_MAX ? INT_MAX : (int64_t)limit.rlim_cur;
}

/* -- Waiting ------------------------------------------------------------------------------------------------------- */

sw_status sw_poller_open(const sw_diag *diag, sw_poller *poller) {
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    poller->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    if (poller->fd >= 0 && poller->wake >= 0 && epoll_ctl(poller->fd, EPOLL_CTL_ADD, poller->wake, &event) == 0)
        return SW_OK;
    int error = errno;
    sw_poller_close(poller);
    return fail_errno(diag, NULL, "cannot wait for connections", error, NULL);
}

void sw_poller_close(sw_poller *poller) {
    if (poller->fd >= 0) close(poller->fd);
    if (poller->wake >= 0) close(poller->wake);
    poller->fd = poller->wake = -1;
}

static sw_status add(sw_poller *poller, int fd, void *tag, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = tag};
    return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event) == 0 ? SW_OK : errno == ENOMEM ? SW_E_NOMEM : SW_E_LIMIT;
}

sw_status sw_poller_add(sw_poller *poller, int fd, void *tag) {
    return add(poller, fd, tag, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

sw_status sw_poller_add_listener(sw_poller *poller, int fd, void *tag) {
    return add(poller, fd, tag, EPOLLIN | EPOLLEXCLUSIVE);
}

void sw_poller_remove(sw_poller *poller, int fd) {
    epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL);
}

int sw_poller_wait(sw_poller *poller, int timeout_ms, sw_poll_event *events, int n) {
    struct epoll_event got[MAX_EVENTS];
    int count = epoll_wait(poller->fd, got, n < MAX_EVENTS ? n : MAX_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        uint32_t what = got[i].events;
        events[i].tag = got[i].data.ptr;
        events[i].what = (what & EPOLLIN ? SW_POLL_READ : 0) | (what & EPOLLOUT ? SW_POLL_WRITE : 0) |
                         (what & EPOLLRDHUP ? SW_POLL_ENDED : 0) | (what & (EPOLLERR | EPOLLHUP) ? SW_POLL_BROKEN : 0);
    }
    return count < 0 ? 0 : count;
}

/* The eventfd is edge triggered and never read: each write is a new edge. */
void sw_poller_wake(const sw_poller *poller) {
    uint64_t one = 1;
    ssize_t n = write(poller->wake, &one, sizeof one);
    (void)n; /* it fails only when 2^64 wakes are pending */
}

/* -- Signals ------------------------------------------------------------------------------------------------------- */

sw_status sw_signals_open(const sw_diag *diag, int *fd) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    *fd = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
    return *fd >= 0 ? SW_OK : fail_errno(diag, NULL, "cannot take signals", errno, NULL);
}

sw_signal sw_signals_read(int fd) {
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) return SW_SIGNAL_NONE;
    return info.ssi_signo == SIGHUP ? SW_SIGNAL_RELOAD : SW_SIGNAL_STOP;
}
