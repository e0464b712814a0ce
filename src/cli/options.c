#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "cli/verb.h"

const sw_option sw_common_options[] = {
    {.name = "quiet", .letter = 'q', .help = "print nothing but errors"},
    {.name = "help", .letter = 'h', .help = "show this help"},
    {0},
};

static int count_options(const sw_option *table) {
    int n = 0;
    while (table && table[n].name) n++;
    return n;
}

/* Options of the verb, then the common ones, as one list; NULL behind the last. */
static const sw_option *option_at(const sw_verb *verb, int i) {
    int own = count_options(verb->options);
    const sw_option *option = i < own ? &verb->options[i] : &sw_common_options[i - own];
    return option->name ? option : NULL;
}

static bool is_called(const char *name, const char *word, size_t length) {
    return name && strlen(name) == length && !memcmp(name, word, length);
}

static int find_name(const sw_verb *verb, const char *name, size_t length) {
    const sw_option *o;
    for (int i = 0; (o = option_at(verb, i)); i++)
        if (is_called(o->name, name, length) || is_called(o->also, name, length)) return i;
    return -1;
}

static int find_letter(const sw_verb *verb, char letter) {
    const sw_option *o;
    for (int i = 0; (o = option_at(verb, i)); i++)
        if (o->letter == letter) return i;
    return -1;
}

static sw_status unknown(const sw_verb *verb, const char *word, const sw_diag *diag) {
    char name[64], hint[128];
    const char *names[SW_MAX_OPTIONS];
    size_t n = 0;
    const sw_option *o;
    for (int i = 0; (o = option_at(verb, i)); i++) names[n++] = o->name;
    const char *dashes = word + strspn(word, "-");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(dashes, "="), dashes);
    const char *nearest = sw_str_starts_with(word, "--") ? sw_str_nearest(name, names, n) : NULL;
    if (nearest)
        snprintf(hint, sizeof hint, "did you mean --%s?", nearest);
    else
        snprintf(hint, sizeof hint, "see 'slipway %s --help'", verb->name);
    return sw_fail(diag, SW_E_USAGE, verb->name, hint, "there is no option %s", word);
}

static void say_range(const sw_option *o, char *text, size_t size) {
    char least[SW_FLOAT_TEXT], most[SW_FLOAT_TEXT];
    sw_str_from_f64(least, o->least);
    sw_str_from_f64(most, o->most);
    snprintf(text, size, "a %snumber from %s to %s", o->kind == SW_INT ? "whole " : "", least, most);
}

static sw_status check_value(const sw_verb *verb, const sw_option *o, const char *value, const sw_diag *diag) {
    double number = 0;
    int64_t whole = 0;
    size_t length = strlen(value);
    bool good = true;
    if (o->kind == SW_NUMBER) good = sw_str_to_f64(value, length, &number);
    if (o->kind == SW_INT) good = sw_str_to_i64(value, length, &whole), number = (double)whole;
    if (o->kind == SW_TEXT && !length)
        return sw_fail(diag, SW_E_USAGE, verb->name, NULL, "--%s wants %s, found nothing", o->name, o->argument);
    if (o->kind == SW_TEXT || (good && number >= o->least && number <= o->most)) return SW_OK;
    char range[96];
    say_range(o, range, sizeof range);
    return sw_fail(diag, SW_E_USAGE, verb->name, NULL, "--%s wants %s, found '%s'", o->name, range, value);
}

typedef struct parser {
    const sw_verb *verb;
    char *const *argv;
    int argc, at;
    const sw_diag *diag;
    sw_args *args;
} parser;

/* Option `i` with the value written into the same word, or NULL: then the next word is the value. */
static sw_status take_option(parser *p, int i, const char *attached) {
    const sw_option *o = option_at(p->verb, i);
    const char *value = attached;
    if (o->kind == SW_FLAG) {
        if (attached)
            return sw_fail(p->diag, SW_E_USAGE, p->verb->name, NULL, "--%s takes no value, found '%s'", o->name,
                           attached);
        value = "";
    } else {
        if (!value && p->at == p->argc)
            return sw_fail(p->diag, SW_E_USAGE, p->verb->name, NULL, "--%s wants a value: %s", o->name, o->argument);
        if (!value) value = p->argv[p->at++];
        SW_TRY(check_value(p->verb, o, value, p->diag));
    }
    sw_given *given = &p->args->given[i];
    if (!given->values) given->values = SW_ARENA_ARRAY(p->args->arena, const char *, p->argc);
    if (!given->values) return SW_E_NOMEM;
    if (!o->many) given->n = 0; /* the last one counts */
    given->values[given->n++] = value;
    return SW_OK;
}

static sw_status take_word(parser *p, const char *word) {
    if (sw_str_starts_with(word, "--")) {
        const char *equals = strchr(word, '=');
        size_t length = equals ? (size_t)(equals - word) : strlen(word);
        int i = find_name(p->verb, word + 2, length - 2);
        return i < 0 ? unknown(p->verb, word, p->diag) : take_option(p, i, equals ? equals + 1 : NULL);
    }
    for (const char *letter = word + 1; *letter; letter++) {
        int i = find_letter(p->verb, *letter);
        if (i < 0) return unknown(p->verb, word, p->diag);
        bool flag = option_at(p->verb, i)->kind == SW_FLAG;
        SW_TRY(take_option(p, i, !flag && letter[1] ? letter + 1 : NULL));
        if (!flag) break;
    }
    return SW_OK;
}

/* The operand that is missing: the word at its place in "MODEL SOURCE...". */
static sw_status missing_operand(const sw_verb *verb, int have, const sw_diag *diag) {
    char hint[96];
    snprintf(hint, sizeof hint, "see 'slipway %s --help'", verb->name);
    const char *word = verb->operands;
    for (int skip = have; skip > 0 && strchr(word, ' '); skip--) word = strchr(word, ' ') + 1;
    return sw_fail(diag, SW_E_USAGE, verb->name, hint, "%.*s is missing", (int)strcspn(word, " "), word);
}

sw_status sw_args_parse(const sw_verb *verb, int argc, char *const *argv, sw_arena *arena, const sw_diag *diag,
                        sw_args *args) {
    assert(count_options(verb->options) + count_options(sw_common_options) <= SW_MAX_OPTIONS);
    *args = (sw_args){.verb = verb, .arena = arena};
    args->operands = SW_ARENA_ARRAY(arena, const char *, argc + 1);
    if (!args->operands) return SW_E_NOMEM;
    parser p = {.verb = verb, .argv = argv, .argc = argc, .diag = diag, .args = args};
    bool options_over = false;
    while (p.at < argc) {
        const char *word = argv[p.at++];
        if (options_over || word[0] != '-' || !word[1])
            args->operands[args->n_operands++] = word;
        else if (!strcmp(word, "--"))
            options_over = true;
        else
            SW_TRY(take_word(&p, word));
        if (sw_args_flag(args, "help")) return SW_OK;
    }
    if (args->n_operands < verb->least_operands) return missing_operand(verb, args->n_operands, diag);
    if (args->n_operands > verb->most_operands)
        return sw_fail(diag, SW_E_USAGE, verb->name, NULL, "'%s' is one too many: it takes %s",
                       args->operands[verb->most_operands], verb->most_operands ? verb->operands : "options only");
    return SW_OK;
}

static int index_of(const sw_args *args, const char *name, sw_option_kind kind) {
    int i = find_name(args->verb, name, strlen(name));
    assert(i >= 0 && option_at(args->verb, i)->kind == kind);
    return i;
}

static const char *value_of(const sw_args *args, int i) {
    const sw_given *given = &args->given[i];
    return given->n ? given->values[given->n - 1] : option_at(args->verb, i)->standard;
}

bool sw_args_flag(const sw_args *args, const char *name) {
    return args->given[index_of(args, name, SW_FLAG)].n > 0;
}

const char *sw_args_text(const sw_args *args, const char *name) {
    return value_of(args, index_of(args, name, SW_TEXT));
}

int64_t sw_args_int(const sw_args *args, const char *name) {
    const char *text = value_of(args, index_of(args, name, SW_INT));
    int64_t value = 0;
    bool good = !text || sw_str_to_i64(text, strlen(text), &value);
    assert(good);
    return good ? value : 0;
}

double sw_args_number(const sw_args *args, const char *name) {
    const char *text = value_of(args, index_of(args, name, SW_NUMBER));
    double value = 0;
    bool good = !text || sw_str_to_f64(text, strlen(text), &value);
    assert(good);
    return good ? value : 0;
}

sw_given sw_args_all(const sw_args *args, const char *name) {
    return args->given[index_of(args, name, SW_TEXT)];
}

sw_status sw_args_output(const sw_args *args, const char *name, const char *source, const sw_diag *diag, const char **path) {
    *path = sw_args_text(args, name);
    if (!*path || !sw_path_same(*path, source)) return SW_OK;
    return sw_fail(diag, SW_E_USAGE, args->verb->name, NULL, "--%s would overwrite '%s'; choose another", name, source);
}

bool sw_args_given(const sw_args *args, const char *name) {
    int i = find_name(args->verb, name, strlen(name));
    assert(i >= 0);
    return args->given[i].n > 0;
}
