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

/* Of cgroups, version 2 and version 1. */
static const struct {
    const char *limit, *used;
} cgroups[] = {{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
               {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
enum { CGROUPS = sizeof cgroups / sizeof cgroups[0] };

static int64_t machine_bytes(void) {
    return (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
}

int64_t sw_os_memory_bytes(void) {
    int64_t bytes = machine_bytes();
    for (int i = 0; i < CGROUPS; i++) {
        int64_t limit = read_number(cgroups[i].limit);
        if (limit > 0 && limit < bytes) bytes = limit;
    }
    return bytes < LEAST_BYTES ? LEAST_BYTES : bytes;
}

int64_t sw_os_memory_used(void) {
    for (int i = 0; i < CGROUPS; i++) {
        int64_t limit = read_number(cgroups[i].limit), used = read_number(cgroups[i].used);
        if (limit > 0 && limit < machine_bytes() && used >= 0) return used;
    }
    char line[128];
    long long total = -1, available = -1; /* KiB */
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file) return -1;
    while (fgets(line, sizeof line, file)) {
        (void)sscanf(line, "MemTotal: %lld", &total);
        (void)sscanf(line, "MemAvailable: %lld", &available);
    }
    fclose(file);
    return total >= 0 && available >= 0 ? (total - available) * 1024 : -1;
}

bool sw_os_cpu_ticks(int64_t *busy, int64_t *all) {
    enum { USER, NICE, SYSTEM, IDLE, WAIT, IRQ, SOFT_IRQ, STEAL, N };
    long long t[N] = {0};
    *busy = *all = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (!file) return false;
    int n = fscanf(file, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &t[USER], &t[NICE], &t[SYSTEM], &t[IDLE],
                   &t[WAIT], &t[IRQ], &t[SOFT_IRQ], &t[STEAL]);
    fclose(file);
    for (int i = 0; i < N; i++) *all += t[i];
    *busy = *all - t[IDLE] - t[WAIT];
    return n > IDLE;
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
