/* Who makes and who uses a value. */
#include "tests/support/model_builder.h"

#include <string.h>

static mary_model *model;
static mary_graph_index *index_;

/* 0: a = Relu(x); 1: b = Add(a, a); 2: y = If(c) { Neg(a) }; outputs b, a. */
static void build(void)
{
    model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph, *branch = build_graph("branch");
    build_input(graph, "x", MARY_FLOAT, SHAPE(1));
    build_floats(graph, "unused", SHAPE(1), (float[]){1});
    build_floats(graph, "c", SHAPE(1), (float[]){1});
    build_node(graph, "Relu", "x", "a");
    build_node(graph, "Add", "a,a", "b");
    build_node(branch, "Neg", "a", "inner");
    build_output(branch, "inner", MARY_FLOAT, SHAPE(1));
    assert_ok(mary_node_set_graph(build_node(graph, "If", "c", "y"), "then_branch", branch));
    build_output(graph, "b", MARY_FLOAT, SHAPE(1));
    build_output(graph, "a", MARY_FLOAT, SHAPE(1));
    assert_ok(mary_graph_index_create(graph, &index_));
}

static void clear(void)
{
    mary_graph_index_free(&index_);
    mary_model_free(&model);
}

START_TEST(producers_and_initializers_are_found)
{
    build();
    ck_assert_int_eq(mary_graph_producer(index_, "a"), 0);
    ck_assert_int_eq(mary_graph_producer(index_, "y"), 2);
    ck_assert_int_eq(mary_graph_producer(index_, "x"), -1);
    ck_assert_int_eq(mary_graph_producer(index_, "nowhere"), -1);
    ck_assert_int_eq(mary_graph_initializer(index_, "c"), 1);
    ck_assert_int_eq(mary_graph_initializer(index_, "a"), -1);
    ck_assert(mary_graph_is_input(index_, "x") && !mary_graph_is_input(index_, "c"));
    ck_assert(mary_graph_is_output(index_, "a") && !mary_graph_is_output(index_, "y"));
    clear();
}
END_TEST

START_TEST(uses_count_inputs_subgraphs_and_outputs)
{
    build();
    ck_assert_uint_eq(mary_graph_use_count(index_, "a"), 4); /* twice Add, once the branch, once an output */
    size_t count;
    const size_t *nodes = mary_graph_consumers(index_, "a", &count);
    ck_assert_uint_eq(count, 2);
    ck_assert(nodes[0] == 1 && nodes[1] == 2);
    ck_assert_uint_eq(mary_graph_use_count(index_, "unused"), 0);
    (void)mary_graph_consumers(index_, "unused", &count);
    ck_assert_uint_eq(count, 0);
    clear();
}
END_TEST

static void expect_name(const char *stem, const char *expected)
{
    char *name = mary_graph_unique_name(index_, stem);
    ck_assert_str_eq(name, expected);
    mary_free(name);
}

START_TEST(unique_names_avoid_everything_and_each_other)
{
    build();
    expect_name("fresh", "fresh");
    expect_name("fresh", "fresh_1");
    expect_name("fresh", "fresh_2");
    expect_name("inner", "inner_1"); /* a value of the subgraph */
    expect_name("inner_1", "inner_1_1");
    mary_graph_remove_node(model->proto->graph, 0); /* names are the index's own */
    expect_name("a", "a_1");
    clear();
}
END_TEST

START_TEST(failed_allocation_is_a_status)
{
    build();
    for (int64_t n = 0;; n++) {
        mary_graph_index *other;
        mary_memory_fail_after(n);
        mary_status status = mary_graph_index_create(model->proto->graph, &other);
        mary_memory_fail_after(-1);
        if (status == MARY_OK) {
            mary_graph_index_free(&other);
            break;
        }
        ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
    }
    clear();
}
END_TEST

MARY_TEST_MAIN("onnx/graph_index", producers_and_initializers_are_found, uses_count_inputs_subgraphs_and_outputs,
               unique_names_avoid_everything_and_each_other, failed_allocation_is_a_status)
