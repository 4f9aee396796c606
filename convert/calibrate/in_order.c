#include "convert/calibrate/in_order.h"

#include <math.h>
#include <string.h>

#include "convert/bias.h"
#include "convert/calibrate/arrays.h"
#include "convert/calibrate/excerpt.h"
#include "convert/calibrate/value_moments.h"
#include "convert/initializer.h"

struct mary_in_order {
    const mary_model *model; /* float, the caller's */
    mary_model *coded;       /* a copy in which weights are replaced; nodes stay where they are */
    mary_graph_index *index; /* of both: of nodes and values that the float graph has */
    const mary_layers *layers;
    mary_in_order_wish *wishes; /* [layers->count] */
    size_t *nodes;              /* [layers->count]: position in graph->node */
    bool *pending;              /* [layers->count] */
    bool any_replaced;
    mary_value_moments *wanted; /* [2 * layers->count]: outputs of the float layers, and sums that they go into; NULL:
                                 * not measured yet */
    const mary_calibration *calibration;
    int threads;
};

/* One layer in one pass over the samples. */
typedef struct probe {
    size_t layer, of; /* `of` is the first layer with its weight: the one that is measured */
    const char *input, *output;
    /* Among the outputs of the excerpts: its input (-1: it is an input of the graph), its output, and the value that is
     * to come out right. */
    int input_at, made_at, output_at;
} probe;

/* What a pass runs. */
typedef struct pass {
    probe *probes;
    size_t probe_count;
    const char **values; /* of the coded excerpt: inputs and outputs; of the float one: outputs, in the same order */
    size_t value_count, output_count;
    mary_session *sessions[2]; /* coded, float */
    mary_array *results[2];
} pass;

void mary_in_order_free(mary_in_order **pointer)
{
    mary_in_order *o = *pointer;
    *pointer = NULL;
    if (o == NULL)
        return;
    mary_model_free(&o->coded);
    mary_graph_index_free(&o->index);
    for (size_t i = 0; o->wanted != NULL && i < 2 * o->layers->count; i++)
        mary_row_moments_free(&o->wanted[i].moments);
    mary_free(o->wanted);
    mary_free(o->wishes);
    mary_free(o->nodes);
    mary_free(o->pending);
    mary_free(o);
}

mary_status mary_in_order_create(const mary_model *model, const mary_layers *layers, const mary_in_order_wish *wishes,
                                 const mary_calibration *calibration, int threads, mary_in_order **order)
{
    const Onnx__GraphProto *graph = model->proto->graph;
    mary_status status = MARY_OK;
    mary_in_order *o = mary_calloc(1, sizeof *o);
    *order = NULL;
    if (o == NULL)
        return mary_fail_memory(sizeof *o);
    *o = (mary_in_order){.model = model, .layers = layers, .calibration = calibration, .threads = threads};
    o->wishes = mary_calloc(layers->count + 1, sizeof *o->wishes);
    o->nodes = mary_calloc(layers->count + 1, sizeof *o->nodes);
    o->pending = mary_calloc(layers->count + 1, sizeof *o->pending);
    if (o->wishes == NULL || o->nodes == NULL || o->pending == NULL) {
        status = mary_fail_memory(layers->count * sizeof *o->nodes);
        goto failed;
    }
    for (size_t l = 0; l < layers->count; l++) {
        o->wishes[l] = wishes[l];
        o->pending[l] = wishes[l] != MARY_IN_ORDER_NOTHING;
    }
    for (size_t i = 0, l = 0; i < graph->n_node && l < layers->count; i++) {
        if (graph->node[i] == layers->items[l].node)
            o->nodes[l++] = i;
    }
    MARY_TRY_GOTO(mary_graph_index_create(graph, &o->index), failed);
    MARY_TRY_GOTO(mary_model_copy(model, &o->coded), failed);
    *order = o;
    return MARY_OK;
failed:
    mary_in_order_free(&o);
    return status;
}

/* after[n]: a pending layer other than `except` lies before node n. */
static mary_status find_after(const mary_in_order *o, size_t except, bool *after)
{
    const Onnx__GraphProto *graph = o->model->proto->graph;
    bool *makes = mary_calloc(graph->n_node + 1, sizeof *makes);
    if (makes == NULL)
        return mary_fail_memory(graph->n_node);
    memset(after, 0, graph->n_node * sizeof *after);
    for (size_t l = 0; l < o->layers->count; l++) {
        if (l != except && o->pending[o->layers->items[l].same_as])
            makes[o->nodes[l]] = o->layers->items[l].reason == NULL;
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        for (size_t v = 0; v < graph->node[i]->n_output && (after[i] || makes[i]); v++) {
            size_t count;
            const size_t *users = mary_graph_consumers(o->index, graph->node[i]->output[v], &count);
            for (size_t u = 0; u < count; u++)
                after[users[u]] = true;
        }
    }
    mary_free(makes);
    return MARY_OK;
}

/* The sum that the layer's output goes into, and into nothing else; NULL: there is none. */
static const Onnx__NodeProto *sum_of(const mary_in_order *o, size_t layer, size_t *node)
{
    const Onnx__GraphProto *graph = o->model->proto->graph;
    const char *value = o->layers->items[layer].node->output[0];
    size_t count;
    const size_t *users = mary_graph_consumers(o->index, value, &count);
    if (count != 1 || mary_graph_use_count(o->index, value) != 1)
        return NULL;
    const Onnx__NodeProto *user = graph->node[users[0]];
    bool plain = user->domain == NULL || user->domain[0] == '\0' || strcmp(user->domain, "ai.onnx") == 0;
    *node = users[0];
    return plain && strcmp(user->op_type, "Add") == 0 && user->n_input == 2 ? user : NULL;
}

/* The value that is to come out right: the layer's output, or the sum that it goes into, so that the layer makes up for
 * what is wrong with the other summand, too, once that is final. */
static mary_status choose_output(const mary_in_order *o, size_t layer, bool *after, const char **output)
{
    size_t node;
    const Onnx__NodeProto *sum = sum_of(o, layer, &node);
    *output = o->layers->items[layer].node->output[0];
    if (sum == NULL)
        return MARY_OK;
    MARY_TRY(find_after(o, layer, after));
    if (!after[node])
        *output = sum->output[0];
    return MARY_OK;
}

static int add_value(pass *p, const char *value)
{
    for (size_t i = 0; i < p->value_count; i++) {
        if (strcmp(p->values[i], value) == 0)
            return (int)i;
    }
    p->values[p->value_count] = value;
    return (int)p->value_count++;
}

/* Which layers come next, and which values have to be seen. */
static mary_status plan(const mary_in_order *o, pass *p)
{
    const Onnx__GraphProto *graph = o->model->proto->graph;
    size_t layers = o->layers->count;
    mary_status status = MARY_OK;
    bool *after = mary_calloc(graph->n_node + 1, sizeof *after);
    bool *scratch = mary_calloc(graph->n_node + 1, sizeof *scratch);
    p->probes = mary_calloc(layers + 1, sizeof *p->probes);
    p->values = mary_calloc(3 * layers + 1, sizeof *p->values);
    if (after == NULL || scratch == NULL || p->probes == NULL || p->values == NULL) {
        status = mary_fail_memory(graph->n_node);
        goto done;
    }
    MARY_TRY_GOTO(find_after(o, SIZE_MAX, after), done);
    for (size_t l = 0; l < layers; l++) {
        const mary_layer *layer = &o->layers->items[l];
        size_t of = layer->same_as;
        if (layer->reason != NULL || layer->weight == NULL || !o->pending[of] || after[o->nodes[of]])
            continue;
        probe *one = &p->probes[p->probe_count++];
        *one = (probe){.layer = l, .of = of, .input = layer->node->input[0]};
        MARY_TRY_GOTO(choose_output(o, l, scratch, &one->output), done);
    }
    /* Outputs first: they are all that the float excerpt has. */
    for (size_t i = 0; i < p->probe_count; i++) {
        probe *one = &p->probes[i];
        one->output_at = one->made_at = add_value(p, one->output);
        if (o->wishes[one->of] == MARY_IN_ORDER_OUTPUTS)
            one->made_at = add_value(p, o->layers->items[one->layer].node->output[0]);
    }
    p->output_count = p->value_count;
    for (size_t i = 0; i < p->probe_count; i++) {
        probe *one = &p->probes[i];
        one->input_at = -1;
        if (o->wishes[one->of] == MARY_IN_ORDER_INPUTS && !mary_graph_is_input(o->index, one->input))
            one->input_at = add_value(p, one->input);
    }
done:
    mary_free(after);
    mary_free(scratch);
    return status;
}

static mary_status start(const mary_in_order *o, pass *p)
{
    mary_session_options options = {.threads = o->threads};
    bool residuals = false;
    for (size_t i = 0; i < p->probe_count; i++)
        residuals = residuals || o->wishes[p->probes[i].of] == MARY_IN_ORDER_INPUTS;
    for (int side = 0; side < (o->any_replaced && residuals ? 2 : 1); side++) {
        mary_model *excerpt = NULL;
        size_t count = side == 0 ? p->value_count : p->output_count;
        MARY_TRY(mary_model_excerpt(side == 0 ? o->coded : o->model, p->values, count, &excerpt));
        MARY_TRY(mary_session_create(&excerpt, &options, &p->sessions[side]));
        p->results[side] = mary_calloc(count + 1, sizeof **p->results);
        if (p->results[side] == NULL)
            return mary_fail_memory(count * sizeof **p->results);
    }
    return MARY_OK;
}

static void clear_results(pass *p)
{
    for (int side = 0; side < 2; side++) {
        size_t count = side == 0 ? p->value_count : p->output_count;
        for (size_t i = 0; p->results[side] != NULL && i < count; i++)
            mary_array_free(&p->results[side][i]);
    }
}

static void pass_free(pass *p)
{
    clear_results(p);
    for (int side = 0; side < 2; side++) {
        mary_session_free(&p->sessions[side]);
        mary_free(p->results[side]);
    }
    mary_free(p->probes);
    mary_free(p->values);
}

static const mary_array *find_input(const mary_array *inputs, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(inputs[i].name, name) == 0)
            return &inputs[i];
    }
    return NULL;
}

/* residual = float output - coded output; NULL when they are not the layer's rows at every position. */
static mary_status make_residual(const mary_in_order *o, const pass *p, const probe *one, const mary_columns *columns,
                                 int64_t index, float **residual)
{
    const char *name = o->layers->items[one->layer].name;
    float *made[2] = {NULL, NULL};
    const float *values[2];
    mary_status status = MARY_OK;
    *residual = NULL;
    if (p->sessions[1] == NULL)
        return MARY_OK;
    mary_shape shape = mary_array_shape(&p->results[0][one->output_at]),
               other = mary_array_shape(&p->results[1][one->output_at]);
    if (!mary_columns_fit_output(columns, &shape) || !mary_shape_equal(&shape, &other))
        return MARY_OK;
    int64_t count = mary_shape_count(&shape);
    for (int side = 0; side < 2; side++)
        MARY_TRY_GOTO(
            mary_array_floats(&p->results[side][one->output_at], "the output", name, index, &made[side], &values[side]),
            done);
    *residual = mary_alloc((size_t)count * sizeof **residual);
    if (*residual == NULL) {
        status = mary_fail_memory((size_t)count * sizeof **residual);
        goto done;
    }
    float alpha = 1;
    if (o->layers->items[one->layer].kind == MARY_LAYER_GEMM)
        MARY_TRY_GOTO(mary_attribute_float(o->layers->items[one->layer].node, "alpha", 1, &alpha), done);
    float scale = alpha != 0 ? 1 / alpha : 0;
    for (int64_t i = 0; i < count; i++)
        (*residual)[i] = (values[1][i] - values[0][i]) * scale;
done:
    mary_free(made[0]);
    mary_free(made[1]);
    if (status != MARY_OK) {
        mary_free(*residual);
        *residual = NULL;
    }
    return status;
}

static mary_status add_outputs(const mary_in_order *o, const pass *p, const probe *one, int64_t index,
                               mary_output_match *match)
{
    const mary_layer *layer = &o->layers->items[one->layer];
    const int at[2] = {one->made_at, one->output_at};
    mary_row_moments *const moments[2] = {&match->made, &match->made_sum};
    for (int i = 0; i < (at[0] != at[1] ? 2 : 1); i++) {
        mary_value_moments item = {.rows = layer->layout.rows, .moments = *moments[i]};
        mary_status status = mary_value_moments_add(&item, &p->results[0][at[i]], layer->name, index);
        *moments[i] = item.moments;
        MARY_TRY(status);
    }
    return MARY_OK;
}

static mary_status add_inputs(const mary_in_order *o, const pass *p, const probe *one, const mary_array *inputs,
                              int input_count, int64_t index, mary_second_moment *moments)
{
    const mary_layer *layer = &o->layers->items[one->layer];
    const mary_array *x =
        one->input_at < 0 ? find_input(inputs, input_count, one->input) : &p->results[0][one->input_at];
    mary_second_moment *moment = &moments[one->of];
    mary_status status = MARY_OK;
    mary_columns columns;
    float *made = NULL, *residual = NULL;
    const float *values;
    if (x == NULL)
        return mary_fail(MARY_ERROR_INVALID, "the calibration data has no input '%s'", one->input);
    mary_shape shape = mary_array_shape(x);
    MARY_TRY(mary_columns_describe(layer, &shape, &columns));
    MARY_TRY_GOTO(mary_array_floats(x, "the input", layer->name, index, &made, &values), done);
    MARY_TRY_GOTO(make_residual(o, p, one, &columns, index, &residual), done);
    if (moment->moment == NULL)
        MARY_TRY_GOTO(mary_second_moment_create(&columns, moment), done);
    MARY_TRY_GOTO(mary_second_moment_add(moment, &columns, values, residual, 1, o->threads), done);
done:
    mary_free(made);
    mary_free(residual);
    return status;
}

/* What outputs are to be like: of the float network, once. */
static mary_status measure_wanted(mary_in_order *o)
{
    size_t layers = o->layers->count;
    bool any = false;
    if (o->wanted != NULL)
        return MARY_OK;
    o->wanted = mary_calloc(2 * layers + 1, sizeof *o->wanted);
    if (o->wanted == NULL)
        return mary_fail_memory(2 * layers * sizeof *o->wanted);
    for (size_t l = 0; l < layers; l++) {
        const mary_layer *layer = &o->layers->items[l];
        size_t node;
        if (o->wishes[l] != MARY_IN_ORDER_OUTPUTS)
            continue;
        const Onnx__NodeProto *sum = sum_of(o, l, &node);
        o->wanted[2 * l] = (mary_value_moments){.value = layer->node->output[0], .rows = layer->layout.rows};
        o->wanted[2 * l + 1] =
            (mary_value_moments){.value = sum != NULL ? sum->output[0] : NULL, .rows = layer->layout.rows};
        any = true;
    }
    return any ? mary_value_moments_collect(o->model, o->calibration, o->threads, o->wanted, 2 * layers) : MARY_OK;
}

/* Hands over what was measured in the float network. Nothing where one of the values is not the layer's rows: a sum
 * that broadcasts. */
static void finish_match(mary_in_order *o, const probe *one, mary_output_match *match)
{
    mary_value_moments *output = &o->wanted[2 * one->layer], *sum = output + 1;
    bool sums = one->output_at != one->made_at;
    match->wanted = output->moments;
    output->moments = (mary_row_moments){0};
    if (sums) {
        match->wanted_sum = sum->moments;
        sum->moments = (mary_row_moments){0};
    }
    const mary_row_moments *all[4] = {&match->wanted, &match->made, &match->made_sum, &match->wanted_sum};
    for (int i = 0; i < (sums ? 4 : 2); i++) {
        if (all[i]->sums == NULL || all[i]->count != all[0]->count) {
            mary_output_match_free(match);
            return;
        }
    }
}

mary_status mary_in_order_measure(mary_in_order *o, mary_second_moment *moments, mary_output_match *matches,
                                  size_t *count)
{
    mary_status status = MARY_OK;
    pass p = {0};
    memset(moments, 0, o->layers->count * sizeof *moments);
    memset(matches, 0, o->layers->count * sizeof *matches);
    *count = 0;
    MARY_TRY_GOTO(plan(o, &p), done);
    if (p.probe_count == 0)
        goto done;
    MARY_TRY_GOTO(measure_wanted(o), done);
    MARY_TRY_GOTO(start(o, &p), done);
    for (int64_t index = 0; index < o->calibration->count; index++) {
        const mary_array *inputs;
        int input_count;
        MARY_TRY_GOTO(o->calibration->sample(o->calibration->context, index, &inputs, &input_count), done);
        for (int side = 0; side < 2 && p.sessions[side] != NULL; side++)
            MARY_TRY_GOTO(mary_session_run(p.sessions[side], inputs, input_count, p.results[side],
                                           (int)(side == 0 ? p.value_count : p.output_count)),
                          done);
        for (size_t i = 0; i < p.probe_count; i++) {
            const probe *one = &p.probes[i];
            if (o->wishes[one->of] == MARY_IN_ORDER_OUTPUTS)
                status = add_outputs(o, &p, one, index, &matches[one->of]);
            else
                status = add_inputs(o, &p, one, inputs, input_count, index, moments);
            if (status != MARY_OK)
                goto done;
        }
        clear_results(&p);
    }
    for (size_t i = 0; i < p.probe_count; i++) {
        if (o->wishes[p.probes[i].of] == MARY_IN_ORDER_OUTPUTS)
            finish_match(o, &p.probes[i], &matches[p.probes[i].of]);
        *count += o->pending[p.probes[i].of];
        o->pending[p.probes[i].of] = false;
    }
done:
    pass_free(&p);
    if (status != MARY_OK) {
        for (size_t l = 0; l < o->layers->count; l++) {
            mary_second_moment_free(&moments[l]);
            mary_output_match_free(&matches[l]);
        }
    }
    return status;
}

mary_status mary_in_order_replace(mary_in_order *o, size_t first, const float *matrix, const float *shift)
{
    const mary_layer *layer = &o->layers->items[first];
    mary_status status = MARY_OK;
    char *name = NULL;
    size_t bytes = (size_t)mary_shape_count(&layer->layout.shape) * sizeof(float);
    float *tensor = mary_alloc(bytes);
    if (tensor == NULL)
        return mary_fail_memory(bytes);
    mary_layout_from_rows(&layer->layout, matrix, tensor);
    MARY_TRY_GOTO(mary_initializer_add_floats(o->coded, o->index, tensor, layer->type, &layer->layout.shape,
                                              layer->weight, &name),
                  done);
    for (size_t l = first; l < o->layers->count; l++) {
        Onnx__NodeProto *node = o->coded->proto->graph->node[o->nodes[l]];
        if (o->layers->items[l].same_as != first || o->layers->items[l].reason != NULL)
            continue;
        const Onnx__NodeProto *original = o->model->proto->graph->node[o->nodes[l]];
        MARY_TRY_GOTO(mary_node_set_input(node, 1, name), done);
        if (node->n_input > 2)
            MARY_TRY_GOTO(mary_node_set_input(node, 2, original->n_input > 2 ? original->input[2] : ""), done);
        if (shift != NULL)
            MARY_TRY_GOTO(mary_bias_shift(o->coded, o->index, layer, node, shift), done);
    }
    o->any_replaced = true;
done:
    mary_free(tensor);
    mary_free(name);
    return status;
}

const mary_model *mary_in_order_coded(const mary_in_order *o)
{
    return o->coded;
}
