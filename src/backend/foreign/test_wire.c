#include "backend/foreign/foreign.h"
#include "backend/foreign/wire.h"
#include "unit.h"

/* A body with one of each. */
static void write_body(sw_buf *buf) {
    sw_setting pairs[] = {{"device", "CPU"}, {"empty", NULL}};
    float values[6] = {1, 2, 3, 4, 5, 6};
    sw_named port = {"images", {.dtype = SW_F16, .rank = 2, .dims = {-1, 7}}};
    sw_named tensors[] = {{"x", {.dtype = SW_F32, .rank = 2, .dims = {2, 3}, .data = values}},
                          {"none", {.dtype = SW_I64, .rank = 1, .dims = {0}}}};
    sw_wire_put_text(buf, "hello");
    sw_wire_put_i64(buf, -5);
    sw_wire_put_settings(buf, &(sw_settings){pairs, 2});
    sw_wire_put_ports(buf, &port, 1);
    sw_wire_put_tensors(buf, tensors, 2);
}

typedef struct body {
    const char *text;
    int64_t number;
    sw_settings settings;
    sw_named *ports, *tensors;
    int n_ports, n_tensors;
} body;

static bool read_body(const uint8_t *data, size_t size, sw_arena *arena, body *b) {
    sw_wire wire = {.at = data, .end = data + size, .arena = arena};
    b->text = sw_wire_text(&wire);
    b->number = sw_wire_i64(&wire);
    sw_wire_settings(&wire, &b->settings);
    sw_wire_ports(&wire, &b->ports, &b->n_ports);
    sw_wire_tensors(&wire, &b->tensors, &b->n_tensors);
    return sw_wire_done(&wire);
}

SW_TEST(wire_carries_everything) {
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    body b;
    write_body(&buf);
    CHECK(read_body(buf.data, buf.size, arena, &b));
    CHECK_STR(b.text, "hello");
    CHECK_INT(b.number, -5);
    CHECK_INT(b.settings.n, 2);
    CHECK_STR(b.settings.items[0].value, "CPU");
    CHECK_STR(b.settings.items[1].value, "");
    CHECK_INT(b.n_ports, 1);
    CHECK_STR(b.ports[0].name, "images");
    CHECK_INT(b.ports[0].type.dtype, SW_F16);
    CHECK_INT(b.ports[0].type.dims[0], -1);
    CHECK_INT(b.n_tensors, 2);
    CHECK_NEAR(((const float *)b.tensors[0].type.data)[5], 6, 0);
    CHECK_INT(b.tensors[1].type.dims[0], 0);
    sw_arena_destroy(arena);
    sw_buf_free(&buf);
}

SW_TEST(wire_refuses_every_cut_and_lies) {
    sw_buf buf = sw_buf_make(NULL, 0);
    body b;
    write_body(&buf);
    for (size_t size = 0; size < buf.size; size++) {
        sw_arena *arena = sw_arena_create(NULL, 0);
        CHECK(!read_body(buf.data, size, arena, &b));
        sw_arena_destroy(arena);
    }
    /* Each byte set to all ones: read or refused, never beyond its end. */
    for (size_t i = 0; i < buf.size; i++) {
        sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 24);
        uint8_t was = buf.data[i];
        buf.data[i] = 0xff;
        (void)read_body(buf.data, buf.size, arena, &b);
        buf.data[i] = was;
        sw_arena_destroy(arena);
    }
    sw_buf_free(&buf);
}

SW_TEST(wire_ranks_are_bounded) {
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_arena *arena = sw_arena_create(NULL, 0);
    sw_named *tensors;
    int n;
    for (int i = 0; i < 3; i++) sw_wire_put_i32(&buf, i == 0); /* one tensor, without a name or a type */
    sw_wire_put_i32(&buf, 1 << 30);
    sw_wire wire = {.at = buf.data, .end = buf.data + buf.size, .arena = arena};
    sw_wire_tensors(&wire, &tensors, &n);
    CHECK(wire.bad);
    CHECK_INT(n, 0);
    CHECK_INT(tensors[0].type.rank, 0);
    sw_arena_destroy(arena);
    sw_buf_free(&buf);
}

SW_TEST(wire_frames_are_bounded) {
    uint8_t header[SW_FRAME_HEADER];
    sw_frame frame = {SW_WIRE_RUN, 12}, read;
    sw_frame_format(&frame, header);
    CHECK(sw_frame_parse(header, &read));
    CHECK_INT(read.kind, SW_WIRE_RUN);
    CHECK_INT(read.size, 12);
    sw_frame_format(&(sw_frame){SW_WIRE_RUN, SW_FRAME_MOST + 1}, header);
    CHECK(!sw_frame_parse(header, &read));
    sw_frame_format(&frame, header);
    header[0] = 'X';
    CHECK(!sw_frame_parse(header, &read));
}

SW_TEST(foreign_runtimes_are_found_by_whole_names) {
    CHECK(sw_foreign_find("openvino,litert", 8) != NULL);
    CHECK_STR(sw_foreign_find("openvino,litert", 8)->name, "openvino");
    CHECK(!sw_foreign_find("openvin", 7));
}
