#include "convert/bias.h"

#include <string.h>

#include "convert/initializer.h"

static const Onnx__TensorProto *bias_of(const mary_model *model, const mary_graph_index *index,
                                        const Onnx__NodeProto *node, bool *absent)
{
    *absent = node->n_input < 3 || node->input[2] == NULL || node->input[2][0] == '\0';
    if (*absent)
        return NULL;
    ptrdiff_t at = mary_graph_initializer(index, node->input[2]);
    return at < 0 ? NULL : model->proto->graph->initializer[at];
}

bool mary_bias_can_shift(const mary_model *model, const mary_graph_index *index, const mary_layer *layer)
{
    bool absent;
    mary_type type;
    mary_shape shape;
    if (layer->kind == MARY_LAYER_MATMUL)
        return false;
    const Onnx__TensorProto *bias = bias_of(model, index, layer->node, &absent);
    if (absent)
        return true;
    float beta = 1;
    if (layer->kind == MARY_LAYER_GEMM && (mary_attribute_float(layer->node, "beta", 1, &beta) != MARY_OK || beta != 1))
        return false;
    return bias != NULL && mary_tensor_describe(bias, &type, &shape) == MARY_OK && type == layer->type &&
           mary_shape_count(&shape) == layer->layout.rows && shape.rank >= 1 &&
           shape.dims[shape.rank - 1] == layer->layout.rows;
}

mary_status mary_bias_values(const mary_model *model, const mary_graph_index *index, const mary_layer *layer,
                             float **values)
{
    bool absent;
    mary_shape shape;
    const Onnx__TensorProto *bias = bias_of(model, index, layer->node, &absent);
    *values = NULL;
    return bias == NULL ? MARY_OK : mary_constant_floats(model, bias, values, &shape);
}

mary_status mary_bias_shift(mary_model *model, mary_graph_index *index, const mary_layer *layer, Onnx__NodeProto *node,
                            const float *shift)
{
    mary_status status = MARY_OK;
    float *values = NULL;
    char *stem = NULL, *name = NULL;
    bool absent;
    mary_shape shape = {1, {layer->layout.rows}};
    const Onnx__TensorProto *bias = bias_of(model, index, node, &absent);
    if (bias != NULL)
        MARY_TRY(mary_constant_floats(model, bias, &values, &shape));
    else
        values = mary_calloc((size_t)layer->layout.rows, sizeof *values);
    stem = bias != NULL ? mary_strdup(node->input[2]) : mary_asprintf("%s_bias", layer->weight);
    if (values == NULL || stem == NULL) {
        status = mary_fail_memory((size_t)layer->layout.rows * sizeof *values);
        goto done;
    }
    float alpha = 1;
    if (layer->kind == MARY_LAYER_GEMM)
        MARY_TRY_GOTO(mary_attribute_float(node, "alpha", 1, &alpha), done);
    for (int64_t r = 0; r < layer->layout.rows; r++)
        values[r] += alpha * shift[r];
    MARY_TRY_GOTO(mary_initializer_add_floats(model, index, values, layer->type, &shape, stem, &name), done);
    MARY_TRY_GOTO(mary_node_set_input(node, 2, name), done);
done:
    mary_free(values);
    mary_free(stem);
    mary_free(name);
    return status;
}
