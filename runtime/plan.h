/* A plan: everything about running a program that follows from the shapes of its inputs. Immutable once made; shared by
 * threads.
 *
 * Slots are the tensors that steps read and write: one per program value, then copies in another layout or type. A slot
 * lives in the arena, in memory of a graph input or output, in a constant, or (when its shape depends on data) in
 * memory that a run allocates.
 */
#ifndef MARY_RUNTIME_PLAN_H
#define MARY_RUNTIME_PLAN_H

#include "runtime/program.h"
#include "runtime/shapes.h"

typedef enum mary_place {
    MARY_PLACE_NONE = 0, /* never materialised */
    MARY_PLACE_CONSTANT, /* data is in `tensor` */
    MARY_PLACE_INPUT,    /* the caller's memory: graph input `index` */
    MARY_PLACE_ARENA,    /* at `offset` */
    MARY_PLACE_OUTPUT,   /* the caller's memory: graph output `index`, which no step reads */
    MARY_PLACE_ALIAS,    /* the memory of slot `index` */
    MARY_PLACE_DYNAMIC   /* allocated during the run; shape is not known before */
} mary_place;

typedef struct mary_slot {
    mary_tensor tensor;
    mary_place place;
    int index;       /* see mary_place */
    size_t offset;   /* in the arena, bytes */
    int first, last; /* steps between which the arena memory is needed */
    bool shared;     /* other slots are views of this memory: it must not be overwritten in place */
} mary_slot;

typedef enum mary_step_kind {
    MARY_STEP_NODE,    /* op->run with everything known */
    MARY_STEP_DYNAMIC, /* mary_node_evaluate: shapes follow from data */
    MARY_STEP_LAYOUT,  /* inputs[0] -> outputs[0] in the other layout */
    MARY_STEP_CONVERT, /* inputs[0] -> outputs[0], float <-> half */
    MARY_STEP_VIEW     /* nothing to do: outputs[0] is the memory of inputs[0]; only in plans for observers */
} mary_step_kind;

typedef struct mary_step {
    mary_step_kind kind;
    int node;    /* position in the program; of the node that it serves for LAYOUT and CONVERT */
    int *inputs; /* slots; -1: absent */
    int *outputs;
    int input_count, output_count;
    int scratch;       /* slot; -1: none */
    mary_op_node call; /* the program's node with this plan's layout flag */
} mary_step;

typedef struct mary_plan {
    const mary_program *program;
    mary_shapes shapes;
    mary_slot *slots;
    size_t slot_count, slot_capacity;
    mary_step *steps;
    size_t step_count, step_capacity;
    int *outputs; /* slot of each graph output, plain */
    size_t arena_bytes;
} mary_plan;

/* `inputs`: one tensor per program input (type and shape). With `every_value`, all values keep memory of their own and
 * are computed in the layout that ONNX prescribes, for observers. */
mary_status mary_plan_create(const mary_program *program, const mary_tensor *inputs, bool channels_last,
                             bool every_value, const mary_parallel *parallel, mary_plan **plan);
void mary_plan_free(mary_plan **plan);

/* The slot whose memory `slot` uses, and how many bytes behind its beginning. */
int mary_plan_root(const mary_plan *plan, int slot, size_t *offset);

/* join.c: producers of a channel-wise Concat (the last step) write their share of its output themselves where they can.
 * `readers[i]` is the number of reads left of input i's value, this step's included. */
void mary_plan_join(mary_plan *plan, const int *readers);

/* outputs.c: graph outputs that can be written straight into the caller's memory become MARY_PLACE_OUTPUT. */
void mary_plan_direct_outputs(mary_plan *plan);

/* arena.c: gives every MARY_PLACE_ARENA slot an offset such that slots whose lives overlap do not share bytes. */
mary_status mary_plan_place(mary_plan *plan);

#endif
