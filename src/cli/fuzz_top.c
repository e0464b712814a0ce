/* Any bytes as metrics and as an index: rows within their limits, and rates that are numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/top.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *exact = malloc(size ? size : 1); /* so that the sanitizer sees a read behind the end */
    sw_top_sample s = {.arena = sw_arena_create(NULL, 0)};
    if (exact && s.arena) {
        if (size) memcpy(exact, data, size);
        sw_status status = sw_top_metrics(&s, exact, size);
        if (status == SW_OK) status = sw_top_index(&s, exact, size, NULL);
        sw_top_sort(&s);
        if (s.n > SW_TOP_ROWS || status == SW_E_INTERNAL) abort();
        for (int i = 0; i < s.n; i++)
            if (isnan(sw_top_compare(&s.rows[i], NULL, 1).p99_ms)) abort();
    }
    sw_arena_destroy(s.arena);
    free(exact);
    return 0;
}
