#include "ops/op.h"
#include "unit.h"

/* What runs graphs finds them by place. */
SW_TEST(op_bodies_come_first) {
    for (int op = 0; op < SW_OP_COUNT; op++) {
        const sw_op_info *info = sw_op_get((sw_op)op);
        for (int i = 0; i < info->n_attrs; i++)
            CHECK_INT(info->attrs[i].type == SW_ATTR_BODY, i < sw_op_bodies((sw_op)op));
        CHECK(sw_op_bodies((sw_op)op) <= info->n_attrs);
    }
}
