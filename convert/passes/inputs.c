/* Initializers that are inputs of the graph, too. */
#include <stdio.h>
#include <string.h>

#include "convert/layer.h"
#include "convert/passes/passes.h"
#include "onnx/names.h"

enum { MOST_NAMED = 3 };

/* Names that a layer or a BatchNormalization uses as parameters: every input but the first. */
static mary_status collect_parameters(const Onnx__GraphProto *graph, mary_names *names)
{
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        if (mary_layer_kind_of(node) == MARY_LAYER_NONE && strcmp(node->op_type, "BatchNormalization") != 0)
            continue;
        for (size_t j = 1; j < node->n_input; j++) {
            if (node->input[j][0] != '\0')
                MARY_TRY(mary_names_put(names, node->input[j], 0));
        }
    }
    return MARY_OK;
}

mary_status mary_pass_inputs(mary_model *model, mary_convert_report *report)
{
    Onnx__GraphProto *graph = model->proto->graph;
    mary_names initializers = {0}, parameters = {0};
    mary_status status = MARY_OK;
    bool all = model->proto->ir_version < 4;
    char listed[256] = "";
    size_t count = 0, length = 0;
    for (size_t i = 0; i < graph->n_initializer; i++)
        MARY_TRY_GOTO(mary_names_put(&initializers, graph->initializer[i]->name, i), done);
    MARY_TRY_GOTO(collect_parameters(graph, &parameters), done);
    for (size_t i = graph->n_input; i-- > 0;) {
        const char *name = graph->input[i]->name;
        size_t position;
        if (!mary_names_get(&initializers, name, &position))
            continue;
        if (!all && (!mary_type_is_float((mary_type)graph->initializer[position]->data_type) ||
                     !mary_names_get(&parameters, name, NULL)))
            continue;
        if (count++ < MOST_NAMED && length + strlen(name) + 4 < sizeof listed)
            length += (size_t)snprintf(listed + length, sizeof listed - length, "%s'%s'", length > 0 ? ", " : "", name);
        mary_graph_remove_input(graph, i);
    }
    if (all) {
        model->proto->has_ir_version = true;
        model->proto->ir_version = 4;
    }
    if (count > 0)
        status = mary_convert_report_warn(report, "%zu inputs that have a constant value are no inputs any more: %s%s",
                                          count, listed, count > MOST_NAMED ? ", ..." : "");
done:
    mary_names_free(&initializers);
    mary_names_free(&parameters);
    return status;
}
