/* Samples are read once and kept as long as they are few: a search runs hundreds of networks over them, and archives
 * are read from front to back only. */
#include "search/samples.h"

#include <inttypes.h>
#include <string.h>

static void run_free(mary_sample_run *run)
{
    for (int i = 0; run->inputs != NULL && i < run->input_count; i++) {
        mary_free((char *)(uintptr_t)run->inputs[i].name);
        mary_free(run->inputs[i].data);
    }
    mary_free(run->inputs);
    mary_free(run->labels);
    *run = (mary_sample_run){0};
}

void mary_search_samples_free(mary_search_samples *samples)
{
    for (int64_t i = 0; samples->runs != NULL && i < samples->source->count; i++)
        run_free(&samples->runs[i]);
    mary_free(samples->runs);
    run_free(&samples->current);
    *samples = (mary_search_samples){0};
}

static mary_status measured_sample(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    const mary_sample_run *run;
    MARY_TRY(mary_search_samples_read(context, mary_search_samples_index(MARY_SAMPLES_MEASURED, index), &run));
    *inputs = run->inputs;
    *input_count = run->input_count;
    return MARY_OK;
}

mary_status mary_search_samples_create(const mary_calibration *source, const mary_goal *goal,
                                       mary_search_samples *samples)
{
    *samples =
        (mary_search_samples){.source = source, .labels = goal->labels, .kept = true, .limit = MARY_SAMPLES_KEPT};
    if (source == NULL || source->count < 1)
        return mary_fail(MARY_ERROR_USAGE,
                         "a goal needs calibration data: sample inputs, on which models are compared");
    if (source->count < 2)
        return mary_fail(MARY_ERROR_USAGE, "a goal needs calibration data for two runs or more: half of them are held "
                                           "apart");
    samples->runs = mary_calloc((size_t)source->count, sizeof *samples->runs);
    if (samples->runs == NULL)
        return mary_fail_memory((size_t)source->count * sizeof *samples->runs);
    samples->measured =
        (mary_calibration){samples, mary_search_samples_count(samples, MARY_SAMPLES_MEASURED), measured_sample};
    return MARY_OK;
}

int64_t mary_search_samples_count(const mary_search_samples *samples, mary_sample_part part)
{
    const int64_t all = samples->source->count, apart = all / 2;
    return part == MARY_SAMPLES_ALL ? all : part == MARY_SAMPLES_APART ? apart : all - apart;
}

int64_t mary_search_samples_index(mary_sample_part part, int64_t i)
{
    return part == MARY_SAMPLES_ALL ? i : 2 * i + (part == MARY_SAMPLES_APART);
}

static mary_status copy_array(const mary_array *array, mary_array *copy)
{
    *copy = *array;
    copy->name = mary_strdup(array->name == NULL ? "" : array->name);
    copy->data = mary_alloc(array->bytes);
    if (copy->name == NULL || copy->data == NULL)
        return mary_fail_memory(array->bytes);
    memcpy(copy->data, array->data, array->bytes);
    return MARY_OK;
}

/* The run that the source gives next. */
static mary_status take(mary_search_samples *samples, mary_sample_run *run)
{
    const mary_calibration *source = samples->source;
    const mary_array *inputs = NULL;
    const int64_t *labels = NULL;
    mary_status status = MARY_OK;
    int input_count = 0;
    *run = (mary_sample_run){.count = -1};
    MARY_TRY(source->sample(source->context, samples->next, &inputs, &input_count));
    samples->next++;
    run->inputs = mary_calloc((size_t)input_count + 1, sizeof *run->inputs);
    if (run->inputs == NULL)
        return mary_fail_memory((size_t)input_count * sizeof *run->inputs);
    for (int i = 0; i < input_count; i++) {
        run->input_count = i + 1;
        MARY_TRY_GOTO(copy_array(&inputs[i], &run->inputs[i]), failed);
        run->bytes += inputs[i].bytes;
    }
    if (samples->labels == NULL)
        return MARY_OK;
    MARY_TRY_GOTO(samples->labels(source->context, &labels, &run->count), failed);
    if (labels == NULL)
        return MARY_OK;
    run->labels = mary_alloc((size_t)(run->count > 0 ? run->count : 0) * sizeof *labels + 1);
    if (run->labels == NULL) {
        status = mary_fail_memory((size_t)run->count * sizeof *labels);
        goto failed;
    }
    memcpy(run->labels, labels, (size_t)(run->count > 0 ? run->count : 0) * sizeof *labels);
    return MARY_OK;
failed:
    run_free(run);
    return status;
}

/* They do not fit: from now on every pass reads them again. */
static void keep_no_more(mary_search_samples *samples)
{
    for (int64_t i = 0; i < samples->source->count; i++)
        run_free(&samples->runs[i]);
    samples->kept = false;
}

mary_status mary_search_samples_read(mary_search_samples *samples, int64_t index, const mary_sample_run **run)
{
    *run = NULL;
    if (samples->kept && samples->runs[index].inputs != NULL) {
        *run = &samples->runs[index];
        return MARY_OK;
    }
    if (index < samples->next) /* another pass */
        samples->next = 0;
    while (samples->next <= index) {
        const int64_t at = samples->next;
        run_free(&samples->current);
        MARY_TRY(take(samples, &samples->current));
        *run = &samples->current;
        if (!samples->kept)
            continue;
        samples->bytes += samples->current.bytes;
        if (samples->bytes > samples->limit) {
            keep_no_more(samples);
            continue;
        }
        samples->runs[at] = samples->current;
        samples->current = (mary_sample_run){0};
        *run = &samples->runs[at];
    }
    return MARY_OK;
}
