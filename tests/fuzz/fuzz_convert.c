/* Bytes -> a model -> a converted one, with settings that a sum of the bytes chooses, and back to float. Every other
 * one with integer activations, every other one by error feedback, calibrated on two made-up samples. */
#include <string.h>

#include "onnx/model.h"
#include "onnx/edit.h"
#include "runtime/shapes.h"
#include "tests/fuzz/fuzz.h"

enum { MOST_INPUTS = 8, MOST_ELEMENTS = 4096 };

typedef struct samples {
    mary_array inputs[MOST_INPUTS];
    int count;
} samples;

static mary_status give(void *context, int64_t index, const mary_array **inputs, int *count)
{
    samples *s = context;
    uint32_t state = (uint32_t)index + 1;
    for (int i = 0; i < s->count; i++) {
        mary_array *input = &s->inputs[i];
        for (size_t k = 0; k < input->bytes / sizeof(float) && input->type == MARY_FLOAT; k++) {
            state = state * 1664525u + 1013904223u;
            ((float *)input->data)[k] = (float)(state >> 8) / 8388608.0f - 1.0f;
        }
    }
    *inputs = s->inputs;
    *count = s->count;
    return MARY_OK;
}

/* Arrays for the model's inputs, free dimensions 2; false when they are too many or too large. */
static bool make_samples(const mary_model *model, samples *s)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        mary_type type;
        mary_shape shape;
        if (mary_graph_has_initializer(graph, graph->input[i]->name))
            continue;
        if (s->count == MOST_INPUTS || mary_port_describe(graph->input[i], &type, &shape) != MARY_OK || shape.rank < 0)
            return false;
        mary_array *input = &s->inputs[s->count];
        int64_t elements = 1;
        *input = (mary_array){.name = graph->input[i]->name, .type = type, .rank = shape.rank};
        for (int d = 0; d < shape.rank; d++) {
            input->dims[d] = shape.dims[d] < 0 ? 2 : shape.dims[d];
            if (input->dims[d] > MOST_ELEMENTS || (elements *= input->dims[d]) > MOST_ELEMENTS)
                return false;
        }
        input->bytes = (size_t)elements * mary_type_size(type);
        input->data = mary_calloc((size_t)elements + 1, 16);
        if (input->data == NULL)
            return false;
        s->count++;
    }
    return s->count > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned choice = 0;
    for (size_t i = 0; i < size; i++)
        choice = choice * 31 + bytes[i];
    static const int levels[] = {2, 3, 4, 16, 17, 200, 256, 5};
    mary_convert_options options = {.levels = levels[choice & 7],
                                    .first_last_levels = (choice & 8) ? MARY_SAME_LEVELS : 0,
                                    .method = (choice & 16) ? "uniform" : NULL,
                                    .granularity = (mary_granularity)(choice >> 5 & 1),
                                    .threads = 1};
    mary_model *model = NULL;
    mary_convert_report *report = NULL;
    samples s = {0};
    mary_calibration calibration = {&s, 2, give};
    fuzz_begin();
    mary_status status = mary_model_load_memory(bytes, size, &model);
    if (status == MARY_OK && (choice & (64 | 1024)) && make_samples(model, &s)) {
        options.activations = (choice & 64) ? 8 : 0;
        options.method = (choice & 1024) ? "feedback" : options.method;
        options.calibration = &calibration;
        options.calibration_method = mary_calibration_method(choice >> 7 & 7, NULL);
    }
    if (status == MARY_OK && mary_convert(model, &options, &report) == MARY_OK)
        mary_dequantize(model);
    for (int i = 0; i < s.count; i++)
        mary_free(s.inputs[i].data);
    mary_convert_report_free(&report);
    mary_model_free(&model);
    return 0;
}
