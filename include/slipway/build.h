/* From a model file to a plan: the build side (libslipway). */
#ifndef SLIPWAY_BUILD_H
#define SLIPWAY_BUILD_H

#include "slipway/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a trained model (its kind is told by content, not by name: ONNX, or a PyTorch checkpoint of Ultralytics or
 * YOLOv5), runs the passes and lowers it for the CPU. SW_E_IO, SW_E_MODEL, SW_E_UNSUPPORTED, SW_E_NOMEM with a
 * message. The caller gets one reference to the plan. */
SW_MUST_USE sw_status sw_plan_build(const char *path, const sw_diag *diag, sw_plan **plan);
/* The same with only the plain kernels that all others are checked against; slow. */
SW_MUST_USE sw_status sw_plan_build_reference(const char *path, const sw_diag *diag, sw_plan **plan);

#ifdef __cplusplus
}
#endif
#endif
