#include <string.h>

#include "onnx/save.h"

typedef union block {
    union block *next;
    max_align_t aligned;
} block;

void *mary_shallow_alloc(mary_shallow *shallow, size_t size)
{
    block *made = mary_alloc(sizeof *made + size);
    if (made == NULL)
        return NULL;
    made->next = shallow->blocks;
    shallow->blocks = made;
    return made + 1;
}

void mary_shallow_free(mary_shallow *shallow)
{
    for (block *at = shallow->blocks, *next; at != NULL; at = next) {
        next = at->next;
        mary_free(at);
    }
    *shallow = (mary_shallow){0};
}

typedef struct tensor_copier {
    mary_shallow *shallow;
    mary_tensor_change *change;
    void *context;
} tensor_copier;

/* Replaces *pointer, which points to `size` bytes, by a copy of them. */
static mary_status own(tensor_copier *copier, void *pointer, size_t size)
{
    void *from, *copy = mary_shallow_alloc(copier->shallow, size);
    if (copy == NULL)
        return mary_fail_memory(size);
    memcpy(&from, pointer, sizeof from);
    if (size > 0)
        memcpy(copy, from, size);
    memcpy(pointer, &copy, sizeof copy);
    return MARY_OK;
}

static mary_status copy_tensor(tensor_copier *copier, Onnx__TensorProto **tensor, bool is_initializer)
{
    if (*tensor == NULL)
        return MARY_OK;
    MARY_TRY(own(copier, tensor, sizeof **tensor));
    return copier->change(copier->context, copier->shallow, *tensor, is_initializer);
}

static mary_status copy_sparse(tensor_copier *copier, Onnx__SparseTensorProto **sparse)
{
    if (*sparse == NULL)
        return MARY_OK;
    MARY_TRY(own(copier, sparse, sizeof **sparse));
    MARY_TRY(copy_tensor(copier, &(*sparse)->values, false));
    return copy_tensor(copier, &(*sparse)->indices, false);
}

static mary_status copy_graph(tensor_copier *copier, Onnx__GraphProto **graph);

static mary_status copy_attribute(tensor_copier *copier, Onnx__AttributeProto **attribute)
{
    MARY_TRY(own(copier, attribute, sizeof **attribute));
    Onnx__AttributeProto *copy = *attribute;
    MARY_TRY(copy_tensor(copier, &copy->t, false));
    MARY_TRY(copy_sparse(copier, &copy->sparse_tensor));
    MARY_TRY(copy_graph(copier, &copy->g));
    MARY_TRY(own(copier, &copy->tensors, copy->n_tensors * sizeof(void *)));
    for (size_t i = 0; i < copy->n_tensors; i++)
        MARY_TRY(copy_tensor(copier, &copy->tensors[i], false));
    MARY_TRY(own(copier, &copy->sparse_tensors, copy->n_sparse_tensors * sizeof(void *)));
    for (size_t i = 0; i < copy->n_sparse_tensors; i++)
        MARY_TRY(copy_sparse(copier, &copy->sparse_tensors[i]));
    MARY_TRY(own(copier, &copy->graphs, copy->n_graphs * sizeof(void *)));
    for (size_t i = 0; i < copy->n_graphs; i++)
        MARY_TRY(copy_graph(copier, &copy->graphs[i]));
    return MARY_OK;
}

static bool holds_tensors(const Onnx__AttributeProto *attribute)
{
    return attribute->t != NULL || attribute->g != NULL || attribute->sparse_tensor != NULL ||
           attribute->n_tensors + attribute->n_graphs + attribute->n_sparse_tensors > 0;
}

static mary_status copy_nodes(tensor_copier *copier, Onnx__NodeProto ***nodes, size_t count)
{
    MARY_TRY(own(copier, nodes, count * sizeof(void *)));
    for (size_t i = 0; i < count; i++) {
        bool needed = false;
        for (size_t j = 0; j < (*nodes)[i]->n_attribute; j++)
            needed |= holds_tensors((*nodes)[i]->attribute[j]);
        if (!needed)
            continue;
        MARY_TRY(own(copier, &(*nodes)[i], sizeof ***nodes));
        Onnx__NodeProto *node = (*nodes)[i];
        MARY_TRY(own(copier, &node->attribute, node->n_attribute * sizeof(void *)));
        for (size_t j = 0; j < node->n_attribute; j++) {
            if (holds_tensors(node->attribute[j]))
                MARY_TRY(copy_attribute(copier, &node->attribute[j]));
        }
    }
    return MARY_OK;
}

static mary_status copy_graph(tensor_copier *copier, Onnx__GraphProto **graph)
{
    if (*graph == NULL)
        return MARY_OK;
    MARY_TRY(own(copier, graph, sizeof **graph));
    Onnx__GraphProto *copy = *graph;
    MARY_TRY(own(copier, &copy->initializer, copy->n_initializer * sizeof(void *)));
    for (size_t i = 0; i < copy->n_initializer; i++)
        MARY_TRY(copy_tensor(copier, &copy->initializer[i], true));
    MARY_TRY(own(copier, &copy->sparse_initializer, copy->n_sparse_initializer * sizeof(void *)));
    for (size_t i = 0; i < copy->n_sparse_initializer; i++)
        MARY_TRY(copy_sparse(copier, &copy->sparse_initializer[i]));
    return copy_nodes(copier, &copy->node, copy->n_node);
}

static mary_status copy_model(tensor_copier *copier, const Onnx__ModelProto *model)
{
    Onnx__ModelProto *copy = mary_shallow_alloc(copier->shallow, sizeof *copy);
    if (copy == NULL)
        return mary_fail_memory(sizeof *copy);
    *copy = *model;
    copier->shallow->proto = copy;
    MARY_TRY(copy_graph(copier, &copy->graph));
    MARY_TRY(own(copier, &copy->functions, copy->n_functions * sizeof(void *)));
    for (size_t i = 0; i < copy->n_functions; i++) {
        MARY_TRY(own(copier, &copy->functions[i], sizeof **copy->functions));
        MARY_TRY(copy_nodes(copier, &copy->functions[i]->node, copy->functions[i]->n_node));
    }
    MARY_TRY(own(copier, &copy->training_info, copy->n_training_info * sizeof(void *)));
    for (size_t i = 0; i < copy->n_training_info; i++) {
        MARY_TRY(own(copier, &copy->training_info[i], sizeof **copy->training_info));
        MARY_TRY(copy_graph(copier, &copy->training_info[i]->initialization));
        MARY_TRY(copy_graph(copier, &copy->training_info[i]->algorithm));
    }
    return MARY_OK;
}

mary_status mary_shallow_copy(mary_shallow *shallow, const Onnx__ModelProto *model, mary_tensor_change *change,
                              void *context)
{
    *shallow = (mary_shallow){0};
    tensor_copier copier = {shallow, change, context};
    mary_status status = copy_model(&copier, model);
    if (status != MARY_OK)
        mary_shallow_free(shallow);
    return status;
}
