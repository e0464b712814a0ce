/* Any bytes: the reader ends with the document or a status. What it reads is written, and reads again. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void copy_event(sw_json_writer *w, const sw_json_event *e) {
    switch (e->type) {
    case SW_JSON_END:
        break;
    case SW_JSON_NULL:
        sw_json_null(w);
        break;
    case SW_JSON_BOOL:
        sw_json_bool(w, e->boolean);
        break;
    case SW_JSON_NUMBER:
        sw_json_f64(w, e->number);
        break;
    case SW_JSON_STRING:
        sw_json_string_n(w, e->text, e->length);
        break;
    case SW_JSON_KEY:
        sw_json_key(w, e->text);
        break;
    case SW_JSON_ARRAY:
        sw_json_array(w);
        break;
    case SW_JSON_ARRAY_END:
        sw_json_array_end(w);
        break;
    case SW_JSON_OBJECT:
        sw_json_object(w);
        break;
    case SW_JSON_OBJECT_END:
        sw_json_object_end(w);
        break;
    }
}

static sw_status copy(const void *text, size_t size, sw_buf *out) {
    sw_json_reader r;
    sw_json_event e = {.type = SW_JSON_NULL};
    sw_json_writer w = sw_json_writer_make(out, 0);
    sw_json_reader_init(&r, text, size, NULL, "fuzz", NULL);
    sw_status status = SW_OK;
    while (status == SW_OK && (status = sw_json_next(&r, &e)) == SW_OK && e.type != SW_JSON_END) copy_event(&w, &e);
    sw_json_reader_free(&r);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    if (!exact) return 0;
    if (size) memcpy(exact, data, size);
    sw_buf once = sw_buf_make(NULL, 0), twice = sw_buf_make(NULL, 0);
    if (copy(exact, size, &once) == SW_OK) {
        if (copy(once.data, once.size, &twice) != SW_OK) abort();
        if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0) abort();
    }
    sw_buf_free(&once);
    sw_buf_free(&twice);
    free(exact);
    return 0;
}
