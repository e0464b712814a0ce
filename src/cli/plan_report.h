/* What inspect prints of a plan file. */
#ifndef SLIPWAY_CLI_PLAN_REPORT_H
#define SLIPWAY_CLI_PLAN_REPORT_H

#include "cli/console.h"
#include "engine/plan.h"

typedef struct sw_plan_view {
    const char *path;
    const sw_plan *plan;
    size_t file_bytes;
    bool layers, tactics; /* print each step; how long each tactic took */
} sw_plan_view;

void sw_plan_report_text(const sw_plan_view *view, sw_console *console);
void sw_plan_report_json(const sw_plan_view *view, sw_buf *buf);

#endif
