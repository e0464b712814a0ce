/* The state of an evaluation. Private to eval/. */
#ifndef SLIPWAY_EVAL_STATE_H
#define SLIPWAY_EVAL_STATE_H

#include "base/arena.h"
#include "eval/eval.h"

/* Objects that own their runs and points. */
typedef struct sw__objects {
    void *items; /* sw_eval_object */
    size_t n, cap;
    sw_arena *arena;
} sw__objects;

/* How a guess fared in one range of areas: a bit for each IoU threshold. */
typedef struct sw__fate {
    uint16_t hit, ignored;
} sw__fate;

/* A guess that counts. */
typedef struct sw__record {
    double score;
    uint32_t image; /* its place among the pictures */
    uint32_t rank;  /* among the guesses of its class and picture, by score */
    sw__fate fates[SW_EVAL_AREAS];
} sw__record;

/* A class: its records, by falling score, and how many truths of each range of areas count. */
typedef struct sw__category {
    size_t first, n;
    int64_t truths[SW_EVAL_AREAS];
    size_t first_count, n_counts;
} sw__category;

/* Truths of a class in one picture that count, of all areas. */
typedef struct sw__count {
    uint32_t image;
    uint32_t truths;
} sw__count;

struct sw_eval {
    sw_eval_options options;
    double sigmas[SW_EVAL_MAX_POINTS];
    sw__objects truths, guesses;
    void *images; /* int64_t, rising without repetition after a run */
    size_t n_images, cap_images;
    sw__category *categories; /* n_classes */
    void *records, *counts;   /* sw__record, sw__count: by class */
    size_t n_records, cap_records, n_counts, cap_counts;
    sw_eval_class *classes; /* n_classes */
};

/* Likeness of a guess and a truth by the eval's kind. */
double sw__likeness(const sw_eval *eval, const sw_eval_object *guess, const sw_eval_object *truth);

/* Matches guesses with truths: fills images, categories, records and counts. SW_E_NOMEM. */
SW_MUST_USE sw_status sw__eval_match(sw_eval *eval);

#endif
