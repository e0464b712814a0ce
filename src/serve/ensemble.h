/* An ensemble's steps, as its files share them. Private to serve/. */
#ifndef SLIPWAY_SERVE_ENSEMBLE_H
#define SLIPWAY_SERVE_ENSEMBLE_H

#include "serve/internal.h"

typedef struct sw__member {
    const char *model;
    int64_t version;
    int n_in, n_out;
    const char **in, **out; /* ports of the model */
    int *from, *to;         /* tensors of the ensemble */
    sw_serve_model *own;    /* a built-in step that is part of this ensemble: a reference; NULL: found by name */
    bool at_once;           /* what it gives is only read by light steps: where the results are */
    const struct sw__member *demands; /* the slipway_yolo that alone reads what it gives, to be asked what of it; NULL: none */
} sw__member;

struct sw__ensemble {
    int n_tensors, n_steps;
    const char **tensors; /* first the inputs, by the order of the configuration */
    sw__member *steps;
    int *outputs; /* by output: its tensor */
};

/* Whether names and types of the steps' ports are those of their models, whose infos these are, by step. */
SW_MUST_USE sw_serve_code sw__ensemble_check(const sw_serve_model *ensemble, const sw_serve_info *const *infos,
                                             sw_serve_error *error);
/* Makes the built-in steps that the ensemble names and no repository has. */
SW_MUST_USE sw_serve_code sw__ensemble_make_own(sw_serve_model *model, sw_serve_error *error);

#endif
