#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/temporary.h"

enum { READ_BYTES = 64 * 1024, TEMPORARY_TRIES = 100, THREAD_STACK = 1 << 20 };

int64_t sw_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void sw_sleep_ms(int ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

int64_t sw_wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sw_wall_text(int64_t ms, char text[SW_WALL_TEXT]) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm t;
    if (!gmtime_r(&seconds, &t)) t = (struct tm){0};
    snprintf(text, SW_WALL_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
             t.tm_hour, t.tm_min, t.tm_sec, (int)(ms % 1000));
}

/* -- Threads ----------------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread's handle fits sw_thread");

sw_status sw_thread_start(sw_thread *thread, void *(*fn)(void *ctx), void *ctx) {
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) return SW_E_LIMIT;
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all,
                    &before); /* the new thread inherits it: signals go to the program's own threads */
    pthread_t id;
    int failed = pthread_create(&id, &attr, fn, ctx);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (failed) return SW_E_LIMIT;
    thread->handle = (uintptr_t)id;
    return SW_OK;
}

void sw_thread_join(sw_thread *thread) {
    pthread_join((pthread_t)thread->handle, NULL);
}

/* -- Reading ----------------------------------------------------------------------------------------------------- */

static sw_status fail_errno(const sw_diag *diag, const char *where, const char *what, int error) {
    sw_status status = error == ENOMEM ? SW_E_NOMEM : error == EMFILE || error == ENFILE ? SW_E_LIMIT : SW_E_IO;
    char text[128];
    const char *hint = NULL;
    if (error == ENOENT) hint = "check the spelling and the current folder";
    if (error == EACCES || error == EPERM) hint = "check its permissions";
    if (error == ENOSPC || error == EDQUOT) hint = "make room there or write elsewhere";
    return sw_fail(diag, status, where, hint, "%s: %s", what, strerror_r(error, text, sizeof text));
}

sw_path_kind sw_path_kind_of(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0) return SW_PATH_NONE;
    return S_ISREG(info.st_mode) ? SW_PATH_FILE : S_ISDIR(info.st_mode) ? SW_PATH_FOLDER : SW_PATH_OTHER;
}

bool sw_path_usable(const char *path) {
    return access(path, R_OK | W_OK) == 0;
}

int64_t sw_file_size(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
}

int64_t sw_file_changed_ns(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec : 0;
}

bool sw_path_same(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool copies;
static const char *mapped_folder;

void sw_map_copies(const char *folder) {
    copies = true;
    mapped_folder = folder;
}

static bool is_copied(const char *path) {
    size_t n = mapped_folder ? strlen(mapped_folder) : 0;
    return copies && !(n && !strncmp(path, mapped_folder, n) && path[n] == '/');
}

static sw_status copy_descriptor(int fd, const char *path, const sw_diag *diag, uint8_t *data, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t got = read(fd, data + at, size - at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(diag, path, "cannot be read", errno);
        if (got == 0) return sw_fail(diag, SW_E_IO, path, "try again", "became shorter while it was read");
        at += (size_t)got;
    }
    return SW_OK;
}

static sw_status map_descriptor(int fd, const char *path, const sw_diag *diag, sw_map *map) {
    struct stat info;
    if (fstat(fd, &info) != 0) return fail_errno(diag, path, "cannot be looked at", errno);
    if (S_ISDIR(info.st_mode)) return sw_fail(diag, SW_E_IO, path, NULL, "is a folder, expected a file");
    if (!S_ISREG(info.st_mode)) return sw_fail(diag, SW_E_IO, path, "copy it into a file first", "is no regular file");
    if (info.st_size <= 0) return sw_fail(diag, SW_E_IO, path, NULL, "is empty");
    if ((uintmax_t)info.st_size > PTRDIFF_MAX) return sw_fail(diag, SW_E_LIMIT, path, NULL, "is too large to map");
    bool copy = is_copied(path);
    size_t size = (size_t)info.st_size;
    void *data = mmap(NULL, size, copy ? PROT_READ | PROT_WRITE : PROT_READ, MAP_PRIVATE | (copy ? MAP_ANONYMOUS : 0),
                      copy ? -1 : fd, 0);
    if (data == MAP_FAILED) return fail_errno(diag, path, "cannot be mapped", errno);
    *map = (sw_map){.data = data, .size = size};
    sw_status status = copy ? copy_descriptor(fd, path, diag, data, size) : SW_OK;
    if (status != SW_OK) sw_map_close(map);
    return status;
}

sw_status sw_map_open(const char *path, const sw_diag *diag, sw_map *map) {
    *map = (sw_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without writer must not hold us up */
    if (fd < 0) return fail_errno(diag, path, "cannot be opened", errno);
    sw_status status = map_descriptor(fd, path, diag, map);
    close(fd);
    return status;
}

void sw_map_close(sw_map *map) {
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (sw_map){0};
}

sw_status sw_fd_read(int fd, const char *where, const sw_diag *diag, sw_buf *buf) {
    for (;;) {
        size_t had = buf->size;
        size_t room =
            buf->max - had < READ_BYTES ? buf->max - had + 1 : READ_BYTES; /* one more shows what is too long */
        uint8_t block[READ_BYTES];
        ssize_t got = read(fd, block, room < sizeof block ? room : sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(diag, where, "cannot be read", errno);
        if (got == 0) return SW_OK;
        sw_buf_append(buf, block, (size_t)got);
        if (buf->status == SW_E_LIMIT)
            return sw_fail(diag, SW_E_LIMIT, where, NULL, "holds more than %zu bytes", buf->max);
        if (buf->status != SW_OK) return sw_fail(diag, buf->status, where, NULL, "no memory for its %zu bytes", had);
    }
}

sw_status sw_file_read(const char *path, const sw_diag *diag, sw_buf *buf) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(diag, path, "cannot be opened", errno);
    sw_status status = sw_fd_read(fd, path, diag, buf);
    close(fd);
    return status;
}

/* -- Writing ----------------------------------------------------------------------------------------------------- */

sw_status sw_fd_write(int fd, const char *where, const void *data, size_t size, const sw_diag *diag) {
    const char *at = data;
    while (size) {
        ssize_t wrote = write(fd, at, size);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0 && errno == EPIPE) return SW_E_IO;
        if (wrote < 0) return fail_errno(diag, where, "cannot be written", errno);
        at += wrote;
        size -= (size_t)wrote;
    }
    return SW_OK;
}

struct sw_outfile {
    int fd;
    bool direct; /* no temporary name */
    const sw_diag *diag;
    char *path, *target, *temporary; /* as named by the caller; with links followed; while it is written */
    sw_temporary listed;
};

static void outfile_free(sw_outfile *file) {
    sw_temporary_drop(&file->listed);
    free(file->path);
    free(file->target);
    free(file->temporary);
    free(file);
}

/* Opens a new file "<folder>/.<name>.<number>" beside the target; 0 or an errno. */
static int open_temporary(sw_outfile *file) {
    const char *name = sw_path_name(file->target);
    int folder = (int)(name - file->target);
    for (int try = 0; try < TEMPORARY_TRIES; try++) {
        uint64_t number = (uint64_t)sw_clock_ns() * 1000003u + (uint64_t)getpid() * 97u + (uint64_t)try;
        free(file->temporary);
        file->temporary = NULL;
        /* Long names are cut, so that ours is not longer than a name may be. */
        if (asprintf(&file->temporary, "%.*s.%.200s.%08x", folder, file->target, name, (unsigned)number) < 0) {
            file->temporary = NULL;
            return ENOMEM;
        }
        file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0) {
            sw_temporary_add(&file->listed, file->temporary);
            return 0;
        }
        if (errno != EEXIST) return errno;
    }
    return EEXIST;
}

static sw_status outfile_begin(sw_outfile *file) {
    struct stat info;
    bool exists = stat(file->path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode))
        return sw_fail(file->diag, SW_E_IO, file->path, NULL, "is a folder, expected a file to write");
    if (exists && !S_ISREG(info.st_mode)) {
        file->direct = true;
        file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
        return file->fd < 0 ? fail_errno(file->diag, file->path, "cannot be opened for writing", errno) : SW_OK;
    }
    if (exists && access(file->path, W_OK) != 0)
        return fail_errno(file->diag, file->path, "cannot be opened for writing", errno);
    file->target = exists ? realpath(file->path, NULL) : strdup(file->path);
    int error = file->target ? open_temporary(file) : ENOMEM;
    if (error) {
        free(file->temporary);
        file->temporary = NULL;
        return fail_errno(file->diag, file->path, "cannot be created", error);
    }
    if (exists) fchmod(file->fd, info.st_mode & 07777); /* not on all file systems; then the default has to do */
    return SW_OK;
}

sw_status sw_outfile_open(const char *path, const sw_diag *diag, sw_outfile **out) {
    *out = NULL;
    sw_outfile *file = calloc(1, sizeof *file);
    if (!file) return SW_E_NOMEM;
    file->fd = -1;
    file->diag = diag;
    file->path = strdup(path);
    sw_status status = file->path ? outfile_begin(file) : SW_E_NOMEM;
    if (status == SW_OK)
        *out = file;
    else
        outfile_free(file);
    return status;
}

sw_status sw_outfile_write(sw_outfile *file, const void *data, size_t size) {
    sw_status status = sw_fd_write(file->fd, file->path, data, size, file->diag);
    if (status == SW_E_IO && errno == EPIPE)
        return sw_fail(file->diag, SW_E_IO, file->path, NULL, "cannot be written: nobody reads the pipe");
    return status;
}

sw_status sw_outfile_commit(sw_outfile *file) {
    sw_status status = SW_OK;
    if (close(file->fd) != 0) status = fail_errno(file->diag, file->path, "cannot be written", errno);
    file->fd = -1;
    if (status == SW_OK && !file->direct && rename(file->temporary, file->target) != 0)
        status = fail_errno(file->diag, file->path, "cannot be put in place", errno);
    if (status != SW_OK)
        sw_outfile_abort(file);
    else
        outfile_free(file);
    return status;
}

void sw_outfile_abort(sw_outfile *file) {
    if (!file) return;
    if (file->fd >= 0) close(file->fd);
    if (file->temporary) unlink(file->temporary);
    outfile_free(file);
}

int sw_file_append(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

sw_status sw_file_write(const char *path, const void *data, size_t size, const sw_diag *diag) {
    sw_outfile *file;
    SW_TRY(sw_outfile_open(path, diag, &file));
    sw_status status = sw_outfile_write(file, data, size);
    if (status == SW_OK) return sw_outfile_commit(file);
    sw_outfile_abort(file);
    return status;
}

sw_status sw_file_rename(const char *from, const char *to, const sw_diag *diag) {
    return rename(from, to) == 0 ? SW_OK : fail_errno(diag, to, "cannot be put in place", errno);
}

void sw_file_remove(const char *path) {
    unlink(path);
}

sw_status sw_lock_open(const char *path, const sw_diag *diag, sw_lock *lock) {
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock->fd < 0) return fail_errno(diag, path, "cannot be opened", errno);
    while (flock(lock->fd, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        sw_status status = fail_errno(diag, path, "cannot be locked", errno);
        close(lock->fd);
        return status;
    }
    return SW_OK;
}

void sw_lock_close(sw_lock *lock) {
    close(lock->fd);
}

/* -- Folders ----------------------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The list grows on the heap and ends in the arena, which would keep every smaller one. */
static sw_status finish_names(sw_arena *arena, const char **list, size_t n, sw_names *names) {
    if (n > 1) qsort(list, n, sizeof *list, by_bytes);
    names->names = sw_arena_copy(arena, list, n * sizeof *list);
    names->n = n;
    return names->names ? SW_OK : SW_E_NOMEM;
}

sw_status sw_dir_list(const char *path, sw_arena *arena, const sw_diag *diag, sw_names *names) {
    *names = (sw_names){0};
    DIR *folder = opendir(path);
    if (!folder) return fail_errno(diag, path, "cannot be listed", errno);
    void *list = NULL;
    size_t n = 0, cap = 0;
    sw_status status = SW_OK;
    struct dirent *entry;
    while (status == SW_OK && (errno = 0, entry = readdir(folder)) != NULL) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        status = sw_grow(NULL, &list, &cap, n + 1, sizeof(char *), SW_MAX_NAMES);
        const char *name = status == SW_OK ? sw_arena_strdup(arena, entry->d_name) : NULL;
        if (name)
            ((const char **)list)[n++] = name;
        else if (status == SW_OK)
            status = SW_E_NOMEM;
    }
    if (status == SW_OK && errno)
        status = fail_errno(diag, path, "cannot be listed", errno);
    else if (status == SW_E_LIMIT)
        sw_fail(diag, status, path, NULL, "holds more than %d files", SW_MAX_NAMES);
    else if (status == SW_E_NOMEM)
        sw_fail(diag, status, path, NULL, "no memory for its list of files");
    closedir(folder);
    if (status == SW_OK) status = finish_names(arena, list, n, names);
    sw_free(NULL, list);
    return status;
}

sw_status sw_path_glob(const char *pattern, sw_arena *arena, const sw_diag *diag, sw_names *names) {
    *names = (sw_names){0};
    glob_t found;
    int failed = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (failed == GLOB_NOMATCH) {
        globfree(&found);
        return SW_OK;
    }
    sw_status status = SW_OK;
    if (failed == GLOB_NOSPACE)
        status = SW_E_NOMEM;
    else if (failed)
        status = sw_fail(diag, SW_E_IO, pattern, NULL, "folders on its way cannot be read");
    else if (found.gl_pathc > SW_MAX_NAMES)
        status = sw_fail(diag, SW_E_LIMIT, pattern, NULL, "matches more than %d files", SW_MAX_NAMES);
    const char **list = status == SW_OK ? sw_calloc(NULL, found.gl_pathc, sizeof *list) : NULL;
    if (status == SW_OK && !list) status = SW_E_NOMEM;
    for (size_t i = 0; status == SW_OK && i < found.gl_pathc; i++)
        if (!(list[i] = sw_arena_strdup(arena, found.gl_pathv[i]))) status = SW_E_NOMEM;
    if (status == SW_OK) status = finish_names(arena, list, found.gl_pathc, names);
    sw_free(NULL, list);
    globfree(&found);
    return status;
}

sw_status sw_dir_make(const char *path, const sw_diag *diag) {
    char *copy = strdup(path);
    if (!copy) return SW_E_NOMEM;
    sw_status status = SW_OK;
    for (char *at = copy + 1; status == SW_OK; at++) {
        if (*at && *at != '/') continue;
        char end = *at;
        *at = 0;
        if (copy[0] && mkdir(copy, 0777) != 0) {
            int error = errno;
            sw_path_kind kind = sw_path_kind_of(copy);
            if (kind == SW_PATH_FILE || kind == SW_PATH_OTHER)
                status = sw_fail(diag, SW_E_IO, copy, NULL, "is a file, expected a folder");
            else if (kind == SW_PATH_NONE)
                status = fail_errno(diag, copy, "cannot be made", error);
        }
        *at = end;
        if (!end) break;
    }
    free(copy);
    return status;
}

const char *sw_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* -- Process ----------------------------------------------------------------------------------------------------- */

bool sw_fd_is_terminal(int fd) {
    return isatty(fd) == 1;
}

bool sw_os_executable(char *path, size_t size) {
    if (size < 2) return false;
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0 || (size_t)length >= size - 1) return false; /* a full buffer may hold a cut path */
    path[length] = 0;
    static const char gone[] = " (deleted)"; /* replaced by a newer version, say; this one can still be started so: */
    bool is_gone = (size_t)length >= sizeof gone && !strcmp(path + length - (sizeof gone - 1), gone);
    if (is_gone && access(path, F_OK) != 0) snprintf(path, size, "/proc/self/exe");
    return true;
}

void sw_os_ignore_broken_pipes(void) {
    signal(SIGPIPE, SIG_IGN);
}

void sw_os_name(char *text, size_t size) {
    struct utsname name;
    if (uname(&name) == 0)
        snprintf(text, size, "%s %s %s", name.sysname, name.release, name.machine);
    else
        snprintf(text, size, "unknown");
}
