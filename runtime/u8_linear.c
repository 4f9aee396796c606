/* Convolutions and products of int8 models as other tools write them run on the kernels of MaryQLinear*: int8 weights
 * are 256 levels, all of them used.
 *
 *   DequantizeLinear(x), DequantizeLinear(W), DequantizeLinear(B) -> Conv | Gemm | MatMul -> QuantizeLinear
 *
 * W: i8 with zero point 0, one scale or one a row; B: i32 in units of x_scale * w_scale[r], or float. */
#include <math.h>
#include <string.h>

#include "onnx/edit.h"
#include "ops/mary/qlinear.h"
#include "runtime/u8.h"

enum { LEVELS = 256 };

/* A layer as the MaryQLinear* operator wants it. */
typedef struct linear {
    const char *type; /* "MaryQLinearConv" */
    mary_shape weight_shape;
    int64_t rows, row_length;
    int64_t row_step, step; /* in the int8 tensor: from row to row, and along a row */
    int row_axis;
    const int8_t *weights;
    int weight_scale, bias; /* value numbers; -1: none */
} linear;

static const mary_tensor *constant(const mary_program *program, int value, mary_type type)
{
    if (value < 0 || !program->values[value].constant)
        return NULL;
    const mary_tensor *tensor = &program->values[value].tensor;
    return tensor->type == type && tensor->data != NULL ? tensor : NULL;
}

static bool all_zero(const mary_program *program, const mary_program_node *node)
{
    if (node->input_count < 3 || node->inputs[2] < 0)
        return true;
    if (!program->values[node->inputs[2]].constant)
        return false;
    const mary_tensor *zero = &program->values[node->inputs[2]].tensor;
    for (int64_t i = 0; i < mary_shape_count(&zero->shape); i++) {
        if (mary_tensor_double(zero, i) != 0)
            return false;
    }
    return true;
}

/* The DequantizeLinear that makes `value` of a constant of `type`. */
static const mary_program_node *dequantized_constant(const mary_program *program, int value, mary_type type)
{
    if (value < 0 || program->values[value].producer < 0)
        return NULL;
    const mary_program_node *node = &program->nodes[program->values[value].producer];
    return mary_u8_is(node, "", "DequantizeLinear") && constant(program, node->inputs[0], type) != NULL ? node : NULL;
}

static bool plain_gemm(const mary_program_node *node)
{
    float alpha = 1, beta = 1;
    int64_t turned = 0;
    return mary_attribute_float(node->node.proto, "alpha", 1, &alpha) == MARY_OK &&
           mary_attribute_float(node->node.proto, "beta", 1, &beta) == MARY_OK &&
           mary_attribute_int(node->node.proto, "transA", 0, &turned) == MARY_OK && alpha == 1 && beta == 1 &&
           turned == 0;
}

/* How the weights of shape `w` lie; false: not a layer that has rows. */
static bool lay_out(const mary_program_node *node, const mary_shape *w, linear *l)
{
    int64_t transposed = 0;
    if (mary_u8_is(node, "", "Conv") && w->rank >= 3 && w->rank <= 5) {
        l->type = "MaryQLinearConv";
        l->rows = w->dims[0];
        l->row_length = mary_shape_count_range(w, 1, w->rank);
        l->row_step = l->row_length;
        l->step = 1;
        l->weight_shape = *w;
        return l->rows > 0 && l->row_length > 0;
    }
    const bool gemm = mary_u8_is(node, "", "Gemm");
    if ((!gemm && !mary_u8_is(node, "", "MatMul")) || w->rank != 2 || (gemm && !plain_gemm(node)))
        return false;
    if (gemm && mary_attribute_int(node->node.proto, "transB", 0, &transposed) != MARY_OK)
        return false;
    l->type = gemm ? "MaryQLinearGemm" : "MaryQLinearMatMul";
    l->row_axis = transposed != 0 ? 0 : 1;
    l->rows = w->dims[l->row_axis];
    l->row_length = w->dims[1 - l->row_axis];
    l->row_step = transposed != 0 ? l->row_length : 1;
    l->step = transposed != 0 ? 1 : l->rows;
    l->weight_shape = (mary_shape){2, {l->rows, l->row_length}};
    return l->rows > 0 && l->row_length > 0;
}

static bool describe(const mary_program *program, const mary_program_node *node, linear *l)
{
    *l = (linear){.weight_scale = -1, .bias = -1};
    if (node->input_count < 2 || node->output_count != 1)
        return false;
    const mary_program_node *weight = dequantized_constant(program, node->inputs[1], MARY_INT8);
    if (weight == NULL || !all_zero(program, weight))
        return false;
    const mary_tensor *w = &program->values[weight->inputs[0]].tensor;
    const mary_tensor *scale = constant(program, weight->inputs[1], MARY_FLOAT);
    int64_t axis = 1;
    if (scale == NULL || !lay_out(node, &w->shape, l) ||
        mary_attribute_int(weight->node.proto, "axis", 1, &axis) != MARY_OK)
        return false;
    const int64_t scales = mary_shape_count(&scale->shape);
    if (scale->shape.rank > 1 ||
        (scales != 1 && (scales != l->rows || (axis < 0 ? axis + w->shape.rank : axis) != l->row_axis)))
        return false;
    l->weights = w->data;
    l->weight_scale = weight->inputs[1];
    l->bias = node->input_count > 2 ? node->inputs[2] : -1;
    return true;
}

/* i32 [rows] in units of x_scale * w_scale[r]; NULL in *bias: there is none. false: it cannot be said so. */
static bool read_bias(const mary_program *program, const linear *l, float x_scale, const float *scales,
                      const int32_t **stored, const float **floats)
{
    *stored = NULL;
    *floats = NULL;
    if (l->bias < 0)
        return true;
    const mary_program_node *made = dequantized_constant(program, l->bias, MARY_INT32);
    const mary_tensor *bias =
        made != NULL ? &program->values[made->inputs[0]].tensor : constant(program, l->bias, MARY_FLOAT);
    if (bias == NULL || bias->shape.rank != 1 || bias->shape.dims[0] != l->rows)
        return false;
    if (made == NULL) {
        *floats = bias->data;
        return true;
    }
    const mary_tensor *scale = constant(program, made->inputs[1], MARY_FLOAT);
    const int64_t count = scale == NULL ? 0 : mary_shape_count(&scale->shape);
    if ((count != 1 && count != l->rows) || !all_zero(program, made))
        return false;
    for (int64_t r = 0; r < l->rows; r++) {
        const float unit = x_scale * scales[r], stated = ((const float *)scale->data)[count == 1 ? 0 : r];
        if (!(fabsf(stated - unit) <= 1e-5f * fabsf(unit)))
            return false;
    }
    *stored = bias->data;
    return true;
}

static mary_status add_attributes(mary_program *program, mary_program_node *node, const linear *l)
{
    Onnx__NodeProto *proto = NULL;
    MARY_TRY(mary_node_create("ai.mary", l->type, node->name, NULL, 0, NULL, 0, &proto));
    mary_status status = mary_program_keep(program, proto);
    if (status != MARY_OK) {
        mary_node_free(proto);
        return status;
    }
    for (size_t i = 0; l->weight_shape.rank > 2 && i < node->node.proto->n_attribute; i++)
        MARY_TRY(mary_node_copy_attribute(proto, node->node.proto->attribute[i]));
    MARY_TRY(mary_node_set_ints(proto, "weight_shape", l->weight_shape.dims, (size_t)l->weight_shape.rank));
    MARY_TRY(mary_node_set_int(proto, "row_length", l->row_length));
    MARY_TRY(mary_node_set_int(proto, "bits", 8));
    node->node.proto = proto;
    return MARY_OK;
}

static void *allocate(size_t bytes, mary_status *status)
{
    void *memory = mary_alloc_aligned(bytes);
    if (memory == NULL)
        *status = mary_fail_memory(bytes);
    return memory;
}

/* Codes, levels, scales and bias as constants of the program; their numbers in inputs[]. */
static mary_status add_constants(mary_program *program, const linear *l, const float *scales, const int32_t *bias,
                                 int *inputs)
{
    mary_status status = MARY_OK;
    uint8_t *codes = allocate((size_t)(l->rows * l->row_length), &status);
    int8_t *levels = allocate(LEVELS, &status), *zero = allocate(1, &status);
    if (status != MARY_OK) {
        mary_free(codes);
        mary_free(levels);
        mary_free(zero);
        return status;
    }
    for (int64_t r = 0; r < l->rows; r++) {
        for (int64_t k = 0; k < l->row_length; k++)
            codes[r * l->row_length + k] = (uint8_t)(l->weights[r * l->row_step + k * l->step] + 128);
    }
    for (int i = 0; i < LEVELS; i++)
        levels[i] = (int8_t)(i - 128);
    *zero = 0;
    status = mary_u8_constant(program, MARY_UINT8, l->rows * l->row_length, codes, &inputs[MARY_QLINEAR_CODES]);
    if (status == MARY_OK)
        program->values[inputs[MARY_QLINEAR_CODES]].tensor.shape = (mary_shape){2, {l->rows, l->row_length}};
    else
        goto no_codes;
    status = mary_u8_constant(program, MARY_INT8, LEVELS, levels, &inputs[MARY_QLINEAR_LEVELS]);
    if (status != MARY_OK)
        goto no_levels;
    program->values[inputs[MARY_QLINEAR_LEVELS]].tensor.shape = (mary_shape){2, {1, LEVELS}};
    MARY_TRY(mary_u8_constant(program, MARY_INT8, 1, zero, &inputs[MARY_QLINEAR_W_ZERO]));
    float *scale = allocate((size_t)l->rows * sizeof *scale, &status);
    MARY_TRY(status);
    memcpy(scale, scales, (size_t)l->rows * sizeof *scale);
    MARY_TRY(mary_u8_constant(program, MARY_FLOAT, l->rows, scale, &inputs[MARY_QLINEAR_W_SCALE]));
    if (bias == NULL)
        return MARY_OK;
    int32_t *sums = allocate((size_t)l->rows * sizeof *sums, &status);
    MARY_TRY(status);
    memcpy(sums, bias, (size_t)l->rows * sizeof *sums);
    return mary_u8_constant(program, MARY_INT32, l->rows, sums, &inputs[MARY_QLINEAR_BIAS]);
no_codes:
    mary_free(levels);
no_levels:
    mary_free(zero);
    return status;
}

static mary_status replace(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node, const linear *l,
                           const mary_quantized_value *from, const mary_quantized_value *to, float *scales,
                           int32_t *bias, bool *done)
{
    mary_program *program = graph->program;
    const float *stored_scales = program->values[l->weight_scale].tensor.data;
    const bool one = mary_shape_count(&program->values[l->weight_scale].tensor.shape) == 1;
    const int32_t *stored;
    const float *floats;
    float x_scale;
    if (!mary_u8_float(program, from->scale, &x_scale))
        return MARY_OK;
    for (int64_t r = 0; r < l->rows; r++)
        scales[r] = stored_scales[one ? 0 : r];
    if (!read_bias(program, l, x_scale, scales, &stored, &floats))
        return MARY_OK;
    for (int64_t r = 0; (stored != NULL || floats != NULL) && r < l->rows; r++) {
        const double value = stored != NULL ? stored[r] : nearbyint((double)floats[r] / ((double)x_scale * scales[r]));
        if (!(fabs(value) <= 0x3fffffff))
            return MARY_OK; /* it would not fit beside the sums */
        bias[r] = (int32_t)value;
    }
    int inputs[MARY_QLINEAR_BIAS + 1];
    memset(inputs, -1, sizeof inputs);
    inputs[MARY_QLINEAR_X] = from->value;
    inputs[MARY_QLINEAR_X_SCALE] = from->scale;
    inputs[MARY_QLINEAR_X_ZERO] = from->zero_point;
    inputs[MARY_QLINEAR_Y_SCALE] = to->scale;
    inputs[MARY_QLINEAR_Y_ZERO] = to->zero_point;
    MARY_TRY(add_constants(program, l, scales, stored != NULL || floats != NULL ? bias : NULL, inputs));
    MARY_TRY(add_attributes(program, node, l));
    MARY_TRY(mary_u8_set_inputs(program, node, inputs,
                                inputs[MARY_QLINEAR_BIAS] < 0 ? MARY_QLINEAR_BIAS : MARY_QLINEAR_BIAS + 1));
    const mary_op *op = mary_op_find("ai.mary", l->type, 1);
    if (op == NULL)
        return mary_fail(MARY_ERROR_INTERNAL, "there is no operator %s", l->type);
    MARY_TRY(mary_u8_become(node, op, node));
    MARY_TRY(mary_u8_label(node, l->type));
    mary_u8_take_result(program, node, quantize);
    *done = true;
    return MARY_OK;
}

mary_status mary_u8_linear(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node, bool *done)
{
    mary_program *program = graph->program;
    mary_quantized_value from, to;
    linear l;
    if (!mary_u8_quantizes(program, quantize, &to) || !describe(program, node, &l) ||
        !mary_u8_dequantized(program, node->inputs[0], &from))
        return MARY_OK;
    float *scales = mary_calloc((size_t)l.rows, sizeof *scales);
    int32_t *bias = mary_calloc((size_t)l.rows, sizeof *bias);
    mary_status status = scales == NULL || bias == NULL
                             ? mary_fail_memory((size_t)l.rows * sizeof *scales)
                             : replace(graph, quantize, node, &l, &from, &to, scales, bias, done);
    mary_free(scales);
    mary_free(bias);
    return status;
}
