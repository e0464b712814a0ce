/* This program as a child of itself: a runtime that answers questions (backend/foreign/wire.h). */
#ifndef SLIPWAY_CLI_CHILD_H
#define SLIPWAY_CLI_CHILD_H

#include "backend/foreign/engine.h"
#include "backend/foreign/foreign.h"
#include "cli/verb.h"

enum { SW_MOST_BACKENDS = 16 };

/* Whether the command line asks for that. */
bool sw_child_is(int argc, char **argv);
/* Answers until standard input ends. SW_E_USAGE for an unknown name. */
SW_MUST_USE sw_status sw_child_run(const char *name);

/* Slipway's own engine. Settings: device, precision (fp32, bf16; of models that are no plans). */
extern const sw_engine sw_engine_slipway;

/* -- Options that verbs share ------------------------------------------------------------------------------------------ */

/* A runtime by the name that an option gives; SW_E_USAGE with the nearest. */
SW_MUST_USE sw_status sw_backend_named(const char *name, size_t length, const char *verb, const sw_diag *diag,
                                       const sw_foreign_runtime **runtime);
/* The settings BACKEND.KEY=VALUE of one backend, of the option --set. SW_E_USAGE for what is no such word. */
SW_MUST_USE sw_status sw_settings_parse(const sw_args *args, const char *backend, const sw_diag *diag,
                                        sw_settings *settings);

#endif
