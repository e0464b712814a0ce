#include "kernels/nhwc/nhwc.h"

#define SW_KERNEL(op_id, function) sw_status function(const sw_call *c);
#include "kernels/nhwc/nhwc.inc"
#undef SW_KERNEL

bool sw_nhwc_moves(sw_op op) {
    return op == SW_OP_Concat || op == SW_OP_Split || op == SW_OP_MaxPool || op == SW_OP_Resize ||
           op == SW_OP_PixelShuffle || op == SW_OP_ChannelShuffle || op == SW_OP_DepthToSpace;
}

sw_kernel_fn sw_kernel_nhwc(sw_op op) {
    static const sw_kernel_fn kernels[SW_OP_COUNT] = {
#define SW_KERNEL(op_id, function) [SW_OP_##op_id] = function,
#include "kernels/nhwc/nhwc.inc"
#undef SW_KERNEL
    };
    return (unsigned)op < SW_OP_COUNT ? kernels[op] : NULL;
}
