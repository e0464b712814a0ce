#include "serve/summary.h"

#include "unit.h"

static const double asked[] = {0.5, 0.9, 1};

static void check_us(const sw__summary *s, int64_t now, double a, double b, double c) {
    double us[3];
    sw__summary_ask(s, now, asked, 3, us);
    const double want[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        if (!(us[i] >= want[i] * 0.97 && us[i] <= want[i] * 1.03))
            sw_test_fail(__FILE__, __LINE__, "quantile %g is %g, expected about %g", asked[i], us[i], want[i]);
}

SW_TEST(serve_summary_of_the_last_minute) {
    static sw__summary s;
    static const int64_t second = 1000000000;
    double us[3];
    sw__summary_ask(&s, 100 * second, asked, 3, us);
    CHECK(us[0] != us[0]); /* nothing yet */
    for (int i = 1; i <= 1000; i++) sw__summary_add(&s, i * 1000LL, 100 * second);
    check_us(&s, 101 * second, 500, 900, 1000);
    for (int i = 0; i < 1000; i++) sw__summary_add(&s, 5 * second, 131 * second); /* the other half */
    check_us(&s, 131 * second, 1000, 5e6, 5e6);
    check_us(&s, 162 * second, 5e6, 5e6, 5e6); /* the older half is gone */
    sw__summary_ask(&s, 192 * second, asked, 3, us);
    CHECK(us[0] != us[0]);
    sw__summary_add(&s, -7, 300 * second);
    sw__summary_add(&s, 0x7fffffffffffffff, 300 * second);
    sw__summary_ask(&s, 300 * second, asked, 3, us);
    CHECK(us[0] == 0 && us[2] > 6e10);
}

SW_TEST(serve_summary_keeps_small_numbers_exact) {
    for (int64_t value = 0; value < 32; value++) {
        static sw__summary s;
        double us;
        s = (sw__summary){0};
        sw__summary_add(&s, value * 1000 + 999, 1);
        sw__summary_ask(&s, 1, asked, 1, &us);
        CHECK(us == (double)value);
    }
}
