/* An optimiser's life. Steps are element by element, so threads do not change them. */
#include "train/optimise.h"

#include <math.h>
#include <string.h>

#include "onnx/memory.h"

#define LEAST_SIZE 1e-3 /* zeros have to grow, too */

static const mary_optimiser_kind *const kinds[] = {&mary_optimise_sgd, &mary_optimise_adam, &mary_optimise_amsgrad};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const char *mary_optimiser_method(size_t index, const char **summary)
{
    if (index >= KINDS)
        return NULL;
    if (summary != NULL)
        *summary = kinds[index]->summary;
    return kinds[index]->name;
}

static mary_status check(const mary_optimiser_options *o)
{
    if (!(o->momentum >= 0 && o->momentum < 1))
        return mary_fail(MARY_ERROR_USAGE, "momentum is %g, it must be in [0, 1)", o->momentum);
    if (!(o->beta1 >= 0 && o->beta1 < 1) || !(o->beta2 >= 0 && o->beta2 < 1))
        return mary_fail(MARY_ERROR_USAGE, "beta1 and beta2 are %g and %g, they must be in [0, 1)", o->beta1, o->beta2);
    if (!(o->epsilon >= 0 && o->epsilon < 1))
        return mary_fail(MARY_ERROR_USAGE, "epsilon is %g", o->epsilon);
    if (!(o->weight_decay >= 0 && o->weight_decay < 1))
        return mary_fail(MARY_ERROR_USAGE, "the weight decay is %g", o->weight_decay);
    return MARY_OK;
}

mary_status mary_optimiser_create(mary_trainer *trainer, const mary_optimiser_options *options, mary_optimiser **result)
{
    static const mary_optimiser_options defaults;
    mary_status status = MARY_OK;
    const mary_optimiser_kind *kind = NULL;
    *result = NULL;
    if (options == NULL)
        options = &defaults;
    const char *method = options->method != NULL ? options->method : "adam";
    for (int i = 0; i < KINDS && kind == NULL; i++)
        kind = strcmp(kinds[i]->name, method) == 0 ? kinds[i] : NULL;
    if (kind == NULL)
        return mary_fail(MARY_ERROR_USAGE, "there is no optimiser '%s'", method);
    MARY_TRY(check(options));
    mary_optimiser *optimiser = mary_calloc(1, sizeof *optimiser);
    if (optimiser == NULL)
        return mary_fail_memory(sizeof *optimiser);
    optimiser->trainer = trainer;
    optimiser->kind = kind;
    optimiser->options = *options;
    optimiser->options.method = kind->name;
    if (options->beta1 == 0)
        optimiser->options.beta1 = 0.9;
    if (options->beta2 == 0)
        optimiser->options.beta2 = 0.999;
    if (options->epsilon == 0)
        optimiser->options.epsilon = 1e-8;
    if (options->relative) {
        const size_t bytes = (size_t)trainer->parameter_count * sizeof *optimiser->sizes;
        optimiser->sizes = mary_alloc(bytes);
        if (optimiser->sizes == NULL) {
            status = mary_fail_memory(bytes);
            mary_optimiser_free(&optimiser);
            return status;
        }
    }
    for (int i = 0; i < kind->states; i++) {
        optimiser->states[i] = mary_alloc_aligned(trainer->total * sizeof(float));
        if (optimiser->states[i] == NULL) {
            status = mary_fail_memory(trainer->total * sizeof(float));
            mary_optimiser_free(&optimiser);
            return status;
        }
        memset(optimiser->states[i], 0, trainer->total * sizeof(float));
    }
    *result = optimiser;
    return MARY_OK;
}

void mary_optimiser_free(mary_optimiser **optimiser_pointer)
{
    mary_optimiser *optimiser = *optimiser_pointer;
    if (optimiser == NULL)
        return;
    for (int i = 0; i < MARY_OPTIMISER_STATES; i++)
        mary_free(optimiser->states[i]);
    mary_free(optimiser->sizes);
    mary_free(optimiser);
    *optimiser_pointer = NULL;
}

typedef struct stepping {
    const mary_optimiser *optimiser;
    double rate;
} stepping;

static void step_slice(const mary_optimiser *o, int64_t begin, int64_t end, double rate)
{
    mary_optimiser_slice slice = {.values = o->trainer->values + begin,
                                  .gradients = o->trainer->gradients + begin,
                                  .count = end - begin,
                                  .step = o->steps,
                                  .rate = rate,
                                  .options = &o->options};
    for (int i = 0; i < o->kind->states; i++)
        slice.states[i] = o->states[i] + begin;
    o->kind->step(&slice);
}

static void task(void *context, int64_t begin, int64_t end, int thread)
{
    const stepping *s = context;
    const mary_optimiser *o = s->optimiser;
    (void)thread;
    if (o->sizes == NULL) {
        step_slice(o, begin, end, s->rate);
        return;
    }
    for (int i = 0; i < o->trainer->parameter_count; i++) {
        const mary_trained *p = &o->trainer->parameters[i];
        const int64_t first = (int64_t)p->offset, last = first + p->count;
        const int64_t from = first > begin ? first : begin, to = last < end ? last : end;
        if (from < to)
            step_slice(o, from, to, s->rate * o->sizes[i]);
    }
}

static double size_of(const float *values, int64_t count)
{
    double squares = 0;
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        squares += (double)values[i] * (double)values[i];
        kept += values[i] != 0;
    }
    return kept > 0 ? fmax(sqrt(squares / (double)kept), LEAST_SIZE) : LEAST_SIZE;
}

mary_status mary_optimiser_step(mary_optimiser *optimiser, double rate)
{
    if (!(rate >= 0 && rate < 1e6))
        return mary_fail(MARY_ERROR_USAGE, "the learning rate is %g", rate);
    const mary_trainer *trainer = optimiser->trainer;
    for (int i = 0; optimiser->sizes != NULL && i < trainer->parameter_count; i++)
        optimiser->sizes[i] = size_of(trainer->values + trainer->parameters[i].offset, trainer->parameters[i].count);
    optimiser->steps++;
    stepping s = {optimiser, rate};
    mary_parallel_for(mary_threads_parallel(trainer->threads), (int64_t)trainer->total, 16384, task, &s);
    return MARY_OK;
}

mary_status mary_optimiser_moment(const mary_optimiser *optimiser, int parameter, float *moment)
{
    const mary_optimiser_kind *kind = optimiser->kind;
    if (kind->moment < 0)
        return mary_fail(MARY_ERROR_USAGE, "the optimiser '%s' keeps no second moment", kind->name);
    if (optimiser->steps == 0)
        return mary_fail(MARY_ERROR_USAGE, "there is no second moment before the first step");
    if (parameter < 0 || parameter >= optimiser->trainer->parameter_count)
        return mary_fail(MARY_ERROR_USAGE, "there is no parameter number %d", parameter);
    const mary_trained *p = &optimiser->trainer->parameters[parameter];
    const float *from = optimiser->states[kind->moment] + p->offset;
    const float correction = (float)(1 / (1 - pow(optimiser->options.beta2, (double)optimiser->steps)));
    for (int64_t i = 0; i < p->count; i++)
        moment[i] = correction * from[i];
    return MARY_OK;
}
