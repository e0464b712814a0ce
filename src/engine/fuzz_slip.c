/* Fuzz target: plan files. The checksum is put right, so that the control part is read; what loads is run. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/zip.h"
#include "engine/plan_fields.h"
#include "engine/plan_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 1 << 22, MOST_MEMORY = 1 << 28 };

static void run(sw_plan *plan) {
    sw_session *session;
    sw_tensor inputs[4] = {0}, outputs[16];
    if (plan->n_inputs > 4 || plan->n_outputs > 16) return;
    bool good = true;
    for (int i = 0; i < plan->n_inputs && good; i++) {
        inputs[i] = sw_plan_input(plan, i)->type;
        int64_t bytes = sw_tensor_is_concrete(&inputs[i]) ? sw_tensor_bytes(&inputs[i]) : -1;
        good = bytes >= 0 && bytes < MOST_BYTES && (inputs[i].data = calloc(1, (size_t)bytes + 1));
    }
    sw_session_options options = {.threads = 1, .memory_limit = MOST_MEMORY};
    if (good && sw_session_create(plan, &options, NULL, &session) == SW_OK) {
        sw_status status = sw_session_run(session, inputs, outputs);
        (void)status;
        sw_session_destroy(session);
    }
    for (int i = 0; i < plan->n_inputs; i++) free(inputs[i].data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    sw_plan *plan;
    if (size < SW__PLAN_HEADER_BYTES || size > MOST_BYTES) return 0;
    uint8_t *copy = malloc(size);
    if (!copy) return 0;
    memcpy(copy, data, size);
    uint64_t control = 0;
    for (int i = 0; i < 8; i++) control |= (uint64_t)copy[24 + i] << 8 * i;
    if (control <= size - SW__PLAN_HEADER_BYTES) {
        uint32_t crc = sw_crc32(copy + SW__PLAN_HEADER_BYTES, (size_t)control);
        for (int i = 0; i < 4; i++) copy[12 + i] = (uint8_t)(crc >> 8 * i);
    }
    snprintf(path, sizeof path, "/dev/shm/fuzz-%p.slip", (void *)copy);
    if (sw_file_write(path, copy, size, NULL) == SW_OK && sw_plan_load(path, NULL, NULL, &plan) == SW_OK) {
        run(plan);
        sw_plan_unref(plan);
    }
    remove(path);
    free(copy);
    return 0;
}
