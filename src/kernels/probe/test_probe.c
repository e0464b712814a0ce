#include "kernels/probe/probe.h"

#include "base/cpu.h"
#include "unit.h"

/* Times decide nothing here, only what must hold at any speed. */
SW_TEST(probe_ceilings_are_in_order) {
    sw_pool *pool = sw_pool_create(NULL, 2);
    sw_ceilings c;
    CHECK_INT(sw_probe_ceilings(pool, &c), SW_OK);
    CHECK_INT(c.threads, sw_pool_threads(pool));
    CHECK(c.gflops > 0);
    for (int i = 0; i < SW_PROBE_LEVELS; i++) CHECK(c.gbytes[i] > 0);
    for (int i = 1; i < SW_PROBE_LEVELS; i++) {
        CHECK(c.gbytes[i - 1] >= c.gbytes[i]);
        CHECK(c.reach[i - 1] <= c.reach[i]);
    }
    CHECK_INT(sw_probe_bf16_gflops(pool) > 0, (sw_cpu_features() & SW_CPU_AVX512BF16) != 0);
    sw_pool_destroy(pool);
}

SW_TEST(probe_class_is_a_power_of_two) {
    int class = sw_probe_flops_per_cycle();
#if defined(__x86_64__)
    CHECK(class >= 4);
#endif
    CHECK_INT(class & (class - 1), 0);
}

SW_TEST(probe_floor_takes_the_tighter_ceiling) {
    sw_ceilings c = {.threads = 1, .gflops = 100, .gbytes = {80, 40, 10}, .reach = {1e6, 1e7, 1e300}};
    CHECK_NEAR(sw_ceilings_floor(&c, 2e9, 1e3), 0.02, 1e-12);
    CHECK_NEAR(sw_ceilings_floor(&c, 0, 8e5), 1e-5, 1e-12);
    CHECK_NEAR(sw_ceilings_floor(&c, 0, 8e6), 2e-4, 1e-12);
    CHECK_NEAR(sw_ceilings_floor(&c, 0, 1e9), 0.1, 1e-12);
}
