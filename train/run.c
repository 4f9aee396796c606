/* Runs a tape: forward over the steps, then back. Nothing is allocated between. */
#include <string.h>

#include "onnx/memory.h"
#include "ops/unary.h" /* MARY_INDEPENDENT */
#include "runtime/relayout.h"
#include "train/tape.h"

typedef struct run_step {
    mary_op_call forward;
    mary_gradient_call backward[2]; /* gradients, second derivatives */
} run_step;

struct mary_tape_run {
    const mary_tape *tape;
    const mary_parallel *parallel;
    char *arena;
    mary_tensor *values, *gradients[2]; /* per slot */
    run_step *steps;
    void **pointers; /* what the calls' lists point into */
};

static void *buffer_memory(const mary_tape_run *run, int buffer)
{
    return buffer >= 0 ? run->arena + run->tape->buffers[buffer].offset : run->arena;
}

static mary_status create_tensors(mary_tape_run *run)
{
    const mary_tape *tape = run->tape;
    size_t count = tape->slot_count;
    run->arena = mary_alloc_aligned(tape->arena_bytes);
    run->values = mary_calloc(count, sizeof *run->values);
    run->gradients[0] = mary_calloc(count, sizeof *run->values);
    run->gradients[1] = mary_calloc(count, sizeof *run->values);
    if (run->arena == NULL || run->values == NULL || run->gradients[0] == NULL || run->gradients[1] == NULL)
        return mary_fail_memory(tape->arena_bytes);
    for (size_t i = 0; i < count; i++) {
        const mary_tape_slot *slot = &tape->slots[i];
        run->values[i] = run->gradients[0][i] = run->gradients[1][i] = slot->tensor;
        if (slot->place == MARY_TAPE_BUFFER)
            run->values[i].data = buffer_memory(run, slot->index);
        for (int order = 0; order < 2; order++)
            run->gradients[order][i].data =
                slot->gradient[order] >= 0 ? buffer_memory(run, slot->gradient[order]) : NULL;
    }
    return MARY_OK;
}

static mary_status create_calls(mary_tape_run *run)
{
    const mary_tape *tape = run->tape;
    size_t total = 0;
    for (size_t s = 0; s < tape->step_count; s++)
        total += 3 * (size_t)tape->steps[s].input_count + 3 * (size_t)tape->steps[s].output_count;
    run->steps = mary_calloc(tape->step_count, sizeof *run->steps);
    run->pointers = mary_calloc(total, sizeof *run->pointers);
    if (run->steps == NULL || run->pointers == NULL)
        return mary_fail_memory(total * sizeof *run->pointers);
    void **next = run->pointers;
    for (size_t s = 0; s < tape->step_count; s++) {
        const mary_tape_step *step = &tape->steps[s];
        run_step *calls = &run->steps[s];
        const int in = step->input_count, out = step->output_count;
        calls->forward = (mary_op_call){.inputs = (const mary_tensor *const *)next,
                                        .input_count = in,
                                        .outputs = (mary_tensor *const *)(next + in),
                                        .output_count = out,
                                        .scratch = buffer_memory(run, step->scratch[0]),
                                        .parallel = run->parallel};
        for (int i = 0; i < in; i++)
            *next++ = step->inputs[i] < 0 ? NULL : &run->values[step->inputs[i]];
        for (int i = 0; i < out; i++)
            *next++ = step->outputs[i] < 0 ? NULL : &run->values[step->outputs[i]];
        for (int order = 0; order < 2; order++) {
            calls->backward[order] = (mary_gradient_call){.forward = &calls->forward,
                                                          .input_gradients = (mary_tensor *const *)next,
                                                          .output_gradients = (const mary_tensor *const *)(next + in),
                                                          .accumulate = step->accumulate,
                                                          .second = order == 1,
                                                          .scratch = buffer_memory(run, step->scratch[1 + order]),
                                                          .parallel = run->parallel};
            for (int i = 0; i < in; i++)
                *next++ = step->wanted[i] ? &run->gradients[order][step->inputs[i]] : NULL;
            for (int i = 0; i < out; i++)
                *next++ = step->outputs[i] >= 0 && tape->slots[step->outputs[i]].gradient[0] >= 0
                              ? &run->gradients[order][step->outputs[i]]
                              : NULL;
        }
        calls->backward[1].output_firsts = calls->backward[0].output_gradients;
    }
    return MARY_OK;
}

mary_status mary_tape_run_create(const mary_tape *tape, const mary_parallel *parallel, mary_tape_run **result)
{
    mary_tape_run *run = mary_calloc(1, sizeof *run);
    *result = NULL;
    if (run == NULL)
        return mary_fail_memory(sizeof *run);
    run->tape = tape;
    run->parallel = parallel;
    mary_status status = create_tensors(run);
    if (status == MARY_OK)
        status = create_calls(run);
    if (status != MARY_OK)
        mary_tape_run_free(&run);
    *result = run;
    return status;
}

void mary_tape_run_free(mary_tape_run **run_pointer)
{
    mary_tape_run *run = *run_pointer;
    if (run == NULL)
        return;
    mary_free(run->arena);
    mary_free(run->values);
    mary_free(run->gradients[0]);
    mary_free(run->gradients[1]);
    mary_free(run->steps);
    mary_free(run->pointers);
    mary_free(run);
    *run_pointer = NULL;
}

/* ---- forward ---- */

mary_status mary_tape_forward(mary_tape_run *run, void *const *inputs, float *const *parameters,
                              const mary_tensor **output)
{
    const mary_tape *tape = run->tape;
    for (size_t i = 0; i < tape->slot_count; i++) {
        const mary_tape_slot *slot = &tape->slots[i];
        if (slot->place == MARY_TAPE_INPUT)
            run->values[i].data = inputs[slot->index];
        else if (slot->place == MARY_TAPE_PARAMETER)
            run->values[i].data = parameters[slot->index];
    }
    for (size_t s = 0; s < tape->step_count; s++) {
        const mary_tape_step *step = &tape->steps[s];
        mary_op_call *call = &run->steps[s].forward;
        if (step->kind == MARY_TAPE_NODE)
            MARY_TRY(step->call.op->run(&step->call, call));
        else if (step->kind == MARY_TAPE_LAYOUT)
            mary_relayout(call->inputs[0], call->outputs[0], run->parallel);
    }
    *output = &run->values[tape->output];
    return MARY_OK;
}

float *mary_tape_output_gradient(mary_tape_run *run, bool second)
{
    return run->gradients[second][run->tape->output].data;
}

/* ---- back ---- */

/* What a fused clip leaves of a gradient, told from what it gave. */
typedef struct mask {
    const float *y;
    float *gradient;
    float low, high;
} mask;

static void mask_task(void *context, int64_t begin, int64_t end, int thread)
{
    const mask *m = context;
    const float *y = m->y, low = m->low, high = m->high;
    float *gradient = m->gradient;
    (void)thread;
    MARY_INDEPENDENT
    for (int64_t i = begin; i < end; i++)
        gradient[i] = (y[i] > low) & (y[i] < high) ? gradient[i] : 0.0f;
}

static void reverse_copy(mary_tape_run *run, const mary_tape_step *step, const run_step *calls, int order)
{
    const mary_tensor *from = calls->backward[order].output_gradients[0];
    mary_tensor *to = &run->gradients[order][step->inputs[0]];
    if (!step->accumulate[0]) {
        mary_relayout(from, to, run->parallel);
        return;
    }
    mary_tensor copy = *to;
    copy.data = calls->backward[0].scratch;
    mary_relayout(from, &copy, run->parallel);
    mary_gradient_add(to->data, copy.data, mary_shape_count(&to->shape), 1.0f, true);
}

static mary_status reverse_step(mary_tape_run *run, const mary_tape_step *step, const run_step *calls)
{
    const mary_epilogue *epilogue = &step->call.epilogue;
    /* The second derivative first: it may look at the gradient, which the gradient's own step may overwrite. */
    const int orders = run->tape->second ? 2 : 1;
    if (step->kind == MARY_TAPE_NODE && epilogue->activation != MARY_ACTIVATION_NONE) {
        for (int order = 0; order < orders; order++) {
            const mary_tensor *y = &run->values[step->outputs[0]];
            mask m = {y->data, run->gradients[order][step->outputs[0]].data, epilogue->alpha, epilogue->beta};
            mary_parallel_for(run->parallel, mary_shape_count(&y->shape), 16384, mask_task, &m);
        }
    }
    for (int order = orders - 1; order >= 0; order--) {
        if (step->compute && step->kind == MARY_TAPE_LAYOUT)
            reverse_copy(run, step, calls, order);
        else if (step->compute)
            MARY_TRY(step->call.op->gradient->backward(&step->call, &calls->backward[order]));
        for (int i = 0; i < step->input_count; i++) {
            if (!step->add[i])
                continue;
            const mary_tensor *from = &run->gradients[order][step->outputs[0]];
            mary_tensor *to = &run->gradients[order][step->inputs[i]];
            mary_gradient_add(to->data, from->data, mary_shape_count(&to->shape), 1.0f, step->accumulate[i]);
        }
    }
    return MARY_OK;
}

mary_status mary_tape_reverse(mary_tape_run *run, float *const *gradients, float *const *seconds)
{
    const mary_tape *tape = run->tape;
    for (size_t i = 0; i < tape->slot_count; i++) {
        if (tape->slots[i].place != MARY_TAPE_PARAMETER)
            continue;
        run->gradients[0][i].data = gradients[tape->slots[i].index];
        run->gradients[1][i].data = seconds != NULL ? seconds[tape->slots[i].index] : NULL;
    }
    for (size_t s = tape->step_count; s-- > 0;) {
        if (tape->steps[s].backward)
            MARY_TRY(reverse_step(run, &tape->steps[s], &run->steps[s]));
    }
    return MARY_OK;
}
