/* Softmax, LogSoftmax and Hardmax before opset 13 flatten their input to [d0*..*d(axis-1), d(axis)*..*dn] and work
 * along the second dimension; since 13 they work along one axis and leave the shape alone. Both are the same along the
 * last axis. */
#include "onnx/upgrade.h"

/* Flatten(x, axis) -> Softmax(axis = -1) -> Reshape(Shape(x)): exact whatever the rank. */
static mary_status through_flatten(mary_upgrade *upgrade, Onnx__NodeProto *node, int64_t axis)
{
    Onnx__NodeProto *flatten = NULL, *shape = NULL, *reshape = NULL;
    char *result = NULL;
    const char *input = node->input[0];
    mary_status status = mary_upgrade_new_value(upgrade, "Shape", &input, 1, node->output[0], &shape);
    if (status == MARY_OK)
        status = mary_upgrade_new_value(upgrade, "Flatten", &input, 1, node->output[0], &flatten);
    if (status == MARY_OK)
        status = mary_node_set_int(flatten, "axis", axis);
    if (status == MARY_OK)
        status = mary_upgrade_detach_output(upgrade, node, &result);
    if (status == MARY_OK) { /* named like a new value, but what it makes is the old one */
        const char *inputs[] = {node->output[0], shape->output[0]};
        status = mary_upgrade_new_value(upgrade, "Reshape", inputs, 2, result, &reshape);
    }
    if (status == MARY_OK)
        status = mary_edit_string(&reshape->output[0], result);
    if (status == MARY_OK)
        status = mary_node_set_input(node, 0, flatten->output[0]);
    if (status == MARY_OK) {
        status = mary_upgrade_before(upgrade, shape);
        shape = NULL;
    }
    if (status == MARY_OK) {
        status = mary_upgrade_before(upgrade, flatten);
        flatten = NULL;
    }
    if (status == MARY_OK) {
        status = mary_upgrade_after(upgrade, reshape);
        reshape = NULL;
    }
    mary_node_free(shape);
    mary_node_free(flatten);
    mary_node_free(reshape);
    mary_free(result);
    return status;
}

mary_status mary_upgrade_softmax_13(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    int64_t axis;
    MARY_TRY(mary_attribute_int(node, "axis", 1, &axis));
    if (node->n_input == 0 || node->n_output == 0)
        return mary_upgrade_fail(upgrade, node, "it has no input or no output");
    const mary_fact *fact = mary_facts_find(upgrade->facts, node->input[0]);
    bool is_last = axis == -1 || (fact != NULL && fact->rank > 0 && axis == fact->rank - 1);
    if (!is_last)
        MARY_TRY(through_flatten(upgrade, node, axis));
    return mary_node_set_int(node, "axis", -1);
}
