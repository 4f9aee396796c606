/* One rule for each operator and version at which nodes must change. Operators that only gained types, attributes with
 * the old behaviour as default, or optional inputs have none. Source: the operators' change log
 * (onnx/docs/Changelog.md). */
#include <float.h>
#include <string.h>

#include "onnx/upgrade.h"

/* ---- attributes that became inputs ---- */

static mary_status ints_to_input(mary_upgrade *upgrade, Onnx__NodeProto *node, const char *name, size_t index)
{
    const int64_t *values;
    size_t count;
    MARY_TRY(mary_attribute_ints(node, name, &values, &count));
    if (mary_attribute_find(node, name) == NULL)
        return MARY_OK;
    int64_t none = 0;
    mary_tensor tensor = {.type = MARY_INT64, .shape = {1, {(int64_t)count}}, .data = (void *)(uintptr_t)values};
    if (count == 0)
        tensor.data = &none;
    MARY_TRY(mary_upgrade_constant(upgrade, node, index, name, &tensor));
    mary_node_remove_attribute(node, name);
    return MARY_OK;
}

/* A scalar of the element type of the node's input 0. */
static mary_status float_to_input(mary_upgrade *upgrade, Onnx__NodeProto *node, const char *name, size_t index,
                                  float value)
{
    const mary_fact *fact = node->n_input == 0 ? NULL : mary_facts_find(upgrade->facts, node->input[0]);
    mary_type type = fact == NULL ? MARY_UNDEFINED : fact->type;
    double wide = (double)value;
    uint16_t half;
    mary_tensor tensor = {.type = type, .data = &value};
    if (type == MARY_DOUBLE)
        tensor.data = &wide;
    else if (type == MARY_FLOAT16)
        half = mary_float_to_half(value), tensor.data = &half;
    else if (type == MARY_BFLOAT16)
        half = mary_float_to_bfloat(value), tensor.data = &half;
    else if (type != MARY_FLOAT)
        return mary_upgrade_fail(upgrade, node, "the type of its input '%s' is %s, so '%s' cannot become an input",
                                 node->n_input == 0 ? "" : node->input[0],
                                 type == MARY_UNDEFINED ? "not known" : mary_type_name(type), name);
    return mary_upgrade_constant(upgrade, node, index, name, &tensor);
}

static mary_status axes_to_input(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    return ints_to_input(upgrade, node, "axes", 1);
}

static mary_status split_13(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    return ints_to_input(upgrade, node, "split", 1);
}

static mary_status slice_10(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    MARY_TRY(ints_to_input(upgrade, node, "starts", 1));
    MARY_TRY(ints_to_input(upgrade, node, "ends", 2));
    return ints_to_input(upgrade, node, "axes", 3);
}

static mary_status topk_10(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    int64_t k;
    MARY_TRY(mary_attribute_int(node, "k", 0, &k));
    mary_tensor tensor = {.type = MARY_INT64, .shape = {1, {1}}, .data = &k};
    MARY_TRY(mary_upgrade_constant(upgrade, node, 1, "k", &tensor));
    mary_node_remove_attribute(node, "k");
    return MARY_OK;
}

static mary_status clip_11(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    static const char *const names[2] = {"min", "max"};
    static const float unbounded[2] = {-FLT_MAX, FLT_MAX}; /* the defaults, also written out by exporters */
    for (size_t i = 0; i < 2; i++) {
        float value;
        MARY_TRY(mary_attribute_float(node, names[i], unbounded[i], &value));
        if (value != unbounded[i])
            MARY_TRY(float_to_input(upgrade, node, names[i], i + 1, value));
        mary_node_remove_attribute(node, names[i]);
    }
    return MARY_OK;
}

static mary_status pad_11(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    float value;
    MARY_TRY(mary_attribute_float(node, "value", 0, &value));
    MARY_TRY(ints_to_input(upgrade, node, "pads", 1));
    if (value != 0)
        MARY_TRY(float_to_input(upgrade, node, "value", 2, value));
    mary_node_remove_attribute(node, "value");
    return MARY_OK;
}

/* ---- outputs that changed ---- */

static bool has_outputs_from(const Onnx__NodeProto *node, size_t first)
{
    for (size_t i = first; i < node->n_output; i++) {
        if (*node->output[i] != '\0')
            return true;
    }
    return false;
}

/* Empty ones, which newer versions do not have any more. */
static void drop_outputs_from(Onnx__NodeProto *node, size_t first)
{
    while (node->n_output > first)
        mary_free(node->output[--node->n_output]);
}

static mary_status dropout_10(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    const char *mask = node->n_output > 1 ? node->output[1] : "";
    /* Inside a subgraph the index knows no uses: there a mask counts as used. */
    if (*mask != '\0' &&
        (mary_graph_use_count(upgrade->names, mask) > 0 || mary_graph_producer(upgrade->names, mask) < 0))
        return mary_upgrade_fail(upgrade, node, "its mask '%s' is used, and becomes bool", mask);
    drop_outputs_from(node, 1);
    return MARY_OK;
}

static mary_status dropout_12(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    float ratio;
    MARY_TRY(mary_attribute_float(node, "ratio", 0.5f, &ratio));
    mary_tensor tensor = {.type = MARY_FLOAT, .data = &ratio};
    MARY_TRY(mary_upgrade_constant(upgrade, node, 1, "ratio", &tensor));
    mary_node_remove_attribute(node, "ratio");
    return MARY_OK;
}

static mary_status batch_normalization_9(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    int64_t spatial;
    MARY_TRY(mary_attribute_int(node, "spatial", 1, &spatial));
    if (spatial != 1)
        return mary_upgrade_fail(upgrade, node, "spatial is %lld", (long long)spatial);
    mary_node_remove_attribute(node, "spatial");
    return MARY_OK;
}

static mary_status batch_normalization_14(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    if (has_outputs_from(node, 1))
        return mary_upgrade_fail(upgrade, node, "it is in training mode: it has more than one output");
    drop_outputs_from(node, 1);
    return MARY_OK;
}

/* ---- other changes ---- */

static mary_status scatter_11(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    (void)upgrade;
    return mary_edit_string(&node->op_type, "ScatterElements");
}

static mary_status roi_align_16(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    (void)upgrade;
    return mary_node_set_string(node, "coordinate_transformation_mode", "output_half_pixel");
}

static mary_status split_18(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    (void)upgrade;
    if (node->n_input > 1 && *node->input[1] != '\0')
        return MARY_OK;
    return mary_node_set_int(node, "num_outputs", (int64_t)node->n_output);
}

static mary_status grid_sample_20(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    (void)upgrade;
    const char *mode;
    MARY_TRY(mary_attribute_string(node, "mode", "bilinear", &mode));
    if (strcmp(mode, "bilinear") == 0)
        return mary_node_set_string(node, "mode", "linear");
    return strcmp(mode, "bicubic") == 0 ? mary_node_set_string(node, "mode", "cubic") : MARY_OK;
}

static mary_status no_rule(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    return mary_upgrade_fail(upgrade, node, "its definition changed, and the old one has no equivalent here");
}

static const struct {
    const char *op_type;
    int64_t version;
    mary_upgrade_rule *rule;
} rules[] = {
    {"BatchNormalization", 9, batch_normalization_9},
    {"Scan", 9, no_rule},
    {"Upsample", 9, mary_upgrade_upsample_9},
    {"Dropout", 10, dropout_10},
    {"Slice", 10, slice_10},
    {"TopK", 10, topk_10},
    {"Upsample", 10, mary_upgrade_upsample_10},
    {"Clip", 11, clip_11},
    {"Pad", 11, pad_11},
    {"Resize", 11, mary_upgrade_resize_11},
    {"Scatter", 11, scatter_11},
    {"Dropout", 12, dropout_12},
    {"Hardmax", 13, mary_upgrade_softmax_13},
    {"LogSoftmax", 13, mary_upgrade_softmax_13},
    {"ReduceSum", 13, axes_to_input},
    {"Softmax", 13, mary_upgrade_softmax_13},
    {"Split", 13, split_13},
    {"Squeeze", 13, axes_to_input},
    {"Unsqueeze", 13, axes_to_input},
    {"BatchNormalization", 14, batch_normalization_14},
    {"RoiAlign", 16, roi_align_16},
    {"ReduceL1", 18, axes_to_input},
    {"ReduceL2", 18, axes_to_input},
    {"ReduceLogSum", 18, axes_to_input},
    {"ReduceLogSumExp", 18, axes_to_input},
    {"ReduceMax", 18, axes_to_input},
    {"ReduceMean", 18, axes_to_input},
    {"ReduceMin", 18, axes_to_input},
    {"ReduceProd", 18, axes_to_input},
    {"ReduceSumSquare", 18, axes_to_input},
    {"Split", 18, split_18},
    {"DFT", 20, no_rule},
    {"GridSample", 20, grid_sample_20},
    {"GroupNormalization", 21, no_rule},
};

mary_upgrade_rule *mary_upgrade_rule_find(const char *op_type, int64_t version)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].version == version && strcmp(rules[i].op_type, op_type) == 0)
            return rules[i].rule;
    }
    return NULL;
}
