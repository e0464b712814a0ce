#include "serve/server/multipart.h"

#include <stdio.h>
#include <string.h>

/* boundary=x or boundary="x"; at most 70 characters (RFC 2046). */
static bool find_boundary(const char *type, char *boundary, size_t size) {
    const char *at = strcasestr(type, "boundary=");
    if (!at) return false;
    at += strlen("boundary=");
    bool quoted = *at == '"';
    at += quoted;
    size_t n = quoted ? strcspn(at, "\"") : strcspn(at, "; \t");
    if (!n || n > 70 || n + 5 > size) return false;
    memcpy(boundary, "\r\n--", 4);
    memcpy(boundary + 4, at, n);
    boundary[4 + n] = 0;
    return true;
}

bool sw__multipart_begin(sw__multipart *m, const char *type, const uint8_t *body, size_t size) {
    *m = (sw__multipart){.body = body, .size = size};
    if (!find_boundary(type, m->boundary, sizeof m->boundary)) return false;
    size_t n = strlen(m->boundary) - 2; /* the first has no line break before it */
    const uint8_t *first = memmem(body, size, m->boundary + 2, n);
    if (!first || (first != body && !(first - body >= 2 && !memcmp(first - 2, "\r\n", 2)))) return false;
    m->at = (size_t)(first - body) + n;
    return true;
}

/* What `key` has in quotes in the head of a part. */
static bool take_value(const char *head, size_t size, const char *key, char *value, size_t n_value) {
    const char *at = memmem(head, size, key, strlen(key));
    if (!at) return false;
    at += strlen(key);
    const char *end = memchr(at, '"', (size_t)(head + size - at));
    size_t n = end ? (size_t)(end - at) : 0;
    if (n >= n_value) n = n_value - 1;
    memcpy(value, at, n);
    value[n] = 0;
    return n > 0;
}

/* filename="x" of a Content-Disposition line, or name="x" where there is none. */
static void take_name(const char *head, size_t size, char *name, size_t n_name) {
    if (!take_value(head, size, "filename=\"", name, n_name) && !take_value(head, size, " name=\"", name, n_name))
        snprintf(name, n_name, "picture");
}

int sw__multipart_next(sw__multipart *m, sw__part *part) {
    const uint8_t *end = m->body + m->size, *at = m->body + m->at;
    if (!at) return -1; /* the request had no body */
    if (end - at >= 2 && !memcmp(at, "--", 2)) return 0;
    if (end - at < 2 || memcmp(at, "\r\n", 2) != 0) return -1;
    const uint8_t *blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    if (!blank) return -1;
    take_name((const char *)at, (size_t)(blank - at), part->name, sizeof part->name);
    part->data = blank + 4;
    const uint8_t *next = memmem(blank + 2, (size_t)(end - blank - 2), m->boundary, strlen(m->boundary));
    if (!next) return -1;
    part->size = next > part->data ? (size_t)(next - part->data) : 0;
    m->at = (size_t)(next - m->body) + strlen(m->boundary);
    return 1;
}
