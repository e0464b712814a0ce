/* NumPy's .npy files, versions 1 to 3 (numpy.lib.format): one array in one file. */
#ifndef SLIPWAY_BASE_NPY_H
#define SLIPWAY_BASE_NPY_H

#include "base/alloc.h"
#include "base/buf.h"
#include "slipway/tensor.h"

/* Reads bytes[0..size). `tensor->data` is new memory from `allocator`: free it with sw_free. Fortran order is
 * turned into row-major order. Big-endian arrays, structures, text, objects and complex numbers are refused
 * by name (SW_E_UNSUPPORTED); broken files are SW_E_INPUT, ranks above SW_MAX_RANK SW_E_LIMIT. Bytes after
 * the array are let be. */
SW_MUST_USE sw_status sw_npy_parse(const void *bytes, size_t size, const char *where,
                                   const sw_allocator *allocator, const sw_diag *diag, sw_tensor *tensor);
/* The same from a file. */
SW_MUST_USE sw_status sw_npy_read(const char *path, const sw_allocator *allocator, const sw_diag *diag,
                                  sw_tensor *tensor);

/* Appends a version 1 file to `buf`. Floats that NumPy does not know (of 16, 8 and 4 bits) are written as
 * float32, integers of 4 bits as those of 8. */
void sw_npy_format(const sw_tensor *tensor, sw_buf *buf);
SW_MUST_USE sw_status sw_npy_write(const char *path, const sw_tensor *tensor, const sw_diag *diag);

#endif
