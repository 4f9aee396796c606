/* What follows a convolution or a matrix product is computed while its result is in registers: a residual Add, then an
 * activation. */
#include <string.h>

#include "runtime/evaluate.h"
#include "runtime/program.h"
#include "runtime/shapes.h"

typedef struct fusion {
    mary_program *program;
    size_t *consumers; /* consumers[first[v] .. first[v + 1]): positions of the nodes that read value v */
    size_t *first;
    mary_shapes probes[2];
    bool probed;
} fusion;

static mary_status list_consumers(fusion *f)
{
    const mary_program *program = f->program;
    size_t total = 0;
    f->first = mary_calloc(program->value_count + 2, sizeof *f->first);
    if (f->first == NULL)
        return mary_fail_memory((program->value_count + 2) * sizeof *f->first);
    for (size_t n = 0; n < program->node_count; n++) {
        const mary_program_node *node = &program->nodes[n];
        for (int i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] >= 0) {
                f->first[node->inputs[i] + 2]++;
                total++;
            }
        }
    }
    f->consumers = mary_calloc(total, sizeof *f->consumers);
    if (f->consumers == NULL)
        return mary_fail_memory(total * sizeof *f->consumers);
    for (size_t v = 2; v < program->value_count + 2; v++)
        f->first[v] += f->first[v - 1];
    for (size_t n = 0; n < program->node_count; n++) {
        const mary_program_node *node = &program->nodes[n];
        for (int i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                f->consumers[f->first[node->inputs[i] + 1]++] = n;
        }
    }
    return MARY_OK;
}

static bool is_op(const mary_program_node *node, const char *type)
{
    return node->node.op->domain[0] == '\0' && strcmp(node->node.op->type, type) == 0;
}

/* The only reader of `value`, or NULL: several readers, or the graph's user wants it. */
static mary_program_node *only_consumer(const fusion *f, int value)
{
    const mary_program_value *v = &f->program->values[value];
    if (v->uses != 1 || v->graph_output)
        return NULL;
    mary_program_node *node = &f->program->nodes[f->consumers[f->first[value]]];
    return node->removed ? NULL : node;
}

static mary_status append_label(mary_program_node *node, const char *type)
{
    char *label = mary_asprintf("%s+%s", node->label, type);
    if (label == NULL)
        return mary_fail_memory(strlen(node->label) + strlen(type) + 2);
    mary_free(node->label);
    node->label = label;
    return MARY_OK;
}

/* `node` makes what `absorbed` made. */
static mary_status take_over(fusion *f, mary_program_node *node, mary_program_node *absorbed)
{
    mary_program_value *old = &f->program->values[node->outputs[0]];
    old->uses = 0;
    old->producer = -1;
    node->outputs[0] = absorbed->outputs[0];
    f->program->values[node->outputs[0]].producer = (int)(node - f->program->nodes);
    absorbed->removed = true;
    return append_label(node, absorbed->node.op->type);
}

/* Constants that `absorbed` read besides the value that is fused. */
static void release_constants(fusion *f, const mary_program_node *absorbed)
{
    for (int i = 0; i < absorbed->input_count; i++) {
        if (absorbed->inputs[i] >= 0 && f->program->values[absorbed->inputs[i]].constant)
            mary_program_release_use(f->program, absorbed->inputs[i]);
    }
}

static mary_status fuse_activation(fusion *f, mary_program_node *node, bool *changed)
{
    mary_program_node *next = only_consumer(f, node->outputs[0]);
    if (next == NULL || next->node.op->activation == NULL || next->input_count < 1 ||
        next->inputs[0] != node->outputs[0] || next->output_count != 1 || next->input_count > 8)
        return MARY_OK;
    const mary_tensor *constants[8] = {0};
    for (int i = 1; i < next->input_count; i++) {
        if (next->inputs[i] < 0)
            continue;
        if (!f->program->values[next->inputs[i]].constant)
            return MARY_OK;
        constants[i] = &f->program->values[next->inputs[i]].tensor;
        if (constants[i]->type != MARY_FLOAT)
            return MARY_OK;
    }
    mary_epilogue epilogue = node->node.epilogue;
    if (!next->node.op->activation(&next->node, constants, &epilogue))
        return MARY_OK;
    epilogue.residual = node->node.epilogue.residual;
    node->node.epilogue = epilogue;
    release_constants(f, next);
    *changed = true;
    return take_over(f, node, next);
}

/* x -> Sigmoid -> Mul with x: the way exporters write SiLU (swish). */
static mary_status fuse_silu(fusion *f, mary_program_node *node, bool *changed)
{
    int value = node->outputs[0];
    const mary_program_value *v = &f->program->values[value];
    if (v->uses != 2 || v->graph_output)
        return MARY_OK;
    mary_program_node *a = &f->program->nodes[f->consumers[f->first[value]]];
    mary_program_node *b = &f->program->nodes[f->consumers[f->first[value] + 1]];
    mary_program_node *sigmoid = is_op(a, "Sigmoid") ? a : b, *mul = sigmoid == a ? b : a;
    if (a->removed || b->removed || a == b || !is_op(sigmoid, "Sigmoid") || !is_op(mul, "Mul"))
        return MARY_OK;
    if (only_consumer(f, sigmoid->outputs[0]) != mul)
        return MARY_OK;
    node->node.epilogue.activation = MARY_ACTIVATION_SILU;
    sigmoid->removed = true;
    f->program->values[sigmoid->outputs[0]].uses = 0;
    *changed = true;
    return take_over(f, node, mul);
}

static bool same_in_both_probes(const fusion *f, int a, int b)
{
    for (int probe = 0; probe < 2; probe++) {
        const mary_tensor *ta = &f->probes[probe].tensors[a], *tb = &f->probes[probe].tensors[b];
        if (ta->type != MARY_FLOAT || tb->type != MARY_FLOAT || !mary_shape_equal(&ta->shape, &tb->shape))
            return false;
    }
    return true;
}

/* node -> Add with something of the same shape that is there before node runs. */
static mary_status fuse_residual(fusion *f, mary_program_node *node, bool *changed)
{
    if (!f->probed || node->node.epilogue.residual >= 0 || node->input_count > MARY_RESIDUAL_INPUT)
        return MARY_OK;
    mary_program_node *add = only_consumer(f, node->outputs[0]);
    if (add == NULL || !is_op(add, "Add"))
        return MARY_OK;
    int other = add->inputs[add->inputs[0] == node->outputs[0] ? 1 : 0];
    const mary_program_value *value = &f->program->values[other];
    if (value->constant || value->producer >= (int)(node - f->program->nodes) ||
        !same_in_both_probes(f, node->outputs[0], other))
        return MARY_OK;
    /* Behind every input that the operator defines, so that an absent bias stays absent. */
    while (node->input_count < MARY_RESIDUAL_INPUT)
        node->inputs[node->input_count++] = -1;
    node->inputs[node->input_count++] = other;
    node->node.epilogue.residual = MARY_RESIDUAL_INPUT;
    node->node.input_count = node->input_count;
    *changed = true;
    return take_over(f, node, add);
}

static mary_status fuse_node(fusion *f, mary_program_node *node)
{
    bool changed = true;
    while (changed && node->node.epilogue.activation == MARY_ACTIVATION_NONE) {
        changed = false;
        MARY_TRY(fuse_silu(f, node, &changed));
        if (!changed)
            MARY_TRY(fuse_activation(f, node, &changed));
        if (!changed)
            MARY_TRY(fuse_residual(f, node, &changed));
    }
    return MARY_OK;
}

/* Shapes are not known yet, but whether two values always have the same one can be told from two trials. A model that
 * cannot be tried is run without residual fusion. */
static void try_probes(fusion *f)
{
    mary_tensor *inputs = mary_calloc((size_t)f->program->input_count, sizeof *inputs);
    f->probed = inputs != NULL;
    for (int probe = 0; probe < 2 && f->probed; probe++)
        f->probed = mary_shapes_probe(f->program, probe, inputs) &&
                    mary_shapes_infer(f->program, inputs, false, NULL, &f->probes[probe]) == MARY_OK;
    mary_free(inputs);
}

mary_status mary_program_fuse(mary_program *program)
{
    fusion f = {.program = program};
    mary_status status = list_consumers(&f);
    if (status == MARY_OK)
        try_probes(&f);
    for (size_t i = 0; status == MARY_OK && i < program->node_count; i++) {
        mary_program_node *node = &program->nodes[i];
        /* Tiles compute in float; half and double models keep their nodes apart. */
        bool is_float = !f.probed || (node->output_count > 0 && node->outputs[0] >= 0 &&
                                      f.probes[0].tensors[node->outputs[0]].type == MARY_FLOAT);
        if (!node->removed && (node->node.op->flags & MARY_OP_EPILOGUE) && is_float && node->output_count == 1)
            status = fuse_node(&f, node);
    }
    mary_shapes_free(&f.probes[0]);
    mary_shapes_free(&f.probes[1]);
    mary_free(f.consumers);
    mary_free(f.first);
    return status;
}
