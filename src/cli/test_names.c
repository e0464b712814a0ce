#include "cli/names.h"

#include <stdio.h>

#include "unit.h"

SW_TEST(names_come_only_once) {
    sw_taken taken = {.arena = sw_arena_create(NULL, 0)};
    CHECK_STR(sw_taken_add(&taken, "a", ".jpg"), "a.jpg");
    CHECK_STR(sw_taken_add(&taken, "a", ".png"), "a.png");
    CHECK_STR(sw_taken_add(&taken, "a", ".jpg"), "a_2.jpg");
    CHECK_STR(sw_taken_add(&taken, "a", ".jpg"), "a_3.jpg");
    CHECK_STR(sw_taken_add(&taken, "a_2", ".jpg"), "a_2_2.jpg");
    CHECK_STR(sw_taken_add(&taken, "x/y", ".npy"), "x_y.npy");
    CHECK_STR(sw_taken_add(&taken, "x_y", ".npy"), "x_y_2.npy");
    CHECK_STR(sw_taken_add(&taken, "../../etc/x", ".npy"), ".._.._etc_x.npy");
    int wrong = 0;
    for (int i = 0; i < 5000; i++) { /* the table grows, and finds all of them again */
        char stem[16], want[24];
        snprintf(stem, sizeof stem, "n%d", i % 2500);
        snprintf(want, sizeof want, i < 2500 ? "%s.txt" : "%s_2.txt", stem);
        wrong += strcmp(sw_taken_add(&taken, stem, ".txt"), want) != 0;
    }
    CHECK_INT(wrong, 0);
    sw_taken_free(&taken);
    CHECK_STR(sw_taken_add(&taken, "a", ".jpg"), "a.jpg");
    sw_taken_free(&taken);
    sw_arena_destroy(taken.arena);
}
