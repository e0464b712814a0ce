/* Any bytes, as a pickle and as a checkpoint: reading ends with records or a graph that the verifier likes, or with a
 * status and a sentence. Checksums of the archive are made right first, for else nearly all mutants end there. */
#include <stdlib.h>
#include <string.h>

#include "base/zip.h"
#include "import/pt/pickle.h"
#include "import/pt/pt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const sw_message *message) {
    *(int *)ctx += message->severity == SW_ERROR;
}

/* Puts the true CRC-32 of each entry into the directory. */
static void repair(uint8_t *bytes, size_t size) {
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 28);
    sw_zip zip = {0};
    if (arena && sw_zip_read(bytes, size, "fuzz", arena, NULL, &zip) == SW_OK) {
        uint8_t *at = bytes;
        for (size_t i = 0; i < zip.n && size; i++) {
            uint8_t *header = memmem(at, size - (size_t)(at - bytes), "PK\1\2", 4);
            if (!header || size - (size_t)(header - bytes) < 46) break;
            uint32_t crc = sw_crc32(zip.entries[i].data, zip.entries[i].size);
            for (int k = 0; k < 4; k++) header[16 + k] = (uint8_t)(crc >> (8 * k));
            at = header + 46;
        }
    }
    sw_arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 28);
    int errors = 0;
    sw_diag diag = {count, &errors};
    if (!exact || !arena) goto out;
    if (size) memcpy(exact, data, size);
    const sw_pickle *root;
    if ((sw_pickle_read(exact, size, "fuzz", arena, &diag, &root) == SW_OK) != (root != NULL)) abort();
    if (!root != (errors > 0)) abort();
    repair(exact, size);
    errors = 0;
    sw_graph *graph;
    sw_status status = sw_pt_parse(exact, size, "fuzz", NULL, &diag, &graph);
    if ((status == SW_OK) != (graph != NULL) || (status == SW_OK) == (errors > 0)) abort();
    if (graph && sw_graph_verify(graph, &diag) != SW_OK) abort();
    if (graph && sw_graph_infer(graph, &diag) == SW_E_INTERNAL) abort();
    sw_graph_destroy(graph);
out:
    sw_arena_destroy(arena);
    free(exact);
    return 0;
}
