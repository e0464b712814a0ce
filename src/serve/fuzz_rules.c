/* Fuzz target: documents of routes, and matching by what was read. */
#include <stdlib.h>
#include <string.h>

#include "serve/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *value_of(void *ctx, const char *name) {
    return *name % 2 ? ctx : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *exact = malloc(size ? size : 1), value[64]; /* exact: so that the sanitizer sees a read behind the end */
    sw__rules *rules = NULL;
    if (!exact) abort();
    if (size) memcpy(exact, data, size);
    size_t n = size < sizeof value - 1 ? size : sizeof value - 1;
    memcpy(value, exact, n);
    value[n] = 0;
    if (sw__rules_read(exact, size, "fuzz", NULL, &rules) == SW_OK) {
        sw_serve_hint hint = {.path = value,
                              .content_type = value,
                              .header = value_of,
                              .parameter = value_of,
                              .ctx = value,
                              .width = (int)size,
                              .height = 7};
        const sw__rule *rule = sw__rules_match(rules, &hint);
        if (rule && !(rule->n_targets > 0 && rule->total > 0)) abort();
    }
    sw__rules_drop(rules);
    free(exact);
    return 0;
}
