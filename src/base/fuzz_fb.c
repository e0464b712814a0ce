/* Any bytes as a FlatBuffer: tables, lists and texts are followed as far as a budget goes; nothing is read outside. */
#include <stdlib.h>
#include <string.h>

#include "base/fb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void walk(const sw_fb_table *t, int depth, int *budget) {
    for (int slot = 0; slot < 12 && --*budget > 0; slot++) {
        size_t length;
        sink = (uint8_t)(sw_fb_i8(t, slot, 0) + sw_fb_i32(t, slot, 0) + (int64_t)sw_fb_u64(t, slot, 0));
        const char *text = sw_fb_text(t, slot, &length);
        if (text) sink = (uint8_t)text[length];
        sw_fb probe = *t->fb; /* a wrong guess of the type must not end the walk */
        sw_fb_table view = *t;
        view.fb = &probe;
        sw_fb_table sub = sw_fb_sub(&view, slot);
        if (sw_fb_has(&sub) && depth < 6) walk(&sub, depth + 1, budget);
        probe.status = SW_OK;
        sw_fb_vector list = sw_fb_vec(&view, slot, 4);
        for (uint32_t i = 0; i < list.n && i < 8; i++) {
            sink = (uint8_t)sw_fb_vec_i32(&list, i);
            sw_fb_table item = sw_fb_vec_table(&list, i);
            if (sw_fb_has(&item) && depth < 6) walk(&item, depth + 1, budget);
            probe.status = SW_OK;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    if (!exact) return 0;
    if (size) memcpy(exact, data, size);
    sw_fb fb = sw_fb_make(exact, size, "fuzz", NULL);
    sw_fb_table root = sw_fb_root(&fb);
    int budget = 4096;
    if (sw_fb_has(&root)) walk(&root, 0, &budget);
    free(exact);
    return 0;
}
