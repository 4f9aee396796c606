/* Nodes whose inputs are all constant are evaluated once, at load. */
#include "runtime/evaluate.h"

#include <string.h>

/* A folded value may be this much larger than what it is made from; beyond it the node stays and runs (a
 * ConstantOfShape of a gigabyte should not live as long as the session). */
enum { FREE_BYTES = 16 << 20, GROWTH = 2 };

static bool foldable(const mary_program *program, const mary_program_node *node, bool keep_dequantize)
{
    if (keep_dequantize && strcmp(node->node.op->type, "DequantizeLinear") == 0)
        return false;
    if (node->removed || !mary_node_evaluates_early(node))
        return false;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0 && !program->values[node->inputs[i]].constant)
            return false;
    }
    return true;
}

static mary_status fold_node(mary_program *program, mary_program_node *node, const mary_parallel *parallel)
{
    const mary_tensor **inputs = mary_calloc((size_t)node->input_count, sizeof *inputs);
    mary_tensor *results = mary_calloc((size_t)node->output_count, sizeof *results);
    mary_tensor **outputs = mary_calloc((size_t)node->output_count, sizeof *outputs);
    mary_status status = MARY_OK;
    if (inputs == NULL || results == NULL || outputs == NULL) {
        status = mary_fail_memory((size_t)(node->input_count + node->output_count) * sizeof *results);
        goto done;
    }
    size_t input_bytes = 0, output_bytes = 0;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] < 0)
            continue;
        inputs[i] = &program->values[node->inputs[i]].tensor;
        input_bytes += mary_tensor_bytes(inputs[i]);
    }
    for (int i = 0; i < node->output_count; i++)
        outputs[i] = node->outputs[i] < 0 ? NULL : &results[i];
    MARY_TRY_GOTO(mary_node_infer(node, inputs, outputs), done);
    for (int i = 0; i < node->output_count; i++)
        output_bytes += mary_tensor_bytes(&results[i]);
    if (output_bytes > FREE_BYTES && output_bytes / GROWTH > input_bytes)
        goto done;
    MARY_TRY_GOTO(mary_node_evaluate(node, inputs, outputs, parallel), done);
    for (int i = 0; i < node->output_count; i++) {
        if (outputs[i] == NULL)
            continue;
        mary_program_value *value = &program->values[node->outputs[i]];
        value->constant = true;
        value->tensor = results[i];
        value->owned = results[i].data;
    }
    node->removed = true;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0)
            mary_program_release_use(program, node->inputs[i]);
    }
done:
    mary_free(inputs);
    mary_free(results);
    mary_free(outputs);
    return status == MARY_DEFERRED ? MARY_OK : status;
}

mary_status mary_program_fold(mary_program *program, bool keep_dequantize, const mary_parallel *parallel)
{
    for (size_t i = 0; i < program->node_count; i++) {
        if (foldable(program, &program->nodes[i], keep_dequantize))
            MARY_TRY(fold_node(program, &program->nodes[i], parallel));
    }
    return MARY_OK;
}
