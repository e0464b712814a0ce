/* slipway doctor: the checks. */
#include <stdio.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "base/cpu.h"
#include "base/os.h"
#include "base/os_cpu.h"
#include "base/str.h"
#include "cli/doctor.h"

enum { MAX_FILE = 1 << 20 };

/* Adds a line; drops what is more than SW_DOCTOR_MOST. */
static void add(sw_doctor *doctor, sw_finding finding) {
    if (doctor->n < SW_DOCTOR_MOST) doctor->findings[doctor->n++] = finding;
}

/* Printed into the arena; "" without memory. */
static const char *printed(sw_doctor *doctor, const char *fmt, ...) SW_PRINTF(2, 3);
static const char *printed(sw_doctor *doctor, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *copy = sw_arena_strdup(doctor->arena, text);
    return copy ? copy : "";
}

/* A small file below the root as text; "" when it cannot be read. */
static const char *file_text(sw_doctor *doctor, const char *path) {
    sw_buf buf = sw_buf_make(NULL, MAX_FILE);
    const char *text = sw_file_read(printed(doctor, "%s%s", doctor->root, path), NULL, &buf) == SW_OK
                           ? sw_arena_strdup(doctor->arena, sw_buf_text(&buf))
                           : NULL;
    sw_buf_free(&buf);
    return text ? text : "";
}

/* The last match of a pattern below the root, NULL: none. */
static const char *last_match(sw_doctor *doctor, const char *pattern) {
    sw_names found;
    const char *whole = printed(doctor, "%s%s", doctor->root, pattern);
    return sw_path_glob(whole, doctor->arena, NULL, &found) == SW_OK && found.n ? found.names[found.n - 1] : NULL;
}

/* -- The system ---------------------------------------------------------------------------------------------------- */

static void check_amx(sw_doctor *d) {
    bool there = strstr(file_text(d, "/proc/cpuinfo"), " amx_tile") != NULL;
    bool allowed = sw_cpu_features_found() & SW_CPU_AMX;
    if (!there) return;
    add(d,
        (sw_finding){.what = "AMX permission",
                     .verdict = allowed ? SW_DOCTOR_OK : SW_DOCTOR_MEND,
                     .found = allowed ? "granted" : "refused by the system",
                     .fits = allowed ? NULL : "the CPU has AMX; Linux 5.16 or later gives it, containers may forbid it",
                     .mend = allowed ? NULL : "docker run --security-opt seccomp=unconfined ..."});
}

/* CPUs in "0-3,8": those that are switched on. */
static int count_cpus(const char *list) {
    int n = 0;
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",\n"), dash = strcspn(at, "-,\n");
        int64_t first = 0, last = 0;
        if (!sw_str_to_i64(at, dash, &first)) break;
        last = first;
        if (at[dash] == '-' && !sw_str_to_i64(at + dash + 1, length - dash - 1, &last)) break;
        n += (int)(last - first) + 1;
        at += length + (at[length] != 0);
    }
    return n;
}

static void check_cpus(sw_doctor *d) {
    char features[256];
    sw_cpu_text(sw_cpu_features(), features, sizeof features);
    add(d, (sw_finding){.what = "CPU", .found = sw_cpu_model(), .fits = printed(d, "%s", features)});
    int online = count_cpus(file_text(d, "/sys/devices/system/cpu/online"));
    int quota = sw__os_cgroup_cpus(printed(d, "%s/proc/self/cgroup", d->root), printed(d, "%s/sys/fs/cgroup", d->root));
    bool limited = quota && online && quota < online;
    add(d, (sw_finding){.what = "CPU limit",
                        .verdict = limited ? SW_DOCTOR_NOTE : SW_DOCTOR_OK,
                        .found = limited  ? printed(d, "%d of %d CPUs by cgroup", quota, online)
                                 : online ? printed(d, "none: %d CPUs", online)
                                          : "unknown",
                        .fits = limited ? "that many threads are taken" : NULL,
                        .mend = limited ? printed(d, "docker update --cpus %d CONTAINER", online) : NULL});
    const char *governor = file_text(d, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (sw_str_starts_with(governor, "powersave") &&
        !strstr(file_text(d, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver"), "pstate"))
        add(d, (sw_finding){.what = "CPU clock",
                            .verdict = SW_DOCTOR_MEND,
                            .found = "governor powersave",
                            .fits = "keeps the clock low",
                            .mend = "sudo cpupower frequency-set -g performance"});
}

static void check_memory(sw_doctor *d) {
    add(d,
        (sw_finding){.what = "memory", .found = printed(d, "%.1f GiB usable", (double)sw_os_memory_bytes() / 0x1p30)});
    const char *huge = file_text(d, "/sys/kernel/mm/transparent_hugepage/enabled");
    bool never = strstr(huge, "[never]") != NULL;
    if (huge[0])
        add(d,
            (sw_finding){.what = "huge pages",
                         .verdict = never ? SW_DOCTOR_MEND : SW_DOCTOR_OK,
                         .found = never                      ? "never"
                                  : strstr(huge, "[always]") ? "always"
                                                             : "where asked for",
                         .fits = never ? "large maps cost more misses of the TLB" : NULL,
                         .mend = never ? "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled" : NULL});
}

/* Devices that are there, but not for this user. */
static void check_node(sw_doctor *d, const char *what, const char *pattern, const char *group, const char *who) {
    const char *node = last_match(d, pattern);
    if (!node) return;
    bool usable = sw_path_usable(node);
    add(d, (sw_finding){.what = what,
                        .verdict = usable ? SW_DOCTOR_OK : SW_DOCTOR_MEND,
                        .found = node,
                        .fits = usable ? NULL : printed(d, "this user may not open it; %s needs it", who),
                        .mend = usable ? NULL : printed(d, "sudo usermod -aG %s $USER  # then log in again", group)});
}

void sw_doctor_system(sw_doctor *d) {
    check_cpus(d);
    check_amx(d);
    check_memory(d);
    check_node(d, "render device", "/dev/dri/renderD*", "render", "OpenVINO's GPU device");
    check_node(d, "NVIDIA device", "/dev/nvidia[0-9]*", "video", "CUDA");
}

/* -- GPUs ------------------------------------------------------------------------------------------------------------ */

static bool nvidia_on_bus(sw_doctor *d) {
    sw_names devices;
    const char *pattern = printed(d, "%s/sys/bus/pci/devices/*", d->root);
    if (sw_path_glob(pattern, d->arena, NULL, &devices) != SW_OK) return false;
    for (size_t i = 0; i < devices.n; i++) {
        const char *device = devices.names[i] + strlen(d->root);
        if (sw_str_starts_with(file_text(d, printed(d, "%s/vendor", device)), "0x10de") &&
            sw_str_starts_with(file_text(d, printed(d, "%s/class", device)), "0x03"))
            return true;
    }
    return false;
}

static void check_driver(sw_doctor *d) {
    sw_last_text why;
    sw_diag diag = sw_last_text_diag(&why);
    int n = 0;
    bool works = sw_cuda_count(&diag, &n) == SW_OK;
    d->gpu = works || nvidia_on_bus(d);
    for (int i = 0; i < n; i++) {
        sw_cuda_info gpu;
        if (sw_cuda_describe(i, NULL, &gpu) != SW_OK) continue;
        d->cuda = gpu.driver;
        add(d, (sw_finding){.what = "GPU",
                            .found = printed(d, "%s, SM %d.%d", gpu.name, gpu.sm / 10, gpu.sm % 10),
                            .fits = gpu.sm >= 75 ? "--device cuda" : "too old for --device cuda: SM 7.5 is needed",
                            .verdict = gpu.sm >= 75 ? SW_DOCTOR_OK : SW_DOCTOR_NOTE});
    }
    add(d, (sw_finding){.what = "NVIDIA driver",
                        .verdict = works    ? SW_DOCTOR_OK
                                   : d->gpu ? SW_DOCTOR_MEND
                                            : SW_DOCTOR_NOTE,
                        .found = works    ? "found"
                                 : d->gpu ? printed(d, "%s", why.text)
                                          : "none, and no NVIDIA GPU",
                        .version = works ? printed(d, "CUDA %d.%d", d->cuda / 1000, d->cuda % 1000 / 10) : NULL,
                        .mend = !works && d->gpu ? "sudo apt install nvidia-driver firmware-misc-nonfree" : NULL});
}

/* Libraries of NVIDIA: their names in wheels and in the system, and the wheel that has them. */
static const struct {
    const char *what, *in_packages, *in_system, *variable, *package, *who;
} libraries[] = {
    {"NVRTC", "nvidia/*/lib/libnvrtc.so.*", "libnvrtc.so*", "SLIPWAY_NVRTC", "nvidia-cuda-nvrtc",
     "--device cuda compiles with it"},
    {"cuDNN", "nvidia/*/lib/libcudnn.so.*", "libcudnn.so*", NULL, "nvidia-cudnn", "onnxruntime-gpu needs it"},
    {"TensorRT", "tensorrt*/libnvinfer.so.*", "libnvinfer.so*", NULL, "tensorrt",
     "onnxruntime's TensorRT provider needs it"},
    {"TensorRT-RTX", "tensorrt_rtx*/libtensorrt_rtx.so.*", "libtensorrt_rtx.so*", NULL, "tensorrt-rtx",
     "engines for RTX GPUs are built with it"},
};

/* "13" in ".../libnvrtc.so.13"; 0: no number. */
static int64_t major_of(const char *path) {
    const char *so = strstr(path, ".so.");
    int64_t major = 0;
    return so && sw_str_to_i64(so + 4, strspn(so + 4, "0123456789"), &major) ? major : 0;
}

static void check_library(sw_doctor *d, int i) {
    static const char *const folders[] = {"/usr/local/cuda/lib64", "/usr/local/lib", "/usr/lib/*-linux-gnu",
                                          "/usr/lib64"};
    const char *path = NULL, *wheel = NULL;
    for (size_t k = 0; k < sizeof folders / sizeof *folders && !path; k++)
        path = last_match(d, printed(d, "%s/%s", folders[k], libraries[i].in_system));
    for (int k = 0; k < d->python.n && !wheel; k++) {
        sw_names found;
        const char *pattern = printed(d, "%s/%s", d->python.folders[k], libraries[i].in_packages);
        if (sw_path_glob(pattern, d->arena, NULL, &found) == SW_OK && found.n) wheel = found.names[found.n - 1];
    }
    const char *here = path ? path : wheel;
    int64_t major = here ? major_of(here) : 0, driver = d->cuda / 1000;
    bool newer = i == 0 && driver && major > driver;
    /* The wheel is only found by those who know where it lies. */
    bool hidden = i == 0 && !path && wheel && d->gpu;
    sw_finding f = {.what = libraries[i].what, .found = here ? here : "-", .fits = libraries[i].who};
    if (here) f.version = printed(d, "%lld", (long long)major);
    if (!here) f.verdict = d->gpu && i == 0 ? SW_DOCTOR_MEND : SW_DOCTOR_NOTE;
    if (!here && d->gpu) f.mend = printed(d, "pip install %s-cu%d", libraries[i].package, driver ? (int)driver : 12);
    if (newer) {
        f.verdict = SW_DOCTOR_MEND;
        f.fits = printed(d, "newer than the driver, which supports CUDA %d", (int)driver);
        f.mend = printed(d, "pip install %s-cu%d", libraries[i].package, (int)driver);
    } else if (hidden) {
        f.verdict = SW_DOCTOR_MEND;
        f.fits = "it lies in a wheel, where the system does not look";
        f.mend = printed(d, "export %s=%s", libraries[i].variable, wheel);
    }
    add(d, f);
}

void sw_doctor_gpu(sw_doctor *d) {
    check_driver(d);
    for (int i = 0; i < (int)(sizeof libraries / sizeof *libraries); i++) check_library(d, i);
}

/* -- Runtimes -------------------------------------------------------------------------------------------------------- */

/* Two packages that write into one folder: whichever came last is what runs. */
static void check_twins(sw_doctor *d) {
    for (int i = 0; i < d->python.n; i++) {
        sw_names one, other;
        const char *plain = printed(d, "%s/onnxruntime-[0-9]*.dist-info", d->python.folders[i]);
        const char *gpu = printed(d, "%s/onnxruntime_gpu-*.dist-info", d->python.folders[i]);
        if (sw_path_glob(plain, d->arena, NULL, &one) != SW_OK || sw_path_glob(gpu, d->arena, NULL, &other) != SW_OK)
            continue;
        if (one.n && other.n)
            add(d, (sw_finding){.what = "onnxruntime twice",
                                .verdict = SW_DOCTOR_MEND,
                                .found = d->python.folders[i],
                                .fits = "onnxruntime and onnxruntime-gpu overwrite each other",
                                .mend = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"});
    }
}

sw_status sw_doctor_runtimes(sw_doctor *d) {
    add(d, (sw_finding){.what = "Python",
                        .verdict = d->python.path ? SW_DOCTOR_OK : SW_DOCTOR_NOTE,
                        .found = d->python.path ? d->python.path : "none",
                        .fits = "other runtimes come as its packages",
                        .mend = d->python.path ? NULL : "sudo apt install python3-venv"});
    for (const sw_foreign_runtime *r = sw_foreign_runtimes + 1; r->name; r++) {
        sw_backend_found found;
        SW_TRY(sw_backend_look(r, &d->python, d->arena, &found));
        bool broken = found.place.path && !found.version;
        add(d, (sw_finding){.what = r->title,
                            .verdict = found.version ? SW_DOCTOR_OK
                                       : broken      ? SW_DOCTOR_MEND
                                                     : SW_DOCTOR_NOTE,
                            .found = found.place.path ? found.place.path : "-",
                            .version = found.version,
                            .fits = broken ? printed(d, "%s", found.why.text) : NULL,
                            .mend = found.version ? NULL
                                    : broken      ? printed(d, "%s --force-reinstall", r->install)
                                                  : r->install});
    }
    check_twins(d);
    return SW_OK;
}
