#include "convert/calibrate/excerpt.h"

#include <string.h>

#include "onnx/uses.h"

typedef struct marks {
    const mary_graph_index *index;
    bool *nodes, *initializers;
} marks;

static mary_status mark_use(void *context, char **slot)
{
    marks *m = context;
    ptrdiff_t producer = mary_graph_producer(m->index, *slot), initializer = mary_graph_initializer(m->index, *slot);
    if (producer >= 0)
        m->nodes[producer] = true;
    if (initializer >= 0)
        m->initializers[initializer] = true;
    return MARY_OK;
}

mary_status mary_model_excerpt(const mary_model *model, const char *const *values, size_t count, mary_model **excerpt)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    mary_graph_index *index = NULL;
    mary_status status = MARY_OK;
    *excerpt = NULL;
    Onnx__ValueInfoProto *outputs = mary_calloc(count + 1, sizeof *outputs);
    Onnx__ValueInfoProto **output_list = mary_calloc(count + 1, sizeof *output_list);
    Onnx__NodeProto **nodes = mary_calloc(graph->n_node + 1, sizeof *nodes);
    Onnx__TensorProto **initializers = mary_calloc(graph->n_initializer + 1, sizeof *initializers);
    marks m = {.nodes = mary_calloc(graph->n_node + 1, 1), .initializers = mary_calloc(graph->n_initializer + 1, 1)};
    if (outputs == NULL || output_list == NULL || nodes == NULL || initializers == NULL || m.nodes == NULL ||
        m.initializers == NULL) {
        status = mary_fail_memory(graph->n_node);
        goto done;
    }
    MARY_TRY_GOTO(mary_graph_index_create(graph, &index), done);
    m.index = index;
    /* Borrowed messages in a graph of our own, which is then copied: what is not needed is never copied. */
    Onnx__GraphProto part = *graph;
    Onnx__ModelProto proto = *model->proto;
    mary_model borrowed = *model;
    for (size_t i = 0; i < count; i++) {
        onnx__value_info_proto__init(&outputs[i]);
        outputs[i].name = (char *)(uintptr_t)values[i];
        output_list[i] = &outputs[i];
        char *name = outputs[i].name;
        MARY_TRY_GOTO(mark_use(&m, &name), done);
    }
    for (size_t i = graph->n_node; i-- > 0;) {
        if (m.nodes[i])
            MARY_TRY_GOTO(mary_node_visit_uses(graph->node[i], mark_use, &m), done);
    }
    part.n_node = part.n_initializer = part.n_value_info = 0;
    part.node = nodes;
    part.initializer = initializers;
    part.output = output_list;
    part.n_output = count;
    for (size_t i = 0; i < graph->n_node; i++) {
        if (m.nodes[i])
            nodes[part.n_node++] = graph->node[i];
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (m.initializers[i] || mary_graph_is_input(index, graph->initializer[i]->name))
            initializers[part.n_initializer++] = graph->initializer[i];
    }
    proto.graph = &part;
    borrowed.proto = &proto;
    MARY_TRY_GOTO(mary_model_copy(&borrowed, excerpt), done);
done:
    mary_graph_index_free(&index);
    mary_free(outputs);
    mary_free(output_list);
    mary_free(nodes);
    mary_free(initializers);
    mary_free(m.nodes);
    mary_free(m.initializers);
    return status;
}
