#include "media/font.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "media/draw.h"

/* Bounds of the work on the stack: pixels across a glyph at the largest size, and its lines. */
enum { MAX_GLYPH_WIDTH = 512, MAX_LINES = 1024 };

typedef struct line {
    float x0, y0, x1, y1;
} line;

/* An outline flattened to lines, in pixels of the picture. */
typedef struct outline {
    line lines[MAX_LINES];
    int n;
    float left, top, right, bottom;
} outline;

typedef struct point {
    float x, y;
} point;

static int clamp_size(int text_size) {
    return text_size < 1 ? 1 : text_size > SW_DRAW_MAX_TEXT ? SW_DRAW_MAX_TEXT : text_size;
}

/* Capitals are a whole number of pixels high, so that their edges fall on pixel edges. */
static int capital_height(int text_size) {
    return (clamp_size(text_size) * 5 + 4) / 8;
}

static float unit_pixels(int text_size) {
    return (float)capital_height(text_size) / SW__FONT_CAPITAL;
}

/* The next character of text[0..length): its code point, or -1 for a byte that is not UTF-8. */
static int next_character(const char **text, size_t *length) {
    const uint8_t *s = (const uint8_t *)*text;
    int n = sw_utf8_step(*text, *length);
    int code = n == 0 ? -1 : n == 1 ? s[0] : s[0] & (0xff >> (n + 1));
    for (int i = 1; i < n; i++) code = code << 6 | (s[i] & 0x3f);
    size_t step = n ? (size_t)n : 1;
    *text += step;
    *length -= step;
    return code;
}

/* NULL when the font has no such glyph. */
static const uint8_t *find_glyph(int code) {
    int index = code >= 0x20 && code < 0x7f    ? code - 0x20
                : code >= 0xa0 && code <= 0xff ? code - 0xa0 + SW__FONT_ASCII
                                               : -1;
    return index < 0 ? NULL : sw__font_outlines + sw__font_offsets[index];
}

static int read_number(const uint8_t **bytes) {
    int value = 0, shift = 0, byte;
    do {
        byte = *(*bytes)++;
        value |= (byte & 127) << shift;
        shift += 7;
    } while (byte & 128);
    return value;
}

static int unfold(int value) {
    return value & 1 ? -(value >> 1) - 1 : value >> 1;
}

static int advance_of(int code) {
    const uint8_t *glyph = find_glyph(code);
    return glyph ? read_number(&glyph) : SW__FONT_BOX;
}

int sw_draw_text_width(int text_size, const char *text) {
    size_t length = strlen(text);
    int64_t units = 0;
    while (length > 0) units += advance_of(next_character(&text, &length));
    double width = ceil((double)units * (double)unit_pixels(text_size));
    return width < INT32_MAX ? (int)width : INT32_MAX;
}

static void add_line(outline *o, point from, point to) {
    assert(o->n < MAX_LINES);
    o->lines[o->n++] = (line){from.x, from.y, to.x, to.y};
    o->left = fminf(o->left, to.x);
    o->right = fmaxf(o->right, to.x);
    o->top = fminf(o->top, to.y);
    o->bottom = fmaxf(o->bottom, to.y);
}

/* A parabola by as many lines as keep it within a tenth of a pixel. */
static void add_curve(outline *o, point from, point control, point to) {
    float bend = hypotf(from.x - 2 * control.x + to.x, from.y - 2 * control.y + to.y);
    int steps = 1 + (int)sqrtf(bend * 2.5f);
    point last = from;
    for (int i = 1; i <= steps; i++) {
        float t = (float)i / (float)steps, u = 1 - t;
        point next = {u * u * from.x + 2 * u * t * control.x + t * t * to.x,
                      u * u * from.y + 2 * u * t * control.y + t * t * to.y};
        add_line(o, last, next);
        last = next;
    }
}

static point middle(point a, point b) {
    return (point){(a.x + b.x) / 2, (a.y + b.y) / 2};
}

/* Walks around a closed contour of points, some of them controls. */
static void add_contour(outline *o, const point *points, const bool *on, int n) {
    int first = 0;
    while (first < n && !on[first]) first++;
    point start = first < n ? points[first] : middle(points[n - 1], points[0]);
    if (first == n) first = n - 1;
    point last = start, control = {0, 0};
    bool bent = false;
    for (int i = 1; i <= n; i++) {
        int k = (first + i) % n;
        if (on[k] && !bent) add_line(o, last, points[k]);
        if (on[k] && bent) add_curve(o, last, control, points[k]);
        if (!on[k] && bent) add_curve(o, last, control, middle(control, points[k]));
        last = on[k] ? points[k] : bent ? middle(control, points[k]) : last;
        bent = !on[k];
        control = points[k];
    }
    if (bent) add_curve(o, last, control, start);
}

/* The outline of a glyph whose origin is (x, y), a baseline's left end. */
static void load_outline(outline *o, const uint8_t *glyph, float x, float y, float scale) {
    enum { MAX_POINTS = 128 };
    point points[MAX_POINTS];
    bool on[MAX_POINTS];
    *o = (outline){.left = INFINITY, .top = INFINITY, .right = -INFINITY, .bottom = -INFINITY};
    int unit_x = 0, unit_y = 0;
    read_number(&glyph); /* the advance */
    for (int contours = read_number(&glyph); contours > 0; contours--) {
        int n = read_number(&glyph);
        assert(n <= MAX_POINTS);
        for (int i = 0; i < n; i++) {
            int dx = read_number(&glyph);
            unit_x += unfold(dx >> 1);
            unit_y += unfold(read_number(&glyph));
            on[i] = dx & 1;
            points[i] = (point){x + (float)unit_x * scale, y - (float)unit_y * scale};
        }
        add_contour(o, points, on, n);
    }
}

/* Adds what a line changes in the coverage of the row of pixels [top, top + 1): cells[i] gets the difference
 * between the covered area of pixel i and that of pixel i - 1, counted with the line's direction. */
static void accumulate(float *cells, const line *l, float left, float top) {
    float low = fmaxf(fminf(l->y0, l->y1), top), high = fminf(fmaxf(l->y0, l->y1), top + 1);
    if (high <= low) return;
    float slope = (l->x1 - l->x0) / (l->y1 - l->y0), sign = l->y1 > l->y0 ? 1 : -1;
    float x0 = l->x0 + (low - l->y0) * slope - left, x1 = l->x0 + (high - l->y0) * slope - left;
    if (x0 > x1) {
        float swap = x0;
        x0 = x1;
        x1 = swap;
    }
    int first = (int)fmaxf(x0, 0), last = (int)fmaxf(x1, 0);
    float done = 0, height = sign * (high - low);
    for (int i = first; i <= last;
         i++) { /* the part of the line above pixel i, and how far right its middle is there */
        float from = fmaxf(x0, (float)i), to = fminf(x1, (float)i + 1);
        float part = i == last ? height - done : height * (to - from) / (x1 - x0);
        float inside = (from + to) / 2 - (float)i;
        cells[i] += part * (1 - inside);
        cells[i + 1] += part * inside;
        done += part;
    }
}

static void blend_pixel(uint8_t *pixel, const uint8_t ink[3], float coverage) {
    for (int i = 0; i < 3; i++)
        pixel[i] = (uint8_t)lrintf((float)pixel[i] + ((float)ink[i] - (float)pixel[i]) * coverage);
}

static void fill_outline(const sw_picture *picture, const outline *o, const uint8_t ink[3]) {
    int left = (int)floorf(o->left), width = (int)ceilf(o->right) - left;
    int top = (int)fmaxf(floorf(o->top), 0), bottom = (int)fminf(ceilf(o->bottom), (float)picture->height);
    assert(width <= MAX_GLYPH_WIDTH);
    if (left >= picture->width || left + width <= 0) return;
    for (int y = top; y < bottom; y++) {
        float cells[MAX_GLYPH_WIDTH + 2] = {0}, sum = 0;
        for (int i = 0; i < o->n; i++) accumulate(cells, &o->lines[i], (float)left, (float)y);
        uint8_t *row = picture->data + picture->pitch * (size_t)y;
        for (int i = 0; i < width; i++) {
            sum += cells[i];
            int x = left + i;
            if (x >= 0 && x < picture->width) blend_pixel(row + (size_t)x * 3, ink, fminf(fabsf(sum), 1));
        }
    }
}

/* The frame that stands for a character that the font lacks. */
static void load_box(outline *o, float x, float y, float scale) {
    float pen = SW__FONT_BOX * 0.1f * scale, right = x + SW__FONT_BOX * scale, top = y - SW__FONT_CAPITAL * scale;
    *o = (outline){.left = x, .top = top, .right = right, .bottom = y};
    for (int inner = 0; inner < 2; inner++) { /* the inner one runs the other way round: a hole */
        float inset = pen * (float)(inner + 1);
        point a = {x + inset, top + inset - pen}, c = {right - inset, y - inset + pen};
        point b = inner ? (point){a.x, c.y} : (point){c.x, a.y}, d = inner ? (point){c.x, a.y} : (point){a.x, c.y};
        add_line(o, a, b);
        add_line(o, b, c);
        add_line(o, c, d);
        add_line(o, d, a);
    }
}

void sw_draw_text(const sw_picture *picture, int x, int y, int text_size, uint32_t color, const char *text) {
    bool bgr = picture->order == SW_PIXELS_BGR;
    uint8_t red = (uint8_t)(color >> 16), green = (uint8_t)(color >> 8), blue = (uint8_t)color;
    uint8_t ink[3] = {bgr ? blue : red, green, bgr ? red : blue};
    float scale = unit_pixels(text_size), pen = (float)x;
    float baseline = (float)(y + (clamp_size(text_size) + capital_height(text_size)) / 2);
    outline o;
    for (size_t length = strlen(text); length > 0 && pen < (float)picture->width;) {
        int code = next_character(&text, &length);
        const uint8_t *glyph = find_glyph(code);
        if (glyph)
            load_outline(&o, glyph, pen, baseline, scale);
        else
            load_box(&o, pen, baseline, scale);
        if (o.n > 0) fill_outline(picture, &o, ink);
        pen += (float)advance_of(code) * scale;
    }
}
