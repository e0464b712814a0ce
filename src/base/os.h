/* The operating system: clock, threads, files, folders, terminals. os_*.c are the only files that call it. */
#ifndef SLIPWAY_BASE_OS_H
#define SLIPWAY_BASE_OS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

/* Monotonic time in nanoseconds; only differences mean something. Any thread. */
int64_t sw_clock_ns(void);
void sw_sleep_ms(int ms);
/* Milliseconds since 1970, by the system's clock. */
int64_t sw_wall_ms(void);
/* Those as ISO 8601 in UTC: "2026-11-26T02:27:00.123Z". */
enum { SW_WALL_TEXT = 80 };
void sw_wall_text(int64_t ms, char text[SW_WALL_TEXT]);

/* -- Threads ----------------------------------------------------------------------------------------------------- */

typedef struct sw_thread {
    uintptr_t handle;
} sw_thread;

/* Starts fn(ctx) on a thread that takes no signals. SW_E_LIMIT when the system gives no more threads. */
SW_MUST_USE sw_status sw_thread_start(sw_thread *thread, void *(*fn)(void *ctx), void *ctx);
void sw_thread_join(sw_thread *thread);

/* -- Reading ----------------------------------------------------------------------------------------------------- */

typedef enum sw_path_kind { SW_PATH_NONE, SW_PATH_FILE, SW_PATH_FOLDER, SW_PATH_OTHER } sw_path_kind;
/* What a path names, links followed. SW_PATH_NONE also when it cannot be looked at. */
sw_path_kind sw_path_kind_of(const char *path);

/* Whether this user may read and write what a path names. */
bool sw_path_usable(const char *path);

/* Bytes of a regular file; -1 for anything else, and for what is not there. */
int64_t sw_file_size(const char *path);
/* When it was last changed, in nanoseconds since 1970; 0 for what is not there. */
int64_t sw_file_changed_ns(const char *path);

/* Whether two paths lead to the same thing, by whatever names; false when one of them is not there. */
bool sw_path_same(const char *a, const char *b);

/* A file in memory, read only. */
typedef struct sw_map {
    const uint8_t *data;
    size_t size; /* > 0 */
} sw_map;

/* Maps a regular file. SW_E_IO with a sentence when it is missing, empty, a folder, something else than a
 * file, or must not be read. The file must not shrink while it is mapped: the process would end by SIGBUS. */
SW_MUST_USE sw_status sw_map_open(const char *path, const sw_diag *diag, sw_map *map);
/* From now on files are read into memory in place of being mapped, all but those in `folder` (NULL: none), which are only
 * replaced as a whole: for servers, which outlive what people copy over their files. To be called before threads start. */
void sw_map_copies(const char *folder);
void sw_map_close(sw_map *map); /* takes a zeroed map */

/* Reads a descriptor (0: standard input) to its end into `buf`. SW_E_LIMIT above the buffer's maximum.
 * `where` names it in messages. */
SW_MUST_USE sw_status sw_fd_read(int fd, const char *where, const sw_diag *diag, sw_buf *buf);

/* The same for a file, which may be empty. For small texts; larger files are mapped. */
SW_MUST_USE sw_status sw_file_read(const char *path, const sw_diag *diag, sw_buf *buf);

/* -- Writing ----------------------------------------------------------------------------------------------------- */

/* A file that appears whole or not at all: written under a temporary name beside `path`, renamed on commit.
 * Things that are no regular files (/dev/null, pipes) are written directly. A link is kept: its target is
 * replaced. */
typedef struct sw_outfile sw_outfile;
/* `path` is copied; `diag` must live until commit or abort. */
SW_MUST_USE sw_status sw_outfile_open(const char *path, const sw_diag *diag, sw_outfile **file);
SW_MUST_USE sw_status sw_outfile_write(sw_outfile *file, const void *data, size_t size);
/* Both end and free it, also when commit fails. */
SW_MUST_USE sw_status sw_outfile_commit(sw_outfile *file);
void sw_outfile_abort(sw_outfile *file); /* takes NULL */
/* Open, write, commit. */
SW_MUST_USE sw_status sw_file_write(const char *path, const void *data, size_t size, const sw_diag *diag);
/* Writes all of it to a descriptor (1: standard output). A reader that went away (EPIPE) is SW_E_IO without a
 * message: it wants nothing more, and nobody wants to hear of it. */
SW_MUST_USE sw_status sw_fd_write(int fd, const char *where, const void *data, size_t size, const sw_diag *diag);

/* In the place of what `to` names, on the same file system. SW_E_IO with a sentence. */
SW_MUST_USE sw_status sw_file_rename(const char *from, const char *to, const sw_diag *diag);
/* Nothing when it is not there, or must not be. */
void sw_file_remove(const char *path);

/* A descriptor that writes to the end of a file, which is made where it is missing; -1 when it cannot be. */
int sw_file_append(const char *path);

/* A lock between processes, and between threads that each opened it: on a file made for that, which stays. */
typedef struct sw_lock {
    int fd;
} sw_lock;
/* Waits until nobody else holds it. SW_E_IO with a sentence. The system opens the lock of a process that dies. */
SW_MUST_USE sw_status sw_lock_open(const char *path, const sw_diag *diag, sw_lock *lock);
void sw_lock_close(sw_lock *lock);

/* -- Folders ----------------------------------------------------------------------------------------------------- */

typedef struct sw_names {
    const char **names; /* in an arena */
    size_t n;
} sw_names;

enum { SW_MAX_NAMES = 1 << 20 };

/* Names in a folder, sorted by bytes, without "." and "..". SW_E_IO, or SW_E_LIMIT above SW_MAX_NAMES. */
SW_MUST_USE sw_status sw_dir_list(const char *path, sw_arena *arena, const sw_diag *diag, sw_names *names);
/* Paths that match a shell pattern (* ? [a-z]), sorted; none is n == 0. */
SW_MUST_USE sw_status sw_path_glob(const char *pattern, sw_arena *arena, const sw_diag *diag, sw_names *names);
/* Makes a folder and its parents; good when it is there. */
SW_MUST_USE sw_status sw_dir_make(const char *path, const sw_diag *diag);
/* The part after the last slash. */
const char *sw_path_name(const char *path);

/* -- Shared libraries -------------------------------------------------------------------------------------------- */

/* A library opened at run time; it stays open until the process ends. */
typedef void sw_library;
/* By name (searched as the system does) or path; NULL when it cannot be opened. */
sw_library *sw_library_open(const char *name);
void *sw_library_symbol(sw_library *library, const char *symbol); /* NULL: it has no such symbol */
/* Why the last sw_library_open of this thread failed; never NULL. */
const char *sw_library_error(void);

/* -- Process ----------------------------------------------------------------------------------------------------- */

bool sw_fd_is_terminal(int fd);
/* Path of the running program, by which a child can start it; false when the system does not tell. */
bool sw_os_executable(char *path, size_t size);
/* A write into a pipe without reader then fails with an error instead of ending the process. */
void sw_os_ignore_broken_pipes(void);
/* Bytes of memory that this process may use at most: the machine's, or less by its cgroup. At least 64 MiB. */
int64_t sw_os_memory_bytes(void);
/* How much of that is in use, by all of the machine or container; -1: not known. */
int64_t sw_os_memory_used(void);
/* Time of all CPUs since the machine started, in ticks of its own. False: not known. */
bool sw_os_cpu_ticks(int64_t *busy, int64_t *all);
/* From now on this process runs only on what others leave of the CPUs, as far as the system can. */
void sw_os_stand_back(void);
/* Gives memory that was freed back to the system, as far as the heap can. */
void sw_os_trim(void);
/* From now on, blocks of 8 MiB and more go back to the system when they are freed. For programs that run long. */
void sw_os_give_back_blocks(void);
/* "Linux 6.1.0 x86_64". */
void sw_os_name(char *text, size_t size);

#endif
