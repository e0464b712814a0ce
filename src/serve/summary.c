#include "serve/summary.h"

#include <math.h>
#include <string.h>

enum { STEPS = 32, STEP_BITS = 5, MOST_BITS = 36 };
static const int64_t half_ns = 30000000000;

/* Values below STEPS have a bucket each; from there on every octave has STEPS of them. */
static int bucket_of(uint64_t us) {
    if (us < STEPS) return (int)us;
    if (us >> MOST_BITS) return SW__SUMMARY_BUCKETS - 1;
    int octave = 63 - __builtin_clzll(us) - STEP_BITS;
    return (octave + 1) * STEPS + (int)(us >> octave & (STEPS - 1));
}

/* The middle of a bucket. */
static double middle_of(int bucket) {
    if (bucket < STEPS) return bucket;
    int octave = bucket / STEPS - 1;
    return ldexp(STEPS + bucket % STEPS + 0.5, octave) - 0.5;
}

void sw__summary_add(sw__summary *s, int64_t duration_ns, int64_t now_ns) {
    if (now_ns - s->since_ns >= half_ns) {
        if (now_ns - s->since_ns >= 2 * half_ns) memset(s->counts[s->newer], 0, sizeof s->counts[0]);
        s->newer ^= 1;
        memset(s->counts[s->newer], 0, sizeof s->counts[0]);
        s->since_ns = now_ns;
    }
    s->counts[s->newer][bucket_of(duration_ns > 0 ? (uint64_t)duration_ns / 1000 : 0)]++;
}

void sw__summary_ask(const sw__summary *s, int64_t now_ns, const double *quantiles, int n, double *us) {
    int64_t age = now_ns - s->since_ns;
    const uint32_t *newer = s->counts[s->newer], *older = s->counts[!s->newer];
    bool use_newer = age < 2 * half_ns, use_older = age < half_ns;
    uint64_t total = 0;
    for (int b = 0; b < SW__SUMMARY_BUCKETS; b++) total += (use_newer ? newer[b] : 0) + (use_older ? older[b] : 0);
    for (int i = 0; i < n; i++) {
        uint64_t rank = (uint64_t)ceil(quantiles[i] * (double)total), seen = 0;
        us[i] = NAN;
        for (int b = 0; b < SW__SUMMARY_BUCKETS && total; b++) {
            seen += (use_newer ? newer[b] : 0) + (use_older ? older[b] : 0);
            if (seen < (rank ? rank : 1)) continue;
            us[i] = middle_of(b);
            break;
        }
    }
}
