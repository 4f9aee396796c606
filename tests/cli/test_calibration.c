/* Calibration data: which samples, in which order, and that every pass sees the same ones. */
#include "cli/calibration.h"

#include "tests/cli/data/files.h"
#include "tests/support/model_builder.h"

enum { TRAIN = 70 };

/* x_train [70,3] holds 0, 1, 2...; x_test holds -1 only. */
static mary_model *prepare(mary_data_options *options)
{
    static float train[TRAIN * 3], test[4 * 3];
    for (int i = 0; i < TRAIN * 3; i++)
        train[i] = (float)i;
    for (int i = 0; i < 12; i++)
        test[i] = -1;
    setup_folder();
    add_member("d.npz", "x_test.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", test, sizeof test,
               false);
    add_member("d.npz", "x_train.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (70, 3), }", train,
               sizeof train, true);
    mary_model *model = build_model(13);
    build_input(model->proto->graph, "x", MARY_FLOAT, SHAPE(-1, 3));
    build_node(model->proto->graph, "Abs", "x", "y");
    build_output(model->proto->graph, "y", MARY_FLOAT, SHAPE(-1, 3));
    mary_data_options_default(options);
    options->training = true;
    options->sources[options->source_count++] = path_of("d.npz");
    return model;
}

START_TEST(every_pass_sees_the_same_training_samples_in_order)
{
    mary_data_options options;
    mary_model *model = prepare(&options);
    options.first = 40;
    mary_cli_calibration calibration;
    assert_ok(mary_cli_calibration_open(&calibration, &options, model));
    ck_assert_int_eq(calibration.callback.count, 2); /* 32 + 8 */
    for (int pass = 0; pass < 3; pass++) {
        int64_t next = 0;
        for (int64_t index = 0; index < calibration.callback.count; index++) {
            const mary_array *inputs;
            int count;
            assert_ok(calibration.callback.sample(calibration.callback.context, index, &inputs, &count));
            ck_assert_int_eq(count, 1);
            ck_assert_str_eq(inputs[0].name, "x");
            ck_assert_int_eq(inputs[0].dims[0], index == 0 ? 32 : 8);
            const float *values = inputs[0].data;
            for (int64_t i = 0; i < inputs[0].dims[0] * 3; i++)
                ck_assert(values[i] == (float)next++);
        }
        ck_assert_int_eq(next, 40 * 3);
    }
    mary_cli_calibration_close(&calibration);
    mary_model_free(&model);
    remove_folder();
}
END_TEST

START_TEST(samples_are_spread_over_a_sorted_data_set)
{
    mary_data_options options;
    mary_model *model = prepare(&options);
    options.spread = true;
    for (int64_t first = 1; first <= TRAIN; first += 23) { /* 1, 24, 47, 70 of 70 */
        options.first = first;
        mary_cli_calibration calibration;
        assert_ok(mary_cli_calibration_open(&calibration, &options, model));
        for (int pass = 0; pass < 2; pass++) {
            int64_t seen = 0;
            for (int64_t index = 0; index < calibration.callback.count; index++) {
                const mary_array *inputs;
                int count;
                assert_ok(calibration.callback.sample(calibration.callback.context, index, &inputs, &count));
                const float *values = inputs[0].data;
                for (int64_t i = 0; i < inputs[0].dims[0]; i++, seen++)
                    ck_assert_float_eq(values[3 * i], (float)(3 * (seen * TRAIN / first)));
            }
            ck_assert_int_eq(seen, first);
        }
        mary_cli_calibration_close(&calibration);
    }
    mary_model_free(&model);
    remove_folder();
}
END_TEST

START_TEST(a_split_that_is_named_wins_and_order_is_checked)
{
    mary_data_options options;
    mary_model *model = prepare(&options);
    options.split = "test";
    mary_cli_calibration calibration;
    assert_ok(mary_cli_calibration_open(&calibration, &options, model));
    ck_assert_int_eq(calibration.callback.count, 1);
    const mary_array *inputs;
    int count;
    assert_fails(calibration.callback.sample(calibration.callback.context, 1, &inputs, &count), MARY_ERROR_INTERNAL,
                 "calibration batch 1");
    assert_ok(calibration.callback.sample(calibration.callback.context, 0, &inputs, &count));
    ck_assert(((const float *)inputs[0].data)[0] == -1);
    mary_cli_calibration_close(&calibration);
    mary_model_free(&model);
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/calibration", every_pass_sees_the_same_training_samples_in_order,
               samples_are_spread_over_a_sorted_data_set, a_split_that_is_named_wins_and_order_is_checked)
