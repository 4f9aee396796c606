#include "runtime/shapes.h"

#include <string.h>

#include "runtime/evaluate.h"

/* Values up to this size are computed while planning: shape arithmetic, not data. */
enum { KNOWN_BYTES = 64 << 10 };

mary_status mary_port_describe(const Onnx__ValueInfoProto *info, mary_type *type, mary_shape *shape)
{
    const Onnx__TypeProto *proto = info->type;
    if (proto == NULL || proto->value_case == ONNX__TYPE_PROTO__VALUE__NOT_SET) {
        *type = MARY_UNDEFINED;
        shape->rank = -1;
        return MARY_OK;
    }
    if (proto->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "'%s' is not a dense tensor", info->name);
    *type = (mary_type)proto->tensor_type->elem_type;
    const Onnx__TensorShapeProto *dims = proto->tensor_type->shape;
    if (dims == NULL) {
        shape->rank = -1;
        return MARY_OK;
    }
    if (dims->n_dim > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "'%s' has rank %zu, the most is %d", info->name, dims->n_dim,
                         MARY_MAX_RANK);
    shape->rank = (int)dims->n_dim;
    for (size_t i = 0; i < dims->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = dims->dim[i];
        bool fixed = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value >= 0;
        shape->dims[i] = fixed ? dim->dim_value : -1;
    }
    return MARY_OK;
}

static const char *symbol_of(const Onnx__ValueInfoProto *info, int axis)
{
    const Onnx__TensorShapeProto__Dimension *dim = info->type->tensor_type->shape->dim[axis];
    return dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM ? dim->dim_param : "";
}

bool mary_shapes_probe(const mary_program *program, int probe, mary_tensor *inputs)
{
    int64_t fresh = 0;
    for (int i = 0; i < program->input_count; i++) {
        const Onnx__ValueInfoProto *info = program->inputs[i].info;
        inputs[i] = (mary_tensor){0};
        if (mary_port_describe(info, &inputs[i].type, &inputs[i].shape) != MARY_OK || inputs[i].shape.rank < 0)
            return false;
        for (int axis = 0; axis < inputs[i].shape.rank; axis++) {
            if (inputs[i].shape.dims[axis] >= 0)
                continue;
            const char *symbol = symbol_of(info, axis);
            int64_t value = -1;
            /* The same symbol seen before in any input gets the same value. */
            for (int j = 0; j <= i && value < 0 && symbol[0] != '\0'; j++) {
                for (int k = 0; k < (j < i ? inputs[j].shape.rank : axis); k++) {
                    if (strcmp(symbol_of(program->inputs[j].info, k), symbol) == 0)
                        value = inputs[j].shape.dims[k];
                }
            }
            if (value < 0) {
                /* Batches are small; what else varies is mostly an image size or a length: multiples of 64 divide well.
                 */
                value = axis == 0 ? 2 + probe + 3 * fresh : 64 * (3 + probe + 2 * fresh);
                fresh++;
            }
            inputs[i].shape.dims[axis] = value;
        }
    }
    return true;
}

static mary_status infer_node(const mary_program *program, const mary_program_node *node, mary_shapes *shapes,
                              bool lenient, const mary_parallel *parallel, bool *known)
{
    const mary_tensor **inputs = mary_calloc((size_t)node->input_count, sizeof *inputs);
    mary_tensor **outputs = mary_calloc((size_t)node->output_count, sizeof *outputs);
    mary_status status = MARY_OK;
    if (inputs == NULL || outputs == NULL) {
        status = mary_fail_memory((size_t)(node->input_count + node->output_count) * sizeof *inputs);
        goto done;
    }
    bool all_known = mary_node_evaluates_early(node);
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] < 0)
            continue;
        inputs[i] = &shapes->tensors[node->inputs[i]];
        if (inputs[i]->type == MARY_UNDEFINED)
            goto done; /* follows from data: its outputs stay unknown */
        all_known = all_known && (inputs[i]->data != NULL || program->values[node->inputs[i]].constant ||
                                  (node->node.op->flags & MARY_OP_SHAPE_ONLY));
    }
    for (int i = 0; i < node->output_count; i++)
        outputs[i] = node->outputs[i] < 0 ? NULL : &shapes->tensors[node->outputs[i]];
    status = mary_node_infer(node, inputs, outputs);
    if (status != MARY_OK)
        goto done;
    size_t bytes = 0;
    for (int i = 0; i < node->output_count; i++) {
        if (outputs[i] != NULL)
            bytes += mary_tensor_bytes(outputs[i]);
    }
    if (!all_known || bytes > KNOWN_BYTES)
        goto done;
    MARY_TRY_GOTO(mary_node_evaluate(node, inputs, outputs, parallel), done);
    for (int i = 0; i < node->output_count; i++) {
        if (outputs[i] != NULL)
            shapes->owned[node->outputs[i]] = outputs[i]->data;
    }
    *known = true;
done:
    if (status == MARY_DEFERRED || (status != MARY_OK && status != MARY_ERROR_INTERNAL && lenient)) {
        for (int i = 0; i < node->output_count; i++) {
            if (outputs[i] != NULL)
                *outputs[i] = (mary_tensor){0};
        }
        status = MARY_OK;
    }
    mary_free(inputs);
    mary_free(outputs);
    return status;
}

mary_status mary_shapes_infer(const mary_program *program, const mary_tensor *inputs, bool lenient,
                              const mary_parallel *parallel, mary_shapes *shapes)
{
    mary_status status = MARY_OK;
    *shapes = (mary_shapes){.value_count = program->value_count};
    shapes->tensors = mary_calloc(program->value_count, sizeof *shapes->tensors);
    shapes->owned = mary_calloc(program->value_count, sizeof *shapes->owned);
    shapes->known = mary_calloc(program->node_count, sizeof *shapes->known);
    if (shapes->tensors == NULL || shapes->owned == NULL || shapes->known == NULL) {
        status = mary_fail_memory(program->value_count * sizeof *shapes->tensors);
        goto error;
    }
    for (size_t i = 0; i < program->value_count; i++) {
        if (program->values[i].constant)
            shapes->tensors[i] = program->values[i].tensor;
        if (program->values[i].parameter) {
            shapes->tensors[i] = program->values[i].tensor;
            shapes->tensors[i].data = NULL; /* it will change */
        }
    }
    for (int i = 0; i < program->input_count; i++) {
        mary_tensor *tensor = &shapes->tensors[program->inputs[i].value];
        *tensor = (mary_tensor){.type = inputs[i].type, .shape = inputs[i].shape};
    }
    for (size_t i = 0; i < program->node_count; i++) {
        if (!program->nodes[i].removed)
            MARY_TRY_GOTO(infer_node(program, &program->nodes[i], shapes, lenient, parallel, &shapes->known[i]), error);
    }
    return MARY_OK;
error:
    mary_shapes_free(shapes);
    return status;
}

void mary_shapes_free(mary_shapes *shapes)
{
    for (size_t i = 0; shapes->owned != NULL && i < shapes->value_count; i++)
        mary_free(shapes->owned[i]);
    mary_free(shapes->tensors);
    mary_free(shapes->owned);
    mary_free(shapes->known);
    *shapes = (mary_shapes){0};
}
