/* Bodies of HTTP requests. The first byte says which kind, the second where the JSON ends. */
#include <stdint.h>

#include "serve/kserve/kserve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t touched;

static void touch_inputs(const sw_kserve_request *k) {
    for (int i = 0; i < k->request.n_inputs; i++)
        if (k->request.inputs[i].bytes)
            touched = ((const uint8_t *)k->request.inputs[i].data)[k->request.inputs[i].bytes - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const sw_serve_port port = {.name = "x", .dtype = SW_F32, .rank = 2, .dims = {-1, 16}};
    static const sw_serve_info info = {.name = "m", .n_inputs = 1, .inputs = &port};
    sw_serve_error error = {0};
    if (size < 2) return 0;
    const uint8_t *body = data + 2;
    size_t n = size - 2;
    sw_kserve_request k = {.max_bytes = 1 << 16};
    sw_serve_code code = SW_SERVE_OK;
    if (data[0] % 5 == 0) {
        int64_t json = data[1] % 2 ? -1 : (int64_t)(n * data[1] / 256);
        code = sw_kserve_read(&k, "m", body, n, json, &error);
    } else if (data[0] % 5 == 1)
        code = sw_kserve_read_raw(&k, &info, body, n, &error);
    if (code == SW_SERVE_OK) touch_inputs(&k);
    sw_kserve_free(&k);
    if (data[0] % 5 == 2) {
        sw_kserve_load load = {.arena = sw_arena_create(NULL, 1 << 20)};
        if (load.arena) code = sw_kserve_read_load(body, n, &load, &error);
        sw_kserve_load_free(&load);
    }
    bool ready;
    if (data[0] % 5 == 3) code = sw_kserve_read_index(body, n, &ready, &error);
    if (data[0] % 5 == 4) {
        sw_region_row row;
        sw_arena *arena = sw_arena_create(NULL, 1 << 20);
        sw_settings settings;
        if (arena && data[1] % 2) code = sw_kserve_read_region(body, n, arena, &row, &error);
        if (arena && data[1] % 2 == 0) code = sw_kserve_read_settings(body, n, arena, &settings, &error);
        sw_arena_destroy(arena);
    }
    return code > SW_SERVE_CANCELLED;
}
