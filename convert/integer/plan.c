/* Regions of integers. Availability spreads forwards from the layers, usefulness backwards; a node computes in integers
 * where both meet. */
#include "convert/integer/plan.h"

#include <math.h>
#include <string.h>

#include "onnx/uses.h"

static const char *const end_of_graph = "nothing after it computes in integers";
static const char *const float_input = "an input of it is float";

void mary_integer_plan_free(mary_integer_plan *plan)
{
    mary_graph_index_free(&plan->index);
    mary_free(plan->nodes);
    mary_free(plan->values);
    *plan = (mary_integer_plan){0};
}

size_t mary_integer_plan_value_of(const mary_integer_plan *plan, const char *name)
{
    size_t position;
    return name[0] != '\0' && mary_names_get(&plan->statistics->names, name, &position) ? position : MARY_NO_VALUE;
}

size_t mary_integer_plan_root(const mary_integer_plan *plan, size_t value)
{
    while (plan->values[value].parent != value)
        value = plan->values[value].parent;
    return value;
}

static void unite(mary_integer_plan *plan, size_t a, size_t b)
{
    size_t x = mary_integer_plan_root(plan, a), y = mary_integer_plan_root(plan, b);
    plan->values[x > y ? x : y].parent = x > y ? y : x;
}

static void describe_values(mary_integer_plan *plan)
{
    for (size_t v = 0; v < plan->value_count; v++) {
        const mary_statistics_value *seen = &plan->statistics->values[v];
        mary_integer_plan_value *value = &plan->values[v];
        size_t users;
        *value = (mary_integer_plan_value){
            .name = seen->name, .source = v, .parent = v, .clip_low = -INFINITY, .clip_high = INFINITY};
        value->producer = mary_graph_producer(plan->index, seen->name);
        (void)mary_graph_consumers(plan->index, seen->name, &users);
        value->consumers = users + mary_graph_is_output(plan->index, seen->name);
        value->usable = seen->type == MARY_FLOAT && seen->shape.rank > 0 &&
                        (!seen->wanted || plan->statistics->batches == 0 || seen->histogram.count > 0);
    }
}

/* The value that input i of a node reads, when that is a usable activation. */
static size_t usable_input(const mary_integer_plan *plan, const Onnx__NodeProto *node, size_t i)
{
    size_t value = mary_integer_plan_value_of(plan, node->input[i]);
    return value != MARY_NO_VALUE && plan->values[value].usable ? value : MARY_NO_VALUE;
}

/* ---- forwards ---- */

static bool is_integer_role(mary_role role)
{
    return role == MARY_ROLE_LAYER || role == MARY_ROLE_KEEP || role == MARY_ROLE_JOIN || role == MARY_ROLE_MIX;
}

/* Can saturation of the node that makes `value` do what a ReLU after it does? */
static bool can_absorb(const mary_integer_plan *plan, size_t value)
{
    const mary_integer_plan_value *v = &plan->values[value];
    if (v->producer < 0 || v->consumers != 1)
        return false;
    mary_role role = plan->nodes[v->producer].role;
    return role == MARY_ROLE_LAYER || role == MARY_ROLE_MIX;
}

static void make_available(mary_integer_plan *plan, const Onnx__NodeProto *node)
{
    for (size_t o = 0; o < node->n_output; o++) {
        size_t out = mary_integer_plan_value_of(plan, node->output[o]);
        if (out != MARY_NO_VALUE)
            plan->values[out].available = true;
    }
}

/* The one u8 tensor that all activations of the node are computed from; MARY_NO_VALUE: there are several. */
static size_t common_source(const mary_integer_plan *plan, const Onnx__NodeProto *node, mary_role role)
{
    size_t source = MARY_NO_VALUE;
    for (size_t i = 0; i < node->n_input; i++) {
        if (!mary_operator_reads(node, role, i) || mary_graph_initializer(plan->index, node->input[i]) >= 0)
            continue;
        size_t from = plan->values[mary_integer_plan_value_of(plan, node->input[i])].source;
        if (source != MARY_NO_VALUE && source != from)
            return MARY_NO_VALUE;
        source = from;
    }
    return source;
}

static bool all_available(const mary_integer_plan *plan, const Onnx__NodeProto *node, mary_role role)
{
    bool any = false;
    for (size_t i = 0; i < node->n_input; i++) {
        if (!mary_operator_reads(node, role, i))
            continue;
        if (role == MARY_ROLE_ELEMENT && mary_graph_initializer(plan->index, node->input[i]) >= 0)
            continue;
        size_t value = usable_input(plan, node, i);
        if (value == MARY_NO_VALUE || !plan->values[value].available)
            return false;
        any = true;
    }
    for (size_t o = 0; o < node->n_output; o++) {
        size_t out = mary_integer_plan_value_of(plan, node->output[o]);
        if (node->output[o][0] != '\0' && (out == MARY_NO_VALUE || !plan->values[out].usable))
            return false;
    }
    return any;
}

static mary_status classify(mary_integer_plan *plan, const mary_model *model, size_t n)
{
    const Onnx__NodeProto *node = plan->graph->node[n];
    mary_integer_plan_node *planned = &plan->nodes[n];
    mary_operator_kind kind;
    bool is_clip;
    double low, high;
    MARY_TRY(mary_operator_kind_of(model, plan->index, node, &kind));
    planned->reason = kind.reason;
    if (kind.role == MARY_ROLE_FLOAT || kind.role == MARY_ROLE_SHAPE) {
        planned->role = kind.role;
        return MARY_OK;
    }
    planned->reason = float_input;
    if (node->n_output == 0 || !all_available(plan, node, kind.role))
        return MARY_OK;
    size_t out = mary_integer_plan_value_of(plan, node->output[0]), source = MARY_NO_VALUE;
    MARY_TRY(mary_operator_clip(model, plan->index, node, &is_clip, &low, &high));
    size_t in = mary_integer_plan_value_of(plan, node->input[0]);
    if (is_clip && in != MARY_NO_VALUE && can_absorb(plan, in)) {
        kind.role = MARY_ROLE_ABSORBED;
        plan->values[out].clip_low = low;
        plan->values[out].clip_high = high;
    } else if (kind.role == MARY_ROLE_ELEMENT || (kind.role == MARY_ROLE_MIX && node->n_input == 2 && !kind.pool)) {
        source = common_source(plan, node, kind.role);
        if (source == MARY_NO_VALUE && kind.role == MARY_ROLE_ELEMENT) {
            planned->reason = "it combines several tensors";
            return MARY_OK;
        }
        if (source != MARY_NO_VALUE) {
            kind.role = MARY_ROLE_ELEMENT;
            plan->values[out].source = source;
        }
    }
    planned->role = kind.role;
    planned->useful = kind.pool;
    planned->made = out;
    make_available(plan, node);
    return MARY_OK;
}

/* A layer is one when its input is a float activation, its bias a constant, and the product is not transposed. */
static mary_status classify_layer(mary_integer_plan *plan, const mary_layers *layers, size_t n, size_t l)
{
    const Onnx__NodeProto *node = plan->graph->node[n];
    const mary_layer *layer = &layers->items[l];
    mary_integer_plan_node *planned = &plan->nodes[n];
    int64_t transposed = 0;
    float alpha = 1;
    planned->reason = "its weight stays float";
    if (layer->reason != NULL)
        return MARY_OK;
    if (layer->kind == MARY_LAYER_CONV_TRANSPOSE) {
        planned->reason = "transposed convolutions have levels, but no integer form";
        return MARY_OK;
    }
    size_t in = usable_input(plan, node, 0), out = mary_integer_plan_value_of(plan, node->output[0]);
    planned->reason = "its input or output is not of type float";
    if (in == MARY_NO_VALUE || out == MARY_NO_VALUE || !plan->values[out].usable || layer->type != MARY_FLOAT)
        return MARY_OK;
    if (layer->kind == MARY_LAYER_GEMM) {
        MARY_TRY(mary_attribute_int(node, "transA", 0, &transposed));
        MARY_TRY(mary_attribute_float(node, "alpha", 1, &alpha));
    }
    planned->reason = "its input is transposed, or scaled by no positive number";
    if (transposed != 0 || !(alpha > 0) || !isfinite(alpha))
        return MARY_OK;
    if (node->n_input > 2 && node->input[2][0] != '\0') {
        ptrdiff_t position = mary_graph_initializer(plan->index, node->input[2]);
        mary_type type;
        mary_shape shape = {0};
        planned->reason = "its bias is not a constant of one value per output";
        if (position < 0)
            return MARY_OK;
        MARY_TRY(mary_tensor_describe(plan->graph->initializer[position], &type, &shape));
        int64_t count = mary_shape_count(&shape);
        if (type != MARY_FLOAT || (count != layer->layout.rows && count != 1) ||
            (shape.rank > 0 && shape.dims[shape.rank - 1] != count))
            return MARY_OK;
    }
    *planned = (mary_integer_plan_node){.role = MARY_ROLE_LAYER, .layer = l, .useful = true, .made = out};
    plan->values[out].available = true;
    return MARY_OK;
}

/* ---- backwards ---- */

static void spread_usefulness(mary_integer_plan *plan)
{
    for (size_t n = plan->node_count; n-- > 0;) {
        const Onnx__NodeProto *node = plan->graph->node[n];
        mary_integer_plan_node *planned = &plan->nodes[n];
        for (size_t o = 0; o < node->n_output && !planned->useful; o++) {
            size_t count;
            const size_t *users = mary_graph_consumers(plan->index, node->output[o], &count);
            for (size_t u = 0; u < count; u++)
                planned->useful =
                    planned->useful || (plan->nodes[users[u]].useful && plan->nodes[users[u]].role != MARY_ROLE_FLOAT);
        }
    }
    for (size_t n = 0; n < plan->node_count; n++) {
        mary_integer_plan_node *planned = &plan->nodes[n];
        if (planned->role == MARY_ROLE_ABSORBED) { /* as what makes its input */
            const mary_integer_plan_value *in =
                &plan->values[mary_integer_plan_value_of(plan, plan->graph->node[n]->input[0])];
            planned->useful = plan->nodes[in->producer].useful;
        }
        if (planned->role == MARY_ROLE_FLOAT || planned->role == MARY_ROLE_SHAPE || planned->useful)
            continue;
        *planned = (mary_integer_plan_node){.reason = end_of_graph, .made = MARY_NO_VALUE};
    }
}

/* ---- which values are u8 ---- */

static void settle_values(mary_integer_plan *plan)
{
    for (size_t n = 0; n < plan->node_count; n++) {
        const Onnx__NodeProto *node = plan->graph->node[n];
        mary_integer_plan_node *planned = &plan->nodes[n];
        if (planned->role == MARY_ROLE_ABSORBED) {
            const mary_integer_plan_value *in = &plan->values[mary_integer_plan_value_of(plan, node->input[0])];
            plan->nodes[in->producer].made = mary_integer_plan_value_of(plan, node->output[0]);
        }
    }
    for (size_t n = 0; n < plan->node_count; n++) {
        const Onnx__NodeProto *node = plan->graph->node[n];
        const mary_integer_plan_node *planned = &plan->nodes[n];
        if (planned->role == MARY_ROLE_ELEMENT) {
            plan->values[plan->values[mary_integer_plan_value_of(plan, node->output[0])].source].stored = true;
            continue;
        }
        if (!is_integer_role(planned->role))
            continue;
        size_t first = MARY_NO_VALUE;
        for (size_t i = 0; i < node->n_input; i++) {
            if (!(planned->role == MARY_ROLE_LAYER ? i == 0 : mary_operator_reads(node, planned->role, i)))
                continue;
            size_t in = mary_integer_plan_value_of(plan, node->input[i]);
            plan->values[in].stored = true;
            first = in;
        }
        for (size_t o = 0; o < node->n_output; o++) {
            size_t out = planned->role == MARY_ROLE_LAYER || planned->role == MARY_ROLE_MIX
                             ? planned->made
                             : mary_integer_plan_value_of(plan, node->output[o]);
            if (out == MARY_NO_VALUE)
                continue;
            plan->values[out].stored = true;
            if (planned->role == MARY_ROLE_KEEP)
                unite(plan, first, out);
        }
    }
}

typedef struct float_use {
    mary_integer_plan *plan;
    const Onnx__NodeProto *node;
    mary_role role;
} float_use;

static mary_status see_use(void *context, char **slot)
{
    float_use *use = context;
    size_t value = mary_integer_plan_value_of(use->plan, *slot);
    if (value != MARY_NO_VALUE && use->role == MARY_ROLE_FLOAT)
        use->plan->values[value].float_needed = true;
    return MARY_OK;
}

static bool made_in_integers(const mary_integer_plan *plan, const mary_integer_plan_value *value)
{
    if (value->producer < 0)
        return false;
    return plan->nodes[value->producer].role != MARY_ROLE_FLOAT && plan->nodes[value->producer].role != MARY_ROLE_SHAPE;
}

static mary_status find_float_uses(mary_integer_plan *plan)
{
    for (size_t n = 0; n < plan->node_count; n++) {
        float_use use = {plan, plan->graph->node[n], plan->nodes[n].role};
        MARY_TRY(mary_node_visit_uses(plan->graph->node[n], see_use, &use));
    }
    for (size_t v = 0; v < plan->value_count; v++) {
        mary_integer_plan_value *value = &plan->values[v];
        value->float_needed = value->stored && made_in_integers(plan, value) &&
                              (value->float_needed || mary_graph_is_output(plan->index, value->name));
    }
    return MARY_OK;
}

/* Nodes that no float activation passes through need no reason. */
static void drop_reasons(mary_integer_plan *plan)
{
    for (size_t n = 0; n < plan->node_count; n++) {
        const Onnx__NodeProto *node = plan->graph->node[n];
        bool passes = false;
        for (size_t o = 0; o < node->n_output; o++) {
            size_t out = mary_integer_plan_value_of(plan, node->output[o]);
            passes = passes || (out != MARY_NO_VALUE && mary_type_is_float(plan->statistics->values[out].type));
        }
        if (!passes || plan->nodes[n].role != MARY_ROLE_FLOAT)
            plan->nodes[n].reason = NULL;
    }
}

mary_status mary_integer_plan_create(const mary_model *model, const mary_layers *layers,
                                     const mary_statistics *statistics, mary_integer_plan *plan)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    mary_status status = MARY_OK;
    *plan = (mary_integer_plan){
        .graph = graph, .statistics = statistics, .node_count = graph->n_node, .value_count = statistics->count};
    plan->nodes = mary_calloc(graph->n_node + 1, sizeof *plan->nodes);
    plan->values = mary_calloc(statistics->count + 1, sizeof *plan->values);
    if (plan->nodes == NULL || plan->values == NULL) {
        status = mary_fail_memory(graph->n_node * sizeof *plan->nodes);
        goto done;
    }
    MARY_TRY_GOTO(mary_graph_index_create(graph, &plan->index), done);
    describe_values(plan);
    for (size_t n = 0, l = 0; n < graph->n_node; n++) {
        plan->nodes[n].made = MARY_NO_VALUE;
        if (l < layers->count && layers->items[l].node == graph->node[n])
            MARY_TRY_GOTO(classify_layer(plan, layers, n, l++), done);
        else
            MARY_TRY_GOTO(classify(plan, model, n), done);
    }
    spread_usefulness(plan);
    settle_values(plan);
    MARY_TRY_GOTO(find_float_uses(plan), done);
    drop_reasons(plan);
done:
    if (status != MARY_OK)
        mary_integer_plan_free(plan);
    return status;
}

void mary_integer_plan_want(const mary_integer_plan *plan, const mary_layers *layers, mary_statistics *statistics)
{
    for (size_t v = 0; v < plan->value_count; v++)
        statistics->values[v].wanted = plan->values[v].stored;
    for (size_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].role != MARY_ROLE_LAYER)
            continue;
        mary_statistics_value *in =
            &statistics->values[mary_integer_plan_value_of(plan, plan->graph->node[n]->input[0])];
        in->channel_axis = layers->items[plan->nodes[n].layer].kind == MARY_LAYER_CONV ? 1 : in->shape.rank - 1;
    }
}
