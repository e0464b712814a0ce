/* Any bytes, as a zip archive: a directory whose entries lie inside the bytes, apart and sorted, or a status and a sentence. */
#include <stdlib.h>
#include <string.h>

#include "base/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const sw_message *message) {
    *(int *)ctx += message->severity == SW_ERROR;
}

static void check(const sw_zip *zip, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < zip->n; i++) {
        const sw_zip_entry *e = &zip->entries[i];
        if (e->size && (e->data < bytes || e->size > size || e->data > bytes + size - e->size)) abort();
        if (strlen(e->name) > SW_ZIP_MAX_NAME || e->name[0] == '/' || sw_zip_find(zip, e->name) != e) abort();
        if (i && strcmp(zip->by_name[i - 1]->name, zip->by_name[i]->name) >= 0) abort();
        if (e->stored) (void)sw_zip_entry_intact(e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 28);
    int errors = 0;
    sw_diag diag = {count, &errors};
    sw_zip zip = {0};
    if (exact && arena) {
        if (size) memcpy(exact, data, size);
        sw_status status = sw_zip_read(exact, size, "fuzz", arena, &diag, &zip);
        if ((status == SW_OK) == (errors > 0)) abort();
        if (status == SW_OK) check(&zip, exact, size);
    }
    sw_arena_destroy(arena);
    free(exact);
    return 0;
}
