/* The micro-kernel of every tier against sums in double: every tile size, taps, slices, residual and activation. */
#include "tests/support/suite.h"

#include <math.h>
#include <string.h>

#include "onnx/memory.h"
#include "ops/tile.h"
#include "tests/support/conv_reference.h"

enum { GUARD = 64 };
static const float GUARD_VALUE = -12345.0f;

static uint32_t seed;

static float random_float(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

typedef struct tile_case {
    int m, n, taps, depth;
    bool bias, residual, accumulate, partial;
    const mary_epilogue *epilogue;
} tile_case;

static void check_tile(const mary_tile_kernel *kernel, const tile_case *c)
{
    int stride = kernel->nr + 5, length = c->taps * c->depth;
    size_t out_count = (size_t)(kernel->mr * stride);
    float *activations = mary_alloc(sizeof(float) * (size_t)(c->taps * kernel->mr * c->depth + 1));
    float *panel = mary_alloc(sizeof(float) * (size_t)(length * kernel->nr + 1));
    float *bias = mary_alloc(sizeof(float) * (size_t)c->n), *residual = mary_alloc(sizeof(float) * out_count);
    float *memory = mary_alloc(sizeof(float) * (out_count + 2 * GUARD)),
          *before = mary_alloc(sizeof(float) * out_count);
    const float **rows = mary_alloc(sizeof(float *) * (size_t)(c->taps * kernel->mr));
    for (int i = 0; i < c->taps * kernel->mr; i++) {
        rows[i] = activations + i * c->depth;
        for (int k = 0; k < c->depth; k++)
            activations[i * c->depth + k] = i % kernel->mr < c->m ? random_float() : NAN;
    }
    for (int i = 0; i < length * kernel->nr; i++)
        panel[i] = i % kernel->nr < c->n ? random_float() : 0.0f;
    for (int j = 0; j < c->n; j++)
        bias[j] = random_float();
    for (size_t i = 0; i < out_count; i++)
        residual[i] = random_float();
    for (size_t i = 0; i < out_count + 2 * GUARD; i++)
        memory[i] = GUARD_VALUE;
    float *out = memory + GUARD;
    for (int i = 0; i < c->m; i++) {
        for (int j = 0; j < c->n; j++)
            out[i * stride + j] = c->accumulate ? random_float() : NAN;
    }
    memcpy(before, out, sizeof(float) * out_count);
    mary_tile_call call = {.rows = rows,
                           .taps = c->taps,
                           .depth = c->depth,
                           .panel = panel,
                           .bias = c->bias ? bias : NULL,
                           .residual = c->residual ? residual : NULL,
                           .residual_stride = stride,
                           .out = out,
                           .out_stride = stride,
                           .m = c->m,
                           .n = c->n,
                           .accumulate = c->accumulate,
                           .partial = c->partial,
                           .epilogue = c->epilogue};
    kernel->run(&call);
    for (int i = 0; i < kernel->mr; i++) {
        for (int j = 0; j < stride; j++) {
            if (i >= c->m || j >= c->n) {
                ck_assert_msg(out[i * stride + j] == GUARD_VALUE, "%s m %d n %d wrote outside at %d, %d", kernel->name,
                              c->m, c->n, i, j);
                continue;
            }
            double sum = c->accumulate ? before[i * stride + j] : c->bias ? bias[j] : 0;
            for (int t = 0; t < c->taps; t++) {
                for (int k = 0; k < c->depth; k++)
                    sum += (double)rows[t * kernel->mr + i][k] * panel[(t * c->depth + k) * kernel->nr + j];
            }
            if (!c->partial)
                sum = activation_reference(c->epilogue, c->residual ? sum + residual[i * stride + j] : sum);
            double error = fabs(out[i * stride + j] - sum);
            ck_assert_msg(error <= 2e-6 * (length + 4), "%s m %d n %d taps %d depth %d at %d, %d: %g, expected %g",
                          kernel->name, c->m, c->n, c->taps, c->depth, i, j, out[i * stride + j], sum);
        }
    }
    for (int i = 0; i < GUARD; i++)
        ck_assert(memory[i] == GUARD_VALUE && memory[GUARD + out_count + (size_t)i] == GUARD_VALUE);
    mary_free(activations);
    mary_free(panel);
    mary_free(bias);
    mary_free(residual);
    mary_free(memory);
    mary_free(before);
    mary_free(rows);
}

static void each_tier(void (*test)(const mary_tile_kernel *kernel))
{
    mary_cpu best = mary_cpu_best();
    for (int cpu = 0; cpu <= (int)best; cpu++) {
        seed = 1;
        test(mary_tile_kernel_for((mary_cpu)cpu));
    }
}

static void all_sizes(const mary_tile_kernel *kernel)
{
    static const mary_epilogue relu = {
        .activation = MARY_ACTIVATION_CLIP, .alpha = 0, .beta = INFINITY, .residual = -1};
    for (int m = 1; m <= kernel->mr; m++) {
        for (int n = 1; n <= kernel->nr; n++) {
            check_tile(kernel, &(tile_case){.m = m,
                                            .n = n,
                                            .taps = 1 + n % 3,
                                            .depth = 1 + (m * 7 + n) % 19,
                                            .bias = n % 2,
                                            .residual = m % 2,
                                            .epilogue = m % 3 ? &relu : NULL});
        }
    }
}

START_TEST(every_tile_size_is_exact_and_stays_inside)
{
    each_tier(all_sizes);
}
END_TEST

static void slices(const mary_tile_kernel *kernel)
{
    static const mary_epilogue tanh_ = {.activation = MARY_ACTIVATION_TANH, .residual = -1};
    for (int flags = 0; flags < 16; flags++) {
        check_tile(kernel, &(tile_case){.m = kernel->mr,
                                        .n = kernel->nr - 3,
                                        .taps = 2,
                                        .depth = 33,
                                        .bias = flags & 1,
                                        .residual = flags & 2,
                                        .accumulate = flags & 4,
                                        .partial = flags & 8,
                                        .epilogue = &tanh_});
    }
    check_tile(kernel, &(tile_case){.m = 1, .n = 1, .taps = 1, .depth = 0, .bias = true});
    check_tile(kernel, &(tile_case){.m = 2, .n = kernel->nr, .taps = 0, .depth = 5, .bias = true});
}

START_TEST(slices_of_a_sum_add_up_and_delay_the_epilogue)
{
    each_tier(slices);
}
END_TEST

static void activations(const mary_tile_kernel *kernel)
{
    static const mary_epilogue all[] = {
        {MARY_ACTIVATION_NONE, 0, 0, -1},          {MARY_ACTIVATION_CLIP, -0.25f, 0.75f, -1},
        {MARY_ACTIVATION_LEAKY_RELU, 0.1f, 0, -1}, {MARY_ACTIVATION_SIGMOID, 0, 0, -1},
        {MARY_ACTIVATION_SILU, 0, 0, -1},          {MARY_ACTIVATION_HARD_SWISH, 1.0f / 6, 0.5f, -1},
        {MARY_ACTIVATION_TANH, 0, 0, -1},          {MARY_ACTIVATION_HARD_SIGMOID, 0.2f, 0.5f, -1},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (int n = 1; n <= kernel->nr; n += 3)
            check_tile(kernel, &(tile_case){.m = kernel->mr,
                                            .n = n,
                                            .taps = 1,
                                            .depth = 9,
                                            .bias = true,
                                            .residual = n % 2,
                                            .epilogue = &all[i]});
    }
}

START_TEST(every_activation_is_applied_to_every_column)
{
    each_tier(activations);
}
END_TEST

static void not_a_number(const mary_tile_kernel *kernel)
{
    static const mary_epilogue relu = {MARY_ACTIVATION_CLIP, 0, INFINITY, -1};
    float x = NAN, panel[64] = {1}, out[64];
    const float *rows[16] = {&x};
    kernel->run(&(mary_tile_call){.rows = rows,
                                  .taps = 1,
                                  .depth = 1,
                                  .panel = panel,
                                  .out = out,
                                  .out_stride = 64,
                                  .m = 1,
                                  .n = 1,
                                  .epilogue = &relu});
    ck_assert(isnan(out[0]));
}

START_TEST(a_nan_passes_through_relu)
{
    each_tier(not_a_number);
}
END_TEST

static void same_chain(const mary_tile_kernel *kernel)
{
    enum { DEPTH = 301 };
    float x[DEPTH], *panel = mary_alloc(sizeof(float) * DEPTH * (size_t)kernel->nr), one[64], many[16 * 64];
    const float *rows[16];
    for (int i = 0; i < DEPTH; i++)
        x[i] = random_float();
    for (int i = 0; i < DEPTH * kernel->nr; i++)
        panel[i] = random_float();
    for (int i = 0; i < 16; i++)
        rows[i] = x;
    mary_tile_call call = {
        .rows = rows, .taps = 1, .depth = DEPTH, .panel = panel, .out = one, .out_stride = 64, .m = 1, .n = kernel->nr};
    kernel->run(&call);
    call.out = many;
    call.m = kernel->mr;
    kernel->run(&call);
    for (int i = 0; i < kernel->mr; i++)
        ck_assert_mem_eq(many + i * 64, one, sizeof(float) * (size_t)kernel->nr);
    mary_free(panel);
}

START_TEST(a_result_does_not_depend_on_the_rows_of_its_tile)
{
    each_tier(same_chain);
}
END_TEST

MARY_TEST_MAIN("ops/tile", every_tile_size_is_exact_and_stays_inside, slices_of_a_sum_add_up_and_delay_the_epilogue,
               every_activation_is_applied_to_every_column, a_nan_passes_through_relu,
               a_result_does_not_depend_on_the_rows_of_its_tile)
