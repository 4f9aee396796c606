/* What the operators that only move data share: one strided copy that finds its own fast path, and checks that every
 * `infer` of this kind begins with. */
#ifndef MARY_OPS_COPY_H
#define MARY_OPS_COPY_H

#include "ops/gradient.h"

enum { MARY_COPY_RANK = 2 * MARY_MAX_RANK };

/* Element (i0, i1, ...) of `dims` goes from source[sum i*from] to target[sum i*to]; strides count elements. `from` may
 * be zero (broadcast) or negative (reversed); `to` addresses every element once. */
typedef struct mary_copy {
    int rank;
    int64_t dims[MARY_COPY_RANK], from[MARY_COPY_RANK], to[MARY_COPY_RANK];
} mary_copy;

/* `element` is 1, 2, 4 or 8 bytes. Orders and merges the dimensions, then copies whole runs, transposes in blocks, or
 * walks. Source and target do not overlap. */
void mary_copy_run(const mary_copy *copy, size_t element, const void *source, void *target,
                   const mary_parallel *parallel);

/* The other way, for gradients: source[sum i*from] += scale * target[sum i*to]; floats. Where `from` is 0 that is a
 * sum. */
void mary_copy_add_back(const mary_copy *copy, const float *target, float *source, float scale);
/* The gradient of an input, made ready to be added to: zeros unless something is there already; NULL: not wanted. */
float *mary_copy_gradient(const mary_gradient_call *call, int input);

/* Adds one dimension; the caller keeps within MARY_COPY_RANK. */
void mary_copy_add(mary_copy *copy, int64_t dim, int64_t from, int64_t to);

/* strides[axis], in elements, for the axes in ONNX's order, in the tensor's own layout. */
void mary_tensor_strides(const mary_tensor *tensor, int64_t *strides);

/* A pointer `offset` elements further. */
static inline void *mary_advance(void *data, int64_t offset, size_t element)
{
    return (char *)data + offset * (int64_t)element;
}
static inline const void *mary_advance_const(const void *data, int64_t offset, size_t element)
{
    return (const char *)data + offset * (int64_t)element;
}

/* Number of inputs and outputs, output 0 in use, and input 0 of a type with a fixed size (strings are not). */
mary_status mary_copy_expect(const mary_op_node *node, const mary_op_call *call, int required, int most, int outputs);

/* An attribute of at most `most` ints into values; *count is -1 when the node has none of that name. */
mary_status mary_copy_attribute(const mary_op_node *node, const char *name, int64_t *values, int most, int *count);

/* `axis` as `node` means it for a tensor of `rank`; the message names the node. */
mary_status mary_copy_axis(const mary_op_node *node, int64_t axis, int rank, int *result);

/* mary_op_set_output for operators whose output size is not bounded by their inputs' sizes (Expand, Tile, Pad, ...): a
 * few bytes of a hostile model must not ask for all the memory there is. More than 16 GiB is MARY_ERROR_UNSUPPORTED. */
mary_status mary_copy_set_output(const mary_op_node *node, mary_op_call *call, mary_type type, const mary_shape *shape);

/* Every element of a plain tensor becomes the element at `value`. */
void mary_copy_fill(mary_tensor *tensor, const void *value, const mary_parallel *parallel);

/* Makes a zeroed state of `bytes` for `node`. */
mary_status mary_op_state(mary_op_node *node, size_t bytes);

/* The channels_last callback of operators whose loops only see strides: can, but gains nothing by itself. */
bool mary_copy_channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants);

#endif
