#include "engine/memory.h"

#include "unit.h"

static bool overlap(const sw_span *a, const sw_span *b) {
    bool in_time = a->first <= b->last && b->first <= a->last;
    bool in_space = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
    return in_time && in_space;
}

SW_TEST(memory_plan_reuses_what_is_dead) {
    sw_span spans[] = {{.bytes = 100, .first = 0, .last = 1},
                       {.bytes = 100, .first = 1, .last = 2},
                       {.bytes = 100, .first = 2, .last = 3}};
    int64_t total;
    CHECK_INT(sw_memory_plan(NULL, spans, 3, &total), SW_OK);
    CHECK_INT(total, 256); /* two of 128 rounded bytes live at a time */
    CHECK_INT(spans[0].offset, spans[2].offset);
}

SW_TEST(memory_plan_random_spans_never_overlap) {
    uint64_t seed = 7;
    sw_span spans[200];
    for (int i = 0; i < 200; i++) {
        int32_t first = (int32_t)(sw_test_random(&seed) % 100);
        spans[i] = (sw_span){.bytes = (int64_t)(sw_test_random(&seed) % 5000),
                             .first = first,
                             .last = first + (int32_t)(sw_test_random(&seed) % 20)};
    }
    int64_t total, sum = 0;
    CHECK_INT(sw_memory_plan(NULL, spans, 200, &total), SW_OK);
    for (int i = 0; i < 200; i++) {
        sum += spans[i].bytes;
        CHECK(spans[i].offset % SW_ALIGN == 0 && spans[i].offset + spans[i].bytes <= total);
        for (int k = 0; k < i; k++)
            if (spans[i].bytes && spans[k].bytes) CHECK(!overlap(&spans[i], &spans[k]));
    }
    CHECK(total < sum / 2);
}

SW_TEST(memory_plan_refuses_overflow) {
    sw_span spans[] = {{.bytes = INT64_MAX / 2}, {.bytes = INT64_MAX / 2}, {.bytes = INT64_MAX / 2}};
    int64_t total;
    CHECK_INT(sw_memory_plan(NULL, spans, 3, &total), SW_E_LIMIT);
    spans[0].bytes = INT64_MAX;
    CHECK_INT(sw_memory_plan(NULL, spans, 1, &total), SW_E_LIMIT);
}
