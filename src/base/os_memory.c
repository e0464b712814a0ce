#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os.h"
#include "base/os_memory.h"

enum { LEAST_BYTES = 64 << 20 };

/* A file that holds one number; -1 when it is absent or says "max". */
static int64_t read_number(const char *path) {
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    long long number = -1;
    if (fscanf(file, "%lld", &number) != 1) number = -1;
    fclose(file);
    return number;
}

int64_t sw_os_memory_bytes(void) {
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    const char *limits[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        int64_t limit = read_number(limits[i]);
        if (limit > 0 && limit < bytes) bytes = limit;
    }
    return bytes < LEAST_BYTES ? LEAST_BYTES : bytes;
}

void sw_os_give_back_blocks(void) {
#ifdef __GLIBC__
    /* Once set, glibc no longer raises these to the largest block that was freed (mallopt(3)), after which blocks of models lie
     * in heaps, whose free end malloc_trim leaves alone in all but the first. */
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
}

void sw_os_trim(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void sw__os_huge_pages(void *block, size_t size) {
#ifdef MADV_HUGEPAGE
    (void)madvise(block, size, MADV_HUGEPAGE);
#else
    (void)block;
    (void)size;
#endif
}
