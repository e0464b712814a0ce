/* slipway help, --help and the manual pages: three forms of the verbs' tables. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/verb.h"

enum { COLUMNS = 92, OPTION_COLUMN = 28 };

static const char what_it_is[] =
    "Slipway runs trained vision models: it reads them (ONNX, PyTorch, TensorFlow Lite, OpenVINO), finds what is in "
    "pictures, runs any model on arrays, serves models, and shows what is inside one.";

static const struct {
    const char *code, *few, *what;
} exit_codes[] = {
    {"0", "good", "all is good"},
    {"1", "wrong use", "wrong use: an unknown option, a value out of range"},
    {"2", "bad model", "the model is broken or uses what is not supported"},
    {"3", "bad input or file",
     "an input is broken, or a file cannot be read or written; with several sources the others are done"},
    {"4", "no resources", "out of memory, a limit was exceeded, or an error of Slipway itself"},
};

static const struct {
    const char *name, *what;
} variables[] = {
    {"SLIPWAY_MODEL", "the model that 'slipway detect' takes when it is given pictures only"},
    {"SLIPWAY_CPU_MASK", "CPU features that may be used: names as 'slipway version --cpu' prints them, or 'none'"},
    {"SLIPWAY_END2END", "1: checkpoints of YOLOv10 and YOLO26 use the head that needs no NMS"},
    {"SLIPWAY_PYTHON", "the Python whose packages are the other runtimes (default: VIRTUAL_ENV's, else python3)"},
    {"SLIPWAY_NVRTC", "the library that compiles GPU kernels, where it is not found by its name"},
    {"SLIPWAY_CUDNN", "cuDNN 9, which builds for GPUs try; SLIPWAY_CUBLASLT likewise"},
    {"SLIPWAY_CACHE", "the folder for compiled GPU kernels (default: slipway/ in XDG_CACHE_HOME or ~/.cache)"},
    {"XDG_CACHE_HOME", "where slipway/ keeps times of kernels and plans of served models (default: ~/.cache)"},
    {"NO_COLOR", "no colours in messages when it is set"},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* -- Help ------------------------------------------------------------------------------------------------------------ */

static void append_row(sw_buf *b, const char *left, int column, const char *text) {
    sw_buf_printf(b, "  %s", left);
    int at = 2 + (int)strlen(left);
    if (at + 2 > column) {
        sw_buf_append_byte(b, '\n');
        at = 0;
    }
    sw_buf_fill(b, ' ', (size_t)(column - at));
    sw_wrap(b, text, column, column, COLUMNS);
}

static void option_texts(const sw_option *o, char *left, size_t left_size, char *right, size_t right_size) {
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(left, left_size, "%s--%s%s%s", letter, o->name, o->kind == SW_FLAG ? "" : " ",
             o->kind == SW_FLAG ? "" : o->argument);
    snprintf(right, right_size, "%s%s%s%s%s", o->help, o->many ? "; may be given several times" : "",
             o->standard ? " (default: " : "", o->standard ? o->standard : "", o->standard ? ")" : "");
}

static void append_options(sw_buf *b, const sw_option *o) {
    for (; o && o->name; o++) {
        char left[64], right[1024];
        option_texts(o, left, sizeof left, right, sizeof right);
        append_row(b, left, OPTION_COLUMN, right);
    }
}

static void verb_help(const sw_verb *v, sw_buf *b) {
    sw_buf_printf(b, "Usage: slipway %s [OPTION...]%s%s\n\n", v->name, v->operands[0] ? " " : "", v->operands);
    sw_buf_printf(b, "%s.\n\n", v->summary);
    sw_wrap(b, v->description, 0, 0, COLUMNS);
    sw_buf_append_text(b, "\nOptions:\n");
    append_options(b, v->options);
    append_options(b, sw_common_options);
    sw_buf_append_text(b, "\nExamples:\n");
    for (const sw_example *e = v->examples; e->command; e++)
        sw_buf_printf(b, "%s  %s:\n    %s\n", e == v->examples ? "" : "\n", e->what, e->command);
    sw_buf_append_text(b, "\nExit codes: ");
    for (size_t i = 0; i < COUNT(exit_codes); i++)
        sw_buf_printf(b, "%s%s %s", i ? ", " : "", exit_codes[i].code, exit_codes[i].few);
    sw_buf_append_text(b, "; see 'slipway help'\n");
}

static void program_help(sw_buf *b) {
    sw_buf_append_text(b, "Usage: slipway VERB [OPTION...] [OPERAND...]\n\n");
    sw_wrap(b, what_it_is, 0, 0, COLUMNS);
    sw_buf_append_text(b, "\nVerbs:\n");
    for (const sw_verb *const *v = sw_verbs; *v; v++) append_row(b, (*v)->name, 14, (*v)->summary);
    sw_buf_append_text(b, "\nExamples:\n");
    for (const sw_verb *const *v = sw_verbs; *v; v++) sw_buf_printf(b, "  %s\n", (*v)->examples[0].command);
    sw_buf_append_text(b, "\nExit codes:\n");
    for (size_t i = 0; i < COUNT(exit_codes); i++) append_row(b, exit_codes[i].code, 6, exit_codes[i].what);
    sw_buf_append_text(b, "\nEnvironment:\n");
    for (size_t i = 0; i < COUNT(variables); i++) append_row(b, variables[i].name, 22, variables[i].what);
    sw_buf_append_text(b, "\n'slipway VERB --help' tells more.\n");
}

void sw_help_format(const sw_verb *verb, sw_buf *buf) {
    if (verb)
        verb_help(verb, buf);
    else
        program_help(buf);
}

/* -- Manual pages ------------------------------------------------------------------------------------------------------ */

/* Text for roff: backslashes and dashes escaped, no request at the start of a line, empty lines as paragraphs. */
static void append_roff(sw_buf *b, const char *text) {
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) sw_buf_append_text(b, "\\&");
        if (*text == '\\')
            sw_buf_append_text(b, "\\e");
        else if (*text == '-')
            sw_buf_append_text(b, "\\-");
        else if (*text == '\n' && text[1] == '\n') {
            sw_buf_append_text(b, "\n.PP");
        } else
            sw_buf_append_byte(b, (uint8_t)*text);
        start = *text == '\n';
    }
    sw_buf_append_byte(b, '\n');
}

static void append_term(sw_buf *b, const char *term, const char *text) {
    sw_buf_append_text(b, ".TP\n.B ");
    append_roff(b, term);
    append_roff(b, text);
}

static void man_options(sw_buf *b, const sw_option *o) {
    for (; o && o->name; o++) {
        char left[64], right[1024];
        option_texts(o, left, sizeof left, right, sizeof right);
        append_term(b, left + strspn(left, " "), right);
    }
}

static void man_example(sw_buf *b, const sw_example *e) {
    sw_buf_append_text(b, ".PP\n");
    append_roff(b, e->what);
    sw_buf_append_text(b, ".PP\n.nf\n.RS 4\n");
    append_roff(b, e->command);
    sw_buf_append_text(b, ".RE\n.fi\n");
}

static void man_verbs(sw_buf *b) {
    sw_buf_append_text(b, ".SH VERBS\n");
    for (const sw_verb *const *v = sw_verbs; *v; v++) append_term(b, (*v)->name, (*v)->summary);
}

static void man_see_also(const sw_verb *verb, sw_buf *b) {
    sw_buf_append_text(b, ".SH SEE ALSO\n");
    if (verb)
        sw_buf_append_text(b, ".BR slipway (1)\n");
    else
        for (const sw_verb *const *v = sw_verbs; *v; v++)
            sw_buf_printf(b, ".BR slipway\\-%s (1)%s\n", (*v)->name, v[1] ? "," : "");
}

void sw_man_format(const sw_verb *verb, sw_buf *b) {
    char title[64] = "slipway";
    if (verb) snprintf(title, sizeof title, "slipway-%s", verb->name);
    sw_buf_printf(b, ".TH \"%s\" 1 \"\" \"Slipway %s\" \"User Commands\"\n.SH NAME\n", title, SLIPWAY_VERSION);
    char name[256];
    snprintf(name, sizeof name, "%s - %s", title, verb ? verb->summary : "run trained vision models");
    append_roff(b, name);
    sw_buf_append_text(b, ".SH SYNOPSIS\n.B slipway ");
    if (verb) sw_buf_append_text(b, verb->name);
    sw_buf_append_text(b,
                       verb ? "\n[\\fIOPTION\\fR...] " : "\n\\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIOPERAND\\fR...]\n");
    if (verb) append_roff(b, verb->operands);
    sw_buf_append_text(b, ".SH DESCRIPTION\n");
    append_roff(b, verb ? verb->description : what_it_is);
    if (verb) {
        sw_buf_append_text(b, ".SH OPTIONS\n");
        man_options(b, verb->options);
        man_options(b, sw_common_options);
        sw_buf_append_text(b, ".SH EXAMPLES\n");
        for (const sw_example *e = verb->examples; e->command; e++) man_example(b, e);
    } else
        man_verbs(b);
    sw_buf_append_text(b, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < COUNT(exit_codes); i++) append_term(b, exit_codes[i].code, exit_codes[i].what);
    sw_buf_append_text(b, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < COUNT(variables); i++) append_term(b, variables[i].name, variables[i].what);
    man_see_also(verb, b);
}

/* -- The verb ---------------------------------------------------------------------------------------------------------- */

static sw_status run(const sw_args *args, sw_console *console) {
    if (sw_args_flag(args, "verbs")) {
        for (const sw_verb *const *v = sw_verbs; *v; v++) sw_print(console, "%s\n", (*v)->name);
        return SW_OK;
    }
    const sw_verb *verb = args->n_operands ? sw_verb_find(args->operands[0]) : NULL;
    if (args->n_operands && !verb) return sw_verb_unknown(args->operands[0], &console->diag);
    if (sw_args_flag(args, "man"))
        sw_man_format(verb, &console->out);
    else
        sw_help_format(verb, &console->out);
    return SW_OK;
}

const sw_verb sw_verb_help = {
    .name = "help",
    .operands = "[VERB]",
    .most_operands = 1,
    .summary = "Explain the program or one of its verbs",
    .description = "Without a verb it lists all of them. The manual pages are made from the same text.",
    .options =
        (const sw_option[]){
            {.name = "man", .help = "print the manual page (roff): pipe it into 'man -l -'"},
            {.name = "verbs", .help = "print the names of the verbs, one a line"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway help detect", "How to find objects"},
            {"slipway help --man detect | man -l -", "The same as a manual page"},
            {0},
        },
    .run = run,
};
