/* Any text: reading ends with a value or a status. */
#include <stdlib.h>
#include <string.h>

#include "base/pyliteral.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 28);
    sw_py value;
    if (text && arena) {
        if (size) memcpy(text, data, size);
        text[size] = 0;
        if (sw_py_parse(arena, text, &value) == SW_OK) sw_py_get(&value, "names");
    }
    sw_arena_destroy(arena);
    free(text);
    return 0;
}
