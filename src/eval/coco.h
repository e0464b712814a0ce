/* Readers of COCO's JSON. Private to eval/. */
#ifndef SLIPWAY_EVAL_COCO_H
#define SLIPWAY_EVAL_COCO_H

#include "eval/dataset.h"
#include "eval/predictions.h"

/* The text of an annotation file. Image paths are as in the file ("file_name"). Text need not outlive the call. */
SW_MUST_USE sw_status sw__coco_parse(const void *text, size_t size, const char *where, sw_arena *arena,
                                     const sw_diag *diag, sw_dataset *dataset);

#endif
