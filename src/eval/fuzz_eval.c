/* Fuzz target: annotation files, predictions, data.yaml; the first byte chooses. */
#include <stdint.h>

#include "eval/coco.h"
#include "eval/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sw_arena *arena = sw_arena_create(NULL, (size_t)1 << 28);
    if (!size || !arena) {
        sw_arena_destroy(arena);
        return 0;
    }
    sw_dataset dataset = {0};
    sw_predictions predictions;
    sw__data_yaml yaml;
    sw_status status;
    switch (data[0] % 3) {
    case 0:
        status = sw__coco_parse(data + 1, size - 1, "fuzz", arena, NULL, &dataset);
        break;
    case 1:
        status = sw_predictions_parse(data + 1, size - 1, "fuzz", arena, NULL, &predictions);
        break;
    default:
        status = sw__yaml_parse(data + 1, size - 1, "fuzz", arena, NULL, &yaml);
    }
    (void)status;
    sw_arena_destroy(arena);
    return 0;
}
