#include "onnx/coding/binary_model.h"
#include "onnx/coding/range.h"

/* ---- the tree ---- */

/* A part of the tree for codes[0..count): the first `chain` one by one, then halves. Nodes are numbered from
 * *node_count on. */
static int grow(mary_binary_model *m, const uint8_t *codes, int count, int chain, int *node_count)
{
    if (count == 1)
        return ~(int)codes[0];
    const int node = (*node_count)++, first = chain > 0 ? 1 : count / 2;
    m->next[node][0] = (int16_t)grow(m, codes, first, 0, node_count);
    m->next[node][1] = (int16_t)grow(m, codes + first, count - first, chain - 1, node_count);
    return node;
}

static void find_paths(mary_binary_model *m, int node, unsigned path, int depth)
{
    if (node < 0) {
        m->path[~node] = (uint16_t)path;
        m->depth[~node] = (uint8_t)depth;
        return;
    }
    find_paths(m, m->next[node][0], path, depth + 1);
    find_paths(m, m->next[node][1], path | 1u << depth, depth + 1);
}

/* The codes on one side of the commonest in the order in which they are asked for: from `offset` of them away on, then
 * those left out. */
static void order_side(int common, int step, int count, int offset, uint8_t *codes)
{
    int at = 0;
    if (offset >= count)
        offset = 0;
    const int chained = count - offset < MARY_BINARY_CHAIN ? count - offset : MARY_BINARY_CHAIN;
    for (int i = 1; i <= chained; i++)
        codes[at++] = (uint8_t)(common + step * (offset + i));
    for (int i = 1; i <= count; i++) {
        if (i <= offset || i > offset + chained)
            codes[at++] = (uint8_t)(common + step * i);
    }
}

void mary_binary_model_tree(mary_binary_model *m, int offset)
{
    const int below = m->common, above = m->alphabet - 1 - m->common;
    const bool both = below > 0 && above > 0;
    uint8_t codes[2][256];
    int node_count = both ? 1 : 0, sides[2] = {0, 0};
    order_side(m->common, -1, below, offset, codes[0]);
    order_side(m->common, 1, above, offset, codes[1]);
    if (below > 0)
        sides[0] = grow(m, codes[0], below, MARY_BINARY_CHAIN, &node_count);
    if (above > 0)
        sides[1] = grow(m, codes[1], above, MARY_BINARY_CHAIN, &node_count);
    if (both) {
        m->root = 0;
        m->next[0][0] = (int16_t)sides[0];
        m->next[0][1] = (int16_t)sides[1];
    } else {
        m->root = below > 0 ? sides[0] : above > 0 ? sides[1] : ~m->common;
    }
    find_paths(m, m->root, 0, 0);
}

/* ---- the model ---- */

mary_status mary_binary_model_create(const mary_code_matrix *matrix, int common, mary_binary_model **model)
{
    const size_t channels = (size_t)(matrix->row_length / matrix->taps) + 1;
    const size_t contexts = (size_t)matrix->alphabet + 1;
    const size_t nodes = matrix->alphabet > 2 ? (size_t)matrix->alphabet - 2 : 0;
    /* One block: channel [channels], beside [contexts, nodes], node weights [nodes, inputs]. */
    size_t numbers = contexts * nodes + nodes * MARY_BINARY_NODE_INPUTS, bytes;
    if (!mary_size_add(channels, numbers, &numbers) || !mary_size_mul(numbers, sizeof(uint32_t), &bytes))
        return mary_fail_memory(SIZE_MAX);
    mary_binary_model *m = mary_calloc(1, sizeof *m);
    uint32_t *memory = mary_calloc(1, bytes);
    if (m == NULL || memory == NULL) {
        mary_free(m);
        mary_free(memory);
        return mary_fail_memory(bytes);
    }
    m->tables = mary_logistic_tables();
    m->alphabet = matrix->alphabet;
    m->common = common;
    m->width = matrix->taps > 1 ? mary_kernel_width(matrix->taps) : INT64_MAX;
    m->above = m->width > 2 && m->width < 32 ? (unsigned)m->width - 2 : matrix->taps > 1 ? 0 : 1;
    m->nodes = (int)nodes;
    m->memory = memory;
    m->channel = memory;
    m->beside = m->channel + channels;
    m->node_weights = (int32_t(*)[MARY_BINARY_NODE_INPUTS])(m->beside + contexts * nodes);
    mary_bit_model_init(m->channel, channels + contexts * nodes);
    mary_bit_model_init(m->pattern[0], sizeof m->pattern / sizeof m->pattern[0][0]);
    mary_bit_model_init(m->in_row, nodes);
    for (int i = 0; i < MARY_BINARY_INPUTS; i++)
        m->weights[i] = MARY_BINARY_WEIGHT;
    for (size_t n = 0; n < nodes; n++) {
        for (int i = 0; i < MARY_BINARY_NODE_INPUTS; i++)
            m->node_weights[n][i] = MARY_BINARY_NODE_WEIGHT;
    }
    *model = m;
    return MARY_OK;
}

void mary_binary_model_row(mary_binary_model *m)
{
    mary_bit_model_init(m->row, 2);
    for (int n = 0; n < m->nodes; n++) /* what the row before had is a beginning, to be changed soon */
        m->in_row[n] = mary_bit_model_forget(m->in_row[n], MARY_BINARY_REMEMBERED);
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
    int offset = 0;
    if (size == 0 || bytes[0] >= matrix->alphabet)
        return mary_fail(MARY_ERROR_INVALID, "the commonest code is not one");
    MARY_TRY(mary_binary_model_create(matrix, bytes[0], &model));
    mary_range_start(&decoder, bytes + 1, size - 1);
    for (int bit = 1; bit < MARY_BINARY_OFFSETS; bit *= 2)
        offset += bit * mary_range_bit(&decoder, MARY_MIX_ONE / 2);
    mary_binary_model_tree(model, offset);
    decode(model, &decoder, matrix);
    mary_binary_model_free(&model);
    return MARY_OK;
}
