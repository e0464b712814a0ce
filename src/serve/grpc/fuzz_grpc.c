/* Messages of gRPC. The first byte says which. */
#include <stdint.h>

#include "serve/grpc/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t touched;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sw_serve_error error = {0};
    const char *name, *version;
    if (!size) return 0;
    if (data[0] % 5 < 2) {
        sw_kserve_request k = {.max_bytes = 1 << 16};
        if (sw_grpc_read_infer(&k, data + 1, size - 1, &name, &version, &error) == SW_SERVE_OK)
            for (int i = 0; i < k.request.n_inputs; i++)
                if (k.request.inputs[i].bytes)
                    touched = ((const uint8_t *)k.request.inputs[i].data)[k.request.inputs[i].bytes - 1];
        sw_kserve_free(&k);
    } else if (data[0] % 5 == 2) {
        sw_grpc_query query;
        touched = sw_grpc_read_query(data + 1, size - 1, &query, &error) == SW_SERVE_OK;
    } else if (data[0] % 5 == 3) {
        sw_region_row row;
        sw_arena *arena = sw_arena_create(NULL, 1 << 20);
        sw_settings settings;
        bool typed = size % 2;
        if (arena) touched = sw_grpc_read_region(data + 1, size - 1, arena, &row, &error) == SW_SERVE_OK;
        if (arena)
            touched = sw_grpc_read_settings(data + 1, size - 1, typed, arena, &settings, &name, &error) == SW_SERVE_OK;
        sw_arena_destroy(arena);
    } else {
        sw_kserve_load load = {.arena = sw_arena_create(NULL, 1 << 20)};
        if (load.arena) touched = sw_grpc_read_load(data + 1, size - 1, &name, &load, &error) == SW_SERVE_OK;
        sw_kserve_load_free(&load);
    }
    return 0;
}
