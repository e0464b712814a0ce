/* slipway val: what its files share. */
#ifndef SLIPWAY_CLI_VAL_H
#define SLIPWAY_CLI_VAL_H

#include "base/json.h"
#include "base/os.h"
#include "cli/child.h"
#include "eval/dataset.h"
#include "eval/predictions.h"
#include "vision/detector.h"

/* Right and all pictures of a class, for models of classes. */
typedef struct sw_val_class {
    int64_t images, top1, top5;
} sw_val_class;

/* Everything of one run. */
typedef struct sw_val {
    const sw_args *args;
    sw_console *console;
    const sw_diag *diag;
    const char *model, *data;
    sw_backend_net *network; /* of --backend; NULL: Slipway */
    sw_detector *detector; /* NULL: predictions come from a file */
    sw_dataset dataset;
    sw_task task;
    int n_classes;            /* the dataset's categories; those of the model where the dataset names none */
    const char **class_names; /* by category */
    int *category_of;         /* by class of the model; -1: the dataset has none such */
    bool *known;              /* by category: the model can find it */
    int n_known;
    int n_points;

    size_t limit; /* pictures to do */
    sw_eval *boxes,
        *shapes;    /* shapes: masks, keypoints, rotated boxes; boxes NULL for rotated boxes, both for classes */
    sw_eval *other; /* of --against, of the kind that is compared */
    sw_eval_result boxes_result, shapes_result;
    sw_val_class *classes;
    int64_t *confusion;        /* (n_classes + 1)^2, of classify n_classes^2 */
    double delta, interval[2]; /* of --against: the other's mAP minus this one's */
    sw_eval_result other_result;

    size_t done;
    sw_detector_times times; /* sums */
    double decode_ms;
    sw_json_writer found; /* of --save-json */
    sw_buf found_buf;
    sw_outfile *json_file, *found_file; /* opened before the work, so that a wrong path costs none */
} sw_val;

/* The rounded name of what `shapes` are: "masks", "keypoints", "rotated boxes". */
const char *sw_val_shapes(const sw_val *v);
/* The evaluation that counts: shapes if there are any. */
const sw_eval_result *sw_val_main(const sw_val *v);

/* Numbers as text and as a JSON object. */
void sw_val_print(const sw_val *v);
void sw_val_json(const sw_val *v, sw_json_writer *w);

/* pr_curve.svg and confusion_matrix.svg into a folder that is there. */
SW_MUST_USE sw_status sw_val_plots(const sw_val *v, const char *folder);

#endif
