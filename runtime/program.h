/* A program: the model's graph with every operator resolved, constants decoded, folded and packed, and activations
 * fused. What does not depend on the shapes of the inputs happens here, once, at load. Immutable after
 * mary_program_create. */
#ifndef MARY_RUNTIME_PROGRAM_H
#define MARY_RUNTIME_PROGRAM_H

#include "onnx/names.h"
#include "ops/cpu.h"
#include "ops/op.h"

typedef struct mary_program_value {
    const char *name;           /* in the model, or "" */
    mary_tensor tensor;         /* constants: type, shape and data */
    Onnx__TensorProto *message; /* the initializer whose bytes `tensor.data` borrows; NULL: none */
    void *owned;                /* memory of a constant that is ours */
    bool constant;
    bool parameter; /* training only: a constant of the file whose values will change; `constant` is false then */
    bool graph_output;
    int producer; /* node that makes it; -1: none */
    int uses;     /* node inputs that read it, plus one for each graph output that it is */
} mary_program_value;

typedef struct mary_program_node {
    mary_op_node node;
    char *name;   /* never empty; what node.name points at */
    char *label;  /* "Conv+Relu" */
    int *inputs;  /* value numbers; -1: absent; there is room for a residual */
    int *outputs; /* value numbers; -1: unused */
    int input_count, output_count;
    mary_type half; /* float16 or bfloat16 when a constant input was converted from it; else undefined */
    bool removed;   /* folded, fused into another or without use */
} mary_program_node;

typedef struct mary_program_port { /* a graph input or output */
    const char *name;
    int value;
    const Onnx__ValueInfoProto *info;
} mary_program_port;

typedef struct mary_program {
    mary_model *model;
    bool borrowed; /* the model is somebody else's and stays as it is */
    mary_cpu cpu;
    mary_names names;
    mary_program_value *values;
    size_t value_count, value_capacity;
    mary_program_node *nodes;
    size_t node_count;
    mary_program_port *inputs, *outputs;
    int input_count, output_count;
    Onnx__NodeProto **kept; /* attributes of operators that the file does not have */
    size_t kept_count, kept_capacity;
} mary_program;

/* Takes *model over (cleared, on failure too). `parallel` is for work done at load. */
mary_status mary_program_create(mary_model **model, mary_cpu cpu, bool fuse, const mary_parallel *parallel,
                                mary_program **program);
void mary_program_free(mary_program **program);

/* A program to be trained: nothing is fused; float initializers with at least one dim that some node can give a
 * gradient become parameters, which are neither folded nor packed; what `gradient->pack` packs is left to the trainer.
 */
mary_status mary_program_create_training(mary_model **model, mary_cpu cpu, const mary_parallel *parallel,
                                         mary_program **program);

/* A program for shape inference only: the model is borrowed and not changed, nothing is folded, fused or packed, and
 * nodes without an operator are left out instead of being an error. */
mary_status mary_program_create_shapes(mary_model *model, mary_program **program);

/* Steps of mary_program_create, each in its own file. */
/* fold.c; `keep_dequantize`: what DequantizeLinear makes of constants stays for mary_program_u8 to see. */
mary_status mary_program_fold(mary_program *program, bool keep_dequantize, const mary_parallel *parallel);
mary_status mary_program_u8(mary_program *program);      /* u8.c */
mary_status mary_program_shuffle(mary_program *program); /* fuse_shuffle.c */
mary_status mary_program_fuse(mary_program *program);    /* fuse.c */

/* Number of the value of that name; -1: there is none. */
int mary_program_find(const mary_program *program, const char *name);
/* A new value, number in *value. The name must live as long as the program. */
mary_status mary_program_add_value(mary_program *program, const char *name, int *value);
/* Takes a node message over, to be freed with the program; on failure it is the caller's. */
mary_status mary_program_keep(mary_program *program, Onnx__NodeProto *proto);
/* Marks nodes as removed whose outputs nobody uses. */
void mary_program_remove_unused(mary_program *program);
/* One use less; a constant that nobody uses any more gives its memory back. */
void mary_program_release_use(mary_program *program, int value);

#endif
