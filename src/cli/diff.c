/* slipway diff: in what two models or plans differ. */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/json.h"
#include "build/build.h"
#include "cli/verb.h"
#include "engine/plan_file.h"

enum { TEXT = 256 };

/* What was found. */
typedef struct difference {
    char structure[TEXT];                /* "" when there is none */
    size_t tactics, metadata, constants; /* that differ */
    size_t packed;                       /* of weights that both have for the same kernel */
    double largest;                      /* of constants that both have, scaled by the larger's range */
} difference;

static double largest_difference(const sw_tensor *a, const sw_tensor *b) {
    double most = 0, range = 0;
    if (a->dtype != SW_F32 || b->dtype != SW_F32) return memcmp(a->data, b->data, (size_t)sw_tensor_bytes(a)) ? 1 : 0;
    const float *x = a->data, *y = b->data;
    for (int64_t i = 0, n = sw_tensor_count(a); i < n; i++) {
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
        range = fmax(range, fmax(fabs((double)x[i]), fabs((double)y[i])));
    }
    return range > 0 ? most / range : 0;
}

static void compare_constants(const sw_plan *a, const sw_plan *b, difference *d) {
    for (size_t v = 0; v < a->n_values; v++) {
        const sw_tensor *x = &a->values[v].type, *y = &b->values[v].type;
        if (!x->data || !y->data) continue;
        double most = largest_difference(x, y);
        d->constants += most > 0;
        d->largest = fmax(d->largest, most);
    }
}

static void compare_packed(const sw_plan *a, const sw_plan *b, difference *d) {
    for (size_t i = 0; i < sw_packs_count(a->packs); i++)
        for (size_t k = 0; k < sw_packs_count(b->packs); k++) {
            const sw_pack *x = sw_packs_get(a->packs, i), *y = sw_packs_get(b->packs, k);
            if (x->step != y->step || x->tactic != y->tactic || x->bytes != y->bytes) continue;
            d->packed += memcmp(x->data, y->data, x->bytes) != 0;
        }
}

/* Models choose when they run: only plans that both did are of different minds. */
static bool tactics_differ(const sw_plan *a, const sw_plan *b, size_t s) {
    const char *x = a->steps[s].tactic, *y = b->steps[s].tactic;
    return x && y && strcmp(x, y) != 0;
}

static size_t count_tactics(const sw_plan *a, const sw_plan *b) {
    size_t n = 0;
    for (size_t s = 0; s < a->n_steps; s++) n += tactics_differ(a, b, s);
    return n;
}

static size_t count_metadata(const sw_plan *a, const sw_plan *b) {
    size_t n = 0;
    for (size_t i = 0; i < a->n_meta; i += 2) {
        const char *other = sw_plan_meta(b, a->meta[i]);
        n += !other || strcmp(other, a->meta[i + 1]) != 0;
    }
    for (size_t i = 0; i < b->n_meta; i += 2) n += !sw_plan_meta(a, b->meta[i]);
    return n;
}

static void print_tactics(const sw_plan *a, const sw_plan *b, sw_console *c) {
    for (size_t s = 0; s < a->n_steps; s++)
        if (tactics_differ(a, b, s))
            sw_print(c, "  %5zu  %-40.40s %-24s %s\n", s, a->steps[s].name, a->steps[s].tactic, b->steps[s].tactic);
}

static void print_text(const difference *d, const sw_plan *a, const sw_plan *b, sw_console *c) {
    if (d->structure[0]) {
        sw_print(c, "structure   differs: %s\n", d->structure);
    } else {
        sw_print(c, "structure   the same\n");
        sw_print(c, "tactics     %zu steps differ\n", d->tactics);
        print_tactics(a, b, c);
        sw_print(c, "constants   %zu differ%s", d->constants, d->constants ? "" : "\n");
        if (d->constants) sw_print(c, ", by up to %.3g of their range\n", d->largest);
        sw_print(c, "packed      weights of %zu steps differ\n", d->packed);
    }
    sw_print(c, "metadata    %zu keys differ\n", d->metadata);
}

static void print_json(const difference *d, const sw_plan *a, const sw_plan *b, sw_console *c) {
    sw_json_writer w = sw_json_writer_make(&c->out, 2);
    sw_json_object(&w);
    sw_json_key(&w, "structure"), sw_json_string(&w, d->structure[0] ? d->structure : NULL);
    sw_json_key(&w, "tactics"), sw_json_int(&w, (int64_t)d->tactics);
    sw_json_key(&w, "steps"), sw_json_array(&w);
    for (size_t s = 0; !d->structure[0] && s < a->n_steps; s++) {
        if (!tactics_differ(a, b, s)) continue;
        sw_json_flat(&w), sw_json_object(&w);
        sw_json_key(&w, "step"), sw_json_int(&w, (int64_t)s);
        sw_json_key(&w, "node"), sw_json_string(&w, a->steps[s].name);
        sw_json_key(&w, "tactics"), sw_json_array(&w);
        sw_json_string(&w, a->steps[s].tactic), sw_json_string(&w, b->steps[s].tactic);
        sw_json_array_end(&w);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_json_key(&w, "packed"), sw_json_int(&w, (int64_t)d->packed);
    sw_json_key(&w, "constants"), sw_json_int(&w, (int64_t)d->constants);
    sw_json_key(&w, "largest"), sw_json_f64(&w, d->largest);
    sw_json_key(&w, "metadata"), sw_json_int(&w, (int64_t)d->metadata);
    sw_json_object_end(&w);
    sw_print(c, "\n");
}

static sw_status run(const sw_args *args, sw_console *c) {
    sw_plan *plans[2] = {NULL, NULL};
    sw_status status = SW_OK;
    for (int i = 0; i < 2 && status == SW_OK; i++) {
        c->subject = args->operands[i];
        status = sw_plan_build(args->operands[i], &c->diag, &plans[i]);
    }
    c->subject = NULL;
    if (status == SW_OK) {
        difference d = {.metadata = count_metadata(plans[0], plans[1])};
        if (!sw_plan_differs(plans[0], plans[1], d.structure, sizeof d.structure)) {
            d.tactics = count_tactics(plans[0], plans[1]);
            compare_constants(plans[0], plans[1], &d);
            compare_packed(plans[0], plans[1], &d);
        }
        if (sw_args_flag(args, "json"))
            print_json(&d, plans[0], plans[1], c);
        else
            print_text(&d, plans[0], plans[1], c);
        status = sw_console_flush(c);
    }
    for (int i = 0; i < 2; i++) sw_plan_unref(plans[i]);
    return status;
}

const sw_verb sw_verb_diff = {
    .name = "diff",
    .operands = "A B",
    .least_operands = 2,
    .most_operands = 2,
    .summary = "Tell in what two models or plans differ",
    .description =
        "Compares what would run: steps, shapes, kernels where both files have chosen, constants that both hold, and "
        "metadata. A plan holds weights that are packed for a kernel in that form only; they are compared where the kernel "
        "is the same.",
    .options = (const sw_option[]){{.name = "json", .help = "print JSON"}, {0}},
    .examples =
        (const sw_example[]){
            {"slipway diff yolo11n.pt yolo11n.onnx", "Is the export the model?"},
            {"slipway diff old.slip new.slip", "Which kernels were chosen otherwise?"},
            {0},
        },
    .run = run,
};
