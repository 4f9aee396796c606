/* The other half of an operator: what its outputs' gradients mean for its inputs. train/ walks a graph with it.
 *
 * With `second` the same function carries the diagonal of the Hessian instead (Becker and LeCun 1989): the second
 * derivative h of the loss by an input element is the sum over outputs of h_output * (d output / d input)^2, plus,
 * where the operator itself is curved, gradient_output * d^2 output / d input^2; products between different elements
 * are left out, which is the approximation.
 *
 * Everything is float. Tensors that are channels last are dense there: pixel_stride is the number of channels.
 */
#ifndef MARY_OPS_GRADIENT_H
#define MARY_OPS_GRADIENT_H

#include "ops/op.h"

/* One evaluation. Lists are as long as those of `forward`. */
typedef struct mary_gradient_call {
    const mary_op_call *forward; /* types and shapes of all tensors; values of those that backward reads */
    const mary_tensor *const *output_gradients; /* NULL: zero. Layout and shape are the output's */
    const mary_tensor *const
        *output_firsts;                  /* `second` only: gradients of the outputs, where output_gradients holds h */
    mary_tensor *const *input_gradients; /* NULL: not wanted */
    const bool *accumulate;              /* per input: add to what is there */
    bool second;
    void *scratch;                 /* as many bytes as `scratch` asked for, MARY_ALIGNMENT aligned */
    const mary_parallel *parallel; /* may be NULL: one thread */
} mary_gradient_call;

enum {
    MARY_GRADIENT_ANY_LAYOUT = 1, /* backward follows node->channels_last as run does; else tensors come plain */
    MARY_GRADIENT_IN_PLACE = 2,   /* input gradient 0 may be the memory of output gradient 0 */
    MARY_GRADIENT_CURVED = 4,     /* `second` looks at output_firsts */
    MARY_GRADIENT_PASS = 8 /* every input gradient is output gradient 0 where the shapes agree: nothing is computed
                            * then, and only inputs of another shape are left to backward */
};

/* Results must not depend on the number of threads: sums are never cut by them. */
struct mary_op_gradient {
    unsigned flags;
    uint64_t inputs;                      /* bit i: input i can have a gradient */
    uint64_t reads_inputs, reads_outputs; /* bit i: backward looks at the values of that tensor */
    /* Values of constant inputs changed, or are there for the first time (others are NULL; shapes stay the same): packs
     * them for run and backward, with `second` for that, too. May be NULL. */
    mary_status (*pack)(mary_op_node *node, const mary_tensor *const *constants, bool second);
    /* Do samples of a batch meet in this node (statistics), so that a batch cannot be cut? NULL: no. */
    bool (*batch)(const mary_op_node *node);
    /* Not with these attributes: leaves the reason as a message. May be NULL. */
    mary_status (*check)(const mary_op_node *node);
    /* May be NULL: none. Looks at shapes, input_gradients, second and parallel. */
    mary_status (*scratch)(const mary_op_node *node, const mary_gradient_call *call, size_t *bytes);
    mary_status (*backward)(const mary_op_node *node, const mary_gradient_call *call);
};

/* The gradient tensor of input `index`, NULL when it is not wanted or the input is not there. */
static inline float *mary_gradient_of(const mary_gradient_call *call, int index)
{
    if (index >= call->forward->input_count || call->input_gradients[index] == NULL)
        return NULL;
    return call->input_gradients[index]->data;
}

/* While planning, when nothing has memory. */
static inline bool mary_gradient_wanted(const mary_gradient_call *call, int index)
{
    return index < call->forward->input_count && call->input_gradients[index] != NULL;
}

/* to[i] = (accumulate ? to[i] : 0) + scale * from[i] */
void mary_gradient_add(float *to, const float *from, int64_t count, float scale, bool accumulate);
/* to[i] = from[i]^2 */
void mary_gradient_square(float *to, const float *from, int64_t count);
/* to[j] = (accumulate ? to[j] : 0) + scale * sum over i < rows of from[i * stride + j], in blocks, so that the error
 * does not grow with `rows`. `columns` <= any number. */
void mary_gradient_sum_rows(float *to, const float *from, int64_t rows, int64_t columns, int64_t stride, float scale,
                            bool accumulate);
/* Bytes of scratch rounded up, so that parts can follow each other. */
size_t mary_gradient_align(size_t bytes);

/* Operators whose output 0 has the elements of input 0 in their order (Reshape, Identity, ...). */
extern const mary_op_gradient mary_gradient_view;

#endif
