/* Kernels: how an operator is computed on the CPU.
 *
 * kernels.inc is the one list of reference kernels: SW_KERNEL(op id, function). A kernel gets a sw_call with concrete
 * shapes; inputs hold data; outputs have type and dims as the shape rule gave them, with memory for them (no input and
 * output overlap). Outputs whose dims the rule leaves unknown have data NULL: the kernel computes the size and calls
 * c->resize first. Absent outputs are NULL. Kernels allocate scratch only through c->allocator, keep no state, and are
 * thread-safe for different outputs. */
#ifndef SLIPWAY_KERNELS_KERNEL_H
#define SLIPWAY_KERNELS_KERNEL_H

#include "ops/op.h"

typedef sw_status (*sw_kernel_fn)(const sw_call *c);

/* The reference kernel: plain C, every supported dtype. NULL when the operator has none. */
sw_kernel_fn sw_kernel_ref(sw_op op);

/* Prototypes of all of them; one that serves several operators is declared several times, which C allows. */
#define SW_KERNEL(op, function) sw_status function(const sw_call *c);
#include "kernels/kernels.inc"
#undef SW_KERNEL

#endif
