/* Traces of requests, in Triton's JSON. Private to recorder.c. */
#ifndef SLIPWAY_SERVE_SERVER_TRACE_H
#define SLIPWAY_SERVE_SERVER_TRACE_H

#include "serve/server/recorder.h"

typedef struct sw__trace sw__trace;

sw__trace *sw__trace_create(const sw_recorder_options *options); /* NULL without memory */
void sw__trace_destroy(sw__trace *trace);
void sw__trace_request(sw__trace *trace, const sw_serve_request *request);
SW_MUST_USE sw_serve_code sw__trace_list(sw__trace *trace, const char *model, sw_arena *arena, sw_settings *settings,
                                         sw_serve_error *error);
SW_MUST_USE sw_serve_code sw__trace_set(sw__trace *trace, const char *model, const sw_settings *settings,
                                        sw_serve_error *error);

#endif
