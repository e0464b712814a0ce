#include "serve/http/http.h"
#include "unit.h"

enum { MAX_BODY = 1 << 20 };

/* Feeds a text at once, or byte by byte. */
static void feed(sw_http *h, const char *text, size_t size, bool slowly) {
    for (size_t at = 0; at < size && h->state != SW_HTTP_READY && h->state != SW_HTTP_BROKEN;)
        at += sw_http_feed(h, text + at, slowly ? 1 : size - at);
}

static int failure_of(const char *text, bool slowly) {
    sw_http h;
    sw_http_init(&h, NULL, MAX_BODY);
    feed(&h, text, strlen(text), slowly);
    int failure = h.state == SW_HTTP_BROKEN ? h.failure : h.state == SW_HTTP_READY ? 0 : -1;
    if (failure > 0) CHECK(h.why && strlen(h.why) > 10);
    sw_http_free(&h);
    return failure;
}

SW_TEST(http_heads) {
    sw_http h;
    sw_http_init(&h, NULL, MAX_BODY);
    const char text[] = "\r\nPOST /v2/models/m%20x/infer?annotate=1&q HTTP/1.1\r\nHost: a\r\nContent-Length:4  \r\n"
                        "Accept-Encoding: br, gzip;q=0.5, deflate;q=0\r\nX-A:  b c \r\n\r\nbodyGET";
    for (int slowly = 0; slowly < 2; slowly++) {
        feed(&h, text, sizeof text - 1, slowly);
        CHECK_INT(h.state, SW_HTTP_READY);
        CHECK_STR(h.request.method, "POST");
        CHECK_STR(h.request.path, "/v2/models/m%20x/infer");
        CHECK_STR(h.request.query, "annotate=1&q");
        CHECK_STR(sw_http_header_of(&h.request, "x-a"), "b c");
        CHECK(!sw_http_header_of(&h.request, "x-b"));
        CHECK_INT(h.request.accepts, SW_HTTP_GZIP);
        CHECK_INT(h.request.body_size, 4);
        CHECK(!memcmp(h.request.body, "body", 4));
        CHECK(h.request.keep_alive);
        sw_http_next(&h);
    }
    feed(&h, "GET / HTTP/1.0\r\n\r\n", 18, false);
    CHECK(h.state == SW_HTTP_READY && !h.request.keep_alive);
    sw_http_next(&h);
    feed(&h, "GET http://h:1 HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", 58, false);
    CHECK(h.state == SW_HTTP_READY && !h.request.keep_alive);
    CHECK_STR(h.request.path, "/");
    sw_http_free(&h);
}

SW_TEST(http_pipelined_requests_are_taken_one_by_one) {
    sw_http h;
    sw_http_init(&h, NULL, MAX_BODY);
    const char text[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
    size_t n = sw_http_feed(&h, text, sizeof text - 1);
    CHECK_INT(n, (sizeof text - 1) / 2);
    CHECK_STR(h.request.path, "/a");
    CHECK_INT(sw_http_feed(&h, text + n, n), 0);
    sw_http_next(&h);
    CHECK_INT(sw_http_feed(&h, text + n, n), n);
    CHECK_STR(h.request.path, "/b");
    sw_http_free(&h);
}

SW_TEST(http_chunked_bodies) {
    sw_http h;
    sw_http_init(&h, NULL, MAX_BODY);
    const char text[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
                        "3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\nContent-Length: 5\r\n\r\n";
    for (int slowly = 0; slowly < 2; slowly++) {
        feed(&h, text, sizeof text - 1, slowly);
        CHECK_INT(h.state, SW_HTTP_READY);
        CHECK_INT(h.request.body_size, 13);
        CHECK(!memcmp(h.request.body, "abc0123456789", 13));
        sw_http_next(&h);
    }
    sw_http_free(&h);
#define CHUNKED "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    static const char *const bad[] = {CHUNKED "g\r\n",        CHUNKED "3\nabc\r\n",           CHUNKED "3\r\nabcd\r\n",
                                      CHUNKED "\r\nabc",      CHUNKED "-3\r\nabc\r\n",        CHUNKED "0x3\r\nabc\r\n",
                                      CHUNKED "200000\r\n",   CHUNKED "ffffffffffffffff\r\n", CHUNKED "3 3\rabc\r\n",
                                      CHUNKED "1\r\na\n1\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int slowly = 0; slowly < 2; slowly++)
            if (failure_of(bad[i], slowly) != 400)
                sw_test_fail(__FILE__, __LINE__, "%s gives %d", bad[i] + strlen(CHUNKED), failure_of(bad[i], slowly));
}

SW_TEST(http_refuses_what_two_servers_may_read_differently) {
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\nContent-Length: 4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\rContent-Length: 4\r\n\r\n"},
        {400, "GET / HTTP/1.1\nHost: x\n\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\n"},
        {400, "\x16\x03\x01\x02"}, /* TLS */
        {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\v\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET x HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n\r\n"},
        {417, "POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 4\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"},
        {-1, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int slowly = 0; slowly < 2; slowly++) {
            int status = failure_of(rows[i].text, slowly);
            if (status != rows[i].status) sw_test_fail(__FILE__, __LINE__, "row %zu gives %d", i, status);
        }
}

SW_TEST(http_bounds_of_heads_and_chunks) {
    sw_http h;
    sw_http_init(&h, NULL, MAX_BODY);
    feed(&h, "GET / HTTP/1.1\r\nA: ", 19, false);
    for (int i = 0; i < 40 && h.state == SW_HTTP_HEAD; i++) {
        char block[1024];
        memset(block, 'a', sizeof block);
        feed(&h, block, sizeof block, false);
    }
    CHECK_INT(h.failure, 431);
    sw_http_free(&h);
    sw_http_init(&h, NULL, MAX_BODY);
    feed(&h, CHUNKED, strlen(CHUNKED), false);
    int chunks = 0;
    for (; h.state == SW_HTTP_BODY && chunks < 100000; chunks++) feed(&h, "1\r\nx\r\n", 6, false);
    CHECK_INT(h.failure, 400);
    CHECK_INT(chunks, SW_HTTP_MAX_CHUNKS + 1);
    sw_http_free(&h);
}

SW_TEST(http_bodies_go_to_their_place) {
    sw_http h;
    sw_http_init(&h, NULL, MAX_BODY);
    const char head[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 74\r\nInference-Header-Content-Length: 10\r\n"
                        "Expect: 100-continue\r\n\r\n0123";
    feed(&h, head, sizeof head - 1, false);
    CHECK(h.state == SW_HTTP_BODY && h.wants_continue);
    size_t room = 0;
    uint8_t *space = sw_http_space(&h, &room);
    CHECK_INT(room, 70);
    memset(space, 'x', room);
    sw_http_filled(&h, 30);
    CHECK(sw_http_space(&h, &room) == space + 30 && room == 40);
    sw_http_filled(&h, 40);
    CHECK(h.state == SW_HTTP_READY && h.request.body_size == 74 && h.request.json_size == 10);
    CHECK_INT((uintptr_t)(h.request.body + 10) % SW_ALIGN, 0);
    CHECK(!memcmp(h.request.body, "0123xx", 6));
    sw_http_free(&h);
}

static void check_coding(sw_http_coding coding, const char *name) {
    sw_buf packed = sw_buf_make(NULL, 0), request = sw_buf_make(NULL, 0);
    static char zeros[100000];
    CHECK_INT(sw_http_encode(coding, zeros, sizeof zeros, &packed), SW_OK);
    sw_buf_printf(&request, "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", name,
                  packed.size);
    sw_buf_append(&request, packed.data, packed.size);
    for (size_t limit = sizeof zeros - 1; limit <= sizeof zeros; limit++) {
        sw_http h;
        sw_http_init(&h, NULL, limit);
        feed(&h, sw_buf_text(&request), request.size, false);
        CHECK_INT(h.state, SW_HTTP_READY);
        CHECK_INT(sw_http_decode(&h), limit == sizeof zeros);
        if (limit == sizeof zeros)
            CHECK(h.request.body_size == sizeof zeros && !memcmp(h.request.body, zeros, sizeof zeros));
        else
            CHECK(h.failure == 400 && strstr(h.why, "exceeds the maximum allowed value"));
        sw_http_free(&h);
    }
    sw_buf plain = sw_buf_make(NULL, 0);
    CHECK_INT(sw_http_inflate(packed.data, packed.size - 1, MAX_BODY, &plain), SW_E_INPUT);
    sw_buf_append_byte(&packed, 0);
    CHECK_INT(sw_http_inflate(packed.data, packed.size, MAX_BODY, &plain), SW_E_INPUT);
    sw_buf_free(&plain);
    sw_buf_free(&packed);
    sw_buf_free(&request);
}

SW_TEST(http_codings) {
    check_coding(SW_HTTP_GZIP, "gzip");
    check_coding(SW_HTTP_DEFLATE, "deflate");
}

SW_TEST(http_queries_and_escapes) {
    char value[8];
    CHECK(sw_http_query("a=1&bc=22&d", "bc", value, sizeof value) && !strcmp(value, "22"));
    CHECK(sw_http_query("a=1&bc=22&d", "d", value, sizeof value) && !strcmp(value, ""));
    CHECK(!sw_http_query("a=1&bc=22", "b", value, sizeof value));
    CHECK(sw_http_unescape("a%20b", 5, value, sizeof value) && !strcmp(value, "a b"));
    CHECK(!sw_http_unescape("a%2", 3, value, sizeof value));
    CHECK(!sw_http_unescape("a%00", 4, value, sizeof value));
    CHECK(!sw_http_unescape("12345678", 8, value, sizeof value));
}

SW_TEST(http_answers) {
    sw_buf out = sw_buf_make(NULL, 0);
    sw_http_answer_head(&out, &(sw_http_answer){.status = 200, .type = "a/b", .json_size = 7, .coding = SW_HTTP_GZIP},
                        10);
    CHECK_STR(sw_buf_text(&out), "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nInference-Header-Content-Length: 7\r\n"
                                 "Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n");
    sw_buf_clear(&out);
    sw_http_answer_head(
        &out, &(sw_http_answer){.status = 503, .json_size = -1, .more = "Retry-After: 1\r\n", .close = true}, 0);
    CHECK_STR(sw_buf_text(&out),
              "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n");
    sw_buf_free(&out);
}
