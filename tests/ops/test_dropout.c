/* Dropout: in inference nothing is dropped. */
#include "tests/support/op_run.h"

START_TEST(dropout_is_the_identity_with_a_full_mask)
{
    op_case *c = op_case_new("Dropout", 13);
    op_outputs(c, 2);
    op_input(c, MARY_FLOAT, DIMS(1, 2, 1, 2), FLOATS(1, -2, 3, 4));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(0.9f));
    op_input(c, MARY_BOOL, SCALAR, BOOLS(0));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(1, 2, 1, 2), FLOATS(1, -2, 3, 4));
    op_expect(c, 1, MARY_BOOL, DIMS(1, 2, 1, 2), BOOLS(1, 1, 1, 1));
    ck_assert(op_ran_channels_last(c));
    ck_assert(op_infer_unknown(c, 2) == MARY_DEFERRED);
    ck_assert(op_infer_unknown(c, 1) == MARY_OK); /* what the ratio is does not matter */
    op_case_free(c);
}
END_TEST

START_TEST(the_mask_has_the_data_type_before_opset_10)
{
    op_case *c = op_case_new("Dropout", 7);
    op_outputs(c, 2);
    op_input(c, MARY_DOUBLE, DIMS(2), DOUBLES(1, 2));
    op_run(c);
    op_expect(c, 1, MARY_DOUBLE, DIMS(2), DOUBLES(1, 1));
    op_case_free(c);
}
END_TEST

START_TEST(dropout_refuses_to_train)
{
    op_case *c = op_case_new("Dropout", 12);
    op_input(c, MARY_FLOAT, DIMS(2), NULL);
    op_absent(c);
    op_input(c, MARY_BOOL, SCALAR, BOOLS(1));
    assert_fails(op_try(c), MARY_ERROR_UNSUPPORTED, "training_mode");
    op_case_free(c);
    c = op_case_new("Dropout", 12); /* unless nothing would be dropped */
    op_input(c, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_input(c, MARY_FLOAT, SCALAR, FLOATS(0));
    op_input(c, MARY_BOOL, SCALAR, BOOLS(1));
    op_run(c);
    op_expect(c, 0, MARY_FLOAT, DIMS(2), FLOATS(1, 2));
    op_case_free(c);
}
END_TEST

MARY_TEST_MAIN("ops/dropout", dropout_is_the_identity_with_a_full_mask, the_mask_has_the_data_type_before_opset_10,
               dropout_refuses_to_train)
