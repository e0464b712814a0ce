#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/verb.h"

const sw_verb *const sw_verbs[] = {&sw_verb_predict,
                                   &sw_verb_detect,
                                   &sw_verb_val,
                                   &sw_verb_export,
                                   &sw_verb_build,
                                   &sw_verb_refit,
                                   &sw_verb_diff,
                                   &sw_verb_profile,
                                   &sw_verb_report,
                                   &sw_verb_serve,
                                   &sw_verb_client,
                                   &sw_verb_top,
                                   &sw_verb_run,
                                   &sw_verb_inspect,
                                   &sw_verb_ops,
                                   &sw_verb_devices,
                                   &sw_verb_backends,
                                   &sw_verb_bench,
                                   &sw_verb_doctor,
                                   &sw_verb_tour,
                                   &sw_verb_version,
                                   &sw_verb_help,
                                   NULL};

const sw_verb *sw_verb_find(const char *name) {
    for (const sw_verb *const *v = sw_verbs; *v; v++)
        if (!strcmp((*v)->name, name)) return *v;
    return NULL;
}

sw_status sw_verb_unknown(const char *name, const sw_diag *diag) {
    const char *names[sizeof sw_verbs / sizeof sw_verbs[0]];
    char hint[64] = "'slipway help' lists them";
    size_t n = 0;
    for (; sw_verbs[n]; n++) names[n] = sw_verbs[n]->name;
    const char *nearest = sw_str_nearest(name, names, n);
    if (nearest) snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
    return sw_fail(diag, SW_E_USAGE, NULL, hint, "there is no verb '%s'", name);
}
