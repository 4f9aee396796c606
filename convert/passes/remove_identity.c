/* Identity, Dropout as it is at inference, and Pad by nothing, which exporters write before pooling. */
#include <string.h>

#include "convert/passes/passes.h"

static bool is_plain(const Onnx__NodeProto *node, const char *op)
{
    return strcmp(node->op_type, op) == 0 &&
           (node->domain == NULL || node->domain[0] == '\0' || strcmp(node->domain, "ai.onnx") == 0);
}

/* Pad whose constant pads are all 0. */
static bool pads_nothing(const mary_model *model, const mary_graph_index *index, const Onnx__NodeProto *node)
{
    const int64_t *pads = NULL;
    size_t count = 0;
    if (!is_plain(node, "Pad"))
        return false;
    if (mary_model_opset(model, "") < 11) {
        if (mary_attribute_ints(node, "pads", &pads, &count) != MARY_OK)
            return false;
        for (size_t i = 0; i < count; i++) {
            if (pads[i] != 0)
                return false;
        }
        return count > 0;
    }
    mary_constant constant;
    if (node->n_input < 2 || mary_graph_is_input(index, node->input[1]))
        return false;
    ptrdiff_t position = mary_graph_initializer(index, node->input[1]);
    if (position < 0 || mary_constant_decode(model, model->proto->graph->initializer[position], &constant) != MARY_OK)
        return false;
    bool nothing = constant.tensor.type == MARY_INT64;
    for (int64_t i = 0; nothing && i < mary_shape_count(&constant.tensor.shape); i++)
        nothing = ((const int64_t *)constant.tensor.data)[i] == 0;
    mary_constant_free(&constant);
    return nothing;
}

/* Does the node hand its input 0 on as output 0, whatever else may be in the model? */
static bool passes_through(const mary_model *model, const Onnx__NodeProto *node, const mary_graph_index *index)
{
    if (node->n_input < 1 || node->n_output < 1 || node->input[0][0] == '\0' || node->output[0][0] == '\0')
        return false;
    if (is_plain(node, "Identity"))
        return true;
    if (pads_nothing(model, index, node))
        return true;
    if (!is_plain(node, "Dropout"))
        return false;
    if (node->n_output > 1 && mary_graph_use_count(index, node->output[1]) > 0)
        return false;                                      /* the mask is used */
    return node->n_input < 3 || node->input[2][0] == '\0'; /* training_mode could be true */
}

static void remove_value_info(Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = graph->n_value_info; i-- > 0;) {
        if (strcmp(graph->value_info[i]->name, name) == 0)
            mary_graph_remove_value_info(graph, i);
    }
}

/* Takes the node at `position` out; false when it must stay: it connects an input, a constant or another output with an
 * output of the graph, and both names are needed. */
static mary_status take_out(Onnx__GraphProto *graph, const mary_graph_index *index, size_t position, bool *removed)
{
    Onnx__NodeProto *node = graph->node[position];
    const char *from = node->input[0], *to = node->output[0];
    *removed = false;
    if (!mary_graph_is_output(index, to)) {
        remove_value_info(graph, to);
        MARY_TRY(mary_graph_rename_uses(graph, to, from));
    } else {
        ptrdiff_t producer = mary_graph_producer(index, from);
        if (producer < 0 || mary_graph_is_output(index, from))
            return MARY_OK;
        remove_value_info(graph, from);
        Onnx__NodeProto *source = graph->node[producer];
        char *name = mary_strdup(from); /* `from` is freed while its uses are renamed */
        if (name == NULL)
            return mary_fail_memory(1);
        mary_status status = mary_graph_rename_uses(graph, name, to);
        for (size_t i = 0; i < source->n_output && status == MARY_OK; i++) {
            if (strcmp(source->output[i], name) == 0)
                status = mary_edit_string(&source->output[i], to);
        }
        mary_free(name);
        MARY_TRY(status);
    }
    mary_graph_remove_node(graph, position);
    *removed = true;
    return MARY_OK;
}

mary_status mary_pass_remove_identity(mary_model *model, mary_convert_report *report)
{
    (void)report;
    Onnx__GraphProto *graph = model->proto->graph;
    mary_graph_index *index = NULL;
    MARY_TRY(mary_graph_index_create(graph, &index));
    mary_status status = MARY_OK;
    for (size_t i = 0; i < graph->n_node && status == MARY_OK;) {
        bool removed = false;
        if (passes_through(model, graph->node[i], index))
            status = take_out(graph, index, i, &removed);
        if (!removed) {
            i++;
            continue;
        }
        mary_graph_index_free(&index); /* names and positions have changed */
        if (status == MARY_OK)
            status = mary_graph_index_create(graph, &index);
    }
    mary_graph_index_free(&index);
    return status;
}
