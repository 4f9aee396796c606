/* How far the outputs of layers moved: both models are fed the same samples, unfused, and observed. */
#include <string.h>

#include "validate/validation.h"

typedef struct observation {
    mary_validation *validation;
    mary_array *kept; /* [layers]: what the first model computed; data == NULL: nothing yet */
    int64_t rows, size;
    bool second;
} observation;

/* What the bytes of `value` stand for, as floats that the caller frees. */
static mary_status expand(const mary_compared_layer *layer, const mary_array *value, mary_array *floats)
{
    *floats = *value;
    floats->type = MARY_FLOAT;
    floats->bytes = value->bytes * sizeof(float);
    floats->data = mary_alloc(floats->bytes);
    if (floats->data == NULL)
        return mary_fail_memory(floats->bytes);
    for (size_t i = 0; i < value->bytes; i++)
        ((float *)floats->data)[i] = layer->scale * (float)(((const uint8_t *)value->data)[i] - layer->zero_point);
    return MARY_OK;
}

static mary_status observe(void *context, const char *node, const mary_array *value)
{
    observation *seen = context;
    (void)node;
    for (size_t i = 0; i < seen->validation->layer_count; i++) {
        mary_compared_layer *layer = &seen->validation->layers[i];
        mary_array *kept = &seen->kept[i];
        bool stored = seen->second && layer->stored != NULL;
        if (strcmp(stored ? layer->stored : layer->output, value->name) != 0)
            continue;
        if (!seen->second) {
            mary_free(kept->data);
            *kept = *value;
            kept->data = mary_alloc(value->bytes);
            if (kept->data == NULL)
                return mary_fail_memory(value->bytes);
            memcpy(kept->data, value->data, value->bytes);
            return MARY_OK;
        }
        if (kept->data == NULL)
            return MARY_OK;
        kept->name = layer->output;
        mary_array a = *kept, b = *value;
        if (stored && value->type == MARY_UINT8)
            MARY_TRY(expand(layer, value, &b));
        void *expanded = b.data != value->data ? b.data : NULL;
        if (a.rank > 0 && b.rank > 0 && a.dims[0] == seen->rows && b.dims[0] == seen->rows)
            a.dims[0] = b.dims[0] = seen->size; /* rows that only fill a fixed batch do not count */
        layer->measured = true;
        mary_status status = mary_similarity_add(&layer->similarity, &a, &b);
        mary_free(expanded);
        return status;
    }
    return MARY_OK;
}

static mary_status observe_all(const mary_validation_data *data, mary_opened_model *models, const char **names[2],
                               observation *seen, int64_t samples)
{
    int count = (int)seen->validation->layer_count;
    uint64_t *done = &seen->validation->layer_samples;
    while (*done < (uint64_t)samples) {
        mary_validation_batch batch;
        MARY_TRY(mary_compare_next(data, samples - (int64_t)*done, &batch));
        if (batch.size == 0)
            break;
        seen->rows = batch.rows;
        seen->size = batch.size;
        for (int m = 0; m < 2; m++) {
            seen->second = m == 1;
            MARY_TRY(mary_session_observe(models[m].session, batch.inputs, batch.input_count, names[m], count, observe,
                                          seen));
        }
        *done += (uint64_t)batch.size;
    }
    return MARY_OK;
}

mary_status mary_compared_layers_measure(const mary_model_source sources[2], const mary_validation_data *data,
                                         const mary_validate_options *options, int64_t samples,
                                         mary_validation *validation)
{
    size_t count = validation->layer_count;
    if (count == 0 || count > INT32_MAX)
        return MARY_OK;
    mary_session_options unfused = options->session;
    unfused.no_fusion = true;
    mary_opened_model models[2] = {0};
    mary_array *inputs = NULL;
    const char **names[2] = {mary_calloc(count, sizeof **names), mary_calloc(count, sizeof **names)};
    observation seen = {.validation = validation, .kept = mary_calloc(count, sizeof *seen.kept)};
    mary_status status = MARY_OK;
    if (names[0] == NULL || names[1] == NULL || seen.kept == NULL) {
        status = mary_fail_memory(count * sizeof *seen.kept);
        goto done;
    }
    for (size_t i = 0; i < count; i++)
        names[0][i] = names[1][i] = validation->layers[i].output;
    for (size_t i = 0; i < count; i++) {
        if (validation->layers[i].stored != NULL)
            names[1][i] = validation->layers[i].stored;
    }
    for (int m = 0; m < 2; m++)
        MARY_TRY_GOTO(mary_opened_model_open(&models[m], &sources[m], &unfused), done);
    MARY_TRY_GOTO(mary_compare_inputs(&models[0], &models[1], &inputs), done);
    MARY_TRY_GOTO(data->begin(data->context, inputs, models[0].input_count, samples), done);
    status = observe_all(data, models, names, &seen, samples);
done:
    for (size_t i = 0; i < count && seen.kept != NULL; i++)
        mary_free(seen.kept[i].data);
    mary_free(seen.kept);
    mary_free(names[0]);
    mary_free(names[1]);
    mary_free(inputs);
    mary_opened_model_close(&models[0]);
    mary_opened_model_close(&models[1]);
    return status;
}
