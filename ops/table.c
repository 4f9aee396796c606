/* The operators that mary runs. One line a family; each family is one file of this directory. */
#include "ops/op.h"

#include <string.h>

/* Not aligned: one more line must not rewrite the others. */
/* clang-format off */
#define MARY_OP_FAMILIES(X) \
    X(activations) \
    X(arg_reduce) \
    X(arithmetic) \
    X(batch_normalization) \
    X(cast) \
    X(channel_affine) \
    X(channel_shuffle) \
    X(clip) \
    X(col2im) \
    X(compare) \
    X(concat) \
    X(constant) \
    X(conv) \
    X(conv_transpose) \
    X(cumulative) \
    X(depth_to_space) \
    X(dropout) \
    X(einsum) \
    X(expand) \
    X(functions) \
    X(gather) \
    X(gemm) \
    X(grid_sample) \
    X(group_normalization) \
    X(identity) \
    X(integer_conv) \
    X(integer_matmul) \
    X(layer_normalization) \
    X(lp_normalization) \
    X(lrn) \
    X(mary_conv) \
    X(mary_conv_transpose) \
    X(mary_gemm) \
    X(mary_qconv) \
    X(mary_qgemm) \
    X(matmul) \
    X(one_hot) \
    X(pad) \
    X(pool) \
    X(pow) \
    X(qlinear_binary) \
    X(qlinear_concat) \
    X(qlinear_pool) \
    X(qlinear_softmax) \
    X(qlinear_table) \
    X(quantize_linear) \
    X(reduce) \
    X(reshape) \
    X(resize) \
    X(scatter) \
    X(select) \
    X(shape) \
    X(slice) \
    X(softmax) \
    X(split) \
    X(top_k) \
    X(transpose) \
    X(trilu) \
    X(unique) \
    X(variadic) \
    X(where)
/* clang-format on */

#define DECLARE(family) extern const mary_op mary_ops_##family[];
MARY_OP_FAMILIES(DECLARE)
#undef DECLARE

#define LIST(family) mary_ops_##family,
static const mary_op *const families[] = {MARY_OP_FAMILIES(LIST)};
#undef LIST

enum { FAMILY_COUNT = sizeof families / sizeof families[0] };

static bool is_default_domain(const char *domain)
{
    return domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}

const mary_op *mary_op_next(const mary_op *previous)
{
    if (previous == NULL)
        return families[0];
    if (previous[1].type != NULL)
        return previous + 1;
    for (size_t i = 0; i + 1 < FAMILY_COUNT; i++) {
        for (const mary_op *op = families[i]; op->type != NULL; op++) {
            if (op == previous)
                return families[i + 1];
        }
    }
    return NULL;
}

const mary_op *mary_op_find(const char *domain, const char *type, int64_t opset)
{
    if (domain == NULL || is_default_domain(domain))
        domain = "";
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        for (const mary_op *op = families[i]; op->type != NULL; op++) {
            if (strcmp(op->type, type) == 0 && strcmp(op->domain, domain) == 0 && opset >= op->since &&
                (op->until == 0 || opset <= op->until))
                return op;
        }
    }
    return NULL;
}
