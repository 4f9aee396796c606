/* Mini-batches: every sample once an epoch, the same again from the same seed, augmentation as it says. */
#include <string.h>

#include "mary_train.h"
#include "tests/support/suite.h"

enum { SAMPLES = 23, CHANNELS = 2, HEIGHT = 5, WIDTH = 4, PIXELS = CHANNELS * HEIGHT * WIDTH };

/* Pixel k of sample n is n + k / 100 + 1; a pixel from outside is 0. */
static mary_status sample(void *context, int64_t index, float *values, int64_t *label)
{
    (void)context;
    for (int k = 0; k < PIXELS; k++)
        values[k] = (float)index + (float)k / 100 + 1;
    *label = index * 10;
    return MARY_OK;
}

static const mary_samples source = {.samples = SAMPLES, .rank = 3, .dims = {CHANNELS, HEIGHT, WIDTH}, .sample = sample};

static mary_batches *open_batches(mary_batch_options options)
{
    mary_batches *batches = NULL;
    assert_ok(mary_batches_create(&source, &options, &batches));
    return batches;
}

START_TEST(an_epoch_has_every_sample_once)
{
    for (int form = 0; form < 4; form++) {
        const bool shuffled = form & 1, drop = form & 2;
        mary_batches *batches =
            open_batches((mary_batch_options){.batch = 5, .shuffle = shuffled, .drop_last = drop, .seed = 3});
        float values[5 * PIXELS];
        int64_t labels[5], indices[5], count, first[SAMPLES], total = 0, moved = 0;
        ck_assert_int_eq(mary_batches_count(batches), drop ? 4 : 5);
        for (int64_t epoch = 0; epoch < 2; epoch++) {
            bool seen[SAMPLES] = {false};
            total = 0;
            for (int64_t number = 0; number < mary_batches_count(batches); number++) {
                assert_ok(mary_batches_read(batches, epoch, number, values, labels, indices, &count));
                ck_assert_int_eq(count, number < 4 ? 5 : 3);
                for (int64_t i = 0; i < count; i++, total++) {
                    ck_assert(!seen[indices[i]] && labels[i] == indices[i] * 10);
                    ck_assert(values[i * PIXELS] == (float)indices[i] + 1);
                    ck_assert(shuffled || indices[i] == total);
                    seen[indices[i]] = true;
                    moved += epoch > 0 && first[total] != indices[i];
                    if (epoch == 0)
                        first[total] = indices[i];
                }
            }
            ck_assert_int_eq(total, drop ? 20 : SAMPLES);
        }
        ck_assert(shuffled ? moved > 10 : moved == 0); /* another order in every epoch */
        mary_batches_free(&batches);
    }
}
END_TEST

/* Every order of three samples comes about equally often. */
START_TEST(orders_are_equally_likely)
{
    mary_samples few = source;
    few.samples = 3;
    mary_batches *batches = NULL;
    float values[3 * PIXELS];
    int64_t labels[3], indices[3], count;
    int seen[9] = {0};
    assert_ok(mary_batches_create(&few, &(mary_batch_options){.batch = 3, .shuffle = true, .seed = 1}, &batches));
    for (int64_t epoch = 0; epoch < 600; epoch++) {
        assert_ok(mary_batches_read(batches, epoch, 0, values, labels, indices, &count));
        seen[indices[0] * 3 + indices[1]]++;
    }
    for (int i = 0; i < 9; i++)
        ck_assert(i % 4 == 0 ? seen[i] == 0 : seen[i] > 60 && seen[i] < 140);
    mary_batches_free(&batches);
}
END_TEST

/* What comes depends on seed, epoch and number alone. */
START_TEST(batches_can_be_had_again_in_any_order)
{
    const mary_batch_options options = {.batch = 4, .shuffle = true, .seed = 9, .crop = 2, .flip = true};
    mary_batches *a = open_batches(options), *b = open_batches(options);
    mary_batch_options other = options;
    other.seed = 10;
    mary_batches *c = open_batches(other);
    float first[4 * PIXELS], again[4 * PIXELS];
    int64_t labels[4], count;
    bool differs = false;
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        for (int64_t number = 0; number < 5; number++) {
            assert_ok(mary_batches_read(a, epoch, number, first, labels, NULL, &count));
            assert_ok(mary_batches_read(b, 2, 4 - number, again, labels, NULL, &count));
            assert_ok(mary_batches_read(b, epoch, number, again, labels, NULL, &count));
            ck_assert(memcmp(first, again, sizeof first) == 0);
            assert_ok(mary_batches_read(c, epoch, number, again, labels, NULL, &count));
            differs = differs || memcmp(first, again, sizeof first) != 0;
        }
    }
    ck_assert(differs);
    mary_batches_free(&a);
    mary_batches_free(&b);
    mary_batches_free(&c);
}
END_TEST

/* Every image is the sample, moved by whole pixels with zeros behind, mirrored or not; and all of that happens. */
START_TEST(augmentation_moves_and_mirrors)
{
    mary_batches *batches = open_batches((mary_batch_options){.batch = SAMPLES, .seed = 5, .crop = 1, .flip = true});
    static float values[SAMPLES * PIXELS];
    int64_t labels[SAMPLES], indices[SAMPLES], count;
    int kinds[2][3][3] = {{{0}}};
    for (int64_t epoch = 0; epoch < 20; epoch++) {
        assert_ok(mary_batches_read(batches, epoch, 0, values, labels, indices, &count));
        for (int n = 0; n < SAMPLES; n++) {
            int found = 0;
            for (int kind = 0; kind < 18; kind++) {
                const int mirror = kind & 1, down = kind / 2 % 3 - 1, right = kind / 6 - 1;
                bool same = true;
                for (int k = 0; k < PIXELS && same; k++) {
                    const int x = mirror ? WIDTH - 1 - k % WIDTH : k % WIDTH, from_x = x - right,
                              from_y = k / WIDTH % HEIGHT - down, channel = k / (WIDTH * HEIGHT);
                    const bool inside = from_x >= 0 && from_x < WIDTH && from_y >= 0 && from_y < HEIGHT;
                    const int at = (channel * HEIGHT + from_y) * WIDTH + from_x;
                    same = values[n * PIXELS + k] == (inside ? (float)n + (float)at / 100 + 1 : 0.0f);
                }
                if (same)
                    kinds[mirror][down + 1][right + 1]++, found++;
            }
            ck_assert_int_eq(found, 1);
        }
    }
    for (int kind = 0; kind < 18; kind++)
        ck_assert_int_gt(kinds[kind & 1][kind / 2 % 3][kind / 6], 5);
    mary_batches_free(&batches);
}
END_TEST

START_TEST(senseless_batches_are_refused)
{
    mary_batches *batches = NULL;
    mary_samples flat = source;
    float values[PIXELS];
    int64_t labels[1], count;
    assert_fails(mary_batches_create(&source, &(mary_batch_options){.batch = 0}, &batches), MARY_ERROR_USAGE,
                 "batches of 0");
    assert_fails(mary_batches_create(&source, &(mary_batch_options){.batch = 1, .crop = 4}, &batches), MARY_ERROR_USAGE,
                 "shifted by 4");
    flat.rank = 1;
    assert_fails(mary_batches_create(&flat, &(mary_batch_options){.batch = 1, .flip = true}, &batches),
                 MARY_ERROR_USAGE, "cannot be cropped");
    batches = open_batches((mary_batch_options){.batch = 1});
    assert_fails(mary_batches_read(batches, 0, SAMPLES, values, labels, NULL, &count), MARY_ERROR_USAGE, "no batch 23");
    mary_batches_free(&batches);
}
END_TEST

MARY_TEST_MAIN("train/batch", an_epoch_has_every_sample_once, orders_are_equally_likely,
               batches_can_be_had_again_in_any_order, augmentation_moves_and_mirrors, senseless_batches_are_refused)
