#include "serve/rules.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* -- Reading --------------------------------------------------------------------------------------------------------- */

typedef struct parser {
    sw_json_reader json;
    sw_json_event event; /* the one under way */
    sw_arena *arena;
    const sw_diag *diag;
    const char *where;
    const char *list; /* "rule", "shadow" */
    int number;       /* of its entry, from 1 */
    char name[68];    /* of the entry, quoted in front of messages; "" while it is not known */
} parser;

static sw_status next(parser *p) {
    return sw_json_next(&p->json, &p->event);
}

/* A mistake in the entry under way. */
static sw_status mistake(parser *p, const char *hint, const char *fmt, ...) SW_PRINTF(3, 4);
static sw_status mistake(parser *p, const char *hint, const char *fmt, ...) {
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return sw_fail(p->diag, SW_E_INPUT, p->where, hint, "%s %d%s, line %d: %s", p->list, p->number, p->name,
                   p->event.line, text);
}

static sw_status out_of_memory(parser *p) {
    return sw_fail(p->diag, SW_E_NOMEM, p->where, NULL, "out of memory");
}

/* The next event is a text without zeros, 1 to 1000 bytes; in the arena. */
static sw_status take_text(parser *p, const char *what, const char **text) {
    SW_TRY(next(p));
    if (p->event.type != SW_JSON_STRING || !p->event.length || p->event.length > 1000 ||
        memchr(p->event.text, 0, p->event.length))
        return mistake(p, NULL, "%s must be a text of 1 to 1000 letters", what);
    *text = sw_arena_strndup(p->arena, p->event.text, p->event.length);
    return *text ? SW_OK : out_of_memory(p);
}

static sw_status take_number(parser *p, const char *what, double least, double most, double *value) {
    SW_TRY(next(p));
    if (p->event.type != SW_JSON_NUMBER || !(p->event.number >= least && p->event.number <= most))
        return mistake(p, NULL, "%s must be a number from %g to %g", what, least, most);
    *value = p->event.number;
    return SW_OK;
}

static sw_status take_version(parser *p, int64_t *version) {
    SW_TRY(next(p));
    if (p->event.type != SW_JSON_NUMBER || !p->event.is_integer || p->event.integer < 1)
        return mistake(p, NULL, "version must be a whole number from 1 on");
    *version = p->event.integer;
    return SW_OK;
}

static sw_status enter_object(parser *p, const char *what) {
    SW_TRY(next(p));
    return p->event.type == SW_JSON_OBJECT ? SW_OK : mistake(p, NULL, "%s must be an object {...}", what);
}

/* The next key of the object; *more false at its end. The key's text is valid until the next event. */
static sw_status next_key(parser *p, bool *more) {
    SW_TRY(next(p));
    *more = p->event.type == SW_JSON_KEY;
    return SW_OK;
}

static bool is_key(const parser *p, const char *name) {
    return !strcmp(p->event.text, name);
}

/* -- Conditions -- */

typedef struct conditions {
    sw__condition list[SW__MAX_CONDITIONS];
    int n;
} conditions;

static sw_status add_condition(parser *p, conditions *c, sw__condition condition) {
    if (c->n == SW__MAX_CONDITIONS) return mistake(p, NULL, "more than %d conditions", SW__MAX_CONDITIONS);
    c->list[c->n++] = condition;
    return SW_OK;
}

/* {"x-tenant": "a*", ...} */
static sw_status read_named(parser *p, conditions *c, sw__condition_kind kind, const char *what) {
    bool more;
    SW_TRY(enter_object(p, what));
    for (;;) {
        SW_TRY(next_key(p, &more));
        if (!more) break;
        sw__condition condition = {.kind = kind};
        char *name = p->event.length && p->event.length < 200 && !memchr(p->event.text, 0, p->event.length)
                         ? sw_arena_strndup(p->arena, p->event.text, p->event.length)
                         : NULL;
        if (!name) return mistake(p, NULL, "%s has a name that is none", what);
        for (char *at = name; kind == SW__ON_HEADER && *at; at++) *at = (char)tolower((unsigned char)*at);
        condition.name = name;
        SW_TRY(take_text(p, name, &condition.pattern));
        SW_TRY(add_condition(p, c, condition));
    }
    return SW_OK;
}

/* {"min": 100, "max": 200} */
static sw_status read_range(parser *p, conditions *c, sw__condition_kind kind, const char *what) {
    bool more;
    sw__condition condition = {.kind = kind, .least = 0, .most = INFINITY};
    SW_TRY(enter_object(p, what));
    for (;;) {
        SW_TRY(next_key(p, &more));
        if (!more) break;
        if (is_key(p, "min"))
            SW_TRY(take_number(p, "min", 0, 1e12, &condition.least));
        else if (is_key(p, "max"))
            SW_TRY(take_number(p, "max", 0, 1e12, &condition.most));
        else
            return mistake(p, "there are min and max", "\"%.40s\" is no part of %s", p->event.text, what);
    }
    if (condition.least > condition.most) return mistake(p, NULL, "%s has a min above its max", what);
    return add_condition(p, c, condition);
}

static sw_status read_pattern(parser *p, conditions *c, sw__condition_kind kind, const char *what) {
    sw__condition condition = {.kind = kind};
    SW_TRY(take_text(p, what, &condition.pattern));
    return add_condition(p, c, condition);
}

static sw_status read_when(parser *p, conditions *c) {
    static const struct {
        const char *name;
        sw__condition_kind kind;
        sw_status (*read)(parser *p, conditions *c, sw__condition_kind kind, const char *what);
    } known[] = {{"path", SW__ON_PATH, read_pattern},
                 {"header", SW__ON_HEADER, read_named},
                 {"parameter", SW__ON_PARAMETER, read_named},
                 {"content_type", SW__ON_CONTENT_TYPE, read_pattern},
                 {"width", SW__ON_WIDTH, read_range},
                 {"height", SW__ON_HEIGHT, read_range},
                 {"pixels", SW__ON_PIXELS, read_range}};
    enum { KNOWN = sizeof known / sizeof *known };
    bool more;
    SW_TRY(enter_object(p, "when"));
    for (;;) {
        SW_TRY(next_key(p, &more));
        if (!more) break;
        int i = 0;
        while (i < KNOWN && !is_key(p, known[i].name)) i++;
        if (i == KNOWN)
            return mistake(p, "there are path, header, parameter, content_type, width, height and pixels",
                           "\"%.40s\" is no condition", p->event.text);
        SW_TRY(known[i].read(p, c, known[i].kind, known[i].name));
    }
    return SW_OK;
}

/* -- Targets -- */

/* {"model": "m", "version": 2, "weight": 10}, entered already. */
static sw_status read_target(parser *p, sw__target *target, bool weights) {
    bool more;
    *target = (sw__target){.version = -1, .weight = 1};
    for (;;) {
        SW_TRY(next_key(p, &more));
        if (!more) break;
        if (is_key(p, "model"))
            SW_TRY(take_text(p, "model", &target->model));
        else if (is_key(p, "version"))
            SW_TRY(take_version(p, &target->version));
        else if (weights && is_key(p, "weight"))
            SW_TRY(take_number(p, "weight", 0, 1e9, &target->weight));
        else
            return mistake(p, weights ? "there are model, version and weight" : "there are model and version",
                           "\"%.40s\" is no part of a target", p->event.text);
    }
    if (!target->model) return mistake(p, NULL, "a target has no model");
    if (*target->model == '@') return mistake(p, "name a model", "a target cannot be \"%.40s\"", target->model);
    return SW_OK;
}

static sw_status read_to(parser *p, sw__rule *rule) {
    sw__target targets[SW__MAX_TARGETS];
    int n = 0;
    SW_TRY(next(p));
    bool many = p->event.type == SW_JSON_ARRAY;
    if (many) SW_TRY(next(p));
    while (p->event.type == SW_JSON_OBJECT) {
        if (n == SW__MAX_TARGETS) return mistake(p, NULL, "more than %d targets", SW__MAX_TARGETS);
        SW_TRY(read_target(p, &targets[n], true));
        rule->total += targets[n++].weight;
        if (!many) break;
        SW_TRY(next(p));
    }
    if (!n || (many && p->event.type != SW_JSON_ARRAY_END))
        return mistake(p, NULL, "\"to\" must be a target {\"model\": ...} or a list of them");
    if (!(rule->total > 0)) return mistake(p, NULL, "the weights of \"to\" are all 0");
    rule->n_targets = n;
    rule->targets = sw_arena_copy(p->arena, targets, (size_t)n * sizeof *targets);
    rule->taken = SW_ARENA_ARRAY(p->arena, atomic_ullong, n);
    return rule->targets && rule->taken ? SW_OK : out_of_memory(p);
}

/* -- Entries -- */

static sw_status read_name(parser *p, const char **name) {
    SW_TRY(take_text(p, "name", name));
    if (p->event.length > 60) return mistake(p, NULL, "its name is longer than 60 letters");
    snprintf(p->name, sizeof p->name, " (\"%s\")", *name);
    return SW_OK;
}

static sw_status read_rule(parser *p, sw__rule *rule) {
    conditions c = {.n = 0};
    bool more;
    for (;;) {
        SW_TRY(next_key(p, &more));
        if (!more) break;
        if (is_key(p, "name"))
            SW_TRY(read_name(p, &rule->name));
        else if (is_key(p, "when"))
            SW_TRY(read_when(p, &c));
        else if (is_key(p, "to") && !rule->targets)
            SW_TRY(read_to(p, rule));
        else
            return mistake(p, "there are name, when and to, once each", "\"%.40s\" is no part of a rule",
                           p->event.text);
    }
    if (!rule->targets) return mistake(p, "add \"to\": {\"model\": \"NAME\"}", "it does not say where to");
    if (!rule->name && !(rule->name = sw_arena_printf(p->arena, "%d", p->number))) return out_of_memory(p);
    rule->n_conditions = c.n;
    rule->conditions = sw_arena_copy(p->arena, c.list, (size_t)c.n * sizeof *c.list);
    return rule->conditions || !c.n ? SW_OK : out_of_memory(p);
}

static sw_status read_shadow(parser *p, sw__shadow *shadow) {
    sw__target from = {0}, to = {0};
    bool more;
    shadow->share = 1;
    shadow->tolerance = 1e-3;
    for (;;) {
        SW_TRY(next_key(p, &more));
        if (!more) break;
        if (is_key(p, "name")) {
            SW_TRY(read_name(p, &shadow->name));
        } else if (is_key(p, "of") || is_key(p, "to")) {
            sw__target *target = is_key(p, "of") ? &from : &to;
            SW_TRY(enter_object(p, target == &from ? "\"of\"" : "\"to\""));
            SW_TRY(read_target(p, target, false));
        } else if (is_key(p, "share")) {
            SW_TRY(take_number(p, "share", 0, 1, &shadow->share));
        } else if (is_key(p, "tolerance")) {
            SW_TRY(take_number(p, "tolerance", 0, 1e30, &shadow->tolerance));
        } else {
            return mistake(p, "there are name, of, to, share and tolerance", "\"%.40s\" is no part of a shadow",
                           p->event.text);
        }
    }
    if (!from.model || !to.model)
        return mistake(p, NULL, "it needs \"of\" and \"to\", a model each: whose traffic, and who gets a copy");
    if (!strcmp(from.model, to.model) && (to.version < 0 || from.version == to.version))
        return mistake(p, "give \"to\" a version", "it copies traffic of a version to the same one");
    shadow->model = from.model, shadow->version = from.version;
    shadow->to_model = to.model, shadow->to_version = to.version;
    if (!shadow->name && !(shadow->name = sw_arena_printf(p->arena, "%d", p->number))) return out_of_memory(p);
    if (!(shadow->lock = SW_ARENA_NEW(p->arena, pthread_mutex_t))) return out_of_memory(p);
    return SW_OK;
}

/* The entries of a list; `size` bytes each. */
static sw_status read_list(parser *p, const char *list, size_t size, sw_status (*read)(parser *p, void *entry),
                           void **entries, int *n) {
    p->list = list;
    p->number = 0;
    p->name[0] = 0;
    SW_TRY(next(p));
    if (p->event.type != SW_JSON_ARRAY || *entries)
        return sw_fail(p->diag, SW_E_INPUT, p->where, NULL, "line %d: %ss must be one list [...]", p->event.line, list);
    char *all = sw_arena_alloc(p->arena, SW__MAX_RULES, size);
    if (!all) return out_of_memory(p);
    *entries = all;
    for (;;) {
        SW_TRY(next(p));
        if (p->event.type == SW_JSON_ARRAY_END) return SW_OK;
        p->number = *n + 1;
        p->name[0] = 0;
        if (*n == SW__MAX_RULES) return mistake(p, NULL, "there are more than %d", SW__MAX_RULES);
        if (p->event.type != SW_JSON_OBJECT) return mistake(p, NULL, "it must be an object {...}");
        SW_TRY(read(p, all + (size_t)*n * size));
        ++*n;
    }
}

static sw_status read_any_rule(parser *p, void *entry) {
    return read_rule(p, entry);
}

static sw_status read_any_shadow(parser *p, void *entry) {
    return read_shadow(p, entry);
}

static sw_status read_document(parser *p, sw__rules *rules) {
    bool more;
    SW_TRY(next(p));
    if (p->event.type != SW_JSON_OBJECT)
        return sw_fail(p->diag, SW_E_INPUT, p->where, "such as {\"rules\": [{\"to\": {\"model\": \"NAME\"}}]}",
                       "routes must be a JSON object");
    for (;;) {
        SW_TRY(next_key(p, &more));
        if (!more) break;
        void *list = NULL;
        if (is_key(p, "rules")) {
            list = rules->rules;
            SW_TRY(read_list(p, "rule", sizeof(sw__rule), read_any_rule, &list, &rules->n_rules));
            rules->rules = list;
        } else if (is_key(p, "shadows")) {
            list = rules->shadows;
            SW_TRY(read_list(p, "shadow", sizeof(sw__shadow), read_any_shadow, &list, &rules->n_shadows));
            rules->shadows = list;
        } else {
            return sw_fail(p->diag, SW_E_INPUT, p->where, "there are rules and shadows",
                           "line %d: \"%.40s\" is no part of routes", p->event.line, p->event.text);
        }
    }
    return next(p); /* the end */
}

static void finish(sw__rules *rules) {
    for (int i = 0; i < rules->n_shadows; i++) pthread_mutex_init(rules->shadows[i].lock, NULL);
    for (int i = 0; i < rules->n_rules; i++)
        for (int k = 0; k < rules->rules[i].n_conditions; k++)
            rules->by_size |= rules->rules[i].conditions[k].kind >= SW__ON_WIDTH;
}

sw_status sw__rules_read(const char *text, size_t size, const char *where, const sw_diag *diag, sw__rules **result) {
    if (size > SW__MAX_RULES_BYTES)
        return sw_fail(diag, SW_E_LIMIT, where, NULL, "routes of %zu bytes are too large; %d can be read", size,
                       SW__MAX_RULES_BYTES);
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw__rules *rules = arena ? SW_ARENA_NEW(arena, sw__rules) : NULL;
    parser p = {.arena = arena, .diag = diag, .where = where};
    sw_status status = SW_OK;
    if (!rules || !(rules->text = sw_arena_strndup(arena, text, size))) {
        status = out_of_memory(&p);
    } else {
        rules->refs = 1;
        rules->arena = arena;
        rules->size = size;
        sw_json_reader_init(&p.json, text, size, NULL, where, diag);
        status = read_document(&p, rules);
        sw_json_reader_free(&p.json);
    }
    if (status != SW_OK) {
        sw_arena_destroy(arena);
        return status;
    }
    finish(rules);
    *result = rules;
    return SW_OK;
}

void sw__rules_drop(sw__rules *rules) {
    if (!rules || atomic_fetch_sub(&rules->refs, 1) != 1) return;
    for (int i = 0; i < rules->n_shadows; i++) pthread_mutex_destroy(rules->shadows[i].lock);
    sw_arena_destroy(rules->arena);
}

/* -- Matching -------------------------------------------------------------------------------------------------------- */

static bool same(char a, char b, bool fold) {
    return a == b || (fold && tolower((unsigned char)a) == tolower((unsigned char)b));
}

bool sw__rules_glob(const char *pattern, const char *text, bool fold) {
    const char *star = NULL, *from = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
        } else if (same(*pattern, *text, fold)) {
            pattern++, text++;
        } else if (star) { /* the last star takes one more */
            pattern = star;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

/* Without what follows the type: "image/jpeg; q=1". */
static bool is_type(const char *pattern, const char *type) {
    char plain[128];
    size_t n = strcspn(type, "; ");
    if (n >= sizeof plain) return false;
    memcpy(plain, type, n);
    plain[n] = 0;
    return sw__rules_glob(pattern, plain, true);
}

static bool holds(const sw__condition *c, const sw_serve_hint *hint) {
    double pixels = (double)hint->width * hint->height;
    const char *value;
    switch (c->kind) {
    case SW__ON_PATH:
        return hint->path && sw__rules_glob(c->pattern, hint->path, false);
    case SW__ON_HEADER:
        value = hint->header ? hint->header(hint->ctx, c->name) : NULL;
        return value && sw__rules_glob(c->pattern, value, false);
    case SW__ON_PARAMETER:
        value = hint->parameter ? hint->parameter(hint->ctx, c->name) : NULL;
        return value && sw__rules_glob(c->pattern, value, false);
    case SW__ON_CONTENT_TYPE:
        return hint->content_type && is_type(c->pattern, hint->content_type);
    case SW__ON_WIDTH:
        return hint->width > 0 && hint->width >= c->least && hint->width <= c->most;
    case SW__ON_HEIGHT:
        return hint->height > 0 && hint->height >= c->least && hint->height <= c->most;
    case SW__ON_PIXELS:
        return pixels > 0 && pixels >= c->least && pixels <= c->most;
    }
    return false;
}

const sw__rule *sw__rules_match(const sw__rules *rules, const sw_serve_hint *hint) {
    for (int i = 0; rules && i < rules->n_rules; i++) {
        const sw__rule *rule = &rules->rules[i];
        int k = 0;
        while (k < rule->n_conditions && holds(&rule->conditions[k], hint)) k++;
        if (k == rule->n_conditions) return rule;
    }
    return NULL;
}
