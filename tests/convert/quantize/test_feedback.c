/* Error feedback by itself: never worse than nearest levels, exact where that is known, the same on any machine's
 * threads. */
#include "tests/support/suite.h"

#include <math.h>
#include <string.h>

#include "convert/quantize/dense.h"
#include "convert/quantize/feedback.h"
#include "convert/quantize/tensor.h"

#define require(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg("%s", #condition);                                                                            \
    } while (0)

static uint32_t state = 1;

static float draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* One layer: weights and moment of made-up inputs in which neighbours go together. */
typedef struct made {
    int64_t groups, rows, length;
    float *weights;
    mary_second_moment moment;
} made;

static made make(int64_t groups, int64_t rows, int64_t length, int64_t samples, bool residual)
{
    made m = {.groups = groups, .rows = rows, .length = length};
    mary_columns columns = {.groups = groups, .rows = rows, .length = length};
    m.weights = mary_alloc((size_t)(groups * rows * length) * sizeof(float));
    for (int64_t i = 0; i < groups * rows * length; i++)
        m.weights[i] = draw();
    assert_ok(mary_second_moment_create(&columns, &m.moment));
    float *x = mary_alloc((size_t)length * sizeof(float));
    for (int64_t g = 0; g < groups; g++) {
        for (int64_t s = 0; s < samples; s++) {
            float common = draw();
            for (int64_t k = 0; k < length; k++)
                x[k] = (k % 7 == 0 ? 3 : 1) * (draw() + 2 * common);
            for (int64_t i = 0; i < length; i++) {
                for (int64_t k = 0; k < length; k++)
                    m.moment.moment[(g * length + i) * length + k] += x[i] * x[k];
            }
            for (int64_t r = 0; residual && r < rows; r++) {
                float t = draw();
                for (int64_t k = 0; k < length; k++)
                    m.moment.cross[(g * rows + r) * length + k] += t * x[k];
            }
        }
    }
    m.moment.count = (double)samples;
    mary_free(x);
    return m;
}

static void drop(made *m)
{
    mary_free(m->weights);
    mary_second_moment_free(&m->moment);
}

static mary_feedback_codes room_for(const made *m, int count, bool shared)
{
    int64_t rows = m->groups * m->rows;
    return (mary_feedback_codes){.count = count,
                                 .shared = shared,
                                 .type = MARY_FLOAT,
                                 .levels = mary_alloc((size_t)((shared ? 1 : rows) * count) * sizeof(float)),
                                 .codes = mary_alloc((size_t)(rows * m->length)),
                                 .errors = mary_alloc((size_t)rows * sizeof(double))};
}

static void drop_codes(mary_feedback_codes *c)
{
    mary_free(c->levels);
    mary_free(c->codes);
    mary_free(c->errors);
}

static const float *levels_of(const mary_feedback_codes *c, int64_t row)
{
    return c->levels + (c->shared ? 0 : row * c->count);
}

/* (w - q) H (w - q)^T of one row, H with the ridge that the method documents; without a residual. */
static double error_of(const made *m, const mary_feedback_codes *c, int64_t row, const uint8_t *codes)
{
    int64_t length = m->length;
    const float *h = m->moment.moment + row / m->rows * length * length, *w = m->weights + row * length;
    double trace = 0, sum = 0;
    for (int64_t k = 0; k < length; k++)
        trace += h[k * length + k];
    double ridge = trace > 0 ? 0.03 * trace / (double)length : 1;
    for (int64_t i = 0; i < length; i++) {
        double a = (double)w[i] - levels_of(c, row)[codes[i]];
        sum += ridge * a * a;
        for (int64_t k = 0; k < length; k++)
            sum += a * h[i * length + k] * ((double)w[k] - levels_of(c, row)[codes[k]]);
    }
    return sum;
}

static void code_nearest(const made *m, const mary_feedback_codes *c, int64_t row, uint8_t *codes)
{
    for (int64_t k = 0; k < m->length; k++) {
        int best = 0;
        for (int l = 1; l < c->count; l++) {
            if (fabsf(m->weights[row * m->length + k] - levels_of(c, row)[l]) <
                fabsf(m->weights[row * m->length + k] - levels_of(c, row)[best]))
                best = l;
        }
        codes[k] = (uint8_t)best;
    }
}

/* Equally spaced over the row, or over everything. */
static void spread_levels(const made *m, mary_feedback_codes *c)
{
    for (int64_t r = 0; r < (c->shared ? 1 : m->groups * m->rows); r++) {
        for (int l = 0; l < c->count; l++)
            c->levels[r * c->count + l] = -0.9f + 1.8f * (float)l / (float)(c->count - 1);
    }
}

START_TEST(independent_inputs_give_nearest_levels)
{
    made m = make(1, 5, 33, 0, false);
    for (int i = 0; i < 33; i++)
        m.moment.moment[i * 33 + i] = 4;
    mary_feedback *feedback;
    assert_ok(mary_feedback_create(&m.moment, m.weights, 1, &feedback));
    for (int count = 2; count <= 20; count += 3) {
        mary_feedback_codes c = room_for(&m, count, false);
        uint8_t codes[33];
        spread_levels(&m, &c);
        assert_ok(mary_feedback_assign(feedback, &c));
        for (int64_t r = 0; r < 5; r++) {
            code_nearest(&m, &c, r, codes);
            ck_assert_mem_eq(codes, c.codes + r * 33, 33);
        }
        drop_codes(&c);
    }
    mary_feedback_free(&feedback);
    drop(&m);
}
END_TEST

START_TEST(no_row_is_worse_than_with_nearest_levels_and_refitted_levels_are_better_still)
{
    made m = make(1, 21, 150, 400, false);
    mary_feedback *feedback;
    assert_ok(mary_feedback_create(&m.moment, m.weights, 2, &feedback));
    static const int counts[] = {2, 3, 4, 8, 16, 100};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int shared = 0; shared < 2; shared++) {
            mary_feedback_codes c = room_for(&m, counts[i], shared);
            uint8_t codes[150];
            double fixed = 0, nearest = 0, refitted = 0;
            spread_levels(&m, &c);
            assert_ok(mary_feedback_assign(feedback, &c));
            for (int64_t r = 0; r < 21; r++) {
                double own = error_of(&m, &c, r, c.codes + r * 150);
                code_nearest(&m, &c, r, codes);
                double other = error_of(&m, &c, r, codes);
                if (!shared)
                    require(own <= other * (1 + 1e-5));
                require(fabs(own - c.errors[r]) <= 1e-3 * other);
                fixed += own;
                nearest += other;
            }
            ck_assert_double_lt(fixed, 0.8 * nearest);
            assert_ok(mary_feedback_choose(feedback, &c));
            for (int64_t r = 0; r < 21; r++) {
                refitted += error_of(&m, &c, r, c.codes + r * 150);
                for (int l = 1; l < c.count; l++)
                    require(levels_of(&c, r)[l] >= levels_of(&c, r)[l - 1]);
            }
            ck_assert_double_lt(refitted, fixed);
            drop_codes(&c);
        }
    }
    mary_feedback_free(&feedback);
    drop(&m);
}
END_TEST

/* All codes of short rows tried: how close the search comes. */
START_TEST(short_rows_come_close_to_the_best_codes_of_all)
{
    enum { LENGTH = 9, ROWS = 40 };
    made m = make(1, ROWS, LENGTH, 60, false);
    mary_feedback *feedback;
    assert_ok(mary_feedback_create(&m.moment, m.weights, 1, &feedback));
    mary_feedback_codes c = room_for(&m, 2, false);
    spread_levels(&m, &c);
    assert_ok(mary_feedback_assign(feedback, &c));
    double found = 0, optimum = 0;
    for (int64_t r = 0; r < ROWS; r++) {
        double least = INFINITY;
        for (int bits = 0; bits < 1 << LENGTH; bits++) {
            uint8_t codes[LENGTH];
            for (int k = 0; k < LENGTH; k++)
                codes[k] = (uint8_t)(bits >> k & 1);
            least = fmin(least, error_of(&m, &c, r, codes));
        }
        double own = error_of(&m, &c, r, c.codes + r * LENGTH);
        require(own >= least * (1 - 1e-6));
        found += own;
        optimum += least;
    }
    ck_assert_double_lt(found, 1.25 * optimum);
    drop_codes(&c);
    mary_feedback_free(&feedback);
    drop(&m);
}
END_TEST

START_TEST(no_single_code_and_no_single_level_could_be_better)
{
    enum { LENGTH = 40, ROWS = 9, M = 4 };
    made m = make(1, ROWS, LENGTH, 100, false);
    mary_feedback *feedback;
    assert_ok(mary_feedback_create(&m.moment, m.weights, 2, &feedback));
    mary_feedback_codes c = room_for(&m, M, false);
    spread_levels(&m, &c);
    assert_ok(mary_feedback_assign(feedback, &c));
    for (int chosen = 0; chosen < 2; chosen++) { /* levels given, levels chosen */
        for (int64_t r = 0; r < ROWS; r++) {
            double own = error_of(&m, &c, r, c.codes + r * LENGTH);
            for (int k = 0; k < LENGTH; k++) {
                uint8_t *code = &c.codes[r * LENGTH + k], kept = *code;
                for (uint8_t other = 0; other < M; other++) {
                    *code = other;
                    require(error_of(&m, &c, r, c.codes + r * LENGTH) >= own * (1 - 1e-4));
                }
                *code = kept;
            }
            for (int l = 0; l < M && chosen; l++) { /* the error is a parabola in each level */
                float *level = &c.levels[r * M + l], kept = *level, step = 0.05f;
                *level = kept + step;
                double up = error_of(&m, &c, r, c.codes + r * LENGTH);
                *level = kept - step;
                double down = error_of(&m, &c, r, c.codes + r * LENGTH), curve = up - 2 * own + down;
                *level = kept;
                require(curve <= 0 || (up - down) * (up - down) / (8 * curve) < 0.02 * own);
            }
        }
        assert_ok(mary_feedback_choose(feedback, &c));
    }
    drop_codes(&c);
    mary_feedback_free(&feedback);
    drop(&m);
}
END_TEST

START_TEST(threads_change_nothing)
{
    for (int shape = 0; shape < 3; shape++) {
        made m = shape == 0   ? make(1, 203, 130, 300, true)
                 : shape == 1 ? make(5, 3, 40, 90, true)
                              : make(31, 1, 9, 50, true);
        for (int shared = 0; shared < 2; shared++) {
            mary_feedback_codes c[2];
            for (int run = 0; run < 2; run++) {
                mary_feedback *feedback;
                assert_ok(mary_feedback_create(&m.moment, m.weights, run == 0 ? 1 : 5, &feedback));
                c[run] = room_for(&m, 4, shared);
                assert_ok(mary_feedback_choose(feedback, &c[run]));
                mary_feedback_free(&feedback);
            }
            size_t rows = (size_t)(m.groups * m.rows);
            ck_assert_mem_eq(c[0].codes, c[1].codes, rows * (size_t)m.length);
            ck_assert_mem_eq(c[0].levels, c[1].levels, (shared ? 1 : rows) * 4 * sizeof(float));
            drop_codes(&c[0]);
            drop_codes(&c[1]);
        }
        drop(&m);
    }
}
END_TEST

START_TEST(each_group_is_a_layer_of_its_own)
{
    made m = make(4, 6, 18, 80, true);
    mary_feedback *feedback;
    assert_ok(mary_feedback_create(&m.moment, m.weights, 2, &feedback));
    mary_feedback_codes all = room_for(&m, 3, false);
    assert_ok(mary_feedback_choose(feedback, &all));
    mary_feedback_free(&feedback);
    for (int64_t g = 0; g < 4; g++) {
        made one = {1, 6, 18, m.weights + g * 6 * 18, m.moment};
        one.moment.groups = 1;
        one.moment.moment += g * 18 * 18;
        one.moment.cross += g * 6 * 18;
        assert_ok(mary_feedback_create(&one.moment, one.weights, 1, &feedback));
        mary_feedback_codes c = room_for(&one, 3, false);
        assert_ok(mary_feedback_choose(feedback, &c));
        ck_assert_mem_eq(c.codes, all.codes + g * 6 * 18, 6 * 18);
        for (int i = 0; i < 6 * 3; i++) /* polishing goes on as long as it helps any row of the layer */
            ck_assert_float_eq_tol(c.levels[i], all.levels[g * 6 * 3 + i], 1e-4f);
        mary_feedback_free(&feedback);
        drop_codes(&c);
    }
    drop_codes(&all);
    drop(&m);
}
END_TEST

START_TEST(inputs_that_say_nothing_leave_nearest_levels)
{
    /* Never seen at all; seen once, so that the moment has rank 1; of a size at which squares vanish. */
    for (int kind = 0; kind < 3; kind++) {
        made m = make(1, 4, 50, kind == 1 ? 1 : 0, false);
        for (int i = 0; kind == 2 && i < 50 * 50; i++)
            m.moment.moment[i] = 1e-44f;
        mary_feedback *feedback;
        assert_ok(mary_feedback_create(&m.moment, m.weights, 1, &feedback));
        mary_feedback_codes c = room_for(&m, 4, false);
        uint8_t codes[50];
        spread_levels(&m, &c);
        assert_ok(mary_feedback_assign(feedback, &c));
        for (int64_t r = 0; r < 4; r++) {
            code_nearest(&m, &c, r, codes);
            if (kind != 1)
                ck_assert_mem_eq(codes, c.codes + r * 50, 50);
            else
                require(error_of(&m, &c, r, c.codes + r * 50) <= error_of(&m, &c, r, codes));
        }
        assert_ok(mary_feedback_choose(feedback, &c));
        for (int i = 0; i < 16; i++)
            require(isfinite(c.levels[i]));
        drop_codes(&c);
        mary_feedback_free(&feedback);
        drop(&m);
    }
}
END_TEST

START_TEST(rows_of_one_value_and_rows_with_an_outlier_are_handled)
{
    made m = make(1, 3, 20, 60, false);
    for (int k = 0; k < 20; k++) {
        m.weights[k] = 0;
        m.weights[20 + k] = -2.5f;
    }
    m.weights[45] = 1e6f;
    mary_feedback *feedback;
    assert_ok(mary_feedback_create(&m.moment, m.weights, 1, &feedback));
    for (int count = 2; count <= 256; count *= 4) {
        mary_feedback_codes c = room_for(&m, count, false);
        assert_ok(mary_feedback_choose(feedback, &c));
        for (int k = 0; k < 20; k++) {
            ck_assert_float_eq_tol(levels_of(&c, 0)[c.codes[k]], 0, 1e-6f);
            ck_assert_float_eq_tol(levels_of(&c, 1)[c.codes[20 + k]], -2.5f, 1e-5f);
        }
        ck_assert_float_eq_tol(levels_of(&c, 2)[c.codes[45]], 1e6f, 10);
        drop_codes(&c);
    }
    mary_feedback_free(&feedback);
    drop(&m);
}
END_TEST

START_TEST(a_moment_that_is_not_finite_is_refused)
{
    made m = make(1, 2, 4, 10, false);
    m.moment.moment[5] = NAN;
    mary_feedback *feedback;
    assert_fails(mary_feedback_create(&m.moment, m.weights, 1, &feedback), MARY_ERROR_INVALID, "not finite");
    ck_assert_ptr_null(feedback);
    drop(&m);
}
END_TEST

START_TEST(memory_that_runs_out_is_a_status)
{
    made m = make(2, 3, 12, 30, true);
    for (int shared = 0; shared < 2; shared++) {
        for (int countdown = 0; countdown < 400; countdown++) {
            mary_feedback *feedback = NULL;
            mary_feedback_codes c = room_for(&m, 3, shared);
            mary_memory_fail_after(countdown);
            mary_status status = mary_feedback_create(&m.moment, m.weights, 2, &feedback);
            if (status == MARY_OK)
                status = mary_feedback_choose(feedback, &c);
            mary_memory_fail_after(-1);
            require(status == MARY_OK || status == MARY_ERROR_INTERNAL);
            mary_feedback_free(&feedback);
            drop_codes(&c);
        }
    }
    drop(&m);
}
END_TEST

START_TEST(products_and_factors_equal_the_plain_loops)
{
    static const int64_t sizes[] = {1, 2, 5, 16, 33, 95, 96, 97, 200};
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
        int64_t size = sizes[n], depth = 3 * size + 7;
        size_t squares = (size_t)(size * size);
        float *x = mary_alloc((size_t)(depth * size) * sizeof(float));
        float *c = mary_calloc(squares, sizeof(float)), *u = mary_alloc(squares * sizeof(float));
        for (int64_t i = 0; i < depth * size; i++)
            x[i] = draw();
        mary_dense_product product = {.a = x,
                                      .a_stride = size,
                                      .b = x,
                                      .b_stride = size,
                                      .depth = depth,
                                      .rows = size,
                                      .columns = size,
                                      .c = c,
                                      .c_stride = size,
                                      .upper = true,
                                      .threads = 3};
        assert_ok(mary_dense_multiply(&product));
        mary_dense_mirror(c, size, 2);
        memcpy(u, c, squares * sizeof(float));
        assert_ok(mary_dense_factor(u, size, 3));
        for (int64_t i = 0; i < size; i++) {
            for (int64_t j = 0; j < size; j++) {
                double sum = 0, back = 0;
                for (int64_t k = 0; k < depth; k++)
                    sum += (double)x[k * size + i] * (double)x[k * size + j];
                for (int64_t k = 0; k <= (i < j ? i : j); k++)
                    back += (double)u[k * size + i] * (double)u[k * size + j];
                require(fabs(sum - c[i * size + j]) <= 1e-4 * (double)depth);
                require(fabs(back - c[i * size + j]) <= 1e-4 * (double)depth);
                require(u[i * size + j] == u[j * size + i]);
            }
        }
        u[squares - 1] = -1;
        assert_fails(mary_dense_factor(u, size, 1), MARY_ERROR_INVALID, "positive definite");
        mary_free(x);
        mary_free(c);
        mary_free(u);
    }
}
END_TEST

MARY_TEST_MAIN("convert/quantize/feedback", independent_inputs_give_nearest_levels,
               no_row_is_worse_than_with_nearest_levels_and_refitted_levels_are_better_still,
               short_rows_come_close_to_the_best_codes_of_all, no_single_code_and_no_single_level_could_be_better,
               threads_change_nothing, each_group_is_a_layer_of_its_own, inputs_that_say_nothing_leave_nearest_levels,
               rows_of_one_value_and_rows_with_an_outlier_are_handled, a_moment_that_is_not_finite_is_refused,
               memory_that_runs_out_is_a_status, products_and_factors_equal_the_plain_loops)
