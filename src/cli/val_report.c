/* slipway val: numbers as text and JSON. */
#include <stdio.h>
#include <string.h>

#include "cli/val.h"

enum { LEAST_NAME = 8, MOST_NAME = 24, MIDDLE = SW_EVAL_IOUS / 2 };

static double mean_ap(const sw_eval_class *c) {
    double sum = 0;
    for (int t = 0; t < SW_EVAL_IOUS; t++) sum += c->ap[0][t];
    return sum / SW_EVAL_IOUS;
}

static int name_width(const sw_val *v) {
    int width = LEAST_NAME;
    for (int i = 0; i < v->n_classes; i++) {
        int length = (int)strlen(v->class_names[i]);
        if (length > width) width = length;
    }
    return width < MOST_NAME ? width : MOST_NAME;
}

/* ---- Text
 * ----------------------------------------------------------------------------------------------------------- */

static void print_number(sw_console *c, double value) {
    if (value < 0)
        sw_print(c, "  %8s", "-");
    else
        sw_print(c, "  %8.4f", value);
}

static void print_row(sw_console *c, int width, const char *name, int64_t images, int64_t truths,
                      const double values[5]) {
    sw_print(c, "%-*.*s  %8lld  %8lld", width, width, name, (long long)images, (long long)truths);
    for (int i = 0; i < 5; i++) print_number(c, values[i]);
    sw_print(c, "\n");
}

static void print_averages(const sw_val *v, const sw_eval_result *r, const char *what) {
    sw_console *c = v->console;
    int width = name_width(v);
    sw_print(c, "%-*s  %8s  %8s  %8s  %8s  %8s  %8s  %8s\n", width, what, "pictures", "objects", "precise", "recall",
             "mAP50", "mAP75", "mAP50-95");
    print_row(c, width, "all", r->images, r->truths,
              (double[]){r->precision50, r->recall50, r->map50, r->map75, r->map});
    for (int i = 0; i < v->n_classes && v->n_known > 1; i++) {
        const sw_eval_class *k = &r->classes[i];
        if (!k->truths) continue;
        print_row(c, width, v->class_names[i], k->images, k->truths,
                  (double[]){k->precision50, k->recall50, k->ap[0][0], k->ap[0][MIDDLE], mean_ap(k)});
    }
    sw_print(c, "mAP50-95 by size: small");
    print_number(c, r->map_area[1]);
    sw_print(c, ", medium");
    print_number(c, r->map_area[2]);
    sw_print(c, ", large");
    print_number(c, r->map_area[3]);
    sw_print(c, "; best recall");
    print_number(c, r->recall_limit[SW_EVAL_LIMITS - 1]);
    sw_print(c, "; best F1 at confidence %.3f\n", r->conf);
}

static sw_val_class all_classes(const sw_val *v) {
    sw_val_class all = {0};
    for (int i = 0; i < v->n_classes; i++) {
        all.images += v->classes[i].images;
        all.top1 += v->classes[i].top1;
        all.top5 += v->classes[i].top5;
    }
    return all;
}

static double share(int64_t part, int64_t whole) {
    return whole ? (double)part / (double)whole : -1;
}

static void print_class(const sw_val *v, int width, const char *name, const sw_val_class *k) {
    sw_print(v->console, "%-*.*s  %8lld", width, width, name, (long long)k->images);
    print_number(v->console, share(k->top1, k->images));
    print_number(v->console, share(k->top5, k->images));
    sw_print(v->console, "\n");
}

static void print_classes(const sw_val *v) {
    int width = name_width(v);
    sw_val_class all = all_classes(v);
    sw_print(v->console, "%-*s  %8s  %8s  %8s\n", width, "class", "pictures", "top 1", "top 5");
    print_class(v, width, "all", &all);
    for (int i = 0; i < v->n_classes; i++)
        if (v->classes[i].images) print_class(v, width, v->class_names[i], &v->classes[i]);
}

void sw_val_print(const sw_val *v) {
    sw_console *c = v->console;
    if (v->task == SW_TASK_CLASSIFY) print_classes(v);
    if (v->boxes) print_averages(v, &v->boxes_result, "boxes");
    if (v->shapes) print_averages(v, &v->shapes_result, sw_val_shapes(v));
    if (v->other)
        sw_print(c, "mAP50-95 of %s: %.4f, %+.4f (95 %% interval %+.4f to %+.4f)\n", sw_args_text(v->args, "against"),
                 v->other_result.map, v->delta, v->interval[0], v->interval[1]);
    double n = v->done ? (double)v->done : 1;
    if (v->detector)
        sw_print(c, "%zu pictures. A picture: decode %.1f ms, preprocess %.1f, inference %.1f, postprocess %.1f\n",
                 v->done, v->decode_ms / n, v->times.preprocess / n, v->times.inference / n, v->times.postprocess / n);
}

/* ---- JSON
 * ----------------------------------------------------------------------------------------------------------- */

static void number(sw_json_writer *w, const char *key, double value) {
    sw_json_key(w, key);
    if (value < 0)
        sw_json_null(w); /* there is nothing to average over */
    else
        sw_json_f64(w, value);
}

static void json_class(const sw_val *v, int i, const sw_eval_class *k, sw_json_writer *w) {
    sw_json_flat(w);
    sw_json_object(w);
    sw_json_key(w, "name"), sw_json_string(w, v->class_names[i]);
    sw_json_key(w, "images"), sw_json_int(w, k->images);
    sw_json_key(w, "objects"), sw_json_int(w, k->truths);
    number(w, "precision", k->precision50);
    number(w, "recall", k->recall50);
    number(w, "mAP50", k->ap[0][0]);
    number(w, "mAP75", k->ap[0][MIDDLE]);
    number(w, "mAP50-95", mean_ap(k));
    sw_json_object_end(w);
}

static void json_averages(const sw_val *v, const sw_eval_result *r, sw_json_writer *w) {
    static const char *const areas[SW_EVAL_AREAS] = {"all", "small", "medium", "large"};
    sw_json_object(w);
    number(w, "mAP50-95", r->map);
    number(w, "mAP50", r->map50);
    number(w, "mAP75", r->map75);
    for (int a = 1; a < SW_EVAL_AREAS; a++) {
        char key[32];
        snprintf(key, sizeof key, "mAP50-95_%s", areas[a]);
        number(w, key, r->map_area[a]);
    }
    sw_json_key(w, "recall_at"), sw_json_object(w);
    number(w, "1", r->recall_limit[0]);
    number(w, "10", r->recall_limit[1]);
    number(w, "max", r->recall_limit[2]);
    sw_json_object_end(w);
    sw_json_key(w, "recall_by_size"), sw_json_object(w);
    for (int a = 1; a < SW_EVAL_AREAS; a++) number(w, areas[a], r->recall_area[a]);
    sw_json_object_end(w);
    number(w, "precision", r->precision50);
    number(w, "recall", r->recall50);
    number(w, "confidence", r->conf);
    sw_json_key(w, "images"), sw_json_int(w, r->images);
    sw_json_key(w, "objects"), sw_json_int(w, r->truths);
    sw_json_key(w, "classes"), sw_json_array(w);
    for (int i = 0; i < v->n_classes; i++)
        if (r->classes[i].truths) json_class(v, i, &r->classes[i], w);
    sw_json_array_end(w);
    sw_json_object_end(w);
}

static void json_classes(const sw_val *v, sw_json_writer *w) {
    sw_val_class all = all_classes(v);
    sw_json_object(w);
    number(w, "top1", share(all.top1, all.images));
    number(w, "top5", share(all.top5, all.images));
    sw_json_key(w, "classes"), sw_json_array(w);
    for (int i = 0; i < v->n_classes; i++) {
        const sw_val_class *k = &v->classes[i];
        if (!k->images) continue;
        sw_json_flat(w);
        sw_json_object(w);
        sw_json_key(w, "name"), sw_json_string(w, v->class_names[i]);
        sw_json_key(w, "images"), sw_json_int(w, k->images);
        number(w, "top1", share(k->top1, k->images));
        number(w, "top5", share(k->top5, k->images));
        sw_json_object_end(w);
    }
    sw_json_array_end(w);
    sw_json_object_end(w);
}

static void json_comparison(const sw_val *v, sw_json_writer *w) {
    sw_json_key(w, "against"), sw_json_object(w);
    sw_json_key(w, "predictions"), sw_json_string(w, sw_args_text(v->args, "against"));
    number(w, "mAP50-95", v->other_result.map);
    sw_json_key(w, "difference"), sw_json_f64(w, v->delta);
    sw_json_key(w, "interval95"), sw_json_array(w);
    for (int i = 0; i < 2; i++) sw_json_f64(w, v->interval[i]);
    sw_json_array_end(w);
    sw_json_object_end(w);
}

void sw_val_json(const sw_val *v, sw_json_writer *w) {
    double n = v->done ? (double)v->done : 1;
    sw_json_object(w);
    sw_json_key(w, "model"), sw_json_string(w, v->model);
    sw_json_key(w, "data"), sw_json_string(w, v->data);
    sw_json_key(w, "task"), sw_json_string(w, sw_task_name(v->task));
    sw_json_key(w, "images"), sw_json_int(w, (int64_t)v->done);
    if (v->task == SW_TASK_CLASSIFY) sw_json_key(w, "top"), json_classes(v, w);
    if (v->boxes) sw_json_key(w, "boxes"), json_averages(v, &v->boxes_result, w);
    if (v->shapes) sw_json_key(w, sw_val_shapes(v)), json_averages(v, &v->shapes_result, w);
    if (v->other) json_comparison(v, w);
    if (v->detector) {
        const struct {
            const char *key;
            double sum;
        } speeds[] = {{"decode", v->decode_ms},
                      {"preprocess", v->times.preprocess},
                      {"inference", v->times.inference},
                      {"postprocess", v->times.postprocess}};
        sw_json_key(w, "speed_ms"), sw_json_flat(w), sw_json_object(w);
        for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++)
            sw_json_key(w, speeds[i].key), sw_json_fixed(w, speeds[i].sum / n, 3);
        sw_json_object_end(w);
    }
    sw_json_object_end(w);
}
