/* A graph of ONNX Runtime as a model of ours. */
#include "runtime/ort/provider/provider.h"

#include <string.h>

#include "onnx/edit.h"

enum { IR_VERSION = 10 }; /* any from 4 on: initializers are no inputs */

static mary_status add_opsets(const OrtApi *api, const OrtGraph *graph, mary_model *model)
{
    const char **domains = NULL;
    int64_t *versions = NULL;
    size_t count = 0;
    MARY_TRY(mary_ort_take(api, api->Graph_GetNumOperatorSets(graph, &count)));
    domains = mary_calloc(count, sizeof *domains);
    versions = mary_calloc(count, sizeof *versions);
    mary_status status = MARY_OK;
    if (domains == NULL || versions == NULL)
        status = mary_fail_memory(count * (sizeof *domains + sizeof *versions));
    else
        status = mary_ort_take(api, api->Graph_GetOperatorSets(graph, domains, versions, count));
    for (size_t i = 0; i < count && status == MARY_OK; i++)
        status = mary_model_set_opset(model, domains[i], versions[i]);
    mary_free(domains);
    mary_free(versions);
    return status;
}

mary_status mary_ort_empty_model(const OrtApi *api, const OrtGraph *graph, mary_model **result)
{
    const ORTCHAR_T *path = NULL;
    mary_status status = MARY_OK;
    *result = NULL;
    mary_model *model = mary_calloc(1, sizeof *model);
    if (model == NULL)
        return mary_fail_memory(sizeof *model);
    MARY_TRY_GOTO(mary_ort_take(api, api->Graph_GetModelPath(graph, &path)), error);
    model->path = mary_strdup(path != NULL && path[0] != '\0' ? path : "<memory>");
    model->proto = mary_alloc(sizeof *model->proto);
    if (model->path == NULL || model->proto == NULL) {
        status = mary_fail_memory(sizeof *model->proto);
        goto error;
    }
    onnx__model_proto__init(model->proto);
    model->proto->has_ir_version = true;
    model->proto->ir_version = IR_VERSION;
    model->proto->graph = mary_alloc(sizeof *model->proto->graph);
    if (model->proto->graph == NULL) {
        status = mary_fail_memory(sizeof *model->proto->graph);
        goto error;
    }
    onnx__graph_proto__init(model->proto->graph);
    model->lent = true;
    MARY_TRY_GOTO(add_opsets(api, graph, model), error);
    *result = model;
    return MARY_OK;
error:
    mary_model_free(&model);
    return status;
}

static mary_status add_nodes(const OrtApi *api, const OrtGraph *graph, Onnx__GraphProto *made)
{
    const OrtNode **nodes = NULL;
    size_t count = 0;
    mary_status status = MARY_ORT_LIST(api, Graph_GetNumNodes, Graph_GetNodes, graph, &nodes, &count);
    for (size_t i = 0; i < count && status == MARY_OK; i++) {
        Onnx__NodeProto *node = NULL;
        status = mary_ort_node_message(api, nodes[i], &node);
        if (status == MARY_OK)
            status = mary_graph_insert_node(made, made->n_node, node);
        if (status != MARY_OK && node != NULL)
            mary_node_free(node);
    }
    mary_free(nodes);
    return status;
}

/* ---- inputs and outputs ---- */

/* Dimensions that have the same name have the same size, which decides what can be fused. */
static mary_status name_dimensions(const mary_ort_value *value, Onnx__ValueInfoProto *info)
{
    const Onnx__TensorShapeProto *shape = value->rank > 0 ? info->type->tensor_type->shape : NULL;
    for (size_t i = 0; shape != NULL && i < shape->n_dim; i++) {
        Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        if (value->dims[i] >= 0 || value->symbols[i] == NULL || value->symbols[i][0] == '\0')
            continue;
        char *name = mary_strdup(value->symbols[i]);
        if (name == NULL)
            return mary_fail_memory(strlen(value->symbols[i]) + 1);
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dim->dim_param = name;
    }
    return MARY_OK;
}

static mary_status create_port(const OrtApi *api, const OrtValueInfo *info, bool with_shape,
                               Onnx__ValueInfoProto **port)
{
    mary_ort_value value;
    MARY_TRY(mary_ort_describe(api, info, &value));
    mary_shape shape = {.rank = with_shape ? value.rank : -1};
    memcpy(shape.dims, value.dims, sizeof shape.dims);
    MARY_TRY(mary_value_info_create(value.name, value.type, &shape, port));
    return with_shape ? name_dimensions(&value, *port) : MARY_OK;
}

static mary_status add_ports(const OrtApi *api, const OrtValueInfo *const *infos, size_t count, bool with_shapes,
                             Onnx__ValueInfoProto ***ports, size_t *port_count)
{
    *ports = mary_calloc(count, sizeof **ports);
    if (*ports == NULL)
        return mary_fail_memory(count * sizeof **ports);
    for (size_t i = 0; i < count; i++) {
        mary_status status = create_port(api, infos[i], with_shapes, &(*ports)[i]);
        *port_count += (*ports)[i] != NULL;
        MARY_TRY(status);
    }
    return MARY_OK;
}

static mary_status add_fused_ports(const OrtApi *api, const OrtNode *fused, Onnx__GraphProto *made)
{
    const OrtValueInfo **inputs = NULL, **outputs = NULL;
    size_t input_count = 0, output_count = 0;
    mary_status status = MARY_OK;
    MARY_TRY_GOTO(mary_ort_node_inputs(api, fused, &inputs, &input_count), done);
    MARY_TRY_GOTO(mary_ort_node_outputs(api, fused, &outputs, &output_count), done);
    MARY_TRY_GOTO(add_ports(api, inputs, input_count, true, &made->input, &made->n_input), done);
    status = add_ports(api, outputs, output_count, false, &made->output, &made->n_output);
done:
    mary_free(inputs);
    mary_free(outputs);
    return status;
}

/* ---- initializers ---- */

static bool is_input(const Onnx__GraphProto *made, const char *name)
{
    for (size_t i = 0; i < made->n_input; i++) {
        if (strcmp(made->input[i]->name, name) == 0)
            return true;
    }
    return false;
}

/* The message has everything but the bytes of its own. */
static mary_status lend(const mary_tensor *tensor, const char *name, Onnx__GraphProto *made)
{
    mary_tensor empty = {.type = tensor->type, .shape = {.rank = 1}};
    Onnx__TensorProto *message = NULL;
    mary_status status = mary_constant_encode(&empty, name, &message);
    if (status == MARY_OK) {
        int64_t *dims = mary_realloc(message->dims, (size_t)tensor->shape.rank * sizeof *dims);
        if (dims == NULL) {
            status = mary_fail_memory((size_t)tensor->shape.rank * sizeof *dims);
        } else {
            memcpy(dims, tensor->shape.dims, (size_t)tensor->shape.rank * sizeof *dims);
            message->dims = dims;
            message->n_dims = (size_t)tensor->shape.rank;
        }
    }
    if (status == MARY_OK)
        status = mary_graph_add_initializer(made, message);
    if (status != MARY_OK) {
        if (message != NULL)
            onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
        return status;
    }
    mary_free(message->raw_data.data);
    message->raw_data.data = tensor->data;
    message->raw_data.len = mary_tensor_bytes(tensor);
    return MARY_OK;
}

static mary_status add_initializers(const OrtApi *api, const OrtGraph *graph, Onnx__GraphProto *made)
{
    const OrtValueInfo **infos = NULL;
    size_t count = 0;
    mary_status status = MARY_ORT_LIST(api, Graph_GetNumInitializers, Graph_GetInitializers, graph, &infos, &count);
    for (size_t i = 0; i < count && status == MARY_OK; i++) {
        const char *name = "";
        const OrtValue *value = NULL;
        mary_tensor tensor;
        MARY_TRY_GOTO(mary_ort_take(api, api->GetValueInfoName(infos[i], &name)), done);
        if (is_input(made, name))
            continue;
        MARY_TRY_GOTO(mary_ort_take(api, api->ValueInfo_GetInitializerValue(infos[i], &value)), done);
        if (value == NULL)
            continue;
        MARY_TRY_GOTO(mary_ort_tensor(api, value, name, &tensor), done);
        status = lend(&tensor, name, made);
    }
done:
    mary_free(infos);
    return status;
}

mary_status mary_ort_graph_model(const OrtApi *api, const OrtGraph *graph, const OrtNode *fused, mary_model **model)
{
    MARY_TRY(mary_ort_empty_model(api, graph, model));
    mary_status status = add_nodes(api, graph, (*model)->proto->graph);
    if (status == MARY_OK)
        status = add_fused_ports(api, fused, (*model)->proto->graph);
    if (status == MARY_OK)
        status = add_initializers(api, graph, (*model)->proto->graph);
    if (status == MARY_OK)
        status = mary_model_check(*model);
    if (status != MARY_OK)
        mary_model_free(model);
    return status;
}
