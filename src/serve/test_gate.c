/* Turns on the CPUs: never more threads than there are, and who has computed least goes first. */
#include <sched.h>

#include "serve/internal.h"
#include "unit.h"

typedef struct runner {
    sw__gate *gate;
    sw__share *share;
    int threads;
    atomic_int *turn;
    int order;
} runner;

static void *enter(void *ctx) {
    runner *r = ctx;
    sw__gate_enter(r->gate, r->share, r->threads);
    r->order = atomic_fetch_add(r->turn, 1);
    sw__gate_leave(r->gate, r->share, r->threads, 1000);
    return NULL;
}

SW_TEST(serve_gate_lets_in_who_has_computed_least) {
    sw__gate *gate = sw__gate_create(2);
    sw__share holder = {0}, shares[3] = {{500}, {100}, {300}};
    atomic_int turn = 0;
    runner runners[3];
    sw_thread threads[3];
    sw__gate_enter(gate, &holder, 8); /* more than there are: all */
    for (int i = 0; i < 3; i++) {
        runners[i] = (runner){gate, &shares[i], 2, &turn, 0};
        CHECK_INT(sw_thread_start(&threads[i], enter, &runners[i]), SW_OK);
        while (sw__gate_waiting(gate) != i + 1) sched_yield();
    }
    sw__gate_leave(gate, &holder, 8, 1000);
    for (int i = 0; i < 3; i++) sw_thread_join(&threads[i]);
    CHECK_INT(runners[1].order, 0);
    CHECK_INT(runners[2].order, 1);
    CHECK_INT(runners[0].order, 2);
    CHECK_INT(shares[1].used, 2100); /* two threads for 1,000 ns */
    sw__share late = {0};
    sw__gate_enter(gate, &late, 1); /* who was away gets no credit for it */
    CHECK(late.used >= 500);
    sw__gate_leave(gate, &late, 1, 0);
    sw__gate_destroy(gate);
}
