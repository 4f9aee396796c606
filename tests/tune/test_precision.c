/* Levels and biases to fewer bits. */
#include <float.h>
#include <math.h>

#include "tests/tune/network.h"

START_TEST(values_have_so_many_bits_and_no_more)
{
    for (int bits = 2; bits <= 24; bits++) {
        parts p;
        make_parts(&p);
        const int count = mary_trainer_parameter_count(p.trainer);
        float before[4][HIDDEN * FEATURES];
        mary_parameter parameter;
        ck_assert_int_eq(count, 4);
        for (int i = 0; i < count; i++) {
            assert_ok(mary_trainer_parameter(p.trainer, i, &parameter));
            parameter.values[0] = 0;
            parameter.values[1] = -FLT_MAX;
            parameter.values[2] = INFINITY;
            memcpy(before[i], parameter.values, (size_t)parameter.count * sizeof(float));
        }
        assert_ok(mary_tuned_round(p.trainer, bits));
        for (int i = 0; i < count; i++) {
            assert_ok(mary_trainer_parameter(p.trainer, i, &parameter));
            ck_assert(parameter.values[0] == 0 && parameter.values[1] == -FLT_MAX && isinf(parameter.values[2]));
            for (int64_t k = 3; k < parameter.count; k++) {
                const double now = (double)parameter.values[k], then = (double)before[i][k];
                int exponent;
                const double digits = ldexp(frexp(now, &exponent), bits);
                ck_assert_double_eq(digits, rint(digits));
                ck_assert_double_le(fabs(now - then), ldexp(fabs(then), -bits));
                ck_assert(bits < 24 || now == then);
            }
        }
        free_parts(&p);
    }
}
END_TEST

/* The file has rounded numbers, and fewer bytes when it is packed; what is measured is what is written. */
START_TEST(rounded_files_are_smaller_packed)
{
    size_t packed_sizes[2];
    for (int i = 0; i < 2; i++) {
        mary_tune_options options = usual;
        mary_tune_result result;
        size_t size;
        void *packed;
        options.precision = i == 0 ? 24 : 0;
        uint8_t *bytes = tuned(&options, &result, &size);
        ck_assert_msg(result.after > 0.9, "right: %g", result.after);
        assert_ok(mary_pack(bytes, size, NULL, &packed, &packed_sizes[i], NULL));
        mary_bytes_free(packed);
        mary_free(bytes);
    }
    ck_assert_uint_lt(packed_sizes[1] + 20, packed_sizes[0]);
}
END_TEST

START_TEST(precisions_that_are_none_are_refused)
{
    static const int bad[] = {-1, 1, 25};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mary_model *model = network(-1);
        mary_tune_options options = usual;
        options.precision = bad[i];
        assert_fails(mary_tune(&model, &data, &options, NULL), MARY_ERROR_USAGE, "significant bits");
        ck_assert_ptr_null(model);
    }
}
END_TEST

MARY_TEST_MAIN("tune/precision", values_have_so_many_bits_and_no_more, rounded_files_are_smaller_packed,
               precisions_that_are_none_are_refused)
