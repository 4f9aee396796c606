/* Finding pairs of layers, and scaling their weights. */
#include "convert/integer/balance.h"

#include <math.h>
#include <string.h>

enum { MOST_EXPONENT = 4 };
#define LEAST_NORMAL 1e-25 /* weights and activations outside these would leave the normal numbers */
#define MOST_NORMAL  1e25

void mary_balances_free(mary_balances *balances)
{
    for (size_t i = 0; i < balances->count; i++)
        mary_free(balances->items[i].exponents);
    mary_free(balances->items);
    *balances = (mary_balances){0};
}

/* ---- finding ---- */

static bool used_once(const mary_integer_plan *plan, const char *name)
{
    return mary_graph_initializer(plan->index, name) >= 0 && mary_graph_use_count(plan->index, name) == 1 &&
           !mary_graph_is_input(plan->index, name);
}

static bool has_bias(const Onnx__NodeProto *node)
{
    return node->n_input > 2 && node->input[2][0] != '\0';
}

/* Constants that nobody else reads, and a bias of one value a row. */
static bool is_scalable(const mary_integer_plan *plan, const mary_layer *layer)
{
    mary_type type;
    mary_shape shape;
    if (!used_once(plan, layer->weight))
        return false;
    if (layer->kind == MARY_LAYER_MATMUL || !has_bias(layer->node))
        return true;
    if (!used_once(plan, layer->node->input[2]))
        return false;
    ptrdiff_t position = mary_graph_initializer(plan->index, layer->node->input[2]);
    return mary_tensor_describe(plan->graph->initializer[position], &type, &shape) == MARY_OK && type == MARY_FLOAT &&
           mary_shape_count(&shape) == layer->layout.rows;
}

/* Per channel, and f(s * x) = s * f(x) for s > 0? */
static bool passes_factors(const Onnx__NodeProto *node, mary_role role)
{
    static const char *const types[] = {"MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(node->op_type, types[i]) == 0)
            return role == MARY_ROLE_KEEP || role == MARY_ROLE_MIX;
    }
    return false;
}

/* The layer that alone reads what node `n` makes; false: there is none. */
static bool find_next(const mary_integer_plan *plan, size_t n, size_t *next)
{
    const mary_integer_plan_value *value = &plan->values[plan->nodes[n].made];
    if ((value->clip_low != 0 && !isinf(value->clip_low)) || !isinf(value->clip_high))
        return false;
    for (;;) {
        size_t count;
        if (value->consumers != 1 || mary_graph_is_output(plan->index, value->name))
            return false;
        const size_t *users = mary_graph_consumers(plan->index, value->name, &count);
        const Onnx__NodeProto *node = plan->graph->node[users[0]];
        const mary_integer_plan_node *planned = &plan->nodes[users[0]];
        if (strcmp(node->input[0], value->name) != 0)
            return false;
        if (planned->role == MARY_ROLE_LAYER) {
            *next = users[0];
            return true;
        }
        size_t out = mary_integer_plan_value_of(plan, node->output[0]);
        if (!passes_factors(node, planned->role) || out == MARY_NO_VALUE ||
            (planned->made != MARY_NO_VALUE && planned->made != out))
            return false;
        value = &plan->values[out];
    }
}

static mary_status read_rows(const mary_model *model, const mary_graph_index *index, const mary_layer *layer,
                             float **matrix)
{
    float *values;
    mary_shape shape;
    const Onnx__TensorProto *tensor = model->proto->graph->initializer[mary_graph_initializer(index, layer->weight)];
    MARY_TRY(mary_constant_floats(model, tensor, &values, &shape));
    *matrix = mary_alloc((size_t)mary_shape_count(&shape) * sizeof **matrix);
    if (*matrix == NULL) {
        mary_free(values);
        return mary_fail_memory((size_t)mary_shape_count(&shape) * sizeof **matrix);
    }
    mary_layout_to_rows(&layer->layout, values, *matrix);
    mary_free(values);
    return MARY_OK;
}

/* How positions of a row belong to input channels: position k of row r meets channel (r / group_rows) * inputs + k /
 * taps. */
typedef struct column_map {
    int64_t group_rows, inputs, taps, channels;
} column_map;

static mary_status map_columns(const mary_layer *layer, column_map *map)
{
    int64_t groups = 1;
    map->taps = 1;
    if (layer->kind == MARY_LAYER_CONV) {
        MARY_TRY(mary_attribute_int(layer->node, "group", 1, &groups));
        map->taps = mary_shape_count_range(&layer->layout.shape, 2, layer->layout.shape.rank);
    }
    if (groups < 1 || layer->layout.rows % groups != 0)
        groups = 1;
    map->group_rows = layer->layout.rows / groups;
    map->inputs = layer->layout.row_length / map->taps;
    map->channels = map->inputs * groups;
    return MARY_OK;
}

static int64_t channel_of(const column_map *map, int64_t row, int64_t k)
{
    return row / map->group_rows * map->inputs + k / map->taps;
}

/* exponents[c], their mean 0; false in *useful when all are 0. */
static mary_status choose_exponents(const mary_model *model, const mary_integer_plan *plan, const mary_layer *to,
                                    const mary_statistics_value *input, mary_balance *balance, bool *useful)
{
    column_map map;
    float *matrix = NULL;
    double *ratios = NULL, mean = 0;
    int64_t counted = 0;
    *useful = false;
    MARY_TRY(map_columns(to, &map));
    if (input->channel_most == NULL || input->channels != map.channels || balance->channels != map.channels)
        return MARY_OK;
    MARY_TRY(read_rows(model, plan->index, to, &matrix));
    ratios = mary_calloc((size_t)map.channels, sizeof *ratios);
    balance->exponents = mary_calloc((size_t)map.channels, sizeof *balance->exponents);
    mary_status status = MARY_OK;
    if (ratios == NULL || balance->exponents == NULL) {
        status = mary_fail_memory((size_t)map.channels * sizeof *ratios);
        goto done;
    }
    for (int64_t r = 0; r < to->layout.rows; r++) {
        for (int64_t k = 0; k < to->layout.row_length; k++) {
            double *most = &ratios[channel_of(&map, r, k)];
            *most = fmax(*most, fabs((double)matrix[r * to->layout.row_length + k]));
        }
    }
    for (int64_t c = 0; c < map.channels; c++) {
        double a = input->channel_most[c], w = ratios[c];
        bool normal = a > LEAST_NORMAL && a < MOST_NORMAL && w > LEAST_NORMAL && w < MOST_NORMAL;
        ratios[c] = normal ? 0.5 * log2(a / w) : NAN; /* a dead channel stays as it is */
        mean += normal ? ratios[c] : 0;
        counted += normal;
    }
    for (int64_t c = 0; c < map.channels; c++) {
        if (isnan(ratios[c]))
            continue;
        double exponent = nearbyint(ratios[c] - mean / (double)counted);
        balance->exponents[c] = (int)fmin(fmax(exponent, -MOST_EXPONENT), MOST_EXPONENT);
        *useful = *useful || balance->exponents[c] != 0;
    }
done:
    mary_free(matrix);
    mary_free(ratios);
    return status;
}

mary_status mary_balances_find(const mary_model *model, const mary_integer_plan *plan, const mary_layers *layers,
                               mary_balances *balances)
{
    *balances = (mary_balances){0};
    mary_status status = MARY_OK;
    for (size_t n = 0; n < plan->node_count; n++) {
        size_t next;
        bool useful = false;
        if (plan->nodes[n].role != MARY_ROLE_LAYER || !find_next(plan, n, &next))
            continue;
        const mary_layer *from = &layers->items[plan->nodes[n].layer], *to = &layers->items[plan->nodes[next].layer];
        /* a product of more than two dimensions has its channels last, not where a convolution has them */
        bool alike = (from->kind == MARY_LAYER_CONV) == (to->kind == MARY_LAYER_CONV);
        if (!alike || from->kind == MARY_LAYER_MATMUL || !is_scalable(plan, from) || !is_scalable(plan, to))
            continue;
        if (!mary_reserve((void **)&balances->items, &balances->capacity, balances->count + 1,
                          sizeof *balances->items)) {
            status = mary_fail_memory(sizeof *balances->items);
            break;
        }
        mary_balance *balance = &balances->items[balances->count++];
        *balance = (mary_balance){plan->nodes[n].layer, plan->nodes[next].layer, from->layout.rows, NULL};
        const mary_statistics_value *input = mary_statistics_find(plan->statistics, to->node->input[0]);
        status = choose_exponents(model, plan, to, input, balance, &useful);
        if (status != MARY_OK)
            break;
        if (!useful)
            mary_free(balances->items[--balances->count].exponents);
    }
    if (status != MARY_OK)
        mary_balances_free(balances);
    return status;
}

/* ---- applying ---- */

static mary_status replace_constant(mary_model *model, ptrdiff_t position, const mary_shape *shape, const float *values)
{
    Onnx__TensorProto **slot = &model->proto->graph->initializer[position], *made = NULL;
    mary_tensor tensor = {.type = MARY_FLOAT, .shape = *shape, .data = (void *)(uintptr_t)values};
    MARY_TRY(mary_constant_encode(&tensor, (*slot)->name, &made));
    onnx__tensor_proto__free_unpacked(*slot, &mary_proto_allocator);
    *slot = made;
    return MARY_OK;
}

/* Scales the rows of a layer (the one that makes the channels) or the columns (the one that reads them). */
static mary_status scale_weight(mary_model *model, const mary_graph_index *index, const mary_layer *layer,
                                const int *exponents, bool rows, int sign)
{
    column_map map;
    float *matrix = NULL, *values = NULL;
    int64_t length = layer->layout.row_length;
    size_t bytes = (size_t)(layer->layout.rows * length) * sizeof *values;
    mary_status status = MARY_OK;
    MARY_TRY(map_columns(layer, &map));
    MARY_TRY(read_rows(model, index, layer, &matrix));
    for (int64_t r = 0; r < layer->layout.rows; r++) {
        for (int64_t k = 0; k < length; k++)
            matrix[r * length + k] =
                ldexpf(matrix[r * length + k], sign * exponents[rows ? r : channel_of(&map, r, k)]);
    }
    values = mary_alloc(bytes);
    if (values == NULL) {
        status = mary_fail_memory(bytes);
        goto done;
    }
    mary_layout_from_rows(&layer->layout, matrix, values);
    status = replace_constant(model, mary_graph_initializer(index, layer->weight), &layer->layout.shape, values);
done:
    mary_free(matrix);
    mary_free(values);
    return status;
}

static mary_status scale_bias(mary_model *model, const mary_graph_index *index, const mary_layer *layer,
                              const int *exponents, int sign)
{
    float *values;
    mary_shape shape;
    if (!has_bias(layer->node))
        return MARY_OK;
    ptrdiff_t position = mary_graph_initializer(index, layer->node->input[2]);
    MARY_TRY(mary_constant_floats(model, model->proto->graph->initializer[position], &values, &shape));
    for (int64_t r = 0; r < layer->layout.rows; r++)
        values[r] = ldexpf(values[r], sign * exponents[r]);
    mary_status status = replace_constant(model, position, &shape, values);
    mary_free(values);
    return status;
}

mary_status mary_balances_apply(mary_model *model, const mary_layers *layers, const mary_balances *balances, bool undo)
{
    mary_graph_index *index = NULL;
    int sign = undo ? -1 : 1;
    mary_status status = mary_graph_index_create(model->proto->graph, &index);
    for (size_t i = 0; i < balances->count && status == MARY_OK; i++) {
        const mary_balance *balance = &balances->items[i];
        const mary_layer *from = &layers->items[balance->from], *to = &layers->items[balance->to];
        status = scale_weight(model, index, from, balance->exponents, true, -sign);
        if (status == MARY_OK)
            status = scale_bias(model, index, from, balance->exponents, -sign);
        if (status == MARY_OK)
            status = scale_weight(model, index, to, balance->exponents, false, sign);
    }
    mary_graph_index_free(&index);
    return status;
}
