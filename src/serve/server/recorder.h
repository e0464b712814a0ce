/* What is told of requests: which messages reach the log, a line a request, traces. Settings may change while it runs.
 *
 * All functions may be called from any thread, but creation and destruction. */
#ifndef SLIPWAY_SERVE_SERVER_RECORDER_H
#define SLIPWAY_SERVE_SERVER_RECORDER_H

#include "serve/kserve/kserve.h"

typedef struct sw_recorder sw_recorder;

/* Texts must live as long as the recorder. */
typedef struct sw_recorder_options {
    bool log_info, log_warning, log_error, iso8601;
    int64_t verbose;        /* of the log; nothing depends on it yet but what clients are told */
    const char *access_log; /* a file that gets a line of JSON for each request; "-": standard output; NULL: none */
    const char *trace_file; /* NULL: nothing can be traced */
    bool trace;
    int64_t trace_rate, trace_count, trace_frequency; /* one of so many requests; so many in all, -1: any; a file for so
                                                         many, 0: one file at the end */
    const sw_diag *diag;
} sw_recorder_options;

/* SW_E_IO with a message when the access log cannot be written. */
SW_MUST_USE sw_status sw_recorder_create(const sw_recorder_options *options, sw_recorder **recorder);
void sw_recorder_destroy(sw_recorder *recorder); /* writes the traces that it still has; takes NULL */

/* Opens the access log anew, by its name: it may have been moved away (log rotation). Where that fails the old file stays,
 * with a warning. */
void sw_recorder_reopen(sw_recorder *recorder);

/* For sw_serve_options.access: `recorder` is the context. */
void sw_recorder_request(void *recorder, const sw_serve_request *request);

bool sw_recorder_shows(const sw_recorder *recorder, sw_severity severity);
bool sw_recorder_dates(const sw_recorder *recorder); /* messages begin with the time */

/* The settings of the log. All of a request's are checked before one is changed. */
void sw_recorder_list_log(const sw_recorder *recorder, sw_settings *settings);
SW_MUST_USE sw_serve_code sw_recorder_set_log(sw_recorder *recorder, const sw_settings *settings,
                                              sw_serve_error *error);
/* The settings of tracing, of one model or all (`model` NULL). A model follows all in what is not set for it. Texts of the
 * list live in `arena`. */
SW_MUST_USE sw_serve_code sw_recorder_list_trace(sw_recorder *recorder, const char *model, sw_arena *arena,
                                                 sw_settings *settings, sw_serve_error *error);
SW_MUST_USE sw_serve_code sw_recorder_set_trace(sw_recorder *recorder, const char *model, const sw_settings *settings,
                                                sw_serve_error *error);

#endif
