/* Threads for what takes long and is no inference of the core's. Private to server/. */
#ifndef SLIPWAY_SERVE_SERVER_JOBS_H
#define SLIPWAY_SERVE_SERVER_JOBS_H

#include "serve/server/internal.h"

/* Jobs that may wait; pictures that may be between decoding and answer at a time. */
enum { SW__MAX_JOBS = 256, SW__MAX_PICTURES_INSIDE = 32 };

typedef struct sw__job {
    void (*run)(struct sw__job *job);
    const void *model;    /* that it is for; compared only */
    struct sw__job *next; /* private */
} sw__job;

sw__jobs *sw__jobs_create(int threads); /* NULL without memory; threads start with the first job */
void sw__jobs_destroy(sw__jobs *jobs);  /* waits for all; takes NULL */
/* Adds a list of `n` jobs (by `next`) of one model, or none: false when too many wait. Each, when it runs, has taken one of
 * SW__MAX_PICTURES_INSIDE places, and gives it back by sw__jobs_leave, from any thread, later. A model never has so many places
 * that there are none for another (at most three times as many as are free), and jobs that wait likewise. */
SW_MUST_USE bool sw__jobs_add(sw__jobs *jobs, sw__job *first, int n);
void sw__jobs_leave(sw__jobs *jobs, const void *model);
/* More work for a job that has its place: before all others. */
void sw__jobs_add_more(sw__jobs *jobs, sw__job *job);
/* Jobs that are not done, and places that are not given back. */
int sw__jobs_left(sw__jobs *jobs);

#endif
