/* Shape inference of a whole model, symbolic dimensions kept: planned with two different values for every symbol and
 * compared. */
#include <string.h>

#include "onnx/edit.h"
#include "onnx/memory.h"
#include "onnx/names.h"
#include "runtime/shapes.h"

typedef struct symbol {
    const char *name; /* the model's */
    int64_t sizes[2]; /* in the probes */
} symbol;

typedef struct inference {
    mary_program *program;
    mary_tensor *inputs[2]; /* of the two probes */
    mary_shapes probes[2];
    symbol *symbols; /* no two with the same sizes */
    size_t symbol_count;
} inference;

/* The symbol that had these values in the probes; NULL: none. */
static const char *find_symbol(const inference *inf, int64_t first, int64_t second)
{
    for (size_t i = 0; i < inf->symbol_count; i++) {
        if (inf->symbols[i].sizes[0] == first && inf->symbols[i].sizes[1] == second)
            return inf->symbols[i].name;
    }
    return NULL;
}

/* Adds the symbols that `info` names for a value of these shapes. */
static mary_status add_symbols(inference *inf, const Onnx__ValueInfoProto *info, const mary_shape *first,
                               const mary_shape *second)
{
    const Onnx__TypeProto *type = info->type;
    if (type == NULL || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || type->tensor_type->shape == NULL ||
        type->tensor_type->shape->n_dim != (size_t)first->rank || first->rank != second->rank)
        return MARY_OK;
    for (int axis = 0; axis < first->rank; axis++) {
        const Onnx__TensorShapeProto__Dimension *dim = type->tensor_type->shape->dim[axis];
        int64_t sizes[2] = {first->dims[axis], second->dims[axis]};
        if (dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM || dim->dim_param[0] == '\0' ||
            sizes[0] == sizes[1] || find_symbol(inf, sizes[0], sizes[1]) != NULL)
            continue;
        symbol *grown = mary_realloc(inf->symbols, (inf->symbol_count + 1) * sizeof *grown);
        if (grown == NULL)
            return mary_fail_memory((inf->symbol_count + 1) * sizeof *grown);
        inf->symbols = grown;
        inf->symbols[inf->symbol_count++] = (symbol){dim->dim_param, {sizes[0], sizes[1]}};
    }
    return MARY_OK;
}

/* Symbols of the inputs first, then those that the model declares for other values. */
static mary_status collect_symbols(inference *inf)
{
    const mary_program *program = inf->program;
    const Onnx__GraphProto *graph = program->model->proto->graph;
    mary_names declared = {0};
    mary_status status = MARY_OK;
    for (int i = 0; i < program->input_count; i++)
        MARY_TRY_GOTO(add_symbols(inf, program->inputs[i].info, &inf->inputs[0][i].shape, &inf->inputs[1][i].shape),
                      done);
    for (size_t i = 0; i < graph->n_value_info + graph->n_output; i++) {
        bool is_output = i >= graph->n_value_info;
        const Onnx__ValueInfoProto *info = is_output ? graph->output[i - graph->n_value_info] : graph->value_info[i];
        MARY_TRY_GOTO(mary_names_put(&declared, info->name, i), done);
    }
    for (size_t v = 0; v < program->value_count; v++) {
        const mary_tensor *a = &inf->probes[0].tensors[v], *b = &inf->probes[1].tensors[v];
        size_t i;
        if (a->type == MARY_UNDEFINED || b->type == MARY_UNDEFINED || program->values[v].name == NULL ||
            !mary_names_get(&declared, program->values[v].name, &i))
            continue;
        const Onnx__ValueInfoProto *info =
            i >= graph->n_value_info ? graph->output[i - graph->n_value_info] : graph->value_info[i];
        MARY_TRY_GOTO(add_symbols(inf, info, &a->shape, &b->shape), done);
    }
done:
    mary_names_free(&declared);
    return status;
}

static Onnx__ValueInfoProto *find_info(Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = graph->n_value_info; i-- > 0;) {
        if (strcmp(graph->value_info[i]->name, name) == 0)
            return graph->value_info[i];
    }
    return NULL;
}

static mary_status write_symbols(Onnx__ValueInfoProto *info, const char *const *symbols)
{
    Onnx__TensorShapeProto *shape = info->type->tensor_type->shape;
    for (size_t i = 0; i < shape->n_dim; i++) {
        if (symbols[i] == NULL)
            continue;
        char *copy = mary_strdup(symbols[i]);
        if (copy == NULL)
            return mary_fail_memory(strlen(symbols[i]) + 1);
        shape->dim[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        shape->dim[i]->dim_param = copy;
    }
    return MARY_OK;
}

static mary_status write_value(const inference *inf, Onnx__GraphProto *graph, int value)
{
    const mary_tensor *a = &inf->probes[0].tensors[value], *b = &inf->probes[1].tensors[value];
    const char *name = inf->program->values[value].name, *symbols[MARY_MAX_RANK] = {0};
    if (a->type == MARY_UNDEFINED || a->type != b->type || a->shape.rank != b->shape.rank)
        return MARY_OK;
    if (find_info(graph, name) != NULL)
        return MARY_OK; /* what the model says itself stays */
    mary_shape shape = a->shape;
    for (int i = 0; i < shape.rank; i++) {
        if (a->shape.dims[i] == b->shape.dims[i])
            continue;
        symbols[i] = find_symbol(inf, a->shape.dims[i], b->shape.dims[i]);
        shape.dims[i] = -1;
    }
    MARY_TRY(mary_graph_set_value_info(graph, name, a->type, &shape));
    return write_symbols(find_info(graph, name), symbols);
}

static mary_status write_all(const inference *inf)
{
    const mary_program *program = inf->program;
    Onnx__GraphProto *graph = program->model->proto->graph;
    for (size_t n = 0; n < program->node_count; n++) {
        const mary_program_node *node = &program->nodes[n];
        for (int i = 0; i < node->output_count; i++) {
            if (node->outputs[i] >= 0 && !program->values[node->outputs[i]].graph_output)
                MARY_TRY(write_value(inf, graph, node->outputs[i]));
        }
    }
    return MARY_OK;
}

mary_status mary_model_infer_shapes(mary_model *model)
{
    inference inf = {0};
    mary_status status = mary_program_create_shapes(model, &inf.program);
    bool ready = status == MARY_OK;
    for (int probe = 0; probe < 2 && ready; probe++) {
        inf.inputs[probe] = mary_calloc((size_t)inf.program->input_count, sizeof **inf.inputs);
        if (inf.inputs[probe] == NULL) {
            status = mary_fail_memory((size_t)inf.program->input_count * sizeof **inf.inputs);
            ready = false;
            break;
        }
        ready = mary_shapes_probe(inf.program, probe, inf.inputs[probe]);
        if (ready) {
            status = mary_shapes_infer(inf.program, inf.inputs[probe], true, NULL, &inf.probes[probe]);
            ready = status == MARY_OK;
        }
    }
    if (ready) {
        status = collect_symbols(&inf);
        if (status == MARY_OK)
            status = write_all(&inf);
    }
    for (int probe = 0; probe < 2; probe++) {
        mary_shapes_free(&inf.probes[probe]);
        mary_free(inf.inputs[probe]);
    }
    mary_free(inf.symbols);
    mary_program_free(&inf.program);
    return status;
}
