/* Mini-batches: which samples, what augmentation makes of them, and which are mixed. Everything follows from the seed,
 * the epoch and the place in it; memory is the order of one epoch. */
#include <string.h>

#include "mary_train.h"
#include "onnx/memory.h"
#include "onnx/tensor.h"
#include "train/augment.h"
#include "train/random.h"

struct mary_batches {
    mary_samples samples;
    mary_batch_options options;
    int64_t count;  /* elements of a sample */
    int64_t *order; /* of epoch `epoch`; NULL: not shuffled */
    int64_t epoch;  /* -1: none yet */
    float *whole;   /* an image before it is augmented; NULL: none is */
    float *other;   /* a sample to mix another with; NULL: none is */
};

enum { ORDER, AUGMENT }; /* streams of random numbers: epoch * 2 + these */
/* Added to them: of how samples are mixed, and of those that are mixed in. */
#define MIX (UINT64_C(1) << 62)

mary_status mary_batches_create(const mary_samples *samples, const mary_batch_options *options, mary_batches **result)
{
    mary_shape shape = {.rank = samples->rank};
    *result = NULL;
    if (samples->samples < 1 || options->batch < 1)
        return mary_fail(MARY_ERROR_USAGE, "%lld samples in batches of %lld", (long long)samples->samples,
                         (long long)options->batch);
    if (samples->rank < 0 || samples->rank > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_USAGE, "samples of rank %d", samples->rank);
    memcpy(shape.dims, samples->dims, sizeof shape.dims[0] * (size_t)samples->rank);
    MARY_TRY(mary_shape_check(&shape, "sample"));
    MARY_TRY(mary_augment_check(&options->augment, samples));
    mary_batches *batches = mary_calloc(1, sizeof *batches);
    if (batches == NULL)
        return mary_fail_memory(sizeof *batches);
    batches->samples = *samples;
    batches->options = *options;
    batches->count = mary_shape_count(&shape);
    batches->epoch = -1;
    const bool augmented = mary_augments_images(&options->augment), mixed = options->augment.mixup > 0;
    const size_t bytes = (size_t)samples->samples * sizeof *batches->order;
    const size_t sample = (size_t)batches->count * sizeof(float);
    batches->order = options->shuffle ? mary_alloc(bytes) : NULL;
    batches->whole = augmented ? mary_alloc(sample) : NULL;
    batches->other = mixed ? mary_alloc(sample) : NULL;
    if ((options->shuffle && batches->order == NULL) || (augmented && batches->whole == NULL) ||
        (mixed && batches->other == NULL)) {
        mary_batches_free(&batches);
        return mary_fail_memory(bytes + 2 * sample);
    }
    *result = batches;
    return MARY_OK;
}

void mary_batches_free(mary_batches **batches_pointer)
{
    mary_batches *batches = *batches_pointer;
    if (batches == NULL)
        return;
    mary_free(batches->order);
    mary_free(batches->whole);
    mary_free(batches->other);
    mary_free(batches);
    *batches_pointer = NULL;
}

int64_t mary_batches_count(const mary_batches *batches)
{
    const int64_t samples = batches->samples.samples, batch = batches->options.batch;
    return batches->options.drop_last ? samples / batch : (samples - 1) / batch + 1;
}

/* Fisher and Yates. */
static void shuffle(mary_batches *b, int64_t epoch)
{
    if (b->order == NULL || b->epoch == epoch)
        return;
    for (int64_t i = 0; i < b->samples.samples; i++)
        b->order[i] = i;
    for (int64_t i = b->samples.samples - 1; i > 0; i--) {
        const uint64_t random = mary_random(b->options.seed, (uint64_t)epoch * 2 + ORDER, (uint64_t)i);
        const int64_t k = mary_random_below(random, i + 1), other = b->order[k];
        b->order[k] = b->order[i];
        b->order[i] = other;
    }
    b->epoch = epoch;
}

/* Sample `index`, as it looks at a place of an epoch's stream. */
static mary_status read_sample(mary_batches *b, int64_t index, uint64_t stream, uint64_t place, float *values,
                               int64_t *label)
{
    MARY_TRY(b->samples.sample(b->samples.context, index, b->whole != NULL ? b->whole : values, label));
    if (b->whole != NULL)
        mary_augment_image(&b->options.augment, &b->samples, b->options.seed, stream, place, b->whole, values);
    return MARY_OK;
}

/* `values` keeps at least half of its own, the rest is another sample's (Zhang, Cisse, Dauphin and Lopez-Paz, mixup,
 * 2018, whose share is uniform for alpha = 1; swapping the two is the other half of it). */
static mary_status mix(mary_batches *b, uint64_t epoch, uint64_t place, float *values)
{
    const uint64_t seed = b->options.seed, stream = epoch * 2 + MIX;
    int64_t label;
    if (mary_random_unit(mary_random(seed, stream, 3 * place)) >= b->options.augment.mixup)
        return MARY_OK;
    const int64_t index = mary_random_below(mary_random(seed, stream, 3 * place + 1), b->samples.samples);
    const float share = (float)(mary_random_unit(mary_random(seed, stream, 3 * place + 2)) / 2);
    MARY_TRY(read_sample(b, index, stream + AUGMENT, place, b->other, &label));
    for (int64_t i = 0; i < b->count; i++)
        values[i] += share * (b->other[i] - values[i]);
    return MARY_OK;
}

mary_status mary_batches_read(mary_batches *batches, int64_t epoch, int64_t number, float *values, int64_t *labels,
                              int64_t *indices, int64_t *count)
{
    mary_batches *b = batches;
    const mary_batch_options *o = &b->options;
    if (epoch < 0 || number < 0 || number >= mary_batches_count(b))
        return mary_fail(MARY_ERROR_USAGE, "there is no batch %lld of epoch %lld", (long long)number, (long long)epoch);
    shuffle(b, epoch);
    const int64_t first = number * o->batch, left = b->samples.samples - first;
    *count = left < o->batch ? left : o->batch;
    for (int64_t i = 0; i < *count; i++, values += b->count) {
        const int64_t index = b->order != NULL ? b->order[first + i] : first + i;
        int64_t label = 0;
        MARY_TRY(read_sample(b, index, (uint64_t)epoch * 2 + AUGMENT, (uint64_t)(first + i), values, &label));
        if (b->other != NULL)
            MARY_TRY(mix(b, (uint64_t)epoch, (uint64_t)(first + i), values));
        if (labels != NULL)
            labels[i] = label;
        if (indices != NULL)
            indices[i] = index;
    }
    return MARY_OK;
}
