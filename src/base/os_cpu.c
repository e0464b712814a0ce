#include "base/os_cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

#include "base/cpu.h"
#include "base/os.h"
#include "base/str.h"

bool sw__os_allow_amx(void) {
#if defined(__x86_64__) && defined(SYS_arch_prctl)
    enum { REQUEST_FEATURE = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return syscall(SYS_arch_prctl, REQUEST_FEATURE, TILE_DATA) == 0;
#else
    return false;
#endif
}

void sw_os_stand_back(void) {
    enum { LOWEST = 19 };
    setpriority(PRIO_PROCESS, 0, LOWEST);
}

sw__arm_caps sw__os_arm_caps(void) {
    sw__arm_caps caps = {0};
#ifdef __aarch64__
    /* Bits of Linux's arch/arm64/include/uapi/asm/hwcap.h. */
    unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    caps.fp16 = one >> 10 & 1; /* ASIMDHP */
    caps.dot = one >> 20 & 1;  /* ASIMDDP */
    caps.i8mm = two >> 13 & 1;
    caps.bf16 = two >> 14 & 1;
#endif
    return caps;
}

void sw__os_cpu_model(char *text, size_t size) {
    static const char *const places[] = {"/sys/firmware/devicetree/base/model",
                                         "/sys/devices/virtual/dmi/id/product_name"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        FILE *file = fopen(places[i], "rb");
        if (!file) continue;
        char line[128] = {0};
        size_t got = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[strcspn(line, "\n")] = 0;
        if (got && line[0]) {
            snprintf(text, size, "%s", line);
            return;
        }
    }
}

static bool read_line(const char *path, char *line, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    bool good = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (good) line[strcspn(line, "\n")] = 0;
    return good;
}

static bool read_number(const char *path, int64_t *value) {
    char line[64];
    return read_line(path, line, sizeof line) && sw_str_to_i64(line, strlen(line), value);
}

/* sysfs knows all architectures; where it is not mounted, the C library may. */
size_t sw_cpu_cache(int level) {
    for (int i = 0; i < 8; i++) {
        char path[96], line[32];
        int64_t value;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        if (!read_number(path, &value)) break;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        if (value != level || !read_line(path, line, sizeof line) || !strcmp(line, "Instruction")) continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        if (!read_line(path, line, sizeof line)) continue;
        size_t length = strlen(line), unit = 1;
        if (length && line[length - 1] == 'K')
            unit = 1 << 10, length--;
        else if (length && line[length - 1] == 'M')
            unit = 1 << 20, length--;
        if (sw_str_to_i64(line, length, &value) && value > 0) return (size_t)value * unit;
    }
    long size = -1;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    if (level == 1) size = sysconf(_SC_LEVEL1_DCACHE_SIZE);
    if (level == 2) size = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (level == 3) size = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return size > 0 ? (size_t)size : 0;
}

static int cpus_of(int64_t quota, int64_t period) {
    if (quota <= 0 || period <= 0) return 0;
    int64_t cpus = quota / period + (quota % period != 0);
    return cpus > 1 << 16 ? 0 : (int)cpus;
}

/* "max 100000" or "150000 100000". */
static int read_v2(const char *folder) {
    char path[512], line[64];
    int64_t quota, period;
    if (snprintf(path, sizeof path, "%s/cpu.max", folder) >= (int)sizeof path) return 0;
    if (!read_line(path, line, sizeof line)) return 0;
    size_t first = strcspn(line, " ");
    if (!line[first] || !sw_str_to_i64(line, first, &quota)) return 0;
    const char *rest = line + first + 1;
    return sw_str_to_i64(rest, strlen(rest), &period) ? cpus_of(quota, period) : 0;
}

static int read_v1(const char *folder) {
    char path[512];
    int64_t quota, period;
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder) >= (int)sizeof path) return 0;
    if (!read_number(path, &quota)) return 0;
    if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder) >= (int)sizeof path) return 0;
    return read_number(path, &period) ? cpus_of(quota, period) : 0;
}

/* The tightest quota from root + group upwards. In a container the group's own folder may not be there, but its
 * root is. */
static int walk(const char *root, const char *group, int (*read)(const char *folder)) {
    char folder[400];
    if (snprintf(folder, sizeof folder, "%s%s", root, group) >= (int)sizeof folder) return read(root);
    size_t stop = strlen(root);
    int least = 0;
    for (;;) {
        size_t length = strlen(folder);
        while (length > stop && folder[length - 1] == '/') folder[--length] = 0;
        int cpus = read(folder);
        if (cpus && (!least || cpus < least)) least = cpus;
        if (length <= stop) return least;
        *strrchr(folder, '/') = 0;
    }
}

static bool names_cpu(const char *controllers, size_t length) {
    for (size_t at = 0; at < length;) {
        size_t n = 0;
        while (at + n < length && controllers[at + n] != ',') n++;
        if (n == 3 && !memcmp(controllers + at, "cpu", 3)) return true;
        at += n + 1;
    }
    return false;
}

int sw__os_cgroup_cpus(const char *cgroup, const char *root) {
    FILE *file = fopen(cgroup, "r");
    if (!file) return 0;
    int least = 0;
    char line[512]; /* hierarchy:controllers:/group */
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        controllers++;
        size_t length = (size_t)(group - controllers);
        int cpus = 0;
        if (length == 0)
            cpus = walk(root, group + 1, read_v2);
        else if (names_cpu(controllers, length)) {
            char mount[256];
            if (snprintf(mount, sizeof mount, "%s/cpu", root) < (int)sizeof mount)
                cpus = walk(mount, group + 1, read_v1);
        }
        if (cpus && (!least || cpus < least)) least = cpus;
    }
    fclose(file);
    return least;
}

static int affinity(void) {
    for (int most = 1024; most <= 1 << 16; most *= 4) {
        cpu_set_t *set = CPU_ALLOC(most);
        if (!set) break;
        size_t size = CPU_ALLOC_SIZE(most);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int sw_cpu_allowed(void) {
    int cpus = affinity(), quota = sw__os_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota && quota < cpus ? quota : cpus;
}

bool sw_cpu_pin(int n, sw_cpu_set *before) {
    cpu_set_t all, some;
    _Static_assert(sizeof all == sizeof *before, "a set of CPUs fits");
    if (sched_getaffinity(0, sizeof all, &all) != 0) return false;
    memcpy(before, &all, sizeof all);
    CPU_ZERO(&some);
    for (int i = 0; i < CPU_SETSIZE && n > 0; i++) {
        if (!CPU_ISSET(i, &all)) continue;
        CPU_SET(i, &some);
        n--;
    }
    return sched_setaffinity(0, sizeof some, &some) == 0;
}

void sw_cpu_unpin(const sw_cpu_set *before) {
    cpu_set_t all;
    memcpy(&all, before, sizeof all);
    (void)sched_setaffinity(0, sizeof all, &all); /* it was so before */
}
