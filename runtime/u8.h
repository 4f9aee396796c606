/* Integer subgraphs: what a model says as DequantizeLinear -> float operator -> QuantizeLinear runs on the integers
 * themselves. Private to runtime/u8*.c. */
#ifndef MARY_RUNTIME_U8_H
#define MARY_RUNTIME_U8_H

#include "runtime/program.h"
#include "runtime/shapes.h"

typedef struct mary_u8_graph {
    mary_program *program;
    int *readers; /* per value: a node that reads it; the only one where `uses` is 1. -1: none */
    size_t reader_count;
    mary_shapes probes[2]; /* shapes of two trials: dimensions that agree in both are the same */
} mary_u8_graph;

/* A u8 value and the constants that say what it stands for: (value - zero_point) * scale. */
typedef struct mary_quantized_value {
    int value, scale, zero_point; /* value numbers */
} mary_quantized_value;

/* Infers the shapes of both trials; false: the model cannot be tried. mary_u8_free in either case. */
bool mary_u8_probe(mary_u8_graph *graph);
void mary_u8_free(mary_u8_graph *graph);
bool mary_u8_is(const mary_program_node *node, const char *domain, const char *type);
/* The constant scalar of that value, or false. */
bool mary_u8_float(const mary_program *program, int value, float *result);
bool mary_u8_byte(const mary_program *program, int value, uint8_t *result);
/* `value` is what a DequantizeLinear with scalar scale makes of u8: fills in `from`. */
bool mary_u8_dequantized(const mary_program *program, int value, mary_quantized_value *from);
/* `node` is a QuantizeLinear to u8 with scalar scale: fills in `to` (value: its output). */
bool mary_u8_quantizes(const mary_program *program, const mary_program_node *node, mary_quantized_value *to);
bool mary_u8_same_parameters(const mary_program *program, const mary_quantized_value *a, const mary_quantized_value *b);
/* Both trials give the two values the same shape. */
bool mary_u8_same_shape(const mary_u8_graph *graph, int a, int b);

/* `node` reads `count` inputs instead of those that it has. */
mary_status mary_u8_set_inputs(mary_program *program, mary_program_node *node, const int *inputs, int count);
/* `node` runs another operator from now on, with the attributes of `attributes`. */
mary_status mary_u8_become(mary_program_node *node, const mary_op *op, const mary_program_node *attributes);
/* A new constant that takes `data` over (on failure, too); its number in *value. */
mary_status mary_u8_constant(mary_program *program, mary_type type, int64_t count, void *data, int *value);
mary_status mary_u8_label(mary_program_node *node, const char *type);

/* u8_table.c: when what `quantize` rounds is a function of one u8 value, element by element, it becomes a table of
 * 256 bytes. */
mary_status mary_u8_table(mary_u8_graph *graph, mary_program_node *quantize, bool *done);
/* u8_affine.c: BatchNormalization `node` between DequantizeLinear and `quantize` becomes a ChannelAffine. */
mary_status mary_u8_affine(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node, bool *done);
/* u8_mean.c: ReduceMean `node` over all axes behind the channels becomes a SpatialMean. */
mary_status mary_u8_mean(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node, bool *done);
/* u8_linear.c: Conv, Gemm or MatMul `node` with int8 weights becomes a MaryQLinear* node. */
mary_status mary_u8_linear(mary_u8_graph *graph, mary_program_node *quantize, mary_program_node *node, bool *done);
/* Takes the outputs of `quantize`, which goes. What lies between becomes unused. */
void mary_u8_take_result(mary_program *program, mary_program_node *node, mary_program_node *quantize);
/* u8_epilogue.c: additions and tables move into the MaryQLinear* node whose result they take. */
mary_status mary_u8_epilogues(mary_u8_graph *graph);

#endif
