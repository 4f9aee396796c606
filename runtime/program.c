#include "runtime/program.h"

#include "onnx/edit.h"
#include "ops/gradient.h"
#include "runtime/shapes.h"

#include <stdio.h>
#include <string.h>

/* ---- values ---- */

int mary_program_find(const mary_program *program, const char *name)
{
    size_t number = 0;
    return mary_names_get(&program->names, name, &number) ? (int)number : -1;
}

mary_status mary_program_add_value(mary_program *program, const char *name, int *value)
{
    if (program->value_count >= INT32_MAX / 2)
        return mary_fail(MARY_ERROR_INVALID, "the graph has more than %d values", INT32_MAX / 2);
    if (!mary_reserve((void **)&program->values, &program->value_capacity, program->value_count + 1,
                      sizeof *program->values))
        return mary_fail_memory(program->value_capacity * 2 * sizeof *program->values);
    if (name[0] != '\0')
        MARY_TRY(mary_names_put(&program->names, name, program->value_count));
    program->values[program->value_count] = (mary_program_value){.name = name, .producer = -1};
    *value = (int)program->value_count++;
    return MARY_OK;
}

void mary_program_release_use(mary_program *program, int number)
{
    mary_program_value *value = &program->values[number];
    if (--value->uses > 0 || !value->constant)
        return;
    if (value->message != NULL && !program->borrowed) { /* the session owns the model: the weights may go */
        if (!program->model->lent)
            mary_free(value->message->raw_data.data);
        value->message->raw_data.data = NULL;
        value->message->raw_data.len = 0;
        value->message = NULL;
    }
    mary_free(value->owned);
    value->owned = NULL;
    value->tensor.data = NULL;
}

static mary_status add_initializer(mary_program *program, Onnx__TensorProto *message)
{
    int number = -1;
    MARY_TRY(mary_program_add_value(program, message->name, &number));
    mary_program_value *value = &program->values[number];
    mary_constant constant;
    MARY_TRY(mary_constant_decode(program->model, message, &constant));
    value->constant = true;
    value->tensor = constant.tensor;
    if (constant.owned)
        value->owned = constant.tensor.data;
    else
        value->message = message;
    return MARY_OK;
}

static mary_status add_inputs(mary_program *program)
{
    Onnx__GraphProto *graph = program->model->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++)
        MARY_TRY(add_initializer(program, graph->initializer[i]));
    program->inputs = mary_calloc(graph->n_input, sizeof *program->inputs);
    program->outputs = mary_calloc(graph->n_output, sizeof *program->outputs);
    if (program->inputs == NULL || program->outputs == NULL)
        return mary_fail_memory((graph->n_input + graph->n_output) * sizeof *program->inputs);
    for (size_t i = 0; i < graph->n_input; i++) {
        const Onnx__ValueInfoProto *info = graph->input[i];
        if (mary_program_find(program, info->name) >= 0)
            continue; /* an initializer that is listed as an input (IR version 3 asks for that) stays a constant */
        int number = -1;
        MARY_TRY(mary_program_add_value(program, info->name, &number));
        program->inputs[program->input_count++] = (mary_program_port){info->name, number, info};
    }
    return MARY_OK;
}

/* Sequences, maps and optional values are refused at load, whatever the operators say. */
static mary_status check_ports(const mary_program *program)
{
    mary_type type;
    mary_shape shape;
    for (int i = 0; i < program->input_count; i++)
        MARY_TRY(mary_port_describe(program->inputs[i].info, &type, &shape));
    for (int i = 0; i < program->output_count; i++)
        MARY_TRY(mary_port_describe(program->outputs[i].info, &type, &shape));
    return MARY_OK;
}

static mary_status add_outputs(mary_program *program)
{
    Onnx__GraphProto *graph = program->model->proto->graph;
    for (size_t i = 0; i < graph->n_output; i++) {
        int number = mary_program_find(program, graph->output[i]->name);
        if (number < 0)
            return mary_fail(MARY_ERROR_INVALID, "graph output '%s' is not made by any node", graph->output[i]->name);
        program->outputs[program->output_count++] =
            (mary_program_port){graph->output[i]->name, number, graph->output[i]};
        program->values[number].graph_output = true;
        program->values[number].uses++;
    }
    return MARY_OK;
}

/* ---- nodes ---- */

/* The operator of a node as a file has it; NULL: none. Operators of the internal domain are what the runtime makes of
 * nodes, with checks that it has done: a file may not name them. */
static const mary_op *operator_of(const mary_program *program, const Onnx__NodeProto *node, int64_t *opset)
{
    *opset = mary_model_opset(program->model, node->domain);
    if (node->domain != NULL && strcmp(node->domain, MARY_INTERNAL_DOMAIN) == 0)
        return NULL;
    return mary_op_find(node->domain, node->op_type, *opset);
}

/* Every node that no operator serves, in one message: a user should not meet them one by one. */
static mary_status check_supported(const mary_program *program)
{
    const Onnx__GraphProto *graph = program->model->proto->graph;
    char list[800];
    size_t used = 0, missing = 0;
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        int64_t opset;
        const char *domain = node->domain == NULL ? "" : node->domain;
        if (operator_of(program, node, &opset) != NULL)
            continue;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s'%s' (%s%s%s, opset %lld)",
                                     missing == 0 ? "" : ", ", mary_node_label(node), domain,
                                     domain[0] == '\0' ? "" : ".", node->op_type, (long long)opset);
        missing++;
    }
    if (missing == 0)
        return MARY_OK;
    return mary_fail(MARY_ERROR_UNSUPPORTED, "%s: %zu node%s without an operator here: %s%s", program->model->path,
                     missing, missing == 1 ? "" : "s", list, used >= sizeof list ? "..." : "");
}

static mary_status add_node(mary_program *program, Onnx__NodeProto *proto)
{
    mary_program_node *node = &program->nodes[program->node_count];
    int64_t opset;
    const mary_op *op = operator_of(program, proto, &opset);
    if (proto->n_input > 4096 || proto->n_output > 4096)
        return mary_fail(MARY_ERROR_INVALID, "node '%s' has %zu inputs and %zu outputs", mary_node_label(proto),
                         proto->n_input, proto->n_output);
    *node = (mary_program_node){.input_count = (int)proto->n_input, .output_count = (int)proto->n_output};
    program->node_count++; /* from here on mary_program_free takes care of it */
    node->name = mary_strdup(mary_node_label(proto));
    node->label = mary_strdup(proto->op_type);
    node->inputs = mary_calloc(proto->n_input + MARY_RESIDUAL_INPUT + 1, sizeof *node->inputs);
    node->outputs = mary_calloc(proto->n_output, sizeof *node->outputs);
    if (node->name == NULL || node->label == NULL || node->inputs == NULL || node->outputs == NULL)
        return mary_fail_memory((proto->n_input + proto->n_output) * sizeof *node->inputs);
    for (size_t i = 0; i < proto->n_input; i++) {
        node->inputs[i] = -1;
        if (proto->input[i][0] == '\0')
            continue;
        node->inputs[i] = mary_program_find(program, proto->input[i]);
        if (node->inputs[i] < 0)
            return mary_fail(MARY_ERROR_INVALID, "node '%s' reads '%s', which nothing makes", node->name,
                             proto->input[i]);
        program->values[node->inputs[i]].uses++;
    }
    for (size_t i = 0; i < proto->n_output; i++) {
        node->outputs[i] = -1;
        if (proto->output[i][0] == '\0')
            continue;
        MARY_TRY(mary_program_add_value(program, proto->output[i], &node->outputs[i]));
        program->values[node->outputs[i]].producer = (int)program->node_count - 1;
    }
    node->node = (mary_op_node){.op = op,
                                .proto = proto,
                                .model = program->model,
                                .name = node->name,
                                .opset = (int)opset,
                                .input_count = node->input_count,
                                .output_count = node->output_count,
                                .epilogue = {.residual = -1}};
    node->removed = op == NULL; /* only where a program is made for shapes */
    return op != NULL && op->prepare != NULL ? op->prepare(&node->node) : MARY_OK;
}

static mary_status add_nodes(mary_program *program)
{
    Onnx__GraphProto *graph = program->model->proto->graph;
    program->nodes = mary_calloc(graph->n_node, sizeof *program->nodes);
    if (program->nodes == NULL)
        return mary_fail_memory(graph->n_node * sizeof *program->nodes);
    for (size_t i = 0; i < graph->n_node; i++)
        MARY_TRY(add_node(program, graph->node[i]));
    return MARY_OK;
}

mary_status mary_program_keep(mary_program *program, Onnx__NodeProto *proto)
{
    if (!mary_reserve((void **)&program->kept, &program->kept_capacity, program->kept_count + 1, sizeof *program->kept))
        return mary_fail_memory(program->kept_capacity * 2 * sizeof *program->kept);
    program->kept[program->kept_count++] = proto;
    return MARY_OK;
}

/* Last to first. */
void mary_program_remove_unused(mary_program *program)
{
    for (size_t n = program->node_count; n-- > 0;) {
        mary_program_node *node = &program->nodes[n];
        bool used = node->removed;
        for (int i = 0; i < node->output_count && !used; i++)
            used = node->outputs[i] >= 0 && program->values[node->outputs[i]].uses > 0;
        if (used)
            continue;
        node->removed = true;
        for (int i = 0; i < node->input_count; i++) {
            if (node->inputs[i] >= 0)
                mary_program_release_use(program, node->inputs[i]);
        }
    }
}

/* ---- packing ---- */

static mary_status pack_node(mary_program *program, mary_program_node *node)
{
    const mary_tensor **constants = mary_calloc((size_t)node->input_count, sizeof *constants);
    if (constants == NULL)
        return mary_fail_memory((size_t)node->input_count * sizeof *constants);
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= 0 && program->values[node->inputs[i]].constant)
            constants[i] = &program->values[node->inputs[i]].tensor;
    }
    uint64_t consumed = 0;
    mary_status status = node->node.op->pack(&node->node, constants, &consumed);
    mary_free(constants);
    MARY_TRY(status);
    for (int i = 0; i < node->input_count && i < 64; i++) {
        if ((consumed >> i & 1) && node->inputs[i] >= 0)
            mary_program_release_use(program, node->inputs[i]);
    }
    return MARY_OK;
}

/* fp16 and bf16 constants of operators that compute in float are converted once, here. */
static mary_status widen_constants(mary_program *program, mary_program_node *node)
{
    if (node->node.op->flags & MARY_OP_HALF)
        return MARY_OK;
    for (int i = 0; i < node->input_count; i++) {
        if (node->inputs[i] < 0 || !program->values[node->inputs[i]].constant)
            continue;
        const mary_tensor half = program->values[node->inputs[i]].tensor;
        if (half.type != MARY_FLOAT16 && half.type != MARY_BFLOAT16)
            continue;
        int number = -1;
        MARY_TRY(mary_program_add_value(program, "", &number));
        int64_t count = mary_shape_count(&half.shape);
        float *wide = mary_alloc_aligned((size_t)count * sizeof *wide);
        if (wide == NULL)
            return mary_fail_memory((size_t)count * sizeof *wide);
        for (int64_t k = 0; k < count; k++) {
            uint16_t bits = ((const uint16_t *)half.data)[k];
            wide[k] = half.type == MARY_FLOAT16 ? mary_half_to_float(bits) : mary_bfloat_to_float(bits);
        }
        program->values[number] =
            (mary_program_value){.name = "",
                                 .tensor = {.type = MARY_FLOAT, .shape = half.shape, .data = wide},
                                 .owned = wide,
                                 .constant = true,
                                 .producer = -1,
                                 .uses = 1};
        mary_program_release_use(program, node->inputs[i]);
        node->inputs[i] = number;
        node->half = half.type;
    }
    return MARY_OK;
}

static mary_status pack_all(mary_program *program, bool training)
{
    for (size_t i = 0; i < program->node_count; i++) {
        mary_program_node *node = &program->nodes[i];
        if (node->removed)
            continue;
        MARY_TRY(widen_constants(program, node));
        bool later = training && node->node.op->gradient != NULL && node->node.op->gradient->pack != NULL;
        if (node->node.op->pack != NULL && !later)
            MARY_TRY(pack_node(program, node));
        node->node.model = NULL;
    }
    return MARY_OK;
}

/* ---- life ---- */

/* The M-ary kernels compute in float. Where levels are double, every ai.mary node is replaced by its function body, if
 * the model has one: slower, but as exact as the model asks. */
static bool has_double_levels(const Onnx__ModelProto *proto)
{
    const Onnx__GraphProto *graph = proto->graph;
    for (size_t i = 0; proto->n_functions > 0 && i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        if (node->domain == NULL || strcmp(node->domain, "ai.mary") != 0 || node->n_input < 3)
            continue;
        for (size_t k = 0; k < graph->n_initializer; k++) {
            if (graph->initializer[k]->data_type == MARY_DOUBLE &&
                strcmp(graph->initializer[k]->name, node->input[2]) == 0)
                return true;
        }
    }
    return false;
}

/* Constants that no operator packed are read during runs: what is lent for the time of loading is copied. */
static mary_status keep_lent(mary_program *program)
{
    for (size_t i = 0; program->model->lent && i < program->value_count; i++) {
        mary_program_value *value = &program->values[i];
        if (value->message == NULL || value->tensor.data == NULL)
            continue;
        size_t bytes = mary_tensor_bytes(&value->tensor);
        value->owned = mary_alloc_aligned(bytes);
        if (value->owned == NULL)
            return mary_fail_memory(bytes);
        memcpy(value->owned, value->tensor.data, bytes);
        value->tensor.data = value->owned;
        value->message = NULL;
    }
    if (program->model->lent)
        mary_model_return_lent(program->model);
    return MARY_OK;
}

static void mark_parameters(mary_program *program)
{
    for (size_t n = 0; n < program->node_count; n++) {
        const mary_program_node *node = &program->nodes[n];
        const mary_op_gradient *gradient = node->node.op->gradient;
        for (int i = 0; gradient != NULL && i < node->input_count && i < 64; i++) {
            mary_program_value *value = node->inputs[i] < 0 ? NULL : &program->values[node->inputs[i]];
            if (value == NULL || !value->constant || value->tensor.type != MARY_FLOAT || value->tensor.shape.rank < 1 ||
                !(gradient->inputs >> i & 1))
                continue;
            value->constant = false;
            value->parameter = true;
        }
    }
}

typedef enum program_purpose { TO_RUN, TO_OBSERVE, TO_TRAIN } program_purpose;

static mary_status build(mary_program *program, program_purpose purpose, const mary_parallel *parallel)
{
    const bool fuse = purpose == TO_RUN;
    MARY_TRY(mary_model_inline_functions(program->model, has_double_levels(program->model->proto) ? NULL : "ai.mary"));
    MARY_TRY(check_supported(program));
    MARY_TRY(add_inputs(program));
    MARY_TRY(add_nodes(program));
    MARY_TRY(add_outputs(program));
    MARY_TRY(check_ports(program));
    mary_program_remove_unused(program);
    if (purpose == TO_TRAIN)
        mark_parameters(program);
    MARY_TRY(mary_program_fold(program, fuse, parallel));
    mary_program_remove_unused(program);
    if (fuse) {
        MARY_TRY(mary_program_u8(program));
        MARY_TRY(mary_program_fold(program, false, parallel));
        mary_program_remove_unused(program);
        MARY_TRY(mary_program_shuffle(program));
        MARY_TRY(mary_program_fuse(program));
    }
    MARY_TRY(pack_all(program, purpose == TO_TRAIN));
    return keep_lent(program);
}

static mary_status create(mary_model **model, mary_cpu cpu, program_purpose purpose, const mary_parallel *parallel,
                          mary_program **result)
{
    *result = NULL;
    mary_program *program = mary_calloc(1, sizeof *program);
    if (program == NULL) {
        mary_model_free(model);
        return mary_fail_memory(sizeof *program);
    }
    program->model = *model;
    program->cpu = cpu;
    *model = NULL;
    mary_status status = build(program, purpose, parallel);
    if (status != MARY_OK)
        mary_program_free(&program);
    *result = program;
    return status;
}

mary_status mary_program_create(mary_model **model, mary_cpu cpu, bool fuse, const mary_parallel *parallel,
                                mary_program **result)
{
    return create(model, cpu, fuse ? TO_RUN : TO_OBSERVE, parallel, result);
}

mary_status mary_program_create_training(mary_model **model, mary_cpu cpu, const mary_parallel *parallel,
                                         mary_program **result)
{
    return create(model, cpu, TO_TRAIN, parallel, result);
}

mary_status mary_program_create_shapes(mary_model *model, mary_program **result)
{
    *result = NULL;
    mary_program *program = mary_calloc(1, sizeof *program);
    if (program == NULL)
        return mary_fail_memory(sizeof *program);
    program->model = model;
    program->borrowed = true;
    mary_status status = add_inputs(program);
    if (status == MARY_OK)
        status = add_nodes(program);
    if (status == MARY_OK)
        status = add_outputs(program);
    if (status != MARY_OK)
        mary_program_free(&program);
    *result = program;
    return status;
}

void mary_program_free(mary_program **program_pointer)
{
    mary_program *program = *program_pointer;
    if (program == NULL)
        return;
    for (size_t i = 0; i < program->node_count; i++) {
        mary_program_node *node = &program->nodes[i];
        if (node->node.op != NULL && node->node.op->release != NULL)
            node->node.op->release(&node->node);
        else
            mary_free(node->node.state);
        mary_free(node->name);
        mary_free(node->label);
        mary_free(node->inputs);
        mary_free(node->outputs);
    }
    for (size_t i = 0; i < program->value_count; i++)
        mary_free(program->values[i].owned);
    for (size_t i = 0; i < program->kept_count; i++)
        mary_node_free(program->kept[i]);
    mary_free(program->kept);
    mary_free(program->nodes);
    mary_free(program->values);
    mary_free(program->inputs);
    mary_free(program->outputs);
    mary_names_free(&program->names);
    if (!program->borrowed)
        mary_model_free(&program->model);
    mary_free(program);
    *program_pointer = NULL;
}
