/* The data.yaml of Ultralytics. Private to eval/. */
#ifndef SLIPWAY_EVAL_YAML_H
#define SLIPWAY_EVAL_YAML_H

#include "eval/dataset.h"

typedef struct sw__yaml_list {
    const char **items;
    size_t n;
} sw__yaml_list;

/* In an arena. */
typedef struct sw__data_yaml {
    const char *path;        /* NULL: not given */
    sw__yaml_list splits[3]; /* val, test, train: folders or files of names */
    sw_category_name *names;
    size_t n_names;
    int n_points, point_values; /* kpt_shape; 0: not given */
} sw__data_yaml;

/* SW_E_INPUT with line and column of what is no YAML. Keys that are not known are skipped. */
SW_MUST_USE sw_status sw__yaml_read(const char *path, sw_arena *arena, const sw_diag *diag, sw__data_yaml *yaml);
/* The same for a text. */
SW_MUST_USE sw_status sw__yaml_parse(const void *text, size_t size, const char *where, sw_arena *arena,
                                     const sw_diag *diag, sw__data_yaml *yaml);

#endif
