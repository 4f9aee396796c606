/* The backward half of a tape: where every gradient lives, who adds to it, and what that needs of the forward half.
 *
 * Steps are visited last to first. When a step's turn comes, all that reads its outputs has been visited, so the
 * gradient of its output is complete; after it, nobody needs that gradient any more, and an input whose gradient is the
 * same (a sum's operand, a view, a residual) takes the memory over instead of copying it.
 */
#include "onnx/memory.h"
#include "train/tape.h"

typedef struct reverse {
    mary_tape *tape;
    const mary_parallel *parallel;
    int step, time;
} reverse;

static int orders(const reverse *r)
{
    return r->tape->second ? 2 : 1;
}

static void touch_buffer(const reverse *r, int buffer)
{
    if (buffer >= 0 && r->tape->buffers[buffer].last < r->time)
        r->tape->buffers[buffer].last = r->time;
}

/* The value is looked at now. */
static void touch_value(const reverse *r, int slot)
{
    if (slot >= 0 && r->tape->slots[slot].place == MARY_TAPE_BUFFER)
        touch_buffer(r, r->tape->slots[slot].index);
}

static void touch_gradient(const reverse *r, int slot)
{
    for (int order = 0; order < orders(r); order++)
        touch_buffer(r, r->tape->slots[slot].gradient[order]);
}

/* Makes room for what is about to be written to the gradient of `slot`; *accumulate: something is there already. */
static mary_status contribute(const reverse *r, int slot, bool *accumulate)
{
    mary_tape_slot *s = &r->tape->slots[slot];
    *accumulate = s->place == MARY_TAPE_PARAMETER || s->gradient[0] >= 0;
    for (int order = 0; order < orders(r) && !*accumulate; order++)
        MARY_TRY(mary_tape_add_buffer(r->tape, mary_tensor_bytes(&s->tensor), r->time, r->time, &s->gradient[order]));
    touch_gradient(r, slot);
    return MARY_OK;
}

/* The gradient of `to` becomes the memory of that of `from`, if `to` has none yet. */
static bool take_over(const reverse *r, int from, int to)
{
    mary_tape_slot *source = &r->tape->slots[from], *target = &r->tape->slots[to];
    if (target->place == MARY_TAPE_PARAMETER || target->gradient[0] >= 0 || source->gradient[0] < 0)
        return false;
    for (int order = 0; order < orders(r); order++)
        target->gradient[order] = source->gradient[order];
    touch_gradient(r, to);
    return true;
}

static bool same_form(const mary_tape *tape, int a, int b)
{
    const mary_tensor *left = &tape->slots[a].tensor, *right = &tape->slots[b].tensor;
    return mary_shape_equal(&left->shape, &right->shape) && left->layout == right->layout;
}

static bool has_gradient(const mary_tape *tape, const mary_tape_step *step)
{
    for (int i = 0; i < step->output_count; i++) {
        if (step->outputs[i] >= 0 && tape->slots[step->outputs[i]].gradient[0] >= 0)
            return true;
    }
    return false;
}

/* Input `index` gets the gradient of output 0 as it is. */
static mary_status pass(const reverse *r, mary_tape_step *step, int index, bool *taken)
{
    if (!*taken && take_over(r, step->outputs[0], step->inputs[index])) {
        *taken = true;
        return MARY_OK;
    }
    step->add[index] = true;
    return contribute(r, step->inputs[index], &step->accumulate[index]);
}

static mary_status copy_step(const reverse *r, mary_tape_step *step)
{
    mary_tape *tape = r->tape;
    bool taken = false;
    if (step->kind == MARY_TAPE_VIEW)
        return tape->slots[step->inputs[0]].place == MARY_TAPE_PARAMETER ? MARY_OK : pass(r, step, 0, &taken);
    step->compute = true;
    MARY_TRY(contribute(r, step->inputs[0], &step->accumulate[0]));
    if (!step->accumulate[0])
        return MARY_OK;
    return mary_tape_add_buffer(tape, mary_tensor_bytes(&tape->slots[step->inputs[0]].tensor), r->time, r->time,
                                &step->scratch[1]);
}

static mary_status backward_scratch(const reverse *r, mary_tape_step *step)
{
    mary_tape *tape = r->tape;
    const mary_op_gradient *gradient = step->call.op->gradient;
    if (gradient->scratch == NULL)
        return MARY_OK;
    mary_status status = MARY_OK;
    size_t in = (size_t)step->input_count + 1, out = (size_t)step->output_count + 1;
    const mary_tensor **inputs = mary_calloc(in, sizeof *inputs), **gradients = mary_calloc(out, sizeof *gradients);
    mary_tensor **outputs = mary_calloc(out, sizeof *outputs), **wanted = mary_calloc(in, sizeof *wanted);
    if (inputs == NULL || outputs == NULL || gradients == NULL || wanted == NULL) {
        status = mary_fail_memory((in + out) * sizeof *inputs);
        goto done;
    }
    for (int i = 0; i < step->input_count; i++) {
        inputs[i] = step->inputs[i] < 0 ? NULL : &tape->slots[step->inputs[i]].tensor;
        wanted[i] = step->wanted[i] ? &tape->slots[step->inputs[i]].tensor : NULL;
    }
    for (int i = 0; i < step->output_count; i++)
        gradients[i] = outputs[i] = step->outputs[i] < 0 ? NULL : &tape->slots[step->outputs[i]].tensor;
    mary_op_call forward = {
        .inputs = inputs, .input_count = step->input_count, .outputs = outputs, .output_count = step->output_count};
    mary_gradient_call call = {.forward = &forward,
                               .output_gradients = gradients,
                               .output_firsts = gradients,
                               .input_gradients = wanted,
                               .accumulate = step->accumulate,
                               .parallel = r->parallel};
    for (int order = 0; order < orders(r); order++) {
        size_t bytes = 0;
        call.second = order == 1;
        MARY_TRY_GOTO(gradient->scratch(&step->call, &call, &bytes), done);
        if (bytes > 0)
            MARY_TRY_GOTO(mary_tape_add_buffer(tape, bytes, r->time, r->time, &step->scratch[1 + order]), done);
    }
done:
    mary_free(inputs);
    mary_free(outputs);
    mary_free(gradients);
    mary_free(wanted);
    return status;
}

static mary_status node_step(const reverse *r, mary_tape_step *step)
{
    mary_tape *tape = r->tape;
    const mary_op_gradient *gradient = step->call.op->gradient;
    bool taken = false;
    if (gradient == NULL)
        return mary_op_fail(&step->call, MARY_ERROR_UNSUPPORTED, "gradients do not flow through this operator");
    if (gradient->check != NULL)
        MARY_TRY(gradient->check(&step->call));
    for (int i = 0; i < step->input_count; i++) {
        int slot = step->inputs[i];
        if (slot < 0 || (step->residual >= 0 && i == MARY_RESIDUAL_INPUT) || !tape->slots[slot].differentiable)
            continue;
        if (i >= 64 || !((gradient->inputs >> i) & 1)) {
            if (tape->slots[slot].place == MARY_TAPE_PARAMETER)
                continue;
            return mary_op_fail(&step->call, MARY_ERROR_UNSUPPORTED, "gradients do not flow through its input %d", i);
        }
        if ((gradient->flags & MARY_GRADIENT_PASS) && same_form(tape, slot, step->outputs[0])) {
            MARY_TRY(pass(r, step, i, &taken));
            continue;
        }
        step->wanted[i] = step->compute = true;
        if (i == 0 && step->input_count == 1 && (gradient->flags & MARY_GRADIENT_IN_PLACE) &&
            same_form(tape, slot, step->outputs[0]) && take_over(r, step->outputs[0], slot))
            continue;
        MARY_TRY(contribute(r, slot, &step->accumulate[i]));
    }
    if (step->compute) {
        for (int i = 0; i < step->input_count; i++) {
            if (i >= 64 || ((gradient->reads_inputs >> i) & 1))
                touch_value(r, step->inputs[i]);
        }
        for (int i = 0; i < step->output_count; i++) {
            if ((gradient->reads_outputs >> i) & 1)
                touch_value(r, step->outputs[i]);
        }
        MARY_TRY(backward_scratch(r, step));
    }
    if (step->call.epilogue.activation != MARY_ACTIVATION_NONE)
        touch_value(r, step->outputs[0]);
    if (step->residual >= 0 && tape->slots[step->residual].differentiable)
        MARY_TRY(pass(r, step, MARY_RESIDUAL_INPUT, &taken));
    return MARY_OK;
}

mary_status mary_tape_backward(mary_tape *tape, const mary_parallel *parallel)
{
    const int steps = (int)tape->step_count;
    reverse r = {.tape = tape, .parallel = parallel, .step = steps, .time = steps};
    mary_tape_slot *output = &tape->slots[tape->output];
    bool unused;
    if (!output->differentiable || output->place != MARY_TAPE_BUFFER)
        return mary_fail(MARY_ERROR_USAGE, "no parameter has an influence on the output that the loss is taken of");
    MARY_TRY(contribute(&r, tape->output, &unused));
    for (int s = steps - 1; s >= 0; s--) {
        mary_tape_step *step = &tape->steps[s];
        bool any = false;
        r.step = s;
        r.time = 2 * steps - s;
        for (int i = 0; i < step->input_count; i++)
            any = any || (step->inputs[i] >= 0 && tape->slots[step->inputs[i]].differentiable);
        if (!any || !has_gradient(tape, step))
            continue;
        step->backward = true;
        for (int i = 0; i < step->output_count; i++) {
            if (step->outputs[i] >= 0)
                touch_gradient(&r, step->outputs[i]);
        }
        MARY_TRY(step->kind == MARY_TAPE_NODE ? node_step(&r, step) : copy_step(&r, step));
    }
    return MARY_OK;
}
