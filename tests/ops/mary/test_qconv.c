/* MaryQLinearConv against its definition, byte for byte, on every tier. */
#include <stdlib.h>

#include "tests/support/qlinear_reference.h"

static void spatial(const conv_shape *s, int64_t a, int64_t b, const int64_t values[3], int64_t *dims)
{
    dims[0] = a;
    dims[1] = b;
    for (int i = 0; i < s->rank; i++)
        dims[2 + i] = values[3 - s->rank + i];
}

static int64_t count_of(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

static void check(const conv_shape *s, qlinear_options options)
{
    static uint32_t seed;
    int skip = 3 - s->rank;
    int64_t x[5], w[5], y[5], pads[6], output[3];
    int64_t rows = s->groups * s->filters, length = s->depth * s->kernel[0] * s->kernel[1] * s->kernel[2];
    for (int axis = 0; axis < 3; axis++)
        output[axis] = conv_output(s, axis);
    spatial(s, s->batch, s->groups * s->depth, s->input, x);
    spatial(s, rows, s->depth, s->kernel, w);
    spatial(s, s->batch, rows, output, y);
    for (int i = 0; i < s->rank; i++) {
        pads[i] = s->pad[skip + i];
        pads[s->rank + i] = s->pad_end[skip + i];
    }
    qlinear q;
    int64_t y_count = count_of(2 + s->rank, y);
    options.seed = ++seed;
    qlinear_make(&q, &options, rows, length, count_of(2 + s->rank, x), y_count);
    op_case *c = op_case_new_in("ai.mary", "MaryQLinearConv", 1);
    op_attribute_int(c, "group", s->groups);
    op_attribute_ints(c, "strides", s->rank, s->stride + skip);
    op_attribute_ints(c, "dilations", s->rank, s->dilation + skip);
    op_attribute_ints(c, "pads", 2 * s->rank, pads);
    op_attribute_ints(c, "weight_shape", 2 + s->rank, w);
    op_attribute_int(c, "row_length", length);
    op_attribute_int(c, "bits", options.bits);
    qlinear_inputs(&q, c, 2 + s->rank, x, y);
    op_run(c);
    ck_assert(op_ran_channels_last(c));
    uint8_t *expected = malloc((size_t)y_count + 1);
    qlinear_conv(&q, s, expected);
    op_expect(c, 0, MARY_UINT8, 2 + s->rank, y, expected);
    free(expected);
    op_case_free(c);
    qlinear_free(&q);
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

static qlinear_options options_of(int bits)
{
    return (qlinear_options){.bits = bits, .bias = true, .x_zero = 128, .y_zero = 100};
}

START_TEST(every_code_width_decodes_to_its_levels)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int shared = 0; shared < 2; shared++) {
            qlinear_options o = options_of(bits);
            o.shared_levels = shared;
            conv_shape s = plane(1, 1, 7, 37, 6, 5, 3, 1, 1), one = plane(2, 1, 33, 16, 3, 5, 1, 1, 0);
            conv_shape wide = plane(1, 1, 64, 130, 4, 4, 3, 1, 1), even = plane(1, 1, 16, 64, 7, 7, 1, 2, 0);
            check(&s, o);
            check(&one, o);
            check(&wide, o);
            check(&even, o);
        }
    }
}
END_TEST

START_TEST(every_number_of_channels_and_pixels_is_right)
{
    for (int64_t filters = 1; filters <= 82; filters += filters < 20 ? 1 : 7) {
        conv_shape s = plane(1, 1, 5, filters, 1, 1 + filters % 29, 1, 1, 0);
        check(&s, options_of(2));
    }
    for (int64_t pixels = 1; pixels <= 30; pixels++) {
        conv_shape s = plane(1, 1, 12, 66, 1, pixels, 1, 1, 0), t = plane(1, 1, 9, 20, pixels, 3, 3, 1, 1);
        check(&s, options_of(4));
        check(&t, options_of(1));
    }
}
END_TEST

START_TEST(zero_points_at_either_end_are_right)
{
    static const int zeros[] = {0, 1, 128, 255};
    for (int i = 0; i < 16; i++) {
        conv_shape s = plane(1, 1, 6, 21, 5, 4, 3, 1, 1), d = plane(1, 19, 1, 1, 5, 4, 3, 1, 1);
        qlinear_options o = options_of(4);
        o.x_zero = zeros[i % 4];
        o.y_zero = zeros[i / 4];
        o.bias = i % 3 != 0;
        o.one_scale = i % 5 == 0;
        check(&s, o);
        check(&d, o);
    }
}
END_TEST

START_TEST(residuals_and_tables_follow_in_the_same_step)
{
    for (int fused = 1; fused < 4; fused++) {
        for (int bits = 1; bits <= 8; bits *= 2) {
            conv_shape s = plane(2, 1, 8, 83, 5, 5, 3, 1, 1), d = plane(1, 19, 1, 1, 5, 4, 3, 1, 1);
            conv_shape one = plane(1, 1, 130, 64, 1, 7, 1, 1, 0);
            qlinear_options o = options_of(bits);
            o.residual = fused & 1;
            o.table = fused & 2;
            o.bias = bits != 2;
            o.y_zero = bits == 4 ? 0 : bits == 1 ? 255 : 131;
            check(&s, o);
            check(&d, o);
            check(&one, o);
        }
    }
}
END_TEST

START_TEST(groups_depthwise_and_first_layers_are_right)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        conv_shape grouped = plane(2, 3, 4, 11, 6, 5, 3, 2, 1), depthwise = plane(1, 45, 1, 1, 9, 8, 3, 1, 1);
        conv_shape wide = plane(1, 70, 1, 1, 9, 8, 5, 2, 2), first = plane(1, 1, 3, 20, 15, 16, 7, 2, 3);
        conv_shape odd = plane(1, 5, 3, 2, 4, 4, 2, 1, 0), grey = plane(2, 1, 1, 6, 9, 9, 5, 1, 2);
        conv_shape many = plane(1, 2, 70, 66, 4, 3, 3, 1, 1), narrow = plane(1, 1, 3, 8, 4, 2, 7, 1, 3);
        check(&grouped, options_of(bits));
        check(&depthwise, options_of(bits));
        check(&wide, options_of(bits));
        check(&first, options_of(bits));
        check(&odd, options_of(bits));
        check(&grey, options_of(bits));
        check(&many, options_of(bits));
        check(&narrow, options_of(bits));
    }
}
END_TEST

START_TEST(long_rows_and_many_chunks_are_right)
{
    conv_shape taps = plane(1, 1, 600, 35, 3, 4, 3, 1, 1), deep = plane(1, 1, 9000, 33, 2, 3, 1, 1, 0);
    conv_shape longest = plane(1, 1, 20001, 18, 1, 2, 1, 1, 0), wide = plane(1, 1, 1030, 700, 2, 3, 1, 1, 0);
    check(&taps, options_of(2));
    check(&deep, options_of(4));
    check(&longest, options_of(1));
    check(&wide, options_of(2));
}
END_TEST

/* Large enough to be cut: by pixels, by panels, and by panels of several groups. */
START_TEST(cuts_between_threads_do_not_show)
{
    conv_shape pixels = plane(1, 1, 32, 48, 40, 40, 3, 1, 1), panels = plane(1, 1, 256, 1024, 2, 2, 3, 1, 1);
    conv_shape grouped = plane(1, 4, 96, 200, 3, 3, 3, 1, 1), strided = plane(2, 1, 3, 70, 90, 91, 7, 2, 3);
    qlinear_options o = options_of(2);
    o.residual = true;
    check(&pixels, o);
    check(&panels, o);
    check(&grouped, o);
    check(&strided, o);
}
END_TEST

START_TEST(dilated_windows_are_right)
{
    for (int64_t depth = 3; depth <= 8; depth += 5) {
        conv_shape s = plane(1, 1, depth, 9, 11, 10, 3, 1, 2), t = plane(1, 1, depth, 9, 11, 10, 3, 2, 3);
        s.dilation[1] = s.dilation[2] = 2;
        t.dilation[1] = 3; /* lines only: still merged */
        check(&s, options_of(4));
        check(&t, options_of(4));
    }
}
END_TEST

START_TEST(one_and_three_axes_are_right)
{
    conv_shape line = {1, 2, 1, 7, 9, {1, 1, 31}, {1, 1, 4}, {1, 1, 2}, {1, 1, 3}, {0, 0, 2}, {0, 0, 5}};
    conv_shape volume = {3, 1, 2, 3, 5, {5, 4, 6}, {2, 3, 3}, {2, 1, 2}, {1, 2, 1}, {1, 2, 0}, {0, 1, 2}};
    conv_shape channels = {3, 1, 1, 3, 5, {5, 4, 6}, {2, 3, 3}, {2, 1, 2}, {1, 2, 1}, {1, 2, 0}, {0, 1, 2}};
    conv_shape depthwise = {3, 1, 9, 1, 1, {5, 4, 6}, {2, 3, 3}, {2, 1, 2}, {1, 2, 1}, {1, 2, 0}, {0, 1, 2}};
    conv_shape nothing = plane(1, 1, 0, 5, 3, 3, 2, 1, 1); /* no channels: the bias alone */
    check(&nothing, options_of(2));
    conv_shape outside = plane(1, 1, 3, 4, 2, 2, 3, 3, 4); /* windows that see nothing but padding */
    check(&line, options_of(4));
    check(&volume, options_of(2));
    check(&channels, options_of(8));
    check(&depthwise, options_of(8));
    check(&outside, options_of(2));
}
END_TEST

typedef struct hostile {
    int64_t shape[4], row_length, bits, code_bytes, level_count, rows;
    float x_scale, w_scale, y_scale;
    int w_zero;
    int32_t bias;
} hostile;

static const hostile good = {{3, 2, 3, 3}, 18, 2, 5, 4, 3, 0.5f, 0.5f, 0.5f, 0, 1};

static mary_status try(const hostile *h, int missing)
{
    op_case *c = op_case_new_in("ai.mary", "MaryQLinearConv", 1);
    int8_t w_zero[3] = {0, 0, (int8_t)h->w_zero}, levels[256];
    int32_t bias[3] = {0, h->bias, 0};
    float w_scale[3] = {1, h->w_scale, 1};
    memset(levels, 100, sizeof levels);
    op_attribute_ints(c, "weight_shape", 4, h->shape);
    op_attribute_int(c, "row_length", h->row_length);
    op_attribute_int(c, "bits", h->bits);
    for (int i = 0; i < 10; i++) {
        if (i == missing) {
            op_absent(c);
            continue;
        }
        switch (i) {
        case 0:
            op_input(c, MARY_UINT8, DIMS(1, 2, 4, 4), NULL);
            break;
        case 1:
            op_constant(c, MARY_FLOAT, SCALAR, &h->x_scale);
            break;
        case 3:
            op_constant(c, MARY_UINT8, DIMS(3, h->code_bytes), NULL);
            break;
        case 4:
            op_constant(c, MARY_INT8, DIMS(h->rows, h->level_count), levels);
            break;
        case 5:
            op_constant(c, MARY_FLOAT, DIMS(h->rows), w_scale);
            break;
        case 6:
            op_constant(c, MARY_INT8, DIMS(3), w_zero);
            break;
        case 7:
            op_constant(c, MARY_FLOAT, SCALAR, &h->y_scale);
            break;
        case 9:
            op_constant(c, MARY_INT32, DIMS(3), bias);
            break;
        default:
            op_constant(c, MARY_UINT8, SCALAR, "\5");
        }
    }
    mary_status status = op_try(c);
    op_case_free(c);
    return status;
}

START_TEST(hostile_constants_are_refused)
{
    hostile h = good;
    assert_ok(try(&h, -1));
    assert_ok(try(&h, 9));
    for (int i = 1; i < 9; i++)
        assert_fails(try(&h, i), i == 9 ? MARY_OK : MARY_ERROR_UNSUPPORTED, "must be");
    assert_fails(try(&h, 0), MARY_ERROR_INVALID, "input 0 is missing");
#define REFUSED(field, value, message)                                                                                 \
    h = good;                                                                                                          \
    h.field = value;                                                                                                   \
    assert_fails(try(&h, -1), MARY_ERROR_INVALID, message)
    REFUSED(row_length, 17, "row_length is 17");
    REFUSED(bits, 3, "bits is 3");
    REFUSED(code_bytes, 4, "codes are");
    REFUSED(level_count, 3, "levels are");
    REFUSED(rows, 2, "levels are");
    REFUSED(shape[0], -3, "negative");
    REFUSED(shape[0], INT64_MAX, "too large");
    REFUSED(x_scale, 0, "x_scale");
    REFUSED(y_scale, -1, "y_scale");
    REFUSED(y_scale, INFINITY, "y_scale");
    REFUSED(x_scale, NAN, "x_scale");
    REFUSED(w_scale, NAN, "scales of row 1");
    REFUSED(w_scale, 1e38f * 10, "scales of row 1");
    REFUSED(w_zero, 1, "w_zero_point[2] is 1");
    REFUSED(bias, INT32_MIN, "row 1 may leave 32 bits");
    REFUSED(bias, INT32_MAX, "row 1 may leave 32 bits");
    h = good;
    h.y_scale = 1e-30f; /* everything saturates, nothing overflows */
    assert_ok(try(&h, -1));
}
END_TEST

MARY_TEST_MAIN("ops/mary/qconv", every_code_width_decodes_to_its_levels, every_number_of_channels_and_pixels_is_right,
               zero_points_at_either_end_are_right, residuals_and_tables_follow_in_the_same_step,
               groups_depthwise_and_first_layers_are_right, long_rows_and_many_chunks_are_right,
               cuts_between_threads_do_not_show, dilated_windows_are_right, one_and_three_axes_are_right,
               hostile_constants_are_refused)
