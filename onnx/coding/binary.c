#include "onnx/coding/binary_model.h"
#include "onnx/coding/range.h"

mary_status mary_binary_model_create(const mary_code_matrix *matrix, int common, mary_binary_model **model)
{
    size_t length = (size_t)matrix->row_length, depth = 0;
    while (1 << depth < matrix->alphabet - 1)
        depth++;
    size_t nodes = (size_t)1 << depth, contexts = (size_t)matrix->alphabet + 1;
    /* One block: column [length], before and above [contexts, nodes], index weights [nodes, inputs], history. */
    size_t numbers = 2 * contexts * nodes + nodes * MARY_BINARY_INPUTS, bytes;
    if (!mary_size_add(length, numbers, &numbers) || !mary_size_mul(numbers, sizeof(uint32_t), &bytes) ||
        !mary_size_add(bytes, length + 1, &bytes))
        return mary_fail_memory(SIZE_MAX);
    mary_binary_model *m = mary_calloc(1, sizeof *m);
    uint32_t *memory = mary_calloc(1, bytes);
    if (m == NULL || memory == NULL) {
        mary_free(m);
        mary_free(memory);
        return mary_fail_memory(bytes);
    }
    m->tables = mary_logistic_tables();
    m->common = common;
    m->depth = (int)depth;
    m->nodes = nodes;
    m->memory = memory;
    m->column = memory;
    m->before = m->column + length;
    m->above = m->before + contexts * nodes;
    m->index_weights = (int32_t(*)[MARY_BINARY_INPUTS])(m->above + contexts * nodes);
    m->history = (uint8_t *)(m->index_weights + nodes);
    mary_bit_model_init(m->column, length + 2 * contexts * nodes);
    mary_bit_model_init(m->near, MARY_BINARY_NEAR);
    mary_bit_model_init(m->pattern, MARY_BINARY_PATTERNS);
    mary_bit_model_init(m->all, nodes);
    for (int i = 0; i < 256; i++)
        m->ones[i] = (uint8_t)__builtin_popcount((unsigned)i);
    for (int i = 0; i < MARY_BINARY_INPUTS; i++) {
        m->weights[i] = MARY_MIX_ONE / 3;
        for (size_t n = 0; n < nodes; n++)
            m->index_weights[n][i] = MARY_MIX_ONE / 3;
    }
    *model = m;
    return MARY_OK;
}

void mary_binary_model_free(mary_binary_model **model)
{
    if (*model != NULL)
        mary_free((*model)->memory);
    mary_free(*model);
    *model = NULL;
}

#define BINARY_WALK               decode
#define BINARY_CODER              mary_range_decoder
#define BINARY_BIT(coder, p, bit) ((void)(bit), mary_range_bit(coder, p))
#define BINARY_CODE               common
#include "onnx/coding/binary_template.h"

mary_status mary_binary_decode(const uint8_t *bytes, size_t size, mary_code_matrix *matrix)
{
    mary_binary_model *model = NULL;
    mary_range_decoder decoder;
    if (size == 0 || bytes[0] >= matrix->alphabet)
        return mary_fail(MARY_ERROR_INVALID, "the commonest code is not one");
    MARY_TRY(mary_binary_model_create(matrix, bytes[0], &model));
    mary_range_start(&decoder, bytes + 1, size - 1);
    bool decoded = decode(model, &decoder, matrix);
    mary_binary_model_free(&model);
    return decoded ? MARY_OK : mary_fail(MARY_ERROR_INVALID, "a code is outside the alphabet");
}
