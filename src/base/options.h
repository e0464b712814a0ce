/* Structs of options that a caller may have been compiled with another version of. */
#ifndef SLIPWAY_BASE_OPTIONS_H
#define SLIPWAY_BASE_OPTIONS_H

#include <stddef.h>

#include "slipway/status.h"

/* SW_E_USAGE where the caller's struct has fields that this library does not know. `given`: its struct_size. */
static inline sw_status sw_options_check(size_t given, size_t known, const char *name, const sw_diag *diag) {
    if (given <= known) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, NULL, "use the library that belongs to the headers",
                   "%s has %zu bytes, this version of the library knows %zu", name, given, known);
}
#define SW_OPTIONS_CHECK(options, diag)                                                                                \
    ((options) ? sw_options_check((options)->struct_size, sizeof *(options), #options, (diag)) : SW_OK)

#endif
