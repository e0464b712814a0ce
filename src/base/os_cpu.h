/* What cpu.c asks the operating system; also sw_cpu_allowed and sw_cpu_cache are in os_cpu.c. */
#ifndef SLIPWAY_BASE_OS_CPU_H
#define SLIPWAY_BASE_OS_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* Asks Linux for the tile registers of AMX, which are off until a process wants them. */
bool sw__os_allow_amx(void);

typedef struct sw__arm_caps {
    bool dot, i8mm, bf16, fp16;
} sw__arm_caps;
sw__arm_caps sw__os_arm_caps(void);

/* The model as the system names it, where the CPU itself does not tell. Leaves `text` when it does not know. */
void sw__os_cpu_model(char *text, size_t size);

/* CPUs by the cgroup quota, rounded up; 0: no quota. `cgroup` is /proc/self/cgroup or a file like it, `root` the
 * place of /sys/fs/cgroup. Both versions; the tightest of the process's group and its parents counts. */
int sw__os_cgroup_cpus(const char *cgroup, const char *root);

#endif
