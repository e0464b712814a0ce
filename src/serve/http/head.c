#include "serve/http/head.h"

#include <string.h>

#include "base/str.h"

/* Characters of methods and header names (RFC 9110, 5.6.2). */
static bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           (c && strchr("!#$%&'*+.^_`|~", c));
}

static size_t token_length(const char *text) {
    size_t n = 0;
    while (is_token_char(text[n])) n++;
    return n;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}

static bool same_word(const char *a, const char *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != b[i]) return false;
    return b[n] == 0;
}

/* Whether a list "a, b;q=0.5" has the word, unless with q=0. */
static bool lists(const char *list, const char *word) {
    while (*list) {
        list += strspn(list, " \t,");
        size_t n = token_length(list), item = strcspn(list, ",");
        if (n && same_word(list, word, n)) {
            const char *q = memchr(list, '=', item);
            return !q || !(q[1] == '0' && strspn(q + 1, "0.") == (size_t)(list + item - q - 1));
        }
        list += item;
    }
    return false;
}

static int fail(int status, const char **why, const char *text) {
    *why = text;
    return status;
}

static int parse_request_line(char *line, sw_http_request *r, const char **why) {
    size_t n = token_length(line);
    if (!n || line[n] != ' ') return fail(400, why, "the request line has no method");
    r->method = line;
    line[n] = 0;
    char *target = line + n + 1, *space = strchr(target, ' ');
    if (!space || strchr(space + 1, ' ')) return fail(400, why, "the request line is not METHOD TARGET VERSION");
    *space = 0;
    const char *version = space + 1;
    if (strncmp(version, "HTTP/", 5)) return fail(400, why, "the request line has no version of HTTP");
    if (strcmp(version, "HTTP/1.1") && strcmp(version, "HTTP/1.0")) return fail(505, why, "HTTP/1.1 is spoken here");
    r->minor = version[7] - '0';
    if (!strncmp(target, "http://", 7)) { /* absolute form, as sent to proxies */
        target += 7 + strcspn(target + 7, "/");
        if (!*target) target = "/";
    }
    if (*target != '/') return fail(400, why, "the target of the request does not begin with /");
    for (const char *c = target; *c; c++)
        if (*c <= ' ' || *c == 0x7f)
            return fail(400, why, "the target of the request has characters that it may not have");
    r->path = target;
    char *question = strchr(target, '?');
    r->query = question ? question + 1 : "";
    if (question) *question = 0;
    return 0;
}

static int parse_header_line(char *line, sw_http_request *r, const char **why) {
    size_t n = token_length(line);
    if (!n || line[n] != ':') return fail(400, why, "a header line is not NAME: VALUE");
    if (r->n_headers == SW_HTTP_MAX_HEADERS) return fail(431, why, "too many headers");
    for (size_t i = 0; i < n; i++) line[i] = lower(line[i]);
    line[n] = 0;
    char *value = line + n + 1;
    value += strspn(value, " \t");
    size_t length = strlen(value);
    while (length && (value[length - 1] == ' ' || value[length - 1] == '\t')) length--;
    value[length] = 0;
    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return fail(400, why, "a header has characters that it may not have");
    r->headers[r->n_headers++] = (sw_http_header){line, value};
    return 0;
}

/* Digits only: "+5", "5, 5" and "0x5" are read differently by different servers. */
static bool parse_length(const char *text, int64_t *length) {
    return *text && strspn(text, "0123456789") == strlen(text) && sw_str_to_i64(text, strlen(text), length);
}

static int read_length(const char *value, sw__http_framing *f, const char **why) {
    int64_t length;
    if (!parse_length(value, &length)) return fail(400, why, "Content-Length is no number");
    if (f->length >= 0) return fail(400, why, "Content-Length is given twice");
    f->length = length;
    return 0;
}

static sw_http_coding coding_of(const char *value) {
    size_t n = strlen(value);
    if (same_word(value, "gzip", n) || same_word(value, "x-gzip", n)) return SW_HTTP_GZIP;
    if (same_word(value, "deflate", n)) return SW_HTTP_DEFLATE;
    return !n || same_word(value, "identity", n) ? SW_HTTP_IDENTITY : SW_HTTP_CODING_OTHER;
}

static int read_header(const sw_http_header *h, sw_http_request *r, sw__http_framing *f, int *hosts, const char **why) {
    const char *name = h->name, *value = h->value;
    if (!strcmp(name, "content-length")) return read_length(value, f, why);
    if (!strcmp(name, "transfer-encoding")) {
        if (f->chunked) return fail(400, why, "Transfer-Encoding is given twice");
        if (!same_word(value, "chunked", strlen(value)))
            return fail(501, why, "the only Transfer-Encoding here is chunked");
        f->chunked = true;
    } else if (!strcmp(name, "host"))
        ++*hosts;
    else if (!strcmp(name, "connection")) {
        if (lists(value, "close")) r->keep_alive = false;
        if (r->minor == 0 && lists(value, "keep-alive")) r->keep_alive = true;
    } else if (!strcmp(name, "expect")) {
        if (!same_word(value, "100-continue", strlen(value)))
            return fail(417, why, "the only Expect here is 100-continue");
        f->expects_continue = r->minor == 1;
    } else if (!strcmp(name, "content-encoding"))
        r->coding = coding_of(value);
    else if (!strcmp(name, "accept-encoding"))
        r->accepts |= (lists(value, "gzip") ? SW_HTTP_GZIP : 0) | (lists(value, "deflate") ? SW_HTTP_DEFLATE : 0);
    else if (!strcmp(name, "inference-header-content-length") && !parse_length(value, &r->json_size))
        return fail(400, why, "Unable to parse Inference-Header-Content-Length");
    return 0;
}

static int read_headers(sw_http_request *r, sw__http_framing *f, const char **why) {
    int hosts = 0;
    for (int i = 0; i < r->n_headers; i++) {
        int status = read_header(&r->headers[i], r, f, &hosts, why);
        if (status) return status;
    }
    if (f->chunked && (f->length >= 0 || r->minor == 0))
        return fail(400, why, "Transfer-Encoding beside Content-Length, or in HTTP/1.0");
    if (hosts > 1 || (hosts == 0 && r->minor == 1)) return fail(400, why, "a request has one Host header");
    return 0;
}

int sw__http_parse_head(char *text, size_t size, sw_http_request *r, sw__http_framing *f, const char **why) {
    *r = (sw_http_request){.json_size = -1, .keep_alive = true};
    *f = (sw__http_framing){.length = -1};
    if (memchr(text, 0, size)) return fail(400, why, "a zero in the head of the request");
    char *end = text + size - 2; /* the empty line */
    for (char *line = text; line < end;) {
        char *stop = memchr(line, '\r', (size_t)(end - line));
        if (!stop || stop[1] != '\n') return fail(400, why, "a line that does not end with CR LF");
        *stop = 0;
        if (strchr(line, '\n')) return fail(400, why, "a line that does not end with CR LF");
        int status = line == text ? parse_request_line(line, r, why) : parse_header_line(line, r, why);
        if (status) return status;
        if (line == text) r->keep_alive = r->minor == 1;
        line = stop + 2;
    }
    return read_headers(r, f, why);
}
