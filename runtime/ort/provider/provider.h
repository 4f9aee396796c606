/* The execution provider: claims subgraphs of ONNX Runtime's graph, turns each into a model of ours, and runs it in a
 * session of ours, on ONNX Runtime's threads and in its memory.
 *
 *   factory.c   what ONNX Runtime loads: the factory, its device, one provider for each session
 *   claim.c     which nodes become ours, in which groups
 *   node.c      one of its nodes as a NodeProto
 *   graph.c     one of its graphs as a model
 *   compute.c   compiling a group, and running it
 */
#ifndef MARY_RUNTIME_ORT_PROVIDER_H
#define MARY_RUNTIME_ORT_PROVIDER_H

#include "runtime/ort/ort.h"

/* Version 23 of ONNX Runtime's API is the first with plugin execution providers. */
enum { MARY_ORT_API_VERSION = 23 };

#define MARY_ORT_PROVIDER_NAME "MaryExecutionProvider"

/* What a session may set, with "ep.maryexecutionprovider." in front where ONNX Runtime keeps it. */
typedef struct mary_ort_options {
    bool claim_all; /* claim: "all": networks without ai.mary operators, too; "coded" (default): only groups with one */
    int threads;    /* threads: into how many pieces work is cut; 0 (default): as many as the session's pool has */
} mary_ort_options;

typedef struct mary_ort_provider {
    OrtEp base; /* first: ONNX Runtime holds a pointer to it */
    const OrtApi *api;
    const OrtEpApi *ep_api;
    mary_ort_options options;
    bool one_round; /* up to 1.24, ONNX Runtime numbers groups anew whenever it asks for them, and takes no two of one
                     * name: it asks again after it has inlined an operator that it has no kernel for */
    bool compiled;  /* the round is over */
} mary_ort_provider;

/* ---- claim.c ---- */
OrtStatus *ORT_API_CALL mary_ort_get_capability(OrtEp *self, const OrtGraph *graph, OrtEpGraphSupportInfo *support);

/* ---- compute.c ---- */
OrtStatus *ORT_API_CALL mary_ort_compile(OrtEp *self, const OrtGraph **graphs, const OrtNode **fused, size_t count,
                                         OrtNodeComputeInfo **infos, OrtNode **context_nodes);
void ORT_API_CALL mary_ort_release_infos(OrtEp *self, OrtNodeComputeInfo **infos, size_t count);

/* ---- node.c ---- */
/* What ONNX Runtime says of a value. `rank` is -1 when the shape is not known; scalars are told as unknown, too, since
 * its API does not tell these two apart. */
typedef struct mary_ort_value {
    const char *name; /* "": absent */
    mary_type type;   /* MARY_UNDEFINED: not a tensor, or of a type that mary does not have */
    int rank;
    int64_t dims[MARY_MAX_RANK];        /* -1: not known */
    const char *symbols[MARY_MAX_RANK]; /* names of dimensions; "": none */
} mary_ort_value;

/* `info` may be NULL: an absent optional value. Strings live as long as the graph. */
mary_status mary_ort_describe(const OrtApi *api, const OrtValueInfo *info, mary_ort_value *value);

/* The inputs or outputs of a node; the caller frees *infos with mary_free. Elements are NULL for absent ones. */
mary_status mary_ort_node_inputs(const OrtApi *api, const OrtNode *node, const OrtValueInfo ***infos, size_t *count);
mary_status mary_ort_node_outputs(const OrtApi *api, const OrtNode *node, const OrtValueInfo ***infos, size_t *count);

/* A message with the node's name, operator, inputs, outputs and attributes. MARY_ERROR_UNSUPPORTED: it has an attribute
 * of a kind that no operator of mary takes. The caller frees it with mary_node_free. */
mary_status mary_ort_node_message(const OrtApi *api, const OrtNode *node, Onnx__NodeProto **message);

/* ---- graph.c ---- */
/* A model without nodes that imports what the graph does. */
mary_status mary_ort_empty_model(const OrtApi *api, const OrtGraph *graph, mary_model **model);

/* All of the graph. Its inputs and outputs are those of `fused`, in that order. The bytes of initializers are lent: the
 * graph must live until a session has been made of the model. */
mary_status mary_ort_graph_model(const OrtApi *api, const OrtGraph *graph, const OrtNode *fused, mary_model **model);

/* Calls `function` of the API to fill an array of pointers that it has counted: used for all lists of a graph. */
#define MARY_ORT_LIST(api, count_function, list_function, of, items, count)                                            \
    (mary_ort_take(api, (api)->count_function(of, count)) != MARY_OK ? MARY_ERROR_INTERNAL                             \
     : (*(items) = mary_calloc(*(count), sizeof **(items))) == NULL                                                    \
         ? mary_fail_memory(*(count) * sizeof **(items))                                                               \
         : mary_ort_take(api, (api)->list_function(of, *(items), *(count))))

#endif
