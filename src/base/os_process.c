#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/os.h"
#include "base/process.h"

extern char **environ;

enum { POLL_MS = 50, MAX_CAPTURE = 16 << 20, WAIT_NS = 1000000 };

static void close_all(const int *fds, int n) {
    for (int i = 0; i < n; i++)
        if (fds[i] >= 0) close(fds[i]);
}

/* fds: read and write end of the child's standard input, output and error. */
static int spawn(const char *const *argv, const int fds[6], pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, pipes;
    sigemptyset(&none);
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
    int error = posix_spawnattr_init(&attr);
    if (!error) {
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &pipes);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        error = posix_spawn_file_actions_adddup2(&actions, fds[0], 0);
        if (!error) error = posix_spawn_file_actions_adddup2(&actions, fds[3], 1);
        if (!error) error = posix_spawn_file_actions_adddup2(&actions, fds[5], 2);
        if (!error) error = posix_spawnp(pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

sw_status sw_process_start(const char *const *argv, const char *where, const sw_diag *diag, sw_process *process) {
    int fds[6] = {-1, -1, -1, -1, -1, -1}, error = 0;
    *process = (sw_process){0};
    for (int i = 0; i < 3 && !error; i++)
        if (pipe2(fds + 2 * i, O_CLOEXEC) != 0) error = errno;
    pid_t pid = 0;
    if (!error) error = spawn(argv, fds, &pid);
    if (error) {
        char text[128];
        close_all(fds, 6);
        return sw_fail(diag, error == ENOMEM ? SW_E_NOMEM : SW_E_IO, where, NULL, "'%s' cannot be started: %s", argv[0],
                       strerror_r(error, text, sizeof text));
    }
    sw_os_ignore_broken_pipes();
    close_all((const int[]){fds[0], fds[3], fds[5]}, 3);
    process->pid = pid;
    process->in = fds[1];
    process->out = fds[2];
    process->errors = fds[4];
    for (int i = 0; i < 3; i++) {
        int fd = i == 0 ? process->in : i == 1 ? process->out : process->errors;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    return SW_OK;
}

/* Keeps the end of what the child says on standard error. */
static void take_notes(sw_process *p) {
    char block[1024];
    for (;;) {
        ssize_t got = p->errors < 0 ? 0 : read(p->errors, block, sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            if (got == 0 && p->errors >= 0) {
                close(p->errors);
                p->errors = -1;
            }
            return;
        }
        int n = (int)got, room = SW_PROCESS_NOTES - 1 - p->n_notes, drop = n > room ? n - room : 0;
        if (drop) memmove(p->notes, p->notes + drop, (size_t)(p->n_notes - drop));
        p->n_notes -= drop;
        memcpy(p->notes + p->n_notes, block, (size_t)n);
        p->n_notes += n;
        p->notes[p->n_notes] = 0;
    }
}

/* Moves some bytes one way, at least one. */
static sw_transfer move_some(sw_process *p, int fd, void *data, size_t size, bool writes, int64_t deadline, size_t *n) {
    for (;;) {
        struct pollfd polled[2] = {{.fd = fd, .events = writes ? POLLOUT : POLLIN},
                                   {.fd = p->errors, .events = POLLIN}};
        if (sw_clock_ns() >= deadline) return SW_TRANSFER_LATE;
        if (poll(polled, 2, POLL_MS) < 0 && errno != EINTR) return SW_TRANSFER_CLOSED;
        if (polled[1].revents) take_notes(p);
        if (!polled[0].revents) continue;
        ssize_t moved = writes ? write(fd, data, size) : read(fd, data, size);
        if (moved < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        *n = moved > 0 ? (size_t)moved : 0;
        return moved > 0 ? SW_TRANSFER_DONE : SW_TRANSFER_CLOSED;
    }
}

static sw_transfer move(sw_process *p, int fd, uint8_t *data, size_t size, bool writes, int64_t deadline) {
    for (size_t n; size; data += n, size -= n) {
        sw_transfer way = move_some(p, fd, data, size, writes, deadline, &n);
        if (way != SW_TRANSFER_DONE) return way;
    }
    return SW_TRANSFER_DONE;
}

sw_transfer sw_process_write(sw_process *process, const void *data, size_t size, int64_t deadline) {
    return move(process, process->in, (uint8_t *)(uintptr_t)data, size, true, deadline);
}

sw_transfer sw_process_read(sw_process *process, void *data, size_t size, int64_t deadline) {
    return move(process, process->out, data, size, false, deadline);
}

int64_t sw_process_peak_bytes(const sw_process *process) {
    char path[64], line[256];
    long long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", process->pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld", &kb) == 1) break;
    if (file) fclose(file);
    return kb * 1024;
}

int sw_process_end(sw_process *process, int64_t grace_ns) {
    if (!process->pid) return 0;
    int state = 0;
    int64_t deadline = sw_clock_ns() + grace_ns;
    close(process->in);
    pid_t ended;
    while (!(ended = waitpid(process->pid, &state, WNOHANG)) && sw_clock_ns() < deadline) {
        take_notes(process);
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    }
    if (!ended) {
        kill(process->pid, SIGKILL);
        while (waitpid(process->pid, &state, 0) < 0 && errno == EINTR) continue;
    }
    take_notes(process);
    close(process->out);
    if (process->errors >= 0) close(process->errors);
    process->pid = 0;
    return WIFSIGNALED(state) ? -WTERMSIG(state) : WEXITSTATUS(state);
}

const char *sw_signal_text(int signal) {
    return strsignal(signal);
}

void sw_process_last_words(const sw_process *process, char *text, size_t size) {
    const char *notes = process->notes;
    int end = process->n_notes, begin, n = 0;
    while (end > 0 && (unsigned char)notes[end - 1] <= ' ') end--;
    for (begin = end; begin > 0 && notes[begin - 1] != '\n';) begin--;
    while (begin < end && n + 1 < (int)size) {
        unsigned char c = (unsigned char)notes[begin++];
        text[n++] = (char)(c < ' ' ? ' ' : c);
    }
    text[n] = 0;
}

sw_status sw_process_capture(const char *const *argv, double seconds, sw_arena *arena, const char **text) {
    sw_process process;
    char block[4096];
    size_t n;
    *text = "";
    SW_TRY(sw_process_start(argv, NULL, NULL, &process));
    sw_buf buf = sw_buf_make(NULL, MAX_CAPTURE);
    int64_t deadline = sw_clock_ns() + (int64_t)(seconds * 1e9);
    sw_transfer way;
    while ((way = move_some(&process, process.out, block, sizeof block, false, deadline, &n)) == SW_TRANSFER_DONE &&
           buf.status == SW_OK)
        sw_buf_append(&buf, block, n);
    int code = sw_process_end(&process, way == SW_TRANSFER_CLOSED ? deadline - sw_clock_ns() : 0);
    bool good = way == SW_TRANSFER_CLOSED && code == 0 && buf.status == SW_OK;
    sw_process_last_words(&process, block, sizeof block);
    *text = sw_arena_strdup(arena, good ? sw_buf_text(&buf) : block);
    sw_buf_free(&buf);
    if (!*text) return SW_E_NOMEM;
    return good ? SW_OK : SW_E_IO;
}

sw_status sw_process_become_child(int *in, int *out) {
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    /* A parent that died before that left nobody to read what this process answers. */
    struct pollfd answers = {.fd = 1};
    if (poll(&answers, 1, 0) == 1 && answers.revents & POLLERR) sw_process_leave();
    *in = fcntl(0, F_DUPFD_CLOEXEC, 10);
    *out = fcntl(1, F_DUPFD_CLOEXEC, 10);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool good = *in >= 0 && *out >= 0 && null >= 0 && dup2(null, 0) >= 0 && dup2(2, 1) >= 0;
    if (null > 0) close(null);
    return good ? SW_OK : SW_E_IO;
}

bool sw_fd_take(int fd, void *data, size_t size) {
    for (uint8_t *at = data; size;) {
        ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

bool sw_fd_give(int fd, const void *data, size_t size) {
    return sw_fd_write(fd, "", data, size, NULL) == SW_OK;
}

void sw_process_leave(void) {
    _exit(0);
}
