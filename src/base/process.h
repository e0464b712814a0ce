/* Other programs: started with pipes, talked to with a time limit, ended. */
#ifndef SLIPWAY_BASE_PROCESS_H
#define SLIPWAY_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "slipway/status.h"

enum { SW_PROCESS_NOTES = 2048 };

/* A running child: its standard input and output are pipes; of its standard error the end is kept. One thread at a time. */
typedef struct sw_process {
    int pid; /* 0: none */
    int in, out, errors;
    char notes[SW_PROCESS_NOTES]; /* the last of standard error, zero-terminated */
    int n_notes;
} sw_process;

/* Starts argv[0] (searched in PATH) with argv, NULL at its end; the child does not outlive this process by more than
 * what it needs to see its standard input end. SW_E_IO with a sentence when it cannot be started. `where` names it
 * in messages. */
SW_MUST_USE sw_status sw_process_start(const char *const *argv, const char *where, const sw_diag *diag,
                                       sw_process *process);

/* How a transfer went, to be told by the caller, who knows what was asked for. */
typedef enum sw_transfer { SW_TRANSFER_DONE, SW_TRANSFER_CLOSED, SW_TRANSFER_LATE } sw_transfer;
/* Writes or reads exactly `size` bytes until `deadline` (sw_clock_ns). CLOSED: the child closed its end. */
sw_transfer sw_process_write(sw_process *process, const void *data, size_t size, int64_t deadline);
sw_transfer sw_process_read(sw_process *process, void *data, size_t size, int64_t deadline);

/* The most memory that it had resident so far, bytes; 0 when the system does not tell. */
int64_t sw_process_peak_bytes(const sw_process *process);

/* Ends it: closes its standard input, waits up to `grace_ns`, then kills it. The exit code, or minus the number of the
 * signal that ended it. Takes a process that was never started (0). */
int sw_process_end(sw_process *process, int64_t grace_ns);
/* "Segmentation fault"; for the number that sw_process_end gave. */
const char *sw_signal_text(int signal);

/* Runs a program to its end, at most `seconds`; its standard output as text in the arena. SW_E_IO without a message when it
 * cannot be started, does not end in time, fails, or writes more than 16 MiB: then `text` is the last line that it wrote to
 * standard error, maybe "". */
SW_MUST_USE sw_status sw_process_capture(const char *const *argv, double seconds, sw_arena *arena, const char **text);
/* The last line of standard error, without control characters. */
void sw_process_last_words(const sw_process *process, char *text, size_t size);

/* In a child: moves standard input and output to other descriptors, so that what libraries print does not mix with answers:
 * what is printed goes to standard error. Also ends this process when its parent dies. SW_E_IO. */
SW_MUST_USE sw_status sw_process_become_child(int *in, int *out);
/* Reads or writes exactly `size` bytes of such a descriptor; false at its end. */
bool sw_fd_take(int fd, void *data, size_t size);
bool sw_fd_give(int fd, const void *data, size_t size);
/* Ends this process at once, without destructors. */
_Noreturn void sw_process_leave(void);

#endif
