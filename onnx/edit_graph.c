/* Editing graphs. */
#include <string.h>

#include "onnx/edit.h"
#include "onnx/uses.h"

/* A repeated field with room for one more; NULL when memory ran out (the old array stays). */
static void *with_room(void *items, size_t count)
{
    size_t bytes = (count + 1) * sizeof(void *);
    void *grown = mary_realloc(items, bytes);
    if (grown == NULL)
        (void)mary_fail_memory(bytes);
    return grown;
}

/* Closes the gap that item `position` of a repeated field leaves. */
#define CLOSE_GAP(items, count, position)                                                                              \
    do {                                                                                                               \
        (count)--;                                                                                                     \
        memmove(&(items)[position], &(items)[(position) + 1], ((count) - (position)) * sizeof(items)[0]);              \
    } while (0)

mary_status mary_graph_insert_node(Onnx__GraphProto *graph, size_t position, Onnx__NodeProto *node)
{
    Onnx__NodeProto **grown = with_room(graph->node, graph->n_node);
    if (grown == NULL)
        return MARY_ERROR_INTERNAL;
    graph->node = grown;
    memmove(&grown[position + 1], &grown[position], (graph->n_node - position) * sizeof *grown);
    grown[position] = node;
    graph->n_node++;
    return MARY_OK;
}

void mary_graph_remove_node(Onnx__GraphProto *graph, size_t position)
{
    mary_node_free(graph->node[position]);
    CLOSE_GAP(graph->node, graph->n_node, position);
}

mary_status mary_graph_add_initializer(Onnx__GraphProto *graph, Onnx__TensorProto *tensor)
{
    Onnx__TensorProto **grown = with_room(graph->initializer, graph->n_initializer);
    if (grown == NULL)
        return MARY_ERROR_INTERNAL;
    graph->initializer = grown;
    grown[graph->n_initializer++] = tensor;
    return MARY_OK;
}

bool mary_graph_has_initializer(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (strcmp(graph->initializer[i]->name, name) == 0)
            return true;
    }
    return false;
}

void mary_graph_remove_initializer(Onnx__GraphProto *graph, size_t position)
{
    onnx__tensor_proto__free_unpacked(graph->initializer[position], &mary_proto_allocator);
    CLOSE_GAP(graph->initializer, graph->n_initializer, position);
}

void mary_graph_remove_input(Onnx__GraphProto *graph, size_t position)
{
    onnx__value_info_proto__free_unpacked(graph->input[position], &mary_proto_allocator);
    CLOSE_GAP(graph->input, graph->n_input, position);
}

void mary_graph_remove_value_info(Onnx__GraphProto *graph, size_t position)
{
    onnx__value_info_proto__free_unpacked(graph->value_info[position], &mary_proto_allocator);
    CLOSE_GAP(graph->value_info, graph->n_value_info, position);
}

static mary_status fill_shape(Onnx__TypeProto__Tensor *tensor, const mary_shape *shape)
{
    Onnx__TensorShapeProto *made = mary_alloc(sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    onnx__tensor_shape_proto__init(made);
    tensor->shape = made;
    made->dim = mary_calloc((size_t)shape->rank, sizeof *made->dim);
    if (made->dim == NULL)
        return mary_fail_memory((size_t)shape->rank * sizeof *made->dim);
    for (int i = 0; i < shape->rank; i++) {
        Onnx__TensorShapeProto__Dimension *dim = mary_alloc(sizeof *dim);
        if (dim == NULL)
            return mary_fail_memory(sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        if (shape->dims[i] >= 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = shape->dims[i];
        }
        made->dim[made->n_dim++] = dim;
    }
    return MARY_OK;
}

mary_status mary_value_info_create(const char *name, mary_type type, const mary_shape *shape,
                                   Onnx__ValueInfoProto **info)
{
    *info = NULL;
    Onnx__ValueInfoProto *made = mary_alloc(sizeof *made);
    if (made == NULL)
        return mary_fail_memory(sizeof *made);
    onnx__value_info_proto__init(made);
    mary_status status = mary_edit_string(&made->name, name);
    Onnx__TypeProto__Tensor *tensor = NULL;
    if (status == MARY_OK) {
        made->type = mary_alloc(sizeof *made->type);
        tensor = mary_alloc(sizeof *tensor);
        if (made->type != NULL)
            onnx__type_proto__init(made->type);
        if (made->type == NULL || tensor == NULL) {
            mary_free(tensor);
            status = mary_fail_memory(sizeof *tensor);
        }
    }
    if (status == MARY_OK) {
        onnx__type_proto__tensor__init(tensor);
        tensor->has_elem_type = true;
        tensor->elem_type = (int32_t)type;
        made->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
        made->type->tensor_type = tensor;
        if (shape != NULL && shape->rank >= 0)
            status = fill_shape(tensor, shape);
    }
    if (status == MARY_OK)
        *info = made;
    else
        onnx__value_info_proto__free_unpacked(made, &mary_proto_allocator);
    return status;
}

mary_status mary_graph_set_value_info(Onnx__GraphProto *graph, const char *name, mary_type type,
                                      const mary_shape *shape)
{
    Onnx__ValueInfoProto *info;
    MARY_TRY(mary_value_info_create(name, type, shape, &info));
    for (size_t i = 0; i < graph->n_value_info; i++) {
        if (graph->value_info[i]->name != NULL && strcmp(graph->value_info[i]->name, name) == 0) {
            onnx__value_info_proto__free_unpacked(graph->value_info[i], &mary_proto_allocator);
            graph->value_info[i] = info;
            return MARY_OK;
        }
    }
    Onnx__ValueInfoProto **grown = with_room(graph->value_info, graph->n_value_info);
    if (grown == NULL) {
        onnx__value_info_proto__free_unpacked(info, &mary_proto_allocator);
        return MARY_ERROR_INTERNAL;
    }
    graph->value_info = grown;
    grown[graph->n_value_info++] = info;
    return MARY_OK;
}

typedef struct use_renaming {
    const char *from, *to;
} use_renaming;

static mary_status rename_use(void *context, char **slot)
{
    const use_renaming *renaming = context;
    return *slot != NULL && strcmp(*slot, renaming->from) == 0 ? mary_edit_string(slot, renaming->to) : MARY_OK;
}

mary_status mary_graph_rename_uses(Onnx__GraphProto *graph, const char *from, const char *to)
{
    /* Copies: the caller may pass one of the strings that are about to be replaced. */
    char *old = mary_strdup(from), *new = mary_strdup(to);
    mary_status status = old == NULL || new == NULL ? mary_fail_memory(strlen(from) + strlen(to)) : MARY_OK;
    use_renaming wanted = {old, new};
    for (size_t i = 0; i < graph->n_node && status == MARY_OK; i++)
        status = mary_node_visit_uses(graph->node[i], rename_use, &wanted);
    for (size_t i = 0; i < graph->n_output && status == MARY_OK; i++)
        status = rename_use(&wanted, &graph->output[i]->name);
    mary_free(old);
    mary_free(new);
    return status;
}

mary_status mary_model_add_function(mary_model *model, Onnx__FunctionProto *function)
{
    Onnx__FunctionProto **grown = with_room(model->proto->functions, model->proto->n_functions);
    if (grown == NULL)
        return MARY_ERROR_INTERNAL;
    model->proto->functions = grown;
    grown[model->proto->n_functions++] = function;
    return MARY_OK;
}
