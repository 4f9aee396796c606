/* The constants of the MaryQLinear operators: checks, requantisation multipliers, folded zero points. */
#include "ops/mary/qlinear.h"

#include <string.h>

#include "onnx/memory.h"

static const char *const input_names[MARY_QLINEAR_INPUTS] = {"x",
                                                             "x_scale",
                                                             "x_zero_point",
                                                             "codes",
                                                             "levels",
                                                             "w_scale",
                                                             "w_zero_point",
                                                             "y_scale",
                                                             "y_zero_point",
                                                             "B",
                                                             "residual",
                                                             "residual_scale",
                                                             "residual_zero_point",
                                                             "sum_scale",
                                                             "sum_zero_point",
                                                             "table"};

typedef struct reader {
    const mary_op_node *node;
    const mary_tensor *const *constants;
    uint64_t consumed;
} reader;

static const mary_tensor *optional_constant(const reader *r, int index)
{
    return index < r->node->input_count ? r->constants[index] : NULL;
}

/* A constant of `type` with `count` elements (or, when `one_will_do`, one). */
static mary_status read_constant(reader *r, int index, mary_type type, int64_t count, bool one_will_do,
                                 const mary_tensor **tensor)
{
    *tensor = optional_constant(r, index);
    if (*tensor == NULL)
        return mary_op_fail(r->node, MARY_ERROR_UNSUPPORTED, "input %d (%s) must be a constant", index,
                            input_names[index]);
    if ((*tensor)->type != type)
        return mary_op_fail(r->node, MARY_ERROR_INVALID, "input %d (%s) is %s, it must be %s", index,
                            input_names[index], mary_type_name((*tensor)->type), mary_type_name(type));
    int64_t elements = mary_shape_count(&(*tensor)->shape);
    if ((*tensor)->shape.rank > 1 || (elements != count && !(one_will_do && elements == 1)))
        return mary_op_fail(r->node, MARY_ERROR_INVALID, "input %d (%s) has rank %d and %lld elements, %lld are needed",
                            index, input_names[index], (*tensor)->shape.rank, (long long)elements, (long long)count);
    r->consumed |= UINT64_C(1) << index;
    return MARY_OK;
}

static mary_status read_scale(reader *r, int index, float *scale)
{
    const mary_tensor *tensor;
    MARY_TRY(read_constant(r, index, MARY_FLOAT, 1, true, &tensor));
    *scale = ((const float *)tensor->data)[0];
    if (!(*scale > 0) || isinf(*scale))
        return mary_op_fail(r->node, MARY_ERROR_INVALID, "input %d (%s) is %g, it must be positive and finite", index,
                            input_names[index], (double)*scale);
    return MARY_OK;
}

static mary_status read_zero(reader *r, int index, int32_t *zero)
{
    const mary_tensor *tensor;
    MARY_TRY(read_constant(r, index, MARY_UINT8, 1, true, &tensor));
    *zero = ((const uint8_t *)tensor->data)[0];
    return MARY_OK;
}

static mary_status read_codes(reader *r, int64_t rows, int64_t row_length, int bits, mary_qsource *source)
{
    const mary_tensor *codes = optional_constant(r, MARY_QLINEAR_CODES),
                      *levels = optional_constant(r, MARY_QLINEAR_LEVELS);
    char text[96];
    if (codes == NULL || levels == NULL)
        return mary_op_fail(r->node, MARY_ERROR_UNSUPPORTED, "codes and levels must be constants");
    int64_t row_bytes = row_length / 8 * bits + (row_length % 8 * bits + 7) / 8, most = INT64_C(1) << bits;
    if (codes->type != MARY_UINT8 || codes->shape.rank != 2 || codes->shape.dims[0] != rows ||
        codes->shape.dims[1] != row_bytes)
        return mary_op_fail(r->node, MARY_ERROR_INVALID, "codes are %s %s, they must be uint8 [%lld,%lld]",
                            mary_type_name(codes->type), mary_shape_format(&codes->shape, text, sizeof text),
                            (long long)rows, (long long)row_bytes);
    if (levels->type != MARY_INT8 || levels->shape.rank != 2 ||
        (levels->shape.dims[0] != rows && levels->shape.dims[0] != 1) || levels->shape.dims[1] != most)
        return mary_op_fail(r->node, MARY_ERROR_INVALID, "levels are %s %s, they must be int8 [%lld or 1,%lld]",
                            mary_type_name(levels->type), mary_shape_format(&levels->shape, text, sizeof text),
                            (long long)rows, (long long)most);
    *source = (mary_qsource){.codes = codes->data,
                             .levels = levels->data,
                             .rows = rows,
                             .row_length = row_length,
                             .row_bytes = row_bytes,
                             .level_stride = levels->shape.dims[0] == 1 ? 0 : most,
                             .bits = bits};
    r->consumed |= UINT64_C(1) << MARY_QLINEAR_CODES | UINT64_C(1) << MARY_QLINEAR_LEVELS;
    return MARY_OK;
}

/* The codes of one byte, one to a byte, lowest first. */
static inline uint64_t spread(uint64_t byte, int bits)
{
    switch (bits) {
    case 1:
        byte = (byte | byte << 28) & 0x0000000f0000000f;
        byte = (byte | byte << 14) & 0x0003000300030003;
        return (byte | byte << 7) & 0x0101010101010101;
    case 2:
        byte = (byte | byte << 12) & 0x000f000f;
        return (byte | byte << 6) & 0x03030303;
    case 4:
        return (byte | byte << 4) & 0x0f0f;
    default:
        return byte;
    }
}

static inline void unpack(const uint8_t *from, int64_t count, const int bits, uint8_t *codes)
{
    const int each = 8 / bits;
    for (; count >= each; count -= each, codes += each) {
        uint64_t some = spread(*from++, bits);
        memcpy(codes, &some, (size_t)each);
    }
    for (int j = 0; j < count; j++)
        codes[j] = (uint8_t)(*from >> (j * bits) & ((1 << bits) - 1));
}

void mary_qsource_unpack(const mary_qsource *source, int64_t row, uint8_t *codes)
{
    const uint8_t *from = source->codes + row * source->row_bytes;
    switch (source->bits) {
    case 1:
        unpack(from, source->row_length, 1, codes);
        break;
    case 2:
        unpack(from, source->row_length, 2, codes);
        break;
    case 4:
        unpack(from, source->row_length, 4, codes);
        break;
    default:
        unpack(from, source->row_length, 8, codes);
    }
}

/* How often each code occurs in a row. */
static void count_codes(const mary_qsource *source, int64_t row, int64_t counts[256])
{
    enum { LONG = 512 }; /* bytes: from here on it pays to count bytes first */
    const uint8_t *from = source->codes + row * source->row_bytes;
    const int bits = source->bits, each = 8 / bits, mask = (1 << bits) - 1;
    const int64_t whole = source->row_length / each;
    int64_t i = 0;
    memset(counts, 0, sizeof(int64_t) << bits);
    if (whole >= LONG && bits < 8) {
        int64_t bytes[256] = {0};
        for (; i < whole; i++)
            bytes[from[i]]++;
        for (int value = 0; value < 256; value++) {
            for (int j = 0; j < each; j++)
                counts[value >> (j * bits) & mask] += bytes[value];
        }
    }
    for (int64_t k = i * each; k < source->row_length; k++)
        counts[from[k * bits >> 3] >> (k * bits & 7) & mask]++;
}

/* Sum and sum of magnitudes of a row's levels. */
static void add_row(const mary_qsource *source, int64_t row, int64_t *sum, int64_t *magnitude)
{
    const int8_t *levels = source->levels + row * source->level_stride;
    int64_t counts[256];
    count_codes(source, row, counts);
    *sum = *magnitude = 0;
    for (int code = 0; code < 1 << source->bits; code++) {
        *sum += counts[code] * levels[code];
        *magnitude += counts[code] * (levels[code] < 0 ? -levels[code] : levels[code]);
    }
}

typedef struct row_constants {
    const mary_tensor *w_scale, *w_zero, *bias;
    float x_scale, y_scale;
} row_constants;

static mary_status read_rows(reader *r, int64_t rows, row_constants *c)
{
    MARY_TRY(read_constant(r, MARY_QLINEAR_W_SCALE, MARY_FLOAT, rows, true, &c->w_scale));
    MARY_TRY(read_constant(r, MARY_QLINEAR_W_ZERO, MARY_INT8, rows, true, &c->w_zero));
    for (int64_t i = 0; i < mary_shape_count(&c->w_zero->shape); i++) {
        if (((const int8_t *)c->w_zero->data)[i] != 0)
            return mary_op_fail(r->node, MARY_ERROR_INVALID, "w_zero_point[%lld] is %d, it must be 0", (long long)i,
                                ((const int8_t *)c->w_zero->data)[i]);
    }
    c->bias = NULL;
    if (optional_constant(r, MARY_QLINEAR_BIAS) != NULL)
        MARY_TRY(read_constant(r, MARY_QLINEAR_BIAS, MARY_INT32, rows, false, &c->bias));
    return MARY_OK;
}

static mary_status fill_row(const mary_op_node *node, const row_constants *c, mary_qlayer *layer, int64_t row,
                            double *largest)
{
    int64_t sum, magnitude;
    bool shared = mary_shape_count(&c->w_scale->shape) == 1;
    float w_scale = ((const float *)c->w_scale->data)[shared ? 0 : row];
    float multiplier = (c->x_scale * w_scale) / c->y_scale;
    if (!isfinite(w_scale) || !isfinite(multiplier))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the scales of row %lld (%g * %g / %g) are not usable",
                            (long long)row, (double)c->x_scale, (double)w_scale, (double)c->y_scale);
    add_row(&layer->source, row, &sum, &magnitude);
    int64_t bias = c->bias != NULL ? ((const int32_t *)c->bias->data)[row] : 0;
    int64_t bound = 255 * magnitude + (bias < 0 ? -bias : bias);
    if (bound > INT32_MAX)
        return mary_op_fail(node, MARY_ERROR_INVALID, "the sums of row %lld may leave 32 bits (up to %lld)",
                            (long long)row, (long long)bound);
    layer->bias[row] = (int32_t)(bias - layer->x_zero * sum);
    layer->multiplier[row] = multiplier;
    double reach = (double)bound * fabs((double)multiplier);
    *largest = reach > *largest ? reach : *largest;
    return MARY_OK;
}

static mary_status read_residual(reader *r, float y_scale, mary_qepilogue *e)
{
    float residual_scale, sum_scale;
    e->has_residual = optional_constant(r, MARY_QLINEAR_RESIDUAL_SCALE) != NULL;
    if (!e->has_residual)
        return MARY_OK;
    MARY_TRY(read_scale(r, MARY_QLINEAR_RESIDUAL_SCALE, &residual_scale));
    MARY_TRY(read_zero(r, MARY_QLINEAR_RESIDUAL_ZERO, &e->residual_zero));
    MARY_TRY(read_scale(r, MARY_QLINEAR_SUM_SCALE, &sum_scale));
    MARY_TRY(read_zero(r, MARY_QLINEAR_SUM_ZERO, &e->sum_zero));
    e->y_factor = y_scale / sum_scale;
    e->residual_factor = residual_scale / sum_scale;
    if (!(e->y_factor < 1e30f) || !(e->residual_factor < 1e30f)) /* products with 255 stay finite */
        return mary_op_fail(r->node, MARY_ERROR_INVALID, "the scales of the residual (%g, %g -> %g) are not usable",
                            (double)y_scale, (double)residual_scale, (double)sum_scale);
    return MARY_OK;
}

static mary_status read_layer(reader *r, int64_t rows, int64_t row_length, int bits, mary_qlayer *layer)
{
    mary_qepilogue *e = &layer->epilogue;
    row_constants c;
    int32_t x_zero;
    double largest = 0;
    MARY_TRY(read_codes(r, rows, row_length, bits, &layer->source));
    MARY_TRY(read_scale(r, MARY_QLINEAR_X_SCALE, &c.x_scale));
    MARY_TRY(read_zero(r, MARY_QLINEAR_X_ZERO, &x_zero));
    MARY_TRY(read_scale(r, MARY_QLINEAR_Y_SCALE, &c.y_scale));
    MARY_TRY(read_zero(r, MARY_QLINEAR_Y_ZERO, &e->y_zero));
    MARY_TRY(read_rows(r, rows, &c));
    MARY_TRY(read_residual(r, c.y_scale, e));
    layer->x_zero = (uint8_t)x_zero;
    size_t count;
    if (!mary_size_add((size_t)rows, MARY_QLINEAR_SLACK, &count) || count > PTRDIFF_MAX / sizeof(float))
        return mary_fail_memory(SIZE_MAX);
    layer->bias = mary_alloc_aligned(count * sizeof(int32_t));
    layer->multiplier = mary_alloc_aligned(count * sizeof(float));
    if (layer->bias == NULL || layer->multiplier == NULL)
        return mary_fail_memory(count * sizeof(float));
    memset(layer->bias + rows, 0, MARY_QLINEAR_SLACK * sizeof(int32_t));
    memset(layer->multiplier + rows, 0, MARY_QLINEAR_SLACK * sizeof(float));
    for (int64_t row = 0; row < rows; row++)
        MARY_TRY(fill_row(r->node, &c, layer, row, &largest));
    e->bounded = largest < 0x1p30 && e->y_factor < 0x1p20f && e->residual_factor < 0x1p20f;
    e->bias = layer->bias;
    e->multiplier = layer->multiplier;
    if (optional_constant(r, MARY_QLINEAR_TABLE) != NULL) {
        const mary_tensor *table;
        MARY_TRY(read_constant(r, MARY_QLINEAR_TABLE, MARY_UINT8, 256, false, &table));
        layer->table = mary_alloc_aligned(256);
        if (layer->table == NULL)
            return mary_fail_memory(256);
        memcpy(layer->table, table->data, 256);
        e->table = layer->table;
    }
    return MARY_OK;
}

mary_status mary_qlayer_create(const mary_op_node *node, const mary_tensor *const *constants, int64_t rows,
                               int64_t row_length, int bits, mary_qlayer *layer, uint64_t *consumed)
{
    reader r = {.node = node, .constants = constants};
    memset(layer, 0, sizeof *layer);
    MARY_TRY(read_layer(&r, rows, row_length, bits, layer));
    *consumed |= r.consumed;
    return MARY_OK;
}

void mary_qlayer_free(mary_qlayer *layer)
{
    mary_free(layer->bias);
    mary_free(layer->multiplier);
    mary_free(layer->table);
    memset(layer, 0, sizeof *layer);
}

mary_status mary_qlinear_check(const mary_op_node *node, const mary_op_call *call)
{
    MARY_TRY(mary_op_expect_inputs(node, call, MARY_QLINEAR_BIAS, MARY_QLINEAR_INPUTS));
    if (call->inputs[MARY_QLINEAR_X]->type != MARY_UINT8)
        return mary_op_fail(node, MARY_ERROR_UNSUPPORTED, "x is %s, it must be uint8",
                            mary_type_name(call->inputs[MARY_QLINEAR_X]->type));
    const bool scaled = call->input_count > MARY_QLINEAR_RESIDUAL_SCALE && call->inputs[MARY_QLINEAR_RESIDUAL_SCALE];
    if ((mary_qlinear_residual(call) != NULL) != scaled)
        return mary_op_fail(node, MARY_ERROR_INVALID, "a residual and its scale come together");
    return MARY_OK;
}

mary_status mary_qlinear_check_residual(const mary_op_node *node, const mary_op_call *call, const mary_shape *y)
{
    const mary_tensor *residual = mary_qlinear_residual(call);
    if (residual != NULL && (residual->type != MARY_UINT8 || !mary_shape_equal(&residual->shape, y)))
        return mary_op_fail(node, MARY_ERROR_INVALID, "the residual is not like the output");
    return MARY_OK;
}
