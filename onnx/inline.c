/* Model-local functions replaced by their bodies.
 *
 * A call is expanded top down: the body's nodes are copied, attribute references replaced by the call's values, names
 * by fresh ones, and the copies expanded in turn. The chain of functions being expanded shows recursion. */
#include <string.h>

#include "onnx/edit.h"
#include "onnx/function.h"
#include "onnx/message.h"
#include "onnx/uses.h"

#define MAX_DEPTH 100               /* functions that call functions; C recursion follows it */
#define MAX_NODES ((size_t)1 << 18) /* calls of calls grow exponentially: a small file must not fill the memory */

typedef struct function_inliner {
    mary_model *model;
    mary_functions functions;
    const char *keep_domain;
    mary_graph_index *names; /* of the graph or function that is expanded into */
    size_t created;
} function_inliner;

/* Functions around the node that is being expanded. */
typedef struct call_chain {
    const Onnx__FunctionProto *function;
    const struct call_chain *outer;
    int depth;
} call_chain;

/* Nodes that came out so far. */
typedef struct node_list {
    Onnx__NodeProto **nodes;
    size_t count, capacity;
} node_list;

/* One expansion of one function: body names -> names outside. */
typedef struct body_instance {
    function_inliner *inliner;
    const Onnx__FunctionProto *function;
    const Onnx__NodeProto *call;
    mary_names positions; /* of a body name in `renamed` */
    char **renamed;
    size_t count, capacity;
} body_instance;

static mary_status append(node_list *list, Onnx__NodeProto *node)
{
    if (!mary_reserve((void **)&list->nodes, &list->capacity, list->count + 1, sizeof(void *)))
        return mary_fail_memory(list->count * sizeof(void *));
    list->nodes[list->count++] = node;
    return MARY_OK;
}

/* Maps a body name to a copy of `name`; NULL: to a fresh one. `key` must outlive the instance. */
static mary_status map_name(body_instance *instance, const char *key, const char *name)
{
    if (key == NULL || *key == '\0' || mary_names_get(&instance->positions, key, NULL))
        return MARY_OK;
    char *copy, *stem = NULL;
    if (name != NULL) {
        copy = mary_strdup(name);
    } else {
        stem = mary_asprintf("%s/%s", mary_node_label(instance->call), key);
        copy = stem == NULL ? NULL : mary_graph_unique_name(instance->inliner->names, stem);
        mary_free(stem);
    }
    if (copy == NULL ||
        !mary_reserve((void **)&instance->renamed, &instance->capacity, instance->count + 1, sizeof(char *))) {
        mary_free(copy);
        return mary_fail_memory(strlen(key));
    }
    instance->renamed[instance->count++] = copy;
    return mary_names_put(&instance->positions, key, instance->count - 1);
}

static mary_status map_node(body_instance *instance, const Onnx__NodeProto *node);

static mary_status map_subgraph(void *context, Onnx__GraphProto *graph)
{
    body_instance *instance = context;
    for (size_t i = 0; i < graph->n_input; i++)
        MARY_TRY(map_name(instance, graph->input[i]->name, NULL));
    for (size_t i = 0; i < graph->n_initializer; i++)
        MARY_TRY(map_name(instance, graph->initializer[i]->name, NULL));
    for (size_t i = 0; i < graph->n_node; i++)
        MARY_TRY(map_node(instance, graph->node[i]));
    return MARY_OK;
}

static mary_status map_node(body_instance *instance, const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_output; i++)
        MARY_TRY(map_name(instance, node->output[i], NULL));
    return mary_node_visit_subgraphs((Onnx__NodeProto *)(uintptr_t)node, map_subgraph, instance);
}

static mary_status map_all(body_instance *instance)
{
    const Onnx__FunctionProto *function = instance->function;
    const Onnx__NodeProto *call = instance->call;
    if (call->n_input > function->n_input || call->n_output > function->n_output)
        return mary_fail(MARY_ERROR_INVALID,
                         "node '%s' has %zu inputs and %zu outputs, the function '%s' that it calls %zu and %zu",
                         mary_node_label(call), call->n_input, call->n_output, function->name, function->n_input,
                         function->n_output);
    for (size_t i = 0; i < function->n_input; i++)
        MARY_TRY(map_name(instance, function->input[i], i < call->n_input ? call->input[i] : ""));
    for (size_t i = 0; i < call->n_output; i++) {
        if (*call->output[i] != '\0')
            MARY_TRY(map_name(instance, function->output[i], call->output[i]));
    }
    for (size_t i = 0; i < function->n_node; i++)
        MARY_TRY(map_node(instance, function->node[i]));
    return MARY_OK;
}

static mary_status rename(const body_instance *instance, char **slot)
{
    size_t position;
    if (*slot == NULL || !mary_names_get(&instance->positions, *slot, &position))
        return MARY_OK;
    return mary_edit_string(slot, instance->renamed[position]);
}

/* Replaces a reference to an attribute of the function by the call's value or the default; *keep is false when there is
 * neither: the operator's own default holds then. */
static mary_status resolve(const body_instance *instance, Onnx__AttributeProto **slot, bool *keep)
{
    Onnx__AttributeProto *attribute = *slot, *value = NULL;
    *keep = true;
    if (attribute->ref_attr_name == NULL || *attribute->ref_attr_name == '\0')
        return MARY_OK;
    const Onnx__AttributeProto *given = mary_attribute_find(instance->call, attribute->ref_attr_name);
    if (given != NULL)
        MARY_TRY(MARY_COPY(Onnx__AttributeProto, given, &value));
    else
        MARY_TRY(mary_function_default(instance->function, attribute->ref_attr_name, &value));
    *keep = value != NULL;
    if (value == NULL)
        return MARY_OK;
    mary_status status = mary_edit_string(&value->name, attribute->name == NULL ? "" : attribute->name);
    if (status == MARY_OK) {
        *slot = value;
        value = attribute;
    }
    onnx__attribute_proto__free_unpacked(value, &mary_proto_allocator);
    return status;
}

static mary_status adapt_node(const body_instance *instance, Onnx__NodeProto *node);

static mary_status adapt_subgraph(void *context, Onnx__GraphProto *graph)
{
    const body_instance *instance = context;
    for (size_t i = 0; i < graph->n_input; i++)
        MARY_TRY(rename(instance, &graph->input[i]->name));
    for (size_t i = 0; i < graph->n_output; i++)
        MARY_TRY(rename(instance, &graph->output[i]->name));
    for (size_t i = 0; i < graph->n_value_info; i++)
        MARY_TRY(rename(instance, &graph->value_info[i]->name));
    for (size_t i = 0; i < graph->n_initializer; i++)
        MARY_TRY(rename(instance, &graph->initializer[i]->name));
    for (size_t i = 0; i < graph->n_node; i++)
        MARY_TRY(adapt_node(instance, graph->node[i]));
    return MARY_OK;
}

/* Turns a copy of a body node into a node of the caller's graph. */
static mary_status adapt_node(const body_instance *instance, Onnx__NodeProto *node)
{
    char *stem = mary_asprintf("%s/%s", mary_node_label(instance->call), mary_node_label(node));
    char *name = stem == NULL ? NULL : mary_graph_unique_name(instance->inliner->names, stem);
    mary_free(stem);
    if (name == NULL)
        return mary_fail_memory(1);
    mary_free(node->name);
    node->name = name;
    for (size_t i = 0; i < node->n_attribute;) {
        bool keep;
        MARY_TRY(resolve(instance, &node->attribute[i], &keep));
        if (keep)
            i++;
        else
            mary_node_remove_attribute(node, node->attribute[i]->name);
    }
    for (size_t i = 0; i < node->n_input; i++)
        MARY_TRY(rename(instance, &node->input[i]));
    for (size_t i = 0; i < node->n_output; i++)
        MARY_TRY(rename(instance, &node->output[i]));
    return mary_node_visit_subgraphs(node, adapt_subgraph, (void *)(uintptr_t)instance);
}

static mary_status expand(function_inliner *inliner, Onnx__NodeProto *node, const call_chain *chain, node_list *out);

static bool is_defined_before(const body_instance *instance, size_t output)
{
    const Onnx__FunctionProto *function = instance->function;
    for (size_t i = 0; i < function->n_input; i++) {
        if (strcmp(function->input[i], function->output[output]) == 0)
            return true;
    }
    for (size_t i = 0; i < output && i < instance->call->n_output; i++) {
        if (*instance->call->output[i] != '\0' && strcmp(function->output[i], function->output[output]) == 0)
            return true;
    }
    return false;
}

/* An output that is an input, or listed twice, has no producer that could be renamed: Identity makes one. */
static mary_status connect_outputs(body_instance *instance, node_list *out)
{
    for (size_t i = 0; i < instance->call->n_output; i++) {
        const char *outer = instance->call->output[i];
        size_t position;
        if (*outer == '\0' || !is_defined_before(instance, i) ||
            !mary_names_get(&instance->positions, instance->function->output[i], &position))
            continue;
        Onnx__NodeProto *identity;
        const char *input = instance->renamed[position];
        MARY_TRY(mary_node_create("", "Identity", outer, &input, 1, &outer, 1, &identity));
        mary_status status = append(out, identity);
        if (status != MARY_OK) {
            mary_node_free(identity);
            return status;
        }
    }
    return MARY_OK;
}

static mary_status expand_body(body_instance *instance, const call_chain *chain, node_list *out)
{
    const Onnx__FunctionProto *function = instance->function;
    MARY_TRY(map_all(instance));
    for (size_t i = 0; i < function->n_node; i++) {
        if (++instance->inliner->created > MAX_NODES)
            return mary_fail(MARY_ERROR_INVALID, "function '%s': calls of functions expand to more than %zu nodes",
                             function->name, MAX_NODES);
        Onnx__NodeProto *copy;
        MARY_TRY(MARY_COPY(Onnx__NodeProto, function->node[i], &copy));
        mary_status status = adapt_node(instance, copy);
        if (status == MARY_OK)
            status = expand(instance->inliner, copy, chain, out);
        else
            mary_node_free(copy);
        MARY_TRY(status);
    }
    return connect_outputs(instance, out);
}

static mary_status expand_nodes(function_inliner *inliner, Onnx__NodeProto ***nodes, size_t *count,
                                const call_chain *chain);

typedef struct subgraph_context {
    function_inliner *inliner;
    const call_chain *chain;
} subgraph_context;

static mary_status expand_subgraph(void *context, Onnx__GraphProto *graph)
{
    const subgraph_context *subgraph = context;
    return expand_nodes(subgraph->inliner, &graph->node, &graph->n_node, subgraph->chain);
}

static bool is_kept(const function_inliner *inliner, const Onnx__FunctionProto *function)
{
    return inliner->keep_domain != NULL && function->domain != NULL &&
           strcmp(function->domain, inliner->keep_domain) == 0;
}

/* Takes `node` over in any case: it, or what it expands to, goes to `out`. */
static mary_status expand(function_inliner *inliner, Onnx__NodeProto *node, const call_chain *chain, node_list *out)
{
    Onnx__FunctionProto *function = NULL;
    mary_status status = mary_functions_find(&inliner->functions, inliner->model, node, &function);
    if (status == MARY_OK && (function == NULL || is_kept(inliner, function))) {
        subgraph_context context = {inliner, chain};
        status = mary_node_visit_subgraphs(node, expand_subgraph, &context);
        if (status == MARY_OK)
            status = append(out, node);
        if (status == MARY_OK)
            return MARY_OK;
        goto done;
    }
    for (const call_chain *at = chain; at != NULL && status == MARY_OK; at = at->outer) {
        if (at->function == function)
            status = mary_fail(MARY_ERROR_INVALID, "node '%s': function '%s' calls itself", mary_node_label(node),
                               function->name);
    }
    if (status != MARY_OK)
        goto done;
    body_instance instance = {.inliner = inliner, .function = function, .call = node};
    call_chain inner = {function, chain, chain == NULL ? 1 : chain->depth + 1};
    if (inner.depth > MAX_DEPTH)
        status = mary_fail(MARY_ERROR_INVALID, "node '%s': function calls are nested deeper than %d",
                           mary_node_label(node), MAX_DEPTH);
    else
        status = expand_body(&instance, &inner, out);
    for (size_t i = 0; i < instance.count; i++)
        mary_free(instance.renamed[i]);
    mary_free(instance.renamed);
    mary_names_free(&instance.positions);
done:
    mary_node_free(node);
    return status;
}

/* Expands every node of a list; on failure the list holds what is left of it. */
static mary_status expand_nodes(function_inliner *inliner, Onnx__NodeProto ***nodes, size_t *count,
                                const call_chain *chain)
{
    node_list out = {0};
    mary_status status = MARY_OK;
    size_t taken = 0;
    while (taken < *count && status == MARY_OK)
        status = expand(inliner, (*nodes)[taken++], chain, &out);
    for (; taken < *count; taken++)
        mary_node_free((*nodes)[taken]);
    mary_free(*nodes);
    *nodes = out.nodes;
    *count = out.count;
    return status;
}

static mary_status expand_kept_function(function_inliner *inliner, Onnx__FunctionProto *function)
{
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT; /* a view of the body, to collect its names */
    graph.node = function->node;
    graph.n_node = function->n_node;
    MARY_TRY(mary_graph_index_create(&graph, &inliner->names));
    for (size_t i = 0; i < function->n_input; i++)
        mary_free(mary_graph_unique_name(inliner->names, function->input[i])); /* now taken */
    call_chain chain = {function, NULL, 1};
    mary_status status = expand_nodes(inliner, &function->node, &function->n_node, &chain);
    mary_graph_index_free(&inliner->names);
    return status;
}

/* A body means what its own imports say: bring the model and its functions to one version. */
static mary_status unify_opsets(function_inliner *inliner)
{
    mary_model *model = inliner->model;
    int64_t newest = mary_model_opset(model, "");
    bool differ = false;
    for (size_t i = 0; i < model->proto->n_functions; i++) {
        const Onnx__FunctionProto *function = model->proto->functions[i];
        int64_t opset = mary_function_opset(function, "");
        if (is_kept(inliner, function) || opset == 0)
            continue;
        differ |= opset != mary_model_opset(model, "");
        newest = opset > newest ? opset : newest;
    }
    if (!differ)
        return MARY_OK;
    if (mary_model_opset(model, "") == 0)
        return mary_model_set_opset(model, "", newest);
    return mary_model_upgrade(model, newest);
}

static mary_status add_imports(mary_model *model, const Onnx__FunctionProto *function)
{
    for (size_t i = 0; i < function->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *import = function->opset_import[i];
        int64_t version = mary_model_opset(model, import->domain);
        if (version == 0)
            MARY_TRY(mary_model_set_opset(model, import->domain, import->version));
        else if (version != import->version && import->domain != NULL && *import->domain != '\0' &&
                 strcmp(import->domain, "ai.onnx") != 0)
            return mary_fail(MARY_ERROR_UNSUPPORTED, "function '%s' imports version %lld of '%s', the model %lld",
                             function->name, (long long)import->version, import->domain, (long long)version);
    }
    return MARY_OK;
}

static mary_status inline_all(function_inliner *inliner)
{
    mary_model *model = inliner->model;
    Onnx__GraphProto *graph = model->proto->graph;
    MARY_TRY(unify_opsets(inliner));
    for (size_t i = 0; i < model->proto->n_functions; i++) {
        if (!is_kept(inliner, model->proto->functions[i]))
            MARY_TRY(add_imports(model, model->proto->functions[i]));
    }
    MARY_TRY(mary_functions_index(&inliner->functions, model));
    for (size_t i = 0; i < model->proto->n_functions; i++) {
        if (is_kept(inliner, model->proto->functions[i]))
            MARY_TRY(expand_kept_function(inliner, model->proto->functions[i]));
    }
    MARY_TRY(mary_graph_index_create(graph, &inliner->names));
    return expand_nodes(inliner, &graph->node, &graph->n_node, NULL);
}

static void drop_inlined(function_inliner *inliner)
{
    Onnx__ModelProto *proto = inliner->model->proto;
    size_t kept = 0;
    for (size_t i = 0; i < proto->n_functions; i++) {
        if (is_kept(inliner, proto->functions[i]))
            proto->functions[kept++] = proto->functions[i];
        else
            onnx__function_proto__free_unpacked(proto->functions[i], &mary_proto_allocator);
    }
    proto->n_functions = kept;
}

mary_status mary_model_inline_functions(mary_model *model, const char *keep_domain)
{
    if (model->proto->n_functions == 0)
        return MARY_OK;
    function_inliner inliner = {.model = model, .keep_domain = keep_domain};
    mary_status status = inline_all(&inliner);
    if (status == MARY_OK)
        drop_inlined(&inliner);
    mary_graph_index_free(&inliner.names);
    mary_functions_free(&inliner.functions);
    return status == MARY_OK ? status : mary_fail_context(status, "%s", model->path);
}
