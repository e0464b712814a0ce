/* Inside media/: the built-in font's outlines, written into font_data.c by tools/make-font.
 *
 * A glyph is a string of unsigned numbers, seven bits a byte, low ones first, the high bit meaning "more follow";
 * signed ones are folded (0 -1 1 -2 2 ...). It holds: advance, number of contours, and of each contour the number
 * of points and for each point 2 * signed(dx) + on, signed(dy), from the point before (the first from 0, 0). Units
 * are 512 an em, y upwards. `on` points lie on the curve; one that is not controls a parabola, and between two
 * such lies an unwritten one half way, as in TrueType. */
#ifndef SLIPWAY_MEDIA_FONT_H
#define SLIPWAY_MEDIA_FONT_H

#include <stdint.h>

/* Glyphs in order: U+0020..U+007E, U+00A0..U+00FF. */
enum { SW__FONT_ASCII = 0x7f - 0x20, SW__FONT_GLYPHS = SW__FONT_ASCII + 0x100 - 0xa0 };
/* Units: height of capitals, and the advance of the box that stands for what the font lacks. */
enum { SW__FONT_CAPITAL = 373, SW__FONT_BOX = 320 };

extern const uint16_t sw__font_offsets[]; /* where each glyph begins */
extern const uint8_t sw__font_outlines[];

#endif
