/* Looking into a session: what profiles and the tuner need. Otherwise as slipway/plan.h. */
#ifndef SLIPWAY_ENGINE_SESSION_H
#define SLIPWAY_ENGINE_SESSION_H

#include "engine/instance.h"

/* Is told of every step that a run does: its number in the plan, and its begin and end by sw_clock_ns. */
typedef struct sw_watch {
    void (*step)(void *ctx, size_t step, int64_t begin_ns, int64_t end_ns);
    void *ctx;
} sw_watch;
/* From now on; a zeroed one ends it. While nobody watches, it costs nothing. */
void sw_session_watch(sw_session *session, sw_watch watch);

/* How many shapes of inputs it keeps what it made for; as they come and go, 8. On a GPU, where each takes much, it stays so;
 * on the CPU more are kept while they take no more than 256 MiB. SW_E_NOMEM. */
SW_MUST_USE sw_status sw_session_keep_shapes(sw_session *session, int n);

/* Bytes that it holds on the CPU besides its plan: for tensors, and for what it made of the plan for shapes. */
int64_t sw_session_bytes(const sw_session *session);

/* What the session made of the plan for the shapes of its last run; NULL before. Valid until the next run. The caller may
 * change how steps are prepared, if the session has scratch for that. */
sw_instance *sw_session_instance(sw_session *session);
/* The GPU of a session and the program of its last run; NULL on the CPU, or before. */
struct sw_gpu;
struct sw_gpu_program;
struct sw_gpu *sw_session_gpu(sw_session *session, struct sw_gpu_program **program);
/* From the next run on only what the demand says is read of the outputs (NULL: all of them). Ignored on GPUs, and by plans of
 * reference kernels. What is made for shapes is kept for both; other thresholds cost nothing. */
void sw_session_demand(sw_session *session, const sw_demand *demand);
/* Gives a session on a GPU both ends of a detector, as sw_gpu_ends_create; nothing, and why, where they cannot be had. */
SW_MUST_USE sw_status sw_session_set_ends(sw_session *session, sw_plan *const pictures[2], sw_plan *boxes, int output,
                                          const char **why);
/* Runs on a picture, uint8 [height][width][3], in the order of pixels whose plan was given as `order`. *canvas: the network's
 * input without data. *rows as sw_gpu_run_ends: data NULL when it was not run; outputs other than that of the boxes are set. */
SW_MUST_USE sw_status sw_session_run_picture(sw_session *session, const sw_tensor *picture, int order, sw_tensor *canvas,
                                             sw_tensor *rows, sw_tensor *outputs);
/* Whether the only input is a picture of three planes that nothing but a convolution reads, which takes bytes as well. */
bool sw_session_takes_bytes(const sw_session *session);
/* As sw_session_run of a session that does, on bytes [1][height][width][3], each of which stands for a `divisor`th. */
SW_MUST_USE sw_status sw_session_run_bytes(sw_session *session, const sw_tensor *bytes, float divisor,
                                           sw_tensor *outputs);
/* Scratch memory for steps in place of the session's own; the caller's. NULL: the session's own again. */
void sw_session_use_scratch(sw_session *session, void *scratch);
sw_pool *sw_session_pool(sw_session *session);

/* A session for a graph within the plan of another session, which lends its pool. */
struct sw_control_host;
SW_MUST_USE sw_status sw_session_create_within(sw_plan *plan, const struct sw_control_host *host, sw_session **session);

#endif
