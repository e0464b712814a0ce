/* Memory that processes share by name (POSIX shm_open), read and written by copying.
 *
 * It is never mapped: another process may shrink it at any time, and a mapping would then end this one. */
#ifndef SLIPWAY_BASE_SHM_H
#define SLIPWAY_BASE_SHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens "/key" or "key" for reading and writing; *size: its bytes. -1 when there is none, or it must not be opened. */
int sw_shm_open(const char *key, uint64_t *size);
void sw_shm_close(int fd);
/* False unless all bytes are there. */
bool sw_shm_read(int fd, uint64_t offset, void *data, size_t size);
bool sw_shm_write(int fd, uint64_t offset, const void *data, size_t size);

#endif
