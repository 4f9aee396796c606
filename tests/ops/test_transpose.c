/* Transpose: every permutation, every element size, in blocks and around their edges. */
#include "tests/support/op_run.h"

START_TEST(transpose_follows_every_permutation)
{
    static const mary_type types[] = {MARY_FLOAT, MARY_UINT8, MARY_FLOAT16, MARY_INT64};
    static const int64_t dims[4] = {3, 5, 4, 37};
    for (int code = 0; code < 256; code++) {
        int64_t order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3}, shape[4];
        if ((1 << order[0] | 1 << order[1] | 1 << order[2] | 1 << order[3]) != 15)
            continue;
        op_case *c = op_case_new("Transpose", 13);
        op_attribute_ints(c, "perm", 4, order);
        op_input(c, types[code % 4], 4, dims, NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        const mary_tensor *in = op_input_tensor(c, 0), *out = op_output(c, 0);
        int64_t at[4], i = 0;
        for (int d = 0; d < 4; d++)
            shape[d] = dims[order[d]];
        for (at[0] = 0; at[0] < shape[0]; at[0]++)
            for (at[1] = 0; at[1] < shape[1]; at[1]++)
                for (at[2] = 0; at[2] < shape[2]; at[2]++)
                    for (at[3] = 0; at[3] < shape[3]; at[3]++) {
                        int64_t from[4];
                        for (int d = 0; d < 4; d++)
                            from[order[d]] = at[d];
                        int64_t j = ((from[0] * dims[1] + from[1]) * dims[2] + from[2]) * dims[3] + from[3];
                        ck_assert(mary_tensor_double(out, i++) == mary_tensor_double(in, j));
                    }
        op_case_free(c);
    }
}
END_TEST

START_TEST(transpose_reverses_by_default)
{
    op_case *c = op_case_new("Transpose", 1);
    op_input(c, MARY_FLOAT, DIMS(2, 3), FLOATS(1, 2, 3, 4, 5, 6));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(3, 2), FLOATS(1, 4, 2, 5, 3, 6));
    op_case_free(c);
    c = op_case_new("Transpose", 13);
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(7));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, SCALAR, FLOATS(7));
    op_case_free(c);
}
END_TEST

START_TEST(transpose_refuses_what_is_no_permutation)
{
    static const int64_t wrong[][2] = {{0, 0}, {0, 2}, {-1, 0}};
    for (int i = 0; i < 3; i++) {
        op_case *c = op_case_new("Transpose", 13);
        op_attribute_ints(c, "perm", 2, wrong[i]);
        op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "no permutation");
        op_case_free(c);
    }
    op_case *c = op_case_new("Transpose", 13);
    op_attribute_ints(c, "perm", DIMS(0, 1, 2));
    op_input(c, MARY_FLOAT, DIMS(2, 3), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "3 values");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/transpose", transpose_follows_every_permutation, transpose_reverses_by_default,
               transpose_refuses_what_is_no_permutation)
