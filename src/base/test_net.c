#include "base/net.h"
#include "unit.h"

/* The events of one wait, all told together. */
static int wait_for(sw_poller *poller, void *tag) {
    sw_poll_event events[8];
    int n = sw_poller_wait(poller, 2000, events, 8), what = 0;
    for (int i = 0; i < n; i++)
        if (events[i].tag == tag) what |= events[i].what;
    return what;
}

SW_TEST(net_bytes_go_both_ways) {
    int listener, client, server, port;
    sw_poller poller;
    char data[8] = "";
    CHECK_INT(sw_net_listen("127.0.0.1", 0, &sw_test_diag, &listener), SW_OK);
    port = sw_net_port(listener);
    CHECK(port > 0);
    CHECK_INT(sw_net_accept(listener), SW_NET_AGAIN);
    CHECK_INT(sw_poller_open(&sw_test_diag, &poller), SW_OK);
    CHECK_INT(sw_poller_add_listener(&poller, listener, &listener), SW_OK);
    CHECK_INT(sw_net_connect("127.0.0.1", port, &sw_test_diag, &client), SW_OK);
    CHECK(wait_for(&poller, &listener) & SW_POLL_READ);
    server = sw_net_accept(listener);
    CHECK(server >= 0);
    CHECK(sw_net_is_local(server) && sw_net_is_local(client) && !sw_net_is_local(listener));
    CHECK_INT(sw_poller_add(&poller, server, &server), SW_OK);
    CHECK_INT(sw_net_write(client, "ab", 2, "cd", 2), 4);
    sw_net_shutdown_write(client);
    CHECK(wait_for(&poller, &server) & SW_POLL_READ);
    CHECK_INT(sw_net_read(server, data, sizeof data), 4);
    CHECK_STR(data, "abcd");
    CHECK_INT(sw_net_read(server, data, sizeof data), SW_NET_END);
    CHECK_INT(sw_net_read(client, data, sizeof data), SW_NET_AGAIN);
    CHECK_INT(sw_net_write(server, NULL, 0, "x", 1), 1);
    sw_net_close(server);
    sw_net_close(client);
    sw_poller_close(&poller);
    sw_net_close(listener);
}

SW_TEST(net_poller_is_woken) {
    sw_poller poller;
    sw_poll_event event;
    CHECK_INT(sw_poller_open(&sw_test_diag, &poller), SW_OK);
    CHECK_INT(sw_poller_wait(&poller, 0, &event, 1), 0);
    for (int i = 0; i < 3; i++) {
        sw_poller_wake(&poller);
        CHECK_INT(sw_poller_wait(&poller, 2000, &event, 1), 1);
        CHECK(event.tag == NULL);
    }
    CHECK_INT(sw_poller_wait(&poller, 0, &event, 1), 0);
    sw_poller_close(&poller);
}

SW_TEST(net_addresses_that_do_not_do) {
    int a, b;
    CHECK_INT(sw_net_listen("127.0.0.1", 0, &sw_test_diag, &a), SW_OK);
    CHECK_INT(sw_net_listen("127.0.0.1", sw_net_port(a), &sw_test_diag, &b), SW_E_IO);
    CHECK(strstr(sw_test_message(), "Address already in use"));
    CHECK_INT(sw_net_listen("no such host.invalid", 0, &sw_test_diag, &b), SW_E_IO);
    sw_net_close(a);
}
