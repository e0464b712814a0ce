/* Fuzz target: configurations, as text format or (first byte '{') as JSON. What is read is written, and reads again. */
#include <stdlib.h>
#include <string.h>

#include "serve/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_json(const sw__message *message, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 0);
    sw__message_json(message, &w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 28);
    char *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    if (!arena || !exact) abort();
    if (size) memcpy(exact, data, size);
    sw__source source = {"fuzz", NULL, arena};
    sw__message *message, *again;
    sw__config config;
    sw_status status = size && *exact == '{' ? sw__proto_json_parse(exact, size, &sw__model_config, &source, &message)
                                             : sw__pbtxt_parse(exact, size, &sw__model_config, &source, &message);
    if (status == SW_OK) {
        sw_buf once = sw_buf_make(NULL, 0), twice = sw_buf_make(NULL, 0), wire = sw_buf_make(NULL, 0);
        write_json(message, &once);
        sw__message_wire(message, &wire);
        status = sw__proto_json_parse(sw_buf_text(&once), once.size, &sw__model_config, &source, &again);
        if (status == SW_OK) {
            write_json(again, &twice);
            if (twice.size != once.size || memcmp(once.data, twice.data, once.size) != 0) abort();
        }
        sw_buf_free(&once);
        sw_buf_free(&twice);
        sw_buf_free(&wire);
        status = sw__message_check_use(message, &source);
        if (status == SW_OK) status = sw__config_read(message, &source, &config);
    }
    free(exact);
    sw_arena_destroy(arena);
    return 0;
}
