#include "serve/kserve/regions.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/shm.h"

/* Triton keeps names with it for itself, so clients do not use them. */
static const char reserved[] = "triton_python_backend_shm_region_";

struct sw_region {
    sw_regions *regions;
    sw_region *next;
    char *name, *key; /* behind the struct */
    uint64_t offset, bytes;
    int fd, holders;
    bool leaving; /* unregistered; ends with its last holder */
};

struct sw_regions {
    pthread_mutex_t lock;
    sw_region *first;
    int n;
};

sw_regions *sw_regions_create(void) {
    sw_regions *r = sw_calloc(NULL, 1, sizeof *r);
    if (r) pthread_mutex_init(&r->lock, NULL);
    return r;
}

void sw_regions_destroy(sw_regions *r) {
    if (!r) return;
    sw_regions_remove(r, NULL);
    pthread_mutex_destroy(&r->lock);
    sw_free(NULL, r);
}

static sw_region *find(const sw_regions *r, const char *name) {
    for (sw_region *region = r->first; region; region = region->next)
        if (!strcmp(region->name, name)) return region;
    return NULL;
}

static sw_region *make(sw_regions *r, const char *name, const char *key) {
    size_t n_name = strlen(name) + 1, n_key = strlen(key) + 1;
    sw_region *made = sw_calloc(NULL, 1, sizeof *made + n_name + n_key);
    if (!made) return NULL;
    made->regions = r;
    made->name = memcpy(made + 1, name, n_name);
    made->key = memcpy(made->name + n_name, key, n_key);
    return made;
}

static sw_serve_code check(const sw_regions *r, const char *name, const char *key, uint64_t bytes,
                           sw_serve_error *error) {
    if (!strncmp(key + (*key == '/'), reserved, sizeof reserved - 1))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "cannot register shared memory region '%.200s' with key '%.200s' as the key contains the "
                             "reserved prefix '%s'",
                             name, key, reserved);
    if (find(r, name))
        return sw_serve_fail(error, SW_SERVE_ALREADY_EXISTS, "shared memory region '%.200s' already in manager", name);
    if (!*name || !bytes)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "failed to register shared memory region '%.200s': %s", name,
                             *name ? "its byte_size must be more than 0" : "it needs a name");
    if (r->n == SW_MAX_REGIONS)
        return sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "%d shared memory regions are registered, which is the most",
                             SW_MAX_REGIONS);
    return SW_SERVE_OK;
}

/* Opens the memory and checks that it is as large as the region says. */
static sw_serve_code open_memory(const char *name, const char *key, uint64_t offset, uint64_t bytes, int *fd,
                                 sw_serve_error *error) {
    uint64_t size, end;
    *fd = sw_shm_open(key, &size);
    if (*fd < 0) return sw_serve_fail(error, SW_SERVE_INTERNAL, "Unable to open shared memory region: '%.200s'", key);
    if (!__builtin_add_overflow(offset, bytes, &end) && end <= size) return SW_SERVE_OK;
    sw_shm_close(*fd);
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                         "failed to register shared memory region '%.200s': invalid args: offset %" PRIu64
                         " and byte_size %" PRIu64 " reach beyond the %" PRIu64 " bytes of '%.200s'",
                         name, offset, bytes, size, key);
}

static sw_serve_code add(sw_regions *r, const char *name, const char *key, uint64_t offset, uint64_t bytes,
                         sw_serve_error *error) {
    int fd;
    sw_serve_code code = check(r, name, key, bytes, error);
    if (code == SW_SERVE_OK) code = open_memory(name, key, offset, bytes, &fd, error);
    if (code != SW_SERVE_OK) return code;
    sw_region *made = make(r, name, key);
    if (!made) {
        sw_shm_close(fd);
        return sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "out of memory");
    }
    made->fd = fd;
    made->offset = offset;
    made->bytes = bytes;
    made->next = r->first;
    r->first = made;
    r->n++;
    return SW_SERVE_OK;
}

sw_serve_code sw_regions_add(sw_regions *r, const char *name, const char *key, uint64_t offset, uint64_t bytes,
                             sw_serve_error *error) {
    pthread_mutex_lock(&r->lock);
    sw_serve_code code = add(r, name, key, offset, bytes, error);
    pthread_mutex_unlock(&r->lock);
    return code;
}

/* Frees those that are leaving and that nobody holds. */
static void sweep(sw_regions *r) {
    for (sw_region **at = &r->first, *region; (region = *at);) {
        if (!region->leaving || region->holders) {
            at = &region->next;
            continue;
        }
        *at = region->next;
        sw_shm_close(region->fd);
        sw_free(NULL, region);
        r->n--;
    }
}

void sw_regions_remove(sw_regions *r, const char *name) {
    pthread_mutex_lock(&r->lock);
    for (sw_region *region = r->first; region; region = region->next)
        region->leaving |= !name || !strcmp(region->name, name);
    sweep(r);
    pthread_mutex_unlock(&r->lock);
}

/* -- Listing ------------------------------------------------------------------------------------------------------- */

static sw_serve_code list(const sw_regions *r, const char *name, sw_arena *arena, const sw_region_row **rows, int *n,
                          sw_serve_error *error) {
    sw_region_row *made = SW_ARENA_ARRAY(arena, sw_region_row, r->n + 1);
    *rows = made;
    *n = 0;
    if (name && !find(r, name))
        return sw_serve_fail(error, SW_SERVE_NOT_FOUND, "Unable to find system shared memory region: '%.200s'", name);
    for (const sw_region *region = r->first; made && region; region = region->next) {
        if (name && strcmp(region->name, name) != 0) continue;
        sw_region_row *row = &made[(*n)++];
        *row = (sw_region_row){sw_arena_strdup(arena, region->name), sw_arena_strdup(arena, region->key),
                               region->offset, region->bytes};
        if (!row->name || !row->key) made = NULL;
    }
    return made ? SW_SERVE_OK : sw_serve_fail(error, SW_SERVE_UNAVAILABLE, "out of memory");
}

sw_serve_code sw_regions_list(sw_regions *r, const char *name, sw_arena *arena, const sw_region_row **rows, int *n,
                              sw_serve_error *error) {
    pthread_mutex_lock(&r->lock);
    sw_serve_code code = list(r, name, arena, rows, n, error);
    pthread_mutex_unlock(&r->lock);
    return code;
}

/* -- Use ----------------------------------------------------------------------------------------------------------- */

static sw_serve_code take(const sw_regions *r, const char *name, uint64_t offset, uint64_t bytes, sw_region **region,
                          sw_serve_error *error) {
    uint64_t end;
    sw_region *found = find(r, name);
    if (!found || found->leaving)
        return sw_serve_fail(error, SW_SERVE_NOT_FOUND, "Unable to find shared memory region: '%.200s'", name);
    if (offset >= found->bytes)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "Invalid offset for shared memory region: '%.200s'", name);
    if (__builtin_add_overflow(offset, bytes, &end))
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "Integer overflow detected: byte_size (%" PRIu64 ") + offset (%" PRIu64
                             ") exceeds maximum value (%" PRIu64 ") for region '%.200s'",
                             bytes, offset, UINT64_MAX, name);
    if (end > found->bytes)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "Invalid offset + byte size for shared memory region: '%.200s'", name);
    found->holders++;
    *region = found;
    return SW_SERVE_OK;
}

sw_serve_code sw_regions_take(sw_regions *r, const char *name, uint64_t offset, uint64_t bytes, sw_region **region,
                              sw_serve_error *error) {
    pthread_mutex_lock(&r->lock);
    sw_serve_code code = take(r, name, offset, bytes, region, error);
    pthread_mutex_unlock(&r->lock);
    return code;
}

void sw_region_drop(sw_region *region) {
    sw_regions *r = region->regions;
    pthread_mutex_lock(&r->lock);
    region->holders--;
    if (region->leaving) sweep(r);
    pthread_mutex_unlock(&r->lock);
}

const char *sw_region_name(const sw_region *region) {
    return region->name;
}

bool sw_region_read(const sw_region *region, uint64_t offset, void *data, size_t bytes) {
    return sw_shm_read(region->fd, region->offset + offset, data, bytes);
}

bool sw_region_write(const sw_region *region, uint64_t offset, const void *data, size_t bytes) {
    return sw_shm_write(region->fd, region->offset + offset, data, bytes);
}
