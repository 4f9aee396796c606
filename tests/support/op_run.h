/* One node, run the way that the runtime would run it, without a model file or a session.
 *
 *     op_case *c = op_case_new("Add", 14);
 *     op_input(c, MARY_FLOAT, DIMS(2, 3), FLOATS(1, 2, 3, 4, 5, 6));
 *     op_constant(c, MARY_FLOAT, SCALAR, FLOATS(10));
 *     op_run(c);
 *     op_expect(c, 0, MARY_FLOAT, DIMS(2, 3), FLOATS(11, 12, 13, 14, 15, 16));
 *     op_case_free(c);
 *
 * op_run resolves, prepares, packs, infers and runs the node, and does so again for every CPU tier of this machine,
 * with several threads, in place (when the operator says that it can), and channels last with pixel strides of C and of
 * more, each tensor its own (when it says that it can). All must agree with the first result. Outputs and scratch have
 * guard bytes around them, inputs must come back unchanged, the gaps between pixels hold NaN.
 */
#ifndef MARY_TESTS_OP_RUN_H
#define MARY_TESTS_OP_RUN_H

#include <string.h>

#include "ops/cpu.h"
#include "ops/op.h"
#include "tests/support/suite.h"

#define DIMS(...)                                                                                                      \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])                                       \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define SCALAR 0, NULL
#define FLOATS(...)                                                                                                    \
    (const float[])                                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define DOUBLES(...)                                                                                                   \
    (const double[])                                                                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define INTS(...)                                                                                                      \
    (const int64_t[])                                                                                                  \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define BOOLS(...)                                                                                                     \
    (const uint8_t[])                                                                                                  \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

typedef struct op_case op_case;

/* Operators of the ONNX domain; op_case_new_in for others. One output unless op_outputs says more. */
op_case *op_case_new(const char *type, int opset);
op_case *op_case_new_in(const char *domain, const char *type, int opset);
void op_case_free(op_case *c);

/* Everything is copied, but for tensor attributes, which must live as long as the case. */
void op_attribute_int(op_case *c, const char *name, int64_t value);
void op_attribute_float(op_case *c, const char *name, float value);
void op_attribute_string(op_case *c, const char *name, const char *value);
void op_attribute_ints(op_case *c, const char *name, int count, const int64_t *values); /* ..., "axes", DIMS(0, 1)) */
void op_attribute_floats(op_case *c, const char *name, int count, const float *values);
void op_attribute_tensor(op_case *c, const char *name, Onnx__TensorProto *value);

/* The next input: an activation, a constant (offered to pack), or an absent optional one. `values` is dense; NULL:
 * random, the same in every run: floats in [-2, 2), integers in [-8, 8) or [0, 8). */
void op_input(op_case *c, mary_type type, int rank, const int64_t *dims, const void *values);
void op_constant(op_case *c, mary_type type, int rank, const int64_t *dims, const void *values);
void op_absent(op_case *c);
void op_outputs(op_case *c, int count);
/* What is fused behind the node; residual is an input index. */
void op_epilogue(op_case *c, mary_epilogue epilogue);
/* How much floats of different tiers, layouts and threads may differ: |a-b| <= tolerance * max(1, |a|, |b|). Default
 * 1e-5. */
void op_tolerance(op_case *c, double tolerance);

/* Runs everything; any failure fails the test. */
void op_run(op_case *c);
/* The plain run of the current tier only, for tests of failures: the status of the first step that failed. */
mary_status op_try(op_case *c);
/* infer alone, with the data of activations unknown (of input `unknown` only, if >= 0): MARY_OK or MARY_DEFERRED, say.
 */
mary_status op_infer_unknown(op_case *c, int unknown);
/* True when op_run also ran channels last. */
bool op_ran_channels_last(const op_case *c);

/* The node as a file would have it, and which inputs are constants; for harnesses that run it themselves. */
const Onnx__NodeProto *op_node(op_case *c, int *opset);
int op_input_count(const op_case *c);
int op_output_count(const op_case *c);
bool op_input_is_constant(const op_case *c, int index);

/* Output `index` of the plain run, dense; lives until the next run or op_case_free. */
const mary_tensor *op_output(const op_case *c, int index);
/* The inputs as they were made, random values too. */
const mary_tensor *op_input_tensor(const op_case *c, int index);
/* Exact but for floats, which may differ by the tolerance of op_expect_near (op_expect: 1e-6). NaN equals NaN, inf only
 * itself. */
void op_expect(const op_case *c, int index, mary_type type, int rank, const int64_t *dims, const void *values);
void op_expect_near(const op_case *c, int index, mary_type type, int rank, const int64_t *dims, const void *values,
                    double tolerance);

#endif
