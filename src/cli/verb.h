/* Verbs of the command line: `slipway VERB [OPTION...] [OPERAND...]`.
 *
 * A verb is one file with one table. From it come option parsing, --help and the manual page, so that they cannot
 * disagree. verbs.c lists the verbs. */
#ifndef SLIPWAY_CLI_VERB_H
#define SLIPWAY_CLI_VERB_H

#include "base/arena.h"
#include "cli/console.h"

typedef enum sw_option_kind {
    SW_FLAG,   /* no value */
    SW_TEXT,   /* any text */
    SW_INT,    /* a whole number within the range */
    SW_NUMBER, /* a decimal number within the range */
} sw_option_kind;

typedef struct sw_option {
    const char *name; /* "conf": --conf; NULL ends the table */
    const char *also; /* another name that is taken for it, which help does not tell; NULL: none */
    sw_option_kind kind;
    char letter;          /* 'o': -o; 0: none */
    const char *argument; /* how help calls its value: "FILE" */
    const char *standard; /* its value when it is not given; NULL: none */
    double least, most;   /* of SW_INT and SW_NUMBER */
    bool many;            /* may be given several times */
    const char *help;     /* what it does, small, without a full stop */
} sw_option;

typedef struct sw_example {
    const char *command, *what; /* command NULL ends the table */
} sw_example;

typedef struct sw_args sw_args;

typedef struct sw_verb {
    const char *name;
    const char *operands; /* how help calls them: "MODEL SOURCE..." */
    int least_operands, most_operands;
    const char *summary;     /* one line */
    const char *description; /* paragraphs, an empty line between them */
    const sw_option *options;
    const sw_example *examples;
    /* Does it. Messages go to console->diag. The exit code comes from the status. */
    sw_status (*run)(const sw_args *args, sw_console *console);
} sw_verb;

enum { SW_MAX_OPTIONS = 64 };

/* What was given for an option: all values, in order. */
typedef struct sw_given {
    const char **values;
    int n;
} sw_given;

/* A parsed command line. Everything lies in the arena or in argv. */
struct sw_args {
    const sw_verb *verb;
    sw_arena *arena; /* for the verb, too: it lives until the program ends */
    const char **operands;
    int n_operands;
    sw_given given[SW_MAX_OPTIONS]; /* as in the verb's table, then the common one */
};

/* Options that every verb has: --help, --quiet. */
extern const sw_option sw_common_options[];

/* Parses the words after the verb. --opt value, --opt=value, -o value, -ovalue; `--` ends options, `-` is an operand.
 * SW_E_USAGE with one sentence: what is not known (and the nearest that is), missing, too much, or out of range. With
 * --help among the words, the rest is not checked. */
SW_MUST_USE sw_status sw_args_parse(const sw_verb *verb, int argc, char *const *argv, sw_arena *arena,
                                    const sw_diag *diag, sw_args *args);

/* Values by name of the option, asserting that the table has it with that kind. The last one given counts, else the
 * standard one of the table: NULL, 0 where it has none. */
bool sw_args_flag(const sw_args *args, const char *name);
const char *sw_args_text(const sw_args *args, const char *name);
int64_t sw_args_int(const sw_args *args, const char *name);
double sw_args_number(const sw_args *args, const char *name);
sw_given sw_args_all(const sw_args *args, const char *name);
/* The same for a file to write, NULL where none is wanted: it must not be `source`, which is read and stays (SW_E_USAGE). */
SW_MUST_USE sw_status sw_args_output(const sw_args *args, const char *name, const char *source, const sw_diag *diag,
                                     const char **path);
/* Whether it was given at all; any kind. */
bool sw_args_given(const sw_args *args, const char *name);

/* The verbs, in the order of help; NULL ends the list. */
extern const sw_verb *const sw_verbs[];
const sw_verb *sw_verb_find(const char *name); /* NULL: no such verb */
/* The sentence for an unknown verb; SW_E_USAGE. */
sw_status sw_verb_unknown(const char *name, const sw_diag *diag);

extern const sw_verb sw_verb_predict, sw_verb_detect, sw_verb_val, sw_verb_export, sw_verb_build, sw_verb_refit,
    sw_verb_diff, sw_verb_profile, sw_verb_report, sw_verb_serve, sw_verb_client, sw_verb_run, sw_verb_inspect,
    sw_verb_ops, sw_verb_devices, sw_verb_version, sw_verb_help;
extern const sw_verb sw_verb_backends, sw_verb_bench, sw_verb_doctor, sw_verb_top, sw_verb_tour;

/* Help and manual page of a verb; NULL: of the program. */
void sw_help_format(const sw_verb *verb, sw_buf *buf);
void sw_man_format(const sw_verb *verb, sw_buf *buf);

#endif
