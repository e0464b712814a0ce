#include <string.h>

#include "base/json.h"
#include "base/str.h"

/* What may come next. */
enum { VALUE, FIRST_ITEM, FIRST_KEY, NEXT_KEY, AFTER_VALUE, DONE };

void sw_json_reader_init(sw_json_reader *r, const void *text, size_t size, const sw_allocator *allocator,
                         const char *where, const sw_diag *diag) {
    *r = (sw_json_reader){.at = text, .line_start = text, .line = 1, .expect = VALUE, .where = where, .diag = diag};
    r->end = size ? r->at + size : r->at;
    r->scratch = sw_buf_make(allocator, 0);
}

void sw_json_reader_free(sw_json_reader *r) {
    sw_buf_free(&r->scratch);
}

static sw_status fail_at(sw_json_reader *r, const char *at, sw_status status, const char *what) {
    return sw_fail(r->diag, status, r->where, NULL, "line %d, column %d: %s", r->line, (int)(at - r->line_start) + 1,
                   what);
}

static sw_status fail(sw_json_reader *r, const char *what) {
    return fail_at(r, r->at, SW_E_INPUT, what);
}

static void skip_space(sw_json_reader *r) {
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n') {
            r->line++;
            r->line_start = r->at + 1;
        } else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r')
            return;
    }
}

static bool hex4(const sw_json_reader *r, const char *at, uint32_t *value) {
    if (r->end - at < 4) return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'                 ? (uint32_t)(c - '0')
                         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (uint32_t)((c | 32) - 'a') + 10
                                                              : 16;
        if (digit > 15) return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* r->at is behind the backslash. */
static sw_status read_escape(sw_json_reader *r) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->end ? *r->at : 0;
    const char *known = c ? strchr(names, c) : NULL;
    if (known) {
        sw_buf_append_byte(&r->scratch, (uint8_t)values[known - names]);
        r->at++;
        return SW_OK;
    }
    uint32_t code, low;
    if (c != 'u') return fail(r, "unknown escape in a string");
    if (!hex4(r, r->at + 1, &code)) return fail(r, "\\u wants four hexadecimal digits");
    r->at += 5;
    if (code >= 0xd800 && code < 0xe000) { /* half of a surrogate pair */
        bool pair = code < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u' &&
                    hex4(r, r->at + 2, &low) && low >= 0xdc00 && low < 0xe000;
        if (!pair) return fail(r, "half of a surrogate pair stands alone");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        r->at += 6;
    }
    char bytes[4];
    sw_buf_append(&r->scratch, bytes, (size_t)sw_utf8_put(bytes, code));
    return SW_OK;
}

static sw_status read_string(sw_json_reader *r, sw_json_event *e) {
    sw_buf_clear(&r->scratch);
    r->at++;
    for (;;) {
        const char *run = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\') {
            if ((uint8_t)*r->at < 0x20) return fail(r, "control character in a string");
            int step = sw_utf8_step(r->at, (size_t)(r->end - r->at));
            if (!step) return fail(r, "this is no UTF-8");
            r->at += step;
        }
        sw_buf_append(&r->scratch, run, (size_t)(r->at - run));
        if (r->at == r->end) return fail(r, "the text ends inside a string");
        if (*r->at++ == '"') break;
        SW_TRY(read_escape(r));
    }
    if (r->scratch.status != SW_OK) return fail_at(r, r->at, r->scratch.status, "no memory for a string");
    e->text = sw_buf_text(&r->scratch);
    e->length = r->scratch.size;
    return SW_OK;
}

static bool digits(sw_json_reader *r) {
    const char *start = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return r->at > start;
}

static sw_status read_number(sw_json_reader *r, sw_json_event *e) {
    const char *start = r->at;
    bool whole = true;
    if (*r->at == '-') r->at++;
    if (r->at < r->end && *r->at == '0')
        r->at++;
    else if (!digits(r))
        return fail(r, "expected a digit");
    if (r->at < r->end && *r->at >= '0' && *r->at <= '9') return fail(r, "a number begins with 0");
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        whole = false;
        if (!digits(r)) return fail(r, "expected a digit after the point");
    }
    if (r->at < r->end && (*r->at | 32) == 'e') {
        r->at++;
        whole = false;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
        if (!digits(r)) return fail(r, "expected a digit in the exponent");
    }
    size_t length = (size_t)(r->at - start);
    if (length > SW_NUMBER_MAX) return fail_at(r, start, SW_E_LIMIT, "a number is too long");
    e->type = SW_JSON_NUMBER;
    e->is_integer = whole && sw_str_to_i64(start, length, &e->integer);
    if (!sw_str_to_f64(start, length, &e->number)) return fail_at(r, start, SW_E_LIMIT, "a number is too large");
    return SW_OK;
}

static bool word(sw_json_reader *r, const char *text) {
    size_t length = strlen(text);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, text, length)) return false;
    r->at += length;
    return true;
}

static sw_status begin(sw_json_reader *r, sw_json_event *e, bool array) {
    if (r->depth == SW_JSON_MAX_DEPTH) return fail_at(r, r->at, SW_E_LIMIT, "nested too deep");
    r->open[r->depth++] = (uint8_t)*r->at++;
    r->expect = array ? FIRST_ITEM : FIRST_KEY;
    e->type = array ? SW_JSON_ARRAY : SW_JSON_OBJECT;
    return SW_OK;
}

static sw_status end(sw_json_reader *r, sw_json_event *e) {
    r->at++;
    e->type = r->open[--r->depth] == '[' ? SW_JSON_ARRAY_END : SW_JSON_OBJECT_END;
    r->expect = AFTER_VALUE;
    return SW_OK;
}

static sw_status read_value(sw_json_reader *r, sw_json_event *e) {
    r->expect = AFTER_VALUE;
    char c = *r->at;
    if (c == '{' || c == '[') return begin(r, e, c == '[');
    if (c == '"') {
        e->type = SW_JSON_STRING;
        return read_string(r, e);
    }
    if (c == '-' || (c >= '0' && c <= '9')) return read_number(r, e);
    if (word(r, "null"))
        e->type = SW_JSON_NULL;
    else if (word(r, "true"))
        e->boolean = true, e->type = SW_JSON_BOOL;
    else if (word(r, "false"))
        e->type = SW_JSON_BOOL;
    else
        return fail(r, "expected a value");
    return SW_OK;
}

static void mark(const sw_json_reader *r, sw_json_event *e) {
    *e = (sw_json_event){.line = r->line, .column = (int)(r->at - r->line_start) + 1};
}

/* Steps over the comma between two items, or ends the array or object. */
static sw_status after_value(sw_json_reader *r, sw_json_event *e, bool *ended) {
    char open = (char)r->open[r->depth - 1];
    *ended = *r->at == (open == '[' ? ']' : '}');
    if (*ended) return end(r, e);
    if (*r->at != ',') return fail(r, open == '[' ? "expected , or ]" : "expected , or }");
    r->at++;
    r->expect = open == '[' ? VALUE : NEXT_KEY;
    skip_space(r);
    mark(r, e);
    return r->at < r->end ? SW_OK : fail(r, "the text ends too early");
}

sw_status sw_json_next(sw_json_reader *r, sw_json_event *e) {
    skip_space(r);
    mark(r, e);
    if (r->expect == AFTER_VALUE && r->depth == 0) r->expect = DONE;
    if (r->expect == DONE) return r->at == r->end ? SW_OK : fail(r, "there is more text after the end");
    if (r->at == r->end) return fail(r, "the text ends too early");
    if (r->expect == AFTER_VALUE) {
        bool ended;
        SW_TRY(after_value(r, e, &ended));
        if (ended) return SW_OK;
    }
    switch (r->expect) {
    case FIRST_ITEM:
        if (*r->at == ']') return end(r, e);
        return read_value(r, e);
    case FIRST_KEY:
        if (*r->at == '}') return end(r, e);
        break;
    case NEXT_KEY:
        break;
    default:
        return read_value(r, e);
    }
    if (*r->at != '"') return fail(r, "expected a key in double quotes");
    e->type = SW_JSON_KEY;
    SW_TRY(read_string(r, e));
    skip_space(r);
    if (r->at == r->end || *r->at != ':') return fail(r, "expected : after the key");
    r->at++;
    r->expect = VALUE;
    return SW_OK;
}

sw_status sw_json_skip(sw_json_reader *r, const sw_json_event *event) {
    sw_json_event e = *event;
    if (e.type == SW_JSON_KEY) SW_TRY(sw_json_next(r, &e));
    if (e.type != SW_JSON_ARRAY && e.type != SW_JSON_OBJECT) return SW_OK;
    for (int depth = r->depth; r->depth >= depth;) SW_TRY(sw_json_next(r, &e));
    return SW_OK;
}

/* Behind the string that begins at r->at, which stays unread. */
static sw_status pass_string(sw_json_reader *r) {
    for (r->at++; r->at < r->end && *r->at != '"'; r->at++)
        if (*r->at == '\\') r->at++;
    if (r->at >= r->end) {
        r->at = r->end;
        return fail(r, "the text ends inside a string");
    }
    r->at++;
    return SW_OK;
}

sw_status sw_json_raw(sw_json_reader *r, const char **text, size_t *size) {
    skip_space(r);
    const char *start = r->at;
    int depth = 0;
    do {
        char c = r->at < r->end ? *r->at : 0;
        bool at_end = depth == 0 && (c == ',' || c == ']' || c == '}' || c <= ' ');
        if (r->at == r->end || at_end) break;
        if (c == '"') {
            SW_TRY(pass_string(r));
            if (depth == 0) break;
            continue;
        }
        if (c == '[' || c == '{') {
            if (r->depth + ++depth > SW_JSON_MAX_DEPTH) return fail_at(r, r->at, SW_E_LIMIT, "nested too deep");
        } else if (c == ']' || c == '}')
            depth--;
        else if (c == '\n') {
            r->line++;
            r->line_start = r->at + 1;
        }
        r->at++;
        if (depth == 0 && (c == ']' || c == '}')) break;
    } while (true);
    if (depth) return fail(r, "the text ends too early");
    if (r->at == start) return fail(r, "expected a value");
    *text = start;
    *size = (size_t)(r->at - start);
    r->expect = AFTER_VALUE;
    return SW_OK;
}
