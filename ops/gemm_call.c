/* What Gemm and MaryGemm do around the product. */
#include "ops/gemm.h"

#include "onnx/memory.h"

mary_status mary_gemm_parse(const mary_op_node *node, mary_gemm_attributes *attributes)
{
    int64_t trans_a, trans_b;
    MARY_TRY(mary_attribute_float(node->proto, "alpha", 1.0f, &attributes->alpha));
    MARY_TRY(mary_attribute_float(node->proto, "beta", 1.0f, &attributes->beta));
    MARY_TRY(mary_attribute_int(node->proto, "transA", 0, &trans_a));
    MARY_TRY(mary_attribute_int(node->proto, "transB", 0, &trans_b));
    attributes->trans_a = trans_a != 0;
    attributes->trans_b = trans_b != 0;
    return MARY_OK;
}

mary_status mary_gemm_check_c(const mary_op_node *node, const mary_tensor *c, mary_type type, int64_t rows,
                              int64_t columns)
{
    if (c == NULL)
        return MARY_OK;
    char text[96];
    int rank = c->shape.rank;
    if (c->type != type)
        return mary_op_fail(node, MARY_ERROR_INVALID, "C is %s, A is %s", mary_type_name(c->type),
                            mary_type_name(type));
    if (rank > 2 || (rank >= 1 && c->shape.dims[rank - 1] != columns && c->shape.dims[rank - 1] != 1) ||
        (rank == 2 && c->shape.dims[0] != rows && c->shape.dims[0] != 1))
        return mary_op_fail(node, MARY_ERROR_INVALID, "C %s does not broadcast to [%lld,%lld]",
                            mary_shape_format(&c->shape, text, sizeof text), (long long)rows, (long long)columns);
    return MARY_OK;
}

void mary_gemm_c_strides(const mary_tensor *c, int64_t rows, int64_t columns, int64_t *row, int64_t *column)
{
    int rank = c->shape.rank;
    int64_t width = rank >= 1 ? c->shape.dims[rank - 1] : 1;
    *column = width == columns && columns != 1 ? 1 : 0;
    *row = rank == 2 && c->shape.dims[0] == rows && rows != 1 ? width : 0;
}

const mary_tensor *mary_gemm_input(const mary_op_node *node, const mary_op_call *call, int index)
{
    return index < call->input_count && index != node->epilogue.residual ? call->inputs[index] : NULL;
}

void mary_gemm_describe(const mary_op_node *node, const mary_op_call *call, const mary_gemm_attributes *attributes,
                        int64_t columns, mary_cpu cpu, mary_product *product)
{
    const mary_tensor *a = call->inputs[0];
    int residual = node->epilogue.residual;
    *product = (mary_product){
        .rows = a->shape.dims[attributes->trans_a],
        .columns = columns,
        .depth = a->shape.dims[!attributes->trans_a],
        .a = a->data,
        .a_row = attributes->trans_a ? 1 : a->shape.dims[1],
        .a_column = attributes->trans_a ? a->shape.dims[1] : 1,
        .residual = residual >= 0 ? call->inputs[residual]->data : NULL,
        .out = call->outputs[0]->data,
        .epilogue = &node->epilogue,
        .cpu = cpu,
        .parallel = call->parallel,
    };
}

size_t mary_gemm_row_bytes(int64_t columns)
{
    return ((size_t)columns * sizeof(float) + MARY_ALIGNMENT - 1) / MARY_ALIGNMENT * MARY_ALIGNMENT;
}

void mary_gemm_add_c(const mary_gemm_attributes *attributes, const mary_tensor *c, mary_product *product, float *row)
{
    if (c == NULL || attributes->beta == 0.0f)
        return;
    const float *values = c->data, beta = attributes->beta;
    int64_t c_row, c_column;
    mary_gemm_c_strides(c, product->rows, product->columns, &c_row, &c_column);
    if (c_row == 0) {
        if (c_column == 1 && beta == 1.0f) {
            product->bias = values;
            return;
        }
        for (int64_t j = 0; j < product->columns; j++)
            row[j] = beta * values[j * c_column];
        product->bias = row;
        return;
    }
    for (int64_t i = 0; i < product->rows; i++) {
        for (int64_t j = 0; j < product->columns; j++)
            product->out[i * product->columns + j] = beta * values[i * c_row + j * c_column];
    }
    product->accumulate = true;
}
