/* slipway val: curves of precision over recall, and the confusion matrix, as SVG. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cli/val.h"
#include "media/draw.h"

enum {
    PLOT = 480, /* side of the field of curves, pixels */
    LEFT = 64,
    TOP = 48,
    LEGEND = 240,
    BOTTOM = 56,
    MOST_CURVES = 20, /* with names; the others are grey */
    MOST_CELLS = 100, /* classes of a matrix that are drawn */
    LABEL_CELLS = 40  /* with numbers */
};

/* Colours follow the reader's preference of light or dark. */
static void begin(sw_buf *b, int width, int height, const char *title) {
    sw_buf_printf(
        b,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
        "font-family=\"system-ui, sans-serif\" font-size=\"12\">\n"
        "<style>.b{fill:#fff}.t{fill:#222}.g{stroke:#ddd}.a{stroke:#777}.z{fill:#f4f4f4}"
        "@media(prefers-color-scheme:dark){.b{fill:#16181c}.t{fill:#ddd}.g{stroke:#333}.a{stroke:#888}.z{fill:#202329}}"
        "</style>\n<rect class=\"b\" width=\"%d\" height=\"%d\"/>\n"
        "<text class=\"t\" x=\"%d\" y=\"28\" font-size=\"16\" font-weight=\"600\">%s</text>\n",
        width, height, width, height, width, height, LEFT, title);
}

static void text(sw_buf *b, double x, double y, const char *anchor, const char *more, const char *words) {
    sw_buf_printf(b, "<text class=\"t\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, more);
    for (; *words; words++) {
        switch (*words) {
        case '<':
            sw_buf_append_text(b, "&lt;");
            break;
        case '>':
            sw_buf_append_text(b, "&gt;");
            break;
        case '&':
            sw_buf_append_text(b, "&amp;");
            break;
        default:
            sw_buf_append_byte(b, (unsigned char)*words < 32 ? ' ' : (uint8_t)*words);
        }
    }
    sw_buf_append_text(b, "</text>\n");
}

static void curve(sw_buf *b, const double *points, uint32_t color, double width, double opacity) {
    sw_buf_printf(b, "<polyline fill=\"none\" stroke=\"#%06x\" stroke-width=\"%.1f\" stroke-opacity=\"%.2f\" points=\"",
                  color, width, opacity);
    for (int r = 0; r < SW_EVAL_RECALLS; r++)
        sw_buf_printf(b, "%.1f,%.1f ", LEFT + PLOT * r * 0.01, TOP + PLOT * (1 - points[r]));
    sw_buf_append_text(b, "\"/>\n");
}

static void axes(sw_buf *b) {
    for (int i = 0; i <= 5; i++) {
        char words[16];
        double at = PLOT * i / 5.0;
        sw_buf_printf(b, "<path class=\"g\" d=\"M%d %.1fh%dM%.1f %dv%d\"/>\n", LEFT, TOP + at, PLOT, LEFT + at, TOP,
                      PLOT);
        snprintf(words, sizeof words, "%.1f", i / 5.0);
        text(b, LEFT + at, TOP + PLOT + 18, "middle", "", words);
        text(b, LEFT - 8, TOP + PLOT - at + 4, "end", "", words);
    }
    sw_buf_printf(b, "<path class=\"a\" fill=\"none\" d=\"M%d %dv%dh%d\"/>\n", LEFT, TOP, PLOT, PLOT);
    text(b, LEFT + PLOT / 2.0, TOP + PLOT + 42, "middle", "", "recall");
    sw_buf_printf(
        b, "<text class=\"t\" transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">precision</text>\n",
        TOP + PLOT / 2);
}

static void legend(sw_buf *b, int row, uint32_t color, const char *name, double ap) {
    char words[128];
    double y = TOP + 8 + 20.0 * row;
    snprintf(words, sizeof words, "%.40s %.3f", name, ap);
    sw_buf_printf(b, "<path stroke=\"#%06x\" stroke-width=\"3\" d=\"M%d %.1fh20\"/>\n", color, LEFT + PLOT + 20, y);
    text(b, LEFT + PLOT + 48, y + 4, "start", "", words);
}

static void plot_curves(const sw_val *v, sw_buf *b) {
    const sw_eval_result *r = sw_val_main(v);
    double mean[SW_EVAL_RECALLS] = {0}, points[SW_EVAL_RECALLS];
    int n = 0;
    for (int i = 0; i < v->n_classes; i++) n += r->classes[i].truths > 0;
    begin(b, LEFT + PLOT + LEGEND, TOP + PLOT + BOTTOM, "Precision over recall, IoU 0.5");
    axes(b);
    bool few = n <= MOST_CURVES && n > 1;
    for (int i = 0, row = 1; i < v->n_classes; i++) {
        const sw_eval_class *k = &r->classes[i];
        if (!k->truths) continue;
        for (int p = 0; p < SW_EVAL_RECALLS; p++) mean[p] += (points[p] = (double)k->curve[p]) / n;
        if (n == 1) break;
        uint32_t color = few ? sw_draw_color(i) : 0x9aa0a6;
        curve(b, points, color, 1.2, few ? 0.9 : 0.35);
        if (few) legend(b, row++, color, v->class_names[i], k->ap[0][0]);
    }
    curve(b, mean, 0x1f6feb, 3, 1);
    legend(b, 0, 0x1f6feb, "mean of all classes", r->map50 < 0 ? 0 : r->map50);
    sw_buf_append_text(b, "</svg>\n");
}

/* ---- Confusion
 * ------------------------------------------------------------------------------------------------------ */

/* The classes that occur, and the background behind them. */
static int choose_cells(const sw_val *v, int *cells) {
    size_t side = (size_t)v->n_classes + 1;
    int n = 0;
    for (int i = 0; i < v->n_classes && n < MOST_CELLS; i++) {
        int64_t sum = 0;
        for (size_t k = 0; k < side; k++)
            sum += v->confusion[(size_t)i * side + k] + v->confusion[k * side + (size_t)i];
        if (sum) cells[n++] = i;
    }
    if (v->task != SW_TASK_CLASSIFY) cells[n++] = v->n_classes;
    return n;
}

static void plot_confusion(const sw_val *v, sw_buf *b) {
    enum { MARGIN = 130 };
    int cells[MOST_CELLS + 1], n = choose_cells(v, cells);
    size_t side = (size_t)v->n_classes + 1;
    int cell = n > 60 ? 12 : n > 20 ? 20 : 36;
    begin(b, MARGIN + n * cell + 40, TOP + n * cell + MARGIN,
          "Confusion: rows found, columns true (shares of a column)");
    for (int k = 0; k < n; k++) {
        int64_t sum = 0;
        for (int i = 0; i < n; i++) sum += v->confusion[(size_t)cells[i] * side + (size_t)cells[k]];
        for (int i = 0; i < n; i++) {
            int64_t count = v->confusion[(size_t)cells[i] * side + (size_t)cells[k]];
            double part = sum ? (double)count / (double)sum : 0;
            int x = MARGIN + k * cell, y = TOP + i * cell;
            sw_buf_printf(b, "<rect class=\"z\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", x, y, cell - 1,
                          cell - 1);
            if (!count) continue;
            sw_buf_printf(b,
                          "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#1f6feb\" fill-opacity=\"%.3f\"/>",
                          x, y, cell - 1, cell - 1, 0.08 + 0.92 * part);
            if (n > LABEL_CELLS) continue;
            char words[16];
            snprintf(words, sizeof words, "%.2f", part);
            text(b, x + cell / 2.0, y + cell / 2.0 + 3, "middle",
                 part > 0.5 ? " font-size=\"9\" style=\"fill:#fff\"" : " font-size=\"9\"", words);
        }
    }
    for (int i = 0; i < n; i++) {
        char turn[96];
        const char *name = cells[i] == v->n_classes ? "background" : v->class_names[cells[i]];
        double size = cell > 16 ? 11 : 9, x = MARGIN + (i + 0.5) * cell + 4, y = TOP + n * cell + 8;
        snprintf(turn, sizeof turn, " font-size=\"%.0f\"", size);
        text(b, MARGIN - 6, TOP + (i + 0.5) * cell + 4, "end", turn, name);
        snprintf(turn, sizeof turn, " font-size=\"%.0f\" transform=\"rotate(-90 %.1f %.1f)\"", size, x, y);
        text(b, x, y, "end", turn, name);
    }
    sw_buf_append_text(b, "</svg>\n");
}

static sw_status save(const sw_val *v, const char *folder, const char *name, void (*plot)(const sw_val *, sw_buf *)) {
    sw_buf buf = sw_buf_make(NULL, 0);
    plot(v, &buf);
    const char *path = sw_arena_printf(v->args->arena, "%s/%s", folder, name);
    sw_status status = path && buf.status == SW_OK ? sw_file_write(path, buf.data, buf.size, v->diag) : SW_E_NOMEM;
    sw_buf_free(&buf);
    return status;
}

sw_status sw_val_plots(const sw_val *v, const char *folder) {
    if (v->task != SW_TASK_CLASSIFY) SW_TRY(save(v, folder, "pr_curve.svg", plot_curves));
    return save(v, folder, "confusion_matrix.svg", plot_confusion);
}
