#include "runtime/evaluate.h"

#include <string.h>

static bool is_half(mary_type type)
{
    return type == MARY_FLOAT16 || type == MARY_BFLOAT16;
}

mary_type mary_node_half(const mary_program_node *node, const mary_tensor *const *inputs)
{
    if (node->node.op->flags & (MARY_OP_HALF | MARY_OP_VIEW))
        return MARY_UNDEFINED;
    for (int i = 0; i < node->input_count; i++) {
        if (inputs[i] != NULL && is_half(inputs[i]->type))
            return inputs[i]->type;
    }
    return node->half;
}

void mary_convert_half(const void *from, mary_type from_type, void *to, mary_type to_type, int64_t count)
{
    if (to_type == MARY_FLOAT) {
        const uint16_t *in = from;
        float *out = to;
        for (int64_t i = 0; i < count; i++)
            out[i] = from_type == MARY_FLOAT16 ? mary_half_to_float(in[i]) : mary_bfloat_to_float(in[i]);
    } else {
        const float *in = from;
        uint16_t *out = to;
        for (int64_t i = 0; i < count; i++)
            out[i] = to_type == MARY_FLOAT16 ? mary_float_to_half(in[i]) : mary_float_to_bfloat(in[i]);
    }
}

/* What one evaluation owns; everything is released by finish(). */
typedef struct evaluation {
    mary_tensor *wide;          /* float copies of half inputs, then float versions of half outputs */
    const mary_tensor **inputs; /* what the operator sees */
    mary_tensor **outputs;
    mary_op_call call;
    mary_type half;
    int wide_count;
} evaluation;

static void finish(evaluation *e)
{
    for (int i = 0; e->wide != NULL && i < e->wide_count; i++)
        mary_free(e->wide[i].data);
    mary_free(e->wide);
    mary_free(e->inputs);
    mary_free(e->outputs);
}

/* Builds the call; with a half type inputs are widened (their data, too, when it is there and `values` asks for it). */
static mary_status begin(const mary_program_node *node, const mary_tensor *const *inputs, mary_tensor *const *outputs,
                         bool values, evaluation *e)
{
    int total = node->input_count + node->output_count;
    *e = (evaluation){.half = mary_node_half(node, inputs), .wide_count = total};
    e->wide = mary_calloc((size_t)total, sizeof *e->wide);
    e->inputs = mary_calloc((size_t)node->input_count, sizeof *e->inputs);
    e->outputs = mary_calloc((size_t)node->output_count, sizeof *e->outputs);
    if (e->wide == NULL || e->inputs == NULL || e->outputs == NULL)
        return mary_fail_memory((size_t)total * sizeof *e->wide);
    for (int i = 0; i < node->input_count; i++) {
        e->inputs[i] = inputs[i];
        if (inputs[i] == NULL || e->half == MARY_UNDEFINED || !is_half(inputs[i]->type))
            continue;
        mary_tensor *wide = &e->wide[i];
        *wide = *inputs[i];
        wide->type = MARY_FLOAT;
        wide->data = NULL;
        e->inputs[i] = wide;
        if (!values || inputs[i]->data == NULL)
            continue;
        wide->data = mary_alloc_aligned(mary_tensor_bytes(wide));
        if (wide->data == NULL)
            return mary_fail_memory(mary_tensor_bytes(wide));
        mary_convert_half(inputs[i]->data, inputs[i]->type, wide->data, MARY_FLOAT, mary_shape_count(&wide->shape));
    }
    for (int i = 0; i < node->output_count; i++)
        e->outputs[i] = outputs[i] == NULL ? NULL : &e->wide[node->input_count + i];
    e->call = (mary_op_call){.inputs = e->inputs,
                             .input_count = node->input_count,
                             .outputs = e->outputs,
                             .output_count = node->output_count};
    return MARY_OK;
}

static mary_type outer_type(const evaluation *e, mary_type type)
{
    return e->half != MARY_UNDEFINED && type == MARY_FLOAT ? e->half : type;
}

/* Residuals were fused because names of dimensions promise one shape (runtime/fuse.c); what a caller gives may break
 * that promise. */
static mary_status infer(const mary_program_node *node, evaluation *e)
{
    const int residual = node->node.epilogue.residual;
    MARY_TRY(node->node.op->infer(&node->node, &e->call));
    if (residual < 0 || residual >= e->call.input_count || e->call.inputs[residual] == NULL)
        return MARY_OK;
    const mary_shape *given = &e->call.inputs[residual]->shape, *wanted = &e->outputs[0]->shape;
    char text[2][96];
    if (!mary_shape_equal(given, wanted))
        return mary_op_fail(&node->node, MARY_ERROR_INVALID, "%s is added to its output %s, which is not of that shape",
                            mary_shape_format(given, text[0], sizeof text[0]),
                            mary_shape_format(wanted, text[1], sizeof text[1]));
    return MARY_OK;
}

mary_status mary_node_infer(const mary_program_node *node, const mary_tensor *const *inputs,
                            mary_tensor *const *outputs)
{
    evaluation e;
    mary_status status = begin(node, inputs, outputs, false, &e);
    if (status == MARY_OK)
        status = infer(node, &e);
    for (int i = 0; status == MARY_OK && i < node->output_count; i++) {
        if (outputs[i] != NULL)
            *outputs[i] = (mary_tensor){.type = outer_type(&e, e.outputs[i]->type), .shape = e.outputs[i]->shape};
    }
    finish(&e);
    return status;
}

static mary_status allocate_and_run(const mary_program_node *node, evaluation *e, const mary_parallel *parallel)
{
    const mary_op *op = node->node.op;
    mary_status status = infer(node, e);
    if (status == MARY_DEFERRED)
        return mary_op_fail(&node->node, MARY_ERROR_INTERNAL, "cannot tell its output shape from its input values");
    MARY_TRY(status);
    for (int i = 0; i < node->output_count; i++) {
        mary_tensor *output = e->outputs[i];
        if (output == NULL)
            continue;
        if (mary_type_size(output->type) == 0)
            return mary_op_fail(&node->node, MARY_ERROR_UNSUPPORTED, "output type %s", mary_type_name(output->type));
        output->data = mary_alloc_aligned(mary_tensor_bytes(output));
        if (output->data == NULL)
            return mary_fail_memory(mary_tensor_bytes(output));
    }
    if (op->flags & MARY_OP_VIEW) {
        memcpy(e->outputs[0]->data, e->inputs[0]->data, mary_tensor_bytes(e->inputs[0]));
        return MARY_OK;
    }
    size_t scratch_bytes = 0;
    e->call.parallel = parallel;
    if (op->scratch != NULL)
        MARY_TRY(op->scratch(&node->node, &e->call, &scratch_bytes));
    void *scratch = mary_alloc_aligned(scratch_bytes);
    if (scratch == NULL)
        return mary_fail_memory(scratch_bytes);
    e->call.scratch = scratch;
    status = op->run(&node->node, &e->call);
    mary_free(scratch);
    return status;
}

bool mary_node_evaluates_early(const mary_program_node *node)
{
    return !(node->node.op->flags & MARY_OP_NONDETERMINISTIC) && node->node.op->domain[0] == '\0';
}

mary_status mary_node_evaluate(const mary_program_node *node, const mary_tensor *const *inputs,
                               mary_tensor *const *outputs, const mary_parallel *parallel)
{
    evaluation e;
    mary_status status = begin(node, inputs, outputs, true, &e);
    if (status == MARY_OK)
        status = allocate_and_run(node, &e, parallel);
    for (int i = 0; status == MARY_OK && i < node->output_count; i++) {
        mary_tensor *inner = e.outputs[i];
        if (inner == NULL || outer_type(&e, inner->type) == inner->type)
            continue;
        int64_t count = mary_shape_count(&inner->shape);
        void *narrow = mary_alloc_aligned((size_t)count * 2);
        if (narrow == NULL) {
            status = mary_fail_memory((size_t)count * 2);
            break;
        }
        mary_convert_half(inner->data, MARY_FLOAT, narrow, e.half, count);
        mary_free(inner->data);
        inner->data = narrow;
        inner->type = e.half;
    }
    for (int i = 0; status == MARY_OK && i < node->output_count; i++) {
        if (outputs[i] == NULL)
            continue;
        *outputs[i] = *e.outputs[i];
        e.outputs[i]->data = NULL; /* now the caller's */
    }
    finish(&e);
    return status;
}
