/* Constant nodes to initializers, and evaluation of what depends on constants only, by running it. */
#include <string.h>

#include "convert/layer.h"
#include "convert/passes/passes.h"
#include "onnx/names.h"

enum {
    FREE_BYTES = 4096,    /* a result may always be this large: shapes, axes and scalars */
    MOST_BYTES = 1 << 30, /* of one node's inputs */
};

typedef struct folding {
    mary_model *model;
    mary_convert_report *report;
    mary_graph_index *index; /* of the graph as it was; its use counts hold throughout */
    mary_names constants;    /* name -> position in graph->initializer */
    bool *gone;              /* [n_node] */
} folding;

static bool in_default_domain(const Onnx__NodeProto *node)
{
    return node->domain == NULL || node->domain[0] == '\0' || strcmp(node->domain, "ai.onnx") == 0;
}

/* ---- Constant ---- */

static mary_status vector_tensor(const Onnx__AttributeProto *attribute, const char *name, Onnx__TensorProto **tensor)
{
    mary_tensor value = {.shape = {1, {0}}};
    *tensor = NULL;
    if (strcmp(attribute->name, "value_float") == 0) {
        value = (mary_tensor){.type = MARY_FLOAT, .data = (void *)(uintptr_t)&attribute->f};
    } else if (strcmp(attribute->name, "value_int") == 0) {
        value = (mary_tensor){.type = MARY_INT64, .data = (void *)(uintptr_t)&attribute->i};
    } else if (strcmp(attribute->name, "value_floats") == 0) {
        value.type = MARY_FLOAT;
        value.shape.dims[0] = (int64_t)attribute->n_floats;
        value.data = attribute->floats;
    } else if (strcmp(attribute->name, "value_ints") == 0) {
        value.type = MARY_INT64;
        value.shape.dims[0] = (int64_t)attribute->n_ints;
        value.data = attribute->ints;
    } else {
        return MARY_OK;
    }
    return mary_constant_encode(&value, name, tensor);
}

/* The value of a Constant node as a tensor named like its output, taken out of the node; NULL when it is of a kind that
 * cannot be an initializer of numbers. */
static mary_status take_constant(Onnx__NodeProto *node, Onnx__TensorProto **tensor)
{
    *tensor = NULL;
    if (node->n_attribute != 1 || node->n_output != 1 || node->attribute[0]->name == NULL)
        return MARY_OK;
    Onnx__AttributeProto *attribute = node->attribute[0];
    if (strcmp(attribute->name, "value") != 0 || attribute->t == NULL)
        return vector_tensor(attribute, node->output[0], tensor);
    if (mary_type_size((mary_type)attribute->t->data_type) == 0)
        return MARY_OK;
    MARY_TRY(mary_edit_string(&attribute->t->name, node->output[0]));
    *tensor = attribute->t;
    attribute->t = NULL;
    return MARY_OK;
}

/* ---- evaluation ---- */

static bool may_fold(const folding *f, const Onnx__NodeProto *node)
{
    static const char *const never[] = {
        "Constant",
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Bernoulli",
        "Multinomial",
        "Dropout",
        "If",
        "Loop",
        "Scan",
    };
    if (!in_default_domain(node) || node->n_input == 0 || node->n_output == 0)
        return false;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (strcmp(node->op_type, never[i]) == 0)
            return false;
    }
    bool any = false;
    for (size_t i = 0; i < node->n_input; i++) {
        if (node->input[i][0] == '\0')
            continue;
        any = true;
        if (!mary_names_get(&f->constants, node->input[i], NULL))
            return false;
    }
    for (size_t i = 0; i < node->n_output; i++) {
        if (mary_graph_is_output(f->index, node->output[i]))
            return false;
    }
    return any;
}

/* A model of one node and the constants that it reads, as bytes; *allowed is what its results may need. */
static mary_status pack_node(const folding *f, Onnx__NodeProto *node, uint8_t **bytes, size_t *size, uint64_t *allowed)
{
    const Onnx__GraphProto *graph = f->model->proto->graph;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto small = ONNX__GRAPH_PROTO__INIT;
    Onnx__TensorProto *tensors[16] = {NULL};
    Onnx__ValueInfoProto infos[8], *outputs[8];
    mary_status status = MARY_OK;
    uint64_t total = 0;
    *bytes = NULL;
    *size = 0;
    *allowed = FREE_BYTES;
    if (node->n_input > 16 || node->n_output > 8)
        return MARY_OK;
    for (size_t i = 0; i < node->n_input; i++) {
        size_t position;
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen = seen || strcmp(node->input[k], node->input[i]) == 0;
        if (seen || !mary_names_get(&f->constants, node->input[i], &position))
            continue;
        mary_constant constant;
        MARY_TRY_GOTO(mary_constant_decode(f->model, graph->initializer[position], &constant), done);
        uint64_t input_bytes = mary_tensor_bytes(&constant.tensor);
        total += input_bytes;
        if (mary_graph_use_count(f->index, node->input[i]) == 1)
            *allowed += input_bytes;
        if (total <= MOST_BYTES)
            status = mary_constant_encode(&constant.tensor, node->input[i], &tensors[small.n_initializer]);
        mary_constant_free(&constant);
        if (status != MARY_OK || total > MOST_BYTES)
            goto done;
        small.n_initializer++;
    }
    for (size_t i = 0; i < node->n_output; i++) {
        if (node->output[i][0] == '\0')
            continue;
        onnx__value_info_proto__init(&infos[small.n_output]);
        infos[small.n_output].name = node->output[i];
        outputs[small.n_output] = &infos[small.n_output];
        small.n_output++;
    }
    small.name = (char *)(uintptr_t) "constant";
    small.node = &node;
    small.n_node = 1;
    small.initializer = tensors;
    small.output = outputs;
    model.has_ir_version = true;
    model.ir_version = 8;
    model.opset_import = f->model->proto->opset_import;
    model.n_opset_import = f->model->proto->n_opset_import;
    model.graph = &small;
    *size = onnx__model_proto__get_packed_size(&model);
    *bytes = mary_alloc(*size);
    if (*bytes == NULL)
        status = mary_fail_memory(*size);
    else
        onnx__model_proto__pack(&model, *bytes);
done:
    for (size_t i = 0; i < small.n_initializer; i++)
        onnx__tensor_proto__free_unpacked(tensors[i], &mary_proto_allocator);
    return status;
}

static mary_status run_once(const uint8_t *bytes, size_t size, mary_array *results, int count)
{
    mary_model *model = NULL;
    mary_session *session = NULL;
    mary_status status = mary_model_load_memory(bytes, size, &model);
    if (status == MARY_OK)
        status = mary_session_create(&model, &(mary_session_options){.threads = 1}, &session);
    if (status == MARY_OK)
        status = mary_session_run(session, NULL, 0, results, count);
    mary_session_free(&session);
    mary_model_free(&model);
    return status;
}

static mary_status add_constant(folding *f, Onnx__TensorProto *tensor)
{
    Onnx__GraphProto *graph = f->model->proto->graph;
    mary_status status = mary_graph_add_initializer(graph, tensor);
    if (status != MARY_OK) {
        onnx__tensor_proto__free_unpacked(tensor, &mary_proto_allocator);
        return status;
    }
    return mary_names_put(&f->constants, tensor->name, graph->n_initializer - 1);
}

static mary_status evaluate(folding *f, size_t position)
{
    Onnx__NodeProto *node = f->model->proto->graph->node[position];
    uint8_t *bytes = NULL;
    size_t size;
    uint64_t allowed, needed = 0;
    mary_array results[8] = {{0}};
    int count = 0;
    mary_status status = pack_node(f, node, &bytes, &size, &allowed);
    if (status != MARY_OK || bytes == NULL)
        return status;
    for (size_t i = 0; i < node->n_output; i++)
        count += node->output[i][0] != '\0';
    status = run_once(bytes, size, results, count);
    mary_free(bytes);
    if (status == MARY_ERROR_UNSUPPORTED || status == MARY_ERROR_INVALID) /* then it is computed at run time */
        return mary_convert_report_warn(f->report, "not folded: %s", mary_error_message());
    if (status != MARY_OK)
        return status;
    for (int i = 0; i < count; i++)
        needed += results[i].bytes;
    for (int i = 0, o = 0; i < count && needed <= allowed; i++, o++) {
        while (node->output[o][0] == '\0')
            o++;
        mary_tensor value = {.type = results[i].type, .shape = {results[i].rank, {0}}, .data = results[i].data};
        memcpy(value.shape.dims, results[i].dims, (size_t)results[i].rank * sizeof *results[i].dims);
        Onnx__TensorProto *tensor = NULL;
        MARY_TRY_GOTO(mary_constant_encode(&value, node->output[o], &tensor), done);
        MARY_TRY_GOTO(add_constant(f, tensor), done);
        f->gone[position] = true;
    }
done:
    for (int i = 0; i < count; i++)
        mary_array_free(&results[i]);
    return status;
}

mary_status mary_pass_fold_constants(mary_model *model, mary_convert_report *report)
{
    Onnx__GraphProto *graph = model->proto->graph;
    folding f = {.model = model, .report = report};
    mary_status status = mary_graph_index_create(graph, &f.index);
    if (status != MARY_OK)
        return status;
    f.gone = mary_calloc(graph->n_node + 1, sizeof *f.gone);
    if (f.gone == NULL) {
        status = mary_fail_memory(graph->n_node);
        goto done;
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (!mary_graph_is_input(f.index, graph->initializer[i]->name))
            MARY_TRY_GOTO(mary_names_put(&f.constants, graph->initializer[i]->name, i), done);
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        if (strcmp(node->op_type, "Constant") == 0 && in_default_domain(node) && node->n_output == 1 &&
            !mary_graph_is_output(f.index, node->output[0])) {
            Onnx__TensorProto *tensor;
            MARY_TRY_GOTO(take_constant(node, &tensor), done);
            if (tensor != NULL) {
                f.gone[i] = true;
                MARY_TRY_GOTO(add_constant(&f, tensor), done);
            }
        } else if (may_fold(&f, node)) {
            MARY_TRY_GOTO(evaluate(&f, i), done);
        }
    }
done:
    for (size_t i = graph->n_node; f.gone != NULL && i-- > 0;) {
        if (f.gone[i])
            mary_graph_remove_node(graph, i);
    }
    mary_names_free(&f.constants);
    mary_graph_index_free(&f.index);
    mary_free(f.gone);
    return status;
}
