/* The least that a server can do: for whatever a connection sends, fixed bytes that /v2/health/ready would have. One thread,
 * epoll_wait, recv and send, no parsing: what a request costs in the kernel. For bench/serve --floor.
 *
 *     floor PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_EVENTS = 128, BYTES = 64 * 1024 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0) return -1;
    return fd;
}

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
