/* Any bytes, as a pickle: records that can be walked, or a status and a sentence. */
#include <stdlib.h>
#include <string.h>

#include "import/pt/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const sw_message *message) {
    *(int *)ctx += message->severity == SW_ERROR;
}

/* Records may be shared and contain themselves: depth and number are bounded. */
static void walk(const sw_pickle *p, int depth, int *left) {
    if (!p || depth == 0 || --*left <= 0) return;
    if (p->text && p->text[p->length] != 0) abort();
    for (size_t i = 0; i < p->n_items && i < 8; i++) walk(p->items[i], depth - 1, left);
    for (size_t i = 0; i < p->n_pairs && i < 8; i++) walk(p->pairs[i], depth - 1, left);
    walk(p->args, depth - 1, left);
    walk(p->state, depth - 1, left);
    (void)sw_pickle_get(p, "model");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 28);
    int errors = 0, left = 4096;
    sw_diag diag = {count, &errors};
    const sw_pickle *root;
    if (exact && arena) {
        if (size) memcpy(exact, data, size);
        sw_status status = sw_pickle_read(exact, size, "fuzz", arena, &diag, &root);
        if ((status == SW_OK) != (root != NULL) || (status == SW_OK) == (errors > 0)) abort();
        walk(root, 24, &left);
    }
    sw_arena_destroy(arena);
    free(exact);
    return 0;
}
