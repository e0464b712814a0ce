/* What a child answers, or a parent asks: reading ends, and never beyond the bytes. */
#include "backend/foreign/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 26);
    if (!arena || !size) {
        sw_arena_destroy(arena);
        return 0;
    }
    sw_wire wire = {.at = data + 1, .end = data + size, .arena = arena};
    sw_settings settings;
    sw_named *named;
    int n;
    sw_frame frame;
    if (size >= SW_FRAME_HEADER) (void)sw_frame_parse(data, &frame);
    for (unsigned turn = data[0]; !wire.bad && wire.at < wire.end; turn++) {
        if (turn % 4 == 0) sw_wire_text(&wire);
        if (turn % 4 == 1) sw_wire_settings(&wire, &settings);
        if (turn % 4 == 2) sw_wire_ports(&wire, &named, &n);
        if (turn % 4 == 3) sw_wire_tensors(&wire, &named, &n);
    }
    (void)sw_wire_done(&wire);
    sw_arena_destroy(arena);
    return 0;
}
