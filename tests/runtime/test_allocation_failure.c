/* Every allocation between a file and its result is made to fail once: each failure must come back as a status, and
 * nothing may leak (which the sanitizer build sees when the process ends). The models are those that the fuzz targets
 * start from. */
#include <stdio.h>
#include <string.h>

#include "onnx/memory.h"
#include "tests/support/suite.h"

enum { MOST_ALLOCATIONS = 200000, MOST_OUTPUTS = 8, MOST_INPUTS = 8 };

static char *corpus_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/load/%s", getenv("MARY_SOURCE_DIR"), name);
    return path;
}

/* Ones of the session's types and shapes, 1 for symbolic dimensions. */
static mary_status make_inputs(const mary_session *session, mary_array *inputs, int count)
{
    for (int i = 0; i < count; i++) {
        mary_status status = mary_session_input(session, i, &inputs[i]);
        if (status != MARY_OK)
            return status;
        size_t elements = 1;
        for (int k = 0; k < inputs[i].rank; k++) {
            inputs[i].dims[k] = inputs[i].dims[k] < 0 ? 1 : inputs[i].dims[k];
            elements *= (size_t)inputs[i].dims[k];
        }
        inputs[i].bytes = elements * mary_type_size(inputs[i].type);
        inputs[i].data = calloc(elements, mary_type_size(inputs[i].type));
        ck_assert_ptr_nonnull(inputs[i].data);
    }
    return MARY_OK;
}

static mary_status load_and_run(const char *path, bool convert)
{
    const mary_session_options options = {.threads = 1};
    mary_array inputs[MOST_INPUTS] = {0}, outputs[MOST_OUTPUTS] = {0};
    mary_model *model = NULL;
    mary_session *session = NULL;
    int input_count = 0;

    const mary_convert_options convert_options = {.levels = 4, .threads = 1};
    mary_status status = mary_model_load(path, &model);
    if (status == MARY_OK && convert)
        status = mary_convert(model, &convert_options, NULL);
    if (status == MARY_OK) {
        status = mary_session_create(&model, &options, &session);
        ck_assert_ptr_null(model);
    }
    if (status == MARY_OK) {
        input_count = mary_session_input_count(session);
        ck_assert_int_le(input_count, MOST_INPUTS);
        status = make_inputs(session, inputs, input_count);
    }
    if (status == MARY_OK) {
        const int output_count = mary_session_output_count(session);
        ck_assert_int_le(output_count, MOST_OUTPUTS);
        status = mary_session_run(session, inputs, input_count, outputs, output_count);
        for (int i = 0; i < output_count; i++)
            mary_array_free(&outputs[i]);
    }
    for (int i = 0; i < input_count; i++)
        free(inputs[i].data);
    mary_session_free(&session);
    mary_model_free(&model);
    return status;
}

static void fail_each_allocation(const char *name, bool convert)
{
    const char *path = corpus_path(name);
    assert_ok(load_and_run(path, convert));
    for (int64_t n = 0; n < MOST_ALLOCATIONS; n++) {
        mary_memory_fail_after(n);
        const mary_status status = load_and_run(path, convert);
        mary_memory_fail_after(-1);
        if (status == MARY_OK) {
            ck_assert_int_gt(n, 20); /* the injection reached something */
            return;
        }
        ck_assert_msg(status == MARY_ERROR_INTERNAL, "%s: failure of allocation %lld gave status %d (%s)", name,
                      (long long)n, (int)status, mary_error_message());
        ck_assert_str_ne(mary_error_message(), "");
    }
    ck_abort_msg("%s: never succeeded", name);
}

START_TEST(a_network_survives_any_failing_allocation)
{
    fail_each_allocation("convolutions.onnx", false);
}
END_TEST

START_TEST(weights_behind_chains_survive_any_failing_allocation)
{
    fail_each_allocation("encodings.onnx", false);
}
END_TEST

START_TEST(an_upgraded_model_survives_any_failing_allocation)
{
    fail_each_allocation("old_style.onnx", false);
}
END_TEST

START_TEST(inlined_functions_survive_any_failing_allocation)
{
    fail_each_allocation("with_function.onnx", false);
}
END_TEST

START_TEST(shapes_that_depend_on_data_survive_any_failing_allocation)
{
    fail_each_allocation("shapes.onnx", false);
}
END_TEST

START_TEST(integer_operators_survive_any_failing_allocation)
{
    fail_each_allocation("quantised.onnx", false);
}
END_TEST

START_TEST(conversion_survives_any_failing_allocation)
{
    fail_each_allocation("convolutions.onnx", true);
    fail_each_allocation("shared_and_transposed.onnx", true);
    fail_each_allocation("encodings.onnx", true);
}
END_TEST

MARY_TEST_MAIN("runtime/allocation_failure", conversion_survives_any_failing_allocation,
               a_network_survives_any_failing_allocation, weights_behind_chains_survive_any_failing_allocation,
               an_upgraded_model_survives_any_failing_allocation, inlined_functions_survive_any_failing_allocation,
               shapes_that_depend_on_data_survive_any_failing_allocation,
               integer_operators_survive_any_failing_allocation)
