/* slipway tour: the table, as text, Markdown and JSON, and the plot. */
#include <math.h>
#include <stdio.h>

#include "cli/tour.h"

enum { NUMBER = 24, LEFT = 70, TOP = 50, WIDTH = 520, HEIGHT = 320, RIGHT = 190, BOTTOM = 60, TICKS = 5 };

static void number(char text[NUMBER], const char *form, double value) {
    if (value < 0)
        snprintf(text, NUMBER, "-");
    else if (form[1] == 'r')
        snprintf(text, NUMBER, "%.1f", value);
    else
        snprintf(text, NUMBER, "%.4f", value);
}

typedef struct cells {
    char fps[NUMBER], ms[NUMBER], map[NUMBER], mb[NUMBER];
} cells;

static cells cells_of(const sw_tour_step *s) {
    cells c;
    number(c.fps, "%r", s->fps);
    number(c.ms, "%r", s->latency_ms);
    number(c.map, "%m", s->map);
    number(c.mb, "%r", s->bytes < 0 ? -1 : (double)s->bytes * 1e-6);
    return c;
}

void sw_tour_text(const sw_tour_step *steps, int n, sw_buf *buf) {
    sw_buf_printf(buf, "%-22s %-8s %8s %11s %8s %8s  %s\n", "step", "format", "FPS", "latency ms", "mAP", "MB",
                  "where the file may be copied");
    for (int i = 0; i < n; i++) {
        cells c = cells_of(&steps[i]);
        if (steps[i].skipped)
            sw_buf_printf(buf, "%-22s %-8s not run: %s\n", steps[i].name, steps[i].format, steps[i].skipped);
        else
            sw_buf_printf(buf, "%-22s %-8s %8s %11s %8s %8s  %s\n", steps[i].name, steps[i].format, c.fps, c.ms, c.map,
                          c.mb, steps[i].where);
    }
}

void sw_tour_markdown(const sw_tour_step *steps, int n, const char *model, sw_buf *buf) {
    sw_buf_printf(buf,
                  "# Tour of %s\n\n| step | format | FPS | latency ms | mAP | MB | where the file may be copied |\n"
                  "|---|---|---|---|---|---|---|\n",
                  model);
    for (int i = 0; i < n; i++) {
        cells c = cells_of(&steps[i]);
        sw_buf_printf(buf, "| %s | %s | %s | %s | %s | %s | %s%s |\n", steps[i].name, steps[i].format, c.fps, c.ms,
                      c.map, c.mb, steps[i].skipped ? "not run: " : "",
                      steps[i].skipped ? steps[i].skipped : steps[i].where);
    }
    sw_buf_append_text(buf, "\n![latency against mAP](tour.svg)\n");
}

static void known(sw_json_writer *w, const char *key, double value) {
    sw_json_key(w, key);
    if (value < 0)
        sw_json_null(w);
    else
        sw_json_f64(w, value);
}

void sw_tour_json(const sw_tour_step *steps, int n, const char *model, sw_buf *buf) {
    sw_json_writer w = sw_json_writer_make(buf, 2);
    sw_json_object(&w);
    sw_json_key(&w, "model"), sw_json_string(&w, model);
    sw_json_key(&w, "steps"), sw_json_array(&w);
    for (int i = 0; i < n; i++) {
        sw_json_object(&w);
        sw_json_key(&w, "step"), sw_json_string(&w, steps[i].name);
        sw_json_key(&w, "format"), sw_json_string(&w, steps[i].format);
        known(&w, "fps", steps[i].fps);
        known(&w, "latency_ms", steps[i].latency_ms);
        known(&w, "map", steps[i].map);
        known(&w, "bytes", (double)steps[i].bytes);
        sw_json_key(&w, "where"), sw_json_string(&w, steps[i].where);
        sw_json_key(&w, "skipped"), sw_json_string(&w, steps[i].skipped);
        sw_json_object_end(&w);
    }
    sw_json_array_end(&w);
    sw_json_object_end(&w);
    sw_buf_append_byte(buf, '\n');
}

static void label(sw_buf *b, double x, double y, const char *anchor, const char *text) {
    sw_buf_printf(b, "<text class=\"t\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, text);
}

/* Names are ours, without anything that SVG would have to be told about. */
void sw_tour_svg(const sw_tour_step *steps, int n, sw_buf *b) {
    double most_ms = 0, most_map = 0;
    for (int i = 0; i < n; i++) {
        most_ms = fmax(most_ms, steps[i].latency_ms);
        most_map = fmax(most_map, steps[i].map);
    }
    double x_end = most_ms > 0 ? most_ms * 1.1 : 1, y_end = most_map > 0 ? fmin(1, most_map * 1.25) : 1;
    sw_buf_printf(
        b,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"system-ui, sans-serif\" "
        "font-size=\"12\">\n<style>.b{fill:#fff}.t{fill:#222}.g{stroke:#ddd}@media(prefers-color-scheme:dark)"
        "{.b{fill:#16181c}.t{fill:#ddd}.g{stroke:#333}}</style>\n<rect class=\"b\" width=\"100%%\" height=\"100%%\"/>\n",
        LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    label(b, LEFT, 28, "start",
          most_map > 0 ? "Latency (median) against mAP50-95" : "Latency (median); mAP was not measured: --data does");
    for (int i = 0; i <= TICKS; i++) {
        char text[NUMBER];
        double x = LEFT + (double)WIDTH * i / TICKS, y = TOP + HEIGHT - (double)HEIGHT * i / TICKS;
        sw_buf_printf(b, "<path class=\"g\" d=\"M%.1f %dv%dM%d %.1fh%d\"/>\n", x, TOP, HEIGHT, LEFT, y, WIDTH);
        snprintf(text, sizeof text, "%.3g", x_end * i / TICKS);
        label(b, x, TOP + HEIGHT + 18, "middle", text);
        snprintf(text, sizeof text, "%.2f", y_end * i / TICKS);
        label(b, LEFT - 8, y + 4, "end", most_map > 0 ? text : "");
    }
    label(b, LEFT + WIDTH / 2.0, TOP + HEIGHT + 42, "middle", "milliseconds");
    for (int i = 0; i < n; i++) {
        if (steps[i].latency_ms < 0) continue;
        double x = LEFT + WIDTH * steps[i].latency_ms / x_end;
        double y = TOP + HEIGHT - HEIGHT * (steps[i].map >= 0 ? steps[i].map / y_end : 0.1 + 0.15 * i);
        sw_buf_printf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"#1f6feb\"/>\n", x, y);
        bool right = x > LEFT + WIDTH * 0.7; /* there the text stands before the point */
        label(b, right ? x - 9 : x + 9, y + 4 + (i % 2 ? 12 : 0), right ? "end" : "start", steps[i].name);
    }
    sw_buf_append_text(b, "</svg>\n");
}
