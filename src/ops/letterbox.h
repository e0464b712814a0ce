/* Where a letterboxed picture lies in its tensor: shared by the shape rule, the kernels and whoever maps
 * boxes back. */
#ifndef SLIPWAY_OPS_LETTERBOX_H
#define SLIPWAY_OPS_LETTERBOX_H

#include "ops/op.h"

/* The longest side of a picture or canvas, in pixels. */
enum { SW_LETTERBOX_MAX_SIDE = 65535 };

/* How a picture is fitted; the attributes of Letterbox. */
typedef struct sw_letterbox_rule {
    int64_t height, width; /* of the canvas */
    int64_t stride;        /* 0: the canvas as it is; else only so much of it, in multiples of the stride, */
    int64_t least_height, least_width; /* but so much, where the canvas has it */
    bool center;           /* else at the top left */
    bool scale_up;         /* else small pictures stay small */
    bool truncate;         /* scaled sizes are rounded down, else to nearest */
    bool stretch;          /* the picture fills the canvas, whatever its shape */
} sw_letterbox_rule;

typedef struct sw_letterbox_fit {
    int64_t height, width;               /* of the canvas */
    int64_t top, left;                   /* where the picture begins */
    int64_t scaled_height, scaled_width; /* of the picture on it, at least 1 */
} sw_letterbox_fit;

/* The geometry of Ultralytics' LetterBox, in doubles as Python calculates it. All sizes are at least 1. */
sw_letterbox_fit sw_letterbox_place(const sw_letterbox_rule *rule, int64_t height, int64_t width);

/* The attributes of a Letterbox call, checked. */
SW_MUST_USE sw_status sw_call_letterbox(const sw_call *c, sw_letterbox_rule *rule);

#endif
