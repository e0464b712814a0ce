#include "build/timing_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "base/zip.h"

enum { MOST_TIMINGS = 1 << 18, MOST_TEXT = 1000, MOST_BYTES = 64 << 20 };

static const char magic[] = "slipway timing cache ", version[] = "1";

/* Texts lie in the arena. */
typedef struct entry {
    const char *device, *step, *tactic;
    sw_timing timing;
} entry;

struct sw_timings {
    const sw_allocator *allocator;
    sw_arena *arena;
    const char *kernels;
    entry *entries; /* sorted by device, step, tactic; each once */
    size_t n, cap;
    bool told; /* that its file cannot be used: once is enough */
};

sw_timings *sw_timings_create(const sw_allocator *allocator, const char *kernels) {
    sw_timings *t = sw_calloc(allocator, 1, sizeof *t);
    if (!t) return NULL;
    t->allocator = allocator;
    t->arena = sw_arena_create(allocator, 0);
    t->kernels = t->arena ? sw_arena_strdup(t->arena, kernels) : NULL;
    if (t->kernels) return t;
    sw_timings_destroy(t);
    return NULL;
}

void sw_timings_destroy(sw_timings *t) {
    if (!t) return;
    sw_arena_destroy(t->arena);
    sw_free(t->allocator, t->entries);
    sw_free(t->allocator, t);
}

size_t sw_timings_count(const sw_timings *t) {
    return t->n;
}

static int order(const entry *a, const entry *b) {
    int by = strcmp(a->device, b->device);
    if (!by) by = strcmp(a->step, b->step);
    return by ? by : strcmp(a->tactic, b->tactic);
}

/* The place of the first entry that is not before `key`. */
static size_t place_of(const sw_timings *t, const entry *key) {
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(&t->entries[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool sw_timings_find(const sw_timings *t, const char *device, const char *step, const char *tactic, sw_timing *timing) {
    entry key = {device, step, tactic, {{0}}};
    size_t at = place_of(t, &key);
    if (at == t->n || order(&t->entries[at], &key)) return false;
    *timing = t->entries[at].timing;
    return true;
}

void sw_timings_each(const sw_timings *t, const char *device,
                     void (*tell)(void *ctx, const char *step, const char *tactic, const sw_timing *timing),
                     void *ctx) {
    entry key = {device, "", "", {{0}}};
    for (size_t i = place_of(t, &key); i < t->n && !strcmp(t->entries[i].device, device); i++)
        tell(ctx, t->entries[i].step, t->entries[i].tactic, &t->entries[i].timing);
}

/* The length of a printable text without tabs; 0 where it is not. */
static size_t text_length(const char *text) {
    size_t n = 0;
    for (; text[n]; n++)
        if (text[n] < 0x20 || text[n] > 0x7e || n == MOST_TEXT) return 0;
    return n;
}

sw_status sw_timings_add(sw_timings *t, const char *device, const char *step, const char *tactic, sw_timing timing) {
    size_t lengths[3] = {text_length(device), text_length(step), text_length(tactic)};
    if (!lengths[0] || !lengths[1] || !lengths[2] || lengths[0] + lengths[1] + lengths[2] > MOST_TEXT)
        return SW_E_LIMIT;
    entry new = {device, step, tactic, timing};
    size_t at = place_of(t, &new);
    if (at < t->n && order(&t->entries[at], &new) == 0) return SW_OK;
    SW_TRY(sw_grow(t->allocator, (void **)&t->entries, &t->cap, t->n + 1, sizeof *t->entries, MOST_TIMINGS));
    /* A neighbour's device is mostly the same. */
    size_t near = at < t->n ? at : at - 1;
    new.device = t->n && !strcmp(t->entries[near].device, device) ? t->entries[near].device
                                                                  : sw_arena_strdup(t->arena, device);
    new.step = sw_arena_strdup(t->arena, step);
    new.tactic = sw_arena_strdup(t->arena, tactic);
    if (!new.device || !new.step || !new.tactic) return SW_E_NOMEM;
    memmove(t->entries + at + 1, t->entries + at, (t->n - at) * sizeof *t->entries);
    t->entries[at] = new;
    t->n++;
    return SW_OK;
}

static sw_status add_all(sw_timings *t, const sw_timings *from) {
    for (size_t i = 0; i < from->n; i++) {
        const entry *e = &from->entries[i];
        SW_TRY(sw_timings_add(t, e->device, e->step, e->tactic, e->timing));
    }
    return SW_OK;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *at, *end;
    char line[MOST_TEXT + 64]; /* the last one, without its line break */
} reader;

static bool next_line(reader *r) {
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (!stop || (size_t)(stop - r->at) >= sizeof r->line) return false;
    size_t length = (size_t)(stop - r->at);
    memcpy(r->line, r->at, length);
    r->line[length] = 0;
    r->at = stop + 1;
    return strlen(r->line) == length;
}

/* The rest of a line that begins with `word`; NULL when it does not. */
static char *after(char *line, const char *word) {
    return sw_str_starts_with(line, word) ? line + strlen(word) : NULL;
}

static bool read_ns(const char *text, size_t length, int64_t *ns) {
    return sw_str_to_i64(text, length, ns) && *ns >= 0 && *ns <= INT64_MAX / 4;
}

/* "<step> TAB <tactic> TAB <ns> <ns>". */
static sw_status read_timing(sw_timings *t, const char *device, char *line) {
    char *tactic = strchr(line, '\t'), *first = tactic ? strchr(tactic + 1, '\t') : NULL;
    if (!first || !device[0]) return SW_E_MODEL;
    *tactic++ = 0;
    *first++ = 0;
    sw_timing timing;
    size_t length = strcspn(first, " ");
    if (!first[length] || !read_ns(first, length, &timing.ns[0])) return SW_E_MODEL;
    const char *second = first + length + 1;
    if (!read_ns(second, strlen(second), &timing.ns[1])) return SW_E_MODEL;
    sw_status status = sw_timings_add(t, device, line, tactic, timing);
    return status == SW_E_LIMIT ? SW_E_MODEL : status;
}

/* "end <timings> <crc>", and nothing behind it. */
static bool is_end(const reader *r, char *text, size_t count, uint32_t crc) {
    char want[64];
    snprintf(want, sizeof want, "end %zu %08" PRIx32, count, crc);
    return r->at == r->end && strcmp(text, want) == 0;
}

static sw_status read_all(sw_timings *t, reader *r) {
    const char *begin = r->at;
    char device[MOST_TEXT + 64] = "";
    next_line(r); /* the first, which has been looked at */
    if (!next_line(r)) return SW_E_MODEL;
    const char *kernels = after(r->line, "kernels ");
    if (!kernels) return SW_E_MODEL;
    if (strcmp(kernels, t->kernels) != 0) return SW_E_UNSUPPORTED;
    for (size_t count = 0;;) {
        const char *start = r->at;
        if (!next_line(r)) return SW_E_MODEL;
        char *text = after(r->line, "device ");
        if (text)
            snprintf(device, sizeof device, "%s", text);
        else if (after(r->line, "end "))
            return is_end(r, r->line, count, sw_crc32(begin, (size_t)(start - begin))) ? SW_OK : SW_E_MODEL;
        else {
            SW_TRY(read_timing(t, device, r->line));
            count++;
        }
    }
}

sw_status sw_timings_parse(sw_timings *t, const void *bytes, size_t size) {
    size_t length = strlen(magic);
    if (size < length || memcmp(bytes, magic, length) != 0) return SW_E_INPUT;
    if (size > MOST_BYTES) return SW_E_MODEL;
    reader r = {.at = bytes, .end = (const char *)bytes + size};
    reader look = r;
    if (!next_line(&look)) return SW_E_MODEL;
    if (strcmp(look.line + length, version) != 0) return SW_E_UNSUPPORTED;
    sw_timings *fresh = sw_timings_create(t->allocator, t->kernels); /* so that a damaged file adds nothing */
    if (!fresh) return SW_E_NOMEM;
    sw_status status = read_all(fresh, &r);
    if (status == SW_OK) status = add_all(t, fresh);
    sw_timings_destroy(fresh);
    return status;
}

void sw_timings_format(const sw_timings *t, sw_buf *buf) {
    size_t begin = buf->size;
    sw_buf_printf(buf, "%s%s\nkernels %s\n", magic, version, t->kernels);
    for (size_t i = 0; i < t->n; i++) {
        const entry *e = &t->entries[i];
        if (i == 0 || strcmp(e->device, t->entries[i - 1].device) != 0) sw_buf_printf(buf, "device %s\n", e->device);
        sw_buf_printf(buf, "%s\t%s\t%" PRId64 " %" PRId64 "\n", e->step, e->tactic, e->timing.ns[0], e->timing.ns[1]);
    }
    uint32_t crc = buf->status == SW_OK ? sw_crc32(buf->data + begin, buf->size - begin) : 0;
    sw_buf_printf(buf, "end %zu %08" PRIx32 "\n", t->n, crc);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* As sw_timings_parse; SW_OK for a file that is missing or empty. */
static sw_status read_file(sw_timings *t, const char *path, const sw_diag *diag) {
    if (sw_path_kind_of(path) == SW_PATH_NONE || sw_file_size(path) == 0) return SW_OK;
    sw_map map;
    sw_status status = sw_map_open(path, diag, &map);
    if (status != SW_OK) return status;
    status = sw_timings_parse(t, map.data, map.size);
    sw_map_close(&map);
    return status;
}

typedef struct softener {
    sw_timings *timings;
    const sw_diag *to;
} softener;

/* An error that is none for the caller becomes a warning. */
static void soften(void *ctx, const sw_message *m) {
    const softener *s = ctx;
    if (!s->timings->told) sw_warn(s->to, m->where, "%s; timings are measured anew and not kept", m->text);
    s->timings->told = true;
}

sw_status sw_timings_load(sw_timings *t, const char *path, const sw_diag *diag) {
    sw_status status = read_file(t, path, &(sw_diag){.emit = soften, .ctx = &(softener){t, diag}});
    if (status == SW_E_NOMEM) return status;
    if (status == SW_E_INPUT) sw_warn(diag, path, "is no timing cache; it is neither used nor changed");
    if (status == SW_E_MODEL) sw_warn(diag, path, "the timing cache is damaged and not used; it will be replaced");
    if (status == SW_E_UNSUPPORTED)
        sw_warn(diag, path, "the timing cache is of another version of Slipway and not used; it will be replaced");
    return SW_OK;
}

static sw_status make_folder(sw_timings *t, const char *path, const sw_diag *diag) {
    size_t length = (size_t)(sw_path_name(path) - path);
    if (length < 2) return SW_OK;
    char *folder = sw_arena_strndup(t->arena, path, length - 1);
    return folder ? sw_dir_make(folder, diag) : SW_E_NOMEM;
}

/* `all`: empty. Becomes what the file holds and what `t` holds beyond that. */
static sw_status merge_and_write(sw_timings *all, const sw_timings *t, const char *path, const sw_diag *diag) {
    sw_status status = read_file(all, path, diag);
    if (status == SW_E_INPUT) return add_all(all, t); /* somebody's file of another kind; it was warned of */
    if (status != SW_OK && status != SW_E_MODEL && status != SW_E_UNSUPPORTED) return status;
    SW_TRY(add_all(all, t));
    sw_buf buf = sw_buf_make(t->allocator, 0);
    sw_timings_format(all, &buf);
    status = buf.status == SW_OK ? sw_file_write(path, buf.data, buf.size, diag) : buf.status;
    sw_buf_free(&buf);
    return status;
}

sw_status sw_timings_save(sw_timings *t, const char *path, const sw_diag *diag) {
    const sw_diag soft = {.emit = soften, .ctx = &(softener){t, diag}};
    const char *lock_path = sw_arena_printf(t->arena, "%s.lock", path);
    sw_timings *all = sw_timings_create(t->allocator, t->kernels);
    sw_lock lock;
    sw_status status = lock_path && all ? make_folder(t, path, &soft) : SW_E_NOMEM;
    if (status == SW_OK) status = sw_lock_open(lock_path, &soft, &lock);
    if (status == SW_OK) {
        status = merge_and_write(all, t, path, &soft);
        sw_lock_close(&lock);
        if (all->n >= t->n) {
            sw_timings mine = *t;
            all->told = t->told;
            *t = *all;
            *all = mine;
        }
    }
    sw_timings_destroy(all);
    return status == SW_E_NOMEM ? status : SW_OK;
}

sw_status sw_timings_default_path(sw_arena *arena, const char *kernels, const char **path) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    *path = NULL;
    if (cache && cache[0] == '/') /* others are to be ignored, says the XDG specification */
        *path = sw_arena_printf(arena, "%s/slipway/timings-%s.txt", cache, kernels);
    else if (home && home[0] == '/')
        *path = sw_arena_printf(arena, "%s/.cache/slipway/timings-%s.txt", home, kernels);
    else
        return SW_OK;
    return *path ? SW_OK : SW_E_NOMEM;
}
