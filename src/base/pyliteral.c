#include "base/pyliteral.h"

#include <string.h>

#include "base/str.h"

typedef struct reader {
    const char *at;
    sw_arena *arena;
    int depth;
    size_t items; /* of all containers so far */
} reader;

static sw_status read_value(reader *r, sw_py *value);

static void skip_space(reader *r) {
    r->at += strspn(r->at, " \t\r\n");
}

/* Takes a character if it is next. */
static bool take(reader *r, char c) {
    skip_space(r);
    if (*r->at != c) return false;
    r->at++;
    return true;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly `digits` hexadecimal digits. */
static bool read_hex(reader *r, int digits, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < digits; i++) {
        int digit = hex_digit(*r->at);
        if (digit < 0) return false;
        *code = *code << 4 | (uint32_t)digit;
        r->at++;
    }
    return true;
}

/* A code point after \u; JSON writes characters beyond 16 bits as two of them. Half a pair becomes U+FFFD. */
static bool read_u16(reader *r, uint32_t *code) {
    uint32_t low;
    if (!read_hex(r, 4, code)) return false;
    if (*code < 0xd800 || *code > 0xdfff) return true;
    const char *back = r->at;
    if (*code < 0xdc00 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        if (!read_hex(r, 4, &low)) return false;
        if (low >= 0xdc00 && low <= 0xdfff) {
            *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
            return true;
        }
        r->at = back;
    }
    *code = 0xfffd;
    return true;
}

static uint32_t read_octal(reader *r) {
    uint32_t code = 0;
    for (int i = 0; i < 3 && *r->at >= '0' && *r->at <= '7'; i++) code = code << 3 | (uint32_t)(*r->at++ - '0');
    return code;
}

/* What follows a backslash, as UTF-8 at `to`; returns its length, -1 when it is broken. Escapes that Python
 * does not know stand for themselves, backslash included. */
static int read_escape(reader *r, char *to) {
    static const char names[] = "abfnrtv\\'\"/", values[] = "\a\b\f\n\r\t\v\\'\"/";
    uint32_t code;
    char c = *r->at;
    if (c == 0) return -1;
    const char *name = strchr(names, c);
    if (name) {
        r->at++;
        *to = values[name - names];
        return 1;
    }
    if (c >= '0' && c <= '7') return sw_utf8_put(to, read_octal(r));
    r->at++;
    switch (c) {
    case '\n':
        return 0;
    case 'x':
        return read_hex(r, 2, &code) ? sw_utf8_put(to, code) : -1;
    case 'u':
        return read_u16(r, &code) ? sw_utf8_put(to, code) : -1;
    case 'U':
        return read_hex(r, 8, &code) && code <= 0x10ffff ? sw_utf8_put(to, code) : -1;
    default:
        to[0] = '\\';
        to[1] = c;
        return 2;
    }
}

/* No escape is shorter than what it stands for, so the text's length is room enough. */
static sw_status read_string(reader *r, sw_py *value) {
    char quote = *r->at++;
    size_t length = 0;
    while (r->at[length] && r->at[length] != quote) length += r->at[length] == '\\' && r->at[length + 1] ? 2 : 1;
    char *text = sw_arena_alloc(r->arena, length + 1, 1), *to = text;
    if (!text) return SW_E_NOMEM;
    while (*r->at && *r->at != quote) {
        if (*r->at == '\n') return SW_E_INPUT;
        if (*r->at != '\\') {
            *to++ = *r->at++;
            continue;
        }
        r->at++;
        int bytes = read_escape(r, to);
        if (bytes < 0) return SW_E_INPUT;
        to += bytes;
    }
    if (*r->at++ != quote) return SW_E_INPUT;
    *to = 0;
    *value = (sw_py){.type = SW_PY_STRING, .s = text};
    return SW_OK;
}

static sw_status read_number(reader *r, sw_py *value) {
    size_t length = strspn(r->at, "+-.0123456789eE");
    if (sw_str_to_i64(r->at, length, &value->i)) {
        value->type = SW_PY_INT;
        value->f = (double)value->i;
    } else if (sw_str_to_f64(r->at, length, &value->f)) {
        value->type = SW_PY_FLOAT;
    } else {
        return SW_E_INPUT;
    }
    r->at += length;
    return SW_OK;
}

static sw_status read_word(reader *r, sw_py *value) {
    static const struct {
        const char *word;
        sw_py value;
    } words[] = {
        {"None", {.type = SW_PY_NONE}},
        {"null", {.type = SW_PY_NONE}},
        {"True", {.type = SW_PY_BOOL, .b = true}},
        {"true", {.type = SW_PY_BOOL, .b = true}},
        {"False", {.type = SW_PY_BOOL}},
        {"false", {.type = SW_PY_BOOL}},
    };
    size_t length = 0;
    while ((r->at[length] | 0x20) >= 'a' && (r->at[length] | 0x20) <= 'z') length++;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].word) != length || strncmp(words[i].word, r->at, length) != 0) continue;
        *value = words[i].value;
        r->at += length;
        return SW_OK;
    }
    return SW_E_INPUT;
}

/* One growing array per container, in an arena: doubled by copying, so that at most as much again is left
 * behind. */
static sw_status push(reader *r, sw_py **items, size_t *n, size_t *cap, const sw_py *item) {
    if (++r->items > SW_PY_MAX_ITEMS) return SW_E_LIMIT;
    if (*n == *cap) {
        size_t more = *cap ? 2 * *cap : 8;
        sw_py *grown = SW_ARENA_ARRAY(r->arena, sw_py, more);
        if (!grown) return SW_E_NOMEM;
        if (*n) memcpy(grown, *items, *n * sizeof *grown);
        *items = grown;
        *cap = more;
    }
    (*items)[(*n)++] = *item;
    return SW_OK;
}

/* Lists and tuples up to `close`. Brackets around one value without a comma are just brackets. */
static sw_status read_list(reader *r, char close, sw_py *value) {
    sw_py *items = NULL, item;
    size_t n = 0, cap = 0;
    bool comma = false;
    while (!take(r, close)) {
        if (n && !comma) return SW_E_INPUT;
        SW_TRY(read_value(r, &item));
        SW_TRY(push(r, &items, &n, &cap, &item));
        comma = take(r, ',');
    }
    if (close == ')' && n == 1 && !comma)
        *value = items[0];
    else
        *value = (sw_py){.type = SW_PY_LIST, .items = items, .n = n};
    return SW_OK;
}

static sw_status read_dict(reader *r, sw_py *value) {
    sw_py *items = NULL, item;
    size_t n = 0, cap = 0;
    bool comma = true;
    while (!take(r, '}')) {
        if (!comma) return SW_E_INPUT;
        SW_TRY(read_value(r, &item));
        SW_TRY(push(r, &items, &n, &cap, &item));
        if (!take(r, ':')) return SW_E_INPUT;
        SW_TRY(read_value(r, &item));
        SW_TRY(push(r, &items, &n, &cap, &item));
        comma = take(r, ',');
    }
    *value = (sw_py){.type = SW_PY_DICT, .items = items, .n = n / 2};
    return SW_OK;
}

static sw_status read_container(reader *r, sw_py *value) {
    if (r->depth == SW_PY_MAX_DEPTH) return SW_E_LIMIT;
    r->depth++;
    char open = *r->at++;
    sw_status status = open == '{' ? read_dict(r, value) : read_list(r, open == '[' ? ']' : ')', value);
    r->depth--;
    return status;
}

static sw_status read_value(reader *r, sw_py *value) {
    skip_space(r);
    *value = (sw_py){.type = SW_PY_NONE};
    char c = *r->at;
    if (c == '[' || c == '(' || c == '{') return read_container(r, value);
    if (c == '\'' || c == '"') return read_string(r, value);
    if (is_digit(c) || c == '-' || c == '+' || c == '.') return read_number(r, value);
    return read_word(r, value);
}

sw_status sw_py_parse(sw_arena *arena, const char *text, sw_py *value) {
    reader r = {.at = text, .arena = arena};
    SW_TRY(read_value(&r, value));
    skip_space(&r);
    return *r.at ? SW_E_INPUT : SW_OK;
}

const sw_py *sw_py_get(const sw_py *dict, const char *key) {
    if (dict->type != SW_PY_DICT) return NULL;
    for (size_t i = 0; i < dict->n; i++) {
        const sw_py *name = &dict->items[2 * i];
        if (name->type == SW_PY_STRING && strcmp(name->s, key) == 0) return &dict->items[2 * i + 1];
    }
    return NULL;
}

static void write_float(sw_buf *buf, double value) {
    char text[SW_FLOAT_TEXT];
    int length = sw_str_from_f64(text, value);
    sw_buf_printf(buf, "%s%s", text, strspn(text, "-0123456789") == (size_t)length ? ".0" : "");
}

void sw_py_write(sw_buf *buf, const sw_py *v) {
    bool dict = v->type == SW_PY_DICT;
    switch (v->type) {
    case SW_PY_NONE:
        sw_buf_append_text(buf, "None");
        break;
    case SW_PY_BOOL:
        sw_buf_append_text(buf, v->b ? "True" : "False");
        break;
    case SW_PY_INT:
        sw_buf_printf(buf, "%lld", (long long)v->i);
        break;
    case SW_PY_FLOAT:
        write_float(buf, v->f);
        break;
    case SW_PY_STRING:
        sw_buf_append_repr(buf, v->s);
        break;
    default: /* depth is that of the text that was parsed: SW_PY_MAX_DEPTH */
        sw_buf_append_byte(buf, dict ? '{' : '[');
        for (size_t i = 0; i < v->n; i++) {
            if (i) sw_buf_append_text(buf, ", ");
            sw_py_write(buf, &v->items[dict ? 2 * i : i]);
            if (!dict) continue;
            sw_buf_append_text(buf, ": ");
            sw_py_write(buf, &v->items[2 * i + 1]);
        }
        sw_buf_append_byte(buf, dict ? '}' : ']');
    }
}
