#include "cli/shapes.h"

#include <string.h>

#include "base/str.h"

enum { PARTS = 3, MOST_SIDE = 16384 };

/* "8", or "1:4:8". */
static bool parse_dim(const char *text, size_t length, int64_t values[PARTS]) {
    int n = 0;
    for (size_t at = 0; at <= length && n < PARTS;) {
        const char *colon = memchr(text + at, ':', length - at);
        size_t end = colon ? (size_t)(colon - text) : length;
        if (!sw_str_to_i64(text + at, end - at, &values[n++])) return false;
        if (!colon) {
            if (n == 1) values[1] = values[2] = values[0];
            return n == 1 || n == PARTS;
        }
        at = end + 1;
    }
    return false;
}

static sw_status parse_shape(const sw_args *args, const char *word, const sw_diag *diag, sw_shape_range *range) {
    const char *equals = strrchr(word, '='), *dims = equals ? equals + 1 : word;
    range->input = equals ? sw_arena_strndup(args->arena, word, (size_t)(equals - word)) : NULL;
    if (equals && !range->input) return SW_E_NOMEM;
    for (const char *at = dims;; range->rank++) {
        size_t length = strcspn(at, "x");
        int64_t v[PARTS];
        if (range->rank == SW_MAX_RANK || !parse_dim(at, length, v))
            return sw_fail(diag, SW_E_USAGE, args->verb->name, NULL,
                           "--shapes wants sizes such as 1x3x640x640, each a number or min:opt:max; found '%s'", word);
        range->min[range->rank] = v[0];
        range->opt[range->rank] = v[1];
        range->max[range->rank] = v[2];
        if (!at[length]) break;
        at += length + 1;
    }
    range->rank++;
    return SW_OK;
}

sw_status sw_batch_parse(const sw_args *args, const sw_diag *diag, sw_build_options *options) {
    const char *text = sw_args_text(args, "batch");
    int64_t v[PARTS];
    if (!text) return SW_OK;
    if (!parse_dim(text, strlen(text), v) || v[0] < 1)
        return sw_fail(diag, SW_E_USAGE, args->verb->name, NULL,
                       "--batch wants a number or min:opt:max, such as 8 or 1:4:8; found '%.32s'", text);
    options->batch_min = v[0], options->batch_opt = v[1], options->batch_max = v[2];
    return SW_OK;
}

sw_status sw_shapes_parse(const sw_args *args, const sw_diag *diag, sw_build_options *options) {
    sw_given given = sw_args_all(args, "shapes");
    sw_shape_range *ranges = SW_ARENA_ARRAY(args->arena, sw_shape_range, given.n);
    if (!ranges) return SW_E_NOMEM;
    for (int i = 0; i < given.n; i++) SW_TRY(parse_shape(args, given.values[i], diag, &ranges[i]));
    options->shapes = ranges;
    options->n_shapes = given.n;
    return SW_OK;
}

sw_status sw_sides_parse(const char *text, const char *verb, const sw_diag *diag, int sides[2]) {
    int n = 0, found[2];
    bool good = !text || *text;
    for (const char *at = text; good && at && *at;) {
        size_t length = strcspn(at, ",x");
        const char *from = at + strspn(at, " [("), *to = at + length;
        while (to > from && strchr(" ])", to[-1])) to--;
        int64_t side;
        good = n < 2 && to > from && sw_str_to_i64(from, (size_t)(to - from), &side) && side >= 1 && side <= MOST_SIDE;
        if (good) found[n++] = (int)side;
        at += length;
        if (good && *at) good = *++at != 0;
    }
    if (!good)
        return sw_fail(
            diag, SW_E_USAGE, verb, NULL,
            "--imgsz wants a size such as 640, or height and width such as 480x640, of 1 to %d pixels; found '%.64s'",
            MOST_SIDE, text);
    for (int i = 0; n && i < 2; i++) sides[i] = found[n == 2 ? i : 0];
    return SW_OK;
}
