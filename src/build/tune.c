#include "build/tune.h"

/* A tactic must win by so much in both halves: differences below are noise on most machines. */
static const double margin = 1.03;

sw_tune_effort sw_tune_effort_of(int level) {
    static const sw_tune_effort efforts[SW_TUNE_LEVELS] = {{0, 1}, {2, 1.5}, {3, 2}, {4, 3}, {8, 6}, {16, 1e300}};
    return efforts[level];
}

void sw_tune_prune(sw_tune_kind *kinds, int n, int level) {
    sw_tune_effort effort = sw_tune_effort_of(level);
    for (int k = 0; k < n; k++) {
        double least = kinds[k].tactics[kinds[k].standard].cost;
        for (int t = 0; t < kinds[k].n; t++) {
            sw_tune_tactic *tactic = &kinds[k].tactics[t];
            if (t == kinds[k].standard || tactic->reason) continue;
            if (!effort.rounds)
                tactic->reason = "nothing is timed at --opt-level 0";
            else if (tactic->cost > effort.ratio * least)
                tactic->reason = "estimated too slow to be timed at this --opt-level";
        }
    }
}

void sw_tune_bound(sw_tune_kind *kinds, int n, int64_t most) {
    for (;;) {
        int64_t total = 0;
        sw_tune_tactic *largest = NULL;
        for (int k = 0; k < n; k++)
            for (int t = 0; t < kinds[k].n; t++) {
                sw_tune_tactic *tactic = &kinds[k].tactics[t];
                if (tactic->reason) continue;
                total += tactic->bytes;
                if (t != kinds[k].standard && (!largest || tactic->bytes > largest->bytes)) largest = tactic;
            }
        if (total <= most || !largest) return;
        largest->reason = "not enough memory to time it beside the others";
    }
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------ */

static bool is_missing(const sw_tune_tactic *t) {
    return !t->reason && !t->timed;
}

/* The tactic of a kind for a pass: the next of those without times; the standard one where there is none. */
static int tactic_of(const sw_tune_kind *kind, const bool *missing, int pass) {
    int count = 0;
    for (int t = 0; t < kind->n; t++) count += missing[t];
    if (!count) return kind->standard;
    for (int t = 0, left = pass % count; t < kind->n; t++)
        if (missing[t] && left-- == 0) return t;
    return kind->standard;
}

static void keep_least(sw_timing *t, int half, int64_t ns) {
    if (t->ns[half] < 0 || ns < t->ns[half]) t->ns[half] = ns;
}

/* Whether a round of a half is to be left out: never the first of all, the second half's first one only where the first half
 * took all the time, others when their half's share of it is over. */
static bool is_late(const sw_tune_bench *bench, int64_t start, double seconds, int half, int round) {
    if (seconds <= 0 || half + round == 0) return false;
    double share = half && round == 0 ? 1 : (half + 1) / 2.0;
    return (double)(bench->now_ns(bench->ctx) - start) >= seconds * 1e9 * share;
}

/* Where there was no time for the second half, what the first one told counts for both. */
static void fill_halves(sw_timing *t) {
    if (t->ns[1] < 0) t->ns[1] = t->ns[0];
}

typedef struct rounds {
    sw_tune_kind *kinds;
    int n, passes; /* of a round: the most tactics that a kind has to time */
    bool (*missing)[SW_CONV_TACTICS];
    const sw_tune_bench *bench;
    int *choice;
    int64_t *ns;
} rounds;

static sw_status run_round(const rounds *r, int half) {
    for (int pass = 0; pass < r->passes; pass++) {
        int64_t whole;
        for (int k = 0; k < r->n; k++) r->choice[k] = tactic_of(&r->kinds[k], r->missing[k], pass);
        SW_TRY(r->bench->pass(r->bench->ctx, r->choice, r->ns, &whole));
        for (int k = 0; k < r->n; k++)
            if (r->missing[k][r->choice[k]]) keep_least(&r->kinds[k].tactics[r->choice[k]].timing, half, r->ns[k]);
    }
    return SW_OK;
}

static void begin_rounds(rounds *r) {
    for (int k = 0; k < r->n; k++) {
        int count = 0;
        for (int t = 0; t < r->kinds[k].n; t++) {
            sw_tune_tactic *tactic = &r->kinds[k].tactics[t];
            r->missing[k][t] = is_missing(tactic);
            if (!r->missing[k][t]) continue;
            tactic->timing = (sw_timing){{-1, -1}};
            count++;
        }
        if (count > r->passes) r->passes = count;
    }
}

sw_status sw_tune_measure(sw_tune_kind *kinds, int n, const sw_tune_bench *bench, int count, double seconds,
                          int *choice, int64_t *ns) {
    rounds r = {.kinds = kinds, .n = n, .bench = bench, .choice = choice, .ns = ns};
    r.missing = sw_calloc(NULL, (size_t)n + 1, sizeof *r.missing);
    if (!r.missing) return SW_E_NOMEM;
    begin_rounds(&r);
    int64_t start = bench->now_ns(bench->ctx);
    sw_status status = SW_OK;
    for (int half = 0; half < 2 && r.passes && status == SW_OK; half++)
        for (int round = 0; round < count && status == SW_OK; round++) {
            if (is_late(bench, start, seconds, half, round)) break;
            if (bench->progress) bench->progress(bench->ctx, half * count + round, 2 * count);
            status = run_round(&r, half);
        }
    for (int k = 0; k < n; k++)
        for (int t = 0; status == SW_OK && t < kinds[k].n; t++) {
            if (!r.missing[k][t]) continue;
            fill_halves(&kinds[k].tactics[t].timing);
            kinds[k].tactics[t].timed = true;
        }
    sw_free(NULL, r.missing);
    return status;
}

sw_status sw_tune_compare(const sw_tune_bench *bench, int count, double seconds, const int *a, const int *b,
                          int64_t *ns, sw_timing *time_a, sw_timing *time_b) {
    const int *const choices[2] = {a, b};
    sw_timing *const times[2] = {time_a, time_b};
    int64_t start = bench->now_ns(bench->ctx);
    *time_a = *time_b = (sw_timing){{-1, -1}};
    for (int half = 0; half < 2; half++)
        for (int round = 0; round < count && !is_late(bench, start, seconds, half, round); round++)
            for (int i = 0; i < 2; i++) {
                int which = (i + round) % 2; /* each comes first as often */
                int64_t whole;
                SW_TRY(bench->pass(bench->ctx, choices[which], ns, &whole));
                keep_least(times[which], half, whole);
            }
    for (int i = 0; i < 2; i++) fill_halves(times[i]);
    return SW_OK;
}

bool sw_tune_is_faster(const sw_timing *a, const sw_timing *b) {
    return b->ns[0] + b->ns[1] < a->ns[0] + a->ns[1];
}

/* ---- Choices ----------------------------------------------------------------------------------------------------- */

static int64_t sum(const sw_tune_tactic *t) {
    return t->timing.ns[0] + t->timing.ns[1];
}

bool sw_tune_wins(const sw_timing *t, const sw_timing *over) {
    return (double)t->ns[0] * margin < (double)over->ns[0] && (double)t->ns[1] * margin < (double)over->ns[1];
}

void sw_tune_choose(sw_tune_kind *kinds, int n) {
    for (int k = 0; k < n; k++) {
        sw_tune_kind *kind = &kinds[k];
        const sw_tune_tactic *standard = &kind->tactics[kind->standard];
        kind->choice = kind->standard;
        for (int t = 0; standard->timed && t < kind->n; t++) {
            const sw_tune_tactic *tactic = &kind->tactics[t], *best = &kind->tactics[kind->choice];
            if (tactic->reason || !tactic->timed || !sw_tune_wins(&tactic->timing, &standard->timing)) continue;
            if (best == standard || sum(tactic) < sum(best)) kind->choice = t;
        }
    }
}

/* How much slower a change is, by times where both have some, else by the cost model (as nanoseconds of 1 GHz). */
static double loss(const sw_tune_tactic *from, const sw_tune_tactic *to) {
    return from->timed && to->timed ? (double)(sum(to) - sum(from)) / 2 : to->cost - from->cost;
}

void sw_tune_limit(sw_tune_kind *kinds, int n, int64_t most) {
    int64_t total = 0;
    for (int k = 0; k < n; k++) total += kinds[k].tactics[kinds[k].choice].bytes;
    while (total > most) {
        sw_tune_kind *best = NULL;
        int to = 0;
        double least = 0;
        for (int k = 0; k < n; k++)
            for (int t = 0; t < kinds[k].n; t++) {
                const sw_tune_tactic *now = &kinds[k].tactics[kinds[k].choice], *other = &kinds[k].tactics[t];
                int64_t saved = now->bytes - other->bytes;
                if (other->bytes == 0 || saved <= 0) continue;
                double price = loss(now, other) / (double)saved;
                if (best && price >= least) continue;
                best = &kinds[k];
                to = t;
                least = price;
            }
        if (!best) return;
        total -= best->tactics[best->choice].bytes - best->tactics[to].bytes;
        best->choice = to;
    }
}
