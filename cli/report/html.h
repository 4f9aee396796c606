/* Writing HTML and SVG with text that nobody vouches for: every name goes through mary_html_text. */
#ifndef MARY_CLI_REPORT_HTML_H
#define MARY_CLI_REPORT_HTML_H

#include <stdio.h>

#include "cli/validation.h"

/* Escapes & < > " and ', replaces control characters and bytes that are not UTF-8; good for text and quoted attributes.
 */
void mary_html_text(FILE *file, const char *text);

/* Histogram of a layer's float weights with its thresholds and levels, as one <svg>. */
void mary_svg_histogram(FILE *file, const mary_compared_layer *layer);
/* A bar that fills `part` (0..1) of its cell; `kind` is a CSS class. */
void mary_svg_bar(FILE *file, double part, const char *kind);

#endif
