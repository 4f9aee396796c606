/* Mini-batches: every sample once an epoch, the same again from the same seed, mixed as they say. */
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
    const mary_batch_options options = {.batch = 4, .shuffle = true, .seed = 9, .augment = {2, true, 3, 0.5}};
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

/* That part of the samples, each with another one, of which less than half shows; both are augmented before. */
START_TEST(samples_are_mixed_with_others)
{
    enum { EPOCHS = 40 };
    const mary_augmentation plain = {.crop = 1, .flip = true}, mixing = {.crop = 1, .flip = true, .mixup = 0.5};
    mary_batches *alone = open_batches((mary_batch_options){.batch = SAMPLES, .seed = 5, .augment = plain});
    mary_batches *mixed = open_batches((mary_batch_options){.batch = SAMPLES, .seed = 5, .augment = mixing});
    static float values[SAMPLES * PIXELS], own[SAMPLES * PIXELS];
    int64_t labels[SAMPLES], count;
    int changed = 0, partners[SAMPLES] = {0};
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        assert_ok(mary_batches_read(alone, epoch, 0, own, labels, NULL, &count));
        assert_ok(mary_batches_read(mixed, epoch, 0, values, labels, NULL, &count));
        for (int n = 0; n < SAMPLES; n++) {
            const float *value = values + n * PIXELS, *before = own + n * PIXELS;
            /* The middle pixels of both channels come from inside: sample + k / 100 + 1, of another k where the partner
             * is moved. Their difference is that of the channels, whoever is mixed in. */
            const int middle = 2 * WIDTH + 1, second = middle + HEIGHT * WIDTH;
            ck_assert_int_eq(labels[n], n * 10);
            ck_assert_float_eq_tol(value[second] - value[middle], (float)(HEIGHT * WIDTH) / 100, 1e-4f);
            if (memcmp(value, before, PIXELS * sizeof(float)) == 0)
                continue;
            changed++;
            /* No more than half of the way to the nearest and the farthest of all. */
            ck_assert_float_ge(value[middle], before[middle] + (1 - before[middle]) / 2 - 0.1f);
            ck_assert_float_le(value[middle], before[middle] + (SAMPLES + 1 - before[middle]) / 2 + 0.1f);
            partners[n] += value[middle] > before[middle] + 0.2f ? 1 : 0;
        }
    }
    ck_assert_int_gt(changed, EPOCHS * SAMPLES * 4 / 10);
    ck_assert_int_lt(changed, EPOCHS * SAMPLES * 6 / 10);
    ck_assert_int_gt(partners[0], EPOCHS / 4); /* others than itself */
    ck_assert_int_eq(partners[SAMPLES - 1], 0);
    mary_batches_free(&alone);
    mary_batches_free(&mixed);
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
    assert_fails(mary_batches_create(&source, &(mary_batch_options){.batch = 1, .augment.crop = 4}, &batches),
                 MARY_ERROR_USAGE, "shifted by 4");
    flat.rank = 1;
    assert_fails(mary_batches_create(&flat, &(mary_batch_options){.batch = 1, .augment.flip = true}, &batches),
                 MARY_ERROR_USAGE, "cannot be cropped");
    batches = open_batches((mary_batch_options){.batch = 1});
    assert_fails(mary_batches_read(batches, 0, SAMPLES, values, labels, NULL, &count), MARY_ERROR_USAGE, "no batch 23");
    mary_batches_free(&batches);
}
END_TEST

MARY_TEST_MAIN("train/batch", an_epoch_has_every_sample_once, orders_are_equally_likely,
               batches_can_be_had_again_in_any_order, samples_are_mixed_with_others, senseless_batches_are_refused)
