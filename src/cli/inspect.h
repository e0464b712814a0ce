/* What inspect prints, in its forms. */
#ifndef SLIPWAY_CLI_INSPECT_H
#define SLIPWAY_CLI_INSPECT_H

#include "cli/console.h"
#include "cli/cost.h"
#include "cli/verb.h"

/* A model that was looked into. */
typedef struct sw_report {
    const char *path;
    const sw_graph *graph;             /* as in the file, but with constants folded, so that shapes are known */
    const sw_tensor *inputs, *outputs; /* types as in the file */
    int assumed_height, assumed_width; /* of the picture, from the metadata, where the file leaves them open; else 0 */
    int nodes_in_file;
    sw_weight weight; /* as in the file */
    double flops;     /* of all nodes whose shapes are known */
    int unknown;      /* nodes that are not in it */
    bool layers;      /* print each node */
    /* What `predict` would take the model for, how it prepares pictures, and how many classes there are; NULL where it is not
     * for pictures. `refusal`: why it cannot take it; else NULL. */
    const char *task, *head, *preparation, *refusal;
    int classes;
} sw_report;

/* What would run on that GPU, and what on the CPU and why; prints. */
SW_MUST_USE sw_status sw_inspect_gpu(const sw_args *args, sw_console *console, const char *device);

void sw_report_text(const sw_report *report, sw_console *console);
void sw_report_json(const sw_report *report, sw_buf *buf);
/* Graphviz: a box a node, an edge a value. */
void sw_report_dot(const sw_report *report, sw_buf *buf);

/* A line of the metadata, cut where it is long. */
void sw_report_meta(sw_console *c, bool first, const char *key, const char *value);

/* "[1,3,height,640]"; "[...]" for unknown rank. Cut at `size`. */
void sw_report_shape(const sw_graph *graph, const sw_tensor *type, char *text, size_t size);

#endif
