/* The CPU device, run side: which kernel runs a step, and what it needs for that. */
#ifndef SLIPWAY_BACKEND_CPU_H
#define SLIPWAY_BACKEND_CPU_H

#include "kernels/conv/conv.h"
#include "ops/op.h"

/* Weights in the form that tactics want, kept by the plan for all its sessions. Any thread. */
typedef struct sw_packs sw_packs;
sw_packs *sw_packs_create(const sw_allocator *allocator); /* NULL when out of memory */
void sw_packs_destroy(sw_packs *packs);                   /* takes NULL */

/* Packed weights of a step: those that were made, or lent. */
typedef struct sw_pack {
    int32_t step;
    const sw_conv_tactic *tactic;
    const void *data; /* aligned to 64 */
    size_t bytes;
    bool lent; /* somebody else's, who outlives the packs */
} sw_pack;
size_t sw_packs_count(const sw_packs *packs);
const sw_pack *sw_packs_get(const sw_packs *packs, size_t i); /* valid until the next one is made */
size_t sw_packs_bytes(sw_packs *packs); /* of all, lent ones, too */
/* Gives weights that are packed already. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_packs_lend(sw_packs *packs, int32_t step, const sw_conv_tactic *tactic, const void *data,
                                    size_t bytes);

/* The class of this machine, as far as it decides how long kernels take: signature, instruction sets in use, measured
 * multiply-adds a cycle, caches. Printable ASCII. Takes some milliseconds. */
void sw_cpu_class(char *text, size_t size);
/* All that decides how long a convolution takes, but for the device, as a line of printable ASCII. */
enum { SW_CPU_KEY = 320 }; /* room for a key */
void sw_cpu_conv_key(const sw_conv *conv, char *text, size_t size);
/* Names the version of the kernels: a hash of their sources and the compiler. */
const char *sw_cpu_kernels_version(void);

/* A step made ready for concrete shapes. Zeroed: a step that needs nothing. */
typedef struct sw_prepared {
    const sw_conv_tactic *tactic; /* of a channels-last convolution or a product, else NULL */
    sw_conv conv;
    const void *packed; /* owned by the packs */
    size_t scratch_bytes;
} sw_prepared;

/* A FusedConv of channels-last maps as its numbers. */
SW_MUST_USE sw_status sw_call_conv(const sw_call *call, sw_conv *conv);

/* MatMul, Gemm or FusedProduct: made ready as a convolution where its weights are constant. */
bool sw_call_is_product(const sw_call *call);
/* Whether one's weights are [columns][depth]. */
bool sw_call_is_transposed(const sw_call *call);
/* A product with constant weights as a 1x1 convolution over the rows of its first factor, which are one row of pixels. False:
 * it is not one of these, or sw_cpu_prepare would leave it to the kernels of its operator. `tactic`: as there. */
bool sw_cpu_packs_product(const sw_call *call, const char *tactic, sw_conv *conv);

/* Takes the named tactic if it runs here and accepts the shape, else (or with NULL) the cheapest, and packs weights.
 * `call`: concrete shapes, layouts and pitches; only weights need data. Of a product, only where all inputs behind the
 * first are constants. `step`: its number in the plan, under which weights are kept. Packing may allocate; preparing a
 * step again finds what is there. SW_E_MODEL when the weights are neither packed nor there, or lent ones are of another
 * size. */
SW_MUST_USE sw_status sw_cpu_prepare(const sw_call *call, int32_t step, const char *tactic, sw_packs *packs, int threads,
                                     sw_prepared *prepared);

/* Runs one step on the calling thread and call->pool. `prepared` may be NULL or zeroed where nothing was prepared;
 * `scratch` has its scratch_bytes, aligned to 64. SW_E_UNSUPPORTED where no kernel exists. */
SW_MUST_USE sw_status sw_cpu_run(const sw_call *call, const sw_prepared *prepared, void *scratch);

#endif
