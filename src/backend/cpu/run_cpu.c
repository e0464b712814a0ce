#include "backend/cpu/cpu.h"

#include "kernels/kernel.h"

sw_status sw_cpu_run(const sw_call *call) {
    sw_kernel_fn kernel = sw_kernel_ref(call->op);
    return kernel ? kernel(call) : sw_call_unsupported(call, "there is no CPU kernel for this operator");
}
