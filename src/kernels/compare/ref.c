/* Comparisons and logic of two arrays, with numpy broadcasting. */
#include "kernels/dtype.h"
#include "kernels/kernel.h"
#include "kernels/rows.h"
#include "kernels/wide.h"

#define ROW(op, s, T, C, expr) SW_ROW2(op##_##s, T, C, uint8_t, sw__load_##s, sw__store_b8, expr)

#define EQUAL_ROW(dtype, s, T, C) ROW(Equal, s, T, C, x == y)
#define ORDER_ROWS(dtype, s, T, C)                                                                                     \
    ROW(Less, s, T, C, x < y)                                                                                          \
    ROW(LessOrEqual, s, T, C, x <= y)                                                                                  \
    ROW(Greater, s, T, C, x > y)                                                                                       \
    ROW(GreaterOrEqual, s, T, C, x >= y)
#define LOGIC_ROWS(dtype, s, T, C)                                                                                     \
    ROW(And, s, T, C, (x) & (y))                                                                                       \
    ROW(Or, s, T, C, x | y)                                                                                            \
    ROW(Xor, s, T, C, x ^ y)
SW_ALL_TYPES(EQUAL_ROW)
SW_NUMBER_TYPES(ORDER_ROWS)
SW_BOOL_TYPES(LOGIC_ROWS)

#define EQUAL_ENTRY(dtype, s, T, C) [SW_OP_Equal][dtype] = Equal_##s,
#define ORDER_ENTRIES(dtype, s, T, C)                                                                                  \
    [SW_OP_Less][dtype] = Less_##s, [SW_OP_LessOrEqual][dtype] = LessOrEqual_##s,                                      \
    [SW_OP_Greater][dtype] = Greater_##s, [SW_OP_GreaterOrEqual][dtype] = GreaterOrEqual_##s,
#define LOGIC_ENTRIES(dtype, s, T, C)                                                                                  \
    [SW_OP_And][dtype] = And_##s, [SW_OP_Or][dtype] = Or_##s, [SW_OP_Xor][dtype] = Xor_##s,
/* clang-format off */
static const sw_row2 rows[SW_OP_COUNT][SW_DTYPE_COUNT] = {
    SW_ALL_TYPES(EQUAL_ENTRY)
    SW_NUMBER_TYPES(ORDER_ENTRIES)
    SW_BOOL_TYPES(LOGIC_ENTRIES)
};
/* clang-format on */

sw_status sw__compare_ref(const sw_call *c) {
    sw_row2 row = rows[c->op][c->in[0]->dtype];
    if (!row) return sw__refuse_dtype(c, c->in[0]->dtype);
    sw__row2_run(c->pool, row, c->in[0], c->in[1], c->out[0]);
    return SW_OK;
}
