/* The plan file (.slip): a plan with its packed weights, which is mapped and used as it lies. docs/plan-format.md has
 * the bytes.
 * Nothing in a file is trusted: sizes, offsets, order and types are checked before use, texts and numbers are copied
 * to private memory, and the weights are only ever read as numbers. A plan from an enemy can give wrong results or
 * fail; it cannot crash. */
#ifndef SLIPWAY_ENGINE_PLAN_FILE_H
#define SLIPWAY_ENGINE_PLAN_FILE_H

#include "engine/plan.h"

enum { SW_PLAN_FORMAT = 1 };

/* Whether bytes are a plan file, of whatever version; 8 are enough. */
bool sw_plan_sniff(const void *bytes, size_t size);

typedef struct sw_plan_save_options {
    bool portable; /* no packed weights: each CPU chooses tactics and packs when it loads */
    bool strip;    /* no weights at all: sw_plan_refit puts them back */
} sw_plan_save_options;

/* Writes a plan that was built (not one that was loaded, whose raw weights may be missing). Chooses tactics and packs
 * weights for the profiles' opt shapes first, unless portable or input shapes are open. Same plan, same bytes. The
 * file appears whole or not at all. SW_E_IO, SW_E_LIMIT, SW_E_NOMEM with a message. */
SW_MUST_USE sw_status sw_plan_save(sw_plan *plan, const char *path, const sw_plan_save_options *options,
                                   const sw_diag *diag);

/* Takes tactics, profiles, timings and receipt of a stripped plan for a freshly built one of the same architecture:
 * same steps, attributes and dims, else SW_E_INPUT with the first difference. */
SW_MUST_USE sw_status sw_plan_refit(sw_plan *built, const sw_plan *stripped, const char *where, const sw_diag *diag);

/* The first step or value in which two plans differ, as a sentence; false when they are alike but for weights, names
 * of values and tactics. */
bool sw_plan_differs(const sw_plan *a, const sw_plan *b, char *text, size_t size);

#endif
