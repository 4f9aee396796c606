#include "onnx/uses.h"

#include "onnx/names.h"

/* The names that a subgraph defines, and those of the subgraphs around it up to the node that is walked. */
typedef struct name_scope {
    mary_names defined;
    const struct name_scope *outer;
} name_scope;

typedef struct use_walk {
    const name_scope *scope;
    mary_use_visitor *visit;
    void *context;
} use_walk;

mary_status mary_node_visit_subgraphs(Onnx__NodeProto *node, mary_subgraph_visitor *visit, void *context)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        Onnx__AttributeProto *attribute = node->attribute[i];
        if (attribute->g != NULL)
            MARY_TRY(visit(context, attribute->g));
        for (size_t j = 0; j < attribute->n_graphs; j++)
            MARY_TRY(visit(context, attribute->graphs[j]));
    }
    return MARY_OK;
}

static mary_status define(name_scope *scope, const char *name)
{
    return name == NULL || *name == '\0' ? MARY_OK : mary_names_put(&scope->defined, name, 0);
}

static mary_status define_all(name_scope *scope, const Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_input; i++)
        MARY_TRY(define(scope, graph->input[i]->name));
    for (size_t i = 0; i < graph->n_initializer; i++)
        MARY_TRY(define(scope, graph->initializer[i]->name));
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        if (graph->sparse_initializer[i]->values != NULL)
            MARY_TRY(define(scope, graph->sparse_initializer[i]->values->name));
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t j = 0; j < graph->node[i]->n_output; j++)
            MARY_TRY(define(scope, graph->node[i]->output[j]));
    }
    return MARY_OK;
}

static mary_status use(const use_walk *walk, char **slot)
{
    if (*slot == NULL || **slot == '\0')
        return MARY_OK;
    for (const name_scope *scope = walk->scope; scope != NULL; scope = scope->outer) {
        if (mary_names_get(&scope->defined, *slot, NULL))
            return MARY_OK;
    }
    return walk->visit(walk->context, slot);
}

static mary_status walk_subgraph(void *context, Onnx__GraphProto *graph);

static mary_status walk_node(use_walk *walk, Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_input; i++)
        MARY_TRY(use(walk, &node->input[i]));
    return mary_node_visit_subgraphs(node, walk_subgraph, walk);
}

static mary_status walk_subgraph(void *context, Onnx__GraphProto *graph)
{
    const use_walk *outer = context;
    name_scope inner = {.outer = outer->scope};
    use_walk here = {&inner, outer->visit, outer->context};
    mary_status status = define_all(&inner, graph);
    for (size_t i = 0; i < graph->n_node && status == MARY_OK; i++)
        status = walk_node(&here, graph->node[i]);
    for (size_t i = 0; i < graph->n_output && status == MARY_OK; i++)
        status = use(&here, &graph->output[i]->name);
    mary_names_free(&inner.defined);
    return status;
}

mary_status mary_node_visit_uses(Onnx__NodeProto *node, mary_use_visitor *visit, void *context)
{
    use_walk walk = {NULL, visit, context};
    return walk_node(&walk, node);
}
