#include "cli/data/data.h"
#include "tests/cli/data/files.h"

#define HEADER(descr, shape) "{'descr': '" descr "', 'fortran_order': False, 'shape': " shape ", }"

static mary_array input_of(mary_type type, int rank, const int64_t *dims)
{
    mary_array input = {.name = "input", .type = type, .rank = rank};
    if (rank > 0)
        memcpy(input.dims, dims, sizeof dims[0] * (size_t)rank);
    return input;
}

#define INPUT(type, ...)                                                                                               \
    input_of(type, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__})
#define SHAPE(...)                                                                                                     \
    ((mary_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = {__VA_ARGS__}})

START_TEST(shapes_are_fitted_where_the_meaning_is_clear)
{
    static const struct {
        mary_shape stored;
        mary_shape wanted;
        bool channels_last, fits;
    } cases[] = {
        {{3, {10, 28, 28}}, {4, {-1, 1, 28, 28}}, false, true},
        {{4, {10, 1, 28, 28}}, {4, {-1, 1, 28, 28}}, false, true},
        {{3, {10, 28, 28}}, {2, {-1, 784}}, false, true},
        {{2, {10, 784}}, {4, {-1, 1, 28, 28}}, false, false},
        {{3, {10, 28, 28}}, {4, {-1, 3, 28, 28}}, false, false},
        {{4, {10, 32, 32, 3}}, {4, {-1, 3, 32, 32}}, false, false},
        {{4, {10, 32, 32, 3}}, {4, {-1, 3, 32, 32}}, true, true},
        {{4, {10, 3, 32, 32}}, {4, {-1, 3, 32, 32}}, true, false},
        {{3, {3, 32, 32}}, {4, {-1, 3, 32, 32}}, false, true},
        {{2, {10, 5}}, {2, {-1, -1}}, false, true},
        {{1, {5}}, {2, {-1, 5}}, false, true},
        {{1, {10}}, {1, {-1}}, false, true},
        {{0, {0}}, {1, {-1}}, false, true},
        {{2, {10, 5}}, {0, {0}}, false, false},
        {{4, {10, 28, 28, 1}}, {4, {-1, 1, 28, 28}}, false, true},
    };
    mary_data_options options;
    mary_data_options_default(&options);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mary_array input = input_of(MARY_FLOAT, cases[i].wanted.rank, cases[i].wanted.dims);
        options.channels_last = cases[i].channels_last;
        mary_fit fit;
        mary_status status = mary_fit_plan(&fit, "file", MARY_FLOAT, &cases[i].stored, &input, &options);
        ck_assert_msg((status == MARY_OK) == cases[i].fits, "case %zu: %s", i, mary_error_message());
    }
}
END_TEST

START_TEST(misfits_name_both_shapes_and_the_way_out)
{
    mary_data_options options;
    mary_data_options_default(&options);
    mary_array input = INPUT(MARY_FLOAT, -1, 3, 32, 32);
    mary_shape stored = SHAPE(10, 32, 32, 3);
    mary_fit fit;
    assert_fails(mary_fit_plan(&fit, "x.npz:x", MARY_UINT8, &stored, &input, &options), MARY_ERROR_INVALID,
                 "x.npz:x: shape [10,32,32,3] does not fit input 'input' of shape [N,3,32,32] (it would with --nhwc)");
    options.pixels = (mary_pixels){.given = true, .scale = 1, .mean_count = 2};
    stored = SHAPE(10, 3, 32, 32);
    assert_fails(mary_fit_plan(&fit, "x", MARY_UINT8, &stored, &input, &options), MARY_ERROR_USAGE, "3 channels");
    input.type = MARY_INT64;
    assert_fails(mary_fit_plan(&fit, "x", MARY_FLOAT, &stored, &input, &options), MARY_ERROR_INVALID, "wants int64");
}
END_TEST

START_TEST(pixels_are_scaled_per_channel_and_transposed)
{
    mary_data_options options;
    mary_data_options_default(&options);
    options.channels_last = true;
    options.pixels =
        (mary_pixels){.given = true, .scale = 0.5, .mean = {1, 2}, .std = {2, 4}, .mean_count = 2, .std_count = 2};
    mary_array input = INPUT(MARY_FLOAT, -1, 2, 1, 3);
    mary_shape stored = SHAPE(2, 1, 3, 2);
    const mary_type types[] = {MARY_UINT8, MARY_INT32};
    for (int t = 0; t < 2; t++) {
        uint8_t bytes[12];
        int32_t ints[12];
        for (int i = 0; i < 12; i++)
            ints[i] = bytes[i] = (uint8_t)(i * 20);
        mary_fit fit;
        float out[12];
        assert_ok(mary_fit_plan(&fit, "x", types[t], &stored, &input, &options));
        assert_ok(mary_fit_apply(&fit, "x", t == 0 ? (void *)bytes : (void *)ints, 2, out));
        for (int n = 0; n < 2; n++)
            for (int c = 0; c < 2; c++)
                for (int i = 0; i < 3; i++) {
                    double x = ((n * 3 + i) * 2 + c) * 20;
                    double expected = c == 0 ? (x * 0.5 - 1) / 2 : (x * 0.5 - 2) / 4;
                    ck_assert_double_eq_tol(out[(n * 2 + c) * 3 + i], expected, 1e-6);
                }
    }
}
END_TEST

START_TEST(integers_that_do_not_fit_are_refused)
{
    mary_data_options options;
    mary_data_options_default(&options);
    mary_array input = INPUT(MARY_INT8, -1);
    mary_shape stored = SHAPE(2);
    mary_fit fit;
    int8_t out[2];
    assert_ok(mary_fit_plan(&fit, "x", MARY_INT64, &stored, &input, &options));
    assert_ok(mary_fit_apply(&fit, "x", (int64_t[]){-128, 127}, 2, out));
    ck_assert_int_eq(out[0], -128);
    assert_fails(mary_fit_apply(&fit, "x", (int64_t[]){0, 128}, 2, out), MARY_ERROR_INVALID, "128");
}
END_TEST

static const char *make_archive(void)
{
    float x[10];
    for (int i = 0; i < 10; i++)
        x[i] = (float)i;
    add_member("a.npz", "x_train.npy", HEADER("<f4", "(2, 2)"), x, 16, false);
    add_member("a.npz", "y_train.npy", HEADER("<i8", "(2,)"), (int64_t[]){7, 8}, 16, false);
    add_member("a.npz", "x_test.npy", HEADER("<f4", "(5, 2)"), x, 40, true);
    return add_member("a.npz", "y_test.npy", HEADER("|u1", "(5, 1)"), "\0\1\2\3\4", 5, true);
}

START_TEST(batches_cover_the_samples_and_labels_once)
{
    setup_folder();
    mary_data_options options;
    mary_data_options_default(&options);
    options.sources[options.source_count++] = make_archive();
    options.batch = 2;
    mary_array input = INPUT(MARY_FLOAT, -1, 2);
    mary_data *data;
    assert_ok(mary_data_open(&options, &input, 1, &data));
    ck_assert_int_eq(mary_data_count(data), 5);
    ck_assert(mary_data_has_labels(data));
    int64_t seen = 0;
    for (;;) {
        mary_batch batch;
        assert_ok(mary_data_next(data, &batch));
        if (batch.size == 0)
            break;
        ck_assert_int_eq(batch.inputs[0].dims[0], batch.size);
        for (int64_t i = 0; i < batch.size; i++, seen++) {
            ck_assert_int_eq(batch.labels[i], seen);
            ck_assert_float_eq(((const float *)batch.inputs[0].data)[i * 2], (float)seen * 2);
        }
    }
    ck_assert_int_eq(seen, 5);
    mary_data_close(&data);
    remove_folder();
}
END_TEST

START_TEST(a_fixed_batch_is_filled_with_the_last_sample)
{
    setup_folder();
    mary_data_options options;
    mary_data_options_default(&options);
    options.sources[options.source_count++] = make_archive();
    mary_array input = INPUT(MARY_FLOAT, 3, 2);
    mary_data *data;
    mary_batch batch;
    assert_ok(mary_data_open(&options, &input, 1, &data));
    assert_ok(mary_data_next(data, &batch));
    ck_assert_int_eq(batch.size, 3);
    assert_ok(mary_data_next(data, &batch));
    ck_assert_int_eq(batch.size, 2);
    ck_assert_int_eq(batch.rows, 3);
    const float *values = batch.inputs[0].data;
    ck_assert_float_eq(values[0], 6);
    ck_assert_float_eq(values[3], 9);
    ck_assert_float_eq(values[5], 9);
    assert_ok(mary_data_next(data, &batch));
    ck_assert_int_eq(batch.size, 0);
    mary_data_close(&data);
    options.batch = 2;
    assert_fails(mary_data_open(&options, &input, 1, &data), MARY_ERROR_USAGE, "fixed batch of 3");
    remove_folder();
}
END_TEST

START_TEST(splits_and_named_arrays_choose_what_is_fed)
{
    setup_folder();
    mary_data_options options;
    mary_data_options_default(&options);
    const char *path = make_archive();
    char source[256];
    mary_array input = INPUT(MARY_FLOAT, -1, 2);
    mary_data *data;
    mary_batch batch;
    options.sources[0] = path;
    options.source_count = 1;
    options.split = "train";
    assert_ok(mary_data_open(&options, &input, 1, &data));
    assert_ok(mary_data_next(data, &batch));
    ck_assert_int_eq(batch.size, 2);
    ck_assert_int_eq(batch.labels[1], 8);
    mary_data_close(&data);
    options.split = NULL;
    snprintf(source, sizeof source, "input=%s:x_train", path);
    options.sources[0] = source;
    assert_ok(mary_data_open(&options, &input, 1, &data));
    ck_assert_int_eq(mary_data_count(data), 2);
    ck_assert(mary_data_has_labels(data));
    mary_data_close(&data);
    options.labels = "y_test"; /* five for two samples */
    assert_fails(mary_data_open(&options, &input, 1, &data), MARY_ERROR_INVALID, "5 labels for 2 samples");
    options.labels = NULL;
    snprintf(source, sizeof source, "other=%s:x_train", path);
    assert_fails(mary_data_open(&options, &input, 1, &data), MARY_ERROR_USAGE, "no input 'other'");
    snprintf(source, sizeof source, "%s:x_none", path);
    assert_fails(mary_data_open(&options, &input, 1, &data), MARY_ERROR_INVALID, "x_none");
    options.split = "valid";
    options.sources[0] = path;
    assert_fails(mary_data_open(&options, &input, 1, &data), MARY_ERROR_INVALID, "x_valid");
    remove_folder();
}
END_TEST

START_TEST(two_inputs_take_arrays_of_their_names)
{
    setup_folder();
    add_member("two.npz", "b.npy", HEADER("<i4", "(3, 1)"), (int32_t[]){1, 2, 3}, 12, false);
    mary_data_options options;
    mary_data_options_default(&options);
    options.sources[options.source_count++] =
        add_member("two.npz", "a.npy", HEADER("<f4", "(3, 2)"), (float[]){1, 2, 3, 4, 5, 6}, 24, true);
    mary_array inputs[2] = {INPUT(MARY_FLOAT, -1, 2), INPUT(MARY_INT64, -1, 1)};
    inputs[0].name = "a";
    inputs[1].name = "b";
    mary_data *data;
    mary_batch batch;
    assert_ok(mary_data_open(&options, inputs, 2, &data));
    assert_ok(mary_data_next(data, &batch));
    ck_assert_int_eq(batch.size, 3);
    ck_assert_int_eq(((const int64_t *)batch.inputs[1].data)[2], 3);
    mary_data_close(&data);
    inputs[1].name = "c";
    assert_fails(mary_data_open(&options, inputs, 2, &data), MARY_ERROR_INVALID, "which array feeds input 'c'");
    remove_folder();
}
END_TEST

START_TEST(idx_labels_are_found_beside_the_images)
{
    setup_folder();
    const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4};
    const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 5, 6};
    write_gzip("t10k-labels-idx1-ubyte.gz", labels, sizeof labels);
    const char *path = write_gzip("t10k-images-idx3-ubyte.gz", images, sizeof images);
    mary_array input = INPUT(MARY_FLOAT, -1, 1, 1, 2);
    const char *sources[2] = {path, folder};
    for (int i = 0; i < 2; i++) {
        mary_data_options options;
        mary_data_options_default(&options);
        options.sources[options.source_count++] = sources[i];
        mary_data *data;
        mary_batch batch;
        assert_ok(mary_data_open(&options, &input, 1, &data));
        assert_ok(mary_data_next(data, &batch));
        ck_assert_int_eq(batch.size, 2);
        ck_assert_int_eq(batch.labels[1], 6);
        ck_assert(mary_data_unscaled(data));
        mary_data_close(&data);
    }
    remove_folder();
}
END_TEST

START_TEST(memory_that_runs_out_comes_back_as_a_status)
{
    setup_folder();
    mary_data_options options;
    mary_data_options_default(&options);
    options.sources[options.source_count++] = make_archive();
    mary_array input = INPUT(MARY_FLOAT, -1, 2);
    int64_t failures = 0;
    for (;; failures++) {
        mary_data *data = NULL;
        mary_batch batch;
        mary_memory_fail_after(failures);
        mary_status status = mary_data_open(&options, &input, 1, &data);
        if (status == MARY_OK)
            status = mary_data_next(data, &batch);
        mary_data_close(&data);
        mary_memory_fail_after(-1);
        if (status == MARY_OK)
            break;
        ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
        ck_assert_int_lt(failures, 1000);
    }
    ck_assert_int_gt(failures, 10);
    remove_folder();
}
END_TEST

MARY_TEST_MAIN("cli/data/data", memory_that_runs_out_comes_back_as_a_status,
               shapes_are_fitted_where_the_meaning_is_clear, misfits_name_both_shapes_and_the_way_out,
               pixels_are_scaled_per_channel_and_transposed, integers_that_do_not_fit_are_refused,
               batches_cover_the_samples_and_labels_once, a_fixed_batch_is_filled_with_the_last_sample,
               splits_and_named_arrays_choose_what_is_fed, two_inputs_take_arrays_of_their_names,
               idx_labels_are_found_beside_the_images)
