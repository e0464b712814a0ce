#include "kernels/test_run.h"

SW_TEST(proto_masks) {
    /* one prototype of 2 x 1 that goes from -1 to 1; enlarged twice: -1 -0.5 0.5 1 */
    static const float rows[] = {0, 0, 4, 2, 1, 0, 1, 2.5f, 0, 4, 1, 1, 0, 1, 0, 0, 4, 2, 1, 0, -1}, proto[] = {-1, 1};
    test_call t;
    test_call_init(&t, SW_OP_ProtoMasks, 1);
    test_call_input(&t, TEST_F32(rows, 3, 7));
    test_call_input(&t, TEST_F32(proto, 1, 1, 1, 2));
    test_call_int(&t, "scale", 2);
    CHECK_INT(test_call_run(&t), SW_OK);
    const uint8_t want[] = {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0};
    for (int i = 0; i < 24; i++) CHECK_INT(((const uint8_t *)t.y[0].data)[i], want[i]);
    test_call_free(&t);
    t.x[0].dims[1] = 8;
    CHECK_INT(test_call_rule(&t), SW_E_MODEL);
}
