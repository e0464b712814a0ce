/* What `slipway serve` is told to log, to trace and to count. */
#ifndef SLIPWAY_CLI_SERVE_RECORD_H
#define SLIPWAY_CLI_SERVE_RECORD_H

#include "cli/verb.h"
#include "serve/core.h"
#include "serve/server/recorder.h"

/* From --log-*, --access-log and --trace-config. SW_E_USAGE with a message. `args` must outlive it. */
SW_MUST_USE sw_status sw_serve_record(const sw_args *args, const sw_diag *diag, sw_recorder **recorder);

/* From --metrics-config. */
SW_MUST_USE sw_status sw_serve_metrics_config(const sw_args *args, const sw_diag *diag,
                                              sw_serve_metrics_options *metrics);

/* "true" or "false". */
SW_MUST_USE sw_status sw_serve_bool(const sw_args *args, const char *option, bool *value, const sw_diag *diag);

#endif
