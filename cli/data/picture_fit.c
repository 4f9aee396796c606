/* Scaling a picture and cutting out its middle. */
#include <math.h>
#include <string.h>

#include "cli/data/images.h"

/* Weights of the source pixels that make one pixel of a line: a triangle as wide as two pixels of the coarser grid. */
typedef struct line_filter {
    int64_t *first; /* [count] */
    float *weights; /* [count, taps] */
    int64_t taps;
} line_filter;

static void line_filter_free(line_filter *filter)
{
    mary_free(filter->first);
    mary_free(filter->weights);
}

/* `count` pixels of a line of `scaled` pixels, from `offset` on, made of `size` pixels. */
static mary_status line_filter_make(line_filter *filter, int64_t size, double scaled, double offset, int64_t count)
{
    double step = (double)size / scaled, reach = step > 1 ? step : 1;
    filter->taps = (int64_t)ceil(2 * reach) + 1;
    filter->first = mary_calloc((size_t)count, sizeof *filter->first);
    filter->weights = mary_calloc((size_t)count, (size_t)filter->taps * sizeof *filter->weights);
    if (filter->first == NULL || filter->weights == NULL)
        return mary_fail_memory((size_t)(count * filter->taps) * sizeof *filter->weights);
    for (int64_t i = 0; i < count; i++) {
        double centre = ((double)i + offset + 0.5) * step, sum = 0;
        int64_t first = (int64_t)floor(centre - reach);
        float *weights = filter->weights + i * filter->taps;
        filter->first[i] = first;
        for (int64_t t = 0; t < filter->taps; t++) {
            double distance = fabs((double)(first + t) + 0.5 - centre) / reach;
            bool inside = first + t >= 0 && first + t < size && distance < 1;
            weights[t] = inside ? (float)(1 - distance) : 0;
            sum += weights[t];
        }
        for (int64_t t = 0; t < filter->taps; t++)
            weights[t] = (float)(weights[t] / sum);
    }
    return MARY_OK;
}

static int64_t clamp(int64_t value, int64_t size)
{
    return value < 0 ? 0 : value >= size ? size - 1 : value;
}

/* Lines first, then columns; `lines` is [picture height, width, 3]. */
static void apply(const mary_picture *picture, const line_filter *across, const line_filter *down, int64_t height,
                  int64_t width, float *lines, uint8_t *to)
{
    for (int64_t y = 0; y < picture->height; y++) {
        for (int64_t x = 0; x < width * 3; x++) {
            const float *weights = across->weights + x / 3 * across->taps;
            float sum = 0;
            for (int64_t t = 0; t < across->taps; t++) {
                int64_t from = clamp(across->first[x / 3] + t, picture->width);
                sum += weights[t] * picture->pixels[(y * picture->width + from) * 3 + x % 3];
            }
            lines[y * width * 3 + x] = sum;
        }
    }
    for (int64_t y = 0; y < height; y++) {
        const float *weights = down->weights + y * down->taps;
        for (int64_t x = 0; x < width * 3; x++) {
            float sum = 0;
            for (int64_t t = 0; t < down->taps; t++)
                sum += weights[t] * lines[clamp(down->first[y] + t, picture->height) * width * 3 + x];
            to[y * width * 3 + x] = (uint8_t)fminf(fmaxf(rintf(sum), 0), 255);
        }
    }
}

mary_status mary_picture_fit(const mary_picture *picture, int64_t resize, int64_t height, int64_t width, uint8_t *to)
{
    double across = (double)width / (double)picture->width, down = (double)height / (double)picture->height;
    double factor = across > down ? across : down;
    if (resize > 0)
        factor = (double)resize / (double)(picture->width < picture->height ? picture->width : picture->height);
    double scaled_width = rint((double)picture->width * factor), scaled_height = rint((double)picture->height * factor);
    if (scaled_width < (double)width || scaled_height < (double)height)
        return mary_fail(MARY_ERROR_INVALID, "scaled to %.0f x %.0f it does not cover %lld x %lld pixels", scaled_width,
                         scaled_height, (long long)width, (long long)height);
    line_filter x_filter = {0}, y_filter = {0};
    float *lines = mary_alloc((size_t)(picture->height * width) * 3 * sizeof *lines);
    mary_status status = lines == NULL ? mary_fail_memory((size_t)(picture->height * width) * 3) : MARY_OK;
    if (status == MARY_OK)
        status =
            line_filter_make(&x_filter, picture->width, scaled_width, floor((scaled_width - (double)width) / 2), width);
    if (status == MARY_OK)
        status = line_filter_make(&y_filter, picture->height, scaled_height,
                                  floor((scaled_height - (double)height) / 2), height);
    if (status == MARY_OK)
        apply(picture, &x_filter, &y_filter, height, width, lines, to);
    line_filter_free(&x_filter);
    line_filter_free(&y_filter);
    mary_free(lines);
    return status;
}
