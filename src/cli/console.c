#include "cli/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"

enum { OUT = 1, ERR = 2, FLUSH_BYTES = 64 * 1024, PROGRESS_NAME = 48 };

#define RED    "\033[1;31m"
#define YELLOW "\033[1;33m"
#define PLAIN  "\033[0m"

/* Names out of files may hold anything; control characters could do things to the terminal. */
static bool is_control(uint8_t c) {
    return c < 0x20 || c == 0x7f;
}

static void append_clean(sw_buf *buf, const char *text) {
    for (; *text; text++) sw_buf_append_byte(buf, is_control((uint8_t)*text) ? '?' : (uint8_t)*text);
}

static void append_where(sw_buf *line, const sw_console *c, const char *where) {
    bool named = where && c->subject && sw_str_starts_with(where, c->subject);
    if (c->subject && !named) {
        append_clean(line, c->subject);
        sw_buf_append_text(line, ": ");
    }
    if (where) {
        append_clean(line, where);
        sw_buf_append_text(line, ": ");
    }
}

static void emit(void *ctx, const sw_message *m) {
    sw_console *c = ctx;
    if (m->severity == SW_ERROR)
        c->errors++;
    else if (c->quiet)
        return;
    sw_console_progress_end(c);
    sw_buf line = sw_buf_make(NULL, 0);
    const char *color = !c->err_colors || m->severity == SW_INFO ? "" : m->severity == SW_ERROR ? RED : YELLOW;
    sw_buf_printf(&line, "%sslipway:%s ", color, color[0] ? PLAIN : "");
    if (m->severity == SW_WARNING) sw_buf_append_text(&line, "warning: ");
    append_where(&line, c, m->where);
    append_clean(&line, m->text);
    if (m->hint) {
        sw_buf_append_text(&line, sw_str_ends_with(m->text, "?") ? " " : "; ");
        append_clean(&line, m->hint);
    }
    sw_buf_append_byte(&line, '\n');
    /* Nobody is left to tell when standard error itself cannot be written. */
    if (sw_fd_write(ERR, "standard error", line.data, line.size, NULL) != SW_OK) c->err_terminal = false;
    sw_buf_free(&line);
}

void sw_console_init(sw_console *c) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    *c = (sw_console){.diag = {.emit = emit, .ctx = c}, .out = sw_buf_make(NULL, 0)};
    c->out_terminal = sw_fd_is_terminal(OUT);
    c->err_terminal = sw_fd_is_terminal(ERR);
    c->err_colors = c->err_terminal && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
    sw_os_ignore_broken_pipes();
}

void sw_console_free(sw_console *c) {
    sw_buf_free(&c->out);
}

sw_status sw_console_flush(sw_console *c) {
    if (c->out_status != SW_OK) return c->out_status;
    for (size_t i = 0; c->out_terminal && i < c->out.size; i++)
        if (is_control(c->out.data[i]) && c->out.data[i] != '\n') c->out.data[i] = '?';
    if (c->out.status != SW_OK)
        c->out_status = sw_fail(&c->diag, c->out.status, "standard output", NULL, "no memory to print");
    else if (c->out.size)
        c->out_status = sw_fd_write(OUT, "standard output", c->out.data, c->out.size, &c->diag);
    sw_buf_clear(&c->out);
    return c->out_status;
}

void sw_console_clear(sw_console *c) {
    static const char home_and_clear[] = "\x1b[H\x1b[J";
    if (!c->out_terminal || sw_console_flush(c) != SW_OK) return;
    c->out_status = sw_fd_write(OUT, "standard output", home_and_clear, sizeof home_and_clear - 1, &c->diag);
}

static void flush_when_full(sw_console *c) {
    if (c->out.size < FLUSH_BYTES) return;
    sw_status status = sw_console_flush(c);
    (void)status; /* kept in out_status: the last flush gives it */
}

void sw_print_text(sw_console *c, const char *text, size_t length) {
    if (c->out_status != SW_OK) return;
    sw_buf_append(&c->out, text, length);
    flush_when_full(c);
}

void sw_print(sw_console *c, const char *fmt, ...) {
    if (c->out_status != SW_OK) return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (length < (int)sizeof text) {
        sw_buf_append(&c->out, text, length > 0 ? (size_t)length : 0);
    } else {
        char *to = (char *)sw_buf_extend(&c->out, (size_t)length);
        va_start(args, fmt);
        if (to) vsnprintf(to, (size_t)length + 1, fmt, args);
        va_end(args);
    }
    flush_when_full(c);
}

/* The end of a long name says more than its beginning. */
static const char *tail(const char *text, size_t most) {
    size_t length = strlen(text);
    if (length <= most) return text;
    text += length - most;
    while ((*text & 0xc0) == 0x80) text++; /* not within a character */
    return text;
}

void sw_console_progress(sw_console *c, size_t done, size_t total, const char *what) {
    if (c->quiet || !c->err_terminal) return;
    sw_buf line = sw_buf_make(NULL, 0);
    const char *name = tail(what, PROGRESS_NAME);
    sw_buf_printf(&line, "\r\033[K%3d %%  %zu of %zu  %s", (int)(total ? done * 100 / total : 100), done, total,
                  name == what ? "" : "...");
    append_clean(&line, name);
    if (sw_fd_write(ERR, "standard error", line.data, line.size, NULL) != SW_OK) c->err_terminal = false;
    sw_buf_free(&line);
    c->progress_shown = true;
}

void sw_console_progress_end(sw_console *c) {
    if (!c->progress_shown) return;
    c->progress_shown = false;
    if (sw_fd_write(ERR, "standard error", "\r\033[K", 4, NULL) != SW_OK) c->err_terminal = false;
}

void sw_wrap(sw_buf *buf, const char *text, int at, int indent, int columns) {
    bool first = true; /* on its line */
    while (*text) {
        size_t length = strcspn(text, " \n");
        if (!first && at + 1 + (int)length > columns) {
            sw_buf_append_byte(buf, '\n');
            sw_buf_fill(buf, ' ', (size_t)indent);
            at = indent;
            first = true;
        }
        if (!first) sw_buf_append_byte(buf, ' ');
        sw_buf_append(buf, text, length);
        at += (int)length + !first;
        first = false;
        text += length;
        if (*text == '\n') {
            sw_buf_append_byte(buf, '\n');
            if (text[1]) sw_buf_fill(buf, ' ', text[1] == '\n' ? 0 : (size_t)indent);
            at = indent;
            first = true;
        }
        if (*text) text++;
    }
    if (!first) sw_buf_append_byte(buf, '\n');
}
