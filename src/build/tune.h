/* The tuner: times the tactics of a plan's convolutions on this machine and chooses (design 2, "Tactics").
 *
 * Convolutions that are equal in all that counts are one kind. A pass runs the whole network, so that each tactic meets
 * the caches as it will later: weights cold, inputs as the step before left them. From pass to pass each kind takes the
 * next of its tactics; so all are measured by turns, and what slows the machine for a while slows all. Rounds of passes
 * come in two halves, apart in time; of each half the least time counts, as others on the machine only ever slow one down.
 * A tactic replaces the one of the cost model only if it wins by more than 3 % in both halves. In the end the whole
 * networks are compared the same way, and the tuned one is dropped unless it is the faster.
 *
 * All choices follow from the two times of each tactic and network, which the timing cache keeps: equal caches give equal
 * plans. This file is the pure part: kinds, rounds, choices, over a bench that may be a fake. */
#ifndef SLIPWAY_BUILD_TUNE_H
#define SLIPWAY_BUILD_TUNE_H

#include "backend/cpu/cpu.h"
#include "build/timing_cache.h"

enum { SW_TUNE_LEVELS = 6 };

typedef struct sw_tune_tactic {
    const char *name;
    double cost;        /* by the cost model */
    int64_t bytes;      /* of packed weights, all steps of the kind together; 0: it cannot run here */
    const char *reason; /* why it is no candidate; NULL: it is one */
    bool timed;
    sw_timing timing; /* of one step; when timed */
} sw_tune_tactic;

typedef struct sw_tune_kind {
    sw_tune_tactic tactics[SW_CONV_TACTICS];
    int n, standard; /* how many; the one that the cost model takes */
    int choice;      /* result */
} sw_tune_kind;

/* What is timed. `pass` runs the network once, with tactic choice[k] for each kind k, and gives the mean nanoseconds of the
 * steps of each kind, and of all steps. */
typedef struct sw_tune_bench {
    sw_status (*pass)(void *ctx, const int *choice, int64_t *ns, int64_t *whole_ns);
    int64_t (*now_ns)(void *ctx);
    void (*progress)(void *ctx, int64_t done, int64_t total); /* may be NULL */
    void *ctx;
} sw_tune_bench;

/* What a level allows. */
typedef struct sw_tune_effort {
    int rounds;   /* of each half */
    double ratio; /* tactics that the cost model takes for so many times slower than the cheapest are not timed */
} sw_tune_effort;
sw_tune_effort sw_tune_effort_of(int level); /* 0 <= level < SW_TUNE_LEVELS; level 0 has no rounds */

/* Gives tactics that the level does not time their reason. The standard one always stays. */
void sw_tune_prune(sw_tune_kind *kinds, int n, int level);
/* Refuses candidates, those of the largest weights first, until all that are left take at most so many bytes: their weights are
 * in memory all at once while they are timed. The standard ones stay. */
void sw_tune_bound(sw_tune_kind *kinds, int n, int64_t most);
/* Times the candidates that have no times yet. Ends early, but not before one round, when `seconds` are over (0: never); where
 * the first half took all of them, its times count for both. `ns`, `choice`: room for n. */
SW_MUST_USE sw_status sw_tune_measure(sw_tune_kind *kinds, int n, const sw_tune_bench *bench, int rounds,
                                      double seconds, int *choice, int64_t *ns);
/* Sets each kind's choice by its times; those without keep the standard one. */
void sw_tune_choose(sw_tune_kind *kinds, int n);
/* Changes choices until all packed weights together take `most` bytes, or nothing smaller is left: each time the change
 * that costs the least time (by times, or where they are missing by the cost model) for the bytes it saves. */
void sw_tune_limit(sw_tune_kind *kinds, int n, int64_t most);
/* Times two whole networks by turns; of each half the least. `seconds` as above. */
SW_MUST_USE sw_status sw_tune_compare(const sw_tune_bench *bench, int rounds, double seconds, const int *a,
                                      const int *b, int64_t *ns, sw_timing *time_a, sw_timing *time_b);
/* Whether a way of times t may replace one: it wins by the margin in both halves. */
bool sw_tune_wins(const sw_timing *t, const sw_timing *over);
/* Whether the network of times b may replace that of times a. */
bool sw_tune_is_faster(const sw_timing *a, const sw_timing *b);

#endif
