#include <string.h>

#include "base/temporary.h"
#include "cli/child.h"
#include "cli/plan_cache.h"
#include "cli/verb.h"

/* Words that people try first, and the verbs that answer them. */
static const char *verb_name(const char *word) {
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return "help";
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) return "version";
    return word;
}

static sw_status run(int argc, char **argv, sw_arena *arena, sw_console *console) {
    if (argc < 2) return sw_fail(&console->diag, SW_E_USAGE, NULL, "'slipway help' lists them", "which verb?");
    const sw_verb *verb = sw_verb_find(verb_name(argv[1]));
    if (!verb) return sw_verb_unknown(argv[1], &console->diag);
    sw_args args;
    SW_TRY(sw_args_parse(verb, argc - 2, argv + 2, arena, &console->diag, &args));
    if (sw_args_flag(&args, "help")) {
        sw_help_format(verb, &console->out);
        return SW_OK;
    }
    console->quiet = sw_args_flag(&args, "quiet");
    return verb->run(&args, console);
}

int main(int argc, char **argv) {
    if (sw_child_is(argc, argv)) return sw_status_exit_code(sw_child_run(argv[2]));
    if (sw_plan_child_is(argc, argv)) return sw_status_exit_code(sw_plan_child_run(argv));
    sw_temporary_end_on_signals();
    sw_console console;
    sw_console_init(&console);
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_status status = arena ? run(argc, argv, arena, &console) : SW_E_NOMEM;
    sw_status out = sw_console_flush(&console);
    if (status == SW_OK) status = out;
    /* Out of memory is often found where nobody can say more; a reader that went away wants no message. */
    if (status != SW_OK && !console.errors && console.out_status == SW_OK)
        sw_fail(&console.diag, status, NULL, NULL, "%s", sw_status_text(status));
    sw_console_progress_end(&console);
    sw_arena_destroy(arena);
    sw_console_free(&console);
    return sw_status_exit_code(status);
}
