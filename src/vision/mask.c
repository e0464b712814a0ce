#include "vision/mask.h"

#include <math.h>
#include <string.h>

bool sw__bitmap_is_empty(const sw__bitmap *b) {
    for (int64_t y = b->top; y < b->bottom; y++)
        if (b->left < b->right && memchr(b->data + y * b->width + b->left, 1, (size_t)(b->right - b->left)))
            return false;
    return true;
}

/* -- Run lengths -- */

/* Where a row or column of the picture comes from in the tensor: two neighbours and the weight of the second. */
typedef struct tap {
    int32_t at, next;
    float weight;
} tap;

/* PyTorch's bilinear interpolation of the part of `fit`: floats, pixel centres at halves, no pixels before the first. */
static tap tap_of(int64_t pixel, int64_t begin, int64_t scaled, int64_t side) {
    float position = fmaxf((float)scaled / (float)side * ((float)pixel + 0.5f) - 0.5f, 0);
    int64_t at = (int64_t)position;
    if (at > scaled - 1) at = scaled - 1;
    return (tap){(int32_t)(begin + at), (int32_t)(begin + at + (at < scaled - 1)), position - (float)at};
}

typedef struct runs {
    uint32_t *items;
    size_t n, cap;
    uint32_t open;  /* length of the run that goes on */
    uint8_t inside; /* what it is of */
} runs;

static sw_status add_pixels(runs *r, uint8_t inside, uint32_t count) {
    if (inside == r->inside) {
        r->open += count;
        return SW_OK;
    }
    void *items = r->items;
    sw_status status = sw_grow(NULL, &items, &r->cap, r->n + 1, sizeof *r->items, SIZE_MAX / sizeof *r->items);
    r->items = items;
    if (status != SW_OK) return status;
    r->items[r->n++] = r->open;
    r->open = count;
    r->inside = inside;
    return SW_OK;
}

static uint8_t pixel_at(const sw__bitmap *b, const tap *y, const tap *x) {
    const uint8_t *above = b->data + y->at * b->width, *below = b->data + y->next * b->width;
    int corners = above[x->at] + above[x->next] + below[x->at] + below[x->next];
    if (corners == 0 || corners == 4) return corners == 4;
    float upper = (1 - x->weight) * above[x->at] + x->weight * above[x->next];
    float lower = (1 - x->weight) * below[x->at] + x->weight * below[x->next];
    return (1 - y->weight) * upper + y->weight * lower > 0.5f;
}

/* Columns from the left; those that lie outside the bitmap's part are runs of their own. */
static sw_status scan(const sw__bitmap *b, const tap *rows, const tap *columns, int64_t height, int64_t width,
                      runs *r) {
    int64_t top = 0, bottom = height;
    while (top < bottom && rows[top].next < b->top) top++;
    while (bottom > top && rows[bottom - 1].at >= b->bottom) bottom--;
    for (int64_t x = 0; x < width; x++) {
        if (columns[x].next < b->left || columns[x].at >= b->right) {
            SW_TRY(add_pixels(r, 0, (uint32_t)height));
            continue;
        }
        if (top > 0) SW_TRY(add_pixels(r, 0, (uint32_t)top));
        for (int64_t y = top; y < bottom; y++) SW_TRY(add_pixels(r, pixel_at(b, &rows[y], &columns[x]), 1));
        if (bottom < height) SW_TRY(add_pixels(r, 0, (uint32_t)(height - bottom)));
    }
    return SW_OK;
}

sw_status sw__mask_runs(const sw__bitmap *b, const sw__scaling *s, sw_arena *arena, sw_mask *mask) {
    int64_t height = (int64_t)s->height, width = (int64_t)s->width;
    runs r = {0};
    sw_status status = SW_E_NOMEM;
    tap *taps = sw_calloc(NULL, (size_t)(height + width), sizeof *taps);
    if (!taps) return SW_E_NOMEM;
    for (int64_t y = 0; y < height; y++) taps[y] = tap_of(y, s->fit.top, s->fit.scaled_height, height);
    for (int64_t x = 0; x < width; x++) taps[height + x] = tap_of(x, s->fit.left, s->fit.scaled_width, width);
    status = scan(b, taps, taps + height, height, width, &r);
    if (status == SW_OK) status = add_pixels(&r, !r.inside, 0); /* ends the last run */
    if (status == SW_OK) {
        mask->runs = sw_arena_copy(arena, r.items, r.n * sizeof *r.items);
        mask->n_runs = r.n;
        if (!mask->runs) status = SW_E_NOMEM;
    }
    sw_free(NULL, r.items);
    sw_free(NULL, taps);
    return status == SW_OK ? SW_OK : SW_E_NOMEM;
}

/* -- Outlines -- */

/* Border following (Suzuki and Abe 1985) with a frame of one empty pixel around the part of the bitmap. Pixels: 0, 1 not
 * visited, VISITED on a border, and with LAST where the border's right side is empty: outside lies beyond. */
enum { VISITED = 2, LAST = 0x80 };

typedef struct tracer {
    uint8_t *pixels;
    int64_t pitch, height;
    int64_t x0, y0; /* of the frame's corner in the tensor */
    float *points;
    size_t n, cap; /* floats */
} tracer;

/* Neighbours from the right, against the clock as one sees the picture. */
static const int8_t steps[8][2] = {{1, 0}, {1, -1}, {0, -1}, {-1, -1}, {-1, 0}, {-1, 1}, {0, 1}, {1, 1}};

static uint8_t *neighbour(const tracer *t, uint8_t *pixel, int direction) {
    return pixel + steps[direction & 7][1] * t->pitch + steps[direction & 7][0];
}

static sw_status add_point(tracer *t, const uint8_t *pixel) {
    void *points = t->points;
    sw_status status = sw_grow(NULL, &points, &t->cap, t->n + 2, sizeof *t->points, SIZE_MAX / sizeof *t->points);
    t->points = points;
    if (status != SW_OK) return status;
    int64_t at = pixel - t->pixels;
    t->points[t->n++] = (float)(t->x0 + at % t->pitch);
    t->points[t->n++] = (float)(t->y0 + at / t->pitch);
    return SW_OK;
}

/* Follows the outer border that begins at `start`, whose left neighbour is empty; keeps the points where it turns. */
static sw_status follow(tracer *t, uint8_t *start) {
    int direction = 4;
    do direction = (direction - 1) & 7;
    while (!*neighbour(t, start, direction) && direction != 4);
    if (direction == 4) { /* a pixel alone */
        *start = VISITED | LAST;
        return add_point(t, start);
    }
    uint8_t *before = neighbour(t, start, direction), *pixel = start;
    for (int previous = direction ^ 4;;) {
        do direction++;
        while (!*neighbour(t, pixel, direction));
        uint8_t *next = neighbour(t, pixel, direction);
        if (direction > 8) /* the search went past the right, which is empty */
            *pixel = VISITED | LAST;
        else if (*pixel == 1)
            *pixel = VISITED;
        direction &= 7;
        if (direction != previous) SW_TRY(add_point(t, pixel));
        previous = direction;
        if (next == start && pixel == before) return SW_OK;
        pixel = next;
        direction = (direction + 4) & 7;
    }
}

/* Scans for pixels that begin an outer border: not visited, nothing to their left, and not within a border that was followed
 * before. `ends` gets where each ring's floats end. */
static sw_status find_rings(tracer *t, size_t **ends, size_t *n) {
    size_t cap = 0;
    for (int64_t y = 1; y < t->height - 1; y++) {
        bool outside = true;
        for (uint8_t *pixel = t->pixels + y * t->pitch + 1, *end = pixel + t->pitch - 2; pixel < end; pixel++) {
            if (*pixel == 1 && !pixel[-1] && outside) {
                SW_TRY(follow(t, pixel));
                SW_TRY(sw_grow(NULL, (void **)ends, &cap, *n + 1, sizeof **ends, SIZE_MAX / sizeof **ends));
                (*ends)[(*n)++] = t->n;
            }
            if (*pixel & VISITED) outside = *pixel & LAST;
        }
    }
    return SW_OK;
}

/* -- One line around all -- */

/* Where a ring is entered from the one before and left for the one after, counted along the ring, which may be walked
 * backwards. */
typedef struct link {
    size_t in, out;
    bool backwards;
} link;

/* The nearest points of two rings; of equal pairs the first. Very long rings are joined at their beginnings. */
static void find_nearest(const sw_ring *a, const sw_ring *b, size_t *in_a, size_t *in_b) {
    const double most_pairs = 1 << 28;
    float best = INFINITY;
    *in_a = *in_b = 0;
    if ((double)a->n * (double)b->n > most_pairs) return;
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++) {
            float dx = a->points[2 * i] - b->points[2 * k], dy = a->points[2 * i + 1] - b->points[2 * k + 1];
            if (dx * dx + dy * dy >= best) continue;
            best = dx * dx + dy * dy;
            *in_a = i;
            *in_b = k;
        }
}

/* Points `from` to `to` of a ring, counted from where it is entered; its first point ends it. */
static float *walk(const sw_ring *r, const link *l, size_t from, size_t to, float *out) {
    for (size_t k = from; k <= to; k++, out += 2) {
        size_t at = (l->in + k) % r->n;
        memcpy(out, r->points + 2 * (l->backwards ? r->n - 1 - at : at), 2 * sizeof *out);
    }
    return out;
}

/* One line through all rings, as Ultralytics joins them (merge_multi_segment): from each to the next at their nearest
 * points, and back along the other sides of those between. */
static sw_status join_rings(const sw_ring *rings, size_t n, sw_arena *arena, sw_ring *outline) {
    size_t total = 0;
    *outline = n ? rings[0] : (sw_ring){0};
    if (n < 2) return SW_OK;
    for (size_t i = 0; i < n; i++) total += rings[i].n + 2;
    link *links = SW_ARENA_ARRAY(arena, link, n);
    float *points = SW_ARENA_ARRAY(arena, float, 2 * total), *to = points;
    if (!links || !points) return SW_E_NOMEM;
    for (size_t i = 1; i < n; i++) find_nearest(&rings[i - 1], &rings[i], &links[i - 1].out, &links[i].in);
    links[0].in = links[0].out;
    for (size_t i = 0; i < n; i++) {
        link *l = &links[i];
        bool end = i == 0 || i + 1 == n;
        l->backwards = !end && l->in > l->out;
        if (l->backwards) *l = (link){rings[i].n - 1 - l->in, rings[i].n - 1 - l->out, true};
        to = walk(&rings[i], l, 0, end ? rings[i].n : l->out - l->in, to);
    }
    for (size_t i = n - 2; i > 0; i--) to = walk(&rings[i], &links[i], links[i].out - links[i].in, rings[i].n, to);
    *outline = (sw_ring){points, (size_t)(to - points) / 2};
    return SW_OK;
}

static float clip(float value, float most) {
    return fminf(fmaxf(value, 0), most);
}

/* Into the picture. */
static void move_points(const sw__scaling *s, float *points, size_t n) {
    for (size_t i = 0; i < n; i++) {
        points[2 * i] = clip((points[2 * i] - s->pad_x) / s->gain_x, s->width);
        points[2 * i + 1] = clip((points[2 * i + 1] - s->pad_y) / s->gain_y, s->height);
    }
}

/* The borders that were found last come first. */
static sw_status keep_rings(const tracer *t, const size_t *ends, size_t n, const sw__scaling *s, sw_arena *arena,
                            sw_mask *mask) {
    float *points = sw_arena_copy(arena, t->points, t->n * sizeof *points);
    sw_ring *rings = SW_ARENA_ARRAY(arena, sw_ring, n);
    if (!points || !rings) return SW_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        size_t begin = i ? ends[i - 1] : 0;
        rings[n - 1 - i] = (sw_ring){points + begin, (ends[i] - begin) / 2};
    }
    mask->rings = rings;
    mask->n_rings = n;
    SW_TRY(join_rings(rings, n, arena, &mask->outline));
    if (n > 1) move_points(s, (float *)(uintptr_t)mask->outline.points, mask->outline.n);
    move_points(s, points, t->n / 2);
    return SW_OK;
}

sw_status sw__mask_rings(const sw__bitmap *b, const sw__scaling *s, sw_arena *arena, sw_mask *mask) {
    int64_t height = b->bottom - b->top, width = b->right - b->left;
    tracer t = {.pitch = width + 2, .height = height + 2, .x0 = b->left - 1, .y0 = b->top - 1};
    size_t *ends = NULL, n = 0;
    t.pixels = sw_calloc(NULL, (size_t)((width + 2) * (height + 2)), 1);
    if (!t.pixels) return SW_E_NOMEM;
    for (int64_t y = 0; y < height; y++)
        memcpy(t.pixels + (y + 1) * t.pitch + 1, b->data + (b->top + y) * b->width + b->left, (size_t)width);
    sw_status status = find_rings(&t, &ends, &n);
    if (status == SW_OK) status = keep_rings(&t, ends, n, s, arena, mask);
    sw_free(NULL, ends);
    sw_free(NULL, t.points);
    sw_free(NULL, t.pixels);
    return status == SW_OK ? SW_OK : SW_E_NOMEM;
}
