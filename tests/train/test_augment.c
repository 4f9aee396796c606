/* Augmented images are what they say, and every way to look happens. */
#include <string.h>

#include "tests/support/suite.h"
#include "train/augment.h"

enum { CHANNELS = 2, HEIGHT = 5, WIDTH = 4, PIXELS = CHANNELS * HEIGHT * WIDTH, TIMES = 500, STREAM = 3 };

static const mary_samples images = {.samples = 1, .rank = 3, .dims = {CHANNELS, HEIGHT, WIDTH}};

/* Pixel k is k + 1, so that zeros come from outside. */
static void augmented(const mary_augmentation *augmentation, uint64_t place, float *to)
{
    float from[PIXELS];
    for (int k = 0; k < PIXELS; k++)
        from[k] = (float)(k + 1);
    mary_augment_image(augmentation, &images, 5, STREAM, place, from, to);
}

/* The image, moved by whole pixels with zeros behind, mirrored or not. */
START_TEST(images_are_moved_and_mirrored)
{
    const mary_augmentation augmentation = {.crop = 1, .flip = true};
    int kinds[18] = {0};
    for (uint64_t place = 0; place < TIMES; place++) {
        float values[PIXELS];
        int found = 0;
        augmented(&augmentation, place, values);
        for (int kind = 0; kind < 18; kind++) {
            const int mirror = kind & 1, down = kind / 2 % 3 - 1, right = kind / 6 - 1;
            bool same = true;
            for (int k = 0; k < PIXELS && same; k++) {
                const int x = mirror ? WIDTH - 1 - k % WIDTH : k % WIDTH, from_x = x - right,
                          from_y = k / WIDTH % HEIGHT - down, channel = k / (WIDTH * HEIGHT);
                const bool inside = from_x >= 0 && from_x < WIDTH && from_y >= 0 && from_y < HEIGHT;
                const int at = (channel * HEIGHT + from_y) * WIDTH + from_x;
                same = values[k] == (inside ? (float)(at + 1) : 0.0f);
            }
            found += same;
            kinds[kind] += same;
        }
        ck_assert_int_eq(found, 1);
    }
    for (int kind = 0; kind < 18; kind++)
        ck_assert_int_gt(kinds[kind], TIMES / 18 / 2);
}
END_TEST

/* A square around any pixel, the same one in all channels; what lies over the border is not there. */
START_TEST(a_square_is_cut_out)
{
    const mary_augmentation augmentation = {.cutout = 2};
    int centres[HEIGHT][WIDTH] = {{0}};
    for (uint64_t place = 0; place < TIMES; place++) {
        float values[PIXELS];
        int found = 0;
        augmented(&augmentation, place, values);
        for (int centre = 0; centre < HEIGHT * WIDTH; centre++) {
            const int row = centre / WIDTH, column = centre % WIDTH;
            bool same = true;
            for (int k = 0; k < PIXELS && same; k++) {
                const int y = k / WIDTH % HEIGHT, x = k % WIDTH;
                const bool cut = y >= row - 1 && y <= row && x >= column - 1 && x <= column;
                same = values[k] == (cut ? 0.0f : (float)(k + 1));
            }
            found += same;
            centres[row][column] += same;
        }
        ck_assert_int_eq(found, 1);
    }
    for (int centre = 0; centre < HEIGHT * WIDTH; centre++)
        ck_assert_int_gt(centres[centre / WIDTH][centre % WIDTH], TIMES / (HEIGHT * WIDTH) / 3);
}
END_TEST

/* What is cut does not change where the rest comes from: trainings with it and without can be compared. */
START_TEST(cutting_leaves_the_rest_as_it_is)
{
    const mary_augmentation plain = {.crop = 1, .flip = true}, cut = {.crop = 1, .flip = true, .cutout = 2};
    for (uint64_t place = 0; place < TIMES; place++) {
        float whole[PIXELS], values[PIXELS];
        augmented(&plain, place, whole);
        augmented(&cut, place, values);
        for (int k = 0; k < PIXELS; k++)
            ck_assert(values[k] == whole[k] || values[k] == 0.0f);
    }
}
END_TEST

START_TEST(senseless_augmentation_is_refused)
{
    mary_samples flat = images;
    flat.rank = 1;
    assert_ok(mary_augment_check(&(mary_augmentation){0}, &flat));
    assert_ok(mary_augment_check(&(mary_augmentation){.mixup = 1}, &flat));
    assert_ok(mary_augment_check(&(mary_augmentation){.crop = 3, .cutout = 3, .flip = true, .mixup = 0.5}, &images));
    assert_fails(mary_augment_check(&(mary_augmentation){.crop = 4}, &images), MARY_ERROR_USAGE, "shifted by 4");
    assert_fails(mary_augment_check(&(mary_augmentation){.crop = -1}, &images), MARY_ERROR_USAGE, "shifted by -1");
    assert_fails(mary_augment_check(&(mary_augmentation){.cutout = 4}, &images), MARY_ERROR_USAGE, "square of 4");
    assert_fails(mary_augment_check(&(mary_augmentation){.cutout = INT64_MIN}, &images), MARY_ERROR_USAGE, "square of");
    assert_fails(mary_augment_check(&(mary_augmentation){.mixup = 1.5}, &images), MARY_ERROR_USAGE, "not 1.5");
    assert_fails(mary_augment_check(&(mary_augmentation){.mixup = __builtin_nan("")}, &images), MARY_ERROR_USAGE,
                 "nan");
    assert_fails(mary_augment_check(&(mary_augmentation){.flip = true}, &flat), MARY_ERROR_USAGE, "cannot be cropped");
}
END_TEST

MARY_TEST_MAIN("train/augment", images_are_moved_and_mirrored, a_square_is_cut_out, cutting_leaves_the_rest_as_it_is,
               senseless_augmentation_is_refused)
