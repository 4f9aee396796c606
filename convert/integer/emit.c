/* The integer graph: QuantizeLinear where a float tensor becomes u8, DequantizeLinear in front of every other reader of
 * a u8 one (each reader its own, which is how ONNX Runtime recognises what it can fuse), MaryQLinear* for the layers.
 */
#include "convert/integer/emit.h"

#include <math.h>
#include <string.h>

/* Names of one value in the new graph; NULL until they are needed. */
typedef struct value_names {
    char *raw;                /* float, as the node made it, when that is not the value's own name */
    char *quantised;          /* u8 */
    char *scale, *zero_point; /* of a root */
} value_names;

typedef struct emitter {
    mary_model *model;
    Onnx__GraphProto *graph;
    const mary_integer_plan *plan;
    const mary_scales *scales;
    const mary_layers *layers;
    const mary_integer_layer *integers;
    bool corrected;
    mary_graph_index *index; /* of the graph before it changes; gives names */
    value_names *names;      /* [plan->value_count] */
    Onnx__NodeProto **nodes; /* the new list */
    size_t count, capacity;
    size_t taken; /* nodes of the old list that are in the new one or freed */
} emitter;

mary_status mary_integer_add_constant(mary_model *model, const char *name, mary_type type, const mary_shape *shape,
                                      const void *data)
{
    mary_tensor tensor = {.type = type, .shape = *shape, .data = (void *)(uintptr_t)data};
    Onnx__TensorProto *message = NULL;
    MARY_TRY(mary_constant_encode(&tensor, name, &message));
    mary_status status = mary_graph_add_initializer(model->proto->graph, message);
    if (status != MARY_OK)
        onnx__tensor_proto__free_unpacked(message, &mary_proto_allocator);
    return status;
}

/* ---- names ---- */

static mary_status fresh(emitter *e, const char *stem, const char *suffix, char **name)
{
    char *whole = mary_asprintf("%s_%s", stem, suffix);
    *name = whole == NULL ? NULL : mary_graph_unique_name(e->index, whole);
    mary_free(whole);
    return *name == NULL ? mary_fail_memory(strlen(stem)) : MARY_OK;
}

static mary_status quantised_name(emitter *e, size_t value, const char **name)
{
    if (e->names[value].quantised == NULL)
        MARY_TRY(fresh(e, e->plan->values[value].name, "quantized", &e->names[value].quantised));
    *name = e->names[value].quantised;
    return MARY_OK;
}

/* Scale and zero point of a value: initializers that all values of its set share. */
static mary_status step_names(emitter *e, size_t value, const char **scale, const char **zero_point)
{
    size_t root = mary_integer_plan_root(e->plan, value);
    value_names *names = &e->names[root];
    const mary_u8_step *step = &e->scales->items[root].step;
    const mary_shape scalar = {0};
    if (names->scale == NULL) {
        MARY_TRY(fresh(e, e->plan->values[root].name, "scale", &names->scale));
        MARY_TRY(mary_integer_add_constant(e->model, names->scale, MARY_FLOAT, &scalar, &step->scale));
        MARY_TRY(fresh(e, e->plan->values[root].name, "zero_point", &names->zero_point));
        MARY_TRY(mary_integer_add_constant(e->model, names->zero_point, MARY_UINT8, &scalar, &step->zero_point));
    }
    *scale = names->scale;
    *zero_point = names->zero_point;
    return MARY_OK;
}

/* ---- nodes ---- */

static mary_status append(emitter *e, Onnx__NodeProto *node)
{
    if (!mary_reserve((void **)&e->nodes, &e->capacity, e->count + 1, sizeof *e->nodes))
        return mary_fail_memory(sizeof *e->nodes);
    e->nodes[e->count++] = node;
    return MARY_OK;
}

static mary_status append_conversion(emitter *e, const char *op, size_t value, const char *from, const char *to)
{
    const char *scale, *zero_point;
    char *name;
    Onnx__NodeProto *node = NULL;
    MARY_TRY(step_names(e, value, &scale, &zero_point));
    const char *inputs[] = {from, scale, zero_point};
    MARY_TRY(fresh(e, to, op, &name));
    mary_status status = mary_node_create("", op, name, inputs, 3, &to, 1, &node);
    mary_free(name);
    if (status == MARY_OK)
        status = append(e, node);
    if (status != MARY_OK && node != NULL)
        mary_node_free(node);
    return status;
}

static mary_status quantise(emitter *e, size_t value, const char *from)
{
    const char *to;
    MARY_TRY(quantised_name(e, value, &to));
    return append_conversion(e, "QuantizeLinear", value, from, to);
}

static mary_status dequantise(emitter *e, size_t value, const char *to)
{
    const char *from;
    MARY_TRY(quantised_name(e, value, &from));
    return append_conversion(e, "DequantizeLinear", value, from, to);
}

/* Input i of the node now reads the u8 value through a DequantizeLinear of its own. */
static mary_status read_dequantised(emitter *e, Onnx__NodeProto *node, size_t i, size_t value)
{
    char *name;
    MARY_TRY(fresh(e, e->plan->values[value].name, "dequantized", &name));
    mary_status status = dequantise(e, value, name);
    if (status == MARY_OK)
        status = mary_node_set_input(node, i, name);
    mary_free(name);
    return status;
}

/* Output o makes the value in float: quantised behind it, and where float is read, back again under the old name. */
static mary_status finish_output(emitter *e, Onnx__NodeProto *node, size_t o, size_t value)
{
    const mary_integer_plan_value *planned = &e->plan->values[value];
    if (!planned->stored)
        return MARY_OK;
    const char *raw = planned->name;
    if (planned->float_needed) {
        if (e->names[value].raw == NULL)
            MARY_TRY(fresh(e, planned->name, "raw", &e->names[value].raw));
        raw = e->names[value].raw;
    }
    MARY_TRY(mary_edit_string(&node->output[o], raw));
    MARY_TRY(quantise(e, value, raw));
    return planned->float_needed ? dequantise(e, value, planned->name) : MARY_OK;
}

/* ---- layers ---- */

static mary_status make_bias(emitter *e, const mary_layer *layer, const mary_integer_layer *integer, size_t in,
                             size_t out, char **name)
{
    int64_t rows = layer->layout.rows;
    const mary_shape shape = {1, {rows}};
    float x_scale = e->scales->items[mary_integer_plan_root(e->plan, in)].step.scale;
    int32_t *bias = mary_calloc((size_t)rows, sizeof *bias);
    if (bias == NULL)
        return mary_fail_memory((size_t)rows * sizeof *bias);
    for (int64_t r = 0; r < rows; r++) {
        double value = integer->bias != NULL ? integer->bias[r] : 0;
        if (e->corrected && integer->correction != NULL)
            value += integer->correction[r];
        double scaled = nearbyint(value / (double)(x_scale * integer->row_scales[r]));
        bias[r] = (int32_t)fmin(fmax(scaled, -(double)(1 << 30)),
                                1 << 30); /* the weights leave so much: MOST_MASS in weight.c */
    }
    mary_status status = fresh(e, e->plan->values[out].name, "bias", name);
    if (status == MARY_OK)
        status = mary_integer_add_constant(e->model, *name, MARY_INT32, &shape, bias);
    mary_free(bias);
    if (status != MARY_OK) {
        mary_free(*name);
        *name = NULL;
    }
    return status;
}

static const char *qlinear_attributes_dropped[] = {"alpha", "beta", "transA", "transB"};

static mary_status set_shape(Onnx__NodeProto *node, const mary_layer *layer, int bits)
{
    const mary_layout_rows *layout = &layer->layout;
    int64_t shape[MARY_MAX_RANK];
    size_t rank = (size_t)layout->shape.rank;
    memcpy(shape, layout->shape.dims, rank * sizeof *shape);
    if (layer->kind != MARY_LAYER_CONV) {
        shape[0] = layout->rows;
        shape[1] = layout->row_length;
        for (size_t i = 0; i < 4; i++)
            mary_node_remove_attribute(node, qlinear_attributes_dropped[i]);
    }
    MARY_TRY(mary_node_set_ints(node, "weight_shape", shape, rank));
    MARY_TRY(mary_node_set_int(node, "row_length", layout->row_length));
    return mary_node_set_int(node, "bits", bits);
}

static mary_status emit_layer(emitter *e, Onnx__NodeProto *node, const mary_integer_plan_node *planned)
{
    const mary_layer *layer = &e->layers->items[planned->layer];
    const mary_integer_layer *integer = &e->integers[planned->layer];
    size_t in = mary_integer_plan_value_of(e->plan, node->input[0]), out = planned->made;
    const char *x, *x_scale, *x_zero, *y, *y_scale, *y_zero;
    char *bias = NULL;
    MARY_TRY(quantised_name(e, in, &x));
    MARY_TRY(step_names(e, in, &x_scale, &x_zero));
    MARY_TRY(quantised_name(e, out, &y));
    MARY_TRY(step_names(e, out, &y_scale, &y_zero));
    if (layer->kind != MARY_LAYER_MATMUL)
        MARY_TRY(make_bias(e, layer, integer, in, out, &bias));
    const char *inputs[] = {
        x,       x_scale, x_zero, integer->codes, integer->levels, integer->scale, integer->zero_point,
        y_scale, y_zero,  bias};
    mary_status status = MARY_OK;
    for (size_t i = 0; i < (bias != NULL ? 10 : 9) && status == MARY_OK; i++)
        status = mary_node_set_input(node, i, inputs[i]);
    mary_free(bias);
    MARY_TRY(status);
    MARY_TRY(mary_edit_string(&node->output[0], y));
    MARY_TRY(set_shape(node, layer, integer->bits));
    MARY_TRY(mary_edit_string(&node->domain, MARY_DOMAIN));
    return mary_edit_string(&node->op_type, mary_layer_integer_op(layer->kind));
}

/* ---- all nodes ---- */

/* Inputs of an integer node between DequantizeLinear and QuantizeLinear. */
static mary_status emit_inputs(emitter *e, Onnx__NodeProto *node, const mary_integer_plan_node *planned)
{
    for (size_t i = 0; i < node->n_input; i++) {
        size_t value = mary_operator_reads(node, planned->role, i) ? mary_integer_plan_value_of(e->plan, node->input[i])
                                                                   : MARY_NO_VALUE;
        if (value == MARY_NO_VALUE)
            continue;
        const mary_integer_plan_value *planned_value = &e->plan->values[value];
        bool inside =
            planned->role == MARY_ROLE_ELEMENT && planned_value->source != value; /* made on the way from the source */
        if (!inside)
            MARY_TRY(read_dequantised(e, node, i, value));
        else if (e->names[value].raw != NULL)
            MARY_TRY(mary_node_set_input(node, i, e->names[value].raw));
    }
    return MARY_OK;
}

/* A node that needs only the shape reads whichever form there is. */
static mary_status emit_shape_reader(emitter *e, Onnx__NodeProto *node)
{
    size_t value = mary_integer_plan_value_of(e->plan, node->input[0]);
    const mary_integer_plan_value *planned = value == MARY_NO_VALUE ? NULL : &e->plan->values[value];
    const char *name;
    if (planned == NULL || !planned->stored || planned->producer < 0 ||
        e->plan->nodes[planned->producer].role == MARY_ROLE_FLOAT)
        return MARY_OK;
    MARY_TRY(quantised_name(e, value, &name));
    return mary_node_set_input(node, 0, name);
}

static mary_status emit_node(emitter *e, size_t n)
{
    Onnx__NodeProto *node = e->graph->node[n];
    const mary_integer_plan_node *planned = &e->plan->nodes[n];
    if (planned->role == MARY_ROLE_ABSORBED) {
        mary_node_free(node);
        e->graph->node[n] = NULL;
        return MARY_OK;
    }
    if (planned->role == MARY_ROLE_LAYER)
        MARY_TRY(emit_layer(e, node, planned));
    else if (planned->role == MARY_ROLE_SHAPE)
        MARY_TRY(emit_shape_reader(e, node));
    else if (planned->role != MARY_ROLE_FLOAT)
        MARY_TRY(emit_inputs(e, node, planned));
    size_t made = planned->role == MARY_ROLE_MIX || planned->role == MARY_ROLE_LAYER ? planned->made : MARY_NO_VALUE;
    MARY_TRY(append(e, node));
    e->graph->node[n] = NULL;
    if (planned->role == MARY_ROLE_LAYER)
        return e->plan->values[made].float_needed ? dequantise(e, made, e->plan->values[made].name) : MARY_OK;
    for (size_t o = 0; o < node->n_output; o++) {
        size_t value = made != MARY_NO_VALUE && o == 0 ? made : mary_integer_plan_value_of(e->plan, node->output[o]);
        if (value != MARY_NO_VALUE)
            MARY_TRY(finish_output(e, node, o, value));
    }
    return MARY_OK;
}

/* ---- value_info ---- */

static Onnx__ValueInfoProto *find_info(const Onnx__GraphProto *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_value_info; i++) {
        if (strcmp(graph->value_info[i]->name, name) == 0)
            return graph->value_info[i];
    }
    return NULL;
}

/* What MaryQLinear* makes has the shape that the float layer's output had. */
static mary_status declare_output(emitter *e, size_t value)
{
    const mary_integer_plan_value *planned = &e->plan->values[value];
    const Onnx__ValueInfoProto *info = find_info(e->graph, planned->name);
    for (size_t i = 0; info == NULL && i < e->graph->n_output; i++) {
        if (strcmp(e->graph->output[i]->name, planned->name) == 0)
            info = e->graph->output[i];
    }
    if (info == NULL || info->type == NULL || info->type->tensor_type == NULL || info->type->tensor_type->shape == NULL)
        return MARY_OK;
    size_t size = onnx__value_info_proto__get_packed_size(info);
    uint8_t *packed = mary_alloc(size);
    if (packed == NULL)
        return mary_fail_memory(size);
    onnx__value_info_proto__pack(info, packed);
    Onnx__ValueInfoProto *copy = onnx__value_info_proto__unpack(&mary_proto_allocator, size, packed);
    mary_free(packed);
    Onnx__ValueInfoProto **grown =
        copy == NULL
            ? NULL
            : mary_realloc(e->graph->value_info, (e->graph->n_value_info + 1) * sizeof(Onnx__ValueInfoProto *));
    if (grown == NULL) {
        if (copy != NULL)
            onnx__value_info_proto__free_unpacked(copy, &mary_proto_allocator);
        return mary_fail_memory(size);
    }
    e->graph->value_info = grown;
    grown[e->graph->n_value_info++] = copy;
    copy->type->tensor_type->elem_type = MARY_UINT8;
    return mary_edit_string(&copy->name, e->names[value].quantised);
}

static mary_status declare_outputs(emitter *e)
{
    for (size_t n = 0; n < e->plan->node_count; n++) {
        if (e->plan->nodes[n].role == MARY_ROLE_LAYER)
            MARY_TRY(declare_output(e, e->plan->nodes[n].made));
    }
    return MARY_OK;
}

/* Values that are no longer made have no type. */
mary_status mary_integer_drop_stale_info(Onnx__GraphProto *graph)
{
    mary_graph_index *index = NULL;
    MARY_TRY(mary_graph_index_create(graph, &index));
    for (size_t i = graph->n_value_info; i-- > 0;) {
        const char *name = graph->value_info[i]->name;
        if (mary_graph_producer(index, name) < 0 && mary_graph_initializer(index, name) < 0)
            mary_graph_remove_value_info(graph, i);
    }
    mary_graph_index_free(&index);
    return MARY_OK;
}

static mary_status emit_all(emitter *e)
{
    for (size_t v = 0; v < e->plan->value_count; v++) { /* graph inputs first */
        if (e->plan->values[v].stored && e->plan->values[v].producer < 0)
            MARY_TRY(quantise(e, v, e->plan->values[v].name));
    }
    for (; e->taken < e->plan->node_count; e->taken++)
        MARY_TRY(emit_node(e, e->taken));
    return MARY_OK;
}

mary_status mary_integer_emit(mary_model *model, const mary_integer_plan *plan, const mary_scales *scales,
                              const mary_layers *layers, const mary_integer_layer *integers, bool corrected)
{
    emitter e = {.model = model,
                 .graph = model->proto->graph,
                 .plan = plan,
                 .scales = scales,
                 .layers = layers,
                 .integers = integers,
                 .corrected = corrected};
    e.names = mary_calloc(plan->value_count + 1, sizeof *e.names);
    mary_status status = e.names == NULL ? mary_fail_memory(plan->value_count * sizeof *e.names) : MARY_OK;
    if (status == MARY_OK)
        status = mary_graph_index_create(e.graph, &e.index);
    if (status == MARY_OK)
        status = emit_all(&e);
    if (status == MARY_OK) {
        mary_free(e.graph->node);
        e.graph->node = e.nodes;
        e.graph->n_node = e.count;
        status = declare_outputs(&e);
    } else { /* the nodes are in two lists: put what is in neither back so that all of them are freed with the model */
        for (size_t n = 0; e.nodes != NULL && n < e.count; n++)
            mary_node_free(e.nodes[n]);
        mary_free(e.nodes);
        size_t kept = 0;
        for (size_t n = 0; n < plan->node_count && e.names != NULL; n++) {
            if (e.graph->node[n] != NULL)
                e.graph->node[kept++] = e.graph->node[n];
        }
        if (e.names != NULL)
            e.graph->n_node = kept;
    }
    for (size_t v = 0; e.names != NULL && v < plan->value_count; v++) {
        mary_free(e.names[v].raw);
        mary_free(e.names[v].quantised);
        mary_free(e.names[v].scale);
        mary_free(e.names[v].zero_point);
    }
    mary_free(e.names);
    mary_graph_index_free(&e.index);
    return status;
}
