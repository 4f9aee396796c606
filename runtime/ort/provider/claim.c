/* Which nodes become ours. All nodes of a claimed group are replaced by one, so that no path may leave the group and
 * come back. Nodes are given depths: along every path the depth grows by one where it changes between nodes that we can
 * run and others, and never falls. Supported nodes of one depth therefore have no other between them, and each of their
 * connected components can be a group. */
#include "runtime/ort/provider/provider.h"

#include <limits.h>
#include <string.h>

#include "onnx/edit.h"
#include "onnx/names.h"
#include "runtime/evaluate.h"

typedef struct claim_node {
    const OrtNode *node;
    bool supported, coded; /* coded: an operator of ai.mary */
    int depth;             /* even where supported, odd elsewhere */
    int limit;             /* the depth that those who read it allow */
    size_t parent;         /* towards the first node of its group; that one is its own */
    size_t *producers;     /* nodes whose outputs it reads */
    size_t producer_count;
} claim_node;

typedef struct claim {
    const mary_ort_provider *provider;
    const OrtApi *api;
    const OrtGraph *graph;
    mary_model *model; /* without nodes: for its opset imports */
    claim_node *nodes; /* in topological order, as ONNX Runtime lists them */
    const OrtNode **list;
    size_t count;
} claim;

/* ---- can we run this node? ---- */

/* A dimension that is not known gets some size: only refusals that no size would change are looked at. */
enum { SOME_SIZE = 16, MOST_KNOWN_VALUES = 64 };

typedef struct signature {
    mary_tensor *tensors; /* inputs, then outputs */
    const mary_tensor **inputs;
    mary_tensor **outputs;
    bool representable; /* every value is a tensor of a type that we have */
    bool shaped;        /* every input's rank is known */
} signature;

static void signature_free(signature *s)
{
    mary_free(s->tensors);
    mary_free(s->inputs);
    mary_free(s->outputs);
}

/* Small constants are known by value: axes, shapes. */
static mary_status constant_value(const claim *c, const OrtValueInfo *info, const mary_ort_value *value,
                                  mary_tensor *tensor)
{
    bool constant = false;
    const OrtValue *found = NULL;
    MARY_TRY(mary_ort_take(c->api, c->api->ValueInfo_IsConstantInitializer(info, &constant)));
    if (!constant || value->rank > 1 || (value->rank == 1 && value->dims[0] > MOST_KNOWN_VALUES))
        return MARY_OK;
    MARY_TRY(mary_ort_take(c->api, c->api->ValueInfo_GetInitializerValue(info, &found)));
    return found == NULL ? MARY_OK : mary_ort_tensor(c->api, found, value->name, tensor);
}

static mary_status describe_input(const claim *c, const OrtValueInfo *info, signature *s, size_t i)
{
    mary_ort_value value;
    mary_tensor *tensor = &s->tensors[i];
    if (info == NULL)
        return MARY_OK;
    MARY_TRY(mary_ort_describe(c->api, info, &value));
    s->representable = s->representable && value.type != MARY_UNDEFINED;
    if (!s->representable || value.name[0] == '\0')
        return MARY_OK;
    *tensor = (mary_tensor){.type = value.type, .shape = {.rank = value.rank < 0 ? 0 : value.rank}};
    for (int d = 0; d < value.rank; d++)
        tensor->shape.dims[d] = value.dims[d] < 0 ? SOME_SIZE : value.dims[d];
    s->inputs[i] = tensor;
    MARY_TRY(constant_value(c, info, &value, tensor));
    s->shaped = s->shaped && (value.rank >= 0 || tensor->data != NULL);
    return MARY_OK;
}

static mary_status describe_signature(const claim *c, const OrtNode *node, const Onnx__NodeProto *message, signature *s)
{
    const OrtValueInfo **inputs = NULL, **outputs = NULL;
    size_t input_count = 0, output_count = 0;
    mary_status status = MARY_OK;
    *s = (signature){.representable = true, .shaped = true};
    s->tensors = mary_calloc(message->n_input + message->n_output, sizeof *s->tensors);
    s->inputs = mary_calloc(message->n_input, sizeof *s->inputs);
    s->outputs = mary_calloc(message->n_output, sizeof *s->outputs);
    if (s->tensors == NULL || s->inputs == NULL || s->outputs == NULL)
        return mary_fail_memory((message->n_input + message->n_output) * sizeof *s->tensors);
    MARY_TRY_GOTO(mary_ort_node_inputs(c->api, node, &inputs, &input_count), done);
    MARY_TRY_GOTO(mary_ort_node_outputs(c->api, node, &outputs, &output_count), done);
    for (size_t i = 0; i < input_count && i < message->n_input; i++)
        MARY_TRY_GOTO(describe_input(c, inputs[i], s, i), done);
    for (size_t i = 0; i < output_count && i < message->n_output; i++) {
        mary_ort_value value;
        MARY_TRY_GOTO(mary_ort_describe(c->api, outputs[i], &value), done);
        if (value.name[0] == '\0')
            continue;
        s->representable = s->representable && value.type != MARY_UNDEFINED;
        s->outputs[i] = &s->tensors[message->n_input + i];
    }
done:
    mary_free(inputs);
    mary_free(outputs);
    return status;
}

/* Operators of ai.mary compute in float: where levels are double, ONNX Runtime's inlined body is as exact as asked. */
static bool has_double(const signature *s, size_t input_count)
{
    for (size_t i = 0; i < input_count; i++) {
        if (s->inputs[i] != NULL && s->inputs[i]->type == MARY_DOUBLE)
            return true;
    }
    return false;
}

static void try_operator(const claim *c, const mary_op *op, const Onnx__NodeProto *message, const signature *s,
                         claim_node *n)
{
    mary_program_node node = {.node = {.op = op,
                                       .proto = message,
                                       .model = c->model,
                                       .name = mary_node_label(message),
                                       .opset = (int)mary_model_opset(c->model, message->domain),
                                       .input_count = (int)message->n_input,
                                       .output_count = (int)message->n_output,
                                       .epilogue = {.residual = -1}},
                              .input_count = (int)message->n_input,
                              .output_count = (int)message->n_output};
    /* A node of ours that breaks the rules is claimed: compiling it says what is wrong. Others are ONNX Runtime's to
     * refuse or to run. Shapes may be made up, so that only a refusal of types or attributes says something. */
    mary_status status = op->prepare != NULL ? op->prepare(&node.node) : MARY_OK;
    n->supported = status == MARY_OK || (status == MARY_ERROR_INVALID && n->coded);
    if (status == MARY_OK && s->shaped)
        n->supported = mary_node_infer(&node, s->inputs, s->outputs) != MARY_ERROR_UNSUPPORTED;
    if (op->release != NULL)
        op->release(&node.node);
    else
        mary_free(node.node.state);
}

static mary_status examine(const claim *c, claim_node *n)
{
    size_t subgraphs = 0;
    Onnx__NodeProto *message = NULL;
    signature s = {0};
    MARY_TRY(mary_ort_take(c->api, c->api->Node_GetNumSubgraphs(n->node, &subgraphs)));
    if (subgraphs > 0)
        return MARY_OK;
    mary_status status = mary_ort_node_message(c->api, n->node, &message);
    if (status == MARY_ERROR_UNSUPPORTED)
        return MARY_OK;
    MARY_TRY(status);
    const char *domain = message->domain != NULL ? message->domain : "";
    const mary_op *op = strcmp(domain, MARY_INTERNAL_DOMAIN) == 0 || message->n_input > 4096 || message->n_output > 4096
                            ? NULL
                            : mary_op_find(domain, message->op_type, mary_model_opset(c->model, domain));
    if (op == NULL || (op->flags & MARY_OP_NONDETERMINISTIC))
        goto done;
    n->coded = strcmp(domain, "ai.mary") == 0;
    MARY_TRY_GOTO(describe_signature(c, n->node, message, &s), done);
    if (s.representable && !(n->coded && has_double(&s, message->n_input)))
        try_operator(c, op, message, &s, n);
    n->coded = n->coded && n->supported;
done:
    signature_free(&s);
    mary_node_free(message);
    return status;
}

/* ---- edges ---- */

static mary_status add_producers(const claim *c, const OrtValueInfo *const *values, size_t count,
                                 const mary_names *producers, claim_node *n)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = "";
        if (values[i] == NULL)
            continue;
        MARY_TRY(mary_ort_take(c->api, c->api->GetValueInfoName(values[i], &name)));
        if (name[0] != '\0' && mary_names_get(producers, name, &n->producers[n->producer_count]))
            n->producer_count++;
    }
    return MARY_OK;
}

/* Values that a subgraph of the node reads count, too. */
static mary_status find_producers(const claim *c, const mary_names *producers, claim_node *n)
{
    const OrtValueInfo **inputs = NULL, **implicit = NULL;
    size_t input_count = 0, implicit_count = 0;
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(mary_ort_node_inputs(c->api, n->node, &inputs, &input_count), done);
    MARY_TRY_GOTO(
        MARY_ORT_LIST(c->api, Node_GetNumImplicitInputs, Node_GetImplicitInputs, n->node, &implicit, &implicit_count),
        done);
    n->producers = mary_calloc(input_count + implicit_count + 1, sizeof *n->producers);
    if (n->producers == NULL) {
        status = mary_fail_memory((input_count + implicit_count) * sizeof *n->producers);
        goto done;
    }
    MARY_TRY_GOTO(add_producers(c, inputs, input_count, producers, n), done);
    status = add_producers(c, implicit, implicit_count, producers, n);
done:
    mary_free(inputs);
    mary_free(implicit);
    return status;
}

static mary_status name_outputs(const claim *c, size_t node, mary_names *producers)
{
    const OrtValueInfo **outputs = NULL;
    size_t count = 0;
    mary_status status = mary_ort_node_outputs(c->api, c->nodes[node].node, &outputs, &count);
    for (size_t i = 0; i < count && status == MARY_OK; i++) {
        const char *name = "";
        if (outputs[i] == NULL)
            continue;
        status = mary_ort_take(c->api, c->api->GetValueInfoName(outputs[i], &name));
        if (status == MARY_OK && name[0] != '\0')
            status = mary_names_put(producers, name, node);
    }
    mary_free(outputs);
    return status;
}

static mary_status find_edges(claim *c)
{
    mary_names producers = {0};
    mary_status status = MARY_OK;
    for (size_t i = 0; i < c->count && status == MARY_OK; i++) {
        status = find_producers(c, &producers, &c->nodes[i]);
        if (status == MARY_OK)
            status = name_outputs(c, i, &producers);
    }
    mary_names_free(&producers);
    return status;
}

/* ---- groups ---- */

static size_t group_of(claim *c, size_t i)
{
    while (c->nodes[i].parent != i) {
        c->nodes[i].parent = c->nodes[c->nodes[i].parent].parent;
        i = c->nodes[i].parent;
    }
    return i;
}

static void form_groups(claim *c)
{
    for (size_t i = 0; i < c->count; i++) {
        claim_node *n = &c->nodes[i];
        n->parent = i;
        n->limit = INT_MAX;
        n->depth = n->supported ? 0 : 1;
        for (size_t k = 0; k < n->producer_count; k++) {
            const claim_node *from = &c->nodes[n->producers[k]];
            int least = from->depth + (from->supported != n->supported);
            if (least > n->depth)
                n->depth = least;
        }
    }
    /* A branch that could wait for what it is joined with does: it gets as deep as those who read it allow. */
    for (size_t i = c->count; i-- > 0;) {
        claim_node *n = &c->nodes[i];
        if (n->supported && n->limit < INT_MAX)
            n->depth = n->limit;
        for (size_t k = 0; k < n->producer_count; k++) {
            claim_node *from = &c->nodes[n->producers[k]];
            int most = n->depth - (from->supported != n->supported);
            if (most < from->limit)
                from->limit = most;
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        const claim_node *n = &c->nodes[i];
        for (size_t k = 0; n->supported && k < n->producer_count; k++) {
            const claim_node *from = &c->nodes[n->producers[k]];
            if (from->supported && from->depth == n->depth)
                c->nodes[group_of(c, n->producers[k])].parent = group_of(c, i);
        }
    }
}

/* ---- telling ONNX Runtime ---- */

static mary_status claim_group(claim *c, size_t group, OrtEpGraphSupportInfo *support)
{
    const OrtNodeFusionOptions options = {.ort_version_supported = MARY_ORT_API_VERSION,
                                          .drop_constant_initializers = true};
    bool wanted = c->provider->options.claim_all;
    size_t size = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (!c->nodes[i].supported || group_of(c, i) != group)
            continue;
        wanted = wanted || c->nodes[i].coded;
        c->list[size++] = c->nodes[i].node;
    }
    if (!wanted)
        return MARY_OK;
    return mary_ort_take(c->api,
                         c->provider->ep_api->EpGraphSupportInfo_AddNodesToFuse(support, c->list, size, &options));
}

static mary_status claim_all(claim *c, OrtEpGraphSupportInfo *support)
{
    bool any = c->provider->options.claim_all;
    MARY_TRY(MARY_ORT_LIST(c->api, Graph_GetNumNodes, Graph_GetNodes, c->graph, &c->list, &c->count));
    MARY_TRY(mary_ort_empty_model(c->api, c->graph, &c->model));
    c->nodes = mary_calloc(c->count, sizeof *c->nodes);
    if (c->nodes == NULL)
        return mary_fail_memory(c->count * sizeof *c->nodes);
    for (size_t i = 0; i < c->count; i++) {
        c->nodes[i].node = c->list[i];
        MARY_TRY(examine(c, &c->nodes[i]));
        any = any || c->nodes[i].coded;
    }
    if (!any)
        return MARY_OK;
    MARY_TRY(find_edges(c));
    form_groups(c);
    for (size_t i = 0; i < c->count; i++) {
        if (c->nodes[i].supported && group_of(c, i) == i)
            MARY_TRY(claim_group(c, i, support));
    }
    return MARY_OK;
}

OrtStatus *ORT_API_CALL mary_ort_get_capability(OrtEp *self, const OrtGraph *graph, OrtEpGraphSupportInfo *support)
{
    const mary_ort_provider *provider = (const mary_ort_provider *)self; /* its first member */
    claim c = {.provider = provider, .api = provider->api, .graph = graph};
    const OrtNode *holder = NULL;
    mary_status status = mary_ort_take(c.api, c.api->Graph_GetParentNode(graph, &holder));
    bool over = provider->one_round && provider->compiled;
    if (status == MARY_OK && holder == NULL && !over) /* the bodies of If and Loop stay ONNX Runtime's */
        status = claim_all(&c, support);
    for (size_t i = 0; c.nodes != NULL && i < c.count; i++)
        mary_free(c.nodes[i].producers);
    mary_free(c.nodes);
    mary_free(c.list);
    mary_model_free(&c.model);
    return mary_ort_status(c.api, status);
}
