/* Bodies of the integer operators: decoded weights stay int8 and go through DequantizeLinear with one scale per row, so
 * that a runtime which knows QDQ graphs makes its own integer convolution or product of each body.
 *
 *   weight = decoded codes                                  int8, as in body.c
 *   Y = QuantizeLinear(Conv(DequantizeLinear(x), DequantizeLinear(weight, axis 0), DequantizeLinear(B, x_scale *
 * w_scale)))
 *
 * DequantizeLinear takes an axis from opset 13 on. */
#include <stdio.h>

#include "convert/body.h"
#include "convert/body_builder.h"

static void dequantize_weight(mary_body *b, const char *weight, int64_t axis)
{
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s w_scale w_zero_point", weight);
    mary_body_node(b, "DequantizeLinear", inputs, "weight_float");
    mary_body_set_int(b, "axis", axis);
}

/* The scale of the sums is the product of the others, which is computed where the model is loaded. */
static void dequantize_bias(mary_body *b)
{
    mary_body_node(b, "Mul", "x_scale w_scale", "sum_scale");
    mary_body_node(b, "DequantizeLinear", "B sum_scale", "bias_float");
    mary_body_set_int(b, "axis", 0);
}

mary_status mary_body_add_integer(mary_model *model, mary_layer_kind kind)
{
    mary_body b;
    mary_body_begin(&b, mary_layer_integer_op(kind), mary_model_opset(model, ""), mary_layer_op(kind),
                    "w_scale[r] * levels[r, code[r, k]]");
    mary_body_inputs(&b, "x x_scale x_zero_point codes levels w_scale w_zero_point y_scale y_zero_point");
    if (kind != MARY_LAYER_MATMUL)
        mary_body_inputs(&b, "B");
    if (kind == MARY_LAYER_CONV)
        mary_body_attributes(&b, "auto_pad dilations group kernel_shape pads strides");
    mary_body_attributes(&b, "weight_shape row_length bits");
    mary_body_decode(&b);
    mary_body_node(&b, "Reshape", "W shape", "weight");
    mary_body_node(&b, "DequantizeLinear", "x x_scale x_zero_point", "x_float");
    if (kind == MARY_LAYER_MATMUL) {
        mary_body_node(&b, "Transpose", "weight", "turned"); /* [K, N] */
        mary_body_set_ints(&b, "perm", (const int64_t[]){1, 0}, 2);
        dequantize_weight(&b, "turned", 1);
        mary_body_node(&b, "MatMul", "x_float weight_float", "y_float");
    } else {
        dequantize_weight(&b, "weight", 0);
        dequantize_bias(&b);
        mary_body_node(&b, kind == MARY_LAYER_CONV ? "Conv" : "Gemm", "x_float weight_float bias_float", "y_float");
        if (kind == MARY_LAYER_CONV)
            mary_body_convolution(&b, false);
        else
            mary_body_set_int(&b, "transB", 1);
    }
    mary_body_node(&b, "QuantizeLinear", "y_float y_scale y_zero_point", "Y");
    return mary_body_finish(&b, model);
}
