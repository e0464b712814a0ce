/* The plan file (.slip): a plan with its packed weights, which is mapped and used as it lies. docs/plan-format.md has
 * the bytes.
 * Nothing in a file is trusted: sizes, offsets, order and types are checked before use, texts and numbers are copied
 * to private memory, and the weights are only ever read as numbers. A plan from an enemy can give wrong results or
 * fail; it cannot crash. */
#ifndef SLIPWAY_ENGINE_PLAN_FILE_H
#define SLIPWAY_ENGINE_PLAN_FILE_H

#include "engine/plan.h"
#include "slipway/build.h" /* sw_plan_save */

enum { SW_PLAN_FORMAT = 1 };

/* Whether bytes are a plan file, of whatever version; 8 are enough. */
bool sw_plan_sniff(const void *bytes, size_t size);
bool sw_plan_sniff_file(const char *path); /* false also for what cannot be read: whoever reads it says why */

/* Takes tactics, profiles, timings and receipt of a stripped plan for a freshly built one of the same architecture:
 * same steps, attributes and dims, else SW_E_INPUT with the first difference. */
SW_MUST_USE sw_status sw_plan_refit(sw_plan *built, const sw_plan *stripped, const char *where, const sw_diag *diag);

/* The first step or value in which two plans differ, as a sentence; false when they are alike but for weights, names
 * of values and tactics. */
bool sw_plan_differs(const sw_plan *a, const sw_plan *b, char *text, size_t size);

#endif
