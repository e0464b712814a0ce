/* As floor.c, by io_uring: one io_uring_enter takes the answers of a round and waits for what comes next. No liburing.
 *
 *     floor_uring PORT */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "floor.h"

enum { ENTRIES = 1024, MAX_FDS = 4096, BYTES = 512, ACCEPTED = MAX_FDS, SENT = MAX_FDS + 1 };

static char bytes[MAX_FDS][BYTES]; /* by connection */

typedef struct queue {
    int fd;
    unsigned waiting; /* entries that the kernel was not told of */
    unsigned tail;
    _Atomic(unsigned) *sq_tail, *cq_head, *cq_tail;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    unsigned sq_mask, cq_mask;
} queue;

static void enter(queue *q, unsigned wait_for) {
    atomic_store_explicit(q->sq_tail, q->tail, memory_order_release);
    if (syscall(__NR_io_uring_enter, q->fd, q->waiting, wait_for, IORING_ENTER_GETEVENTS, NULL, 0) < 0) {
        perror("io_uring_enter");
        exit(1);
    }
    q->waiting = 0;
}

static void add(queue *q, struct io_uring_sqe entry) {
    if (q->waiting == ENTRIES) enter(q, 0);
    q->sqes[q->tail++ & q->sq_mask] = entry;
    q->waiting++;
}

static void receive(queue *q, int fd) {
    add(q, (struct io_uring_sqe){.opcode = IORING_OP_RECV,
                                 .fd = fd,
                                 .addr = (uintptr_t)bytes[fd],
                                 .len = BYTES,
                                 .ioprio = IORING_RECVSEND_POLL_FIRST,
                                 .user_data = (unsigned)fd});
}

static void on_completion(queue *q, const struct io_uring_cqe *c) {
    int yes = 1, fd = (int)c->user_data;
    if (c->user_data == ACCEPTED && c->res >= 0 && c->res < MAX_FDS) {
        setsockopt(c->res, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        receive(q, c->res);
    } else if (c->user_data < MAX_FDS && c->res > 0) {
        add(q, (struct io_uring_sqe){.opcode = IORING_OP_SEND,
                                     .fd = fd,
                                     .addr = (uintptr_t)answer,
                                     .len = sizeof answer - 1,
                                     .msg_flags = MSG_NOSIGNAL,
                                     .flags = IOSQE_CQE_SKIP_SUCCESS,
                                     .user_data = SENT});
        receive(q, fd);
    } else if (c->user_data < MAX_FDS) {
        close(fd);
    }
}

static void *map(int fd, size_t size, off_t what) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
}

int main(int argc, char **argv) {
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    queue q = {.fd = (int)syscall(__NR_io_uring_setup, ENTRIES, &p)};
    int listener = listen_on(argc == 2 ? atoi(argv[1]) : 0);
    if (listener < 0 || q.fd < 0) {
        perror("floor_uring");
        return 1;
    }
    char *sq = map(q.fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    char *cq = map(q.fd, p.cq_off.cqes + p.cq_entries * sizeof *q.cqes, IORING_OFF_CQ_RING);
    unsigned *array = (unsigned *)(sq + p.sq_off.array);
    for (unsigned i = 0; i < p.sq_entries; i++) array[i] = i;
    q.sqes = map(q.fd, p.sq_entries * sizeof *q.sqes, IORING_OFF_SQES);
    q.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    q.sq_tail = (_Atomic(unsigned) *)(sq + p.sq_off.tail);
    q.cq_head = (_Atomic(unsigned) *)(cq + p.cq_off.head), q.cq_tail = (_Atomic(unsigned) *)(cq + p.cq_off.tail);
    q.sq_mask = p.sq_entries - 1, q.cq_mask = p.cq_entries - 1;
    add(&q, (struct io_uring_sqe){
                .opcode = IORING_OP_ACCEPT, .fd = listener, .ioprio = IORING_ACCEPT_MULTISHOT, .user_data = ACCEPTED});
    for (;;) {
        enter(&q, 1);
        unsigned head = *q.cq_head, tail = atomic_load_explicit(q.cq_tail, memory_order_acquire);
        while (head != tail) on_completion(&q, &q.cqes[head++ & q.cq_mask]);
        atomic_store_explicit(q.cq_head, head, memory_order_release);
    }
}
