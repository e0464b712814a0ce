#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "media/draw.h"
#include "media/font.h"
#include "unit.h"

/* A picture in the middle of a block of guard bytes, with a gap between rows. */
typedef struct guarded {
    uint8_t *block;
    size_t size;
    sw_picture picture;
} guarded;

enum { GUARD = 0xa5, BACK = 60, MARGIN = 4096, GAP = 13 };

static guarded make_guarded(int width, int height) {
    size_t pitch = (size_t)width * 3 + GAP, size = pitch * (size_t)height + 2 * MARGIN;
    guarded g = {.block = malloc(size), .size = size};
    memset(g.block, GUARD, size);
    g.picture = (sw_picture){
        .data = g.block + MARGIN, .width = width, .height = height, .pitch = pitch, .order = SW_PIXELS_BGR};
    for (int y = 0; y < height; y++) memset(g.picture.data + pitch * (size_t)y, BACK, (size_t)width * 3);
    return g;
}

/* Checks that no byte outside the picture changed, and frees it. */
static void end_guarded(guarded *g) {
    size_t pitch = g->picture.pitch, row = (size_t)g->picture.width * 3, changed = 0;
    for (size_t i = 0; i < g->size; i++) {
        bool within = i >= MARGIN && i < g->size - MARGIN && (i - MARGIN) % pitch < row;
        changed += !within && g->block[i] != GUARD;
    }
    CHECK_INT(changed, 0);
    free(g->block);
}

static uint32_t color_at(const sw_picture *picture, int x, int y) {
    const uint8_t *p = picture->data + picture->pitch * (size_t)y + (size_t)x * 3;
    bool bgr = picture->order == SW_PIXELS_BGR;
    return (uint32_t)p[bgr ? 2 : 0] << 16 | (uint32_t)p[1] << 8 | p[bgr ? 0 : 2];
}

enum { UNTOUCHED = BACK << 16 | BACK << 8 | BACK };

/* Number of pixels of a colour. */
static int count_color(const sw_picture *picture, uint32_t color) {
    int n = 0;
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++) n += color_at(picture, x, y) == color;
    return n;
}

SW_TEST(draw_frame_is_where_the_box_is) {
    static const sw_pixel_order orders[] = {SW_PIXELS_BGR, SW_PIXELS_RGB};
    for (int i = 0; i < 2; i++) {
        guarded g = make_guarded(101, 67);
        g.picture.order = orders[i];
        sw_draw_box box = {20, 15, 80, 50, -1, 3, NULL};
        CHECK_INT(sw_draw_boxes(&g.picture, &box, 1, &(sw_draw_style){.line_width = 2}, &sw_test_diag), SW_OK);
        uint32_t color = sw_draw_color(3);
        for (int x = 19; x < 81; x++) { /* the line's middle is the box's edge */
            CHECK_INT(color_at(&g.picture, x, 14), color);
            CHECK_INT(color_at(&g.picture, x, 15), color);
            CHECK_INT(color_at(&g.picture, x, 50), color);
        }
        CHECK_INT(color_at(&g.picture, 80, 30), color);
        CHECK_INT(color_at(&g.picture, 81, 30), UNTOUCHED);
        CHECK_INT(color_at(&g.picture, 18, 30), UNTOUCHED);
        CHECK_INT(color_at(&g.picture, 21, 30), UNTOUCHED);
        CHECK_INT(color_at(&g.picture, 50, 13), UNTOUCHED);
        CHECK_INT(count_color(&g.picture, color), 62 * 37 - 58 * 33);
        end_guarded(&g);
    }
}

SW_TEST(draw_label_stands_on_its_box) {
    guarded g = make_guarded(300, 200);
    sw_draw_box box = {50, 100, 250, 180, 0.875f, 2, "person"};
    sw_draw_style style = {.line_width = 2, .text_size = 16};
    CHECK_INT(sw_draw_boxes(&g.picture, &box, 1, &style, &sw_test_diag), SW_OK);
    int width = sw_draw_text_width(16, "person 0.88") + 8, height = 18, background = 0, ink = 0;
    for (int y = 99 - height; y < 99; y++)
        for (int x = 49; x < 49 + width; x++) {
            background += color_at(&g.picture, x, y) == sw_draw_color(2);
            ink += color_at(&g.picture, x, y) == 0xffffff || color_at(&g.picture, x, y) == 0;
        }
    CHECK(background > width * height / 2 && background < width * height);
    CHECK(ink > 50);
    CHECK_INT(color_at(&g.picture, 49 + width, 99 - height), UNTOUCHED);
    CHECK_INT(color_at(&g.picture, 49, 98 - height), UNTOUCHED);
    CHECK_INT(color_at(&g.picture, 49, 99 - height), sw_draw_color(2));
    end_guarded(&g);
}

SW_TEST(draw_labels_do_not_cover_each_other) {
    /* five boxes that differ by a pixel: five labels, each with all its background pixels */
    guarded g = make_guarded(400, 300), alone = make_guarded(400, 300);
    sw_draw_style style = {.line_width = 1, .text_size = 16};
    sw_draw_box boxes[5];
    int want[5];
    for (int i = 0; i < 5; i++) {
        boxes[i] = (sw_draw_box){100 + (float)i, 100 + (float)i, 300, 200, 0.9f - 0.1f * (float)i, i, "thing"};
        for (int y = 0; y < 300; y++) memset(alone.picture.data + alone.picture.pitch * (size_t)y, BACK, 400 * 3);
        CHECK_INT(sw_draw_boxes(&alone.picture, &boxes[i], 1, &style, &sw_test_diag), SW_OK);
        want[i] = count_color(&alone.picture, sw_draw_color(i)) - 2 * (200 + 100);
    }
    CHECK_INT(sw_draw_boxes(&g.picture, boxes, 5, &style, &sw_test_diag), SW_OK);
    for (int i = 0; i < 5; i++) CHECK(count_color(&g.picture, sw_draw_color(i)) > want[i] - 20);
    end_guarded(&g);
    end_guarded(&alone);
}

SW_TEST(draw_never_leaves_the_picture) {
    static const int sizes[][2] = {{1, 1}, {1, 50}, {50, 1}, {3, 2}, {17, 31}, {333, 127}};
    static const float edges[] = {-1e30f, -100, -1, 0, 0.5f, 16, 50, 126.5f, 333, 400, 1e30f};
    enum { EDGES = sizeof(edges) / sizeof(*edges) };
    uint64_t random = 7;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        guarded g = make_guarded(sizes[s][0], sizes[s][1]);
        for (int i = 0; i < 400; i++) {
            const float *e[4];
            for (int k = 0; k < 4; k++) e[k] = &edges[sw_test_random(&random) % EDGES];
            sw_draw_box box = {*e[0], *e[1], *e[2], *e[3], 0.5f, i, i & 1 ? "W@\xc3\x85gj\xe6\x97\xa5\xff" : NULL};
            sw_draw_style style = {.line_width = i % 7 * 3, .text_size = i % 11 * 9};
            CHECK_INT(sw_draw_boxes(&g.picture, &box, 1, i & 2 ? &style : NULL, &sw_test_diag), SW_OK);
        }
        end_guarded(&g);
    }
}

SW_TEST(draw_leaves_out_what_is_not_there) {
    guarded g = make_guarded(40, 30);
    sw_draw_box boxes[] = {{NAN, 1, 20, 20, 0.5f, 0, "a"},      {1, INFINITY, 20, 20, 0.5f, 0, "a"},
                           {1, 1, -INFINITY, 20, 0.5f, 0, "a"}, {1, 1, 20, NAN, 0.5f, 0, "a"},
                           {50, 5, 60, 20, 0.5f, 0, "a"},       {5, -30, 20, -10, 0.5f, 0, "a"}};
    CHECK_INT(sw_draw_boxes(&g.picture, boxes, 6, NULL, &sw_test_diag), SW_OK);
    CHECK_INT(sw_draw_boxes(&g.picture, NULL, 0, NULL, &sw_test_diag), SW_OK);
    CHECK_INT(count_color(&g.picture, UNTOUCHED), 40 * 30);
    /* no name and no confidence: a frame without a label */
    sw_draw_box bare = {10, 10, 30, 20, NAN, 1, ""};
    CHECK_INT(sw_draw_boxes(&g.picture, &bare, 1, &(sw_draw_style){.line_width = 2}, &sw_test_diag), SW_OK);
    CHECK_INT(count_color(&g.picture, sw_draw_color(1)), 22 * 12 - 18 * 8);
    end_guarded(&g);
}

SW_TEST(draw_very_long_names_are_cut) {
    char name[4000];
    for (size_t i = 0; i + 2 < sizeof name; i += 2) memcpy(name + i, "\xc3\xa9", 3);
    guarded g = make_guarded(3000, 60);
    sw_draw_box box = {10, 40, 2900, 55, 0.5f, 0, name};
    CHECK_INT(sw_draw_boxes(&g.picture, &box, 1, &(sw_draw_style){.text_size = 16}, &sw_test_diag), SW_OK);
    int width = 0;
    while (color_at(&g.picture, 10 + width, 30) != UNTOUCHED) width++;
    CHECK(width > 300 && width < 800);
    end_guarded(&g);
}

SW_TEST(draw_many_boxes_at_once) {
    enum { N = 20000 };
    sw_draw_box *boxes = malloc(N * sizeof *boxes);
    uint64_t random = 3;
    for (int i = 0; i < N; i++)
        boxes[i] = (sw_draw_box){sw_test_uniform(&random, 0, 200),
                                 sw_test_uniform(&random, 0, 200),
                                 sw_test_uniform(&random, 0, 200),
                                 sw_test_uniform(&random, 0, 200),
                                 sw_test_uniform(&random, 0, 1),
                                 i,
                                 "x"};
    guarded g = make_guarded(200, 200);
    CHECK_INT(sw_draw_boxes(&g.picture, boxes, N, NULL, &sw_test_diag), SW_OK);
    CHECK(count_color(&g.picture, UNTOUCHED) < 1000);
    end_guarded(&g);
    free(boxes);
}

SW_TEST(draw_surest_box_lies_on_top) {
    guarded g = make_guarded(60, 60);
    sw_draw_box boxes[] = {{10, 10, 50, 50, 0.9f, 4, NULL}, {10, 10, 50, 50, 0.4f, 7, NULL}};
    CHECK_INT(sw_draw_boxes(&g.picture, boxes, 2, &(sw_draw_style){2, 8}, &sw_test_diag), SW_OK);
    CHECK_INT(color_at(&g.picture, 50, 50), sw_draw_color(4));
    end_guarded(&g);
}

SW_TEST(draw_text_every_glyph_at_every_size) {
    /* also: the bounds of the rasteriser hold for the largest */
    static const int sizes[] = {-1, 1, 7, 13, 26, 100, SW_DRAW_MAX_TEXT, 100000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        guarded g = make_guarded(SW_DRAW_MAX_TEXT, SW_DRAW_MAX_TEXT);
        for (int code = 0x20; code <= 0xff; code++) {
            char text[3] = {(char)code};
            if (code >= 0x80) memcpy(text, (char[]){(char)(0xc0 | code >> 6), (char)(0x80 | (code & 63)), 0}, 3);
            sw_draw_text(&g.picture, 1, 1, sizes[s], 0xffffff, text);
        }
        CHECK(count_color(&g.picture, UNTOUCHED) < SW_DRAW_MAX_TEXT * SW_DRAW_MAX_TEXT);
        end_guarded(&g);
    }
}

/* Sum of the ink over the whole picture, in pixels. */
static double ink_of(int text_size, const char *text) {
    guarded g = make_guarded(400, 120);
    sw_draw_text(&g.picture, 10, 10, text_size, 0xffffff, text);
    double sum = 0;
    for (int y = 0; y < 120; y++)
        for (int x = 0; x < 400; x++) sum += ((color_at(&g.picture, x, y) & 255) - BACK) / (255.0 - BACK);
    end_guarded(&g);
    return sum;
}

SW_TEST(draw_text_covers_the_right_area) {
    /* A full stop is a square: what the font's outline says, at any size; capitals 5/8 of the size. */
    double unit = 50.0 / SW__FONT_CAPITAL; /* size 80: capitals of 50 pixels */
    double dot = ink_of(80, "."), bar = ink_of(80, "|");
    CHECK(dot > 60 * 60 * unit * unit && dot < 110 * 110 * unit * unit);
    CHECK_NEAR(ink_of(80, ". ."), 2 * dot, 0.5);
    CHECK_NEAR(ink_of(40, ".") * 4, dot, 1.5);
    CHECK(bar > 2 * dot);
    CHECK_NEAR(ink_of(80, " "), 0, 0);
    /* holes are holes, the same whichever way a contour runs */
    CHECK(ink_of(80, "O") < 0.75 * 50 * 50 && ink_of(80, "O") > 0.35 * 50 * 50);
    CHECK(ink_of(80, "8") > ink_of(80, "3"));
}

SW_TEST(draw_text_width_adds_up) {
    CHECK_INT(sw_draw_text_width(26, ""), 0);
    CHECK_NEAR(sw_draw_text_width(26, "mm"), 2 * sw_draw_text_width(26, "m"), 1);
    CHECK(sw_draw_text_width(26, "m") > 2 * sw_draw_text_width(26, "i"));
    CHECK_INT(sw_draw_text_width(26, "\xc3\xa9"), sw_draw_text_width(26, "e")); /* é is as wide as e */
    CHECK_NEAR(sw_draw_text_width(26, "\xff\xfe"), 2 * sw_draw_text_width(26, "\xe6\x97\xa5"), 1);
    CHECK(ink_of(40, "\xe6\x97\xa5") > 20);
}

SW_TEST(draw_colours) {
    for (int i = -50; i < 50; i++) CHECK_INT(sw_draw_color(i), sw_draw_color(i + 20));
    for (int i = 0; i < 20; i++)
        for (int k = 0; k < i; k++) CHECK(sw_draw_color(i) != sw_draw_color(k));
    CHECK(sw_draw_color(INT32_MIN) <= 0xffffff);
}
