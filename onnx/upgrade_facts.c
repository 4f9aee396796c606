#include "onnx/upgrade.h"

#include <string.h>

#include "onnx/uses.h"

void mary_facts_free(mary_facts *facts)
{
    for (size_t i = 0; i < facts->count; i++)
        mary_free(facts->facts[i].name);
    mary_free(facts->facts);
    mary_names_free(&facts->positions);
    *facts = (mary_facts){0};
}

const mary_fact *mary_facts_find(const mary_facts *facts, const char *name)
{
    size_t position;
    return name != NULL && mary_names_get(&facts->positions, name, &position) ? &facts->facts[position] : NULL;
}

/* Adds a fact, or fills in what was unknown. A name that is defined twice (branches may use one for different things)
 * keeps only what both agree on. */
static mary_status add(mary_facts *facts, const mary_fact *known)
{
    size_t position;
    if (known->name == NULL || *known->name == '\0')
        return MARY_OK;
    if (mary_names_get(&facts->positions, known->name, &position)) {
        mary_fact *fact = &facts->facts[position];
        bool again = fact->is_defined && known->is_defined;
        if (fact->type == MARY_UNDEFINED && !again)
            fact->type = known->type;
        else if (again && fact->type != known->type)
            fact->type = MARY_UNDEFINED;
        if (fact->rank < 0 && !again)
            fact->rank = known->rank;
        else if (again && fact->rank != known->rank)
            fact->rank = -1;
        if (known->is_defined)
            fact->value = again ? NULL : known->value;
        fact->is_defined |= known->is_defined;
        return MARY_OK;
    }
    if (!mary_reserve((void **)&facts->facts, &facts->capacity, facts->count + 1, sizeof *facts->facts))
        return mary_fail_memory(facts->count * sizeof *facts->facts);
    char *copy = mary_strdup(known->name);
    if (copy == NULL)
        return mary_fail_memory(strlen(known->name));
    facts->facts[facts->count] = *known;
    facts->facts[facts->count++].name = copy;
    return mary_names_put(&facts->positions, copy, facts->count - 1);
}

static mary_status add_value(mary_facts *facts, const Onnx__ValueInfoProto *info)
{
    if (info->type == NULL || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return MARY_OK;
    const Onnx__TypeProto__Tensor *tensor = info->type->tensor_type;
    mary_fact known = {info->name, (mary_type)tensor->elem_type, -1, false, NULL};
    if (tensor->shape != NULL)
        known.rank = (int)tensor->shape->n_dim;
    return add(facts, &known);
}

static bool is_one_of(const char *type, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(type, *list) == 0)
            return true;
    }
    return false;
}

/* Outputs with the type and the rank of input 0. */
static const char *const same_rank[] = {"Relu",
                                        "LeakyRelu",
                                        "PRelu",
                                        "Clip",
                                        "Sigmoid",
                                        "HardSigmoid",
                                        "Tanh",
                                        "Elu",
                                        "Selu",
                                        "Softplus",
                                        "Softsign",
                                        "Exp",
                                        "Log",
                                        "Sqrt",
                                        "Abs",
                                        "Neg",
                                        "Floor",
                                        "Ceil",
                                        "Identity",
                                        "Dropout",
                                        "Softmax",
                                        "LogSoftmax",
                                        "Hardmax",
                                        "Conv",
                                        "MaxPool",
                                        "AveragePool",
                                        "LpPool",
                                        "GlobalMaxPool",
                                        "Transpose",
                                        "GlobalAveragePool",
                                        "LRN",
                                        "BatchNormalization",
                                        "Pad",
                                        "Slice",
                                        "Concat",
                                        "InstanceNormalization",
                                        "ConvTranspose",
                                        "Resize",
                                        "Upsample",
                                        "DepthToSpace",
                                        "SpaceToDepth",
                                        "ThresholdedRelu",
                                        "Erf",
                                        "LpNormalization",
                                        "MeanVarianceNormalization",
                                        NULL};
static const char *const rank_two[] = {"Flatten", "Gemm", NULL};
static const char *const gives_bool[] = {"Equal", "Greater", "Less", "Not", "And", "Or", "Xor", "IsNaN", "IsInf", NULL};
static const char *const gives_int64[] = {"Shape", "Size", "ArgMax", "ArgMin", "NonZero", NULL};
/* Outputs whose type is none of input 0's, and that no rule asks for. */
static const char *const gives_other[] = {"If",
                                          "Loop",
                                          "Scan",
                                          "Where",
                                          "OneHot",
                                          "QuantizeLinear",
                                          "EyeLike",
                                          "ConstantOfShape",
                                          "QLinearConv",
                                          "QLinearMatMul",
                                          "MatMulInteger",
                                          "ConvInteger",
                                          "DequantizeLinear",
                                          "Multinomial",
                                          "RandomNormal",
                                          "RandomUniform",
                                          "TfIdfVectorizer",
                                          NULL};

mary_status mary_facts_add_node(mary_facts *facts, const Onnx__NodeProto *node)
{
    mary_type type = MARY_UNDEFINED;
    int rank = -1;
    const Onnx__TensorProto *value = NULL;
    const mary_fact *input = node->n_input == 0 ? NULL : mary_facts_find(facts, node->input[0]);
    const char *op = node->op_type;
    if (strcmp(op, "Constant") == 0) {
        const Onnx__AttributeProto *attribute = mary_attribute_find(node, "value");
        value = attribute == NULL ? NULL : attribute->t;
        type = value == NULL ? MARY_UNDEFINED : (mary_type)value->data_type;
        rank = value == NULL ? -1 : (int)value->n_dims;
    } else if (strcmp(op, "Cast") == 0) {
        const Onnx__AttributeProto *to = mary_attribute_find(node, "to");
        type = to == NULL ? MARY_UNDEFINED : (mary_type)to->i;
        rank = input == NULL ? -1 : input->rank;
    } else if (is_one_of(op, gives_bool)) {
        type = MARY_BOOL;
    } else if (is_one_of(op, gives_int64)) {
        type = MARY_INT64;
    } else if (input != NULL && !is_one_of(op, gives_other) && (node->domain == NULL || *node->domain == '\0')) {
        type = input->type;
        rank = is_one_of(op, same_rank) ? input->rank : -1;
    }
    if (is_one_of(op, rank_two))
        rank = 2;
    for (size_t i = 0; i < node->n_output; i++) {
        mary_fact known = {node->output[i], type, rank, true, value};
        if (i > 0) /* masks, indices: their own matter */
            known.type = MARY_UNDEFINED, known.rank = -1, known.value = NULL;
        MARY_TRY(add(facts, &known));
    }
    return MARY_OK;
}

static mary_status add_subgraph(void *context, Onnx__GraphProto *graph)
{
    return mary_facts_add_graph(context, graph);
}

mary_status mary_facts_add_graph(mary_facts *facts, const Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        mary_fact known = {tensor->name, (mary_type)tensor->data_type, (int)tensor->n_dims, true, tensor};
        MARY_TRY(add(facts, &known));
    }
    for (size_t i = 0; i < graph->n_input; i++)
        MARY_TRY(add_value(facts, graph->input[i]));
    for (size_t i = 0; i < graph->n_value_info; i++)
        MARY_TRY(add_value(facts, graph->value_info[i]));
    for (size_t i = 0; i < graph->n_output; i++)
        MARY_TRY(add_value(facts, graph->output[i]));
    for (size_t i = 0; i < graph->n_node; i++) {
        MARY_TRY(mary_facts_add_node(facts, graph->node[i]));
        MARY_TRY(mary_node_visit_subgraphs(graph->node[i], add_subgraph, facts));
    }
    return MARY_OK;
}
