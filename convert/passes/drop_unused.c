/* Initializers that no node, no subgraph and no output uses. */
#include "convert/passes/passes.h"

mary_status mary_pass_drop_unused(mary_model *model, mary_convert_report *report)
{
    (void)report;
    Onnx__GraphProto *graph = model->proto->graph;
    mary_graph_index *index = NULL;
    MARY_TRY(mary_graph_index_create(graph, &index));
    for (size_t i = graph->n_initializer; i-- > 0;) {
        const char *name = graph->initializer[i]->name;
        if (mary_graph_use_count(index, name) == 0 && !mary_graph_is_input(index, name))
            mary_graph_remove_initializer(graph, i);
    }
    mary_graph_index_free(&index);
    return MARY_OK;
}
