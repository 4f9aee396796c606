/* Inside of mary_model_upgrade: the walk (onnx/upgrade.c), what is known of values (onnx/upgrade_facts.c) and the rules
 * for operators (onnx/upgrade_rules.c, onnx/upgrade_resize.c, onnx/upgrade_softmax.c). */
#ifndef MARY_ONNX_UPGRADE_H
#define MARY_ONNX_UPGRADE_H

#include "onnx/edit.h"
#include "onnx/names.h"

/* What the file tells about a value, with no more inference than the rules need. */
typedef struct mary_fact {
    char *name;
    mary_type type;                 /* MARY_UNDEFINED: unknown */
    int rank;                       /* -1: unknown */
    bool is_defined;                /* by an initializer or a node; else only described */
    const Onnx__TensorProto *value; /* an initializer or Constant; else NULL */
} mary_fact;

typedef struct mary_facts {
    mary_names positions;
    mary_fact *facts;
    size_t count, capacity;
} mary_facts;

void mary_facts_free(mary_facts *facts);
/* Everything in a graph and its subgraphs; nodes are in topological order. */
mary_status mary_facts_add_graph(mary_facts *facts, const Onnx__GraphProto *graph);
mary_status mary_facts_add_node(mary_facts *facts, const Onnx__NodeProto *node);
/* NULL: nothing is known. Valid until the next addition. */
const mary_fact *mary_facts_find(const mary_facts *facts, const char *name);

/* The list of nodes that one node becomes: `before`, itself, `after`. */
typedef struct mary_upgrade {
    const mary_model *model;
    mary_graph_index *names;
    mary_facts *facts;
    int64_t version, target; /* the step to `version` is being made */
    Onnx__NodeProto **nodes; /* the new list */
    size_t count, capacity;
    Onnx__NodeProto **after;
    size_t after_count, after_capacity;
} mary_upgrade;

typedef mary_status mary_upgrade_rule(mary_upgrade *upgrade, Onnx__NodeProto *node);

/* NULL: the operator did not change at this version, or only grew. */
mary_upgrade_rule *mary_upgrade_rule_find(const char *op_type, int64_t version);

/* ---- for rules ---- */
/* MARY_ERROR_UNSUPPORTED with node, operator and version in front. */
mary_status mary_upgrade_fail(const mary_upgrade *upgrade, const Onnx__NodeProto *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A Constant in front of the node, read by its input `index`. */
mary_status mary_upgrade_constant(mary_upgrade *upgrade, Onnx__NodeProto *node, size_t index, const char *stem,
                                  const mary_tensor *tensor);
/* Puts a node in front of (behind) the one at hand; takes it over, on failure too. */
mary_status mary_upgrade_before(mary_upgrade *upgrade, Onnx__NodeProto *node);
mary_status mary_upgrade_after(mary_upgrade *upgrade, Onnx__NodeProto *node);
/* A node with one output, whose name is made from `output`'s and returned in *made (owned by the node). */
mary_status mary_upgrade_new_value(mary_upgrade *upgrade, const char *op_type, const char *const *inputs,
                                   size_t input_count, const char *output, Onnx__NodeProto **node);
/* Gives the node's output 0 a fresh name; *old is its former name, to be freed by the caller. */
mary_status mary_upgrade_detach_output(mary_upgrade *upgrade, Onnx__NodeProto *node, char **old);

/* Rules that have files of their own. */
mary_upgrade_rule mary_upgrade_upsample_9, mary_upgrade_upsample_10, mary_upgrade_resize_11;
mary_upgrade_rule mary_upgrade_softmax_13;

#endif
