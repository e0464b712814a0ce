/* External data: bytes of files beside the model, and of no others. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "import/onnx/model.h"

/* Relative, and without a step up. */
static bool is_confined(const char *location) {
    if (!*location || *location == '/') return false;
    for (const char *part = location; part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t length = strcspn(part, "/");
        if (length == 2 && memcmp(part, "..", 2) == 0) return false;
    }
    return true;
}

/* The real path of a location; false when it is outside of the folder once links are followed, or is not there. */
static bool resolve(const char *base_dir, const char *location, char real[PATH_MAX], bool *there) {
    char base[PATH_MAX], joined[PATH_MAX];
    int length = snprintf(joined, sizeof joined, "%s/%s", *base_dir ? base_dir : ".", location);
    *there = length > 0 && length < PATH_MAX && realpath(*base_dir ? base_dir : ".", base) && realpath(joined, real);
    if (!*there) return false;
    size_t n = strcmp(base, "/") == 0 ? 0 : strlen(base);
    return strncmp(base, real, n) == 0 && real[n] == '/';
}

static void close_map(void *map) {
    sw_map_close(map);
}

static sw_status open_file(sw__onnx *im, const char *tensor, const char *location, sw_map **map) {
    void *known;
    if (sw__names_get(&im->files, location, &known)) {
        *map = known;
        return SW_OK;
    }
    char real[PATH_MAX];
    bool there, fresh;
    if (!is_confined(location) || (!resolve(im->base_dir, location, real, &there) && there))
        return sw__onnx_fail(im, SW_E_MODEL,
                             "%s has external data in '%.200s', which is outside of the folder of the model", tensor,
                             location);
    if (!there)
        return sw__onnx_fail(im, SW_E_MODEL, "%s has external data in '%.200s', which is not beside the model", tensor,
                             location);
    if (++im->n_files > SW__ONNX_MAX_FILES)
        return sw__onnx_fail(im, SW_E_LIMIT, "the model has external data in more than %d files", SW__ONNX_MAX_FILES);
    *map = SW_ARENA_NEW(im->graph->arena, sw_map);
    if (!*map) return sw__onnx_nomem(im);
    SW_TRY(sw_map_open(real, im->diag, *map));
    if (sw_arena_cleanup(im->graph->arena, close_map, *map) != SW_OK) {
        sw_map_close(*map);
        return sw__onnx_nomem(im);
    }
    return sw__names_add(&im->files, im->arena, location, *map, &fresh);
}

sw_status sw__onnx_external(sw__onnx *im, const char *tensor, const char *location, int64_t offset, int64_t length,
                            size_t bytes, const uint8_t **data) {
    sw_map *map;
    if (!im->base_dir)
        return sw__onnx_fail(im, SW_E_UNSUPPORTED, "%s has external data, but the model did not come from a file",
                             tensor);
    SW_TRY(open_file(im, tensor, location, &map));
    if (length >= 0 && (uint64_t)length != bytes)
        return sw__onnx_fail(im, SW_E_MODEL, "%s has %lld bytes of external data, its type and shape ask for %zu",
                             tensor, (long long)length, bytes);
    if ((uint64_t)offset > map->size || bytes > map->size - (size_t)offset)
        return sw__onnx_fail(im, SW_E_MODEL, "%s has external data at bytes %lld to %llu of '%.200s', which has %zu",
                             tensor, (long long)offset, (unsigned long long)offset + bytes, location, map->size);
    *data = map->data + offset;
    return SW_OK;
}
