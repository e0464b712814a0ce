#include "cli/shapes.h"

#include "unit.h"

SW_TEST(sides_of_pictures_are_read) {
    static const struct {
        const char *text;
        int height, width; /* 0: refused */
    } rows[] = {
        {"640", 640, 640},
        {"480x640", 480, 640},
        {"480,640", 480, 640},
        {"[480, 640]", 480, 640},
        {"(1,16384)", 1, 16384},
        {"", 0, 0},
        {"640x", 0, 0},
        {"x640", 0, 0},
        {"1x2x3", 0, 0},
        {"0", 0, 0},
        {"16385", 0, 0},
        {"6.5", 0, 0},
        {"-1", 0, 0},
        {"480,,640", 0, 0},
        {"[]", 0, 0},
        {"99999999999999999999", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int sides[2] = {7, 9};
        sw_status status = sw_sides_parse(rows[i].text, "try", NULL, sides);
        CHECK_INT(status, rows[i].height ? SW_OK : SW_E_USAGE);
        CHECK_INT(sides[0], rows[i].height ? rows[i].height : 7);
        CHECK_INT(sides[1], rows[i].height ? rows[i].width : 9);
    }
    int sides[2] = {7, 9};
    CHECK_INT(sw_sides_parse(NULL, "try", NULL, sides), SW_OK);
    CHECK(sides[0] == 7 && sides[1] == 9);
}
