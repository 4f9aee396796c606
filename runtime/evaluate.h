/* One node on its own: shapes, or values into fresh memory. For what happens outside a plan's steps: constants at load,
 * values that a plan knows beforehand, and nodes whose shapes depend on data. */
#ifndef MARY_RUNTIME_EVALUATE_H
#define MARY_RUNTIME_EVALUATE_H

#include "runtime/program.h"

/* The half type that this node's float outputs have: an operator that computes in float is handed converted inputs when
 * one of them is float16 or bfloat16, and gives that type back. MARY_UNDEFINED: nothing is converted. */
mary_type mary_node_half(const mary_program_node *node, const mary_tensor *const *inputs);

/* op->infer with half types taken care of. `inputs` and `outputs` hold node->input_count and node->output_count
 * tensors, NULL where absent; outputs get type and shape, layout plain. MARY_DEFERRED as in ops/op.h. */
mary_status mary_node_infer(const mary_program_node *node, const mary_tensor *const *inputs,
                            mary_tensor *const *outputs);

/* Whether values of this node may be computed before the first run: at load, or with the shapes of a plan. Operators of
 * other domains are not, because M-ary ones run on weights that are packed only when shapes have been tried. */
bool mary_node_evaluates_early(const mary_program_node *node);

/* infer, then scratch and run with memory allocated here. On success every outputs[i] owns its data (mary_free); on
 * failure none does. Inputs are plain. */
mary_status mary_node_evaluate(const mary_program_node *node, const mary_tensor *const *inputs,
                               mary_tensor *const *outputs, const mary_parallel *parallel);

/* count values between float and float16/bfloat16 (one of the two types is MARY_FLOAT). */
void mary_convert_half(const void *from, mary_type from_type, void *to, mary_type to_type, int64_t count);

#endif
