/* Pooling against its definition in double; op_run repeats each case on every tier, in both layouts, with and without
 * threads. */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/memory.h"

typedef struct pool_case {
    const char *type;
    int rank; /* spatial axes */
    int64_t batch, channels, input[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
    int ceil_mode, include, p;
} pool_case;

static int64_t output_size(const pool_case *s, int i)
{
    int64_t slack = s->input[i] + s->pad[i] + s->pad_end[i] - (s->kernel[i] - 1) * s->dilation[i] - 1;
    int64_t size = slack / s->stride[i] + 1;
    if (s->ceil_mode && slack % s->stride[i] != 0 && size * s->stride[i] < s->input[i] + s->pad[i])
        size++;
    return size;
}

static double pool_one(const pool_case *s, const float *x, const int64_t *o)
{
    bool max = strstr(s->type, "Max") != NULL, mean = strstr(s->type, "Average") != NULL;
    double sum = max ? -INFINITY : 0, count = 0;
    int64_t taps = 1;
    for (int i = 0; i < s->rank; i++)
        taps *= s->kernel[i];
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t rest = tap, at = 0, scale = 1;
        bool inside = true, padded = true;
        for (int i = s->rank - 1; i >= 0; i--) {
            int64_t position = o[i] * s->stride[i] - s->pad[i] + rest % s->kernel[i] * s->dilation[i];
            rest /= s->kernel[i];
            inside = inside && position >= 0 && position < s->input[i];
            padded = padded && position < s->input[i] + s->pad_end[i];
            at += position * scale;
            scale *= s->input[i];
        }
        count += s->include ? padded : inside;
        if (!inside)
            continue;
        if (max)
            sum = fmax(sum, x[at]);
        else
            sum += mean ? x[at] : pow(fabs((double)x[at]), s->p);
    }
    return max ? sum : mean ? sum / count : pow(sum, 1.0 / s->p);
}

static void check_pool(const pool_case *s, bool last)
{
    int64_t dims[5] = {s->batch, s->channels}, pads[6], planes = s->batch * s->channels, pixels = 1, outputs = 1;
    for (int i = 0; i < s->rank; i++) {
        dims[2 + i] = s->input[i];
        pads[i] = s->pad[i];
        pads[s->rank + i] = s->pad_end[i];
        pixels *= s->input[i];
        outputs *= output_size(s, i);
    }
    op_case *c = op_case_new(s->type, 19);
    op_attribute_ints(c, "kernel_shape", s->rank, s->kernel);
    op_attribute_ints(c, "strides", s->rank, s->stride);
    op_attribute_ints(c, "dilations", s->rank, s->dilation);
    op_attribute_ints(c, "pads", 2 * s->rank, pads);
    op_attribute_int(c, "ceil_mode", s->ceil_mode);
    op_attribute_int(c, "count_include_pad", s->include);
    op_attribute_int(c, "p", s->p);
    op_input(c, MARY_FLOAT, 2 + s->rank, dims, NULL);
    op_run(c);
    ck_assert(op_ran_channels_last(c) == last);
    const mary_tensor *y = op_output(c, 0);
    const float *x = op_input_tensor(c, 0)->data, *got = y->data;
    ck_assert_int_eq(mary_shape_count(&y->shape), planes * outputs);
    for (int64_t plane = 0; plane < planes; plane++) {
        for (int64_t at = 0; at < outputs; at++) {
            int64_t o[3], rest = at;
            for (int i = s->rank - 1; i >= 0; i--) {
                o[i] = rest % output_size(s, i);
                rest /= output_size(s, i);
            }
            ck_assert_double_eq_tol(got[plane * outputs + at], pool_one(s, x + plane * pixels, o), 1e-4);
        }
    }
    op_case_free(c);
}

static const char *const types[] = {"MaxPool", "AveragePool", "LpPool"};

START_TEST(every_pool_follows_its_definition)
{
    for (int type = 0; type < 3; type++) {
        for (int64_t channels = 1; channels <= 70; channels += channels < 18 ? 5 : 13) {
            pool_case s = {types[type], 2,      2,      channels, {9, 7},    {3, 2}, {2, 1},
                           {1, 2},      {1, 0}, {0, 1}, 0,        type == 1, 2};
            check_pool(&s, true);
            s.stride[1] = 3;
            s.dilation[0] = 2;
            s.ceil_mode = 1;
            s.include = 0;
            s.p = 1;
            check_pool(&s, true);
        }
        pool_case line = {types[type], 1, 2, 5, {23}, {4}, {3}, {1}, {2}, {3}, 1, 1, 3};
        check_pool(&line, type != 2); /* powers other than 1 and 2 are plain */
        pool_case volume = {types[type], 3,         1,         20, {5, 6, 4}, {2, 3, 2}, {1, 2, 2},
                            {1, 1, 2},   {1, 1, 0}, {0, 1, 1}, 0,  0,         2};
        check_pool(&volume, true);
    }
}
END_TEST

START_TEST(rounding_up_counts_only_windows_that_start_inside)
{
    /* 8 + 2 pixels, kernel 3, stride 4: rounding up gives 3 windows, all start at or before pixel 7 */
    pool_case s = {"AveragePool", 1, 1, 2, {8}, {3}, {4}, {1}, {1}, {1}, 1, 1, 2};
    check_pool(&s, true);
    pool_case t = {"MaxPool", 2, 1, 1, {2, 2}, {1, 1}, {2, 2}, {1, 1}, {0, 0}, {0, 0}, 1, 0, 2};
    check_pool(&t, true); /* the second window would start behind the image */
    for (int64_t size = 3; size < 14; size++) {
        pool_case u = {"AveragePool", 2, 1, 3, {size, 5}, {3, 3}, {2, 3}, {1, 1}, {1, 1}, {1, 1}, 1, size % 2, 2};
        check_pool(&u, true);
    }
}
END_TEST

START_TEST(indices_name_the_first_largest_element)
{
    for (int order = 0; order < 2; order++) {
        op_case *c = op_case_new("MaxPool", 12);
        op_attribute_ints(c, "kernel_shape", DIMS(2, 2));
        op_attribute_ints(c, "strides", DIMS(1, 2));
        op_attribute_int(c, "storage_order", order);
        op_input(c, MARY_FLOAT, DIMS(2, 1, 3, 4),
                 FLOATS(1, 2, 5, 5, 3, 0, 4, 5, 9, 9, 9, 9, /**/ 0, 0, 0, 0, 0, 1, 0, 0, 7, 0, 0, -1));
        op_outputs(c, 2);
        op_run(c);
        op_expect(c, 0, MARY_FLOAT, DIMS(2, 1, 2, 2), FLOATS(3, 5, 9, 9, 1, 0, 7, 0));
        if (order == 0)
            op_expect(c, 1, MARY_INT64, DIMS(2, 1, 2, 2), INTS(4, 2, 8, 10, 17, 14, 20, 18));
        else
            op_expect(c, 1, MARY_INT64, DIMS(2, 1, 2, 2), INTS(1, 6, 2, 8, 16, 18, 14, 19));
        op_case_free(c);
    }
}
END_TEST

START_TEST(small_integers_and_double_are_pooled)
{
    op_case *c = op_case_new("MaxPool", 12);
    op_attribute_ints(c, "kernel_shape", DIMS(2));
    op_attribute_ints(c, "pads", DIMS(1, 1));
    op_input(c, MARY_INT8, DIMS(1, 1, 3), (int8_t[]){-128, -5, -7});
    op_run(c);
    op_expect(c, 0, MARY_INT8, DIMS(1, 1, 4), (int8_t[]){-128, -5, -5, -7});
    op_case_free(c);
    c = op_case_new("MaxPool", 12);
    op_attribute_ints(c, "kernel_shape", DIMS(2));
    op_input(c, MARY_UINT8, DIMS(1, 1, 3), (uint8_t[]){1, 255, 7});
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(1, 1, 2), (uint8_t[]){255, 255});
    op_case_free(c);
    c = op_case_new("AveragePool", 11);
    op_attribute_ints(c, "kernel_shape", DIMS(2));
    op_input(c, MARY_DOUBLE, DIMS(1, 1, 3), DOUBLES(1, 2, 4));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(1, 1, 2), DOUBLES(1.5, 3));
    op_case_free(c);
}
END_TEST

START_TEST(global_pools_reduce_the_whole_image)
{
    static const char *const names[] = {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"};
    for (int type = 0; type < 3; type++) {
        for (int64_t channels = 1; channels < 150; channels += 37) {
            op_case *c = op_case_new(names[type], 2);
            op_input(c, MARY_FLOAT, DIMS(2, channels, 5, 3), NULL);
            op_run(c);
            ck_assert(op_ran_channels_last(c));
            const float *x = op_input_tensor(c, 0)->data, *y = op_output(c, 0)->data;
            ck_assert_int_eq(op_output(c, 0)->shape.rank, 4);
            for (int64_t plane = 0; plane < 2 * channels; plane++) {
                double sum = type == 1 ? -INFINITY : 0;
                for (int i = 0; i < 15; i++) {
                    double v = x[plane * 15 + i];
                    sum = type == 0 ? sum + v / 15 : type == 1 ? fmax(sum, v) : sum + v * v;
                }
                ck_assert_double_eq_tol(y[plane], type == 2 ? sqrt(sum) : sum, 1e-5);
            }
            op_case_free(c);
        }
    }
}
END_TEST

START_TEST(tensors_without_elements_do_not_crash)
{
    op_case *c = op_case_new("MaxPool", 12);
    op_attribute_ints(c, "kernel_shape", DIMS(2, 2));
    op_input(c, MARY_FLOAT, DIMS(0, 3, 4, 4), NULL);
    op_run(c);
    op_case_free(c);
    c = op_case_new("GlobalAveragePool", 1);
    op_input(c, MARY_FLOAT, DIMS(1, 3, 0, 4), NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 3, 1, 1), FLOATS(0, 0, 0));
    op_case_free(c);
}
END_TEST

static mary_status try_pool(const char *type, const char *attribute, int count, const int64_t *values,
                            mary_type element)
{
    op_case *c = op_case_new(type, 12);
    if (strcmp(attribute, "kernel_shape") != 0)
        op_attribute_ints(c, "kernel_shape", DIMS(2, 2));
    op_attribute_ints(c, attribute, count, values);
    op_input(c, element, DIMS(1, 1, 4, 4), NULL);
    mary_status status = op_try(c);
    op_case_free(c);
    return status;
}

START_TEST(hostile_attributes_are_refused)
{
    assert_fails(try_pool("MaxPool", "strides", DIMS(1, 0), MARY_FLOAT), MARY_ERROR_INVALID, "strides has the value 0");
    assert_fails(try_pool("MaxPool", "kernel_shape", DIMS(2, -1), MARY_FLOAT), MARY_ERROR_INVALID,
                 "kernel_shape has the value -1");
    assert_fails(try_pool("MaxPool", "kernel_shape", 0, NULL, MARY_FLOAT), MARY_ERROR_INVALID,
                 "kernel_shape is missing");
    assert_fails(try_pool("MaxPool", "kernel_shape", DIMS(5, 5), MARY_FLOAT), MARY_ERROR_INVALID,
                 "the kernel covers 5");
    assert_fails(try_pool("MaxPool", "pads", DIMS(2, 2, 2, 2), MARY_FLOAT), MARY_ERROR_INVALID, "padding of 2");
    assert_fails(try_pool("AveragePool", "pads", DIMS(0, 0, INT32_MAX, INT32_MAX), MARY_FLOAT), MARY_ERROR_INVALID,
                 "padding of 0");
    assert_fails(try_pool("AveragePool", "strides", DIMS(1, 1), MARY_INT8), MARY_ERROR_UNSUPPORTED, "input is int8");
}
END_TEST

MARY_TEST_MAIN("ops/pool", every_pool_follows_its_definition, rounding_up_counts_only_windows_that_start_inside,
               indices_name_the_first_largest_element, small_integers_and_double_are_pooled,
               global_pools_reduce_the_whole_image, tensors_without_elements_do_not_crash,
               hostile_attributes_are_refused)
