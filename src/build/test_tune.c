/* The tuner's decisions over a fake bench: what each tactic takes, noise, and the clock are made up. */
#include "build/tune.h"

#include "slipway/build.h"
#include "unit.h"

enum { KINDS = 3 };

typedef struct fake {
    int64_t ns[KINDS][3]; /* true times */
    int64_t penalty;      /* of the whole network for each kind that is not at tactic 0 */
    double noise;         /* up to so much slower, at random */
    uint64_t seed;
    int slow_passes; /* so many passes of the first take three times as long */
    int passes;
    int64_t clock;
} fake;

static sw_status pass(void *ctx, const int *choice, int64_t *ns, int64_t *whole) {
    fake *f = ctx;
    *whole = 0;
    double slow = f->passes++ < f->slow_passes ? 3 : 1;
    for (int k = 0; k < KINDS; k++) {
        double factor = slow * (1 + (double)sw_test_uniform(&f->seed, 0, 1) * f->noise);
        ns[k] = (int64_t)((double)f->ns[k][choice[k]] * factor);
        *whole += ns[k] + (choice[k] ? f->penalty : 0);
    }
    f->clock += *whole;
    return SW_OK;
}

static int64_t now(void *ctx) {
    return ((fake *)ctx)->clock;
}

static sw_tune_bench bench_of(fake *f) {
    return (sw_tune_bench){.pass = pass, .now_ns = now, .ctx = f};
}

/* Three tactics each; the estimate takes the first. */
static void make_kinds(sw_tune_kind *kinds) {
    for (int k = 0; k < KINDS; k++) {
        kinds[k] = (sw_tune_kind){.n = 3};
        for (int t = 0; t < 3; t++)
            kinds[k].tactics[t] = (sw_tune_tactic){.name = &"abc"[t], .cost = 1 + t, .bytes = 100 * (t + 1)};
    }
}

static void measure(sw_tune_kind *kinds, fake *f, int rounds, double seconds) {
    int choice[KINDS];
    int64_t ns[KINDS];
    sw_tune_bench bench = bench_of(f);
    CHECK_INT(sw_tune_measure(kinds, KINDS, &bench, rounds, seconds, choice, ns), SW_OK);
    sw_tune_choose(kinds, KINDS);
}

static const fake plain_fake = {.ns = {{1000, 500, 800}, {1000, 1000, 990}, {1000, 1500, 2000}}, .seed = 7};

SW_TEST(tune_takes_what_wins_and_nothing_within_the_margin) {
    sw_tune_kind kinds[KINDS];
    fake f = plain_fake;
    make_kinds(kinds);
    measure(kinds, &f, 2, 0);
    CHECK_INT(kinds[0].choice, 1);
    CHECK_INT(kinds[1].choice, 0); /* a tie, and 1 % faster */
    CHECK_INT(kinds[2].choice, 0);
    CHECK_INT(f.passes, 2 * 2 * 3); /* halves, rounds, tactics */
    CHECK_INT(kinds[0].tactics[1].timing.ns[0], 500);
    CHECK_INT(kinds[0].tactics[1].timing.ns[1], 500);
}

SW_TEST(tune_sees_through_noise_and_bursts) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sw_tune_kind kinds[KINDS];
        fake f = plain_fake;
        f.seed = seed;
        f.noise = 0.2;
        f.slow_passes = 5; /* somebody else has the machine for most of two rounds */
        make_kinds(kinds);
        measure(kinds, &f, 8, 0);
        CHECK_INT(kinds[0].choice, 1);
        CHECK_INT(kinds[2].choice, 0);
    }
}

SW_TEST(tune_wants_a_win_in_both_halves) {
    sw_tune_kind kinds[KINDS];
    make_kinds(kinds);
    for (int k = 0; k < KINDS; k++)
        for (int t = 0; t < 3; t++) {
            kinds[k].tactics[t].timed = true;
            kinds[k].tactics[t].timing = (sw_timing){{1000, 1000}};
        }
    kinds[0].tactics[1].timing = (sw_timing){{100, 1000}};
    kinds[1].tactics[1].timing = (sw_timing){{969, 969}};
    kinds[2].tactics[1].timing = (sw_timing){{900, 900}};
    kinds[2].tactics[2].timing = (sw_timing){{899, 900}};
    sw_tune_choose(kinds, KINDS);
    CHECK_INT(kinds[0].choice, 0);
    CHECK_INT(kinds[1].choice, 1);
    CHECK_INT(kinds[2].choice, 2);
    kinds[2].tactics[0].timed = false; /* nothing to compare with */
    sw_tune_choose(kinds, KINDS);
    CHECK_INT(kinds[2].choice, 0);
}

SW_TEST(tune_ends_with_its_budget_but_times_all_once) {
    sw_tune_kind kinds[KINDS];
    fake f = plain_fake;
    make_kinds(kinds);
    measure(kinds, &f, 1000, 1e-9);
    CHECK_INT(f.passes, 3); /* one round, whose times count for both halves */
    CHECK_INT(kinds[0].tactics[1].timing.ns[0], 500);
    CHECK_INT(kinds[0].tactics[1].timing.ns[1], 500);
    CHECK_INT(kinds[0].choice, 1);
    f = plain_fake;
    make_kinds(kinds);
    measure(kinds, &f, 1000, 15e-6); /* a pass takes 3 us: more than half of the time for the first round */
    CHECK_INT(f.passes, 2 * 3);
    f = plain_fake;
    make_kinds(kinds);
    measure(kinds, &f, 1000, 100e-6);
    CHECK(f.clock >= 100000 && f.clock < 130000);
}

SW_TEST(tune_compares_networks_within_its_budget) {
    static const int a[KINDS] = {0, 0, 0}, b[KINDS] = {1, 0, 0};
    static const struct {
        double seconds;
        int passes;
    } want[] = {{0, 2 * 10 * 2}, {1e-9, 2}, {8e-6, 2 * 2}, {1, 2 * 10 * 2}};
    for (int i = 0; i < 4; i++) {
        fake f = plain_fake;
        sw_tune_bench bench = bench_of(&f);
        sw_timing times[2];
        int64_t ns[KINDS];
        CHECK_INT(sw_tune_compare(&bench, 10, want[i].seconds, a, b, ns, &times[0], &times[1]), SW_OK);
        CHECK_INT(f.passes, want[i].passes);
        for (int half = 0; half < 2; half++) {
            CHECK_INT(times[0].ns[half], 3000);
            CHECK_INT(times[1].ns[half], 2500);
        }
    }
}

SW_TEST(tune_times_only_what_is_missing) {
    sw_tune_kind kinds[KINDS];
    fake f = plain_fake;
    make_kinds(kinds);
    for (int k = 0; k < KINDS; k++)
        for (int t = 0; t < 3; t++) kinds[k].tactics[t].timed = true;
    kinds[0].tactics[1].timed = false;
    kinds[0].tactics[0].timing = kinds[0].tactics[2].timing = (sw_timing){{900, 900}};
    kinds[1].tactics[2].reason = "refused";
    measure(kinds, &f, 3, 0);
    CHECK_INT(f.passes, 2 * 3);
    CHECK_INT(kinds[0].tactics[0].timing.ns[0], 900); /* from the cache: as it was */
    CHECK_INT(kinds[0].choice, 1);
    f.passes = 0;
    measure(kinds, &f, 3, 0); /* all is known: no pass, same choices */
    CHECK_INT(f.passes, 0);
    CHECK_INT(kinds[0].choice, 1);
}

SW_TEST(tune_levels_time_more_and_more) {
    const int want[SW_TUNE_LEVELS] = {1, 1, 2, 3, 3, 3}; /* costs 1, 2, 3 */
    for (int level = 0; level < SW_TUNE_LEVELS; level++) {
        sw_tune_kind kinds[KINDS];
        make_kinds(kinds);
        sw_tune_prune(kinds, KINDS, level);
        int left = 0;
        for (int t = 0; t < 3; t++) left += !kinds[0].tactics[t].reason;
        CHECK_INT(left, want[level]);
        CHECK(level == 0 || sw_tune_effort_of(level).rounds > sw_tune_effort_of(level - 1).rounds);
    }
    CHECK_INT(sw_tune_effort_of(0).rounds, 0);
}

SW_TEST(tune_refuses_levels_that_there_are_not) {
    for (int level = -1; level <= SW_TUNE_LEVELS; level += SW_TUNE_LEVELS + 1) {
        const sw_tuning tuning = {.level = level};
        sw_plan *plan = NULL;
        CHECK_INT(sw_plan_build_with("/nonexistent", &(sw_build_options){.tuning = &tuning}, NULL, &plan), SW_E_USAGE);
    }
}

/* Weights of 300, 200 and 100 bytes, the larger the faster. */
SW_TEST(tune_gives_up_bytes_where_they_cost_least_time) {
    sw_tune_kind kinds[KINDS];
    make_kinds(kinds);
    for (int k = 0; k < KINDS; k++) {
        kinds[k].choice = 2;
        for (int t = 0; t < 3; t++) {
            kinds[k].tactics[t].timed = true;
            kinds[k].tactics[t].timing.ns[0] = kinds[k].tactics[t].timing.ns[1] = 1000 * (k + 1) * (3 - t);
        }
    }
    sw_tune_limit(kinds, KINDS, 900);
    for (int k = 0; k < KINDS; k++) CHECK_INT(kinds[k].choice, 2); /* they fit */
    sw_tune_limit(kinds, KINDS, 700);
    CHECK_INT(kinds[0].choice, 0);
    CHECK_INT(kinds[1].choice, 2);
    CHECK_INT(kinds[2].choice, 2);
    kinds[1].tactics[0].bytes = kinds[1].tactics[1].bytes = 0; /* cannot run */
    sw_tune_limit(kinds, KINDS, 1);
    CHECK_INT(kinds[0].choice, 0);
    CHECK_INT(kinds[1].choice, 2);
    CHECK_INT(kinds[2].choice, 0);
}

SW_TEST(tune_compares_whole_networks) {
    fake f = plain_fake;
    sw_tune_bench bench = bench_of(&f);
    int64_t ns[KINDS];
    sw_timing a, b;
    const int standard[KINDS] = {0, 0, 0}, tuned[KINDS] = {1, 0, 0};
    CHECK_INT(sw_tune_compare(&bench, 3, 0, standard, tuned, ns, &a, &b), SW_OK);
    CHECK_INT(a.ns[0], 3000);
    CHECK_INT(b.ns[1], 2500);
    CHECK(sw_tune_is_faster(&a, &b));
    f.penalty = 600; /* what wins alone may lose in company */
    CHECK_INT(sw_tune_compare(&bench, 3, 0, standard, tuned, ns, &a, &b), SW_OK);
    CHECK(!sw_tune_is_faster(&a, &b));
    CHECK(!sw_tune_is_faster(&a, &a));
    const sw_timing half = {{90, 120}}, both = {{95, 96}}, hardly = {{98, 98}}, one = {{100, 100}};
    CHECK(sw_tune_wins(&both, &one) && !sw_tune_wins(&half, &one) && !sw_tune_wins(&hardly, &one));
}

SW_TEST(tune_times_no_more_than_fits_memory) {
    sw_tune_kind kinds[KINDS];
    make_kinds(kinds); /* 600 bytes each */
    sw_tune_bound(kinds, KINDS, 1800);
    for (int k = 0; k < KINDS; k++) CHECK(!kinds[k].tactics[2].reason);
    sw_tune_bound(kinds, KINDS, 1000);
    for (int k = 0; k < KINDS; k++) {
        CHECK(!kinds[k].tactics[0].reason && !kinds[k].tactics[1].reason);
        CHECK_STR(kinds[k].tactics[2].reason, "not enough memory to time it beside the others");
    }
    sw_tune_bound(kinds, KINDS, 1);
    for (int k = 0; k < KINDS; k++) CHECK(!kinds[k].tactics[0].reason && kinds[k].tactics[1].reason);
}
