/* What `slipway serve` is told to log and to trace. */
#ifndef SLIPWAY_CLI_SERVE_RECORD_H
#define SLIPWAY_CLI_SERVE_RECORD_H

#include "cli/verb.h"
#include "serve/server/recorder.h"

/* From --log-*, --access-log and --trace-config. SW_E_USAGE with a message. `args` must outlive it. */
SW_MUST_USE sw_status sw_serve_record(const sw_args *args, const sw_diag *diag, sw_recorder **recorder);

/* "true" or "false". */
SW_MUST_USE sw_status sw_serve_bool(const sw_args *args, const char *option, bool *value, const sw_diag *diag);

#endif
