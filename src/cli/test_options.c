#include <stdlib.h>

#include "cli/verb.h"
#include "unit.h"

static const sw_option options[] = {
    {.name = "conf", .kind = SW_NUMBER, .argument = "X", .standard = "0.25", .most = 1, .help = "threshold"},
    {.name = "imgsz", .kind = SW_INT, .argument = "N", .least = 32, .most = 4096, .help = "size"},
    {.name = "output", .kind = SW_TEXT, .letter = 'o', .argument = "FILE", .help = "where"},
    {.name = "input", .kind = SW_TEXT, .letter = 'i', .argument = "FILE", .many = true, .help = "what"},
    {.name = "json", .letter = 'j', .help = "print JSON"},
    {0},
};
static const sw_example examples[] = {{"slipway try x", "Try it"}, {0}};
static const sw_verb verb = {.name = "try",
                             .operands = "MODEL SOURCE...",
                             .least_operands = 2,
                             .most_operands = 4,
                             .summary = "Try",
                             .description = "Tries.",
                             .options = options,
                             .examples = examples};

/* Parses up to 8 words; the arena is the caller's. */
static sw_status parse(sw_arena *arena, sw_args *args, const char *const *words) {
    int argc = 0;
    while (words[argc]) argc++;
    return sw_args_parse(&verb, argc, (char *const *)(uintptr_t)words, arena, &sw_test_diag, args);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

SW_TEST(options_in_all_forms) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_args a;
    CHECK_INT(parse(arena, &a, WORDS("m", "s")), SW_OK);
    CHECK_NEAR(sw_args_number(&a, "conf"), 0.25, 0);
    CHECK(sw_args_int(&a, "imgsz") == 0 && sw_args_text(&a, "output") == NULL && !sw_args_flag(&a, "json"));
    CHECK_INT(sw_args_all(&a, "input").n, 0);
    CHECK_INT(a.n_operands, 2);

    CHECK_INT(parse(arena, &a, WORDS("--conf", "0.5", "m", "--imgsz=64", "s", "-ox.jpg", "-j")), SW_OK);
    CHECK_NEAR(sw_args_number(&a, "conf"), 0.5, 0);
    CHECK_INT(sw_args_int(&a, "imgsz"), 64);
    CHECK_STR(sw_args_text(&a, "output"), "x.jpg");
    CHECK(sw_args_flag(&a, "json") && !sw_args_flag(&a, "quiet"));
    CHECK_STR(a.operands[0], "m");
    CHECK_STR(a.operands[1], "s");

    CHECK_INT(parse(arena, &a, WORDS("m", "-", "-qjo", "-", "--", "--conf")), SW_OK);
    CHECK(sw_args_flag(&a, "quiet") && sw_args_flag(&a, "json"));
    CHECK_STR(sw_args_text(&a, "output"), "-");
    CHECK_INT(a.n_operands, 3);
    CHECK_STR(a.operands[1], "-");
    CHECK_STR(a.operands[2], "--conf");

    CHECK_INT(parse(arena, &a, WORDS("m", "s", "-i", "a=1", "--input=b=2", "--conf=0", "--conf=1")), SW_OK);
    sw_given inputs = sw_args_all(&a, "input");
    CHECK_INT(inputs.n, 2);
    CHECK_STR(inputs.values[1], "b=2");
    CHECK_NEAR(sw_args_number(&a, "conf"), 1, 0);
    sw_arena_destroy(arena);
}

SW_TEST(options_wrong_use_is_told) {
    static const struct {
        const char *words[6], *message;
    } rows[] = {
        {{"m", "s", "--cnof", "1"}, "try: there is no option --cnof (did you mean --conf?)"},
        {{"m", "s", "--cnof=1"}, "try: there is no option --cnof=1 (did you mean --conf?)"},
        {{"m", "s", "--zebra"}, "try: there is no option --zebra (see 'slipway try --help')"},
        {{"m", "s", "-z"}, "try: there is no option -z (see 'slipway try --help')"},
        {{"m", "s", "-jz"}, "try: there is no option -jz (see 'slipway try --help')"},
        {{"m", "s", "--con", "1"}, "try: there is no option --con (did you mean --conf?)"},
        {{"m", "s", "--conf"}, "try: --conf wants a value: X"},
        {{"m", "s", "--conf", "high"}, "try: --conf wants a number from 0 to 1, found 'high'"},
        {{"m", "s", "--conf="}, "try: --conf wants a number from 0 to 1, found ''"},
        {{"m", "s", "--conf", "nan"}, "try: --conf wants a number from 0 to 1, found 'nan'"},
        {{"m", "s", "--conf", "1.5"}, "try: --conf wants a number from 0 to 1, found '1.5'"},
        {{"m", "s", "--conf", "-0.1"}, "try: --conf wants a number from 0 to 1, found '-0.1'"},
        {{"m", "s", "--imgsz", "31"}, "try: --imgsz wants a whole number from 32 to 4096, found '31'"},
        {{"m", "s", "--imgsz", "64.5"}, "try: --imgsz wants a whole number from 32 to 4096, found '64.5'"},
        {{"m", "s", "--imgsz", "99999999999999999999"},
         "try: --imgsz wants a whole number from 32 to 4096, found '99999999999999999999'"},
        {{"m", "s", "--output="}, "try: --output wants FILE, found nothing"},
        {{"m", "s", "--json=yes"}, "try: --json takes no value, found 'yes'"},
        {{"m"}, "try: SOURCE... is missing (see 'slipway try --help')"},
        {{"-j"}, "try: MODEL is missing (see 'slipway try --help')"},
        {{"a", "b", "c", "d", "e"}, "try: 'e' is one too many: it takes MODEL SOURCE..."},
    };
    sw_arena *arena = sw_arena_create(NULL, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sw_args a;
        CHECK_INT(parse(arena, &a, rows[i].words), SW_E_USAGE);
        CHECK_STR(sw_test_message(), rows[i].message);
    }
    sw_arena_destroy(arena);
}

SW_TEST(options_help_wins) {
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_args a;
    CHECK_INT(parse(arena, &a, WORDS("--help", "--zebra")), SW_OK);
    CHECK(sw_args_flag(&a, "help"));
    CHECK_INT(parse(arena, &a, WORDS("-jh")), SW_OK);
    CHECK(sw_args_flag(&a, "help"));
    sw_arena_destroy(arena);
}

SW_TEST(options_help_and_manual_come_from_the_table) {
    sw_buf b = sw_buf_make(NULL, 0);
    sw_help_format(&verb, &b);
    CHECK_STR(sw_buf_text(&b), "Usage: slipway try [OPTION...] MODEL SOURCE...\n\nTry.\n\nTries.\n\nOptions:\n"
                               "      --conf X              threshold (default: 0.25)\n"
                               "      --imgsz N             size\n"
                               "  -o, --output FILE         where\n"
                               "  -i, --input FILE          what; may be given several times\n"
                               "  -j, --json                print JSON\n"
                               "  -q, --quiet               print nothing but errors\n"
                               "  -h, --help                show this help\n\n"
                               "Examples:\n  Try it:\n    slipway try x\n"
              "\nExit codes: 0 good, 1 wrong use, 2 bad model, 3 bad input or file, 4 no resources; see 'slipway help'\n");
    sw_buf_clear(&b);
    sw_man_format(&verb, &b);
    const char *page = sw_buf_text(&b);
    CHECK(strstr(page, ".TH \"slipway-try\" 1") && strstr(page, ".SH NAME\nslipway\\-try \\- Try\n"));
    CHECK(strstr(page, ".TP\n.B \\-o, \\-\\-output FILE\nwhere\n") && strstr(page, ".SH EXIT STATUS\n"));
    sw_buf_free(&b);
}

SW_TEST(options_texts_wrap) {
    sw_buf b = sw_buf_make(NULL, 0);
    sw_wrap(&b, "one two three\n\nfour", 4, 4, 12);
    CHECK_STR(sw_buf_text(&b), "one two\n    three\n\n    four\n");
    sw_buf_clear(&b);
    sw_wrap(&b, "a\nb", 2, 2, 80);
    CHECK_STR(sw_buf_text(&b), "a\n  b\n");
    sw_buf_clear(&b);
    sw_wrap(&b, "abcdefghijkl m", 2, 2, 8);
    CHECK_STR(sw_buf_text(&b), "abcdefghijkl\n  m\n");
    sw_buf_free(&b);
}

SW_TEST(verbs_are_complete) {
    for (const sw_verb *const *v = sw_verbs; *v; v++) {
        CHECK((*v)->name && (*v)->operands && (*v)->summary && (*v)->description && (*v)->run);
        CHECK((*v)->examples && (*v)->examples[0].command && (*v)->least_operands <= (*v)->most_operands);
        CHECK(sw_verb_find((*v)->name) == *v);
        for (const sw_option *o = (*v)->options; o && o->name; o++) {
            CHECK(o->help && (o->kind == SW_FLAG) == (o->argument == NULL));
            if (o->kind == SW_INT || o->kind == SW_NUMBER) CHECK(o->least < o->most);
        }
    }
    CHECK(sw_verb_find("nothing") == NULL);
    CHECK_INT(sw_verb_unknown("versoin", &sw_test_diag), SW_E_USAGE);
    CHECK_STR(sw_test_message(), "there is no verb 'versoin' (did you mean 'version'?)");
}
