/* Table, QLinearSigmoid, QLinearLeakyRelu. */
#include <math.h>

#include "ops/qlinear.h"
#include "tests/support/op_run.h"

static void fill(uint8_t *table)
{
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)(i * 7 + 3);
}

START_TEST(table_is_applied_to_every_byte)
{
    uint8_t table[256], x[256], y[256];
    fill(table);
    for (int i = 0; i < 256; i++) {
        x[i] = (uint8_t)(255 - i);
        y[i] = table[255 - i];
    }
    op_case *c = op_case_new_in("ai.mary.internal", "Table", 1);
    op_input(c, MARY_UINT8, DIMS(16, 16), x);
    op_constant(c, MARY_UINT8, DIMS(256), table);
    op_run(c);
    op_expect(c, 0, MARY_UINT8, DIMS(16, 16), y);
    op_case_free(c);
}
END_TEST

START_TEST(table_leaves_gaps_between_pixels_alone)
{
    static const int64_t shapes[][4] = {{2, 5, 3, 4}, {1, 64, 3, 3}, {3, 130, 1, 7}, {0, 5, 3, 4}, {1, 0, 2, 2}};
    uint8_t table[256];
    fill(table);
    for (int i = 0; i < 5; i++) {
        op_case *c = op_case_new_in("ai.mary.internal", "Table", 1);
        op_input(c, MARY_UINT8, 4, shapes[i], NULL);
        op_constant(c, MARY_UINT8, DIMS(256), table);
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_case_free(c);
    }
}
END_TEST

START_TEST(table_refuses_tables_of_another_size)
{
    op_case *c = op_case_new_in("ai.mary.internal", "Table", 1);
    op_input(c, MARY_UINT8, DIMS(4), NULL);
    op_constant(c, MARY_UINT8, DIMS(255), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "uint8 [256]");
    op_case_free(c);
    c = op_case_new_in("ai.mary.internal", "Table", 1);
    op_input(c, MARY_FLOAT, DIMS(4), NULL);
    op_constant(c, MARY_UINT8, DIMS(256), NULL);
    assert_fails(op_try(c), MARY_ERROR_INVALID, "x is float");
    op_case_free(c);
}
END_TEST

START_TEST(sigmoid_and_leaky_relu_follow_their_floats)
{
    static const char *const types[] = {"QLinearSigmoid", "QLinearLeakyRelu"};
    for (int t = 0; t < 2; t++) {
        uint8_t x[256], expected[256];
        const mary_requantisation to = mary_requantisation_to(t == 0 ? 0 : 90);
        const float y_scale = t == 0 ? 1.0f / 256 : 0.07f;
        for (int i = 0; i < 256; i++) {
            x[i] = (uint8_t)i;
            float real = (float)(i - 100) * 0.05f;
            real = t == 0 ? 1 / (1 + expf(-real)) : real >= 0 ? real : real * 0.25f;
            expected[i] = mary_requantise(real / y_scale, &to);
        }
        op_case *c = op_case_new_in("com.microsoft", types[t], 1);
        if (t == 1)
            op_attribute_float(c, "alpha", 0.25f);
        op_input(c, MARY_UINT8, DIMS(1, 64, 2, 2), x);
        op_constant(c, MARY_FLOAT, SCALAR, FLOATS(0.05f));
        op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){100});
        op_constant(c, MARY_FLOAT, SCALAR, &y_scale);
        op_constant(c, MARY_UINT8, SCALAR, (const uint8_t[]){t == 0 ? 0 : 90});
        op_run(c);
        ck_assert(op_ran_channels_last(c));
        op_expect(c, 0, MARY_UINT8, DIMS(1, 64, 2, 2), expected);
        op_case_free(c);
    }
}
END_TEST

MARY_TEST_MAIN("ops/qlinear_table", table_is_applied_to_every_byte, table_leaves_gaps_between_pixels_alone,
               table_refuses_tables_of_another_size, sigmoid_and_leaky_relu_follow_their_floats)
