#include "cli/samples.h"

#include <string.h>

#include "onnx/edit.h"
#include "runtime/shapes.h"

static mary_status sample(void *context, int64_t index, float *values, int64_t *label)
{
    const mary_cli_samples *samples = context;
    memcpy(values, samples->values + index * samples->count, (size_t)samples->count * sizeof *values);
    *label = samples->labels[index];
    return MARY_OK;
}

/* The one input that has to be fed. */
static mary_status describe_input(const mary_model *model, mary_array *input)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    const Onnx__ValueInfoProto *found = NULL;
    mary_shape shape = {0};
    for (size_t i = 0; i < graph->n_input; i++) {
        if (mary_graph_has_initializer(graph, graph->input[i]->name))
            continue;
        if (found != NULL)
            return mary_fail(MARY_ERROR_UNSUPPORTED, "the model has several inputs; one can be trained with");
        found = graph->input[i];
    }
    if (found == NULL)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the model has no inputs that data could feed");
    MARY_TRY(mary_port_describe(found, &input->type, &shape));
    if (input->type != MARY_FLOAT)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "input '%s' is %s, not float", found->name,
                         mary_type_name(input->type));
    input->name = found->name;
    input->rank = shape.rank;
    memcpy(input->dims, shape.dims, sizeof input->dims);
    return MARY_OK;
}

static mary_status allocate(mary_cli_samples *s, const mary_array *first, int64_t samples)
{
    mary_samples *callback = &s->callback;
    size_t bytes;
    *callback = (mary_samples){.context = s, .samples = samples, .rank = first->rank - 1, .sample = sample};
    memcpy(callback->dims, first->dims + 1, sizeof callback->dims[0] * (size_t)callback->rank);
    s->count = 1;
    for (int i = 0; i < callback->rank; i++)
        s->count *= callback->dims[i];
    if (!mary_size_mul((size_t)samples, (size_t)s->count * sizeof *s->values, &bytes))
        return mary_fail_memory(SIZE_MAX);
    s->values = mary_alloc(bytes);
    s->labels = mary_calloc((size_t)samples, sizeof *s->labels);
    return s->values != NULL && s->labels != NULL ? MARY_OK : mary_fail_memory(bytes);
}

static mary_status read_all(mary_cli_samples *s, mary_data *data)
{
    const int64_t samples = mary_data_count(data);
    int64_t done = 0;
    if (samples == 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: no samples to train with", mary_data_description(data));
    for (;;) {
        mary_batch batch;
        MARY_TRY(mary_data_next(data, &batch));
        if (batch.size == 0)
            break;
        if (s->values == NULL)
            MARY_TRY(allocate(s, &batch.inputs[0], samples));
        if (done + batch.size > samples)
            break;
        memcpy(s->values + done * s->count, batch.inputs[0].data, (size_t)(batch.size * s->count) * sizeof *s->values);
        for (int64_t i = 0; i < batch.size && batch.labels != NULL; i++)
            s->labels[done + i] = batch.labels[i];
        s->labelled = batch.labels != NULL;
        done += batch.size;
    }
    return done == samples ? MARY_OK : mary_fail(MARY_ERROR_INVALID, "%s: ends early", mary_data_description(data));
}

mary_status mary_cli_samples_open(mary_cli_samples *samples, const mary_data_options *options, const mary_model *model)
{
    mary_data_options reading = *options;
    mary_array input = {0};
    mary_data *data = NULL;
    *samples = (mary_cli_samples){0};
    reading.batch = 0; /* that of the training is another */
    reading.usual_batch = 256;
    MARY_TRY(describe_input(model, &input));
    mary_status status = mary_data_open(&reading, &input, 1, &data);
    if (status == MARY_OK)
        status = read_all(samples, data);
    samples->unscaled = status == MARY_OK && mary_data_unscaled(data);
    mary_data_close(&data);
    if (status != MARY_OK)
        mary_cli_samples_close(samples);
    return status;
}

void mary_cli_samples_close(mary_cli_samples *samples)
{
    mary_free(samples->values);
    mary_free(samples->labels);
    *samples = (mary_cli_samples){0};
}
