/* Statistics of activations, gathered while the float model runs. One pass describes, one counts. */
#include "convert/calibrate/collect.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { REFERENCE_BATCHES = 128 };
#define REFERENCE_BYTES ((size_t)64 << 20) /* of outputs kept to measure candidates by */

void mary_statistics_free(mary_statistics *statistics)
{
    for (size_t i = 0; i < statistics->count; i++) {
        mary_free(statistics->values[i].name);
        mary_histogram_free(&statistics->values[i].histogram);
        mary_free(statistics->values[i].channel_sums);
        mary_free(statistics->values[i].channel_most);
    }
    for (size_t i = 0; i < statistics->reference_count; i++)
        mary_array_free(&statistics->references[i]);
    for (size_t i = 0; i < statistics->output_count; i++)
        mary_free(statistics->outputs[i]);
    mary_free(statistics->outputs);
    mary_free(statistics->references);
    mary_free(statistics->energies);
    mary_free(statistics->values);
    mary_names_free(&statistics->names);
    *statistics = (mary_statistics){0};
}

mary_statistics_value *mary_statistics_find(const mary_statistics *statistics, const char *name)
{
    size_t position;
    return mary_names_get(&statistics->names, name, &position) ? &statistics->values[position] : NULL;
}

mary_status mary_calibration_session(const mary_model *model, const mary_settings *settings, bool observed,
                                     mary_session **session)
{
    mary_model *copy = NULL;
    const mary_session_options options = {.threads = settings->threads, .no_fusion = observed};
    MARY_TRY(mary_model_copy(model, &copy));
    mary_status status = mary_session_create(&copy, &options, session);
    return status == MARY_OK ? status : mary_fail_context(status, "the model does not run, so it cannot be calibrated");
}

/* The inputs of run `index`. Values that are not finite are refused. */
mary_status mary_calibration_inputs(const mary_settings *settings, int64_t index, const mary_array **inputs, int *count)
{
    const mary_calibration *calibration = settings->options->calibration;
    *inputs = NULL;
    *count = 0;
    MARY_TRY(calibration->sample(calibration->context, index, inputs, count));
    for (int i = 0; i < *count; i++) {
        const mary_array *array = &(*inputs)[i];
        const float *values = array->data;
        for (size_t k = 0; array->type == MARY_FLOAT && k < array->bytes / sizeof *values; k++) {
            if (!isfinite(values[k]))
                return mary_fail(MARY_ERROR_INVALID,
                                 "calibration run %" PRId64 ": input '%s' has the value %g at position %zu", index,
                                 array->name, (double)values[k], k);
        }
    }
    return MARY_OK;
}

static mary_status add_value(mary_statistics *statistics, const mary_array *array)
{
    if (mary_statistics_find(statistics, array->name) != NULL)
        return MARY_OK;
    if (!mary_reserve((void **)&statistics->values, &statistics->capacity, statistics->count + 1,
                      sizeof *statistics->values))
        return mary_fail_memory(sizeof *statistics->values);
    mary_statistics_value *value = &statistics->values[statistics->count];
    *value = (mary_statistics_value){.name = mary_strdup(array->name), .type = array->type, .shape.rank = array->rank};
    if (value->name == NULL)
        return mary_fail_memory(strlen(array->name));
    memcpy(value->shape.dims, array->dims, sizeof value->shape.dims);
    statistics->count++;
    return mary_names_put(&statistics->names, value->name, statistics->count - 1);
}

static mary_status describe_value(void *context, const char *node, const mary_array *value)
{
    (void)node;
    return add_value(context, value);
}

mary_status mary_statistics_create(const mary_model *model, const mary_settings *settings, mary_statistics *statistics)
{
    mary_session *session = NULL;
    const mary_array *inputs;
    int count;
    *statistics = (mary_statistics){0};
    mary_status status = mary_calibration_session(model, settings, true, &session);
    if (status != MARY_OK)
        return status;
    MARY_TRY_GOTO(mary_calibration_inputs(settings, 0, &inputs, &count), done);
    for (int i = 0; i < count; i++)
        MARY_TRY_GOTO(add_value(statistics, &inputs[i]), done);
    MARY_TRY_GOTO(mary_session_observe(session, inputs, count, NULL, 0, describe_value, statistics), done);
    const Onnx__GraphProto *graph = model->proto->graph;
    statistics->outputs = mary_calloc(graph->n_output, sizeof *statistics->outputs);
    statistics->energies = mary_calloc(graph->n_output, sizeof *statistics->energies);
    if (statistics->outputs == NULL || statistics->energies == NULL) {
        status = mary_fail_memory(graph->n_output);
        goto done;
    }
    for (size_t i = 0; i < graph->n_output; i++) {
        statistics->outputs[i] = mary_strdup(graph->output[i]->name);
        if (statistics->outputs[i] == NULL) {
            status = mary_fail_memory(1);
            goto done;
        }
        statistics->output_count++;
    }
done:
    mary_session_free(&session);
    return status;
}

/* ---- counting ---- */

typedef struct collection {
    mary_statistics *statistics;
    bool keep; /* outputs of this batch are references */
} collection;

static mary_status add_channels(mary_statistics_value *value, const mary_array *array)
{
    int axis = value->channel_axis;
    if (array->rank <= axis)
        return MARY_OK;
    int64_t channels = array->dims[axis], outer = 1, inner = 1;
    for (int i = 0; i < axis; i++)
        outer *= array->dims[i];
    for (int i = axis + 1; i < array->rank; i++)
        inner *= array->dims[i];
    if (value->channel_sums == NULL) {
        value->channel_sums = mary_calloc((size_t)channels, sizeof *value->channel_sums);
        value->channel_most = mary_calloc((size_t)channels, sizeof *value->channel_most);
        if (value->channel_sums == NULL || value->channel_most == NULL)
            return mary_fail_memory((size_t)channels * sizeof *value->channel_sums);
        value->channels = channels;
    }
    if (channels != value->channels)
        return MARY_OK;
    const float *data = array->data;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0;
            float most = value->channel_most[c];
            for (int64_t i = 0; i < inner; i++) {
                float x = isfinite(data[i]) ? data[i] : 0;
                sum += (double)x;
                most = fabsf(x) > most ? fabsf(x) : most;
            }
            value->channel_sums[c] += sum;
            value->channel_most[c] = most;
            data += inner;
        }
    }
    value->channel_count += (uint64_t)(outer * inner);
    return MARY_OK;
}

static int output_position(const mary_statistics *statistics, const char *name)
{
    for (size_t i = 0; i < statistics->output_count; i++) {
        if (strcmp(statistics->outputs[i], name) == 0)
            return (int)i;
    }
    return -1;
}

static mary_status keep_reference(mary_statistics *statistics, int output, const mary_array *array)
{
    mary_array *to =
        &statistics->references[(size_t)statistics->reference_batches * statistics->output_count + (size_t)output];
    const float *values = array->data;
    if (array->type != MARY_FLOAT || to->data != NULL)
        return MARY_OK;
    *to = *array;
    to->name = NULL;
    to->data = mary_alloc(array->bytes);
    if (to->data == NULL)
        return mary_fail_memory(array->bytes);
    memcpy(to->data, array->data, array->bytes);
    statistics->reference_bytes += array->bytes;
    for (size_t i = 0; i < array->bytes / sizeof *values; i++)
        statistics->energies[output] += isfinite(values[i]) ? (double)values[i] * (double)values[i] : 0;
    return MARY_OK;
}

static mary_status see(void *context, const char *node, const mary_array *array)
{
    collection *c = context;
    mary_statistics_value *value = mary_statistics_find(c->statistics, array->name);
    int output = c->keep ? output_position(c->statistics, array->name) : -1;
    (void)node;
    if (output >= 0)
        MARY_TRY(keep_reference(c->statistics, output, array));
    if (value == NULL || array->type != MARY_FLOAT)
        return MARY_OK;
    if (value->wanted)
        MARY_TRY(mary_histogram_add(&value->histogram, array->data, (int64_t)(array->bytes / sizeof(float))));
    if (value->channel_axis > 0)
        MARY_TRY(add_channels(value, array));
    return MARY_OK;
}

static mary_status room_for_references(mary_statistics *statistics)
{
    size_t needed = statistics->reference_count + statistics->output_count;
    if (statistics->output_count == 0)
        return MARY_OK;
    if (!mary_reserve((void **)&statistics->references, &statistics->reference_capacity, needed,
                      sizeof *statistics->references))
        return mary_fail_memory(sizeof *statistics->references);
    memset(statistics->references + statistics->reference_count, 0,
           statistics->output_count * sizeof *statistics->references);
    statistics->reference_count = needed;
    return MARY_OK;
}

/* Which values have to be reported: those wanted, and the outputs. */
static mary_status list_names(const mary_statistics *statistics, const char ***names, int *count)
{
    *count = 0;
    *names = mary_alloc((statistics->count + statistics->output_count + 1) * sizeof **names);
    if (*names == NULL)
        return mary_fail_memory(statistics->count * sizeof **names);
    for (size_t i = 0; i < statistics->count; i++) {
        if (statistics->values[i].wanted || statistics->values[i].channel_axis > 0)
            (*names)[(*count)++] = statistics->values[i].name;
    }
    for (size_t i = 0; i < statistics->output_count; i++)
        (*names)[(*count)++] = statistics->outputs[i];
    return MARY_OK;
}

mary_status mary_statistics_collect(mary_statistics *statistics, const mary_model *model, const mary_settings *settings)
{
    mary_session *session = NULL;
    const char **names = NULL;
    int name_count;
    mary_status status = mary_calibration_session(model, settings, true, &session);
    if (status != MARY_OK)
        return status;
    MARY_TRY_GOTO(list_names(statistics, &names, &name_count), done);
    for (; statistics->batches < settings->options->calibration->count; statistics->batches++) {
        const mary_array *inputs;
        int count;
        MARY_TRY_GOTO(mary_calibration_inputs(settings, statistics->batches, &inputs, &count), done);
        collection c = {statistics, statistics->batches < REFERENCE_BATCHES &&
                                        statistics->reference_bytes < REFERENCE_BYTES &&
                                        statistics->reference_batches == statistics->batches};
        if (!c.keep && (size_t)name_count == statistics->output_count)
            break; /* nothing is wanted but references */
        if (c.keep)
            MARY_TRY_GOTO(room_for_references(statistics), done);
        for (int i = 0; i < count; i++)
            MARY_TRY_GOTO(see(&c, "", &inputs[i]), done);
        status = mary_session_observe(session, inputs, count, names, name_count, see, &c);
        if (status != MARY_OK) {
            mary_fail_context(status, "calibration run %" PRId64, statistics->batches);
            goto done;
        }
        statistics->reference_batches += c.keep;
    }
done:
    mary_free(names);
    mary_session_free(&session);
    return status;
}
