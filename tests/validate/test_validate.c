#include <math.h>
#include <string.h>

#include "onnx/memory.h"
#include "tests/support/model_builder.h"

enum { CLASSES = 3 };

/* y = x W, [N,3] to [N,3]; serialised. */
static mary_model_source network(const float *weights)
{
    mary_model *model = build_model(13);
    Onnx__GraphProto *graph = model->proto->graph;
    build_input(graph, "x", MARY_FLOAT, SHAPE(-1, CLASSES));
    build_output(graph, "y", MARY_FLOAT, SHAPE(-1, CLASSES));
    build_floats(graph, "w", SHAPE(CLASSES, CLASSES), weights);
    build_node(graph, "MatMul", "x,w", "y");
    mary_model_source source = {.path = NULL};
    source.bytes = build_bytes(model, &source.size);
    mary_model_free(&model);
    return source;
}

static const float same[] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
static const float swapped[] = {0, 1, 0, 1, 0, 0, 0, 0, 1};

/* Four samples, one a batch: the best classes of `same` are 0, 1, 2, 2. */
typedef struct samples {
    float x[4][CLASSES];
    int64_t labels[4];
    bool labelled;
    int64_t rows; /* more than 1: a batch is filled up */
    float batch[2][CLASSES];
    int position, passes, asked;
    mary_array input;
    mary_status fails;
} samples;

static mary_status begin(void *context, const mary_array *inputs, int input_count, int64_t count)
{
    samples *from = context;
    ck_assert_int_eq(input_count, 1);
    ck_assert_str_eq(inputs[0].name, "x");
    ck_assert_int_eq(inputs[0].dims[0], -1);
    from->position = 0;
    from->passes++;
    from->asked = (int)count;
    return MARY_OK;
}

static mary_status next(void *context, mary_validation_batch *batch)
{
    samples *from = context;
    if (from->position == 2 && from->fails != MARY_OK)
        return from->fails;
    if (from->position == 4)
        return MARY_OK;
    for (int64_t r = 0; r < from->rows; r++)
        memcpy(from->batch[r], from->x[from->position], sizeof from->batch[r]);
    from->input = (mary_array){.name = "x",
                               .type = MARY_FLOAT,
                               .rank = 2,
                               .dims = {from->rows, CLASSES},
                               .data = from->batch,
                               .bytes = (size_t)from->rows * sizeof from->batch[0]};
    *batch = (mary_validation_batch){.inputs = &from->input, .input_count = 1, .rows = from->rows, .size = 1};
    if (from->labelled)
        batch->labels = &from->labels[from->position];
    from->position++;
    return MARY_OK;
}

static samples four(void)
{
    return (samples){
        .x = {{3, 1, 0}, {0, 2, 1}, {0, 1, 5}, {1, 0, 2}}, .labels = {0, 1, 2, 0}, .labelled = true, .rows = 1};
}

static mary_status validate(const mary_model_source *models, int count, samples *from,
                            const mary_validate_options *options, mary_validation **validation)
{
    const mary_validation_data data = {from, begin, next};
    return mary_validate(models, count, &data, options, validation);
}

static void free_source(mary_model_source *source)
{
    mary_free((void *)(uintptr_t)source->bytes);
}

START_TEST(accuracy_agreement_and_closeness_match_numbers_worked_out_by_hand)
{
    mary_model_source models[2] = {network(same), network(swapped)};
    for (int rows = 1; rows <= 2; rows++) { /* rows that fill up a batch do not count */
        samples from = four();
        from.rows = rows;
        mary_validation *validation = NULL;
        assert_ok(validate(models, 2, &from, NULL, &validation));
        mary_validation_totals totals;
        mary_validation_totals_of(validation, &totals);
        ck_assert_uint_eq(totals.samples, 4);
        ck_assert(totals.labelled && totals.scored);
        ck_assert_uint_eq(totals.agreement, 2);
        ck_assert_double_eq(totals.agreement_percent, 50);
        mary_model_accuracy a, b;
        ck_assert(mary_validation_model(validation, 0, &a));
        ck_assert(mary_validation_model(validation, 1, &b));
        ck_assert(!mary_validation_model(validation, 2, &b));
        ck_assert_str_eq(a.path, "<memory>");
        ck_assert_uint_eq(a.file_bytes, models[0].size);
        ck_assert_uint_eq(a.top1, 3);
        ck_assert_uint_eq(b.top1, 1);
        ck_assert_double_eq(totals.drop_points, 50);
        mary_output_comparison output;
        ck_assert(mary_validation_output(validation, 0, &output));
        ck_assert(!mary_validation_output(validation, 1, &output));
        ck_assert_str_eq(output.name, "y");
        ck_assert_uint_eq(output.closeness.elements, 12);
        ck_assert_double_eq_tol(output.closeness.cosine, (6 + 1 + 25 + 4) / 46.0, 1e-12);
        ck_assert_double_eq(output.closeness.max_abs, 2);
        assert_ok(mary_validation_budget(validation, 50));
        assert_fails(mary_validation_budget(validation, 49.9), MARY_ERROR_BUDGET, "50.00 points");
        assert_fails(mary_validation_budget(validation, NAN), MARY_ERROR_USAGE, "budget");
        mary_validation_free(&validation);
        ck_assert_ptr_null(validation);
        mary_validation_free(&validation);
    }
    free_source(&models[0]);
    free_source(&models[1]);
}
END_TEST

START_TEST(layers_are_compared_in_a_second_pass_of_as_many_samples_as_asked_for)
{
    mary_model_source models[2] = {network(same), network(swapped)};
    samples from = four();
    mary_validate_options options = {.layers = true, .layer_samples = 3};
    mary_validation *validation = NULL;
    assert_ok(validate(models, 2, &from, &options, &validation));
    ck_assert_int_eq(from.passes, 2);
    ck_assert_int_eq(from.asked, 3);
    ck_assert_int_eq(from.position, 3);
    mary_validation_totals totals;
    mary_validation_totals_of(validation, &totals);
    ck_assert_uint_eq(totals.layer_samples, 3);
    mary_layer_comparison layer;
    ck_assert(mary_validation_layer(validation, 0, &layer));
    ck_assert_str_eq(layer.op_type, "MatMul");
    ck_assert(layer.measured && !layer.coded);
    ck_assert_uint_eq(layer.closeness.elements, 9);
    ck_assert_double_eq_tol(layer.closeness.cosine, (6 + 1 + 25) / 41.0, 1e-12);
    ck_assert(!mary_validation_layer(validation, 1, &layer));
    mary_validation_free(&validation);
    free_source(&models[0]);
    free_source(&models[1]);
}
END_TEST

START_TEST(one_model_and_data_without_labels_have_no_budget)
{
    mary_model_source models[2] = {network(same), network(swapped)};
    samples from = four();
    mary_validation *validation = NULL;
    assert_ok(validate(models, 1, &from, NULL, &validation));
    assert_fails(mary_validation_budget(validation, 1), MARY_ERROR_USAGE, "two models");
    mary_validation_free(&validation);
    from = four();
    from.labelled = false;
    assert_ok(validate(models, 2, &from, NULL, &validation));
    assert_fails(mary_validation_budget(validation, 1), MARY_ERROR_USAGE, "labels");
    mary_validation_free(&validation);
    free_source(&models[0]);
    free_source(&models[1]);
}
END_TEST

START_TEST(what_cannot_be_validated_leaves_nothing_behind)
{
    mary_model_source models[2] = {network(same), network(swapped)};
    const mary_model_source nothing = {0};
    samples from = four();
    mary_validation *validation = NULL;
    assert_fails(validate(models, 3, &from, NULL, &validation), MARY_ERROR_USAGE, "3");
    ck_assert_ptr_null(validation);
    assert_fails(validate(&nothing, 1, &from, NULL, &validation), MARY_ERROR_USAGE, "without path");
    assert_fails(mary_validate(models, 2, NULL, NULL, &validation), MARY_ERROR_USAGE, "nothing");
    from.position = 4;
    from.fails = MARY_ERROR_INVALID; /* the source's own failure, in the middle */
    ck_assert_int_eq(validate(models, 2, &from, NULL, &validation), MARY_ERROR_INVALID);
    ck_assert_ptr_null(validation);
    from = four();
    from.labels[1] = 7;
    assert_fails(validate(models, 2, &from, NULL, &validation), MARY_ERROR_INVALID, "label 7");
    from = four();
    mary_validate_options options = {.scores = "z"};
    assert_fails(validate(models, 2, &from, &options, &validation), MARY_ERROR_USAGE, "no such output");
    free_source(&models[0]);
    free_source(&models[1]);
}
END_TEST

START_TEST(memory_that_runs_out_anywhere_is_a_status)
{
    mary_model_source models[2] = {network(same), network(swapped)};
    mary_validate_options options = {.layers = true, .session = {.threads = 1}};
    mary_status status = MARY_ERROR_INTERNAL;
    int64_t failures = 0;
    for (; status != MARY_OK && failures < 100000; failures++) {
        samples from = four();
        mary_validation *validation = NULL;
        mary_memory_fail_after(failures);
        status = validate(models, 2, &from, &options, &validation);
        mary_memory_fail_after(-1);
        ck_assert((status == MARY_OK) == (validation != NULL));
        ck_assert(status == MARY_OK || status == MARY_ERROR_INTERNAL);
        mary_validation_free(&validation);
    }
    ck_assert_int_eq(status, MARY_OK);
    ck_assert_int_gt(failures, 100);
    free_source(&models[0]);
    free_source(&models[1]);
}
END_TEST

START_TEST(a_model_saved_in_memory_loads_again)
{
    mary_model_source source = network(same);
    mary_model *model = NULL, *again = NULL;
    void *bytes = NULL;
    size_t size = 0;
    assert_ok(mary_model_load_memory(source.bytes, source.size, &model));
    assert_ok(mary_model_save_memory(model, &bytes, &size));
    ck_assert_uint_eq(size, source.size);
    ck_assert_mem_eq(bytes, source.bytes, size);
    assert_ok(mary_model_load_memory(bytes, size, &again));
    mary_bytes_free(bytes);
    mary_bytes_free(NULL);
    mary_model_free(&again);
    mary_memory_fail_after(0);
    mary_status status = mary_model_save_memory(model, &bytes, &size);
    mary_memory_fail_after(-1);
    ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
    ck_assert_ptr_null(bytes);
    mary_model_free(&model);
    free_source(&source);
}
END_TEST

START_TEST(an_inspection_is_json_and_names_the_layers)
{
    mary_model_source source = network(same);
    char *json = NULL;
    assert_ok(mary_inspect(&source, &json));
    ck_assert_ptr_nonnull(strstr(json, "\"op_type\": \"MatMul\""));
    ck_assert_ptr_nonnull(strstr(json, "\"type\": \"float[?,3]\""));
    mary_bytes_free(json);
    free_source(&source);
    const mary_model_source missing = {.path = "/nowhere.onnx"};
    assert_fails(mary_inspect(&missing, &json), MARY_ERROR_INVALID, "/nowhere.onnx");
    ck_assert_ptr_null(json);
}
END_TEST

MARY_TEST_MAIN("validate/validation", accuracy_agreement_and_closeness_match_numbers_worked_out_by_hand,
               layers_are_compared_in_a_second_pass_of_as_many_samples_as_asked_for,
               one_model_and_data_without_labels_have_no_budget, what_cannot_be_validated_leaves_nothing_behind,
               memory_that_runs_out_anywhere_is_a_status, a_model_saved_in_memory_loads_again,
               an_inspection_is_json_and_names_the_layers)
