#include <stdlib.h>

#include "base/os.h"
#include "base/stage.h"
#include "cli/doctor.h"
#include "unit.h"

/* A machine in a folder. */
static void put(const char *root, const char *path, const char *text) {
    char name[512], folder[512];
    snprintf(name, sizeof name, "%s%s", root, path);
    snprintf(folder, sizeof folder, "%.*s", (int)(sw_path_name(name) - name), name);
    CHECK_INT(sw_dir_make(folder, NULL), SW_OK);
    CHECK_INT(sw_file_write(name, text, strlen(text), NULL), SW_OK);
}

static const sw_finding *find(const sw_doctor *d, const char *what) {
    for (int i = 0; i < d->n; i++)
        if (!strcmp(d->findings[i].what, what)) return &d->findings[i];
    return NULL;
}

SW_TEST(doctor_reads_the_system) {
    sw_stage *stage; /* goes with everything in it */
    CHECK_INT(sw_stage_open("/tmp/slipway-doctor", &sw_test_diag, &stage), SW_OK);
    const char *root = sw_stage_path(stage);
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_doctor d = {.arena = arena, .root = root};
    put(root, "/sys/devices/system/cpu/online", "0-5,8-9\n");
    put(root, "/proc/self/cgroup", "0::/\n");
    put(root, "/sys/fs/cgroup/cpu.max", "250000 100000\n");
    put(root, "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    put(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put(root, "/dev/dri/renderD128", "");
    put(root, "/sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
    put(root, "/sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n");
    sw_doctor_system(&d);
    const sw_finding *f = find(&d, "CPU limit");
    CHECK(f && f->verdict == SW_DOCTOR_NOTE);
    CHECK_STR(f ? f->found : "", "3 of 8 CPUs by cgroup");
    CHECK_STR(f ? f->mend : "", "docker update --cpus 8 CONTAINER");
    f = find(&d, "huge pages");
    CHECK(f && f->verdict == SW_DOCTOR_MEND && f->mend && strstr(f->mend, "madvise"));
    f = find(&d, "CPU clock");
    CHECK(f && f->verdict == SW_DOCTOR_MEND);
    f = find(&d, "render device");
    CHECK(f && f->verdict == SW_DOCTOR_OK);
    CHECK(!find(&d, "NVIDIA device"));
    setenv("SLIPWAY_CUDA_DRIVER", "/nowhere/libcuda.so", 0);
    sw_doctor_gpu(&d);
    CHECK(d.gpu);
    f = find(&d, "NVRTC");
    if (!d.cuda) CHECK(f && f->verdict == SW_DOCTOR_MEND && !strcmp(f->mend, "pip install nvidia-cuda-nvrtc-cu12"));
    put(root, "/usr/local/cuda/lib64/libnvrtc.so.13", "");
    d.n = 0;
    d.gpu = false;
    sw_doctor_gpu(&d);
    f = find(&d, "NVRTC");
    CHECK(f && f->version && !strcmp(f->version, "13"));
    sw_arena_destroy(arena);
    sw_stage_abort(stage);
}
