/* Function bodies. One body serves every bit width, per-row and shared levels and every opset from 12 on: it uses only
 * operators whose definitions did not change in what is used here (axes are inputs or avoided).
 *
 * Everything that depends on codes and levels alone has constant inputs in a converted model, so runtimes fold it when
 * they load the model; tests/convert/test_ort.py checks that nothing of it is left in what ONNX Runtime runs.
 *
 *   shifts = 8-bits - [0, bits, 2*bits, ... < 8]           left, then right by 8-bits: one code per byte [R, B, 8/bits]
 *   index  = those [R, B*8/bits] cut to row_length
 *   table  = levels expanded to [R, 2^bits]
 *   W      = GatherElements(table, index, axis 1)          [R, row_length] */
#include "convert/body.h"

#include "convert/body_builder.h"

static void build_convolution(mary_body *b)
{
    mary_body_inputs(b, "X codes levels B");
    mary_body_attributes(b, "auto_pad dilations group kernel_shape pads strides weight_shape row_length bits");
    mary_body_decode(b);
    mary_body_node(b, "Reshape", "W shape", "weight");
    mary_body_node(b, "Conv", "X weight B", "Y");
    mary_body_convolution(b, false);
}

/* Rows are [group, O/group], positions [I/group, taps]; the weight is [I, O/group, taps]. */
static void build_transposed_convolution(mary_body *b)
{
    mary_body_inputs(b, "X codes levels B");
    mary_body_attributes(b, "auto_pad dilations group kernel_shape output_padding output_shape pads strides");
    mary_body_attributes(b, "weight_shape row_length bits");
    mary_body_decode(b);
    mary_body_from_attribute(b, "group0", "group", INT);
    mary_body_node(b, "Reshape", "group0 one", "groups");
    mary_body_vector(b, "two", 2, 0, 0, 1);
    mary_body_vector(b, "rest", -1, 0, 0, 1);
    mary_body_node(b, "Slice", "shape zero one zero", "inputs");
    mary_body_node(b, "Slice", "shape one two zero", "outputs"); /* per group */
    mary_body_node(b, "Div", "inputs groups", "group_inputs");
    mary_body_node(b, "Concat", "groups outputs group_inputs rest", "split");
    mary_body_set_int(b, "axis", 0);
    mary_body_node(b, "Reshape", "W split", "grouped");
    mary_body_node(b, "Transpose", "grouped", "turned");
    mary_body_set_ints(b, "perm", (const int64_t[]){0, 2, 1, 3}, 4);
    mary_body_node(b, "Reshape", "turned shape", "weight");
    mary_body_node(b, "ConvTranspose", "X weight B", "Y");
    mary_body_convolution(b, true);
}

static void build_gemm(mary_body *b)
{
    mary_body_inputs(b, "A codes levels C");
    mary_body_attributes(b, "alpha beta transA weight_shape row_length bits");
    mary_body_decode(b);
    mary_body_node(b, "Reshape", "W shape", "weight");
    mary_body_node(b, "Gemm", "A weight C", "Y");
    mary_body_set_reference(b, "alpha", "alpha", FLOATS_ONE);
    mary_body_set_reference(b, "beta", "beta", FLOATS_ONE);
    mary_body_set_reference(b, "transA", "transA", INT);
    mary_body_set_int(b, "transB", 1);
}

static void build_matmul(mary_body *b)
{
    mary_body_inputs(b, "A codes levels");
    mary_body_attributes(b, "weight_shape row_length bits");
    mary_body_decode(b);
    mary_body_node(b, "Reshape", "W shape", "weight");
    mary_body_node(b, "Transpose", "weight", "turned"); /* [K, N] */
    mary_body_set_ints(b, "perm", (const int64_t[]){1, 0}, 2);
    mary_body_node(b, "MatMul", "A turned", "Y");
}

mary_status mary_body_add(mary_model *model, mary_layer_kind kind)
{
    mary_body b;
    mary_body_begin(&b, mary_layer_mary_op(kind), mary_model_opset(model, ""), mary_layer_op(kind),
                    "levels[r, code[r, k]]");
    if (kind == MARY_LAYER_CONV)
        build_convolution(&b);
    else if (kind == MARY_LAYER_CONV_TRANSPOSE)
        build_transposed_convolution(&b);
    else if (kind == MARY_LAYER_GEMM)
        build_gemm(&b);
    else
        build_matmul(&b);
    return mary_body_finish(&b, model);
}
