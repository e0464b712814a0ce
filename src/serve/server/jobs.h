/* Threads for what takes long and is no inference of the core's. Private to server/. */
#ifndef SLIPWAY_SERVE_SERVER_JOBS_H
#define SLIPWAY_SERVE_SERVER_JOBS_H

#include "serve/server/internal.h"

enum { SW__MAX_JOBS = 256 };

/* Runs on one of the threads; then encode is not called, but finish on the loop's thread. */
typedef void (*sw__job_fn)(sw__call *call);

sw__jobs *sw__jobs_create(int threads); /* NULL without memory; threads start with the first job */
void sw__jobs_destroy(sw__jobs *jobs);  /* waits for all; takes NULL */
/* False when too many wait. */
SW_MUST_USE bool sw__jobs_add(sw__jobs *jobs, sw__call *call, sw__job_fn run);
/* Jobs that are not done. */
int sw__jobs_left(sw__jobs *jobs);

#endif
