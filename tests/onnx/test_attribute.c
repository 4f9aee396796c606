/* Reading attributes: values, defaults, wrong types. */
#include "tests/support/model_builder.h"

#include <string.h>

START_TEST(absent_attributes_take_the_default)
{
    mary_model *model = build_model(13);
    Onnx__NodeProto *node = build_node(model->proto->graph, "Conv", "x,w", "y");
    int64_t i;
    float f;
    const char *s;
    const int64_t *ints;
    const float *floats;
    const Onnx__TensorProto *tensor;
    size_t count = 9;
    assert_ok(mary_attribute_int(node, "group", 1, &i));
    assert_ok(mary_attribute_float(node, "alpha", 0.5f, &f));
    assert_ok(mary_attribute_string(node, "auto_pad", "NOTSET", &s));
    ck_assert(i == 1 && f == 0.5f && strcmp(s, "NOTSET") == 0);
    assert_ok(mary_attribute_ints(node, "pads", &ints, &count));
    ck_assert(ints == NULL && count == 0);
    assert_ok(mary_attribute_floats(node, "scales", &floats, &count));
    ck_assert(floats == NULL && count == 0);
    assert_ok(mary_attribute_tensor(node, "value", &tensor));
    ck_assert_ptr_null(tensor);
    mary_model_free(&model);
}
END_TEST

START_TEST(wrong_type_names_node_and_attribute)
{
    mary_model *model = build_model(13);
    Onnx__NodeProto *node = build_node(model->proto->graph, "Conv", "x,w", "y");
    assert_ok(mary_node_set_float(node, "group", 2));
    int64_t i;
    assert_fails(mary_attribute_int(node, "group", 1, &i), MARY_ERROR_INVALID,
                 "'y': attribute 'group' is of type FLOAT");
    assert_ok(mary_node_set_reference(node, "group", "outer", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT));
    assert_fails(mary_attribute_int(node, "group", 1, &i), MARY_ERROR_INVALID, "refers to attribute 'outer'");
    mary_model_free(&model);
}
END_TEST

START_TEST(strings_from_a_file_are_terminated)
{
    mary_model *model = build_model(13);
    build_input(model->proto->graph, "x", MARY_FLOAT, SHAPE(1));
    Onnx__NodeProto *node = build_node(model->proto->graph, "Conv", "x", "y");
    assert_ok(mary_node_set_string(node, "auto_pad", "SAME_UPPER"));
    assert_ok(mary_node_set_string(node, "empty", ""));
    model = build_reload(model);
    const char *s;
    assert_ok(mary_attribute_string(model->proto->graph->node[0], "auto_pad", "", &s));
    ck_assert_str_eq(s, "SAME_UPPER"); /* reads behind the bytes show under the sanitizer */
    assert_ok(mary_attribute_string(model->proto->graph->node[0], "empty", "x", &s));
    ck_assert_str_eq(s, "");
    mary_model_free(&model);
}
END_TEST

START_TEST(nodes_without_a_name_get_a_label)
{
    mary_model *model = build_model(13);
    Onnx__NodeProto *node = build_node(model->proto->graph, "Conv", "x", ",y");
    ck_assert_str_eq(mary_node_label(node), "Conv -> y");
    assert_ok(mary_edit_string(&node->name, "first"));
    ck_assert_str_eq(mary_node_label(node), "first");
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("onnx/attribute", absent_attributes_take_the_default, wrong_type_names_node_and_attribute,
               strings_from_a_file_are_terminated, nodes_without_a_name_get_a_label)
