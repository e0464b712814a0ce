#include "base/pyliteral.h"

#include "unit.h"

static sw_arena *arena;

static sw_status parse(const char *text, sw_py *value) {
    sw_arena_destroy(arena);
    arena = sw_arena_create(NULL, 1 << 22);
    return sw_py_parse(arena, text, value);
}

static void finish(void) {
    sw_arena_destroy(arena);
    arena = NULL;
}

SW_TEST(pyliteral_names) {
    sw_py v;
    CHECK_INT(parse("{0: 'person', 1: \"it's\", 12: 'a \\'b\\' \\\\ \\xe9\\u20ac\\U0001f600\\n'}", &v), SW_OK);
    CHECK_INT(v.type, SW_PY_DICT);
    CHECK_INT(v.n, 3);
    CHECK_INT(v.items[0].i, 0);
    CHECK_STR(v.items[1].s, "person");
    CHECK_STR(v.items[3].s, "it's");
    CHECK_INT(v.items[4].i, 12);
    CHECK_STR(v.items[5].s, "a 'b' \\ \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n");
    finish();
}

SW_TEST(pyliteral_values) {
    sw_py v;
    CHECK_INT(parse(" (1, -2.5, 1e-05, None, True, false, [ ], {}, (3), (4,)) ", &v), SW_OK);
    CHECK_INT(v.type, SW_PY_LIST);
    CHECK_INT(v.n, 10);
    CHECK_NEAR(v.items[1].f, -2.5, 0);
    CHECK_NEAR(v.items[2].f, 1e-05, 0);
    CHECK_INT(v.items[3].type, SW_PY_NONE);
    CHECK(v.items[4].b && v.items[4].type == SW_PY_BOOL);
    CHECK(!v.items[5].b && v.items[5].type == SW_PY_BOOL);
    CHECK_INT(v.items[6].n, 0);
    CHECK_INT(v.items[7].type, SW_PY_DICT);
    CHECK_INT(v.items[8].i, 3);
    CHECK_INT(v.items[9].items[0].i, 4);
    finish();
}

SW_TEST(pyliteral_json) {
    sw_py v;
    CHECK_INT(parse("{\"a\": [1, null], \"nms\": true, \"s\": \"\\ud83d\\ude00\\/\\ud83dx\"}", &v), SW_OK);
    CHECK(sw_py_get(&v, "nms") && sw_py_get(&v, "nms")->b);
    CHECK(sw_py_get(&v, "s"));
    CHECK_STR(sw_py_get(&v, "s")->s, "\xf0\x9f\x98\x80/\xef\xbf\xbdx");
    CHECK(!sw_py_get(&v, "b"));
    CHECK(!sw_py_get(sw_py_get(&v, "a"), "a"));
    finish();
}

SW_TEST(pyliteral_refuses) {
    static const char *const broken[] = {
        "",      "{",    "{0 'a'}",  "{0: 'a' 1: 'b'}", "[1 2]",  "[1,,2]",
        "[,]",   "'abc", "'a\\",     "'\\x4'",          "'\\u12", "'\\U00110000'",
        "1 2",   "nan",  "--1",      "print()",         "{0: 1]", "'a\nb'",
        "(1, 2", "{0:",  "Nonesuch", "1.2.3",
    };
    sw_py v;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        if (parse(broken[i], &v) != SW_E_INPUT) sw_test_fail(__FILE__, __LINE__, "accepts %s", broken[i]);
    char deep[100];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    CHECK_INT(parse(deep, &v), SW_E_LIMIT);
    finish();
}
