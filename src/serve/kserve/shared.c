/* Tensors of requests in shared memory. Inputs are copied, so that what was checked is what is computed on. */
#include <string.h>

#include "base/str.h"
#include "serve/kserve/kserve.h"

typedef struct sw_kserve_held {
    sw_region *region;
    struct sw_kserve_held *next;
} sw_kserve_held;

bool sw_kserve_shared_parameter(const char *name, const char *value, sw_kserve_shared *shared) {
    if (!sw_str_starts_with(name, "shared_memory_")) return false;
    int64_t number;
    bool fits = sw_str_to_i64(value, strlen(value), &number) && number >= 0;
    shared->given = true;
    if (!strcmp(name, "shared_memory_region")) shared->region = value;
    if (!strcmp(name, "shared_memory_offset")) shared->offset = fits ? (uint64_t)number : UINT64_MAX;
    if (!strcmp(name, "shared_memory_byte_size")) shared->bytes = fits ? (uint64_t)number : UINT64_MAX;
    return true;
}

/* Holds the region until the request is cleared. */
static sw_serve_code hold(sw_kserve_request *k, const char *tensor, const sw_kserve_shared *shared, sw_region **region,
                          sw_serve_error *error) {
    if (!k->regions) return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "Client shared memory is disabled");
    if (!shared->region)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG, "'%.200s' has no parameter 'shared_memory_region'", tensor);
    sw_kserve_held *held = sw_kserve_take(k, sizeof *held);
    if (!held) return sw_kserve_no_memory(error);
    sw_serve_code code = sw_regions_take(k->regions, shared->region, shared->offset, shared->bytes, region, error);
    if (code != SW_SERVE_OK) return code;
    *held = (sw_kserve_held){*region, k->held};
    k->held = held;
    return SW_SERVE_OK;
}

void sw_kserve_drop_regions(sw_kserve_request *k) {
    for (; k->held; k->held = k->held->next) sw_region_drop(k->held->region);
    k->shared_bytes = 0;
}

static sw_serve_code has_shrunk(const sw_region *region, sw_serve_error *error) {
    return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                         "the memory of shared memory region '%.200s' has become smaller than what was registered",
                         sw_region_name(region));
}

sw_serve_code sw_kserve_share_input(sw_kserve_request *k, const sw_kserve_shared *shared, sw_serve_tensor *input,
                                    sw_serve_error *error) {
    int64_t count, bytes;
    sw_region *region;
    sw_serve_code code = sw_kserve_measure(input, &count, &bytes, error);
    if (code == SW_SERVE_OK) code = hold(k, input->name, shared, &region, error);
    if (code != SW_SERVE_OK) return code;
    k->shared_bytes += shared->bytes; /* of a region: far from the end of the type */
    if (k->shared_bytes > k->max_bytes)
        return sw_serve_fail(error, SW_SERVE_INVALID_ARG,
                             "the inputs in shared memory exceed the maximum allowed value of %zu bytes "
                             "(--http-max-input-size)",
                             k->max_bytes);
    void *data = sw_kserve_take(k, (size_t)shared->bytes + 1);
    if (!data) return sw_kserve_no_memory(error);
    if (!sw_region_read(region, shared->offset, data, (size_t)shared->bytes)) return has_shrunk(region, error);
    input->data = data;
    input->bytes = (size_t)shared->bytes;
    return SW_SERVE_OK;
}

sw_serve_code sw_kserve_share_output(sw_kserve_request *k, const sw_kserve_shared *shared, sw_kserve_output *output,
                                     sw_serve_error *error) {
    output->offset = shared->offset;
    output->bytes = shared->bytes;
    return hold(k, output->name, shared, &output->region, error);
}

sw_serve_code sw_kserve_write_shared(const sw_kserve_request *k, sw_serve_error *error) {
    for (int i = 0; k->held && i < k->request.n_results; i++) {
        const sw_serve_tensor *t = &k->request.results[i];
        sw_kserve_output to = sw_kserve_output_of(k, i);
        if (!to.region) continue;
        if (t->bytes > to.bytes)
            return sw_serve_fail(error, SW_SERVE_INTERNAL,
                                 "shared memory size specified with the request for output '%.200s' (%llu bytes) "
                                 "should be at least %zu bytes to hold the results",
                                 t->name, (unsigned long long)to.bytes, t->bytes);
        if (!sw_region_write(to.region, to.offset, t->data, t->bytes)) return has_shrunk(to.region, error);
    }
    return SW_SERVE_OK;
}
