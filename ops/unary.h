/* Element-wise operators of one input: a description each, one driver for all. */
#ifndef MARY_OPS_UNARY_H
#define MARY_OPS_UNARY_H

#include "ops/op.h"

typedef struct mary_unary_parameters {
    float alpha, beta;
    double low_double, high_double; /* bounds of Clip for double */
    int64_t low, high;              /* and for integers; uint64 has its bits here */
} mary_unary_parameters;

/* y[i] = f(x[i]) for i < count; x and y may be the same memory. */
typedef void mary_unary_loop(const void *x, void *y, int64_t count, const mary_unary_parameters *parameters);

/* Float functions that have a vectorised loop in every tier (unary_template.h). */
#define MARY_UNARY_KERNELS(X)                                                                                          \
    X(clip)                                                                                                            \
    X(leaky_relu)                                                                                                      \
    X(thresholded_relu)                                                                                                \
    X(sigmoid)                                                                                                         \
    X(swish)                                                                                                           \
    X(hard_sigmoid)                                                                                                    \
    X(hard_swish)                                                                                                      \
    X(tanh)                                                                                                            \
    X(elu)                                                                                                             \
    X(selu)                                                                                                            \
    X(celu)                                                                                                            \
    X(gelu)                                                                                                            \
    X(gelu_tanh)                                                                                                       \
    X(mish)                                                                                                            \
    X(softplus)                                                                                                        \
    X(softsign)                                                                                                        \
    X(shrink)                                                                                                          \
    X(exp)                                                                                                             \
    X(log)                                                                                                             \
    X(erf)                                                                                                             \
    X(sqrt)                                                                                                            \
    X(abs)                                                                                                             \
    X(neg)                                                                                                             \
    X(reciprocal)                                                                                                      \
    X(floor)                                                                                                           \
    X(ceil)                                                                                                            \
    X(round)

typedef enum mary_unary_kernel {
    MARY_UNARY_none, /* 0, so that it is what a description has when it names none */
#define KERNEL(name) MARY_UNARY_##name,
    MARY_UNARY_KERNELS(KERNEL)
#undef KERNEL
        MARY_UNARY_COUNT
} mary_unary_kernel;

extern mary_unary_loop *const mary_unary_scalar[MARY_UNARY_COUNT];
extern mary_unary_loop *const mary_unary_avx2[MARY_UNARY_COUNT];
extern mary_unary_loop *const mary_unary_avx512[MARY_UNARY_COUNT];
/* The loop of the tier that is current in this thread. */
mary_unary_loop *mary_unary_kernel_loop(mary_unary_kernel kernel);

typedef struct mary_unary {
    const char *type;                          /* op_type */
    mary_unary_kernel kernel;                  /* for float; none: loops[MARY_FLOAT] */
    mary_unary_loop *loops[MARY_BFLOAT16 + 1]; /* by element type; NULL: the type is refused */
    mary_type result;                          /* MARY_UNDEFINED: the input's */
    const char *alpha, *beta; /* float attributes that are given to the loop; NULL: the default is given */
    float alpha_default, beta_default;
} mary_unary;

typedef struct mary_unary_state {
    const mary_unary *unary;
    mary_unary_loop *float_loop;
    mary_unary_parameters parameters;
} mary_unary_state;

/* The life of a unary operator; each family's prepare finds its description in the family's own list, which ends with a
 * zeroed entry. node->state becomes a mary_unary_state. */
mary_status mary_unary_prepare(mary_op_node *node, const mary_unary *list);
mary_status mary_unary_infer(const mary_op_node *node, mary_op_call *call);
mary_status mary_unary_run(const mary_op_node *node, mary_op_call *call);
bool mary_unary_channels_last(const mary_op_node *node, const mary_op_call *call, bool *wants);
/* The loop over all elements of input 0, whatever the layouts, in pieces on all threads. */
void mary_unary_apply(const mary_op_call *call, mary_unary_loop *loop, const mary_unary_parameters *parameters);

/* unary_backward.c: of every operator whose float loop is a kernel with a derivative. */
extern const mary_op_gradient mary_unary_gradient;
/* The derivative and the second derivative of a kernel's function; false: there is none here. */
bool mary_unary_derivatives(mary_unary_kernel kernel, const mary_unary_parameters *parameters, double x, double *first,
                            double *second);

/* Iterations are independent even when input and output are the same memory. */
#if defined(__clang__)
#define MARY_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define MARY_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* Defines a plain loop: `expression` in v, alpha and beta gives T. */
#define MARY_UNARY_LOOP(name, T, expression)                                                                           \
    static void name(const void *from, void *to, int64_t count, const mary_unary_parameters *p)                        \
    {                                                                                                                  \
        const T *x = from;                                                                                             \
        T *y = to;                                                                                                     \
        const float alpha = p->alpha, beta = p->beta;                                                                  \
        (void)alpha;                                                                                                   \
        (void)beta;                                                                                                    \
        MARY_INDEPENDENT                                                                                               \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            const T v = x[i];                                                                                          \
            y[i] = (T)(expression);                                                                                    \
        }                                                                                                              \
    }

/* Entries of a description's `loops`. */
#define MARY_SIGNED_LOOPS(name)                                                                                        \
    [MARY_INT8] = name##_i8, [MARY_INT16] = name##_i16, [MARY_INT32] = name##_i32, [MARY_INT64] = name##_i64
#define MARY_UNSIGNED_LOOPS(name)                                                                                      \
    [MARY_UINT8] = name##_u8, [MARY_UINT16] = name##_u16, [MARY_UINT32] = name##_u32, [MARY_UINT64] = name##_u64

#endif
