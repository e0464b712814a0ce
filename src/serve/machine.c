#include "serve/machine.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "serve/metrics.h"

/* Shorter stretches than this say little of how busy the CPUs are. */
static const int64_t least_stretch_ns = 1000000000;

/* What is used of NVML (nvml.h), in its own types; all results 0: good. X(name, parameters) */
typedef struct gpu_s *nvml_device;
typedef struct nvml_utilization {
    unsigned gpu, memory; /* percent */
} nvml_utilization;
typedef struct nvml_memory {
    unsigned long long total, free, used;
} nvml_memory;
enum { UUID_BYTES = 96, MAX_GPUS = 16 };
#define NVML_FUNCTIONS(X)                                                                                              \
    X(nvmlInit_v2, (void))                                                                                             \
    X(nvmlShutdown, (void))                                                                                            \
    X(nvmlDeviceGetCount_v2, (unsigned *))                                                                             \
    X(nvmlDeviceGetHandleByIndex_v2, (unsigned, nvml_device *))                                                        \
    X(nvmlDeviceGetUUID, (nvml_device, char *, unsigned))                                                              \
    X(nvmlDeviceGetUtilizationRates, (nvml_device, nvml_utilization *))                                                \
    X(nvmlDeviceGetMemoryInfo, (nvml_device, nvml_memory *))                                                           \
    X(nvmlDeviceGetPowerUsage, (nvml_device, unsigned *))         /* milliwatts */                                     \
    X(nvmlDeviceGetEnforcedPowerLimit, (nvml_device, unsigned *)) /* milliwatts */                                     \
    X(nvmlDeviceGetTotalEnergyConsumption,                                                                             \
      (nvml_device, unsigned long long *)) /* millijoules, since the driver's start */
#define DECLARE(name, parameters) int(*name) parameters;

typedef struct gpu {
    nvml_device device;
    char uuid[UUID_BYTES];
    unsigned long long energy; /* when the server started */
} gpu;

struct sw__machine {
    pthread_mutex_t lock;
    int64_t busy, all, since_ns; /* CPU ticks when the stretch began */
    double utilization;          /* in the stretch before; negative: none yet */
    sw_thread opener;
    atomic_bool opened; /* from then on these stay: */
    struct {
        NVML_FUNCTIONS(DECLARE)
    } nvml;
    gpu gpus[MAX_GPUS];
    int n_gpus;
};

static void *open_gpus(void *ctx) {
    sw__machine *m = ctx;
    sw_library *library = sw_library_open("libnvidia-ml.so.1");
    if (!library) return NULL;
#define FIND(name, parameters)                                                                                         \
    *(void **)&m->nvml.name = sw_library_symbol(library, #name);                                                       \
    if (!m->nvml.name) return NULL;
    NVML_FUNCTIONS(FIND)
    unsigned n = 0;
    if (m->nvml.nvmlInit_v2() != 0) return NULL;
    if (m->nvml.nvmlDeviceGetCount_v2(&n) != 0) n = 0;
    for (unsigned i = 0; i < n && m->n_gpus < MAX_GPUS; i++) {
        gpu *g = &m->gpus[m->n_gpus];
        if (m->nvml.nvmlDeviceGetHandleByIndex_v2(i, &g->device) != 0 ||
            m->nvml.nvmlDeviceGetUUID(g->device, g->uuid, sizeof g->uuid) != 0)
            continue;
        if (m->nvml.nvmlDeviceGetTotalEnergyConsumption(g->device, &g->energy) != 0) g->energy = 0;
        m->n_gpus++;
    }
    atomic_store(&m->opened, true);
    return NULL;
}

sw__machine *sw__machine_create(void) {
    sw__machine *m = sw_calloc(NULL, 1, sizeof *m);
    if (!m) return NULL;
    pthread_mutex_init(&m->lock, NULL);
    m->utilization = -1;
    m->since_ns = sw_clock_ns();
    (void)sw_os_cpu_ticks(&m->busy, &m->all);
    if (sw_thread_start(&m->opener, open_gpus, m) != SW_OK) m->opener = (sw_thread){0}; /* then without GPUs */
    return m;
}

void sw__machine_destroy(sw__machine *m) {
    if (!m) return;
    if (m->opener.handle) sw_thread_join(&m->opener);
    if (atomic_load(&m->opened)) (void)m->nvml.nvmlShutdown();
    pthread_mutex_destroy(&m->lock);
    sw_free(NULL, m);
}

/* From 0 to 1, since a second ago or more, if somebody asked then. */
static double cpu_utilization(sw__machine *m) {
    int64_t busy, all, now = sw_clock_ns();
    if (!sw_os_cpu_ticks(&busy, &all)) return 0;
    double passed = (double)(all - m->all), latest = passed > 0 ? (double)(busy - m->busy) / passed : 0;
    if (now - m->since_ns >= least_stretch_ns) {
        m->utilization = latest;
        m->busy = busy, m->all = all, m->since_ns = now;
    }
    return m->utilization < 0 ? latest : m->utilization;
}

static void cpu_metrics(sw__machine *m, sw_buf *buf) {
    pthread_mutex_lock(&m->lock);
    double utilization = cpu_utilization(m);
    pthread_mutex_unlock(&m->lock);
    int64_t used = sw_os_memory_used();
    sw__metrics_head(buf, "nv_cpu_utilization", "gauge", "CPU utilization rate [0.0 - 1.0]");
    sw_buf_printf(buf, "nv_cpu_utilization %.4f\n", utilization);
    sw__metrics_head(buf, "nv_cpu_memory_total_bytes", "gauge", "CPU total memory (RAM), in bytes");
    sw_buf_printf(buf, "nv_cpu_memory_total_bytes %" PRId64 "\n", sw_os_memory_bytes());
    if (used < 0) return;
    sw__metrics_head(buf, "nv_cpu_memory_used_bytes", "gauge", "CPU used memory (RAM), in bytes");
    sw_buf_printf(buf, "nv_cpu_memory_used_bytes %" PRId64 "\n", used);
}

enum { UTILIZATION, TOTAL, USED, POWER, POWER_LIMIT, ENERGY };

/* False where the GPU does not tell. */
static bool measure(const sw__machine *m, const gpu *g, int what, double *value) {
    nvml_utilization utilization;
    nvml_memory memory;
    unsigned milliwatts;
    unsigned long long energy;
    switch (what) {
    case UTILIZATION:
        if (m->nvml.nvmlDeviceGetUtilizationRates(g->device, &utilization) != 0) return false;
        *value = utilization.gpu / 100.0;
        return true;
    case TOTAL:
    case USED:
        if (m->nvml.nvmlDeviceGetMemoryInfo(g->device, &memory) != 0) return false;
        *value = (double)(what == TOTAL ? memory.total : memory.used);
        return true;
    case POWER:
    case POWER_LIMIT:
        if ((what == POWER ? m->nvml.nvmlDeviceGetPowerUsage
                           : m->nvml.nvmlDeviceGetEnforcedPowerLimit)(g->device, &milliwatts) != 0)
            return false;
        *value = milliwatts / 1000.0;
        return true;
    default:
        if (m->nvml.nvmlDeviceGetTotalEnergyConsumption(g->device, &energy) != 0) return false;
        *value = (double)(energy - g->energy) / 1000;
        return true;
    }
}

static void gpu_metrics(const sw__machine *m, sw_buf *buf) {
    static const struct {
        const char *name, *kind, *help;
    } families[] = {
        [UTILIZATION] = {"nv_gpu_utilization", "gauge", "GPU utilization rate [0.0 - 1.0]"},
        [TOTAL] = {"nv_gpu_memory_total_bytes", "gauge", "GPU total memory, in bytes"},
        [USED] = {"nv_gpu_memory_used_bytes", "gauge", "GPU used memory, in bytes"},
        [POWER] = {"nv_gpu_power_usage", "gauge", "GPU power usage in watts"},
        [POWER_LIMIT] = {"nv_gpu_power_limit", "gauge", "GPU power management limit in watts"},
        [ENERGY] = {"nv_energy_consumption", "counter", "GPU energy consumption in joules since the server started"},
    };
    for (int what = 0; what <= ENERGY; what++) {
        sw__metrics_head(buf, families[what].name, families[what].kind, families[what].help);
        for (int i = 0; i < m->n_gpus; i++) {
            double value;
            if (!measure(m, &m->gpus[i], what, &value)) continue;
            sw_buf_printf(buf, "%s{gpu_uuid=\"", families[what].name);
            sw__metrics_label(buf, m->gpus[i].uuid);
            sw_buf_printf(buf, what == UTILIZATION ? "\"} %.2f\n" : "\"} %.3f\n", value);
        }
    }
}

void sw__machine_metrics(sw__machine *m, sw_buf *buf) {
    cpu_metrics(m, buf);
    if (atomic_load(&m->opened) && m->n_gpus) gpu_metrics(m, buf);
}
