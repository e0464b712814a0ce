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

static uint8_t mixed(uint8_t from, uint8_t to, float share) {
    return (uint8_t)lrintf((float)from + ((float)to - (float)from) * share);
}

/* Lays a colour over a pixel of the picture; 0 < share <= 1. */
static void blend(const sw_picture *picture, int x, int y, uint32_t color, float share) {
    uint8_t *pixel = picture->data + picture->pitch * (size_t)y + (size_t)x * 3;
    bool bgr = picture->order == SW_PIXELS_BGR;
    for (int i = 0; i < 3; i++) pixel[i] = mixed(pixel[i], (uint8_t)(color >> (bgr ? 8 * i : 16 - 8 * i)), share);
}

/* How much of the pixel at a distance from a line's middle is covered. */
static float coverage(float distance, float half) {
    return fminf(fmaxf(half + 0.5f - distance, 0), 1);
}

static float distance_to(const float line[4], float x, float y) {
    float dx = line[2] - line[0], dy = line[3] - line[1], length = dx * dx + dy * dy;
    float along = length > 0 ? ((x - line[0]) * dx + (y - line[1]) * dy) / length : 0;
    along = fminf(fmaxf(along, 0), 1);
    return hypotf(line[0] + along * dx - x, line[1] + along * dy - y);
}

/* The pixels low <= i < high of a side that an extent reaches. */
static void reach(float from, float to, int side, int *low, int *high) {
    *low = (int)floorf(fmaxf(fminf(from, to), 0));
    *high = (int)ceilf(fminf(fmaxf(from, to), (float)side));
}

/* A round-ended, anti-aliased line x1 y1 x2 y2. It goes along its longer side and looks at what lies across. */
static void draw_line(const sw_picture *picture, const float line[4], float half, uint32_t color) {
    float dx = line[2] - line[0], dy = line[3] - line[1];
    bool flat = fabsf(dx) >= fabsf(dy);
    float slope = flat ? (dx != 0 ? dy / dx : 0) : dx / dy;
    float start = flat ? line[0] : line[1], other = flat ? line[1] : line[0], end = flat ? line[2] : line[3];
    float across = (half + 1) * 1.5f; /* of a line at 45 degrees */
    int low, high, begin, stop;
    if (!isfinite(dx) || !isfinite(dy)) return;
    reach(fminf(start, end) - half - 1, fmaxf(start, end) + half + 1, flat ? picture->width : picture->height, &low,
          &high);
    for (int i = low; i < high; i++) {
        float inside = fminf(fmaxf((float)i + 0.5f, fminf(start, end)), fmaxf(start, end));
        float middle = other + (inside - start) * slope;
        reach(middle - across, middle + across, flat ? picture->height : picture->width, &begin, &stop);
        for (int k = begin; k < stop; k++) {
            int x = flat ? i : k, y = flat ? k : i;
            float share = coverage(distance_to(line, (float)x + 0.5f, (float)y + 0.5f), half);
            if (share > 0) blend(picture, x, y, color, share);
        }
    }
}

static void draw_rotated(const sw_picture *picture, const sw_rotated *box, int line, uint32_t color) {
    float corners[8];
    sw_rotated_corners(box, corners);
    for (int i = 0; i < 4; i++) {
        int next = (i + 1) % 4;
        draw_line(picture, (float[]){corners[2 * i], corners[2 * i + 1], corners[2 * next], corners[2 * next + 1]},
                  (float)line / 2, color);
    }
}

static void draw_mask(const sw_picture *picture, const sw_mask *mask, uint32_t color) {
    const float share = 0.5f;
    int64_t height = picture->height, all = height * picture->width, at = 0;
    for (size_t i = 0; i < mask->n_runs; i++) {
        int64_t end = at + mask->runs[i] < all ? at + mask->runs[i] : all;
        for (; i % 2 && at < end; at++) blend(picture, (int)(at / height), (int)(at % height), color, share);
        at = end;
    }
}

/* A person's keypoints by COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, each left before right. What
 * is joined, and the colour of that part of the body. */
enum { PERSON = 17, HEAD = 0x2fd65c, ARMS = 0xff9d2e, TRUNK = 0xe05cff, LEGS = 0x35b4ff };
static const struct {
    uint8_t from, to;
    uint32_t color;
} limbs[] = {
    {0, 1, HEAD},    {0, 2, HEAD},   {1, 2, HEAD},   {1, 3, HEAD},   {2, 4, HEAD},   {3, 5, HEAD},   {4, 6, HEAD},
    {5, 7, ARMS},    {7, 9, ARMS},   {6, 8, ARMS},   {8, 10, ARMS},  {5, 6, TRUNK},  {5, 11, TRUNK}, {6, 12, TRUNK},
    {11, 12, TRUNK}, {11, 13, LEGS}, {13, 15, LEGS}, {12, 14, LEGS}, {14, 16, LEGS},
};

static bool is_seen(const float *point) {
    const float least = 0.25f;
    return point[2] >= least && (point[0] != 0 || point[1] != 0) && isfinite(point[0]) && isfinite(point[1]);
}

static uint32_t point_color(int i, int n) {
    if (n != PERSON) return sw_draw_color(i);
    return i < 5 ? HEAD : i < 11 ? ARMS : LEGS;
}

static void draw_keypoints(const sw_picture *picture, const float *points, int n, int line) {
    for (size_t i = 0; n == PERSON && i < sizeof limbs / sizeof *limbs; i++) {
        const float *a = points + 3 * limbs[i].from, *b = points + 3 * limbs[i].to;
        if (is_seen(a) && is_seen(b))
            draw_line(picture, (float[]){a[0], a[1], b[0], b[1]}, fmaxf(1, (float)line / 2), limbs[i].color);
    }
    for (int i = 0; i < n; i++) {
        const float *p = points + 3 * i;
        if (is_seen(p)) draw_line(picture, (float[]){p[0], p[1], p[0], p[1]}, (float)line, point_color(i, n));
    }
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

/* The frame, and what else a box has. */
static void draw_shape(const sw_picture *picture, const sw_draw_box *box, rect outer, int line) {
    uint32_t color = sw_draw_color(box->class_id);
    if (box->rotated)
        draw_rotated(picture, box->rotated, line, color);
    else
        draw_frame(picture, outer, line, color);
    if (box->keypoints) draw_keypoints(picture, box->keypoints, box->n_keypoints, line);
}

void sw_draw_list(const sw_picture *picture, const sw_draw_box *classes, size_t n, const sw_draw_style *style) {
    metrics m = measure(picture, style);
    for (size_t i = 0; i < n && (int)i * m.label_height < picture->height; i++) {
        char text[LABEL_BYTES];
        drawn d = {.box = &classes[i], .confidence = classes[i].confidence >= 0 ? classes[i].confidence : -1};
        put_label(text, &d);
        int y = (int)i * m.label_height, width = sw_draw_text_width(m.text, text) + 2 * m.padding;
        d.label = (rect){0, y, width, y + m.label_height};
        draw_label(picture, &d, &m);
    }
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
    for (size_t i = count; i-- > 0;)
        if (items[i].box->mask) draw_mask(picture, items[i].box->mask, sw_draw_color(items[i].box->class_id));
    for (size_t i = count; i-- > 0;) draw_shape(picture, items[i].box, items[i].outer, m.line);
    for (size_t i = count; i-- > 0;)
        if (items[i].label.x1 > items[i].label.x0) draw_label(picture, &items[i], &m);
    sw_free(NULL, items);
    return SW_OK;
}
