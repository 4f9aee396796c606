/* Drawings of the report. Colours come from CSS classes, so that they follow the page's light or dark scheme. */
#include <math.h>

#include "cli/report/html.h"

enum { WIDTH = 640, LEFT = 8, PLOT = 150, LANE = 9, MANY = 32 };

void mary_svg_bar(FILE *file, double part, const char *kind)
{
    part = part > 0 ? part < 1 ? part : 1 : 0; /* NaN is 0 */
    fprintf(file, "<span class=\"bar %s\"><i style=\"width:%.2f%%\"></i></span>", kind, part * 100);
}

typedef struct svg_axis {
    double least, most;
} svg_axis;

static double x_of(const svg_axis *axis, double value)
{
    return LEFT + (value - axis->least) / (axis->most - axis->least) * (WIDTH - 2 * LEFT);
}

static void draw_bins(FILE *file, const mary_compared_layer *layer, const svg_axis *axis)
{
    uint32_t highest = 1;
    for (int i = 0; i < MARY_HISTOGRAM_BINS; i++)
        highest = layer->bins[i] > highest ? layer->bins[i] : highest;
    double step = ((double)layer->most - layer->least) / MARY_HISTOGRAM_BINS;
    fprintf(file, "<path class=\"bins\" d=\"M%.1f %d", x_of(axis, layer->least), PLOT);
    for (int i = 0; i < MARY_HISTOGRAM_BINS; i++) {
        double y = PLOT - (PLOT - 10) * (double)layer->bins[i] / highest;
        fprintf(file, "V%.1fH%.1f", y, x_of(axis, layer->least + step * (i + 1)));
    }
    fprintf(file, "V%dZ\"/>", PLOT);
}

/* Each level's place: a line in the histogram, and below it the stretch from the row with the smallest to the one with
 * the largest value. */
static void draw_levels(FILE *file, const mary_compared_layer *layer, const svg_axis *axis)
{
    bool many = layer->levels > MANY;
    for (int i = 0; !many && i + 1 < layer->levels; i++) {
        double x = x_of(axis, layer->thresholds[i]);
        fprintf(file, "<path class=\"threshold\" d=\"M%.1f 4V%d\"/>", x, PLOT);
    }
    for (int i = 0; i < layer->levels; i++) {
        const mary_level_spread *spread = &layer->spread[i];
        double x = x_of(axis, spread->mean);
        int lane = PLOT + 4 + (many ? 0 : i % 2 * LANE);
        fprintf(file, "<path class=\"level\" d=\"M%.1f %dV%d\"/>", x, many ? PLOT - 10 : 4, PLOT);
        if (layer->per_row && !many) {
            double from = x_of(axis, spread->least), to = x_of(axis, spread->most);
            fprintf(file, "<rect class=\"spread\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>", from,
                    lane, fmax(to - from, 1), LANE - 3);
        }
        if (!many)
            fprintf(file, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", x, lane + (LANE - 3) / 2.0);
    }
}

static void draw_axis(FILE *file, const svg_axis *axis, int bottom)
{
    double range = axis->most - axis->least;
    double step = pow(10, floor(log10(range / 4)));
    while (range / step > 8)
        step *= range / step > 16 ? 5 : 2;
    fprintf(file, "<path class=\"axis\" d=\"M%d %dH%d\"/>", LEFT, PLOT, WIDTH - LEFT);
    for (double tick = ceil(axis->least / step) * step; tick <= axis->most; tick += step) {
        double x = x_of(axis, tick), shown = fabs(tick) < step / 1e6 ? 0 : tick;
        const char *anchor = x < 30 ? "start" : x > WIDTH - 30 ? "end" : "middle";
        fprintf(file, "<path class=\"axis\" d=\"M%.1f %dv4\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.4g</text>",
                x, bottom, x, bottom + 18, anchor, shown);
    }
}

void mary_svg_histogram(FILE *file, const mary_compared_layer *layer)
{
    svg_axis axis = {layer->least, layer->most};
    for (int i = 0; i < layer->levels; i++) {
        axis.least = fmin(axis.least, layer->spread[i].least);
        axis.most = fmax(axis.most, layer->spread[i].most);
    }
    if (!layer->histogram || !isfinite(axis.most - axis.least) || axis.most <= axis.least)
        return;
    int bottom = PLOT + (layer->levels > 0 && layer->levels <= MANY ? 2 * LANE + 5 : 2);
    fprintf(file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"histogram of the weights\">", WIDTH,
            bottom + 23);
    draw_bins(file, layer, &axis);
    draw_levels(file, layer, &axis);
    draw_axis(file, &axis, bottom);
    fputs("</svg>", file);
}
