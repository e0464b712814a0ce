/* What the user sees: results on standard output, messages and progress on standard error. One thread at a time. */
#ifndef SLIPWAY_CLI_CONSOLE_H
#define SLIPWAY_CLI_CONSOLE_H

#include <stdbool.h>

#include "base/buf.h"

typedef struct sw_console {
    sw_diag diag;        /* prints messages: "slipway: where: text. hint" */
    const char *subject; /* the file that is worked on, put before messages that do not name it; may be NULL */
    bool quiet;          /* no warnings, infos, progress */
    bool out_terminal, err_terminal, err_colors;
    int errors; /* printed so far */
    sw_buf out;
    sw_status out_status; /* of standard output; no more is written after a failure */
    bool progress_shown;
} sw_console;

/* Sets the console up in place: `diag` points to it. */
void sw_console_init(sw_console *console);
void sw_console_free(sw_console *console);

/* Print to standard output, through a buffer; on a terminal control characters come out as '?'. What cannot be
 * written is reported once, by sw_console_flush. */
void sw_print(sw_console *console, const char *fmt, ...) SW_PRINTF(2, 3);
void sw_print_text(sw_console *console, const char *text, size_t length);
/* SW_E_IO with a message (none when the reader just went away), SW_E_NOMEM. */
SW_MUST_USE sw_status sw_console_flush(sw_console *console);

/* Clears the terminal: what is printed next begins at its top. Nothing where standard output is none. */
void sw_console_clear(sw_console *console);

/* A line on the terminal that says how far we are, replaced by the next; nothing where there is no terminal. */
void sw_console_progress(sw_console *console, size_t done, size_t total, const char *what);
void sw_console_progress_end(sw_console *console);

/* `text` wrapped at `columns`, each line after `indent` spaces but the first, which begins at column `at`. Words are kept;
 * line breaks in the text begin new lines. Ends with a line break. */
void sw_wrap(sw_buf *buf, const char *text, int at, int indent, int columns);

#endif
