/* A tape: one forward and backward pass of a program for one set of input shapes, planned once. Immutable; threads
 * share it, each with a run of its own.
 *
 * Slots are the tensors that steps read and write. Values and gradients live in one arena, each from the step that
 * makes it to the last one, forward or backward, that looks at it; what no backward step reads is gone as soon as it
 * was used. Time runs from 0, the first forward step, over `steps`, the loss, to 2 * steps, the backward half of step
 * 0.
 */
#ifndef MARY_TRAIN_TAPE_H
#define MARY_TRAIN_TAPE_H

#include "ops/gradient.h"
#include "runtime/program.h"
#include "runtime/shapes.h"

typedef enum mary_tape_place {
    MARY_TAPE_CONSTANT,  /* data is in `tensor` */
    MARY_TAPE_PARAMETER, /* program value `index`; the trainer's memory, its gradient too */
    MARY_TAPE_INPUT,     /* the caller's memory: graph input `index` */
    MARY_TAPE_BUFFER     /* arena: buffer `index` */
} mary_tape_place;

typedef struct mary_tape_slot {
    mary_tensor tensor;
    mary_tape_place place;
    int index;
    bool differentiable; /* parameters have an influence on it, or it is one */
    int gradient[2];     /* buffers of the gradient and of the second derivative; -1: none */
} mary_tape_slot;

typedef struct mary_tape_buffer {
    size_t bytes, offset;
    int first, last;
} mary_tape_buffer;

typedef enum mary_tape_kind {
    MARY_TAPE_NODE,
    MARY_TAPE_VIEW,  /* outputs[0] is the memory of inputs[0] with another shape or layout; gradients likewise */
    MARY_TAPE_LAYOUT /* inputs[0] -> outputs[0] in the other layout */
} mary_tape_kind;

typedef struct mary_tape_step {
    mary_tape_kind kind;
    int node;              /* in the program */
    mary_op_node call;     /* the program's node with this tape's layout and epilogue */
    int *inputs, *outputs; /* slots; -1: absent */
    int input_count, output_count;
    int residual;     /* slot that is added to output 0; -1: none. It is inputs[call.epilogue.residual], too */
    int scratch[3];   /* buffers: of run, of backward, of backward's second; -1: none */
    bool backward;    /* some gradient flows through it */
    bool compute;     /* and the operator's own backward has something to do */
    bool *wanted;     /* per input: gradient is asked of the operator */
    bool *accumulate; /* per input */
    bool *add;        /* per input: gradient is that of output 0, added (or copied) as it is */
} mary_tape_step;

typedef struct mary_tape {
    const mary_program *program;
    mary_shapes shapes;
    bool second;
    mary_tape_slot *slots;
    size_t slot_count, slot_capacity;
    mary_tape_step *steps;
    size_t step_count, step_capacity;
    mary_tape_buffer *buffers;
    size_t buffer_count, buffer_capacity;
    int output; /* slot that the loss is taken of, plain */
    size_t arena_bytes;
    bool batch; /* some step needs the whole batch at once */
} mary_tape;

/* `inputs`: type and shape of each program input; `output`: the program value that the loss is taken of; `second`:
 * second derivatives, too. Nodes with gradient->pack must have been packed. A node on the way to the output without a
 * gradient is MARY_ERROR_UNSUPPORTED and named. */
mary_status mary_tape_create(const mary_program *program, const mary_tensor *inputs, int output, bool second,
                             const mary_parallel *parallel, mary_tape **tape);
void mary_tape_free(mary_tape **tape);

/* Steps of mary_tape_create. */
mary_status mary_tape_add_buffer(mary_tape *tape, size_t bytes, int first, int last, int *buffer);
mary_status mary_tape_backward(mary_tape *tape, const mary_parallel *parallel); /* backward.c */
mary_status mary_tape_place_buffers(mary_tape *tape);                           /* arena.c */

/* ---- running ---- */

typedef struct mary_tape_run mary_tape_run;

mary_status mary_tape_run_create(const mary_tape *tape, const mary_parallel *parallel, mary_tape_run **run);
void mary_tape_run_free(mary_tape_run **run);

/* `inputs`: data, one per program input. `parameters`: per program value, NULL where it is none. The result is a tensor
 * of the loss' output, plain. */
mary_status mary_tape_forward(mary_tape_run *run, void *const *inputs, float *const *parameters,
                              const mary_tensor **output);
/* After forward, with the gradient (and second derivative) of the loss by the output written to
 * mary_tape_output_gradient. `gradients` and `seconds`, per program value like `parameters`: are added to. */
float *mary_tape_output_gradient(mary_tape_run *run, bool second);
mary_status mary_tape_reverse(mary_tape_run *run, float *const *gradients, float *const *seconds);

#endif
