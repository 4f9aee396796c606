/* Packed M-ary weights: what the file's codes and levels mean, whatever the tier, the shape and the range that is asked
 * for. */
#include "tests/support/suite.h"

#include <math.h>
#include <string.h>

#include "onnx/memory.h"
#include "ops/mary/weights.h"

/* libcheck writes to a pipe for every assertion that it sees; these loops are long. */
#define expect(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
    } while (0)

/* A layer as it is in a file, and the floats that it stands for. */
typedef struct layer {
    int64_t rows, length, taps;
    int bits;
    mary_tensor codes, levels;
    float *expected; /* [rows][length] in packed order [taps][depth] */
    mary_weights *weights;
} layer;

static uint32_t random_state = 12345;
static uint32_t random_bits(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}
static float random_float(void)
{
    return (float)random_bits() / (float)(1 << 23) - 1.0f;
}

static layer make_layer(int64_t rows, int64_t length, int64_t taps, int bits, bool shared, int levels, float scale)
{
    layer made = {.rows = rows, .length = length, .taps = taps, .bits = bits};
    int64_t bytes = (length * bits + 7) / 8, level_rows = shared ? 1 : rows, depth = length / taps;
    made.codes =
        (mary_tensor){.type = MARY_UINT8, .shape = {2, {rows, bytes}}, .data = calloc((size_t)(rows * bytes + 1), 1)};
    made.levels = (mary_tensor){.type = MARY_FLOAT,
                                .shape = {2, {level_rows, 1 << bits}},
                                .data = calloc((size_t)(level_rows << bits) + 1, sizeof(float))};
    made.expected = calloc((size_t)(rows * length + 1), sizeof(float));
    float *level = made.levels.data;
    for (int64_t i = 0; i < level_rows << bits; i++)
        level[i] = random_float();
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < length; k++) {
            unsigned code = random_bits() % (unsigned)levels;
            uint8_t *byte = (uint8_t *)made.codes.data + r * bytes + k * bits / 8;
            *byte = (uint8_t)(*byte | code << (k * bits % 8));
            made.expected[r * length + k % taps * depth + k / taps] = scale * level[((shared ? 0 : r) << bits) + code];
        }
    }
    assert_ok(mary_weights_create(&made.codes, &made.levels, rows, length, bits, taps, scale, &made.weights));
    return made;
}

static void free_layer(layer *old)
{
    mary_weights_free(&old->weights);
    free(old->codes.data);
    free(old->levels.data);
    free(old->expected);
}

static void check_rows(const layer *tested)
{
    float *out = malloc(sizeof(float) * (size_t)(tested->length + 2));
    for (int64_t r = 0; r < tested->rows; r++) {
        for (int64_t begin = 0; begin < tested->length; begin += 1 + begin * 2) {
            int64_t end = tested->length - (begin % 3);
            end = end < begin ? begin : end;
            out[end - begin] = 77.0f;
            mary_weights_decode_row(tested->weights, r, begin, end, out);
            for (int64_t k = begin; k < end; k++)
                expect(out[k - begin] == tested->expected[r * tested->length + k],
                       "%d bits, row %d, position %d from %d", tested->bits, (int)r, (int)k, (int)begin);
            expect(out[end - begin] == 77.0f, "wrote past the end");
        }
    }
    free(out);
}

static void check_panels(const layer *tested)
{
    static const int widths[] = {1, 8, 16, 32, 48, 64};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        int width = widths[w];
        float *panel = malloc(sizeof(float) * (size_t)(tested->length * width + 1));
        for (int64_t row = 0; row < tested->rows; row += 5) {
            int count = tested->rows - row < width ? (int)(tested->rows - row) : width;
            for (int64_t begin = 0; begin < tested->length; begin += 1 + begin * 3) {
                int64_t end = tested->length - begin % 2;
                if (end <= begin)
                    continue;
                panel[(end - begin) * width] = 77.0f;
                mary_weights_decode_panel(tested->weights, row, count, begin, end, width, panel);
                expect(panel[(end - begin) * width] == 77.0f, "wrote past the end");
                for (int64_t k = begin; k < end; k++) {
                    for (int j = 0; j < width; j++) {
                        float expected = j < count ? tested->expected[(row + j) * tested->length + k] : 0.0f;
                        expect(panel[(k - begin) * width + j] == expected,
                               "%d bits, width %d, row %d + %d of %d, position %d from %d: %g, not %g", tested->bits,
                               width, (int)row, j, count, (int)k, (int)begin, (double)panel[(k - begin) * width + j],
                               (double)expected);
                    }
                }
            }
        }
        free(panel);
    }
}

static void check_products(const layer *tested)
{
    for (int batch = 1; batch <= 9; batch++) {
        int64_t stride = tested->length + 3, out_stride = tested->rows + 2;
        float *x = malloc(sizeof(float) * (size_t)(stride * batch));
        float *out = malloc(sizeof(float) * (size_t)(out_stride * batch));
        for (int64_t i = 0; i < stride * batch; i++)
            x[i] = i % stride < tested->length ? random_float() : NAN; /* what lies between rows is not touched */
        for (int64_t row = 0; row < tested->rows; row += 3) {
            int64_t count = tested->rows - row - (row % 2);
            for (int64_t i = 0; i < out_stride * batch; i++)
                out[i] = 77.0f;
            mary_weights_multiply(tested->weights, x, stride, batch, row, count, out, out_stride);
            for (int64_t i = 0; i < out_stride * batch; i++) {
                int64_t r = i % out_stride;
                if (r < row || r >= row + count) {
                    expect(out[i] == 77.0f, "wrote another row");
                    continue;
                }
                double sum = 0, size = 0;
                for (int64_t k = 0; k < tested->length; k++) {
                    double product =
                        (double)x[i / out_stride * stride + k] * (double)tested->expected[r * tested->length + k];
                    sum += product;
                    size += fabs(product);
                }
                expect(fabs((double)out[i] - sum) <= 1e-6 * size, "%d bits, batch %d, row %d: %g, not %g", tested->bits,
                       batch, (int)r, (double)out[i], sum);
            }
        }
        free(x);
        free(out);
    }
}

static void for_every_layer(void (*check)(const layer *))
{
    static const int64_t lengths[] = {1, 3, 15, 16, 17, 64, 127, 128, 129, 255, 256, 257, 511, 512, 521, 1031};
    for (mary_cpu cpu = MARY_CPU_SCALAR; cpu <= mary_cpu_best(); cpu++) {
        if (!mary_cpu_supported(cpu))
            continue;
        mary_cpu_set(cpu);
        for (int bits = 1; bits <= 8; bits *= 2) {
            for (int shared = 0; shared < 2; shared++) {
                for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
                    int most = 1 << bits;
                    layer tested =
                        make_layer(i % 2 ? 7 : 37, lengths[i], 1, bits, shared, i % 3 ? most : (most + 1) / 2, 1.0f);
                    check(&tested);
                    free_layer(&tested);
                }
            }
        }
    }
}

START_TEST(rows_decode_to_their_levels)
{
    for_every_layer(check_rows);
}
END_TEST
START_TEST(panels_decode_to_their_levels)
{
    for_every_layer(check_panels);
}
END_TEST
START_TEST(products_are_those_of_the_decoded_weights)
{
    for_every_layer(check_products);
}
END_TEST

START_TEST(kernel_positions_come_before_channels_when_packed)
{
    for (int bits = 1; bits <= 8; bits *= 2) {
        layer tested = make_layer(5, 9 * 14, 9, bits, false, 1 << bits, 1.0f);
        check_rows(&tested);
        check_panels(&tested);
        free_layer(&tested);
    }
}
END_TEST

START_TEST(scale_multiplies_the_levels)
{
    layer tested = make_layer(3, 70, 1, 4, true, 16, -0.5f);
    check_rows(&tested);
    check_products(&tested);
    free_layer(&tested);
}
END_TEST

START_TEST(layers_without_weights_are_legal)
{
    layer no_rows = make_layer(0, 20, 1, 2, false, 4, 1.0f), no_columns = make_layer(5, 0, 1, 2, false, 4, 1.0f);
    float out[5] = {1, 1, 1, 1, 1};
    mary_weights_multiply(no_rows.weights, out, 0, 1, 0, 0, out, 5);
    mary_weights_multiply(no_columns.weights, out, 0, 1, 0, 5, out, 5);
    for (int i = 0; i < 5; i++)
        ck_assert(out[i] == 0.0f);
    mary_weights_decode_panel(no_columns.weights, 0, 5, 0, 0, 16, NULL);
    free_layer(&no_rows);
    free_layer(&no_columns);
}
END_TEST

START_TEST(wrong_shapes_and_types_are_refused)
{
    uint8_t codes[64] = {0};
    float levels[64] = {0};
    mary_tensor c = {.type = MARY_UINT8, .shape = {2, {4, 5}}, .data = codes};
    mary_tensor l = {.type = MARY_FLOAT, .shape = {2, {4, 4}}, .data = levels};
    mary_weights *weights = NULL;
    assert_ok(mary_weights_create(&c, &l, 4, 20, 2, 1, 1.0f, &weights));
    mary_weights_free(&weights);
    assert_fails(mary_weights_create(&c, &l, 4, 20, 3, 1, 1.0f, &weights), MARY_ERROR_INVALID, "bits is 3");
    assert_fails(mary_weights_create(&c, &l, 4, 21, 2, 1, 1.0f, &weights), MARY_ERROR_INVALID, "uint8 [4,6]");
    assert_fails(mary_weights_create(&c, &l, 5, 20, 2, 1, 1.0f, &weights), MARY_ERROR_INVALID, "uint8 [5,5]");
    assert_fails(mary_weights_create(&c, &l, 4, 20, 2, 3, 1.0f, &weights), MARY_ERROR_INVALID, "3 kernel positions");
    assert_fails(mary_weights_create(&c, &l, 4, 20, 2, 0, 1.0f, &weights), MARY_ERROR_INVALID, "0 kernel positions");
    assert_fails(mary_weights_create(&c, &l, -1, 20, 2, 1, 1.0f, &weights), MARY_ERROR_INVALID, "-1 rows");
    l.shape.dims[0] = 2;
    assert_fails(mary_weights_create(&c, &l, 4, 20, 2, 1, 1.0f, &weights), MARY_ERROR_INVALID, "levels");
    l.shape = (mary_shape){2, {4, 3}};
    assert_fails(mary_weights_create(&c, &l, 4, 20, 2, 1, 1.0f, &weights), MARY_ERROR_INVALID, "levels");
    l = (mary_tensor){.type = MARY_INT8, .shape = {2, {4, 4}}, .data = levels};
    assert_fails(mary_weights_create(&c, &l, 4, 20, 2, 1, 1.0f, &weights), MARY_ERROR_INVALID, "int8");
    l.type = MARY_FLOAT;
    l.data = NULL;
    assert_fails(mary_weights_create(&c, &l, 4, 20, 2, 1, 1.0f, &weights), MARY_ERROR_UNSUPPORTED, "constants");
}
END_TEST

START_TEST(packed_weights_stay_near_their_packed_size)
{
    layer tested = make_layer(64, 4096, 1, 2, false, 4, 1.0f);
    ck_assert_uint_lt(mary_weights_bytes(tested.weights), 64 * 1024 + 64 * 16 + 128);
    free_layer(&tested);
}
END_TEST

MARY_TEST_MAIN("ops/mary/weights", rows_decode_to_their_levels, panels_decode_to_their_levels,
               products_are_those_of_the_decoded_weights, kernel_positions_come_before_channels_when_packed,
               scale_multiplies_the_levels, layers_without_weights_are_legal, wrong_shapes_and_types_are_refused,
               packed_weights_stay_near_their_packed_size)
