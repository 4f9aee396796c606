/* Which nodes of a graph get levels, and which settings each has. */
#ifndef MARY_CONVERT_CHOOSE_H
#define MARY_CONVERT_CHOOSE_H

#include "convert/report.h"
#include "convert/settings.h"
#include "onnx/edit.h"

/* Names of the nodes that settings may speak of, taken before any pass touches the graph. */
typedef struct mary_original_names {
    struct mary_original_name {
        const Onnx__NodeProto *node; /* compared only */
        char *name;
    } * items;
    size_t count, capacity;
} mary_original_names;

/* Every node of the main graph; tells `settings` which globs match and checks that all do. */
mary_status mary_original_names_take(const mary_model *model, mary_settings *settings, mary_original_names *names);
void mary_original_names_free(mary_original_names *names);
/* The name that `node` had, or what mary_node_label says now for a node that was not there. */
const char *mary_original_name(const mary_original_names *names, const Onnx__NodeProto *node);

/* One Conv, ConvTranspose, Gemm or MatMul of the main graph. */
typedef struct mary_layer {
    Onnx__NodeProto *node;
    mary_layer_kind kind;
    char *name;   /* the original one */
    char *weight; /* name of the initializer; NULL when it is not one */
    mary_layer_settings settings;
    mary_layout_rows layout; /* valid when weight is not NULL and reason is NULL */
    mary_type type;
    char *reason; /* why it stays float; NULL: it does not */
    char *note;   /* what was done other than asked; NULL: nothing */
    size_t
        same_as; /* index of the first layer with the same weight read the same way; its own index: it is the first */
    bool first_or_last;
    float *importance; /* [rows, row_length]: how often a weight's squared error counts; NULL: all the same */
    struct mary_quantized_set
        *given;       /* levels and codes [rows, row_length] chosen with other layers; NULL: not. Owned */
    size_t levels_of; /* with `given`: index of the first layer that has these levels */
} mary_layer;

typedef struct mary_layers {
    mary_layer *items;
    size_t count, capacity;
} mary_layers;

/* Collects all layers in graph order and settles what can be said without looking at the weights' values. */
mary_status mary_layers_choose(const mary_model *model, const mary_settings *settings, const mary_original_names *names,
                               mary_layers *layers);
void mary_layers_free(mary_layers *layers);
/* Replaces *text by a formatted string. */
mary_status mary_layer_say(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
