/* slipway doctor: what its files share. */
#ifndef SLIPWAY_CLI_DOCTOR_H
#define SLIPWAY_CLI_DOCTOR_H

#include "cli/child.h"

typedef enum sw_verdict {
    SW_DOCTOR_OK,
    SW_DOCTOR_NOTE, /* not here, and nobody needs to mind */
    SW_DOCTOR_MEND  /* something is in the way of full speed, or broken */
} sw_verdict;

/* One line; texts in the arena. */
typedef struct sw_finding {
    const char *what; /* "NVRTC" */
    sw_verdict verdict;
    const char *found;   /* a path, a setting; "-" */
    const char *version; /* NULL: it has none */
    const char *fits;    /* what it fits, or why not; NULL */
    const char *mend;    /* one command; NULL */
} sw_finding;

enum { SW_DOCTOR_MOST = 64 };

typedef struct sw_doctor {
    sw_arena *arena;
    const char *root; /* before /proc, /sys, /dev, /usr: "" but in tests */
    sw_python python;
    bool gpu; /* an NVIDIA GPU is there, with or without driver */
    int cuda; /* what the driver supports: 13000 for 13.0; 0: no driver */
    sw_finding findings[SW_DOCTOR_MOST];
    int n;
} sw_doctor;

/* CPU, its limits, memory, permissions; GPUs and their software; runtimes. */
void sw_doctor_system(sw_doctor *doctor);
void sw_doctor_gpu(sw_doctor *doctor);
SW_MUST_USE sw_status sw_doctor_runtimes(sw_doctor *doctor);

#endif
