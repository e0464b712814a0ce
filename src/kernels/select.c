#include "kernels/kernel.h"

sw_kernel_fn sw_kernel_ref(sw_op op) {
    static const sw_kernel_fn refs[SW_OP_COUNT] = {
#define SW_KERNEL(op_id, function) [SW_OP_##op_id] = function,
#include "kernels/kernels.inc"
#undef SW_KERNEL
    };
    return (unsigned)op < SW_OP_COUNT ? refs[op] : NULL;
}
