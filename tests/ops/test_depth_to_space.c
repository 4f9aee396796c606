/* DepthToSpace and SpaceToDepth. */
#include "tests/support/op_run.h"

START_TEST(depth_to_space_orders_blocks_as_told)
{
    op_case *c = op_case_new("DepthToSpace", 13);
    op_attribute_int(c, "blocksize", 2);
    op_input(c, MARY_INT64, DIMS(1, 8, 1, 1), INTS(0, 1, 2, 3, 4, 5, 6, 7));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(1, 2, 2, 2), INTS(0, 2, 4, 6, 1, 3, 5, 7));
    op_case_free(c);
    c = op_case_new("DepthToSpace", 11);
    op_attribute_int(c, "blocksize", 2);
    op_attribute_string(c, "mode", "CRD");
    op_input(c, MARY_INT64, DIMS(1, 8, 1, 1), INTS(0, 1, 2, 3, 4, 5, 6, 7));
    op_run(c);
    op_expect(c, 0, MARY_INT64, DIMS(1, 2, 2, 2), INTS(0, 1, 2, 3, 4, 5, 6, 7));
    ck_assert(op_ran_channels_last(c));
    op_case_free(c);
}
END_TEST

START_TEST(space_to_depth_undoes_depth_to_space)
{
    op_case *c = op_case_new("DepthToSpace", 13), *d = op_case_new("SpaceToDepth", 13);
    op_attribute_int(c, "blocksize", 3);
    op_attribute_int(d, "blocksize", 3);
    op_input(c, MARY_FLOAT, DIMS(2, 18, 3, 4), NULL);
    op_run(c);
    op_input(d, MARY_FLOAT, DIMS(2, 2, 9, 12), op_output(c, 0)->data);
    op_run(d);
    ck_assert(op_ran_channels_last(d));
    op_expect(d, 0, MARY_FLOAT, DIMS(2, 18, 3, 4), op_input_tensor(c, 0)->data);
    op_case_free(c);
    op_case_free(d);
}
END_TEST

START_TEST(blocks_that_do_not_fit_are_refused)
{
    static const int64_t wrong[] = {0, -2, 3, INT64_MAX};
    for (int i = 0; i < 4; i++) {
        op_case *c = op_case_new(i & 1 ? "DepthToSpace" : "SpaceToDepth", 13);
        op_attribute_int(c, "blocksize", wrong[i]);
        op_input(c, MARY_FLOAT, DIMS(1, 8, 2, 2), NULL);
        assert_fails(op_try(c), MARY_ERROR_INVALID, "blocksize");
        op_case_free(c);
    }
}
END_TEST

MARY_TEST_MAIN("ops/depth_to_space", depth_to_space_orders_blocks_as_told, space_to_depth_undoes_depth_to_space,
               blocks_that_do_not_fit_are_refused)
