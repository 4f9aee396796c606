/* Identity, and through it that the one-node harness itself works. */
#include "tests/support/op_run.h"

START_TEST(identity_keeps_every_type_and_shape)
{
    static const mary_type types[] = {MARY_FLOAT, MARY_DOUBLE, MARY_INT8, MARY_INT64, MARY_BOOL, MARY_FLOAT16};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        op_case *c = op_case_new("Identity", 14);
        op_input(c, types[i], DIMS(2, 3, 4, 5), NULL);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_expect(c, 0, types[i], DIMS(2, 3, 4, 5), op_input_tensor(c, 0)->data);
        op_case_free(c);
    }
}
END_TEST

START_TEST(identity_takes_scalars_and_empty_tensors)
{
    op_case *c = op_case_new("Identity", 1);
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(3.5f));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, SCALAR, FLOATS(3.5f));
    op_case_free(c);
    c = op_case_new("Identity", 1);
    op_input(c, MARY_FLOAT, DIMS(2, 0, 3), NULL);
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2, 0, 3), NULL);
    op_case_free(c);
}
END_TEST

START_TEST(identity_without_input_is_refused)
{
    op_case *c = op_case_new("Identity", 14);
    op_absent(c);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "input 0 is missing");
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/identity", identity_keeps_every_type_and_shape, identity_takes_scalars_and_empty_tensors,
               identity_without_input_is_refused)
