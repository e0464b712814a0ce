/* One kernel of the text as C: KERNEL_FILE and KERNEL_ID come with the defines of kernels.inc from the build. */
#define SW_EMULATE
#include KERNEL_FILE
