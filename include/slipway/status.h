/* Status codes and diagnostics of the Slipway API.
 *
 * Every function that can fail returns an sw_status, which must be used. The sentence for the user travels apart,
 * through the sw_diag sink that the caller hands in: what was wrong, where, what to do. */
#ifndef SLIPWAY_STATUS_H
#define SLIPWAY_STATUS_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define SW_MUST_USE         __attribute__((warn_unused_result))
#define SW_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))

/* X(code, process exit code, text) */
#define SW_STATUS_LIST(X)                                                                                         \
    X(SW_OK, 0, "success")                                                                                        \
    X(SW_E_USAGE, 1, "wrong use")                                                                                 \
    X(SW_E_MODEL, 2, "broken model")                                                                              \
    X(SW_E_UNSUPPORTED, 2, "unsupported model")                                                                   \
    X(SW_E_INPUT, 3, "bad input")                                                                                 \
    X(SW_E_IO, 3, "cannot read or write")                                                                         \
    X(SW_E_NOMEM, 4, "out of memory")                                                                             \
    X(SW_E_LIMIT, 4, "a limit was exceeded")                                                                      \
    X(SW_E_INTERNAL, 4, "internal error")

typedef enum sw_status {
#define SW_STATUS_ENUM(code, exit_code, text) code,
    SW_STATUS_LIST(SW_STATUS_ENUM)
#undef SW_STATUS_ENUM
} sw_status;

/* One line of English for a code; never NULL. */
const char *sw_status_text(sw_status status);
/* The exit code that the command line program gives for it: 0 good, 1 wrong use, 2 model, 3 input, 4 resources. */
int sw_status_exit_code(sw_status status);

typedef enum sw_severity { SW_INFO, SW_WARNING, SW_ERROR } sw_severity;

/* One message. Strings live only during the call of the sink. */
typedef struct sw_message {
    sw_severity severity;
    sw_status status;  /* SW_OK for infos and warnings */
    const char *where; /* file, offset, node ...; NULL when there is no better place than the call */
    const char *text;  /* what was wrong: expected and found */
    const char *hint;  /* what to do; NULL when the text says it */
} sw_message;

/* A sink for messages, owned by the caller and valid for as long as the object that got it. `emit` may be called
 * from any thread that works for the caller, but never from two at once. A NULL sink, or a NULL emit, drops
 * messages. */
typedef struct sw_diag {
    void (*emit)(void *ctx, const sw_message *message);
    void *ctx;
} sw_diag;

/* Report an error and return `status`, so that `return sw_fail(...)` reads as one step. `where` and `hint` may be
 * NULL. */
sw_status sw_fail(const sw_diag *diag, sw_status status, const char *where, const char *hint, const char *fmt, ...)
    SW_PRINTF(5, 6);
void sw_warn(const sw_diag *diag, const char *where, const char *fmt, ...) SW_PRINTF(3, 4);
void sw_info(const sw_diag *diag, const char *where, const char *fmt, ...) SW_PRINTF(3, 4);

/* Leave the function with a failed status. Only where nothing is held: otherwise `goto out`. */
#define SW_TRY(expression)                                                                                        \
    do {                                                                                                          \
        sw_status sw_try_status_ = (expression);                                                                  \
        if (sw_try_status_ != SW_OK) return sw_try_status_;                                                       \
    } while (0)

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
