/* Operators of two inputs (or a chain of them) with broadcasting: a description each, one driver for all. */
#ifndef MARY_OPS_BINARY_H
#define MARY_OPS_BINARY_H

#include "ops/broadcast.h"
#include "ops/unary.h" /* MARY_INDEPENDENT */

/* Float functions that are compiled for every tier (binary_template.h). */
#define MARY_BINARY_KERNELS(X)                                                                                         \
    X(add)                                                                                                             \
    X(sub)                                                                                                             \
    X(mul)                                                                                                             \
    X(div)                                                                                                             \
    X(min)                                                                                                             \
    X(max)                                                                                                             \
    X(prelu)

typedef enum mary_binary_kernel {
    MARY_BINARY_none,
#define KERNEL(name) MARY_BINARY_##name,
    MARY_BINARY_KERNELS(KERNEL)
#undef KERNEL
        MARY_BINARY_COUNT
} mary_binary_kernel;

extern mary_broadcast_loop *const mary_binary_scalar[MARY_BINARY_COUNT];
extern mary_broadcast_loop *const mary_binary_avx2[MARY_BINARY_COUNT];
extern mary_broadcast_loop *const mary_binary_avx512[MARY_BINARY_COUNT];

typedef struct mary_binary {
    const char *type;                              /* op_type */
    mary_binary_kernel kernel;                     /* for float; none: loops[MARY_FLOAT] */
    mary_broadcast_loop *loops[MARY_BFLOAT16 + 1]; /* by element type of both inputs; NULL: the type is refused */
    mary_type result;                              /* MARY_UNDEFINED: that of the inputs */
} mary_binary;

typedef struct mary_binary_state {
    const mary_binary *binary;
    mary_broadcast_loop *float_loop;
} mary_binary_state;

/* Finds the description in a list that ends with a zeroed entry; node->state becomes a mary_binary_state. */
mary_status mary_binary_prepare(mary_op_node *node, const mary_binary *list);
/* The same with a description at hand. */
mary_status mary_binary_prepare_as(mary_op_node *node, const mary_binary *binary);
mary_broadcast_loop *mary_binary_loop_for(const mary_binary_state *state, mary_type type);
mary_status mary_binary_infer(const mary_op_node *node, mary_op_call *call);
mary_status mary_binary_run(const mary_op_node *node, mary_op_call *call);

/* binary_backward.c: of Add, Sub, Mul, Div and PRelu. */
extern const mary_op_gradient mary_add_gradient, mary_sub_gradient, mary_mul_gradient, mary_div_gradient,
    mary_prelu_gradient;

/* Defines a loop: `expression` in a and b (both T) gives R. */
#define MARY_BINARY_LOOP(name, T, R, expression)                                                                       \
    static void name(const void *context, const void *const *x, const int64_t *step, void *to, int64_t count)          \
    {                                                                                                                  \
        const T *left = x[0], *right = x[1];                                                                           \
        R *y = to;                                                                                                     \
        (void)context;                                                                                                 \
        if (step[0] != 0 && step[1] != 0) {                                                                            \
            MARY_INDEPENDENT                                                                                           \
            for (int64_t i = 0; i < count; i++) {                                                                      \
                const T a = left[i], b = right[i];                                                                     \
                y[i] = (R)(expression);                                                                                \
            }                                                                                                          \
        } else if (step[0] != 0) {                                                                                     \
            const T b = *right;                                                                                        \
            MARY_INDEPENDENT                                                                                           \
            for (int64_t i = 0; i < count; i++) {                                                                      \
                const T a = left[i];                                                                                   \
                y[i] = (R)(expression);                                                                                \
            }                                                                                                          \
        } else if (step[1] != 0) {                                                                                     \
            const T a = *left;                                                                                         \
            MARY_INDEPENDENT                                                                                           \
            for (int64_t i = 0; i < count; i++) {                                                                      \
                const T b = right[i];                                                                                  \
                y[i] = (R)(expression);                                                                                \
            }                                                                                                          \
        } else {                                                                                                       \
            const T a = *left, b = *right;                                                                             \
            for (int64_t i = 0; i < count; i++)                                                                        \
                y[i] = (R)(expression);                                                                                \
        }                                                                                                              \
    }

#endif
