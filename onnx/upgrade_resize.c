/* Upsample became Resize (opset 10), and Resize learned to say where it samples (11). Until then positions are
 * asymmetric, x_original = x / scale, and "nearest" takes the floor along axes that grow and the ceiling along axes
 * that shrink (as ONNX Runtime does, and the ONNX test data of that version shows). */
#include <string.h>

#include "onnx/upgrade.h"

mary_status mary_upgrade_upsample_9(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    const float *scales;
    size_t count;
    MARY_TRY(mary_attribute_floats(node, "scales", &scales, &count));
    if (count == 0)
        return mary_upgrade_fail(upgrade, node, "it has no scales");
    mary_tensor tensor = {.type = MARY_FLOAT, .shape = {1, {(int64_t)count}}, .data = (void *)(uintptr_t)scales};
    MARY_TRY(mary_upgrade_constant(upgrade, node, 1, "scales", &tensor));
    mary_node_remove_attribute(node, "scales");
    return MARY_OK;
}

mary_status mary_upgrade_upsample_10(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    if (upgrade->target > 10) /* scales of Upsample are never below 1; the rule for 11 sees this */
        MARY_TRY(mary_node_set_string(node, "nearest_mode", "floor"));
    return mary_edit_string(&node->op_type, "Resize");
}

static mary_status set_inputs(mary_upgrade *upgrade, Onnx__NodeProto *node, const char *scales)
{
    char nothing = 0;
    mary_tensor roi = {.type = MARY_FLOAT, .shape = {1, {0}}, .data = &nothing};
    MARY_TRY(mary_node_set_input(node, 2, scales));
    return mary_upgrade_constant(upgrade, node, 1, "roi", &roi);
}

/* One Resize along the growing axes, a second one behind it along the shrinking ones. */
static mary_status split_in_two(mary_upgrade *upgrade, Onnx__NodeProto *node, const float *scales, int64_t count)
{
    float part[2][MARY_MAX_RANK];
    for (int64_t i = 0; i < count; i++) {
        part[0][i] = scales[i] > 1 ? scales[i] : 1;
        part[1][i] = scales[i] < 1 ? scales[i] : 1;
    }
    Onnx__NodeProto *grow = NULL;
    const char *input = node->input[0];
    MARY_TRY(mary_upgrade_new_value(upgrade, "Resize", &input, 1, node->output[0], &grow));
    mary_tensor tensor = {.type = MARY_FLOAT, .shape = {1, {count}}};
    tensor.data = part[0];
    mary_status status = mary_upgrade_constant(upgrade, grow, 2, "scales", &tensor);
    if (status == MARY_OK)
        status = set_inputs(upgrade, grow, grow->input[2]);
    if (status == MARY_OK)
        status = mary_node_set_string(grow, "mode", "nearest");
    if (status == MARY_OK)
        status = mary_node_set_string(grow, "nearest_mode", "floor");
    if (status == MARY_OK)
        status = mary_node_set_string(grow, "coordinate_transformation_mode", "asymmetric");
    if (status == MARY_OK)
        status = mary_node_set_input(node, 0, grow->output[0]);
    if (status != MARY_OK) {
        mary_node_free(grow);
        return status;
    }
    MARY_TRY(mary_upgrade_before(upgrade, grow));
    tensor.data = part[1];
    return mary_upgrade_constant(upgrade, node, 1, "scales", &tensor);
}

/* *mode for these scales; both kinds of axes make two nodes. */
static mary_status nearest_of(mary_upgrade *upgrade, Onnx__NodeProto *node, const char **mode)
{
    const mary_fact *fact = mary_facts_find(upgrade->facts, node->input[1]);
    if (fact == NULL || fact->value == NULL)
        return mary_upgrade_fail(upgrade, node, "its scales '%s' are not constant: nearest may be floor or ceiling",
                                 node->input[1]);
    float *scales;
    mary_shape shape;
    MARY_TRY(mary_constant_floats(upgrade->model, fact->value, &scales, &shape));
    mary_status status = MARY_OK;
    int64_t count = mary_shape_count(&shape);
    bool grows = false, shrinks = false;
    for (int64_t i = 0; i < count; i++) {
        grows |= scales[i] > 1;
        shrinks |= scales[i] < 1;
    }
    *mode = shrinks ? "ceil" : "floor";
    if (count > MARY_MAX_RANK)
        status = mary_upgrade_fail(upgrade, node, "it has %lld scales", (long long)count);
    else if (grows && shrinks)
        status = split_in_two(upgrade, node, scales, count);
    mary_free(scales);
    return status;
}

mary_status mary_upgrade_resize_11(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    const char *mode, *nearest;
    if (node->n_input < 2 || node->n_output == 0)
        return mary_upgrade_fail(upgrade, node, "it has no scales");
    MARY_TRY(mary_attribute_string(node, "mode", "nearest", &mode));
    MARY_TRY(mary_attribute_string(node, "nearest_mode", "", &nearest));
    if (strcmp(mode, "nearest") != 0)
        nearest = "";
    else if (*nearest == '\0')
        MARY_TRY(nearest_of(upgrade, node, &nearest));
    char *scales = mary_strdup(node->input[1]);
    char *rounding = mary_strdup(nearest); /* it may belong to the attribute that is replaced */
    mary_status status = scales == NULL || rounding == NULL ? mary_fail_memory(1) : MARY_OK;
    if (status == MARY_OK)
        status = set_inputs(upgrade, node, scales);
    if (status == MARY_OK)
        status = mary_node_set_string(node, "coordinate_transformation_mode", "asymmetric");
    if (status == MARY_OK && *rounding != '\0')
        status = mary_node_set_string(node, "nearest_mode", rounding);
    else if (status == MARY_OK)
        mary_node_remove_attribute(node, "nearest_mode");
    mary_free(scales);
    mary_free(rounding);
    return status;
}
