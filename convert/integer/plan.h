/* Which tensors of a graph become u8, which of them share a scale, and what becomes of every node. Nothing is changed
 * here. */
#ifndef MARY_CONVERT_INTEGER_PLAN_H
#define MARY_CONVERT_INTEGER_PLAN_H

#include "convert/calibrate/collect.h"
#include "convert/calibrate/range.h"
#include "convert/choose.h"

#define MARY_NO_VALUE SIZE_MAX

typedef enum mary_role {
    MARY_ROLE_FLOAT = 0, /* as it is; reads and makes float */
    MARY_ROLE_LAYER,     /* becomes a MaryQLinear operator */
    MARY_ROLE_KEEP,      /* moves, selects or averages values: inputs and outputs have one scale */
    MARY_ROLE_JOIN,      /* Concat: one scale where the ranges are alike */
    MARY_ROLE_MIX,       /* arithmetic; the output has a scale of its own */
    MARY_ROLE_ELEMENT,  /* computes each element from the same element of one u8 tensor: float between that and the next
                           u8 tensor */
    MARY_ROLE_ABSORBED, /* ReLU or Clip done by the saturation of the node before it */
    MARY_ROLE_SHAPE     /* reads only the shape of its input */
} mary_role;

typedef struct mary_integer_plan_node {
    mary_role role;
    size_t layer; /* LAYER: its index in mary_layers */
    bool useful;  /* an integer operator comes after it, or it is one that is worth it by itself */
    size_t made;  /* LAYER, MIX: the value it makes, that of the ReLU it absorbed when there is one; MARY_NO_VALUE:
                     several */
    const char *reason; /* FLOAT: why, in static storage; NULL: no float activations pass through it */
} mary_integer_plan_node;

typedef struct mary_integer_plan_value {
    const char *name;           /* of the statistics */
    ptrdiff_t producer;         /* position of the node; -1: a graph input */
    size_t consumers;           /* nodes; graph outputs count one more */
    bool usable;                /* float, seen, finite */
    bool available;             /* an integer operator makes it, or an ELEMENT from such */
    bool stored;                /* u8 */
    bool float_needed;          /* stored and made by an integer operator, but read as float somewhere */
    size_t source;              /* ELEMENT results: the u8 value that they are computed from; else the value itself */
    size_t parent;              /* of the union-find of equal scales; the root is its own */
    double clip_low, clip_high; /* what the absorbed ReLU or Clip allows */
} mary_integer_plan_value;

typedef struct mary_integer_plan {
    const Onnx__GraphProto *graph;
    mary_graph_index *index;
    const mary_statistics *statistics;
    mary_integer_plan_node *nodes;   /* [graph->n_node] */
    mary_integer_plan_value *values; /* [statistics->count], in the order of the statistics */
    size_t node_count, value_count;
} mary_integer_plan;

/* What is settled without ranges. Values whose histogram saw nothing finite are not usable once there are histograms.
 * The graph must not change while the plan lives. */
mary_status mary_integer_plan_create(const mary_model *model, const mary_layers *layers,
                                     const mary_statistics *statistics, mary_integer_plan *plan);
void mary_integer_plan_free(mary_integer_plan *plan);
/* Marks the statistics that the plan needs: ranges of stored values, means of layers' inputs. */
void mary_integer_plan_want(const mary_integer_plan *plan, const mary_layers *layers, mary_statistics *statistics);
/* The value of a name; MARY_NO_VALUE. */
size_t mary_integer_plan_value_of(const mary_integer_plan *plan, const char *name);
/* The representative of a value's set of equal scales. */
size_t mary_integer_plan_root(const mary_integer_plan *plan, size_t value);

/* ---- operators (operators.c) ---- */
/* What a node of the standard domain could be, looking at itself only, and its activation inputs: KEEP, JOIN, MIX,
 * ELEMENT, SHAPE or FLOAT. */
typedef struct mary_operator_kind {
    mary_role role;
    bool pool;          /* worth integers even at the end of the graph */
    const char *reason; /* FLOAT: static */
} mary_operator_kind;

mary_status mary_operator_kind_of(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                                  mary_operator_kind *kind);
/* Is input `i` of the node an activation (not a parameter such as axes or sizes)? */
bool mary_operator_reads(const Onnx__NodeProto *node, mary_role role, size_t i);
/* ReLU, or Clip whose bounds are constant with low <= 0 <= high. */
mary_status mary_operator_clip(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node,
                               bool *is_clip, double *low, double *high);

/* ---- scales (scales.c) ---- */
/* For every root of a stored value: its histogram merged over all that share it, range and step. */
typedef struct mary_scale {
    mary_histogram histogram;
    const mary_range_method *method;
    mary_range range;
    mary_u8_step step;
    size_t tensors;
} mary_scale;

typedef struct mary_scales {
    mary_scale *items; /* [plan->value_count], used at roots */
    size_t count;
} mary_scales;

/* Merges histograms and lets Concat share scales where ranges are alike. */
mary_status mary_scales_create(mary_integer_plan *plan, mary_scales *scales);
/* Sets range and step of every root. */
void mary_scales_choose(const mary_integer_plan *plan, mary_scales *scales, const mary_range_method *method);
void mary_scales_free(mary_scales *scales);

#endif
