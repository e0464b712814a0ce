#include "base/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/test_memory.h"
#include "unit.h"

/* Reads all events into a compact text: { } [ ] k:key s:string i:integer n:number b:0 null. */
static sw_status events(const char *text, size_t size, const sw_allocator *allocator, sw_buf *out) {
    sw_json_reader r;
    sw_json_event e;
    sw_json_reader_init(&r, text, size, allocator, "x.json", &sw_test_diag);
    sw_status status;
    while ((status = sw_json_next(&r, &e)) == SW_OK && e.type != SW_JSON_END) {
        if (out->size) sw_buf_append_byte(out, ' ');
        switch (e.type) {
        case SW_JSON_KEY:
            sw_buf_printf(out, "k:%s", e.text);
            break;
        case SW_JSON_STRING:
            sw_buf_printf(out, "s:%s", e.text);
            break;
        case SW_JSON_NUMBER:
            if (e.is_integer)
                sw_buf_printf(out, "i:%lld", (long long)e.integer);
            else
                sw_buf_printf(out, "n:%.17g", e.number);
            break;
        case SW_JSON_BOOL:
            sw_buf_printf(out, "b:%d", e.boolean);
            break;
        case SW_JSON_NULL:
            sw_buf_append_text(out, "null");
            break;
        case SW_JSON_ARRAY:
            sw_buf_append_byte(out, '[');
            break;
        case SW_JSON_ARRAY_END:
            sw_buf_append_byte(out, ']');
            break;
        case SW_JSON_OBJECT:
            sw_buf_append_byte(out, '{');
            break;
        case SW_JSON_OBJECT_END:
            sw_buf_append_byte(out, '}');
            break;
        case SW_JSON_END:
            break;
        }
    }
    sw_json_reader_free(&r);
    return status;
}

SW_TEST(json_reads_documents) {
    static const struct {
        const char *text, *events;
    } rows[] = {
        {"null", "null"},
        {" [ ] ", "[ ]"},
        {"{}", "{ }"},
        {"[1,-0,2.5,1e3,9223372036854775807,9223372036854775808]",
         "[ i:1 i:0 n:2.5 n:1000 i:9223372036854775807 n:9.2233720368547758e+18 ]"},
        {"{\"a\":{\"b\":[true,false,null]},\"c\":\"d\"}", "{ k:a { k:b [ b:1 b:0 null ] } k:c s:d }"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\udea2\"", "s:\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x9a\xa2"},
        {"[[[]],[\"\"]]", "[ [ [ ] ] [ s: ] ]"},
        {"\n[\t1\r\n,\n2 ]\n", "[ i:1 i:2 ]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sw_buf out = sw_buf_make(NULL, 0);
        CHECK_INT(events(rows[i].text, strlen(rows[i].text), NULL, &out), SW_OK);
        CHECK_STR(sw_buf_text(&out), rows[i].events);
        sw_buf_free(&out);
    }
}

SW_TEST(json_refuses_by_place) {
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "x.json: line 1, column 1: the text ends too early"},
        {"[1,]", "x.json: line 1, column 4: expected a value"},
        {"[1 2]", "x.json: line 1, column 4: expected , or ]"},
        {"{\"a\" 1}", "x.json: line 1, column 6: expected : after the key"},
        {"{a:1}", "x.json: line 1, column 2: expected a key in double quotes"},
        {"{\"a\":1,}", "x.json: line 1, column 8: expected a key in double quotes"},
        {"[1}", "x.json: line 1, column 3: expected , or ]"},
        {"{\n  \"a\": 01}", "x.json: line 2, column 9: a number begins with 0"},
        {"[+1]", "x.json: line 1, column 2: expected a value"},
        {"[1.]", "x.json: line 1, column 4: expected a digit after the point"},
        {"[.5]", "x.json: line 1, column 2: expected a value"},
        {"[1e]", "x.json: line 1, column 4: expected a digit in the exponent"},
        {"[-]", "x.json: line 1, column 3: expected a digit"},
        {"[1e999]", "x.json: line 1, column 2: a number is too large"},
        {"[NaN]", "x.json: line 1, column 2: expected a value"},
        {"1 1", "x.json: line 1, column 3: there is more text after the end"},
        {"[]]", "x.json: line 1, column 3: there is more text after the end"},
        {"\"a", "x.json: line 1, column 3: the text ends inside a string"},
        {"\"\\x\"", "x.json: line 1, column 3: unknown escape in a string"},
        {"\"\\u12\"", "x.json: line 1, column 3: \\u wants four hexadecimal digits"},
        {"\"\\ud800\"", "x.json: line 1, column 8: half of a surrogate pair stands alone"},
        {"\"\\udc00\\ud800\"", "x.json: line 1, column 8: half of a surrogate pair stands alone"},
        {"\"a\nb\"", "x.json: line 1, column 3: control character in a string"},
        {"\"\xc0\x80\"", "x.json: line 1, column 2: this is no UTF-8"},
        {"\xef\xbb\xbf[]", "x.json: line 1, column 1: expected a value"},
        {"[", "x.json: line 1, column 2: the text ends too early"},
        {"[1,", "x.json: line 1, column 4: the text ends too early"},
        {"tru", "x.json: line 1, column 1: expected a value"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sw_buf out = sw_buf_make(NULL, 0);
        CHECK(events(rows[i].text, strlen(rows[i].text), NULL, &out) != SW_OK);
        CHECK_STR(sw_test_message(), rows[i].message);
        sw_buf_free(&out);
    }
}

SW_TEST(json_limits_depth) {
    char text[2 * SW_JSON_MAX_DEPTH + 2];
    for (int extra = 0; extra < 2; extra++) {
        int depth = SW_JSON_MAX_DEPTH + extra;
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        sw_buf out = sw_buf_make(NULL, 0);
        CHECK_INT(events(text, 2 * (size_t)depth, NULL, &out), extra ? SW_E_LIMIT : SW_OK);
        sw_buf_free(&out);
    }
}

SW_TEST(json_skips_values_and_tells_places) {
    const char *text = "{\"a\": [1, {\"b\": 2}],\n \"c\": 3, \"d\": \"e\"}";
    sw_json_reader r;
    sw_json_event e;
    sw_json_reader_init(&r, text, strlen(text), NULL, NULL, &sw_test_diag);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_OBJECT);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_KEY);
    CHECK_INT(sw_json_skip(&r, &e), SW_OK);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_KEY);
    CHECK_STR(e.text, "c");
    CHECK(e.line == 2 && e.column == 2);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_NUMBER && e.integer == 3);
    CHECK(e.line == 2 && e.column == 7);
    CHECK_INT(sw_json_skip(&r, &e), SW_OK);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_KEY);
    CHECK_INT(sw_json_skip(&r, &e), SW_OK);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_OBJECT_END);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_END);
    CHECK(sw_json_next(&r, &e) == SW_OK && e.type == SW_JSON_END);
    sw_json_reader_free(&r);
}

static void write_sample(sw_json_writer *w) {
    sw_json_object(w);
    sw_json_key(w, "name");
    sw_json_string(w, "a\"\\\n\x01\xff\xc3\xa9");
    sw_json_key(w, "none");
    sw_json_string(w, NULL);
    sw_json_key(w, "box");
    sw_json_flat(w);
    sw_json_array(w);
    sw_json_f32(w, 0.1f);
    sw_json_f64(w, 0.1);
    sw_json_f32(w, NAN);
    sw_json_fixed(w, 1.23456, 2);
    sw_json_array_end(w);
    sw_json_key(w, "empty");
    sw_json_array(w);
    sw_json_array_end(w);
    sw_json_key(w, "list");
    sw_json_array(w);
    sw_json_int(w, INT64_MIN);
    sw_json_bool(w, true);
    sw_json_array_end(w);
    sw_json_object_end(w);
}

SW_TEST(json_writes) {
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_json_writer w = sw_json_writer_make(&buf, 0);
    write_sample(&w);
    CHECK_STR(sw_buf_text(&buf),
              "{\"name\":\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\",\"none\":null,\"box\":[0.1,0.1,null,1.23],"
              "\"empty\":[],\"list\":[-9223372036854775808,true]}");
    sw_buf_clear(&buf);
    w = sw_json_writer_make(&buf, 2);
    write_sample(&w);
    CHECK_STR(sw_buf_text(&buf), "{\n  \"name\": \"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\",\n  \"none\": null,\n"
                                 "  \"box\": [0.1, 0.1, null, 1.23],\n  \"empty\": [],\n"
                                 "  \"list\": [\n    -9223372036854775808,\n    true\n  ]\n}");
    sw_buf out = sw_buf_make(NULL, 0);
    CHECK_INT(events(sw_buf_text(&buf), buf.size, NULL, &out), SW_OK);
    sw_buf_free(&out);
    sw_buf_free(&buf);
}

SW_TEST(json_survives_each_failing_allocation) {
    char text[2000];
    int n = 0;
    n += snprintf(text, sizeof text, "[\"");
    memset(text + n, 'x', 1500);
    n += 1500;
    n += snprintf(text + n, sizeof text - (size_t)n, "\", \"y\"]");
    int total = 1;
    for (int fail = 0; fail <= total; fail++) {
        test_memory m = {.fail_at = fail};
        sw_allocator a = test_memory_allocator(&m);
        sw_buf out = sw_buf_make(NULL, 0);
        CHECK_INT(events(text, (size_t)n, &a, &out), fail ? SW_E_NOMEM : SW_OK);
        sw_buf_free(&out);
        CHECK_INT(m.held, 0);
        if (!fail) total = m.calls;
    }
    CHECK(total >= 1);
    for (int fail = 1; fail < 4; fail++) {
        test_memory m = {.fail_at = fail};
        sw_allocator a = test_memory_allocator(&m);
        sw_buf buf = sw_buf_make(&a, 0);
        sw_json_writer w = sw_json_writer_make(&buf, 2);
        write_sample(&w);
        CHECK_INT(buf.status, SW_E_NOMEM);
        sw_buf_free(&buf);
        CHECK_INT(m.held, 0);
    }
}

static sw_status raw(const char *text, const char **value, size_t *size) {
    sw_json_reader r;
    sw_json_event e;
    sw_json_reader_init(&r, text, strlen(text), NULL, "raw", NULL);
    sw_status status = sw_json_next(&r, &e);
    if (status == SW_OK) status = sw_json_next(&r, &e);
    if (status == SW_OK) status = sw_json_raw(&r, value, size);
    for (bool end = false; status == SW_OK && !end; end = e.type == SW_JSON_END) status = sw_json_next(&r, &e);
    sw_json_reader_free(&r);
    return status;
}

SW_TEST(json_raw_values) {
    static const char *const values[] = {"[1, [2, \"]\\\"[\"]]", "17", "\"a,b\"", "{\"x\": [\"}\"]}", "true", "[]"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[128];
        const char *value;
        size_t size;
        snprintf(text, sizeof text, "{\"data\": %s, \"next\":1}", values[i]);
        CHECK_INT(raw(text, &value, &size), SW_OK);
        CHECK_INT(size, strlen(values[i]));
        CHECK(!memcmp(value, values[i], size));
    }
    const char *value;
    size_t size;
    CHECK_INT(raw("{\"data\": [1, 2", &value, &size), SW_E_INPUT);
    CHECK_INT(raw("{\"data\": \"abc\\", &value, &size), SW_E_INPUT);
    CHECK_INT(raw("{\"data\": , 1}", &value, &size), SW_E_INPUT);
    char deep[300] = "{\"data\":";
    memset(deep + strlen(deep), '[', 150);
    CHECK_INT(raw(deep, &value, &size), SW_E_LIMIT);
}
