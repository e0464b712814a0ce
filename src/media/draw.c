#include "media/draw.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

/* Ten hues 36 degrees apart in OKLCH, neighbours in the list three apart; then the ten between them, lighter or
 * darker. */
static const uint32_t colors[] = {
    0xff4044, 0x80da0a, 0x0a9be6, 0xff97cc, 0xaa9100, 0x07d6e7, 0xc74dff, 0xffa755, 0x01ab84, 0xadb8fe,
    0xffc1a7, 0x028c43, 0xb7d3fe, 0xd5015e, 0xcede07, 0x0181a1, 0xffb4f5, 0x986b01, 0x02f0e1, 0x882fff,
};

enum {
    LABEL_BYTES = 128,  /* of a label's text */
    NAME_BYTES = 96,    /* of the class name in it */
    MAX_OBSTACLES = 512 /* labels that the placing of another one looks at: where there are more, nobody reads them */
};

/* Pixels x0 <= x < x1, y0 <= y < y1; may lie outside the picture. */
typedef struct rect {
    int x0, y0, x1, y1;
} rect;

typedef struct drawn {
    const sw_draw_box *box;
    float confidence; /* -1 for none */
    rect outer;       /* outer edge of the frame */
    rect label;       /* empty: none */
} drawn;

/* What follows from style and picture, in pixels. */
typedef struct metrics {
    int line, text, padding, label_height;
} metrics;

static int min_int(int a, int b) {
    return a < b ? a : b;
}
static int max_int(int a, int b) {
    return a > b ? a : b;
}

uint32_t sw_draw_color(int class_id) {
    enum { COUNT = sizeof(colors) / sizeof(*colors) };
    return colors[((class_id % COUNT) + COUNT) % COUNT];
}

/* Black or white, whichever stands out more: the middle of perceived brightness is near a luminance of 0.4 in these
 * gamma-coded values (weights of ITU-R BT.601). */
static uint32_t text_color(uint32_t color) {
    uint32_t red = color >> 16, green = color >> 8 & 255, blue = color & 255;
    return 299 * red + 587 * green + 114 * blue > 140 * 1000 ? 0x000000 : 0xffffff;
}

static void fill(const sw_picture *picture, rect r, uint32_t color) {
    uint8_t red = (uint8_t)(color >> 16), green = (uint8_t)(color >> 8), blue = (uint8_t)color;
    bool bgr = picture->order == SW_PIXELS_BGR;
    int x0 = max_int(r.x0, 0), x1 = min_int(r.x1, picture->width);
    for (int y = max_int(r.y0, 0); y < min_int(r.y1, picture->height); y++) {
        uint8_t *pixel = picture->data + picture->pitch * (size_t)y + (size_t)x0 * 3;
        for (int x = x0; x < x1; x++, pixel += 3) {
            pixel[0] = bgr ? blue : red;
            pixel[1] = green;
            pixel[2] = bgr ? red : blue;
        }
    }
}

static void draw_frame(const sw_picture *picture, rect r, int line, uint32_t color) {
    fill(picture, (rect){r.x0, r.y0, r.x1, r.y0 + line}, color);
    fill(picture, (rect){r.x0, r.y1 - line, r.x1, r.y1}, color);
    fill(picture, (rect){r.x0, r.y0 + line, r.x0 + line, r.y1 - line}, color);
    fill(picture, (rect){r.x1 - line, r.y0 + line, r.x1, r.y1 - line}, color);
}

/* As much of the name as fits, cut between characters. */
static size_t put_name(char *text, const char *name) {
    size_t length = strnlen(name, NAME_BYTES + 1), n = 0;
    if (length <= NAME_BYTES) {
        memcpy(text, name, length);
        return length;
    }
    while (n < NAME_BYTES - 3) n += (size_t)max_int(sw_utf8_step(name + n, length - n), 1);
    n = n > NAME_BYTES ? NAME_BYTES : n;
    memcpy(text, name, n);
    memcpy(text + n, "...", 3);
    return n + 3;
}

/* "person 0.87". The number is put together here: printf would ask the locale for the point. */
static void put_label(char text[LABEL_BYTES], const drawn *d) {
    size_t n = d->box->name ? put_name(text, d->box->name) : 0;
    text[n] = '\0';
    if (d->confidence < 0) return;
    int hundredths = (int)lrint(fmin((double)d->confidence, 99) * 100);
    snprintf(text + n, LABEL_BYTES - n, "%s%d.%02d", n ? " " : "", hundredths / 100, hundredths % 100);
}

/* Sizes that read well at the scale at which the whole picture is looked at. Automatic text grows in steps of four
 * pixels of capital height: small letters, 3/4 of it, then end on a pixel edge too. */
static metrics measure(const sw_picture *picture, const sw_draw_style *style) {
    float mean = 0.5f * (float)picture->width + 0.5f * (float)picture->height;
    metrics m = {.line = style ? style->line_width : 0, .text = style ? style->text_size : 0};
    if (m.line <= 0) m.line = max_int(2, (int)lrintf(mean * 0.003f));
    if (m.text <= 0) m.text = (4 * max_int(2, (int)lrintf(mean * 0.0035f)) * 8 + 4) / 5;
    m.line = min_int(m.line, SW_DRAW_MAX_TEXT);
    m.text = min_int(m.text, SW_DRAW_MAX_TEXT);
    m.padding = max_int(2, m.text / 4);
    m.label_height = m.text + m.text / 8;
    return m;
}

static int to_pixel(float value) {
    enum { FAR = 1 << 20 }; /* far outside every picture */
    return (int)lrintf(fmaxf(-FAR, fminf(FAR, value)));
}

static rect outer_rect(const sw_draw_box *box, int line) {
    rect r = {to_pixel(fminf(box->x1, box->x2)), to_pixel(fminf(box->y1, box->y2)), to_pixel(fmaxf(box->x1, box->x2)),
              to_pixel(fmaxf(box->y1, box->y2))};
    int out = line / 2;
    r = (rect){r.x0 - out, r.y0 - out, r.x1 + out, r.y1 + out};
    r.x1 = max_int(r.x1, r.x0 + line);
    r.y1 = max_int(r.y1, r.y0 + line);
    return r;
}

static bool is_visible(rect r, const sw_picture *picture) {
    return r.x0 < picture->width && r.y0 < picture->height && r.x1 > 0 && r.y1 > 0;
}

static int64_t overlap(rect a, rect b) {
    int64_t width = min_int(a.x1, b.x1) - max_int(a.x0, b.x0), height = min_int(a.y1, b.y1) - max_int(a.y0, b.y0);
    return width > 0 && height > 0 ? width * height : 0;
}

/* A label of that size as near to (x, y) as the picture's edges allow; where it does not fit, its start is kept. */
static rect inside(const sw_picture *picture, int x, int y, int width, int height) {
    x = max_int(min_int(x, picture->width - width), 0);
    y = max_int(min_int(y, picture->height - height), 0);
    return (rect){x, y, x + width, y + height};
}

/* Tries the places around the frame in the order of preference. The first at its right height that covers no
 * earlier label wins, else the one that covers least. */
static rect place_label(const sw_picture *picture, rect box, int width, int height, const drawn *done, size_t n) {
    int right = box.x1 - width;
    const int places[][2] = {
        {box.x0, box.y0 - height},
        {box.x0, box.y0},
        {box.x0, box.y1},
        {box.x0, box.y1 - height},
        {right, box.y0 - height},
        {right, box.y0},
        {right, box.y1},
        {right, box.y1 - height},
        {box.x0, box.y0 + height},
        {right, box.y0 + height},
        {box.x0, box.y0 - 2 * height},
        {box.x0, box.y0 + 2 * height},
        {box.x0 - width, box.y0},
        {box.x1, box.y0},
    };
    rect best = {0};
    int64_t best_cost = INT64_MAX;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places) && best_cost > 0; i++) {
        rect r = inside(picture, places[i][0], places[i][1], width, height);
        int64_t cost = llabs((long long)r.y0 - places[i][1]);
        for (size_t k = 0; k < n; k++) cost += overlap(r, done[k].label);
        if (cost < best_cost) {
            best_cost = cost;
            best = r;
        }
    }
    return best;
}

static int by_confidence(const void *a, const void *b) {
    const drawn *p = a, *q = b;
    if (p->confidence != q->confidence) return p->confidence > q->confidence ? -1 : 1;
    return p->box < q->box ? -1 : p->box > q->box;
}

/* Fills items with the visible boxes, surest first; returns their number. */
static size_t collect(const sw_picture *picture, const sw_draw_box *boxes, size_t n, int line, drawn *items) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const sw_draw_box *b = &boxes[i];
        if (!isfinite(b->x1) || !isfinite(b->y1) || !isfinite(b->x2) || !isfinite(b->y2)) continue;
        drawn d = {.box = b, .confidence = b->confidence >= 0 ? b->confidence : -1, .outer = outer_rect(b, line)};
        if (is_visible(d.outer, picture)) items[count++] = d;
    }
    qsort(items, count, sizeof *items, by_confidence);
    return count;
}

static void draw_label(const sw_picture *picture, const drawn *d, const metrics *m) {
    char text[LABEL_BYTES];
    uint32_t color = sw_draw_color(d->box->class_id);
    put_label(text, d);
    fill(picture, d->label, color);
    sw_draw_text(picture, d->label.x0 + m->padding, d->label.y0 + (m->label_height - m->text) / 2, m->text,
                 text_color(color), text);
}

sw_status sw_draw_boxes(const sw_picture *picture, const sw_draw_box *boxes, size_t n, const sw_draw_style *style,
                        const sw_diag *diag) {
    if (n == 0) return SW_OK;
    drawn *items = sw_calloc(NULL, n, sizeof *items);
    if (!items) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "not enough memory to draw %zu boxes", n);
    metrics m = measure(picture, style);
    size_t count = collect(picture, boxes, n, m.line, items);
    for (size_t i = 0; i < count; i++) {
        char text[LABEL_BYTES];
        put_label(text, &items[i]);
        if (!text[0]) continue;
        int width = sw_draw_text_width(m.text, text) + 2 * m.padding;
        size_t obstacles = i < MAX_OBSTACLES ? i : MAX_OBSTACLES;
        items[i].label = place_label(picture, items[i].outer, width, m.label_height, items, obstacles);
    }
    for (size_t i = count; i-- > 0;) draw_frame(picture, items[i].outer, m.line, sw_draw_color(items[i].box->class_id));
    for (size_t i = count; i-- > 0;)
        if (items[i].label.x1 > items[i].label.x0) draw_label(picture, &items[i], &m);
    sw_free(NULL, items);
    return SW_OK;
}
