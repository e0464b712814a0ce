/* A detector from inside: detector.c makes and runs it, finish.c reads what the model gave. Private to vision/. */
#ifndef SLIPWAY_VISION_STATE_H
#define SLIPWAY_VISION_STATE_H

#include "engine/demand.h"
#include "ops/letterbox.h"
#include "vision/plans.h"

/* A picture without gaps between its rows. */
typedef struct sw__packing {
    uint8_t *bytes;
    size_t size;
} sw__packing;

struct sw_detector {
    const sw_diag *diag;
    const sw_allocator *allocator;
    sw_arena *arena;
    sw_plan *plan; /* of the model */
    sw__model model;
    const sw__head *head;
    const char *reason, *preparation;
    const char **names; /* by class id */
    int n_names, cap_names;
    int max_det;
    float conf;
    int *classes; /* the wanted ones; none: all */
    int n_classes;
    bool polygons, logits, sparse;              /* sparse: only anchors whose scores pass are decoded */
    int n_boxes_inputs, order[SW__MAX_OUTPUTS]; /* outputs of the model that `boxes` takes */
    int extra, n_points, point_values;
    sw_demand demand;       /* of the model's outputs; without rows: all are read */
    sw_session *session;    /* of the model */
    sw_network network;     /* in its place, where that is set */
    sw_session *reals;      /* makes quantised outputs real; NULL: there are none */
    sw_session *picture[2]; /* by sw_pixel_order */
    sw_session *bytes[2];   /* the same for a network that takes bytes; NULL: it does not */
    float divisor;          /* for these; 0: there are none */
    sw_session *boxes;
    bool fused; /* pictures go to the GPU as they are, and boxes come back */
    sw_session *masks; /* made for the first picture with a box */
    int64_t mask_scale;
    sw__packing packing;
    uint8_t *hot; /* by anchor: a score passes */
    size_t hot_size;
    float *candidates; /* such anchors only */
    size_t candidates_size;
    void *input; /* the model's input, where it takes more than one picture: zeros after the first */
    size_t input_size;

    /* Results, with room for max_det. */
    sw_detection *items;
    sw_mask *mask_items;
    float *keypoints;
    sw_rotated *rotated;
    sw_arena *results; /* what masks point to; anew for each picture */
};

/* From pixels of the tensor to pixels of the picture: (x - pad) / gain, in floats. */
typedef struct sw__scaling {
    float gain_x, gain_y, pad_x, pad_y;
    float width, height; /* of the picture */
    sw_letterbox_fit fit;
} sw__scaling;

/* SW_E_INPUT for what is no picture. */
SW_MUST_USE sw_status sw__picture_check(const sw_picture *picture, const sw_diag *diag);
/* The picture as a tensor; rows with gaps are copied together. */
SW_MUST_USE sw_status sw__picture_tensor(const sw_picture *picture, sw__packing *packing, const sw_allocator *allocator,
                                         const sw_diag *diag, sw_tensor *tensor);
/* How a picture lies in a tensor of that size. */
void sw__fitting_of(const sw__head *head, const sw_picture *picture, int64_t height, int64_t width,
                    sw_fitting *fitting);

/* A session of a plan, whose reference it takes. */
SW_MUST_USE sw_status sw__detector_session(sw_detector *d, sw_plan *plan, int threads, sw_session **session);
/* A buffer of at least `size` bytes, zeroed when it is new. SW_E_NOMEM. */
SW_MUST_USE sw_status sw__detector_reserve(const sw_allocator *allocator, const sw_diag *diag, void **buffer,
                                           size_t *have, size_t size);
/* Makes sure that ids below `n` have names: the model's or made-up ones. SW_E_NOMEM without a message. */
SW_MUST_USE sw_status sw__detector_name(sw_detector *d, int n);

/* Reads the outputs of a run into the results; *count gets their number. `boxes`: rows x1 y1 x2 y2 score class extra that
 * were made of them already; NULL: they are made here. */
SW_MUST_USE sw_status sw__detector_finish(sw_detector *d, const sw_tensor *outputs, const sw_tensor *boxes,
                                          const sw__scaling *s, int *count);

#endif
