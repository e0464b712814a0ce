/* Pictures to tensors by rules that are given, where there is no detector that knows its model's. */
#ifndef SLIPWAY_VISION_FITTER_H
#define SLIPWAY_VISION_FITTER_H

#include "vision/detector.h"

typedef struct sw_fitter sw_fitter;

/* Letterbox: in the middle of the canvas, its sides scaled alike; stretch: over the whole canvas; crop: its short side scaled
 * to the canvas, the middle cut out. */
typedef enum sw_fit { SW_FIT_LETTERBOX, SW_FIT_STRETCH, SW_FIT_CROP } sw_fit;

typedef struct sw_fitter_options {
    int height, width; /* of the tensor */
    sw_fit fit;
    sw_dtype dtype;            /* floating: 0 to 1, or 0 to 255 when `raw`; uint8: 0 to 255; int8: those minus 128 */
    bool channels_last;        /* 1 height width 3; else 1 3 height width */
    bool bgr, raw;
    int pad;                   /* 0 to 255: what is no picture, of letterboxes */
    float mean[3], std[3];     /* floating: (value - mean) / std, in the tensor's order of channels; std 0: none */
} sw_fitter_options;

/* `diag` must live as long as the fitter. SW_E_USAGE for sizes outside 1 to 16384 and other types, SW_E_NOMEM. */
SW_MUST_USE sw_status sw_fitter_create(const sw_fitter_options *options, const sw_diag *diag, sw_fitter **fitter);
void sw_fitter_destroy(sw_fitter *fitter); /* takes NULL */
/* One thread at a time. The tensor is the fitter's, valid until its next run or end. SW_E_INPUT as sw_detector_run. */
SW_MUST_USE sw_status sw_fitter_run(sw_fitter *fitter, const sw_picture *picture, sw_tensor *tensor,
                                    sw_fitting *fitting);

#endif
