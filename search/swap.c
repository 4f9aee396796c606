/* Single layers of a converted model in the float one. */
#include <string.h>

#include "convert/layer.h"
#include "onnx/edit.h"
#include "search/search.h"

/* Input `slot` of the node becomes a copy of the constant that `from` reads there; nothing when it reads none. */
static mary_status take_constant(mary_model *model, Onnx__NodeProto *node, const mary_model *coded,
                                 const mary_graph_index *index, const Onnx__NodeProto *from, size_t slot, size_t layer)
{
    const char *input = slot < from->n_input ? from->input[slot] : "";
    const ptrdiff_t at = mary_graph_initializer(index, input);
    mary_constant constant = {0};
    Onnx__TensorProto *message = NULL;
    char *name = NULL;
    mary_status status = MARY_OK;
    if (at < 0)
        return MARY_OK;
    MARY_TRY_GOTO(mary_constant_decode(coded, coded->proto->graph->initializer[at], &constant), done);
    name = mary_asprintf("mary.search.%zu.%zu", layer, slot);
    if (name == NULL) {
        status = mary_fail_memory(strlen(input));
        goto done;
    }
    MARY_TRY_GOTO(mary_constant_encode(&constant.tensor, name, &message), done);
    MARY_TRY_GOTO(mary_graph_add_initializer(model->proto->graph, message), done);
    message = NULL;
    status = mary_node_set_input(node, slot, name);
done:
    if (message != NULL)
        onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
    mary_constant_free(&constant);
    mary_free(name);
    return status;
}

static mary_status swap_layer(mary_model *model, const mary_search *search, const mary_model *coded,
                              const mary_graph_index *index, size_t layer)
{
    Onnx__NodeProto *node = model->proto->graph->node[search->table.node[layer]];
    const ptrdiff_t at = mary_graph_producer(index, node->output[0]);
    if (at < 0 || strcmp(coded->proto->graph->node[at]->op_type, node->op_type) != 0)
        return mary_fail(MARY_ERROR_INTERNAL, "node '%s' is not where it was", mary_node_label(node));
    const Onnx__NodeProto *from = coded->proto->graph->node[at];
    MARY_TRY(take_constant(model, node, coded, index, from, 1, layer));
    MARY_TRY(take_constant(model, node, coded, index, from, 2, layer));
    if (mary_layer_kind_of(node) == MARY_LAYER_GEMM) {
        int64_t transposed;
        MARY_TRY(mary_attribute_int(from, "transB", 0, &transposed));
        MARY_TRY(mary_node_set_int(node, "transB", transposed));
    }
    return MARY_OK;
}

mary_status mary_swap_group(const mary_search *search, const mary_model *coded, size_t group, mary_model **model)
{
    const mary_layer_table *table = &search->table;
    mary_graph_index *index = NULL;
    mary_status status = MARY_OK;
    *model = NULL;
    MARY_TRY_GOTO(mary_graph_index_create(coded->proto->graph, &index), done);
    MARY_TRY_GOTO(mary_model_copy(search->base, model), done);
    for (size_t i = 0; i < table->layer_count; i++) {
        if (table->group_of[i] == group)
            MARY_TRY_GOTO(swap_layer(*model, search, coded, index, i), done);
    }
done:
    mary_graph_index_free(&index);
    if (status != MARY_OK)
        mary_model_free(model);
    return status;
}
