/* Bringing a model to a newer operator set, one version at a time, node by node. */
#include "onnx/upgrade.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "onnx/function.h"
#include "onnx/uses.h"

#define OLDEST_OPSET 7
#define NEWEST_OPSET 28 /* changes are known up to here */

mary_status mary_upgrade_fail(const mary_upgrade *upgrade, const Onnx__NodeProto *node, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return mary_fail(MARY_ERROR_UNSUPPORTED, "node '%s' (%s) cannot be upgraded to opset %lld: %s",
                     mary_node_label(node), node->op_type, (long long)upgrade->version, text);
}

static mary_status append(Onnx__NodeProto ***nodes, size_t *count, size_t *capacity, Onnx__NodeProto *node)
{
    if (!mary_reserve((void **)nodes, capacity, *count + 1, sizeof(void *))) {
        mary_node_free(node);
        return mary_fail_memory(*count * sizeof(void *));
    }
    (*nodes)[(*count)++] = node;
    return MARY_OK;
}

mary_status mary_upgrade_before(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    return append(&upgrade->nodes, &upgrade->count, &upgrade->capacity, node);
}

mary_status mary_upgrade_after(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    return append(&upgrade->after, &upgrade->after_count, &upgrade->after_capacity, node);
}

static char *fresh_name(mary_upgrade *upgrade, const char *value, const char *suffix)
{
    char *stem = mary_asprintf("%s_%s", value, suffix);
    char *name = stem == NULL ? NULL : mary_graph_unique_name(upgrade->names, stem);
    mary_free(stem);
    if (name == NULL)
        (void)mary_fail_memory(strlen(value));
    return name;
}

mary_status mary_upgrade_new_value(mary_upgrade *upgrade, const char *op_type, const char *const *inputs,
                                   size_t input_count, const char *output, Onnx__NodeProto **node)
{
    char *name = fresh_name(upgrade, output, op_type);
    if (name == NULL)
        return MARY_ERROR_INTERNAL;
    const char *outputs[] = {name};
    mary_status status = mary_node_create("", op_type, name, inputs, input_count, outputs, 1, node);
    mary_free(name);
    return status;
}

mary_status mary_upgrade_constant(mary_upgrade *upgrade, Onnx__NodeProto *node, size_t index, const char *stem,
                                  const mary_tensor *tensor)
{
    Onnx__NodeProto *constant = NULL;
    Onnx__TensorProto *message = NULL;
    char *name = fresh_name(upgrade, node->n_output > 0 ? node->output[0] : mary_node_label(node), stem);
    if (name == NULL)
        return MARY_ERROR_INTERNAL;
    const char *outputs[] = {name};
    mary_status status = mary_node_create("", "Constant", name, NULL, 0, outputs, 1, &constant);
    if (status == MARY_OK)
        status = mary_constant_encode(tensor, name, &message);
    if (status == MARY_OK)
        status = mary_node_set_tensor(constant, "value", message);
    if (status == MARY_OK) {
        message = NULL;
        status = mary_facts_add_node(upgrade->facts, constant);
    }
    if (status == MARY_OK) {
        status = mary_upgrade_before(upgrade, constant);
        constant = NULL;
    }
    if (status == MARY_OK)
        status = mary_node_set_input(node, index, name);
    if (message != NULL)
        onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
    mary_node_free(constant);
    mary_free(name);
    return status;
}

mary_status mary_upgrade_detach_output(mary_upgrade *upgrade, Onnx__NodeProto *node, char **old)
{
    char *name = fresh_name(upgrade, node->output[0], node->op_type);
    if (name == NULL)
        return MARY_ERROR_INTERNAL;
    *old = node->output[0];
    node->output[0] = name;
    return MARY_OK;
}

/* ---- the walk ---- */

static bool is_default_domain(const char *domain)
{
    return domain == NULL || *domain == '\0' || strcmp(domain, "ai.onnx") == 0;
}

static mary_status upgrade_nodes(const mary_upgrade *outer, Onnx__NodeProto ***nodes, size_t *count);

static mary_status upgrade_subgraph(void *context, Onnx__GraphProto *graph)
{
    return upgrade_nodes(context, &graph->node, &graph->n_node);
}

/* `node` belongs to this function; whatever happens it ends up in the new list or is freed. */
static mary_status upgrade_node(mary_upgrade *upgrade, Onnx__NodeProto *node)
{
    mary_status status = mary_node_visit_subgraphs(node, upgrade_subgraph, upgrade);
    mary_upgrade_rule *rule =
        is_default_domain(node->domain) ? mary_upgrade_rule_find(node->op_type, upgrade->version) : NULL;
    if (status == MARY_OK && rule != NULL)
        status = rule(upgrade, node);
    mary_status appended = mary_upgrade_before(upgrade, node);
    for (size_t i = 0; i < upgrade->after_count; i++) {
        mary_status next = mary_upgrade_before(upgrade, upgrade->after[i]);
        appended = appended == MARY_OK ? next : appended;
    }
    upgrade->after_count = 0;
    return status == MARY_OK ? appended : status;
}

/* On failure the list holds every node that is left: it can be freed, but is of no use. */
static mary_status upgrade_nodes(const mary_upgrade *outer, Onnx__NodeProto ***nodes, size_t *count)
{
    mary_upgrade upgrade = *outer;
    upgrade.nodes = upgrade.after = NULL;
    upgrade.count = upgrade.capacity = upgrade.after_count = upgrade.after_capacity = 0;
    mary_status status = MARY_OK;
    size_t taken = 0;
    while (taken < *count && status == MARY_OK)
        status = upgrade_node(&upgrade, (*nodes)[taken++]);
    for (; taken < *count; taken++)
        mary_node_free((*nodes)[taken]);
    mary_free(*nodes);
    mary_free(upgrade.after);
    *nodes = upgrade.nodes;
    *count = upgrade.count;
    return status;
}

/* A graph, or a function's body as a graph that has nothing but nodes. */
static mary_status upgrade_graph(const mary_model *model, Onnx__GraphProto *graph, int64_t from, int64_t to)
{
    if (from >= to)
        return MARY_OK;
    mary_facts facts = {0};
    mary_upgrade upgrade = {.model = model, .facts = &facts, .target = to};
    mary_status status = mary_facts_add_graph(&facts, graph);
    if (status == MARY_OK)
        status = mary_graph_index_create(graph, &upgrade.names);
    for (int64_t version = from + 1; version <= to && status == MARY_OK; version++) {
        upgrade.version = version;
        status = upgrade_nodes(&upgrade, &graph->node, &graph->n_node);
    }
    mary_graph_index_free(&upgrade.names);
    mary_facts_free(&facts);
    return status;
}

static mary_status upgrade_function(const mary_model *model, Onnx__FunctionProto *function, int64_t to)
{
    int64_t from = mary_function_opset(function, "");
    if (from == 0 || from >= to)
        return MARY_OK;
    Onnx__GraphProto body = ONNX__GRAPH_PROTO__INIT;
    body.node = function->node;
    body.n_node = function->n_node;
    mary_status status = from < OLDEST_OPSET ? mary_fail(MARY_ERROR_UNSUPPORTED, "opset %lld is older than %d",
                                                         (long long)from, OLDEST_OPSET)
                                             : upgrade_graph(model, &body, from, to);
    function->node = body.node;
    function->n_node = body.n_node;
    if (status != MARY_OK)
        return mary_fail_context(status, "function '%s'", function->name);
    for (size_t i = 0; i < function->n_opset_import; i++) {
        if (is_default_domain(function->opset_import[i]->domain))
            function->opset_import[i]->version = to;
    }
    return MARY_OK;
}

mary_status mary_model_upgrade(mary_model *model, int64_t opset)
{
    int64_t current = mary_model_opset(model, "");
    mary_status status = MARY_OK;
    if (current > opset)
        return MARY_OK;
    if (opset > NEWEST_OPSET)
        status = mary_fail(MARY_ERROR_UNSUPPORTED, "opset %lld is newer than %d", (long long)opset, NEWEST_OPSET);
    else if (current != 0 && current < OLDEST_OPSET && current < opset)
        status = mary_fail(MARY_ERROR_UNSUPPORTED, "opset %lld is older than %d", (long long)current, OLDEST_OPSET);
    for (size_t i = 0; i < model->proto->n_functions && status == MARY_OK; i++)
        status = upgrade_function(model, model->proto->functions[i], opset);
    if (status == MARY_OK && current != 0)
        status = upgrade_graph(model, model->proto->graph, current, opset);
    if (status == MARY_OK && current < opset)
        status = mary_model_set_opset(model, "", opset);
    return status == MARY_OK ? status : mary_fail_context(status, "%s", model->path);
}
