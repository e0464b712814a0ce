#include "unit.h"

#include <string.h>

#include "serve/server/internal.h"

SW_TEST(serve_overhead_counts_in_quarter_octaves) {
    static sw__loop loops[2];
    static sw_server server;
    server = (sw_server){.loops = loops, .n_loops = 2};
    CHECK_INT(sw__overhead_bound(0), 1000);
    CHECK_INT(sw__overhead_bound(4), 2000);
    CHECK_INT(sw__overhead_bound(SW__OVERHEAD_BOUNDS - 1), 1682LL << 19);
    for (int i = 1; i < SW__OVERHEAD_BOUNDS; i++) CHECK(sw__overhead_bound(i) > sw__overhead_bound(i - 1));
    sw__overhead *http = &loops[0].overhead[SW__PROTOCOL_HTTP], *other = &loops[1].overhead[SW__PROTOCOL_HTTP];
    sw__overhead_note(http, -5); /* clocks of two CPUs */
    sw__overhead_note(http, 1000);
    sw__overhead_note(http, 1001);
    sw__overhead_note(other, 1000000000);
    CHECK_INT((int64_t)http->buckets[0], 2);
    CHECK_INT((int64_t)http->buckets[1], 1);
    CHECK_INT((int64_t)other->buckets[SW__OVERHEAD_BOUNDS], 1);
    sw_buf text = sw_buf_make(NULL, 0);
    sw__overhead_write(&server, &text);
    CHECK(strstr(sw_buf_text(&text), "slipway_overhead_seconds_bucket{protocol=\"http\",le=\"1e-06\"} 2\n"));
    CHECK(strstr(sw_buf_text(&text), "slipway_overhead_seconds_bucket{protocol=\"http\",le=\"+Inf\"} 4\n"));
    CHECK(strstr(sw_buf_text(&text), "slipway_overhead_seconds_count{protocol=\"http\"} 4\n"));
    CHECK(strstr(sw_buf_text(&text), "slipway_overhead_seconds_count{protocol=\"grpc\"} 0\n"));
    CHECK(strstr(sw_buf_text(&text), "slipway_overhead_seconds_sum{protocol=\"http\"} 1.000002\n"));
    sw_buf_free(&text);
}
