/* Mini-batches: which samples, and what augmentation makes of them. Everything follows from the seed, the epoch and the
 * place in it; memory is the order of one epoch. */
#include <string.h>

#include "mary_train.h"
#include "onnx/memory.h"
#include "onnx/tensor.h"
#include "train/random.h"

struct mary_batches {
    mary_samples samples;
    mary_batch_options options;
    int64_t count;  /* elements of a sample */
    int64_t *order; /* of epoch `epoch`; NULL: not shuffled */
    int64_t epoch;  /* -1: none yet */
    float *whole;   /* one sample before it is cut */
};

enum { ORDER, AUGMENT }; /* streams of random numbers: epoch * 2 + these */

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
    const bool augmented = options->crop != 0 || options->flip;
    if (augmented && samples->rank != 3)
        return mary_fail(MARY_ERROR_USAGE, "samples of rank %d cannot be cropped or flipped, [C, H, W] can",
                         samples->rank);
    if (options->crop < 0 ||
        (options->crop > 0 && (options->crop >= samples->dims[1] || options->crop >= samples->dims[2])))
        return mary_fail(MARY_ERROR_USAGE, "images of %lld x %lld are shifted by %lld", (long long)samples->dims[1],
                         (long long)samples->dims[2], (long long)options->crop);
    mary_batches *batches = mary_calloc(1, sizeof *batches);
    if (batches == NULL)
        return mary_fail_memory(sizeof *batches);
    batches->samples = *samples;
    batches->options = *options;
    batches->count = mary_shape_count(&shape);
    batches->epoch = -1;
    const size_t bytes = (size_t)samples->samples * sizeof *batches->order;
    batches->order = options->shuffle ? mary_alloc(bytes) : NULL;
    batches->whole = augmented ? mary_alloc((size_t)batches->count * sizeof(float)) : NULL;
    if ((options->shuffle && batches->order == NULL) || (augmented && batches->whole == NULL)) {
        mary_batches_free(&batches);
        return mary_fail_memory(bytes);
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
        MARY_TRY(b->samples.sample(b->samples.context, index, b->whole != NULL ? b->whole : values, &label));
        if (b->whole != NULL) {
            const uint64_t stream = (uint64_t)epoch * 2 + AUGMENT, place = (uint64_t)(first + i) * 3;
            const int64_t reach = 2 * o->crop + 1;
            const int64_t down = mary_random_below(mary_random(o->seed, stream, place), reach) - o->crop;
            const int64_t right = mary_random_below(mary_random(o->seed, stream, place + 1), reach) - o->crop;
            const bool mirror = o->flip && mary_random(o->seed, stream, place + 2) >> 63;
            move(&b->samples, b->whole, down, right, mirror, values);
        }
        if (labels != NULL)
            labels[i] = label;
        if (indices != NULL)
            indices[i] = index;
    }
    return MARY_OK;
}
