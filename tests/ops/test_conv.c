/* Conv against its definition in double; op_run repeats each case on every tier, in both layouts, with and without
 * threads. */
#include "tests/support/op_run.h"

#include <math.h>

#include "onnx/memory.h"
#include "ops/channels.h"
#include "ops/conv.h"
#include "runtime/threads.h"
#include "tests/support/conv_reference.h"

enum { DYNAMIC = 1, BIAS = 2, RESIDUAL = 4 };

static void spatial(const conv_shape *s, int64_t a, int64_t b, const int64_t values[3], int64_t *dims)
{
    dims[0] = a;
    dims[1] = b;
    for (int i = 0; i < s->rank; i++)
        dims[2 + i] = values[3 - s->rank + i];
}

static void check_conv(const conv_shape *s, unsigned flags, const mary_epilogue *epilogue)
{
    int skip = 3 - s->rank;
    int64_t x[5], w[5], y[5], pads[6], output[3];
    for (int axis = 0; axis < 3; axis++)
        output[axis] = conv_output(s, axis);
    spatial(s, s->batch, s->groups * s->depth, s->input, x);
    spatial(s, s->groups * s->filters, s->depth, s->kernel, w);
    spatial(s, s->batch, s->groups * s->filters, output, y);
    for (int i = 0; i < s->rank; i++) {
        pads[i] = s->pad[skip + i];
        pads[s->rank + i] = s->pad_end[skip + i];
    }
    op_case *c = op_case_new("Conv", 11);
    op_attribute_int(c, "group", s->groups);
    op_attribute_ints(c, "strides", s->rank, s->stride + skip);
    op_attribute_ints(c, "dilations", s->rank, s->dilation + skip);
    op_attribute_ints(c, "pads", 2 * s->rank, pads);
    op_attribute_ints(c, "kernel_shape", s->rank, s->kernel + skip);
    op_input(c, MARY_FLOAT, 2 + s->rank, x, NULL);
    (flags & DYNAMIC ? op_input : op_constant)(c, MARY_FLOAT, 2 + s->rank, w, NULL);
    if (flags & BIAS)
        (flags & DYNAMIC ? op_input : op_constant)(c, MARY_FLOAT, 1, &w[0], NULL);
    else
        op_absent(c);
    mary_epilogue fused = epilogue != NULL ? *epilogue : (mary_epilogue){.residual = -1};
    if (flags & RESIDUAL) {
        op_input(c, MARY_FLOAT, 2 + s->rank, y, NULL);
        fused.residual = 3;
    }
    op_epilogue(c, fused);
    op_tolerance(c, 1e-4);
    op_run(c);
    ck_assert(op_ran_channels_last(c) == !(flags & DYNAMIC));
    const mary_tensor *out = op_output(c, 0);
    ck_assert(out->shape.rank == 2 + s->rank && memcmp(out->shape.dims, y, sizeof *y * (size_t)out->shape.rank) == 0);
    int64_t count = mary_shape_count(&out->shape);
    double *expected = mary_alloc(sizeof(double) * (size_t)count + 1);
    conv_reference(s, op_input_tensor(c, 0)->data, op_input_tensor(c, 1)->data,
                   flags & BIAS ? op_input_tensor(c, 2)->data : NULL,
                   flags & RESIDUAL ? op_input_tensor(c, 3)->data : NULL, epilogue, expected);
    double tolerance = 1e-5 + 1e-7 * (double)(s->depth * s->kernel[0] * s->kernel[1] * s->kernel[2]);
    for (int64_t i = 0; i < count; i++) {
        double got = ((const float *)out->data)[i];
        ck_assert_msg(fabs(got - expected[i]) <= tolerance * (1 + fabs(expected[i])), "element %lld: %g, expected %g",
                      (long long)i, got, expected[i]);
    }
    mary_free(expected);
    op_case_free(c);
}

static conv_shape plane(int64_t n, int64_t groups, int64_t depth, int64_t filters, int64_t h, int64_t w, int64_t k,
                        int64_t stride, int64_t pad)
{
    return (conv_shape){2,
                        n,
                        groups,
                        depth,
                        filters,
                        {1, h, w},
                        {1, k, k},
                        {1, stride, stride},
                        {1, 1, 1},
                        {0, pad, pad},
                        {0, pad, pad}};
}

static const mary_epilogue relu = {MARY_ACTIVATION_CLIP, 0, INFINITY, -1};

START_TEST(channels_around_the_panel_width_are_right)
{
    static const int64_t filters[] = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 65};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        conv_shape s = plane(1, 1, 5 + (int64_t)i, filters[i], 5, 7, 3, 1, 1);
        check_conv(&s, i % 2 ? BIAS : 0, i % 3 ? &relu : NULL);
    }
}
END_TEST

START_TEST(pixels_around_the_tile_height_are_right)
{
    for (int64_t w = 1; w <= 27; w += w < 14 ? 1 : 3) {
        conv_shape s = plane(1 + w % 2, 1, 16, 17, 1 + w % 3, w, 1, 1, 0);
        check_conv(&s, BIAS | RESIDUAL, &relu);
    }
}
END_TEST

START_TEST(strides_dilations_and_uneven_pads_are_right)
{
    for (int stride = 1; stride <= 3; stride++) {
        for (int dilation = 1; dilation <= 3; dilation++) {
            conv_shape s = {2,
                            2,
                            1,
                            9,
                            11,
                            {1, 13, 11},
                            {1, 3, 2},
                            {1, stride, 1 + stride % 2},
                            {1, dilation, 4 - dilation},
                            {0, 1, 3},
                            {0, 2, 0}};
            check_conv(&s, BIAS, NULL);
            conv_shape d = s;
            d.groups = 19;
            d.depth = d.filters = 1;
            check_conv(&d, 0, &relu);
        }
    }
}
END_TEST

START_TEST(few_channels_take_whole_kernel_rows)
{
    for (int64_t channels = 1; channels <= 4; channels++) {
        for (int64_t kernel = 2; kernel <= 7; kernel++) {
            conv_shape s = plane(2, 1, channels, 8 * channels + 1, 9, 6 + kernel, kernel, 1 + kernel % 2, kernel / 2);
            check_conv(&s, BIAS, &relu);
        }
    }
    conv_shape wide = plane(1, 1, 3, 5, 4, 3, 5, 1, 4); /* windows that miss the image, and that it does not fill */
    check_conv(&wide, 0, NULL);
}
END_TEST

START_TEST(groups_and_multipliers_are_right)
{
    static const int64_t shapes[][3] = {{2, 3, 5},  {4, 8, 33}, {3, 1, 2},  {33, 1, 1},
                                        {16, 1, 1}, {5, 2, 1},  {2, 17, 16}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        conv_shape s = plane(2, shapes[i][0], shapes[i][1], shapes[i][2], 6, 5, 3, 1, 1);
        check_conv(&s, BIAS | RESIDUAL, &relu);
        check_conv(&s, DYNAMIC | BIAS, NULL);
    }
}
END_TEST

START_TEST(depthwise_windows_at_every_border_are_right)
{
    static const int64_t channels[] = {2, 8, 16, 31, 32, 40};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        for (int64_t kernel = 1; kernel <= 5; kernel += 2) {
            for (int64_t stride = 1; stride <= 2; stride++) {
                for (int64_t size = 2; size <= 23; size += 7) {
                    conv_shape s =
                        plane(1 + size % 2, channels[i], 1, 1, 1 + size / 2, size, kernel, stride, kernel / 2);
                    check_conv(&s, BIAS | (size % 2 ? RESIDUAL : 0), &relu);
                }
            }
        }
    }
    conv_shape outside = plane(1, 20, 1, 1, 2, 2, 3, 2, 5); /* windows without any tap inside */
    check_conv(&outside, BIAS, NULL);
}
END_TEST

START_TEST(one_and_three_axes_are_right)
{
    for (int64_t groups = 1; groups <= 6; groups += 5) {
        conv_shape line = {1,          2,         groups,    groups == 1 ? 7 : 1, groups == 1 ? 9 : 1,
                           {1, 1, 31}, {1, 1, 4}, {1, 1, 2}, {1, 1, 3},           {0, 0, 2},
                           {0, 0, 5}};
        check_conv(&line, BIAS, &relu);
        conv_shape volume = {3,         2,         groups,    groups == 1 ? 3 : 1, groups == 1 ? 5 : 1,
                             {5, 4, 6}, {2, 3, 3}, {2, 1, 2}, {1, 2, 1},           {1, 2, 0},
                             {0, 1, 2}};
        check_conv(&volume, BIAS, NULL);
        volume.depth = groups == 1 ? 11 : 1;
        check_conv(&volume, BIAS | RESIDUAL, NULL);
    }
}
END_TEST

START_TEST(long_sums_and_many_panels_are_right)
{
    conv_shape s = plane(1, 1, 515, 70, 3, 5, 3, 1, 1); /* a panel larger than a chunk */
    check_conv(&s, BIAS, NULL);
    conv_shape t = plane(1, 1, 512, 300, 1, 1, 1, 1, 0); /* one pixel: threads share panels */
    check_conv(&t, BIAS, &relu);
    conv_shape u = plane(1, 1, 64, 256, 14, 14, 1, 2, 0);
    check_conv(&u, 0, NULL);
}
END_TEST

/* The driver with so many threads; *y is made here. */
static void run_driver(const conv_shape *s, int threads, const float *x, const float *panels, float *y)
{
    static const int64_t ones[3] = {1, 1, 1};
    mary_threads *pool;
    assert_ok(mary_threads_create(threads, &pool));
    mary_conv_problem p = {.batch = s->batch,
                           .groups = s->groups,
                           .depth = s->depth,
                           .filters = s->filters,
                           .cpu = mary_cpu_current(),
                           .panels = panels,
                           .x = x,
                           .y = y,
                           .epilogue = &relu,
                           .parallel = mary_threads_parallel(pool),
                           .x_stride = s->groups * s->depth,
                           .y_stride = s->groups * s->filters};
    mary_window *w = &p.window;
    w->rank = s->rank;
    w->taps = w->input_pixels = w->output_pixels = 1;
    for (int axis = 0; axis < 3; axis++) {
        w->input[axis] = s->input[axis];
        w->output[axis] = conv_output(s, axis);
        w->kernel[axis] = s->kernel[axis];
        w->stride[axis] = s->stride[axis];
        w->dilation[axis] = ones[axis];
        w->pad[axis] = s->pad[axis];
        w->taps *= w->kernel[axis];
        w->input_pixels *= w->input[axis];
        w->output_pixels *= w->output[axis];
    }
    size_t bytes;
    assert_ok(mary_conv_scratch(&p, &bytes));
    void *scratch = mary_alloc_aligned(bytes);
    mary_conv_run(&p, scratch);
    mary_free(scratch);
    mary_threads_free(&pool);
}

START_TEST(the_number_of_threads_changes_no_bit)
{
    const conv_shape shapes[] = {plane(1, 1, 40, 130, 9, 11, 3, 1, 1), plane(1, 1, 700, 300, 1, 2, 1, 1, 0),
                                 plane(2, 1, 3, 33, 30, 31, 5, 2, 2), plane(1, 96, 1, 1, 17, 19, 3, 1, 1),
                                 plane(3, 4, 24, 40, 8, 9, 3, 1, 1)};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const conv_shape *s = &shapes[i];
        int64_t taps = s->kernel[1] * s->kernel[2],
                inputs = s->batch * s->groups * s->depth * s->input[1] * s->input[2];
        int64_t weights = s->groups * s->filters * s->depth * taps;
        int64_t outputs = s->batch * s->groups * s->filters * conv_output(s, 1) * conv_output(s, 2);
        size_t floats, y_bytes = sizeof(float) * (size_t)outputs;
        int nr = mary_tile_kernel_for(mary_cpu_current())->nr;
        ck_assert(mary_conv_panels_size(s->groups, s->filters, s->depth, taps, nr, &floats));
        float *x = mary_alloc(sizeof(float) * (size_t)inputs), *w = mary_alloc(sizeof(float) * (size_t)weights);
        float *panels = mary_alloc_aligned(sizeof(float) * floats), *one = mary_alloc(y_bytes),
              *many = mary_alloc(y_bytes);
        for (int64_t k = 0; k < inputs; k++)
            x[k] = (float)(k * 7919 % 1000) * 1e-3f - 0.5f;
        for (int64_t k = 0; k < weights; k++)
            w[k] = (float)(k * 104729 % 1000) * 1e-3f - 0.5f;
        mary_conv_panels_pack(w, s->groups, s->filters, s->depth, taps, nr, panels);
        run_driver(s, 1, x, panels, one);
        for (int threads = 2; threads <= 5; threads++) {
            memset(many, 0xff, y_bytes);
            run_driver(s, threads, x, panels, many);
            ck_assert_msg(memcmp(one, many, y_bytes) == 0, "shape %zu, %d threads", i, threads);
        }
        mary_free(x);
        mary_free(w);
        mary_free(panels);
        mary_free(one);
        mary_free(many);
    }
}
END_TEST

START_TEST(every_activation_can_be_fused)
{
    static const mary_epilogue all[] = {
        {MARY_ACTIVATION_CLIP, -0.5f, 0.5f, -1}, {MARY_ACTIVATION_LEAKY_RELU, 0.1f, 0, -1},
        {MARY_ACTIVATION_SIGMOID, 0, 0, -1},     {MARY_ACTIVATION_SILU, 0, 0, -1},
        {MARY_ACTIVATION_TANH, 0, 0, -1},        {MARY_ACTIVATION_HARD_SWISH, 1.0f / 6, 0.5f, -1},
        {MARY_ACTIVATION_NONE, 0, 0, -1},        {MARY_ACTIVATION_HARD_SIGMOID, 0.2f, 0.5f, -1},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        conv_shape s = plane(1, 1, 3, 21, 6, 6, 3, 1, 1), d = plane(1, 21, 1, 1, 6, 6, 3, 1, 1);
        check_conv(&s, BIAS | RESIDUAL, &all[i]);
        check_conv(&d, BIAS | RESIDUAL, &all[i]);
    }
}
END_TEST

START_TEST(tensors_without_elements_do_not_crash)
{
    conv_shape none = plane(0, 1, 3, 4, 5, 5, 3, 1, 1), no_filters = plane(1, 1, 3, 0, 5, 5, 3, 1, 1);
    check_conv(&none, 0, NULL);
    check_conv(&no_filters, 0, NULL);
    conv_shape no_channels = plane(1, 1, 0, 4, 5, 5, 3, 1, 1);
    check_conv(&no_channels, BIAS, NULL);
}
END_TEST

START_TEST(double_follows_the_definition)
{
    op_case *c = op_case_new("Conv", 11);
    op_attribute_ints(c, "pads", DIMS(1, 0, 0, 1));
    op_input(c, MARY_DOUBLE, DIMS(1, 1, 2, 2), DOUBLES(1, 2, 3, 4));
    op_constant(c, MARY_DOUBLE, DIMS(1, 1, 2, 2), DOUBLES(1, 10, 100, 1000));
    op_input(c, MARY_DOUBLE, DIMS(1), DOUBLES(0.5));
    op_run(c);
    op_expect(c, 0, MARY_DOUBLE, DIMS(1, 1, 2, 2), DOUBLES(2100.5, 200.5, 4321.5, 402.5));
    op_case_free(c);
}
END_TEST

static mary_status try_conv(const char *auto_pad, int64_t group, int rank, const int64_t *x, const int64_t *w,
                            const char *attribute, int count, const int64_t *values)
{
    op_case *c = op_case_new("Conv", 11);
    op_attribute_string(c, "auto_pad", auto_pad);
    op_attribute_int(c, "group", group);
    op_attribute_ints(c, attribute, count, values);
    op_input(c, MARY_FLOAT, rank, x, NULL);
    op_constant(c, MARY_FLOAT, rank, w, NULL);
    mary_status status = op_try(c);
    op_case_free(c);
    return status;
}

START_TEST(hostile_attributes_and_shapes_are_refused)
{
    static const int64_t x[] = {1, 4, 5, 5}, w[] = {6, 4, 3, 3}, zero[] = {6, 4, 0, 3};
    static const struct {
        const char *name, *text;
        int count;
        int64_t values[6];
    } bad[] = {
        {"strides", "strides has the value 0", 2, {0, 1}},
        {"strides", "strides has the value -1", 2, {1, -1}},
        {"strides", "strides has 1 values", 1, {1}},
        {"strides", "at most 3", 4, {1, 1, 1, 1}},
        {"dilations", "dilations has the value 0", 2, {1, 0}},
        {"dilations", "dilations has the value", 2, {1, INT64_MAX}},
        {"dilations", "the kernel covers", 2, {INT32_MAX, 1}},
        {"pads", "pads has the value -1", 4, {0, 0, -1, 0}},
        {"pads", "pads has the value", 4, {0, 0, INT64_MAX, 0}},
        {"pads", "pads has 2 values", 2, {1, 1}},
        {"pads", "too large", 4, {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}},
        {"kernel_shape", "the weights have 3", 2, {3, 5}},
        {"kernel_shape", "kernel_shape has the value 0", 2, {0, 3}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(try_conv("NOTSET", 1, 4, x, w, bad[i].name, bad[i].count, bad[i].values),
                     MARY_ERROR_INVALID + (strcmp(bad[i].text, "at most 3") == 0), bad[i].text);
    static const int64_t one[] = {1, 1};
    assert_fails(try_conv("SOMETIMES", 1, 4, x, w, "strides", 2, one), MARY_ERROR_INVALID, "SOMETIMES");
    assert_fails(try_conv("NOTSET", 0, 4, x, w, "strides", 2, one), MARY_ERROR_INVALID, "group is 0");
    assert_fails(try_conv("NOTSET", -1, 4, x, w, "strides", 2, one), MARY_ERROR_INVALID, "group is -1");
    assert_fails(try_conv("NOTSET", 3, 4, x, w, "strides", 2, one), MARY_ERROR_INVALID, "4 input channels");
    assert_fails(try_conv("NOTSET", 2, 4, x, w, "strides", 2, one), MARY_ERROR_INVALID, "the weights have 4");
    assert_fails(try_conv("NOTSET", 4, 4, x, (int64_t[]){6, 1, 3, 3}, "strides", 2, one), MARY_ERROR_INVALID,
                 "6 output channels");
    assert_fails(try_conv("NOTSET", 1, 4, x, zero, "strides", 2, one), MARY_ERROR_INVALID, "the kernel has size 0");
    assert_fails(try_conv("NOTSET", 1, 4, x, (int64_t[]){6, 4, 6, 3}, "strides", 2, one), MARY_ERROR_INVALID,
                 "the kernel covers 6");
    assert_fails(try_conv("NOTSET", 1, 2, x, (int64_t[]){6, 4}, "strides", 2, one), MARY_ERROR_INVALID, "rank 2");
    assert_fails(
        try_conv("NOTSET", 1, 6, (int64_t[]){1, 1, 1, 1, 1, 1}, (int64_t[]){1, 1, 1, 1, 1, 1}, "strides", 2, one),
        MARY_ERROR_UNSUPPORTED, "rank 6");
}
END_TEST

static void check_auto_pad(const char *auto_pad, int64_t begin_h, int64_t end_h)
{
    /* height 6, kernel 3, stride 2: SAME pads one row, at the end or at the beginning; width 5 pads two columns */
    bool same = end_h + begin_h > 0;
    conv_shape s = {2, 1, 1, 2, 3, {1, 6, 5}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, begin_h, same}, {0, end_h, same}};
    op_case *c = op_case_new("Conv", 1);
    op_attribute_string(c, "auto_pad", auto_pad);
    op_attribute_ints(c, "strides", DIMS(2, 2));
    op_input(c, MARY_FLOAT, DIMS(1, 2, 6, 5), NULL);
    op_constant(c, MARY_FLOAT, DIMS(3, 2, 3, 3), NULL);
    op_run(c);
    double expected[3 * 3 * 3];
    conv_reference(&s, op_input_tensor(c, 0)->data, op_input_tensor(c, 1)->data, NULL, NULL, NULL, expected);
    int64_t count = 3 * conv_output(&s, 1) * conv_output(&s, 2);
    ck_assert_int_eq(mary_shape_count(&op_output(c, 0)->shape), count);
    for (int64_t i = 0; i < count; i++)
        ck_assert_double_eq_tol(((const float *)op_output(c, 0)->data)[i], expected[i], 1e-4);
    op_case_free(c);
}

START_TEST(automatic_padding_puts_the_odd_element_where_it_says)
{
    check_auto_pad("SAME_UPPER", 0, 1);
    check_auto_pad("SAME_LOWER", 1, 0);
    check_auto_pad("VALID", 0, 0);
}
END_TEST

MARY_TEST_MAIN("ops/conv", channels_around_the_panel_width_are_right, pixels_around_the_tile_height_are_right,
               strides_dilations_and_uneven_pads_are_right, few_channels_take_whole_kernel_rows,
               groups_and_multipliers_are_right, depthwise_windows_at_every_border_are_right,
               one_and_three_axes_are_right, long_sums_and_many_panels_are_right, the_number_of_threads_changes_no_bit,
               every_activation_can_be_fused, tensors_without_elements_do_not_crash, double_follows_the_definition,
               hostile_attributes_and_shapes_are_refused, automatic_padding_puts_the_odd_element_where_it_says)
