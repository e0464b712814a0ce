/* Shapes on the command line: "images=1x3x640x640", "1:4:8x3x640x640", "480x640". */
#ifndef SLIPWAY_CLI_SHAPES_H
#define SLIPWAY_CLI_SHAPES_H

#include "cli/verb.h"
#include "slipway/build.h"

/* The words of the option --shapes as ranges in the arena. SW_E_USAGE for what cannot be read. */
SW_MUST_USE sw_status sw_shapes_parse(const sw_args *args, const sw_diag *diag, sw_build_options *options);
/* The option --batch, of verbs that have it. */
SW_MUST_USE sw_status sw_batch_parse(const sw_args *args, const sw_diag *diag, sw_build_options *options);
/* Height and width in pixels, of the value of --imgsz: "640", "480x640", "480,640", "[480, 640]"; sides stay as they are for
 * NULL. SW_E_USAGE in the name of the verb. */
SW_MUST_USE sw_status sw_sides_parse(const char *text, const char *verb, const sw_diag *diag, int sides[2]);

#endif
