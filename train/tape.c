/* The forward half of a tape: which step makes what, in which layout, and what is fused. */
#include "train/tape.h"

#include <string.h>

#include "onnx/memory.h"
#include "runtime/evaluate.h"

/* A convolution or product that waits for the addition and the activation behind it. */
typedef struct pending {
    int node, residual; /* program node; value that is added, -1: none */
} pending;

typedef struct builder {
    mary_tape *tape;
    const mary_program *program;
    int output;
    int *plain, *last; /* per program value: its slot in that layout; -1: not made yet */
    pending *waiting;  /* per program value: what will make it; node -1: nothing */
    const mary_parallel *parallel;
} builder;

/* ---- slots, buffers, steps ---- */

mary_status mary_tape_add_buffer(mary_tape *tape, size_t bytes, int first, int last, int *buffer)
{
    if (!mary_reserve((void **)&tape->buffers, &tape->buffer_capacity, tape->buffer_count + 1, sizeof *tape->buffers))
        return mary_fail_memory(tape->buffer_capacity * 2 * sizeof *tape->buffers);
    if (bytes > PTRDIFF_MAX / 4)
        return mary_fail_memory(bytes);
    tape->buffers[tape->buffer_count] =
        (mary_tape_buffer){.bytes = mary_gradient_align(bytes > 0 ? bytes : 1), .first = first, .last = last};
    *buffer = (int)tape->buffer_count++;
    return MARY_OK;
}

static mary_status add_slot(mary_tape *tape, const mary_tensor *tensor, mary_tape_place place, int index, int *slot)
{
    if (!mary_reserve((void **)&tape->slots, &tape->slot_capacity, tape->slot_count + 1, sizeof *tape->slots))
        return mary_fail_memory(tape->slot_capacity * 2 * sizeof *tape->slots);
    tape->slots[tape->slot_count] =
        (mary_tape_slot){.tensor = *tensor, .place = place, .index = index, .gradient = {-1, -1}};
    *slot = (int)tape->slot_count++;
    return MARY_OK;
}

static mary_status add_step(mary_tape *tape, mary_tape_kind kind, int node, int input_count, int output_count,
                            mary_tape_step **result)
{
    if (!mary_reserve((void **)&tape->steps, &tape->step_capacity, tape->step_count + 1, sizeof *tape->steps))
        return mary_fail_memory(tape->step_capacity * 2 * sizeof *tape->steps);
    mary_tape_step *step = &tape->steps[tape->step_count++];
    *step = (mary_tape_step){.kind = kind,
                             .node = node,
                             .input_count = input_count,
                             .output_count = output_count,
                             .residual = -1,
                             .scratch = {-1, -1, -1}};
    step->inputs = mary_calloc((size_t)input_count, sizeof *step->inputs);
    step->outputs = mary_calloc((size_t)output_count, sizeof *step->outputs);
    step->wanted = mary_calloc((size_t)input_count, sizeof(bool));
    step->accumulate = mary_calloc((size_t)input_count, sizeof(bool));
    step->add = mary_calloc((size_t)input_count, sizeof(bool));
    if (step->inputs == NULL || step->outputs == NULL || step->wanted == NULL || step->accumulate == NULL ||
        step->add == NULL)
        return mary_fail_memory((size_t)(input_count + output_count) * sizeof *step->inputs);
    *result = step;
    return MARY_OK;
}

static void touch(mary_tape *tape, int slot, int time)
{
    if (slot >= 0 && tape->slots[slot].place == MARY_TAPE_BUFFER) {
        mary_tape_buffer *buffer = &tape->buffers[tape->slots[slot].index];
        buffer->last = time > buffer->last ? time : buffer->last;
    }
}

static void set_layout(mary_tensor *tensor, bool last)
{
    tensor->layout = last ? MARY_LAYOUT_CHANNELS_LAST : MARY_LAYOUT_PLAIN;
    tensor->pixel_stride = last ? tensor->shape.dims[1] : 0;
}

/* One step from a slot to a new slot of the same value in the other layout. */
static mary_status add_layout(builder *b, int node, int from, bool last, int *to)
{
    mary_tape *tape = b->tape;
    mary_tensor tensor = tape->slots[from].tensor;
    const mary_shape *shape = &tensor.shape;
    bool same = mary_shape_count_range(shape, 2, shape->rank) == 1 || shape->dims[1] == 1;
    mary_tape_step *step;
    int buffer = -1;
    set_layout(&tensor, last);
    tensor.data = NULL;
    MARY_TRY(add_step(tape, same ? MARY_TAPE_VIEW : MARY_TAPE_LAYOUT, node, 1, 1, &step));
    int now = (int)tape->step_count - 1;
    if (same) {
        MARY_TRY(add_slot(tape, &tensor, tape->slots[from].place, tape->slots[from].index, to));
    } else {
        MARY_TRY(mary_tape_add_buffer(tape, mary_tensor_bytes(&tensor), now, now, &buffer));
        MARY_TRY(add_slot(tape, &tensor, MARY_TAPE_BUFFER, buffer, to));
    }
    tape->slots[*to].differentiable = tape->slots[from].differentiable;
    step->inputs[0] = from;
    step->outputs[0] = *to;
    touch(tape, from, now);
    touch(tape, *to, now);
    return MARY_OK;
}

/* The slot of a program value in the wanted layout, made when it is not there. */
static mary_status value_slot(builder *b, int node, int value, bool last, int *slot)
{
    int *have = last ? &b->last[value] : &b->plain[value];
    if (b->plain[value] < 0 && b->last[value] < 0) {
        bool parameter = b->program->values[value].parameter;
        MARY_TRY(add_slot(b->tape, &b->tape->shapes.tensors[value],
                          parameter ? MARY_TAPE_PARAMETER : MARY_TAPE_CONSTANT, value, &b->plain[value]));
        b->tape->slots[b->plain[value]].differentiable = parameter;
    }
    if (*have < 0)
        MARY_TRY(add_layout(b, node, last ? b->plain[value] : b->last[value], last, have));
    *slot = *have;
    return MARY_OK;
}

/* ---- one node ---- */

static bool is_activation(const builder *b, int value)
{
    const mary_program_value *v = &b->program->values[value];
    const mary_tensor *tensor = &b->tape->shapes.tensors[value];
    return !v->constant && !v->parameter && tensor->data == NULL && tensor->shape.rank >= 3;
}

/* Pointers to the tensors of a node's values, for an operator's callbacks. */
static mary_status tensors_of(const builder *b, const mary_program_node *node, const mary_tensor ***inputs,
                              mary_tensor ***outputs)
{
    *inputs = mary_calloc((size_t)node->input_count + 1, sizeof **inputs);
    *outputs = mary_calloc((size_t)node->output_count + 1, sizeof **outputs);
    if (*inputs == NULL || *outputs == NULL)
        return mary_fail_memory((size_t)(node->input_count + node->output_count) * sizeof **inputs);
    for (int i = 0; i < node->input_count; i++)
        (*inputs)[i] = node->inputs[i] < 0 ? NULL : &b->tape->shapes.tensors[node->inputs[i]];
    for (int i = 0; i < node->output_count; i++)
        (*outputs)[i] = node->outputs[i] < 0 ? NULL : &b->tape->shapes.tensors[node->outputs[i]];
    return MARY_OK;
}

static mary_status choose_layout(const builder *b, const mary_program_node *node, bool *last)
{
    const mary_op *op = node->node.op;
    const mary_op_gradient *gradient = op->gradient;
    bool wants = false, fed = false;
    *last = false;
    if (op->channels_last == NULL || (gradient != NULL && !(gradient->flags & MARY_GRADIENT_ANY_LAYOUT)))
        return MARY_OK;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0 && is_activation(b, node->inputs[i]))
            fed = fed || b->last[node->inputs[i]] >= 0;
        if (node->inputs[i] >= 0 && b->tape->shapes.tensors[node->inputs[i]].shape.rank > 5)
            return MARY_OK;
    }
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] >= 0 && b->tape->shapes.tensors[node->outputs[i]].shape.rank < 3)
            return MARY_OK;
    }
    const mary_tensor **inputs = NULL;
    mary_tensor **outputs = NULL;
    mary_status status = tensors_of(b, node, &inputs, &outputs);
    if (status == MARY_OK) {
        mary_op_call call = {
            .inputs = inputs, .input_count = node->input_count, .outputs = outputs, .output_count = node->output_count};
        *last = op->channels_last(&node->node, &call, &wants) && (wants || fed);
    }
    mary_free(inputs);
    mary_free(outputs);
    return status;
}

static mary_status add_scratch(builder *b, mary_tape_step *step, int now)
{
    const mary_op *op = step->call.op;
    mary_tape *tape = b->tape;
    if (op->scratch == NULL)
        return MARY_OK;
    const mary_tensor **inputs = mary_calloc((size_t)step->input_count + 1, sizeof *inputs);
    mary_tensor **outputs = mary_calloc((size_t)step->output_count + 1, sizeof *outputs);
    size_t bytes = 0;
    mary_status status = MARY_OK;
    if (inputs == NULL || outputs == NULL) {
        status = mary_fail_memory((size_t)step->input_count * sizeof *inputs);
        goto done;
    }
    for (int i = 0; i < step->input_count; i++)
        inputs[i] = step->inputs[i] < 0 ? NULL : &tape->slots[step->inputs[i]].tensor;
    for (int i = 0; i < step->output_count; i++)
        outputs[i] = step->outputs[i] < 0 ? NULL : &tape->slots[step->outputs[i]].tensor;
    mary_op_call call = {.inputs = inputs,
                         .input_count = step->input_count,
                         .outputs = outputs,
                         .output_count = step->output_count,
                         .parallel = b->parallel};
    MARY_TRY_GOTO(op->scratch(&step->call, &call, &bytes), done);
    if (bytes > 0)
        status = mary_tape_add_buffer(tape, bytes, now, now, &step->scratch[0]);
done:
    mary_free(inputs);
    mary_free(outputs);
    return status;
}

static mary_status emit_view(builder *b, int number)
{
    mary_tape *tape = b->tape;
    const mary_program_node *node = &b->program->nodes[number];
    int from, value = node->outputs[0];
    MARY_TRY(value_slot(b, number, node->inputs[0], false, &from));
    mary_tensor tensor = tape->shapes.tensors[value];
    mary_tape_step *step;
    MARY_TRY(add_slot(tape, &tensor, tape->slots[from].place, tape->slots[from].index, &b->plain[value]));
    tape->slots[b->plain[value]].differentiable = tape->slots[from].differentiable;
    MARY_TRY(add_step(tape, MARY_TAPE_VIEW, number, 1, 1, &step));
    step->inputs[0] = from;
    step->outputs[0] = b->plain[value];
    return MARY_OK;
}

/* `value`: what the step makes, which is another than the node's own output when something is fused into it. */
static mary_status emit(builder *b, int number, int value, int residual, const mary_epilogue *activation)
{
    mary_tape *tape = b->tape;
    const mary_program_node *node = &b->program->nodes[number];
    const mary_op_gradient *gradient = node->node.op->gradient;
    int inputs = residual >= 0 ? MARY_RESIDUAL_INPUT + 1 : node->input_count;
    bool last = false, differentiable = false;
    if (node->input_count > inputs)
        inputs = node->input_count;
    MARY_TRY(choose_layout(b, node, &last));
    /* Copies between layouts come first: they are steps of their own. */
    for (int i = 0; i < inputs; i++) {
        int from = i < node->input_count ? node->inputs[i] : -1, slot;
        if (residual >= 0 && i == MARY_RESIDUAL_INPUT)
            from = residual;
        if (from >= 0)
            MARY_TRY(value_slot(b, number, from, last && is_activation(b, from), &slot));
    }
    mary_tape_step *step;
    MARY_TRY(add_step(tape, MARY_TAPE_NODE, number, inputs, node->output_count, &step));
    int now = (int)tape->step_count - 1;
    step->call = node->node;
    step->call.channels_last = last;
    if (activation != NULL)
        step->call.epilogue = *activation;
    step->call.epilogue.residual = residual >= 0 ? MARY_RESIDUAL_INPUT : -1;
    for (int i = 0; i < inputs; i++) {
        int from = i < node->input_count ? node->inputs[i] : -1;
        if (residual >= 0 && i == MARY_RESIDUAL_INPUT)
            from = residual;
        step->inputs[i] = -1;
        if (from < 0)
            continue;
        MARY_TRY(value_slot(b, number, from, last && is_activation(b, from), &step->inputs[i]));
        touch(tape, step->inputs[i], now);
        differentiable = differentiable || tape->slots[step->inputs[i]].differentiable;
    }
    if (residual >= 0)
        step->residual = step->inputs[MARY_RESIDUAL_INPUT];
    if (gradient != NULL && gradient->batch != NULL && gradient->batch(&node->node))
        tape->batch = true;
    for (int i = 0; i < node->output_count; i++) {
        int made = i == 0 ? value : node->outputs[i], buffer = -1;
        step->outputs[i] = -1;
        if (made < 0)
            continue;
        mary_tensor tensor = tape->shapes.tensors[made];
        set_layout(&tensor, last);
        MARY_TRY(mary_tape_add_buffer(tape, mary_tensor_bytes(&tensor), now, now, &buffer));
        MARY_TRY(add_slot(tape, &tensor, MARY_TAPE_BUFFER, buffer, &step->outputs[i]));
        tape->slots[step->outputs[i]].differentiable = differentiable && tensor.type == MARY_FLOAT;
        *(last ? &b->last[made] : &b->plain[made]) = step->outputs[i];
    }
    return add_scratch(b, step, now);
}

/* ---- what is fused ---- */

/* The only reader of a value; -1: there are several, or it is an output. */
static int only_reader(const mary_program *program, int value)
{
    const mary_program_value *v = &program->values[value];
    if (v->uses != 1 || v->graph_output)
        return -1;
    for (size_t n = (size_t)v->producer + 1; n < program->node_count; n++) {
        const mary_program_node *node = &program->nodes[n];
        for (int i = 0; !node->removed && i < node->input_count; i++) {
            if (node->inputs[i] == value)
                return (int)n;
        }
    }
    return -1;
}

/* An activation whose gradient can be told from its result alone. */
static bool clip_of(const mary_program_node *node, mary_epilogue *epilogue)
{
    *epilogue = (mary_epilogue){.residual = -1};
    return node->input_count == 1 && node->node.op->activation != NULL &&
           node->node.op->activation(&node->node, NULL, epilogue) && epilogue->activation == MARY_ACTIVATION_CLIP;
}

/* Add of two operands of one shape. */
static bool is_residual_add(const builder *b, const mary_program_node *node)
{
    const mary_tensor *tensors = b->tape->shapes.tensors;
    return strcmp(node->node.op->type, "Add") == 0 && node->node.op->domain[0] == '\0' && node->input_count == 2 &&
           node->node.opset >= 7 &&
           mary_shape_equal(&tensors[node->inputs[0]].shape, &tensors[node->inputs[1]].shape) &&
           tensors[node->inputs[0]].type == MARY_FLOAT && !b->program->values[node->inputs[0]].constant &&
           !b->program->values[node->inputs[1]].constant && node->inputs[0] != node->inputs[1];
}

/* Does something wait for the only reader of `value`? Then what makes it is put off until there. */
static bool can_wait(const builder *b, int value, bool added)
{
    int reader = value == b->output ? -1 : only_reader(b->program, value);
    mary_epilogue epilogue;
    if (reader < 0)
        return false;
    const mary_program_node *node = &b->program->nodes[reader];
    return clip_of(node, &epilogue) || (!added && is_residual_add(b, node));
}

static bool fuses(const builder *b, const mary_program_node *node)
{
    const mary_op *op = node->node.op;
    return (op->flags & MARY_OP_EPILOGUE) && op->gradient != NULL && node->outputs[0] >= 0 &&
           b->tape->shapes.tensors[node->outputs[0]].type == MARY_FLOAT;
}

static mary_status flush(builder *b, int value)
{
    pending *p = &b->waiting[value];
    if (p->node < 0)
        return MARY_OK;
    int number = p->node;
    p->node = -1;
    return emit(b, number, value, p->residual, NULL);
}

/* The operand that takes the other one as its residual: the later one, so that the other one is there. */
static mary_status visit_add(builder *b, int number, bool *done)
{
    const mary_program_node *node = &b->program->nodes[number];
    const int *in = node->inputs, out = node->outputs[0];
    int taker = -1;
    *done = false;
    if (!is_residual_add(b, node))
        return MARY_OK;
    for (int i = 0; i < 2; i++) {
        const pending *p = &b->waiting[in[i]];
        if (p->node >= 0 && p->residual < 0 && (taker < 0 || p->node > b->waiting[in[taker]].node))
            taker = i;
    }
    if (taker < 0)
        return MARY_OK;
    MARY_TRY(flush(b, in[1 - taker]));
    b->waiting[out] = (pending){b->waiting[in[taker]].node, in[1 - taker]};
    b->waiting[in[taker]].node = -1;
    *done = true;
    return can_wait(b, out, true) ? MARY_OK : flush(b, out);
}

static mary_status visit(builder *b, int number)
{
    const mary_program_node *node = &b->program->nodes[number];
    mary_epilogue epilogue;
    bool done = false;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0 && b->tape->shapes.tensors[node->inputs[i]].type == MARY_UNDEFINED)
            return mary_op_fail(&node->node, MARY_ERROR_UNSUPPORTED, "the shape of an input depends on data");
    }
    for (int i = 0; i < node->output_count; i++) {
        if (node->outputs[i] >= 0 && b->tape->shapes.tensors[node->outputs[i]].type == MARY_UNDEFINED)
            return mary_op_fail(&node->node, MARY_ERROR_UNSUPPORTED, "its shape depends on data");
    }
    if (fuses(b, node)) {
        for (int i = 0; i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                MARY_TRY(flush(b, node->inputs[i]));
        }
        b->waiting[node->outputs[0]] = (pending){number, -1};
        return can_wait(b, node->outputs[0], false) ? MARY_OK : flush(b, node->outputs[0]);
    }
    MARY_TRY(visit_add(b, number, &done));
    if (done)
        return MARY_OK;
    if (clip_of(node, &epilogue) && b->waiting[node->inputs[0]].node >= 0) {
        pending p = b->waiting[node->inputs[0]];
        b->waiting[node->inputs[0]].node = -1;
        return emit(b, p.node, node->outputs[0], p.residual, &epilogue);
    }
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0)
            MARY_TRY(flush(b, node->inputs[i]));
    }
    if ((node->node.op->flags & MARY_OP_VIEW) && node->outputs[0] >= 0)
        return emit_view(b, number);
    return emit(b, number, node->output_count > 0 ? node->outputs[0] : -1, -1, NULL);
}

/* ---- the whole ---- */

static mary_status build(builder *b, const mary_tensor *inputs)
{
    const mary_program *program = b->program;
    mary_tape *tape = b->tape;
    MARY_TRY(mary_shapes_infer(program, inputs, false, b->parallel, &tape->shapes));
    b->plain = mary_calloc(program->value_count, sizeof *b->plain);
    b->last = mary_calloc(program->value_count, sizeof *b->last);
    b->waiting = mary_calloc(program->value_count, sizeof *b->waiting);
    if (b->plain == NULL || b->last == NULL || b->waiting == NULL)
        return mary_fail_memory(program->value_count * sizeof *b->waiting);
    for (size_t i = 0; i < program->value_count; i++) {
        b->plain[i] = b->last[i] = -1;
        b->waiting[i] = (pending){-1, -1};
    }
    for (int i = 0; i < program->input_count; i++) {
        int value = program->inputs[i].value;
        MARY_TRY(add_slot(tape, &tape->shapes.tensors[value], MARY_TAPE_INPUT, i, &b->plain[value]));
    }
    for (size_t i = 0; i < program->node_count; i++) {
        if (!program->nodes[i].removed && !tape->shapes.known[i])
            MARY_TRY(visit(b, (int)i));
    }
    MARY_TRY(value_slot(b, -1, b->output, false, &tape->output));
    touch(tape, tape->output, (int)tape->step_count);
    MARY_TRY(mary_tape_backward(tape, b->parallel));
    return mary_tape_place_buffers(tape);
}

mary_status mary_tape_create(const mary_program *program, const mary_tensor *inputs, int output, bool second,
                             const mary_parallel *parallel, mary_tape **result)
{
    mary_tape *tape = mary_calloc(1, sizeof *tape);
    *result = NULL;
    if (tape == NULL)
        return mary_fail_memory(sizeof *tape);
    tape->program = program;
    tape->second = second;
    builder b = {.tape = tape, .program = program, .output = output, .parallel = parallel};
    mary_status status = build(&b, inputs);
    mary_free(b.plain);
    mary_free(b.last);
    mary_free(b.waiting);
    if (status != MARY_OK)
        mary_tape_free(&tape);
    *result = tape;
    return status;
}

void mary_tape_free(mary_tape **tape_pointer)
{
    mary_tape *tape = *tape_pointer;
    if (tape == NULL)
        return;
    for (size_t i = 0; i < tape->step_count; i++) {
        mary_free(tape->steps[i].inputs);
        mary_free(tape->steps[i].outputs);
        mary_free(tape->steps[i].wanted);
        mary_free(tape->steps[i].accumulate);
        mary_free(tape->steps[i].add);
    }
    mary_free(tape->steps);
    mary_free(tape->slots);
    mary_free(tape->buffers);
    mary_shapes_free(&tape->shapes);
    mary_free(tape);
    *tape_pointer = NULL;
}
