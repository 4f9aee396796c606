#include "convert/coding/wrap.h"

#include "onnx/coding/packed.h"
#include "onnx/names.h"

enum { LEAST_IR = 4 }; /* below, initializers are inputs, too */

/* Inputs that callers give: those that are no initializers as well. */
static mary_status find_inputs(const Onnx__GraphProto *graph, Onnx__ValueInfoProto **inputs, size_t *count)
{
    mary_names initializers = {0};
    mary_status status = MARY_OK;
    *count = 0;
    for (size_t i = 0; i < graph->n_initializer && status == MARY_OK; i++)
        status = mary_names_put(&initializers, graph->initializer[i]->name, i);
    for (size_t i = 0; i < graph->n_input && status == MARY_OK; i++) {
        if (!mary_names_get(&initializers, graph->input[i]->name, NULL))
            inputs[(*count)++] = graph->input[i];
    }
    mary_names_free(&initializers);
    return status;
}

/* A name that no input or output has: "p", "pp", ... */
static char *free_name(const Onnx__GraphProto *graph)
{
    for (size_t length = 1;; length++) {
        char *name = mary_calloc(1, length + 1);
        bool taken = false;
        if (name == NULL)
            return NULL;
        memset(name, 'p', length);
        for (size_t i = 0; i < graph->n_input; i++)
            taken |= strcmp(graph->input[i]->name, name) == 0;
        for (size_t i = 0; i < graph->n_output; i++)
            taken |= strcmp(graph->output[i]->name, name) == 0;
        if (!taken)
            return name;
        mary_free(name);
    }
}

/* Everything here is borrowed or on the stack: the messages live only until they are serialised. */
static mary_status serialise(const Onnx__ModelProto *original, Onnx__ValueInfoProto **inputs, size_t input_count,
                             char **names, const mary_buffer *stream, mary_buffer *out)
{
    const Onnx__GraphProto *graph = original->graph;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto wrapped = ONNX__GRAPH_PROTO__INIT;
    Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
    Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT, *tensors[] = {&tensor};
    Onnx__OperatorSetIdProto standard = ONNX__OPERATOR_SET_ID_PROTO__INIT, own = standard, *imports[2] = {&own};
    int64_t dims[] = {(int64_t)stream->size};
    char domain[] = MARY_PACKED_DOMAIN, op_type[] = MARY_PACKED_OP, graph_name[] = "mary";

    own.domain = domain;
    own.has_version = true;
    own.version = 1;
    model.opset_import = imports;
    model.n_opset_import = 1;
    for (size_t i = 0; i < original->n_opset_import && model.n_opset_import == 1; i++) {
        const char *name = original->opset_import[i]->domain;
        if (name == NULL || name[0] == '\0' || strcmp(name, "ai.onnx") == 0) { /* readers look for it */
            standard.has_version = true;
            standard.version = original->opset_import[i]->version;
            imports[model.n_opset_import++] = &standard;
        }
    }
    tensor.name = names[0];
    tensor.dims = dims;
    tensor.n_dims = 1;
    tensor.has_data_type = true;
    tensor.data_type = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8;
    tensor.has_raw_data = true;
    tensor.raw_data = (ProtobufCBinaryData){stream->size, stream->bytes};
    node.op_type = op_type;
    node.domain = domain;
    node.input = names;
    node.n_input = 1 + input_count;
    node.output = names + node.n_input;
    node.n_output = graph->n_output;
    wrapped.name = graph_name;
    wrapped.node = nodes;
    wrapped.n_node = 1;
    wrapped.initializer = tensors;
    wrapped.n_initializer = 1;
    wrapped.input = inputs;
    wrapped.n_input = input_count;
    wrapped.output = graph->output;
    wrapped.n_output = graph->n_output;
    model.has_ir_version = true;
    model.ir_version = original->ir_version < LEAST_IR ? LEAST_IR : original->ir_version;
    model.graph = &wrapped;

    size_t size = onnx__model_proto__get_packed_size(&model);
    if (size > MARY_PACKED_MOST)
        return mary_fail(MARY_ERROR_UNSUPPORTED, "the packed model has %zu bytes, the most is 2 GiB", size);
    uint8_t *bytes = mary_alloc(size);
    if (bytes == NULL)
        return mary_fail_memory(size);
    onnx__model_proto__pack(&model, bytes);
    mary_buffer_put(out, bytes, size);
    mary_free(bytes);
    return out->failed ? mary_fail_memory(size) : MARY_OK;
}

mary_status mary_wrap(const mary_model *original, const mary_buffer *stream, mary_buffer *out)
{
    const Onnx__GraphProto *graph = original->proto->graph;
    size_t input_count = 0;
    mary_status status = MARY_OK;
    char *stream_name = free_name(graph);
    Onnx__ValueInfoProto **inputs = mary_calloc(graph->n_input + 1, sizeof *inputs);
    char **names = mary_calloc(1 + graph->n_input + graph->n_output, sizeof *names);
    if (stream_name == NULL || inputs == NULL || names == NULL) {
        status = mary_fail_memory((graph->n_input + graph->n_output) * sizeof *names);
        goto done;
    }
    MARY_TRY_GOTO(find_inputs(graph, inputs, &input_count), done);
    names[0] = stream_name;
    for (size_t i = 0; i < input_count; i++)
        names[1 + i] = inputs[i]->name;
    for (size_t i = 0; i < graph->n_output; i++)
        names[1 + input_count + i] = graph->output[i]->name;
    status = serialise(original->proto, inputs, input_count, names, stream, out);
done:
    mary_free(stream_name);
    mary_free(inputs);
    mary_free(names);
    return status;
}
