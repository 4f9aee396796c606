/* Gradients of Add, Sub, Mul, Div and PRelu, with every kind of broadcasting. */
#include "tests/support/gradient_check.h"

static void check(const char *type, int a_rank, const int64_t *a, int b_rank, const int64_t *b, bool constant)
{
    float values[256];
    uint32_t seed = 11;
    int64_t count = 1;
    for (int i = 0; i < b_rank; i++)
        count *= b[i];
    ck_assert(count <= 256);
    for (int64_t i = 0; i < count; i++) /* a divisor is not near 0 */
        values[i] = (float)gradient_random(&seed, 60, 200) / 100.0f * (gradient_random(&seed, 0, 1) ? 1.0f : -1.0f);
    op_case *c = op_case_new(type, 14);
    op_input(c, MARY_FLOAT, a_rank, a, NULL);
    (constant ? op_constant : op_input)(c, MARY_FLOAT, b_rank, b, values);
    gradient_check(c);
    op_case_free(c);
}

START_TEST(gradients_agree_with_differences)
{
    static const char *const types[] = {"Add", "Sub", "Mul", "Div", "PRelu"};
    for (int i = 0; i < 5; i++) {
        check(types[i], DIMS(2, 3, 4, 5), DIMS(2, 3, 4, 5), false);
        check(types[i], DIMS(2, 3, 4, 5), DIMS(3, 1, 1), true);
        check(types[i], DIMS(2, 3, 4, 5), DIMS(4, 5), true);
        check(types[i], DIMS(2, 3, 4, 5), DIMS(1), true);
        check(types[i], DIMS(7, 6), DIMS(6), true);
        check(types[i], DIMS(2, 3, 4, 5), DIMS(2, 3, 1, 1), false);
        if (i == 4)
            continue; /* a slope never widens the data */
        check(types[i], DIMS(3, 1), DIMS(2, 1, 4), false);
        check(types[i], DIMS(1, 3, 1, 1), DIMS(2, 3, 4, 5), false);
        check(types[i], SCALAR, DIMS(2, 3), false);
        check(types[i], DIMS(5), SCALAR, false);
    }
}
END_TEST

MARY_TEST_MAIN("ops/binary_backward", gradients_agree_with_differences)
