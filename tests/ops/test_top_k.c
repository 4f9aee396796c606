/* TopK. */
#include "tests/support/op_run.h"

#include <math.h>

START_TEST(ties_go_to_the_lower_index)
{
    op_case *c = op_case_new("TopK", 11);
    op_outputs(c, 2);
    op_input(c, MARY_FLOAT, DIMS(2, 5), FLOATS(1, 3, 3, 0, 3, -0.0f, 0, -1, 2, -1));
    op_input(c, MARY_INT64, DIMS(1), INTS(3));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 3), FLOATS(3, 3, 3, 2, 0, 0));
    op_expect(c, 1, MARY_INT64, DIMS(2, 3), INTS(1, 2, 4, 3, 0, 1));
    ck_assert(op_infer_unknown(c, 1) == MARY_DEFERRED);
    op_case_free(c);
}
END_TEST

START_TEST(the_smallest_come_first_when_asked_for)
{
    op_case *c = op_case_new("TopK", 11);
    op_outputs(c, 2);
    op_attribute_int(c, "largest", 0);
    op_attribute_int(c, "axis", 0);
    op_input(c, MARY_INT64, DIMS(4, 2), INTS(5, INT64_MIN, 3, 1, 5, INT64_MAX, 4, 1));
    op_input(c, MARY_INT64, DIMS(1), INTS(2));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(2, 2), INTS(3, INT64_MIN, 4, 1));
    op_expect(c, 1, MARY_INT64, DIMS(2, 2), INTS(1, 0, 3, 1));
    op_case_free(c);
}
END_TEST

START_TEST(top_k_agrees_with_sorting)
{
    static const mary_type types[] = {MARY_FLOAT, MARY_INT8, MARY_UINT64, MARY_FLOAT16};
    for (int i = 0; i < 4; i++) {
        for (int64_t k = 0; k <= 33; k += 11) {
            op_case *c = op_case_new("TopK", 11);
            op_outputs(c, 2);
            op_attribute_int(c, "axis", 1);
            op_input(c, types[i], DIMS(3, 33, 5), NULL);
            op_input(c, MARY_INT64, DIMS(1), &k);
            op_run(c);
            const mary_tensor *x = op_input_tensor(c, 0), *values = op_output(c, 0);
            const int64_t *indices = op_output(c, 1)->data;
            for (int64_t line = 0; line < 15; line++) {
                int64_t base = line / 5 * 33 * 5 + line % 5, out = line / 5 * k * 5 + line % 5;
                for (int64_t j = 0; j < k; j++) {
                    int64_t at = indices[out + j * 5], before = 0; /* how many precede it in the order asked for */
                    double value = mary_tensor_double(x, base + at * 5);
                    for (int64_t m = 0; m < 33; m++) {
                        double other = mary_tensor_double(x, base + m * 5);
                        before += other > value || (other == value && m < at);
                    }
                    ck_assert_int_eq(before, j);
                    ck_assert(mary_tensor_double(values, out + j * 5) == value);
                }
            }
            op_case_free(c);
        }
    }
}
END_TEST

START_TEST(not_a_number_counts_as_the_largest)
{
    op_case *c = op_case_new("TopK", 11);
    op_outputs(c, 2);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(1, -NAN, INFINITY, NAN));
    op_input(c, MARY_INT64, DIMS(1), INTS(4));
    op_run(c);
    op_expect(c, 1, MARY_INT64, DIMS(4), INTS(1, 3, 2, 0));
    op_case_free(c);
}
END_TEST

START_TEST(k_outside_the_axis_is_refused)
{
    static const int64_t wrong[] = {-1, 5, INT64_MAX};
    for (int i = 0; i < 3; i++) {
        op_case *c = op_case_new("TopK", 11);
        op_outputs(c, 2);
        op_input(c, MARY_FLOAT, DIMS(4), NULL);
        op_input(c, MARY_INT64, DIMS(1), &wrong[i]);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "has length 4");
        op_case_free(c);
    }
    op_case *c = op_case_new("TopK", 1);
    op_attribute_int(c, "k", 1);
    op_outputs(c, 2);
    op_input(c, MARY_FLOAT, DIMS(4), FLOATS(1, 4, 2, 3));
    op_run(c);
    op_expect(c, 1, MARY_INT64, DIMS(1), INTS(1));
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/top_k", ties_go_to_the_lower_index, the_smallest_come_first_when_asked_for,
               top_k_agrees_with_sorting, not_a_number_counts_as_the_largest, k_outside_the_axis_is_refused)
