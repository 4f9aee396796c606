/* Levels and codes of whole tensors: what METHODS asks of a quantiser, packing, rounding of levels, independence of
 * threads. */
#include "tests/support/suite.h"

#include <math.h>
#include <string.h>

#include "convert/codes.h"
#include "convert/quantize/tensor.h"

enum { ROWS = 37, LENGTH = 45 };

/* libcheck writes to a file at every assertion: inside loops over weights only failures go there. */
#define require(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg("%s", #condition);                                                                            \
    } while (0)

static void fill(float *weights)
{
    uint32_t state = 12345;
    for (int i = 0; i < ROWS * LENGTH; i++) {
        state = state * 1664525u + 1013904223u;
        weights[i] = ((float)(state >> 8) / 16777216.0f - 0.4f) * (float)(1 + i / LENGTH);
    }
}

static void decode(const mary_quantized *q, float *out)
{
    uint8_t codes[LENGTH];
    for (int64_t r = 0; r < q->rows; r++) {
        mary_codes_unpack(q->codes + r * mary_codes_row_bytes(LENGTH, q->bits), LENGTH, q->bits, codes);
        for (int k = 0; k < LENGTH; k++)
            out[r * LENGTH + k] = q->values[(q->shared ? 0 : r << q->bits) + codes[k]];
    }
}

static mary_quantize_request request_for(const float *weights, int levels, bool shared)
{
    return (mary_quantize_request){.weights = weights,
                                   .rows = ROWS,
                                   .row_length = LENGTH,
                                   .method = mary_quantize_method_find(NULL),
                                   .levels = levels,
                                   .shared = shared,
                                   .type = MARY_FLOAT,
                                   .threads = 1};
}

START_TEST(codes_survive_packing_at_every_width)
{
    uint8_t codes[23], packed[23], back[23];
    for (int bits = 1; bits <= 8; bits *= 2) {
        for (int count = 1; count <= 23; count++) {
            for (int i = 0; i < count; i++)
                codes[i] = (uint8_t)((i * 7 + 3) & ((1 << bits) - 1));
            memset(packed, 0xa5, sizeof packed);
            mary_codes_pack(codes, count, bits, packed);
            mary_codes_unpack(packed, count, bits, back);
            ck_assert_mem_eq(codes, back, (size_t)count);
            int64_t bytes = mary_codes_row_bytes(count, bits);
            ck_assert_int_eq(bytes, (count * bits + 7) / 8);
            if (count * bits % 8 != 0) /* the rest of the last byte is zero: files are the same every time */
                ck_assert_int_eq(packed[bytes - 1] >> (count * bits % 8), 0);
        }
    }
    uint8_t two[4] = {1, 2, 3, 0};
    mary_codes_pack(two, 4, 2, packed);
    ck_assert_uint_eq(packed[0], 1 | 2 << 2 | 3 << 4); /* little end first */
}
END_TEST

START_TEST(every_weight_takes_its_nearest_level_and_quantising_again_changes_nothing)
{
    static float weights[ROWS * LENGTH], once[ROWS * LENGTH], twice[ROWS * LENGTH];
    fill(weights);
    static const int counts[] = {2, 3, 4, 5, 16, 17, 200, 256};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (int shared = 0; shared < 2; shared++) {
            for (int method = 0; method < 2; method++) {
                mary_quantize_request request = request_for(weights, counts[c], shared);
                request.method = mary_quantize_method_at((size_t)method);
                mary_quantized q;
                assert_ok(mary_quantize_tensor(&request, &q));
                decode(&q, once);
                double error = 0;
                for (int i = 0; i < ROWS * LENGTH; i++) {
                    const float *levels = q.values + (shared ? 0 : (i / LENGTH) << q.bits);
                    double best = INFINITY;
                    for (int m = 0; m < 1 << q.bits; m++) {
                        best = fmin(best, fabs((double)weights[i] - levels[m]));
                        require(m == 0 || levels[m] >= levels[m - 1]);
                        require(m < counts[c] || levels[m] == levels[m - 1]);
                    }
                    require(fabs((double)weights[i] - once[i]) == best);
                    error += best * best;
                }
                ck_assert_double_eq_tol(error, q.error, 1e-9 * (1 + error));
                request.weights = once;
                mary_quantized again;
                assert_ok(mary_quantize_tensor(&request, &again));
                decode(&again, twice);
                if (method == 0) {
                    ck_assert_mem_eq(once, twice, sizeof once);
                    ck_assert(isinf(mary_quantized_sqnr(&again)));
                }
                mary_quantized_free(&again);
                mary_quantized_free(&q);
            }
        }
    }
}
END_TEST

START_TEST(bytes_do_not_depend_on_the_number_of_threads)
{
    static float weights[ROWS * LENGTH];
    fill(weights);
    mary_quantize_request request = request_for(weights, 5, false);
    mary_quantized one, four;
    assert_ok(mary_quantize_tensor(&request, &one));
    request.threads = 4;
    assert_ok(mary_quantize_tensor(&request, &four));
    ck_assert_mem_eq(one.codes, four.codes, (size_t)mary_quantized_code_bytes(ROWS, LENGTH, one.bits));
    ck_assert_mem_eq(one.values, four.values, sizeof(float) * ROWS << one.bits);
    ck_assert(one.error == four.error && one.row_error == four.row_error);
    mary_quantized_free(&one);
    mary_quantized_free(&four);
}
END_TEST

START_TEST(levels_are_values_of_the_stored_type)
{
    static float weights[ROWS * LENGTH];
    fill(weights);
    mary_quantize_request request = request_for(weights, 16, false);
    request.type = MARY_FLOAT16;
    mary_quantized q;
    assert_ok(mary_quantize_tensor(&request, &q));
    for (int i = 0; i < ROWS << q.bits; i++)
        require(mary_half_to_float(mary_float_to_half(q.values[i])) == q.values[i]);
    mary_quantized_free(&q);
    request.type = MARY_BFLOAT16;
    assert_ok(mary_quantize_tensor(&request, &q));
    for (int i = 0; i < ROWS << q.bits; i++)
        require(mary_bfloat_to_float(mary_float_to_bfloat(q.values[i])) == q.values[i]);
    mary_quantized_free(&q);
}
END_TEST

START_TEST(binary_levels_of_symmetric_weights_are_plus_and_minus_the_mean)
{
    float weights[LENGTH - 1];
    for (int i = 0; i < LENGTH - 1; i++)
        weights[i] = i % 2 == 0 ? 0.5f : -0.5f;
    mary_quantize_request request = request_for(weights, 2, false);
    request.rows = 1;
    request.row_length = LENGTH - 1;
    mary_quantized q;
    assert_ok(mary_quantize_tensor(&request, &q));
    ck_assert(q.values[0] == -0.5f && q.values[1] == 0.5f && q.bits == 1);
    ck_assert_int_eq(mary_quantized_code_bytes(1, LENGTH - 1, 1), (LENGTH - 1 + 7) / 8);
    ck_assert_uint_eq(q.codes[0], 0x55);
    mary_quantized_free(&q);
}
END_TEST

START_TEST(memory_that_runs_out_is_a_status)
{
    static float weights[ROWS * LENGTH];
    fill(weights);
    for (int64_t n = 0;; n++) {
        mary_quantize_request request = request_for(weights, 4, false);
        mary_quantized q;
        mary_memory_fail_after(n);
        mary_status status = mary_quantize_tensor(&request, &q);
        mary_memory_fail_after(-1);
        if (status == MARY_OK) {
            mary_quantized_free(&q);
            break;
        }
        ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
        ck_assert_ptr_null(q.codes);
    }
}
END_TEST

MARY_TEST_MAIN("convert/quantize/tensor", codes_survive_packing_at_every_width,
               every_weight_takes_its_nearest_level_and_quantising_again_changes_nothing,
               bytes_do_not_depend_on_the_number_of_threads, levels_are_values_of_the_stored_type,
               binary_levels_of_symmetric_weights_are_plus_and_minus_the_mean, memory_that_runs_out_is_a_status)
