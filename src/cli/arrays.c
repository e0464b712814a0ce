#include "cli/arrays.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/npy.h"
#include "base/os.h"
#include "cli/names.h"
#include "ops/op.h"

enum { SHAPE_TEXT = 192 };

sw_status sw_arrays_read(const char *path, sw_console *c, sw_tensor *tensor) {
    const char *subject = c->subject;
    c->subject = NULL;
    sw_status status = sw_npy_read(path, NULL, &c->diag, tensor);
    c->subject = subject;
    return status;
}

static void format_shape(const sw_tensor *t, char text[SHAPE_TEXT]) {
    size_t used = (size_t)snprintf(text, SHAPE_TEXT, "%s", t->rank ? "" : "scalar");
    for (int i = 0; i < t->rank; i++)
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, "%s%" PRId64, i ? " x " : "", t->dims[i]);
}

typedef struct summary {
    double least, mean, most;
    int64_t odd; /* not finite: left out of the others */
} summary;

static summary summarise(const sw_tensor *t) {
    summary s = {.least = INFINITY, .most = -INFINITY};
    int64_t count = sw_tensor_count(t);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double value = sw_tensor_float_at(t, i);
        if (!isfinite(value)) {
            s.odd++;
            continue;
        }
        sum += value;
        if (value < s.least) s.least = value;
        if (value > s.most) s.most = value;
    }
    s.mean = sum / (double)(count - s.odd);
    return s;
}

static const char *type_name(const sw_tensor *t) {
    return t->dtype == SW_DTYPE_NONE ? "text" : sw_dtype_name(t->dtype);
}

static void print_outputs(const sw_named *outputs, int n, sw_console *c) {
    static const summary nothing = {.least = INFINITY, .most = -INFINITY};
    int name_width = 6, shape_width = 5;
    char shape[SHAPE_TEXT];
    for (int i = 0; i < n; i++) {
        int length = (int)strlen(outputs[i].name);
        if (length > name_width) name_width = length;
        format_shape(&outputs[i].type, shape);
        if ((int)strlen(shape) > shape_width) shape_width = (int)strlen(shape);
    }
    sw_print(c, "%-*s  %-8s  %-*s  %11s  %11s  %11s\n", name_width, "output", "type", shape_width, "shape", "min",
             "mean", "max");
    for (int i = 0; i < n; i++) {
        summary s = outputs[i].type.dtype == SW_DTYPE_NONE ? nothing : summarise(&outputs[i].type);
        format_shape(&outputs[i].type, shape);
        sw_print(c, "%-*s  %-8s  %-*s", name_width, outputs[i].name, type_name(&outputs[i].type), shape_width, shape);
        if (s.least <= s.most)
            sw_print(c, "  %11.5g  %11.5g  %11.5g", s.least, s.mean, s.most);
        else
            sw_print(c, "  %11s  %11s  %11s", "-", "-", "-");
        if (s.odd) sw_print(c, "  %" PRId64 " not finite", s.odd);
        sw_print(c, "\n");
    }
}

static sw_status write_outputs(const sw_args *args, const sw_named *outputs, int n, sw_console *c) {
    const sw_diag *diag = &c->diag;
    const char *folder = sw_args_text(args, "output-dir");
    if (!folder) return SW_OK;
    c->subject = NULL;
    SW_TRY(sw_dir_make(folder, diag));
    sw_taken taken = {.arena = args->arena};
    sw_status status = SW_OK;
    for (int i = 0; status == SW_OK && i < n; i++) {
        if (outputs[i].type.dtype == SW_DTYPE_NONE) continue;
        const char *name = sw_taken_add(&taken, outputs[i].name, ".npy");
        const char *path = name ? sw_arena_printf(args->arena, "%s/%s", folder, name) : NULL;
        status = path ? sw_npy_write(path, &outputs[i].type, diag) : SW_E_NOMEM;
    }
    sw_taken_free(&taken);
    return status;
}

sw_status sw_arrays_show(const sw_args *args, const sw_named *outputs, int n, double ms, sw_console *c) {
    if (!c->quiet) {
        print_outputs(outputs, n, c);
        sw_print(c, "\nran in %.1f ms\n", ms);
    }
    return write_outputs(args, outputs, n, c);
}
