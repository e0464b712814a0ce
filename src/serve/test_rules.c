#include "serve/rules.h"

#include <string.h>

#include "base/test_memory.h"
#include "unit.h"

static sw_status read(const char *text, sw__rules **rules) {
    *rules = NULL;
    return sw__rules_read(text, strlen(text), "routes", &sw_test_diag, rules);
}

SW_TEST(rules_globs) {
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {{"", "", true},          {"*", "", true},         {"a*c", "abc", true},    {"a*c", "ab", false},
                 {"a*b*c", "a-b-b-c", true}, {"*x", "xyx", true},  {"*x", "xy", false},     {"abc", "abcd", false},
                 {"a**", "a", true},      {"", "a", false},        {"*ab*ab", "abab", true}, {"*aab", "aaab", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(sw__rules_glob(cases[i].pattern, cases[i].text, false), cases[i].fits);
    CHECK(sw__rules_glob("IMAGE/*", "image/png", true) && !sw__rules_glob("IMAGE/*", "image/png", false));
}

static const char *header_of(void *ctx, const char *name) {
    return !strcmp(name, "x-tenant") ? ctx : NULL;
}

static const char *target_of(const sw__rules *rules, const sw_serve_hint *hint) {
    const sw__rule *rule = sw__rules_match(rules, hint);
    return rule ? rule->targets[0].model : "none";
}

SW_TEST(rules_the_first_that_holds) {
    sw__rules *rules;
    CHECK_INT(read("{\"rules\": ["
                   "{\"name\": \"tenant\", \"when\": {\"header\": {\"X-Tenant\": \"ac*\"}}, \"to\": {\"model\": \"a\"}},"
                   "{\"when\": {\"pixels\": {\"min\": 1000}, \"width\": {\"max\": 99}}, \"to\": {\"model\": \"big\"}},"
                   "{\"when\": {\"content_type\": \"image/jpeg\", \"path\": \"*/detect\"}, \"to\": {\"model\": \"jpg\"}},"
                   "{\"when\": {\"parameter\": {\"q\": \"1\"}}, \"to\": {\"model\": \"q\", \"version\": 3}}]}",
                   &rules),
              SW_OK);
    CHECK_INT(rules->n_rules, 4);
    CHECK(rules->by_size);
    CHECK_STR(rules->rules[1].name, "2");
    CHECK_INT(rules->rules[3].targets[0].version, 3);
    CHECK_STR(target_of(rules, &(sw_serve_hint){0}), "none");
    CHECK_STR(target_of(rules, &(sw_serve_hint){.header = header_of, .ctx = "acme", .width = 50, .height = 50}), "a");
    CHECK_STR(target_of(rules, &(sw_serve_hint){.header = header_of, .ctx = "other", .width = 50, .height = 50}), "big");
    CHECK_STR(target_of(rules, &(sw_serve_hint){.width = 100, .height = 50}), "none");
    CHECK_STR(target_of(rules, &(sw_serve_hint){.path = "/x/detect", .content_type = "Image/JPEG; q=1"}), "jpg");
    CHECK_STR(target_of(rules, &(sw_serve_hint){.path = "/x/infer", .content_type = "image/jpeg"}), "none");
    sw__rules_drop(rules);
}

SW_TEST(rules_name_what_is_wrong) {
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"[]", "must be a JSON object"},
        {"{\"rule\": []}", "\"rule\" is no part of routes"},
        {"{\"rules\": [{\"name\": \"big\", \"when\": {\"widht\": {}}, \"to\": {\"model\": \"m\"}}]}",
         "rule 1 (\"big\"), line 1: \"widht\" is no condition"},
        {"{\"rules\": [{\"to\": {\"model\": \"m\"}},\n{\"name\": \"x\"}]}", "rule 2 (\"x\"), line 2: it does not say where to"},
        {"{\"rules\": [{\"to\": []}]}", "must be a target"},
        {"{\"rules\": [{\"to\": {\"model\": \"m\", \"version\": 1.5}}]}", "whole number"},
        {"{\"rules\": [{\"to\": {\"model\": \"@route\"}}]}", "cannot be \"@route\""},
        {"{\"rules\": [{\"to\": [{\"model\": \"m\", \"weight\": 0}]}]}", "are all 0"},
        {"{\"rules\": [{\"when\": {\"width\": {\"min\": 9, \"max\": 8}}, \"to\": {\"model\": \"m\"}}]}", "min above its max"},
        {"{\"rules\": [{\"when\": {\"header\": {\"a\": 1}}, \"to\": {\"model\": \"m\"}}]}", "a must be a text"},
        {"{\"shadows\": [{\"of\": {\"model\": \"m\"}}]}", "shadow 1, line 1: it needs \"of\" and \"to\""},
        {"{\"shadows\": [{\"of\": {\"model\": \"m\"}, \"to\": {\"model\": \"m\"}}]}", "to the same one"},
        {"{\"shadows\": [{\"of\": {\"model\": \"m\"}, \"to\": {\"model\": \"n\"}, \"share\": 2}]}", "share must be a number"},
        {"{\"rules\": [], \"rules\": []}", "must be one list"},
        {"{\"rules\": [", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sw__rules *rules;
        CHECK_INT(read(cases[i].text, &rules), SW_E_INPUT);
        CHECK(strstr(sw_test_message(), cases[i].part));
    }
}
