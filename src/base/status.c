#include "slipway/status.h"

#include <stddef.h>
#include <stdio.h>

static const struct {
    const char *text;
    int exit_code;
} statuses[] = {
#define SW_STATUS_ROW(code, exit_code, text) [code] = {text, exit_code},
    SW_STATUS_LIST(SW_STATUS_ROW)
#undef SW_STATUS_ROW
};

enum { STATUS_COUNT = sizeof statuses / sizeof statuses[0] };

const char *sw_status_text(sw_status status) {
    return (unsigned)status < STATUS_COUNT ? statuses[status].text : "unknown status";
}

int sw_status_exit_code(sw_status status) {
    return (unsigned)status < STATUS_COUNT ? statuses[status].exit_code : statuses[SW_E_INTERNAL].exit_code;
}

static void emit(const sw_diag *diag, sw_severity severity, sw_status status, const char *where, const char *hint,
                 const char *fmt, va_list args) {
    if (!diag || !diag->emit) return;
    char text[1024]; /* longer messages are cut: they carry names out of files */
    vsnprintf(text, sizeof text, fmt, args);
    sw_message message = {.severity = severity, .status = status, .where = where, .text = text, .hint = hint};
    diag->emit(diag->ctx, &message);
}

sw_status sw_fail(const sw_diag *diag, sw_status status, const char *where, const char *hint, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    emit(diag, SW_ERROR, status, where, hint, fmt, args);
    va_end(args);
    return status;
}

void sw_warn(const sw_diag *diag, const char *where, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    emit(diag, SW_WARNING, SW_OK, where, NULL, fmt, args);
    va_end(args);
}

void sw_info(const sw_diag *diag, const char *where, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    emit(diag, SW_INFO, SW_OK, where, NULL, fmt, args);
    va_end(args);
}
