#include "serve/server/overhead.h"

#include <inttypes.h>

#include "serve/server/internal.h"

int64_t sw__overhead_bound(int i) {
    static const int64_t quarters[] = {1000, 1189, 1414, 1682}; /* 2^(n / 4) us */
    return quarters[i % 4] << i / 4;
}

static void add(_Atomic uint64_t *counter, uint64_t value) { /* one thread writes: no locked instruction is needed */
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + value, memory_order_relaxed);
}

void sw__overhead_note(sw__overhead *overhead, int64_t ns) {
    int low = 0, high = SW__OVERHEAD_BOUNDS; /* the first bound that is not below */
    while (low < high) {
        int middle = (low + high) / 2;
        if (sw__overhead_bound(middle) < ns)
            low = middle + 1;
        else
            high = middle;
    }
    add(&overhead->buckets[low], 1);
    add(&overhead->ns, ns > 0 ? (uint64_t)ns : 0);
}

static uint64_t sum_of(const sw_server *server, sw__protocol protocol, int bucket) {
    uint64_t sum = 0;
    for (int i = 0; i < server->n_loops; i++)
        sum += atomic_load_explicit(&server->loops[i].overhead[protocol].buckets[bucket], memory_order_relaxed);
    return sum;
}

void sw__overhead_write(const sw_server *server, sw_buf *out) {
    static const char *const names[] = {"http", "grpc"};
    static const char name[] = "slipway_overhead_seconds";
    sw_buf_printf(out,
                  "# HELP %s From the last byte of an inference request read to the first of its answer queued, less "
                  "computing\n# TYPE %s histogram\n",
                  name, name);
    for (int p = 0; p < SW__PROTOCOLS; p++) {
        uint64_t total = 0, ns = 0;
        for (int i = 0; i <= SW__OVERHEAD_BOUNDS; i++) {
            total += sum_of(server, (sw__protocol)p, i);
            sw_buf_printf(out, "%s_bucket{protocol=\"%s\",le=\"", name, names[p]);
            if (i == SW__OVERHEAD_BOUNDS)
                sw_buf_append_text(out, "+Inf");
            else
                sw_buf_printf(out, "%g", (double)sw__overhead_bound(i) * 1e-9);
            sw_buf_printf(out, "\"} %" PRIu64 "\n", total);
        }
        for (int i = 0; i < server->n_loops; i++)
            ns += atomic_load_explicit(&server->loops[i].overhead[p].ns, memory_order_relaxed);
        sw_buf_printf(out, "%s_sum{protocol=\"%s\"} %.9g\n", name, names[p], (double)ns * 1e-9);
        sw_buf_printf(out, "%s_count{protocol=\"%s\"} %" PRIu64 "\n", name, names[p], total);
    }
}
