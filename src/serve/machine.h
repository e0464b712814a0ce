/* Metrics of the machine, with Triton's names: its CPUs and memory; GPUs, by NVIDIA's NVML where that is installed. Private to
 * serve/. Any thread. */
#ifndef SLIPWAY_SERVE_MACHINE_H
#define SLIPWAY_SERVE_MACHINE_H

#include "base/buf.h"

typedef struct sw__machine sw__machine;
/* Looks for GPUs in the background, since NVML can take a second to open. NULL: out of memory. */
sw__machine *sw__machine_create(void);
void sw__machine_destroy(sw__machine *machine); /* takes NULL */
/* As they are now, in Prometheus' text format, appended. */
void sw__machine_metrics(sw__machine *machine, sw_buf *buf);

#endif
