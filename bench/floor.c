/* The least that a server can do: for whatever a connection sends, fixed bytes that /v2/health/ready would have. One thread,
 * epoll_wait, recv and send, no parsing: what a request costs in the kernel. For bench/serve --floor.
 *
 *     floor PORT */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "floor.h"

enum { MAX_EVENTS = 128, BYTES = 64 * 1024 };

static void watch(int poller, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void serve(int fd) {
    static char bytes[BYTES];
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n > 0)
        send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    else if (n == 0)
        close(fd);
}

int main(int argc, char **argv) {
    struct epoll_event events[MAX_EVENTS];
    int listener = listen_on(argc == 2 ? atoi(argv[1]) : 0), poller = epoll_create1(0), yes = 1;
    if (listener < 0 || poller < 0) {
        perror("floor");
        return 1;
    }
    watch(poller, listener, EPOLLIN);
    for (;;) {
        int n = epoll_wait(poller, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            watch(poller, fd, EPOLLIN | EPOLLET);
        }
    }
}
