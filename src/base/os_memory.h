/* Memory as the operating system sees it, for base/ only. */
#ifndef SLIPWAY_BASE_OS_MEMORY_H
#define SLIPWAY_BASE_OS_MEMORY_H

#include <stddef.h>

/* Advises the system to back the block by huge pages; harmless where it does not have them. */
void sw__os_huge_pages(void *block, size_t size);

#endif
