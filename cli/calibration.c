#include "cli/calibration.h"

#include <string.h>

#include "onnx/edit.h"
#include "runtime/shapes.h"

/* What has to be fed: inputs that no initializer fills. */
static mary_status describe_inputs(mary_cli_calibration *calibration, const mary_model *model)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    calibration->inputs = mary_calloc(graph->n_input + 1, sizeof *calibration->inputs);
    if (calibration->inputs == NULL)
        return mary_fail_memory(graph->n_input * sizeof *calibration->inputs);
    for (size_t i = 0; i < graph->n_input; i++) {
        if (mary_graph_has_initializer(graph, graph->input[i]->name))
            continue;
        mary_array *input = &calibration->inputs[calibration->input_count++];
        mary_shape shape = {0};
        MARY_TRY(mary_port_describe(graph->input[i], &input->type, &shape));
        input->name = graph->input[i]->name;
        input->rank = shape.rank;
        memcpy(input->dims, shape.dims, sizeof input->dims);
    }
    return MARY_OK;
}

static mary_status sample(void *context, int64_t index, const mary_array **inputs, int *input_count)
{
    mary_cli_calibration *calibration = context;
    mary_batch batch;
    if (index == 0 && calibration->next > 0) { /* another pass: archives are read from front to back only */
        mary_data_close(&calibration->data);
        MARY_TRY(
            mary_data_open(&calibration->options, calibration->inputs, calibration->input_count, &calibration->data));
        calibration->next = 0;
    }
    if (index != calibration->next)
        return mary_fail(MARY_ERROR_INTERNAL, "calibration batch %lld was asked for after %lld", (long long)index,
                         (long long)calibration->next - 1);
    MARY_TRY(mary_data_next(calibration->data, &batch));
    if (batch.size == 0)
        return mary_fail(MARY_ERROR_INVALID, "%s: ends early", mary_data_description(calibration->data));
    calibration->next++;
    calibration->labels = batch.labels;
    calibration->size = batch.size;
    *inputs = batch.inputs;
    *input_count = batch.input_count;
    return MARY_OK;
}

mary_status mary_cli_calibration_labels(void *context, const int64_t **labels, int64_t *count)
{
    const mary_cli_calibration *calibration = context;
    *labels = calibration->labels;
    *count = calibration->size;
    return MARY_OK;
}

mary_status mary_cli_calibration_open(mary_cli_calibration *calibration, const mary_data_options *options,
                                      const mary_model *model)
{
    mary_status status = MARY_OK;
    *calibration = (mary_cli_calibration){.options = *options};
    MARY_TRY_GOTO(describe_inputs(calibration, model), failed);
    MARY_TRY_GOTO(mary_data_open(options, calibration->inputs, calibration->input_count, &calibration->data), failed);
    calibration->callback = (mary_calibration){calibration, mary_data_batches(calibration->data), sample};
    if (calibration->callback.count == 0) {
        status = mary_fail(MARY_ERROR_INVALID, "%s: no samples", mary_data_description(calibration->data));
        goto failed;
    }
    return MARY_OK;
failed:
    mary_cli_calibration_close(calibration);
    return status;
}

void mary_cli_calibration_close(mary_cli_calibration *calibration)
{
    mary_data_close(&calibration->data);
    mary_free(calibration->inputs);
    *calibration = (mary_cli_calibration){0};
}
