#include "train/augment.h"

#include "onnx/status.h"
#include "train/random.h"

static bool images_reach(const mary_samples *samples, int64_t pixels)
{
    return pixels == 0 || (pixels > 0 && pixels < samples->dims[1] && pixels < samples->dims[2]);
}

bool mary_augments_images(const mary_augmentation *a)
{
    return a->crop != 0 || a->cutout != 0 || a->flip;
}

mary_status mary_augment_check(const mary_augmentation *a, const mary_samples *samples)
{
    if (!(a->mixup >= 0 && a->mixup <= 1))
        return mary_fail(MARY_ERROR_USAGE, "the part of the samples that is mixed is 0 to 1, not %g", a->mixup);
    if (!mary_augments_images(a))
        return MARY_OK;
    if (samples->rank != 3)
        return mary_fail(MARY_ERROR_USAGE, "samples of rank %d cannot be cropped, cut or flipped, [C, H, W] can",
                         samples->rank);
    if (!images_reach(samples, a->crop))
        return mary_fail(MARY_ERROR_USAGE, "images of %lld x %lld are shifted by %lld", (long long)samples->dims[1],
                         (long long)samples->dims[2], (long long)a->crop);
    if (!images_reach(samples, a->cutout))
        return mary_fail(MARY_ERROR_USAGE, "a square of %lld is cut from images of %lld x %lld", (long long)a->cutout,
                         (long long)samples->dims[1], (long long)samples->dims[2]);
    return MARY_OK;
}

/* `to` is `from` moved by (down, right) pixels, then mirrored; what comes from outside is zero. */
static void move(const mary_samples *samples, const float *from, int64_t down, int64_t right, bool mirror, float *to)
{
    const int64_t height = samples->dims[1], width = samples->dims[2];
    for (int64_t row = 0; row < samples->dims[0] * height; row++, to += width) {
        const int64_t y = row % height - down;
        const float *line = from + (row / height * height + y) * width;
        for (int64_t x = 0; x < width; x++) {
            const int64_t at = (mirror ? width - 1 - x : x) - right;
            to[x] = y >= 0 && y < height && at >= 0 && at < width ? line[at] : 0.0f;
        }
    }
}

/* A square of zeros around (row, column), as far as it lies in the image (DeVries and Taylor 2017). */
static void cut(const mary_samples *samples, int64_t side, int64_t row, int64_t column, float *image)
{
    const int64_t height = samples->dims[1], width = samples->dims[2];
    const int64_t top = row - side / 2, left = column - side / 2;
    for (int64_t channel = 0; channel < samples->dims[0]; channel++, image += height * width) {
        for (int64_t y = top < 0 ? 0 : top; y < top + side && y < height; y++) {
            for (int64_t x = left < 0 ? 0 : left; x < left + side && x < width; x++)
                image[y * width + x] = 0.0f;
        }
    }
}

void mary_augment_image(const mary_augmentation *a, const mary_samples *samples, uint64_t seed, uint64_t stream,
                        uint64_t place, const float *from, float *to)
{
    const int64_t reach = 2 * a->crop + 1;
    const int64_t down = mary_random_below(mary_random(seed, stream, 3 * place), reach) - a->crop;
    const int64_t right = mary_random_below(mary_random(seed, stream, 3 * place + 1), reach) - a->crop;
    move(samples, from, down, right, a->flip && mary_random(seed, stream, 3 * place + 2) >> 63, to);
    if (a->cutout > 0) {
        /* A stream of its own: the rest looks the same with cutting and without. */
        const int64_t row = mary_random_below(mary_random(seed, ~stream, 2 * place), samples->dims[1]);
        const int64_t column = mary_random_below(mary_random(seed, ~stream, 2 * place + 1), samples->dims[2]);
        cut(samples, a->cutout, row, column, to);
    }
}
