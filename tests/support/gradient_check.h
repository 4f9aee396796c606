/* An operator's backward against its own forward: finite differences in double precision.
 *
 *     op_case *c = op_case_new("Gemm", 13);
 *     op_input(c, MARY_FLOAT, DIMS(3, 5), NULL);
 *     op_constant(c, MARY_FLOAT, DIMS(5, 7), NULL);
 *     gradient_check(c);
 *     op_case_free(c);
 *
 * Gradients of all float inputs are checked, constants (parameters) too, plain and channels last, with one thread and
 * with pieces, written and added to what was there; and the second derivatives that go with them: sum of
 * h (dy/dx)^2 + g d2y/dx2 from the numerical Jacobian. Gradients and scratch have guard bytes around them.
 */
#ifndef MARY_TESTS_GRADIENT_CHECK_H
#define MARY_TESTS_GRADIENT_CHECK_H

#include "ops/gradient.h"
#include "tests/support/op_run.h"

/* Fails the test when an error exceeds 1e-4 of the tensor's largest gradient. Frees nothing. */
void gradient_check(op_case *c);
/* The largest such error, with another backward than the operator's own (NULL: its own), for tests of the harness. */
double gradient_error(op_case *c, const mary_op_gradient *gradient);
/* Did the last check run channels last, too? */
bool gradient_checked_channels_last(void);

/* Small random numbers for shapes, in [least, most]; the same in every run. */
int64_t gradient_random(uint32_t *seed, int64_t least, int64_t most);

#endif
