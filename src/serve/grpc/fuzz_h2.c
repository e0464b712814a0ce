/* Frames of HTTP/2, behind the client's preface, to a server without models. */
#include <stdint.h>
#include <stdlib.h>

#include "serve/server/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sw_serve *core_without_models(void) {
    sw_serve *core = NULL;
    sw_serve_options options = {.threads = 1, .load_threads = 1, .control = SW_SERVE_CONTROL_EXPLICIT};
    return sw_serve_create(&options, &core) == SW_OK ? core : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static sw_serve *core;
    if (!core) core = core_without_models();
    if (!core) abort();
    sw_server server = {.core = core, .options = {.max_body = 1 << 16}};
    sw__loop loop = {.server = &server, .out = sw_buf_make(NULL, 0)};
    sw__conn conn = {.loop = &loop, .fd = -1, .closed = true, .out = sw_buf_make(NULL, 0)};
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&loop.lock, &attr);
    if (sw__h2_create(&conn) != SW_OK) return 0;
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if (sw__h2_take(&conn, preface, sizeof preface - 1) && sw__h2_take(&conn, data, size)) sw__h2_pump(&conn);
    sw__h2_destroy(conn.h2);
    for (sw__call *call = loop.free_calls, *next; call; call = next) {
        next = call->next;
        sw_kserve_free(&call->k);
        sw_buf_free(&call->body);
        sw_free(NULL, call);
    }
    sw_buf_free(&loop.out);
    sw_buf_free(&conn.out);
    pthread_mutex_destroy(&loop.lock);
    return 0;
}
