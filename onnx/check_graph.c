#include <stdio.h>
#include <string.h>

#include "onnx/check.h"
#include "onnx/function.h"
#include "onnx/names.h"
#include "onnx/sort.h"
#include "onnx/uses.h"

#define MAX_NESTING 32 /* subgraphs inside subgraphs; other code recurses as deep */

/* The values that a graph defines, inside those of the graphs around it. */
typedef struct graph_scope {
    mary_names defined;
    const struct graph_scope *outer;
    const mary_model *model;
    const Onnx__FunctionProto *function; /* whose body this is part of; NULL: the model's graph */
    const Onnx__NodeProto *node;         /* whose attribute this graph is */
    int depth;
} graph_scope;

static bool is_empty(const char *text)
{
    return text == NULL || *text == '\0';
}

static mary_status define(graph_scope *scope, const char *name, const char *what, const char *where)
{
    bool added;
    if (is_empty(name))
        return mary_fail(MARY_ERROR_INVALID, "%s '%s' has no name", what, where);
    MARY_TRY(mary_names_add(&scope->defined, name, 0, &added));
    if (!added)
        return mary_fail(MARY_ERROR_INVALID, "value '%s' is defined twice: by %s '%s', too", name, what, where);
    return MARY_OK;
}

static bool is_defined(const graph_scope *scope, const char *name)
{
    for (; scope != NULL; scope = scope->outer) {
        if (mary_names_get(&scope->defined, name, NULL))
            return true;
    }
    return false;
}

/* ---- inputs, outputs, initializers ---- */

static mary_status check_type(const Onnx__ValueInfoProto *value)
{
    if (value->type == NULL || value->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return MARY_OK; /* inferred, or a sequence or such */
    const Onnx__TensorShapeProto *shape = value->type->tensor_type->shape;
    if (shape == NULL)
        return MARY_OK;
    if (shape->n_dim > MARY_MAX_RANK)
        return mary_fail(MARY_ERROR_INVALID, "value '%s' has rank %zu, the most is %d", value->name, shape->n_dim,
                         MARY_MAX_RANK);
    for (size_t i = 0; i < shape->n_dim; i++) { /* some exporters write -1 for a dimension that they do not know */
        if (shape->dim[i]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            shape->dim[i]->dim_value < -1)
            return mary_fail(MARY_ERROR_INVALID, "value '%s' has the dimension %lld at axis %zu", value->name,
                             (long long)shape->dim[i]->dim_value, i);
    }
    return MARY_OK;
}

static mary_status check_values(Onnx__ValueInfoProto *const *values, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++) {
        if (is_empty(values[i]->name))
            return mary_fail(MARY_ERROR_INVALID, "%s %zu has no name", what, i);
        MARY_TRY(check_type(values[i]));
    }
    return MARY_OK;
}

static mary_status define_initializers(graph_scope *scope, const Onnx__GraphProto *graph)
{
    mary_names seen = {0}; /* an initializer may be the default of an input, but not be there twice */
    mary_status status = MARY_OK;
    for (size_t i = 0; i < graph->n_initializer && status == MARY_OK; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        bool added = true;
        if (is_empty(tensor->name))
            status = mary_fail(MARY_ERROR_INVALID, "initializer %zu has no name", i);
        if (status == MARY_OK)
            status = mary_names_add(&seen, tensor->name, 0, &added);
        if (status == MARY_OK && !added)
            status = mary_fail(MARY_ERROR_INVALID, "initializer '%s' is there twice", tensor->name);
        if (status == MARY_OK)
            status = mary_names_put(&scope->defined, tensor->name, 0);
        if (status == MARY_OK)
            status = mary_check_tensor(scope->model, tensor, "");
    }
    mary_names_free(&seen);
    return status;
}

static mary_status check_sparse(const mary_model *model, const Onnx__SparseTensorProto *sparse, const char *what)
{
    if (sparse->values == NULL || sparse->indices == NULL)
        return mary_fail(MARY_ERROR_INVALID, "sparse tensor '%s' lacks values or indices", what);
    MARY_TRY(mary_check_tensor(model, sparse->values, what));
    return mary_check_tensor(model, sparse->indices, what);
}

static mary_status define_graph(graph_scope *scope, const Onnx__GraphProto *graph)
{
    MARY_TRY(check_values(graph->input, graph->n_input, "input"));
    MARY_TRY(check_values(graph->output, graph->n_output, "output"));
    MARY_TRY(check_values(graph->value_info, graph->n_value_info, "value_info"));
    for (size_t i = 0; i < graph->n_input; i++)
        MARY_TRY(define(scope, graph->input[i]->name, "input", graph->input[i]->name));
    MARY_TRY(define_initializers(scope, graph));
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        const Onnx__SparseTensorProto *sparse = graph->sparse_initializer[i];
        MARY_TRY(check_sparse(scope->model, sparse, "sparse initializer"));
        if (is_empty(sparse->values->name))
            return mary_fail(MARY_ERROR_INVALID, "sparse initializer %zu has no name", i);
        MARY_TRY(mary_names_put(&scope->defined, sparse->values->name, 0));
    }
    return MARY_OK;
}

/* ---- nodes ---- */

static mary_status check_attribute(const graph_scope *scope, const Onnx__NodeProto *node, size_t position)
{
    const Onnx__AttributeProto *attribute = node->attribute[position];
    const char *label = mary_node_label(node);
    if (is_empty(attribute->name))
        return mary_fail(MARY_ERROR_INVALID, "node '%s': attribute %zu has no name", label, position);
    if (mary_attribute_find(node, attribute->name) != attribute)
        return mary_fail(MARY_ERROR_INVALID, "node '%s': attribute '%s' is there twice", label, attribute->name);
    if (!is_empty(attribute->ref_attr_name)) {
        if (scope->function == NULL)
            return mary_fail(MARY_ERROR_INVALID, "node '%s': attribute '%s' refers to an attribute of a function",
                             label, attribute->name);
        return MARY_OK;
    }
    if ((attribute->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR && attribute->t == NULL) ||
        (attribute->type == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH && attribute->g == NULL))
        return mary_fail(MARY_ERROR_INVALID, "node '%s': attribute '%s' has no value", label, attribute->name);
    if (attribute->s.len > 0 && memchr(attribute->s.data, '\0', attribute->s.len) != NULL)
        return mary_fail(MARY_ERROR_INVALID, "node '%s': attribute '%s' has a NUL after '%s'", label, attribute->name,
                         (const char *)attribute->s.data);
    if (attribute->t != NULL)
        MARY_TRY(mary_check_tensor(scope->model, attribute->t, label));
    for (size_t i = 0; i < attribute->n_tensors; i++)
        MARY_TRY(mary_check_tensor(scope->model, attribute->tensors[i], label));
    if (attribute->sparse_tensor != NULL)
        MARY_TRY(check_sparse(scope->model, attribute->sparse_tensor, label));
    for (size_t i = 0; i < attribute->n_sparse_tensors; i++)
        MARY_TRY(check_sparse(scope->model, attribute->sparse_tensors[i], label));
    return MARY_OK;
}

static mary_status check_node(const graph_scope *scope, const Onnx__NodeProto *node)
{
    if (is_empty(node->op_type))
        return mary_fail(MARY_ERROR_INVALID, "node '%s' has no op_type", mary_node_label(node));
    int64_t version = scope->function == NULL ? mary_model_opset(scope->model, node->domain)
                                              : mary_function_opset(scope->function, node->domain);
    if (version == 0)
        return mary_fail(MARY_ERROR_INVALID, "node '%s' (%s): there is no opset import for domain '%s'",
                         mary_node_label(node), node->op_type, node->domain == NULL ? "" : node->domain);
    for (size_t i = 0; i < node->n_input; i++) {
        if (*node->input[i] != '\0' && !is_defined(scope, node->input[i]))
            return mary_fail(MARY_ERROR_INVALID, "node '%s' (%s) reads '%s', which nothing makes",
                             mary_node_label(node), node->op_type, node->input[i]);
    }
    for (size_t i = 0; i < node->n_attribute; i++)
        MARY_TRY(check_attribute(scope, node, i));
    return MARY_OK;
}

static mary_status check_subgraph(void *context, Onnx__GraphProto *graph);

static mary_status check_nodes(graph_scope *scope, Onnx__NodeProto **nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < nodes[i]->n_output; j++) {
            if (*nodes[i]->output[j] != '\0')
                MARY_TRY(define(scope, nodes[i]->output[j], "node", mary_node_label(nodes[i])));
        }
    }
    for (size_t i = 0; i < count; i++)
        MARY_TRY(check_node(scope, nodes[i]));
    for (size_t i = 0; i < count; i++) {
        scope->node = nodes[i];
        MARY_TRY(mary_node_visit_subgraphs(nodes[i], check_subgraph, scope));
    }
    return mary_nodes_sort(nodes, count);
}

static mary_status check_inside(graph_scope *scope, Onnx__GraphProto *graph)
{
    MARY_TRY(define_graph(scope, graph));
    MARY_TRY(check_nodes(scope, graph->node, graph->n_node));
    for (size_t i = 0; i < graph->n_output; i++) {
        if (!is_defined(scope, graph->output[i]->name))
            return mary_fail(MARY_ERROR_INVALID, "output '%s' is made by nothing", graph->output[i]->name);
    }
    return MARY_OK;
}

static mary_status check_subgraph(void *context, Onnx__GraphProto *graph)
{
    const graph_scope *outer = context;
    graph_scope scope = {.outer = outer, .model = outer->model, .function = outer->function, .depth = outer->depth + 1};
    if (scope.depth > MAX_NESTING)
        return mary_fail(MARY_ERROR_INVALID, "node '%s': subgraphs are nested deeper than %d",
                         mary_node_label(outer->node), MAX_NESTING);
    mary_status status = check_inside(&scope, graph);
    mary_names_free(&scope.defined);
    if (status == MARY_OK || outer->depth > 0) /* one context is enough, however deep it is */
        return status;
    return mary_fail_context(status, "in a subgraph of node '%s'", mary_node_label(outer->node));
}

mary_status mary_check_graph(const mary_model *model, Onnx__GraphProto *graph)
{
    graph_scope scope = {.model = model};
    mary_status status = check_inside(&scope, graph);
    mary_names_free(&scope.defined);
    return status;
}

mary_status mary_check_function(const mary_model *model, Onnx__FunctionProto *function)
{
    graph_scope scope = {.model = model, .function = function};
    mary_status status = MARY_OK;
    for (size_t i = 0; i < function->n_input && status == MARY_OK; i++)
        status = define(&scope, function->input[i], "input of function", function->name);
    if (status == MARY_OK)
        status = check_nodes(&scope, function->node, function->n_node);
    for (size_t i = 0; i < function->n_output && status == MARY_OK; i++) {
        if (!is_defined(&scope, function->output[i]))
            status = mary_fail(MARY_ERROR_INVALID, "output '%s' is made by nothing", function->output[i]);
    }
    mary_names_free(&scope.defined);
    return status == MARY_OK ? status : mary_fail_context(status, "function '%s'", function->name);
}
