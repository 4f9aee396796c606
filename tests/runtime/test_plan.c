/* What a plan decides: memory that is reused, layouts that meet, values that are known before anything runs. */
#include "tests/support/model_builder.h"

#include <string.h>

#include "runtime/plan.h"

typedef struct planned {
    mary_program *program;
    mary_plan *plan;
} planned;

static planned plan_model(mary_model *model, mary_shape shape, bool fuse)
{
    planned result = {0};
    mary_tensor input = {.type = MARY_FLOAT, .shape = shape};
    assert_ok(mary_program_create(&model, mary_cpu_best(), fuse, NULL, &result.program));
    assert_ok(mary_plan_create(result.program, &input, fuse, false, NULL, &result.plan));
    return result;
}

static void free_planned(planned *p)
{
    mary_plan_free(&p->plan);
    mary_program_free(&p->program);
}

static int count_steps(const mary_plan *plan, mary_step_kind kind)
{
    int count = 0;
    for (size_t i = 0; i < plan->step_count; i++)
        count += plan->steps[i].kind == kind;
    return count;
}

START_TEST(element_wise_chain_works_in_one_buffer)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(1, 1000));
    build_node(graph, "Neg", "x", "a");
    build_node(graph, "Relu", "a", "b");
    build_node(graph, "Abs", "b", "c");
    build_node(graph, "Exp", "c", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(1, 1000));
    planned p = plan_model(model, SHAPE(1, 1000), true);
    ck_assert_uint_lt(p.plan->arena_bytes, 2 * 4000);
    free_planned(&p);
}
END_TEST

START_TEST(value_with_two_readers_is_not_overwritten)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(1, 1000));
    build_node(graph, "Neg", "x", "a");
    build_node(graph, "Relu", "a", "b");
    build_node(graph, "Identity", "a", "view");
    build_node(graph, "Abs", "view", "c");
    build_output(graph, "a", MARY_FLOAT, SHAPE(1, 1000));
    build_output(graph, "b", MARY_FLOAT, SHAPE(1, 1000));
    build_output(graph, "c", MARY_FLOAT, SHAPE(1, 1000));
    planned p = plan_model(model, SHAPE(1, 1000), true);
    int a = mary_plan_root(p.plan, p.plan->outputs[0], NULL), b = mary_plan_root(p.plan, p.plan->outputs[1], NULL);
    int c = mary_plan_root(p.plan, p.plan->outputs[2], NULL);
    ck_assert(a != b && b != c && a != c);
    ck_assert_uint_eq(p.plan->step_count, 3); /* a view is no step */
    free_planned(&p);
}
END_TEST

START_TEST(outputs_that_no_step_reads_are_written_in_place)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    const int64_t shape[] = {10, 100};
    build_input(graph, "x", MARY_FLOAT, SHAPE(1, 1000));
    build_ints(graph, "shape", SHAPE(2), shape);
    build_node(graph, "Neg", "x", "read");
    build_node(graph, "Abs", "read", "last");
    build_node(graph, "Neg", "read", "flat");
    build_node(graph, "Reshape", "flat,shape", "view");
    build_node(graph, "Identity", "x", "input");
    build_output(graph, "read", MARY_FLOAT, SHAPE(1, 1000));
    build_output(graph, "last", MARY_FLOAT, SHAPE(1, 1000));
    build_output(graph, "view", MARY_FLOAT, SHAPE(10, 100));
    build_output(graph, "input", MARY_FLOAT, SHAPE(1, 1000));
    planned p = plan_model(model, SHAPE(1, 1000), true);
    const mary_place wanted[] = {MARY_PLACE_ARENA, MARY_PLACE_OUTPUT, MARY_PLACE_OUTPUT, MARY_PLACE_INPUT};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(p.plan->slots[mary_plan_root(p.plan, p.plan->outputs[i], NULL)].place, wanted[i]);
    ck_assert_uint_le(p.plan->arena_bytes, 4096);
    free_planned(&p);
}
END_TEST

START_TEST(layouts_change_only_at_the_ends_of_a_convolution_chain)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float weights[5 * 5 * 9] = {0};
    build_input(graph, "x", MARY_FLOAT, SHAPE(1, 5, 8, 8));
    build_floats(graph, "w", SHAPE(5, 5, 3, 3), weights);
    build_node(graph, "Conv", "x,w", "a");
    build_node(graph, "Relu", "a", "b");
    build_node(graph, "Conv", "b,w", "c");
    build_node(graph, "Exp", "c", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(1, 5, 4, 4));
    planned p = plan_model(model, SHAPE(1, 5, 8, 8), true);
    ck_assert_int_eq(count_steps(p.plan, MARY_STEP_LAYOUT), 2);
    ck_assert_int_eq(count_steps(p.plan, MARY_STEP_NODE), 3);
    free_planned(&p);
}
END_TEST

START_TEST(shape_arithmetic_is_done_while_planning)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, 4, 2));
    const int64_t first = 0, rest = -1;
    build_ints(graph, "zero", SHAPE(1), &first);
    build_ints(graph, "rest", SHAPE(1), &rest);
    build_node(graph, "Shape", "x", "s");
    build_node(graph, "Gather", "s,zero", "n");
    assert_ok(mary_node_set_int(build_node(graph, "Concat", "n,rest", "target"), "axis", 0));
    build_node(graph, "Reshape", "x,target", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, -1));
    planned p = plan_model(model, SHAPE(3, 4, 2), true);
    ck_assert_uint_eq(p.plan->step_count, 0);
    const mary_tensor *output = &p.plan->slots[p.plan->outputs[0]].tensor;
    ck_assert(mary_shape_equal(&output->shape, &SHAPE(3, 8)));
    free_planned(&p);
}
END_TEST

START_TEST(pixels_never_lie_a_multiple_of_a_page_apart)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    float *weights = calloc(512 * 4, sizeof *weights);
    build_input(graph, "x", MARY_FLOAT, SHAPE(1, 4, 8, 8));
    build_floats(graph, "w", SHAPE(512, 4, 1, 1), weights);
    build_node(graph, "Conv", "x,w", "a");
    build_node(graph, "Relu", "a", "y");
    build_output(graph, "y", MARY_FLOAT, SHAPE(1, 512, 8, 8));
    planned p = plan_model(model, SHAPE(1, 4, 8, 8), true);
    for (size_t i = 0; i < p.plan->slot_count; i++) {
        const mary_tensor *tensor = &p.plan->slots[i].tensor;
        if (tensor->layout == MARY_LAYOUT_CHANNELS_LAST)
            ck_assert_int_ne(tensor->pixel_stride % 512, 0);
    }
    free_planned(&p);
    free(weights);
}
END_TEST

MARY_TEST_MAIN("runtime/plan", element_wise_chain_works_in_one_buffer, value_with_two_readers_is_not_overwritten,
               outputs_that_no_step_reads_are_written_in_place, layouts_change_only_at_the_ends_of_a_convolution_chain,
               shape_arithmetic_is_done_while_planning, pixels_never_lie_a_multiple_of_a_page_apart)
