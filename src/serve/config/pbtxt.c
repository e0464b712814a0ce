/* Protobuf text format. Grammar: protobuf.dev/reference/protobuf/textformat-spec. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "serve/config/tree.h"

typedef enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_STRING, TOKEN_SIGN } token_kind;

typedef struct token {
    token_kind kind;
    const char *text; /* of the source */
    size_t size;
    int line, column;
} token;

typedef struct reader {
    const char *at, *end, *line_start;
    int line, depth;
    token token; /* the one looked at */
    const sw__source *source;
    sw_buf scratch;
} reader;

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

#define FAIL(r, t, hint, ...) sw__source_fail((r)->source, (t).line, (t).column, hint, __VA_ARGS__)

static void skip_space(reader *r) {
    for (; r->at < r->end; r->at++) {
        if (*r->at == '#') {
            while (r->at < r->end && *r->at != '\n') r->at++;
            if (r->at == r->end) return;
        }
        if (*r->at == '\n') {
            r->line++;
            r->line_start = r->at + 1;
        } else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r' && *r->at != '\v' && *r->at != '\f') {
            return;
        }
    }
}

/* A string without its quotes' content being looked at: escapes are read when the value is. */
static sw_status scan_string(reader *r) {
    char quote = *r->at++;
    for (; r->at < r->end && *r->at != quote; r->at++) {
        if (*r->at == '\n')
            return FAIL(r, r->token, "close the quote, or write \\n", "a text does not end in its line");
        if (*r->at == '\\' && r->at + 1 < r->end) r->at++;
    }
    if (r->at == r->end) return FAIL(r, r->token, "close the quote", "a text does not end");
    r->at++;
    return SW_OK;
}

static sw_status advance(reader *r) {
    skip_space(r);
    token *t = &r->token;
    *t = (token){TOKEN_END, r->at, 0, r->line, (int)(r->at - r->line_start) + 1};
    if (r->at == r->end) return SW_OK;
    char c = *r->at;
    if (is_letter(c)) {
        t->kind = TOKEN_NAME;
        while (r->at < r->end && (is_letter(*r->at) || is_digit(*r->at))) r->at++;
    } else if (is_digit(c) || (c == '.' && r->at + 1 < r->end && is_digit(r->at[1]))) {
        t->kind = TOKEN_NUMBER;
        for (; r->at < r->end; r->at++) {
            bool sign = (*r->at == '+' || *r->at == '-') && (r->at[-1] == 'e' || r->at[-1] == 'E');
            if (!is_letter(*r->at) && !is_digit(*r->at) && *r->at != '.' && !sign) break;
        }
    } else if (c == '"' || c == '\'') {
        t->kind = TOKEN_STRING;
        SW_TRY(scan_string(r));
    } else if (strchr("{}<>[]:,;-", c) && c) {
        t->kind = TOKEN_SIGN;
        r->at++;
    } else {
        return FAIL(r, *t, NULL, "unexpected byte 0x%02x", (unsigned char)c);
    }
    t->size = (size_t)(r->at - t->text);
    return SW_OK;
}

static bool is_sign(const reader *r, char sign) {
    return r->token.kind == TOKEN_SIGN && *r->token.text == sign;
}

static int quoted(const reader *r) {
    return r->token.size > 40 ? 40 : (int)r->token.size;
}

static sw_status unexpected(reader *r, const char *expected) {
    if (r->token.kind == TOKEN_END) return FAIL(r, r->token, NULL, "the file ends where %s is expected", expected);
    return FAIL(r, r->token, NULL, "expected %s, found \"%.*s\"", expected, quoted(r), r->token.text);
}

/* -- Values ---------------------------------------------------------------------------------------------------------- */

static int digit_of(char c, int base) {
    int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
    return digit < base ? digit : -1;
}

/* Up to `most` digits; how many there were. */
static int read_digits(const char **at, const char *end, int base, int most, uint32_t *value) {
    int n = 0;
    for (*value = 0; n < most && *at < end && digit_of(**at, base) >= 0; n++, ++*at)
        *value = *value * (uint32_t)base + (uint32_t)digit_of(**at, base);
    return n;
}

static sw_status read_escape(reader *r, const char **at, const char *end) {
    static const char from[] = "abfnrtv\\'\"?", to[] = "\a\b\f\n\r\t\v\\'\"?";
    char c = *(*at)++;
    const char *plain = strchr(from, c);
    uint32_t value;
    if (c && plain) {
        sw_buf_append_byte(&r->scratch, (uint8_t)to[plain - from]);
        return SW_OK;
    }
    if (digit_of(c, 8) >= 0) {
        --*at;
        read_digits(at, end, 8, 3, &value);
        sw_buf_append_byte(&r->scratch, (uint8_t)value);
        return value < 256 ? SW_OK : FAIL(r, r->token, NULL, "an octal escape is above \\377");
    }
    if (c == 'x' || c == 'X') {
        if (!read_digits(at, end, 16, 2, &value)) return FAIL(r, r->token, NULL, "\\x is followed by no digit");
        sw_buf_append_byte(&r->scratch, (uint8_t)value);
        return SW_OK;
    }
    int digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (!digits || read_digits(at, end, 16, digits, &value) != digits || value > 0x10ffff ||
        (value >= 0xd800 && value < 0xe000))
        return FAIL(r, r->token, NULL, "a text has an escape that does not exist");
    char utf8[4];
    sw_buf_append(&r->scratch, utf8, (size_t)sw_utf8_put(utf8, value));
    return SW_OK;
}

/* One or more strings side by side, which are one text. */
static sw_status read_text(reader *r, sw__node *node) {
    if (r->token.kind != TOKEN_STRING) return unexpected(r, "a text in quotes");
    sw_buf_clear(&r->scratch);
    token first = r->token;
    while (r->token.kind == TOKEN_STRING) {
        const char *at = r->token.text + 1, *end = r->token.text + r->token.size - 1;
        while (at < end) {
            if (*at != '\\') {
                sw_buf_append_byte(&r->scratch, (uint8_t)*at++);
                continue;
            }
            at++;
            SW_TRY(read_escape(r, &at, end));
        }
        SW_TRY(advance(r));
    }
    const char *text = sw_buf_text(&r->scratch);
    if (!sw_str_is_utf8(text, r->scratch.size) || strlen(text) != r->scratch.size)
        return FAIL(r, first, NULL, "a text must be UTF-8 without zeros");
    node->text = sw_arena_strndup(r->source->arena, text, r->scratch.size);
    if (r->scratch.status != SW_OK || !node->text)
        return sw_fail(r->source->diag, SW_E_NOMEM, r->source->where, NULL, "out of memory");
    return SW_OK;
}

static bool parse_integer(const token *t, uint64_t *value) {
    const char *at = t->text, *end = t->text + t->size;
    int base = 10;
    if (end - at > 1 && *at == '0') {
        base = at[1] == 'x' || at[1] == 'X' ? 16 : 8;
        at += base == 16 ? 2 : 1;
    }
    if (at == end) return false;
    for (*value = 0; at < end; at++) {
        int digit = digit_of(*at, base);
        if (digit < 0 || __builtin_mul_overflow(*value, (uint64_t)base, value) ||
            __builtin_add_overflow(*value, (uint64_t)digit, value))
            return false;
    }
    return true;
}

static bool token_is(const token *t, const char *text) {
    return t->size == strlen(text) && memcmp(t->text, text, t->size) == 0;
}

static sw_status read_float(reader *r, sw__node *node, bool negative) {
    const token *t = &r->token;
    size_t size = t->size;
    if (token_is(t, "inf") || token_is(t, "infinity"))
        node->f = INFINITY;
    else if (token_is(t, "nan"))
        node->f = NAN;
    else {
        if (size > 1 && (t->text[size - 1] == 'f' || t->text[size - 1] == 'F')) size--;
        if (t->kind != TOKEN_NUMBER || !sw_str_to_f64(t->text, size, &node->f)) return unexpected(r, "a number");
    }
    if (negative) node->f = -node->f;
    return advance(r);
}

static sw_status read_bool(reader *r, sw__node *node) {
    const token *t = &r->token;
    node->boolean = token_is(t, "true") || token_is(t, "True") || token_is(t, "t") || token_is(t, "1");
    if (!node->boolean && !token_is(t, "false") && !token_is(t, "False") && !token_is(t, "f") && !token_is(t, "0"))
        return unexpected(r, "true or false");
    return advance(r);
}

static sw_status read_scalar(reader *r, sw__node *node) {
    bool negative = is_sign(r, '-');
    uint64_t magnitude;
    char name[64];
    if (negative) SW_TRY(advance(r));
    switch (node->field->kind) {
    case SW__STRING:
        return negative ? unexpected(r, "a text in quotes") : read_text(r, node);
    case SW__FLOAT:
    case SW__DOUBLE:
        return read_float(r, node, negative);
    case SW__BOOL:
        return negative ? unexpected(r, "true or false") : read_bool(r, node);
    case SW__ENUM:
        if (r->token.kind == TOKEN_NAME && !negative) {
            snprintf(name, sizeof name, "%.*s", quoted(r), r->token.text);
            SW_TRY(sw__source_enum(r->source, node, name));
            return advance(r);
        }
        break;
    default:
        break;
    }
    if (r->token.kind != TOKEN_NUMBER || !parse_integer(&r->token, &magnitude)) return unexpected(r, "a whole number");
    SW_TRY(sw__source_integer(r->source, node, negative, magnitude));
    return advance(r);
}

/* -- Fields ---------------------------------------------------------------------------------------------------------- */

static sw_status read_fields(reader *r, sw__message *message, char close);

static sw_status read_message(reader *r, sw__node *node) {
    bool angle = is_sign(r, '<');
    if (!angle && !is_sign(r, '{')) return unexpected(r, "\"{\"");
    if (++r->depth > SW__MAX_CONFIG_DEPTH)
        return FAIL(r, r->token, NULL, "nested more than %d deep", SW__MAX_CONFIG_DEPTH);
    if (!(node->message = sw__message_create(r->source->arena, node->field->message)))
        return sw_fail(r->source->diag, SW_E_NOMEM, r->source->where, NULL, "out of memory");
    SW_TRY(advance(r));
    SW_TRY(read_fields(r, node->message, angle ? '>' : '}'));
    r->depth--;
    return advance(r);
}

static sw_status read_value(reader *r, sw__message *message, const sw__field *field, const token *name) {
    sw__node *node;
    int line = name->line, column = name->column;
    if (field->kind != SW__MESSAGE) {
        line = r->token.line;
        column = r->token.column;
    }
    SW_TRY(sw__message_place(r->source, message, field, line, column, &node));
    return field->kind == SW__MESSAGE ? read_message(r, node) : read_scalar(r, node);
}

static sw_status read_list(reader *r, sw__message *message, const sw__field *field, const token *name) {
    if (!field->repeated && !field->map)
        return FAIL(r, r->token, "write it without brackets", "%s is a single value", field->name);
    SW_TRY(advance(r));
    if (is_sign(r, ']')) return advance(r);
    for (;;) {
        SW_TRY(read_value(r, message, field, name));
        if (is_sign(r, ']')) return advance(r);
        if (!is_sign(r, ',')) return unexpected(r, "\",\" or \"]\"");
        SW_TRY(advance(r));
    }
}

static sw_status read_field(reader *r, sw__message *message) {
    if (r->token.kind != TOKEN_NAME) return unexpected(r, "a key");
    token name = r->token;
    char text[128];
    const sw__field *field;
    snprintf(text, sizeof text, "%.*s", name.size > 100 ? 100 : (int)name.size, name.text);
    SW_TRY(sw__source_field(r->source, message->type, text, name.line, name.column, &field));
    SW_TRY(advance(r));
    bool colon = is_sign(r, ':');
    if (colon) SW_TRY(advance(r));
    if (!colon && field->kind != SW__MESSAGE) return unexpected(r, "\":\"");
    return is_sign(r, '[') ? read_list(r, message, field, &name) : read_value(r, message, field, &name);
}

/* Up to, not with, the closing sign (0: the end). */
static sw_status read_fields(reader *r, sw__message *message, char close) {
    for (;;) {
        if (close ? is_sign(r, close) : r->token.kind == TOKEN_END) return SW_OK;
        if (r->token.kind == TOKEN_END) return FAIL(r, r->token, NULL, "the file ends where \"%c\" is expected", close);
        SW_TRY(read_field(r, message));
        if (is_sign(r, ',') || is_sign(r, ';')) SW_TRY(advance(r));
    }
}

sw_status sw__pbtxt_parse(const char *text, size_t size, const sw__type *type, const sw__source *source,
                          sw__message **message) {
    if (size > SW__MAX_CONFIG)
        return sw_fail(source->diag, SW_E_LIMIT, source->where, NULL, "a configuration has at most %d bytes",
                       SW__MAX_CONFIG);
    reader r = {.at = text, .end = text + size, .line_start = text, .line = 1, .source = source};
    r.scratch = sw_buf_make(NULL, SW__MAX_CONFIG);
    *message = sw__message_create(source->arena, type);
    sw_status status = *message ? advance(&r) : sw_fail(source->diag, SW_E_NOMEM, source->where, NULL, "out of memory");
    if (status == SW_OK) status = read_fields(&r, *message, 0);
    sw_buf_free(&r.scratch);
    return status;
}
