/* Editing nodes and graphs. Leaks and overruns show under the sanitizers. */
#include "tests/support/model_builder.h"

#include <string.h>

#include "onnx/message.h"

START_TEST(attributes_are_replaced_not_duplicated)
{
    mary_model *model = build_model(13);
    Onnx__NodeProto *node = build_node(model->proto->graph, "Conv", "x,w", "y");
    assert_ok(mary_node_set_int(node, "group", 2));
    assert_ok(mary_node_set_int(node, "group", 3));
    assert_ok(mary_node_set_ints(node, "pads", (int64_t[]){1, 2, 3, 4}, 4));
    assert_ok(mary_node_set_string(node, "auto_pad", "VALID"));
    ck_assert_uint_eq(node->n_attribute, 3);
    int64_t group;
    assert_ok(mary_attribute_int(node, "group", 1, &group));
    ck_assert_int_eq(group, 3);
    const char *text;
    assert_ok(mary_attribute_string(node, "auto_pad", "NOTSET", &text));
    ck_assert_str_eq(text, "VALID");
    mary_node_remove_attribute(node, "group");
    mary_node_remove_attribute(node, "absent");
    ck_assert_uint_eq(node->n_attribute, 2);
    ck_assert_ptr_null(mary_attribute_find(node, "group"));
    ck_assert_ptr_nonnull(mary_attribute_find(node, "auto_pad"));
    mary_model_free(&model);
}
END_TEST

START_TEST(inputs_grow_with_absent_ones)
{
    mary_model *model = build_model(13);
    Onnx__NodeProto *node = build_node(model->proto->graph, "Clip", "x", "y");
    assert_ok(mary_node_set_input(node, 2, "max"));
    ck_assert_uint_eq(node->n_input, 3);
    ck_assert_str_eq(node->input[1], "");
    ck_assert_str_eq(node->input[2], "max");
    mary_model_free(&model);
}
END_TEST

START_TEST(nodes_and_initializers_keep_their_order)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_node(graph, "Relu", "x", "a");
    build_node(graph, "Relu", "b", "c");
    Onnx__NodeProto *middle;
    const char *in[] = {"a"}, *out[] = {"b"};
    assert_ok(mary_node_create("", "Neg", "middle", in, 1, out, 1, &middle));
    assert_ok(mary_graph_insert_node(graph, 1, middle));
    ck_assert_str_eq(graph->node[1]->name, "middle");
    ck_assert_str_eq(graph->node[2]->output[0], "c");
    mary_graph_remove_node(graph, 0);
    ck_assert_str_eq(graph->node[0]->name, "middle");
    for (int i = 0; i < 3; i++)
        build_floats(graph, (const char *[]){"p", "q", "r"}[i], SHAPE(1), (float[]){1});
    mary_graph_remove_initializer(graph, 1);
    ck_assert_uint_eq(graph->n_initializer, 2);
    ck_assert_str_eq(graph->initializer[1]->name, "r");
    mary_model_free(&model);
}
END_TEST

/* if (c) { inner = Neg(value) } else { value = Neg(c2); value } -- the second branch has a `value` of its own. */
static mary_model *model_with_branches(void)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    Onnx__GraphProto *then_branch = build_graph("then"), *else_branch = build_graph("else");
    build_node(then_branch, "Neg", "value", "inner");
    build_output(then_branch, "inner", MARY_FLOAT, SHAPE(1));
    build_node(else_branch, "Neg", "other", "value");
    build_output(else_branch, "value", MARY_FLOAT, SHAPE(1));
    build_node(graph, "Abs", "x", "value");
    Onnx__NodeProto *node = build_node(graph, "If", "c", "y");
    assert_ok(mary_node_set_graph(node, "then_branch", then_branch));
    assert_ok(mary_node_set_graph(node, "else_branch", else_branch));
    build_output(graph, "value", MARY_FLOAT, SHAPE(1));
    return model;
}

START_TEST(renaming_reaches_subgraphs_but_respects_their_own_names)
{
    mary_model *model = model_with_branches();
    Onnx__GraphProto *graph = model->proto->graph;
    assert_ok(mary_graph_rename_uses(graph, graph->output[0]->name, "renamed"));
    const Onnx__GraphProto *then_branch = graph->node[1]->attribute[0]->g,
                           *else_branch = graph->node[1]->attribute[1]->g;
    ck_assert_str_eq(graph->node[0]->output[0], "value");
    ck_assert_str_eq(graph->output[0]->name, "renamed");
    ck_assert_str_eq(then_branch->node[0]->input[0], "renamed");
    ck_assert_str_eq(else_branch->output[0]->name, "value");
    mary_model_free(&model);
}
END_TEST

START_TEST(value_info_is_replaced_and_unknown_dims_stay_unknown)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    assert_ok(mary_graph_set_value_info(graph, "x", MARY_FLOAT, &SHAPE(1, 2)));
    assert_ok(mary_graph_set_value_info(graph, "x", MARY_INT8, &SHAPE(-1, 4, 5)));
    ck_assert_uint_eq(graph->n_value_info, 1);
    const Onnx__TypeProto__Tensor *tensor = graph->value_info[0]->type->tensor_type;
    ck_assert_int_eq(tensor->elem_type, MARY_INT8);
    ck_assert_uint_eq(tensor->shape->n_dim, 3);
    ck_assert_int_eq(tensor->shape->dim[0]->value_case, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET);
    ck_assert_int_eq(tensor->shape->dim[2]->dim_value, 5);
    mary_graph_remove_value_info(graph, 0);
    ck_assert_uint_eq(graph->n_value_info, 0);
    mary_model_free(&model);
}
END_TEST

START_TEST(copy_of_a_model_serialises_to_the_same_bytes)
{
    mary_model *model = model_with_branches(), *copy;
    build_floats(model->proto->graph, "w", SHAPE(2, 2), (float[]){1, 2, 3, 4});
    build_input(model->proto->graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    uint8_t unknown[] = {1, 2, 3}; /* a field of a newer schema */
    model->proto->base.unknown_fields = mary_calloc(1, sizeof(ProtobufCMessageUnknownField));
    model->proto->base.n_unknown_fields = 1;
    uint8_t *data = mary_alloc(sizeof unknown + 1);
    data[0] = sizeof unknown;
    memcpy(data + 1, unknown, sizeof unknown);
    model->proto->base.unknown_fields[0] = (ProtobufCMessageUnknownField){
        .tag = 1000, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = sizeof unknown + 1, .data = data};
    assert_ok(mary_model_copy(model, &copy));
    size_t size, copy_size;
    uint8_t *bytes = build_bytes(model, &size), *copy_bytes = build_bytes(copy, &copy_size);
    ck_assert_uint_eq(size, copy_size);
    ck_assert_mem_eq(bytes, copy_bytes, size);
    mary_free(bytes);
    mary_free(copy_bytes);
    mary_model_free(&copy);
    mary_model_free(&model);
}
END_TEST

START_TEST(failed_allocation_in_a_copy_is_a_status)
{
    mary_model *model = model_with_branches(), *copy;
    for (int64_t n = 0;; n++) {
        mary_memory_fail_after(n);
        mary_status status = mary_model_copy(model, &copy);
        mary_memory_fail_after(-1);
        if (status == MARY_OK)
            break;
        ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
        ck_assert_ptr_null(copy);
    }
    mary_model_free(&copy);
    mary_model_free(&model);
}
END_TEST

MARY_TEST_MAIN("onnx/edit", attributes_are_replaced_not_duplicated, inputs_grow_with_absent_ones,
               nodes_and_initializers_keep_their_order, renaming_reaches_subgraphs_but_respects_their_own_names,
               value_info_is_replaced_and_unknown_dims_stay_unknown, copy_of_a_model_serialises_to_the_same_bytes,
               failed_allocation_in_a_copy_is_a_status)
