/* Arrays from files, and results as a table and into files. */
#ifndef SLIPWAY_CLI_ARRAYS_H
#define SLIPWAY_CLI_ARRAYS_H

#include "cli/child.h"
#include "cli/verb.h"

/* A .npy file, as sw_npy_read; messages name it, and not the model. */
SW_MUST_USE sw_status sw_arrays_read(const char *path, sw_console *console, sw_tensor *tensor);
/* Prints type, shape, least, mean and largest value of each output, unless quiet, and writes them into the folder --output-dir,
 * where that is given. Of type SW_DTYPE_NONE: texts, of which only the shape is told. */
SW_MUST_USE sw_status sw_arrays_show(const sw_args *args, const sw_named *outputs, int n, double ms,
                                     sw_console *console);

#endif
