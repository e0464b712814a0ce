#include "cli/plan_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "cli/inspect.h"

enum { LABEL = 12, NAME_TEXT = 40, SHAPE_TEXT = 200 };

static void print_dims(const sw_tensor *t, const sw_extent *extents, char *text, size_t size) {
    size_t used = 0;
    snprintf(text, size, t->rank < 0 ? "..." : "");
    for (int i = 0; i < t->rank && used < size; i++) {
        const sw_extent *e = extents ? &extents[i] : NULL;
        const char *by = i ? "x" : "";
        if (e && e->min != e->max)
            used += (size_t)snprintf(text + used, size - used, "%s%" PRId64 ":%" PRId64 ":%" PRId64, by, e->min, e->opt,
                                     e->max);
        else if (e || t->dims[i] >= 0)
            used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, by, e ? e->min : t->dims[i]);
        else
            used += (size_t)snprintf(text + used, size - used, "%s?", by);
    }
}

static const char *kind_of(const sw_plan *p) {
    return p->stripped ? "plan without weights" : p->portable ? "portable plan" : "plan";
}

static void print_ports(const sw_plan_view *v, sw_console *c) {
    char text[SHAPE_TEXT];
    const sw_plan *p = v->plan;
    for (int i = 0; i < p->n_inputs; i++) {
        const sw_port *port = sw_plan_input(p, i);
        for (int k = 0; k < (p->n_profiles ? p->n_profiles : 1); k++) {
            const sw_extent *extents = p->n_profiles ? p->profiles + (k * p->n_inputs + i) * SW_MAX_RANK : NULL;
            print_dims(&port->type, extents, text, sizeof text);
            sw_print(c, "%-*s%s  %s %s", LABEL, i || k ? "" : "inputs", port->name, sw_dtype_name(port->type.dtype),
                     text);
            sw_print(c, p->n_profiles > 1 ? "  profile %d\n" : "\n", k);
        }
    }
    for (int i = 0; i < p->n_outputs; i++) {
        const sw_port *port = sw_plan_output(p, i);
        print_dims(&port->type, NULL, text, sizeof text);
        sw_print(c, "%-*s%s  %s %s\n", LABEL, i ? "" : "outputs", port->name, sw_dtype_name(port->type.dtype), text);
    }
}

static void print_steps(const sw_plan_view *v, sw_console *c) {
    sw_print(c, "\n%5s  %-18s %-*s %s\n", "#", "operator", NAME_TEXT, "node", "tactic");
    size_t t = 0;
    for (size_t s = 0; s < v->plan->n_steps; s++) {
        const sw_step *step = &v->plan->steps[s];
        bool more = t < v->plan->n_times && v->plan->times[t].step == (int32_t)s;
        if (!v->layers && !more && !step->tactic) continue;
        sw_print(c, "%5zu  %-18s %-*.*s %s\n", s, sw_op_get(step->op)->name, NAME_TEXT, NAME_TEXT, step->name,
                 step->tactic ? step->tactic : "");
        for (; t < v->plan->n_times && v->plan->times[t].step == (int32_t)s; t++) {
            const sw_tactic_time *time = &v->plan->times[t];
            if (!v->tactics) continue;
            bool won = step->tactic && !strcmp(step->tactic, time->tactic);
            if (time->ns >= 0)
                sw_print(c, "%27s%-24s %10.1f us%s\n", won ? "* " : "", time->tactic, (double)time->ns / 1e3,
                         time->reason ? time->reason : "");
            else
                sw_print(c, "%27s%-24s not timed: %s\n", "", time->tactic, time->reason ? time->reason : "");
        }
    }
}

void sw_plan_report_text(const sw_plan_view *v, sw_console *c) {
    const sw_plan *p = v->plan;
    char features[256];
    sw_cpu_text(p->features, features, sizeof features);
    sw_print(c, "%s\n%-*s%s, format 1, %.2f MB\n", v->path, LABEL, "format", kind_of(p), (double)v->file_bytes / 1e6);
    for (size_t i = 0; i < p->n_receipt; i += 2)
        sw_print(c, "%-*s%s: %s\n", LABEL, i ? "" : "receipt", p->receipt[i], p->receipt[i + 1]);
    sw_print(c, "%-*s%s\n", LABEL, "needs", p->features ? features : "nothing that a CPU may lack");
    print_ports(v, c);
    size_t packed = 0;
    for (size_t i = 0; i < sw_packs_count(p->packs); i++) packed += sw_packs_get(p->packs, i)->bytes;
    if (p->gpu)
        sw_print(c, "%-*s%s%s, SM %d.%d; tiles for %zu kinds of convolutions\n", LABEL, "GPU", p->gpu,
                 p->any_of_sm ? " and others" : "", p->gpu_sm / 10, p->gpu_sm % 10, p->n_gpu_tiles / 2);
    if (p->gpu_type)
        sw_print(c, "%-*s%s on GPUs\n", LABEL, "precision", p->gpu_tf32 ? "TF32" : sw_dtype_name(p->gpu_type));
    if (p->n_gpu_codes)
        sw_print(c, "%-*sof %zu kernels, %.1f kB; run with --trust-code only\n", LABEL, "GPU code", p->n_gpu_codes,
                 (double)sw_plan_gpu_code_bytes(p) / 1e3);
    sw_print(c, "%-*s%zu, %zu with packed weights (%.2f MB)\n", LABEL, "steps", p->n_steps, sw_packs_count(p->packs),
             (double)packed / 1e6);
    for (size_t i = 0; i < p->n_meta; i += 2)
        sw_report_meta(c, i == 0, p->meta[i], p->meta[i + 1]);
    if (v->layers || v->tactics) print_steps(v, c);
}

/* ---- JSON
 * ----------------------------------------------------------------------------------------------------------- */

static void json_pairs(sw_json_writer *w, const char *key, const char *const *pairs, size_t n) {
    sw_json_key(w, key), sw_json_object(w);
    for (size_t i = 0; i < n; i += 2) sw_json_key(w, pairs[i]), sw_json_string(w, pairs[i + 1]);
    sw_json_object_end(w);
}

static void json_port(sw_json_writer *w, const sw_port *port) {
    sw_json_flat(w), sw_json_object(w);
    sw_json_key(w, "name"), sw_json_string(w, port->name);
    sw_json_key(w, "dtype"), sw_json_string(w, sw_dtype_name(port->type.dtype));
    sw_json_key(w, "shape");
    if (port->type.rank < 0)
        sw_json_null(w);
    else {
        sw_json_array(w);
        for (int i = 0; i < port->type.rank; i++)
            if (port->type.dims[i] < 0)
                sw_json_null(w);
            else
                sw_json_int(w, port->type.dims[i]);
        sw_json_array_end(w);
    }
    sw_json_object_end(w);
}

static void json_profiles(sw_json_writer *w, const sw_plan *p) {
    sw_json_key(w, "profiles"), sw_json_array(w);
    for (int k = 0; k < p->n_profiles; k++) {
        sw_json_object(w);
        for (int i = 0; i < p->n_inputs; i++) {
            const sw_port *port = sw_plan_input(p, i);
            sw_json_key(w, port->name), sw_json_flat(w), sw_json_array(w);
            for (int d = 0; d < port->type.rank; d++) {
                const sw_extent *e = &p->profiles[(k * p->n_inputs + i) * SW_MAX_RANK + d];
                sw_json_array(w), sw_json_int(w, e->min), sw_json_int(w, e->opt), sw_json_int(w, e->max),
                    sw_json_array_end(w);
            }
            sw_json_array_end(w);
        }
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

static void json_steps(sw_json_writer *w, const sw_plan *p) {
    size_t t = 0;
    sw_json_key(w, "steps"), sw_json_array(w);
    for (size_t s = 0; s < p->n_steps; s++) {
        const sw_step *step = &p->steps[s];
        sw_json_flat(w), sw_json_object(w);
        sw_json_key(w, "operator"), sw_json_string(w, sw_op_get(step->op)->name);
        sw_json_key(w, "node"), sw_json_string(w, step->name);
        sw_json_key(w, "tactic"), sw_json_string(w, step->tactic);
        if (t < p->n_times && p->times[t].step == (int32_t)s) sw_json_key(w, "tactics"), sw_json_array(w);
        bool any = false;
        for (; t < p->n_times && p->times[t].step == (int32_t)s; t++, any = true) {
            sw_json_object(w);
            sw_json_key(w, "name"), sw_json_string(w, p->times[t].tactic);
            sw_json_key(w, "us");
            if (p->times[t].ns < 0)
                sw_json_null(w);
            else
                sw_json_f64(w, (double)p->times[t].ns / 1e3);
            if (p->times[t].reason) sw_json_key(w, "reason"), sw_json_string(w, p->times[t].reason);
            sw_json_object_end(w);
        }
        if (any) sw_json_array_end(w);
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
}

void sw_plan_report_json(const sw_plan_view *v, sw_buf *buf) {
    const sw_plan *p = v->plan;
    char features[256] = "";
    if (p->features) sw_cpu_text(p->features, features, sizeof features);
    sw_json_writer writer = sw_json_writer_make(buf, 2), *w = &writer;
    sw_json_object(w);
    sw_json_key(w, "file"), sw_json_string(w, v->path);
    sw_json_key(w, "format"), sw_json_string(w, kind_of(p));
    sw_json_key(w, "bytes"), sw_json_int(w, (int64_t)v->file_bytes);
    sw_json_key(w, "needs"), sw_json_string(w, features);
    json_pairs(w, "receipt", p->receipt, p->n_receipt);
    sw_json_key(w, "gpu");
    if (p->gpu) {
        sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, p->gpu);
        sw_json_key(w, "sm"), sw_json_int(w, p->gpu_sm);
        sw_json_key(w, "any_of_sm"), sw_json_bool(w, p->any_of_sm);
        json_pairs(w, "tiles", p->gpu_tiles, p->n_gpu_tiles);
        sw_json_key(w, "kernels_with_code"), sw_json_int(w, (int64_t)p->n_gpu_codes);
        sw_json_object_end(w);
    } else {
        sw_json_null(w);
    }
    sw_json_key(w, "inputs"), sw_json_array(w);
    for (int i = 0; i < p->n_inputs; i++) json_port(w, sw_plan_input(p, i));
    sw_json_array_end(w);
    sw_json_key(w, "outputs"), sw_json_array(w);
    for (int i = 0; i < p->n_outputs; i++) json_port(w, sw_plan_output(p, i));
    sw_json_array_end(w);
    json_profiles(w, p);
    json_pairs(w, "metadata", p->meta, p->n_meta);
    json_steps(w, p);
    sw_json_object_end(w);
    sw_buf_append_byte(buf, '\n');
}
