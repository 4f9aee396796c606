/* What integer activations mean to each standard operator. Adding one is a line here. */
#include <math.h>
#include <string.h>

#include "convert/integer/plan.h"

typedef mary_status checker(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                            mary_operator_kind *kind);

static checker check_max_pool, check_pad, check_resize, check_reduce, check_normalization, check_scalars;

static const struct {
    const char *op;
    mary_role role;
    bool pool;
    checker *check; /* may turn the kind into FLOAT with a reason */
} table[] = {
    {"Shape", MARY_ROLE_SHAPE, false, NULL},
    {"Size", MARY_ROLE_SHAPE, false, NULL},
    /* the same values in other places */
    {"MaxPool", MARY_ROLE_KEEP, true, check_max_pool},
    {"GlobalMaxPool", MARY_ROLE_KEEP, true, NULL},
    {"Reshape", MARY_ROLE_KEEP, false, NULL},
    {"Flatten", MARY_ROLE_KEEP, false, NULL},
    {"Transpose", MARY_ROLE_KEEP, false, NULL},
    {"Squeeze", MARY_ROLE_KEEP, false, NULL},
    {"Unsqueeze", MARY_ROLE_KEEP, false, NULL},
    {"Slice", MARY_ROLE_KEEP, false, NULL},
    {"Split", MARY_ROLE_KEEP, false, NULL},
    {"Pad", MARY_ROLE_KEEP, false, check_pad},
    {"Resize", MARY_ROLE_KEEP, false, check_resize},
    {"Upsample", MARY_ROLE_KEEP, false, check_resize},
    {"Gather", MARY_ROLE_KEEP, false, NULL},
    {"DepthToSpace", MARY_ROLE_KEEP, false, NULL},
    {"SpaceToDepth", MARY_ROLE_KEEP, false, NULL},
    {"Expand", MARY_ROLE_KEEP, false, NULL},
    {"Tile", MARY_ROLE_KEEP, false, NULL},
    {"Identity", MARY_ROLE_KEEP, false, NULL},
    {"Concat", MARY_ROLE_JOIN, false, NULL},
    /* new values */
    {"Add", MARY_ROLE_MIX, false, NULL},
    {"Mul", MARY_ROLE_MIX, false, NULL},
    {"AveragePool", MARY_ROLE_MIX, true, NULL},
    {"GlobalAveragePool", MARY_ROLE_MIX, true, NULL},
    {"ReduceMean", MARY_ROLE_MIX, true, check_reduce},
    {"Softmax", MARY_ROLE_MIX, false, NULL},
    {"BatchNormalization", MARY_ROLE_MIX, false, check_normalization},
    /* element by element: one table of 256 entries */
    {"Relu", MARY_ROLE_ELEMENT, false, NULL},
    {"Clip", MARY_ROLE_ELEMENT, false, check_scalars},
    {"LeakyRelu", MARY_ROLE_ELEMENT, false, NULL},
    {"PRelu", MARY_ROLE_ELEMENT, false, check_scalars},
    {"ThresholdedRelu", MARY_ROLE_ELEMENT, false, NULL},
    {"Elu", MARY_ROLE_ELEMENT, false, NULL},
    {"Selu", MARY_ROLE_ELEMENT, false, NULL},
    {"Celu", MARY_ROLE_ELEMENT, false, NULL},
    {"Sigmoid", MARY_ROLE_ELEMENT, false, NULL},
    {"HardSigmoid", MARY_ROLE_ELEMENT, false, NULL},
    {"HardSwish", MARY_ROLE_ELEMENT, false, NULL},
    {"Tanh", MARY_ROLE_ELEMENT, false, NULL},
    {"Softplus", MARY_ROLE_ELEMENT, false, NULL},
    {"Softsign", MARY_ROLE_ELEMENT, false, NULL},
    {"Gelu", MARY_ROLE_ELEMENT, false, NULL},
    {"Mish", MARY_ROLE_ELEMENT, false, NULL},
    {"Erf", MARY_ROLE_ELEMENT, false, NULL},
    {"Exp", MARY_ROLE_ELEMENT, false, NULL},
    {"Sqrt", MARY_ROLE_ELEMENT, false, NULL},
    {"Abs", MARY_ROLE_ELEMENT, false, NULL},
    {"Neg", MARY_ROLE_ELEMENT, false, NULL},
    {"Sub", MARY_ROLE_ELEMENT, false, check_scalars},
    {"Div", MARY_ROLE_ELEMENT, false, check_scalars},
    {"Pow", MARY_ROLE_ELEMENT, false, check_scalars},
    {"Min", MARY_ROLE_ELEMENT, false, check_scalars},
    {"Max", MARY_ROLE_ELEMENT, false, check_scalars},
};

static const Onnx__TensorProto *constant(const mary_model *model, const mary_graph_index *index,
                                         const Onnx__NodeProto *node, size_t i)
{
    if (i >= node->n_input || node->input[i][0] == '\0' || mary_graph_is_input(index, node->input[i]))
        return NULL;
    ptrdiff_t position = mary_graph_initializer(index, node->input[i]);
    return position < 0 ? NULL : model->proto->graph->initializer[position];
}

static bool is_absent(const Onnx__NodeProto *node, size_t i)
{
    return i >= node->n_input || node->input[i][0] == '\0';
}

/* One float; *found is false when the tensor is anything else. */
static mary_status scalar(const mary_model *model, const Onnx__TensorProto *tensor, double *value, bool *found)
{
    mary_type type;
    mary_shape shape;
    float *values;
    *found = false;
    MARY_TRY(mary_tensor_describe(tensor, &type, &shape));
    if (!mary_type_is_float(type) || mary_shape_count(&shape) != 1)
        return MARY_OK;
    MARY_TRY(mary_constant_floats(model, tensor, &values, &shape));
    *value = values[0];
    *found = isfinite(values[0]);
    mary_free(values);
    return MARY_OK;
}

static mary_status check_max_pool(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                                  mary_operator_kind *kind)
{
    (void)model, (void)index;
    if (node->n_output > 1 && node->output[1][0] != '\0')
        *kind = (mary_operator_kind){.reason = "the indices are asked for, too"};
    return MARY_OK;
}

static mary_status check_pad(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                             mary_operator_kind *kind)
{
    double value = 0;
    bool found = true;
    if (!is_absent(node, 2)) {
        const Onnx__TensorProto *tensor = constant(model, index, node, 2);
        found = false;
        if (tensor != NULL)
            MARY_TRY(scalar(model, tensor, &value, &found));
    }
    if (!found || value != 0)
        *kind = (mary_operator_kind){.reason = "it pads with something else than 0"};
    return MARY_OK;
}

static mary_status check_resize(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                                mary_operator_kind *kind)
{
    const char *mode, *coordinates;
    (void)model, (void)index;
    MARY_TRY(mary_attribute_string(node, "mode", "nearest", &mode));
    MARY_TRY(mary_attribute_string(node, "coordinate_transformation_mode", "half_pixel", &coordinates));
    if (strcmp(mode, "cubic") == 0)
        *kind = (mary_operator_kind){.reason = "cubic interpolation leaves the range of its input"};
    else if (strcmp(coordinates, "tf_crop_and_resize") == 0)
        *kind = (mary_operator_kind){.reason = "it fills in a value of its own"};
    return MARY_OK;
}

static mary_status check_reduce(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                                mary_operator_kind *kind)
{
    (void)model;
    if (!is_absent(node, 1) && mary_graph_initializer(index, node->input[1]) < 0)
        *kind = (mary_operator_kind){.reason = "its axes are not constant"};
    return MARY_OK;
}

static mary_status check_normalization(const mary_model *model, const mary_graph_index *index,
                                       const Onnx__NodeProto *node, mary_operator_kind *kind)
{
    int64_t training;
    MARY_TRY(mary_attribute_int(node, "training_mode", 0, &training));
    bool plain = training == 0 && node->n_input == 5;
    for (size_t i = 1; i < 5 && plain; i++)
        plain = constant(model, index, node, i) != NULL;
    for (size_t i = 1; i < node->n_output; i++)
        plain = plain && node->output[i][0] == '\0';
    if (!plain)
        *kind = (mary_operator_kind){.reason = "it is trained, or its parameters are not constant"};
    return MARY_OK;
}

/* Every constant operand is one number. */
static mary_status check_scalars(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                                 mary_operator_kind *kind)
{
    for (size_t i = 0; i < node->n_input; i++) {
        const Onnx__TensorProto *tensor = constant(model, index, node, i);
        double value;
        bool found = true;
        if (tensor != NULL)
            MARY_TRY(scalar(model, tensor, &value, &found));
        if (!found)
            *kind = (mary_operator_kind){.reason = "a constant operand is not one number"};
    }
    return MARY_OK;
}

static bool is_standard(const Onnx__NodeProto *node)
{
    return node->domain == NULL || node->domain[0] == '\0' || strcmp(node->domain, "ai.onnx") == 0;
}

mary_status mary_operator_kind_of(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                                  mary_operator_kind *kind)
{
    *kind = (mary_operator_kind){.reason = "the operator has no integer form here"};
    for (size_t i = 0; is_standard(node) && i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(node->op_type, table[i].op) != 0)
            continue;
        *kind = (mary_operator_kind){table[i].role, table[i].pool, NULL};
        if (table[i].role == MARY_ROLE_MIX && !table[i].pool && node->n_input == 2) {
            /* with a constant it is a function of elements */
            if (constant(model, index, node, 0) != NULL || constant(model, index, node, 1) != NULL) {
                kind->role = MARY_ROLE_ELEMENT;
                return check_scalars(model, index, node, kind);
            }
        }
        return table[i].check == NULL ? MARY_OK : table[i].check(model, index, node, kind);
    }
    return MARY_OK;
}

bool mary_operator_reads(const Onnx__NodeProto *node, mary_role role, size_t i)
{
    if (is_absent(node, i))
        return false;
    bool sum = role == MARY_ROLE_MIX && (strcmp(node->op_type, "Add") == 0 || strcmp(node->op_type, "Mul") == 0);
    bool all = sum || role == MARY_ROLE_JOIN || role == MARY_ROLE_ELEMENT;
    return all || i == 0;
}

mary_status mary_operator_clip(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                               bool *is_clip, double *low, double *high)
{
    *is_clip = false;
    *low = -INFINITY;
    *high = INFINITY;
    if (!is_standard(node))
        return MARY_OK;
    if (strcmp(node->op_type, "Relu") == 0) {
        *is_clip = true;
        *low = 0;
        return MARY_OK;
    }
    if (strcmp(node->op_type, "Clip") != 0)
        return MARY_OK;
    for (size_t i = 1; i < 3; i++) {
        bool found = true;
        if (is_absent(node, i))
            continue;
        const Onnx__TensorProto *tensor = constant(model, index, node, i);
        if (tensor == NULL)
            return MARY_OK;
        MARY_TRY(scalar(model, tensor, i == 1 ? low : high, &found));
        if (!found)
            return MARY_OK;
    }
    *is_clip = *low <= 0 && *high >= 0;
    return MARY_OK;
}
