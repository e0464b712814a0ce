/* slipway doctor: what is here, whether it fits together, and what mends it. */
#include "cli/doctor.h"

#include <string.h>

#include "base/json.h"

static const char *const verdicts[] = {"ok", "-", "mend"};

static int width_of(const sw_doctor *d) {
    size_t most = 0;
    for (int i = 0; i < d->n; i++)
        if (strlen(d->findings[i].what) > most) most = strlen(d->findings[i].what);
    return (int)most;
}

static void print_text(const sw_doctor *d, sw_console *c) {
    int width = width_of(d), mends = 0;
    for (int i = 0; i < d->n; i++) {
        const sw_finding *f = &d->findings[i];
        sw_print(c, "%-4s  %-*s  %s%s%s%s%s\n", verdicts[f->verdict], width, f->what, f->version ? f->version : "",
                 f->version ? "  " : "", f->found, f->fits ? "; " : "", f->fits ? f->fits : "");
        if (f->mend) sw_print(c, "      %-*s  %s\n", width, "", f->mend);
        mends += f->verdict == SW_DOCTOR_MEND;
    }
    sw_print(c, mends ? "\n%d to mend\n" : "\nnothing to mend\n", mends);
}

static void print_json(const sw_doctor *d, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 2);
    sw_json_array(&w);
    for (int i = 0; i < d->n; i++) {
        const sw_finding *f = &d->findings[i];
        sw_json_object(&w);
        sw_json_key(&w, "what"), sw_json_string(&w, f->what);
        sw_json_key(&w, "verdict"), sw_json_string(&w, f->verdict == SW_DOCTOR_NOTE ? "note" : verdicts[f->verdict]);
        sw_json_key(&w, "found"), sw_json_string(&w, f->found);
        sw_json_key(&w, "version"), sw_json_string(&w, f->version);
        sw_json_key(&w, "fits"), sw_json_string(&w, f->fits);
        sw_json_key(&w, "mend"), sw_json_string(&w, f->mend);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_buf_append_byte(buf, '\n');
}

static sw_status run(const sw_args *args, sw_console *console) {
    sw_doctor *d = SW_ARENA_NEW(args->arena, sw_doctor);
    if (!d) return SW_E_NOMEM;
    *d = (sw_doctor){.arena = args->arena, .root = ""};
    SW_TRY(sw_python_find(args->arena, &d->python));
    sw_doctor_system(d);
    sw_doctor_gpu(d);
    SW_TRY(sw_doctor_runtimes(d));
    if (sw_args_flag(args, "json"))
        print_json(d, &console->out);
    else
        print_text(d, console);
    return SW_OK;
}

const sw_verb sw_verb_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "Check driver, libraries, runtimes and permissions, and tell what mends them",
    .description =
        "One line a thing: ok, - (not here, and nothing suffers), or mend; its version and place; what it fits or does not; "
        "and the command that mends or installs it. Nothing is changed.",
    .options =
        (const sw_option[]){
            {.name = "json", .help = "print JSON"},
            {0},
        },
    .examples =
        (const sw_example[]){
            {"slipway doctor", "Before asking why it is slow"},
            {0},
        },
    .run = run,
};
